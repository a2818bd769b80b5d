//! `doctor`: a line a check, and below what does not work a line that can be pasted.

use std::io::{self, Write};

use serde::Serialize;
use snapshot::{Check, Diagnosis, Outlook, PythonProcess, Subject, Verdict};

use crate::table::{Align, Table};
use crate::{head, json, text, Style};

/// Lines of a first screen that the list of processes leaves to the rest, and the fewest that it is given.
const SCREEN: usize = 23;
const PROCESSES_MIN: usize = 3;

/// For people.
pub fn table(out: &mut dyn Write, diagnosis: &Diagnosis, style: &Style) -> io::Result<()> {
    let folded = folded(&diagnosis.checks);
    let mut lines = 0;
    if let Some(it) = &diagnosis.subject {
        let line = format!("process {}: {} resident, {}", it.pid, it.resident, text::escaped(&it.command));
        head::write_cut(out, &line, style)?;
        lines += 1;
    }
    let mut advised: Option<&str> = None;
    for check in &folded {
        // What helps twice is said once.
        let advice = check.advice.as_deref().filter(|a| advised != Some(*a));
        advised = advice.or(advised);
        lines += write_check(out, check, advice, style)?;
    }
    writeln!(out)?;
    if !diagnosis.processes.is_empty() {
        // Beside the rows: the empty line before, the header, a line of what is left out, one of why, an empty line, the next
        // command.
        let room = SCREEN.saturating_sub(lines + 6).max(PROCESSES_MIN);
        processes(out, &diagnosis.processes, room, style)?;
        writeln!(out)?;
    }
    next(out, diagnosis, style)
}

/// For programs: `exuvia/doctor/1`.
pub fn json(out: &mut dyn Write, diagnosis: &Diagnosis) -> io::Result<()> {
    json::line(
        out,
        &Answer {
            schema: "exuvia/doctor/1",
            readable: diagnosis.readable(),
            core: diagnosis.core.as_deref(),
            checks: diagnosis.checks.iter().map(CheckJson::new).collect(),
            target: diagnosis.subject.as_ref().map(TargetJson::new),
            mode: diagnosis.outlook.as_ref().map(ModeJson::new),
            processes: diagnosis.processes.iter().map(ProcessJson::new).collect(),
        },
    )
}

/// The features of the kernel that work are told in its line, and what is not known in one line at the end.
fn folded(checks: &[Check]) -> Vec<Check> {
    let is_feature = |c: &&Check| c.id.starts_with("kernel.");
    let hidden = |c: &&Check| c.verdict == Verdict::Unknown || (is_feature(c) && matches!(c.verdict, Verdict::Works | Verdict::Note));
    let mut rest: Vec<Check> = checks.iter().filter(|c| !hidden(c)).cloned().collect();
    let works = checks.iter().filter(is_feature).all(|c| matches!(c.verdict, Verdict::Works | Verdict::Note));
    if let Some(kernel) = rest.iter_mut().find(|c| c.id == "kernel" && works) {
        kernel.found += ": all that is used of it works";
    }
    let unknown: Vec<&str> = checks.iter().filter(|c| c.verdict == Verdict::Unknown).map(|c| c.id).collect();
    if !unknown.is_empty() {
        rest.push(Check { id: "not known", verdict: Verdict::Unknown, found: unknown.join(", "), advice: None });
    }
    rest
}

/// The word that begins a line.
fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Works => "ok",
        Verdict::Lacks | Verdict::Blocks => "no",
        Verdict::Note | Verdict::Unknown => "-",
    }
}

/// Says how many lines it took.
fn write_check(out: &mut dyn Write, check: &Check, advice: Option<&str>, style: &Style) -> io::Result<usize> {
    let word = format!("{:2}", word(check.verdict));
    let shown = match (style.color, check.verdict) {
        (true, Verdict::Works) => format!("\x1b[32m{word}\x1b[0m"),
        (true, Verdict::Blocks) => format!("\x1b[1;31m{word}\x1b[0m"),
        (true, Verdict::Lacks) => format!("\x1b[33m{word}\x1b[0m"),
        _ => word,
    };
    // As wide as "namespaces"; features of the kernel are longer, and only shown when they fail.
    let id_width = 10.max(check.id.len());
    let indent = 2 + 2 + id_width + 2;
    let found = text::escaped(&check.found);
    let parts = style.width.map_or_else(|| vec![found.to_string()], |width| text::folded(&found, width.saturating_sub(indent)));
    let mut parts = parts.into_iter();
    writeln!(out, "{shown}  {:id_width$}  {}", check.id, parts.next().unwrap_or_default())?;
    let mut lines = 1;
    for part in parts {
        writeln!(out, "{:indent$}{part}", "")?;
        lines += 1;
    }
    if let Some(advice) = advice {
        // Never cut: it is there to be pasted.
        writeln!(out, "    try: {}", text::escaped(advice))?;
        lines += 1;
    }
    Ok(lines)
}

fn processes(out: &mut dyn Write, processes: &[PythonProcess], room: usize, style: &Style) -> io::Result<()> {
    let mut columns = vec![("pid", Align::Right), ("python", Align::Left), ("resident", Align::Right), ("command", Align::Left)];
    let place = |p: &PythonProcess| crate::processes::place(p.pid_inside, p.container.as_deref());
    let placed = processes.iter().take(room).any(|p| place(p).is_some());
    if placed {
        columns.insert(3, ("container", Align::Left));
    }
    let mut table = Table::new(style, &columns);
    let cells = |p: &PythonProcess| {
        let python = match (&p.refused, &p.release) {
            (Some(_), _) => "no".to_string(),
            (None, release) => release.clone().unwrap_or_else(|| "?".into()),
        };
        let mut cells = vec![p.pid.to_string(), python, p.resident.to_string(), text::escaped(&p.command).into_owned()];
        if placed {
            cells.insert(3, place(p).map_or("-".into(), |place| text::escaped(&place).into_owned()));
        }
        cells
    };
    let shown: Vec<Vec<String>> = processes.iter().take(room).map(cells).collect();
    shown.iter().for_each(|r| table.fit(r));
    table.header(out)?;
    for row in &shown {
        table.row(out, row)?;
    }
    if processes.len() > shown.len() {
        writeln!(out, "… {} more (--json has all)", text::grouped((processes.len() - shown.len()) as u64))?;
    }
    let reason = processes.iter().take(room).find_map(|p| p.refused.as_ref());
    reason.map_or(Ok(()), |why| head::write_cut(out, &format!("no: {}", text::escaped(why)), style))
}

/// What to do now.
fn next(out: &mut dyn Write, diagnosis: &Diagnosis, style: &Style) -> io::Result<()> {
    if let Some(core) = &diagnosis.core {
        let blocking: Vec<&str> = diagnosis.checks.iter().filter(|c| c.verdict == Verdict::Blocks).map(|c| c.id).collect();
        return match blocking.is_empty() {
            true => writeln!(out, "next: {}", style.again.line("explain", &[])),
            false => writeln!(out, "{} cannot be looked at: {}", text::escaped(core), blocking.join(", ")),
        };
    }
    let Some(pid) = diagnosis.pid else {
        return match diagnosis.processes.iter().find(|p| p.refused.is_none()) {
            Some(p) => writeln!(out, "next: exuvia doctor {}", p.pid),
            None => writeln!(out, "next: exuvia types -- python3 app.py"),
        };
    };
    if diagnosis.readable() {
        return writeln!(out, "next: exuvia types {pid}");
    }
    let blocking: Vec<&str> = diagnosis.checks.iter().filter(|c| c.verdict == Verdict::Blocks).map(|c| c.id).collect();
    writeln!(out, "process {pid} cannot be looked at: {}", blocking.join(", "))
}

#[derive(Serialize)]
struct Answer<'d> {
    schema: &'static str,
    readable: bool,
    core: Option<&'d str>,
    checks: Vec<CheckJson<'d>>,
    target: Option<TargetJson<'d>>,
    mode: Option<ModeJson<'d>>,
    processes: Vec<ProcessJson<'d>>,
}

#[derive(Serialize)]
struct CheckJson<'d> {
    id: &'static str,
    ok: Option<bool>,
    blocks: bool,
    found: &'d str,
    advice: Option<&'d str>,
}

impl<'d> CheckJson<'d> {
    fn new(c: &'d Check) -> Self {
        let ok = match c.verdict {
            Verdict::Works => Some(true),
            Verdict::Lacks | Verdict::Blocks => Some(false),
            Verdict::Note | Verdict::Unknown => None,
        };
        CheckJson { id: c.id, ok, blocks: c.verdict == Verdict::Blocks, found: &c.found, advice: c.advice.as_deref() }
    }
}

#[derive(Serialize)]
struct TargetJson<'d> {
    pid: i32,
    name: &'d str,
    command: &'d str,
    user: u32,
    state: char,
    tracer_pid: Option<i32>,
    seccomp: Option<&'static str>,
    pids_inside: &'d [i32],
    container: Option<&'d str>,
    other_namespaces: &'d [&'static str],
    resident_bytes: u64,
    headroom: RoomJson<'d>,
    pythons: Vec<PythonJson<'d>>,
}

impl<'d> TargetJson<'d> {
    fn new(s: &'d Subject) -> Self {
        TargetJson {
            pid: s.pid,
            name: &s.name,
            command: &s.command,
            user: s.user,
            state: s.state,
            tracer_pid: s.tracer,
            seccomp: s.seccomp,
            pids_inside: &s.pids_inside,
            container: s.container.as_deref(),
            other_namespaces: &s.other_namespaces,
            resident_bytes: s.resident.0,
            headroom: RoomJson {
                left_bytes: s.headroom.bytes.map(|b| b.0),
                limited_by: &s.headroom.limited_by,
                processes_left: s.headroom.processes,
                processes_limited_by: s.headroom.processes_limited_by.as_deref(),
                unseen: &s.headroom.unseen,
            },
            pythons: s
                .pythons
                .iter()
                .map(|p| PythonJson {
                    path: &p.path,
                    release: p.release.as_deref(),
                    build: p.build.as_deref(),
                    unproved: p.unproved.as_deref(),
                })
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct RoomJson<'d> {
    left_bytes: Option<u64>,
    limited_by: &'d str,
    processes_left: Option<u64>,
    processes_limited_by: Option<&'d str>,
    unseen: &'d [String],
}

#[derive(Serialize)]
struct PythonJson<'d> {
    path: &'d str,
    release: Option<&'d str>,
    build: Option<&'d str>,
    unproved: Option<&'d str>,
}

#[derive(Serialize)]
struct ModeJson<'d> {
    way: &'static str,
    expected_pause_ms: f64,
    max_pause_ms: f64,
    why_not_fork: Option<&'d str>,
    resident_bytes: u64,
    fork_cost_bytes: Option<u64>,
    else_freeze_pause_ms: Option<f64>,
}

impl<'d> ModeJson<'d> {
    fn new(o: &'d Outlook) -> Self {
        ModeJson {
            way: o.mode.word(),
            expected_pause_ms: json::microseconds(o.pause_ms),
            max_pause_ms: json::microseconds(o.max_pause_ms),
            why_not_fork: o.not_forked.as_deref(),
            resident_bytes: o.resident.0,
            fork_cost_bytes: o.fork_cost.map(|b| b.0),
            else_freeze_pause_ms: o.else_freeze_ms.map(json::microseconds),
        }
    }
}

#[derive(Serialize)]
struct ProcessJson<'d> {
    pid: i32,
    pid_inside: Option<i32>,
    container: Option<&'d str>,
    python: Option<&'d str>,
    resident_bytes: u64,
    command: &'d str,
    refused: Option<&'d str>,
}

impl<'d> ProcessJson<'d> {
    fn new(p: &'d PythonProcess) -> Self {
        ProcessJson {
            pid: p.pid,
            pid_inside: p.pid_inside,
            container: p.container.as_deref(),
            python: p.release.as_deref(),
            resident_bytes: p.resident.0,
            command: &p.command,
            refused: p.refused.as_deref(),
        }
    }
}
