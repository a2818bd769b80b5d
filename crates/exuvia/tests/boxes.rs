//! Targets in containers: PID, mount and user namespaces and root folders of their own, read from their host and from beside them.
//!
//! Holds: boxes made by `unshare` and `testbed/python/box.py`, whose root folder has mounts of an interpreter or copies of it; what is
//! answered is compared with what the target says of itself. The loop over all interpreters is one test; the others take the newest
//! release that is there, since what they ask of is the kernel's and not Python's.
//! Never fails where this machine makes no namespaces for us: each reason is printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/mod.rs"]
mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::{ran, run, Ran};
use serde_json::Value;
use testbed::{for_each_interpreter, Interpreter, Scratch};

/// Says what it has and then, for each line, whether it has a child that it could wait for, of any kind (__WALL).
const SCRIPT: &str = r#"
import os, sys
class Parcel:
    __slots__ = ("weight", "next")
parcels = [Parcel() for _ in range(4321)]
shelves = {n: [n] * 9 for n in range(100)}
print("READY", os.getpid(), len(parcels), sum(map(sys.getsizeof, parcels)), "%d.%d.%d" % sys.version_info[:3], flush=True)
for line in sys.stdin:
    try:
        print("children", os.waitpid(-1, os.WNOHANG | 0x40000000), flush=True)
    except ChildProcessError:
        print("alone", flush=True)
"#;
/// A box with everything of its own, as engines make them for who is not root.
const ALL: [&str; 8] = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount", "--cgroup"];
/// The same without a user namespace: the usual container.
const USUAL: [&str; 5] = ["unshare", "--pid", "--fork", "--kill-child", "--mount"];
/// What `/proc/PID/map_files` asks for, taken away.
const NO_LINKS: [&str; 2] = ["setpriv", "--bounding-set=-sys_admin,-checkpoint_restore"];

/// Whether this machine lets us work as `words` say; else that is printed.
fn works(words: &[&str]) -> bool {
    let ran = Command::new(words[0]).args(&words[1..]).arg("true").stdin(Stdio::null()).output();
    let why = match &ran {
        _ if !nix::unistd::geteuid().is_root() => "this is not root".to_string(),
        Err(e) => e.to_string(),
        Ok(output) if !output.status.success() => String::from_utf8_lossy(&output.stderr).trim().to_string(),
        Ok(_) => return true,
    };
    println!("left out: {}: {why}", words.join(" "));
    false
}

/// A target in a box; killed with all that is in there when dropped.
struct Boxed {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    /// Its number here, and inside.
    pid: i32,
    inside: i32,
    /// What it said of itself: how many parcels, their size, its release.
    said: Vec<String>,
}

impl Boxed {
    fn start(around: &[&str], options: &[String], root: &Path, python: &Path) -> Boxed {
        let mut command = Command::new(around.first().map_or(common::python().path.as_path(), Path::new));
        if let Some(rest) = around.get(1..) {
            command.args(rest).arg(&common::python().path);
        }
        command.arg(box_script()).args(options).arg(root).arg(python).args(["-I", "-S", "-c", SCRIPT]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        assert_eq!(words.first().map(String::as_str), Some("READY"), "{line:?}");
        // It has none itself: the last of the line of only children.
        let mut pid = child.id() as i32;
        while let Ok(below) = children(pid).trim().parse() {
            pid = below;
        }
        Boxed { child, lines, pid, inside: words[1].parse().unwrap(), said: words[2..].to_vec() }
    }

    /// The answer is of this target, by its own words.
    #[track_caller]
    fn check(&self, ran: &Ran) -> Value {
        let answer: Value = serde_json::from_str(ran.answered()).unwrap();
        let parcels = answer["types"].as_array().unwrap().iter().find(|t| t["type"] == "__main__.Parcel").unwrap();
        let numbers = [&parcels["count"], &parcels["own_bytes"]].map(Value::to_string);
        assert_eq!((&numbers[..], answer["target"]["python"].as_str()), (&self.said[..2], Some(self.said[2].as_str())));
        answer
    }

    /// It lives, and has no child that it did not have before.
    #[track_caller]
    fn is_as_before(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        assert_eq!((line.as_str(), children(self.pid).as_str()), ("alone\n", ""));
    }

    fn shown(&self) -> String {
        self.pid.to_string()
    }
}

impl Drop for Boxed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn children(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap()
}

fn box_script() -> PathBuf {
    testbed::target::scripts().join("box.py")
}

/// A root folder that shows what an interpreter needs of ours, by mounts; the options for it.
fn mounts(py: &Interpreter, root: &Path) -> Vec<String> {
    std::fs::create_dir(root.join("proc")).unwrap();
    let top = |path: &Path| Path::new("/").join(path.components().nth(1).unwrap());
    let mut folders: Vec<PathBuf> =
        [&py.path, &py.executable].into_iter().flat_map(|p| [top(p), top(&p.canonicalize().unwrap())]).collect();
    // exuvia too, for who works inside.
    folders.extend([top(Path::new(env!("CARGO_BIN_EXE_exuvia"))), "/usr".into()]);
    folders.extend(["/lib", "/lib64", "/bin"].map(PathBuf::from).into_iter().filter(|f| f.is_dir()));
    folders.sort();
    folders.dedup();
    folders.iter().flat_map(|f| ["--bind".to_string(), format!("{0}:{0}", f.display())]).collect()
}

/// A root folder of copies; where the interpreter is in it.
fn copies(py: &Interpreter, root: &Path) -> PathBuf {
    let made = ran(Command::new(&common::python().path).arg(box_script()).arg("copy").args([root, &py.path]));
    PathBuf::from(made.answered().trim())
}

/// exuvia behind other words: `setpriv …`, `nsenter …`.
fn after(before: &[&str], args: &[&str]) -> Ran {
    let exuvia = [env!("CARGO_BIN_EXE_exuvia")];
    let words: Vec<&str> = before.iter().chain(&exuvia).chain(args).copied().collect();
    ran(Command::new(words[0]).args(&words[1..]).env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR")).stdin(Stdio::null()))
}

#[test]
fn every_release_in_a_box_is_read_from_its_host() {
    if !works(&ALL) {
        return;
    }
    for_each_interpreter(|py| {
        let root = Scratch::new().unwrap();
        let mut target = Boxed::start(&ALL, &mounts(py, root.path()), root.path(), &py.path);
        // Process 1 of its namespace, which never waits for a child: the copy's remains would stay for ever.
        assert_eq!(target.inside, 1);
        for mode in ["fork", "freeze", "live"] {
            let answer = target.check(&run(&["types", "--json", "--limit", "0", "--mode", mode, &target.shown()]));
            assert_eq!((&answer["target"]["mode"], &answer["target"]["pid_inside"]), (&mode.into(), &1.into()), "{answer:#}");
            target.is_as_before();
        }
    });
}

#[test]
fn the_right_files_are_read_whatever_stands_at_their_paths_here() {
    if !works(&USUAL) || !works(&NO_LINKS) {
        return;
    }
    let look = |target: &Boxed| {
        target.check(&run(&["types", "--json", "--limit", "0", &target.shown()]));
        // The kernel's own links are refused then, and paths below the target's root are what is left.
        target.check(&after(&NO_LINKS, &["types", "--json", "--limit", "0", &target.shown()]));
    };
    let all = &testbed::interpreters().found;
    // Copies: at the paths of the box stand the files that they were made of, which are others.
    let root = Scratch::new().unwrap();
    // One that starts by itself, and not through another loader than the machine's.
    let plain = |i: &&Interpreter| i.not_covered().is_none() && i.path == i.executable;
    let Some(newest) = all.iter().filter(plain).max_by_key(|i| i.minor) else { return println!("left out: no plain interpreter") };
    let executable = copies(newest, root.path());
    let target = Boxed::start(&USUAL, &[], root.path(), &executable);
    look(&target);
    let shown = run(&["types", &target.shown()]);
    assert!(shown.answered().contains(&format!("pid {} (1 inside)", target.pid)), "{shown:#?}");
    drop(target);
    // A chroot alone: the same namespaces, and paths that begin at our root.
    let target = Boxed::start(&[], &["--chroot".to_string()], root.path(), &executable);
    look(&target);
    drop(target);
    // Another interpreter stands here at the path of the one in the box.
    let Some(one) = all.iter().find(|i| plain(i) && !i.shared) else { return println!("left out: no interpreter without a libpython") };
    let Some(other) = all.iter().find(|i| plain(i) && i.minor != one.minor) else {
        return println!("left out: one interpreter alone");
    };
    let root = Scratch::new().unwrap();
    let mut options = mounts(one, root.path());
    // Its library is found where it was built for.
    options.extend(["--bind".to_string(), format!("{}:{}", one.executable.display(), other.executable.display())]);
    let target = Boxed::start(&USUAL, &options, root.path(), &other.executable);
    assert_eq!(target.said[2], format!("3.{}.{}", one.minor, one.micro));
    look(&target);
}

#[test]
fn a_number_from_inside_is_told_as_the_one_that_it_is_here() {
    if !works(&USUAL) {
        return;
    }
    // The last number but a few: nobody has it here.
    let most: i32 = std::fs::read_to_string("/proc/sys/kernel/pid_max").unwrap().trim().parse().unwrap();
    let number = (1..most).rev().find(|n| !Path::new(&format!("/proc/{n}")).exists()).unwrap();
    let root = Scratch::new().unwrap();
    let py = common::python();
    let mut options = mounts(py, root.path());
    options.extend(["--number".to_string(), number.to_string()]);
    let mut target = Boxed::start(&USUAL, &options, root.path(), &py.path);
    assert_eq!(target.inside, number);

    let typed = run(&["types", &number.to_string()]);
    let [what, why, advice] = typed.refused(3);
    assert!(what.contains(&number.to_string()), "{typed:#?}");
    assert!(
        why.contains(&format!("process {} (", target.pid)) && why.contains(&format!("{number} in a PID namespace of its own")),
        "{why}"
    );
    assert_eq!(advice, format!("give the number that it has here: {}", target.pid));
    target.check(&run(&["types", "--json", "--limit", "0", "--mode", "fork", &target.shown()]));
    target.is_as_before();

    // Both lists of processes show where it is.
    let listed = run(&[] as &[&str]);
    let row = listed
        .answered()
        .lines()
        .find(|l| l.trim_start().starts_with(&format!("{} ", target.pid)))
        .unwrap_or_else(|| panic!("{listed:#?}"));
    assert!(row.contains(&format!("{number} inside")) || row.contains(&format!(": {number}")), "{row}");
    let said: Value = serde_json::from_str(&run(&["doctor", "--json"]).stdout).unwrap();
    let ours = said["processes"].as_array().unwrap().iter().find(|p| p["pid"] == target.pid).unwrap();
    assert_eq!(ours["pid_inside"], number);
}

#[test]
fn beside_it_and_inside() {
    if !works(&USUAL) || !works(&NO_LINKS) {
        return;
    }
    let root = Scratch::new().unwrap();
    let py = common::python();
    let mut target = Boxed::start(&USUAL, &mounts(py, root.path()), root.path(), &py.path);
    let pid = target.shown();
    let enter = ["nsenter", "--target", &pid, "--pid"];

    // A sidecar that shares the PID namespace alone, with a root folder of its own that cannot be written.
    let own = Scratch::new().unwrap();
    let listed = Command::new("ldd").arg(env!("CARGO_BIN_EXE_exuvia")).output().unwrap();
    let libraries = String::from_utf8(listed.stdout).unwrap();
    for file in libraries.split_whitespace().filter(|w| w.starts_with('/')).chain([env!("CARGO_BIN_EXE_exuvia")]) {
        let copy = if file.ends_with("/exuvia") { own.path().join("exuvia") } else { own.path().join(&file[1..]) };
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(file, copy).unwrap();
    }
    std::fs::create_dir(own.path().join("proc")).unwrap();
    let script = box_script().display().to_string();
    let (python, own) = (py.path.display().to_string(), own.path().display().to_string());
    let sidecar = |options: &[&str], args: &[&str]| {
        let words = [&enter[1..], &["unshare", "--mount", &python, &script], options, &[&own, "/exuvia"], args].concat();
        ran(Command::new(enter[0]).args(words).stdin(Stdio::null()))
    };
    // What a fork may cost is charged to the target's groups: they have to be seen.
    let groups = ["--read-only", "--bind", "/sys/fs/cgroup:/sys/fs/cgroup"];
    for mode in ["fork", "freeze", "live"] {
        let answer = target.check(&sidecar(&groups, &["types", "--json", "--limit", "0", "--mode", mode, "1"]));
        // Here it is 1, and nothing else.
        assert_eq!((&answer["target"]["pid"], &answer["target"]["pid_inside"]), (&1.into(), &Value::Null));
        target.is_as_before();
    }
    let answer = target.check(&sidecar(&["--read-only"], &["types", "--json", "--limit", "0", "1"]));
    let grouped = std::fs::read_to_string("/proc/self/cgroup").is_ok_and(|t| !t.trim().is_empty());
    assert_eq!(answer["target"]["mode"] == "freeze", grouped, "{answer:#}");
    assert!(sidecar(&groups, &["explain", "1"]).answered().contains("pid 1"));

    // Without /proc nothing can be seen.
    let none = sidecar(&["--no-proc"], &["types", "1"]);
    let [what, _, advice] = none.refused(4);
    assert_eq!((what, advice), ("cannot see any process: there is no /proc", "mount -t proc proc /proc"));

    // With the host's /proc each number has two meanings; what is advised works.
    let wrong = after(&enter, &["types", "--json", "--limit", "0", "1"]);
    let [what, why, advice] = wrong.refused(3);
    assert!(what.contains("/proc is of another PID namespace") && why.contains("two meanings"), "{wrong:#?}");
    target.check(&ran(Command::new(enter[0]).args(&enter[1..]).args(["sh", "-c", advice]).stdin(Stdio::null())));
    // So has that of a namespace that we are not in.
    let mounted = ["nsenter", "--target", &pid, "--mount"];
    let bare = after(&mounted, &["types", "1"]);
    let [what, why, _] = bare.refused(3);
    assert!(what.contains("/proc is of another PID namespace") && why.contains("not in that /proc"), "{bare:#?}");

    // As an engine's exec: in all its namespaces.
    let inside = ["nsenter", "--target", &pid, "--pid", "--mount"];
    target.check(&after(&inside, &["types", "--json", "--limit", "0", "1"]));
    target.is_as_before();
}

#[test]
fn what_is_refused_has_one_error_that_says_what_to_do() {
    if !works(&["unshare", "--user", "--map-root-user"]) || !works(&["setpriv", "--bounding-set=-sys_ptrace"]) {
        return;
    }
    let target = common::Started::python("");
    let pid = target.pid();
    // Docker's profile, where the capability was not given: both calls are refused with EPERM.
    let filter = "import ctypes, os, sys\n\
        class I(ctypes.Structure): _fields_ = [('code', ctypes.c_ushort), ('jt', ctypes.c_ubyte), ('jf', ctypes.c_ubyte), ('k', ctypes.c_uint)]\n\
        class P(ctypes.Structure): _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.POINTER(I))]\n\
        program = (I * 5)(I(0x20, 0, 0, 0), I(0x15, 1, 0, 101), I(0x15, 0, 1, 310), I(6, 0, 0, 0x50001), I(6, 0, 0, 0x7fff0000))\n\
        libc = ctypes.CDLL(None)\n\
        assert libc.prctl(38, 1, 0, 0, 0) == 0\n\
        assert libc.prctl(22, 2, ctypes.byref(P(5, program))) == 0\n\
        os.execv(sys.argv[1], sys.argv[1:])";
    let python = common::python().path.display().to_string();
    for (before, wanted) in [
        (&["unshare", "--user", "--map-root-user"][..], "runs outside of this user namespace"),
        (&["setpriv", "--bounding-set=-sys_ptrace"], "root without CAP_SYS_PTRACE"),
        (&[python.as_str(), "-I", "-c", filter], "the seccomp filter that this program runs under"),
    ] {
        let refused = after(before, &["types", &pid]);
        let [what, why, advice] = refused.refused(3);
        assert_eq!(what, format!("cannot read process {pid}: not permitted"));
        assert!(why.contains(wanted), "{refused:#?}");
        if Path::new("/.dockerenv").exists() && !wanted.contains("user namespace") {
            assert!(advice.contains("--cap-add=SYS_PTRACE"), "{advice}");
        }
    }
}
