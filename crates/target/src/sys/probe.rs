//! What the kernel lets us do, tried on ourselves or on a child made for it.
//!
//! Holds: [`Subject`] (that child), and the calls that have no wrapper. Never does: touch any other process.
//! Sources: pidfd_open(2), madvise(2) MADV_POPULATE_WRITE, ptrace(2) PTRACE_GET_SYSCALL_INFO, signal-safety(7).

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use nix::sys::signal::{kill, Signal};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

/// A child of ours that does nothing but call [`landing`] every half millisecond, under a seccomp filter that allows
/// everything where the kernel knows filters. It ends with us, and at the latest when this value is dropped.
#[derive(Debug)]
pub(crate) struct Subject {
    pid: i32,
}

impl Subject {
    /// Starts it; returns when it has its filter.
    pub(crate) fn start() -> io::Result<Subject> {
        let allow = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW };
        let mut program = [allow];
        let program = libc::sock_fprog { len: 1, filter: program.as_mut_ptr() };
        let (mut reader, writer) = io_pipe()?;
        // SAFETY: the child of a threaded process makes only system calls (signal-safe), on locals that were made before, and
        // never returns.
        let pid = unsafe {
            let pid = libc::fork();
            if pid == 0 {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, ptr::from_ref(&program));
                libc::write(writer.as_raw_fd(), [1u8].as_ptr().cast(), 1);
                loop {
                    black_box(landing as extern "C" fn())();
                    libc::usleep(500);
                }
            }
            pid
        };
        if pid == -1 {
            return Err(io::Error::last_os_error());
        }
        let subject = Subject { pid };
        drop(writer);
        reader.read_exact(&mut [0])?;
        Ok(subject)
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// The address that it comes by all the time: it is a copy of us, so ours is its.
    pub(crate) fn landing() -> u64 {
        landing as extern "C" fn() as usize as u64
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.pid);
        let _ = kill(pid, Signal::SIGKILL);
        // It may still have a stop to tell of before its end.
        while waitpid(pid, None).is_ok_and(|status| matches!(status, nix::sys::wait::WaitStatus::Stopped(..))) {}
    }
}

#[inline(never)]
extern "C" fn landing() {
    black_box(());
}

fn io_pipe() -> io::Result<(File, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors to the array.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both are open, and nothing else owns them.
    unsafe { Ok((File::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))) }
}

/// Opens a descriptor for a process, and closes it.
pub(crate) fn pidfd_open(pid: i32) -> io::Result<()> {
    // SAFETY: takes two numbers; what it gives is a descriptor that nothing else owns.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let Ok(fd) = i32::try_from(fd) else { return Err(io::Error::from_raw_os_error(libc::EBADF)) };
    if fd == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    Ok(())
}

/// Has the kernel fill a page before it is touched.
pub(crate) fn populate_write() -> io::Result<()> {
    const PAGE: usize = 4096;
    // SAFETY: a new anonymous mapping of our own, of which nothing else knows and which is unmapped before returning.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page = libc::mmap(ptr::null_mut(), PAGE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let done = match libc::madvise(page, PAGE, libc::MADV_POPULATE_WRITE) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        };
        libc::munmap(page, PAGE);
        done
    }
}

/// Whether the kernel tells what system call a stopped thread is in.
pub(crate) fn syscall_info(tid: i32) -> io::Result<()> {
    // struct ptrace_syscall_info has 88 bytes in Linux 5.3 to 6.18; the kernel writes no more than it is told that there is.
    let mut info = [0u64; 16];
    // SAFETY: the kernel writes at most size_of_val(&info) bytes to a local that outlives the call.
    let done = unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, tid, size_of_val(&info), info.as_mut_ptr()) };
    if done == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
