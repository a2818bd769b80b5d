//! Kills of the command at random moments of its work.
//!
//! Holds: [`kill`] and what it counts. Never: aims: kills inside named windows are tests (`crates/target/tests/fork.rs`).

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{killpg, Signal};
use nix::unistd::Pid;
use serde::Serialize;

use super::target::{children, guardians, stands, until, Busy, MARK};
use crate::trouble::{Doing, Done, Trouble};

/// The kills of one target.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Kills {
    /// The target's RSS before.
    target_rss_bytes: u64,
    /// Kills in all, alternately by SIGKILL of the command and by Ctrl-C's SIGINT of its process group.
    kills: usize,
    /// How many of them came while the target stood.
    while_it_stood: usize,
    /// … while a copy of it was there.
    while_a_copy_lived: usize,
    /// … after the command had ended by itself.
    too_late: usize,
    /// Kills by mode.
    fork: usize,
    freeze: usize,
}

/// Kills the command `times` over, beside a target of that size, and checks the target after each.
pub(crate) fn kill(exuvia: &Path, python: &Path, script: &Path, megabytes: u64, times: usize) -> Done<Kills> {
    let mut busy = Busy::start(python, script, megabytes)?;
    let mut counted = Kills { target_rss_bytes: busy.resident()?, ..Kills::default() };
    let mut random = Random::from_seed(times as u64 ^ (megabytes << 20));
    for n in 0..times {
        let mode = if n % 3 == 2 { "freeze" } else { "fork" };
        // The moment is drawn from the whole of one look, measured again now and then: the machine's mood changes.
        let begun = Instant::now();
        if n % 20 < 2 {
            start(exuvia, mode, busy.pid())?.wait().doing("exuvia")?;
            random.span = (begun.elapsed().as_micros() as u64).max(1);
        }
        let mut command = start(exuvia, mode, busy.pid())?;
        std::thread::sleep(Duration::from_micros(random.below_span()));
        let (stood, copied) = (stands(busy.pid()), children(busy.pid()).iter().any(|&pid| stands(pid)));
        let signal = if n % 2 == 0 { Signal::SIGKILL } else { Signal::SIGINT };
        // It leads a process group of its own, as under a shell. Gone already: no such group.
        let _ = killpg(Pid::from_raw(command.id() as i32), signal);
        let status = command.wait().doing("exuvia")?;
        counted.kills += 1;
        counted.while_it_stood += usize::from(stood);
        counted.while_a_copy_lived += usize::from(copied);
        counted.too_late += usize::from(status.success());
        *if mode == "fork" { &mut counted.fork } else { &mut counted.freeze } += 1;
        until("the guardian has ended", || guardians().is_empty())?;
        busy.check().map_err(|e| Trouble::new(format!("after kill {n} ({mode}, {signal}, stood: {stood}, copied: {copied}): {e}")))?;
    }
    println!("{} MiB: {counted:?}", counted.target_rss_bytes >> 20);
    busy.end()?;
    Ok(counted)
}

fn start(exuvia: &Path, mode: &str, pid: i32) -> Done<Child> {
    use std::os::unix::process::CommandExt;
    Command::new(exuvia)
        .args(["types", "--mode", mode, "--max-pause", "30s", &pid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .env(MARK, std::process::id().to_string())
        .process_group(0)
        .spawn()
        .doing(exuvia.display())
}

/// Numbers that need not be good, only spread: xorshift64 (Marsaglia 2003).
struct Random {
    state: u64,
    span: u64,
}

impl Random {
    fn from_seed(seed: u64) -> Random {
        Random { state: seed | 1, span: 1 }
    }

    fn below_span(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % self.span
    }
}
