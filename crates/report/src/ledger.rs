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
/// Entries below this part of the whole are one line there: a hundredth.
const ENTRY_LEAST: u64 = 100;
/// Entries on one line.
const LINE: usize = 2;
/// Lines of the first screen; the prompt takes the 24th.
const LINES: usize = 23;
/// Settings that are told there.
const ADVICE: usize = 2;
/// Columns of a terminal that is none: a file, a pipe.
const COLUMNS: usize = 100;

/// Coverage, the entries, what is not attributed, what would give memory back.
pub fn table(out: &mut dyn Write, snapshot: &Snapshot, statement: &Statement, all: bool, style: &Style) -> io::Result<()> {
    let mut under = Vec::new();
    advice(&mut under, &statement.advice, if all { usize::MAX } else { ADVICE }, style)?;
    let mut over = Vec::new();
    head::write_brief(&mut over, snapshot, style)?;
    lines(&mut over, &rss(statement), "          ", style)?;
    // Two blank lines, the titles, the next command.
    let taken = [&under, &over].iter().map(|text| text.iter().filter(|c| **c == b'\n').count()).sum::<usize>() + 4;
    let room = if all { usize::MAX } else { LINES.saturating_sub(taken) };
    let mut rows = Vec::new();
    rows_of(statement, all, room, style, &mut rows);
    let mut table = Table::new(
        style,
        &[(if statement.of_a_core { "in core" } else { "resident" }, Align::Right), ("share", Align::Right), ("what", Align::Left)],
    );
    rows.iter().for_each(|row| table.fit(row));
    out.write_all(&over)?;
    writeln!(out)?;
    table.header(out)?;
    rows.iter().try_for_each(|row| table.row(out, row))?;
    writeln!(out)?;
    out.write_all(&under)?;
    writeln!(out, "next: {}", style.again.line("explain", &[]))
}

/// A sentence as lines that fit; none of it is cut off.
fn lines(out: &mut dyn Write, text: &str, indent: &str, style: &Style) -> io::Result<()> {
    let width = style.width.unwrap_or(COLUMNS).saturating_sub(text::width(indent));
    for (nth, line) in text::folded(text, width).iter().enumerate() {
        let indent = if nth == 0 { "" } else { indent };
        writeln!(out, "{indent}{line}")?;
    }
    Ok(())
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
    if s.of_a_core {
        return format!(
            "in the core: {}, without pages of zeros and what it leaves to files; what was resident, a core does not tell",
            s.rss_bytes
        );
    }
    let mut line = format!("resident: {}", s.rss_bytes);
    if let Some(statm) = s.statm_bytes {
        line += &format!(" (statm {statm})");
    }
    for (bytes, what) in [
        (s.shared_bytes, "shared with other processes"),
        (s.forked_bytes, "of that since a fork"),
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
fn rows_of(s: &Statement, all: bool, room: usize, style: &Style, rows: &mut Vec<[String; 3]>) {
    let large = s.entries.iter().take_while(|e| e.resident_bytes.0 * ENTRY_LEAST >= s.rss_bytes.0).count();
    // The rest, and what is not attributed, take a line each.
    let kept = if all { s.entries.len() } else { large.min(room.saturating_sub(2)) };
    let (shown, rest) = s.entries.split_at(kept.min(s.entries.len()));
    let mut left = room.saturating_sub(shown.len() + 1 + usize::from(!rest.is_empty()));
    for entry in shown {
        rows.push(cells(s, entry, 0));
        if !all && entry.resident_bytes.0 * DETAIL_LEAST < s.rss_bytes.0 {
            continue;
        }
        for part in &entry.of {
            if left == 0 || (!all && part.resident_bytes.0 * DETAIL_LEAST < s.rss_bytes.0) {
                break;
            }
            left -= 1;
            let [bytes, share, what] =
                if all { cells(s, part, 1) } else { numbers(s, part.resident_bytes, format!("  {}", brief(&part.name))) };
            let names = if all { String::new() } else { made_of(part, style.width, text::width(&what)) };
            rows.push([bytes, share, what + &names]);
            if all {
                rows.extend(part.of.iter().map(|name| cells(s, name, 2)));
            }
        }
    }
    if !rest.is_empty() {
        let bytes = rest.iter().map(|e| e.resident_bytes.0).sum();
        rows.push(numbers(s, Bytes(bytes), format!("… {} more (--limit 0 shows all)", rest.len())));
    }
    rows.push(numbers(s, s.not_attributed_bytes, "not attributed".into()));
}

/// `…/lib/libpython3.11.so.1.0`: of a file's path what says most.
fn brief(name: &str) -> String {
    let mut slashes = name.rmatch_indices('/').map(|(at, _)| at);
    match (name.starts_with('/'), slashes.nth(1)) {
        (true, Some(at)) if at > 0 => format!("…{}", text::escaped(name.get(at..).unwrap_or(name))),
        _ => text::escaped(name).into_owned(),
    }
}

/// Columns in front of what an entry is: its bytes and its share, with what stands between.
const NUMBERS: usize = 20;

/// ` (dict 12 MiB, str 3 MiB)`: as many names as fit behind `used` columns.
fn made_of(part: &Entry, width: Option<usize>, used: usize) -> String {
    let mut names = String::new();
    for name in part.of.iter().filter(|e| !e.name.starts_with('…')) {
        let one = format!("{}{} {}", if names.is_empty() { "" } else { ", " }, text::escaped(&name.name), name.resident_bytes);
        if width.is_some_and(|width| NUMBERS + used + text::width(&names) + text::width(&one) + 3 > width) {
            break;
        }
        names += &one;
    }
    if names.is_empty() {
        names
    } else {
        format!(" ({names})")
    }
}

fn cells(s: &Statement, entry: &Entry, depth: usize) -> [String; 3] {
    let indent = "  ".repeat(depth);
    numbers(s, entry.resident_bytes, format!("{indent}{}", text::escaped(&entry.name)))
}

fn numbers(s: &Statement, bytes: Bytes, what: String) -> [String; 3] {
    [bytes.to_string(), text::percent(bytes.0, s.rss_bytes.0), what]
}

/// What would give memory back: each setting whole, so that it can be pasted, and why.
pub(crate) fn advice(out: &mut dyn Write, advice: &[Advice], most: usize, style: &Style) -> io::Result<()> {
    if advice.is_empty() {
        return writeln!(out, "no setting would give back much");
    }
    if advice.len() > 1 {
        writeln!(out, "what would give memory back (much of it the same: do not add up)")?;
    }
    for Advice { setting, why, gain_bytes, known, .. } in advice.iter().take(most) {
        lines(out, &format!("{gain_bytes} ({known}): {}", text::visible(setting)), "    ", style)?;
        // The indent of the first line is not a word: it is put on after folding.
        let width = style.width.unwrap_or(COLUMNS).saturating_sub(4);
        text::folded(&text::escaped(why), width).iter().try_for_each(|line| writeln!(out, "    {line}"))?;
    }
    if advice.len() > most {
        writeln!(out, "… {} more (--limit 0 shows all)", advice.len() - most)?;
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
    /// `resident`: by the kernel, at the stop. `core`: the pages of a core file that are not zeros.
    counted: &'static str,
    rss_bytes: u64,
    statm_bytes: Option<u64>,
    swap_bytes: u64,
    huge_bytes: u64,
    huge_slack_bytes: u64,
    shared_bytes: u64,
    forked_bytes: u64,
    entries: Vec<EntryJson<'s>>,
    not_attributed_bytes: u64,
    advice: Vec<AdviceJson<'s>>,
}

impl<'s> StatementJson<'s> {
    pub(crate) fn new(s: &'s Statement) -> Self {
        StatementJson {
            counted: if s.of_a_core { "core" } else { "resident" },
            rss_bytes: s.rss_bytes.0,
            statm_bytes: s.statm_bytes.map(|b| b.0),
            swap_bytes: s.swap_bytes.0,
            huge_bytes: s.huge_bytes.0,
            huge_slack_bytes: s.huge_slack_bytes.0,
            shared_bytes: s.shared_bytes.0,
            forked_bytes: s.forked_bytes.0,
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

#[cfg(test)]
mod tests {
    use super::*;
    use analyses::ledger::HeldBy;

    fn entry(name: &str, mib: u64, of: Vec<Entry>) -> Entry {
        Entry { name: name.into(), resident_bytes: Bytes(mib << 20), of, ..Entry::default() }
    }

    fn statement() -> Statement {
        let types =
            vec![entry("dict", 90, vec![]), entry("shop.models.sessions.storage.PersistentSession", 60, vec![]), entry("str", 50, vec![])];
        let library = "/opt/services/releases/2026-11-22/venv/lib/python3.12/site-packages/numpy/core/_multiarray_umath.so";
        let mut entries = vec![
            entry("malloc, free and held back", 500, vec![entry("in bins", 480, vec![]), entry("at the top of arenas", 20, vec![])]),
            entry(
                "Python objects",
                300,
                vec![entry("in pymalloc", 250, types), entry("in malloc: large objects, tables, buffers", 50, vec![])],
            ),
            entry("programs and libraries", 150, vec![entry(library, 100, vec![])]),
        ];
        entries.extend((0..5).map(|n| entry(&format!("small {n}"), 8, vec![])));
        let advice = |held_by, setting: &str, gain: u64| Advice {
            held_by,
            setting: setting.into(),
            why: "what it does here, in a sentence of more than the eighty columns that a terminal has at three in the morning".into(),
            gain_bytes: Bytes(gain << 20),
            known: "estimated",
        };
        Statement {
            rss_bytes: Bytes(1000 << 20),
            of_a_core: false,
            statm_bytes: Some(Bytes(999 << 20)),
            swap_bytes: Bytes(3 << 20),
            huge_bytes: Bytes(200 << 20),
            huge_slack_bytes: Bytes(100 << 20),
            shared_bytes: Bytes(9 << 20),
            forked_bytes: Bytes(5 << 20),
            entries,
            not_attributed_bytes: Bytes(10 << 20),
            advice: vec![
                advice(HeldBy::Malloc, "ctypes.CDLL(None).malloc_trim(0)", 450),
                advice(HeldBy::Malloc, "MALLOC_ARENA_MAX=2", 400),
                advice(HeldBy::Pymalloc, "make what lives long before what is many, or in a process of its own", 90),
                advice(HeldBy::Anyone, "recycle the process", 80),
            ],
        }
    }

    fn screen(all: bool, width: Option<usize>) -> String {
        let style = Style { width, color: false, again: crate::Again::Pid(7) };
        let mut out = Vec::new();
        table(&mut out, &Snapshot::default(), &statement(), all, &style).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_first_screen_has_23_lines_of_80_columns_and_settings_are_whole() {
        let first = screen(false, Some(80));
        assert!(first.lines().count() <= 23, "{first}");
        assert!(first.lines().all(|l| text::width(l) <= 80), "{first}");
        let words = first.split_whitespace().collect::<Vec<_>>().join(" ");
        for setting in ["450 MiB (estimated): ctypes.CDLL(None).malloc_trim(0)", "400 MiB (estimated): MALLOC_ARENA_MAX=2 what it does"] {
            assert!(words.contains(setting), "{first}");
        }
        assert_eq!(words.matches("at three in the morning").count(), ADVICE, "{first}");
        assert!(first.contains("\n… 2 more (--limit 0 shows all)\n"), "{first}");
        assert!(first.contains(" 4.00 %  … 5 more (--limit 0 shows all)\n"), "{first}");
        assert!(first.contains("  1.00 %  not attributed\n"), "{first}");
        assert!(words.contains("100 MiB of those free, 3.00 MiB more in swap"), "{first}");
    }

    #[test]
    fn all_is_every_entry_with_its_names_and_a_file_has_them_whole() {
        let all = screen(true, None);
        for wanted in [
            "small 4\n",
            "    shop.models.sessions.storage.PersistentSession\n",
            "numpy/core/_multiarray_umath.so\n",
            ": recycle the process\n",
        ] {
            assert!(all.contains(wanted), "{all}");
        }
        assert!(!all.contains("--limit"), "{all}");
    }

    #[test]
    fn of_a_path_the_end_says_most() {
        for (name, shown) in
            [("/usr/lib/libc.so.6", "…/lib/libc.so.6"), ("/lib/libc.so.6", "/lib/libc.so.6"), ("in bins", "in bins"), ("a/b/c", "a/b/c")]
        {
            assert_eq!(brief(name), shown);
        }
    }

    #[test]
    fn names_behind_a_part_are_as_many_as_fit() {
        let part = statement().entries.swap_remove(1).of.swap_remove(0);
        assert_eq!(made_of(&part, Some(80), 13), " (dict 90.0 MiB)");
        assert_eq!(made_of(&part, Some(40), 13), "");
        assert!(made_of(&part, None, 13).ends_with("PersistentSession 60.0 MiB, str 50.0 MiB)"));
    }
}
