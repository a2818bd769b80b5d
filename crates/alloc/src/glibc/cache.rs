//! A thread's cache of freed chunks (tcache): they look in use to their arena.
//!
//! Holds: [`Cache`], and the search for all of them. Never does: read a thread's registers or TLS: the struct is itself a chunk, known by its
//! size and by every list in it being as long as it says.
//! Sources: `tcache_perthread_struct`, `tcache_put`, `csize2tidx`, `large_csize2tidx` in `malloc/malloc.c`. Counts are bytes in 2.26–2.29,
//! two bytes since 2.30; since 2.42 they count down from `mp_.tcache_count`, and twelve classes of chunks up to 4 MiB came.

use memory::{Addr, Image, Memory};

use super::arena::Arena;
use super::chunk::Kind;
use super::lists::{follow, Linking};

/// One thread's cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Address of the struct.
    pub at: Addr,
    /// Address and size of each chunk in it.
    pub(super) chunks: Vec<(u64, u64)>,
}

impl Cache {
    /// How many chunks it holds.
    pub fn count(&self) -> usize {
        self.chunks.len()
    }

    /// The bytes of all of them.
    pub fn bytes(&self) -> u64 {
        self.chunks.iter().map(|&(_, size)| size).sum()
    }
}

/// How the struct is laid out.
struct Layout {
    /// Size of the chunk that it is in.
    chunk: u64,
    /// Number of classes.
    classes: u64,
    /// Bytes of a count.
    count: u64,
    /// The counts say how many more there is room for.
    down: bool,
}

const LAYOUTS: [Layout; 3] = [
    Layout { chunk: 0x250, classes: 64, count: 1, down: false },
    Layout { chunk: 0x290, classes: 64, count: 2, down: false },
    Layout { chunk: 0x300, classes: 76, count: 2, down: true },
];

/// Classes of one size each; the rest have a power of two of sizes.
const SMALL: u64 = 64;

/// Finds the caches that hold something among the chunks in use.
pub(super) fn find(image: &Image<'_>, arenas: &[Arena], linking: Option<Linking>) -> Vec<Cache> {
    let mut places = Vec::new();
    for arena in arenas {
        arena.chunks(image, |chunk| {
            if chunk.kind == Kind::InUse && LAYOUTS.iter().any(|l| l.chunk == chunk.bytes) {
                places.push(chunk);
            }
        });
    }
    let tried = linking.map_or_else(|| vec![Linking::Protected, Linking::Plain], |l| vec![l]);
    let caches = places.iter().filter_map(|chunk| {
        let layout = LAYOUTS.iter().find(|l| l.chunk == chunk.bytes)?;
        tried.iter().find_map(|&linking| read(image, arenas, chunk.user(), layout, linking))
    });
    caches.collect()
}

/// The cache at `at`, if all of it is as it must be.
fn read(image: &Image<'_>, arenas: &[Arena], at: Addr, layout: &Layout, linking: Linking) -> Option<Cache> {
    let heads = at + (layout.classes * layout.count).next_multiple_of(8);
    let mut chunks = Vec::new();
    let mut room = None;
    for class in 0..layout.classes {
        let count = match layout.count {
            1 => u64::from(image.u8(at + class).ok()?),
            _ => u64::from(image.u32(at + class * 2).ok()? as u16),
        };
        let head = image.u64(heads + class * 8).ok()?;
        let before = chunks.len();
        let size = |entry: u64| image.u64(Addr(entry) - 8).ok().map(|header| header & !7);
        let next = |entry: u64| {
            let chunk = entry.checked_sub(16)?;
            let right = entry % 16 == 0 && arenas.iter().any(|a| a.holds(chunk)) && class_of(size(entry)?) == Some(class);
            right.then(|| linking.next(image, Addr(entry))).flatten()
        };
        let most = if layout.down { usize::from(u16::MAX) } else { count as usize };
        if !follow(head, most, next, |entry| chunks.push((entry - 16, size(entry).unwrap_or(0)))) {
            return None;
        }
        let found = (chunks.len() - before) as u64;
        // Counting down, room and content of every class make the same sum.
        let wanted = if layout.down { *room.get_or_insert(count + found) } else { count };
        let sum = if layout.down { count + found } else { found };
        if sum != wanted {
            return None;
        }
    }
    (!chunks.is_empty()).then_some(Cache { at, chunks })
}

/// The class that a chunk of this size is in.
fn class_of(size: u64) -> Option<u64> {
    let small = size.checked_sub(32)? / 16;
    if small < SMALL {
        return Some(small);
    }
    // The first large class goes up to 2047 bytes (the largest small size is 1040), each following one twice as far.
    Some(SMALL + u64::from(size.ilog2()) - 10)
}
