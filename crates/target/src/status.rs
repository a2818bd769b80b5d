//! `/proc/PID/status` and `/proc/PID/stat`: the few fields that decide whether and how a process can be read.
//!
//! Holds: [`Status`] and its parser. Never does: judge (that is `process` and `rights`).
//! Source: proc_pid_status(5), proc_pid_stat(5); PF_KTHREAD in Linux's include/linux/sched.h.

use std::io;

/// What the kernel says about one process or thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// The command's short name, at most 15 bytes.
    pub(crate) name: String,
    /// `R`, `S`, `D`, `T` (stopped by a signal), `t` (traced), `Z` (zombie), `X` (dead), `I`.
    pub(crate) state: char,
    /// The process that this thread belongs to.
    pub(crate) tgid: i32,
    pub(crate) parent: i32,
    /// Who traces it; zero for nobody.
    pub(crate) tracer: i32,
    /// Real, effective, saved and filesystem user.
    pub(crate) uids: [u32; 4],
    /// Effective capabilities, a bit set.
    pub(crate) capabilities: u64,
    /// Whether it still has memory: a process on its way out gives that back before it becomes a zombie.
    pub(crate) has_memory: bool,
    /// Whether it is a thread of the kernel.
    pub(crate) kernel: bool,
    /// Clock ticks since boot at which it started: with the PID it names one process for ever.
    pub(crate) start_time: u64,
}

impl Status {
    /// Reads both files of a process, or of a thread where `pid` names one.
    pub(crate) fn read(pid: i32) -> io::Result<Status> {
        let status = std::fs::read(format!("/proc/{pid}/status"))?;
        let stat = std::fs::read(format!("/proc/{pid}/stat"))?;
        Ok(Status::parse(&String::from_utf8_lossy(&status), &String::from_utf8_lossy(&stat)))
    }

    /// Reads `status` text and `stat` text. Missing fields stay zero.
    pub(crate) fn parse(status: &str, stat: &str) -> Status {
        let mut out = Status { state: '?', ..Status::default() };
        for line in status.lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match key {
                "Name" => out.name = value.to_string(),
                "State" => out.state = value.chars().next().unwrap_or('?'),
                "Tgid" => out.tgid = value.parse().unwrap_or_default(),
                "PPid" => out.parent = value.parse().unwrap_or_default(),
                "TracerPid" => out.tracer = value.parse().unwrap_or_default(),
                "VmSize" => out.has_memory = true,
                "CapEff" => out.capabilities = u64::from_str_radix(value, 16).unwrap_or_default(),
                "Uid" => {
                    for (uid, text) in out.uids.iter_mut().zip(value.split_ascii_whitespace()) {
                        *uid = text.parse().unwrap_or_default();
                    }
                }
                _ => {}
            }
        }
        // The name stands in parentheses and may itself hold parentheses and spaces: count fields from the last one.
        if let Some((_, rest)) = stat.rsplit_once(')') {
            const PF_KTHREAD: u64 = 0x0020_0000;
            let field = |n: usize| rest.split_ascii_whitespace().nth(n - 3).and_then(|f| f.parse::<u64>().ok()).unwrap_or_default();
            out.kernel = field(9) & PF_KTHREAD != 0;
            out.start_time = field(22);
        }
        out
    }
}

/// The page faults of a process until now, minor and major.
pub(crate) fn page_faults(pid: i32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat).into_owned();
    let (_, rest) = stat.rsplit_once(')')?;
    let field = |n: usize| rest.split_ascii_whitespace().nth(n - 3)?.parse::<u64>().ok();
    Some(field(10)? + field(12)?)
}

/// The short name of a process, for messages; `?` when it is gone.
pub(crate) fn name_of(pid: i32) -> String {
    match std::fs::read(format!("/proc/{pid}/comm")) {
        Ok(comm) => String::from_utf8_lossy(comm.trim_ascii_end()).into_owned(),
        Err(_) => "?".to_string(),
    }
}

/// The process that traces, from what `TracerPid` says: that is the number of the tracing thread.
pub(crate) fn tracing_process(tracer: i32) -> i32 {
    Status::read(tracer).map_or(tracer, |s| s.tgid)
}

/// The threads of a process, by id.
pub(crate) fn threads_of(pid: i32) -> io::Result<Vec<i32>> {
    let mut tids = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        if let Some(tid) = entry?.file_name().to_str().and_then(|n| n.parse().ok()) {
            tids.push(tid);
        }
    }
    tids.sort_unstable();
    Ok(tids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_fields_that_matter() {
        let status = "Name:\tpython3\nUmask:\t0022\nState:\tT (stopped)\nTgid:\t4121\nPid:\t4121\nPPid:\t1\nTracerPid:\t77\n\
            Uid:\t1000\t1001\t1002\t1003\nVmSize:\t 9876 kB\nCapEff:\t0000000000080000\n";
        let stat = "4121 (a) b (c)) T 1 4121 4121 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 10 11";
        let s = Status::parse(status, stat);
        assert_eq!((s.name.as_str(), s.state, s.tgid, s.parent, s.tracer), ("python3", 'T', 4121, 1, 77));
        assert_eq!(s.uids, [1000, 1001, 1002, 1003]);
        assert_eq!(s.capabilities, 1 << 19);
        assert_eq!((s.kernel, s.has_memory, s.start_time), (false, true, 987654));
    }

    #[test]
    fn knows_a_kernel_thread_by_its_flag() {
        assert!(Status::parse("", "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0").kernel);
    }

    #[test]
    fn this_process_has_itself_as_a_thread() {
        let pid = std::process::id() as i32;
        assert!(threads_of(pid).unwrap().contains(&pid));
        assert_eq!(Status::read(pid).unwrap().tgid, pid);
    }
}
