//! A Parquet file's columns as vectors. The file passed its checksum; its numbers are not believed all the same.

use std::fs::File;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

use parquet::column::reader::{get_typed_column_reader, ColumnReaderImpl};
use parquet::data_type::{BoolType, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;
use rayon::prelude::*;

use super::chunks::Chunks;
use super::schema::{ColumnSpec, TableSpec};

/// Values that are asked for at once.
const BATCH: usize = 1 << 16;
/// A byte of a file stands for at most so many rows: 128 differences of zero take five bytes, and LZ4 shrinks at most
/// 255 to 1. A file that claims more is not ours, and is not given the memory.
const ROWS_PER_BYTE: u64 = 25 * 255;
/// A file of few bytes may still have this many rows.
const ROWS_FREE: u64 = 1 << 16;

/// A table that was opened, or some of it.
#[derive(Clone)]
pub(crate) struct Table {
    reader: Arc<SerializedFileReader<Chunks>>,
    spec: &'static TableSpec,
    /// The row groups that are read.
    groups: Vec<Group>,
    /// The rows that are read, by number, where not all are.
    picks: Option<Arc<Vec<u32>>>,
}

/// One row group.
#[derive(Clone, Copy, Debug)]
struct Group {
    place: usize,
    /// The number of its first row.
    first: u64,
    rows: u64,
}

type Why = String;

impl Table {
    /// Opens it and checks that it has the columns that it should have.
    pub(crate) fn open(file: File, bytes: u64, spec: &'static TableSpec) -> Result<Table, Why> {
        let reader = guarded(|| SerializedFileReader::new(Chunks::new(file, bytes)).map_err(|e| e.to_string()))?;
        let meta = reader.metadata();
        let mut rows = 0u64;
        let mut groups = Vec::new();
        for (place, g) in meta.row_groups().iter().enumerate() {
            let here = u64::try_from(g.num_rows()).map_err(|_| "a row group has less than no rows")?;
            groups.push(Group { place, first: rows, rows: here });
            rows = rows.saturating_add(here);
        }
        if rows > ROWS_FREE + bytes.saturating_mul(ROWS_PER_BYTE) || rows > u64::from(u32::MAX) {
            return Err(format!("{bytes} bytes cannot be {rows} rows"));
        }
        let wanted = spec.parquet().map_err(|e| e.to_string())?;
        let found = meta.file_metadata().schema_descr();
        for (c, w) in spec.columns.iter().zip(wanted.get_fields()) {
            let place = (0..found.num_columns()).find(|&i| found.column(i).name() == c.name);
            let place = match place {
                Some(place) => place,
                None if c.added => continue,
                None => return Err(format!("it has no column {}", c.name)),
            };
            let column = found.column(place);
            if column.physical_type() != w.get_physical_type()
                || column.max_rep_level() != 0
                || column.max_def_level() != i16::from(c.optional)
            {
                return Err(format!("its column {} is of another type", c.name));
            }
        }
        Ok(Table { reader: Arc::new(reader), spec, groups, picks: None })
    }

    /// How many rows its row groups have.
    pub(crate) fn rows(&self) -> u64 {
        self.groups.iter().map(|g| g.rows).sum()
    }

    /// The number of its first row.
    pub(crate) fn first_row(&self) -> u64 {
        self.groups.first().map_or(0, |g| g.first)
    }

    /// Each row group as a table of its own.
    pub(crate) fn parts(&self) -> Vec<Table> {
        self.groups.iter().map(|g| Table { groups: vec![*g], ..self.clone() }).collect()
    }

    /// The rows of these numbers, which are sorted, in this order.
    pub(crate) fn at(&self, rows: &[u32]) -> Table {
        let holds = |g: &&Group| {
            let next = rows.partition_point(|r| u64::from(*r) < g.first);
            rows.get(next).is_some_and(|r| u64::from(*r) < g.first + g.rows)
        };
        let groups = self.groups.iter().filter(holds).copied().collect();
        Table { groups, picks: Some(Arc::new(rows.to_vec())), ..self.clone() }
    }

    /// Whether one of `values`, which are sorted, can stand in a column of unsigned numbers, as far as the least and the
    /// greatest of each row group tell. A writer that tells neither leaves it open.
    pub(crate) fn may_hold(&self, column: &str, values: &[u64]) -> bool {
        let Some(place) = self.column(column) else { return true };
        self.groups.iter().any(|g| {
            let range = self.reader.metadata().row_groups().get(g.place).and_then(|m| m.columns().get(place)).and_then(|c| {
                match c.statistics()? {
                    Statistics::Int32(s) => Some((u64::from(*s.min_opt()? as u32), u64::from(*s.max_opt()? as u32))),
                    Statistics::Int64(s) => Some((*s.min_opt()? as u64, *s.max_opt()? as u64)),
                    _ => None,
                }
            });
            let Some((least, greatest)) = range else { return true };
            values.get(values.partition_point(|v| *v < least)).is_some_and(|v| *v <= greatest)
        })
    }

    fn column(&self, name: &str) -> Option<usize> {
        let found = self.reader.metadata().file_metadata().schema_descr();
        (0..found.num_columns()).find(|&i| found.column(i).name() == name)
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

    /// A column of few words that may be absent, each as what `convert` makes of it.
    pub(crate) fn optional_words<V: Send>(&self, column: &str, convert: impl Fn(&[u8]) -> V + Sync) -> Result<Vec<Option<V>>, Why> {
        self.optional::<ByteArrayType, V>(column, |v| convert(v.data()))
    }

    /// A column of 64-bit numbers that may be absent.
    pub(crate) fn optional_u64s(&self, column: &str) -> Result<Vec<Option<u64>>, Why> {
        self.optional::<Int64Type, u64>(column, |v| v as u64)
    }

    /// A column of 32-bit numbers that may be absent.
    pub(crate) fn optional_u32s(&self, column: &str) -> Result<Vec<Option<u32>>, Why> {
        self.optional::<Int32Type, u32>(column, |v| v as u32)
    }

    /// Whether the file has a column: one that was added later it may lack.
    pub(crate) fn has(&self, column: &str) -> bool {
        let found = self.reader.metadata().file_metadata().schema_descr();
        (0..found.num_columns()).any(|i| found.column(i).name() == column)
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
        let place = self.column(column).ok_or("a column that is not there")?;
        let parts =
            self.groups.par_iter().map(|g| guarded(|| self.group::<T, V>(g, place, known, &take))).collect::<Result<Vec<Vec<V>>, Why>>()?;
        let rows: usize = parts.iter().map(Vec::len).sum();
        let mut parts = parts.into_iter();
        let mut all = parts.next().unwrap_or_default();
        all.reserve_exact(rows - all.len());
        for mut part in parts {
            all.append(&mut part);
        }
        Ok(all)
    }

    /// One row group of a column.
    fn group<T: DataType, V>(
        &self,
        g: &Group,
        place: usize,
        known: &ColumnSpec,
        take: impl Fn(&mut Vec<T::T>, &[i16], &mut Vec<V>),
    ) -> Result<Vec<V>, Why> {
        let early = || format!("column {} ends before its rows do", known.name);
        let group = self.reader.get_row_group(g.place).map_err(|e| e.to_string())?;
        let mut reader: ColumnReaderImpl<T> = get_typed_column_reader(group.get_column_reader(place).map_err(|e| e.to_string())?);
        let (mut out, mut values, mut levels) = (Vec::new(), Vec::new(), Vec::new());
        let mut read = |reader: &mut ColumnReaderImpl<T>, rows: u64| {
            let mut left = usize::try_from(rows).unwrap_or(usize::MAX);
            while left > 0 {
                let before = out.len();
                values.clear();
                levels.clear();
                let wanted = known.optional.then_some(&mut levels);
                reader.read_records(BATCH.min(left), wanted, None, &mut values).map_err(|e| e.to_string())?;
                take(&mut values, &levels, &mut out);
                left = left.saturating_sub(out.len() - before);
                if out.len() == before {
                    return Err(early());
                }
            }
            Ok(())
        };
        let Some(picks) = &self.picks else {
            read(&mut reader, g.rows)?;
            return Ok(out);
        };
        let mut next = g.first;
        let from = picks.partition_point(|r| u64::from(*r) < g.first);
        for row in picks.iter().skip(from).map(|r| u64::from(*r)).take_while(|r| *r < g.first + g.rows) {
            let skipped = usize::try_from(row - next).unwrap_or(usize::MAX);
            if reader.skip_records(skipped).map_err(|e| e.to_string())? != skipped {
                return Err(early());
            }
            read(&mut reader, 1)?;
            next = row + 1;
        }
        Ok(out)
    }
}

/// Runs a decoder of foreign code on bytes that somebody else may have made: should it panic, that is damage, not our end.
fn guarded<R>(f: impl FnOnce() -> Result<R, Why>) -> Result<R, Why> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|_| Err("its decoder gave up".into()))
}
