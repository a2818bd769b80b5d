//! `ledger --tree`: forked processes beside their parents, in both forms.

use std::io::{self, Write};

use analyses::ledger::Advice;
use memory::Bytes;
use serde::Serialize;
use snapshot::{Forked, Snapshot, Write as Kind, Written};

use crate::ledger::AdviceJson;
use crate::table::{Align, Table};
use crate::{head, json, text, Style};

/// Processes of the first screen.
pub const FIRST_SCREEN: usize = 10;
/// Types of words that are shown there.
const WRITTEN: usize = 4;

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
        ("written since", Align::Right),
        ("new", Align::Right),
        ("command", Align::Left),
    ];
    let mut table = Table::new(style, &columns);
    let shown = rows.get(..limit.unwrap_or(rows.len()).min(rows.len())).unwrap_or(rows);
    let cells: Vec<[String; 6]> = shown.iter().map(cells).collect();
    cells.iter().for_each(|row| table.fit(row));
    table.header(out)?;
    cells.iter().try_for_each(|row| table.row(out, row))?;
    if shown.len() < rows.len() {
        writeln!(out, "… {} (--limit 0 shows all)", text::counted((rows.len() - shown.len()) as u64, "more process"))?;
    }
    let all = total(rows);
    writeln!(out)?;
    head::write_cut(out, &format!("written since the fork: {}, of that", Bytes(all.private_bytes)), style)?;
    for (bytes, what) in parts(&all) {
        if bytes > 0 {
            head::write_cut(out, &format!("  {}  {what}", Bytes(bytes)), style)?;
        }
    }
    for row in all.written.iter().take(WRITTEN) {
        let of = if row.type_name.is_empty() { String::new() } else { format!(" of {}", text::escaped(&row.type_name)) };
        head::write_cut(
            out,
            &format!("  {}{of}: {} on {}", row.write.word(), text::counted(row.words, "word"), text::counted(row.pages, "page")),
            style,
        )?;
    }
    writeln!(out)?;
    crate::ledger::advice(out, advice, style)?;
    writeln!(out, "next: {}", style.again.line("ledger", &[]))
}

fn cells(row: &Row<'_>) -> [String; 6] {
    let command = text::escaped(row.command).into_owned();
    let command = match row.refused {
        Some(why) => format!("{command}: {}", text::escaped(why)),
        None => command,
    };
    let of = |bytes: fn(&Forked) -> u64| row.forked.map_or("-".to_string(), |f| Bytes(bytes(f)).to_string());
    let resident = if row.refused.is_some() { "-".to_string() } else { Bytes(row.rss()).to_string() };
    [row.pid.to_string(), resident, of(|f| f.shared_bytes), of(|f| f.private_bytes), of(|f| f.new_bytes), command]
}

/// What pages that went private are made of.
fn parts(f: &Forked) -> Vec<(u64, String)> {
    let mut all = vec![(f.same_bytes, "nothing differs any more: counts and headers that were put back".to_string())];
    all.extend(f.only_bytes.iter().zip(Kind::ALL).map(|(bytes, kind)| (*bytes, format!("only {} differ", kind.word()))));
    all.push((f.mixed_bytes, "several kinds of words differ".to_string()));
    all
}

/// All processes together.
fn total(rows: &[Row<'_>]) -> Forked {
    let mut all = Forked::default();
    for f in rows.iter().filter_map(|row| row.forked) {
        all.private_bytes += f.private_bytes;
        all.same_bytes += f.same_bytes;
        all.mixed_bytes += f.mixed_bytes;
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
