//! The search for every object.
//!
//! In arenas it goes by passes over memory in address order, which the caches like, as long as a pass finds much; the rest
//! is followed reference by reference. Outside the arenas a set remembers what was seen.

use std::sync::OnceLock;

use cpython::heap::TypeCache;
use cpython::layout::rules::Immortality;
use cpython::layout::Fields;
use cpython::types::TypeInfo;
use cpython::visit::Visitor;
use cpython::{roots, Obj};
use memory::{Addr, Memory};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use snapshot::{ClassRow, Collector, Content, Coverage, Finalizer, Found, GapKind, Known, Objects, Snapshot, Target, Type};

use crate::arenas::{Bits, Dirty};
use crate::outside::{Outside, Statics};
use crate::sweep;
use crate::tally::Tally;
use crate::worker::{Piece, Shared, Worker};
use crate::world::World;

/// A pass over the arenas that reached fewer objects than this is the last: references are followed one by one then.
const WORTH_A_PASS: u64 = 1 << 16;

/// What a search keeps besides the sums per type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// Nothing.
    Sums,
    /// Which of the collector's lists each object is on.
    Lists,
    /// That, and a row for every object.
    Rows,
    /// The lists, and which dicts are the `__dict__` of something; rows are for a second walk.
    All,
}

/// Which witness named an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Witness {
    /// The collector's lists or another object.
    Reference,
    /// A root.
    Root,
    /// Its block alone.
    Sweep,
}

/// Every object of a target, with sums.
pub struct Reached<'w, 'm> {
    pub(crate) shared: Shared<'w, 'm>,
    pub(crate) outside: Outside,
    pub(crate) tally: Tally,
    coverage: Coverage,
    objects: Option<Objects>,
    /// What lies outside the arenas, where a ledger is asked for.
    pub(crate) pieces: Vec<Piece>,
    /// Objects that nothing but their block names.
    pub swept: Vec<Addr>,
    namespaces_outside: FxHashSet<Addr>,
    /// The snapshot's row of each type, by the type's number; `u32::MAX` for one without instances.
    type_rows: Vec<u32>,
}

impl<'w, 'm> Reached<'w, 'm> {
    /// Searches.
    pub fn all(world: &'w World<'m>, keep: Keep) -> Reached<'w, 'm> {
        let objects = keep == Keep::Rows;
        let bits = || Bits::new(&world.arenas);
        let shared = Shared {
            world,
            reached: bits(),
            done: bits(),
            owned: bits(),
            lists: (keep != Keep::Sums).then(|| [bits(), bits()]),
            lists_outside: OnceLock::new(),
            namespaces: (keep == Keep::All).then(bits),
            dirty: Dirty::new(&world.arenas),
            statics: Statics::new(world.source.mappings, world.source.python, world.source.image),
        };
        let mut outside = Outside::default();
        let mut main = Worker::new(&shared, objects);
        main.keep_owned_outside();
        let tracked = collector_lists(&shared, &mut main);
        for at in tracked {
            main.outside_object(at, true, &mut outside, Witness::Reference);
        }
        close(&shared, &mut main, &mut outside, objects, Witness::Reference);
        tell_roots(&shared, &mut main);
        close(&shared, &mut main, &mut outside, objects, Witness::Root);
        let mut swept = sweep::sweep(&shared);
        sweep::decode(&shared, &mut main, &mut swept);
        if world.collecting {
            sweep::set_aside(&shared, &mut main, &swept.objects, &mut outside);
        }
        close(&shared, &mut main, &mut outside, objects, Witness::Reference);
        sweep::account(&shared, &swept, &mut main.coverage);
        if world.collecting {
            main.coverage.add_gap(GapKind::Collecting, 1);
        }
        main.coverage.add_gap(GapKind::BrokenPool, world.arenas_broken);
        main.coverage.add_gap(GapKind::OtherInterpreter, u64::from(world.interpreters_broken));
        let Worker { tally, coverage, objects, namespaces_outside, nothing, pieces, .. } = main;
        let pieces = pieces.unwrap_or_default();
        for at in nothing {
            if let Some(arena) = world.arenas.of(at) {
                shared.done.clear(arena, at.0 - world.arenas.all[arena].start.0);
            }
        }
        let namespaces_outside = namespaces_outside.into_iter().collect();
        outside.objects.sort_unstable();
        Reached { shared, outside, tally, coverage, objects, pieces, swept: swept.objects, namespaces_outside, type_rows: Vec::new() }
    }

    /// The world that was searched.
    pub fn world(&self) -> &'w World<'m> {
        self.shared.world
    }

    /// Calls `f` for every object, with its type, in parallel; `init` makes each thread's state.
    pub fn for_each<S: Send>(&self, init: impl Fn() -> S + Sync, f: impl Fn(&mut S, &Obj<'m>, &TypeInfo) + Sync) -> Vec<S> {
        let heap = &self.shared.world.heap;
        let arenas = &self.shared.world.arenas;
        // One count of a type per object would be the dearest thing here: each thread has its own view on the types.
        let each = |(s, types): &mut (S, TypeCache<'_, 'm>), o: &Obj<'m>| {
            if let Some(t) = o.ty().ok().and_then(|t| types.lend(t)) {
                f(s, o, &t);
                types.give_back(t);
            }
        };
        let new = || (init(), TypeCache::new(heap));
        let mut all: Vec<(S, TypeCache<'_, 'm>)> = (0..arenas.all.len())
            .into_par_iter()
            .fold(new, |mut s, arena| {
                let (start, window) = (arenas.all[arena].start, arenas.window(arena));
                for (i, word) in self.shared.done.arena(arena).iter().enumerate() {
                    let mut bits = word.load(std::sync::atomic::Ordering::Relaxed);
                    while bits != 0 {
                        let offset = (i as u64 * 64 + u64::from(bits.trailing_zeros())) * 16;
                        bits &= bits - 1;
                        each(&mut s, &Obj::within(start + offset, window, offset as usize));
                    }
                }
                s
            })
            .collect();
        let mut s = new();
        for &at in &self.outside.objects {
            if let Ok(o) = heap.obj(at) {
                each(&mut s, &o);
            }
        }
        all.push(s);
        all.into_iter().map(|(s, _)| s).collect()
    }

    /// Whether an object was found at `at`.
    pub fn is_object(&self, at: Addr) -> bool {
        match self.shared.world.arenas.of(at) {
            Some(arena) => at.0 % 16 == 0 && self.shared.done.get(arena, at.0 - self.shared.world.arenas.all[arena].start.0),
            None => self.outside.objects.binary_search(&at).is_ok(),
        }
    }

    /// Whether the dict at `at` is the `__dict__` of something: its keys are names. Told only with [`Keep::All`].
    pub(crate) fn is_namespace(&self, at: Addr) -> bool {
        let arenas = &self.shared.world.arenas;
        match (arenas.of(at), &self.shared.namespaces) {
            (Some(arena), Some(bits)) => arenas.all.get(arena).is_some_and(|a| bits.get(arena, at.0 - a.start.0)),
            (None, _) => self.namespaces_outside.contains(&at),
            (_, None) => false,
        }
    }

    /// Who named an object first.
    pub(crate) fn witness(&self, at: Addr, arena: Option<usize>) -> Witness {
        match arena {
            Some(_) if !self.swept.is_empty() && self.swept.binary_search(&at).is_ok() => Witness::Sweep,
            None if self.outside.by_root.contains(&at) => Witness::Root,
            _ => Witness::Reference,
        }
    }

    /// The row of a type in the snapshot that was made.
    pub(crate) fn type_row(&self, t: &TypeInfo) -> Option<u32> {
        self.type_rows.get(t.index as usize).copied().filter(|row| *row != u32::MAX)
    }

    /// What instances of each row's type count.
    pub(crate) fn contents(&self) -> Vec<Content> {
        self.tally.iter().map(|(t, _)| crate::everything::content(t)).collect()
    }

    /// The classes, in the order of the types' rows.
    pub(crate) fn classes(&self) -> Vec<ClassRow> {
        let heap = &self.shared.world.heap;
        let set = |t: &TypeInfo, offset: u64| heap.image.u64(t.addr + offset).is_ok_and(|word| word != 0);
        let row = |t: &TypeInfo| ClassRow {
            address: t.addr,
            name: t.name.clone(),
            first_line: cpython::names::class_line(heap, t.addr),
            finalizer: match () {
                () if set(t, Fields::TP_DEL) => Finalizer::Legacy,
                () if set(t, Fields::TP_FINALIZE) => Finalizer::Safe,
                () => Finalizer::None,
            },
        };
        self.tally.iter().map(|(t, _)| row(t)).collect()
    }

    /// The sums, and the rows where they were kept, as a snapshot.
    pub fn snapshot(&mut self) -> Snapshot {
        let world = self.shared.world;
        let mut coverage = std::mem::take(&mut self.coverage);
        let mut types = Vec::new();
        let mut numbers = Vec::new();
        for (t, sum) in self.tally.iter() {
            let known = match t.known {
                cpython::types::Known::Exact => Known::Exact,
                cpython::types::Known::Derived => Known::Derived,
                cpython::types::Known::Scanned => Known::Scanned,
            };
            coverage.objects += sum.count;
            let known_bytes = match known {
                Known::Exact => &mut coverage.exact_bytes,
                Known::Derived => &mut coverage.derived_bytes,
                Known::Scanned => &mut coverage.scanned_bytes,
            };
            // Objects of damaged types may claim more than there is in the world (found by the fuzzer: two such types made a sum overflow).
            for (whole, part) in
                [(known_bytes, sum.own), (&mut coverage.own_bytes, sum.own), (&mut coverage.footprint_bytes, sum.footprint)]
            {
                whole.0 = whole.0.saturating_add(part);
            }
            if numbers.len() <= t.index as usize {
                numbers.resize(t.index as usize + 1, u32::MAX);
            }
            numbers[t.index as usize] = types.len() as u32;
            types.push(Type {
                name: t.name.clone(),
                address: t.addr,
                count: sum.count,
                own_bytes: memory::Bytes(sum.own),
                footprint_bytes: memory::Bytes(sum.footprint),
                known,
            });
        }
        let objects = self.objects.take().map(|mut o| {
            o.renumber_types(&numbers);
            o
        });
        self.type_rows = numbers;
        let layout = world.heap.layout;
        let target = Target {
            python: layout.release.to_string(),
            build: layout.how_known(),
            executable: world.source.python.path.clone(),
            interpreters: world.interpreters.len() as u32,
            ..Target::default()
        };
        Snapshot { target, coverage, types, objects, graph: None, facts: None, ledger: None, inspected: None, details: None }
    }
}

/// Which witness the file names, of an object that `witness` led to.
pub(crate) fn found(collector: Collector, witness: Witness) -> Found {
    match (collector, witness) {
        (Collector::Without | Collector::Untracked, Witness::Reference) => Found::Reference,
        (_, Witness::Root) => Found::Root,
        (_, Witness::Sweep) => Found::Sweep,
        _ => Found::List,
    }
}

/// Walks the collector's lists of every interpreter: marks what lies in arenas, gives the rest.
fn collector_lists(shared: &Shared<'_, '_>, main: &mut Worker<'_, '_, '_>) -> Vec<Addr> {
    let world = shared.world;
    let layout = world.heap.layout;
    let mut lists: Vec<(u8, Addr)> =
        world.interpreters.iter().filter_map(|&i| layout.collector_lists(world.runtime, i)).flatten().collect();
    // To 3.8 all interpreters have one collector.
    lists.sort_unstable_by_key(|(_, head)| *head);
    lists.dedup();
    let bound = world.heap.most(32);
    let walked: Vec<(Vec<Addr>, u64)> = lists.par_iter().map(|&(number, head)| walk_list(shared, number, head, bound)).collect();
    let mut outside = Vec::new();
    let mut numbers = FxHashMap::default();
    for ((mut addrs, broken), (number, _)) in walked.into_iter().zip(lists) {
        if shared.lists.is_some() {
            numbers.extend(addrs.iter().map(|a| (*a, number)));
        }
        outside.append(&mut addrs);
        main.coverage.add_gap(GapKind::BrokenList, broken);
    }
    // Set once: the lists are walked once.
    let _ = shared.lists_outside.set(numbers);
    outside
}

/// One list; gives its objects outside the arenas and how often it was found broken. Where its forward links end before the list does,
/// what stands behind the damage is reached from the list's end, by the links back, which hold counts while the collector is at work.
fn walk_list(shared: &Shared<'_, '_>, number: u8, head: Addr, bound: u64) -> (Vec<Addr>, u64) {
    let (mut outside, broken) = walk_one_way(shared, number, head, bound, 0);
    if broken > 0 && !shared.world.collecting {
        let (behind, _) = walk_one_way(shared, number, head, bound, 8);
        outside.extend(behind);
        outside.sort_unstable();
        outside.dedup();
    }
    (outside, broken)
}

/// One list by its links forward (`link` 0) or back (8); ends where a neighbour does not lead back. Backwards it ends at the first object
/// in an arena that the way forward met.
fn walk_one_way(shared: &Shared<'_, '_>, number: u8, head: Addr, bound: u64, link: u64) -> (Vec<Addr>, u64) {
    let world = shared.world;
    let (image, arenas) = (world.source.image, &world.arenas);
    let (step, other) = (link as usize, 8 - link as usize);
    let mut outside = Vec::new();
    let (mut at, mut before) = (image.u64(head + link).map_or(head.0, |n| n & !3), head.0);
    for _ in 0..bound {
        if at == head.0 {
            return (outside, 0);
        }
        let object = Addr(at) + 16;
        if object.0 % 8 != 0 {
            return (outside, 1);
        }
        // One window serves both words of the head.
        let words = match arenas.of(Addr(at)) {
            Some(arena) => {
                let offset = object.0 - arenas.all[arena].start.0;
                let from = offset as usize - 16;
                let words = arenas.window(arena).get(from..from + 16);
                // Whoever does not lead back is believed to be an object only forward, where an object's address led to it.
                let leads_back = words.is_some_and(|w| word(w, other) & !3 == before) || (world.collecting && link == 0);
                if object.0 % 16 != 0 || (link == 8 && !leads_back) || !shared.reached.set(arena, offset) {
                    return (outside, 1);
                }
                shared.dirty.mark(arena);
                if let Some([low, high]) = &shared.lists {
                    if number & 1 == 1 {
                        low.set(arena, offset);
                    }
                    if number & 2 == 2 {
                        high.set(arena, offset);
                    }
                }
                words
            }
            None => {
                let words = image.slice(Addr(at), 16).ok();
                if link == 8 && words.is_none_or(|w| word(w, other) & !3 != before) {
                    return (outside, 1);
                }
                outside.push(object);
                words
            }
        };
        let Some(words) = words else { return (outside, 1) };
        if word(words, other) & !3 != before && !world.collecting {
            return (outside, 1);
        }
        before = at;
        at = word(words, step) & !3;
    }
    (outside, 1)
}

/// The word at `i`; a head has two.
#[inline]
fn word(head: &[u8], i: usize) -> u64 {
    head.get(i..i + 8).map_or(0, |w| u64::from_le_bytes([w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]]))
}

/// Decodes until nothing new is reached.
pub(crate) fn close<'s, 'w, 'm>(
    shared: &'s Shared<'w, 'm>,
    main: &mut Worker<'s, 'w, 'm>,
    outside: &mut Outside,
    objects: bool,
    witness: Witness,
) {
    let mut one_by_one = false;
    loop {
        let dirty = shared.dirty.take();
        let mut newly = 0;
        if !dirty.is_empty() {
            // Chunks keep the number of workers, each with its caches, near that of the threads.
            let chunk = dirty.len().div_ceil(rayon::current_num_threads() * 8).max(1);
            let workers: Vec<Worker<'s, 'w, 'm>> = dirty
                .par_chunks(chunk)
                .fold(
                    || {
                        let mut w = Worker::new(shared, objects);
                        w.keep_owned_outside();
                        w.stack = one_by_one.then(Vec::new);
                        w
                    },
                    |mut w, chunk| {
                        for &arena in chunk {
                            w.arena(arena);
                            w.drain();
                        }
                        w
                    },
                )
                .collect();
            for w in workers {
                newly += w.newly;
                main.absorb(w);
            }
        }
        one_by_one = newly < WORTH_A_PASS;
        // Outside the arenas: each address once. What it leads to in arenas is for the next pass.
        outside.owned.extend(main.owned_outside.drain(..));
        while !main.outside.is_empty() || !main.maybe.is_empty() {
            for at in std::mem::take(&mut main.outside) {
                main.outside_object(at, true, outside, witness);
            }
            outside.owned.extend(main.owned_outside.drain(..));
            for at in std::mem::take(&mut main.maybe) {
                main.outside_object(at, false, outside, witness);
            }
        }
        if shared.dirty.none() {
            return;
        }
    }
}

/// What interpreters, threads and frames hold, and what the static memory of binaries points at.
fn tell_roots<'m>(shared: &Shared<'_, 'm>, main: &mut Worker<'_, '_, 'm>) {
    let world = shared.world;
    let heap = &world.heap;
    let image = world.source.image;
    let scan = |main: &mut Worker<'_, '_, '_>, at: Addr, bytes: u64| {
        if let Ok(bytes) = image.slice(at, bytes as usize & !7) {
            for w in bytes.chunks_exact(8) {
                main.scanned(Addr(u64::from_le_bytes([w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]])), cpython::Label::Scanned(0));
            }
        }
    };
    for &i in &world.interpreters {
        scan(main, i, heap.layout.at.interpreter.size);
        let threads = roots::threads(heap, i);
        main.coverage.add_gap(GapKind::UnreadableThread, u64::from(threads.broken));
        for thread in threads.all {
            scan(main, thread.at, heap.layout.at.thread.size);
            let frames = roots::frames(heap, thread);
            let mut broken = frames.broken;
            for frame in frames.all {
                // What does not run code is no frame, whatever the chain says.
                if heap.layout.iframe.is_none() {
                    match roots::runs_code(heap, frame) {
                        true => main.reach(frame),
                        false => broken = true,
                    }
                } else if roots::is_python_frame(heap, frame) {
                    broken |= !roots::runs_code(heap, frame) || roots::frame_contents(heap, frame, main).is_err();
                }
            }
            main.coverage.add_gap(GapKind::UnreadableThread, u64::from(broken));
        }
    }
    for range in shared.statics.ranges() {
        let writable = world.source.mappings.iter().any(|m| m.write && m.start.0 <= range.start && range.start < m.end.0);
        if writable {
            scan(main, Addr(range.start), range.end - range.start);
        }
    }
    for range in &world.source.python.writable {
        static_objects(world, main, range.start, range.end.0.saturating_sub(range.start.0));
    }
}

/// The flag of static objects in the upper quarter of a count, 3.14+.
const STATICALLY_ALLOCATED: u64 = 4;

/// Objects that stand in the interpreter's own data, whether or not something refers to them: small ints, one-character
/// strings, build-time names and code, static types. Only types that CPython itself makes static are taken, so that no
/// struct that begins like an object is.
fn static_objects<'m>(world: &World<'m>, main: &mut Worker<'_, '_, 'm>, start: Addr, bytes: u64) {
    const MADE_STATIC: &[&str] = &["int", "bool", "str", "bytes", "tuple", "code", "type", "NoneType", "ellipsis", "NotImplementedType"];
    let Ok(window) = world.source.image.slice(start, bytes as usize) else { return };
    let mut kinds: FxHashMap<u64, bool> = FxHashMap::default();
    for (i, w) in window.chunks_exact(8).enumerate().skip(1) {
        let class = u64::from_le_bytes([w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]]);
        // A class is static too, and static types lie beside what they are the class of.
        if class % 8 != 0 || class < start.0 || class >= start.0 + bytes {
            continue;
        }
        let taken = *kinds
            .entry(class)
            .or_insert_with(|| world.heap.type_at(Addr(class)).is_some_and(|t| !t.is_heap() && MADE_STATIC.contains(&&*t.name)));
        if taken {
            let at = i * 8 - 8;
            let o = Obj::within(start + at as u64, window, at);
            // From 3.14 the header itself says so (`_Py_STATICALLY_ALLOCATED_FLAG`, Include/refcount.h). In a program at low addresses
            // any pointer before one of a type would do for a count else.
            let flagged = world.heap.layout.rules.immortality == Immortality::Bit31WithFlags;
            if flagged && o.u64(0).is_ok_and(|word| word >> 48 & STATICALLY_ALLOCATED == 0) {
                continue;
            }
            if main.plausible(&o).is_some() {
                main.reach(o.addr);
            }
        }
    }
}
