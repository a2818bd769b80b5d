//! Where the control groups of a process lie as folders.
//!
//! Holds: [`Groups`], the folders of a process's group and of all above it, for each controller that is asked for, and
//! [`Unseen`], what of that chain is out of sight. Never does: know what the files in those folders mean (`headroom`).
//! Both files that are read name paths from the root of *the reader's* control group namespace, with `/..` for what lies
//! outside; so a group lies below a mount when the mount's root is a prefix of the group's path, whoever's mount it is.
//! Sources: cgroups(7), cgroup_namespaces(7), proc_pid_mountinfo(5); cgroup_show_path in Linux's kernel/cgroup/cgroup.c.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// No control group lies deeper: a bound of the walk upwards.
const DEPTH_MAX: usize = 64;
/// Folders that a search for a process looks into: a machine full of containers has a few thousand.
const FOLDERS_MAX: usize = 16_384;
/// What is read of one small file. `memory.stat` has about 2 KiB.
const SMALL_MAX: u64 = 64 << 10;
/// What is read of a table of mounts or a list of processes.
const TABLE_MAX: u64 = 8 << 20;

/// A part of a process's chain of groups whose limits nobody here can see.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unseen {
    /// The group itself: no control group file system that shows it is mounted here or in the target's own root.
    Group {
        /// `memory` or `pids`.
        controller: &'static str,
        /// The path as the kernel names it.
        path: String,
    },
    /// Groups above the highest folder that is mounted here: those of the container's host.
    Above {
        /// `memory` or `pids`.
        controller: &'static str,
        /// The highest folder that is seen.
        folder: PathBuf,
    },
    /// The process's list of groups could not be read.
    List,
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unseen::Group { controller, path } => write!(f, "its {controller} control group {path} is not mounted here"),
            Unseen::Above { controller, folder } => {
                write!(f, "{controller} limits above {} cannot be seen from this container", folder.display())
            }
            Unseen::List => write!(f, "its control groups cannot be read"),
        }
    }
}

/// The groups of one process under one controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Groups {
    /// Its own group first, then each one above, as far as they can be seen.
    pub(crate) folders: Vec<PathBuf>,
    /// What cannot be seen.
    pub(crate) unseen: Vec<Unseen>,
}

impl Groups {
    /// Finds the groups of `pid` that `controller` acts on.
    pub(crate) fn find(pid: i32, controller: &'static str) -> Groups {
        let unreadable = || Groups { folders: Vec::new(), unseen: vec![Unseen::List] };
        // A kernel without control groups has no such file, of nobody.
        if !Path::new("/proc/self/cgroup").exists() {
            return Groups::default();
        }
        let Some(own) = table(Path::new(&format!("/proc/{pid}/cgroup"))) else { return unreadable() };
        let Some(membership) = membership(&own, controller) else { return Groups::default() };
        let mut mounts = parse_mounts(&table(Path::new("/proc/self/mountinfo")).unwrap_or_default(), Path::new("/"));
        // What is not mounted for us may be for it: a container's own view.
        let theirs = PathBuf::from(format!("/proc/{pid}/root"));
        mounts.extend(parse_mounts(&table(Path::new(&format!("/proc/{pid}/mountinfo"))).unwrap_or_default(), &theirs));
        resolve(pid, controller, &membership, &mounts, is_group_folder)
    }
}

/// The text of one small file of a group, when it is a plain file.
pub(crate) fn read_small(path: &Path) -> Option<String> {
    read_bounded(path, SMALL_MAX)
}

fn table(path: &Path) -> Option<String> {
    read_bounded(path, TABLE_MAX)
}

/// Never waits and follows no link at the end: in a target's root the names are the target's.
fn read_bounded(path: &Path, bytes_max: u64) -> Option<String> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path).ok()?;
    if !file.metadata().is_ok_and(|m| m.is_file()) {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A path from the root of our namespace: how many steps up it begins with, and then down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    up: usize,
    down: Vec<String>,
}

impl Place {
    fn parse(path: &str) -> Place {
        let parts = || path.split('/').filter(|part| !part.is_empty());
        let up = parts().take_while(|part| *part == "..").count();
        Place { up, down: parts().skip(up).map(str::to_string).collect() }
    }

    /// The way down from `root` to here, when the names on it are known.
    fn below(&self, root: &Place) -> Option<PathBuf> {
        let known = self.up == root.up && !self.down.iter().any(|part| part == "..");
        known.then(|| self.down.strip_prefix(root.down.as_slice()))?.map(|rest| rest.iter().collect())
    }
}

/// The hierarchy in which a controller acts on a process, and the process's place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Membership {
    /// A v1 hierarchy, where the controller is bound to one; else the v2 hierarchy.
    v1: bool,
    path: String,
}

/// `hierarchy:controllers:path` lines. A controller bound to a v1 hierarchy is in no other.
fn membership(own: &str, controller: &str) -> Option<Membership> {
    let mut unified = None;
    for line in own.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        if controllers.split(',').any(|c| c == controller) {
            return Some(Membership { v1: true, path: path.to_string() });
        }
        if controllers.is_empty() {
            unified = Some(Membership { v1: false, path: path.to_string() });
        }
    }
    unified
}

/// A mount of a control group file system.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    /// The options of its superblock, which name a v1 hierarchy's controllers; `None` for v2.
    v1: Option<Vec<String>>,
    root: Place,
    folder: PathBuf,
}

fn parse_mounts(mountinfo: &str, seen_from: &Path) -> Vec<Mount> {
    let mut out = Vec::new();
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let (mut left, mut right) = (left.split(' ').skip(3), right.split(' '));
        let (Some(root), Some(point), Some(kind)) = (left.next(), left.next(), right.next()) else { continue };
        let v1 = match kind {
            "cgroup2" => None,
            "cgroup" => Some(right.nth(1).unwrap_or_default().split(',').map(str::to_string).collect()),
            _ => continue,
        };
        let root = Place::parse(&unescape(root).to_string_lossy());
        let point = unescape(point);
        out.push(Mount { v1, root, folder: seen_from.join(point.strip_prefix("/").unwrap_or(&point)) });
    }
    out
}

/// Blank, tab, line end and backslash stand as `\` and three octal digits.
fn unescape(text: &str) -> PathBuf {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 4).and_then(|d| std::str::from_utf8(d).ok());
        match digits.and_then(|d| u8::from_str_radix(d, 8).ok()).filter(|_| byte == b'\\') {
            Some(escaped) => {
                out.push(escaped);
                at += 4;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(out))
}

fn resolve(pid: i32, controller: &'static str, of: &Membership, mounts: &[Mount], is_group: impl Fn(&Path, bool) -> bool) -> Groups {
    let mounts: Vec<&Mount> = mounts
        .iter()
        .filter(|m| match &m.v1 {
            Some(controllers) => of.v1 && controllers.iter().any(|c| c == controller),
            None => !of.v1,
        })
        .collect();
    let place = Place::parse(&of.path);
    // The mount that shows most of the chain comes first; among equals ours, which stand first.
    let mut ways: Vec<(&Mount, PathBuf)> = mounts.iter().filter_map(|m| Some((*m, place.below(&m.root)?))).collect();
    ways.sort_by_key(|(_, way)| std::cmp::Reverse(way.components().count()));
    let direct = ways.iter().map(|(m, way)| (m.folder.join(way), *m)).find(|(folder, _)| is_group(folder, of.v1));
    // A mount whose root lies above that of our namespace, as after unshare(CLONE_NEWCGROUP): the names between are not told.
    let found = direct.or_else(|| {
        let mut above = mounts.iter().filter(|m| m.root.up > place.up);
        above.find_map(|m| Some((search(pid, &m.folder, |folder| is_group(folder, of.v1))?, *m)))
    });
    let Some((own, mount)) = found else {
        return Groups { folders: Vec::new(), unseen: vec![Unseen::Group { controller, path: of.path.clone() }] };
    };
    let chain = own.ancestors().take_while(|f| f.starts_with(&mount.folder)).take(DEPTH_MAX);
    let folders: Vec<PathBuf> = chain.map(Path::to_path_buf).collect();
    let mut unseen = Vec::new();
    if let Some(top) = folders.last().filter(|top| !is_top(top, of.v1)) {
        unseen.push(Unseen::Above { controller, folder: top.clone() });
    }
    Groups { folders, unseen }
}

/// Whether this is the group at the very top of its hierarchy, by the files that only that one has (v1) or lacks (v2).
fn is_top(folder: &Path, v1: bool) -> bool {
    if v1 {
        folder.join("release_agent").exists()
    } else {
        !folder.join("cgroup.events").exists()
    }
}

/// Whether it is a folder of a control group file system: something else may be mounted over it.
fn is_group_folder(folder: &Path, v1: bool) -> bool {
    use nix::sys::statfs::{fstatfs, CGROUP2_SUPER_MAGIC, CGROUP_SUPER_MAGIC};
    let wanted = if v1 { CGROUP_SUPER_MAGIC } else { CGROUP2_SUPER_MAGIC };
    let flags = libc::O_DIRECTORY | libc::O_NONBLOCK | libc::O_NOFOLLOW;
    let folder: Option<File> = OpenOptions::new().read(true).custom_flags(flags).open(folder).ok();
    folder.and_then(|f| fstatfs(&f).ok()).is_some_and(|s| s.filesystem_type() == wanted)
}

/// The folder below `top` whose list of processes holds `pid`, layer by layer.
fn search(pid: i32, top: &Path, is_group: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let mut queue = VecDeque::from([top.to_path_buf()]);
    for _ in 0..FOLDERS_MAX {
        let folder = queue.pop_front()?;
        if !is_group(&folder) {
            continue;
        }
        let processes = table(&folder.join("cgroup.procs")).unwrap_or_default();
        if processes.lines().any(|line| line.parse() == Ok(pid)) {
            return Some(folder);
        }
        let below = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let below = below.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path());
        queue.extend(below.take(FOLDERS_MAX.saturating_sub(queue.len())));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fixture folder: nobody checks the file system there.
    fn exists(folder: &Path, _v1: bool) -> bool {
        folder.is_dir()
    }

    fn find(cgroup: &str, controller: &'static str, mountinfo: &str, root: &Path) -> Groups {
        let mounts = parse_mounts(mountinfo, root);
        resolve(77, controller, &membership(cgroup, controller).unwrap(), &mounts, exists)
    }

    /// Folders below a scratch folder that stands for `/`, the top ones marked as tops.
    fn world(folders: &[&str]) -> testbed::Scratch {
        let scratch = testbed::Scratch::new().unwrap();
        for folder in folders {
            std::fs::create_dir_all(scratch.path().join(folder)).unwrap();
        }
        scratch
    }

    #[track_caller]
    fn check(world: &testbed::Scratch, groups: &Groups, folders: &[&str], unseen: usize) {
        let found: Vec<_> = groups.folders.iter().map(|f| f.strip_prefix(world.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!((found.as_slice(), groups.unseen.len()), (folders, unseen), "{groups:?}");
    }

    #[test]
    fn one_hierarchy_for_everything() {
        let w = world(&["sys/fs/cgroup/a/b"]);
        let mounts = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        let chain = ["sys/fs/cgroup/a/b", "sys/fs/cgroup/a", "sys/fs/cgroup"];
        for controller in ["memory", "pids"] {
            check(&w, &find("0::/a/b\n", controller, mounts, w.path()), &chain, 0);
        }
    }

    #[test]
    fn each_controller_in_its_own_hierarchy_wherever_it_is_mounted() {
        let w = world(&["memory/x", "odd place/y", "unified/z", "both"]);
        let mounts = "1 2 0:3 / /memory rw - cgroup cgroup rw,memory\n\
            1 2 0:4 / /odd\\040place rw - cgroup none rw,cpu,pids\n\
            1 2 0:5 / /unified rw - cgroup2 cgroup2 rw\n\
            1 2 0:6 / /both rw - tmpfs tmpfs rw\n";
        let own = "9:name=systemd:/s\n4:memory:/x\n3:cpu,pids:/y\n0::/z\n";
        // The tops of v1 are known by a file.
        for top in ["memory", "odd place"] {
            std::fs::write(w.path().join(top).join("release_agent"), "").unwrap();
        }
        check(&w, &find(own, "memory", mounts, w.path()), &["memory/x", "memory"], 0);
        check(&w, &find(own, "pids", mounts, w.path()), &["odd place/y", "odd place"], 0);
        // Not bound to any v1 hierarchy: in v2.
        check(&w, &find("4:memory:/x\n0::/z\n", "pids", mounts, w.path()), &["unified/z", "unified"], 0);
    }

    #[test]
    fn a_container_sees_its_part_of_the_chain() {
        // Docker without a namespace of its own: the mount's root is the container's group, and so is the path.
        let w = world(&["sys/fs/cgroup/memory/job"]);
        let mounts = "1 2 0:3 /docker/f00 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let groups = find("4:memory:/docker/f00/job\n", "memory", mounts, w.path());
        check(&w, &groups, &["sys/fs/cgroup/memory/job", "sys/fs/cgroup/memory"], 1);
        assert!(matches!(groups.unseen[0], Unseen::Above { .. }));
        // A neighbour of the mount's root is not below it.
        let groups = find("4:memory:/docker/f00d\n", "memory", mounts, w.path());
        check(&w, &groups, &[], 1);
        assert!(matches!(groups.unseen[0], Unseen::Group { .. }));
    }

    #[test]
    fn a_neighbour_container_is_seen_through_its_own_root() {
        // We see only ourselves at `/`; it lies beside us, and its own mount shows it.
        let w = world(&["ours/beside", "theirs/cg"]);
        let mut mounts = parse_mounts("1 2 0:3 / /ours rw - cgroup2 cgroup2 rw\n", w.path());
        mounts.extend(parse_mounts("1 2 0:3 /../beside /cg rw - cgroup2 cgroup2 rw\n", &w.path().join("theirs")));
        let groups = resolve(77, "memory", &membership("0::/../beside\n", "memory").unwrap(), &mounts, exists);
        check(&w, &groups, &["theirs/cg"], 0);
    }

    #[test]
    fn where_the_names_are_not_told_the_process_is_searched() {
        // After unshare(CLONE_NEWCGROUP) the mounts of before have a root above ours.
        let w = world(&["cg/a/us/it", "cg/b"]);
        std::fs::write(w.path().join("cg/b/cgroup.procs"), "7\n777\n").unwrap();
        std::fs::write(w.path().join("cg/a/us/it/cgroup.procs"), "1\n77\n").unwrap();
        let mounts = "1 2 0:3 /../.. /cg rw - cgroup2 cgroup2 rw\n";
        check(&w, &find("0::/it\n", "memory", mounts, w.path()), &["cg/a/us/it", "cg/a/us", "cg/a", "cg"], 0);
        // It is there, but not our process.
        std::fs::write(w.path().join("cg/a/us/it/cgroup.procs"), "1\n").unwrap();
        check(&w, &find("0::/it\n", "memory", mounts, w.path()), &[], 1);
    }

    #[test]
    fn the_mount_that_shows_most_is_taken_and_a_hidden_one_passed_over() {
        let w = world(&["part", "whole/a/b"]);
        let mounts = "1 2 0:3 /a/b /part rw - cgroup2 cgroup2 rw\n1 2 0:3 / /whole rw - cgroup2 cgroup2 rw\n";
        check(&w, &find("0::/a/b\n", "memory", mounts, w.path()), &["whole/a/b", "whole/a", "whole"], 0);
        std::fs::remove_dir_all(w.path().join("whole")).unwrap();
        check(&w, &find("0::/a/b\n", "memory", mounts, w.path()), &["part"], 0);
    }

    #[test]
    fn a_path_that_climbs_in_its_middle_leads_nowhere() {
        let w = world(&["cg/a", "secret"]);
        let mounts = "1 2 0:3 / /cg rw - cgroup2 cgroup2 rw\n";
        check(&w, &find("0::/a/../../secret\n", "memory", mounts, w.path()), &[], 1);
    }

    #[test]
    fn octal_escapes_are_read_and_others_left_alone() {
        for (text, expected) in [("/a\\040b", "/a b"), ("/a\\", "/a\\"), ("/\\134x", "/\\x"), ("/\\9zz", "/\\9zz"), ("", "")] {
            assert_eq!(unescape(text), Path::new(expected));
        }
    }

    #[test]
    fn a_pipe_is_no_file_to_wait_for() {
        let w = world(&[]);
        let pipe = w.path().join("memory.max");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        assert_eq!(read_small(&pipe), None);
    }

    #[test]
    fn a_real_group_of_the_second_version_is_found() {
        // A controller that no v1 hierarchy has is looked for in v2, whether or not there is one of that name.
        let mounts = parse_mounts(&table(Path::new("/proc/self/mountinfo")).unwrap(), Path::new("/"));
        let Some(top) = mounts.iter().filter(|m| m.v1.is_none()).map(|m| m.folder.clone()).next_back() else {
            println!("left out: no cgroup2 is mounted");
            return;
        };
        let outer = top.join(format!("exuvia-unified-{}", std::process::id()));
        let inner = outer.join("in ner");
        if let Err(error) = std::fs::create_dir_all(&inner) {
            println!("left out: {}: {error}", inner.display());
            return;
        }
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let moved = std::fs::write(inner.join("cgroup.procs"), child.id().to_string());
        let groups = Groups::find(child.id() as i32, "no such controller");
        let inner_is_top = is_top(&inner, false);
        let searched = search(child.id() as i32, &outer, |folder| is_group_folder(folder, false));
        child.kill().unwrap();
        child.wait().unwrap();
        for folder in [&inner, &outer] {
            while std::fs::remove_dir(folder).is_err_and(|e| e.raw_os_error() == Some(libc::EBUSY)) {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
        if let Err(error) = moved {
            println!("left out: cannot move a process: {error}");
            return;
        }
        assert_eq!(groups.folders.get(..3), Some([inner.clone(), outer, top].as_slice()));
        assert_eq!((searched, inner_is_top), (Some(inner), false));
        // The kernel tells the machine's top from a container's.
        let container = std::fs::read_link("/proc/self/ns/cgroup").unwrap() != Path::new("cgroup:[4026531835]");
        assert_eq!(groups.unseen.is_empty(), !container, "{groups:?}");
    }
}
