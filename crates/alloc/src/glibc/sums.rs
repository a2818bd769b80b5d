//! The sums that malloc gives itself.
//!
//! Holds: [`Sums`] of an arena, [`Totals`] of all. Never does: walk; they come from the free lists, as glibc's own do.
//! Source: `int_mallinfo` and `__malloc_info` in `malloc/malloc.c`.

use super::arena::Arena;
use super::Malloc;

/// What `mallinfo2` and `malloc_info` count for one arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Bytes from the kernel.
    pub arena: u64,
    /// Chunks in bins, and one for the top.
    pub ordblks: u64,
    /// Chunks in fastbins.
    pub smblks: u64,
    /// Their bytes.
    pub fsmblks: u64,
    /// Bytes not free. What threads' caches hold counts among them.
    pub uordblks: u64,
    /// Bytes free: bins, fastbins, top.
    pub fordblks: u64,
    /// Bytes of the top.
    pub keepcost: u64,
    /// Bytes in bins and in the top as `malloc_info` prints them (`rest`): it adds the flag bits of each size in a bin.
    pub rest_printed: u64,
}

impl Sums {
    pub(super) fn of(arena: &Arena) -> Sums {
        let binned: u64 = arena.lists.binned.iter().map(|&(_, size)| size).sum();
        let fsmblks = arena.lists.fast.iter().map(|&(_, size)| size).sum();
        // Lists are checked against their heaps; the top's size is what its header says.
        let fordblks = arena.top_bytes.saturating_add(binned + fsmblks);
        Sums {
            arena: arena.system_mem,
            ordblks: arena.lists.binned.len() as u64 + 1,
            smblks: arena.lists.fast.len() as u64,
            fsmblks,
            uordblks: arena.system_mem.wrapping_sub(fordblks),
            fordblks,
            keepcost: arena.top_bytes,
            rest_printed: arena.top_bytes.saturating_add(binned + arena.lists.flag_bits),
        }
    }
}

/// What `mallinfo2` says: all arenas together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The arenas' sums; `keepcost` is the main arena's.
    pub arenas: Sums,
    /// Chunks with a mapping of their own, where `mp_` was found.
    pub hblks: Option<u64>,
    /// Their bytes.
    pub hblkhd: Option<u64>,
}

impl Totals {
    pub(super) fn of(malloc: &Malloc) -> Totals {
        let mut all = Sums::default();
        for sums in malloc.arenas.iter().map(Arena::sums) {
            all.arena = all.arena.saturating_add(sums.arena);
            all.ordblks += sums.ordblks;
            all.smblks += sums.smblks;
            all.fsmblks += sums.fsmblks;
            all.uordblks = all.uordblks.wrapping_add(sums.uordblks);
            all.fordblks = all.fordblks.saturating_add(sums.fordblks);
            all.rest_printed = all.rest_printed.saturating_add(sums.rest_printed);
        }
        all.keepcost = malloc.arenas.first().map_or(0, |main| main.top_bytes);
        let parameters = malloc.parameters.as_ref();
        Totals { arenas: all, hblks: parameters.map(|p| p.mmapped_chunks), hblkhd: parameters.map(|p| p.mmapped_bytes) }
    }
}
