//! `mp_`: what malloc was told, and what it counts beside the arenas.
//!
//! Holds: [`Parameters`], and the search for them. Never does: believe a place of which one field cannot be right.
//! Source: `struct malloc_par` in `malloc/malloc.c`: as it was to 2.34, with huge pages since 2.35, with `thp_mode` since 2.43.

use std::ops::Range;

use memory::{Addr, Image, Memory};

use super::heap::SPAN;
use super::shape::Shape;

/// Largest `mmap_threshold` that can be set: half a heap's largest size (`HEAP_MAX_SIZE / 2`).
const THRESHOLD_MAX: u64 = SPAN / 2;

/// What malloc was told, and what it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Where it is.
    pub at: Addr,
    /// A top of this size is given back when something is freed.
    pub trim_threshold: u64,
    /// What is asked of the kernel beyond what is needed.
    pub top_pad: u64,
    /// Requests of this size get a mapping of their own.
    pub mmap_threshold: u64,
    /// The thresholds were set and no longer follow what is freed.
    pub thresholds_fixed: bool,
    /// Most arenas, as set; 0 where glibc chooses (8 for a processor).
    pub arena_max: u64,
    /// Chunks that have a mapping of their own.
    pub mmapped_chunks: u64,
    /// Their bytes, as malloc counts them: glibc 2.43 counts 16 too many each time that such a chunk is resized in place or moved.
    pub mmapped_bytes: u64,
    /// Most such chunks allowed.
    pub mmapped_chunks_max: u64,
    /// The first address that `sbrk` gave.
    pub sbrk_base: Option<Addr>,
    /// Page size of transparent huge pages, where malloc asks for them.
    pub thp_bytes: Option<u64>,
    /// Page size of huge pages, where malloc asks for them.
    pub huge_page_bytes: Option<u64>,
    /// Most chunks of a class that a thread's cache keeps.
    pub tcache_count: u64,
    shape: Shape,
}

impl Parameters {
    /// What heaps are aligned to. From 2.35 to 2.42 it is four huge pages where those are asked for.
    pub(super) fn heap_span(&self) -> u64 {
        match self.huge_page_bytes {
            Some(huge) if self.shape == Shape::Fastbins => huge * 4,
            _ => SPAN,
        }
    }
}

/// Offsets of the fields that differ.
struct Layout {
    arena_max: u64,
    thp: Option<u64>,
    n_mmaps: u64,
    mmapped_mem: u64,
    shape: Shape,
}

const LAYOUTS: [Layout; 3] = [
    Layout { arena_max: 32, thp: Some(48), n_mmaps: 68, mmapped_mem: 88, shape: Shape::NoFastbins },
    Layout { arena_max: 32, thp: Some(40), n_mmaps: 60, mmapped_mem: 80, shape: Shape::Fastbins },
    Layout { arena_max: 32, thp: None, n_mmaps: 40, mmapped_mem: 56, shape: Shape::Fastbins },
];

/// Finds it in the writable ranges of the module that holds the main arena: `sbrk_base` is where the heap begins.
pub(super) fn find(image: &Image<'_>, ranges: &[Range<Addr>], shape: Shape, heap: Option<&Range<Addr>>) -> Option<Parameters> {
    let layouts = || LAYOUTS.iter().filter(|l| l.shape == shape);
    let there = ranges.iter().flat_map(|range| image.parts(range.clone()));
    let places = there.flat_map(|r| (memory::rounded_up(r.start.0, 8)..r.end.0).step_by(8)).map(Addr);
    let mut found = None;
    for at in places {
        for layout in layouts() {
            let Some(parameters) = read(image, at, layout, heap) else { continue };
            if parameters.sbrk_base.is_some() {
                return Some(parameters);
            }
            // Without a break there is less that proves it.
            found = found.or(Some(parameters));
        }
    }
    found
}

fn read(image: &Image<'_>, at: Addr, layout: &Layout, heap: Option<&Range<Addr>>) -> Option<Parameters> {
    let word = |offset: u64| image.u64(at + offset).ok();
    let half = |offset: u64| image.u32(at + offset).ok().map(u64::from);
    let sbrk_base = word(layout.mmapped_mem + 16)?;
    // The first thing that is asked, since it is wrong nearly everywhere. Other code may have moved the break before malloc did.
    if sbrk_base != 0 && !heap.is_some_and(|h| h.start.0 <= sbrk_base && sbrk_base < h.end.0) {
        return None;
    }
    let (chunks, chunks_max, chunks_most, fixed) =
        (half(layout.n_mmaps)?, half(layout.n_mmaps + 4)?, half(layout.n_mmaps + 8)?, half(layout.n_mmaps + 12)?);
    let (mapped, mapped_most) = (word(layout.mmapped_mem)?, word(layout.mmapped_mem + 8)?);
    let (mmap_threshold, arena_test, arena_max) = (word(16)?, word(24)?, word(layout.arena_max)?);
    let (thp, huge) = match layout.thp {
        Some(offset) => (word(offset)?, word(offset + 8)?),
        None => (0, 0),
    };
    let (tcache_bins, tcache_bytes, tcache_count) =
        (word(layout.mmapped_mem + 24)?, word(layout.mmapped_mem + 32)?, word(layout.mmapped_mem + 40)?);
    // 2.43 counts 16 bytes too many whenever a chunk's mapping is moved or resized (mremap_chunk subtracts the chunk's size, and the
    // mapping is 16 larger).
    let drift = if layout.shape == Shape::NoFastbins { 16 } else { 4096 };
    let is_page = |bytes: u64| bytes == 0 || (bytes.is_power_of_two() && (1 << 12..=1 << 34).contains(&bytes));
    let right = chunks <= chunks_most
        && fixed <= 1
        && mapped % drift == 0
        && mapped <= mapped_most
        && (chunks == 0) == (mapped == 0)
        && mapped >= chunks * 4096
        && mmap_threshold <= THRESHOLD_MAX
        && arena_test <= 1 << 16
        && arena_max <= 1 << 32
        && is_page(thp)
        && is_page(huge)
        && (1..=64).contains(&tcache_bins)
        && tcache_bytes <= 8 << 20
        && tcache_count <= u64::from(u16::MAX)
        && (sbrk_base != 0 || (chunks_max == 65536 && mmap_threshold != 0));
    right.then_some(Parameters {
        at,
        trim_threshold: word(0)?,
        top_pad: word(8)?,
        mmap_threshold,
        thresholds_fixed: fixed == 1,
        arena_max,
        mmapped_chunks: chunks,
        mmapped_bytes: mapped,
        mmapped_chunks_max: chunks_max,
        sbrk_base: (sbrk_base != 0).then_some(Addr(sbrk_base)),
        thp_bytes: (thp != 0).then_some(thp),
        huge_page_bytes: (huge != 0).then_some(huge),
        tcache_count,
        shape: layout.shape,
    })
}
