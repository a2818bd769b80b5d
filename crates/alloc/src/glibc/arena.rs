//! An arena: its heaps, its free lists, its chunks one after the other.
//!
//! Holds: [`Arena`]. Never does: find arenas (that is `bins`), read a thread's cache (that is `cache`).

use memory::{Addr, Image, Mapping, Memory};

use super::cache::Cache;
use super::chunk::{walk, Chunk, Gap, Kind};
use super::heap::{self, Heap};
use super::lists::{Linking, Lists};
use super::shape::Shape;
use super::sums::Sums;

/// Bytes of a process's address space: no arena has more.
const ADDRESSES: u64 = 1 << 47;

/// One arena as it was.
#[derive(Clone, Debug)]
pub struct Arena {
    /// Address of its `struct malloc_state`.
    pub at: Addr,
    /// Its number in the ring.
    pub index: u32,
    /// A thread was at work in it: its lists may be in the middle of a change.
    pub locked: bool,
    /// Threads that allocate in it.
    pub attached_threads: u64,
    /// Bytes that it has from the kernel.
    pub system_mem: u64,
    /// The most that it ever had.
    pub max_system_mem: u64,
    /// The topmost chunk, from which new ones are cut.
    pub top: Addr,
    /// Its size.
    pub top_bytes: u64,
    /// Its memory, by address.
    pub heaps: Vec<Heap>,
    /// Heads and links of its free lists that cannot be right; what follows them was not seen as free by the lists.
    pub broken_lists: u32,
    pub(super) lists: Lists,
    /// What looks in use by the chunks' bits and is not, by address.
    marks: Vec<(u64, Kind)>,
    /// Where chunks start, by the free lists: where a walk goes on behind a broken one.
    known: Vec<u64>,
}

impl Arena {
    /// Whether it is the main one, whose memory comes from `sbrk`.
    pub fn is_main(&self) -> bool {
        self.index == 0
    }

    /// Its chunks by address, and the gaps: what corrupt metadata hides. Arenas can be walked in parallel.
    pub fn chunks(&self, image: &Image<'_>, mut visit: impl FnMut(Chunk)) -> Vec<Gap> {
        let mut gaps = Vec::new();
        let found: u64 = self.heaps.iter().map(Heap::bytes).sum();
        if found < self.system_mem {
            // A chain of heaps that broke, or memory that is not where the arena's lists and pointers lead.
            gaps.push(Gap { at: None, bytes: (self.system_mem - found).min(ADDRESSES), arena: self.index });
        }
        for heap in &self.heaps {
            walk(image, heap, self, &self.marks, &self.known, &mut visit, &mut gaps);
        }
        gaps
    }

    /// What `mallinfo2` and `malloc_info` count for it.
    pub fn sums(&self) -> Sums {
        Sums::of(self)
    }

    /// Reads all but the lists.
    pub(super) fn read(
        image: &Image<'_>,
        shape: Shape,
        at: Addr,
        index: u32,
        sbrk: Option<Addr>,
        span: u64,
        mappings: &[Mapping],
    ) -> Arena {
        let top = image.addr(at + shape.top()).unwrap_or_default();
        let top_bytes = image.u64(top + 8).unwrap_or(0) & !7;
        let heaps = match index {
            0 => heap::of_main(image, at, top, sbrk, mappings),
            _ => heap::of_thread(image, shape, at, top, span),
        };
        Arena {
            at,
            index,
            locked: image.u32(at).is_ok_and(|lock| lock != 0),
            attached_threads: image.u64(at + shape.attached_threads()).unwrap_or(0),
            system_mem: shape.system_mem(image, at).unwrap_or(0),
            max_system_mem: shape.max_system_mem(image, at).unwrap_or(0),
            top,
            top_bytes,
            heaps,
            broken_lists: 0,
            lists: Lists::default(),
            marks: Vec::new(),
            known: Vec::new(),
        }
    }

    /// Reads bins and fastbins.
    pub(super) fn read_lists(&mut self, image: &Image<'_>, shape: Shape, linking: Linking) {
        self.lists = Lists::read(image, shape, self, linking);
        self.broken_lists = self.lists.broken;
        self.marks = self.lists.fast.iter().map(|&(at, _)| (at, Kind::Fast)).collect();
        self.marks.sort_unstable_by_key(|m| m.0);
        self.known = self.lists.binned.iter().map(|&(at, _)| at).chain([self.top.0]).collect();
        self.known.sort_unstable();
        self.know();
    }

    /// Marks what the threads' caches hold of it.
    pub(super) fn mark(&mut self, caches: &[Cache]) {
        let held = caches.iter().flat_map(|c| &c.chunks).filter(|&&(at, _)| self.holds(at));
        let held: Vec<(u64, Kind)> = held.map(|&(at, _)| (at, Kind::Cached)).collect();
        if held.is_empty() {
            return;
        }
        self.marks.extend(held);
        // A stable sort, since it is quick with what is nearly in order.
        self.marks.sort_by_key(|m| m.0);
        self.marks.dedup_by_key(|m| m.0);
        self.know();
    }

    fn know(&mut self) {
        self.known.extend(self.marks.iter().map(|m| m.0));
        self.known.sort();
        self.known.dedup();
    }

    /// Whether one of its heaps has a chunk at `at`.
    pub(super) fn holds(&self, at: u64) -> bool {
        self.room(at) > 0
    }

    /// Bytes from `at` to the end of the heap that it is in; 0 where it is in none.
    pub(super) fn room(&self, at: u64) -> u64 {
        let i = self.heaps.partition_point(|h| h.start.0 <= at);
        let heap = i.checked_sub(1).and_then(|i| self.heaps.get(i)).filter(|h| h.first.0 <= at);
        heap.map_or(0, |h| h.end.0.saturating_sub(at))
    }
}
