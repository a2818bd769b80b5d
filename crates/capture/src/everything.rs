//! All that a snapshot's file keeps beyond types and objects: a second walk over every object, in the order of addresses,
//! in which each gets its number and tells its references.
//!
//! Bounded: by the objects that were found; labels by [`LABELS_MOST`].

use std::sync::atomic::{AtomicU64, Ordering};

use cpython::objects::Kind;
use cpython::types::TypeInfo;
use cpython::{roots, Heap, Obj};
use memory::{Addr, Memory};
use rustc_hash::FxHashMap;
use snapshot::{CodeRow, Content, Coverage, Details, FrameRow, GapKind, LinkKind, LinkLabel, Links, RegionRow, RootLink, ThreadRow};

use crate::briefs;
use crate::edges::{name_text, Edge, NameAt, Teller};
use crate::inspect::{frame_object_code, root_edges};
use crate::reach::Reached;

/// Most labels that are told apart. A program has some ten thousand; one that makes an attribute name of every value
/// would have no bound.
const LABELS_MOST: usize = 1 << 20;

/// Everything about the objects whose sorted addresses are `addresses`; `numbers` are the rows of types.
pub(crate) fn everything(reached: &Reached<'_, '_>, addresses: &[Addr], values: bool, coverage: &mut Coverage) -> Details {
    let heap = &reached.world().heap;
    let ids = Ids::new(reached, addresses);
    let lengths: Vec<AtomicU64> = addresses.iter().map(|_| AtomicU64::new(Details::NO_LENGTH)).collect();
    let parts = reached.for_each(Part::default, |part, o, t| part.object(reached, &ids, &lengths, values, o, t));
    let mut details = Details { lengths: lengths.into_iter().map(AtomicU64::into_inner).collect(), ..Details::default() };
    let mut joined = Join::default();
    for mut part in parts {
        details.names.append(&mut part.names);
        details.values.append(&mut part.values);
        details.codes.append(&mut part.codes);
        joined.absorb(heap, part.buckets, coverage);
    }
    details.names.sort_by_key(|n| n.0);
    details.values.sort_by_key(|n| n.0);
    details.codes.sort_by_key(|c| c.object);
    details.links = joined.links();
    details.roots = root_edges(reached)
        .into_iter()
        .filter_map(|(root, e)| {
            let target = ids.of(reached, e.to)?;
            Some(RootLink { root, kind: e.kind, name: name_text(heap, e.name), position: e.position, certain: e.certain, target })
        })
        .collect();
    (details.threads, details.frames) = threads(reached);
    details.regions = reached.world().source.mappings.iter().map(region).collect();
    details
}

/// What the length of a type's instances counts.
pub(crate) fn content(t: &TypeInfo) -> Content {
    match briefs::unit(t) {
        Some(unit) => Content::Counted(unit),
        None if briefs::is_number(t) => Content::Hidden,
        None => Content::None,
    }
}

/// The number of each object: its place among all addresses.
struct Ids {
    /// For each arena the number of its first object.
    first: Vec<u32>,
    /// For each arena and word of its bits, how many objects stand before in it.
    before: Vec<Vec<u32>>,
    outside: FxHashMap<Addr, u32>,
}

impl Ids {
    fn new(reached: &Reached<'_, '_>, addresses: &[Addr]) -> Ids {
        let arenas = &reached.world().arenas;
        let mut ids = Ids { first: Vec::new(), before: Vec::new(), outside: FxHashMap::default() };
        for (i, a) in arenas.all.iter().enumerate() {
            ids.first.push(addresses.partition_point(|at| *at < a.start) as u32);
            let mut sum = 0;
            let words = reached.shared.done.arena(i).iter().map(|w| {
                let before = sum;
                sum += w.load(Ordering::Relaxed).count_ones();
                before
            });
            ids.before.push(words.collect());
        }
        for at in &reached.outside.objects {
            if let Ok(i) = addresses.binary_search(at) {
                ids.outside.insert(*at, i as u32);
            }
        }
        ids
    }

    #[inline]
    fn of(&self, reached: &Reached<'_, '_>, at: Addr) -> Option<u32> {
        let arenas = &reached.world().arenas;
        let Some(arena) = arenas.of(at) else { return self.outside.get(&at).copied() };
        let offset = at.0 - arenas.all.get(arena)?.start.0;
        if offset % 16 != 0 {
            return None;
        }
        let (word, bit) = ((offset / 1024) as usize, offset / 16 % 64);
        let bits = reached.shared.done.arena(arena).get(word)?.load(Ordering::Relaxed);
        if bits >> bit & 1 == 0 {
            return None;
        }
        let below = (bits & ((1 << bit) - 1)).count_ones();
        Some(self.first.get(arena)? + self.before.get(arena)?.get(word)? + below)
    }
}

/// What references of one label have in common, before its name is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    kind_of_holder: u32,
    kind: LinkKind,
    name: NameAt,
    certain: bool,
}

/// References of one label.
#[derive(Default)]
struct Bucket {
    holders: Vec<u32>,
    targets: Vec<u32>,
    positions: Vec<u32>,
}

/// One thread's share.
#[derive(Default)]
struct Part {
    buckets: FxHashMap<Key, Bucket>,
    names: Vec<(u32, String)>,
    values: Vec<(u32, String)>,
    codes: Vec<CodeRow>,
}

impl Part {
    fn object(&mut self, reached: &Reached<'_, '_>, ids: &Ids, lengths: &[AtomicU64], values: bool, o: &Obj<'_>, t: &TypeInfo) {
        let heap = &reached.world().heap;
        let Some(id) = ids.of(reached, o.addr) else { return };
        if briefs::unit(t).is_some() {
            if let (Some(len), Some(slot)) = (briefs::length(heap, o, t), lengths.get(id as usize)) {
                slot.store(len, Ordering::Relaxed);
            }
        } else if let Some(name) = briefs::name(heap, o, t) {
            self.names.push((id, name));
        }
        if values {
            self.values.extend(briefs::value(heap, o, t).map(|v| (id, v)));
        }
        let code = match t.decoder.kind {
            Kind::Frame | Kind::Generator => frame_object_code(heap, o).unwrap_or_default(),
            Kind::Code => {
                let (name, file, first_line) = code_facts(heap, o.addr);
                self.codes.push(CodeRow { object: id, name, file, first_line });
                Addr::NULL
            }
            _ => Addr::NULL,
        };
        let Some(row) = reached.type_row(t) else { return };
        let mut teller = Teller::new(|e: Edge| {
            let Some(target) = ids.of(reached, e.to) else { return };
            let key = Key { kind_of_holder: row, kind: e.kind, name: e.name, certain: e.certain };
            let bucket = self.buckets.entry(key).or_default();
            bucket.holders.push(id);
            bucket.targets.push(target);
            bucket.positions.push(e.position);
        });
        teller.begin(t.is_dict() && reached.is_namespace(o.addr), code);
        // What was told before a fault stands, and the first walk counted the gap.
        let _ = heap.decode(o, t, &mut teller);
    }
}

/// The parts' references by label, with names.
#[derive(Default)]
struct Join {
    place: FxHashMap<(u32, LinkKind, Option<String>, bool), usize>,
    all: Vec<(LinkLabel, Bucket)>,
}

impl Join {
    fn absorb(&mut self, heap: &Heap<'_>, buckets: FxHashMap<Key, Bucket>, coverage: &mut Coverage) {
        for (key, mut bucket) in buckets {
            let mut name = name_text(heap, key.name);
            if self.all.len() >= LABELS_MOST && name.is_some() {
                coverage.add_gap(GapKind::BoundHit, 1);
                name = Some("?".to_owned());
            }
            let label = (key.kind_of_holder, key.kind, name, key.certain);
            let next = self.all.len();
            let place = *self.place.entry(label.clone()).or_insert(next);
            if place == next {
                let label = LinkLabel { type_index: label.0, kind: label.1, name: label.2, certain: label.3, count: 0 };
                self.all.push((label, bucket));
            } else if let Some((_, into)) = self.all.get_mut(place) {
                into.holders.append(&mut bucket.holders);
                into.targets.append(&mut bucket.targets);
                into.positions.append(&mut bucket.positions);
            }
        }
    }

    /// By type, kind and name; each label's references by holder, in the order in which the holder tells them.
    fn links(self) -> Links {
        let mut all = self.all;
        all.sort_by(|(a, _), (b, _)| (a.type_index, a.kind, &a.name, a.certain).cmp(&(b.type_index, b.kind, &b.name, b.certain)));
        let total = all.iter().map(|(_, b)| b.holders.len()).sum();
        let mut links = Links { labels: Vec::with_capacity(all.len()), ..Links::default() };
        links.holders.reserve_exact(total);
        links.targets.reserve_exact(total);
        links.positions.reserve_exact(total);
        for (mut label, b) in all {
            label.count = b.holders.len() as u64;
            links.labels.push(label);
            let sorted = b.holders.windows(2).all(|pair| pair.first() <= pair.last());
            if sorted {
                links.holders.extend_from_slice(&b.holders);
                links.targets.extend_from_slice(&b.targets);
                links.positions.extend_from_slice(&b.positions);
            } else {
                let mut order: Vec<u32> = (0..b.holders.len() as u32).collect();
                order.sort_by_key(|&i| b.holders.get(i as usize));
                let pick = |column: &[u32], into: &mut Vec<u32>| into.extend(order.iter().filter_map(|&i| column.get(i as usize)));
                pick(&b.holders, &mut links.holders);
                pick(&b.targets, &mut links.targets);
                pick(&b.positions, &mut links.positions);
            }
        }
        links
    }
}

fn code_facts(heap: &Heap<'_>, code: Addr) -> (String, String, u32) {
    let f = &heap.layout.at.code;
    let text = |at: u64| heap.image.addr(code + at).ok().and_then(|at| heap.name(at)).unwrap_or_default();
    (text(f.co_qualname.unwrap_or(f.co_name)), text(f.co_filename), heap.image.u32(code + f.co_firstlineno).unwrap_or(0))
}

fn threads(reached: &Reached<'_, '_>) -> (Vec<ThreadRow>, Vec<FrameRow>) {
    let world = reached.world();
    let heap = &world.heap;
    let (mut threads, mut frames) = (Vec::new(), Vec::new());
    for (number, &interpreter) in world.interpreters.iter().enumerate() {
        for thread in roots::threads(heap, interpreter).unwrap_or_default() {
            let row = threads.len() as u32;
            threads.push(ThreadRow { interpreter: number as u32, address: thread.at, thread_id: thread.thread_id });
            let python = roots::frames(heap, thread).unwrap_or_default().into_iter().filter(|f| roots::is_python_frame(heap, *f));
            for (depth, address) in python.enumerate() {
                let (function, file, first_line) = code_facts(heap, roots::frame_code(heap, address).unwrap_or_default());
                frames.push(FrameRow { thread: row, depth: depth as u32, address, function, file, first_line });
            }
        }
    }
    (threads, frames)
}

fn region(m: &memory::Mapping) -> RegionRow {
    let right = |has: bool, letter: char| if has { letter } else { '-' };
    let rights = [right(m.read, 'r'), right(m.write, 'w'), right(m.exec, 'x'), if m.shared { 's' } else { 'p' }];
    RegionRow { start: m.start, end: m.end, rights: rights.iter().collect(), offset: m.offset, path: m.path.clone() }
}
