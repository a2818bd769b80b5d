//! Progress on stderr: a person at a terminal sees it once a look takes more than a second; a pipe never does.
//! The command is made slow by stopping it for longer than that (SIGSTOP): to it, that is a busy machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::fs::File;
use std::io::Read;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{exuvia, may_trace, Started};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

/// A heap that is not read before we come to stop its reader.
fn large() -> Started {
    Started::python("keep = [[n] for n in range(300_000)]")
}

/// Stops the command in its look for more than the second in which it may be silent. It is in its look when its guardian
/// is there, the only child that it ever has. False where it ended before.
fn hold(command: &mut Child) -> bool {
    let pid = command.id();
    let children = || std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    while children().is_empty() {
        if command.try_wait().unwrap().is_some() {
            return false;
        }
    }
    let pid = Pid::from_raw(pid as i32);
    kill(pid, Signal::SIGSTOP).unwrap();
    let stopped = Instant::now();
    while stopped.elapsed() < Duration::from_millis(1200) {
        std::thread::sleep(Duration::from_millis(50));
    }
    kill(pid, Signal::SIGCONT).unwrap();
    true
}

#[test]
fn a_person_sees_what_takes_long() {
    if !may_trace() {
        return;
    }
    let target = large();
    let pty = nix::pty::openpty(None, None).unwrap();
    // The guardian holds the target no longer than this, whatever becomes of the command.
    let mut command =
        exuvia().args(["types", "--json", "--max-pause", "60s", &target.pid()]).stdout(Stdio::null()).stderr(pty.slave).spawn().unwrap();
    let held = hold(&mut command);
    let ended = command.wait().unwrap();
    // The other end is closed: what was written is read, then comes an error instead of an end (EIO).
    let mut seen = Vec::new();
    let _ = File::from(pty.master).read_to_end(&mut seen);
    let seen = String::from_utf8_lossy(&seen);
    assert!(held && ended.success(), "held: {held}, {ended}: {seen:?}");
    assert!(seen.starts_with("\r\x1b[Kexuvia: ") && seen.contains(" … 1 s"), "{seen:?}");
    assert!(seen.ends_with(" s\r\x1b[K"), "its line is not gone: {seen:?}");
}

#[test]
fn a_pipe_stays_clean() {
    if !may_trace() {
        return;
    }
    let target = large();
    let mut command = exuvia()
        .args(["types", "--json", "--max-pause", "60s", &target.pid()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let held = hold(&mut command);
    let output = command.wait_with_output().unwrap();
    assert_eq!((held, output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (true, Some(0), ""));
}
