//! Targets that cannot be read: each has its error, exit code 3, and a line that says what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use common::{may_trace, may_trace_anybody, Started, MAY_BE_TRACED};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use testbed::record::{self, Outcome};

/// exuvia on this PID must refuse; a part of the first line, a part of the second, a part of the third.
#[track_caller]
fn check(pid: &str, what: &str, why: &str, advice: &str) {
    for command in ["types", "objects"] {
        let ran = common::run(&[command, pid]);
        let lines = ran.refused(3);
        for (line, wanted) in lines.into_iter().zip([what, why, advice]) {
            assert!(line.contains(wanted), "{command}: no {wanted:?} in {ran:#?}");
        }
    }
}

#[test]
fn gone() {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let pid = child.id().to_string();
    check(&pid, "it has ended", &format!("no process has PID {pid}"), "pgrep");
}

#[test]
fn a_zombie() {
    let mut child = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
    // Its end closes the pipe; it is a zombie until we wait, and /proc says so.
    child.stdout.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
    let pid = child.id().to_string();
    while !std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") Z ") {
        std::thread::yield_now();
    }
    check(&pid, "it has ended", "zombie", &std::process::id().to_string());
    child.wait().unwrap();
}

#[test]
fn already_traced_by_whom() {
    if !may_trace() {
        return;
    }
    let target = Started::python("");
    let pid = Pid::from_raw(target.child.id() as i32);
    nix::sys::ptrace::seize(pid, nix::sys::ptrace::Options::empty()).unwrap();
    let me = std::process::id();
    check(&target.pid(), "another program traces it", &format!("process {me} ("), &me.to_string());
}

#[test]
fn not_python() {
    if !may_trace_anybody() {
        return;
    }
    let target = Started::ready(Command::new("sh").args(["-c", "echo READY; read x"]));
    check(&target.pid(), "not a CPython process", "_PyRuntime", "pgrep");
}

#[test]
fn a_debug_build() {
    if !may_trace() {
        return;
    }
    let Some(path) = testbed::refused::debug_build() else { return };
    let target = Started::python_of(&path, "");
    check(&target.pid(), "is a debug build", "supported is CPython 3.8 to 3.15", "release build");
    record::note("Debian's python3.11-dbg", Outcome::Passed);
}

#[test]
fn pypy() {
    if !may_trace() {
        return;
    }
    let Some(path) = testbed::refused::pypy() else { return };
    let target = Started::python_of(&path, "");
    check(&target.pid(), "PyPy is not supported", "supported is CPython 3.8 to 3.15", "with a CPython");
    record::note("PyPy", Outcome::Passed);
}

#[test]
fn a_free_threaded_build() {
    // It is built without ctypes, and so cannot name us as its tracer.
    if !may_trace_anybody() {
        return;
    }
    let Some(path) = testbed::refused::free_threaded() else { return };
    let target = Started::ready(Command::new(&path).args(["-I", "-c", "print('READY', flush=True); import sys; sys.stdin.read()"]));
    check(&target.pid(), "is a free-threaded build", "release builds with the GIL", "a plain release build");
    record::note("free-threaded 3.13", Outcome::Passed);
}

#[test]
fn not_ours() {
    if !may_trace() {
        return;
    }
    // As root another user is made of us; as a user, the first process is root's.
    if !nix::unistd::geteuid().is_root() {
        check("1", "not permitted", "user 0", "exuvia");
        return;
    }
    let target = Started::python("");
    // Where the tests were built nobody may go: the command is copied to where everybody may.
    let folder = testbed::Scratch::new().unwrap();
    let copy = folder.path().join("exuvia");
    std::fs::copy(env!("CARGO_BIN_EXE_exuvia"), &copy).unwrap();
    for path in [folder.path(), copy.as_path()] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let ran = common::ran(Command::new("setpriv").args(nobody).arg(&copy).args(["types", &target.pid()]));
    let [what, why, advice] = ran.refused(3);
    assert!(what.contains("not permitted"), "{ran:#?}");
    assert!(why.contains("user 0") && why.contains("65534") && why.contains("CAP_SYS_PTRACE"), "{ran:#?}");
    assert!(advice.contains(&format!("{} types {}", copy.display(), target.pid())) || advice.contains("SYS_PTRACE"), "{ran:#?}");
}

#[test]
fn a_stopped_process_is_read_and_stays_stopped() {
    if !may_trace() {
        return;
    }
    let target = Started::python("marker = [0] * 1000");
    let pid = Pid::from_raw(target.child.id() as i32);
    kill(pid, Signal::SIGSTOP).unwrap();
    let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().rsplit(") ").next().unwrap().chars().next().unwrap();
    while state() != 'T' {
        std::thread::yield_now();
    }
    let ran = common::run(&["types", &target.pid()]);
    assert!(ran.answered().contains("dict"), "{ran:#?}");
    assert_eq!(state(), 'T');
    kill(pid, Signal::SIGCONT).unwrap();
    while state() == 'T' {
        std::thread::yield_now();
    }
}

#[test]
fn not_yet_initialised() {
    if !may_trace_anybody() {
        return;
    }
    // A program that has libpython mapped and has not started it, as one that embeds Python does at first.
    let library = |py: &testbed::Interpreter| py.path.parent().unwrap().join(format!("../lib/libpython3.{}.so.1.0", py.minor));
    let shared = |py: &testbed::Interpreter| if library(py).is_file() { Ok(()) } else { Err("it has no libpython to load".to_string()) };
    testbed::interpreters::for_each_that(shared, |py| {
        let target = Started::ready(Command::new("sh").args(["-c", "echo READY; read x"]).env("LD_PRELOAD", library(py)));
        check(&target.pid(), "its Python is not initialised yet", "Py_Initialize", "again");
    });
}

#[test]
fn in_the_middle_of_its_start() {
    if !may_trace_anybody() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        // Python reads pyvenv.cfg beside its executable while it finds its paths: a FIFO there holds it before it is ready.
        // A copy of the executable, since some releases follow a link before they look.
        let folder = testbed::Scratch::new().unwrap();
        let (copy, fifo) = (folder.path().join("python3"), folder.path().join("pyvenv.cfg"));
        std::fs::copy(&py.path, &copy).unwrap();
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let child = Command::new(&copy).args(["-c", "pass"]).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut target = Started { child };
        // A FIFO can be opened for writing, without waiting, from the moment on at which somebody opens it for reading. Once
        // it is open on both ends the target waits in the read instead: we write nothing.
        use std::os::unix::fs::OpenOptionsExt;
        let open = || std::fs::OpenOptions::new().write(true).custom_flags(nix::libc::O_NONBLOCK).open(&fifo);
        let _held = loop {
            if let Ok(held) = open() {
                break held;
            }
            let ended = target.child.try_wait().unwrap();
            assert_eq!(ended, None, "it ended without reading pyvenv.cfg");
            std::thread::yield_now();
        };
        // Up to 3.9 no interpreter is there yet, later ones find their paths when the core of one is: then it is a heap.
        let ran = common::run(&["types", &target.pid()]);
        if ran.code != Some(0) {
            let [what, _, _] = ran.refused(3);
            assert!(what.contains("not initialised yet"), "{ran:#?}");
        }
    });
}

#[test]
fn finalizing() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let script = "\
            class Last:\n\
            \x20   def __del__(self, write=os.write, read=os.read):\n\
            \x20       write(1, b'READY\\n')\n\
            \x20       read(0, 1)\n\
            keep = Last()";
        let target = Started::ready(Command::new(&py.path).args(["-I", "-c", &format!("{MAY_BE_TRACED}{script}")]));
        check(&target.pid(), "finaliz", "", "");
    });
}
