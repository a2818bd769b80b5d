//! What the tests of this crate share: the command that is its own guardian, scripts, and waiting without sleeping blindly.

#![allow(dead_code)] // Each test file uses its part.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use exuvia_target::{Mode, TakeOptions};
use memory::Addr;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use testbed::{interpreters, Interpreter, Target};

/// A test that waits longer than this has failed.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn command() -> PathBuf {
    env!("CARGO_BIN_EXE_exuvia-guardian-test").into()
}

pub(crate) fn options() -> TakeOptions {
    TakeOptions { mode: Mode::Freeze, guardian: command(), max_pause: Duration::from_secs(20), ..TakeOptions::default() }
}

pub(crate) fn fork_options() -> TakeOptions {
    TakeOptions { mode: Mode::Fork, ..options() }
}

pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(name)
}

/// Looks every millisecond until `found` gives something.
pub(crate) fn wait_for<T>(what: &str, found: impl FnMut() -> Option<T>) -> T {
    look(what, found, || std::thread::sleep(Duration::from_millis(1)))
}

/// As [`wait_for`], without a rest between looks: for what lasts less than a millisecond.
pub(crate) fn catch<T>(what: &str, found: impl FnMut() -> Option<T>) -> T {
    look(what, found, std::thread::yield_now)
}

fn look<T>(what: &str, mut found: impl FnMut() -> Option<T>, rest: impl Fn()) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(begun.elapsed() < DEADLINE, "waited in vain for: {what}");
        rest();
    }
}

/// A field of `/proc/PID/status`.
pub(crate) fn status(pid: i32, field: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':')).map(|v| v.trim().to_string())
}

/// The state letter of a process or thread.
pub(crate) fn state(pid: i32) -> Option<char> {
    status(pid, "State")?.chars().next()
}

pub(crate) fn tracer(pid: i32) -> i32 {
    status(pid, "TracerPid").and_then(|t| t.parse().ok()).unwrap_or(0)
}

/// Every thread is untraced, and none stands in a trace stop.
pub(crate) fn is_free(pid: i32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    tasks.flatten().all(|t| {
        let tid = t.file_name().to_str().and_then(|n| n.parse().ok()).unwrap_or(0);
        tracer(tid) == 0 && state(tid) != Some('t')
    })
}

/// Whether this machine lets us trace a process of our own; else says so. In CI that is a failure.
pub(crate) fn may_trace() -> bool {
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    // Yama's scope 1 lets the scripts name anybody as their tracer, 2 and 3 do not.
    let allowed = exuvia_target::open(child.id() as i32).is_ok()
        && std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").map_or(true, |scope| matches!(scope.trim(), "0" | "1"));
    child.kill().unwrap();
    child.wait().unwrap();
    if !allowed {
        println!("left out: ptrace is refused on this machine");
        assert!(std::env::var("EXUVIA_REQUIRE_ALL").map_or(true, |v| v != "1"), "ptrace is refused, and EXUVIA_REQUIRE_ALL=1");
    }
    allowed
}

pub(crate) fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// Whether Ctrl-C means nothing here: a shell without job control starts what ends in `&` so, and all that it starts inherits it.
pub(crate) fn ignores_interrupts() -> bool {
    let mask = status(std::process::id() as i32, "SigIgn").and_then(|mask| u64::from_str_radix(&mask, 16).ok());
    mask.unwrap_or(0) & 1 << (Signal::SIGINT as u32 - 1) != 0
}

/// The program of `busy.py` and what it says of itself.
pub(crate) struct Busy {
    pub(crate) target: Target,
    pub(crate) pid: i32,
    pub(crate) first: Addr,
    pub(crate) second: Addr,
    pub(crate) marker: Addr,
    pub(crate) marker_len: usize,
}

impl Busy {
    pub(crate) fn start(py: &Interpreter) -> Busy {
        let mut target = Target::start_path::<&str>(&py.path, &script("busy.py"), &[]).unwrap();
        let answer = target.ask("where").unwrap();
        let n: Vec<u64> = answer.split(' ').map(|n| n.parse().unwrap()).collect();
        let pid = target.pid() as i32;
        // The content of a bytes object begins at offset 32 in every release (Include/cpython/bytesobject.h).
        Busy { target, pid, first: Addr(n[0]), second: Addr(n[1]), marker: Addr(n[2] + 32), marker_len: n[3] as usize }
    }

    /// It still runs, in all threads, and found no error in its data.
    pub(crate) fn check(&mut self) {
        assert_eq!(self.target.ask("work").unwrap(), "worked");
        let answer = self.target.ask("check").unwrap();
        assert!(answer.ends_with(" 0"), "errors in the target: {answer}");
        assert!(is_free(self.pid));
    }

    pub(crate) fn end(mut self) {
        self.check();
        self.target.tell("end").unwrap();
        assert!(self.target.finish().unwrap().success());
    }

    /// A command that stops and lets go this target again and again: the word is never zero.
    pub(crate) fn pester(&self) -> Child {
        pester(self.pid, self.marker + 1)
    }

    /// It still runs, has no child, and is nobody's tracee.
    pub(crate) fn check_alone(&mut self) {
        self.check();
        assert_eq!(children(self.pid), Vec::<i32>::new(), "the target has a child");
    }

    pub(crate) fn wait_until_it_stands(&self) {
        catch("a trace stop", || (state(self.pid) == Some('t')).then_some(()));
    }
}

pub(crate) fn pester(pid: i32, never_zero: Addr) -> Child {
    let mut c = Command::new(command());
    c.args(["freeze", &pid.to_string(), "60000", &never_zero.0.to_string()]);
    c.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().unwrap()
}

pub(crate) fn any() -> &'static Interpreter {
    interpreters().found.first().expect("no Python 3.8 to 3.15 found")
}

/// The newest: its threads are the quickest.
pub(crate) fn newest() -> &'static Interpreter {
    interpreters().found.last().expect("no Python 3.8 to 3.15 found")
}

pub(crate) fn guardian_of(command: &Child) -> i32 {
    wait_for("the guardian", || {
        let text = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", command.id())).ok()?;
        text.split_ascii_whitespace().next()?.parse().ok()
    })
}

pub(crate) fn is_gone(pid: i32) -> Option<()> {
    (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())
}

/// The children of all threads of a process, zombies included.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()).collect()
}
