//! Chunks that have a mapping of their own.
//!
//! Holds: [`Mapped`], and the search in a range. Never does: claim a range without a header that says so.
//! Source: `sysmalloc_mmap`, `_int_memalign` and (2.43) `mmap_set_chunk` in `malloc/malloc.c`: bit 1 of the size word is set and the other
//! flags are not; the word before it says how far the chunk is behind the start of the mapping. To 2.42 size and distance make the whole
//! mapping; since 2.43 they are 16 less, and bit 0 of the distance stands for huge pages.

use std::ops::Range;

use memory::{Addr, Image, Memory};

use super::shape::Shape;

/// One chunk with its mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Where the mapping begins.
    pub start: Addr,
    /// Bytes of the mapping.
    pub bytes: u64,
    /// Where the chunk's header begins: behind `start` where an alignment was asked for.
    pub chunk: Addr,
}

impl Mapped {
    /// What `malloc` returned for it.
    pub fn user(&self) -> Addr {
        self.chunk + 16
    }

    /// One past its last byte.
    pub fn end(&self) -> Addr {
        self.start + self.bytes
    }
}

/// All in `range` whose header is on a page that `next` gives: the first at or behind an address that is worth a look.
pub(super) fn mapped(image: &Image<'_>, range: &Range<Addr>, shape: Shape, mut next: impl FnMut(Addr) -> Option<Addr>) -> Vec<Mapped> {
    let mut found = Vec::new();
    let mut at = range.start.0;
    while let Some(page) = next(Addr(at)) {
        at = page.0.max(at).checked_next_multiple_of(4096).unwrap_or(u64::MAX);
        if at >= range.end.0 {
            break;
        }
        let left = range.end.0 - at;
        at += match total(image, Addr(at), shape).filter(|&bytes| bytes <= left) {
            Some(bytes) => {
                found.push(Mapped { start: Addr(at), bytes, chunk: chunk(image, Addr(at), bytes, shape) });
                bytes
            }
            None => 4096,
        };
    }
    found
}

/// Bytes of the mapping whose first chunk's header is at `at`, if one is there.
fn total(image: &Image<'_>, at: Addr, shape: Shape) -> Option<u64> {
    let (before, size) = (image.u64(at).ok()?, image.u64(at + 8).ok()?);
    let (flags, beyond) = match shape {
        Shape::Fastbins => (0, 0),
        Shape::NoFastbins => (1, 16),
    };
    let bytes = (size & !7).checked_add(beyond)?;
    (before & !flags == 0 && size & 7 == 2 && bytes % 4096 == 0 && bytes >= 4096).then_some(bytes)
}

/// The chunk of a mapping: at its start, or so far behind it that what the program got is aligned as it asked for.
fn chunk(image: &Image<'_>, start: Addr, bytes: u64, shape: Shape) -> Addr {
    let flags = u64::from(shape == Shape::NoFastbins);
    let beyond = 16 * flags;
    let aligned = (5..48).filter_map(|bits| Some(Addr(start.0.checked_add(17)?.checked_next_multiple_of(1 << bits)? - 16)));
    let mut within = aligned.filter(|at| at.0 > start.0 && at.0 - start.0 < bytes.saturating_sub(beyond + 32));
    let is_chunk = |at: &Addr| {
        let behind = at.0 - start.0;
        image.u64(*at).is_ok_and(|before| before & !flags == behind) && image.u64(*at + 8) == Ok((bytes - behind - beyond) | 2)
    };
    within.find(is_chunk).unwrap_or(start)
}
