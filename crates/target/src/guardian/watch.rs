//! The guardian's loop: wishes of the command on one side, news of the traced threads on the other.
//!
//! Holds: [`serve`]. Never does: outlive its use: it ends when the line closes and everything is restored.
//! Sources: ptrace(2), signalfd(2); AT_ENTRY in getauxval(3).

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::forked::{ForkedCopy, NO_STACK};
use super::message::{Report, Request};
use super::remote;
use super::tracees::{State, Tracees};
use crate::error::{NoFork, Refusal, SystemCall};
use crate::process::Process;
use crate::seccomp::{self, ForkVerdict};
use crate::sys::ptrace::{self, Wait};
use crate::testpoint;

/// The functions before which a heap is still whole, exported by every CPython, stripped or not. `Py_RunMain` calls the
/// first at a normal end; `sys.exit` calls `Py_Exit`, which since 3.13 no longer goes through the first but calls an
/// internal function that both share (Python/pylifecycle.c, `_Py_Finalize`).
const FINALIZE: [&str; 2] = ["Py_FinalizeEx", "Py_Exit"];
/// What glibc's loader calls when it has mapped something, for debuggers (elf/dl-debug.c).
const MAPPED: &str = "_dl_debug_state";

/// Serves one command until its end of the socket closes.
pub(crate) fn serve(socket: UnixStream) -> io::Result<()> {
    // Deaf to all but SIGKILL and SIGSTOP: blocked signals stay pending for ever. SIGCHLD is read from a descriptor.
    SigSet::all().thread_set_mask()?;
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    let signals = SignalFd::with_flags(&children, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let mut watch =
        Watch { socket, incoming: Vec::new(), signals, tracees: Tracees::default(), launched: None, hold: None, last: None, copy: None };
    watch.run()
}

struct Watch {
    socket: UnixStream,
    incoming: Vec<u8>,
    signals: SignalFd,
    tracees: Tracees,
    /// A program that the command started.
    launched: Option<Launched>,
    /// While the target stands.
    hold: Option<Hold>,
    /// The stop that ended because its time was over.
    last: Option<Duration>,
    /// A forked copy that is being read.
    copy: Option<ForkedCopy>,
}

struct Launched {
    pid: i32,
    /// It has executed its program. Before that it is a fork of the command, and its exit means that the exec failed.
    begun: bool,
    watching: Watching,
}

/// What the debug register of a launched program's first thread waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watching {
    /// Nothing: before its first exec, or no such function, or we have looked.
    Nothing,
    /// The executable's entry point: the loader has mapped all libraries then.
    Entry,
    /// The loader itself was executed (`ld.so PROGRAM`), so that its entry was the executable's: [`MAPPED`].
    Loader,
    /// One of [`FINALIZE`].
    Finalize,
}

struct Hold {
    pid: i32,
    since: Instant,
    until: Option<Instant>,
}

impl Watch {
    fn run(&mut self) -> io::Result<()> {
        loop {
            let left = self.hold.as_ref().and_then(|h| h.until).map(|u| u.saturating_duration_since(Instant::now()));
            let (said, signalled) = self.wait(left, true);
            if signalled {
                self.news();
            }
            if self.hold.as_ref().and_then(|h| h.until).is_some_and(|until| Instant::now() >= until) {
                self.last = Some(self.let_go());
            }
            if self.copy.as_ref().is_some_and(|copy| has_ended(&copy.end_of_target)) {
                // The target's memory was given back: its copy must not outlive it.
                self.end_copy();
            }
            if said && !self.listen() {
                return self.give_up();
            }
        }
    }

    /// Waits for the command or a thread. Returns who has news.
    fn wait(&self, patience: Option<Duration>, command_too: bool) -> (bool, bool) {
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if command_too {
            fds.push(PollFd::new(self.socket.as_fd(), PollFlags::POLLIN));
            fds.extend(self.copy.as_ref().map(|copy| PollFd::new(copy.end_of_target.as_fd(), PollFlags::POLLIN)));
        }
        // Rounded up: a timeout of 0 would spin until the time is over.
        let timeout =
            patience.map_or(PollTimeout::NONE, |p| PollTimeout::try_from(p + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX));
        // Interrupted or out of memory: the loop comes back.
        let _ = poll(&mut fds, timeout);
        let ready = |i: usize| fds.get(i).and_then(|fd| fd.any()).unwrap_or(false);
        let result = (ready(1), ready(0));
        if result.1 {
            while let Ok(Some(_)) = self.signals.read_signal() {}
        }
        result
    }

    /// Reads what the command says. `false`: it is gone.
    fn listen(&mut self) -> bool {
        let mut buffer = [0u8; 4096];
        match self.socket.read(&mut buffer) {
            Ok(0) => return false,
            Ok(n) => self.incoming.extend(buffer.iter().take(n)),
            Err(e) if e.kind() == ErrorKind::Interrupted => return true,
            Err(_) => return false,
        }
        while let Some(end) = self.incoming.iter().position(|&b| b == b'\n') {
            let line: Vec<u8> = self.incoming.drain(..=end).collect();
            let Ok(request) = serde_json::from_slice::<Request>(&line) else { return false };
            let report = self.answer(request);
            self.tell(&report);
        }
        true
    }

    fn answer(&mut self, request: Request) -> Report {
        match request {
            Request::Stop { pid, hold_ms } => match self.stop(pid, hold_ms.map(Duration::from_millis)) {
                Ok(threads) => Report::Stopped { threads },
                Err(refusal) => Report::Refused(refusal),
            },
            Request::Fork => match self.fork() {
                Ok(copy) => Report::Forked { copy },
                Err(refusal) => Report::Refused(refusal),
            },
            Request::Discard => {
                let reaped = self.discard();
                let zombie = reaped.is_none();
                Report::Discarded { pause_ns: reaped.unwrap_or_default().as_nanos() as u64, zombie }
            }
            Request::Release => match self.last.take() {
                Some(pause) => Report::Released { pause_ns: pause.as_nanos() as u64, overran: true },
                None => Report::Released { pause_ns: self.let_go().as_nanos() as u64, overran: false },
            },
            Request::Adopt { pid } => match self.tracees.adopt(pid, libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_TRACEEXIT) {
                Ok(()) => {
                    self.launched = Some(Launched { pid, begun: false, watching: Watching::Nothing });
                    Report::Adopted
                }
                Err(e) => Report::Refused(Refusal::System { call: SystemCall::Seize, errno: e.raw_os_error().unwrap_or_default() }),
            },
        }
    }

    /// Stops all threads; where the target stands already, at a moment of its own, it stays there.
    fn stop(&mut self, pid: i32, hold: Option<Duration>) -> Result<Vec<i32>, Refusal> {
        let since = self.hold.take().map_or_else(Instant::now, |h| h.since);
        self.last = None;
        let mut tracees = std::mem::take(&mut self.tracees);
        let stopped = tracees.stop_all(pid, |patience| {
            self.wait(Some(patience), false);
        });
        self.tracees = tracees;
        if stopped.is_ok() {
            self.hold = Some(Hold { pid, since, until: hold.map(|h| since + h) });
        }
        stopped
    }

    /// Makes a copy of what stands.
    fn fork(&mut self) -> Result<i32, Refusal> {
        let pid = self.hold.as_ref().map(|h| h.pid).ok_or(Refusal::LetGoAlready)?;
        let refused = |e: io::Error| Refusal::CannotFork(NoFork::Clone { errno: e.raw_os_error().unwrap_or(libc::EAGAIN) });
        let process = Process::open_traced(pid).map_err(|_| Refusal::Gone)?;
        let tid = self
            .tracees
            .at_rest()
            .into_iter()
            .find(|&tid| remote::is_usable(&process, tid))
            .ok_or(Refusal::CannotFork(NoFork::NoUsableThread))?;
        let instruction = remote::find_instruction(&process).ok_or_else(|| refused(io::ErrorKind::NotFound.into()))?;
        // What the filter says is asked of the very call that follows, instruction and stack included: behind the instruction is
        // where seccomp sees it.
        match seccomp::allows_fork(&seccomp::read(tid), instruction + 2, NO_STACK) {
            ForkVerdict::Allowed => {}
            no => return Err(Refusal::CannotFork(NoFork::Seccomp(no.to_string()))),
        }
        let mut options = 0;
        if let Some(thread) = self.tracees.get(tid) {
            // It has been looked at: nothing is waited for any more.
            thread.clear_breakpoints(tid);
            options = thread.options;
        }
        let (made, copy) = ForkedCopy::make(&process, tid, instruction, options, &mut |patience| {
            self.wait(Some(patience), false);
        })
        .map_err(refused)?;
        if let Some(thread) = self.tracees.get(tid) {
            thread.state = State::Standing { signal: made.signal };
        }
        let copy = copy.map_err(refused)?;
        let copied = copy.pid;
        self.copy = Some(copy);
        testpoint::reached("copy", "made");
        Ok(copied)
    }

    /// Ends the copy. How long a thread of the target stood for that; `None`: it is left as a zombie.
    fn discard(&mut self) -> Option<Duration> {
        match self.end_copy() {
            None => Some(Duration::ZERO),
            Some(copy) => copy.reap(&mut |patience| {
                self.wait(Some(patience), false);
            }),
        }
    }

    /// Kills the copy. It is returned where the target lives, which must take note of its end then.
    fn end_copy(&mut self) -> Option<ForkedCopy> {
        let copy = self.copy.take()?;
        copy.kill(&mut |patience| {
            self.wait(Some(patience), false);
        });
        (!has_ended(&copy.end_of_target)).then_some(copy)
    }

    /// Lets everything go, with debug registers cleared. How long it stood.
    fn let_go(&mut self) -> Duration {
        self.tracees.release_all();
        if let Some(launched) = &mut self.launched {
            launched.watching = Watching::Nothing;
        }
        self.hold.take().map_or(Duration::ZERO, |h| h.since.elapsed())
    }

    /// The command is gone: restore, let go, end. A thread with a debug register is waited for, however long it sleeps;
    /// the others are let go by our end.
    fn give_up(&mut self) -> io::Result<()> {
        self.let_go();
        self.discard();
        while self.tracees.have_breakpoints() {
            self.wait(Some(Duration::from_millis(100)), false);
            self.news();
        }
        Ok(())
    }

    /// All that happened to traced threads since we looked.
    fn news(&mut self) {
        while let Ok(Some((tid, wait))) = ptrace::poll_wait(-1) {
            self.one(tid, wait);
        }
    }

    fn one(&mut self, tid: i32, wait: Wait) {
        let mine = self.launched.as_ref().is_some_and(|l| l.pid == tid);
        if wait == Wait::Ended {
            self.tracees.forget(tid);
            if mine {
                self.launched = None;
                self.tell(&Report::Ended);
            }
            return;
        }
        let running = self.tracees.get(tid).is_some_and(|t| t.state == State::Running);
        if mine && running && self.hold.is_none() {
            self.step(tid, wait);
        } else {
            self.tracees.note(tid, wait);
        }
    }

    /// A stop of a launched program's first thread while it runs towards its moment.
    fn step(&mut self, tid: i32, wait: Wait) {
        let at_breakpoint = self.tracees.get(tid).is_some_and(|t| t.is_at_breakpoint(tid));
        match wait {
            Wait::Event(libc::PTRACE_EVENT_EXEC) => {
                // The exec has cleared the register (flush_ptrace_hw_breakpoint).
                if let Some(thread) = self.tracees.get(tid) {
                    thread.breakpoints.clear();
                }
                if let Some(launched) = &mut self.launched {
                    launched.begun = true;
                }
                let entry = Process::open_traced(tid).ok().and_then(|p| p.auxiliary(libc::AT_ENTRY));
                self.watch_for(tid, Watching::Entry, entry.as_slice());
            }
            Wait::Event(libc::PTRACE_EVENT_EXIT) if self.launched.as_ref().is_some_and(|l| l.begun) => {
                let status = ptrace::event_message(tid).unwrap_or_default() as i32;
                self.moment(tid, wait, Report::AtExit { status });
                return;
            }
            Wait::Signal(libc::SIGTRAP) if at_breakpoint => match self.launched.as_ref().map(|l| l.watching) {
                Some(Watching::Finalize) => {
                    self.moment(tid, wait, Report::BeforeFinalize);
                    return;
                }
                watching => {
                    let process = Process::open_traced(tid).ok();
                    let find = |names: &[&str]| -> Vec<u64> {
                        let found = process.as_ref().and_then(|p| crate::elf::find_symbols(p, names).ok()).unwrap_or_default();
                        found.iter().map(|at| at.0).collect()
                    };
                    let is_loader = process.as_ref().and_then(|p| p.auxiliary(libc::AT_BASE)).is_none_or(|base| base == 0);
                    match (find(&FINALIZE), watching) {
                        // Nobody loaded what was executed: a static program, or a loader. That one has not mapped the program yet.
                        (none, Some(Watching::Entry)) if none.is_empty() && is_loader => {
                            self.watch_for(tid, Watching::Loader, &find(&[MAPPED]));
                        }
                        // Told before its libraries are mapped, and after.
                        (none, Some(Watching::Loader)) if none.is_empty() => {}
                        (addresses, _) => self.watch_for(tid, Watching::Finalize, &addresses),
                    }
                }
            },
            // A signal of its own: passed on.
            Wait::Signal(signal) => {
                let _ = ptrace::go_on(tid, signal);
                return;
            }
            // A stop by job control: it stays stopped until somebody continues it.
            Wait::Trap(signal) if signal != libc::SIGTRAP => {
                let _ = ptrace::listen(tid);
                return;
            }
            Wait::Trap(_) | Wait::Event(_) | Wait::SystemCall | Wait::Ended => {}
        }
        let _ = ptrace::go_on(tid, 0);
    }

    /// Sets the debug registers of the standing thread `tid`, or clears them where there is nothing to wait for.
    fn watch_for(&mut self, tid: i32, what: Watching, addresses: &[u64]) {
        let set = ptrace::set_breakpoints(tid, addresses);
        let watching = set.is_ok() && !addresses.is_empty();
        if let Some(thread) = self.tracees.get(tid) {
            thread.breakpoints = if watching { addresses.to_vec() } else { Vec::new() };
        }
        if let Some(launched) = &mut self.launched {
            launched.watching = if watching { what } else { Watching::Nothing };
        }
        if let (Err(e), false) = (set, addresses.is_empty()) {
            self.tell(&Report::NoBreakpoint { errno: e.raw_os_error().unwrap_or_default() });
        }
    }

    /// A moment to look: everything stands, until the command says otherwise.
    fn moment(&mut self, tid: i32, wait: Wait, report: Report) {
        let since = Instant::now();
        self.tracees.note(tid, wait);
        if let Some(thread) = self.tracees.get(tid) {
            thread.clear_breakpoints(tid);
        }
        self.hold = Some(Hold { pid: tid, since, until: None });
        match self.stop(tid, None) {
            Ok(_) => self.tell(&report),
            // It is being killed: its end follows.
            Err(_) => self.hold = None,
        }
    }

    /// Says something. A command that does not listen any more is found out by the next read.
    fn tell(&mut self, report: &Report) {
        if let Ok(mut line) = serde_json::to_vec(report) {
            line.push(b'\n');
            let _ = self.socket.write_all(&line);
        }
    }
}

/// Whether the process behind a pidfd has ended.
fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}
