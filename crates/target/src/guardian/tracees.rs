//! The traced threads of one process: stopped all at once, let go with nothing lost.
//!
//! Holds: [`Tracees`]. Never does: talk to the command (that is `watch`).
//! Rules kept here (ptrace(2), "Attaching and detaching", "Group-stop"): a signal that a thread was about to receive is
//! handed back when it is let go; a stop by job control stays in force; a thread asleep in the kernel counts as stopped,
//! since it cannot return to its program without stopping first.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use crate::error::{Refusal, SystemCall};
use crate::status::{threads_of, tracing_process, Status};
use crate::sys::ptrace::{self, Wait};

/// After this long a thread in uninterruptible sleep (`D`: a slow disk, a vfork) counts as stopped.
const GRACE: Duration = Duration::from_millis(20);
/// After this long a thread that still runs makes the stop fail: the machine does not even schedule it.
const PATIENCE: Duration = Duration::from_secs(1);
/// No process has more threads (kernel.pid_max on 64 bits): the bound of passes over a list that grows under us.
const PASSES_MAX: usize = 64;

/// How a thread stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It runs, or is asleep in the kernel.
    Running,
    /// As running, and it was asked to stop.
    Asked,
    /// It stands; `signal` (0: none) is delivered when it goes on.
    Standing { signal: i32 },
}

/// The threads of one process that are traced.
#[derive(Debug, Default)]
pub(crate) struct Tracees {
    threads: BTreeMap<i32, Thread>,
}

#[derive(Clone, Debug)]
pub(crate) struct Thread {
    pub(crate) state: State,
    /// Addresses at which its debug registers break.
    pub(crate) breakpoints: Vec<u64>,
    /// Its PTRACE_O_….
    pub(crate) options: i32,
    /// To be let go as soon as it stands.
    leaving: bool,
}

impl Thread {
    /// Whether this thread, which stands, is about to execute an instruction that we wait for.
    pub(crate) fn is_at_breakpoint(&self, tid: i32) -> bool {
        !self.breakpoints.is_empty() && ptrace::instruction(tid).is_ok_and(|at| self.breakpoints.contains(&at))
    }

    /// Clears the debug registers of this thread, which stands.
    pub(crate) fn clear_breakpoints(&mut self, tid: i32) {
        if !std::mem::take(&mut self.breakpoints).is_empty() {
            // Fails only when the thread is dead.
            let _ = ptrace::set_breakpoints(tid, &[]);
        }
    }
}

impl Tracees {
    /// Attaches to one thread without stopping it.
    pub(crate) fn adopt(&mut self, tid: i32, options: i32) -> io::Result<()> {
        ptrace::seize(tid, options)?;
        self.threads.insert(tid, Thread { state: State::Running, breakpoints: Vec::new(), options, leaving: false });
        Ok(())
    }

    /// One of them.
    pub(crate) fn get(&mut self, tid: i32) -> Option<&mut Thread> {
        self.threads.get_mut(&tid)
    }

    /// The threads that stand with nothing due to them, the first thread of the process first.
    pub(crate) fn at_rest(&self) -> Vec<i32> {
        let at_rest = |t: &Thread| t.state == State::Standing { signal: 0 } && !t.leaving;
        self.threads.iter().filter(|(_, t)| at_rest(t)).map(|(&tid, _)| tid).collect()
    }

    /// A thread has ended.
    pub(crate) fn forget(&mut self, tid: i32) {
        self.threads.remove(&tid);
    }

    /// Whether a debug register is still set anywhere.
    pub(crate) fn have_breakpoints(&self) -> bool {
        self.threads.values().any(|t| !t.breakpoints.is_empty())
    }

    /// Stops every thread of `pid`. `pause` waits a little, until something may have happened to a thread.
    /// On failure everything is let go again.
    pub(crate) fn stop_all(&mut self, pid: i32, pause: impl FnMut(Duration)) -> Result<Vec<i32>, Refusal> {
        match self.try_stop_all(pid, pause) {
            Ok(threads) => Ok(threads),
            Err(refusal) => {
                self.release_all();
                Err(refusal)
            }
        }
    }

    fn try_stop_all(&mut self, pid: i32, mut pause: impl FnMut(Duration)) -> Result<Vec<i32>, Refusal> {
        let begun = Instant::now();
        for pass in 0..PASSES_MAX {
            let listed = threads_of(pid).map_err(|e| match e.raw_os_error() {
                Some(libc::ENOENT | libc::ESRCH) => Refusal::Gone,
                errno => system(SystemCall::ListThreads, errno),
            })?;
            // Threads start threads while they are being stopped: done when a whole pass finds no new one.
            let mut fresh = false;
            for tid in listed {
                if !self.threads.contains_key(&tid) {
                    match self.adopt(tid, 0) {
                        Ok(()) => {}
                        Err(e) if is_ending(tid, &e) => continue,
                        Err(e) => return Err(why_not(pid, tid, &e)),
                    }
                }
                let Some(thread) = self.threads.get_mut(&tid) else { continue };
                thread.leaving = false;
                if thread.state == State::Running {
                    match ptrace::interrupt(tid) {
                        Ok(()) => thread.state = State::Asked,
                        // It died since: its end is reported by waitpid.
                        Err(e) if e.raw_os_error() == Some(libc::ESRCH) => thread.state = State::Asked,
                        Err(e) => return Err(system(SystemCall::Interrupt, e.raw_os_error())),
                    }
                    fresh = true;
                }
                // Asked by an earlier stop that it slept through.
                fresh |= pass == 0 && thread.state == State::Asked;
            }
            if !fresh {
                let standing: Vec<i32> = self.threads.keys().copied().collect();
                return if standing.is_empty() { Err(Refusal::Gone) } else { Ok(standing) };
            }
            self.collect(begun, &mut pause)?;
        }
        Err(Refusal::WouldNotStop { tid: pid })
    }

    /// Waits until every thread that was asked to stop stands, has ended, or sleeps in the kernel.
    fn collect(&mut self, begun: Instant, pause: &mut impl FnMut(Duration)) -> Result<(), Refusal> {
        loop {
            let asked: Vec<i32> = self.threads.iter().filter(|(_, t)| t.state == State::Asked).map(|(&tid, _)| tid).collect();
            let mut moving = None;
            for &tid in &asked {
                match ptrace::poll_wait(tid) {
                    Ok(Some((_, wait))) => self.note(tid, wait),
                    Ok(None) => moving = Some(tid),
                    // No such tracee any more: another thread's exec took its place.
                    Err(e) if e.raw_os_error() == Some(libc::ECHILD) => self.forget(tid),
                    Err(e) => return Err(system(SystemCall::Wait, e.raw_os_error())),
                }
            }
            let Some(tid) = moving else { return Ok(()) };
            let waited = begun.elapsed();
            let asleep = |tid: &i32| Status::read(*tid).map_or(true, |s| matches!(s.state, 'D' | 'Z' | 'X'));
            let moving = self.threads.iter().filter(|(_, t)| t.state == State::Asked).map(|(tid, _)| tid);
            if waited > GRACE && moving.into_iter().all(asleep) {
                return Ok(());
            }
            if waited > PATIENCE {
                return Err(Refusal::WouldNotStop { tid });
            }
            pause(Duration::from_millis(1));
        }
    }

    /// Takes note of what waitpid said of a thread.
    pub(crate) fn note(&mut self, tid: i32, wait: Wait) {
        if wait == Wait::Ended {
            self.forget(tid);
            return;
        }
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let signal = match wait {
            // Our own breakpoint is nobody's signal.
            Wait::Signal(libc::SIGTRAP) if thread.is_at_breakpoint(tid) => 0,
            Wait::Signal(signal) => signal,
            // PTRACE_EVENT_STOP of a stop by job control: detaching reinstates it, no signal is due.
            Wait::Trap(_) | Wait::Event(_) | Wait::SystemCall | Wait::Ended => 0,
        };
        thread.state = State::Standing { signal };
        if thread.leaving {
            self.release(tid);
        }
    }

    /// Lets every thread go for good. Those that do not stand yet follow when they do.
    pub(crate) fn release_all(&mut self) {
        let tids: Vec<i32> = self.threads.keys().copied().collect();
        for tid in tids {
            self.release(tid);
        }
    }

    fn release(&mut self, tid: i32) {
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        match thread.state {
            State::Standing { signal } => {
                thread.clear_breakpoints(tid);
                // As above: a dead thread needs no release, and its end is still to be waited for.
                if ptrace::detach(tid, signal).is_ok() {
                    self.forget(tid);
                } else {
                    thread.state = State::Asked;
                    thread.leaving = true;
                }
            }
            State::Running => {
                let _ = ptrace::interrupt(tid);
                thread.state = State::Asked;
                thread.leaving = true;
            }
            State::Asked => thread.leaving = true,
        }
    }
}

/// Whether attaching failed because the thread is ending or ended: no reason to fail.
fn is_ending(tid: i32, error: &io::Error) -> bool {
    match error.raw_os_error() {
        Some(libc::ESRCH) => true,
        Some(libc::EPERM) => Status::read(tid).map_or(true, |s| matches!(s.state, 'Z' | 'X')),
        _ => false,
    }
}

fn why_not(pid: i32, tid: i32, error: &io::Error) -> Refusal {
    match error.raw_os_error() {
        Some(libc::EPERM) => match Status::read(tid) {
            Ok(status) if status.tracer != 0 => Refusal::AlreadyTraced { tracer: tracing_process(status.tracer) },
            Ok(_) => Refusal::NotPermitted,
            Err(_) if tid == pid => Refusal::Gone,
            Err(_) => Refusal::NotPermitted,
        },
        errno => system(SystemCall::Seize, errno),
    }
}

fn system(call: SystemCall, errno: Option<i32>) -> Refusal {
    Refusal::System { call, errno: errno.unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    /// The moment between attaching and asking to stop, in which a signal may come: here it always does.
    #[test]
    fn a_signal_caught_on_the_way_is_handed_back() {
        for signal in ["USR1", "RTMIN"] {
            let script = format!("trap 'echo got; exit 0' {signal}; echo ready; while :; do :; done");
            let mut child = Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            assert_eq!(lines.next().unwrap().unwrap(), "ready");
            let pid = child.id() as i32;
            let mut tracees = Tracees::default();
            if let Err(e) = tracees.adopt(pid, 0) {
                println!("left out: ptrace is refused on this machine: {e}");
                assert!(std::env::var("EXUVIA_REQUIRE_ALL").map_or(true, |v| v != "1"), "and EXUVIA_REQUIRE_ALL=1");
                child.kill().unwrap();
                child.wait().unwrap();
                return;
            }
            Command::new("sh").args(["-c", &format!("kill -s {signal} {pid}")]).status().unwrap();
            // Seen, but not delivered yet.
            let caught = loop {
                match Status::read(pid).unwrap().state {
                    't' => break tracees.stop_all(pid, std::thread::sleep),
                    _ => std::thread::yield_now(),
                }
            };
            assert_eq!(caught, Ok(vec![pid]));
            let standing = tracees.get(pid).map(|t| t.state);
            assert!(matches!(standing, Some(State::Standing { signal: 1.. })), "{standing:?}");
            tracees.release_all();
            assert!(tracees.get(pid).is_none());
            assert_eq!(lines.next().map(Result::unwrap).as_deref(), Some("got"));
            assert!(child.wait().unwrap().success());
        }
    }
}
