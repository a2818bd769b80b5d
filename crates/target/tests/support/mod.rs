//! What the tests of this crate share: the command that is its own guardian, scripts, and waiting without sleeping blindly.

#![allow(dead_code)] // Each test file uses its part.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use exuvia_target::FreezeOptions;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

/// A test that waits longer than this has failed.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn command() -> PathBuf {
    env!("CARGO_BIN_EXE_exuvia-guardian-test").into()
}

pub(crate) fn options() -> FreezeOptions {
    FreezeOptions { guardian: command(), max_pause: Duration::from_secs(20), ..FreezeOptions::default() }
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
