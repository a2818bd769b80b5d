//! ptrace, waitpid and debug registers, with raw signal numbers.
//!
//! Holds: one function per request that the guardian makes. Never does: keep state.
//! nix's wrappers are not used here because its `Signal` has no real-time signals: its waitpid takes such a stop from the
//! queue and then fails, and the signal would be lost to the target.
//! Sources: ptrace(2), waitpid(2), `struct user` in glibc's sys/user.h, Intel SDM vol. 3 ch. 17.2 (debug registers).

use std::io;
use std::mem::offset_of;
use std::ptr;

/// What waitpid told about one traced thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// A signal is about to be delivered: it must be passed on, or it is lost.
    Signal(i32),
    /// It stands because of PTRACE_INTERRUPT, an automatic attach, or (signal other than SIGTRAP) a stop by job control.
    Trap(i32),
    /// One of the PTRACE_EVENT_… stops that were asked for.
    Event(i32),
    /// It enters or leaves a system call (where PTRACE_O_TRACESYSGOOD was asked for).
    SystemCall,
    /// It is gone: exit code or signal.
    Ended,
}

/// Attaches without stopping. `options` are PTRACE_O_….
pub(crate) fn seize(tid: i32, options: i32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, tid, 0, i64::from(options))
}

/// Asks a seized thread to stop.
pub(crate) fn interrupt(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_INTERRUPT, tid, 0, 0)
}

/// Lets a stopped thread go on, delivering `signal` (0 for none), still traced.
pub(crate) fn go_on(tid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_CONT, tid, 0, i64::from(signal))
}

/// Leaves a thread in its stop by job control, but hears of SIGCONT.
pub(crate) fn listen(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_LISTEN, tid, 0, 0)
}

/// Lets a stopped thread go for good, delivering `signal` (0 for none). A stop by job control stays in force.
pub(crate) fn detach(tid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_DETACH, tid, 0, i64::from(signal))
}

/// How many debug registers there are.
pub(crate) const BREAKPOINTS_MAX: usize = 4;

/// Sets the debug registers to break before the instructions at `addresses` (at most [`BREAKPOINTS_MAX`]), and clears the others.
pub(crate) fn set_breakpoints(tid: i32, addresses: &[u64]) -> io::Result<()> {
    let register = |n: usize| offset_of!(libc::user, u_debugreg) + n * size_of::<u64>();
    // All off first: an address is checked when it is set, together with what DR7 says of it then.
    request(libc::PTRACE_POKEUSER, tid, register(7), 0)?;
    // DR7 bit 2n enables register n for this task; its type and length bits stay 0: break on execution.
    let mut enable = 0;
    for n in 0..BREAKPOINTS_MAX {
        let address = addresses.get(n).copied();
        request(libc::PTRACE_POKEUSER, tid, register(n), address.unwrap_or(0) as i64)?;
        enable |= i64::from(address.is_some()) << (2 * n);
    }
    if enable != 0 {
        request(libc::PTRACE_POKEUSER, tid, register(7), enable)?;
    }
    Ok(())
}

/// The next instruction of a stopped thread.
pub(crate) fn instruction(tid: i32) -> io::Result<u64> {
    let offset = offset_of!(libc::user, regs) + offset_of!(libc::user_regs_struct, rip);
    let mut word: u64 = 0;
    // SAFETY: the raw system call (unlike glibc's function) writes the word to the given address, a local that outlives it.
    let done = unsafe { libc::syscall(libc::SYS_ptrace, libc::PTRACE_PEEKUSER, tid, offset, &raw mut word) };
    if done == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(word)
    }
}

/// The message of an event stop: the wait status to come, at PTRACE_EVENT_EXIT.
pub(crate) fn event_message(tid: i32) -> io::Result<u64> {
    let mut message: libc::c_ulong = 0;
    // SAFETY: the kernel writes one unsigned long to a local that outlives the call.
    let done = unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, tid, ptr::null_mut::<libc::c_void>(), &raw mut message) };
    if done == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(message)
    }
}

/// What happened to `tid` (−1: to any traced thread or child), without waiting for it. `None`: nothing yet.
pub(crate) fn poll_wait(tid: i32) -> io::Result<Option<(i32, Wait)>> {
    let mut status: libc::c_int = 0;
    // SAFETY: the kernel writes one int to a local that outlives the call.
    let who = unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL | libc::WNOHANG) };
    match who {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        who if libc::WIFSTOPPED(status) => {
            let signal = libc::WSTOPSIG(status);
            let wait = match status >> 16 {
                // PTRACE_O_TRACESYSGOOD sets bit 7, which no signal has.
                0 if signal == libc::SIGTRAP | 0x80 => Wait::SystemCall,
                0 => Wait::Signal(signal),
                libc::PTRACE_EVENT_STOP => Wait::Trap(signal),
                event => Wait::Event(event),
            };
            Ok(Some((who, wait)))
        }
        who => Ok(Some((who, Wait::Ended))),
    }
}

fn request(request: libc::c_uint, tid: i32, address: usize, data: i64) -> io::Result<()> {
    // SAFETY: only requests that take `address` and `data` as numbers come here; none makes the kernel write to our memory.
    let done = unsafe { libc::ptrace(request, tid, address as *mut libc::c_void, data as *mut libc::c_void) };
    if done == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
