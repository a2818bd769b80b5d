//! A forked process beside its parent and a sibling: which pages went private since, what was written there, and who has it alike.
//!
//! Holds: [`forked`]. Never does: say who wrote first: a page is private to both after either wrote.
//! Sources: Documentation/admin-guide/mm/pagemap.rst (bit 56: mapped by one process alone); Python/gc.c: a collection writes to the
//! header of every object that it looks at, and puts most of it back.

use std::sync::atomic::Ordering;

use memory::{Addr, Image, Residency};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use snapshot::{Collector, Forked, Sibling, Snapshot, Write, Written};

use crate::reach::{Keep, Reached};
use crate::world::{prove, World};
use crate::{ledger, CaptureError, Source};

const PAGE: u64 = 4096;
/// Pages that one thread compares at a time.
const PAGES_A_TASK: usize = 1024;
/// Types of a kind of words that are kept.
const TYPES_MOST: usize = 64;
/// Bytes that can stand between the start of a block and an object.
const PRE_HEADERS: [u64; 3] = [0, 16, 32];

/// The memory of a process that is related.
#[derive(Clone, Copy)]
pub struct Relative<'m> {
    /// Its process id.
    pub pid: i32,
    /// Its bytes.
    pub image: &'m Image<'m>,
    /// What of them was in memory.
    pub residency: &'m Residency,
}

/// Whom a process is compared with.
#[derive(Clone, Copy)]
pub struct Kin<'m> {
    /// The one that it was forked from.
    pub parent: Relative<'m>,
    /// Another that was forked from the same.
    pub sibling: Option<Relative<'m>>,
}

/// Compares a process with its parent and, where there is one, a sibling. `source` is the process's own, with its residency.
///
/// # Errors
/// As [`crate::capture`].
pub fn forked(source: Source<'_>, kin: Kin<'_>) -> Result<(Snapshot, Forked), CaptureError> {
    let proved = prove(source)?;
    let world = World::open(source, &proved);
    let mut reached = Reached::all(&world, Keep::Lists);
    let mut snapshot = reached.snapshot();
    let Some(residency) = source.residency else { return Ok((snapshot, Forked::default())) };
    let made = compare(&reached, residency, kin);
    snapshot.ledger = Some(ledger::ledger(&mut reached, residency));
    Ok((snapshot, made))
}

fn compare(reached: &Reached<'_, '_>, residency: &Residency, kin: Kin<'_>) -> Forked {
    let mut theirs = kin.parent.residency.counter();
    let mut made = Forked::default();
    let mut pages = Vec::new();
    for run in residency.runs.iter().filter(|run| !run.file) {
        if !run.exclusive {
            made.shared_bytes += run.end.0 - run.start.0;
            continue;
        }
        for page in (run.start.0..run.end.0).step_by(PAGE as usize).map(Addr) {
            let counted = theirs.count(page, page + PAGE);
            if counted.resident != PAGE {
                made.new_bytes += PAGE;
                continue;
            }
            pages.push(page);
            made.parent_shares_bytes += counted.shared;
            made.huge_bytes += if run.huge { PAGE } else { 0 };
        }
    }
    made.private_bytes = pages.len() as u64 * PAGE;
    let outside: FxHashSet<Addr> = reached.outside.objects.iter().copied().collect();
    let all = pages
        .par_chunks(PAGES_A_TASK)
        .map(|pages| {
            let mut found = Compared::default();
            pages.iter().for_each(|page| found.page(reached, &outside, kin, *page));
            found
        })
        .reduce(Compared::default, Compared::merge);
    made.sibling = kin.sibling.map(|sibling| Sibling { pid: sibling.pid, ..all.sibling });
    all.fill(reached, &mut made);
    made
}

/// What differs.
#[derive(Default)]
struct Compared {
    same: u64,
    only: [u64; 4],
    mixed: u64,
    freeze: u64,
    sibling: Sibling,
    /// Words and pages by kind and type.
    words: FxHashMap<(Write, Option<u32>), (u64, u64)>,
}

impl Compared {
    fn merge(mut self, other: Compared) -> Compared {
        self.same += other.same;
        self.mixed += other.mixed;
        self.freeze += other.freeze;
        self.sibling.alone_bytes += other.sibling.alone_bytes;
        self.sibling.alike_bytes += other.sibling.alike_bytes;
        self.sibling.each_bytes += other.sibling.each_bytes;
        self.only.iter_mut().zip(other.only).for_each(|(mine, theirs)| *mine += theirs);
        for (key, (words, pages)) in other.words {
            let mine = self.words.entry(key).or_default();
            mine.0 += words;
            mine.1 += pages;
        }
        self
    }

    fn page(&mut self, reached: &Reached<'_, '_>, outside: &FxHashSet<Addr>, kin: Kin<'_>, page: Addr) {
        let (Some(mine), Some(theirs)) = (whole(reached.world().source.image, page), whole(kin.parent.image, page)) else { return };
        let mut here: FxHashMap<(Write, Option<u32>), u64> = FxHashMap::default();
        if mine != theirs {
            if let Some(other) = kin.sibling.and_then(|sibling| whole(sibling.image, page)) {
                self.beside(mine, theirs, other);
            }
            for (i, (a, b)) in mine.chunks_exact(8).zip(theirs.chunks_exact(8)).enumerate() {
                if a != b {
                    *here.entry(word(reached, outside, page + i as u64 * 8)).or_default() += 1;
                }
            }
        }
        let mut kinds: Vec<Write> = here.keys().map(|(write, _)| *write).collect();
        kinds.sort_unstable();
        kinds.dedup();
        match kinds.as_slice() {
            [] => self.same += 1,
            [one] => {
                if let Some(pages) = Write::ALL.iter().position(|w| w == one).and_then(|i| self.only.get_mut(i)) {
                    *pages += 1;
                }
            }
            _ => self.mixed += 1,
        }
        if matches!(kinds.as_slice(), [] | [Write::CollectorHeader]) && has_tracked(reached, page) {
            self.freeze += 1;
        }
        for (key, words) in here {
            let all = self.words.entry(key).or_default();
            all.0 += words;
            all.1 += 1;
        }
    }

    /// Whether what differs from the parent is in the sibling as in the parent, or as here.
    fn beside(&mut self, mine: &[u8], parents: &[u8], siblings: &[u8]) {
        let words = mine.chunks_exact(8).zip(parents.chunks_exact(8)).zip(siblings.chunks_exact(8));
        let (mut alone, mut alike) = (true, true);
        for ((mine, parents), siblings) in words.filter(|((mine, parents), _)| mine != parents) {
            alone &= siblings == parents;
            alike &= siblings == mine;
        }
        let sum = match (alone, alike) {
            (true, _) => &mut self.sibling.alone_bytes,
            (_, true) => &mut self.sibling.alike_bytes,
            _ => &mut self.sibling.each_bytes,
        };
        *sum += PAGE;
    }

    fn fill(self, reached: &Reached<'_, '_>, made: &mut Forked) {
        made.same_bytes = self.same * PAGE;
        made.only_bytes = self.only.map(|pages| pages * PAGE);
        made.mixed_bytes = self.mixed * PAGE;
        made.freeze_bytes = self.freeze * PAGE;
        let names: FxHashMap<u32, &str> = reached.tally.iter().map(|(t, _)| (t.index, t.name.as_str())).collect();
        let name = |index: Option<u32>| index.and_then(|i| names.get(&i)).map_or(String::new(), |name| (*name).to_string());
        let rows = self.words.into_iter().map(|((write, index), (words, pages))| Written { write, type_name: name(index), words, pages });
        made.written = rows.collect();
        made.written.sort_by(|a, b| (b.pages, b.words, a.write, &a.type_name).cmp(&(a.pages, a.words, b.write, &b.type_name)));
        let mut of_a_kind = [0; 4];
        made.written.retain(|row| {
            let Some(seen) = Write::ALL.iter().position(|w| *w == row.write).and_then(|i| of_a_kind.get_mut(i)) else { return false };
            *seen += 1;
            *seen <= TYPES_MOST
        });
    }
}

fn whole<'i>(image: &'i Image<'_>, page: Addr) -> Option<&'i [u8]> {
    image.slice(page, PAGE as usize).ok()
}

/// What a word is, and of which type.
fn word(reached: &Reached<'_, '_>, outside: &FxHashSet<Addr>, at: Addr) -> (Write, Option<u32>) {
    let world = reached.world();
    let arenas = &world.arenas;
    let Some(arena) = arenas.of(at) else {
        // Objects of binaries and large ones: what is at its start or in front of it is told by their addresses.
        return if outside.contains(&at) {
            (Write::ReferenceCount, type_of(reached, at))
        } else if [at + 8, at + 16].into_iter().any(|o| outside.contains(&o) && is_collected(reached, o)) {
            (Write::CollectorHeader, [at + 8, at + 16].into_iter().find(|o| outside.contains(o)).and_then(|o| type_of(reached, o)))
        } else {
            (Write::Payload, None)
        };
    };
    let Some(pool) = arenas.pool(at) else { return (Write::FreeLink, None) };
    let Some(offset) = at.0.checked_sub(pool.start.0 + alloc::pymalloc::POOL_HEADER) else { return (Write::FreeLink, None) };
    let number = (offset / pool.block_bytes) as u32;
    if number >= pool.carved || pool.is_free(number) {
        return (Write::FreeLink, None);
    }
    let block = pool.block(number);
    let object = PRE_HEADERS.iter().map(|pre| block + arenas.padding + *pre).find(|at| is_object(reached, arena, *at));
    match object {
        Some(object) if at == object => (Write::ReferenceCount, type_of(reached, object)),
        Some(object) if at < object && object.0 - at.0 <= 16 && is_collected(reached, object) => {
            (Write::CollectorHeader, type_of(reached, object))
        }
        Some(object) => (Write::Payload, type_of(reached, object)),
        None => (Write::Payload, None),
    }
}

fn is_object(reached: &Reached<'_, '_>, arena: usize, at: Addr) -> bool {
    let arenas = &reached.world().arenas;
    arenas.all.get(arena).is_some_and(|a| at.0 < a.end.0 && reached.shared.done.get(arena, at.0 - a.start.0))
}

fn type_of(reached: &Reached<'_, '_>, object: Addr) -> Option<u32> {
    let heap = &reached.world().heap;
    heap.type_at(heap.obj(object).ok()?.ty().ok()?).map(|t| t.index)
}

fn is_collected(reached: &Reached<'_, '_>, object: Addr) -> bool {
    let heap = &reached.world().heap;
    heap.obj(object).and_then(|o| o.ty()).ok().and_then(|t| heap.type_at(t)).is_some_and(|t| t.is_gc())
}

/// Whether a page has the header of an object that a collection looks at: tracked, and not frozen.
fn has_tracked(reached: &Reached<'_, '_>, page: Addr) -> bool {
    let world = reached.world();
    let arenas = &world.arenas;
    let Some(arena) = arenas.of(page) else { return false };
    let Some(start) = arenas.all.get(arena).map(|a| a.start) else { return false };
    // The header may stand on the page before its object.
    let first = (page.0 - start.0) / 16 + 1;
    let bits = reached.shared.done.arena(arena);
    (first..first + PAGE / 16).any(|bit| {
        let set = bits.get((bit / 64) as usize).is_some_and(|w| w.load(Ordering::Relaxed) >> (bit % 64) & 1 == 1);
        set && is_looked_at(reached, start + bit * 16)
    })
}

fn is_looked_at(reached: &Reached<'_, '_>, object: Addr) -> bool {
    let heap = &reached.world().heap;
    let Ok(o) = heap.obj(object) else { return false };
    let Some(t) = o.ty().ok().and_then(|t| heap.type_at(t)) else { return false };
    !matches!(reached.shared.collector(&o, &t), Collector::Without | Collector::Untracked | Collector::Frozen)
}
