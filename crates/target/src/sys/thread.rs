//! What a standing thread goes on with: registers, signal mask, ptrace options; and a descriptor that tells of a process' end.
//!
//! Holds: one function per request. Never does: keep state, decide.
//! Sources: ptrace(2) (PTRACE_GETREGS, PTRACE_GETSIGMASK, PTRACE_GET_RSEQ_CONFIGURATION), pidfd_open(2),
//! `struct user_regs_struct` in glibc's sys/user.h, `struct rseq` in Linux's include/uapi/linux/rseq.h.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// The registers of a thread.
pub(crate) type Registers = libc::user_regs_struct;

/// The code segment of 64-bit programs: `__USER_CS` in Linux's arch/x86/include/asm/segment.h.
pub(crate) const USER_CODE: u64 = 0x33;

/// The registers of a standing thread.
pub(crate) fn registers(tid: i32) -> io::Result<Registers> {
    // SAFETY: the struct is plain numbers, for which zeros are valid.
    let mut registers: Registers = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one user_regs_struct to a local that outlives the call.
    done(unsafe { libc::ptrace(libc::PTRACE_GETREGS, tid, ptr::null_mut::<libc::c_void>(), &raw mut registers) })?;
    Ok(registers)
}

/// Sets them.
pub(crate) fn set_registers(tid: i32, registers: &Registers) -> io::Result<()> {
    // SAFETY: the kernel reads one user_regs_struct from a reference that outlives the call.
    done(unsafe { libc::ptrace(libc::PTRACE_SETREGS, tid, ptr::null_mut::<libc::c_void>(), ptr::from_ref(registers)) })
}

/// The blocked signals of a standing thread, bit n−1 for signal n. In a call that blocks others for its duration
/// (sigsuspend, ppoll) the ones that will be blocked after it.
pub(crate) fn signal_mask(tid: i32) -> io::Result<u64> {
    let mut mask: u64 = 0;
    // SAFETY: `addr` says how many bytes the kernel writes to `data`, a local of that size.
    done(unsafe { libc::ptrace(libc::PTRACE_GETSIGMASK, tid, size_of::<u64>(), &raw mut mask) })?;
    Ok(mask)
}

/// Sets them. The kernel leaves SIGKILL and SIGSTOP out.
pub(crate) fn set_signal_mask(tid: i32, mask: u64) -> io::Result<()> {
    // SAFETY: `addr` says how many bytes the kernel reads from `data`, a local of that size.
    done(unsafe { libc::ptrace(libc::PTRACE_SETSIGMASK, tid, size_of::<u64>(), &raw const mask) })
}

/// Sets the PTRACE_O_… of a standing thread.
pub(crate) fn set_options(tid: i32, options: i32) -> io::Result<()> {
    // SAFETY: the options are a number; no memory of ours is touched.
    done(unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, tid, ptr::null_mut::<libc::c_void>(), i64::from(options)) })
}

/// Lets a standing thread run to its next entry to or exit from a system call.
pub(crate) fn to_system_call(tid: i32) -> io::Result<()> {
    // SAFETY: as above.
    done(unsafe { libc::ptrace(libc::PTRACE_SYSCALL, tid, ptr::null_mut::<libc::c_void>(), 0i64) })
}

/// Where a standing thread has its `struct rseq`; `None`: nowhere, or the kernel (before 5.13) does not tell.
pub(crate) fn restartable_sequences(tid: i32) -> Option<u64> {
    #[repr(C)]
    struct Configuration {
        pointer: u64,
        size: u32,
        signature: u32,
        flags: u32,
        pad: u32,
    }
    const PTRACE_GET_RSEQ_CONFIGURATION: libc::c_uint = 0x420f;
    let mut found = Configuration { pointer: 0, size: 0, signature: 0, flags: 0, pad: 0 };
    // SAFETY: `addr` says how many bytes the kernel writes to `data`, a local of that size.
    let got = unsafe { libc::ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, size_of::<Configuration>(), &raw mut found) };
    (got > 0 && found.pointer != 0).then_some(found.pointer)
}

/// A descriptor that becomes readable when the process ends.
pub(crate) fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes two numbers and returns a descriptor or −1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Sends SIGKILL.
pub(crate) fn kill(pid: i32) -> io::Result<()> {
    // SAFETY: takes two numbers.
    if unsafe { libc::kill(pid, libc::SIGKILL) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn done(result: libc::c_long) -> io::Result<()> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
