//! The end of a run before its time: Ctrl-C, and a limit.
//!
//! Holds: [`Stop`]. Never does: kill anything but the process group of the run that goes on.
//! Sources: signalfd(2) (a signal that is blocked comes also where it is ignored), pthread_sigmask(3). What is blocked here the programs do
//! not inherit: `target` starts them with an empty mask.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{killpg, SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

/// How often limits are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// A program that was asked to end by Ctrl-C has so long.
const GRACE: Duration = Duration::from_secs(3);

/// Whether runs go on. SIGINT, SIGTERM and SIGHUP (unless it is ignored) are answered here from its making on.
#[derive(Clone, Debug)]
pub struct Stop(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    wanted: bool,
    run: Option<Current>,
    /// Its last run was ended because its time was over.
    over: bool,
}

#[derive(Debug)]
struct Current {
    group: i32,
    until: Option<Instant>,
    /// It was asked to end, and is killed then.
    killed_at: Option<Instant>,
}

impl Stop {
    /// From now on those signals are answered here. To be called before other threads are started, which inherit what is blocked.
    pub fn catch() -> Stop {
        let stop = Stop(Arc::default());
        let mut signals = SigSet::empty();
        [Signal::SIGINT, Signal::SIGTERM].into_iter().for_each(|signal| signals.add(signal));
        // That is what nohup(1) is for. (Of SIGINT it says nothing: a shell has it ignored in whatever runs in its background.)
        if ignored() & 1 << (Signal::SIGHUP as u32 - 1) == 0 {
            signals.add(Signal::SIGHUP);
        }
        // Where they cannot be caught they end the program, as they do everywhere.
        let caught = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).ok();
        let caught = caught.filter(|_| signals.thread_block().is_ok());
        let watched = stop.clone();
        std::thread::spawn(move || watched.watch(caught.as_ref()));
        stop
    }

    /// Whether an end was asked for: what is known by now is the answer.
    pub fn wanted(&self) -> bool {
        self.lock().wanted
    }

    pub(crate) fn begin(&self, group: i32, limit: Option<Duration>) {
        let mut state = self.lock();
        state.over = false;
        state.run = Some(Current { group, until: limit.and_then(|limit| Instant::now().checked_add(limit)), killed_at: None });
    }

    /// Whether it was ended because its time was over.
    pub(crate) fn end(&self) -> bool {
        let mut state = self.lock();
        state.run = None;
        state.over
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends with the last other owner.
    fn watch(&self, caught: Option<&SignalFd>) {
        while Arc::strong_count(&self.0) > 1 {
            std::thread::sleep(LOOK);
            let signalled = caught.is_some_and(|caught| matches!(caught.read_signal(), Ok(Some(_))));
            let mut state = self.lock();
            let again = signalled && state.wanted;
            state.wanted |= signalled;
            let (wanted, now) = (state.wanted, Instant::now());
            let mut over = false;
            if let Some(run) = &mut state.run {
                let late = run.killed_at.is_some_and(|at| now >= at);
                over = run.until.is_some_and(|until| now >= until);
                // A group that is gone already: nothing is to do.
                if again || late || over {
                    let _ = killpg(Pid::from_raw(run.group), Signal::SIGKILL);
                } else if wanted && run.killed_at.is_none() {
                    run.killed_at = Some(now + GRACE);
                    let _ = killpg(Pid::from_raw(run.group), Signal::SIGINT);
                }
            }
            state.over |= over;
        }
    }
}

/// The signals that this process ignores, signal 1 as bit 0 (`SigIgn` in proc_pid_status(5)).
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}
