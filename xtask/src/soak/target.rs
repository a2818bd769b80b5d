//! The busy target of a soak: started, asked, and searched for anything that was left behind.
//!
//! Holds: [`Busy`]. Never: touches it otherwise than by its stdin and /proc.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::trouble::{Doing, Done, Trouble};

/// How long anything may take that should happen at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// The running program.
pub(crate) struct Busy {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

/// What it says of itself.
#[derive(Debug, Deserialize)]
pub(crate) struct Said {
    /// Of each of its threads.
    pub(crate) rounds: Vec<u64>,
    /// What it found wrong with its data.
    pub(crate) errors: Vec<String>,
    /// Open descriptors.
    pub(crate) descriptors: u64,
}

impl Busy {
    pub(crate) fn start(python: &Path, script: &Path, megabytes: u64) -> Done<Busy> {
        let mut child = Command::new(python)
            .arg(script)
            .arg(megabytes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .doing(python.display())?;
        let stdout = child.stdout.take().ok_or_else(|| Trouble::new("the target has no stdout"))?;
        let mut busy = Busy { child, stdout: BufReader::new(stdout) };
        match busy.line()?.as_str() {
            "READY" => Ok(busy),
            other => Err(Trouble::new(format!("the target said {other:?} instead of READY"))),
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn line(&mut self) -> Done<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).doing("the target's stdout")?;
        if line.is_empty() {
            return Err(Trouble::new(format!("the target has ended: {:?}", self.child.try_wait())));
        }
        Ok(line.trim_end().to_owned())
    }

    /// What it says now.
    pub(crate) fn ask(&mut self) -> Done<Said> {
        let stdin = self.child.stdin.as_mut().ok_or_else(|| Trouble::new("the target has no stdin"))?;
        writeln!(stdin, "?").doing("asking the target")?;
        let line = self.line()?;
        serde_json::from_str(&line).doing(line)
    }

    /// Nobody traces it, none of its threads stands, every one of them goes on, its data is right, and it has no child that it
    /// did not start. Children of its own come and go: one that is there a second later is not of that kind.
    pub(crate) fn check(&mut self) -> Done<()> {
        let before = self.ask()?;
        until("the target is let go", || is_free(self.pid()))?;
        let mut strangers = children(self.pid());
        let begun = Instant::now();
        loop {
            let now = self.ask()?;
            if !now.errors.is_empty() {
                return Err(Trouble::new(format!("the target's data is wrong: {:?}", now.errors)));
            }
            let children = children(self.pid());
            strangers.retain(|pid| children.contains(pid));
            // The walk over a large heap takes long; all else must have moved.
            let moved = now.rounds.iter().zip(&before.rounds).enumerate().all(|(i, (now, before))| i == 3 || now > before);
            if moved && strangers.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(Trouble::new(format!("the target does not go on: {now:?}, children {strangers:?}")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Resident bytes.
    pub(crate) fn resident(&self) -> Done<u64> {
        Ok(field(self.pid(), "VmRSS").and_then(|kib| kib.strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024)
    }

    /// Threads.
    pub(crate) fn threads(&self) -> u64 {
        field(self.pid(), "Threads").and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn end(mut self) -> Done<()> {
        let stdin = self.child.stdin.as_mut().ok_or_else(|| Trouble::new("the target has no stdin"))?;
        writeln!(stdin, "end").doing("ending the target")?;
        let status = self.child.wait().doing("the target's end")?;
        match status.success() {
            true => Ok(()),
            false => Err(Trouble::new(format!("the target ended with {status}"))),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        // It is gone already where all went well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The children of all threads of a process, zombies included.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()).collect()
}

/// Whether a thread of it stands in a trace stop.
pub(crate) fn stands(pid: i32) -> bool {
    field(pid, "State").is_some_and(|state| state.starts_with('t'))
}

fn is_free(pid: i32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    let tids = tasks.flatten().filter_map(|task| task.file_name().to_str()?.parse().ok());
    tids.into_iter().all(|tid: i32| field(tid, "TracerPid").is_none_or(|tracer| tracer == "0"))
}

fn field(pid: i32, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(|value| value.trim().to_owned())
}

/// Set for every command of a soak, and inherited by its guardian: others may run on this machine too.
pub(crate) const MARK: &str = "EXUVIA_SOAK";

/// The guardians of this soak's commands.
pub(crate) fn guardians() -> Vec<i32> {
    let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mark = format!("{MARK}={}", std::process::id());
    let is_one = |pid: &i32| {
        let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        read("cmdline").split(|&b| b == 0).nth(1) == Some(b"__guardian")
            && read("environ").split(|&b| b == 0).any(|one| one == mark.as_bytes())
    };
    pids.filter(is_one).collect()
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) -> Done<()> {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > PATIENCE {
            return Err(Trouble::new(format!("waited in vain until {what}")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
