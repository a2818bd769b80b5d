//! Where a process stands as seen from here: its number in its own PID namespace, and its container's id.
//!
//! Holds: [`Inside`], [`namesakes`] (who has a number in a namespace of its own) and [`check_proc`] (is `/proc` the one of our own
//! namespace). Never does: enter a namespace, ask a container's engine.
//! Sources: proc_pid_status(5) (`NSpid`: a process's numbers from the namespace of the mounted `/proc` inwards), pid_namespaces(7),
//! proc_self(5); the names of control groups are those of Docker, containerd, CRI-O, Podman and LXC as these projects document them.

use std::path::Path;

use crate::error::TargetError;

/// An id is told by so many of its digits, as the engines do in their lists.
const ID_SHOWN: usize = 12;
/// A name of a container that is no id (LXC) is cut here: whoever made it chose it.
const NAME_SHOWN: usize = 32;
/// Processes that are looked at for one number: more than `kernel.pid_max` is by default.
const PROCESSES_MAX: usize = 65_536;
/// Namesakes that are told: a machine full of containers has a process 1 in each.
const NAMESAKES_MAX: usize = 4;

/// Where a process is, if it is not where we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// Its PID in its own PID namespace; `None` where that is ours too.
    pub pid: Option<i32>,
    /// Its container by the name of its control group, `docker 0123456789ab`; `None` where that is ours too. Chosen by others: to be
    /// escaped.
    pub container: Option<String>,
}

impl Inside {
    /// Finds out what `/proc/PID/status` and `/proc/PID/cgroup` tell of it; what they do not is `None`.
    pub fn of(pid: i32) -> Inside {
        let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let (status, groups) = (read("status"), read("cgroup"));
        let pid = match numbers(&String::from_utf8_lossy(&status)).as_slice() {
            [_, .., inside] => Some(*inside),
            _ => None,
        };
        let ours = std::fs::read("/proc/self/cgroup").unwrap_or_default();
        let [theirs, ours] = [groups, ours].map(|groups| container(&String::from_utf8_lossy(&groups)));
        Inside { pid, container: theirs.filter(|theirs| ours.as_ref() != Some(theirs)) }
    }
}

/// The processes that are `pid` in a PID namespace below ours, by our number and their name: at most a handful.
pub fn namesakes(pid: i32) -> Vec<(i32, String)> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut all: Vec<i32> = processes.filter_map(|e| e.file_name().to_str()?.parse().ok()).take(PROCESSES_MAX).collect();
    all.sort_unstable();
    let inside = all.into_iter().filter(|ours| *ours != pid && Inside::of(*ours).pid == Some(pid));
    inside.take(NAMESAKES_MAX).map(|ours| (ours, crate::status::name_of(ours))).collect()
}

/// Whether `/proc` shows the processes of our own PID namespace, by our own numbers: calls of the system take only these. In a
/// container's PID namespace with the `/proc` of its host each number would name two processes.
pub fn check_proc() -> Result<(), TargetError> {
    let status = match std::fs::read_to_string("/proc/self/status") {
        Ok(status) => status,
        // The link leads nowhere for who is not in the namespace of that /proc.
        Err(_) if Path::new("/proc/version").exists() => return Err(TargetError::OtherProc { as_there: None }),
        Err(source) => return Err(TargetError::NoProc { source }),
    };
    match numbers(&status).as_slice() {
        // One number: the namespace of this /proc is our own. None: Linux before 4.1 does not tell.
        [] | [_] => Ok(()),
        [there, ..] => Err(TargetError::OtherProc { as_there: Some(*there) }),
    }
}

fn numbers(status: &str) -> Vec<i32> {
    let line = status.lines().find_map(|l| l.strip_prefix("NSpid:")).unwrap_or_default();
    line.split_ascii_whitespace().filter_map(|n| n.parse().ok()).collect()
}

/// `docker 0123456789ab`: the innermost part of a control group's path that an engine has named after a container.
fn container(groups: &str) -> Option<String> {
    let paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.filter_map(|path| path.split('/').zip(path.split('/').skip(1)).filter_map(|(above, part)| named(above, part)).last()).next()
}

/// A part of the path, with the one above it, which tells the engine where the part is the bare id.
fn named(above: &str, part: &str) -> Option<String> {
    // In front of an id as a scope of systemd's, after the last colon where runc's cgroupfs driver was given systemd's form.
    const SCOPES: [(&str, &str); 5] =
        [("docker", "docker"), ("cri-containerd", "containerd"), ("crio", "cri-o"), ("libpod", "podman"), ("nerdctl", "nerdctl")];
    let bare = part.strip_suffix(".scope").unwrap_or(part);
    for (prefix, engine) in SCOPES {
        let id = bare.rsplit_once(':').map_or(bare, |(_, id)| id);
        let is_its = bare.split(':').any(|p| p == prefix) || id.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('-'));
        let id = id.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')).unwrap_or(id);
        if is_its && is_id(id) {
            return Some(format!("{engine} {}", shown(id)));
        }
    }
    // cgroupfs: /docker/ID, /libpod_parent/…, /kubepods/burstable/podUID/ID.
    let engine = match above {
        "docker" | "podman" | "nerdctl" => above,
        pod if pod.starts_with("pod") || pod.contains("-pod") => "kubernetes",
        _ => "",
    };
    if !engine.is_empty() && is_id(part) {
        return Some(format!("{engine} {}", shown(part)));
    }
    let name = part.strip_prefix("lxc.payload.").or((above == "lxc").then_some(part))?;
    (!name.is_empty()).then(|| format!("lxc {}", name.chars().take(NAME_SHOWN).collect::<String>()))
}

/// Engines make 64 hexadecimal digits.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn shown(id: &str) -> &str {
    id.get(..ID_SHOWN).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, wanted: Option<&str>) {
        let id = "0123456789ab".to_string() + &"cdef".repeat(13);
        assert_eq!(container(&format!("3:cpu:/\n0::{}\n", path.replace("ID", &id))).as_deref(), wanted, "{path}");
    }

    #[test]
    fn containers_are_known_by_their_groups() {
        check("/docker/ID", Some("docker 0123456789ab"));
        check("/docker/ID/init", Some("docker 0123456789ab"));
        check("/system.slice/docker-ID.scope", Some("docker 0123456789ab"));
        check(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-ID.scope",
            Some("containerd 0123456789ab"),
        );
        check("/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:ID", Some("containerd 0123456789ab"));
        check("/kubepods/besteffort/pod7b2c/ID", Some("kubernetes 0123456789ab"));
        check("/kubepods.slice/kubepods-pod1.slice/crio-ID.scope", Some("cri-o 0123456789ab"));
        check("/machine.slice/libpod-ID.scope/container", Some("podman 0123456789ab"));
        check("/lxc.payload.web/init.scope", Some("lxc web"));
        // The innermost one, and nothing that an engine did not name.
        check("/docker/ID/kubepods/pod1/ID", Some("kubernetes 0123456789ab"));
        for other in
            ["/", "", "/docker/buildx", "/system.slice/docker.service", "/machine.slice/libpod-conmon-ID.scope", "/docker-ID", "/a/ID"]
        {
            check(other, (other == "/docker-ID").then_some("docker 0123456789ab"));
        }
        // A name without an end is cut.
        let long = container(&format!("0::/lxc/{}", "x".repeat(5000))).unwrap();
        assert_eq!(long.len(), "lxc ".len() + NAME_SHOWN);
    }

    #[test]
    fn the_innermost_number_counts() {
        assert_eq!(numbers("Name:\tx\nNSpid:\t4711\t20\t7\nNSpgid:\t1\n"), [4711, 20, 7]);
        assert!(numbers("Name:\tx\n").is_empty());
        assert_eq!(Inside::of(std::process::id() as i32).pid, None);
        assert!(check_proc().is_ok());
        assert!(namesakes(-7).is_empty());
    }
}
