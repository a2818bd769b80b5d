//! How much memory, and how many processes, a copy may take before somebody is killed or slowed for it.
//!
//! Holds: [`headroom_of`], the least of what the machine and every control group above a process leave, [`Limit`] (which
//! file says so) and [`Headroom::admits`]. Never does: decide for a mode, change a limit.
//! Whose group: the pages that a forked copy makes the target duplicate are charged to the *target's* group; a frozen copy
//! is charged to ours.
//! Sources: proc_meminfo(5), proc_sys_vm(5) overcommit_memory; Documentation/admin-guide/cgroup-v2.rst (memory.max, memory.high,
//! memory.current, memory.stat, pids.max), cgroup-v1/memory.rst (memory.limit_in_bytes, memory.memsw.limit_in_bytes,
//! total_inactive_file, hierarchical_memory_limit), cgroup-v1/pids.rst; getrlimit(2) RLIMIT_NPROC, proc_pid_limits(5).

use std::fmt;
use std::path::{Path, PathBuf};

use memory::Bytes;

use crate::cgroup::{read_small, Groups, Unseen};
use crate::facts::{Capability, ProcessFacts};

/// Kernel memory that a copy costs beside the pages: its page tables are a 512th, its stack and structures less than this.
const OVERHEAD: u64 = 8 << 20;
/// Processes that must be left besides the copy, for the threads that the target itself may start meanwhile.
const SPARE_PROCESSES: u64 = 16;
/// v1 says "no limit" with the largest number of whole pages.
const UNLIMITED: u64 = 1 << 62;

/// What a process's control groups and the machine leave to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headroom {
    /// Memory up to the first hard limit: beyond it something is killed. [`Bytes`] of `u64::MAX` where nothing limits.
    pub bytes: Bytes,
    /// Which limit that is.
    pub limited_by: Limit,
    /// Memory up to the first `memory.high`, beyond which the kernel slows the whole group down.
    pub before_throttling: Option<(Bytes, Limit)>,
    /// Processes and threads that may still be started, and which limit says so.
    pub processes: Option<(u64, Limit)>,
    /// Limits that nobody can see from here.
    pub unseen: Vec<Unseen>,
}

/// What sets a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// A file of a control group.
    Group {
        /// The file with the limit.
        file: PathBuf,
        /// What it says.
        limit: u64,
    },
    /// The machine's memory: MemAvailable.
    Machine,
    /// `vm.overcommit_memory` is 2: the kernel promises no more than CommitLimit, and a copy counts in full.
    Commit,
    /// The machine's number of threads or process ids (`kernel.threads-max`, `kernel.pid_max`).
    MachineProcesses,
    /// RLIMIT_NPROC of the process: how many threads its user may have.
    UserProcesses {
        /// The user.
        user: u32,
        /// What the limit is.
        limit: u64,
    },
    /// Nothing that can be read limits.
    Nothing,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Group { file, limit } => {
                let bytes = file.file_name().is_some_and(|n| n.to_string_lossy().starts_with("memory"));
                let limit: &dyn fmt::Display = if bytes { &Bytes(*limit) } else { limit };
                write!(f, "{} ({limit})", file.display())
            }
            Limit::Machine => write!(f, "/proc/meminfo (MemAvailable)"),
            Limit::Commit => write!(f, "vm.overcommit_memory 2 (CommitLimit in /proc/meminfo)"),
            Limit::UserProcesses { user, limit } => write!(f, "ulimit -u of user {user} ({limit})"),
            Limit::MachineProcesses => write!(f, "kernel.threads-max or kernel.pid_max"),
            Limit::Nothing => write!(f, "no limit"),
        }
    }
}

/// Why a forked copy would not be harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tight {
    /// Every page could be duplicated, and there is not that much.
    Memory {
        /// What the copy may cost.
        needed: Bytes,
        /// What is left.
        left: Bytes,
        /// Which limit says so.
        limit: Limit,
    },
    /// There is, but the group would be slowed down.
    Throttled {
        /// What the copy may cost.
        needed: Bytes,
        /// What is left.
        left: Bytes,
        /// Which limit says so.
        limit: Limit,
    },
    /// The copy would take one of the last process ids.
    Processes {
        /// How many are left.
        left: u64,
        /// Which limit says so.
        limit: Limit,
    },
    /// The target's own group cannot be seen, so nobody knows.
    Unknown(Unseen),
}

impl fmt::Display for Tight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tight::Memory { needed, left, limit } => write!(f, "a forked copy may cost {needed}, {left} are left below {limit}"),
            Tight::Throttled { needed, left, limit } => {
                write!(f, "a forked copy may cost {needed}, above {left} the kernel slows the target down: {limit}")
            }
            Tight::Processes { left, limit } => write!(f, "only {left} more processes are allowed: {limit}"),
            Tight::Unknown(unseen) => write!(f, "{unseen}"),
        }
    }
}

impl Headroom {
    /// Whether a forked copy fits of a process that has `resident` to copy. What it writes meanwhile is doubled at the cost of
    /// its control groups; what we read of the copy takes as much again, from the machine.
    pub fn admits_fork(&self, resident: Bytes) -> Result<(), Tight> {
        self.admits(if self.limited_by == Limit::Machine { Bytes(resident.0.saturating_mul(2)) } else { resident })
    }

    /// Whether a forked copy fits whose every private writable page, `writable` in all, the target might write to while it
    /// lives. Limits above the container that nobody can see do not refuse it; a group of the target that cannot be seen does.
    pub fn admits(&self, writable: Bytes) -> Result<(), Tight> {
        let needed = fork_cost(writable);
        if let Some(unseen) = self.unseen.iter().find(|u| !matches!(u, Unseen::Above { .. })) {
            return Err(Tight::Unknown(unseen.clone()));
        }
        if needed > self.bytes {
            return Err(Tight::Memory { needed, left: self.bytes, limit: self.limited_by.clone() });
        }
        if let Some((left, limit)) = self.before_throttling.clone().filter(|(left, _)| needed > *left) {
            return Err(Tight::Throttled { needed, left, limit });
        }
        if let Some((left, limit)) = self.processes.clone().filter(|(left, _)| *left <= SPARE_PROCESSES) {
            return Err(Tight::Processes { left, limit });
        }
        Ok(())
    }
}

/// What a forked copy may cost, if the target writes to each of its `writable` bytes while the copy lives.
pub(crate) fn fork_cost(writable: Bytes) -> Bytes {
    Bytes(writable.0.saturating_add(writable.0 / 512).saturating_add(OVERHEAD))
}

/// What is left for `pid`, as of now. A limit that cannot be read does not limit; what is out of sight is named.
pub fn headroom_of(pid: i32) -> Headroom {
    let memory = Groups::find(pid, "memory");
    let pids = Groups::find(pid, "pids");
    let meminfo = read_small(Path::new("/proc/meminfo")).unwrap_or_default();
    let no_overcommit = number(Path::new("/proc/sys/vm/overcommit_memory")) == Some(2);

    let machine = available(&meminfo).map(|left| (left, Limit::Machine));
    let commit = commit_left(&meminfo).filter(|_| no_overcommit).map(|left| (left, Limit::Commit));
    let groups = memory.folders.iter().flat_map(|folder| hard_limits(folder));
    let (left, limited_by) = least(groups.chain(machine).chain(commit)).unwrap_or((u64::MAX, Limit::Nothing));
    let before_throttling = least(memory.folders.iter().filter_map(|f| soft_limit(f))).map(|(left, limit)| (Bytes(left), limit));
    let processes = least(pids.folders.iter().filter_map(|f| pids_left(f)).chain(user_pids_left(pid)).chain(machine_pids_left()));

    let unseen = memory.unseen.into_iter().chain(pids.unseen.into_iter().filter(|u| *u != Unseen::List)).collect();
    Headroom { bytes: Bytes(left), limited_by, before_throttling, processes, unseen }
}

/// What is left for ourselves, up to the first hard limit.
pub(crate) fn headroom() -> Bytes {
    headroom_of(std::process::id() as i32).bytes
}

fn least(all: impl Iterator<Item = (u64, Limit)>) -> Option<(u64, Limit)> {
    // The first of equals: the lowest group, whose owner can change it.
    all.min_by_key(|(left, _)| *left)
}

fn kib_field(meminfo: &str, name: &str) -> Option<u64> {
    let kib: u64 = meminfo.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')?.trim().strip_suffix("kB")?.trim().parse().ok())?;
    kib.checked_mul(1024)
}

fn available(meminfo: &str) -> Option<u64> {
    kib_field(meminfo, "MemAvailable")
}

fn commit_left(meminfo: &str) -> Option<u64> {
    Some(kib_field(meminfo, "CommitLimit")?.saturating_sub(kib_field(meminfo, "Committed_AS")?))
}

fn number(file: &Path) -> Option<u64> {
    read_small(file)?.trim().parse().ok()
}

/// The limit in `limit` of `folder`, less the usage in `used`; what `droppable` says does not count as used.
fn left_below(folder: &Path, limit: &str, used: &str, droppable: u64) -> Option<(u64, Limit)> {
    let file = folder.join(limit);
    let limit = number(&file).filter(|limit| *limit < UNLIMITED)?;
    let used = number(&folder.join(used))?.saturating_sub(droppable);
    Some((limit.saturating_sub(used), Limit::Group { file, limit }))
}

fn stat_field(stat: &str, name: &str) -> Option<u64> {
    stat.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Files in a group's cache that can be dropped at once: the kernel does so before it kills.
fn droppable(stat: &str) -> u64 {
    stat_field(stat, "total_inactive_file").or_else(|| stat_field(stat, "inactive_file")).unwrap_or(0)
}

/// The limits of one group beyond which its processes are killed. Swap adds room that is not counted: it is slow, and gone
/// when others use it. v1's limit on memory and swap together may be reached before that on memory, when much is swapped out.
fn hard_limits(folder: &Path) -> Vec<(u64, Limit)> {
    let stat = read_small(&folder.join("memory.stat")).unwrap_or_default();
    let droppable = droppable(&stat);
    let mut out: Vec<_> = [
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ("memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes"),
    ]
    .into_iter()
    .filter_map(|(limit, used)| left_below(folder, limit, used, droppable))
    .collect();
    // v1 tells the least limit of all groups above, also of those that a container does not see; what the others in there
    // use is not told, so this is only an upper bound.
    let above = stat_field(&stat, "hierarchical_memory_limit").filter(|limit| *limit < UNLIMITED);
    if let (Some(limit), Some(used)) = (above, number(&folder.join("memory.usage_in_bytes"))) {
        let left = limit.saturating_sub(used.saturating_sub(droppable));
        out.push((left, Limit::Group { file: folder.join("memory.stat"), limit }));
    }
    out
}

fn soft_limit(folder: &Path) -> Option<(u64, Limit)> {
    let stat = read_small(&folder.join("memory.stat")).unwrap_or_default();
    left_below(folder, "memory.high", "memory.current", droppable(&stat))
}

/// Both versions name them alike.
fn pids_left(folder: &Path) -> Option<(u64, Limit)> {
    left_below(folder, "pids.max", "pids.current", 0)
}

/// What RLIMIT_NPROC leaves to the user of `pid`, where that may be little. The kernel counts threads by real user, of all the
/// machine; we see those of our PID namespace, so there may be less left than this. Exempt are the machine's root and who
/// holds CAP_SYS_RESOURCE or CAP_SYS_ADMIN towards the machine (copy_process in Linux's kernel/fork.c).
fn user_pids_left(pid: i32) -> Option<(u64, Limit)> {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let limit = soft_process_limit(&limits)?;
    // No user has more threads than there are: where even all of them leave room, nobody needs to be counted.
    const AMPLE: u64 = 1024;
    if machine_threads().is_some_and(|all| limit.saturating_sub(all) > AMPLE) {
        return None;
    }
    let facts = ProcessFacts::of(pid).ok()?;
    let [user, ..] = facts.users;
    let of_the_machine = facts.namespaces.in_first_user();
    let capable = facts.effective.has(Capability::SysResource) || facts.effective.has(Capability::SysAdmin);
    if of_the_machine && (user == 0 || capable) {
        return None;
    }
    Some((limit.saturating_sub(threads_of_user(user)), Limit::UserProcesses { user, limit }))
}

/// `Max processes             94364                94364                processes`: the soft limit comes first.
fn soft_process_limit(limits: &str) -> Option<u64> {
    limits.lines().find_map(|l| l.strip_prefix("Max processes")?.split_ascii_whitespace().next()?.parse().ok())
}

/// All threads that run as this real user, as far as they can be seen.
fn threads_of_user(user: u32) -> u64 {
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    let threads = |status: &str| -> Option<u64> {
        let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)?.split_ascii_whitespace().next());
        (field("Uid:")?.parse() == Ok(user)).then(|| field("Threads:")?.parse().ok())?
    };
    let pids = entries.flatten().filter(|e| e.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit));
    let status = |e: std::fs::DirEntry| std::fs::read(e.path().join("status")).ok();
    pids.filter_map(status).filter_map(|text| threads(&String::from_utf8_lossy(&text))).sum()
}

/// Fourth field: runnable/all threads of the machine (proc_loadavg(5)).
fn machine_threads() -> Option<u64> {
    read_small(Path::new("/proc/loadavg"))?.split(' ').nth(3)?.split_once('/')?.1.parse().ok()
}

fn machine_pids_left() -> Option<(u64, Limit)> {
    let limit = ["/proc/sys/kernel/threads-max", "/proc/sys/kernel/pid_max"].iter().filter_map(|f| number(Path::new(f))).min()?;
    Some((limit.saturating_sub(machine_threads()?), Limit::MachineProcesses))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(folder: &Path, files: &[(&str, &str)]) {
        std::fs::create_dir_all(folder).unwrap();
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }

    fn hard(folder: &Path) -> Option<(u64, String)> {
        least(hard_limits(folder).into_iter()).map(|(left, limit)| match limit {
            Limit::Group { file, .. } => (left, file.file_name().unwrap().to_str().unwrap().to_string()),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn each_group_says_what_it_leaves() {
        let scratch = testbed::Scratch::new().unwrap();
        let v2 = scratch.path().join("v2");
        group(
            &v2,
            &[
                ("memory.max", "1000\n"),
                ("memory.high", "800\n"),
                ("memory.current", "900\n"),
                ("memory.stat", "anon 5\ninactive_file 300\n"),
                ("pids.max", "20\n"),
                ("pids.current", "17\n"),
            ],
        );
        assert_eq!(hard(&v2), Some((400, "memory.max".to_string())));
        assert_eq!(soft_limit(&v2).map(|l| l.0), Some(200));
        assert_eq!(pids_left(&v2), Some((3, Limit::Group { file: v2.join("pids.max"), limit: 20 })));
        let unlimited = scratch.path().join("max");
        let files = [
            ("memory.max", "max\n"),
            ("memory.high", "max\n"),
            ("memory.current", "900\n"),
            ("pids.max", "max\n"),
            ("pids.current", "1\n"),
        ];
        group(&unlimited, &files);
        assert_eq!((hard(&unlimited), soft_limit(&unlimited), pids_left(&unlimited)), (None, None, None));
        assert_eq!(hard(&scratch.path().join("absent")), None);
    }

    #[test]
    fn the_first_version_counts_swap_and_groups_out_of_sight() {
        let scratch = testbed::Scratch::new().unwrap();
        let v1 = scratch.path().join("v1");
        let files = [
            ("memory.limit_in_bytes", "5000"),
            ("memory.usage_in_bytes", "4000"),
            ("memory.memsw.limit_in_bytes", "9223372036854771712"),
            ("memory.memsw.usage_in_bytes", "4000"),
            ("memory.stat", "inactive_file 1\nhierarchical_memory_limit 9223372036854771712\ntotal_inactive_file 2\n"),
        ];
        group(&v1, &files);
        assert_eq!(hard(&v1), Some((1002, "memory.limit_in_bytes".to_string())));
        // 600 of memory are left, but of memory and swap together only 100.
        group(&v1, &[("memory.memsw.limit_in_bytes", "8000"), ("memory.memsw.usage_in_bytes", "7900")]);
        assert_eq!(hard(&v1), Some((102, "memory.memsw.limit_in_bytes".to_string())));
        // A group that is not mounted here allows less than all that we see.
        group(&v1, &[("memory.stat", "hierarchical_memory_limit 4050\n")]);
        assert_eq!(hard(&v1), Some((50, "memory.stat".to_string())));
    }

    #[test]
    fn the_machine_leaves_something() {
        assert_eq!(available("MemTotal: 5 kB\nMemAvailable:      20 kB\n"), Some(20480));
        assert_eq!(available(""), None);
        assert_eq!(commit_left("CommitLimit:    30 kB\nCommitted_AS:   10 kB\n"), Some(20480));
        assert!(headroom() > Bytes(0));
        assert!(machine_pids_left().unwrap().0 > 0);
    }

    #[test]
    fn the_soft_limit_of_processes_is_read() {
        let text = "Limit  Soft Limit  Hard Limit  Units\nMax processes             94364                unlimited            processes\n";
        assert_eq!(soft_process_limit(text), Some(94364));
        assert_eq!(soft_process_limit("Max processes             unlimited            unlimited            processes\n"), None);
        // Whoever runs this has this thread.
        assert!(threads_of_user(nix::unistd::getuid().as_raw()) > 0);
        assert_eq!(threads_of_user(4_000_000_001), 0);
    }

    #[test]
    fn a_copy_is_admitted_only_where_everything_fits() {
        const MIB: u64 = 1 << 20;
        let limit = Limit::Group { file: "/g/memory.max".into(), limit: 512 * MIB };
        let roomy = Headroom {
            bytes: Bytes(300 * MIB),
            limited_by: limit.clone(),
            before_throttling: None,
            processes: Some((1000, Limit::MachineProcesses)),
            unseen: vec![Unseen::Above { controller: "memory", folder: "/g".into() }],
        };
        assert_eq!(roomy.admits(Bytes(200 * MIB)), Ok(()));
        // Its page tables do not fit any more.
        let tight = roomy.admits(Bytes(299 * MIB)).unwrap_err();
        assert!(matches!(tight, Tight::Memory { .. }), "{tight:?}");
        assert_eq!(tight.to_string(), "a forked copy may cost 308 MiB, 300 MiB are left below /g/memory.max (512 MiB)");
        let high = Headroom { before_throttling: Some((Bytes(10 * MIB), limit.clone())), ..roomy.clone() };
        assert!(matches!(high.admits(Bytes(200 * MIB)), Err(Tight::Throttled { .. })));
        let crowded = Headroom { processes: Some((3, Limit::MachineProcesses)), ..roomy.clone() };
        assert!(matches!(crowded.admits(Bytes(MIB)), Err(Tight::Processes { left: 3, .. })));
        let blind = Headroom { unseen: vec![Unseen::Group { controller: "memory", path: "/x".into() }], ..roomy };
        assert!(matches!(blind.admits(Bytes(MIB)), Err(Tight::Unknown(_))));
    }
}
