//! The arenas as one numbered space: which arena holds an address, and a bit for every 16 bytes of each.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use alloc::pymalloc::{block_bytes, Arena, Geometry, Pool, POOL_HEADER};
use cpython::Heap;
use memory::{Addr, Image, Memory};

/// Addresses are grouped by this many bits: 256 KiB, the smallest arena.
const GRANULE_BITS: u32 = 18;
/// Most granules that the direct table covers: 4 TiB of address space between the lowest and the highest arena.
const GRANULES_BOUND: u64 = 1 << 24;
const NONE: u32 = u32::MAX;

/// All arenas, by address.
pub struct ArenaMap<'m> {
    /// The arenas, sorted by start.
    pub all: Vec<Arena>,
    /// The bytes of each.
    windows: Vec<&'m [u8]>,
    /// Sizes.
    pub geometry: Geometry,
    /// Bytes between the start of a block and its content: 16 under pymalloc's debug hooks.
    pub padding: u64,
    low: u64,
    table: Vec<u32>,
    image: &'m Image<'m>,
}

impl<'m> ArenaMap<'m> {
    /// Numbers `arenas`; those whose bytes were not copied are dropped.
    pub fn new(image: &'m Image<'m>, arenas: Vec<Arena>, geometry: Geometry, heap: &Heap<'_>) -> ArenaMap<'m> {
        let (mut all, mut windows) = (Vec::new(), Vec::new());
        for a in arenas {
            if let Ok(bytes) = image.slice(a.start, geometry.arena_bytes as usize) {
                all.push(a);
                windows.push(bytes);
            }
        }
        let low = all.first().map_or(0, |a: &Arena| a.start.0 >> GRANULE_BITS);
        let high = all.last().map_or(0, |a| a.end.0 >> GRANULE_BITS);
        let mut table = Vec::new();
        if !all.is_empty() && high - low < GRANULES_BOUND {
            table = vec![NONE; (high - low + 2) as usize];
            // Backwards, so that each granule names the first arena that reaches into it.
            for (i, a) in all.iter().enumerate().rev() {
                for g in a.start.0 >> GRANULE_BITS..=(a.end.0 - 1) >> GRANULE_BITS {
                    table[(g - low) as usize] = i as u32;
                }
            }
        }
        let mut map = ArenaMap { all, windows, geometry, padding: 0, low, table, image };
        map.padding = map.find_padding(heap);
        map
    }

    /// The arena that holds `at`.
    #[inline]
    pub fn of(&self, at: Addr) -> Option<usize> {
        let i = if self.table.is_empty() {
            self.all.partition_point(|a| a.end <= at)
        } else {
            let g = (at.0 >> GRANULE_BITS).wrapping_sub(self.low);
            let first = *self.table.get(g as usize)?;
            if first == NONE {
                return None;
            }
            // An arena that is not aligned shares a granule with its neighbour.
            let first = first as usize;
            if self.all.get(first)?.end <= at {
                first + 1
            } else {
                first
            }
        };
        let a = self.all.get(i)?;
        (a.start <= at && at < a.end).then_some(i)
    }

    /// The bytes of arena `i`.
    #[inline]
    pub fn window(&self, i: usize) -> &'m [u8] {
        self.windows.get(i).copied().unwrap_or(&[])
    }

    /// Bytes of the block of arena `i` that holds `at`, from its pool's header.
    #[inline]
    pub fn block_bytes(&self, i: usize, at: Addr) -> Option<u64> {
        let header = at.align_down(self.geometry.pool_bytes).0.checked_sub(self.all.get(i)?.start.0)? as usize;
        block_bytes(self.window(i).get(header..header + POOL_HEADER as usize)?)
    }

    /// The pool in use that holds `at`.
    pub fn pool(&self, at: Addr) -> Option<Pool> {
        self.all.get(self.of(at)?)?.pool_of(self.image, at, self.geometry)
    }

    /// Under the debug hooks every block begins with its size (big-endian) and seven bytes 0xFD after a tag
    /// (`_PyMem_DebugRawAlloc`, Objects/obmalloc.c). Looks at the type objects' own surroundings: any tracked
    /// object in an arena would do; the first blocks of the first pools are taken.
    fn find_padding(&self, _heap: &Heap<'_>) -> u64 {
        let (mut padded, mut plain) = (0, 0);
        for a in self.all.iter().take(4) {
            for pool in a.pools(self.image, self.geometry).flatten().take(16) {
                for i in pool.blocks().take(8) {
                    let head = self.image.u64(pool.block(i) + 8).unwrap_or(0);
                    if head >> 8 == 0x00fd_fdfd_fdfd_fdfd {
                        padded += 1;
                    } else {
                        plain += 1;
                    }
                }
            }
        }
        if padded > plain {
            16
        } else {
            0
        }
    }
}

/// One bit per 16 bytes of every arena.
pub(crate) struct Bits {
    words: Vec<AtomicU64>,
    per_arena: usize,
}

impl Bits {
    /// All clear.
    pub(crate) fn new(map: &ArenaMap<'_>) -> Bits {
        let per_arena = (map.geometry.arena_bytes / 16 / 64) as usize;
        let mut words = Vec::new();
        words.resize_with(per_arena * map.all.len(), AtomicU64::default);
        Bits { words, per_arena }
    }

    #[inline]
    fn place(&self, arena: usize, offset: u64) -> (usize, u64) {
        let bit = offset / 16;
        (arena * self.per_arena + (bit / 64) as usize, 1 << (bit % 64))
    }

    /// Sets the bit of the 16 bytes at `offset` of an arena; whether it was clear.
    #[inline]
    pub(crate) fn set(&self, arena: usize, offset: u64) -> bool {
        let (word, mask) = self.place(arena, offset);
        let Some(word) = self.words.get(word) else { return false };
        // Most are set already: look before writing, so that shared cache lines stay shared.
        word.load(Ordering::Relaxed) & mask == 0 && word.fetch_or(mask, Ordering::Relaxed) & mask == 0
    }

    /// Whether the bit is set.
    #[inline]
    pub(crate) fn get(&self, arena: usize, offset: u64) -> bool {
        let (word, mask) = self.place(arena, offset);
        self.words.get(word).is_some_and(|w| w.load(Ordering::Relaxed) & mask != 0)
    }

    /// Clears the bit.
    pub(crate) fn clear(&self, arena: usize, offset: u64) {
        let (word, mask) = self.place(arena, offset);
        if let Some(word) = self.words.get(word) {
            word.fetch_and(!mask, Ordering::Relaxed);
        }
    }

    /// Clears all bits.
    pub(crate) fn clear_all(&mut self) {
        self.words.iter_mut().for_each(|w| *w.get_mut() = 0);
    }

    /// Gives back its memory: no bit is set and none can be.
    pub(crate) fn forget(&mut self) {
        self.words = Vec::new();
    }

    /// The words of one arena.
    pub(crate) fn arena(&self, arena: usize) -> &[AtomicU64] {
        self.words.get(arena * self.per_arena..(arena + 1) * self.per_arena).unwrap_or(&[])
    }
}

/// One flag per arena: something in it was newly reached.
pub(crate) struct Dirty(Vec<AtomicBool>);

impl Dirty {
    /// All clean.
    pub(crate) fn new(map: &ArenaMap<'_>) -> Dirty {
        let mut flags = Vec::new();
        flags.resize_with(map.all.len(), AtomicBool::default);
        Dirty(flags)
    }

    /// Marks arena `i`.
    #[inline]
    pub(crate) fn mark(&self, i: usize) {
        if let Some(f) = self.0.get(i) {
            if !f.load(Ordering::Relaxed) {
                f.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Whether no arena is dirty.
    pub(crate) fn none(&self) -> bool {
        !self.0.iter().any(|f| f.load(Ordering::Relaxed))
    }

    /// The arenas that are dirty, clean again.
    pub(crate) fn take(&self) -> Vec<usize> {
        self.0.iter().enumerate().filter(|(_, f)| f.swap(false, Ordering::Relaxed)).map(|(i, _)| i).collect()
    }
}
