//! The first lines of every table: coverage first, then what was looked at.

use std::io::{self, Write};

use snapshot::{Coverage, GapKind, Mode, Moment, Snapshot, Target};

use crate::{text, Style};

/// At most seven lines, each cut to the terminal's width: coverage, how it is known, gaps, target, other Pythons
/// in it, way, layout.
pub(crate) fn write(out: &mut dyn Write, snapshot: &Snapshot, style: &Style) -> io::Result<()> {
    let (c, t) = (&snapshot.coverage, &snapshot.target);
    lines(out, [Some(coverage(c)), Some(known(c)), Some(gaps(c)), Some(target(t)), beside(t), way(t), layout(t)], style)
}

/// Three or four of them, where the screen is for one object: coverage, gaps, target, other Pythons.
pub(crate) fn write_brief(out: &mut dyn Write, snapshot: &Snapshot, style: &Style) -> io::Result<()> {
    let (c, t) = (&snapshot.coverage, &snapshot.target);
    lines(out, [Some(coverage(c)), Some(gaps(c)), Some(target(t)), beside(t)], style)
}

/// Two, where several targets are summed: coverage and gaps.
pub(crate) fn write_sums(out: &mut dyn Write, snapshot: &Snapshot, style: &Style) -> io::Result<()> {
    let c = &snapshot.coverage;
    lines(out, [Some(coverage(c)), Some(gaps(c))], style)
}

fn lines<const N: usize>(out: &mut dyn Write, lines: [Option<String>; N], style: &Style) -> io::Result<()> {
    lines.into_iter().flatten().try_for_each(|line| write_cut(out, &line, style))
}

/// A line, cut to the terminal's width.
pub(crate) fn write_cut(out: &mut dyn Write, line: &str, style: &Style) -> io::Result<()> {
    writeln!(out, "{}", style.width.map_or(line.into(), |w| text::cut(line, w)))
}

fn coverage(c: &Coverage) -> String {
    format!("coverage: {}, {} own, {} footprint", text::counted(c.objects, "object"), c.own_bytes, c.footprint_bytes)
}

fn known(c: &Coverage) -> String {
    let mut line = format!("sizes:    {} exact", text::percent(c.exact_bytes.0, c.own_bytes.0));
    for (bytes, word) in [(c.derived_bytes, "derived"), (c.scanned_bytes, "scanned")] {
        if bytes.0 > 0 {
            line += &format!(", {} {word}", text::percent(bytes.0, c.own_bytes.0));
        }
    }
    if c.blocks_in_use > 0 {
        line += &format!("; blocks {} known", text::percent(c.blocks_explained, c.blocks_in_use));
    }
    line
}

fn gaps(c: &Coverage) -> String {
    // Where something was overwritten is what the reader needs to go on; it stands with its gap.
    let place = |what: GapKind| match c.corrupted_at.first() {
        Some(at) if what == GapKind::Corrupted => format!(" (at {at})"),
        _ => String::new(),
    };
    let parts: Vec<String> = c.gaps.iter().map(|g| format!("{} {}{}", text::grouped(g.count), g.what.word(), place(g.what))).collect();
    format!("gaps:     {}", if parts.is_empty() { "none".to_string() } else { parts.join(", ") })
}

fn target(t: &Target) -> String {
    let mut parts = vec![format!("CPython {}", text::escaped(&t.python))];
    if let Some(pid) = t.pid {
        let inside = t.pid_inside.map(|inside| format!(" ({inside} inside)")).unwrap_or_default();
        parts.push(format!("pid {pid}{inside}"));
    }
    if t.threads > 0 {
        parts.push(text::counted(u64::from(t.threads), "thread"));
    }
    match (t.mode, t.pause_ms) {
        (Mode::Live, _) => parts.push("never stopped".into()),
        (Mode::Core, _) => parts.push("from a core file".into()),
        (_, Some(ms)) => parts.push(format!("stopped {}", text::duration_ms(ms))),
        (_, None) => {}
    }
    match t.moment {
        Moment::Running => {}
        Moment::After => parts.push("after the time asked for".into()),
        Moment::BeforeFinalize => parts.push("at its end".into()),
        Moment::AtExit => parts.push("at its exit".into()),
    }
    format!("target:   {}", parts.join(", "))
}

/// What is said of other Pythons in the process.
fn beside(t: &Target) -> Option<String> {
    t.beside.as_deref().map(|others| format!("beside:   {}", text::escaped(others)))
}

/// What a fork cost besides the pause, or why there was none.
fn way(t: &Target) -> Option<String> {
    if let Some(why) = &t.not_forked {
        return Some(format!("freeze:   not forked: {}", text::escaped(why)));
    }
    let second = t.second_stop_ms.filter(|_| t.mode == Mode::Fork)?;
    let faults = t.page_faults.map(|n| format!(", up to {} meanwhile", text::counted(n, "page fault"))).unwrap_or_default();
    Some(format!("fork:     then one thread stopped {}{faults}", text::duration_ms(second)))
}

fn layout(t: &Target) -> Option<String> {
    (!t.build.is_empty()).then(|| format!("layout:   {}", text::escaped(&t.build)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::{Addr, Bytes};

    #[test]
    fn coverage_comes_first_and_names_what_is_missing() {
        let coverage = Coverage {
            objects: 1_234_567,
            own_bytes: Bytes(1000),
            footprint_bytes: Bytes(1200),
            exact_bytes: Bytes(990),
            scanned_bytes: Bytes(10),
            blocks_in_use: 1001,
            blocks_explained: 1000,
            ..Coverage::default()
        };
        let target = Target { pid: Some(7), python: "3.12.1".into(), threads: 1, pause_ms: Some(12.34), ..Target::default() };
        let mut s = Snapshot { target, coverage, ..Snapshot::default() };
        let mut out = Vec::new();
        write(&mut out, &s, &Style::default()).unwrap();
        let wanted = "coverage: 1,234,567 objects, 1000 B own, 1.17 KiB footprint\n\
                      sizes:    99.00 % exact, 1.00 % scanned; blocks 99.90 % known\n\
                      gaps:     none\n\
                      target:   CPython 3.12.1, pid 7, 1 thread, stopped 12.3 ms\n";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);

        s.target.pid_inside = Some(1);
        assert!(self::target(&s.target).starts_with("target:   CPython 3.12.1, pid 7 (1 inside), 1 thread"), "{s:?}");
        s.target.pid_inside = None;
        s.coverage.add_gap(GapKind::TornObject, 3);
        s.coverage.add_gap(GapKind::BoundHit, 1000);
        let mut out = Vec::new();
        write(&mut out, &s, &Style { width: Some(30), ..Style::default() }).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out.lines().nth(2), Some("gaps:     3 torn-object, 1,00…"), "{out}");
        assert!(out.lines().all(|l| text::width(l) <= 30), "{out}");

        s.coverage.add_corrupted(Addr(0x7f00));
        assert_eq!(gaps(&s.coverage), "gaps:     3 torn-object, 1 corrupted (at 0x7f00), 1,000 bound-hit");
    }
}
