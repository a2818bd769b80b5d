//! The rows of the catalogue, by area. Adding a type whose fields say all is one row here.

use super::catalogue::{Basic, Kind, Row};

mod asyncio;
mod core;
mod ctypes;
mod cython;
mod exceptions;
mod formats;
mod io;
mod iterators;
mod numbers;
mod numpy;
mod stdlib;
mod threads;

/// Every row. Of two rows for one name the later counts, where the layout has its struct.
pub(super) fn all() -> impl Iterator<Item = &'static Row> {
    core::ROWS
        .iter()
        .chain(exceptions::ROWS)
        .chain(iterators::ROWS)
        .chain(stdlib::ROWS)
        .chain(io::ROWS)
        .chain(numbers::ROWS)
        .chain(numpy::ROWS)
        .chain(formats::ROWS)
        .chain(threads::ROWS)
        .chain(asyncio::ROWS)
        .chain(ctypes::ROWS)
        .chain(cython::ROWS)
}

/// A type whose fields say all.
const fn plain(names: &'static [&'static str], structure: &'static str, fields: &'static str) -> Row {
    Row { names, structure, kind: Kind::Plain, fields, arrays: "", blocks: "", extra: "", basic: Basic::Size }
}

/// A type with blocks of its own.
const fn owning(names: &'static [&'static str], structure: &'static str, fields: &'static str, blocks: &'static str) -> Row {
    Row { names, structure, kind: Kind::Plain, fields, arrays: "", blocks, extra: "", basic: Basic::Size }
}

/// A type with code of its own.
const fn coded(names: &'static [&'static str], structure: &'static str, kind: Kind, fields: &'static str, basic: Basic) -> Row {
    Row { names, structure, kind, fields, arrays: "", blocks: "", extra: "", basic }
}
