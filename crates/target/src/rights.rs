//! Why the kernel refused us, and what would get the right.
//!
//! Holds: [`Missing`] (which right is missing) and how it is found. Never does: try to get one.
//! Sources: ptrace(2) "Ptrace access mode checking"; Documentation/admin-guide/LSM/Yama.rst; PR_SET_DUMPABLE in prctl(2).

use std::ffi::OsString;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::facts::{Capability, Namespace, ProcessFacts, Seccomp};
use crate::status::Status;

/// CAP_SYS_PTRACE, bit 19 of a capability set (capabilities(7)).
const CAP_SYS_PTRACE: u64 = 1 << 19;

/// Which right to read a process is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It belongs to another user and we have no CAP_SYS_PTRACE.
    OtherUser {
        /// The target's real user.
        theirs: u32,
        /// Our effective user.
        ours: u32,
    },
    /// kernel.yama.ptrace_scope forbids it: 1 descendants only, 2 CAP_SYS_PTRACE only, 3 nobody.
    Yama {
        /// The scope in force.
        scope: u8,
    },
    /// It has made itself undumpable (PR_SET_DUMPABLE, a set-user-ID program, an unreadable executable).
    Undumpable,
    /// We are root, but in a container or user namespace without CAP_SYS_PTRACE.
    Capability,
    /// We have CAP_SYS_PTRACE in a user namespace of our own, and it runs outside of that.
    UserNamespace,
    /// None of those, and we are under a seccomp filter, as engines of containers set one.
    Filter,
    /// None of the rules we know: a security module or a seccomp filter.
    Unknown,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::OtherUser { theirs, ours } => {
                write!(f, "it belongs to user {theirs}, this is user {ours} without CAP_SYS_PTRACE")
            }
            Missing::Yama { scope } => write!(f, "kernel.yama.ptrace_scope is {scope}"),
            Missing::Undumpable => write!(f, "it has made itself undumpable (PR_SET_DUMPABLE or a set-user-ID program)"),
            Missing::Capability => write!(f, "this is root without CAP_SYS_PTRACE, as in a container"),
            Missing::UserNamespace => write!(f, "it runs outside of this user namespace, where the rights of its root end"),
            Missing::Filter => write!(f, "the seccomp filter that this program runs under, as in a container, forbids it"),
            Missing::Unknown => write!(f, "a security module or seccomp filter forbids ptrace here"),
        }
    }
}

impl Missing {
    /// Finds out which right is missing to read `pid`, after the kernel has refused.
    pub(crate) fn find(pid: i32) -> Missing {
        let (Ok(theirs), Ok(ours)) = (Status::read(pid), Status::read(std::process::id() as i32)) else { return Missing::Unknown };
        let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok().and_then(|s| s.trim().parse().ok()).unwrap_or(0u8);
        let undumpable = owner_of_files(pid).is_ok_and(|owner| owner != theirs.uids[1]);
        let us = ProcessFacts::of(std::process::id() as i32).ok();
        let inside = us.as_ref().is_some_and(|us| !us.namespaces.in_first_user());
        let filtered = us.is_some_and(|us| matches!(us.seccomp, Some(Seccomp::Filters { .. })));
        match Missing::judge(&theirs, &ours, scope, undumpable) {
            Missing::Unknown if inside && ours.capabilities & CAP_SYS_PTRACE != 0 => Missing::UserNamespace,
            Missing::Unknown if filtered => Missing::Filter,
            missing => missing,
        }
    }

    /// The decision alone, in the kernel's order (__ptrace_may_access, then the security modules).
    fn judge(theirs: &Status, ours: &Status, scope: u8, undumpable: bool) -> Missing {
        if scope >= 3 {
            return Missing::Yama { scope };
        }
        if ours.capabilities & CAP_SYS_PTRACE != 0 {
            return Missing::Unknown;
        }
        let our_uid = ours.uids[1];
        let same = theirs.uids[..3].iter().all(|&u| u == our_uid);
        if our_uid == 0 {
            Missing::Capability
        } else if !same {
            Missing::OtherUser { theirs: theirs.uids[0], ours: our_uid }
        } else if undumpable {
            Missing::Undumpable
        } else if scope >= 1 {
            Missing::Yama { scope }
        } else if theirs.capabilities & !ours.capabilities != 0 {
            // Same user, but it holds capabilities that we lack: cap_ptrace_access_check.
            Missing::Capability
        } else {
            Missing::Unknown
        }
    }

    /// What to run instead: one line that can be pasted where we know enough to write one.
    pub(crate) fn advice(&self, pid: i32) -> String {
        match self {
            Missing::Yama { scope: 3.. } => {
                "no process may be traced until a reboot with kernel.yama.ptrace_scope below 3; read a core file".to_string()
            }
            // Docker's filter lets ptrace and its like through where the capability was given.
            Missing::Filter => container(&ourselves()).unwrap_or_else(as_root),
            _ if std::env::args_os().len() < 2 => format!("{} {pid}", as_root()),
            _ => as_root(),
        }
    }
}

/// Whom the kernel gives the files of a process to: its effective user, or root when it is undumpable. The folder `/proc/PID`
/// itself, like all that everybody may list, is always the former's (task_dump_owner in Linux's fs/proc/base.c).
pub(crate) fn owner_of_files(pid: i32) -> std::io::Result<u32> {
    std::fs::metadata(format!("/proc/{pid}/status")).map(|m| m.uid())
}

/// This command again, as root, with the full path of this program, since root's search path is not the user's, and its
/// arguments. What follows `#` says where to run it, where a child of this shell could not get the right even so.
pub fn as_root() -> String {
    let line = ourselves();
    let us = ProcessFacts::of(std::process::id() as i32).ok();
    let never = us.as_ref().is_some_and(|us| !us.bounding.has(Capability::SysPtrace));
    if let Some(way_in) = container(&line).filter(|_| never) {
        return way_in;
    }
    let mut line = elevated(&line, on_path("sudo") || !on_path("su"));
    if let Some(elsewhere) = us.as_ref().and_then(elsewhere) {
        line += "  # ";
        line += elsewhere;
    }
    line
}

/// This command again, with the full path of this program.
pub(crate) fn ourselves() -> String {
    // Where there is no /proc of ours the kernel does not say.
    let exe =
        std::env::current_exe().map_or_else(|_| std::env::args_os().next().unwrap_or_else(|| "exuvia".into()), |p| p.into_os_string());
    let words: Vec<String> = [exe].into_iter().chain(std::env::args_os().skip(1)).map(quote).collect();
    words.join(" ")
}

/// A command line as root's.
fn elevated(line: &str, by_sudo: bool) -> String {
    if by_sudo {
        format!("sudo {line}")
    } else {
        format!("su -c {}", quote(line.into()))
    }
}

/// Where root's rights are to be had, when neither this process nor what it starts can get them.
fn elsewhere(us: &ProcessFacts) -> Option<&'static str> {
    let other = |ours: Option<Namespace>, first| ours.is_some_and(|n| n != first);
    if other(us.namespaces.pid, Namespace::FIRST_PID) {
        Some("on the host, with the PID that it has there")
    } else if other(us.namespaces.user, Namespace::FIRST_USER) {
        Some("in a shell outside of this user namespace")
    } else if !matches!(us.seccomp, None | Some(Seccomp::Off)) {
        Some("in another shell: this one is under a seccomp filter")
    } else if us.no_new_privileges == Some(true) {
        Some("in another shell: no_new_privs is set here")
    } else if !us.bounding.has(Capability::SysPtrace) {
        Some("in another shell: CAP_SYS_PTRACE was taken from this one for good")
    } else if us.users[1] == 0 && us.effective.has(Capability::SysPtrace) {
        Some("on the host: here even root's rights do not suffice")
    } else {
        None
    }
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// The way to the right from outside of the container that we are in: its root has no CAP_SYS_PTRACE by default, and can
/// never get it from inside.
fn container(line: &str) -> Option<String> {
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        let pod = std::env::var("HOSTNAME").unwrap_or_else(|_| "POD".to_string());
        return Some(format!("kubectl debug --profile=sysadmin --target=CONTAINER -it {} --image=IMAGE_WITH_EXUVIA", quote(pod.into())));
    }
    let engines = [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")];
    let (_, engine) = engines.into_iter().find(|(sign, _)| Path::new(sign).exists())?;
    // Unless it was given another, a container's host name is the beginning of its id, which its engine takes for it.
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = Some(name.trim()).filter(|n| n.len() == 12 && n.bytes().all(|b| b.is_ascii_hexdigit())).unwrap_or("CONTAINER");
    Some(format!("{engine} exec --privileged -u root {name} {line}  # on the host; or start the container with --cap-add=SYS_PTRACE"))
}

/// A word as a shell reads it back.
fn quote(word: OsString) -> String {
    let word = word.to_string_lossy().into_owned();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Capabilities, Namespaces};

    fn user(uid: u32, capabilities: u64) -> Status {
        Status { uids: [uid; 4], capabilities, ..Status::default() }
    }

    #[test]
    fn the_missing_right_is_named() {
        let us = user(1000, 0);
        for (theirs, ours, scope, undumpable, expected) in [
            (user(0, !0), us.clone(), 0, false, Missing::OtherUser { theirs: 0, ours: 1000 }),
            (user(33, 0), us.clone(), 1, false, Missing::OtherUser { theirs: 33, ours: 1000 }),
            (user(1000, 0), us.clone(), 1, false, Missing::Yama { scope: 1 }),
            (user(1000, 0), us.clone(), 2, false, Missing::Yama { scope: 2 }),
            (user(1000, 0), user(0, !0), 3, false, Missing::Yama { scope: 3 }),
            (user(1000, 0), us.clone(), 1, true, Missing::Undumpable),
            (user(1000, 0), user(0, 0), 0, false, Missing::Capability),
            (user(1000, 1 << 12), us.clone(), 0, false, Missing::Capability),
            (user(1000, 0), user(0, CAP_SYS_PTRACE), 0, false, Missing::Unknown),
        ] {
            assert_eq!(Missing::judge(&theirs, &ours, scope, undumpable), expected);
        }
    }

    #[test]
    fn a_word_survives_the_shell() {
        for word in ["types", "a b", "it's", "", "$HOME", "--limit=3"] {
            let line = format!("printf %s {}", quote(word.into()));
            let out = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
            assert_eq!(String::from_utf8(out.stdout).unwrap(), word);
        }
    }

    #[test]
    fn the_advice_names_our_full_path() {
        let advice = as_root();
        let exe = std::env::current_exe().unwrap();
        assert!(advice.contains(&exe.display().to_string()), "{advice}");
        let engine = ["docker exec ", "podman exec ", "kubectl debug "].iter().any(|e| advice.starts_with(e));
        assert!(engine || advice.starts_with(if on_path("sudo") { "sudo " } else { "su -c " }), "{advice}");
        assert_eq!(elevated("/x/exuvia types 7", true), "sudo /x/exuvia types 7");
        assert_eq!(elevated("/x/exuvia types 7", false), "su -c '/x/exuvia types 7'");
    }

    #[test]
    fn where_sudo_gains_nothing_the_advice_says_where_it_does() {
        let mut us = ProcessFacts::of(std::process::id() as i32).unwrap();
        us.namespaces = Namespaces { user: Some(Namespace::FIRST_USER), pid: Some(Namespace::FIRST_PID), ..us.namespaces };
        (us.no_new_privileges, us.seccomp, us.bounding) = (Some(false), Some(Seccomp::Off), Capabilities(!0));
        (us.users, us.effective) = ([1000; 4], Capabilities(0));
        assert_eq!(elsewhere(&us), None);
        (us.users, us.effective) = ([0; 4], Capabilities(!0));
        assert!(elsewhere(&us).unwrap().contains("do not suffice"));
        us.bounding = Capabilities(!(1 << 19));
        assert!(elsewhere(&us).unwrap().contains("CAP_SYS_PTRACE"));
        us.no_new_privileges = Some(true);
        assert!(elsewhere(&us).unwrap().contains("no_new_privs"));
        us.seccomp = Some(Seccomp::Filters { count: None });
        assert!(elsewhere(&us).unwrap().contains("seccomp"));
        us.namespaces.user = Some(Namespace(1));
        assert!(elsewhere(&us).unwrap().contains("user namespace"));
        us.namespaces.pid = Some(Namespace(1));
        assert!(elsewhere(&us).unwrap().contains("PID"));
    }
}
