//! Columns that line up, one row at a time: a list of millions is never held as text.

use std::io::{self, Write};

use crate::{text, Style};

/// The columns of a table. The last one takes what the terminal's width leaves.
pub(crate) struct Table<'a> {
    columns: Vec<Column>,
    style: &'a Style,
}

/// Where a column's text stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

struct Column {
    title: &'static str,
    align: Align,
    width: usize,
}

impl<'a> Table<'a> {
    /// Columns as wide as their titles.
    pub(crate) fn new(style: &'a Style, columns: &[(&'static str, Align)]) -> Self {
        let columns = columns.iter().map(|&(title, align)| Column { title, align, width: text::width(title) }).collect();
        Table { columns, style }
    }

    /// Makes each column wide enough for this row.
    pub(crate) fn fit(&mut self, cells: &[impl AsRef<str>]) {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            column.width = column.width.max(text::width(cell.as_ref()));
        }
    }

    /// The line of titles.
    pub(crate) fn header(&self, out: &mut dyn Write) -> io::Result<()> {
        let titles: Vec<&str> = self.columns.iter().map(|c| c.title).collect();
        let line = self.line(&titles);
        if self.style.color {
            writeln!(out, "\x1b[1m{line}\x1b[0m")
        } else {
            writeln!(out, "{line}")
        }
    }

    /// One line.
    pub(crate) fn row(&self, out: &mut dyn Write, cells: &[impl AsRef<str>]) -> io::Result<()> {
        writeln!(out, "{}", self.line(cells))
    }

    fn line(&self, cells: &[impl AsRef<str>]) -> String {
        let mut line = String::new();
        let mut used = 0;
        for (i, (column, cell)) in self.columns.iter().zip(cells).enumerate() {
            let last = i + 1 == self.columns.len();
            if i > 0 {
                line.push_str("  ");
                used += 2;
            }
            let cell = match self.style.width {
                Some(width) if last => text::shortened(cell.as_ref(), width.saturating_sub(used)),
                _ => cell.as_ref().into(),
            };
            let pad = column.width.saturating_sub(text::width(&cell));
            if column.align == Align::Right {
                line.extend(std::iter::repeat_n(' ', pad));
            }
            line.push_str(&cell);
            if column.align == Align::Left && !last {
                line.extend(std::iter::repeat_n(' ', pad));
            }
            used += column.width.max(text::width(&cell));
        }
        line
    }
}
