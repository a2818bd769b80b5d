//! One type of the target and the sums over its instances.

use memory::{Addr, Bytes};

/// A type and its instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    /// As Python people write it: `dict`, `str`, and else with the module: `collections.deque`, `app.models.Session`.
    /// Two classes may have one name. The text comes from the target: it is escaped where it is shown, not here.
    pub name: String,
    /// Address of the type object.
    pub address: Addr,
    /// Instances found.
    pub count: u64,
    /// What `sys.getsizeof` would say of them, summed.
    pub own_bytes: Bytes,
    /// What the allocators spend for them, summed.
    pub footprint_bytes: Bytes,
    /// How their sizes and references are known.
    pub known: Known,
}

/// How a size and the references beneath it are known. Ordered from best to worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Known {
    /// By a decoder for this very type.
    #[default]
    Exact,
    /// By object's own rule, though the type overrides `__sizeof__` and may say something else.
    Derived,
    /// By its slots and member descriptors, and by a bounded scan of its body.
    Scanned,
}

impl Known {
    /// The word of the JSON and of the tables.
    pub fn word(self) -> &'static str {
        match self {
            Known::Exact => "exact",
            Known::Derived => "derived",
            Known::Scanned => "scanned",
        }
    }
}
