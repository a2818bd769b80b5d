//! The process that was named: may it be read, who else is at it, what is left to it, how it would be looked at.

use std::time::Duration;

use memory::Bytes;
use snapshot::{Check, Mode, Outlook, Room, Subject, Verdict};
use target::{
    as_root, forecast, headroom_of, Forecast, Headroom, Inside, Limit, Namespaces, Process, ProcessFacts, Seccomp, TargetError, Unseen, Way,
};

use super::{blocks, lacks, note, python, room, unknown, works, Here};
use crate::live::processes::command_line;
use crate::live::refusals;
use crate::trouble::Trouble;

/// What was found about it.
pub(super) struct Named {
    pub(super) pid: i32,
    /// Whether the kernel lets us read it; `None`: there is nothing to read.
    pub(super) permitted: Option<bool>,
    /// Whether it has filters of system calls.
    pub(super) filtered: bool,
    /// What a copy of it takes.
    pub(super) resident: Bytes,
    pub(super) checks: Vec<Check>,
    pub(super) subject: Option<Subject>,
    pub(super) outlook: Option<Outlook>,
}

/// Looks at it, without a stop.
pub(super) fn look(pid: i32, here: &Here, max_pause: Duration) -> Result<Named, Trouble> {
    let opened = target::open(pid);
    let facts = ProcessFacts::of(pid).ok();
    let headroom = headroom_of(pid);
    let (expected, no_outlook) = match opened.as_ref().map(|process| foretell(process, here)) {
        Ok(Ok(expected)) => (Some(expected), None),
        Ok(Err(e)) => (None, Some(e)),
        Err(_) => (None, None),
    };
    let resident = expected.as_ref().map(|f| f.resident).or(facts.as_ref().map(|f| f.resident)).unwrap_or_default();
    let pythons = match &opened {
        Ok(process) => python::look(process)?,
        Err(_) => python::Found::unknown(),
    };

    let mut checks = vec![access(opened.as_ref().err(), facts.as_ref())];
    checks.extend(match &facts {
        Some(facts) => {
            vec![tracer(facts), state(facts), filters(facts, here), namespaces(&here.facts.us, facts), room::room(pid, &headroom, resident)]
        }
        None => ["tracer", "state", "filters", "namespaces", "headroom"].map(unknown).into(),
    });
    // Of what is refused for its Python nothing would be stopped at all.
    let refused = pythons.checks.iter().any(|c| c.verdict == Verdict::Blocks);
    let expected = expected.filter(|_| !refused);
    checks.extend(pythons.checks);
    checks.push(mode(pid, expected.as_ref(), no_outlook.as_ref().filter(|_| !refused), max_pause));

    let permitted = match &opened {
        Ok(_) | Err(TargetError::AlreadyTraced { .. }) => Some(true),
        Err(TargetError::NotPermitted { .. }) => Some(false),
        Err(_) => None,
    };
    let subject = facts.as_ref().map(|facts| subject(facts, &here.facts.us, &headroom, pythons.files));
    let outlook = expected.map(|f| outlook(&f, max_pause));
    let filtered = facts.is_some_and(|f| matches!(f.seccomp, Some(Seccomp::Filters { .. })));
    Ok(Named { pid, permitted, filtered, resident, checks, subject, outlook })
}

/// What `--mode auto` would do, with what was found out about this kernel.
fn foretell(process: &Process, here: &Here) -> Result<Forecast, TargetError> {
    let expected = forecast(process, target::Mode::Auto)?;
    let (pidfd, filters) = (here.kernel.pidfd, here.kernel.seccomp_filters);
    let against = match expected.way {
        Way::Fork if !pidfd.works() => Some(format!("pidfd_open: {pidfd}")),
        Way::Fork if expected.else_freeze.is_some() && !filters.works() => Some(format!("its seccomp filters cannot be read: {filters}")),
        _ => None,
    };
    match against {
        Some(why) => Ok(Forecast { not_fork: Some(why), ..forecast(process, target::Mode::Freeze)? }),
        None => Ok(expected),
    }
}

fn access(refused: Option<&TargetError>, facts: Option<&ProcessFacts>) -> Check {
    let user = facts.map_or(String::new(), |f| format!(": it is user {}'s", f.users[0]));
    match refused {
        None => works("access", format!("it may be read{user}")),
        // Said by the line about the tracer.
        Some(TargetError::AlreadyTraced { .. }) => note("access", format!("it may be read, but not while another program traces it{user}")),
        Some(e) => match refusals::namesake(e) {
            Some((also, advice)) => blocks("access", e.why() + &also, format!("# {advice}")),
            None => blocks("access", e.why(), command(e)),
        },
    }
}

/// The advice of an error as a line for a shell: what is for people alone stands behind a `#`.
pub(super) fn command(e: &TargetError) -> String {
    use TargetError::*;
    match e {
        ThreadId { process, .. } => format!("exuvia doctor {process}"),
        NotPermitted { .. } | FilesUnreadable { .. } | Gone { .. } | Zombie { .. } | KernelThread { .. } | NotPython { .. } => {
            pasted(&e.advice())
        }
        _ => format!("# {}", e.advice()),
    }
}

/// `a command (a remark)` as `a command  # a remark`.
pub(super) fn pasted(advice: &str) -> String {
    match advice.strip_suffix(')').and_then(|all| all.split_once(" (")) {
        Some((command, remark)) => format!("{command}  # {remark}"),
        None => advice.to_string(),
    }
}

fn tracer(facts: &ProcessFacts) -> Check {
    match &facts.tracer {
        None => works("tracer", "nobody traces it"),
        Some((pid, name)) => blocks(
            "tracer",
            format!("process {pid} ({name}) traces it, and the kernel allows only one tracer"),
            format!("ps -o pid,user,args -p {pid}  # end or detach it (a debugger, strace, another exuvia)"),
        ),
    }
}

fn state(facts: &ProcessFacts) -> Check {
    let threads = std::fs::read_dir(format!("/proc/{}/task", facts.pid)).map_or(0, |tasks| tasks.count());
    let threads = format!("{threads} thread{}", if threads == 1 { "" } else { "s" });
    match facts.state {
        'T' => note("state", format!("stopped by a signal (T), {threads}: it is read as it stands, and stays stopped")),
        letter => works("state", format!("{} ({letter}), {threads}", in_words(letter))),
    }
}

fn in_words(state: char) -> &'static str {
    match state {
        'R' => "running",
        'S' => "waiting",
        'D' => "waiting in the kernel",
        't' => "in a stop of its tracer",
        'Z' | 'X' => "ended",
        _ => "alive",
    }
}

fn filters(facts: &ProcessFacts, here: &Here) -> Check {
    let can_read = here.kernel.seccomp_filters;
    match facts.seccomp {
        None | Some(Seccomp::Off) => works("filters", "it has no seccomp filters"),
        Some(Seccomp::Strict) => note("filters", "it is in seccomp's strict mode: it is frozen, not forked"),
        Some(Seccomp::Filters { count }) => {
            let what = match count {
                Some(1) => "1 seccomp filter".to_string(),
                Some(n) => format!("{n} seccomp filters"),
                None => "seccomp filters".to_string(),
            };
            if can_read.works() {
                note("filters", format!("it has {what}: read in the stop, before a call is made; if not allowed, it is frozen"))
            } else {
                lacks("filters", format!("it has {what}, which we may not read ({can_read}): it is frozen, not forked"), as_root())
            }
        }
    }
}

fn namespaces(ours: &ProcessFacts, theirs: &ProcessFacts) -> Check {
    let (others, hidden) = (other_namespaces(&ours.namespaces, &theirs.namespaces), hidden_namespaces(&theirs.namespaces));
    let mut inside = match theirs.pids_inside.as_slice() {
        [_, .., inside] => format!("; inside it is PID {inside}"),
        _ => String::new(),
    };
    inside += &Inside::of(theirs.pid).container.map_or(String::new(), |name| format!("; container {name}"));
    if hidden && others.is_empty() {
        return note("namespaces", format!("not shown to us{inside}"));
    }
    match others.as_slice() {
        [] => works("namespaces", format!("the same as ours{inside}")),
        others => note("namespaces", format!("not ours: {}{inside}", others.join(", "))),
    }
}

fn hidden_namespaces(theirs: &Namespaces) -> bool {
    [theirs.user, theirs.pid, theirs.mount, theirs.cgroup].iter().any(Option::is_none)
}

/// Those that both are told to be in, and that differ.
fn other_namespaces(ours: &Namespaces, theirs: &Namespaces) -> Vec<&'static str> {
    let pairs = [
        ("user", ours.user, theirs.user),
        ("pid", ours.pid, theirs.pid),
        ("mount", ours.mount, theirs.mount),
        ("cgroup", ours.cgroup, theirs.cgroup),
    ];
    pairs.into_iter().filter(|(_, ours, theirs)| ours.is_some() && theirs.is_some() && ours != theirs).map(|(name, ..)| name).collect()
}

fn mode(pid: i32, expected: Option<&Forecast>, failed: Option<&TargetError>, max_pause: Duration) -> Check {
    let Some(expected) = expected else {
        return failed.map_or_else(|| unknown("mode"), |e| blocks("mode", e.why(), command(e)));
    };
    let ms = |d: Duration| report::text::duration_ms(d.as_secs_f64() * 1000.0);
    let pause = ms(expected.pause);
    let mut found = match expected.way {
        Way::Fork => format!("fork: it stands for about {pause}; then what it writes may cost up to {}", expected.fork_cost),
        Way::Freeze => format!("freeze: it stands for about {pause} while {} are copied", expected.resident),
        Way::Live => "live: nothing is stopped".to_string(),
    };
    if let Some(why) = &expected.not_fork {
        found += &format!("; not forked: {why}");
    }
    if let Some(freeze) = expected.else_freeze {
        found += &format!("; if its seccomp filters refuse that, freeze: about {}", ms(freeze));
    }
    if expected.pause > max_pause {
        let enough = (expected.pause.as_millis() * 3 / 2).max(1);
        found += &format!("; longer than --max-pause {}, so nothing is stopped", ms(max_pause));
        return blocks("mode", found, format!("exuvia types --max-pause {enough}ms {pid}"));
    }
    works("mode", found)
}

fn outlook(f: &Forecast, max_pause: Duration) -> Outlook {
    let ms = |d: Duration| d.as_secs_f64() * 1000.0;
    let mode = match f.way {
        Way::Fork => Mode::Fork,
        Way::Freeze => Mode::Freeze,
        Way::Live => Mode::Live,
    };
    Outlook {
        mode,
        pause_ms: ms(f.pause),
        max_pause_ms: ms(max_pause),
        not_forked: f.not_fork.clone(),
        resident: f.resident,
        fork_cost: (f.way == Way::Fork).then_some(f.fork_cost),
        else_freeze_ms: f.else_freeze.map(ms),
    }
}

fn subject(facts: &ProcessFacts, us: &ProcessFacts, headroom: &Headroom, pythons: Vec<snapshot::Python>) -> Subject {
    Subject {
        pid: facts.pid,
        name: facts.name.clone(),
        command: command_line(facts.pid),
        user: facts.users[0],
        state: facts.state,
        tracer: facts.tracer.as_ref().map(|(pid, _)| *pid),
        seccomp: facts.seccomp.map(|s| match s {
            Seccomp::Off => "off",
            Seccomp::Strict => "strict",
            Seccomp::Filters { .. } => "filters",
        }),
        pids_inside: facts.pids_inside.clone(),
        container: Inside::of(facts.pid).container,
        other_namespaces: other_namespaces(&us.namespaces, &facts.namespaces),
        resident: facts.resident,
        headroom: Room {
            bytes: (headroom.limited_by != Limit::Nothing).then_some(headroom.bytes),
            limited_by: headroom.limited_by.to_string(),
            processes: headroom.processes.as_ref().map(|(left, _)| *left),
            processes_limited_by: headroom.processes.as_ref().map(|(_, limit)| limit.to_string()),
            unseen: headroom.unseen.iter().map(Unseen::to_string).collect(),
        },
        pythons,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_is_a_command() {
        assert_eq!(pasted("pgrep -a python (a wrapper script's child)"), "pgrep -a python  # a wrapper script's child");
        assert_eq!(pasted("pgrep -a python"), "pgrep -a python");
        assert_eq!(command(&TargetError::ThreadId { tid: 8, process: 7 }), "exuvia doctor 7");
        let musl = command(&TargetError::Musl { pid: 7, loader: "/lib/ld-musl-x86_64.so.1".into() });
        assert!(musl.starts_with("# run the program"), "{musl}");
    }
}
