//! The forked copy of a target: born by a call in the target, read from outside, killed, and reaped by another call.
//!
//! Holds: [`ForkedCopy`]. Never does: let it run: it stands from its first moment to its last, and its stack pointer leads
//! nowhere, so that not even a guardian killed in the wrong moment could make it execute the target's code.
//! Why CLONE_FILES: with a descriptor table of its own the copy would hold the target's sockets, ports and locks open after
//! the target closed them. Why no exit signal: the target must not hear of a child that it did not make; wait(2) without
//! __WALL or __WCLONE does not see it either.
//! Sources: clone(2), wait4(2), proc_pid_oom_score_adj(5).

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::remote::{self, Call, Made};
use crate::process::Process;
use crate::seccomp::{self, ForkVerdict};
use crate::status::threads_of;
use crate::sys::ptrace::{self, Wait};
use crate::sys::thread;

/// Not canonical: no mapping can ever lie there.
pub(crate) const NO_STACK: u64 = 1 << 47;
/// How long one thread may take to stop before another is tried.
const GRACE: Duration = Duration::from_millis(20);
/// How long a copy may take to give its memory back.
const END_MAX: Duration = Duration::from_secs(60);
/// How often all threads are tried before the dead copy is left to the target's own end.
const ROUNDS: u32 = 200;
/// Between two such rounds.
const REST: Duration = Duration::from_millis(10);

/// A copy that stands.
#[derive(Debug)]
pub(crate) struct ForkedCopy {
    /// Its process id.
    pub(crate) pid: i32,
    /// The same as the target sees it, which may live in another PID namespace.
    inside: i64,
    target: i32,
    /// Readable when the target has ended.
    pub(crate) end_of_target: OwnedFd,
}

impl ForkedCopy {
    /// Has the thread `tid`, which stands, make the copy. The `Made` says what signal is still due to the thread.
    /// The outer error: the thread may be lost. The inner one: the call failed and nothing was made.
    pub(crate) fn make(
        process: &Process,
        tid: i32,
        instruction: u64,
        options: i32,
        nap: &mut dyn FnMut(Duration),
    ) -> io::Result<(Made, io::Result<ForkedCopy>)> {
        let target = process.pid();
        // Before the copy is there: without it nobody would tell us to kill the copy when the target ends.
        let end_of_target = thread::pidfd_open(target)?;
        let call = Call { name: "clone", number: libc::SYS_clone, arguments: [libc::CLONE_FILES as u64, NO_STACK, 0, 0, 0] };
        let made = remote::make(tid, instruction, call, options, nap)?;
        let copy = match made.born {
            Some(pid) => {
                // When memory runs out the copy goes first. Raising one's own score needs no right; failing is no harm.
                let _ = std::fs::write(format!("/proc/{pid}/oom_score_adj"), "1000");
                Ok(ForkedCopy { pid, inside: made.returned, target, end_of_target })
            }
            None => Err(io::Error::from_raw_os_error(i32::try_from(-made.returned).unwrap_or(libc::EAGAIN))),
        };
        Ok((made, copy))
    }

    /// Kills it and waits until its memory is given back.
    pub(crate) fn kill(&self, nap: &mut dyn FnMut(Duration)) {
        // It may be dead already: killed for want of memory.
        let _ = thread::kill(self.pid);
        let begun = Instant::now();
        // No such child: its end was already taken note of.
        while let Ok(wait) = remote::wait(self.pid, nap) {
            if wait == Wait::Ended || begun.elapsed() > END_MAX {
                break;
            }
        }
    }

    /// Has a thread of the target take note of the dead copy, which would be a zombie child of it otherwise. How long that
    /// thread stood; `None` where none could be used, or the target is gone and with it the zombie.
    pub(crate) fn reap(&self, nap: &mut dyn FnMut(Duration)) -> Option<Duration> {
        for _ in 0..ROUNDS {
            // The first thread first: it is there for as long as the process.
            for tid in threads_of(self.target).ok()? {
                if let Some(stood) = self.reap_in(tid, nap) {
                    return Some(stood);
                }
            }
            nap(REST);
        }
        None
    }

    fn reap_in(&self, tid: i32, nap: &mut dyn FnMut(Duration)) -> Option<Duration> {
        let process = Process::open_traced(self.target).ok()?;
        let instruction = remote::find_instruction(&process)?;
        let call = Call {
            name: "wait4",
            number: libc::SYS_wait4,
            arguments: [self.inside as u64, 0, (libc::__WALL | libc::WNOHANG) as u64, 0, 0],
        };
        ptrace::seize(tid, 0).ok()?;
        let begun = Instant::now();
        let mut signal = 0;
        let mut reaped = None;
        if ptrace::interrupt(tid).is_ok() {
            match first_stop(tid, nap) {
                Some(Wait::Trap(_)) => {
                    // Filters are a thread's own: this may be another one than made the copy.
                    let allowed = seccomp::allows_fork(&seccomp::read(tid), instruction + 2, NO_STACK) == ForkVerdict::Allowed;
                    if allowed && remote::is_usable(&process, tid) {
                        let made = remote::make(tid, instruction, call, 0, nap).ok();
                        signal = made.as_ref().map_or(0, |m| m.signal);
                        // ECHILD: the target itself waited for all its children, __WALL or at its exec.
                        reaped = made.filter(|m| m.returned == self.inside || m.returned == -i64::from(libc::ECHILD));
                    }
                }
                Some(Wait::Signal(due)) => signal = due,
                Some(_) => return None,
                // Asleep in the kernel: it is let go when it wakes, or by the kernel when we end.
                None => {
                    let mut left = END_MAX;
                    let woke = loop {
                        match ptrace::poll_wait(tid) {
                            Ok(Some((_, wait))) => break wait,
                            Ok(None) if left > Duration::ZERO => {
                                nap(REST);
                                left = left.saturating_sub(REST);
                            }
                            _ => return None,
                        }
                    };
                    if let Wait::Signal(due) = woke {
                        signal = due;
                    }
                }
            }
        }
        let _ = ptrace::detach(tid, signal);
        reaped.map(|_| begun.elapsed())
    }
}

/// The first stop of a thread that was asked to stop; `None` when it does not come soon.
fn first_stop(tid: i32, nap: &mut dyn FnMut(Duration)) -> Option<Wait> {
    let begun = Instant::now();
    while begun.elapsed() < GRACE {
        match ptrace::poll_wait(tid) {
            Ok(Some((_, wait))) => return Some(wait),
            Ok(None) => nap(Duration::from_millis(1)),
            Err(_) => return Some(Wait::Ended),
        }
    }
    None
}
