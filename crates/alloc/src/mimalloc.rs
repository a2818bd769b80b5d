//! The mimalloc that CPython 3.13 and later carries (`PYTHONMALLOC=mimalloc`), read from outside and without symbols: every block.
//!
//! Holds: [`Mimalloc`] ([`Mimalloc::find`]), its [`Segment`]s with their [`Page`]s, each [`Block`], what it has in [`Totals`].
//! Never does: IO, Python objects, belief: a segment whose slices do not fill it exactly is none, a page whose free lists do not fit its own
//! count is a counted [`Gap`].
//! Sources: `mimalloc/types.h` and `segment.c`, `page.c`, `arena.c` as bundled with CPython 3.13.0 (mimalloc 2.1.2) and 3.14.10 (2.5.2):
//! segments are aligned to 32 MiB and begin with their header, an array of slices follows, pages are runs of slices of 64 KiB.

mod page;
mod shape;
#[cfg(test)]
mod tests;

use std::ops::Range;

use memory::{Addr, Image, Mapping, Memory};

pub use page::{Block, Gap, Page};
pub use shape::Shape;

/// `MI_SEGMENT_SIZE`: what segments are aligned to, and how large one is that holds no huge block.
const SEGMENT: u64 = 32 << 20;
/// `MI_SEGMENT_SLICE_SIZE`.
const SLICE: u64 = 64 << 10;
/// `MI_SLICES_PER_SEGMENT`.
const SLICES: u64 = SEGMENT / SLICE;
/// Most blocks in a heap's list of blocks that other threads freed which are believed.
const DELAYED_BOUND: usize = 1 << 24;

/// Why there is no mimalloc to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MimallocError {
    /// No anonymous memory holds a segment.
    #[error("no segment of mimalloc was found")]
    NotFound,
}

/// All segments of a process.
#[derive(Clone, Debug)]
pub struct Mimalloc {
    /// Which structures.
    pub shape: Shape,
    /// By address.
    pub segments: Vec<Segment>,
    /// Segments that were given up and not used again: their memory may still be resident.
    pub freed: Vec<Range<Addr>>,
}

/// One segment: 32 MiB with pages in it, or one huge block.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Where it begins: its header.
    pub start: Addr,
    /// Its size.
    pub bytes: u64,
    /// It holds one block of more than 16 MiB.
    pub huge: bool,
    /// What mimalloc calls the thread that owns it; 0 where that has ended.
    pub thread: u64,
    /// Bytes of the header.
    pub header_bytes: u64,
    /// Its pages in use, by address.
    pub pages: Vec<Page>,
    /// Blocks of this segment that another thread freed and the owner did not take back yet, sorted.
    delayed: Vec<u64>,
}

impl Segment {
    /// One past its last byte.
    pub fn end(&self) -> Addr {
        self.start + self.bytes
    }

    /// Every block that was ever handed out, by address, and the pages that contradict themselves. Segments can be walked in parallel.
    pub fn blocks(&self, image: &Image<'_>, mut visit: impl FnMut(Block)) -> Vec<Gap> {
        let mut gaps = Vec::new();
        let mut free = Vec::new();
        for page in &self.pages {
            if page.blocks(image, &self.delayed, &mut free, &mut visit).is_none() {
                gaps.push(Gap { at: page.start, bytes: page.bytes });
            }
        }
        gaps
    }
}

/// What a mimalloc has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of all segments.
    pub segments: u64,
    /// Bytes of their headers.
    pub headers: u64,
    /// Blocks in use.
    pub used_blocks: u64,
    /// Their bytes.
    pub used: u64,
    /// Blocks handed out once and free again.
    pub free_blocks: u64,
    /// Their bytes.
    pub free: u64,
    /// Bytes of pages in which no block was made yet, or none fits.
    pub uncarved: u64,
    /// Bytes of slices in no page.
    pub spans: u64,
    /// Bytes of pages that contradict themselves.
    pub gaps: u64,
}

impl Mimalloc {
    /// Finds every segment in anonymous private memory.
    pub fn find(image: &Image<'_>, mappings: &[Mapping]) -> Result<Mimalloc, MimallocError> {
        let found = Shape::ALL.into_iter().map(|shape| Mimalloc::of(image, mappings, shape));
        found.max_by_key(|m| m.segments.len()).filter(|m| !m.segments.is_empty()).ok_or(MimallocError::NotFound)
    }

    fn of(image: &Image<'_>, mappings: &[Mapping], shape: Shape) -> Mimalloc {
        let (mut segments, mut freed): (Vec<Segment>, Vec<Range<Addr>>) = (Vec::new(), Vec::new());
        let anonymous = |m: &&Mapping| m.inode == 0 && m.read && m.write && !m.shared;
        for mapping in mappings.iter().filter(anonymous) {
            let mut at = mapping.start.0.checked_next_multiple_of(SEGMENT).unwrap_or(u64::MAX);
            while at < mapping.end.0 {
                // Of terabytes that are reserved little is there: what is not is left out at a stroke.
                let Some(there) = image.next(Addr(at)).and_then(|there| there.0.checked_next_multiple_of(SEGMENT)) else { break };
                if there > at {
                    at = there;
                    continue;
                }
                let mut next = at.saturating_add(SEGMENT);
                match read(image, Addr(at), shape) {
                    Some(segment) if segment.pages.is_empty() => freed.push(segment.start..segment.end()),
                    Some(segment) => {
                        next = memory::rounded_up(at.saturating_add(segment.bytes), SEGMENT);
                        segments.push(segment);
                    }
                    None => {}
                }
                at = next;
            }
        }
        segments.sort_by_key(|s| s.start);
        // The header of one that was given up stays until the memory is used again, maybe for several.
        freed.retain(|f| !segments.iter().any(|s| s.start < f.end && f.start < s.end()));
        delayed(image, &mut segments, shape);
        Mimalloc { shape, segments, freed }
    }

    /// Bytes of the block that holds `at`, if one of its pages does.
    pub fn block_bytes(&self, at: Addr) -> Option<u64> {
        let segment = self.segments.get(self.segments.partition_point(|s| s.start <= at).checked_sub(1)?)?;
        let page = segment.pages.get(segment.pages.partition_point(|p| p.start <= at).checked_sub(1)?)?;
        (at < page.start + page.bytes).then_some(page.block_bytes)
    }

    /// Every block of every segment.
    pub fn blocks(&self, image: &Image<'_>, mut visit: impl FnMut(Block)) -> Vec<Gap> {
        self.segments.iter().flat_map(|segment| segment.blocks(image, &mut visit)).collect()
    }

    /// Where every byte is.
    pub fn totals(&self, image: &Image<'_>) -> Totals {
        let mut t = Totals::default();
        let gaps = self.blocks(image, |block| {
            let (count, bytes) = if block.in_use { (&mut t.used_blocks, &mut t.used) } else { (&mut t.free_blocks, &mut t.free) };
            *count += 1;
            *bytes += block.bytes;
        });
        t.gaps = gaps.iter().map(|gap| gap.bytes).sum();
        t.segments = self.segments.iter().map(|s| s.bytes).sum();
        t.headers = self.segments.iter().map(|s| s.header_bytes).sum();
        let pages: u64 = self.segments.iter().flat_map(|s| &s.pages).map(|p| p.bytes).sum();
        t.uncarved = pages.saturating_sub(t.used + t.free + t.gaps);
        t.spans = t.segments.saturating_sub(t.headers + pages);
        t
    }
}

/// The segment at `at`, if its header says so and its slices fill it to the last one.
fn read(image: &Image<'_>, at: Addr, shape: Shape) -> Option<Segment> {
    let field = |offset: u64| image.u64(at + offset).ok();
    let (bytes, slices, info) = (field(shape.segment_size())?, field(shape.segment_slices())?, field(shape.segment_slices() + 8)?);
    // The common case of memory that is no segment ends here.
    if bytes == 0 || bytes % SLICE != 0 || slices != bytes / SLICE || info == 0 || info > 4 || bytes > 1 << 46 {
        return None;
    }
    let (kind, entries, thread) = (image.u32(at + shape.kind()).ok()?, field(shape.kind() + 8)?, field(shape.kind() + 16)?);
    let huge = match kind {
        0 if bytes == SEGMENT => false,
        1 => true,
        _ => return None,
    };
    if entries != slices.min(SLICES) || field(shape.used())? > entries {
        return None;
    }
    let mut pages = Vec::new();
    let mut index = 0;
    while index < entries {
        let slice = at + shape.slices() + index * shape.page_bytes();
        let (count, offset) = (u64::from(image.u32(slice).ok()?), image.u32(slice + 4).ok()?);
        if count == 0 || offset != 0 || index + count > slices {
            return None;
        }
        if index == 0 {
            // The header's own slices.
            if count != info {
                return None;
            }
        } else if let Some(page) = Page::read(image, at, index, count, slice, shape)? {
            pages.push(page);
        }
        index += count;
    }
    if index != slices || pages.len() as u64 != field(shape.used())? {
        return None;
    }
    Some(Segment { start: at, bytes, huge, thread, header_bytes: info * SLICE, pages, delayed: Vec::new() })
}

/// Gives each segment the blocks that its heaps hold in their lists of what other threads freed (`thread_delayed_free`).
fn delayed(image: &Image<'_>, segments: &mut [Segment], shape: Shape) {
    let mut heaps: Vec<Addr> = segments.iter().flat_map(|s| &s.pages).map(|p| p.heap).filter(|heap| !heap.is_null()).collect();
    heaps.sort_unstable();
    heaps.dedup();
    for heap in heaps {
        let Ok(mut block) = image.addr(heap + shape.delayed_free()) else { continue };
        for _ in 0..DELAYED_BOUND {
            let i = segments.partition_point(|s| s.start <= block);
            let Some(segment) = i.checked_sub(1).and_then(|i| segments.get_mut(i)).filter(|s| block < s.end()) else { break };
            segment.delayed.push(block.0);
            let Ok(next) = image.addr(block) else { break };
            block = next;
        }
    }
    for segment in segments {
        segment.delayed.sort_unstable();
        segment.delayed.dedup();
    }
}
