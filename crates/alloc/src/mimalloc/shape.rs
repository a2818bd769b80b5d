//! Where the fields of a segment, a page and a heap are.
//!
//! Sources: `mimalloc/types.h` as bundled with CPython 3.13.0 (2.1.2) and since 3.14.10 and 3.15.2 (2.5.2); builds with the GIL, without
//! encoded free lists and padding, as releases are.

use memory::{Addr, Fault, Image, Memory};

/// `MI_HUGE_BLOCK_SIZE`: stands for a size that 32 bits do not hold.
const HUGE: u64 = 2 << 30;

/// Which structures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// mimalloc 2.1.2: CPython 3.13, 3.14.0 to 3.14.8, 3.15.0.
    V2_1,
    /// mimalloc 2.5.2: CPython 3.14.10, 3.15.2.
    V2_5,
}

impl Shape {
    pub(super) const ALL: [Shape; 2] = [Shape::V2_1, Shape::V2_5];

    fn pick(self, old: u64, new: u64) -> u64 {
        match self {
            Shape::V2_1 => old,
            Shape::V2_5 => new,
        }
    }

    /// `mi_segment_t.segment_size`.
    pub(super) fn segment_size(self) -> u64 {
        32
    }

    /// `mi_segment_t.used`: the pages in use.
    pub(super) fn used(self) -> u64 {
        self.pick(208, 216)
    }

    /// `mi_segment_t.segment_slices`; `segment_info_slices` follows.
    pub(super) fn segment_slices(self) -> u64 {
        self.pick(224, 248)
    }

    /// `mi_segment_t.kind`; `slice_entries` and `thread_id` follow.
    pub(super) fn kind(self) -> u64 {
        self.pick(240, 264)
    }

    /// `mi_segment_t.slices`.
    pub(super) fn slices(self) -> u64 {
        self.pick(264, 288)
    }

    /// `sizeof(mi_page_t)`.
    pub(super) fn page_bytes(self) -> u64 {
        self.pick(80, 96)
    }

    /// Blocks that the page at `slice` counts as in use: four bytes, since 2.5 two.
    pub(super) fn blocks_used(self, image: &Image<'_>, slice: Addr) -> Result<u32, Fault> {
        match self {
            Shape::V2_1 => image.u32(slice + 24),
            Shape::V2_5 => Ok(image.u32(slice + 32)? & 0xffff),
        }
    }

    /// Bytes of a block of the page at `slice`, which has `bytes`; 0 where its slices are free.
    pub(super) fn block_bytes(self, image: &Image<'_>, slice: Addr, bytes: u64) -> Result<u64, Fault> {
        match self {
            Shape::V2_1 => Ok(match u64::from(image.u32(slice + 28)?) {
                HUGE => bytes,
                size => size,
            }),
            Shape::V2_5 => image.u64(slice + 40),
        }
    }

    /// The first block of the page at `slice`, whose memory begins at `start`. To 2.1 it is computed, and small blocks do not begin where
    /// pages do (`_mi_segment_page_start_from_slice`).
    pub(super) fn first_block(self, image: &Image<'_>, slice: Addr, start: Addr, block_bytes: u64) -> Result<Addr, Fault> {
        match self {
            Shape::V2_1 if block_bytes <= 64 => Ok(start + 3 * block_bytes),
            Shape::V2_1 if block_bytes <= 512 => Ok(start + block_bytes),
            Shape::V2_1 => Ok(start),
            Shape::V2_5 => image.addr(slice + 48),
        }
    }

    /// `mi_page_t.local_free`.
    pub(super) fn local_free(self) -> u64 {
        self.pick(32, 24)
    }

    /// `mi_page_t.xthread_free`; `xheap` follows.
    pub(super) fn thread_free(self) -> u64 {
        self.pick(40, 56)
    }

    /// `mi_heap_t.thread_delayed_free`.
    pub(super) fn delayed_free(self) -> u64 {
        self.pick(2840, 8)
    }
}
