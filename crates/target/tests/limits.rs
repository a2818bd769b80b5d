//! What a process's control groups leave it, against real groups.
//!
//! Holds: a memory and a pids hierarchy of v1 or v2, whichever this kernel gives; the same seen from within another control
//! group namespace. Needs root and a writable hierarchy; says so where it finds none.

#![allow(clippy::unwrap_used, clippy::panic)] // Test code throughout.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use exuvia_target::{headroom_of, Limit, Tight, Unseen};

/// Two groups of our own, one in the other, removed at the end.
struct Group {
    outer: PathBuf,
    inner: PathBuf,
    v1: bool,
}

impl Group {
    /// Makes them below where `controller` is mounted; `None`, with a reason, where that is impossible.
    fn new(controller: &str, name: &str) -> Option<Group> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mut found = mounts.lines().filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let point = left.split(' ').nth(4)?;
            let v1 = right.starts_with("cgroup ");
            let here = if v1 {
                right.rsplit(' ').next()?.split(',').any(|c| c == controller)
            } else {
                right.starts_with("cgroup2 ")
                    && std::fs::read_to_string(Path::new(point).join("cgroup.subtree_control"))
                        .ok()?
                        .split_whitespace()
                        .any(|c| c == controller)
            };
            here.then(|| (PathBuf::from(point), v1))
        });
        let Some((top, v1)) = found.next_back() else { return leave_out(&format!("no {controller} hierarchy is mounted")) };
        let outer = top.join(format!("exuvia-{name}-{}", std::process::id()));
        let inner = outer.join("inner");
        if let Err(e) = std::fs::create_dir_all(&inner) {
            return leave_out(&format!("cannot make {}: {e}", inner.display()));
        }
        if !v1 && std::fs::write(outer.join("cgroup.subtree_control"), format!("+{controller}")).is_err() {
            return leave_out(&format!("cannot delegate {controller}"));
        }
        Some(Group { outer, inner, v1 })
    }

    fn memory_limit(&self) -> PathBuf {
        self.outer.join(if self.v1 { "memory.limit_in_bytes" } else { "memory.max" })
    }

    fn take(&self, pid: u32) {
        std::fs::write(self.inner.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that was just reaped may still count as a member for a moment.
        for folder in [&self.inner, &self.outer] {
            for _ in 0..1000 {
                if std::fs::remove_dir(folder).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }
}

fn leave_out<T>(why: &str) -> Option<T> {
    println!("left out: {why}");
    assert!(std::env::var("EXUVIA_REQUIRE_GROUPS").map_or(true, |v| v != "1"), "{why}, and EXUVIA_REQUIRE_GROUPS=1");
    None
}

/// A shell that waits, and then does what it is told.
struct Shell(Child);

impl Shell {
    fn start() -> Shell {
        let shell = Command::new("sh").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        Shell(shell)
    }

    fn pid(&self) -> i32 {
        self.0.id() as i32
    }

    /// Runs a line, and returns when it has been run.
    fn run(&mut self, line: &str) {
        use std::io::{Read, Write};
        writeln!(self.0.stdin.as_mut().unwrap(), "{line}\necho").unwrap();
        let mut done = [0u8];
        self.0.stdout.as_mut().unwrap().read_exact(&mut done).unwrap();
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const MIB: u64 = 1 << 20;

#[test]
fn the_limit_of_a_group_above_counts_and_is_named() {
    let Some(group) = Group::new("memory", "memory") else { return };
    let mut shell = Shell::start();
    let free = headroom_of(shell.pid());
    group.take(shell.0.id());
    std::fs::write(group.memory_limit(), (256 * MIB).to_string()).unwrap();

    let before = headroom_of(shell.pid());
    assert!(free.bytes.0 > 256 * MIB, "a machine this small cannot show it: {free:?}");
    assert_eq!(before.limited_by, Limit::Group { file: group.memory_limit(), limit: 256 * MIB });
    assert!((200 * MIB..=256 * MIB).contains(&before.bytes.0), "{before:?}");
    assert!(before.admits(memory::Bytes(100 * MIB)).is_ok());
    // On the machine itself everything is in sight.
    let machine = std::fs::read_link("/proc/self/ns/cgroup").unwrap() == Path::new("cgroup:[4026531835]");
    assert!(!machine || before.unseen.is_empty(), "{before:?}");
    assert!(before.admits(memory::Bytes(300 * MIB)).is_err());

    // What the target uses is not left any more.
    shell.run("x=$(head -c 33554432 /dev/zero | tr '\\0' x)");
    let after = headroom_of(shell.pid());
    assert_eq!(after.limited_by, before.limited_by);
    assert!(after.bytes.0 <= before.bytes.0 - 31 * MIB, "{before:?} {after:?}");
    // A sibling outside of the group has what the machine has.
    assert!(headroom_of(std::process::id() as i32).bytes.0 > 256 * MIB);
}

#[test]
fn processes_are_counted_too() {
    let Some(group) = Group::new("pids", "pids") else { return };
    let shell = Shell::start();
    group.take(shell.0.id());
    let file = group.outer.join("pids.max");
    std::fs::write(&file, "12").unwrap();
    let headroom = headroom_of(shell.pid());
    assert_eq!(headroom.processes, Some((11, Limit::Group { file, limit: 12 })));
    assert!(headroom.admits(memory::Bytes(0)).is_err());
}

/// A user that nobody else is, whose limit is not root's to exceed.
#[test]
fn the_limit_of_its_user_counts() {
    let shell = |limited: &[&str]| {
        let words = [&["--reuid=47110", "--clear-groups"], limited, &["sh"]].concat();
        Shell(Command::new("setpriv").args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    };
    if !nix::unistd::geteuid().is_root() {
        return leave_out("only root becomes another user").unwrap_or(());
    }
    let (mut wide, mut tight) = (shell(&[]), shell(&["prlimit", "--nproc=12"]));
    // Each is the shell by now.
    wide.run("true");
    tight.run("true");
    let found = headroom_of(tight.pid());
    assert_eq!(found.processes, Some((10, Limit::UserProcesses { user: 47110, limit: 12 })));
    assert!(matches!(found.admits(memory::Bytes(0)), Err(Tight::Processes { left: 10, .. })));
    assert!(matches!(headroom_of(wide.pid()).processes, Some((_, limit)) if limit != found.processes.clone().unwrap().1));
    // Root is exempt, whatever its limit says.
    let line = ["--nproc=12", "sh"];
    let mut root = Shell(Command::new("prlimit").args(line).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    root.run("true");
    assert!(!matches!(headroom_of(root.pid()).processes, Some((_, Limit::UserProcesses { .. }))));
}

#[test]
fn the_group_is_found_from_another_namespace() {
    let Some(group) = Group::new("memory", "namespace") else { return };
    let shell = Shell::start();
    group.take(shell.0.id());
    std::fs::write(group.memory_limit(), (128 * MIB).to_string()).unwrap();
    let expected = format!("{} 128 MiB", group.memory_limit().display());

    // We lie beside the target, our namespace begins at our own group, and the mounts are those of before.
    let beside = group.outer.with_extension("beside");
    std::fs::create_dir(&beside).unwrap();
    let look = |from: &Path, prefix: &str| {
        let exe = std::env::current_exe().unwrap();
        let line = format!(
            "echo $$ > {}/cgroup.procs && {prefix} {} --exact look_from_there --ignored --nocapture",
            from.display(),
            exe.display()
        );
        let out = Command::new("sh").args(["-c", &line]).env("EXUVIA_TEST_LOOK_AT", shell.pid().to_string()).output().unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
    };
    // From the target's own group, its path is `/`, and no name of a group above is told.
    let shown = [look(&beside, ""), look(&beside, "unshare -C"), look(&group.inner, "unshare -C")];
    // As in a container: only our own group is mounted, and the target's is to be seen through the target's root.
    let remounted = format!("unshare -C -m sh -c 'umount -l {0} && exec \"$0\" \"$@\"'", group.outer.parent().unwrap().display());
    let through_root = look(&beside, &remounted);
    std::fs::remove_dir(&beside).unwrap();
    for text in &shown {
        assert!(text.contains(&expected), "{expected} is missing in: {text}");
    }
    if through_root.contains("umount:") {
        // In a user namespace of our own the mounts are not ours to undo.
        return leave_out(&through_root).unwrap_or(());
    }
    assert!(through_root.contains(&expected), "{expected} is missing in: {through_root}");
    // Seen through the target's root, the file is the same under another name.
    assert!(through_root.contains(&format!("/proc/{}/root", shell.pid())), "{through_root}");
}

/// Runs in another namespace, for the test above.
#[test]
#[ignore = "part of another test"]
fn look_from_there() {
    let Ok(pid) = std::env::var("EXUVIA_TEST_LOOK_AT") else { return };
    let headroom = headroom_of(pid.parse().unwrap());
    let Limit::Group { file, limit } = headroom.limited_by else { panic!("{headroom:?}") };
    println!("{} {}", file.display(), memory::Bytes(limit));
}

#[test]
fn nothing_is_claimed_of_who_is_gone() {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let headroom = headroom_of(child.id() as i32);
    assert!(headroom.unseen.contains(&Unseen::List), "{headroom:?}");
    assert!(headroom.admits(memory::Bytes(0)).is_err());
}

/// A Python program with 64 MiB that it writes to all the time, page by page, in `group`.
struct Writer(Child);

impl Writer {
    fn start(group: &Group) -> Writer {
        let text = "import ctypes, os, sys, threading\n\
            ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(2**64 - 1), 0, 0, 0)\n\
            block = bytearray(64 << 20)\n\
            def write():\n\
            \x20   n = 0\n\
            \x20   while True:\n\
            \x20       n += 1\n\
            \x20       for at in range(0, len(block), 4096): block[at] = n & 255\n\
            threading.Thread(target=write, daemon=True).start()\n\
            print('READY', flush=True)\n\
            sys.stdin.readline()\n\
            print('alive', flush=True)\n\
            os._exit(0)";
        let python = &testbed::interpreters().found.first().unwrap().path;
        // It puts itself into the group before it is Python, so that all its memory is charged there.
        let join = format!("echo $$ > {}; exec \"$@\"", group.inner.join("cgroup.procs").display());
        let mut child = Command::new("sh")
            .args(["-c", &join, "sh"])
            .arg(python)
            .args(["-I", "-c", text])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0u8; 6];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        Writer(child)
    }

    fn pid(&self) -> i32 {
        self.0.id() as i32
    }

    /// It lives and ends by itself.
    fn end(mut self) {
        drop(self.0.stdin.take());
        let mut said = String::new();
        std::io::Read::read_to_string(self.0.stdout.as_mut().unwrap(), &mut said).unwrap();
        assert_eq!(said, "alive\n");
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How often the kernel killed somebody in the group for want of memory.
fn killed(group: &Group) -> u64 {
    let file = if group.v1 { "memory.oom_control" } else { "memory.events" };
    let text = std::fs::read_to_string(group.inner.join(file)).unwrap();
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()).unwrap()
}

#[test]
fn a_target_near_its_limit_is_frozen_and_one_with_room_is_forked() {
    let Some(group) = Group::new("memory", "near") else { return };
    std::fs::write(group.memory_limit(), (110 * MIB).to_string()).unwrap();
    let writer = Writer::start(&group);
    let process = exuvia_target::open(writer.pid()).unwrap();
    let options = exuvia_target::TakeOptions {
        guardian: env!("CARGO_BIN_EXE_exuvia-guardian-test").into(),
        max_pause: std::time::Duration::from_secs(20),
        ..exuvia_target::TakeOptions::default()
    };
    for _ in 0..5 {
        let taken = exuvia_target::take(&process, &options).unwrap();
        assert_eq!(taken.way(), exuvia_target::Way::Freeze);
        let why = taken.instead_of_fork().unwrap();
        assert!(why.contains(&group.memory_limit().display().to_string()), "{why}");
    }
    let fork = exuvia_target::TakeOptions { mode: exuvia_target::Mode::Fork, ..options.clone() };
    match exuvia_target::take(&process, &fork) {
        Err(exuvia_target::TargetError::CannotFork { problem: exuvia_target::ForkProblem::Tight(_), .. }) => {}
        other => panic!("{other:?}"),
    }
    // With room for every page twice it is forked, and what it writes meanwhile is charged to it.
    std::fs::write(group.memory_limit(), (400 * MIB).to_string()).unwrap();
    assert_eq!(exuvia_target::take(&process, &options).unwrap().way(), exuvia_target::Way::Fork);
    assert_eq!(killed(&group), 0);
    writer.end();
}

/// As `kubectl exec` starts it: our own memory counts against the target's limit.
#[test]
fn a_command_in_the_target_s_own_group_takes_nothing_that_is_not_there() {
    let Some(group) = Group::new("memory", "inside") else { return };
    std::fs::write(group.memory_limit(), (110 * MIB).to_string()).unwrap();
    let writer = Writer::start(&group);
    for mode in ["auto", "fork", "freeze", "live"] {
        let join = format!("echo $$ > {}; exec \"$@\"", group.inner.join("cgroup.procs").display());
        let output = Command::new("sh")
            .args(["-c", &join, "sh", env!("CARGO_BIN_EXE_exuvia-guardian-test"), mode, &writer.pid().to_string()])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{mode}: {said}");
        assert!(said.contains("too little memory") || said.contains("did not fork"), "{mode}: {said}");
    }
    assert_eq!(killed(&group), 0);
    writer.end();
}
