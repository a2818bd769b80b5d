//! The rows of the catalogue, by area. Adding a type whose fields say all is one row here.

use super::catalogue::{Basic, Kind, Row};

mod core;
mod exceptions;
mod iterators;
mod stdlib;

/// Every row.
pub(super) fn all() -> impl Iterator<Item = &'static Row> {
    core::ROWS.iter().chain(exceptions::ROWS).chain(iterators::ROWS).chain(stdlib::ROWS)
}

/// A type whose fields say all.
const fn plain(names: &'static [&'static str], structure: &'static str, fields: &'static str) -> Row {
    Row { names, structure, kind: Kind::Plain, fields, extra: "", basic: Basic::Size }
}

/// A type with code of its own.
const fn coded(names: &'static [&'static str], structure: &'static str, kind: Kind, fields: &'static str, basic: Basic) -> Row {
    Row { names, structure, kind, fields, extra: "", basic }
}
