//! Every way in which a target cannot be found, read, stopped or started: one variant per cause.
//!
//! Holds: [`TargetError`] and the three lines that a person sees of it (`what`, `why`, `advice`).
//! Never does: print, decide.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use memory::Bytes;
use serde::{Deserialize, Serialize};

use crate::headroom::Tight;
use crate::rights::Missing;
use crate::status::Status;

/// Why a target cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// There is no process with this PID.
    #[error("no process has PID {pid}")]
    Gone {
        /// The PID asked for.
        pid: i32,
    },
    /// There is no `/proc`.
    #[error("/proc cannot be read: {source}")]
    NoProc {
        /// What reading it said.
        source: io::Error,
    },
    /// `/proc` is that of another PID namespace than ours: its numbers are not those that calls of the system take.
    #[error("/proc is that of another PID namespace")]
    OtherProc {
        /// Which number we have there; `None` where we are not seen.
        as_there: Option<i32>,
    },
    /// It ended while we read it.
    #[error("process {pid} ended while it was read")]
    GoneMeanwhile {
        /// The target.
        pid: i32,
    },
    /// It replaced its program (exec) while we read it.
    #[error("process {pid} started another program while it was read")]
    Replaced {
        /// The target.
        pid: i32,
    },
    /// It has ended and waits for its parent to take note.
    #[error("process {pid} has already ended; its parent {parent} ({parent_name}) has not taken note yet (a zombie)")]
    Zombie {
        /// The target.
        pid: i32,
        /// Who should wait for it.
        parent: i32,
        /// That process's name.
        parent_name: String,
    },
    /// A thread of the kernel: it has no memory of its own.
    #[error("{pid} is a thread of the kernel ({name})")]
    KernelThread {
        /// The target.
        pid: i32,
        /// Its name.
        name: String,
    },
    /// The number names a thread, not a process.
    #[error("{tid} is a thread of process {process}")]
    ThreadId {
        /// The number asked for.
        tid: i32,
        /// The process it belongs to.
        process: i32,
    },
    /// Its executable is not ELF64 for x86-64.
    #[error("process {pid} runs {found}; supported is 64-bit x86-64 (ELF64, machine 62)")]
    OtherCpu {
        /// The target.
        pid: i32,
        /// What its executable's header says.
        found: String,
    },
    /// The kernel refuses us.
    #[error("cannot read process {pid}: not permitted: {missing}")]
    NotPermitted {
        /// The target.
        pid: i32,
        /// Which right is missing.
        missing: Missing,
    },
    /// Another process traces it; only one may.
    #[error("process {pid} is traced by process {tracer} ({tracer_name})")]
    AlreadyTraced {
        /// The target.
        pid: i32,
        /// Who traces it.
        tracer: i32,
        /// The tracer's name.
        tracer_name: String,
    },
    /// No mapped file defines CPython's runtime state.
    #[error("process {pid} ({exe}) is not a CPython process")]
    NotPython {
        /// The target.
        pid: i32,
        /// Its executable.
        exe: String,
    },
    /// PyPy: other objects, another collector.
    #[error("process {pid} runs PyPy ({library})")]
    PyPy {
        /// The target.
        pid: i32,
        /// The mapped file that says so.
        library: String,
    },
    /// A program linked with musl.
    #[error("process {pid} is linked with musl ({loader})")]
    Musl {
        /// The target.
        pid: i32,
        /// The mapped loader.
        loader: String,
    },
    /// Mapped files could not be opened, and none of the others is CPython.
    #[error("{count} files that process {pid} has mapped cannot be opened, {path} first: {source}")]
    FilesUnreadable {
        /// The target.
        pid: i32,
        /// How many.
        count: usize,
        /// One of them.
        path: String,
        /// Why that one.
        source: io::Error,
    },
    /// Stopping it would take longer than allowed. Nothing was stopped.
    #[error("copying {resident} of process {pid} is expected to stop it for {expected:?}, more than {limit:?}")]
    PauseTooLong {
        /// The target.
        pid: i32,
        /// What would be copied.
        resident: Bytes,
        /// The expected pause.
        expected: Duration,
        /// The limit asked for.
        limit: Duration,
    },
    /// The guardian let the target go before the copy was complete.
    #[error("process {pid} was let go after {pause:?}, before the copy was complete")]
    PauseOverrun {
        /// The target.
        pid: i32,
        /// How long it stood.
        pause: Duration,
    },
    /// A thread did not stop.
    #[error("thread {tid} of process {pid} did not stop")]
    WouldNotStop {
        /// The target.
        pid: i32,
        /// The thread.
        tid: i32,
    },
    /// A copy would not fit into the memory that is left.
    #[error("a copy of process {pid} needs {needed}, {available} are available")]
    TooLittleMemory {
        /// The target.
        pid: i32,
        /// What the copy needs.
        needed: Bytes,
        /// What the machine and our control group leave.
        available: Bytes,
    },
    /// A forked copy was asked for, and is not made.
    #[error("process {pid} is not forked: {problem}")]
    CannotFork {
        /// The target.
        pid: i32,
        /// Why.
        problem: ForkProblem,
    },
    /// The program could not be started.
    #[error("cannot start {program}: {source}")]
    CannotStart {
        /// Its first word.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// No program was named.
    #[error("no program to start was named")]
    NoProgram,
    /// The launched program has ended, there is nothing left to stop.
    #[error("the program (process {pid}) has ended")]
    Ended {
        /// It had this PID.
        pid: i32,
    },
    /// The guardian could not be started or did not answer.
    #[error("the guardian process {}: {problem}", guardian.display())]
    Guardian {
        /// Its executable.
        guardian: PathBuf,
        /// What happened.
        problem: GuardianProblem,
    },
    /// A call of the system failed in a way that has no variant of its own.
    #[error("{call} on process {pid}: {source}")]
    System {
        /// The target.
        pid: i32,
        /// Which call.
        call: &'static str,
        /// What it said.
        source: io::Error,
    },
}

/// What went wrong between the command and its guardian.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardianProblem {
    /// It could not be started.
    #[error("did not start: {0}")]
    Start(io::Error),
    /// It ended, or its socket broke.
    #[error("ended unexpectedly")]
    Died,
    /// It said something that makes no sense here.
    #[error("said {0}, which was not expected")]
    Protocol(String),
}

/// Why no forked copy is made, or why it was of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForkProblem {
    /// It stands anyway.
    #[error("it is stopped (SIGSTOP), and stands still anyway")]
    Stopped,
    /// What it would write while its copy lives might not fit.
    #[error("{0}")]
    Tight(Tight),
    /// Its filter of system calls does not let it, or nobody may read that filter.
    #[error("{0}")]
    Seccomp(String),
    /// No thread can make the call.
    #[error("no thread of it can make a system call now (asleep in the kernel, or about to handle a signal)")]
    NoUsableThread,
    /// The kernel refused.
    #[error("clone: {0}")]
    Clone(io::Error),
    /// The copy was killed, most likely for want of memory.
    #[error("the copy was killed while it was read")]
    Lost,
    /// We may read the target, but not its child.
    #[error("the copy may not be read by this user (the target named its tracer by prctl, its copy did not)")]
    Unreadable,
}

/// The guardian's reason for a refusal, as it travels over the socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refusal {
    Gone,
    NotPermitted,
    AlreadyTraced {
        tracer: i32,
    },
    WouldNotStop {
        tid: i32,
    },
    /// The time to hold it was over.
    LetGoAlready,
    CannotFork(NoFork),
    System {
        call: SystemCall,
        errno: i32,
    },
}

/// The calls whose failure the guardian reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SystemCall {
    Seize,
    Interrupt,
    Wait,
    ListThreads,
}

/// Why the guardian did not fork.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum NoFork {
    /// All sleep in the kernel, run 32-bit code, or have a signal to handle.
    NoUsableThread,
    /// The filter of system calls, in words.
    Seccomp(String),
    /// The call failed, or could not be made.
    Clone { errno: i32 },
}

impl Refusal {
    /// The refusal as the error of `pid`.
    pub(crate) fn into_error(self, pid: i32) -> TargetError {
        match self {
            Refusal::Gone => TargetError::GoneMeanwhile { pid },
            Refusal::NotPermitted => TargetError::refused(pid),
            Refusal::AlreadyTraced { tracer } => TargetError::AlreadyTraced { pid, tracer, tracer_name: crate::status::name_of(tracer) },
            Refusal::WouldNotStop { tid } => TargetError::WouldNotStop { pid, tid },
            Refusal::LetGoAlready => TargetError::PauseOverrun { pid, pause: Duration::ZERO },
            Refusal::CannotFork(no) => TargetError::CannotFork {
                pid,
                problem: match no {
                    NoFork::NoUsableThread => ForkProblem::NoUsableThread,
                    NoFork::Seccomp(why) => ForkProblem::Seccomp(why),
                    NoFork::Clone { errno } => ForkProblem::Clone(io::Error::from_raw_os_error(errno)),
                },
            },
            Refusal::System { call, errno } => {
                let call = match call {
                    SystemCall::Seize => "PTRACE_SEIZE",
                    SystemCall::Interrupt => "PTRACE_INTERRUPT",
                    SystemCall::Wait => "waitpid",
                    SystemCall::ListThreads => "reading /proc/PID/task",
                };
                TargetError::System { pid, call, source: io::Error::from_raw_os_error(errno) }
            }
        }
    }
}

impl TargetError {
    /// The failure of a read below `/proc/PID`, told apart: gone, refused, or something of its own.
    pub(crate) fn from_proc(pid: i32, call: &'static str, source: io::Error) -> TargetError {
        match source.raw_os_error() {
            Some(libc::ENOENT | libc::ESRCH) => TargetError::Gone { pid },
            Some(libc::EACCES | libc::EPERM) => TargetError::refused(pid),
            _ => TargetError::System { pid, call, source },
        }
    }

    /// The kernel refuses us: because a right is missing, or because the process is ending. When its memory is gone, what it
    /// was allowed is too, and its files belong to root (task_dump_owner in Linux's fs/proc/base.c).
    pub(crate) fn refused(pid: i32) -> TargetError {
        match Status::read(pid) {
            Ok(status) if status.has_memory => TargetError::NotPermitted { pid, missing: Missing::find(pid) },
            _ => TargetError::Gone { pid },
        }
    }

    /// First line: what failed.
    pub fn what(&self) -> String {
        use TargetError::*;
        match self {
            Gone { pid } | Zombie { pid, .. } => format!("cannot read process {pid}: it has ended"),
            NoProc { .. } => "cannot see any process: there is no /proc".to_string(),
            OtherProc { .. } => "cannot tell which process is meant: /proc is of another PID namespace".to_string(),
            GoneMeanwhile { pid } => format!("cannot read process {pid}: it ended while it was read"),
            Replaced { pid } => format!("cannot read process {pid}: it started another program meanwhile"),
            KernelThread { pid, .. } => format!("cannot read process {pid}: a thread of the kernel"),
            ThreadId { tid, .. } => format!("cannot read process {tid}: that is a thread's number"),
            OtherCpu { pid, .. } => format!("cannot read process {pid}: not a 64-bit x86-64 program"),
            NotPermitted { pid, .. } => format!("cannot read process {pid}: not permitted"),
            AlreadyTraced { pid, .. } => format!("cannot read process {pid}: another program traces it"),
            NotPython { pid, .. } => format!("cannot read process {pid}: not a CPython process"),
            PyPy { pid, .. } => format!("cannot read process {pid}: PyPy is not supported"),
            Musl { pid, .. } => format!("cannot read process {pid}: programs linked with musl are not supported"),
            FilesUnreadable { pid, .. } => format!("cannot find Python in process {pid}: mapped files cannot be opened"),
            PauseTooLong { pid, .. } => format!("did not stop process {pid}: the pause would be too long"),
            PauseOverrun { pid, .. } => format!("cannot read process {pid}: the copy took too long"),
            WouldNotStop { pid, .. } => format!("cannot stop process {pid}"),
            TooLittleMemory { pid, .. } => format!("did not copy process {pid}: too little memory is left"),
            CannotFork { pid, .. } => format!("did not fork process {pid}"),
            CannotStart { program, .. } => format!("cannot start {program}"),
            NoProgram => "no program to start was named".to_string(),
            Ended { .. } => "the program has already ended".to_string(),
            Guardian { .. } => "cannot work with the guardian process".to_string(),
            System { pid, .. } => format!("cannot read process {pid}"),
        }
    }

    /// Second line: why.
    pub fn why(&self) -> String {
        use TargetError::*;
        match self {
            Gone { pid } => format!("no process has PID {pid} (here, in this PID namespace)"),
            NoProc { source } => format!("/proc/self/status: {source}; in a new root folder it has to be mounted first"),
            OtherProc { as_there } => match as_there {
                Some(there) => {
                    format!("here this process is {}, in that /proc it is {there}: each number has two meanings", std::process::id())
                }
                None => format!("this process, {} here, is not in that /proc at all: its numbers mean others", std::process::id()),
            },
            GoneMeanwhile { .. } => "it exited or was killed; what was copied until then is not whole".to_string(),
            Replaced { .. } => "it called exec; what was found belongs to the program before".to_string(),
            Zombie { parent, parent_name, .. } => {
                format!("it is a zombie: its parent {parent} ({parent_name}) has not taken note of its end")
            }
            KernelThread { name, .. } => format!("{name} runs in the kernel and has no memory of its own"),
            ThreadId { tid, process } => format!("{tid} is a thread of process {process}"),
            OtherCpu { found, .. } => format!("its executable is {found}; supported is ELF64 for x86-64"),
            NotPermitted { missing, .. } => missing.to_string(),
            AlreadyTraced { tracer, tracer_name, .. } => {
                format!("process {tracer} ({tracer_name}) traces it, and the kernel allows only one tracer")
            }
            NotPython { exe, .. } => format!("neither {exe} nor a library that it has mapped defines _PyRuntime"),
            PyPy { library, .. } => format!("{library} is mapped; supported is CPython 3.8 to 3.15"),
            Musl { loader, .. } => format!("{loader} is mapped; supported is CPython on glibc"),
            FilesUnreadable { count, path, source, .. } => format!("{count} files, {path} first: {source}"),
            PauseTooLong { resident, expected, limit, .. } => {
                format!("copying {resident} stops it for about {} ms, allowed are {} ms", expected.as_millis(), limit.as_millis())
            }
            PauseOverrun { pause, .. } => format!("the guardian let it go after {} ms, before the copy was complete", pause.as_millis()),
            WouldNotStop { tid, .. } => {
                format!("thread {tid} did not stop in time (the machine is busy, or the thread hangs in the kernel)")
            }
            TooLittleMemory { needed, available, .. } => format!("the copy needs {needed}, available are {available}"),
            CannotFork { problem, .. } => problem.to_string(),
            CannotStart { source, .. } => source.to_string(),
            NoProgram => "nothing stands after --".to_string(),
            Ended { pid } => format!("process {pid} is gone"),
            Guardian { guardian, problem } => format!("{} {problem}", guardian.display()),
            System { call, source, .. } => format!("{call}: {source}"),
        }
    }

    /// Third line: what to do.
    pub fn advice(&self) -> String {
        use TargetError::*;
        match self {
            Gone { .. } | GoneMeanwhile { .. } | Replaced { .. } | Ended { .. } => "pgrep -a python".to_string(),
            NoProc { .. } => "mount -t proc proc /proc".to_string(),
            // util-linux: a mount namespace of its own with a new /proc in it, which nobody else sees.
            OtherProc { .. } => format!("unshare --mount-proc {}", crate::rights::ourselves()),
            Zombie { parent, .. } => format!("ps -o pid,stat,args -p {parent}"),
            KernelThread { .. } => "pgrep -a python".to_string(),
            ThreadId { process, .. } => format!("give the process instead: {process}"),
            OtherCpu { .. } | Musl { .. } | PyPy { .. } => "run the program with a CPython for x86-64 Linux on glibc".to_string(),
            NotPermitted { pid, missing } => missing.advice(*pid),
            AlreadyTraced { tracer, .. } => format!("end or detach process {tracer} (a debugger, strace or another exuvia) first"),
            NotPython { .. } => "pgrep -a python (a wrapper script's child is the Python process)".to_string(),
            FilesUnreadable { pid, .. } => Missing::Unknown.advice(*pid),
            PauseTooLong { expected, .. } => {
                format!("--max-pause {}ms to allow it, or --mode live to stop nothing", (expected.as_millis() * 3 / 2).max(1))
            }
            PauseOverrun { .. } => "again when the machine is less busy, or a larger --max-pause".to_string(),
            WouldNotStop { .. } => "again in a moment".to_string(),
            TooLittleMemory { .. } => "free memory, or raise the control group's limit".to_string(),
            CannotFork { .. } => "--mode freeze, or --mode auto, which freezes where it cannot fork".to_string(),
            CannotStart { program, .. } => format!("command -v {program}"),
            NoProgram => "-- python3 app.py".to_string(),
            Guardian { .. } | System { .. } => "again; if it stays, please report it with this text".to_string(),
        }
    }
}
