//! The frozen value between capture and analyses.
//!
//! Holds: one [`Snapshot`]: what was looked at and how ([`Target`]), what could and could not be read ([`Coverage`]),
//! the types with their sums, and, where they were asked for, every object ([`Objects`]) or one of them
//! ([`Inspected`]); and a [`Diagnosis`], what `doctor` finds. Left of it are time, races and rights; right of it are pure functions.
//! [`file`] is its open format on the disk.
//! Never does: reading of a target, printing, JSON; no IO but that of `file`.

#![forbid(unsafe_code)]

mod collector;
mod column;
mod coverage;
mod details;
mod diagnosis;
mod facts;
pub mod file;
mod forked;
mod graph;
mod inspected;
mod known;
mod ledger;
mod objects;
mod target;
mod types;

pub use collector::{CollectorState, Generation};
pub use column::{Column, LabelPlaces, Number};
pub use coverage::{Coverage, Gap, GapKind};
pub use details::{
    BoundRow, CallRow, ClassRow, CodeRow, Content, Details, Finalizer, FrameRow, Inside, LinkKind, LinkLabel, ModuleRow, RegionRow,
    RootLink, RootPlace, TaskRow, ThreadRow, WeakRow,
};
pub use diagnosis::{Check, Diagnosis, Outlook, Python, PythonProcess, Room, Subject, Verdict};
pub use facts::{Attributes, Facts, Form, KeyNote, Shape};
pub use forked::{Forked, Sibling, Write, Written};
pub use graph::{Graph, Link};
pub use inspected::{Brief, Holder, Inspected, Label, Reference, References, Unit};
pub use known::{Hashes, KnownFacts, Numbers, Sparse, Store};
pub use ledger::{Ledger, MallocArena, Part, Pin, Pymalloc, Share};
pub use objects::{Collector, Found, Object, Objects, State};
pub use target::{Mode, Moment, Target};
pub use types::{Known, Type};

/// What one look at a process gave. Nothing in it changes afterwards, and nothing in it leads back to the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// What was looked at, when and how.
    pub target: Target,
    /// How much of the heap was read, how each byte is known, what is missing.
    pub coverage: Coverage,
    /// Every type that has an instance, in no promised order; [`Objects`] refers to them by index.
    pub types: Vec<Type>,
    /// Every object, when the question needs them one by one.
    pub objects: Option<Objects>,
    /// Every reference between objects, when the question is who holds what.
    pub graph: Option<Graph>,
    /// What is known of objects instead of their values, when that is asked.
    pub facts: Option<KnownFacts>,
    /// Where the resident memory is, when that is asked.
    pub ledger: Option<Ledger>,
    /// One object with its references, when the question is about one.
    pub inspected: Option<Inspected>,
    /// All else that a file keeps, when one is to be written.
    pub details: Option<Details>,
}
