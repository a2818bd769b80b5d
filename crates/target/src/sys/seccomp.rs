//! The seccomp filters of a traced thread, as the kernel gives them out.
//!
//! Holds: [`filter`]. Never does: run or judge one.
//! Sources: ptrace(2) PTRACE_SECCOMP_GET_FILTER; seccomp_get_filter in Linux's kernel/seccomp.c.

use std::io;
use std::ptr;

use crate::bpf::{Instruction, INSTRUCTIONS_MAX};

/// linux/ptrace.h; libc has no name for it.
const PTRACE_SECCOMP_GET_FILTER: libc::c_uint = 0x420c;

/// The filter number `index` of a thread that this thread traces and that stands. `None`: it has no more of them.
pub(crate) fn filter(tid: i32, index: usize) -> io::Result<Option<Vec<Instruction>>> {
    let empty = libc::sock_filter { code: 0, jt: 0, jf: 0, k: 0 };
    // The kernel writes a whole program at once, and none is longer than this.
    let mut program = vec![empty; INSTRUCTIONS_MAX];
    // SAFETY: the kernel writes at most INSTRUCTIONS_MAX (BPF_MAXINSNS, checked when a filter is installed) instructions to
    // the buffer, which is that long, of that type, and outlives the call.
    let length = unsafe {
        let index = ptr::without_provenance_mut::<libc::c_void>(index);
        libc::ptrace(PTRACE_SECCOMP_GET_FILTER, tid, index, program.as_mut_ptr())
    };
    if length == -1 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::ENOENT) { Ok(None) } else { Err(error) };
    }
    program.truncate(usize::try_from(length).unwrap_or(0));
    Ok(Some(program.iter().map(|i| Instruction { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect()))
}

/// A child of the tests that installs filters, waits, makes one call, and tells what came of it.
#[cfg(test)]
pub(crate) mod filtered {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

    use super::*;
    use crate::bpf::Call;

    /// What really happened to the child at its call.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Outcome {
        /// The call returned this; negative: the error number.
        Returned(i64),
        /// A signal ended the child.
        Killed(i32),
    }

    pub(crate) struct Filtered {
        pub(crate) pid: i32,
        go: File,
        result: File,
    }

    impl Filtered {
        /// Starts it; returns when all filters are installed, the first of `filters` first.
        pub(crate) fn start(filters: &[Vec<Instruction>], call: Call) -> Filtered {
            let mut programs: Vec<Vec<libc::sock_filter>> = filters
                .iter()
                .map(|f| f.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect())
                .collect();
            let programs: Vec<libc::sock_fprog> =
                programs.iter_mut().map(|p| libc::sock_fprog { len: p.len() as u16, filter: p.as_mut_ptr() }).collect();
            let (theirs_go, go) = pipe();
            let (result, theirs_result) = pipe();
            let (theirs_go, theirs_result) = (theirs_go.into_raw_fd(), theirs_result.into_raw_fd());
            // SAFETY: the child of a threaded process makes only system calls on memory that was made before the fork; the
            // descriptors of its pipes are closed once, in the parent.
            let pid = unsafe {
                let pid = libc::fork();
                if pid == 0 {
                    child(&programs, theirs_go, theirs_result, call);
                }
                libc::close(theirs_go);
                libc::close(theirs_result);
                pid
            };
            assert!(pid > 0);
            let mut filtered = Filtered { pid, go: File::from(go), result: File::from(result) };
            assert_eq!(filtered.word(), Some(0), "the filters could not be installed");
            filtered
        }

        fn word(&mut self) -> Option<i64> {
            let mut word = [0; 8];
            self.result.read_exact(&mut word).ok().map(|()| i64::from_ne_bytes(word))
        }

        /// Lets it make its call.
        pub(crate) fn outcome(mut self) -> Outcome {
            let _ = self.go.write_all(&[1]);
            let word = self.word();
            let mut status = 0;
            // SAFETY: the kernel writes one int to a local that outlives the call.
            let waited = unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
            assert_eq!(waited, self.pid);
            match word {
                Some(returned) => Outcome::Returned(returned),
                None if libc::WIFSIGNALED(status) => Outcome::Killed(libc::WTERMSIG(status)),
                None => panic!("it ended without a word: {status:#x}"),
            }
        }
    }

    /// Puts the calling thread, and what it starts, under a filter for ever.
    pub(crate) fn install_here(filter: &[Instruction]) {
        let mut program: Vec<_> = filter.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
        let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        // SAFETY: the kernel copies the program, which lives until the call returns.
        unsafe {
            assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
            assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
        }
    }

    fn pipe() -> (OwnedFd, OwnedFd) {
        let mut ends = [0; 2];
        // SAFETY: the kernel writes two descriptors to the array; nothing else owns them.
        unsafe {
            assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
            (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
        }
    }

    /// # Safety
    /// To be called in a fresh child only; it never returns.
    unsafe fn child(programs: &[libc::sock_fprog], go: i32, result: i32, call: Call) -> ! {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        let mut failed = i64::from(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
        for program in programs {
            failed |= i64::from(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, ptr::from_ref(program)));
        }
        let tell = |word: i64| libc::write(result, (&raw const word).cast(), 8);
        tell(failed);
        let mut byte = 0u8;
        libc::read(go, (&raw mut byte).cast(), 1);
        let a = call.arguments;
        let returned = libc::syscall(i64::from(call.number), a[0], a[1], a[2], a[3], a[4], a[5]);
        tell(if returned == -1 { -i64::from(*libc::__errno_location()) } else { returned });
        libc::_exit(0)
    }
}
