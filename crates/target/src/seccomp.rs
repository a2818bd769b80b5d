//! What a thread's seccomp filters would say to a system call, asked before the call is made.
//!
//! Holds: [`read`] (the filters of a stopped thread), [`verdict`] (what all of them together answer), and [`allows_fork`] (the
//! calls that a forked copy needs the target to make). Never does: make a call, attach to anything.
//! Why: a container's filter may answer a call with SIGSYS, which ends the target; under Docker's default profile the calls
//! of a fork are allowed. Whoever cannot read the filters does not know, and must not try.
//! Sources: seccomp(2), Documentation/userspace-api/seccomp_filter.rst; seccomp_run_filters and __seccomp_filter in Linux's
//! kernel/seccomp.c; the x86-64 numbers in arch/x86/entry/syscalls/syscall_64.tbl.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bpf::{BadFilter, Call, Filter};
use crate::facts::{Capability, ProcessFacts, Seccomp};
use crate::sys::seccomp::filter;

/// MAX_INSNS_PER_PATH: the kernel lets a thread have no more than this in all its filters, each counted 4 longer than it is.
const INSTRUCTIONS_MAX: usize = 32_768;

/// The filters of one thread. All its calls pass through all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Filters {
    /// It has none.
    None,
    /// `read`, `write`, `_exit` and `sigreturn` only.
    Strict,
    /// These, the last installed first.
    Stacked(Vec<Filter>),
    /// It has some, but what they say is not known.
    Unknown(Unreadable),
}

/// Why a thread's filters are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Unreadable {
    /// It takes CAP_SYS_ADMIN in the first user namespace.
    NotPermitted,
    /// A process that is itself under seccomp may not look.
    OurselvesFiltered,
    /// The kernel was built without CONFIG_CHECKPOINT_RESTORE.
    NoSuchRequest,
    /// It says something that is not a filter.
    NotUnderstood,
    /// The thread is gone, or another error of the system: its number.
    Failed(i32),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::NotPermitted => write!(f, "reading seccomp filters takes CAP_SYS_ADMIN outside of any container"),
            Unreadable::OurselvesFiltered => write!(f, "this process is under seccomp itself, which forbids to read others' filters"),
            Unreadable::NoSuchRequest => write!(f, "this kernel gives out no seccomp filters (CONFIG_CHECKPOINT_RESTORE)"),
            Unreadable::NotUnderstood => write!(f, "the seccomp filters are of a kind that is not understood here"),
            Unreadable::Failed(errno) => write!(f, "reading the seccomp filters failed: {}", std::io::Error::from_raw_os_error(*errno)),
        }
    }
}

/// What is done with a call, the most restrictive first, as the kernel ranks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// The process is killed.
    KillProcess,
    /// The thread is killed.
    KillThread,
    /// The thread gets SIGSYS.
    Trap,
    /// The call is not made and fails with this error.
    Errno(u16),
    /// Another process decides.
    Notify,
    /// A tracer that asked for it decides; without one the call fails with ENOSYS.
    Trace,
    /// The call is made, and logged.
    Log,
    /// The call is made.
    Allow,
}

impl Action {
    /// Whether the call is made and nothing else happens to the target.
    pub fn makes_the_call(self) -> bool {
        matches!(self, Action::Log | Action::Allow)
    }

    fn of(returned: u32) -> Action {
        // SECCOMP_RET_DATA.
        let data = (returned & 0xffff) as u16;
        match returned & ACTION {
            libc::SECCOMP_RET_KILL_THREAD => Action::KillThread,
            libc::SECCOMP_RET_TRAP => Action::Trap,
            // MAX_ERRNO.
            libc::SECCOMP_RET_ERRNO => Action::Errno(data.min(4095)),
            libc::SECCOMP_RET_USER_NOTIF => Action::Notify,
            libc::SECCOMP_RET_TRACE => Action::Trace,
            libc::SECCOMP_RET_LOG => Action::Log,
            libc::SECCOMP_RET_ALLOW => Action::Allow,
            // KILL_PROCESS, and what no kernel knows: killed too.
            _ => Action::KillProcess,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::KillProcess => write!(f, "kills the process"),
            Action::KillThread => write!(f, "kills the thread"),
            Action::Trap => write!(f, "sends SIGSYS"),
            Action::Errno(errno) => write!(f, "fails it: {}", std::io::Error::from_raw_os_error(i32::from(*errno))),
            Action::Notify => write!(f, "asks another process"),
            Action::Trace => write!(f, "asks a tracer"),
            Action::Log => write!(f, "allows and logs it"),
            Action::Allow => write!(f, "allows it"),
        }
    }
}

/// Whether the filters let the target make what a forked copy needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForkVerdict {
    /// All of it.
    Allowed,
    /// Not this.
    Refused {
        /// Which call.
        call: ForkCall,
        /// What would happen to the target.
        action: Action,
    },
    /// Nobody knows, so it must not be tried.
    Unknown(Unreadable),
}

/// The system calls that the target makes for a forked copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForkCall {
    /// `clone(CLONE_FILES, stack, 0, 0, 0)`: no exit signal.
    Clone,
    /// `wait4(copy, 0, __WALL, 0)`.
    Wait,
}

impl fmt::Display for ForkVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForkVerdict::Allowed => write!(f, "its seccomp filters allow a forked copy"),
            ForkVerdict::Refused { call, action } => {
                let call = match call {
                    ForkCall::Clone => "clone",
                    ForkCall::Wait => "wait4",
                };
                write!(f, "its seccomp filter answers {call}: {action}")
            }
            ForkVerdict::Unknown(why) => write!(f, "{why}"),
        }
    }
}

/// Reads the filters of a thread that this thread traces and that stands. Filters are a thread's own: ask of the one that is
/// to make the call.
pub(crate) fn read(tid: i32) -> Filters {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{tid}/status")) else {
        return Filters::Unknown(Unreadable::Failed(libc::ESRCH));
    };
    match mode(&status) {
        // A kernel without seccomp says nothing.
        None | Some(0) => Filters::None,
        Some(1) => Filters::Strict,
        Some(_) => stacked(tid).map_or_else(Filters::Unknown, Filters::Stacked),
    }
}

/// Why the filters of a process cannot be read, as far as that is known without stopping it; `None`: they can, or it has none.
/// CAP_SYS_ADMIN of a user namespace is none here, and who is filtered itself may not look (seccomp_get_filter's caller,
/// ptrace_request in Linux's kernel/seccomp.c).
pub(crate) fn refused_to_us(pid: i32) -> Option<Unreadable> {
    if !is_filtered(pid) {
        return None;
    }
    let us = ProcessFacts::of(std::process::id() as i32).ok()?;
    let outside = us.namespaces.in_first_user();
    if !us.effective.has(Capability::SysAdmin) || !outside {
        return Some(Unreadable::NotPermitted);
    }
    (!matches!(us.seccomp, None | Some(Seccomp::Off))).then_some(Unreadable::OurselvesFiltered)
}

/// Whether the main thread of a process has filters.
pub(crate) fn is_filtered(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| mode(&status).is_some_and(|mode| mode > 1))
}

/// `Seccomp:` of `/proc/PID/status`: 0 none, 1 strict, 2 filters.
pub(crate) fn mode(status: &str) -> Option<u8> {
    status.lines().find_map(|l| l.strip_prefix("Seccomp:")?.trim().parse().ok())
}

fn stacked(tid: i32) -> Result<Vec<Filter>, Unreadable> {
    let mut filters: Vec<Filter> = Vec::new();
    let mut instructions = 0;
    loop {
        match filter(tid, filters.len()) {
            Ok(Some(program)) => {
                let filter = Filter::new(&program).map_err(|_: BadFilter| Unreadable::NotUnderstood)?;
                instructions += filter.len() + 4;
                if instructions > INSTRUCTIONS_MAX + 4 {
                    return Err(Unreadable::NotUnderstood);
                }
                filters.push(filter);
            }
            // One that has a mode but no filter would be none of those that are known.
            Ok(None) if filters.is_empty() => return Err(Unreadable::NotUnderstood),
            // The kernel gives out the oldest first, and runs the newest first (ptrace(2) says otherwise of the former).
            Ok(None) => {
                filters.reverse();
                return Ok(filters);
            }
            Err(error) => return Err(unreadable(error.raw_os_error().unwrap_or(0))),
        }
    }
}

fn unreadable(errno: i32) -> Unreadable {
    match errno {
        libc::EACCES | libc::EPERM => {
            let own = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            if mode(&own).unwrap_or(0) == 0 {
                Unreadable::NotPermitted
            } else {
                Unreadable::OurselvesFiltered
            }
        }
        libc::EIO => Unreadable::NoSuchRequest,
        libc::EMEDIUMTYPE => Unreadable::NotUnderstood,
        errno => Unreadable::Failed(errno),
    }
}

/// SECCOMP_RET_ACTION_FULL.
const ACTION: u32 = libc::SECCOMP_RET_ACTION_FULL;

/// What all `filters` together answer to `call`: the most restrictive of their answers.
pub(crate) fn verdict(filters: &[Filter], call: &Call) -> Action {
    // The kernel compares the actions as signed numbers.
    let rank = |returned: u32| (returned & ACTION) as i32;
    let answers = filters.iter().map(|f| f.run(call));
    Action::of(answers.min_by_key(|returned| rank(*returned)).unwrap_or(libc::SECCOMP_RET_ALLOW))
}

/// Asks for exactly the calls that a forked copy needs, made by an instruction that ends at `instruction`, with the given
/// stack for the copy. The copy's PID is not known before: what a filter says to that number is taken to be the same for all.
pub(crate) fn allows_fork(filters: &Filters, instruction: u64, stack: u64) -> ForkVerdict {
    let filters = match filters {
        Filters::None => return ForkVerdict::Allowed,
        Filters::Strict => return ForkVerdict::Refused { call: ForkCall::Clone, action: Action::KillThread },
        Filters::Stacked(filters) => filters,
        Filters::Unknown(why) => return ForkVerdict::Unknown(*why),
    };
    let calls = [(ForkCall::Clone, clone_call(instruction, stack)), (ForkCall::Wait, wait_call(instruction, SOME_PID))];
    let answers = calls.iter().map(|(which, call)| (*which, verdict(filters, call)));
    let refused = answers.into_iter().find(|(_, action)| !action.makes_the_call());
    refused.map_or(ForkVerdict::Allowed, |(call, action)| ForkVerdict::Refused { call, action })
}

/// Stands for the copy.
const SOME_PID: i32 = 4_194_000;

/// `clone(CLONE_FILES, stack, 0, 0, 0)`.
pub(crate) fn clone_call(instruction: u64, stack: u64) -> Call {
    Call { number: libc::SYS_clone as u32, instruction, arguments: [libc::CLONE_FILES as u64, stack, 0, 0, 0, 0] }
}

/// `wait4(pid, 0, __WALL | WNOHANG, 0)`.
pub(crate) fn wait_call(instruction: u64, pid: i32) -> Call {
    Call {
        number: libc::SYS_wait4 as u32,
        instruction,
        arguments: [i64::from(pid) as u64, 0, (libc::__WALL | libc::WNOHANG) as u32 as u64, 0, 0, 0],
    }
}

#[cfg(test)]
mod tests {
    // Each filter here is installed in a real child: what is read back and foretold is compared with what the kernel does.
    use super::*;
    use crate::bpf::Instruction;
    use crate::sys::ptrace::{detach, interrupt, poll_wait, seize, Wait};
    use crate::sys::seccomp::filtered::{Filtered, Outcome};

    const fn op(code: u16, k: u32) -> Instruction {
        Instruction { code, jt: 0, jf: 0, k }
    }

    const fn equal(k: u32, jt: u8, jf: u8) -> Instruction {
        Instruction { code: 0x15, jt, jf, k }
    }

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const EPERM: u32 = libc::SECCOMP_RET_ERRNO | 1;
    const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | 38;
    /// CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID, NET: what Docker's default profile masks.
    const NEW_NAMESPACES: u32 = 0x7e02_0000;

    /// A filter that answers `number` with `answer` and allows the rest.
    fn on(number: i64, answer: u32) -> Vec<Instruction> {
        vec![op(0x20, 0), equal(number as u32, 0, 1), op(0x06, answer), op(0x06, ALLOW)]
    }

    /// The shape of Docker's default profile as libseccomp compiles it: another architecture is killed, x32 is refused, clone is
    /// allowed without new namespaces, clone3 does not exist, unshare is refused, the rest allowed.
    fn docker() -> Vec<Instruction> {
        vec![
            op(0x20, 4),
            equal(0xc000_003e, 1, 0),
            op(0x06, libc::SECCOMP_RET_KILL_PROCESS),
            op(0x20, 0),
            Instruction { code: 0x35, jt: 0, jf: 1, k: 0x4000_0000 },
            op(0x06, EPERM),
            equal(libc::SYS_clone3 as u32, 0, 1),
            op(0x06, ENOSYS),
            equal(libc::SYS_unshare as u32, 4, 0),
            equal(libc::SYS_clone as u32, 0, 4),
            op(0x20, 16),
            op(0x54, NEW_NAMESPACES),
            equal(0, 1, 0),
            op(0x06, EPERM),
            op(0x06, ALLOW),
        ]
    }

    fn call(number: i64, arguments: [u64; 6]) -> Call {
        Call { number: number as u32, instruction: 0, arguments }
    }

    /// A copy with this stack ends at its first instruction that uses it.
    const NO_STACK: u64 = 8;

    /// Reads the filters of a child as the guardian would: attached, stopped, and let go again.
    fn read_from(pid: i32) -> Filters {
        if seize(pid, 0).is_err() {
            return Filters::Unknown(Unreadable::NotPermitted);
        }
        interrupt(pid).unwrap();
        loop {
            match poll_wait(pid).unwrap() {
                Some((_, Wait::Trap(_))) => break,
                Some(other) => panic!("{other:?}"),
                None => std::thread::yield_now(),
            }
        }
        let filters = read(pid);
        detach(pid, 0).unwrap();
        filters
    }

    /// Whether this machine lets us read filters at all; else says so.
    fn may_read(filters: &Filters) -> bool {
        let Filters::Unknown(why) = filters else { return true };
        println!("left out: {why}");
        assert!(matches!(why, Unreadable::NotPermitted | Unreadable::OurselvesFiltered | Unreadable::NoSuchRequest), "{why:?}");
        // Then nothing may be tried.
        assert_eq!(allows_fork(filters, 0, NO_STACK), ForkVerdict::Unknown(*why));
        false
    }

    /// Installs `filters` in a child, predicts what `call` does, and lets the child try. False where filters cannot be read.
    #[track_caller]
    fn check(filters: &[Vec<Instruction>], call: Call, expected: Action) -> bool {
        let child = Filtered::start(filters, call);
        let read = read_from(child.pid);
        let outcome = child.outcome();
        if !may_read(&read) {
            return false;
        }
        let Filters::Stacked(stack) = read else { panic!("{read:?}") };
        assert_eq!(stack.len(), filters.len());
        assert_eq!(verdict(&stack, &call), expected);
        match expected {
            Action::KillProcess | Action::KillThread | Action::Trap => assert_eq!(outcome, Outcome::Killed(libc::SIGSYS)),
            Action::Errno(errno) => assert_eq!(outcome, Outcome::Returned(-i64::from(errno))),
            Action::Trace => assert_eq!(outcome, Outcome::Returned(-i64::from(libc::ENOSYS))),
            Action::Allow | Action::Log => assert!(matches!(outcome, Outcome::Returned(0..)), "{outcome:?}"),
            Action::Notify => panic!("nobody listens in these tests"),
        }
        true
    }

    #[test]
    fn dockers_profile_allows_the_copy_and_no_namespaces() {
        let fork = clone_call(0, NO_STACK);
        check(&[docker()], fork, Action::Allow);
        let mut new_user = fork;
        new_user.arguments[0] = libc::CLONE_NEWUSER as u64;
        check(&[docker()], new_user, Action::Errno(1));
        check(&[docker()], call(libc::SYS_clone3, [0; 6]), Action::Errno(38));
        check(&[docker()], call(libc::SYS_unshare, [0; 6]), Action::Errno(1));
        check(&[docker()], call(libc::SYS_getppid, [0; 6]), Action::Allow);
    }

    #[test]
    fn each_action_is_foretold() {
        let getppid = call(libc::SYS_getppid, [0; 6]);
        for (answer, expected) in [
            (libc::SECCOMP_RET_KILL_PROCESS, Action::KillProcess),
            (libc::SECCOMP_RET_KILL_THREAD, Action::KillThread),
            (libc::SECCOMP_RET_TRAP, Action::Trap),
            (libc::SECCOMP_RET_ERRNO | 77, Action::Errno(77)),
            // Larger than any error: the kernel takes the largest.
            (libc::SECCOMP_RET_ERRNO | 0xffff, Action::Errno(4095)),
            (libc::SECCOMP_RET_TRACE | 5, Action::Trace),
            (libc::SECCOMP_RET_LOG, Action::Log),
            (libc::SECCOMP_RET_ALLOW, Action::Allow),
            // No kernel knows it.
            (0x0001_0000, Action::KillProcess),
        ] {
            check(&[on(libc::SYS_getppid, answer)], getppid, expected);
        }
    }

    #[test]
    fn the_most_restrictive_of_stacked_filters_wins() {
        let getppid = call(libc::SYS_getppid, [0; 6]);
        let on = |answer| on(libc::SYS_getppid, answer);
        let (errno, kill, log) = (libc::SECCOMP_RET_ERRNO | 9, libc::SECCOMP_RET_KILL_PROCESS, libc::SECCOMP_RET_LOG);
        check(&[on(ALLOW), on(errno)], getppid, Action::Errno(9));
        check(&[on(errno), on(ALLOW)], getppid, Action::Errno(9));
        check(&[on(errno), on(kill), on(log)], getppid, Action::KillProcess);
        check(&[on(libc::SECCOMP_RET_KILL_THREAD), on(errno)], getppid, Action::KillThread);
        check(&[on(log), on(ALLOW)], getppid, Action::Log);
        // Of equal actions, the filter that was installed last tells the error.
        check(&[on(errno), on(libc::SECCOMP_RET_ERRNO | 8)], getppid, Action::Errno(8));
    }

    #[test]
    fn arguments_are_looked_at_in_both_halves() {
        // Fails when the upper half of the second argument is 5 and the lower is 7.
        let filter =
            vec![op(0x20, 28), equal(5, 0, 3), op(0x20, 24), equal(7, 0, 1), op(0x06, libc::SECCOMP_RET_ERRNO | 3), op(0x06, ALLOW)];
        let getppid = |second| call(libc::SYS_getppid, [1, second, 2, 3, 4, 5]);
        check(std::slice::from_ref(&filter), getppid(0x5_0000_0007), Action::Errno(3));
        check(std::slice::from_ref(&filter), getppid(0x7_0000_0005), Action::Allow);
        check(&[filter], getppid(7), Action::Allow);
    }

    #[test]
    fn a_copy_is_allowed_only_where_all_its_calls_are() {
        let idle = call(libc::SYS_getppid, [0; 6]);
        let forked = |filters: &[Vec<Instruction>]| {
            let child = Filtered::start(filters, idle);
            let read = read_from(child.pid);
            child.outcome();
            may_read(&read).then(|| allows_fork(&read, 0x1234, NO_STACK))
        };
        for (filters, expected) in [
            (vec![], ForkVerdict::Allowed),
            (vec![docker()], ForkVerdict::Allowed),
            (vec![docker(), docker()], ForkVerdict::Allowed),
            (vec![docker(), on(libc::SYS_clone, EPERM)], ForkVerdict::Refused { call: ForkCall::Clone, action: Action::Errno(1) }),
            (vec![on(libc::SYS_wait4, 0)], ForkVerdict::Refused { call: ForkCall::Wait, action: Action::KillThread }),
            (vec![on(libc::SYS_clone, libc::SECCOMP_RET_TRACE)], ForkVerdict::Refused { call: ForkCall::Clone, action: Action::Trace }),
            (
                vec![on(libc::SYS_clone, libc::SECCOMP_RET_USER_NOTIF)],
                ForkVerdict::Refused { call: ForkCall::Clone, action: Action::Notify },
            ),
        ] {
            if let Some(found) = forked(&filters) {
                assert_eq!(found, expected, "{filters:x?}");
            }
        }
    }

    #[test]
    fn strict_and_unknown_allow_nothing() {
        let refused = ForkVerdict::Refused { call: ForkCall::Clone, action: Action::KillThread };
        assert_eq!(allows_fork(&Filters::Strict, 0, 0), refused);
        let unknown = ForkVerdict::Unknown(Unreadable::NotPermitted);
        assert_eq!(allows_fork(&Filters::Unknown(Unreadable::NotPermitted), 0, 0), unknown);
        assert_eq!(mode("Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t3\n"), Some(2));
        assert_eq!(mode("Name:\tx\n"), None);
    }

    #[test]
    fn filters_of_a_thread_that_nobody_traces_are_not_known() {
        let child = Filtered::start(&[docker()], call(libc::SYS_getppid, [0; 6]));
        assert!(matches!(read(child.pid), Filters::Unknown(_)));
        child.outcome();
    }

    #[test]
    fn programs_give_what_the_kernel_gives() {
        // xorshift: the same programs each time.
        let mut state = 0x0123_4567_89ab_cdefu64;
        let mut random = move |below: u32| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 33) as u32 % below
        };
        let numbers = [0, 1, 7, 31, 32, 0x8000_0000, 0xffff_ffff, 0x1234_5678];
        let getppid = call(libc::SYS_getppid, [0xdead_beef_0bad_cafe, u64::MAX, 1, 1 << 63, 3, 0x0102_0304_0506_0708]);
        for _ in 0..150 {
            // Everything but getppid is allowed; scratch memory must be written before it is read.
            let mut program =
                vec![op(0x20, 0), equal(libc::SYS_getppid as u32, 1, 0), op(0x06, ALLOW), op(0x02, 0), op(0x02, 1), op(0x02, 2)];
            for _ in 0..24 {
                let number = numbers[random(8) as usize];
                program.push(match random(14) {
                    // But where the call is made from, which is not known here.
                    0 | 1 => op(0x20, [0, 4, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60][random(14) as usize]),
                    2 => op(0x01, number),
                    3 => op(0x07, 0),
                    4 => op(0x87, 0),
                    5 => op([0x60, 0x61, 0x02, 0x03][random(4) as usize], random(3)),
                    6 => op([0x04, 0x14, 0x24, 0x44, 0xa4][random(5) as usize], number),
                    7 => op(0x54, number | 0xffff),
                    8 => op(0x34, number.max(1)),
                    9 => op([0x64, 0x74][random(2) as usize], random(32)),
                    10 => op([0x0c, 0x1c, 0x2c, 0x4c, 0xac, 0x6c, 0x7c][random(7) as usize], 0),
                    11 if random(3) == 0 => op(0x3c, 0),
                    12 => op([0x84, 0x80, 0x81][random(3) as usize], 0),
                    _ => Instruction {
                        code: [0x15, 0x25, 0x35, 0x45, 0x1d, 0x2d, 0x3d, 0x4d][random(8) as usize],
                        jt: random(3) as u8,
                        jf: random(3) as u8,
                        k: number,
                    },
                });
            }
            // Twelve bits of A, folded, are the error: with room for jumps from the last instructions.
            program.extend([op(0x02, 0), op(0x02, 1), op(0x60, 0), op(0x07, 0), op(0x74, 13), op(0xac, 0), op(0x54, 0x7ff), op(0x04, 1)]);
            program.extend([op(0x44, libc::SECCOMP_RET_ERRNO), op(0x16, 0)]);
            let expected = Action::of(Filter::new(&program).unwrap().run(&getppid));
            if !check(&[program], getppid, expected) {
                return;
            }
        }
    }
}
