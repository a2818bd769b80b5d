//! A table's columns as the bytes of one Parquet file: row groups of a million rows, each column of each encoded on a
//! core of its own.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding};
use parquet::column::writer::{get_column_writer, get_typed_column_writer, ColumnCloseResult};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::types::{ColumnDescPtr, ColumnPath};
use rayon::prelude::*;

use super::schema::{Kind, TableSpec};

/// Rows of a group: enough for good packing, few enough that a group's columns fit in caches and memory.
const GROUP_ROWS: usize = 1 << 20;
/// Values that are handed to the encoder at once.
const BATCH: usize = 1 << 13;

/// A column's values by row.
pub(crate) enum Values<'a> {
    U32(Box<dyn Fn(usize) -> u32 + Sync + 'a>),
    U64(Box<dyn Fn(usize) -> u64 + Sync + 'a>),
    U64s(Box<dyn Fn(usize) -> Option<u64> + Sync + 'a>),
    Flag(Box<dyn Fn(usize) -> bool + Sync + 'a>),
    Text(Box<dyn Fn(usize) -> &'a str + Sync + 'a>),
    Texts(Box<dyn Fn(usize) -> Option<&'a str> + Sync + 'a>),
}

/// Writes `rows` rows.
pub(crate) fn encode<W: Write + Send>(spec: &TableSpec, rows: usize, columns: &[Values<'_>], out: W) -> Result<()> {
    if columns.len() != spec.columns.len() {
        return Err(ParquetError::General(format!("{}: {} columns instead of {}", spec.name, columns.len(), spec.columns.len())));
    }
    let props = properties(spec);
    let mut writer = SerializedFileWriter::new(out, spec.parquet()?, Arc::clone(&props))?;
    let groups: Vec<usize> = (0..rows.div_ceil(GROUP_ROWS)).collect();
    // A few groups at a time: all cores are busy, and only those wait in memory for their turn to be written.
    for some in groups.chunks(rayon::current_num_threads().max(1)) {
        let descriptors = writer.schema_descr().columns().to_vec();
        let parts: Vec<(usize, usize)> = some.iter().flat_map(|&g| (0..columns.len()).map(move |c| (g, c))).collect();
        let done: Vec<_> = parts
            .into_par_iter()
            .map(|(g, c)| {
                let range = g * GROUP_ROWS..((g + 1) * GROUP_ROWS).min(rows);
                let (Some(values), Some(descriptor)) = (columns.get(c), descriptors.get(c)) else {
                    return Err(ParquetError::General("a column too many".into()));
                };
                chunk(Arc::clone(descriptor), Arc::clone(&props), values, range)
            })
            .collect::<Result<_>>()?;
        let mut done = done.into_iter();
        for _ in some {
            let mut group = writer.next_row_group()?;
            for (bytes, close) in done.by_ref().take(columns.len()) {
                group.append_column(&bytes, close)?;
            }
            group.close()?;
        }
    }
    writer.close()?;
    Ok(())
}

fn properties(spec: &TableSpec) -> WriterPropertiesPtr {
    let mut all = WriterProperties::builder()
        .set_compression(Compression::LZ4_RAW)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_created_by(format!("exuvia {}", env!("CARGO_PKG_VERSION")))
        .set_writer_version(parquet::file::properties::WriterVersion::PARQUET_1_0)
        .set_write_batch_size(BATCH);
    for c in spec.columns {
        let path = || ColumnPath::from(c.name);
        if c.kind.by_differences() {
            all = all.set_column_dictionary_enabled(path(), false).set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED);
        } else if c.kind == Kind::Flag {
            all = all.set_column_dictionary_enabled(path(), false);
        }
    }
    Arc::new(all.build())
}

fn chunk(
    descriptor: ColumnDescPtr,
    props: WriterPropertiesPtr,
    values: &Values<'_>,
    rows: std::ops::Range<usize>,
) -> Result<(bytes::Bytes, ColumnCloseResult)> {
    let mut sink = TrackedWrite::new(Vec::new());
    let writer = get_column_writer(descriptor, props, Box::new(SerializedPageWriter::new(&mut sink)));
    let close = match values {
        Values::U32(get) => required::<Int32Type>(get_typed_column_writer(writer), rows, |i| get(i) as i32)?,
        Values::U64(get) => required::<Int64Type>(get_typed_column_writer(writer), rows, |i| get(i) as i64)?,
        Values::Flag(get) => required::<BoolType>(get_typed_column_writer(writer), rows, get)?,
        Values::Text(get) => required::<ByteArrayType>(get_typed_column_writer(writer), rows, |i| ByteArray::from(get(i)))?,
        Values::U64s(get) => nullable::<Int64Type>(get_typed_column_writer(writer), rows, |i| get(i).map(|v| v as i64))?,
        Values::Texts(get) => nullable::<ByteArrayType>(get_typed_column_writer(writer), rows, |i| get(i).map(ByteArray::from))?,
    };
    Ok((bytes::Bytes::from(sink.into_inner()?), close))
}

type Typed<'a, T> = parquet::column::writer::ColumnWriterImpl<'a, T>;

fn required<T: DataType>(mut w: Typed<'_, T>, rows: std::ops::Range<usize>, get: impl Fn(usize) -> T::T) -> Result<ColumnCloseResult> {
    let mut batch = Vec::with_capacity(BATCH);
    for start in rows.clone().step_by(BATCH) {
        batch.clear();
        batch.extend((start..(start + BATCH).min(rows.end)).map(&get));
        w.write_batch(&batch, None, None)?;
    }
    w.close()
}

fn nullable<T: DataType>(
    mut w: Typed<'_, T>,
    rows: std::ops::Range<usize>,
    get: impl Fn(usize) -> Option<T::T>,
) -> Result<ColumnCloseResult> {
    let (mut batch, mut levels) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
    for start in rows.clone().step_by(BATCH) {
        batch.clear();
        levels.clear();
        for i in start..(start + BATCH).min(rows.end) {
            let value = get(i);
            levels.push(i16::from(value.is_some()));
            batch.extend(value);
        }
        w.write_batch(&batch, Some(&levels), None)?;
    }
    w.close()
}
