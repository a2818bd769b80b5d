//! The file format: open columnar tables (Parquet) in one folder, and a list of checksums that is written last.
//!
//! Holds: the [`TABLES`] with every column and its meaning, the [`Draft`] that is written while objects
//! are found, and the [`Reader`].
//! Never: a way back to a process; trust in a file's numbers: every count is checked before memory is asked for.
//! Sources: docs/snapshot-format.md, which a test compares with [`TABLES`]; the Parquet format's own specification.

mod chunks;
mod decode;
mod draft;
mod encode;
mod error;
mod graph;
mod inspect;
mod known;
mod manifest;
mod meta;
mod out;
mod read;
mod rows;
mod schema;
mod write;

pub use draft::{Draft, Written};
pub use error::FileError;
pub use read::Reader;
pub use rows::{LinkRows, ObjectRows, PackedLinks, PackedObjects, Packer};
pub use schema::{ColumnSpec, Kind, TableSpec, TABLES};
pub use write::reseal;

/// The version of the format that is written. A reader takes this and older ones, and refuses newer ones.
pub const FORMAT: u32 = 1;
