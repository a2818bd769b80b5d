//! pymalloc: arenas of pools of equal blocks.
//!
//! Holds: where its state is ([`find`]), its [`Arena`]s, and each [`Pool`] with the blocks in use.
//! Sources: `Objects/obmalloc.c`, `Include/internal/pycore_obmalloc.h` of 3.8–3.15: struct layouts are the same in all;
//! the sizes of arenas and pools differ and are given by the caller.

use std::ops::Range;

use memory::{Addr, Fault, Image, Memory, Module};

/// Every block is a multiple of this.
pub const ALIGNMENT: u64 = 16;
/// Largest request that pymalloc serves.
pub const SMALL_REQUEST: u64 = 512;
/// Number of size classes.
const CLASSES: u64 = SMALL_REQUEST / ALIGNMENT;
/// `sizeof(struct pool_header)`.
pub const POOL_HEADER: u64 = 48;
/// `sizeof(struct arena_object)`.
const ARENA_OBJECT: u64 = 48;
/// Most arenas that are believed: 2^24 of 256 KiB are 4 TiB.
const ARENAS_BOUND: u64 = 1 << 24;

/// Sizes that differ between releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes of an arena.
    pub arena_bytes: u64,
    /// Bytes of a pool.
    pub pool_bytes: u64,
}

/// Where the array of arena objects is, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The array.
    pub arenas: Addr,
    /// Its length.
    pub count: u64,
}

/// Why there is no pymalloc to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PymallocError {
    /// Its state could not be found: a stripped executable whose structure shows none, or `PYTHONMALLOC=malloc`.
    #[error("pymalloc's state was not found")]
    NotFound,
    /// The state contradicts itself.
    #[error("pymalloc's arena {index} contradicts itself")]
    Broken {
        /// Which arena object.
        index: u64,
    },
    /// It could not be read.
    #[error("pymalloc: {0}")]
    Fault(#[from] Fault),
}

/// From the interpreter's `_obmalloc_state` (3.12+), by the offsets of `arenas` and `maxarenas` in it.
pub fn from_state(image: &Image<'_>, state: Addr, arenas: u64, maxarenas: u64) -> Result<State, PymallocError> {
    Ok(State { arenas: image.addr(state + arenas)?, count: u64::from(image.u32(state + maxarenas)?) })
}

/// From file statics (to 3.11): by symbol, or in a stripped binary by structure.
pub fn from_statics(image: &Image<'_>, python: &Module, geometry: Geometry) -> Result<State, PymallocError> {
    if let (Some(arenas), Some(max)) = (python.symbol("arenas"), python.symbol("maxarenas")) {
        return Ok(State { arenas: image.addr(arenas)?, count: u64::from(image.u32(max)?) });
    }
    by_structure(image, &python.writable, geometry).ok_or(PymallocError::NotFound)
}

/// Finds `usedpools` (32 pairs of pointers, each to itself or to a pool), takes the pools from it, and finds the word that
/// points at the array whose element number `arenaindex` holds each of them. The array moves as it grows, and what the old one
/// held stays readable under whatever came there: of several arrays the one with the most arenas is the living one.
fn by_structure(image: &Image<'_>, ranges: &[Range<Addr>], geometry: Geometry) -> Option<State> {
    let words = |r: &Range<Addr>| {
        let bytes = image.slice(r.start, (r.end.0.saturating_sub(r.start.0) & !7) as usize).unwrap_or(&[]);
        bytes.chunks_exact(8).map(|w| u64::from_le_bytes([w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]])).collect::<Vec<u64>>()
    };
    let all: Vec<(Addr, Vec<u64>)> = ranges.iter().map(|r| (r.start, words(r))).collect();
    let pools = all.iter().find_map(|(start, words)| {
        let mut windows = words.windows(2 * CLASSES as usize).enumerate();
        windows.find_map(|(i, window)| used_pools(image, *start + i as u64 * 8, window, geometry))
    })?;
    let arrays = all.iter().flat_map(|(_, words)| words).filter_map(|&word| array_at(image, Addr(word), &pools, geometry));
    arrays.max_by_key(|state| in_use(image, *state, geometry))
}

/// The first pool of each size class that has one in use, where `window` is `usedpools`.
fn used_pools(image: &Image<'_>, here: Addr, window: &[u64], geometry: Geometry) -> Option<Vec<Addr>> {
    let mut pools = Vec::new();
    for (class, pair) in window.chunks_exact(2).enumerate() {
        // The list of an empty class leads to itself, as if the pair stood in a pool's header (PTA in obmalloc.c).
        let empty = (here.0 + 16 * class as u64).wrapping_sub(16);
        if *pair == [empty, empty] {
            continue;
        }
        let is_pool = |p: &u64| *p > 1 << 20 && *p % geometry.pool_bytes == 0;
        if !pair.iter().all(is_pool) || u64::from(image.u32(Addr(pair[0]) + 36).ok()?) != class as u64 {
            return None;
        }
        pools.push(Addr(pair[0]));
    }
    (!pools.is_empty()).then_some(pools)
}

/// The array of arenas at `arenas`, if it holds every one of `pools`.
fn array_at(image: &Image<'_>, arenas: Addr, pools: &[Addr], geometry: Geometry) -> Option<State> {
    if arenas.is_null() || arenas.0 % 16 != 0 {
        return None;
    }
    for pool in pools {
        let index = u64::from(image.u32(*pool + 32).ok()?);
        let start = entry(image, arenas, index, geometry)?;
        if !(start <= *pool && pool.0 - start.0 < geometry.arena_bytes) {
            return None;
        }
    }
    // The array is a malloc chunk, doubled as it grows from 16 (INITIAL_ARENA_OBJECTS).
    let bytes = (image.u64(arenas - 8).ok()? & !7).checked_sub(8)?;
    let room = bytes / ARENA_OBJECT;
    Some(State { arenas, count: if room == 0 { 0 } else { 1 << room.ilog2() } })
}

/// The start of arena `index`, if one is there and its numbers can be right.
fn entry(image: &Image<'_>, arenas: Addr, index: u64, geometry: Geometry) -> Option<Addr> {
    let at = Addr(arenas.0.checked_add(index.checked_mul(ARENA_OBJECT)?)?);
    let (start, free, total) = (image.addr(at).ok()?, image.u32(at + 16).ok()?, image.u32(at + 20).ok()?);
    let most = (geometry.arena_bytes / geometry.pool_bytes) as u32;
    (!start.is_null() && total > 0 && total <= most && free <= total).then_some(start)
}

/// How many arenas of an array can be right.
fn in_use(image: &Image<'_>, state: State, geometry: Geometry) -> usize {
    (0..state.count.min(ARENAS_BOUND)).filter(|&index| entry(image, state.arenas, index, geometry).is_some()).count()
}

/// One arena in use.
#[derive(Clone, Debug)]
pub struct Arena {
    /// Its address as allocated.
    pub start: Addr,
    /// Where it ends.
    pub end: Addr,
    /// Its number: what its pools say.
    pub index: u64,
    /// First pool: the start rounded up to a pool.
    pub first_pool: Addr,
    /// Pools from here on were never used.
    pub carved_end: Addr,
    /// Pools on the arena's list of free ones, sorted.
    pub free_pools: Vec<Addr>,
}

/// All arenas in use.
#[derive(Clone, Debug, Default)]
pub struct Arenas {
    /// Those whose numbers fit together, by address.
    pub whole: Vec<Arena>,
    /// How many contradict themselves.
    pub broken: u64,
}

/// Reads every arena object in use. One that was overwritten costs its own arena and no other; where most contradict themselves this is
/// no array of arenas.
pub fn arenas(image: &Image<'_>, state: State, geometry: Geometry) -> Arenas {
    let mut found = Arenas::default();
    if state.count == 0 || state.arenas.is_null() || state.count > ARENAS_BOUND {
        return found;
    }
    for index in 0..state.count {
        match arena(image, state.arenas + index * ARENA_OBJECT, index, geometry) {
            Ok(Some(arena)) => found.whole.push(arena),
            Ok(None) => {}
            // An array that is not there is none.
            Err(PymallocError::Fault(_)) if found.whole.is_empty() => return Arenas::default(),
            Err(_) => found.broken += 1,
        }
    }
    if found.broken as usize > found.whole.len() {
        return Arenas::default();
    }
    found.whole.sort_by_key(|a| a.start);
    found
}

/// The arena that the arena object at `at` stands for, if it is in use.
fn arena(image: &Image<'_>, at: Addr, index: u64, geometry: Geometry) -> Result<Option<Arena>, PymallocError> {
    let pools = geometry.arena_bytes / geometry.pool_bytes;
    let broken = PymallocError::Broken { index };
    let start = image.addr(at)?;
    if start.is_null() {
        return Ok(None);
    }
    let end = Addr(start.0.checked_add(geometry.arena_bytes).ok_or(broken)?);
    let first_pool = (start + (geometry.pool_bytes - 1)).align_down(geometry.pool_bytes);
    let carved_end = image.addr(at + 8)?;
    let (free, total) = (image.u32(at + 16)?, image.u32(at + 20)?);
    if !(start..=end).contains(&carved_end) || carved_end.0 % geometry.pool_bytes != 0 || free > total || u64::from(total) > pools {
        return Err(broken);
    }
    let mut free_pools = Vec::new();
    let mut pool = image.addr(at + 24)?;
    while !pool.is_null() && (free_pools.len() as u64) < pools {
        if !(first_pool..carved_end).contains(&pool) {
            return Err(broken);
        }
        free_pools.push(pool);
        pool = image.addr(pool + 16)?;
    }
    free_pools.sort_unstable();
    Ok(Some(Arena { start, end, index, first_pool, carved_end, free_pools }))
}

/// Words of a pool's map of blocks: 16 KiB pools hold up to 1021 blocks.
const MAP_WORDS: usize = 16;

/// One pool with the blocks that are in use.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Its address.
    pub start: Addr,
    /// Bytes of each block.
    pub block_bytes: u64,
    /// Blocks handed out at least once.
    pub carved: u32,
    /// Blocks in use.
    pub in_use: u32,
    free: [u64; MAP_WORDS],
}

impl Pool {
    /// Address of block number `i`.
    pub fn block(&self, i: u32) -> Addr {
        self.start + POOL_HEADER + u64::from(i) * self.block_bytes
    }

    /// Whether a carved block is free again.
    pub fn is_free(&self, i: u32) -> bool {
        self.free[(i / 64) as usize % MAP_WORDS] >> (i % 64) & 1 == 1
    }

    /// The numbers of the blocks in use.
    pub fn blocks(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.carved).filter(|i| !self.is_free(*i))
    }

    /// The number of the block in use that begins at `at`.
    pub fn block_at(&self, at: Addr) -> Option<u32> {
        let offset = at.0.checked_sub(self.start.0 + POOL_HEADER)?;
        if offset % self.block_bytes != 0 {
            return None;
        }
        let i = u32::try_from(offset / self.block_bytes).ok()?;
        (i < self.carved && !self.is_free(i)).then_some(i)
    }
}

/// Why a pool is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenPool;

impl Arena {
    /// Every pool in use, with its judgement.
    pub fn pools<'a>(&'a self, image: &'a Image<'_>, geometry: Geometry) -> impl Iterator<Item = Result<Pool, BrokenPool>> + 'a {
        let step = geometry.pool_bytes as usize;
        (self.first_pool.0..self.carved_end.0)
            .step_by(step)
            .map(Addr)
            .filter(|p| self.free_pools.binary_search(p).is_err())
            .map(move |p| read_pool(image, p, self.index, geometry))
    }

    /// The pool that holds `at`, if it is in use and sound.
    pub fn pool_of(&self, image: &Image<'_>, at: Addr, geometry: Geometry) -> Option<Pool> {
        let p = at.align_down(geometry.pool_bytes);
        if !(self.first_pool..self.carved_end).contains(&p) || self.free_pools.binary_search(&p).is_ok() {
            return None;
        }
        read_pool(image, p, self.index, geometry).ok()
    }
}

/// Bytes of the blocks of a pool, from its header alone; `None` where that is not sound.
#[inline]
pub fn block_bytes(header: &[u8]) -> Option<u64> {
    let class = header.get(36..40)?;
    let class = u64::from(u32::from_le_bytes([class[0], class[1], class[2], class[3]]));
    (class < CLASSES).then_some((class + 1) * ALIGNMENT)
}

fn read_pool(image: &Image<'_>, start: Addr, arena: u64, geometry: Geometry) -> Result<Pool, BrokenPool> {
    let bytes = image.slice(start, geometry.pool_bytes as usize).map_err(|_| BrokenPool)?;
    let u32_at = |at: usize| u64::from(u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
    let (in_use, index, class, next_offset) = (u32_at(0), u32_at(32), u32_at(36), u32_at(40));
    if index != arena || class >= CLASSES {
        return Err(BrokenPool);
    }
    let block_bytes = (class + 1) * ALIGNMENT;
    let room = (geometry.pool_bytes - POOL_HEADER) / block_bytes;
    // nextoffset is where the next block would be carved; past the last one it is beyond maxnextoffset.
    let carved = (next_offset.saturating_sub(POOL_HEADER)).div_ceil(block_bytes).min(room) as u32;
    let mut pool = Pool { start, block_bytes, carved, in_use: in_use as u32, free: [0; MAP_WORDS] };
    let word = |at: usize| bytes.get(at..at + 8).map(|w| u64::from_le_bytes([w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]]));
    let mut free = word(8).ok_or(BrokenPool)?;
    let mut n = 0;
    while free != 0 {
        let offset = free.checked_sub(start.0 + POOL_HEADER).ok_or(BrokenPool)?;
        let i = offset / block_bytes;
        if offset % block_bytes != 0 || i >= u64::from(carved) || pool.is_free(i as u32) {
            return Err(BrokenPool);
        }
        pool.free[(i / 64) as usize % MAP_WORDS] |= 1 << (i % 64);
        n += 1;
        free = word((free - start.0) as usize).ok_or(BrokenPool)?;
    }
    if carved.checked_sub(n) != Some(pool.in_use) {
        return Err(BrokenPool);
    }
    Ok(pool)
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::Segment;

    const GEOMETRY: Geometry = Geometry { arena_bytes: 256 << 10, pool_bytes: 4 << 10 };
    const BASE: u64 = 0x7f00_0000_0000;

    /// A pool of 64-byte blocks: four carved, number 1 and 2 free again.
    fn pool(arena: u32) -> Vec<u8> {
        let mut p = vec![0; 4096];
        let put = |p: &mut Vec<u8>, at: usize, v: u64, n: usize| p[at..at + n].copy_from_slice(&v.to_le_bytes()[..n]);
        put(&mut p, 0, 2, 4);
        put(&mut p, 8, BASE + 48 + 128, 8);
        put(&mut p, 32, u64::from(arena), 4);
        put(&mut p, 36, 3, 4);
        put(&mut p, 40, 48 + 4 * 64, 4);
        put(&mut p, 44, 4096 - 64, 4);
        put(&mut p, 48 + 128, BASE + 48 + 64, 8);
        put(&mut p, 48 + 64, 0, 8);
        p
    }

    #[test]
    fn blocks_in_use_are_the_carved_ones_off_the_free_chain() {
        let bytes = pool(5);
        let image = Image::new(vec![Segment { start: Addr(BASE), bytes: &bytes }]);
        let p = read_pool(&image, Addr(BASE), 5, GEOMETRY).expect("sound");
        assert_eq!(p.block_bytes, 64);
        assert_eq!(p.blocks().collect::<Vec<_>>(), [0, 3]);
        assert_eq!(p.block_at(Addr(BASE + 48 + 3 * 64)), Some(3));
        assert_eq!(p.block_at(Addr(BASE + 48 + 64)), None, "freed");
        assert_eq!(p.block_at(Addr(BASE + 48 + 16)), None, "inside");
    }

    #[test]
    fn a_pool_that_contradicts_itself_is_left_out() {
        type Spoil = fn(&mut Vec<u8>);
        let spoils: [Spoil; 4] = [
            |p| p[0] = 3,                                                                 // count
            |p| p[32] = 6,                                                                // another arena's
            |p| p[48 + 64..48 + 72].copy_from_slice(&(BASE + 48 + 128u64).to_le_bytes()), // a loop
            |p| p[48 + 64..48 + 72].copy_from_slice(&(BASE + 48 + 24u64).to_le_bytes()),  // inside a block
        ];
        for spoil in spoils {
            let mut bytes = pool(5);
            spoil(&mut bytes);
            let image = Image::new(vec![Segment { start: Addr(BASE), bytes: &bytes }]);
            assert!(read_pool(&image, Addr(BASE), 5, GEOMETRY).is_err());
        }
    }

    /// The binary's own data, where `usedpools` and the pointers to the arrays of arenas are.
    const DATA: u64 = 0x5000_0000;
    /// The array as it was, freed since, and as it is.
    const OLD: u64 = 0x6000_0010;
    const NEW: u64 = 0x6000_4010;

    #[test]
    fn without_symbols_the_living_array_is_found_beside_what_it_left_behind() {
        // One pool in use, of class 3, in arena 1 at BASE; arena 20 came when the array had grown.
        // Its words: address, pool_address, nfreepools and ntotalpools, freepools, and two links.
        let arena = |start: u64| [start, start + 0x1000, 1 | 63 << 32, 0, 0, 0];
        let array = |count: usize, arenas: &[(usize, u64)]| {
            let bytes = count as u64 * ARENA_OBJECT + 16;
            let mut words = vec![0, bytes | 1];
            words.resize(2 + count * 6, 0);
            for (index, start) in arenas {
                words[2 + index * 6..8 + index * 6].copy_from_slice(&arena(*start));
            }
            words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>()
        };
        let old = array(16, &[(1, BASE)]);
        let new = array(32, &[(1, BASE), (20, BASE + (1 << 20))]);
        let used: Vec<u64> =
            (0..CLASSES).flat_map(|class| [if class == 3 { BASE } else { DATA + 16 * class - 16 }; 2]).chain([OLD, NEW, 7]).collect();
        let data: Vec<u8> = used.iter().flat_map(|w| w.to_le_bytes()).collect();
        let pool = pool(1);
        let segments = [(DATA, &data), (OLD - 16, &old), (NEW - 16, &new), (BASE, &pool)];
        let image = Image::new(segments.map(|(start, bytes)| Segment { start: Addr(start), bytes }).to_vec());
        let range = Addr(DATA)..Addr(DATA + data.len() as u64);
        let found = by_structure(&image, std::slice::from_ref(&range), GEOMETRY).expect("the array");
        assert_eq!(found, State { arenas: Addr(NEW), count: 32 });
    }
}
