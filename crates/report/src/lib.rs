//! Tables for people, JSON for programs: the same numbers in the same words.
//!
//! Holds: for each command one file with the same two functions, `table` and `json`, which write to a [`Write`]; the
//! words and widths that they share. Only this crate knows JSON.
//! Never does: printing (the command owns stdout), analysis, reading of a target. Text that came from a target is
//! escaped before it can reach a terminal.
//!
//! [`Write`]: std::io::Write

#![forbid(unsafe_code)]

mod again;
pub mod children;
pub mod compare;
pub mod containers;
pub mod cycles;
pub mod diff;
pub mod doctor;
pub mod explain;
pub mod finalizers;
pub mod gc;
mod head;
pub mod imports;
mod json;
pub mod ledger;
pub mod object;
pub mod objects;
pub mod path;
pub mod processes;
pub mod refcounts;
pub mod retained;
pub mod saved;
pub mod scale;
pub mod sizes;
pub mod slots;
mod table;
pub mod text;
pub mod tree;
pub mod types;
pub mod types_tree;
pub mod weakrefs;

pub use again::Again;

/// How a table is shown.
#[derive(Clone, Debug, Default)]
pub struct Style {
    /// Columns of the terminal; `None` where there is none and nothing needs to be shortened.
    pub width: Option<usize>,
    /// Whether escape sequences for bold and colour may be written.
    pub color: bool,
    /// How the user named the target, for the line that says what to do next.
    pub again: Again,
}
