//! What the cyclic collector says of itself: switches, thresholds, counts, what it has done so far.
//!
//! Holds: [`state`], the collector of one interpreter. Never: walks its lists (that is `capture`).
//! Sources: struct _gc_runtime_state in Include/internal/pycore_gc.h of 3.8 to 3.13, pycore_interp_structs.h of 3.14 and 3.15;
//! struct gc_stats of 3.15; Modules/gcmodule.c (3.13+: Python/gc.c), whose gc.get_stats() shows the last entry of each ring.

use memory::{Addr, Fault, Memory};

use crate::heap::Heap;
use crate::layout::Fields;

/// Bytes of a `gc_generation`: a list's head, then threshold and count, both ints.
const GENERATION: u64 = 24;
const THRESHOLD: u64 = 16;
const COUNT: u64 = 20;
/// Longest list in gc.garbage or gc.callbacks that is believed.
const LIST_MOST: i64 = 1 << 40;

/// One generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generation {
    /// `gc.get_threshold()`.
    pub threshold: i64,
    /// `gc.get_count()`.
    pub count: i64,
    /// `gc.get_stats()`: how often it was collected.
    pub collections: u64,
    /// Objects that these found.
    pub collected: u64,
    /// And could not free.
    pub uncollectable: u64,
}

/// One collector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// `gc.isenabled()`.
    pub enabled: bool,
    /// `gc.get_debug()`.
    pub debug: u32,
    /// It is at work.
    pub collecting: bool,
    /// The youngest first.
    pub generations: [Generation; 3],
    /// Objects that survived the last full collection, and those that came to the oldest generation since; the incremental collector
    /// counts neither.
    pub long_lived: Option<(u64, u64)>,
    /// `len(gc.garbage)`.
    pub garbage: u64,
    /// `len(gc.callbacks)`; `None` before somebody asks for them.
    pub callbacks: Option<u64>,
}

/// The collector of an interpreter (3.8: of the runtime).
///
/// # Errors
/// Its memory was not copied.
pub fn state(heap: &Heap<'_>, runtime: Addr, interpreter: Addr) -> Result<State, Fault> {
    let layout = heap.layout;
    let at = layout.gc_state(runtime, interpreter).ok_or(Fault::Null)?;
    let places = layout.collector_places();
    let image = heap.image;
    let mut generations = [Generation::default(); 3];
    for (n, generation) in generations.iter_mut().enumerate() {
        let head = at + layout.generations + GENERATION * n as u64;
        generation.threshold = i64::from(image.i32(head + THRESHOLD)?);
        generation.count = i64::from(image.i32(head + COUNT)?);
        let stats = match places.stats_rings {
            None => at + places.stats + STATS * n as u64,
            Some(rings) => ring_entry(heap, image.addr(at + places.stats)?, rings, n)?,
        };
        let word = |nth: u64| image.u64(stats + places.collections + 8 * nth);
        (generation.collections, generation.collected, generation.uncollectable) = (word(0)?, word(1)?, word(2)?);
    }
    let length = |list: Addr| -> Result<u64, Fault> {
        Ok(image.i64(list + Fields::OB_SIZE).map(|n| u64::try_from(n.clamp(0, LIST_MOST)).unwrap_or(0)).unwrap_or(0))
    };
    let callbacks = image.addr(at + layout.at.gc.callbacks)?;
    Ok(State {
        enabled: image.i32(at + layout.at.gc.enabled)? != 0,
        debug: image.i32(at + places.debug)? as u32,
        collecting: image.i32(at + layout.at.gc.collecting)? != 0,
        generations,
        long_lived: match places.long_lived {
            Some(total) => Some((image.u64(at + total)?, image.u64(at + total + 8)?)),
            None => None,
        },
        garbage: length(image.addr(at + layout.at.gc.garbage)?)?,
        callbacks: if callbacks.is_null() { None } else { Some(length(callbacks)?) },
    })
}

/// Bytes of the statistics of one generation where they stand in the state.
const STATS: u64 = 24;

/// How the statistics of 3.15 are kept: the last entries of each generation in a ring, with the place of the newest behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rings {
    /// Bytes of an entry.
    pub entry: u64,
    /// Entries for the youngest generation.
    pub young: u64,
    /// Entries for each of the others.
    pub old: u64,
}

fn ring_entry(heap: &Heap<'_>, stats: Addr, rings: Rings, generation: usize) -> Result<Addr, Fault> {
    // The index is an int8 and takes a word with what aligns the next ring.
    let bytes = |entries: u64| entries * rings.entry + 8;
    let (ring, entries) = match generation {
        0 => (stats, rings.young),
        n => (stats + bytes(rings.young) + bytes(rings.old) * (n as u64 - 1), rings.old),
    };
    let newest = u64::from(heap.image.u8(ring + entries * rings.entry)?);
    Ok(ring + newest.min(entries.saturating_sub(1)) * rings.entry)
}
