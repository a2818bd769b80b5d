//! A Parquet file's columns as vectors. The file passed its checksum; its numbers are not believed all the same.

use std::fs::File;
use std::panic::{catch_unwind, AssertUnwindSafe};

use parquet::column::reader::{get_typed_column_reader, ColumnReaderImpl};
use parquet::data_type::{BoolType, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::file::reader::{FileReader, SerializedFileReader};
use rayon::prelude::*;

use super::chunks::Chunks;
use super::schema::TableSpec;

/// Values that are asked for at once.
const BATCH: usize = 1 << 16;
/// A byte of a file stands for at most so many rows: 128 differences of zero take five bytes, and LZ4 shrinks at most
/// 255 to 1. A file that claims more is not ours, and is not given the memory.
const ROWS_PER_BYTE: u64 = 25 * 255;
/// A file of few bytes may still have this many rows.
const ROWS_FREE: u64 = 1 << 16;

/// A table that was opened.
pub(crate) struct Table {
    reader: SerializedFileReader<Chunks>,
    spec: &'static TableSpec,
}

type Why = String;

impl Table {
    /// Opens it and checks that it has the columns that it should have.
    pub(crate) fn open(file: File, bytes: u64, spec: &'static TableSpec) -> Result<Table, Why> {
        let reader = guarded(|| SerializedFileReader::new(Chunks::new(file, bytes)).map_err(|e| e.to_string()))?;
        let meta = reader.metadata();
        let mut rows = 0u64;
        for g in meta.row_groups() {
            rows = rows.saturating_add(u64::try_from(g.num_rows()).map_err(|_| "a row group has less than no rows")?);
        }
        if rows > ROWS_FREE + bytes.saturating_mul(ROWS_PER_BYTE) || rows > u64::from(u32::MAX) {
            return Err(format!("{bytes} bytes cannot be {rows} rows"));
        }
        let wanted = spec.parquet().map_err(|e| e.to_string())?;
        let found = meta.file_metadata().schema_descr();
        for (c, w) in spec.columns.iter().zip(wanted.get_fields()) {
            let place = (0..found.num_columns()).find(|&i| found.column(i).name() == c.name);
            let Some(place) = place else { return Err(format!("it has no column {}", c.name)) };
            let column = found.column(place);
            if column.physical_type() != w.get_physical_type()
                || column.max_rep_level() != 0
                || column.max_def_level() != i16::from(c.optional)
            {
                return Err(format!("its column {} is of another type", c.name));
            }
        }
        Ok(Table { reader, spec })
    }

    /// A column of 32-bit numbers.
    pub(crate) fn u32s(&self, column: &str) -> Result<Vec<u32>, Why> {
        self.required::<Int32Type, u32>(column, |v| v as u32)
    }

    /// A column of 64-bit numbers.
    pub(crate) fn u64s(&self, column: &str) -> Result<Vec<u64>, Why> {
        self.required::<Int64Type, u64>(column, |v| v as u64)
    }

    /// A column of flags.
    pub(crate) fn flags(&self, column: &str) -> Result<Vec<bool>, Why> {
        self.required::<BoolType, bool>(column, |v| v)
    }

    /// A column of text.
    pub(crate) fn texts(&self, column: &str) -> Result<Vec<String>, Why> {
        self.required::<ByteArrayType, String>(column, |v| String::from_utf8_lossy(v.data()).into_owned())
    }

    /// A column of text that may be absent.
    pub(crate) fn optional_texts(&self, column: &str) -> Result<Vec<Option<String>>, Why> {
        self.optional::<ByteArrayType, String>(column, |v| String::from_utf8_lossy(v.data()).into_owned())
    }

    /// A column of 64-bit numbers that may be absent.
    pub(crate) fn optional_u64s(&self, column: &str) -> Result<Vec<Option<u64>>, Why> {
        self.optional::<Int64Type, u64>(column, |v| v as u64)
    }

    fn required<T: DataType, V: Send>(&self, column: &str, convert: impl Fn(T::T) -> V + Sync) -> Result<Vec<V>, Why> {
        self.groups::<T, V>(column, |values, _, out| out.extend(values.drain(..).map(&convert)))
    }

    fn optional<T: DataType, V: Send>(&self, column: &str, convert: impl Fn(T::T) -> V + Sync) -> Result<Vec<Option<V>>, Why> {
        self.groups::<T, Option<V>>(column, |values, levels, out| {
            let mut values = values.drain(..);
            out.extend(levels.iter().map(|&l| if l == 1 { values.next().map(&convert) } else { None }));
        })
    }

    /// All row groups of a column, in parallel.
    fn groups<T: DataType, V: Send>(&self, column: &str, take: impl Fn(&mut Vec<T::T>, &[i16], &mut Vec<V>) + Sync) -> Result<Vec<V>, Why> {
        let known = self.spec.place(column).and_then(|i| self.spec.columns.get(i)).ok_or("a column that is in no table")?;
        let found = self.reader.metadata().file_metadata().schema_descr();
        let place = (0..found.num_columns()).find(|&i| found.column(i).name() == column).ok_or("a column that is not there")?;
        let groups: Vec<usize> = (0..self.reader.num_row_groups()).collect();
        let parts: Vec<Vec<V>> = groups
            .into_par_iter()
            .map(|g| {
                guarded(|| {
                    let group = self.reader.get_row_group(g).map_err(|e| e.to_string())?;
                    let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
                    let mut reader: ColumnReaderImpl<T> =
                        get_typed_column_reader(group.get_column_reader(place).map_err(|e| e.to_string())?);
                    let (mut out, mut values, mut levels) = (Vec::new(), Vec::new(), Vec::new());
                    while out.len() < rows {
                        let before = out.len();
                        values.clear();
                        levels.clear();
                        let most = BATCH.min(rows - before);
                        let wanted = known.optional.then_some(&mut levels);
                        reader.read_records(most, wanted, None, &mut values).map_err(|e| e.to_string())?;
                        take(&mut values, &levels, &mut out);
                        if out.len() == before {
                            return Err(format!("column {column} ends before its rows do"));
                        }
                    }
                    Ok(out)
                })
            })
            .collect::<Result<_, Why>>()?;
        let mut all = Vec::with_capacity(parts.iter().map(Vec::len).sum());
        for mut part in parts {
            all.append(&mut part);
        }
        Ok(all)
    }
}

/// Runs a decoder of foreign code on bytes that somebody else may have made: should it panic, that is damage, not our end.
fn guarded<R>(f: impl FnOnce() -> Result<R, Why>) -> Result<R, Why> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|_| Err("its decoder gave up".into()))
}
