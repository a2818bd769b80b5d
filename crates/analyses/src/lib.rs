//! One file per question, each a pure function from a snapshot to numbers.
//!
//! Holds: [`types`] (what there is most of), [`objects`] (which ones), [`object`] (what one is and who holds it), [`ownership`] (what would
//! go if an object went), [`retained`] (the owners), [`cycles`] (reference cycles by shape), [`slots`] (classes that slots
//! would make smaller) and [`containers`] (what data structures waste).
//! Never does: IO, printing, formatting; nothing here can reach a process. Same snapshot, same options, same answer.

#![forbid(unsafe_code)]

pub mod accumulation;
pub mod calls;
pub mod containers;
pub mod cycles;
pub mod diff;
pub mod explain;
pub mod finalizers;
pub mod finding;
pub mod gc;
pub mod grouped;
pub mod growth;
pub mod imports;
pub mod ledger;
pub mod named;
mod naming;
mod object;
mod objects;
mod overlap;
pub mod ownership;
pub mod path;
pub mod place;
pub mod refcounts;
pub mod retained;
pub mod scale;
pub mod sizes;
pub mod slots;
#[cfg(test)]
mod testing;
mod together;
pub mod tree;
mod types;
pub mod weakrefs;

pub use naming::{Names, Step};
pub use object::{object, Account, ObjectView};
pub use objects::{objects, similar_types, Listing};
pub use together::Together;
pub use types::{types, Rest, TypeRow, TypeTable};

/// What a list is sorted by; ties fall back to what does not change from run to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// What the allocators spend, biggest first.
    #[default]
    Footprint,
    /// What `sys.getsizeof` says, biggest first.
    Own,
    /// Instances of a type, references to an object; most first.
    Count,
    /// The type's name, by code point.
    Name,
}
