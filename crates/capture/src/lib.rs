//! The join: the collector's lists, references from roots, and the allocator's blocks, which check each other.
//!
//! Holds: [`World`] (a proved target with its arenas), [`Reached`] (every object of it) and [`capture`], which makes
//! the [`Snapshot`], or [`capture_into`], which writes it while it is made.
//! Never: IO, stops, printing.

#![forbid(unsafe_code)]

mod arenas;
mod blocks;
mod briefs;
mod chunk;
mod edges;
mod everything;
mod facts;
mod fingerprint;
mod forked;
mod gather;
mod ids;
mod inspect;
mod labels;
mod ledger;
mod outside;
mod reach;
mod rooted;
mod sweep;
mod tally;
mod worker;
mod world;

pub use cpython::layout::proof::Moment;
use cpython::LayoutError;
use memory::{Addr, Image, Mapping, Module, Residency};
use snapshot::file::{Draft, FileError};
use snapshot::Snapshot;

pub use fingerprint::FingerprintKey;
pub use forked::{forked, Kin, Relative};
pub use reach::{Keep, Reached, Witness};
pub use world::{prove, World};

/// What a look at a process gave.
#[derive(Clone, Copy)]
pub struct Source<'m> {
    /// The copied memory.
    pub image: &'m Image<'m>,
    /// The mapped file that holds the interpreter.
    pub python: &'m Module,
    /// What was mapped at the stop.
    pub mappings: &'m [Mapping],
    /// The layout tables to choose from.
    pub tables: &'m [cpython::layout::Table],
    /// Whether the bytes are of one moment.
    pub moment: Moment,
    /// What of it was in memory, where a ledger is asked for.
    pub residency: Option<&'m Residency>,
}

/// The part of the resident set from which on sparse arenas are worth a look at who owns what is in them: a fiftieth.
const PINNED_WORTH: u64 = 50;

/// How much of what was found the snapshot keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detail {
    /// Sums per type.
    Types,
    /// That, and where the resident memory is; with references where few objects keep much of it.
    Ledger,
    /// Every object.
    Objects,
    /// Every object with its references.
    Graph,
    /// That, and what is known of objects instead of their values, with fingerprints by this key.
    Facts(FingerprintKey),
    /// One object with its references.
    Object {
        /// Which.
        address: Addr,
        /// Contents of strings, numbers and keys may be shown.
        values: bool,
    },
}

/// Why no snapshot could be made of a copy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// The build or its state.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// No object stands at the address asked for.
    #[error("no object at {0}")]
    NoObject(Addr),
    /// What was found could not be written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Finds every object of a frozen target and makes the snapshot; facts about the process itself (`pid`, pause …) are the
/// caller's to fill in.
///
/// # Errors
/// A build that cannot be proved, an interpreter that is not ready, an address at which no object stands.
pub fn capture(source: Source<'_>, detail: Detail) -> Result<Snapshot, CaptureError> {
    let proved = prove(source)?;
    let world = World::open(source, &proved);
    let keep = match detail {
        Detail::Types => Keep::Sums,
        Detail::Ledger => Keep::All,
        Detail::Object { .. } => Keep::Lists,
        Detail::Objects => Keep::Rows,
        Detail::Graph | Detail::Facts(_) => Keep::All,
    };
    let mut reached = Reached::all(&world, keep);
    let mut snapshot = reached.snapshot();
    snapshot.ledger = source.residency.map(|residency| ledger::ledger(&mut reached, residency));
    if let Detail::Object { address, values } = detail {
        snapshot.inspected = Some(inspect::inspect(&reached, address, values).ok_or(CaptureError::NoObject(address))?);
    }
    // Who owns what keeps arenas alive is asked only where that is worth the time.
    let pinned = snapshot.ledger.as_ref().is_some_and(|l| l.sparse_bytes * PINNED_WORTH >= l.rss_bytes);
    let key = if let Detail::Facts(key) = detail { Some(key) } else { None };
    if detail == Detail::Graph || key.is_some() || (detail == Detail::Ledger && pinned) {
        let whole = everything::graph(&mut reached, key, &mut snapshot.coverage)?;
        (snapshot.objects, snapshot.graph) = (Some(whole.objects), Some(whole.graph));
        (snapshot.details, snapshot.facts) = (Some(whole.details), whole.facts);
    }
    Ok(snapshot)
}

/// Finds every object and writes it into `draft` with its references; gives what the rest of the file is made of. With
/// `values`, contents of strings, numbers and keys are kept too; `key` is what their fingerprints are made with.
///
/// # Errors
/// As [`capture`]; or the draft cannot be written.
pub fn capture_into(source: Source<'_>, values: bool, key: FingerprintKey, draft: &mut Draft) -> Result<Snapshot, CaptureError> {
    let proved = prove(source)?;
    let world = World::open(source, &proved);
    let mut reached = Reached::all(&world, Keep::All);
    let mut snapshot = reached.snapshot();
    snapshot.ledger = source.residency.map(|residency| ledger::ledger(&mut reached, residency));
    snapshot.details = Some(everything::everything(&mut reached, values, key, &mut snapshot.coverage, draft)?);
    Ok(snapshot)
}
