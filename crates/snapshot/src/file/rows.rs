//! The rows of the two large tables, some at a time: made, encoded and forgotten by one thread, so that no table has to fit
//! in memory.

use std::ops::Range;
use std::path::Path;

use memory::Addr;
use parquet::data_type::ByteArray;

use super::encode::{Chunk, Encoder, Values};
use super::out::encoding;
use super::write::{flag, number, small};
use super::{schema, FileError};
use crate::{Column, Details, Facts, Number, Objects, Shape};

/// Consecutive rows of the table `objects`.
#[derive(Clone, Debug, Default)]
pub struct ObjectRows {
    /// The number of the first.
    pub first: u32,
    /// Their columns.
    pub objects: Objects,
    /// For each its length; [`Details::NO_LENGTH`] where it has none.
    pub lengths: Vec<u64>,
    /// Names of those that have one, by number.
    pub names: Vec<(u32, String)>,
    /// Values, where they were asked for, by number.
    pub values: Vec<(u32, String)>,
    /// What is kept instead of values.
    pub facts: Facts,
}

impl ObjectRows {
    /// Forgets all and keeps the room, for rows from number `first` on.
    pub fn begin(&mut self, first: u32) {
        self.first = first;
        self.objects.clear();
        self.lengths.clear();
        self.names.clear();
        self.values.clear();
        self.facts.clear();
    }
}

/// References of some objects, those of one label together.
#[derive(Clone, Debug, Default)]
pub struct LinkRows {
    /// How many have the first label, the second, and so on; what their numbers are is said when they are written.
    pub counts: Vec<u32>,
    /// Numbers of the objects that hold.
    pub holders: Vec<u32>,
    /// Numbers of the objects that are held.
    pub targets: Vec<u32>,
    /// Place, index or offset, where the label's kind has one.
    pub positions: Vec<u32>,
}

/// A row group of `objects`, ready to be written.
#[derive(Debug)]
pub struct PackedObjects(pub(crate) Vec<Chunk>);

/// A row group of `references`, ready but for the labels' numbers.
#[derive(Debug)]
pub struct PackedLinks {
    counts: Vec<u32>,
    rows: usize,
    others: [Chunk; 3],
}

/// Encodes rows; any number of threads may share it.
#[derive(Clone, Debug)]
pub struct Packer {
    pub(crate) objects: Encoder,
    pub(crate) references: Encoder,
}

impl Packer {
    pub(crate) fn new() -> Result<Packer, FileError> {
        Ok(Packer { objects: encoder("objects")?, references: encoder("references")? })
    }

    /// Encodes objects.
    ///
    /// # Errors
    /// What the encoder says.
    pub fn objects(&self, rows: &ObjectRows) -> Result<PackedObjects, FileError> {
        let (o, f, first) = (&rows.objects, &rows.facts, rows.first);
        let columns = [
            Values::U32(Box::new(move |some, out| out.extend(some.map(|i| first.wrapping_add(i as u32) as i32)))),
            number(o.addresses(), |a: &Addr| a.0),
            small(o.type_indices(), |t| *t),
            column(o.own_bytes()),
            column(o.footprint_bytes()),
            column(o.refcounts()),
            small(o.states(), |s| s.collector() as u32),
            small(o.states(), |s| s.found() as u32),
            flag(o.states(), |s| s.immortal()),
            numbers(&rows.lengths, Details::NO_LENGTH),
            by_row(first, &rows.names),
            by_row(first, &rows.values),
            some_u64s(first, &f.capacities),
            some_u64s(first, &f.used),
            words(&f.shapes, |s| s.form().map(|f| f.word())),
            flag(&f.shapes, |s| s.interned()),
            words(&f.shapes, |s| s.attributes().map(|a| a.word())),
            flag(&f.shapes, |s| s.weakly_held()),
            some_u32s(first, &f.item_types),
            some_u32s(first, &f.key_types),
            some_u64s(first, &f.key_sets),
            some_u64s(first, &f.fingerprints),
            some_u64s(first, &f.wide),
            some_u64s(first, &f.encoded),
        ];
        self.objects.columns(&columns, 0..o.len()).map(PackedObjects).map_err(|e| encoding(Path::new("objects"), e))
    }

    /// Encodes references.
    ///
    /// # Errors
    /// What the encoder says.
    pub fn links(&self, rows: &LinkRows) -> Result<PackedLinks, FileError> {
        let n = rows.holders.len();
        let column = |name: &str, values: &[u32]| {
            self.references.column(name, &small(values, |v| *v), 0..n).map_err(|e| encoding(Path::new("references"), e))
        };
        let others = [column("holder", &rows.holders)?, column("target", &rows.targets)?, column("position", &rows.positions)?];
        Ok(PackedLinks { counts: rows.counts.clone(), rows: n, others })
    }

    /// The row group of references whose labels have these numbers.
    pub(crate) fn labelled(&self, links: PackedLinks, numbers: &[u32]) -> Result<Vec<Chunk>, FileError> {
        let mut end = 0usize;
        let runs: Vec<(usize, u32)> = links
            .counts
            .iter()
            .zip(numbers)
            .map(|(count, number)| {
                end = end.saturating_add(*count as usize);
                (end, *number)
            })
            .collect();
        let values = Values::U32(Box::new(|some: std::ops::Range<usize>, out: &mut Vec<i32>| {
            let mut at = some.start;
            let first = runs.partition_point(|(end, _)| *end <= at);
            for &(end, number) in runs.iter().skip(first) {
                let stop = end.min(some.end);
                out.extend(std::iter::repeat_n(number as i32, stop.saturating_sub(at)));
                at = at.max(stop);
                if at == some.end {
                    break;
                }
            }
        }));
        let label = self.references.column("label", &values, 0..links.rows).map_err(|e| encoding(Path::new("references"), e))?;
        Ok([label].into_iter().chain(links.others).collect())
    }
}

pub(crate) fn encoder(table: &str) -> Result<Encoder, FileError> {
    let path = Path::new(table);
    let spec = schema::table(table).ok_or_else(|| FileError::io(path, &std::io::Error::other("no such table")))?;
    Encoder::new(spec).map_err(|e| encoding(path, e))
}

/// A packed column.
fn column<T: Number + Sync>(rows: &Column<T>) -> Values<'_> {
    Values::U64(Box::new(move |some, out| out.extend(some.filter_map(|i| rows.get(i)).map(|n| n.raw() as i64))))
}

/// Numbers, none where the value is `none`.
fn numbers(rows: &[u64], none: u64) -> Values<'_> {
    Values::U64s(Box::new(move |some, values, levels| {
        for &n in rows.get(some).unwrap_or_default() {
            levels.push(i16::from(n != none));
            if n != none {
                values.push(n as i64);
            }
        }
    }))
}

/// What some rows have, which are sorted; the first row is number `first`.
fn sparse<T, V>(first: u32, all: &[(u32, T)], some: Range<usize>, levels: &mut Vec<i16>, values: &mut Vec<V>, convert: impl Fn(&T) -> V) {
    let before = levels.len();
    levels.resize(before + some.len(), 0);
    let from = first.wrapping_add(some.start as u32);
    let start = all.partition_point(|(row, _)| *row < from);
    for (row, value) in all.iter().skip(start) {
        let Some(level) = levels.get_mut(before + (row - from) as usize) else { break };
        *level = 1;
        values.push(convert(value));
    }
}

/// Words of ours, which need no copy a row.
fn words(rows: &[Shape], get: impl Fn(&Shape) -> Option<&'static str> + Sync + 'static) -> Values<'_> {
    Values::Texts(Box::new(move |some, values, levels| {
        for row in rows.get(some).unwrap_or_default() {
            let word = get(row);
            levels.push(i16::from(word.is_some()));
            values.extend(word.map(|w| ByteArray::from(bytes::Bytes::from_static(w.as_bytes()))));
        }
    }))
}

fn by_row(first: u32, all: &[(u32, String)]) -> Values<'_> {
    Values::Texts(Box::new(move |some, values, levels| sparse(first, all, some, levels, values, |t| ByteArray::from(t.as_str()))))
}

fn some_u64s(first: u32, all: &[(u32, u64)]) -> Values<'_> {
    Values::U64s(Box::new(move |some, values, levels| sparse(first, all, some, levels, values, |n| *n as i64)))
}

fn some_u32s(first: u32, all: &[(u32, u32)]) -> Values<'_> {
    Values::U32s(Box::new(move |some, values, levels| sparse(first, all, some, levels, values, |n| *n as i32)))
}
