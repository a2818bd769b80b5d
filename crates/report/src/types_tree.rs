//! `types --children`: a row a type, summed over the processes of a tree, in both forms.

use std::io::{self, Write};

use analyses::{Together, TypeRow, TypeTable};
use memory::Bytes;
use serde::Serialize;
use snapshot::{Known, Snapshot};

use crate::children::Process;
use crate::table::{Align, Table};
use crate::{head, json, text, Style};

/// Types and processes that leave a first screen of 24 lines whole.
pub const FIRST_SCREEN: usize = 8;
const PROCESSES: usize = 4;

/// A process and what was seen of it; nothing where it was refused.
pub type Seen = (Process, Snapshot);

/// For people. `left_out` more processes were not tried; `pid` is the root of the tree.
pub fn table(
    out: &mut dyn Write,
    all: &Together,
    types: &TypeTable<'_>,
    seen: &[Seen],
    (left_out, pid): (usize, i32),
    style: &Style,
) -> io::Result<()> {
    head::write_sums(out, &all.whole, style)?;
    let of = text::processes((seen.len() + left_out) as u64);
    let line = format!("tree:     {} of {of}; pages that they share are counted in each", text::grouped(all.processes));
    head::write_cut(out, &line, style)?;
    writeln!(out)?;
    processes(out, seen, left_out, types.rest.types > 0, style)?;
    writeln!(out)?;
    let columns = [
        ("count", Align::Right),
        ("own", Align::Right),
        ("footprint", Align::Right),
        ("share", Align::Right),
        ("in", Align::Right),
        ("type", Align::Left),
    ];
    let mut table = Table::new(style, &columns);
    let mut rows: Vec<[String; 6]> = types.rows.iter().map(|row| cells(all, types, row)).collect();
    if types.rest.types > 0 {
        let rest = &types.rest;
        let label = format!("… {} (--limit 0 shows all)", text::counted(rest.types, "more type"));
        let numbers = numbers(types, rest.count, rest.own_bytes, rest.footprint_bytes);
        let [count, own, footprint, share] = numbers;
        rows.push([count, own, footprint, share, String::new(), label]);
    }
    rows.iter().for_each(|row| table.fit(row));
    table.header(out)?;
    rows.iter().try_for_each(|row| table.row(out, row))?;
    writeln!(out, "\nnext: exuvia ledger --children {pid}")
}

/// A line a process, in the order of the tree; those that were not seen stand last.
fn processes(out: &mut dyn Write, seen: &[Seen], left_out: usize, few: bool, style: &Style) -> io::Result<()> {
    let columns = [
        ("pid", Align::Right),
        ("python", Align::Left),
        ("objects", Align::Right),
        ("footprint", Align::Right),
        ("stopped", Align::Right),
        ("command", Align::Left),
    ];
    let mut table = Table::new(style, &columns);
    let (there, refused): (Vec<&Seen>, Vec<&Seen>) = seen.iter().partition(|(process, _)| process.refused.is_none());
    let seen = [there, refused].concat();
    let shown = if few { PROCESSES.min(seen.len()) } else { seen.len() };
    let rows: Vec<[String; 6]> = seen.iter().take(shown).map(|one| process(one, style)).collect();
    rows.iter().for_each(|row| table.fit(row));
    table.header(out)?;
    rows.iter().try_for_each(|row| table.row(out, row))?;
    let hidden = seen.get(shown..).unwrap_or_default();
    if hidden.len() + left_out > 0 {
        let refused = hidden.iter().filter(|(process, _)| process.refused.is_some()).count() + left_out;
        let not = if refused > 0 { format!(", {} of them not looked at", text::grouped(refused as u64)) } else { String::new() };
        let more = text::grouped((hidden.len() + left_out) as u64);
        writeln!(out, "… {more} more{not} (--limit 0 shows all)")?;
    }
    Ok(())
}

fn process((process, snapshot): &Seen, style: &Style) -> [String; 6] {
    // On a terminal the program goes by its name, as in ledger --tree.
    let program = process.command.split(' ').next().unwrap_or_default();
    let folder = if style.width.is_some() { program.rfind('/').map_or(0, |at| at + 1) } else { 0 };
    let command = text::escaped(process.command.get(folder..).unwrap_or(&process.command)).into_owned();
    let pid = process.pid.to_string();
    if let Some(why) = &process.refused {
        let none = || "-".to_string();
        return [pid, none(), none(), none(), none(), format!("{}: {command}", text::escaped(why))];
    }
    let (c, t) = (&snapshot.coverage, &snapshot.target);
    let stopped = t.pause_ms.map_or("never".into(), text::duration_ms);
    [pid, text::escaped(&t.python).into_owned(), text::grouped(c.objects), c.footprint_bytes.to_string(), stopped, command]
}

fn cells(all: &Together, types: &TypeTable<'_>, row: &TypeRow<'_>) -> [String; 6] {
    let mut name = text::escaped(row.name).into_owned();
    if row.known != Known::Exact {
        name += &format!(" ({})", row.known.word());
    }
    let [count, own, footprint, share] = numbers(types, row.count, row.own_bytes, row.footprint_bytes);
    [count, own, footprint, share, text::grouped(having(all, row.name)), name]
}

fn numbers(types: &TypeTable<'_>, count: u64, own: Bytes, footprint: Bytes) -> [String; 4] {
    let share = format!("{:.1} %", types.share(footprint) * 100.0);
    [text::grouped(count), own.to_string(), footprint.to_string(), share]
}

fn having(all: &Together, name: &str) -> u64 {
    all.having.get(name).copied().unwrap_or(0)
}

/// One object for programs: schema `exuvia/types-tree/1`.
pub fn json(out: &mut dyn Write, all: &Together, types: &TypeTable<'_>, seen: &[Seen], left_out: usize) -> io::Result<()> {
    let processes =
        seen.iter().map(|(process, snapshot)| ProcessJson { process, seen: process.refused.is_none().then(|| json::Body::new(snapshot)) });
    let rows = types.rows.iter().map(|r| TypeJson {
        name: r.name,
        count: r.count,
        own_bytes: r.own_bytes.0,
        footprint_bytes: r.footprint_bytes.0,
        processes: having(all, r.name),
        known: r.known.word(),
    });
    let answer = Answer {
        schema: "exuvia/types-tree/1",
        coverage: json::CoverageJson::new(&all.whole.coverage),
        processes: processes.collect(),
        processes_omitted: left_out,
        types: rows.collect(),
        types_omitted: types.rest.types,
    };
    json::line(out, &answer)
}

#[derive(Serialize)]
struct Answer<'s> {
    schema: &'static str,
    coverage: json::CoverageJson,
    processes: Vec<ProcessJson<'s>>,
    processes_omitted: usize,
    types: Vec<TypeJson<'s>>,
    types_omitted: u64,
}

#[derive(Serialize)]
struct ProcessJson<'s> {
    #[serde(flatten)]
    process: &'s Process,
    #[serde(flatten)]
    seen: Option<json::Body<'s>>,
}

#[derive(Serialize)]
struct TypeJson<'s> {
    #[serde(rename = "type")]
    name: &'s str,
    count: u64,
    own_bytes: u64,
    footprint_bytes: u64,
    processes: u64,
    known: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use analyses::SortBy;
    use snapshot::{Coverage, Target, Type};

    #[test]
    fn a_first_screen_has_23_lines_of_80_columns() {
        let types = (0..30).map(|n| Type {
            name: format!("shop.models.Type{n}"),
            address: memory::Addr(16),
            count: n,
            own_bytes: Bytes(n << 19),
            footprint_bytes: Bytes(n << 20),
            known: Known::Exact,
        });
        let target = Target { python: "3.12.1".into(), pause_ms: Some(12.0), ..Target::default() };
        let coverage = Coverage { objects: 1_000_000, footprint_bytes: Bytes(435 << 20), ..Coverage::default() };
        let snapshot = Snapshot { types: types.collect(), target, coverage, ..Snapshot::default() };
        let command = "/opt/services/releases/2026-11-22/venv/bin/python3 -m gunicorn shop.wsgi --preload";
        let process = |pid: i32| Process { pid, parent: Some(7), command: command.into(), refused: (pid == 8).then(|| "no\x1b".into()) };
        let seen: Vec<Seen> = (7..20).map(|pid| (process(pid), snapshot.clone())).collect();
        let mut all = Together::default();
        seen.iter().filter(|(p, _)| p.refused.is_none()).for_each(|(_, s)| all.add(s));
        let style = Style { width: Some(80), ..Style::default() };
        let screen = |limit| {
            let mut out = Vec::new();
            table(&mut out, &all, &analyses::types(&all.whole, SortBy::Footprint, limit), &seen, (1, 7), &style).unwrap();
            String::from_utf8(out).unwrap()
        };
        let first = screen(Some(FIRST_SCREEN));
        assert!(first.lines().count() <= 23, "{first}");
        assert!(first.lines().all(|l| text::width(l) <= 80 && !l.contains('\x1b')), "{first}");
        assert!(first.contains("\n… 10 more, 2 of them not looked at (--limit 0 shows all)\n"), "{first}");
        assert!(first.contains("tree:     12 of 14 processes; "), "{first}");
        assert!(first.contains("  12  shop.models.Type29\n"), "{first}");
        assert!(screen(None).contains("\n 19  3.12.1 "), "{}", screen(None));
    }
}
