//! Chunks, one after the other.
//!
//! Holds: [`Chunk`], [`Kind`], [`Gap`], the walk through a heap. Never does: look anything up per chunk but its own header and the next one's.
//! Source: the comment on chunks in `malloc/malloc.c`: a size word with three flag bits at 8; a chunk is free if the next one's lowest bit
//! is clear. A heap that is not the last ends in chunks of 16 and 0 bytes (fenceposts), a run of `sbrk` that is not in two of 16.

use memory::{Addr, Image};

use super::arena::Arena;
use super::heap::Heap;

/// What a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The program has it.
    InUse,
    /// Freed, in a fastbin: not joined with its neighbours.
    Fast,
    /// Freed, in a thread's cache.
    Cached,
    /// Freed, in a bin.
    Free,
    /// The last one, from which new ones are cut.
    Top,
    /// The end of a heap.
    Fencepost,
}

/// One chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Where its header begins.
    pub at: Addr,
    /// Its size with the header.
    pub bytes: u64,
    /// The arena's number in the ring.
    pub arena: u32,
    /// What it is.
    pub kind: Kind,
}

impl Chunk {
    /// What `malloc` returned for it.
    pub fn user(&self) -> Addr {
        self.at + 16
    }
}

/// Bytes of an arena that no chunk could be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where; none where the arena says that it has more memory than was found.
    pub at: Option<Addr>,
    /// How many.
    pub bytes: u64,
    /// The arena's number in the ring.
    pub arena: u32,
}

/// Smallest chunk.
pub(super) const SMALLEST: u64 = 32;

/// Most chunks that are looked at to find where an arena goes on.
const RESUMPTION_BOUND: u64 = 1 << 24;

/// Gives the chunks of a heap by address. `marks` and `known` are sorted.
pub(super) fn walk(
    image: &Image<'_>,
    heap: &Heap,
    arena: &Arena,
    marks: &[(u64, Kind)],
    known: &[u64],
    visit: &mut impl FnMut(Chunk),
    gaps: &mut Vec<Gap>,
) {
    let arena_index = arena.index;
    let mut gap = |at: u64, until: u64| gaps.push(Gap { at: Some(Addr(at)), bytes: until.saturating_sub(at), arena: arena_index });
    let (base, end) = (heap.first.0, heap.end.0);
    let Ok(bytes) = image.slice(heap.first, end.saturating_sub(base) as usize) else { return gap(base, end) };
    let mut marks = marks.get(marks.partition_point(|m| m.0 < base)..).unwrap_or_default().iter().copied().peekable();
    let mut at = base;
    let mut fenced = false;
    // The chunk begins behind a run of sizes that make sense, or where a list says that one begins.
    'run: while at < end {
        let Some(mut header) = header(bytes, at - base) else { return gap(at, end) };
        loop {
            let size = header & !7;
            let left = end - at;
            let (kind, after) = if at == arena.top.0 && size == left {
                (Kind::Top, 0)
            } else if at != arena.top.0 && size >= SMALLEST && size % 16 == 0 && size < left {
                // Behind every chunk stands another: the last of a heap is the top or a fencepost.
                while marks.next_if(|m| m.0 < at).is_some() {}
                let after = self::header(bytes, at + size - base).unwrap_or(0);
                match marks.next_if(|m| m.0 == at) {
                    Some((_, kind)) => (kind, after),
                    None if after & 1 == 0 => (Kind::Free, after),
                    None => (Kind::InUse, after),
                }
            } else if size == 16 && left >= 16 {
                (Kind::Fencepost, self::header(bytes, at + 16 - base).unwrap_or(0))
            } else if header == 1 && left == 16 {
                (Kind::Fencepost, 0)
            } else {
                let known = known.get(known.partition_point(|&k| k <= at)).copied().filter(|&next| next < end);
                // Behind two fenceposts stands what somebody else got from sbrk, and then the arena goes on.
                let next = match known {
                    Some(known) if fenced => resumption(bytes, at - base, known - base).map_or(known, |next| base + next),
                    known => known.unwrap_or(end),
                };
                gap(at, next);
                at = next;
                continue 'run;
            };
            fenced = kind == Kind::Fencepost;
            let chunk = size.max(16);
            visit(Chunk { at: Addr(at), bytes: chunk, arena: arena_index, kind });
            at += chunk;
            if at >= end {
                return;
            }
            header = after;
        }
    }
}

/// The first place from `from` on, by offset, whose chunks lead to the one that is known to be at `known`.
fn resumption(bytes: &[u8], from: u64, known: u64) -> Option<u64> {
    let mut steps = 0;
    for start in (memory::rounded_up(from, 16)..known).step_by(16) {
        let mut at = start;
        while at < known {
            steps += 1;
            let size = header(bytes, at)? & !7;
            if size < SMALLEST || size % 16 != 0 || size > known - at {
                break;
            }
            at += size;
        }
        if at == known {
            return Some(start);
        }
        if steps > RESUMPTION_BOUND {
            return None;
        }
    }
    None
}

/// The size word of the chunk at `offset`.
#[inline]
fn header(bytes: &[u8], offset: u64) -> Option<u64> {
    let word = bytes.get(offset as usize..)?.get(8..16)?;
    Some(u64::from_le_bytes(word.try_into().ok()?))
}
