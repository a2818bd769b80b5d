//! A program that we start and look at before it ends.
//!
//! Holds: [`launch`], [`launch_apart`], [`Launched`], the [`Moment`]s at which it can be looked at. Never does: write to its memory: the
//! moment before finalization is caught by a debug register.
//! Why that moment: `Py_FinalizeEx` takes modules, caches and arenas apart; at its first instruction all is still there.
//! Only the first thread gets a debug register: CPython's own `Py_RunMain` finalizes there, and a stop at the birth of
//! every thread (PTRACE_O_TRACECLONE) would slow programs that start many. An embedder that finalizes elsewhere is seen at
//! its exit instead.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{killpg, Signal};
use nix::sys::wait::{waitid, Id, WaitPidFlag};
use nix::unistd::Pid;

use crate::error::TargetError;
use crate::guardian::{Guardian, Report, Request};
use crate::process::Process;
use crate::sys::spawn::{dies_with_us, gated, wait, KeyboardForChild, Usage};
use crate::take::{take, take_traced, Mode, TakeOptions};
use crate::taken::Taken;

/// How often to look whether the program has ended without the guardian's knowledge (a thread other than the first has
/// executed another program, which takes the tracing away).
const LOOK: Duration = Duration::from_millis(100);

/// What to start, and when to look.
#[derive(Clone, Debug)]
pub struct LaunchOptions {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// Its stdout goes to our stderr, because ours carries something else.
    pub stdout_to_stderr: bool,
    /// Look after this long instead of at the end; at the end where that is earlier.
    pub after: Option<Duration>,
    /// The executable that answers [`crate::GUARDIAN_ARGUMENT`]; normally `/proc/self/exe`.
    pub guardian: PathBuf,
}

/// Where a launched program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It stands before `Py_FinalizeEx`: nothing is taken apart yet, no atexit handler has run.
    BeforeFinalize,
    /// It stands in the kernel on its way out (`os._exit`, a fatal signal, or no debug register could be set), its memory
    /// still whole.
    AtExit(Ending),
    /// It runs; the time asked for is over.
    After,
    /// It has ended and nothing was seen of it.
    EndedUnseen(Ending),
}

/// How a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Ending {
    fn of(status: ExitStatus) -> Ending {
        match (status.code(), status.signal()) {
            (Some(code), _) => Ending::Code(code),
            (None, signal) => Ending::Signal(signal.unwrap_or_default()),
        }
    }
}

/// A started program. Dropping it lets the program run on by itself.
#[derive(Debug)]
pub struct Launched {
    guardian: Guardian,
    child: Child,
    pid: i32,
    process: Option<Process>,
    /// When [`Moment::After`] is due.
    after: Option<Instant>,
    moment: Option<Moment>,
    no_breakpoint: Option<io::Error>,
    /// How it ended, once it was waited for.
    ended: Option<(ExitStatus, Usage)>,
    keyboard: Option<KeyboardForChild>,
}

/// Starts a program, traced from before its first instruction. It stays in our session and process group (Ctrl-C reaches
/// it) and has our stdin and stderr.
pub fn launch(options: &LaunchOptions) -> Result<Launched, TargetError> {
    let mut launched = start(options, |_| {})?;
    launched.keyboard = Some(KeyboardForChild::ignore());
    Ok(launched)
}

/// The same in a process group of its own, whose number is its PID (Ctrl-C at the terminal reaches us and not it), and with what `prepare`
/// changes: its environment, its folder, its streams. It dies with the thread that called.
pub fn launch_apart(options: &LaunchOptions, prepare: impl FnOnce(&mut Command)) -> Result<Launched, TargetError> {
    start(options, |command| {
        command.process_group(0);
        dies_with_us(command);
        prepare(command);
    })
}

fn start(options: &LaunchOptions, prepare: impl FnOnce(&mut Command)) -> Result<Launched, TargetError> {
    let program = options.argv.first().map(|p| p.to_string_lossy().into_owned()).ok_or(TargetError::NoProgram)?;
    let cannot = |source| TargetError::CannotStart { program: program.clone(), source };
    let mut guardian = Guardian::start(&options.guardian)?;
    let (ours, theirs) = UnixStream::pair().map_err(cannot)?;
    let mut command =
        gated(&options.argv, theirs.as_fd(), guardian.pid(), [ours.as_raw_fd(), guardian.descriptor()]).ok_or(TargetError::NoProgram)?;
    if options.stdout_to_stderr {
        let stderr = io::stderr().as_fd().try_clone_to_owned().map_err(cannot)?;
        command.stdout(Stdio::from(stderr));
    }
    prepare(&mut command);
    // `spawn` returns after the exec, which waits at the gate for the guardian: so somebody else must open it.
    let (spawned, adopted) = std::thread::scope(|scope| {
        let keeper = scope.spawn(|| open_gate(ours, &mut guardian));
        let spawned = command.spawn();
        // Our copy of the child's end: the keeper would wait for ever at it when there was no fork at all.
        drop(theirs);
        (spawned, keeper.join())
    });
    let adopted = adopted.unwrap_or_else(|_| Err(guardian.nonsense("nothing".to_string())));
    let child = match (spawned, adopted) {
        (Ok(child), Ok(())) => child,
        (_, Err(error)) => return Err(error),
        (Err(error), Ok(())) => return Err(cannot(error)),
    };
    let pid = child.id() as i32;
    let process = Process::open_traced(pid).ok();
    let after = options.after.map(|after| Instant::now() + after);
    Ok(Launched { guardian, child, pid, process, after, moment: None, no_breakpoint: None, ended: None, keyboard: None })
}

/// Waits for the child at the gate, has it traced, and opens.
fn open_gate(mut gate: UnixStream, guardian: &mut Guardian) -> Result<(), TargetError> {
    let mut pid = [0u8; 4];
    // Closed unsaid: the fork failed, and `spawn` says why.
    if gate.read_exact(&mut pid).is_err() {
        return Ok(());
    }
    let pid = i32::from_ne_bytes(pid);
    guardian.send(&Request::Adopt { pid })?;
    match guardian.next(None)? {
        Some(Report::Adopted) => {}
        Some(Report::Refused(refusal)) => return Err(refusal.into_error(pid)),
        other => return Err(guardian.nonsense(format!("{other:?}"))),
    }
    // Fails when it was killed meanwhile: `spawn` says so.
    let _ = gate.write_all(&[1]);
    Ok(())
}

impl Launched {
    /// Its PID.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The program as it is now: opened anew at each moment, since scripts start other programs in their place.
    pub fn process(&self) -> Result<&Process, TargetError> {
        self.process.as_ref().ok_or(TargetError::Ended { pid: self.pid })
    }

    /// Why no debug register could be set, where that is so (some virtual machines refuse): then a program that ends in
    /// the normal way is seen at its exit only, after finalization.
    pub fn no_breakpoint(&self) -> Option<&io::Error> {
        self.no_breakpoint.as_ref()
    }

    /// Waits until the program can be looked at. It stands when this returns (but for [`Moment::After`], when it runs).
    pub fn wait_for_moment(&mut self) -> Result<Moment, TargetError> {
        if let Some(moment) = self.moment {
            return Ok(moment);
        }
        let moment = loop {
            let left = self.after.map(|after| after.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break Moment::After;
            }
            match self.guardian.next(Some(left.map_or(LOOK, |l| l.min(LOOK))))? {
                Some(Report::BeforeFinalize) => break Moment::BeforeFinalize,
                Some(Report::AtExit { status }) => break Moment::AtExit(Ending::of(ExitStatus::from_raw(status))),
                Some(Report::NoBreakpoint { errno }) => self.no_breakpoint = Some(io::Error::from_raw_os_error(errno)),
                Some(Report::Ended) => break Moment::EndedUnseen(Ending::of(self.reap()?)),
                Some(other) => return Err(self.guardian.nonsense(format!("{other:?}"))),
                None => {
                    self.look_for_end(false)?;
                    if let Some((status, _)) = self.ended {
                        break Moment::EndedUnseen(Ending::of(status));
                    }
                }
            }
        };
        self.process = Process::open_traced(self.pid).ok();
        self.moment = Some(moment);
        Ok(moment)
    }

    /// Takes its memory at the moment, and lets the program go on, no longer traced.
    pub fn take(&mut self, options: &TakeOptions) -> Result<Taken, TargetError> {
        let held = matches!(self.moment, Some(Moment::BeforeFinalize | Moment::AtExit(_)));
        let process = self.process.as_ref().ok_or(TargetError::Ended { pid: self.pid })?;
        match options.mode {
            Mode::Live if !held => take(process, options),
            _ => take_traced(process, options, held, &mut self.guardian),
        }
    }

    /// Of one that was launched apart: lets it run to its end, no longer traced, waits for that, and ends what it left behind in its process
    /// group. With what it used.
    pub fn finish_apart(mut self) -> Result<(Ending, Usage), TargetError> {
        // Where the guardian is gone, so is every trace of it.
        let _ = self.guardian.release();
        // Not yet reaped its number is its own, and its group's.
        if self.ended.is_none() && waitid(Id::Pid(Pid::from_raw(self.pid)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).is_ok() {
            // Mostly there is nobody left.
            let _ = killpg(Pid::from_raw(self.pid), Signal::SIGKILL);
        }
        self.wait_for_end()
    }

    /// Lets it run to its end, no longer traced, and waits for that.
    pub fn finish(mut self) -> Result<Ending, TargetError> {
        // As above.
        let _ = self.guardian.release();
        self.wait_for_end().map(|(ending, _)| ending)
    }

    fn wait_for_end(&mut self) -> Result<(Ending, Usage), TargetError> {
        self.look_for_end(true)?;
        let (status, usage) = self.ended.unwrap_or_default();
        // Ours again once it has ended.
        self.keyboard = None;
        Ok((Ending::of(status), usage))
    }

    fn reap(&mut self) -> Result<ExitStatus, TargetError> {
        self.look_for_end(true)?;
        Ok(self.ended.unwrap_or_default().0)
    }

    /// Whether it has ended, or waits until it has.
    fn look_for_end(&mut self, patient: bool) -> Result<(), TargetError> {
        if self.ended.is_none() {
            self.ended = wait(&self.child, patient).map_err(|source| self.cannot_wait(source))?;
        }
        Ok(())
    }

    fn cannot_wait(&self, source: io::Error) -> TargetError {
        TargetError::System { pid: self.pid, call: "wait4", source }
    }
}
