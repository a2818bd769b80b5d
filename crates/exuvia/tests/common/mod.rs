//! Holds what the tests of the command line share: running exuvia, Python targets with a handshake, the form of an error.
//! Never waits for a time: a target says READY, and is killed when dropped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs, unreachable_pub)]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use testbed::Interpreter;

/// What a run of exuvia gave.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The command under test.
pub fn exuvia() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exuvia"));
    command.env_remove("COLUMNS").env_remove("NO_COLOR").stdin(Stdio::null());
    // Nothing is left in the home folder of whoever runs the tests.
    command.env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command
}

/// Runs exuvia with these arguments to its end.
pub fn run<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Ran {
    ran(exuvia().args(args))
}

/// Runs a command to its end.
pub fn ran(command: &mut Command) -> Ran {
    let output = command.output().expect("the command starts");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Ran {
    /// It answered, and said nothing else.
    #[track_caller]
    pub fn answered(&self) -> &str {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:#?}");
        &self.stdout
    }

    /// It refused in three lines, with this exit code, and wrote no answer. Gives back the three lines without their words.
    #[track_caller]
    pub fn refused(&self, code: i32) -> [&str; 3] {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
        let lines: Vec<&str> = self.stderr.lines().collect();
        let [error, why, advice] = lines[..] else { panic!("not three lines: {self:#?}") };
        let strip = |line: &'_ str, word: &str| -> usize {
            assert!(line.starts_with(word) && line.len() > word.len(), "a line without {word:?}: {self:#?}");
            word.len()
        };
        [&error[strip(error, "error: ")..], &why[strip(why, "why: ")..], &advice[strip(advice, "try: ")..]]
    }
}

/// An interpreter of the machine: the newest of those that the tests know and a table covers.
pub fn python() -> &'static Interpreter {
    let covered = |i: &&Interpreter| i.not_covered().is_none();
    testbed::interpreters().found.iter().filter(covered).max_by_key(|i| (i.minor, i.shared)).expect("a Python 3.8 to 3.15 is there")
}

/// A process that was started for a test and is killed and reaped when dropped.
pub struct Started {
    pub child: Child,
}

impl Started {
    /// Starts a command and waits until its stdout says READY.
    pub fn ready(command: &mut Command) -> Started {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the target starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        if line != "READY\n" {
            let _ = child.kill();
            let mut stderr = String::new();
            let _ = child.stderr.take().unwrap().read_to_string(&mut stderr);
            panic!("the target said {line:?}: {stderr}");
        }
        Started { child }
    }

    /// Starts Python with a script that says READY and then waits for its stdin.
    pub fn python(script: &str) -> Started {
        Started::python_of(&python().path, script)
    }

    /// The same with this executable.
    pub fn python_of(path: &Path, script: &str) -> Started {
        Started::ready(Command::new(path).args([
            "-I",
            "-c",
            &format!("{MAY_BE_TRACED}{script}\nprint('READY', flush=True)\nimport sys; sys.stdin.read()"),
        ]))
    }

    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In front of each script: where Yama is (`kernel.yama.ptrace_scope` 1), any process of this user may trace it
/// (PR_SET_PTRACER, PR_SET_PTRACER_ANY), as exuvia is no parent of a test's target.
pub const MAY_BE_TRACED: &str = "\
import os
if os.path.exists('/proc/sys/kernel/yama'):
    import ctypes
    ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)
";

/// Whether this machine lets us read a process of our own; else says so. With `EXUVIA_REQUIRE_ALL=1` that is a failure.
pub fn may_trace() -> bool {
    static ALLOWED: OnceLock<bool> = OnceLock::new();
    *ALLOWED.get_or_init(|| {
        let target = Started::python("");
        let ran = run(&["types", "--json", &target.pid()]);
        let allowed = !ran.stderr.contains("not permitted");
        if !allowed {
            println!("left out: ptrace is refused on this machine: {}", ran.stderr);
            assert!(std::env::var("EXUVIA_REQUIRE_ALL").map_or(true, |v| v != "1"), "ptrace is refused, and EXUVIA_REQUIRE_ALL=1");
        }
        allowed
    })
}

/// Whether it lets us read one that cannot name us as its tracer, too: a shell, a Python that is not up yet.
pub fn may_trace_anybody() -> bool {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let restricted = !matches!(scope.trim(), "" | "0") && !nix::unistd::geteuid().is_root();
    if restricted {
        println!("left out: kernel.yama.ptrace_scope is {}", scope.trim());
    }
    !restricted && may_trace()
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}
