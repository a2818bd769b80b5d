//! `retained`: who holds the memory, in both forms.

use std::io::{self, Write};

use analyses::grouped::{By, Group};
use analyses::ownership::Hold;
use analyses::retained::{Owner, Retained};
use serde::Serialize;
use snapshot::Snapshot;

use crate::table::{Align, Table};
use crate::{head, json, text, Style};

/// Rows of the first screen, so that all of it fits 24 lines.
pub const FIRST_SCREEN: usize = 12;

/// Coverage, the owners, by what all is held, and the next command.
pub fn table(out: &mut dyn Write, snapshot: &Snapshot, retained: &Retained, style: &Style) -> io::Result<()> {
    head::write_brief(out, snapshot, style)?;
    writeln!(out)?;
    owners(out, retained, style)?;
    writeln!(out)?;
    head::write_cut(out, &held(retained), style)?;
    match retained.owners.first() {
        Some(first) => writeln!(out, "next: {}", style.again.line("object", &[&first.address.to_string()])),
        None => writeln!(out, "next: {}", style.again.line("types", &[])),
    }
}

/// The owners' table alone.
pub(crate) fn owners(out: &mut dyn Write, retained: &Retained, style: &Style) -> io::Result<()> {
    let columns = [("retained", Align::Right), ("share", Align::Right), ("objects", Align::Right), ("owner", Align::Left)];
    let mut table = Table::new(style, &columns);
    let rows: Vec<[String; 4]> = retained.owners.iter().map(|owner| cells(retained, owner)).chain(rest(retained)).collect();
    rows.iter().for_each(|row| table.fit(row));
    table.header(out)?;
    rows.iter().try_for_each(|row| table.row(out, row))
}

fn cells(retained: &Retained, owner: &Owner) -> [String; 4] {
    let share = format!("{:.1} %", retained.share(owner.retained_bytes) * 100.0);
    [owner.retained_bytes.to_string(), share, text::grouped(owner.objects), described(owner)]
}

/// `shop.cache.CACHE.pages, a dict`, or `880 Order, most of them in shop.server.ORDERS[…]`.
pub(crate) fn described(owner: &Owner) -> String {
    let (path, kind) = (text::escaped(&owner.path), text::escaped(&owner.type_name));
    let nobody = match owner.named_by {
        Hold::C => Some("held by C"),
        Hold::Garbage => Some("garbage"),
        _ => None,
    };
    match (owner.owners, nobody) {
        (n, Some(held)) if owner.steps.len() == 1 => format!("{} {kind}, {held}", text::grouped(n)),
        (1, _) if owner.is_rest => format!("{path}, the rest of it"),
        (1, _) => format!("{path} ({kind})"),
        (n, _) => format!("{} {kind} by {path}", text::grouped(n)),
    }
}

fn rest(retained: &Retained) -> Option<[String; 4]> {
    let share = format!("{:.1} %", retained.share(retained.rest_bytes) * 100.0);
    let label = "… all else (--limit 0 shows all that is over 1 KiB)".to_owned();
    (retained.rest_bytes.0 > 0).then(|| [retained.rest_bytes.to_string(), share, text::grouped(retained.rest_objects), label])
}

fn held(retained: &Retained) -> String {
    let parts: Vec<String> = retained
        .shares
        .iter()
        .filter(|(_, share)| share.objects > 0)
        .map(|(hold, share)| format!("{} {}", hold.word(), share.bytes))
        .collect();
    format!("held by:  {}", parts.join(", "))
}

/// One JSON object: schema `exuvia/retained/1`.
pub fn json(out: &mut dyn Write, snapshot: &Snapshot, retained: &Retained) -> io::Result<()> {
    json::line(out, &Answer { head: json::Head::new("exuvia/retained/1", snapshot), retained: RetainedJson::new(retained) })
}

#[derive(Serialize)]
struct Answer<'s> {
    #[serde(flatten)]
    head: json::Head<'s>,
    #[serde(flatten)]
    retained: RetainedJson<'s>,
}

#[derive(Serialize)]
pub(crate) struct RetainedJson<'s> {
    owners: Vec<OwnerJson<'s>>,
    rest_bytes: u64,
    rest_objects: u64,
    held_by: Vec<ShareJson>,
}

impl<'s> RetainedJson<'s> {
    pub(crate) fn new(retained: &'s Retained) -> Self {
        RetainedJson {
            owners: retained.owners.iter().map(OwnerJson::new).collect(),
            rest_bytes: retained.rest_bytes.0,
            rest_objects: retained.rest_objects,
            held_by: retained
                .shares
                .iter()
                .map(|(hold, share)| ShareJson { hold: hold.word(), bytes: share.bytes.0, objects: share.objects })
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct ShareJson {
    hold: &'static str,
    bytes: u64,
    objects: u64,
}

#[derive(Serialize)]
struct OwnerJson<'s> {
    name: String,
    #[serde(rename = "type")]
    type_name: &'s str,
    path: &'s str,
    address: json::Hex,
    owners: u64,
    is_rest: bool,
    hold: &'static str,
    retained_bytes: u64,
    objects: u64,
    made_of: Vec<MadeOf<'s>>,
}

#[derive(Serialize)]
struct MadeOf<'s> {
    #[serde(rename = "type")]
    type_name: &'s str,
    objects: u64,
    bytes: u64,
}

impl<'s> OwnerJson<'s> {
    fn new(owner: &'s Owner) -> Self {
        OwnerJson {
            name: described(owner),
            type_name: &owner.type_name,
            path: &owner.path,
            address: json::Hex(owner.address),
            owners: owner.owners,
            is_rest: owner.is_rest,
            hold: owner.hold.word(),
            retained_bytes: owner.retained_bytes.0,
            objects: owner.objects,
            made_of: owner
                .made_of
                .iter()
                .map(|(name, objects, bytes)| MadeOf { type_name: name, objects: *objects, bytes: bytes.0 })
                .collect(),
        }
    }
}

/// The sums by type, module or distribution.
pub fn groups_table(
    out: &mut dyn Write,
    snapshot: &Snapshot,
    by: By,
    groups: &[Group],
    limit: Option<usize>,
    style: &Style,
) -> io::Result<()> {
    head::write_brief(out, snapshot, style)?;
    writeln!(out)?;
    let whole = snapshot.coverage.footprint_bytes.0.max(1) as f64;
    let columns = [("retained", Align::Right), ("share", Align::Right), ("objects", Align::Right), (by.word(), Align::Left)];
    let mut table = Table::new(style, &columns);
    let shown = groups.get(..limit.unwrap_or(groups.len()).min(groups.len())).unwrap_or_default();
    let cells = |group: &Group| {
        let share = format!("{:.1} %", group.bytes.0 as f64 / whole * 100.0);
        [group.bytes.to_string(), share, text::grouped(group.objects), text::escaped(&group.name).into_owned()]
    };
    let rows: Vec<[String; 4]> = shown.iter().map(cells).collect();
    rows.iter().for_each(|row| table.fit(row));
    table.header(out)?;
    rows.iter().try_for_each(|row| table.row(out, row))?;
    if groups.len() > shown.len() {
        writeln!(out, "… {} (--limit 0 shows all)", text::counted((groups.len() - shown.len()) as u64, "more row"))?;
    }
    writeln!(out, "\nnext: {}", style.again.line("retained", &[]))
}

/// The same as one JSON object: schema `exuvia/retained/1` with `by` and `groups`.
pub fn groups_json(out: &mut dyn Write, snapshot: &Snapshot, by: By, groups: &[Group]) -> io::Result<()> {
    let groups = groups.iter().map(|g| GroupJson { name: &g.name, objects: g.objects, retained_bytes: g.bytes.0 }).collect();
    json::line(out, &Groups { head: json::Head::new("exuvia/retained/1", snapshot), by: by.word(), groups })
}

#[derive(Serialize)]
struct Groups<'s> {
    #[serde(flatten)]
    head: json::Head<'s>,
    by: &'static str,
    groups: Vec<GroupJson<'s>>,
}

#[derive(Serialize)]
struct GroupJson<'s> {
    name: &'s str,
    objects: u64,
    retained_bytes: u64,
}
