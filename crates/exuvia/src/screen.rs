//! The only stdout: who reads it (a person's terminal, a pipe), how wide it is, whether it may be coloured.

use std::io::{self, BufWriter, IsTerminal, Write};

use report::{Again, Style};

use crate::trouble::Trouble;

/// Runs `write` on a buffered stdout and flushes it.
pub(crate) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Trouble> {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    write(&mut out)?;
    out.flush()?;
    Ok(())
}

/// A remark beside the answer: on stderr, so that it never stands in piped output.
pub(crate) fn remark(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", report::text::escaped(line));
}

/// How a table should look where stdout goes.
pub(crate) fn style(again: Again) -> Style {
    let terminal = io::stdout().is_terminal();
    Style { width: width(terminal), color: terminal && !no_color() && !dumb(), again }
}

/// `COLUMNS` where it is set, the terminal's width, and no bound in a pipe: what is searched with grep is not shortened.
fn width(terminal: bool) -> Option<usize> {
    /// Narrower than this no table can be read; the terminal wraps it then.
    const NARROWEST: usize = 40;
    let asked = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    let width = asked.or_else(|| terminal.then(terminal_width))?;
    Some(width.max(NARROWEST))
}

fn terminal_width() -> usize {
    terminal_size::terminal_size_of(io::stdout()).map_or(80, |(width, _)| usize::from(width.0))
}

/// https://no-color.org: set and not empty.
fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
}

fn dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|t| t == "dumb")
}
