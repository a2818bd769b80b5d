//! The small tables, whole, as columns; and the list of checksums written anew.

use std::io;
use std::path::Path;
use std::{fs, ops::Range};

use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result as ParquetResult};

use super::encode::{Chunk, Encoder, Values};
use super::manifest::{self, Entry};
use super::{meta, TableSpec, TABLES};
use crate::{Details, Snapshot, Type};

/// Writes the list of checksums of a folder anew, for its files as they are: what somebody who wants to deceive a reader
/// would do. For tests and fuzzing.
///
/// # Errors
/// A file cannot be read or the list not be written.
pub fn reseal(folder: &Path) -> io::Result<()> {
    let mut entries = Vec::new();
    // A folder of an earlier program has fewer tables.
    for spec in TABLES.iter().filter(|spec| folder.join(spec.file()).exists()) {
        let bytes = fs::read(folder.join(spec.file()))?;
        entries.push(Entry { name: spec.file(), bytes: bytes.len() as u64, crc: crc32fast::hash(&bytes) });
    }
    fs::write(folder.join(manifest::FILE), manifest::text(&entries))
}

/// The row groups of a table that is made of the finished snapshot: all but objects and references.
pub(crate) fn groups(snapshot: &Snapshot, spec: &TableSpec, encoder: &Encoder) -> ParquetResult<Vec<Vec<Chunk>>> {
    let empty = Details::default();
    let d = snapshot.details.as_ref().unwrap_or(&empty);
    let all = |rows: usize, columns: &[Values<'_>]| encoder.groups(rows, columns);
    match spec.name {
        "meta" => {
            let mut rows = meta::rows(&snapshot.target, &snapshot.coverage);
            rows.extend(snapshot.details.iter().flat_map(|d| meta::key_rows(&d.key)));
            rows.extend(snapshot.ledger.iter().filter_map(meta::ledger_row));
            rows.extend(snapshot.details.iter().filter_map(|d| meta::collectors_row(&d.collectors)));
            let columns = [text(&rows, |r| &r.0), text(&rows, |r| &r.1)];
            encoder.groups(rows.len(), &columns)
        }
        "types" => types(&snapshot.types, d, encoder),
        "labels" => {
            let l = &d.labels;
            let columns = [
                row_number(),
                small(l, |l| l.type_index),
                text(l, |l| l.kind.word()),
                texts(l, |l| l.name.as_deref()),
                flag(l, |l| l.certain),
                number(l, |l| l.count),
                flag(l, |l| l.traversed),
            ];
            all(l.len(), &columns)
        }
        "roots" => {
            let r = &d.roots;
            let columns = [
                text(r, |r| &r.root),
                text(r, |r| r.kind.word()),
                texts(r, |r| r.name.as_deref()),
                small(r, |r| r.position),
                flag(r, |r| r.certain),
                small(r, |r| r.target),
            ];
            all(r.len(), &columns)
        }
        "modules" => {
            let m = &d.modules;
            all(m.len(), &[small(m, |m| m.object), text(m, |m| &m.name), texts(m, |m| m.file.as_deref())])
        }
        "threads" => {
            let t = &d.threads;
            all(t.len(), &[row_number(), small(t, |t| t.interpreter), number(t, |t| t.address.0), number(t, |t| t.thread_id)])
        }
        "frames" => {
            let f = &d.frames;
            let columns = [
                small(f, |f| f.thread),
                small(f, |f| f.depth),
                number(f, |f| f.address.0),
                text(f, |f| &f.function),
                text(f, |f| &f.file),
                small(f, |f| f.first_line),
                smalls(f, |f| f.line),
            ];
            all(f.len(), &columns)
        }
        "code" => {
            let c = &d.codes;
            all(c.len(), &[small(c, |c| c.object), text(c, |c| &c.name), text(c, |c| &c.file), small(c, |c| c.first_line)])
        }
        "calls" => {
            let c = &d.calls;
            let columns = [
                small(c, |c| c.object),
                text(c, |c| &c.name),
                smalls(c, |c| c.code),
                smalls(c, |c| c.globals),
                smalls(c, |c| c.line),
                texts(c, |c| c.inside.map(|inside| inside.word())),
                flag(c, |c| c.begun),
            ];
            all(c.len(), &columns)
        }
        "tasks" => {
            let t = &d.tasks;
            all(t.len(), &[small(t, |t| t.object), text(t, |t| &t.name)])
        }
        "bounds" => {
            let b = &d.bounds;
            all(b.len(), &[small(b, |b| b.object), numbers(b, |b| b.bound)])
        }
        "weakrefs" => {
            let w = d.weakrefs.as_deref().unwrap_or_default();
            all(w.len(), &[small(w, |w| w.object), smalls(w, |w| w.referent), flag(w, |w| w.dead), smalls(w, |w| w.callback)])
        }
        "regions" => {
            let r = &d.regions;
            let columns =
                [number(r, |r| r.start.0), number(r, |r| r.end.0), text(r, |r| &r.rights), number(r, |r| r.offset), text(r, |r| &r.path)];
            all(r.len(), &columns)
        }
        other => Err(ParquetError::General(format!("nothing is known of a table {other}"))),
    }
}

fn types(t: &[Type], details: &crate::Details, encoder: &Encoder) -> ParquetResult<Vec<Vec<Chunk>>> {
    let content = |i: usize| details.contents.get(i).and_then(|c| c.word());
    let line = |i: usize| details.classes.get(i).and_then(|c| c.first_line);
    let finalizer = |i: usize| details.classes.get(i).and_then(|c| c.finalizer.word());
    let rows: Vec<(Option<&str>, Option<u32>, Option<&str>)> = (0..t.len()).map(|i| (content(i), line(i), finalizer(i))).collect();
    let columns = [
        row_number(),
        text(t, |t| &t.name),
        number(t, |t| t.address.0),
        number(t, |t| t.count),
        number(t, |t| t.own_bytes.0),
        number(t, |t| t.footprint_bytes.0),
        text(t, |t| t.known.word()),
        texts(&rows, |r| r.0),
        smalls(&rows, |r| r.1),
        texts(&rows, |r| r.2),
    ];
    encoder.groups(t.len(), &columns)
}

fn row_number<'a>() -> Values<'a> {
    Values::U32(Box::new(|some, out| out.extend(some.map(|i| i as i32))))
}

pub(crate) fn flag<'a, T: Sync>(rows: &'a [T], get: impl Fn(&T) -> bool + Sync + 'a) -> Values<'a> {
    Values::Flag(Box::new(move |some, out| out.extend(part(rows, some).iter().map(&get))))
}

pub(crate) fn number<'a, T: Sync>(rows: &'a [T], get: impl Fn(&T) -> u64 + Sync + 'a) -> Values<'a> {
    Values::U64(Box::new(move |some, out| out.extend(part(rows, some).iter().map(|r| get(r) as i64))))
}

pub(crate) fn small<'a, T: Sync>(rows: &'a [T], get: impl Fn(&T) -> u32 + Sync + 'a) -> Values<'a> {
    Values::U32(Box::new(move |some, out| out.extend(part(rows, some).iter().map(|r| get(r) as i32))))
}

fn smalls<'a, T: Sync>(rows: &'a [T], get: impl Fn(&T) -> Option<u32> + Sync + 'a) -> Values<'a> {
    Values::U32s(Box::new(move |some, values, levels| {
        for row in part(rows, some) {
            let number = get(row);
            levels.push(i16::from(number.is_some()));
            values.extend(number.map(|n| n as i32));
        }
    }))
}

fn numbers<'a, T: Sync>(rows: &'a [T], get: impl Fn(&T) -> Option<u64> + Sync + 'a) -> Values<'a> {
    Values::U64s(Box::new(move |some, values, levels| {
        for row in part(rows, some) {
            let number = get(row);
            levels.push(i16::from(number.is_some()));
            values.extend(number.map(|n| n as i64));
        }
    }))
}

fn text<'a, T: Sync>(rows: &'a [T], get: impl Fn(&'a T) -> &'a str + Sync + 'a) -> Values<'a> {
    Values::Text(Box::new(move |some, out| out.extend(part(rows, some).iter().map(|r| ByteArray::from(get(r))))))
}

fn texts<'a, T: Sync>(rows: &'a [T], get: impl Fn(&'a T) -> Option<&'a str> + Sync + 'a) -> Values<'a> {
    Values::Texts(Box::new(move |some, values, levels| {
        for row in part(rows, some) {
            let text = get(row);
            levels.push(i16::from(text.is_some()));
            values.extend(text.map(ByteArray::from));
        }
    }))
}

fn part<T>(rows: &[T], some: Range<usize>) -> &[T] {
    rows.get(some).unwrap_or_default()
}
