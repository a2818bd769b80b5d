//! Rows as the column chunks of one Parquet row group. What encodes needs no file, so that every thread encodes the rows
//! that it has just made, and only packed bytes wait for their turn to be written.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding};
use parquet::column::writer::{get_column_writer, get_typed_column_writer, ColumnCloseResult};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::types::{ColumnDescPtr, ColumnPath, SchemaDescriptor};

use super::schema::{Kind, TableSpec};

/// Most rows of a group of a small table.
const GROUP_ROWS: usize = 1 << 20;
/// Values that are handed to the encoder at once.
const BATCH: usize = 1 << 13;

/// Puts the values of some rows behind those that are there.
type Fill<'a, T> = Box<dyn Fn(Range<usize>, &mut Vec<T>) + Sync + 'a>;
/// The same, and for each row a 1 where it has a value and a 0 where it has none.
type FillSome<'a, T> = Box<dyn Fn(Range<usize>, &mut Vec<T>, &mut Vec<i16>) + Sync + 'a>;

/// A column's values by row, some rows at a time: a call for each value would cost as much as its encoding.
pub(crate) enum Values<'a> {
    U32(Fill<'a, i32>),
    U64(Fill<'a, i64>),
    U32s(FillSome<'a, i32>),
    U64s(FillSome<'a, i64>),
    Flag(Fill<'a, bool>),
    Text(Fill<'a, ByteArray>),
    Texts(FillSome<'a, ByteArray>),
}

/// Encodes the rows of one table.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    spec: &'static TableSpec,
    columns: Vec<ColumnDescPtr>,
    props: WriterPropertiesPtr,
}

/// One column's part of a row group, packed.
pub(crate) type Chunk = (bytes::Bytes, ColumnCloseResult);

impl Encoder {
    pub(crate) fn new(spec: &'static TableSpec) -> Result<Encoder> {
        let columns = SchemaDescriptor::new(spec.parquet()?).columns().to_vec();
        Ok(Encoder { spec, columns, props: properties(spec) })
    }

    /// Opens a file of this table.
    pub(crate) fn writer<W: Write + Send>(&self, out: W) -> Result<SerializedFileWriter<W>> {
        SerializedFileWriter::new(out, self.spec.parquet()?, Arc::clone(&self.props))
    }

    /// One column's values of `rows`.
    pub(crate) fn column(&self, name: &str, values: &Values<'_>, rows: Range<usize>) -> Result<Chunk> {
        let place = self.spec.place(name).and_then(|i| self.columns.get(i));
        let descriptor = place.ok_or_else(|| ParquetError::General(format!("{}: no column {name}", self.spec.name)))?;
        chunk(Arc::clone(descriptor), Arc::clone(&self.props), values, rows)
    }

    /// All columns of `rows`, in the order of the schema.
    pub(crate) fn columns(&self, columns: &[Values<'_>], rows: Range<usize>) -> Result<Vec<Chunk>> {
        if columns.len() != self.spec.columns.len() {
            let counts = format!("{}: {} columns instead of {}", self.spec.name, columns.len(), self.spec.columns.len());
            return Err(ParquetError::General(counts));
        }
        self.spec.columns.iter().zip(columns).map(|(spec, values)| self.column(spec.name, values, rows.clone())).collect()
    }

    /// A whole small table.
    pub(crate) fn groups(&self, rows: usize, columns: &[Values<'_>]) -> Result<Vec<Vec<Chunk>>> {
        (0..rows).step_by(GROUP_ROWS).map(|start| self.columns(columns, start..(start + GROUP_ROWS).min(rows))).collect()
    }
}

/// Writes one row group.
pub(crate) fn append<W: Write + Send>(writer: &mut SerializedFileWriter<W>, chunks: Vec<Chunk>) -> Result<()> {
    let mut group = writer.next_row_group()?;
    for (bytes, close) in chunks {
        group.append_column(&bytes, close)?;
    }
    group.close()?;
    Ok(())
}

fn properties(spec: &TableSpec) -> WriterPropertiesPtr {
    let mut all = WriterProperties::builder()
        .set_compression(Compression::LZ4_RAW)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_created_by(format!("exuvia {}", env!("CARGO_PKG_VERSION")))
        .set_writer_version(parquet::file::properties::WriterVersion::PARQUET_1_0)
        .set_write_batch_size(BATCH);
    for c in spec.columns {
        let path = || ColumnPath::from(c.name);
        if c.kind.by_differences() {
            // Their least and greatest say which row groups are worth reading.
            all = all
                .set_column_dictionary_enabled(path(), false)
                .set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED)
                .set_column_statistics_enabled(path(), EnabledStatistics::Chunk);
        } else if matches!(c.kind, Kind::Flag | Kind::Hash) {
            all = all.set_column_dictionary_enabled(path(), false);
        }
    }
    Arc::new(all.build())
}

fn chunk(descriptor: ColumnDescPtr, props: WriterPropertiesPtr, values: &Values<'_>, rows: Range<usize>) -> Result<Chunk> {
    let mut sink = TrackedWrite::new(Vec::new());
    let writer = get_column_writer(descriptor, props, Box::new(SerializedPageWriter::new(&mut sink)));
    let close = match values {
        Values::U32(fill) => required::<Int32Type>(get_typed_column_writer(writer), rows, fill)?,
        Values::U64(fill) => required::<Int64Type>(get_typed_column_writer(writer), rows, fill)?,
        Values::Flag(fill) => required::<BoolType>(get_typed_column_writer(writer), rows, fill)?,
        Values::Text(fill) => required::<ByteArrayType>(get_typed_column_writer(writer), rows, fill)?,
        Values::U32s(fill) => optional::<Int32Type>(get_typed_column_writer(writer), rows, fill)?,
        Values::U64s(fill) => optional::<Int64Type>(get_typed_column_writer(writer), rows, fill)?,
        Values::Texts(fill) => optional::<ByteArrayType>(get_typed_column_writer(writer), rows, fill)?,
    };
    Ok((bytes::Bytes::from(sink.into_inner()?), close))
}

type Typed<'a, T> = parquet::column::writer::ColumnWriterImpl<'a, T>;

/// `rows` in pieces that the encoder takes at once.
fn batches(rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    rows.clone().step_by(BATCH).map(move |start| start..(start + BATCH).min(rows.end))
}

fn required<T: DataType>(mut w: Typed<'_, T>, rows: Range<usize>, fill: &Fill<'_, T::T>) -> Result<ColumnCloseResult> {
    let mut values = Vec::with_capacity(BATCH);
    for some in batches(rows) {
        values.clear();
        fill(some, &mut values);
        w.write_batch(&values, None, None)?;
    }
    w.close()
}

fn optional<T: DataType>(mut w: Typed<'_, T>, rows: Range<usize>, fill: &FillSome<'_, T::T>) -> Result<ColumnCloseResult> {
    let (mut values, mut levels) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
    for some in batches(rows) {
        values.clear();
        levels.clear();
        fill(some, &mut values, &mut levels);
        w.write_batch(&values, Some(&levels), None)?;
    }
    w.close()
}
