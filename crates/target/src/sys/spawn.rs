//! Starting processes with what has to happen between fork and exec.
//!
//! Holds: the guardian (own session, one inherited socket), the launched program (held at a gate until it is traced), and
//! the keyboard's signals, which are the program's and not ours while it runs.
//! Never does: decide when; only calls that are safe between fork and exec of a threaded process (signal-safety(7)).
//! Sources: setsid(2), prctl(2) PR_SET_PTRACER and PR_SET_PDEATHSIG, fcntl(2), pthread_sigmask(3), waitid(2), wait4(2), getrusage(2).

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};

/// Starts `program argument --socket FD` in a session of its own, with nothing of ours open but `socket`.
pub(crate) fn guardian(program: &Path, argument: &str, socket: BorrowedFd<'_>) -> io::Result<Child> {
    let fd = socket.as_raw_fd();
    let mut command = Command::new(program);
    command.arg(argument).arg("--socket").arg(fd.to_string());
    command.stdin(nothing()?).stdout(nothing()?).stderr(nothing()?).current_dir("/");
    // SAFETY: the closure calls setsid and fcntl only, both signal-safe, and touches no memory but its own integer.
    unsafe {
        command.pre_exec(move || {
            if libc::setsid() == -1 {
                return Err(io::Error::last_os_error());
            }
            keep_open(fd)
        });
    }
    command.spawn()
}

/// Nothing to read and nobody to listen. In a new root folder there may be no `/dev/null`: a socket without another end.
fn nothing() -> io::Result<Stdio> {
    match File::options().read(true).write(true).open("/dev/null") {
        Ok(file) => Ok(file.into()),
        Err(_) => Ok(OwnedFd::from(UnixStream::pair()?.0).into()),
    }
}

/// Takes over the socket that [`guardian`] handed down, once, at the start of that process.
pub(crate) fn adopt_socket(fd: RawFd) -> io::Result<UnixStream> {
    // SAFETY: fcntl with F_SETFD takes an integer and touches no memory; it fails for what is no descriptor.
    if fd <= 2 || unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: the descriptor is open, was inherited for this, and nothing else in this fresh process knows it.
    let socket = unsafe { UnixStream::from_raw_fd(fd) };
    // Fails for what is no socket.
    socket.peer_addr()?;
    Ok(socket)
}

/// Prepares `argv` to be started such that the child waits, before its exec, until somebody writes a byte to `gate`;
/// it says that it is there by writing its PID (native bytes) to `gate` first. `tracer` may then trace it even where
/// Yama lets only ancestors do so. `not_its_own` are descriptors that it must not hold while it waits: it would keep their
/// other ends from noticing that we died.
pub(crate) fn gated(argv: &[OsString], gate: BorrowedFd<'_>, tracer: i32, not_its_own: [RawFd; 2]) -> Option<Command> {
    let (program, arguments) = argv.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments);
    let fd = gate.as_raw_fd();
    // SAFETY: the closure calls close, prctl, getpid, write, read and what is named below only, all signal-safe, on integers of its own.
    unsafe {
        command.pre_exec(move || {
            block_nothing()?;
            for fd in not_its_own {
                libc::close(fd);
            }
            // Refused where there is no Yama: then it is not needed either.
            libc::prctl(libc::PR_SET_PTRACER, tracer as libc::c_ulong, 0, 0, 0);
            let pid = libc::getpid().to_ne_bytes();
            if libc::write(fd, pid.as_ptr().cast(), pid.len()) != pid.len() as isize {
                return Err(io::Error::last_os_error());
            }
            let mut go = [0u8; 1];
            loop {
                match libc::read(fd, go.as_mut_ptr().cast(), 1) {
                    1 => return Ok(()),
                    -1 if *libc::__errno_location() == libc::EINTR => continue,
                    // The command is gone, or the guardian could not trace us: do not run at all.
                    _ => return Err(io::Error::from_raw_os_error(libc::ECANCELED)),
                }
            }
        });
    }
    Some(command)
}

/// Has it started with no signal blocked, whichever we block: it would inherit them through all its exec, and a `terminate()` of one of its
/// children would never arrive.
pub fn unblocked(command: &mut Command) {
    // SAFETY: the closure changes the mask of a process that has one thread and touches no memory but its own.
    unsafe { command.pre_exec(block_nothing) };
}

/// Has it die with the thread that starts it.
pub(crate) fn dies_with_us(command: &mut Command) {
    // SAFETY: prctl takes integers here and is signal-safe.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
}

fn block_nothing() -> io::Result<()> {
    SigSet::empty().thread_set_mask().map_err(io::Error::from)
}

/// What a program used until its end, its descendants included that it had waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time in user mode.
    pub user: Duration,
    /// Processor time in the kernel.
    pub system: Duration,
    /// The most memory that was resident, of the one process of them that had most, in bytes. A program never shows less than what its
    /// starter had at the fork: ours is a few MiB.
    pub peak_rss_bytes: u64,
}

/// Waits for a child that nobody else has waited for. `None`: it runs, and we are not patient.
pub(crate) fn wait(child: &Child, patient: bool) -> io::Result<Option<(ExitStatus, Usage)>> {
    let (mut status, flags) = (0, if patient { 0 } else { libc::WNOHANG });
    // SAFETY: all zero is a valid `rusage`, a structure of numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let pid = child.id() as libc::pid_t;
    loop {
        // SAFETY: both places are ours and of the sizes that wait4(2) asks for.
        match unsafe { libc::wait4(pid, &mut status, flags, &mut usage) } {
            0 => return Ok(None),
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => continue,
            -1 => return Err(io::Error::last_os_error()),
            _ => break,
        }
    }
    let time = |t: libc::timeval| Duration::from_secs(t.tv_sec as u64) + Duration::from_micros(t.tv_usec as u64);
    let usage = Usage { user: time(usage.ru_utime), system: time(usage.ru_stime), peak_rss_bytes: usage.ru_maxrss as u64 * 1024 };
    Ok(Some((ExitStatus::from_raw(status), usage)))
}

/// Clears close-on-exec.
fn keep_open(fd: RawFd) -> io::Result<()> {
    // SAFETY: fcntl with F_SETFD takes an integer and touches no memory.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// While it lives, Ctrl-C and Ctrl-\\ at the terminal reach the launched program and leave this process alone: it waits
/// for the program's end, as time(1) and strace(1) do.
#[derive(Debug)]
pub(crate) struct KeyboardForChild {
    before: Vec<(Signal, SigAction)>,
}

impl KeyboardForChild {
    /// Ignores them from now on. To be called after the child was started, which would inherit it.
    pub(crate) fn ignore() -> KeyboardForChild {
        let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        let mut before = Vec::new();
        for signal in [Signal::SIGINT, Signal::SIGQUIT] {
            // SAFETY: ignoring installs no handler function.
            if let Ok(old) = unsafe { sigaction(signal, &ignore) } {
                before.push((signal, old));
            }
        }
        KeyboardForChild { before }
    }
}

impl Drop for KeyboardForChild {
    fn drop(&mut self) {
        for (signal, old) in &self.before {
            // SAFETY: puts back what stood there, which was valid then and is still.
            let _ = unsafe { sigaction(*signal, old) };
        }
    }
}
