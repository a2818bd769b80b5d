//! Who we are, who the target is, and what stands between: facts for `doctor`, without a judgement.
//!
//! Holds: [`Facts`] (this process and its surroundings) and [`ProcessFacts`] (of us or of a target). A fact that the kernel does
//! not tell us is `None`, never a guess. Never does: attach, advise (`rights` does), try a feature (`kernel` does).
//! Sources: proc_pid_status(5), namespaces(7), capabilities(7), PR_SET_DUMPABLE in prctl(2), task_dump_owner in Linux's
//! fs/proc/base.c, the initial namespaces' numbers in include/uapi/linux/nsfs.h and include/linux/proc_ns.h,
//! Documentation/admin-guide/LSM/Yama.rst, Documentation/admin-guide/LSM/index.rst.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use memory::Bytes;

use crate::status::{name_of, tracing_process};

/// This process and where it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// This process.
    pub us: ProcessFacts,
    /// `kernel.yama.ptrace_scope`: 0 classic rules, 1 descendants only, 2 CAP_SYS_PTRACE only, 3 nobody. `None`: no Yama here.
    pub yama_scope: Option<u8>,
    /// The security modules in force, as the kernel lists them; `None` where securityfs is not mounted.
    pub security_modules: Option<String>,
    /// What tells that we are in a container. Empty: nothing does.
    pub container: Vec<ContainerSign>,
}

impl Facts {
    /// Gathers what there is to know about this process.
    pub fn gather() -> io::Result<Facts> {
        let us = ProcessFacts::of(std::process::id() as i32)?;
        let container = container_signs(&us);
        let security_modules = std::fs::read_to_string("/sys/kernel/security/lsm").ok().map(|t| t.trim().to_string());
        let yama_scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok().and_then(|t| t.trim().parse().ok());
        Ok(Facts { us, yama_scope, security_modules, container })
    }
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessFacts {
    /// Its PID, as we count.
    pub pid: i32,
    /// The short name of its program.
    pub name: String,
    /// The kernel's state letter: `R`, `S`, `D`, `T` (stopped by a signal), `t` (in a trace stop), `Z` …
    pub state: char,
    /// The process that traces it, and that one's name.
    pub tracer: Option<(i32, String)>,
    /// What it has in memory (VmRSS).
    pub resident: Bytes,
    /// Its PID in each PID namespace that it is in, the innermost last. More than one: it runs in a container of ours.
    pub pids_inside: Vec<i32>,
    /// Real, effective, saved and filesystem user.
    pub users: [u32; 4],
    /// What it may do now, in its user namespace and those below: in another than the first, all of them are worth nothing
    /// towards the processes outside.
    pub effective: Capabilities,
    /// What it may allow itself.
    pub permitted: Capabilities,
    /// What it and all that it starts can ever get. A container takes from these, and then even its root has not got them.
    pub bounding: Capabilities,
    /// It and all that it starts get no further rights by exec: sudo does nothing. `None`: the kernel does not say.
    pub no_new_privileges: Option<bool>,
    /// Its main thread's seccomp. `None`: a kernel without.
    pub seccomp: Option<Seccomp>,
    /// Its namespaces.
    pub namespaces: Namespaces,
    /// Whether its user may read it (PR_GET_DUMPABLE). `None`: it is root's own, where its files look the same either way.
    pub dumpable: Option<bool>,
    /// Its security module's label, such as AppArmor's `docker-default (enforce)`.
    pub label: Option<String>,
}

impl ProcessFacts {
    /// Reads what the kernel tells about a process.
    pub fn of(pid: i32) -> io::Result<ProcessFacts> {
        let folder = format!("/proc/{pid}");
        let status = std::fs::read(format!("{folder}/status"))?;
        let mut facts = ProcessFacts::parse(pid, &String::from_utf8_lossy(&status));
        facts.tracer = facts.tracer.map(|(thread, _)| {
            let process = tracing_process(thread);
            (process, name_of(process))
        });
        facts.namespaces = Namespaces::of(Path::new(&folder));
        facts.label = std::fs::read(format!("{folder}/attr/current"))
            .ok()
            .map(|text| String::from_utf8_lossy(&text).trim_matches(['\0', '\n', ' ']).to_string())
            .filter(|text| !text.is_empty());
        facts.dumpable = if pid == std::process::id() as i32 {
            nix::sys::prctl::get_dumpable().ok()
        } else {
            let owner = crate::rights::owner_of_files(pid)?;
            match facts.users[1] {
                0 if owner == 0 => None,
                user => Some(owner == user),
            }
        };
        Ok(facts)
    }

    fn parse(pid: i32, status: &str) -> ProcessFacts {
        let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        let set = |name: &str| Capabilities(field(name).and_then(|t| u64::from_str_radix(t, 16).ok()).unwrap_or(0));
        let mut users = [0; 4];
        for (user, text) in users.iter_mut().zip(field("Uid").unwrap_or_default().split_ascii_whitespace()) {
            *user = text.parse().unwrap_or_default();
        }
        let filters = field("Seccomp_filters").and_then(|t| t.parse().ok());
        let kib = |name: &str| field(name).and_then(|t| t.strip_suffix("kB")?.trim().parse::<u64>().ok());
        let tracer = field("TracerPid").and_then(|t| t.parse().ok()).filter(|thread| *thread != 0);
        ProcessFacts {
            pid,
            name: field("Name").unwrap_or_default().to_string(),
            state: field("State").and_then(|t| t.chars().next()).unwrap_or('?'),
            tracer: tracer.map(|thread| (thread, String::new())),
            resident: Bytes(kib("VmRSS").unwrap_or(0).saturating_mul(1024)),
            pids_inside: field("NSpid").unwrap_or_default().split_ascii_whitespace().filter_map(|t| t.parse().ok()).collect(),
            users,
            effective: set("CapEff"),
            permitted: set("CapPrm"),
            bounding: set("CapBnd"),
            no_new_privileges: field("NoNewPrivs").map(|t| t != "0"),
            seccomp: crate::seccomp::mode(status).map(|mode| match mode {
                0 => Seccomp::Off,
                1 => Seccomp::Strict,
                _ => Seccomp::Filters { count: filters },
            }),
            namespaces: Namespaces::default(),
            dumpable: None,
            label: None,
        }
    }
}

/// `Seccomp:` of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seccomp {
    /// All calls are allowed.
    Off,
    /// Four calls are allowed.
    Strict,
    /// Filters decide.
    Filters {
        /// How many; `None` before Linux 5.9.
        count: Option<u32>,
    },
}

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(
    /// Bit n stands for capability n of capabilities(7).
    pub u64,
);

impl Capabilities {
    /// Whether `which` is in it.
    pub fn has(self, which: Capability) -> bool {
        self.0 & (1 << which as u32) != 0
    }
}

/// The capabilities that something here depends on, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Capability {
    /// To read files and folders of others.
    DacReadSearch = 2,
    /// To trace and read processes of others.
    SysPtrace = 19,
    /// To read seccomp filters, and to enter namespaces.
    SysAdmin = 21,
    /// To exceed limits, and to lower an oom_score_adj.
    SysResource = 24,
    /// To watch performance counters.
    Perfmon = 38,
    /// To read what checkpoints need.
    CheckpointRestore = 40,
}

impl Capability {
    /// All of them.
    pub const ALL: [Capability; 6] = [
        Capability::DacReadSearch,
        Capability::SysPtrace,
        Capability::SysAdmin,
        Capability::SysResource,
        Capability::Perfmon,
        Capability::CheckpointRestore,
    ];
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Capability::DacReadSearch => "CAP_DAC_READ_SEARCH",
            Capability::SysPtrace => "CAP_SYS_PTRACE",
            Capability::SysAdmin => "CAP_SYS_ADMIN",
            Capability::SysResource => "CAP_SYS_RESOURCE",
            Capability::Perfmon => "CAP_PERFMON",
            Capability::CheckpointRestore => "CAP_CHECKPOINT_RESTORE",
        })
    }
}

/// The namespaces that matter for reading a process. `None`: the kernel does not let us see which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// Whose capabilities count.
    pub user: Option<Namespace>,
    /// How processes are numbered.
    pub pid: Option<Namespace>,
    /// Which files there are.
    pub mount: Option<Namespace>,
    /// What the top of the control groups is.
    pub cgroup: Option<Namespace>,
}

impl Namespaces {
    /// Whether capabilities held here count towards the whole machine. Where the kernel does not say, nothing speaks against it.
    pub fn in_first_user(&self) -> bool {
        self.user.is_none_or(|n| n == Namespace::FIRST_USER)
    }

    fn of(process: &Path) -> Namespaces {
        let read = |name: &str| Namespace::parse(std::fs::read_link(process.join("ns").join(name)).ok()?.to_str()?);
        Namespaces { user: read("user"), pid: read("pid"), mount: read("mnt"), cgroup: read("cgroup") }
    }
}

/// One namespace, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespace(
    /// The inode that stands for it.
    pub u32,
);

impl Namespace {
    /// `user:[4026531837]`.
    fn parse(link: &str) -> Option<Namespace> {
        link.split_once(":[")?.1.strip_suffix(']')?.parse().ok().map(Namespace)
    }

    /// The machine's first user namespace.
    pub const FIRST_USER: Namespace = Namespace(0xEFFF_FFFD);
    /// The machine's first PID namespace.
    pub const FIRST_PID: Namespace = Namespace(0xEFFF_FFFC);
    /// The machine's first control group namespace.
    pub const FIRST_CGROUP: Namespace = Namespace(0xEFFF_FFFB);
}

/// Something that a container has and a machine has not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContainerSign {
    /// Docker's `/.dockerenv`.
    DockerFile,
    /// Podman's `/run/.containerenv`.
    PodmanFile,
    /// Kubernetes' variable in the environment.
    Kubernetes,
    /// The variable `container`, which systemd-nspawn, LXC and Podman set, and its value.
    Variable(String),
    /// Not the machine's first PID namespace.
    PidNamespace,
    /// Not the machine's first user namespace.
    UserNamespace,
    /// Not the machine's first control group namespace.
    CgroupNamespace,
    /// The control group's path names a container runtime.
    CgroupPath(String),
    /// The root folder is not that of process 1: a chroot.
    OtherRoot,
}

impl fmt::Display for ContainerSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ContainerSign::DockerFile => write!(f, "/.dockerenv exists"),
            ContainerSign::PodmanFile => write!(f, "/run/.containerenv exists"),
            ContainerSign::Kubernetes => write!(f, "KUBERNETES_SERVICE_HOST is set"),
            ContainerSign::Variable(value) => write!(f, "container={value} is set"),
            ContainerSign::PidNamespace => write!(f, "a PID namespace of its own"),
            ContainerSign::UserNamespace => write!(f, "a user namespace of its own"),
            ContainerSign::CgroupNamespace => write!(f, "a control group namespace of its own"),
            ContainerSign::OtherRoot => write!(f, "a root folder of its own (chroot)"),
            ContainerSign::CgroupPath(path) => write!(f, "control group {path}"),
        }
    }
}

fn container_signs(us: &ProcessFacts) -> Vec<ContainerSign> {
    let mut signs = Vec::new();
    let mut when = |found: bool, sign: ContainerSign| {
        if found {
            signs.push(sign);
        }
    };
    when(Path::new("/.dockerenv").exists(), ContainerSign::DockerFile);
    when(Path::new("/run/.containerenv").exists(), ContainerSign::PodmanFile);
    when(std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(), ContainerSign::Kubernetes);
    if let Some(value) = std::env::var_os("container") {
        when(true, ContainerSign::Variable(value.to_string_lossy().into_owned()));
    }
    let Namespaces { user, pid, cgroup, .. } = us.namespaces;
    when(pid.is_some_and(|n| n != Namespace::FIRST_PID), ContainerSign::PidNamespace);
    when(user.is_some_and(|n| n != Namespace::FIRST_USER), ContainerSign::UserNamespace);
    when(cgroup.is_some_and(|n| n != Namespace::FIRST_CGROUP), ContainerSign::CgroupNamespace);
    when(other_root(), ContainerSign::OtherRoot);
    if let Some(path) = std::fs::read_to_string("/proc/self/cgroup").ok().and_then(|t| runtime_path(&t)) {
        when(true, ContainerSign::CgroupPath(path));
    }
    signs
}

/// Whether our root folder is another than that of process 1. Where that may not be seen: whether it is no mount, since of
/// the mounts only those below it are listed.
fn other_root() -> bool {
    let identity = |path: &str| std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino()));
    if let (Some(ours), Some(theirs)) = (identity("/"), identity("/proc/1/root/")) {
        return ours != theirs;
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    !mounts.is_empty() && !mounts.lines().any(|l| l.split(' ').nth(4) == Some("/"))
}

/// The first path of a control group that a container runtime has named.
fn runtime_path(own: &str) -> Option<String> {
    // docker-….scope and /docker/…, kubepods, cri-containerd-…, crio-…, libpod-…, lxc.payload.…, machine.slice of nspawn.
    const RUNTIMES: [&str; 6] = ["docker", "kubepods", "containerd", "crio", "libpod", "lxc"];
    let path = own.lines().filter_map(|line| line.splitn(3, ':').nth(2)).find(|path| {
        // Services of the host that are called so are no containers: docker.service, containerd.service.
        path.split('/').any(|part| {
            !part.ends_with(".service") && RUNTIMES.iter().any(|name| part.starts_with(name) || part.contains(&format!("-{name}-")))
        })
    })?;
    Some(path.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    /// A process started through another program, that ends with the test.
    struct Started(Child);

    impl Started {
        /// `None`, with a reason, where this machine does not let us. `setup` must end in the program that reads its input.
        fn new(setup: &[&str]) -> Option<Started> {
            Started::shell(setup, "sh")
        }

        fn shell(setup: &[&str], shell: &str) -> Option<Started> {
            let (program, arguments) = setup.split_first().unwrap();
            let mut command = Command::new(program);
            command.args(arguments).args([shell, "-c", "echo $$; read x"]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => return leave_out(&format!("{program}: {error}")),
            };
            let mut said = String::new();
            std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut said).unwrap();
            let started = Started(child);
            if said.is_empty() {
                return leave_out(&format!("{setup:?} is not permitted"));
            }
            Some(started)
        }

        fn facts(&self) -> ProcessFacts {
            ProcessFacts::of(self.0.id() as i32).unwrap()
        }
    }

    impl Drop for Started {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn leave_out<T>(why: &str) -> Option<T> {
        println!("left out: {why}");
        None
    }

    #[test]
    fn fields_are_read_and_absent_ones_are_not_made_up() {
        let status = "Name:\tx\nState:\tT (stopped)\nTracerPid:\t77\nVmRSS:\t   9876 kB\nUid:\t1\t2\t3\t4\nNSpid:\t700\t7\nCapInh:\t0\nCapPrm:\t0000000000280000\nCapEff:\t0000000000080000\n\
            CapBnd:\t0000004000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n";
        let facts = ProcessFacts::parse(700, status);
        assert_eq!((facts.users, facts.pids_inside.as_slice()), ([1, 2, 3, 4], &[700, 7][..]));
        assert_eq!((facts.state, facts.tracer.map(|t| t.0), facts.resident), ('T', Some(77), Bytes(9876 << 10)));
        let held =
            |set: Capabilities| Capability::ALL.into_iter().filter(|c| set.has(*c)).map(|c| c.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(held(facts.effective), "CAP_SYS_PTRACE");
        assert_eq!(held(facts.permitted), "CAP_SYS_PTRACE CAP_SYS_ADMIN");
        assert_eq!(held(facts.bounding), "CAP_PERFMON");
        assert_eq!((facts.no_new_privileges, facts.seccomp), (Some(true), Some(Seccomp::Filters { count: Some(3) })));
        let silent = ProcessFacts::parse(1, "Name:\tx\n");
        assert_eq!((silent.no_new_privileges, silent.seccomp, silent.tracer), (None, None, None));
        assert_eq!(Namespace::parse("pid:[4026531836]"), Some(Namespace::FIRST_PID));
        assert_eq!(Namespace::parse("pid:4026531836"), None);
    }

    #[test]
    fn runtimes_are_known_by_the_groups_that_they_make() {
        for (path, is) in [
            ("/docker/0123abcd", true),
            ("/system.slice/docker-0123abcd.scope", true),
            ("/kubepods.slice/kubepods-burstable.slice/cri-containerd-77.scope", true),
            ("/machine.slice/libpod-77.scope", true),
            ("/lxc.payload.web/init.scope", true),
            ("/system.slice/docker.service", false),
            ("/system.slice/containerd.service", false),
            ("/user.slice/user-1000.slice/session-2.scope", false),
            ("/", false),
        ] {
            assert_eq!(runtime_path(&format!("4:memory:/\n0::{path}\n")).as_deref(), is.then_some(path), "{path}");
        }
    }

    #[test]
    fn this_process_knows_itself() {
        let facts = Facts::gather().unwrap();
        assert_eq!(facts.us.dumpable, Some(true));
        assert_eq!(facts.us.pids_inside.last(), Some(&(std::process::id() as i32)));
        assert!(facts.us.namespaces.user.is_some());
        assert!(facts.us.effective.0 & !facts.us.permitted.0 == 0, "{facts:?}");
        println!("{facts:?}");
    }

    #[test]
    fn rights_that_were_given_away_are_gone() {
        let Some(plain) = Started::new(&["env"]) else { return };
        let Some(less) = Started::new(&["setpriv", "--bounding-set=-sys_admin,-sys_ptrace", "--no-new-privs"]) else { return };
        let (plain, less) = (plain.facts(), less.facts());
        if !plain.effective.has(Capability::SysAdmin) {
            // setpriv says nothing when it may not.
            return leave_out("there are no rights to give away").unwrap_or(());
        }
        assert_eq!((plain.no_new_privileges, less.no_new_privileges), (Some(false), Some(true)));
        assert_eq!(plain.namespaces, less.namespaces);
        for gone in [Capability::SysAdmin, Capability::SysPtrace] {
            assert!(!less.bounding.has(gone) && !less.effective.has(gone), "{less:?}");
        }
        // The kernel takes nothing else away.
        assert_eq!(plain.bounding.0 & !less.bounding.0 & !(1 << 21 | 1 << 19), 0);
    }

    #[test]
    fn another_users_process_has_its_user() {
        let Some(other) = Started::new(&["setpriv", "--reuid=4711", "--clear-groups"]) else { return };
        let facts = other.facts();
        assert_eq!((facts.users, facts.effective.has(Capability::SysPtrace)), ([4711; 4], false));
        // It called exec as that user.
        assert_eq!(facts.dumpable, Some(true));

        // A program that its user may run, but not read. (setpriv itself still may: env has no capabilities any more.)
        let scratch = testbed::Scratch::new().unwrap();
        let shell = scratch.path().join("sh");
        std::fs::copy("/bin/sh", &shell).unwrap();
        for (file, mode) in [(scratch.path(), 0o755), (&shell, 0o711)] {
            std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        }
        let Some(hidden) = Started::shell(&["setpriv", "--reuid=4711", "--clear-groups", "env"], shell.to_str().unwrap()) else { return };
        assert_eq!((hidden.facts().users, hidden.facts().dumpable), ([4711; 4], Some(false)));
        // And so it is told to a user who may not trace it for that reason.
        assert_eq!(crate::rights::owner_of_files(hidden.0.id() as i32).unwrap(), 0);
    }

    #[test]
    fn a_container_has_other_namespaces() {
        let Some(inside) = Started::new(&["unshare", "--user", "--map-root-user", "--mount", "--cgroup"]) else { return };
        let (ours, theirs) = (Facts::gather().unwrap().us.namespaces, inside.facts().namespaces);
        assert_eq!(ours.pid, theirs.pid);
        for (ours, theirs) in [(ours.user, theirs.user), (ours.mount, theirs.mount), (ours.cgroup, theirs.cgroup)] {
            assert!(theirs.is_some() && theirs != ours);
        }
        let facts = inside.facts();
        assert!(container_signs(&facts).contains(&ContainerSign::UserNamespace));
        assert!(container_signs(&facts).contains(&ContainerSign::CgroupNamespace));
    }

    #[test]
    fn who_is_gone_has_no_facts() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(ProcessFacts::of(child.id() as i32).is_err());
    }
}
