//! Where the fields of `struct malloc_state` are.
//!
//! Source: `struct malloc_state` in `malloc/malloc.c`. From 2.27 to 2.42 it has ten heads of fastbins before `top`, since 2.43 none. After
//! them it is the same: `top`, `last_remainder`, 127 bins of two words, `binmap`, `next`, `next_free`, `attached_threads`, `system_mem`.

use memory::{Addr, Fault, Image, Memory};

/// Number of bins that have a list: bin 1 (unsorted) to bin 127.
pub(super) const BINS: u64 = 127;
/// Number of fastbins.
pub(super) const FASTBINS: u64 = 10;

/// Which releases' fields an arena has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// With fastbins: glibc 2.27 to 2.42.
    Fastbins,
    /// Without: glibc 2.43.
    NoFastbins,
}

impl Shape {
    /// Both, the older first.
    pub(super) const ALL: [Shape; 2] = [Shape::Fastbins, Shape::NoFastbins];

    /// Offset of the first bin's `fd`.
    pub(super) fn bins(self) -> u64 {
        match self {
            Shape::Fastbins => 112,
            Shape::NoFastbins => 24,
        }
    }

    /// Offset of the heads of fastbins.
    pub(super) fn fastbins(self) -> Option<u64> {
        (self == Shape::Fastbins).then_some(16)
    }

    /// Offset of `top`: before `last_remainder` and the bins.
    pub(super) fn top(self) -> u64 {
        self.bins() - 16
    }

    /// Offset of `next`: after the bins and 16 bytes of `binmap`.
    pub(super) fn next(self) -> u64 {
        self.bins() + BINS * 16 + 16
    }

    /// Offset of `attached_threads`.
    pub(super) fn attached_threads(self) -> u64 {
        self.next() + 16
    }

    /// `sizeof(struct malloc_state)`.
    pub(super) fn bytes(self) -> u64 {
        self.next() + 40
    }

    /// `system_mem` of the arena at `arena`.
    pub(super) fn system_mem(self, image: &Image<'_>, arena: Addr) -> Result<u64, Fault> {
        image.u64(arena + self.next() + 24)
    }

    /// `max_system_mem` of the arena at `arena`.
    pub(super) fn max_system_mem(self, image: &Image<'_>, arena: Addr) -> Result<u64, Fault> {
        image.u64(arena + self.next() + 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_as_debug_information_has_them() {
        // From the DWARF of Debian's libc6-dbg 2.36 and 2.43.
        let (old, new) = (Shape::Fastbins, Shape::NoFastbins);
        assert_eq!((old.top(), old.bins(), old.next(), old.attached_threads(), old.bytes()), (96, 112, 2160, 2176, 2200));
        assert_eq!((new.top(), new.bins(), new.next(), new.attached_threads(), new.bytes()), (8, 24, 2072, 2088, 2112));
    }
}
