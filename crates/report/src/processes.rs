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
    /// Where it is, if not here: [`place`].
    pub place: Option<String>,
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
        let mut columns = vec![("pid", Align::Right), ("resident", Align::Right), ("command", Align::Left)];
        let first: Vec<&Row> = rows.iter().take(FIRST_SCREEN).collect();
        // A column that says nothing is none.
        let placed = first.iter().any(|r| r.place.is_some());
        if placed {
            columns.insert(2, ("container", Align::Left));
        }
        let mut table = Table::new(style, &columns);
        let cells = |r: &&Row| {
            let mut cells = vec![r.pid.to_string(), r.resident.to_string(), text::escaped(&r.command).into_owned()];
            if placed {
                cells.insert(2, r.place.as_ref().map_or("-".into(), |p| text::escaped(p).into_owned()));
            }
            cells
        };
        let shown: Vec<Vec<String>> = first.iter().map(cells).collect();
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

/// The place of a process in one cell: `docker 0123456789ab: 7`, `7 inside`.
pub fn place(pid_inside: Option<i32>, container: Option<&str>) -> Option<String> {
    match (container, pid_inside) {
        (Some(container), Some(pid)) => Some(format!("{container}: {pid}")),
        (Some(container), None) => Some(container.to_string()),
        (None, Some(pid)) => Some(format!("{pid} inside")),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rows: &[(i32, u64, &str)], refused: usize, wanted: &str) {
        let rows: Vec<Row> = rows.iter().map(|&(pid, r, c)| Row { pid, place: None, resident: Bytes(r), command: c.into() }).collect();
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
        let boxed = place(Some(7), Some("lxc \x1b[2J"));
        let row = Row { pid: 4711, place: boxed, resident: Bytes(9 << 20), command: "python3 app.py".into() };
        let here = Row { pid: 5, place: place(None, None), ..row.clone() };
        let mut out = Vec::new();
        table(&mut out, &[row, here], 0, None, &Style::default()).unwrap();
        let out = String::from_utf8(out).unwrap();
        let wanted = " pid  resident  container         command\n\
             4711  9.00 MiB  lxc \\u{1b}[2J: 7  python3 app.py\n   \
             5  9.00 MiB  -                 python3 app.py\n";
        assert!(out.starts_with(wanted), "{out}");
        check(&[], 0, "No Python process that may be read runs here.\n\nnext: exuvia types -- python3 app.py\n");
    }
}
