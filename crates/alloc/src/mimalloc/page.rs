//! A page: a run of slices with blocks of one size.
//!
//! Holds: [`Page`], [`Block`], [`Gap`]. Never does: follow a free list beyond what the page can hold.
//! Source: `mi_page_t` in `mimalloc/types.h`: of the blocks made (`capacity`) those on `free` and `local_free` are free, and those on
//! `xthread_free`, which `used` still counts.

use memory::{Addr, Image, Memory};

use super::shape::Shape;
use super::SLICE;

/// One page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where its slices begin.
    pub start: Addr,
    /// Bytes of its slices.
    pub bytes: u64,
    /// Its first block.
    pub first: Addr,
    /// Bytes of each block.
    pub block_bytes: u64,
    /// Blocks made.
    pub capacity: u32,
    /// Blocks that will fit.
    pub reserved: u32,
    /// Blocks in use, as it counts them: with those that another thread freed and it has not taken back.
    pub used: u32,
    /// The heap that it belongs to: one for each thread. Null where that has ended.
    pub heap: Addr,
    lists: [u64; 3],
}

/// One block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its address.
    pub at: Addr,
    /// Its size.
    pub bytes: u64,
    /// Whether the program has it.
    pub in_use: bool,
}

/// A page that contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where it begins.
    pub at: Addr,
    /// Its bytes.
    pub bytes: u64,
}

impl Page {
    /// The page of `count` slices from number `index` on, whose fields are at `slice`. The outer nothing says that it cannot be one, the
    /// inner that its slices are free.
    pub(super) fn read(image: &Image<'_>, segment: Addr, index: u64, count: u64, slice: Addr, shape: Shape) -> Option<Option<Page>> {
        let (start, bytes) = (segment + index * SLICE, count * SLICE);
        let block_bytes = shape.block_bytes(image, slice, bytes).ok()?;
        if block_bytes == 0 {
            return Some(None);
        }
        let first = shape.first_block(image, slice, start, block_bytes).ok()?;
        let (capacity, reserved) = (image.u32(slice + 10).ok()? & 0xffff, image.u32(slice + 12).ok()? & 0xffff);
        let used = shape.blocks_used(image, slice).ok()?;
        let room = (start + bytes).0.checked_sub(first.0)?;
        let fits = first >= start && block_bytes % 8 == 0 && u64::from(reserved).checked_mul(block_bytes)? <= room;
        if !fits || capacity > reserved || used > capacity {
            return None;
        }
        let list = |offset: u64| image.u64(slice + offset).ok();
        let lists = [list(16)?, list(shape.local_free())?, list(shape.thread_free())? & !3];
        let heap = image.addr(slice + shape.thread_free() + 8).ok()?;
        Some(Some(Page { start, bytes, first, block_bytes, capacity, reserved, used, heap, lists }))
    }

    /// Gives each block made; nothing where the lists do not fit the count. `free` is a map of bits, kept from page to page.
    pub(super) fn blocks(&self, image: &Image<'_>, delayed: &[u64], free: &mut Vec<u64>, visit: &mut impl FnMut(Block)) -> Option<()> {
        free.clear();
        free.resize(self.capacity.div_ceil(64) as usize, 0);
        let mut set = |block: u64| -> Option<()> {
            let behind = block.checked_sub(self.first.0)?;
            let number = behind / self.block_bytes;
            if behind % self.block_bytes != 0 || number >= u64::from(self.capacity) {
                return None;
            }
            let (word, bit) = (free.get_mut((number / 64) as usize)?, 1 << (number % 64));
            // A block that is there twice: a list that comes back to itself.
            if *word & bit != 0 {
                return None;
            }
            *word |= bit;
            Some(())
        };
        let (mut taken, [owned, local, theirs]) = (0, self.lists);
        for list in [owned, local] {
            taken += follow(image, list, &mut set)?;
        }
        if self.used + taken != self.capacity {
            return None;
        }
        follow(image, theirs, &mut set)?;
        let end = self.first.0.checked_add(u64::from(self.capacity) * self.block_bytes)?;
        let from = delayed.partition_point(|&block| block < self.first.0);
        for &block in delayed.get(from..).unwrap_or_default().iter().take_while(|&&block| block < end) {
            set(block)?;
        }
        for number in 0..u64::from(self.capacity) {
            let in_use = free.get((number / 64) as usize)? >> (number % 64) & 1 == 0;
            visit(Block { at: self.first + number * self.block_bytes, bytes: self.block_bytes, in_use });
        }
        Some(())
    }
}

/// Marks all blocks of a list and counts them. It ends: no block can be marked twice.
fn follow(image: &Image<'_>, mut block: u64, set: &mut impl FnMut(u64) -> Option<()>) -> Option<u32> {
    let mut count = 0;
    while block != 0 {
        set(block)?;
        count += 1;
        block = image.u64(Addr(block)).ok()?;
    }
    Some(count)
}
