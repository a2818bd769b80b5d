//! `containers`: what data structures waste, in both forms.

use std::io::{self, Write};

use analyses::containers::{Containers, Kind, Sum, Waste};
use serde::Serialize;
use snapshot::Snapshot;

use crate::explain::{written, PlaceJson};
use crate::{head, json, text, Style};

/// Rows of the first screen, of three lines each, so that all of it fits 24 lines.
pub const FIRST_SCREEN: usize = 5;

/// Coverage, each waste with where it is and what to do, what is below a line's worth, and the next command.
pub fn table(out: &mut dyn Write, snapshot: &Snapshot, found: &Containers, limit: Option<usize>, style: &Style) -> io::Result<()> {
    head::write_brief(out, snapshot, style)?;
    if !found.missing.is_empty() {
        let line = format!("missing:  the folder is of an earlier program: no {}", found.missing.join(", "));
        head::write_cut(out, &line, style)?;
    }
    writeln!(out)?;
    if found.rows.is_empty() {
        let line = format!("no data structures of which a change would save {} or more", found.least_bytes);
        head::write_cut(out, &line, style)?;
    }
    let shown = limit.unwrap_or(usize::MAX).min(found.rows.len());
    found.rows.iter().take(shown).try_for_each(|row| lines(out, row, limit.is_none(), style))?;
    if found.rows.len() > shown {
        let more = (found.rows.len() - shown) as u64;
        writeln!(out, "… {} more (--limit 0 shows all)", text::grouped(more))?;
    }
    if limit.is_none() {
        writeln!(out)?;
        found.kinds.iter().try_for_each(|sum| head::write_cut(out, &line(sum), style))?;
    }
    writeln!(out)?;
    match found.rows.first() {
        Some(first) => head::write_cut(out, &format!("next: {}", style.again.line("objects", &["--type", &first.type_name])), style),
        None => writeln!(out, "next: {}", style.again.line("explain", &[])),
    }
}

fn lines(out: &mut dyn Write, row: &Waste, all: bool, style: &Style) -> io::Result<()> {
    let saving = row.saving_bytes.to_string();
    let first = format!("{saving:>9}  {} {} {}", text::grouped(row.count), text::escaped(&row.type_name), text::escaped(&row.what));
    head::write_cut(out, &first, style)?;
    let place = row.place.as_ref().map(|place| format!(", {}", written(place))).unwrap_or_default();
    head::write_cut(out, &format!("           in {}{place}", text::escaped(&row.path)), style)?;
    head::write_cut(out, &format!("           {} ({})", text::escaped(&row.advice), crate::explain::sure(row.known)), style)?;
    if all {
        head::write_cut(out, &format!("           {}", text::escaped(&row.evidence)), style)?;
    }
    Ok(())
}

/// One way of waste in all, small groups included.
fn line(sum: &Sum) -> String {
    format!("{:>9}  in all: {}, {}", sum.saving_bytes.to_string(), meaning(sum.kind), text::counted(sum.count, "object"))
}

fn meaning(kind: Kind) -> &'static str {
    match kind {
        Kind::Room => "more room than items",
        Kind::Empty => "empty containers",
        Kind::Records => "dicts that would be classes",
        Kind::Numbers => "numbers that would be arrays",
        Kind::Equal => "equal values",
        Kind::Wide => "wide strs",
        Kind::Views => "views of more than they show",
        Kind::Calls => "calls that wait",
        Kind::Tracebacks => "tracebacks",
        Kind::Caches => "caches without bound",
        Kind::Closures => "closures and partials",
        Kind::Tasks => "tasks that are done",
    }
}

/// One JSON object: schema `exuvia/containers/1`.
pub fn json(out: &mut dyn Write, snapshot: &Snapshot, found: &Containers, limit: Option<usize>) -> io::Result<()> {
    let answer = Answer {
        head: json::Head::new("exuvia/containers/1", snapshot),
        least_bytes: found.least_bytes.0,
        missing: &found.missing,
        kinds: found.kinds.iter().map(SumJson::new).collect(),
        rows: found.rows.iter().take(limit.unwrap_or(usize::MAX)).map(WasteJson::new).collect(),
    };
    json::line(out, &answer)
}

#[derive(Serialize)]
struct Answer<'s> {
    #[serde(flatten)]
    head: json::Head<'s>,
    least_bytes: u64,
    missing: &'s [&'static str],
    kinds: Vec<SumJson>,
    rows: Vec<WasteJson<'s>>,
}

#[derive(Serialize)]
struct SumJson {
    kind: &'static str,
    count: u64,
    present_bytes: u64,
    saving_bytes: u64,
}

impl SumJson {
    fn new(sum: &Sum) -> Self {
        let Sum { kind, count, present_bytes, saving_bytes } = sum;
        SumJson { kind: kind.word(), count: *count, present_bytes: present_bytes.0, saving_bytes: saving_bytes.0 }
    }
}

#[derive(Serialize)]
struct WasteJson<'s> {
    kind: &'static str,
    #[serde(rename = "type")]
    type_name: &'s str,
    count: u64,
    present_bytes: u64,
    saving_bytes: u64,
    known: &'static str,
    path: &'s str,
    #[serde(rename = "where")]
    place: Option<PlaceJson<'s>>,
    what: &'s str,
    advice: &'s str,
    evidence: &'s str,
}

impl<'s> WasteJson<'s> {
    fn new(row: &'s Waste) -> Self {
        WasteJson {
            kind: row.kind.word(),
            type_name: &row.type_name,
            count: row.count,
            present_bytes: row.present_bytes.0,
            saving_bytes: row.saving_bytes.0,
            known: row.known.word(),
            path: &row.path,
            place: row.place.as_ref().map(PlaceJson::new),
            what: &row.what,
            advice: &row.advice,
            evidence: &row.evidence,
        }
    }
}

#[cfg(test)]
mod tests {
    use analyses::finding::Sure;
    use analyses::place::Place;
    use memory::Bytes;

    use super::*;

    fn one() -> Containers {
        let row = Waste {
            kind: Kind::Empty,
            type_name: "list".into(),
            count: 12_000,
            present_bytes: Bytes(768_000),
            saving_bytes: Bytes(768_000),
            known: Sure::Exact,
            path: "app.ROWS[…].\x1btags".into(),
            place: Some(Place { file: "/srv/app/rows.py".into(), line: Some(9), near: false }),
            what: "with nothing in it".into(),
            advice: "None, or one shared (), until the first item".into(),
            evidence: "768,000 bytes now, 0 then".into(),
            at: Vec::new(),
        };
        let kinds = vec![Sum { kind: Kind::Empty, count: 12_100, present_bytes: Bytes(774_400), saving_bytes: Bytes(774_400) }];
        Containers { kinds, rows: vec![row], least_bytes: Bytes(16 << 10), missing: vec!["wide"] }
    }

    #[test]
    fn waste_is_told_with_where_it_is_and_what_to_do() {
        let mut out = Vec::new();
        table(&mut out, &Snapshot::default(), &one(), None, &Style::default()).unwrap();
        let out = String::from_utf8(out).unwrap();
        let wanted = "  750 KiB  12,000 list with nothing in it\n           in app.ROWS[…].\\u{1b}tags, app/rows.py:9\n           \
                      None, or one shared (), until the first item (counted)\n           768,000 bytes now, 0 then\n\n  \
                      756 KiB  in all: empty containers, 12,100 objects\n";
        assert!(out.contains(wanted) && out.contains("earlier program: no wide\n"), "{out}");
    }

    #[test]
    fn the_json_has_what_is_promised() {
        let mut out = Vec::new();
        json(&mut out, &Snapshot::default(), &one(), None).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["schema"], "exuvia/containers/1");
        let first = &value["rows"][0];
        assert_eq!((&first["kind"], &first["count"], &first["known"]), (&"empty".into(), &12_000.into(), &"exact".into()));
        assert_eq!((&value["kinds"][0]["saving_bytes"], &first["where"]["line"]), (&774_400.into(), &9.into()));
    }
}
