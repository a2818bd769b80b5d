//! What control groups, the machine and its user's limit leave to a process, and the command that makes more room.

use memory::Bytes;
use snapshot::Check;
use target::{Headroom, Limit, Tight, Unseen};

use super::{lacks, works};

/// What a forked copy may cost, and what is left for it.
pub(super) fn room(pid: i32, headroom: &Headroom, resident: Bytes) -> Check {
    let mut parts = match headroom.limited_by {
        Limit::Nothing => vec!["nothing limits its memory".to_string()],
        ref limit => vec![format!("{} left below {limit}", headroom.bytes)],
    };
    parts.extend(headroom.processes.as_ref().map(|(left, limit)| format!("{left} more processes below {limit}")));
    parts.extend(headroom.unseen.iter().map(Unseen::to_string));
    match headroom.admits_fork(resident) {
        Ok(()) => works("headroom", parts.join("; ")),
        Err(tight) => {
            let advice = more_room(pid, &tight);
            lacks("headroom", format!("{tight}: it is frozen, not forked"), advice)
        }
    }
}

/// The command that makes the room, where that is in anybody's hands.
fn more_room(pid: i32, tight: &Tight) -> String {
    match tight {
        Tight::Memory { needed, left, limit: Limit::Group { file, limit } }
        | Tight::Throttled { needed, left, limit: Limit::Group { file, limit } }
            if file.file_name().is_some_and(|name| name != "memory.stat") =>
        {
            // In whole MiB, with one to spare.
            let raised = (limit.saturating_add(needed.0.saturating_sub(left.0)) >> 20).saturating_add(2) << 20;
            set(&file.display().to_string(), raised)
        }
        Tight::Processes { limit: Limit::Group { file, limit }, .. } => set(&file.display().to_string(), limit.saturating_add(32)),
        Tight::Processes { limit: Limit::UserProcesses { limit, .. }, .. } => {
            format!("prlimit --nproc={}: --pid {pid}  # as root", limit.saturating_add(32))
        }
        Tight::Processes { .. } => "sysctl kernel.threads-max kernel.pid_max  # the machine's limits: as root, larger ones".to_string(),
        Tight::Unknown(Unseen::Group { controller, .. }) => mount(controller),
        _ => "free -h  # the machine has no more; a freeze needs less".to_string(),
    }
}

/// As root; a limit of the first version that is on memory and swap together lies above that on memory and may stay.
fn set(file: &str, value: u64) -> String {
    format!("echo {value} > {}  # as root", report::text::shell_quoted(file))
}

/// Shows the groups, so that their limits are seen.
fn mount(controller: &str) -> String {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let first = own.lines().any(|l| l.split(':').nth(1).is_some_and(|all| all.split(',').any(|c| c == controller)));
    let (kind, name) = if first { (format!("cgroup -o {controller}"), controller) } else { ("cgroup2".to_string(), "cgroup2") };
    format!("mkdir -p /tmp/{name} && mount -t {kind} {name} /tmp/{name}  # as root: then its limits are seen")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_by_what_is_missing() {
        let limit = Limit::Group { file: "/g/memory.max".into(), limit: 100 << 20 };
        let tight = Tight::Memory { needed: Bytes(60 << 20), left: Bytes(20 << 20), limit };
        assert_eq!(more_room(7, &tight), format!("echo {} > /g/memory.max  # as root", 142 << 20));
        let tight = Tight::Processes { left: 3, limit: Limit::UserProcesses { user: 1000, limit: 50 } };
        assert_eq!(more_room(7, &tight), "prlimit --nproc=82: --pid 7  # as root");
    }
}
