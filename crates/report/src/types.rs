//! `types`: a row a type.

use std::io::{self, Write};

use analyses::{TypeRow, TypeTable};
use memory::Bytes;
use serde::Serialize;
use snapshot::{Known, Snapshot};

use crate::table::{Align, Table};
use crate::{head, json, text, Style};

/// Rows that leave a first screen of 24 lines whole.
pub const FIRST_SCREEN: usize = 12;

/// For people.
pub fn table(out: &mut dyn Write, snapshot: &Snapshot, types: &TypeTable<'_>, style: &Style) -> io::Result<()> {
    head::write(out, snapshot, style)?;
    writeln!(out)?;
    let columns =
        [("count", Align::Right), ("own", Align::Right), ("footprint", Align::Right), ("share", Align::Right), ("type", Align::Left)];
    let mut table = Table::new(style, &columns);
    let mut rows: Vec<[String; 5]> = types.rows.iter().map(|r| cells(types, r)).collect();
    if types.rest.types > 0 {
        let rest = &types.rest;
        let label = format!("… {} (--limit 0 shows all)", text::counted(rest.types, "more type"));
        rows.push(numbers(types, rest.count, rest.own_bytes, rest.footprint_bytes, label));
    }
    rows.iter().for_each(|r| table.fit(r));
    table.header(out)?;
    for row in &rows {
        table.row(out, row)?;
    }
    next(out, types, style)
}

/// For programs: `exuvia/types/1`.
pub fn json(out: &mut dyn Write, snapshot: &Snapshot, types: &TypeTable<'_>) -> io::Result<()> {
    let rows = types.rows.iter().map(TypeJson::new).collect();
    json::line(out, &Answer { head: json::Head::new("exuvia/types/1", snapshot), types: rows, types_omitted: types.rest.types })
}

fn cells(types: &TypeTable<'_>, row: &TypeRow<'_>) -> [String; 5] {
    let mut name = text::escaped(row.name).into_owned();
    if row.classes > 1 {
        name += &format!(" ({} classes)", text::grouped(u64::from(row.classes)));
    }
    if row.known != Known::Exact {
        name += &format!(" ({})", row.known.word());
    }
    numbers(types, row.count, row.own_bytes, row.footprint_bytes, name)
}

fn numbers(types: &TypeTable<'_>, count: u64, own: Bytes, footprint: Bytes, name: String) -> [String; 5] {
    let share = format!("{:.1} %", types.share(footprint) * 100.0);
    [text::grouped(count), own.to_string(), footprint.to_string(), share, name]
}

/// Modules whose classes every program has: the next command is about the program's own.
const EVERYWHERE: &[&str] = &[
    "_abc",
    "_frozen_importlib",
    "_frozen_importlib_external",
    "_thread",
    "abc",
    "codecs",
    "collections",
    "enum",
    "functools",
    "importlib",
    "itertools",
    "operator",
    "os",
    "random",
    "re",
    "sre_parse",
    "threading",
    "types",
    "typing",
    "weakref",
    "zipimport",
];

/// The command that goes one step closer: the objects of the biggest type that is the program's own, if there is one.
fn next(out: &mut dyn Write, types: &TypeTable<'_>, style: &Style) -> io::Result<()> {
    let pastable = |r: &&TypeRow<'_>| matches!(text::escaped(r.name), std::borrow::Cow::Borrowed(_));
    let own = |r: &&TypeRow<'_>| r.name.split_once('.').is_some_and(|(module, _)| !EVERYWHERE.contains(&module));
    let own_type = types.rows.iter().filter(pastable).find(own).or(types.rows.iter().find(pastable));
    writeln!(out)?;
    let line = match own_type {
        Some(row) => style.again.line("objects", &["--type", row.name]),
        None => style.again.line("objects", &[]),
    };
    writeln!(out, "next: {line}")
}

#[derive(Serialize)]
struct Answer<'s> {
    #[serde(flatten)]
    head: json::Head<'s>,
    types: Vec<TypeJson<'s>>,
    types_omitted: u64,
}

#[derive(Serialize)]
struct TypeJson<'s> {
    #[serde(rename = "type")]
    name: &'s str,
    count: u64,
    own_bytes: u64,
    footprint_bytes: u64,
    classes: u32,
    known: &'static str,
}

impl<'s> TypeJson<'s> {
    fn new(r: &TypeRow<'s>) -> Self {
        TypeJson {
            name: r.name,
            count: r.count,
            own_bytes: r.own_bytes.0,
            footprint_bytes: r.footprint_bytes.0,
            classes: r.classes,
            known: r.known.word(),
        }
    }
}
