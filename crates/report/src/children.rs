//! The processes of a tree, each with its own answer: the line above each, and what stands below the last.

use std::io::{self, Write};

use serde::Serialize;

use crate::{head, json, text, Style};

/// Processes without an answer that are named; all with `--json`.
const NAMED: usize = 6;

/// One process of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its process id.
    pub pid: i32,
    /// Its parent's, where that is in the tree.
    pub parent: Option<i32>,
    /// Its command line.
    pub command: String,
    /// Why there is no answer of it.
    pub refused: Option<String>,
}

/// Above an answer.
pub fn heading(out: &mut dyn Write, process: &Process, style: &Style) -> io::Result<()> {
    let parent = process.parent.map_or(String::new(), |parent| format!(", child of {parent}"));
    let line = format!("== {}{parent}: {} ==", process.pid, text::escaped(&process.command));
    let line = style.width.map_or_else(|| line.as_str().into(), |width| text::shortened(&line, width));
    match style.color {
        true => writeln!(out, "\x1b[1m{line}\x1b[0m"),
        false => writeln!(out, "{line}"),
    }
}

/// Below the last: how many there were, and those that have no answer with the reason. `left_out` more were not tried.
pub fn ending(out: &mut dyn Write, processes: &[Process], left_out: usize, style: &Style) -> io::Result<()> {
    let refused: Vec<&Process> = processes.iter().filter(|p| p.refused.is_some()).collect();
    let answered = (processes.len() - refused.len()) as u64;
    let all = text::processes((processes.len() + left_out) as u64);
    writeln!(out, "{} of {all} answered", text::grouped(answered))?;
    for process in refused.iter().take(NAMED) {
        let why = process.refused.as_deref().unwrap_or_default();
        // The reason has to be seen, however long the command is: it comes first.
        head::write_cut(out, &format!("  {} ({})", text::escaped(why), text::escaped(&process.command)), style)?;
    }
    if refused.len() > NAMED {
        writeln!(out, "  … {} more", text::grouped((refused.len() - NAMED) as u64))?;
    }
    if left_out > 0 {
        writeln!(out, "  … {} beyond the most that are looked at", text::processes(left_out as u64))?;
    }
    Ok(())
}

/// The last line for programs: `exuvia/children/1`.
pub fn json(out: &mut dyn Write, processes: &[Process], left_out: usize) -> io::Result<()> {
    #[derive(Serialize)]
    struct Answer<'s> {
        schema: &'static str,
        processes: &'s [Process],
        processes_omitted: usize,
    }
    json::line(out, &Answer { schema: "exuvia/children/1", processes, processes_omitted: left_out })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_named_and_no_name_steers_the_terminal() {
        let process = |pid: i32, refused: Option<&str>| Process {
            pid,
            parent: (pid > 7).then_some(7),
            command: "sleep \x1b[2J 100".into(),
            refused: refused.map(str::to_owned),
        };
        let style = Style { width: Some(44), ..Style::default() };
        let mut out = Vec::new();
        heading(&mut out, &process(8, None), &style).unwrap();
        let processes = [process(7, None), process(8, None), process(9, Some("process 9 is not Python")), process(10, Some("gone"))];
        ending(&mut out, &processes, 3, &style).unwrap();
        let wanted = "== 8, child of 7: sleep \\u{1b}[2J 100 ==\n\
                      2 of 7 processes answered\n  process 9 is not Python (sleep \\u{1b}[2J …\n  gone (sleep \\u{1b}[2J 100)\n  \
                      … 3 processes beyond the most that are looked at\n";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }
}
