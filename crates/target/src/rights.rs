//! Why the kernel refused us, and what would get the right.
//!
//! Holds: [`Missing`] (which right is missing) and how it is found. Never does: try to get one.
//! Sources: ptrace(2) "Ptrace access mode checking"; Documentation/admin-guide/LSM/Yama.rst; PR_SET_DUMPABLE in prctl(2).

use std::ffi::OsString;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

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
        Missing::judge(&theirs, &ours, scope, undumpable)
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
            // Being root may be all that is missing, in a container too.
            Missing::OtherUser { .. } | Missing::Undumpable => sudo(pid),
            // A container's root has no CAP_SYS_PTRACE by default.
            Missing::Yama { .. } | Missing::Capability | Missing::Unknown => container().unwrap_or_else(|| sudo(pid)),
        }
    }
}

/// Whom the kernel gives the files of a process to: its effective user, or root when it is undumpable. The folder `/proc/PID`
/// itself, like all that everybody may list, is always the former's (task_dump_owner in Linux's fs/proc/base.c).
pub(crate) fn owner_of_files(pid: i32) -> std::io::Result<u32> {
    std::fs::metadata(format!("/proc/{pid}/status")).map(|m| m.uid())
}

/// `sudo` with the full path of this program, since sudo's own search path is not the user's, and its arguments.
fn sudo(pid: i32) -> String {
    let exe = std::env::current_exe().unwrap_or_else(|_| "exuvia".into());
    let mut words = vec!["sudo".to_string(), quote(exe.as_os_str().to_os_string())];
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.is_empty() {
        words.push(pid.to_string());
    }
    words.extend(arguments.into_iter().map(quote));
    words.join(" ")
}

/// The way into a container with the right, when we are in one.
fn container() -> Option<String> {
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        let pod = std::env::var("HOSTNAME").unwrap_or_else(|_| "POD".to_string());
        return Some(format!("kubectl debug --profile=sysadmin --target=CONTAINER -it {} --image=IMAGE_WITH_EXUVIA", quote(pod.into())));
    }
    if Path::new("/.dockerenv").exists() {
        return Some("docker run --cap-add=SYS_PTRACE … (or from the host: sudo exuvia with the host's PID)".to_string());
    }
    if Path::new("/run/.containerenv").exists() {
        return Some("podman run --cap-add=SYS_PTRACE … (or from the host: sudo exuvia with the host's PID)".to_string());
    }
    None
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
        let advice = sudo(4121);
        let exe = std::env::current_exe().unwrap();
        assert!(advice.starts_with(&format!("sudo {}", exe.display())), "{advice}");
    }
}
