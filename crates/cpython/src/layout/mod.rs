//! Which build the target runs and where each field is. The only home of versions.
//!
//! Holds: [`Table`]s (numbers), [`Rules`] (meanings), [`Layout`] (both, with the hot fields resolved) and the proof
//! that a layout fits a target.
//! Never: a layout accepted by its version number alone.

mod care;
mod collector;
mod fields;
mod incremental;
pub mod proof;
pub mod rules;
mod shapes;
mod table;

use memory::Addr;

pub use collector::Places;
pub use fields::*;
pub use rules::Rules;
pub use table::{Release, Table};

/// Why no layout can be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A table of ours is not well formed.
    #[error("layout table {table} is malformed at line {line}")]
    BadTable {
        /// Its name.
        table: String,
        /// Its line, from 1; 0 where the whole is meant.
        line: usize,
    },
    /// A table of ours lacks a field that the series must have.
    #[error("layout table {table} has no {name}.{field}")]
    MissingField {
        /// Its name.
        table: String,
        /// The struct.
        name: &'static str,
        /// The field.
        field: &'static str,
    },
    /// The target says a version that no table is for.
    #[error("CPython {found} is not supported")]
    Unsupported {
        /// What it said.
        found: String,
    },
    /// A free-threaded build (`Py_GIL_DISABLED`).
    #[error("CPython {found} is a free-threaded build")]
    FreeThreaded {
        /// Release or series.
        found: String,
    },
    /// A debug build (`Py_DEBUG`), whose objects carry more words.
    #[error("CPython {found} is a debug build")]
    DebugBuild {
        /// Release or series.
        found: String,
    },
    /// The runtime is there, but no interpreter in it.
    #[error("the interpreter is not initialised yet")]
    NotInitialised,
    /// The runtime is being torn down.
    #[error("the interpreter is finalizing")]
    Finalizing,
    /// No symbol gives the runtime's address.
    #[error("no _PyRuntime in {path}")]
    NoRuntime {
        /// The module that was searched.
        path: String,
    },
    /// Every candidate failed its proof.
    #[error("no known layout fits this build of CPython {release}")]
    Unproved {
        /// What the target says it is.
        release: String,
        /// Per candidate: its name and the first check that failed.
        tried: Vec<(String, String)>,
    },
    /// Two candidates that disagree both passed.
    #[error("two layouts that disagree fit this build of CPython {release}: {first} and {second}")]
    Ambiguous {
        /// What the target says it is.
        release: String,
        /// One.
        first: String,
        /// The other.
        second: String,
    },
}

/// How the layout is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proof {
    /// The table was made from this very release, and the structure agrees.
    ExactRelease,
    /// The table was made from another release of the series; the structure agrees.
    Structure,
}

/// A proved layout: numbers, meanings, and how both are known.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The target's release.
    pub release: Release,
    /// The table in use.
    pub table: Table,
    /// How it was proved.
    pub proof: Proof,
    /// Meanings.
    pub rules: Rules,
    /// Hot fields of objects, resolved.
    pub at: Fields,
    /// Interpreter frames, where frames are not objects.
    pub iframe: Option<InterpreterFrame>,
    /// The collector is the incremental one: its lists are young, two of old ones, and the permanent one.
    pub incremental: bool,
    /// `gc.generations` within the collector's state: distributors pack it differently (Debian's 3.13).
    pub generations: u64,
}

impl Layout {
    /// Resolves `table` for `release`; proves nothing.
    pub fn new(release: Release, table: Table) -> Result<Layout, LayoutError> {
        let rules = Rules::of(release).ok_or(LayoutError::Unsupported { found: release.to_string() })?;
        let at = Fields::read(&table)?;
        let iframe = InterpreterFrame::read(&table)?;
        let incremental = incremental::is(&table);
        let proof = if table.release == release && !incremental { Proof::ExactRelease } else { Proof::Structure };
        let generations = table.need("_gc_runtime_state", "generations")?;
        Ok(Layout { release, table, proof, rules, at, iframe, incremental, generations })
    }

    /// `proved by structure, table from 3.12.1`.
    pub fn how_known(&self) -> String {
        match self.proof {
            Proof::ExactRelease => format!("table from {} itself, proved by structure", self.table.name),
            Proof::Structure => format!("proved by structure, table from {}", self.table.name),
        }
    }

    /// The collector's lists, each with the number of the generation that it is: 3 is the permanent one. The incremental collector calls
    /// its young objects generation 0 and all old ones generation 2 (`gc.get_objects`).
    pub fn collector_lists(&self, runtime: Addr, interpreter: Addr) -> Option<[(u8, Addr); 4]> {
        let state = self.gc_state(runtime, interpreter)?;
        let first = state + self.generations;
        let middle = if self.incremental { 2 } else { 1 };
        Some([(0, first), (middle, first + 24), (2, first + 48), (3, state + self.at.gc.permanent_generation)])
    }

    /// The address of the collector's state of an interpreter (3.8: of the runtime).
    pub fn gc_state(&self, runtime: Addr, interpreter: Addr) -> Option<Addr> {
        match self.table.offset("_is", "gc") {
            Some(o) => Some(interpreter + o),
            None => Some(runtime + self.table.offset("pyruntimestate", "gc")?),
        }
    }
}

/// All tables that are checked in, newest last.
pub fn tables() -> Result<Vec<Table>, LayoutError> {
    TABLES.iter().map(|(name, text)| Table::parse(name, text)).collect()
}

macro_rules! tables {
    ($($name:literal),* $(,)?) => {
        const TABLES: &[(&str, &str)] = &[$(($name, include_str!(concat!("tables/", $name, ".txt")))),*];
    };
}

tables![
    "3.8.18",
    "3.9.2-debian",
    "3.9.18",
    "3.10.13",
    "3.11.2-debian",
    "3.11.7",
    "3.12.1",
    "3.13.0",
    "3.13.5-debian",
    "3.13.18-debian",
    "3.14.10-debian",
    "3.15.2-debian"
];
