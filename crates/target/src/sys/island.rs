//! Address space of ours that a stretch of the target's address space is copied into.
//!
//! Holds: [`Island`]: reserved, opened for writing where the target has something, populated before the stop, read after it.
//! Never does: read the target (that is `bulk`), choose what to copy (that is `plan`).
//! Sources: mmap(2), madvise(2): MADV_HUGEPAGE, MADV_POPULATE_WRITE (Linux 5.14).

use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::libc::c_void;
use nix::sys::mman::{madvise, mmap_anonymous, mprotect, munmap, MapFlags, MmapAdvise, ProtFlags};

use crate::pagemap::PAGE;

/// Bytes of a huge page on x86-64.
pub(crate) const HUGE: u64 = 2 << 20;

/// A reserved stretch: target address `start + n` lies at our address `base + n`. Never written bytes read as zeros,
/// as never touched anonymous pages of the target do.
#[derive(Debug)]
pub(crate) struct Island {
    base: NonNull<c_void>,
    start: u64,
    length: usize,
    /// How much was mapped, from `base − front`, so that `base` could be aligned.
    front: usize,
    mapped: usize,
}

// SAFETY: an island owns its mapping; writes go through `window`, whose callers split it into parts that do not overlap.
unsafe impl Send for Island {}
// SAFETY: as above; shared access reads only.
unsafe impl Sync for Island {}

impl Island {
    /// Reserves room for the target's `start..end`, both multiples of a page. Nothing can be read or written yet.
    pub(crate) fn reserve(start: u64, end: u64) -> io::Result<Island> {
        let length = usize::try_from(end.saturating_sub(start)).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let mapped = length.checked_add(HUGE as usize).and_then(NonZeroUsize::new).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: a new private mapping at an address of the kernel's choice replaces nothing.
        let first = unsafe { mmap_anonymous(None, mapped, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE) }?;
        // Huge pages need our address and the target's to be congruent, so that what lies in one there lies in one here.
        let front = (start.wrapping_sub(first.as_ptr() as u64) % HUGE) as usize;
        // SAFETY: front < HUGE, and HUGE more than `length` were mapped.
        let base = unsafe { first.byte_add(front) };
        Ok(Island { base, start, length, front, mapped: mapped.get() })
    }

    /// Whether the whole of `start..end` lies in here.
    pub(crate) fn covers(&self, start: u64, end: u64) -> bool {
        start >= self.start && start <= end && end <= self.start + self.length as u64
    }

    /// Makes `start..end` readable and writable, rounded out to pages.
    pub(crate) fn open(&self, start: u64, end: u64) -> io::Result<()> {
        let (at, length) = self.span(start, end)?;
        // SAFETY: the span lies within our own mapping.
        Ok(unsafe { mprotect(at, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE) }?)
    }

    /// Asks for huge pages in `start..end`. A hint: where they are switched off nothing changes.
    pub(crate) fn prefer_huge(&self, start: u64, end: u64) {
        if let Ok((at, length)) = self.span(start, end) {
            // SAFETY: the span lies within our own mapping, and the advice changes no contents.
            let _ = unsafe { madvise(at, length, MmapAdvise::MADV_HUGEPAGE) };
        }
    }

    /// Gives every page of `start..end` memory now, so that the copy does not have to in the stop.
    pub(crate) fn populate(&self, start: u64, end: u64) {
        let Ok((at, length)) = self.span(start, end) else { return };
        // SAFETY: the span lies within our own mapping, and the advice changes no contents.
        if unsafe { libc::madvise(at.as_ptr(), length, libc::MADV_POPULATE_WRITE) } == 0 || Errno::last() != Errno::EINVAL {
            return;
        }
        // Before Linux 5.14: touch each page. Reading back what is written keeps the contents.
        for offset in (0..length).step_by(PAGE as usize) {
            // SAFETY: the byte lies within the span, which `open` made writable, and nobody else uses it yet.
            unsafe {
                let byte = at.as_ptr().cast::<u8>().add(offset);
                byte.write_volatile(byte.read_volatile());
            }
        }
    }

    /// Our address for the target's `start..end`, for a bulk read into it.
    pub(crate) fn window(&self, start: u64, end: u64) -> io::Result<(*mut c_void, usize)> {
        self.span(start, end).map(|(at, length)| (at.as_ptr(), length))
    }

    /// The bytes of the target's `start..end`; the range must have been opened.
    pub(crate) fn bytes(&self, start: u64, end: u64) -> &[u8] {
        match self.span(start, end) {
            // SAFETY: the span lies within our own mapping, is initialised (zeros or copied bytes), was opened for reading
            // by whoever planned it, and is no longer written once a Taken hands out borrows.
            Ok((at, length)) => unsafe { std::slice::from_raw_parts(at.as_ptr().cast::<u8>(), length) },
            Err(_) => &[],
        }
    }

    fn span(&self, start: u64, end: u64) -> io::Result<(NonNull<c_void>, usize)> {
        if !self.covers(start, end) {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        // SAFETY: `start` lies within the island, so the offset stays within our mapping.
        let at = unsafe { self.base.byte_add((start - self.start) as usize) };
        Ok((at, (end - start) as usize))
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours alone, and no borrow outlives the island. `front` leads back to its first byte.
        unsafe {
            let first = self.base.byte_sub(self.front);
            let _ = munmap(first, self.mapped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn congruent_zeroed_and_bounded() {
        let start = 0x7f12_3456_7000;
        let island = Island::reserve(start, start + 5 * HUGE).unwrap();
        let (at, _) = island.window(start, start + PAGE).unwrap();
        assert_eq!(at as u64 % HUGE, start % HUGE);
        island.open(start + PAGE, start + 3 * HUGE).unwrap();
        island.prefer_huge(start + PAGE, start + 3 * HUGE);
        island.populate(start + PAGE, start + HUGE);
        assert!(island.bytes(start + PAGE, start + 3 * HUGE).iter().all(|&b| b == 0));
        assert!(island.window(start - PAGE, start).is_err());
        assert!(island.window(start + 5 * HUGE, start + 5 * HUGE + PAGE).is_err());
        assert!(island.bytes(start, start + 6 * HUGE).is_empty());
    }
}
