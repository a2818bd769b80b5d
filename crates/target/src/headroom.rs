//! How much memory a copy may take before somebody is killed for it.
//!
//! Holds: [`headroom`]: the least of what the machine and every control group above us leave.
//! Never does: look at the target's own control group (a frozen copy is charged to ours).
//! Sources: proc_meminfo(5) MemAvailable; Documentation/admin-guide/cgroup-v2.rst (memory.max, memory.current, memory.stat) and
//! cgroup-v1/memory.rst (memory.limit_in_bytes, memory.usage_in_bytes, total_inactive_file).

use std::path::{Path, PathBuf};

use memory::Bytes;

/// No control group lies deeper: a bound of the walk upwards.
const DEPTH_MAX: usize = 64;

/// What is left for us. A limit that cannot be read does not limit.
pub(crate) fn headroom() -> Bytes {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let left = group_folders(&groups, Path::new("/sys/fs/cgroup")).into_iter().filter_map(|folder| left_in(&folder));
    Bytes(left.chain(machine).min().unwrap_or(u64::MAX))
}

fn available(meminfo: &str) -> Option<u64> {
    let kib: u64 = meminfo.lines().find_map(|l| l.strip_prefix("MemAvailable:")?.trim().strip_suffix("kB")?.trim().parse().ok())?;
    kib.checked_mul(1024)
}

/// The folders of our group and all above it, in both hierarchies. In a container the path that the kernel names may lie
/// outside of what is mounted; its ancestors, down to the mount itself, are then what counts.
fn group_folders(own: &str, root: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let mount = match controllers {
            "" => root.to_path_buf(),
            list if list.split(',').any(|c| c == "memory") => root.join("memory"),
            _ => continue,
        };
        let path = path.trim_start_matches('/');
        // `..` would lead out of the mount: the group lies outside of our namespace.
        let inside = !path.is_empty() && path.split('/').all(|part| part != "..");
        let own = if inside { mount.join(path) } else { mount.clone() };
        out.extend(own.ancestors().take_while(|folder| folder.starts_with(&mount)).take(DEPTH_MAX).map(Path::to_path_buf));
    }
    out
}

/// Limit less usage of one group; files in its cache that can be dropped do not count as used.
fn left_in(folder: &Path) -> Option<u64> {
    let number = |name: &str| std::fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    let limit = number("memory.max").or_else(|| number("memory.limit_in_bytes"))?;
    let used = number("memory.current").or_else(|| number("memory.usage_in_bytes"))?;
    let stat = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let field = |name: &str| stat.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' ')?.parse::<u64>().ok());
    let droppable = field("total_inactive_file").or_else(|| field("inactive_file")).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(droppable)))
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

    #[test]
    fn each_group_says_what_it_leaves() {
        let scratch = testbed::Scratch::new().unwrap();
        let v2 = scratch.path().join("v2");
        group(&v2, &[("memory.max", "1000\n"), ("memory.current", "900\n"), ("memory.stat", "anon 5\ninactive_file 300\n")]);
        assert_eq!(left_in(&v2), Some(400));
        let v1 = scratch.path().join("v1");
        group(
            &v1,
            &[
                ("memory.limit_in_bytes", "5000"),
                ("memory.usage_in_bytes", "4000"),
                ("memory.stat", "inactive_file 1\ntotal_inactive_file 2\n"),
            ],
        );
        assert_eq!(left_in(&v1), Some(1002));
        let unlimited = scratch.path().join("max");
        group(&unlimited, &[("memory.max", "max\n"), ("memory.current", "900\n")]);
        assert_eq!(left_in(&unlimited), None);
        assert_eq!(left_in(&scratch.path().join("absent")), None);
    }

    #[test]
    fn our_group_and_all_above_it_count() {
        let root = Path::new("/sys/fs/cgroup");
        let shown = |own: &str| group_folders(own, root).iter().map(|p| p.display().to_string()).collect::<Vec<_>>();
        assert_eq!(shown("0::/a/b\n"), ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"]);
        assert_eq!(shown("4:memory:/x\n3:cpu:/y\n"), ["/sys/fs/cgroup/memory/x", "/sys/fs/cgroup/memory"]);
        assert_eq!(shown("0::/../../other\n"), ["/sys/fs/cgroup"]);
    }

    #[test]
    fn the_machine_leaves_something() {
        assert_eq!(available("MemTotal: 5 kB\nMemAvailable:      20 kB\n"), Some(20480));
        assert_eq!(available(""), None);
        assert!(headroom() > Bytes(0));
    }
}
