//! What this kernel lets us do, found by doing it.
//!
//! Holds: [`Kernel`] and its probe. Never does: conclude from a release's number; touch a process that is not ours.
//! Why: containers' seccomp profiles, gVisor and distributors' patches take calls away that the release would have, and older
//! releases get them back-ported.
//! Sources: those of `sys`; Documentation/admin-guide/mm/transhuge.rst.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use crate::pagemap::{Pagemap, Want, PAGE};
use crate::sys::probe::{self, Subject};
use crate::sys::ptrace::{detach, go_on, instruction, interrupt, poll_wait, seize, set_breakpoints, Wait};

/// What is waited for takes microseconds; a machine under load gets this long.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the kernel lets us do, here and as who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Its release, for people: nothing is concluded from it.
    pub release: String,
    /// A child of ours could be traced and stopped.
    pub tracing: Feature,
    /// A child's memory could be read (`/proc/PID/mem`).
    pub bulk_reads: Feature,
    /// A child's table of pages tells which are there (`/proc/PID/pagemap`).
    pub pagemap: Feature,
    /// A stopped child could be asked for its system call (PTRACE_GET_SYSCALL_INFO, Linux 5.3).
    pub syscall_info: Feature,
    /// A debug register stopped a child where it should (the end of a launched program is caught so).
    pub debug_registers: Feature,
    /// A child's seccomp filter could be read (PTRACE_SECCOMP_GET_FILTER).
    pub seccomp_filters: Feature,
    /// A process can be held by a descriptor (pidfd_open, Linux 5.3).
    pub pidfd: Feature,
    /// Memory can be filled before it is used (MADV_POPULATE_WRITE, Linux 5.14).
    pub populate_write: Feature,
    /// When the kernel uses huge pages of its own accord; `None` where it does not say.
    pub huge_pages: Option<HugePages>,
}

/// Whether something works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Feature {
    /// It was done.
    Works,
    /// The kernel said this error number.
    Fails(i32),
    /// The kernel said yes, and nothing happened.
    NoEffect,
    /// It could not be tried, since what it builds on fails.
    Untried,
}

impl Feature {
    /// Whether it was seen to work.
    pub fn works(self) -> bool {
        self == Feature::Works
    }

    fn of<T>(result: io::Result<T>) -> Feature {
        match result {
            Ok(_) => Feature::Works,
            Err(error) => Feature::Fails(error.raw_os_error().unwrap_or(libc::EIO)),
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Feature::Works => write!(f, "works"),
            Feature::Fails(errno) => write!(f, "{}", io::Error::from_raw_os_error(*errno)),
            Feature::NoEffect => write!(f, "accepted, but without effect"),
            Feature::Untried => write!(f, "not tried"),
        }
    }
}

/// `/sys/kernel/mm/transparent_hugepage/enabled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HugePages {
    /// Wherever it can.
    Always,
    /// Where a program asks for it.
    Madvise,
    /// Nowhere.
    Never,
}

impl Kernel {
    /// Tries everything, within a few milliseconds. Makes one child, which is gone when this returns.
    pub fn probe() -> Kernel {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_string();
        let huge_pages = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").ok().and_then(|t| huge_pages(&t));
        let mut kernel = Kernel {
            release,
            tracing: Feature::Untried,
            bulk_reads: Feature::Untried,
            pagemap: Feature::Untried,
            syscall_info: Feature::Untried,
            debug_registers: Feature::Untried,
            seccomp_filters: Feature::Untried,
            pidfd: Feature::of(probe::pidfd_open(std::process::id() as i32)),
            populate_write: Feature::of(probe::populate_write()),
            huge_pages,
        };
        // Pages of our own memory that were written to are in the child from its first moment on; those of files are not.
        let written = std::hint::black_box(Box::new(1u8));
        let written_at = &raw const *written as u64;
        let Ok(subject) = Subject::start() else { return kernel };
        let child = subject.pid();
        kernel.bulk_reads = bulk_read(child);
        kernel.pagemap = pagemap(child, written_at);
        kernel.tracing = Feature::of(stop(child));
        if kernel.tracing.works() {
            kernel.syscall_info = Feature::of(probe::syscall_info(child));
            kernel.seccomp_filters = match crate::sys::seccomp::filter(child, 0) {
                Ok(None) => Feature::NoEffect,
                result => Feature::of(result),
            };
            kernel.debug_registers = debug_registers(child, Subject::landing(), PATIENCE);
            let _ = detach(child, 0);
        }
        kernel
    }
}

fn stop(child: i32) -> io::Result<()> {
    seize(child, 0)?;
    interrupt(child)?;
    match wait(child, PATIENCE)? {
        Some(Wait::Trap(_)) => Ok(()),
        Some(_) => Err(io::Error::from_raw_os_error(libc::ECHILD)),
        None => Err(io::Error::from_raw_os_error(libc::ETIMEDOUT)),
    }
}

/// The child's next stop; `None` when it has none in time.
fn wait(child: i32, patience: Duration) -> io::Result<Option<Wait>> {
    let begun = Instant::now();
    while begun.elapsed() < patience {
        if let Some((_, wait)) = poll_wait(child)? {
            return Ok(Some(wait));
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(None)
}

/// The child is a copy of us: a constant of ours lies at the same address in it.
fn bulk_read(child: i32) -> Feature {
    static MARK: [u8; 16] = *b"exuvia bulk read";
    let mut theirs = [0u8; 16];
    match File::open(format!("/proc/{child}/mem")).and_then(|mem| mem.read_exact_at(&mut theirs, MARK.as_ptr() as u64)) {
        Ok(()) if theirs == MARK => Feature::Works,
        Ok(()) => Feature::NoEffect,
        Err(error) => Feature::Fails(error.raw_os_error().unwrap_or(0)),
    }
}

/// The page at `address` is there.
fn pagemap(child: i32, address: u64) -> Feature {
    let page = address / PAGE * PAGE;
    let mut runs = Vec::new();
    match Pagemap::open(child).and_then(|map| map.runs(page, page + PAGE, Want::Touched, &mut runs)) {
        Ok(()) if runs.is_empty() => Feature::NoEffect,
        result => Feature::of(result),
    }
}

/// Sets a register to break at `address`, and sees whether the child, which stands now, then stops there.
fn debug_registers(child: i32, address: u64, patience: Duration) -> Feature {
    let tried = || -> io::Result<bool> {
        set_breakpoints(child, &[address])?;
        go_on(child, 0)?;
        let stopped = wait(child, patience)? == Some(Wait::Signal(libc::SIGTRAP));
        let there = stopped && instruction(child)? == address;
        if stopped {
            set_breakpoints(child, &[])?;
        }
        Ok(there)
    };
    match tried() {
        Ok(false) => Feature::NoEffect,
        result => Feature::of(result),
    }
}

/// The word in brackets.
fn huge_pages(text: &str) -> Option<HugePages> {
    match text.split_once('[')?.1.split_once(']')?.0 {
        "always" => Some(HugePages::Always),
        "madvise" => Some(HugePages::Madvise),
        "never" => Some(HugePages::Never),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::Instruction;
    use crate::sys::seccomp::filtered::install_here;

    /// Children of this thread alone: other tests have some of their own.
    fn children() -> String {
        let tid = nix::unistd::gettid();
        std::fs::read_to_string(format!("/proc/self/task/{tid}/children")).unwrap()
    }

    /// Probes in a thread of its own, whose filter answers `number` with `errno`.
    fn probe_without(number: i64, errno: u32) -> Kernel {
        let op = |code, k| Instruction { code, jt: 0, jf: 0, k };
        let equal = Instruction { code: 0x15, jt: 0, jf: 1, k: number as u32 };
        let filter = [op(0x20, 0), equal, op(0x06, libc::SECCOMP_RET_ERRNO | errno), op(0x06, libc::SECCOMP_RET_ALLOW)];
        std::thread::spawn(move || {
            install_here(&filter);
            Kernel::probe()
        })
        .join()
        .unwrap()
    }

    #[test]
    fn it_tries_everything_and_leaves_nobody_behind() {
        let kernel = Kernel::probe();
        assert_eq!(children(), "");
        assert_eq!(kernel.release, nix::sys::utsname::uname().unwrap().release().to_str().unwrap());
        // What is built on a stop is tried exactly where a stop works.
        for built_on_it in [kernel.syscall_info, kernel.debug_registers, kernel.seccomp_filters] {
            assert_eq!(built_on_it == Feature::Untried, !kernel.tracing.works(), "{kernel:?}");
        }
        assert_ne!(kernel.bulk_reads, Feature::NoEffect);
        println!("{kernel:?}");
    }

    #[test]
    fn a_call_that_a_filter_takes_away_is_missing() {
        let plain = Kernel::probe();
        if !plain.tracing.works() {
            println!("left out: ptrace {}", plain.tracing);
            return;
        }
        for (number, errno) in [(libc::SYS_pidfd_open, 1), (libc::SYS_madvise, 22), (libc::SYS_ptrace, 1)] {
            let found = probe_without(number, errno);
            let fails = Feature::Fails(errno as i32);
            let mut expected = plain.clone();
            // Who is filtered itself may not read filters.
            expected.seccomp_filters = Feature::Fails(libc::EACCES);
            match number {
                libc::SYS_pidfd_open => expected.pidfd = fails,
                libc::SYS_madvise => expected.populate_write = fails,
                _ => {
                    expected.tracing = fails;
                    (expected.syscall_info, expected.debug_registers, expected.seccomp_filters) =
                        (Feature::Untried, Feature::Untried, Feature::Untried);
                }
            }
            assert_eq!(found, expected, "without call {number}");
        }
    }

    #[test]
    fn a_breakpoint_works_where_the_child_comes_by_and_nowhere_else() {
        let subject = Subject::start().unwrap();
        let child = subject.pid();
        if let Err(error) = stop(child) {
            println!("left out: {error}");
            return;
        }
        let there = debug_registers(child, Subject::landing(), PATIENCE);
        if !there.works() {
            println!("left out: debug registers {there}");
            return;
        }
        assert_eq!(debug_registers(child, 0x1000, Duration::from_millis(20)), Feature::NoEffect);
    }

    #[test]
    fn the_word_in_brackets_is_in_force() {
        assert_eq!(huge_pages("always [madvise] never\n"), Some(HugePages::Madvise));
        assert_eq!(huge_pages("[always] madvise never\n"), Some(HugePages::Always));
        assert_eq!(huge_pages("always madvise never\n"), None);
    }
}
