//! `ledger`: where the resident memory is, in both forms.

use std::io::{self, Write};

use analyses::ledger::{Advice, Entry, Statement};
use memory::Bytes;
use serde::Serialize;
use snapshot::Snapshot;

use crate::table::{Align, Table};
use crate::{head, json, text, Style};

/// Names of each part that are shown on the first screen.
pub const FIRST_SCREEN: usize = 3;
/// An entry below this part of the whole shows nothing of what it is made of there: a fiftieth.
const DETAIL_LEAST: u64 = 50;
/// Entries on one line.
const LINE: usize = 2;
/// Lines of the table on the first screen.
const LINES: usize = 14;

/// Coverage, the entries, what is not attributed, what would give memory back.
pub fn table(out: &mut dyn Write, snapshot: &Snapshot, statement: &Statement, all: bool, style: &Style) -> io::Result<()> {
    head::write_brief(out, snapshot, style)?;
    head::write_cut(out, &rss(statement), style)?;
    writeln!(out)?;
    let mut rows = Vec::new();
    let room = if all { usize::MAX } else { LINES.saturating_sub(statement.advice.len().min(3) * 2) };
    rows_of(statement, all, room, &mut rows);
    let mut table = Table::new(style, &[("resident", Align::Right), ("share", Align::Right), ("what", Align::Left)]);
    rows.iter().for_each(|row| table.fit(row));
    table.header(out)?;
    rows.iter().try_for_each(|row| table.row(out, row))?;
    writeln!(out)?;
    advice(out, &statement.advice, style)?;
    writeln!(out, "next: {}", style.again.line("explain", &[]))
}

/// One line for another screen: `resident: 210 MiB: Python objects 103 MiB, …`.
pub(crate) fn line(s: &Statement) -> String {
    let rest = Entry { name: "not attributed".into(), resident_bytes: s.not_attributed_bytes, ..Entry::default() };
    let short = |name: &str| name.split(" (").next().unwrap_or(name).to_string();
    let parts: Vec<String> =
        s.entries.iter().take(LINE).chain([&rest]).map(|e| format!("{} {}", short(&e.name), e.resident_bytes)).collect();
    format!("resident: {}: {}", s.rss_bytes, parts.join("; "))
}

fn rss(s: &Statement) -> String {
    let mut line = format!("resident: {}", s.rss_bytes);
    if let Some(statm) = s.statm_bytes {
        line += &format!(" (statm {statm})");
    }
    for (bytes, what) in [
        (s.shared_bytes, "shared with other processes"),
        (s.huge_bytes, "in huge pages"),
        (s.huge_slack_bytes, "of those free"),
        (s.swap_bytes, "more in swap"),
    ] {
        if bytes.0 > 0 {
            line += &format!(", {bytes} {what}");
        }
    }
    line
}

/// The entries with as much of their parts as there is room for: the biggest first.
fn rows_of(s: &Statement, all: bool, room: usize, rows: &mut Vec<[String; 3]>) {
    let details = room.saturating_sub(s.entries.len() + 1);
    let mut shown: Vec<Vec<[String; 3]>> = vec![Vec::new(); s.entries.len()];
    let mut left = details;
    for (entry, into) in s.entries.iter().zip(&mut shown) {
        if !all && entry.resident_bytes.0 * DETAIL_LEAST < s.rss_bytes.0 {
            continue;
        }
        for part in &entry.of {
            if left == 0 || (!all && part.resident_bytes.0 * DETAIL_LEAST < s.rss_bytes.0) {
                break;
            }
            left -= 1;
            into.push(cells(s, part, 1));
            if all {
                into.extend(part.of.iter().map(|name| cells(s, name, 2)));
            } else if let Some(most) = made_of(part) {
                if let Some([_, _, what]) = into.last_mut() {
                    *what += &most;
                }
            }
        }
    }
    for (entry, details) in s.entries.iter().zip(shown) {
        rows.push(cells(s, entry, 0));
        rows.extend(details);
    }
    rows.push(numbers(s, s.not_attributed_bytes, "not attributed".into()));
}

/// ` (dict 12 MiB, str 3 MiB)`
fn made_of(part: &Entry) -> Option<String> {
    let names: Vec<String> =
        part.of.iter().filter(|e| !e.name.starts_with('…')).map(|e| format!("{} {}", text::escaped(&e.name), e.resident_bytes)).collect();
    (!names.is_empty()).then(|| format!(" ({})", names.join(", ")))
}

fn cells(s: &Statement, entry: &Entry, depth: usize) -> [String; 3] {
    let indent = "  ".repeat(depth);
    numbers(s, entry.resident_bytes, format!("{indent}{}", text::escaped(&entry.name)))
}

fn numbers(s: &Statement, bytes: Bytes, what: String) -> [String; 3] {
    [bytes.to_string(), text::percent(bytes.0, s.rss_bytes.0), what]
}

/// What would give memory back, two lines each.
pub(crate) fn advice(out: &mut dyn Write, advice: &[Advice], style: &Style) -> io::Result<()> {
    if advice.is_empty() {
        return writeln!(out, "no setting would give back much");
    }
    for Advice { setting, why, gain_bytes, known, .. } in advice {
        head::write_cut(out, &format!("{gain_bytes} ({known}) by {setting}"), style)?;
        head::write_cut(out, &format!("  {}", text::escaped(why)), style)?;
    }
    Ok(())
}

/// One JSON object: schema `exuvia/ledger/1`.
pub fn json(out: &mut dyn Write, snapshot: &Snapshot, s: &Statement) -> io::Result<()> {
    let ledger = snapshot.ledger.as_ref();
    let answer = Answer {
        head: json::Head::new("exuvia/ledger/1", snapshot),
        statement: StatementJson::new(s),
        pymalloc: ledger.and_then(|l| l.pymalloc.as_ref()),
        malloc_arenas: ledger.map_or(&[], |l| l.malloc_arenas.as_slice()),
        gaps: ledger.map_or(&[], |l| l.gaps.as_slice()),
    };
    json::line(out, &answer)
}

#[derive(Serialize)]
struct Answer<'s> {
    #[serde(flatten)]
    head: json::Head<'s>,
    #[serde(flatten)]
    statement: StatementJson<'s>,
    pymalloc: Option<&'s snapshot::Pymalloc>,
    malloc_arenas: &'s [snapshot::MallocArena],
    gaps: &'s [String],
}

/// The entries and what adds up with them.
#[derive(Serialize)]
pub(crate) struct StatementJson<'s> {
    rss_bytes: u64,
    statm_bytes: Option<u64>,
    swap_bytes: u64,
    huge_bytes: u64,
    huge_slack_bytes: u64,
    shared_bytes: u64,
    entries: Vec<EntryJson<'s>>,
    not_attributed_bytes: u64,
    advice: Vec<AdviceJson<'s>>,
}

impl<'s> StatementJson<'s> {
    pub(crate) fn new(s: &'s Statement) -> Self {
        StatementJson {
            rss_bytes: s.rss_bytes.0,
            statm_bytes: s.statm_bytes.map(|b| b.0),
            swap_bytes: s.swap_bytes.0,
            huge_bytes: s.huge_bytes.0,
            huge_slack_bytes: s.huge_slack_bytes.0,
            shared_bytes: s.shared_bytes.0,
            entries: s.entries.iter().map(EntryJson::new).collect(),
            not_attributed_bytes: s.not_attributed_bytes.0,
            advice: s.advice.iter().map(AdviceJson::new).collect(),
        }
    }
}

#[derive(Serialize)]
struct EntryJson<'s> {
    name: &'s str,
    resident_bytes: u64,
    shared_bytes: u64,
    huge_bytes: u64,
    count: u64,
    known: &'static str,
    of: Vec<EntryJson<'s>>,
}

impl<'s> EntryJson<'s> {
    fn new(e: &'s Entry) -> Self {
        EntryJson {
            name: &e.name,
            resident_bytes: e.resident_bytes.0,
            shared_bytes: e.shared_bytes.0,
            huge_bytes: e.huge_bytes.0,
            count: e.count,
            known: e.known,
            // Three levels at most, by the making of a statement.
            of: e.of.iter().map(EntryJson::new).collect(),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct AdviceJson<'s> {
    setting: &'s str,
    why: &'s str,
    gain_bytes: u64,
    known: &'static str,
}

impl<'s> AdviceJson<'s> {
    pub(crate) fn new(a: &'s Advice) -> Self {
        AdviceJson { setting: &a.setting, why: &a.why, gain_bytes: a.gain_bytes.0, known: a.known }
    }
}
