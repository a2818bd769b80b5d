//! `ledger --tree`: forked processes beside their parents, in both forms.

use std::io::{self, Write};

use analyses::ledger::Advice;
use memory::Bytes;
use serde::Serialize;
use snapshot::{Forked, Sibling, Snapshot, Write as Kind, Written};

use crate::ledger::AdviceJson;
use crate::table::{Align, Table};
use crate::{head, json, text, Style};

/// Processes of the first screen.
pub const FIRST_SCREEN: usize = 5;
/// Kinds of pages, and types of words, that are shown there.
const PARTS: usize = 4;
const WRITTEN: usize = 3;

/// One process of the tree.
#[derive(Clone, Copy, Debug)]
pub struct Row<'s> {
    /// Its process id.
    pub pid: i32,
    /// Its parent's, where that is in the tree.
    pub parent: Option<i32>,
    /// Its command line.
    pub command: &'s str,
    /// What was seen of it.
    pub snapshot: &'s Snapshot,
    /// What it shares with its parent.
    pub forked: Option<&'s Forked>,
    /// Why nothing was seen.
    pub refused: Option<&'s str>,
}

impl Row<'_> {
    fn rss(&self) -> u64 {
        self.snapshot.ledger.as_ref().map_or(0, |l| l.rss_bytes)
    }
}

/// A line a process, what wrote to pages that were shared, what would have kept them so.
pub fn table(out: &mut dyn Write, rows: &[Row<'_>], advice: &[Advice], limit: Option<usize>, style: &Style) -> io::Result<()> {
    let columns = [
        ("pid", Align::Right),
        ("resident", Align::Right),
        ("shared", Align::Right),
        ("written", Align::Right),
        ("new", Align::Right),
        ("command", Align::Left),
    ];
    let mut table = Table::new(style, &columns);
    let shown = rows.get(..limit.unwrap_or(rows.len()).min(rows.len())).unwrap_or(rows);
    let cells: Vec<[String; 6]> = shown.iter().map(|row| cells(row, style)).collect();
    cells.iter().for_each(|row| table.fit(row));
    table.header(out)?;
    cells.iter().try_for_each(|row| table.row(out, row))?;
    if shown.len() < rows.len() {
        let more = rows.len() - shown.len();
        writeln!(out, "… {more} more {} (--limit 0 shows all)", if more == 1 { "process" } else { "processes" })?;
    }
    if rows.len() == 1 {
        writeln!(out, "\nno process was forked from it\nnext: {}", style.again.line("ledger", &[]))?;
        return Ok(());
    }
    let all = total(rows);
    let few = |most: usize| if limit.is_some() { most } else { usize::MAX };
    writeln!(out)?;
    head::write_cut(out, &format!("written since the fork, by one side or the other: {}, of that", Bytes(all.private_bytes)), style)?;
    for (bytes, what) in parts(&all).into_iter().take(few(PARTS)) {
        head::write_cut(out, &format!("  {:>8}  {what}", Bytes(bytes).to_string()), style)?;
    }
    if let Some(beside) = all.sibling {
        let Sibling { alone_bytes, alike_bytes, each_bytes, .. } = beside;
        let line = format!(
            "beside a sibling: {} one alone, {} all alike, {} each its own",
            Bytes(alone_bytes),
            Bytes(alike_bytes),
            Bytes(each_bytes)
        );
        head::write_cut(out, &line, style)?;
    }
    if all.huge_bytes > 0 {
        let line = format!("in huge pages, which the kernel makes of shared ones too: {}", Bytes(all.huge_bytes));
        head::write_cut(out, &line, style)?;
    }
    for row in all.written.iter().take(few(WRITTEN)) {
        let of = if row.type_name.is_empty() { "of no known object".into() } else { format!("of {}", text::escaped(&row.type_name)) };
        let line = format!("  {} {of}: {} on {}", row.write.word(), text::counted(row.words, "word"), text::counted(row.pages, "page"));
        head::write_cut(out, &line, style)?;
    }
    writeln!(out)?;
    crate::ledger::advice(out, advice, usize::MAX, style)?;
    writeln!(out, "next: {}", style.again.line("ledger", &[]))
}

fn cells(row: &Row<'_>, style: &Style) -> [String; 6] {
    // On a terminal the program goes by its name: the arguments tell workers apart.
    let program = row.command.split(' ').next().unwrap_or_default();
    let folder = if style.width.is_some() { program.rfind('/').map_or(0, |at| at + 1) } else { 0 };
    let command = text::escaped(row.command.get(folder..).unwrap_or(row.command)).into_owned();
    let command = match row.refused {
        Some(why) => format!("{command}: {}", text::escaped(why)),
        None => command,
    };
    let of = |bytes: fn(&Forked) -> u64| row.forked.map_or("-".to_string(), |f| Bytes(bytes(f)).to_string());
    let resident = if row.refused.is_some() { "-".to_string() } else { Bytes(row.rss()).to_string() };
    [row.pid.to_string(), resident, of(|f| f.shared_bytes), of(|f| f.private_bytes), of(|f| f.new_bytes), command]
}

/// What pages that went private are made of, the most first.
fn parts(f: &Forked) -> Vec<(u64, String)> {
    let mut all = vec![(f.same_bytes, "nothing differs any more: counts and headers were put back".to_string())];
    all.extend(f.only_bytes.iter().zip(Kind::ALL).map(|(bytes, kind)| (*bytes, format!("only {} changed", kind.word()))));
    all.push((f.mixed_bytes, "several of these changed".to_string()));
    all.retain(|(bytes, _)| *bytes > 0);
    all.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    all
}

/// All processes together.
fn total(rows: &[Row<'_>]) -> Forked {
    let mut all = Forked::default();
    for f in rows.iter().filter_map(|row| row.forked) {
        all.private_bytes += f.private_bytes;
        all.same_bytes += f.same_bytes;
        all.mixed_bytes += f.mixed_bytes;
        all.huge_bytes += f.huge_bytes;
        if let Some(theirs) = f.sibling {
            let mine = all.sibling.get_or_insert_with(Sibling::default);
            mine.alone_bytes += theirs.alone_bytes;
            mine.alike_bytes += theirs.alike_bytes;
            mine.each_bytes += theirs.each_bytes;
        }
        all.only_bytes.iter_mut().zip(f.only_bytes).for_each(|(mine, theirs)| *mine += theirs);
        for one in &f.written {
            match all.written.iter_mut().find(|w| w.write == one.write && w.type_name == one.type_name) {
                Some(mine) => {
                    mine.words += one.words;
                    mine.pages += one.pages;
                }
                None => all.written.push(Written::clone(one)),
            }
        }
    }
    all.written.sort_by(|a, b| (b.pages, b.words, a.write, &a.type_name).cmp(&(a.pages, a.words, b.write, &b.type_name)));
    all
}

/// One JSON object: schema `exuvia/ledger-tree/1`.
pub fn json(out: &mut dyn Write, rows: &[Row<'_>], advice: &[Advice]) -> io::Result<()> {
    let processes = rows.iter().map(ProcessJson::new).collect();
    json::line(out, &Answer { schema: "exuvia/ledger-tree/1", processes, advice: advice.iter().map(AdviceJson::new).collect() })
}

#[derive(Serialize)]
struct Answer<'s> {
    schema: &'static str,
    processes: Vec<ProcessJson<'s>>,
    advice: Vec<AdviceJson<'s>>,
}

#[derive(Serialize)]
struct ProcessJson<'s> {
    pid: i32,
    parent: Option<i32>,
    command: &'s str,
    python: &'s str,
    rss_bytes: u64,
    #[serde(flatten)]
    forked: Option<&'s Forked>,
    refused: Option<&'s str>,
}

impl<'s> ProcessJson<'s> {
    fn new(row: &Row<'s>) -> Self {
        ProcessJson {
            pid: row.pid,
            parent: row.parent,
            command: row.command,
            python: &row.snapshot.target.python,
            rss_bytes: row.rss(),
            forked: row.forked,
            refused: row.refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapshot::Ledger;

    #[test]
    fn a_first_screen_has_23_lines_of_80_columns() {
        let seen = Snapshot { ledger: Some(Ledger { rss_bytes: 54 << 20, ..Ledger::default() }), ..Snapshot::default() };
        let written = |write, name: &str, pages| Written { write, type_name: name.into(), words: pages * 5, pages };
        let forked = Forked {
            shared_bytes: 22 << 20,
            private_bytes: 25 << 20,
            new_bytes: 1 << 20,
            same_bytes: 20 << 20,
            only_bytes: [1 << 20, 2 << 20, 3 << 20, 4096],
            mixed_bytes: 8192,
            written: vec![
                written(Kind::Payload, "", 9),
                written(Kind::ReferenceCount, "str\x1b", 8),
                written(Kind::FreeLink, "", 7),
                written(Kind::Payload, "code", 6),
            ],
            huge_bytes: 2 << 20,
            parent_shares_bytes: 3 << 20,
            sibling: Some(Sibling { pid: 9, alone_bytes: 1 << 20, alike_bytes: 2 << 20, each_bytes: 3 << 20 }),
            freeze_bytes: 19 << 20,
        };
        let command = "/opt/services/releases/2026-11-22/venv/bin/python3 -m gunicorn shop.wsgi --preload";
        let row = |pid, forked| Row { pid, parent: Some(7), command, snapshot: &seen, forked, refused: None };
        let mut rows = vec![row(7, None)];
        rows.extend((8..20).map(|pid| row(pid, Some(&forked))));
        let advice = analyses::tree::advice(rows.iter().filter_map(|r| r.forked));
        let style = Style { width: Some(80), color: false, again: crate::Again::Pid(7) };
        let screen = |limit| {
            let mut out = Vec::new();
            table(&mut out, &rows, &advice, limit, &style).unwrap();
            String::from_utf8(out).unwrap()
        };
        let first = screen(Some(FIRST_SCREEN));
        assert!(first.lines().count() <= 23, "{first}");
        assert!(first.lines().all(|l| text::width(l) <= 80 && !l.contains('\x1b')), "{first}");
        assert!(first.contains("… 8 more processes (--limit 0 shows all)\n"), "{first}");
        assert!(first.contains("  python3"), "{first}");
        // The biggest first, each line whole.
        assert!(first.contains(" 240 MiB  nothing differs any more: counts and headers were put back\n"), "{first}");
        assert!(first.contains("228 MiB (estimated): gc.freeze() before the fork\n"), "{first}");
        assert!(first.contains("beside a sibling: 12.0 MiB one alone, 24.0 MiB all alike, 36.0 MiB each its own\n"), "{first}");
        assert!(!first.contains("only payload changed") && !first.contains("payload of code"), "{first}");
        let mut alone = Vec::new();
        table(&mut alone, &rows[..1], &[], Some(FIRST_SCREEN), &style).unwrap();
        assert!(String::from_utf8(alone).unwrap().ends_with("\nno process was forked from it\nnext: exuvia ledger 7\n"));
        let whole = screen(None);
        assert!(whole.contains("only payload changed") && whole.contains("payload of code") && whole.contains("\n 19  "), "{whole}");
    }
}
