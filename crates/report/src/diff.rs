//! `diff`: what came, went, stayed and grows, in both forms.

use std::io::{self, Write};

use analyses::diff::{Change, Count, Diff, Growing, OwnerChange, Suspect, TypeChange};
use memory::Bytes;
use serde::Serialize;
use snapshot::Snapshot;

use crate::table::{Align, Table};
use crate::{head, json, text, Style};

/// Rows of each list on the first screen, so that all of it fits 24 lines.
pub const FIRST_SCREEN: usize = 5;
/// So many owners less, whose suspects stand below them.
const OWNERS_LESS: usize = 2;

/// Coverage of the last look, what came and went, growth by type, suspects, and the next command.
pub fn table(out: &mut dyn Write, snapshot: &Snapshot, diff: &Diff, limit: Option<usize>, style: &Style) -> io::Result<()> {
    head::write_brief(out, snapshot, style)?;
    let counts: Vec<String> = diff.looks.iter().map(|look| text::grouped(look.objects)).collect();
    head::write_cut(out, &format!("looks:    {}, objects {}", diff.looks.len(), counts.join(" → ")), style)?;
    let c = &diff.change;
    let part = |word: &str, count: Count| format!("{} {word} ({})", text::grouped(count.objects), count.bytes);
    let mut line = format!("since:    {}, {}", part("new", c.new), part("gone", c.gone));
    if diff.looks.len() > 2 {
        line += &format!(", {} stayed", text::grouped(c.stayed.objects));
    }
    head::write_cut(out, &line, style)?;
    if diff.unsure > 0 {
        let line = format!(
            "unsure:   {} survived as far as can be told: no attribute of their own says so",
            text::counted(diff.unsure, "instance")
        );
        head::write_cut(out, &line, style)?;
    }
    let limit = limit.unwrap_or(usize::MAX);
    types(out, diff, limit, style)?;
    owners(out, diff, limit.saturating_sub(OWNERS_LESS), style)?;
    suspects(out, diff, limit, style)?;
    let next = diff.suspects.first().map(|suspect| match (&suspect.growing, &suspect.owner) {
        (Some(growing), _) => growing.address,
        (None, owner) => owner.as_ref().map_or_else(Default::default, |owner| owner.address),
    });
    match next {
        Some(address) => writeln!(out, "next: {}", style.again.line("path", &[&address.to_string()])),
        None => writeln!(out, "next: {}", style.again.line("explain", &[])),
    }
}

fn types(out: &mut dyn Write, diff: &Diff, limit: usize, style: &Style) -> io::Result<()> {
    let columns =
        [("growth", Align::Right), ("new", Align::Right), ("gone", Align::Right), ("stayed", Align::Right), ("type", Align::Left)];
    let mut table = Table::new(style, &columns);
    let rows: Vec<[String; 5]> = diff.types.iter().filter(|t| t.change.new.objects > 0).take(limit).map(type_cells).collect();
    if rows.is_empty() {
        return Ok(());
    }
    rows.iter().for_each(|row| table.fit(row));
    table.header(out)?;
    rows.iter().try_for_each(|row| table.row(out, row))
}

/// Owners that grew, with what they retained in each look.
fn owners(out: &mut dyn Write, diff: &Diff, limit: usize, style: &Style) -> io::Result<()> {
    let grown = |owner: &&OwnerChange| owner.last_bytes > owner.first_bytes;
    let cells = |owner: &OwnerChange| -> [String; 3] {
        let looks: Vec<String> = owner.looks.iter().map(Bytes::to_string).collect();
        let name = format!("{} ({})", text::escaped(&owner.path), text::escaped(&owner.type_name));
        [signed(owner.first_bytes, owner.last_bytes), looks.join(" → "), name]
    };
    let rows: Vec<[String; 3]> = diff.owners.iter().filter(grown).take(limit).map(cells).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(style, &[("growth", Align::Right), ("in each look", Align::Right), ("owner", Align::Left)]);
    rows.iter().for_each(|row| table.fit(row));
    table.header(out)?;
    rows.iter().try_for_each(|row| table.row(out, row))
}

fn type_cells(t: &TypeChange) -> [String; 5] {
    let bytes = |count: Option<&Count>| count.map_or(Bytes(0), |c| c.bytes);
    let growth = signed(bytes(t.looks.first()), bytes(t.looks.last()));
    let c = &t.change;
    let count = |count: Count| text::grouped(count.objects);
    [growth, count(c.new), count(c.gone), count(c.stayed), text::escaped(&t.name).into_owned()]
}

/// `+1.2 MiB`, `-3 B`.
fn signed(first: Bytes, last: Bytes) -> String {
    match last.0.checked_sub(first.0) {
        Some(more) => format!("+{}", Bytes(more)),
        None => format!("-{}", Bytes(first.0 - last.0)),
    }
}

fn suspects(out: &mut dyn Write, diff: &Diff, limit: usize, style: &Style) -> io::Result<()> {
    if diff.suspects.is_empty() {
        return writeln!(out, "suspects: none: nothing grew in every step");
    }
    let mut table = Table::new(style, &[("retained", Align::Right), ("entries", Align::Right), ("suspect", Align::Left)]);
    let rows: Vec<[String; 3]> = diff.suspects.iter().take(limit).map(suspect_cells).collect();
    rows.iter().for_each(|row| table.fit(row));
    table.header(out)?;
    rows.iter().try_for_each(|row| table.row(out, row))?;
    let left = diff.suspects.len().saturating_sub(rows.len());
    match left {
        0 => Ok(()),
        left => table.row(out, &[String::new(), String::new(), format!("… {} more (--limit 0 shows all)", text::grouped(left as u64))]),
    }
}

fn suspect_cells(suspect: &Suspect) -> [String; 3] {
    let retained = format!("+{}", suspect.grew_bytes);
    match (&suspect.growing, &suspect.owner) {
        (Some(growing), _) => {
            let made_of = growing.entries.as_ref().map(|(name, n)| format!(": {} new {}", text::grouped(*n), text::escaped(name)));
            let path = text::escaped(&growing.path);
            [
                retained,
                format!("+{}", text::grouped(growing.grew_by())),
                format!("{path} ({}){}", text::escaped(&growing.type_name), made_of.unwrap_or_default()),
            ]
        }
        (None, owner) => {
            let owner = owner.as_ref().map(|o| format!("{} ({})", text::escaped(&o.path), text::escaped(&o.type_name)));
            [retained, String::new(), owner.unwrap_or_default()]
        }
    }
}

/// One JSON object: schema `exuvia/diff/1`; target and coverage are those of the last look.
pub fn json(out: &mut dyn Write, snapshot: &Snapshot, diff: &Diff, limit: Option<usize>) -> io::Result<()> {
    let limit = limit.unwrap_or(usize::MAX);
    let answer = Answer {
        head: json::Head::new("exuvia/diff/1", snapshot),
        looks: diff.looks.iter().map(CountJson::new).collect(),
        change: ChangeJson::new(&diff.change),
        replaced: diff.replaced,
        unsure: diff.unsure,
        fingerprints: diff.fingerprints,
        types: diff.types.iter().take(limit).map(TypeJson::new).collect(),
        owners: diff.owners.iter().take(limit).map(OwnerJson::new).collect(),
        containers: diff.containers.iter().take(limit).map(GrowingJson::new).collect(),
        suspects: diff.suspects.iter().take(limit).map(SuspectJson::new).collect(),
    };
    json::line(out, &answer)
}

#[derive(Serialize)]
struct Answer<'s> {
    #[serde(flatten)]
    head: json::Head<'s>,
    looks: Vec<CountJson>,
    #[serde(flatten)]
    change: ChangeJson,
    replaced: u64,
    unsure: u64,
    fingerprints: bool,
    types: Vec<TypeJson<'s>>,
    owners: Vec<OwnerJson<'s>>,
    containers: Vec<GrowingJson<'s>>,
    suspects: Vec<SuspectJson<'s>>,
}

#[derive(Serialize)]
struct CountJson {
    objects: u64,
    bytes: u64,
}

impl CountJson {
    fn new(count: &Count) -> Self {
        CountJson { objects: count.objects, bytes: count.bytes.0 }
    }
}

#[derive(Serialize)]
struct ChangeJson {
    new: CountJson,
    gone: CountJson,
    survived: CountJson,
    stayed: CountJson,
}

impl ChangeJson {
    fn new(change: &Change) -> Self {
        let Change { new, gone, survived, stayed } = change;
        let [new, gone, survived, stayed] = [new, gone, survived, stayed].map(CountJson::new);
        ChangeJson { new, gone, survived, stayed }
    }
}

#[derive(Serialize)]
struct TypeJson<'s> {
    #[serde(rename = "type")]
    name: &'s str,
    looks: Vec<CountJson>,
    #[serde(flatten)]
    change: ChangeJson,
}

impl<'s> TypeJson<'s> {
    fn new(t: &'s TypeChange) -> Self {
        TypeJson { name: &t.name, looks: t.looks.iter().map(CountJson::new).collect(), change: ChangeJson::new(&t.change) }
    }
}

#[derive(Serialize)]
struct OwnerJson<'s> {
    path: &'s str,
    #[serde(rename = "type")]
    type_name: &'s str,
    address: json::Hex,
    first_bytes: u64,
    last_bytes: u64,
    looks_bytes: Vec<u64>,
    grew_in_each: bool,
    objects: u64,
}

impl<'s> OwnerJson<'s> {
    fn new(owner: &'s OwnerChange) -> Self {
        OwnerJson {
            path: &owner.path,
            type_name: &owner.type_name,
            address: json::Hex(owner.address),
            first_bytes: owner.first_bytes.0,
            last_bytes: owner.last_bytes.0,
            looks_bytes: owner.looks.iter().map(|bytes| bytes.0).collect(),
            grew_in_each: owner.grew_in_each(),
            objects: owner.objects,
        }
    }
}

#[derive(Serialize)]
struct GrowingJson<'s> {
    path: &'s str,
    #[serde(rename = "type")]
    type_name: &'s str,
    address: json::Hex,
    lengths: &'s [u64],
    grew_by: u64,
    first_bytes: u64,
    last_bytes: u64,
    entries_type: Option<&'s str>,
    entries_new: Option<u64>,
}

impl<'s> GrowingJson<'s> {
    fn new(growing: &'s Growing) -> Self {
        GrowingJson {
            path: &growing.path,
            type_name: &growing.type_name,
            address: json::Hex(growing.address),
            lengths: &growing.lengths,
            grew_by: growing.grew_by(),
            first_bytes: growing.first_bytes.0,
            last_bytes: growing.last_bytes.0,
            entries_type: growing.entries.as_ref().map(|(name, _)| name.as_str()),
            entries_new: growing.entries.as_ref().map(|(_, count)| *count),
        }
    }
}

#[derive(Serialize)]
struct SuspectJson<'s> {
    grew_bytes: u64,
    container: Option<GrowingJson<'s>>,
    owner: Option<OwnerJson<'s>>,
}

impl<'s> SuspectJson<'s> {
    fn new(suspect: &'s Suspect) -> Self {
        SuspectJson {
            grew_bytes: suspect.grew_bytes.0,
            container: suspect.growing.as_ref().map(GrowingJson::new),
            owner: suspect.owner.as_ref().map(OwnerJson::new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::Addr;

    fn found() -> Diff {
        let count = |objects, bytes| Count { objects, bytes: Bytes(bytes) };
        let change = Change { new: count(240, 2400), gone: count(3, 30), survived: count(120, 1200), stayed: count(120, 1200) };
        let looks = vec![count(120, 1200), count(240, 2400), count(360, 3600)];
        let growing = Growing {
            path: "shop.CACHE\u{1b}[2J".into(),
            type_name: "dict".into(),
            address: Addr(0x70),
            lengths: vec![120, 240, 360],
            first_bytes: Bytes(1200),
            last_bytes: Bytes(3600),
            entries: Some(("shop.\u{202e}Page".into(), 240)),
        };
        let suspect = Suspect { growing: Some(growing.clone()), owner: None, grew_bytes: Bytes(2400) };
        let of_type = TypeChange { name: "shop.Page".into(), looks: looks.clone(), change };
        Diff { looks, change, types: vec![of_type], containers: vec![growing], suspects: vec![suspect], ..Diff::default() }
    }

    #[test]
    fn owners_are_shown_in_each_look_and_what_is_unsure_is_said() {
        let owner = OwnerChange {
            path: "shop.STORE".into(),
            type_name: "tuple".into(),
            address: Addr(0x80),
            first_bytes: Bytes(1024),
            last_bytes: Bytes(4096),
            looks: vec![Bytes(1024), Bytes(2048), Bytes(4096)],
            objects: 9,
        };
        let gone = OwnerChange { last_bytes: Bytes(0), looks: vec![Bytes(1024), Bytes(0), Bytes(0)], ..owner.clone() };
        let diff = Diff { owners: vec![owner, gone], unsure: 1200, ..found() };
        let out = shown(&diff);
        assert!(out.contains("unsure:   1,200 instances survived as far as can be told"), "{out}");
        assert!(out.contains("+3.00 KiB  1.00 KiB → 2.00 KiB → 4.00 KiB  shop.STORE (tuple)\n") && !out.contains("→ 0 B"), "{out}");
        let mut json_out = Vec::new();
        json(&mut json_out, &Snapshot::default(), &diff, None).unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&json_out).unwrap();
        let first = &answer["owners"][0];
        assert_eq!((&first["looks_bytes"], &first["grew_in_each"]), (&serde_json::json!([1024, 2048, 4096]), &true.into()));
        assert_eq!(answer["unsure"], 1200);
    }

    fn shown(diff: &Diff) -> String {
        let mut out = Vec::new();
        table(&mut out, &Snapshot::default(), diff, Some(FIRST_SCREEN), &Style::default()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn growth_is_shown_and_names_cannot_steer_the_terminal() {
        let out = shown(&found());
        let lines: Vec<&str> = out.lines().skip(3).collect();
        assert_eq!(lines[0], "looks:    3, objects 120 → 240 → 360");
        assert_eq!(lines[1], "since:    240 new (2.34 KiB), 3 gone (30 B), 120 stayed");
        assert_eq!(lines[3], "+2.34 KiB  240     3     120  shop.Page");
        assert!(lines[5].starts_with("+2.34 KiB     +240  shop.CACHE") && lines[5].contains("(dict): 240 new shop."), "{out}");
        assert_eq!(lines[6], "next: exuvia path 0 0x70");
        assert!(!out.contains(['\u{1b}', '\u{202e}']), "{out}");
        let none = Diff { suspects: Vec::new(), ..found() };
        assert!(shown(&none).contains("suspects: none"));
    }

    #[test]
    fn programs_get_the_same_numbers() {
        let mut out = Vec::new();
        json(&mut out, &Snapshot::default(), &found(), None).unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&answer["schema"], &answer["new"]["objects"]), (&"exuvia/diff/1".into(), &240.into()));
        assert_eq!(answer["suspects"][0]["container"]["grew_by"], 240);
    }
}
