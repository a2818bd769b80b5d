//! The file format: open columnar tables (Parquet) in one folder, and a list of checksums that is written last.
//!
//! Holds: the [`TABLES`] with every column and its meaning, [`write_folder`] and [`write_parts`], and the [`Reader`].
//! Never: a way back to a process; trust in a file's numbers: every count is checked before memory is asked for.
//! Sources: docs/snapshot-format.md, which a test compares with [`TABLES`]; the Parquet format's own specification.

mod chunks;
mod decode;
mod encode;
mod error;
mod inspect;
mod manifest;
mod meta;
mod read;
mod schema;
mod write;

pub use error::FileError;
pub use read::Reader;
pub use schema::{ColumnSpec, Kind, TableSpec, TABLES};
pub use write::{reseal, write_folder, write_parts, Written};

/// The version of the format that is written. A reader takes this and older ones, and refuses newer ones.
pub const FORMAT: u32 = 1;
