//! `exuvia` alone: the Python processes that may be looked at.

use std::io::{self, Write};

use memory::Bytes;

use crate::table::{Align, Table};
use crate::{head, text, Style};

/// Rows that leave a first screen of 24 lines whole.
pub const FIRST_SCREEN: usize = 18;

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its process id.
    pub pid: i32,
    /// What it has resident.
    pub resident: Bytes,
    /// Its command line.
    pub command: String,
}

/// For people: `rows` in the order given; `refused` more are Python and may not be read, the first of them for `reason`.
pub fn table(out: &mut dyn Write, rows: &[Row], refused: usize, reason: Option<&str>, style: &Style) -> io::Result<()> {
    if rows.is_empty() {
        writeln!(out, "No Python process that may be read runs here.")?;
    } else {
        let mut table = Table::new(style, &[("pid", Align::Right), ("resident", Align::Right), ("command", Align::Left)]);
        let shown: Vec<[String; 3]> = rows
            .iter()
            .take(FIRST_SCREEN)
            .map(|r| [r.pid.to_string(), r.resident.to_string(), text::escaped(&r.command).into_owned()])
            .collect();
        shown.iter().for_each(|r| table.fit(r));
        table.header(out)?;
        for row in &shown {
            table.row(out, row)?;
        }
        if rows.len() > shown.len() {
            writeln!(out, "… {}", text::counted((rows.len() - shown.len()) as u64, "smaller one"))?;
        }
    }
    if refused > 0 {
        let reason = reason.map_or(String::new(), |r| format!(": {}", text::escaped(r)));
        head::write_cut(out, &format!("{} more may not be read{reason}", text::grouped(refused as u64)), style)?;
    }
    writeln!(out)?;
    match rows.first() {
        Some(r) => writeln!(out, "next: exuvia types {}", r.pid),
        None => writeln!(out, "next: exuvia types -- python3 app.py"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rows: &[(i32, u64, &str)], refused: usize, wanted: &str) {
        let rows: Vec<Row> = rows.iter().map(|&(pid, r, c)| Row { pid, resident: Bytes(r), command: c.into() }).collect();
        let mut out = Vec::new();
        table(&mut out, &rows, refused, Some("it belongs to user 0"), &Style { width: Some(40), ..Style::default() }).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }

    #[test]
    fn it_says_what_runs_and_what_to_do_next() {
        check(
            &[(4711, 9 << 20, "python3 -m shop.server --workers 16 --reload"), (7, 100, "python3 \x1b[2J")],
            2,
            " pid  resident  command\n\
             4711  9.00 MiB  python3…kers 16 --reload\n   \
             7     100 B  python3 \\u{1b}[2J\n\
             2 more may not be read: it belongs to u…\n\
             \n\
             next: exuvia types 4711\n",
        );
        check(&[], 0, "No Python process that may be read runs here.\n\nnext: exuvia types -- python3 app.py\n");
    }
}
