//! `refcounts`: what is counted, what was found, what is held from outside; in both forms.

use std::io::{self, Write};

use analyses::refcounts::{Audit, Leak, Sums, TypeAudit};
use serde::Serialize;
use snapshot::Snapshot;

use crate::table::{Align, Table};
use crate::{head, json, text, Style};

/// Rows of the first screen, so that all of it fits 24 lines.
pub const FIRST_SCREEN: usize = 9;
/// Groups of the first screen.
const SUSPECTS: usize = 4;

/// Coverage, the sums, what looks like a leak, the types that C code holds most of, and the next command.
pub fn table(out: &mut dyn Write, snapshot: &Snapshot, audit: &Audit, limit: Option<usize>, style: &Style) -> io::Result<()> {
    head::write_brief(out, snapshot, style)?;
    writeln!(out)?;
    head::write_cut(out, &counted(&audit.sum), style)?;
    head::write_cut(out, &apart(&audit.sum), style)?;
    let shown = if limit.is_some() { SUSPECTS } else { usize::MAX };
    if audit.suspects.is_empty() {
        writeln!(out, "suspect:  nothing")?;
    }
    for leak in audit.suspects.iter().take(shown) {
        head::write_cut(out, &format!("suspect:  {}", suspect(leak)), style)?;
    }
    if audit.suspects.len() > shown {
        writeln!(out, "          … {} more (--limit 0 shows all)", audit.suspects.len() - shown)?;
    }
    writeln!(out)?;
    let columns = [
        ("unexplained", Align::Right),
        ("of objects", Align::Right),
        ("counted", Align::Right),
        ("by C alone", Align::Right),
        ("bytes", Align::Right),
        ("type", Align::Left),
    ];
    let mut table = Table::new(style, &columns);
    // Types of which all is explained are for those who ask for all.
    let is_news = |row: &&TypeAudit| limit.is_none() || row.sums.unexplained > 0 || row.sums.only_c > 0;
    let rows: Vec<[String; 6]> = audit.types.iter().filter(is_news).take(limit.unwrap_or(usize::MAX)).map(cells).collect();
    rows.iter().for_each(|row| table.fit(row));
    table.header(out)?;
    rows.iter().try_for_each(|row| table.row(out, row))?;
    writeln!(out)?;
    match audit.suspects.first() {
        // A name that cannot be typed is none that can be pasted.
        Some(Leak { type_name: name, .. }) if text::escaped(name) == *name => {
            writeln!(out, "next: {}", style.again.line("objects", &["--type", name]))
        }
        _ => writeln!(out, "next: {}", style.again.line("explain", &[])),
    }
}

fn rows(audit: &Audit, limit: Option<usize>) -> impl Iterator<Item = &TypeAudit> {
    audit.types.iter().take(limit.unwrap_or(usize::MAX))
}

fn counted(sum: &Sums) -> String {
    format!(
        "counts:   {} in all: {} explained, {} by a scan, {} held from outside",
        text::grouped(sum.references),
        text::grouped(sum.explained),
        text::grouped(sum.scanned),
        text::grouped(sum.unexplained)
    )
}

fn apart(sum: &Sums) -> String {
    format!(
        "apart:    {} without a count, {} found that {} not counted",
        text::counted(sum.immortal, "immortal object"),
        text::counted(sum.surplus, "reference"),
        if sum.surplus == 1 { "is" } else { "are" }
    )
}

fn suspect(leak: &Leak) -> String {
    let (count, name) = (text::grouped(leak.count), text::escaped(&leak.type_name));
    let each = text::counted(leak.each, "reference");
    match leak.is_alone {
        true => format!("{count} {name}, alive only through C: {each} from nowhere to each, {} kept", leak.retained_bytes),
        false => format!("{count} {name} in use, {each} from nowhere to each"),
    }
}

fn cells(row: &TypeAudit) -> [String; 6] {
    let s = &row.sums;
    [
        text::grouped(s.unexplained),
        text::grouped(s.count),
        text::grouped(s.references),
        text::grouped(s.only_c),
        s.only_c_bytes.to_string(),
        text::escaped(&row.type_name).into_owned(),
    ]
}

/// One JSON object: schema `exuvia/refcounts/1`.
pub fn json(out: &mut dyn Write, snapshot: &Snapshot, audit: &Audit, limit: Option<usize>) -> io::Result<()> {
    let answer = Answer {
        head: json::Head::new("exuvia/refcounts/1", snapshot),
        sum: SumsJson::new(&audit.sum),
        suspects: audit.suspects.iter().map(|leak| LeakJson::new(snapshot, leak)).collect(),
        types: rows(audit, limit).map(|row| RowJson { type_name: &row.type_name, sums: SumsJson::new(&row.sums) }).collect(),
    };
    json::line(out, &answer)
}

#[derive(Serialize)]
struct Answer<'s> {
    #[serde(flatten)]
    head: json::Head<'s>,
    sum: SumsJson,
    suspects: Vec<LeakJson<'s>>,
    types: Vec<RowJson<'s>>,
}

#[derive(Serialize)]
struct RowJson<'s> {
    #[serde(rename = "type")]
    type_name: &'s str,
    #[serde(flatten)]
    sums: SumsJson,
}

#[derive(Serialize)]
struct SumsJson {
    count: u64,
    immortal: u64,
    references: u64,
    explained: u64,
    scanned: u64,
    unexplained: u64,
    unexplained_objects: u64,
    surplus: u64,
    only_c: u64,
    only_c_bytes: u64,
}

impl SumsJson {
    fn new(s: &Sums) -> Self {
        SumsJson {
            count: s.count,
            immortal: s.immortal,
            references: s.references,
            explained: s.explained,
            scanned: s.scanned,
            unexplained: s.unexplained,
            unexplained_objects: s.held,
            surplus: s.surplus,
            only_c: s.only_c,
            only_c_bytes: s.only_c_bytes.0,
        }
    }
}

#[derive(Serialize)]
struct LeakJson<'s> {
    #[serde(rename = "type")]
    type_name: &'s str,
    count: u64,
    unexplained_each: u64,
    only_c: bool,
    retained_bytes: u64,
    first: json::Hex,
}

impl<'s> LeakJson<'s> {
    fn new(snapshot: &Snapshot, leak: &'s Leak) -> Self {
        let addresses = snapshot.objects.as_ref().map(|objects| objects.addresses()).unwrap_or_default();
        LeakJson {
            type_name: &leak.type_name,
            count: leak.count,
            unexplained_each: leak.each,
            only_c: leak.is_alone,
            retained_bytes: leak.retained_bytes.0,
            first: json::Hex(addresses.get(leak.node as usize).copied().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::Bytes;

    fn audit() -> Audit {
        let sums = Sums {
            count: 5000,
            references: 12_000,
            explained: 6900,
            scanned: 100,
            unexplained: 5000,
            held: 5000,
            only_c: 5000,
            only_c_bytes: Bytes(320_000),
            ..Sums::default()
        };
        let leak = Leak {
            type_name: "app.\u{1b}[31mLost".into(),
            count: 5000,
            each: 1,
            is_alone: true,
            retained_bytes: Bytes(640_000),
            ..Leak::default()
        };
        let in_use = Leak { type_name: "app.Row".into(), count: 700, each: 2, ..Leak::default() };
        Audit {
            types: vec![
                TypeAudit { type_name: "app.Lost".into(), sums },
                TypeAudit { type_name: "tuple".into(), sums: Sums { count: 7, references: 9, explained: 9, ..Sums::default() } },
            ],
            sum: Sums { immortal: 3, surplus: 1, ..sums },
            suspects: vec![leak, in_use],
        }
    }

    #[test]
    fn the_table_says_what_is_suspect_before_the_types() {
        let mut out = Vec::new();
        table(&mut out, &Snapshot::default(), &audit(), Some(FIRST_SCREEN), &Style::default()).unwrap();
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = out.lines().skip(4).collect();
        let wanted = [
            "counts:   12,000 in all: 6,900 explained, 100 by a scan, 5,000 held from outside",
            "apart:    3 immortal objects without a count, 1 reference found that is not counted",
            "suspect:  5,000 app.\\u{1b}[31mLost, alive only through C: 1 reference from nowhere to each, 625 KiB kept",
            "suspect:  700 app.Row in use, 2 references from nowhere to each",
            "",
            "unexplained  of objects  counted  by C alone    bytes  type",
            "      5,000       5,000   12,000       5,000  312 KiB  app.Lost",
        ];
        assert_eq!(lines.get(..wanted.len()), Some(&wanted[..]), "{out}");
        assert!(lines.last().is_some_and(|l| l.starts_with("next: exuvia explain") && !l.contains('\u{1b}')), "{out}");
        assert!(!out.contains("tuple"), "{out}");
        let mut out = Vec::new();
        table(&mut out, &Snapshot::default(), &audit(), None, &Style::default()).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("  tuple\n"));
        let mut out = Vec::new();
        table(&mut out, &Snapshot::default(), &Audit::default(), Some(FIRST_SCREEN), &Style::default()).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("suspect:  nothing\n"));
    }

    #[test]
    fn the_json_has_each_type_s_counts() {
        let mut out = Vec::new();
        json(&mut out, &Snapshot::default(), &audit(), None).unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(answer["schema"], "exuvia/refcounts/1");
        let row = &answer["types"][0];
        assert_eq!((&row["type"], &row["count"], &row["unexplained"]), (&"app.Lost".into(), &5000.into(), &5000.into()));
        let leak = &answer["suspects"][1];
        assert_eq!((&leak["only_c"], &leak["unexplained_each"], &leak["count"]), (&false.into(), &2.into(), &700.into()));
        assert_eq!((&answer["sum"]["immortal"], &answer["sum"]["surplus"]), (&3.into(), &1.into()));
    }
}
