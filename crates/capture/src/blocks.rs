//! What a block outside the arenas takes, by the allocator that it is of.

use alloc::mimalloc::Mimalloc;
use alloc::{malloc, other};
use memory::{Addr, Image, Mapping, Memory};

/// The allocators outside pymalloc's arenas.
pub(crate) struct Blocks {
    /// CPython's own, where it is in use.
    mimalloc: Option<Mimalloc>,
    /// Another one stands in for glibc's: its blocks have no header that could be read.
    is_other: bool,
}

impl Blocks {
    pub(crate) fn find(image: &Image<'_>, mappings: &[Mapping]) -> Blocks {
        Blocks { mimalloc: Mimalloc::find(image, mappings).ok(), is_other: other::name(mappings).is_some() }
    }

    /// CPython's own mimalloc.
    pub(crate) fn mimalloc(&self) -> Option<&Mimalloc> {
        self.mimalloc.as_ref()
    }

    /// What the block at `at` takes, for which `request` bytes were asked, as its allocator says; `None` where it cannot say.
    pub(crate) fn bytes(&self, image: &Image<'_>, at: Addr, request: u64) -> Option<u64> {
        if let Some(bytes) = self.mimalloc.as_ref().and_then(|m| m.block_bytes(at)) {
            return Some(bytes);
        }
        if self.is_other {
            return None;
        }
        malloc::chunk_size(image.u64(at - 8).ok()?, request)
    }

    /// The least that it can take.
    pub(crate) fn least(&self, at: Addr, request: u64) -> u64 {
        let is_glibc = !self.is_other && self.mimalloc.as_ref().and_then(|m| m.block_bytes(at)).is_none();
        if is_glibc {
            malloc::chunk_bytes(request)
        } else {
            memory::rounded_up(request.max(1), 16)
        }
    }
}
