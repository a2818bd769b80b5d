//! The search for the main arena: 127 pairs of pointers, each the head of a circular list that stands as if it were a chunk.
//!
//! Holds: [`find`], and whether a place holds an arena's bins. Never does: walk a list.
//! Source: `bin_at` and `malloc_init_state` in `malloc/malloc.c`: bin i's `fd` and `bk` are words 2 and 3 of a chunk that would begin
//! 16 bytes before them; an empty bin leads to itself.

use std::ops::Range;

use memory::{Addr, Image, Memory};

use super::shape::{Shape, BINS};
use super::ARENAS_BOUND;

/// Of 127 bins so many must be right: a target that overran its buffers may have broken the first chunks of a few.
const RIGHT: usize = 100;

/// The main arena and the others in its ring.
pub(super) struct Found {
    pub(super) shape: Shape,
    pub(super) main: Addr,
    /// The main arena first.
    pub(super) ring: Vec<Addr>,
    /// Whether the ring led back.
    pub(super) closed: bool,
}

/// Finds the main arena in the writable ranges of a module.
pub(super) fn find(image: &Image<'_>, ranges: &[Range<Addr>]) -> Option<Found> {
    let mut places = Vec::new();
    for range in ranges {
        for segment in image.segments().iter().filter(|s| s.start < range.end && range.start < s.end()) {
            let start = Addr(memory::rounded_up(segment.start.max(range.start).0, 8));
            let end = segment.end().min(range.end);
            let bytes = image.slice(start, end.0.saturating_sub(start.0) as usize).unwrap_or_default();
            places.extend(windows(image, start, bytes));
        }
    }
    // One bin further there are 126 of the 127: the best first.
    places.sort_by_key(|&(at, right)| (std::cmp::Reverse(right), at));
    places.into_iter().find_map(|(bins, _)| Shape::ALL.into_iter().find_map(|shape| arena(image, bins, shape)))
}

/// Each place where enough of 127 pairs in a row are bins, and how many are.
fn windows(image: &Image<'_>, start: Addr, bytes: &[u8]) -> Vec<(Addr, usize)> {
    let words: Vec<u64> = bytes.chunks_exact(8).map(|w| u64::from_le_bytes(w.try_into().unwrap_or_default())).collect();
    let right: Vec<bool> =
        words.windows(2).enumerate().map(|(i, pair)| matches!(pair, [fd, bk] if is_bin(image, start + i as u64 * 8, *fd, *bk))).collect();
    let span = 2 * BINS as usize;
    let mut found = Vec::new();
    for phase in 0..2 {
        let mut count = 0;
        for i in (phase..right.len()).step_by(2) {
            count += usize::from(right.get(i) == Some(&true));
            if let Some(left) = i.checked_sub(span) {
                count -= usize::from(right.get(left) == Some(&true));
            }
            if count >= RIGHT && i + 2 >= span {
                found.push((start + (i + 2 - span) as u64 * 8, count));
            }
        }
    }
    found
}

/// Whether the pair at `at` is the head of a list: to itself, or to chunks that lead back.
fn is_bin(image: &Image<'_>, at: Addr, fd: u64, bk: u64) -> bool {
    let head = at.0.wrapping_sub(16);
    if fd == head && bk == head {
        return true;
    }
    let is_chunk = |p: u64| p > 1 << 16 && p % 16 == 0 && p != head;
    is_chunk(fd) && is_chunk(bk) && image.u64(Addr(fd) + 24) == Ok(head) && image.u64(Addr(bk) + 16) == Ok(head)
}

/// How many of an arena's bins are right.
pub(super) fn right_bins(image: &Image<'_>, arena: Addr, shape: Shape) -> usize {
    let bins = arena + shape.bins();
    let at = (0..BINS).map(|i| bins + i * 16);
    at.filter(|&at| matches!((image.u64(at), image.u64(at + 8)), (Ok(fd), Ok(bk)) if is_bin(image, at, fd, bk))).count()
}

/// The main arena whose bins are at `bins`, if its ring of arenas says so.
fn arena(image: &Image<'_>, bins: Addr, shape: Shape) -> Option<Found> {
    let main = Addr(bins.0.checked_sub(shape.bins())?);
    let mut ring = vec![main];
    let mut closed = false;
    while ring.len() < ARENAS_BOUND {
        let last = *ring.last()?;
        let Ok(next) = image.addr(last + shape.next()) else { break };
        if next == main {
            closed = true;
            break;
        }
        // Every other arena stands behind the header of its first heap, which names it, and has bins of its own.
        let is_arena = next.0 % 4096 < 64 && image.addr(next.align_down(4096)) == Ok(next) && right_bins(image, next, shape) >= RIGHT;
        if !is_arena || ring.contains(&next) {
            break;
        }
        ring.push(next);
    }
    (closed || ring.len() > 1).then_some(Found { shape, main, ring, closed })
}
