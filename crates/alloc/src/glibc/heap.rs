//! A heap: one run of memory that chunks stand in without a gap between them.
//!
//! Holds: [`Heap`], and the search for the heaps of an arena. Never does: walk chunks.
//! Source: `heap_info` in `malloc/arena.c`: `ar_ptr`, `prev`, `size`, `mprotect_size`, and since 2.35 `pagesize`. A thread arena's heaps are
//! aligned to [`SPAN`] and chained by `prev` from the one that holds `top`; the main arena's is what `sbrk` gave.

use std::ops::Range;

use memory::{Addr, Image, Mapping, Memory};

use super::shape::Shape;

/// `HEAP_MAX_SIZE` on 64-bit machines.
pub(super) const SPAN: u64 = 64 << 20;
const PAGE: u64 = 4096;
/// `NONCONTIGUOUS_BIT` of an arena's flags.
const NONCONTIGUOUS: u32 = 2;
/// Most heaps of an arena that are believed: 2^20 of 64 MiB are 64 TiB.
const HEAPS_BOUND: usize = 1 << 20;

/// One run of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heap {
    /// Where its memory begins: the header of a thread arena's heap.
    pub start: Addr,
    /// The first chunk.
    pub first: Addr,
    /// Where its memory ends.
    pub end: Addr,
    /// Up to here the kernel lets the process write: behind [`Self::end`] where the heap was larger once.
    pub committed_end: Addr,
}

impl Heap {
    /// Bytes from start to end.
    pub fn bytes(&self) -> u64 {
        self.end.0.saturating_sub(self.start.0)
    }
}

/// The heaps of the thread arena at `arena`, by address.
pub(super) fn of_thread(image: &Image<'_>, shape: Shape, arena: Addr, top: Addr, span: u64) -> Vec<Heap> {
    let first = arena.align_down(PAGE);
    let info = arena.0 - first.0;
    let mut heaps = Vec::new();
    let mut at = top.align_down(span);
    while heaps.len() < HEAPS_BOUND {
        let Some(heap) = heap_at(image, shape, arena, at, at == first, info, span) else { break };
        heaps.push(heap);
        let Ok(prev) = image.addr(at + 8) else { break };
        // Every heap has one before it except the arena's own, and none comes twice.
        if at == first || heaps.iter().any(|h| h.start == prev) {
            break;
        }
        at = prev;
    }
    // A broken top or chain: the arena's own heap is still where it is.
    if !heaps.iter().any(|h| h.start == first) {
        heaps.extend(heap_at(image, shape, arena, first, true, info, span));
    }
    heaps.sort_by_key(|h| h.start);
    heaps
}

fn heap_at(image: &Image<'_>, shape: Shape, arena: Addr, at: Addr, own: bool, info: u64, span: u64) -> Option<Heap> {
    if image.addr(at).ok()? != arena {
        return None;
    }
    let (size, committed) = (image.u64(at + 16).ok()?, image.u64(at + 24).ok()?);
    if size > committed || committed > span || size % PAGE != 0 || size < info {
        return None;
    }
    let first = if own { Addr(memory::rounded_up(arena.0.saturating_add(shape.bytes()), 16)) } else { at + info };
    Some(Heap { start: at, first, end: at + size, committed_end: at + committed })
}

/// The heaps of the main arena: what `sbrk` gave, from the first break to the top, and where that failed once (the arena is no longer
/// contiguous) the runs of chunks in mappings that were taken instead.
pub(super) fn of_main(image: &Image<'_>, arena: Addr, top: Addr, sbrk: Option<Addr>, mappings: &[Mapping]) -> Vec<Heap> {
    let contiguous = image.u32(arena + 4).is_ok_and(|flags| flags & NONCONTIGUOUS == 0);
    let anonymous = |m: &&Mapping| m.inode == 0 && m.read && m.write && !m.shared && m.path != "[stack]";
    let mut heaps: Vec<Heap> = Vec::new();
    for mapping in mappings.iter().filter(anonymous) {
        let within = |at: Addr| mapping.start <= at && at < mapping.end;
        let mut from = mapping.start;
        if let Some(base) = sbrk.filter(|&base| within(base)) {
            // The heap may be several mappings, where their flags differ.
            let limit = image.segment(base).map_or(mapping.end, |s| s.end());
            let first = Addr(memory::rounded_up(base.0, 16));
            let whole = contiguous && base <= top && top < limit;
            let end = if whole { top_end(image, top, limit) } else { run_end(image, first, top, limit).unwrap_or(mapping.end) };
            heaps.push(Heap { start: base, first, end, committed_end: end });
            from = end;
        }
        if !contiguous {
            runs(image, from..mapping.end, top, &mut heaps);
        }
    }
    heaps.sort_by_key(|h| h.start);
    heaps
}

/// The runs of the main arena's chunks that begin on a page in `range`.
fn runs(image: &Image<'_>, range: Range<Addr>, top: Addr, heaps: &mut Vec<Heap>) {
    let mut at = memory::rounded_up(range.start.0, PAGE);
    while at < range.end.0 {
        let end = run_end(image, Addr(at), top, range.end).map_or(0, |end| end.0);
        if end > at {
            heaps.push(Heap { start: Addr(at), first: Addr(at), end: Addr(end), committed_end: Addr(end) });
        }
        at = memory::rounded_up(end.max(at.saturating_add(PAGE)), PAGE);
    }
}

/// Where a run of the main arena's chunks ends: behind the top, or behind two fenceposts and on a page.
fn run_end(image: &Image<'_>, first: Addr, top: Addr, limit: Addr) -> Option<Addr> {
    let mut at = first;
    while at < limit {
        let header = image.u64(at + 8).ok()?;
        let size = header & !7;
        // Neither a mapping of its own nor another arena's; and what a run begins with has nothing free before it.
        if header & 6 != 0 || size % 16 != 0 || size > limit.0 - at.0 || (at == first && header & 1 == 0) {
            return None;
        }
        if at == top {
            return Some(at + size);
        }
        if size == 16 {
            let end = at + 32;
            return (image.u64(at + 24).is_ok_and(|next| next & !7 == 16) && end.0 % PAGE == 0 && end <= limit).then_some(end);
        }
        if size < 32 {
            return None;
        }
        at = at + size;
    }
    None
}

/// Where the top ends, or the memory that it is in.
fn top_end(image: &Image<'_>, top: Addr, limit: Addr) -> Addr {
    let size = image.u64(top + 8).unwrap_or(0) & !7;
    Addr(top.0.saturating_add(size)).min(limit)
}
