//! What the cyclic collector of an interpreter says of itself.
//!
//! Holds: [`CollectorState`], numbers only; kept in a folder as one JSON object of the table `meta`. Never: which objects are on its lists
//! (that is a column of [`Objects`](crate::Objects)).

use serde::{Deserialize, Serialize};

/// One generation, as `gc.get_threshold()`, `gc.get_count()` and `gc.get_stats()` show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// From how many on it is collected: 0 for never.
    pub threshold: i64,
    /// What counts towards that now.
    pub count: i64,
    /// How often it was collected.
    pub collections: u64,
    /// Objects that these found.
    pub collected: u64,
    /// And could not free.
    pub uncollectable: u64,
}

/// The collector of one interpreter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectorState {
    /// The interpreter's number; the main one is 0.
    pub interpreter: u32,
    /// `gc.isenabled()`.
    pub enabled: bool,
    /// `gc.get_debug()`.
    pub debug: u32,
    /// It was at work.
    pub collecting: bool,
    /// It is the incremental one of 3.14.0 to 3.14.4.
    pub incremental: bool,
    /// The youngest first.
    pub generations: [Generation; 3],
    /// Objects that the last full collection left, and those that came to the oldest generation since.
    pub long_lived: Option<(u64, u64)>,
    /// `len(gc.garbage)`.
    pub garbage: u64,
    /// `len(gc.callbacks)`, where there is such a list yet.
    pub callbacks: Option<u64>,
    /// A full collection untracks dicts that hold nothing that it tracks.
    pub untracks_dicts: bool,
    /// Closing a generator that has not begun leaves its frame as it is.
    pub unbegun_generators_keep_frame: bool,
}
