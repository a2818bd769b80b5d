//! `object`: one object, its references out and in, and what its count says.

use std::io::{self, Write};

use analyses::{Account, ObjectView};
use serde::Serialize;
use snapshot::{Brief, Holder, Known, Label, Reference, Snapshot};

use crate::table::{Align, Table};
use crate::{head, json, text, Style};

/// How many references out and in leave a first screen of 24 lines whole, when there are so many of each: nine
/// together, and what one side does not need is the other's.
pub fn first_screen(out: u64, held_by: u64) -> (usize, usize) {
    const BOTH: usize = 9;
    let (out, held_by) = (out.min(BOTH as u64) as usize, held_by.min(BOTH as u64) as usize);
    let held_by = held_by.min((BOTH - out).max(BOTH - BOTH / 2));
    (out.min(BOTH - held_by), held_by)
}

/// For people.
pub fn table(out: &mut dyn Write, snapshot: &Snapshot, object: &ObjectView<'_>, style: &Style) -> io::Result<()> {
    head::write_brief(out, snapshot, style)?;
    writeln!(out)?;
    let it = object.it;
    let what = match brief(&it.brief) {
        b if b.is_empty() => String::new(),
        b => format!(" ({b})"),
    };
    head::write_cut(out, &format!("{} {}{what}", text::escaped(&it.type_name), it.address), style)?;
    let known = if it.known == Known::Exact { String::new() } else { format!(" ({})", it.known.word()) };
    let (collector, found) = (it.state.collector().word(), it.state.found().word());
    let size = format!("  {} own{known}, {} footprint; collector: {collector}; found by: {found}", it.own_bytes, it.footprint_bytes);
    head::write_cut(out, &size, style)?;
    head::write_cut(out, &format!("  {}", account(object)), style)?;
    writeln!(out)?;
    references(out, "refers to", "nothing", object.out, it.references_out.total, style)?;
    references(out, "is referred to by", "nothing that we found", object.held_by, it.references_in.total, style)?;
    next(out, object, style)
}

/// For programs: `exuvia/object/1`.
pub fn json(out: &mut dyn Write, snapshot: &Snapshot, object: &ObjectView<'_>) -> io::Result<()> {
    let it = object.it;
    let object = ObjectJson {
        address: json::Hex(it.address),
        type_name: &it.type_name,
        type_address: json::Hex(it.type_address),
        brief: brief_json(&it.brief),
        own_bytes: it.own_bytes.0,
        footprint_bytes: it.footprint_bytes.0,
        known: it.known.word(),
        refcount: it.refcount,
        immortal: it.state.immortal(),
        explained_refs: it.explained_refs,
        account: object.account.word(),
        collector: it.state.collector().word(),
        found: it.state.found().word(),
        references_out: ReferencesJson::new(object.out, it.references_out.total),
        references_in: ReferencesJson::new(object.held_by, it.references_in.total),
    };
    json::line(out, &Answer { head: json::Head::new("exuvia/object/1", snapshot), object })
}

fn account(object: &ObjectView<'_>) -> String {
    let it = object.it;
    let (count, found) = (text::grouped(it.refcount), text::grouped(it.explained_refs));
    match object.account {
        Account::Immortal => format!("reference count: immortal; {found} found"),
        Account::Whole => format!("reference count: {count}, all found"),
        Account::Outside(n) => {
            format!("reference count: {count}; {found} found, {} held outside the heap (C code, stacks)", text::grouped(n))
        }
        Account::Surplus(n) => format!("reference count: {count}; {found} found, {} more than it counts", text::grouped(n)),
    }
}

fn references(out: &mut dyn Write, verb: &str, none: &str, shown: &[Reference], total: u64, style: &Style) -> io::Result<()> {
    if total == 0 {
        return writeln!(out, "{verb}: {none}");
    }
    let title = if style.color { format!("\x1b[1m{verb}\x1b[0m") } else { verb.to_string() };
    writeln!(out, "{title} ({}):", text::grouped(total))?;
    let mut table = Table::new(style, &[("", Align::Left), ("", Align::Left), ("", Align::Left)]);
    let rows: Vec<[String; 3]> = shown.iter().map(cells).collect();
    rows.iter().for_each(|r| table.fit(r));
    for row in &rows {
        table.row(out, row)?;
    }
    let hidden = total.saturating_sub(shown.len() as u64);
    if hidden > 0 {
        writeln!(out, "    … {} more (--limit 0 shows all)", text::grouped(hidden))?;
    }
    Ok(())
}

/// A label longer than this loses its middle, so that the other columns stay on the screen.
const LABEL_WIDTH: usize = 28;

fn cells(r: &Reference) -> [String; 3] {
    let label = text::escaped(&r.label.to_string()).into_owned();
    let how = if r.certain || matches!(r.label, Label::Scanned(_)) { "" } else { " (scanned)" };
    let label = format!("  {}{how}", text::shortened(&label, LABEL_WIDTH));
    match &r.other {
        Holder::Object { address, type_name, brief: b } => {
            let what = match brief(b) {
                b if b.is_empty() => text::escaped(type_name).into_owned(),
                b => format!("{} ({b})", text::escaped(type_name)),
            };
            [label, address.to_string(), what]
        }
        Holder::Root { name } => [label, "root".into(), text::escaped(name).into_owned()],
    }
}

/// What stands in parentheses behind a type: a name, a length, a repr. Its own type is not said twice.
fn brief(b: &Brief) -> String {
    match b {
        Brief::Nothing | Brief::Hidden { .. } => String::new(),
        Brief::Sized { len, unit, .. } => text::counted(*len, unit.word()),
        Brief::Named(s) | Brief::Value(s) => text::escaped(s).into_owned(),
    }
}

fn brief_json(b: &Brief) -> Option<String> {
    match b {
        Brief::Nothing => None,
        // The form in which a value that is not shown appears everywhere: `[str, 14 chars]`.
        Brief::Sized { .. } | Brief::Hidden { .. } => Some(format!("[{b}]")),
        Brief::Named(s) | Brief::Value(s) => Some(s.clone()),
    }
}

fn next(out: &mut dyn Write, object: &ObjectView<'_>, style: &Style) -> io::Result<()> {
    let holder = object.held_by.iter().find_map(|r| match &r.other {
        Holder::Object { address, .. } => Some(address),
        Holder::Root { .. } => None,
    });
    match holder {
        Some(address) if style.again.keeps_addresses() => {
            writeln!(out)?;
            writeln!(out, "next: {}", style.again.line("object", &[&address.to_string()]))
        }
        _ => Ok(()),
    }
}

#[derive(Serialize)]
struct Answer<'s> {
    #[serde(flatten)]
    head: json::Head<'s>,
    object: ObjectJson<'s>,
}

#[derive(Serialize)]
struct ObjectJson<'s> {
    address: json::Hex,
    #[serde(rename = "type")]
    type_name: &'s str,
    type_address: json::Hex,
    brief: Option<String>,
    own_bytes: u64,
    footprint_bytes: u64,
    known: &'static str,
    refcount: u64,
    immortal: bool,
    explained_refs: u64,
    account: &'static str,
    collector: &'static str,
    found: &'static str,
    references_out: ReferencesJson<'s>,
    references_in: ReferencesJson<'s>,
}

#[derive(Serialize)]
struct ReferencesJson<'s> {
    total: u64,
    shown: Vec<ReferenceJson<'s>>,
}

impl<'s> ReferencesJson<'s> {
    fn new(shown: &'s [Reference], total: u64) -> Self {
        ReferencesJson { total, shown: shown.iter().map(ReferenceJson::new).collect() }
    }
}

#[derive(Serialize)]
struct ReferenceJson<'s> {
    kind: &'static str,
    label: String,
    /// Whether a field says so; else it was found by scanning.
    certain: bool,
    /// Null for a root.
    address: Option<json::Hex>,
    /// The type's name, or `root`'s.
    #[serde(rename = "type")]
    type_name: Option<&'s str>,
    brief: Option<String>,
    root: Option<&'s str>,
}

impl<'s> ReferenceJson<'s> {
    fn new(r: &'s Reference) -> Self {
        let (kind, label, certain) = (r.label.word(), r.label.to_string(), r.certain);
        match &r.other {
            Holder::Object { address, type_name, brief } => ReferenceJson {
                kind,
                label,
                certain,
                address: Some(json::Hex(*address)),
                type_name: Some(type_name),
                brief: brief_json(brief),
                root: None,
            },
            Holder::Root { name } => ReferenceJson { kind, label, certain, address: None, type_name: None, brief: None, root: Some(name) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::first_screen;

    #[test]
    fn what_one_side_leaves_is_the_others() {
        for (out, held_by, shown) in
            [(0, 0, (0, 0)), (3, 2, (3, 2)), (100, 100, (4, 5)), (100, 1, (8, 1)), (1, 100, (1, 8)), (u64::MAX, 0, (9, 0)), (5, 4, (5, 4))]
        {
            assert_eq!(first_screen(out, held_by), shown, "{out} {held_by}");
        }
    }
}
