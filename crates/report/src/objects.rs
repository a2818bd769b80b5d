//! `objects`: a row an object, written as they come.

use std::io::{self, Write};

use analyses::Listing;
use serde::Serialize;
use snapshot::{Object, Snapshot};

use crate::table::{Align, Table};
use crate::{head, json, text, Style};

/// Rows that leave a first screen of 24 lines whole.
pub const FIRST_SCREEN: usize = 12;

/// For people.
pub fn table(out: &mut dyn Write, snapshot: &Snapshot, objects: &Listing<'_>, style: &Style) -> io::Result<()> {
    head::write(out, snapshot, style)?;
    writeln!(out)?;
    let columns = [
        ("address", Align::Right),
        ("own", Align::Right),
        ("footprint", Align::Right),
        ("references", Align::Right),
        ("type", Align::Left),
    ];
    let mut table = Table::new(style, &columns);
    // The widest a size can be; a second pass over millions of rows would tell no better.
    table.fit(&["0x7fffffffffff", "1023 B", "1.00 MiB"]);
    table.header(out)?;
    for (o, name) in objects.rows() {
        table.row(out, &cells(&o, name))?;
    }
    let sums = format!("{} own, {} footprint", objects.own_bytes, objects.footprint_bytes);
    let total = match objects.matched - objects.len() as u64 {
        0 => format!("{}, {sums}", text::counted(objects.matched, "object")),
        _ => format!("{} of {} shown (--limit 0: all); all: {sums}", text::grouped(objects.len() as u64), text::grouped(objects.matched)),
    };
    head::write_cut(out, &total, style)?;
    next(out, objects, style)
}

/// For programs: a first line with `exuvia/objects/1`, target and coverage, then an object a line.
pub fn json(out: &mut dyn Write, snapshot: &Snapshot, objects: &Listing<'_>) -> io::Result<()> {
    let omitted = objects.matched - objects.len() as u64;
    json::line(
        out,
        &First {
            head: json::Head::new("exuvia/objects/1", snapshot),
            objects: objects.matched,
            own_bytes: objects.own_bytes.0,
            footprint_bytes: objects.footprint_bytes.0,
            objects_omitted: omitted,
        },
    )?;
    for (o, name) in objects.rows() {
        json::line(out, &ObjectJson::new(&o, name))?;
    }
    Ok(())
}

fn cells(o: &Object, name: &str) -> [String; 5] {
    let references = if o.state.immortal() { "immortal".into() } else { text::grouped(o.refcount) };
    [o.address.to_string(), o.own_bytes.to_string(), o.footprint_bytes.to_string(), references, text::escaped(name).into_owned()]
}

fn next(out: &mut dyn Write, objects: &Listing<'_>, style: &Style) -> io::Result<()> {
    let Some((first, _)) = objects.rows().next() else { return Ok(()) };
    writeln!(out)?;
    if style.again.keeps_addresses() {
        writeln!(out, "next: {}", style.again.line("object", &[&first.address.to_string()]))
    } else {
        writeln!(out, "next: addresses hold while a process lives; look at one of a PID with exuvia object PID ADDRESS")
    }
}

#[derive(Serialize)]
struct First<'s> {
    #[serde(flatten)]
    head: json::Head<'s>,
    objects: u64,
    own_bytes: u64,
    footprint_bytes: u64,
    objects_omitted: u64,
}

#[derive(Serialize)]
struct ObjectJson<'s> {
    address: json::Hex,
    #[serde(rename = "type")]
    type_name: &'s str,
    own_bytes: u64,
    footprint_bytes: u64,
    refcount: u64,
    immortal: bool,
    collector: &'static str,
    found: &'static str,
}

impl<'s> ObjectJson<'s> {
    fn new(o: &Object, type_name: &'s str) -> Self {
        ObjectJson {
            address: json::Hex(o.address),
            type_name,
            own_bytes: o.own_bytes.0,
            footprint_bytes: o.footprint_bytes.0,
            refcount: o.refcount,
            immortal: o.state.immortal(),
            collector: o.state.collector().word(),
            found: o.state.found().word(),
        }
    }
}
