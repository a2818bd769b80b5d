//! `exuvia doctor`: in each situation what it says is compared with what a look then does, and its advice is pasted.
//!
//! Needs root, namespaces and control groups for most; says what it leaves out where there are none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{exuvia, may_trace, may_trace_anybody, ran, Ran, Started};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use serde_json::Value;
use testbed::Scratch;

/// Every answer has these, in this order.
const OF_THE_MACHINE: [&str; 15] = [
    "kernel",
    "kernel.tracing",
    "kernel.bulk-reads",
    "kernel.pagemap",
    "kernel.debug-registers",
    "kernel.seccomp-filters",
    "kernel.pidfd",
    "kernel.populate-write",
    "kernel.huge-pages",
    "rights",
    "yama",
    "security",
    "seccomp",
    "container",
    "memory",
];
const OF_THE_PROCESS: [&str; 9] = ["access", "tracer", "state", "filters", "namespaces", "headroom", "python", "layout", "mode"];

/// From where exuvia is run: words before it (setpriv, nsenter, chroot …), and which copy of it.
struct Surroundings<'a> {
    before: &'a [&'a str],
    exuvia: &'a Path,
}

impl Surroundings<'_> {
    fn run(&self, arguments: &[&str]) -> Ran {
        let words: Vec<&std::ffi::OsStr> =
            self.before.iter().map(|w| w.as_ref()).chain([self.exuvia.as_os_str()]).chain(arguments.iter().map(|a| a.as_ref())).collect();
        let (program, rest) = words.split_first().unwrap();
        ran(Command::new(program).args(rest).env_remove("COLUMNS").stdin(Stdio::null()))
    }

    /// What doctor says of this process, after it was compared with what a look at it does from here.
    #[track_caller]
    fn doctor(&self, pid: &str) -> Said {
        let said = Said::new(self.run(&["doctor", "--json", pid]), true);
        let readable = said.0["readable"].as_bool().unwrap();
        let look = self.run(&["types", "--json", pid]);
        assert_eq!(look.code, Some(if readable { 0 } else { 3 }), "{said:#?} {look:#?}");
        if readable {
            let seen: Value = serde_json::from_str(&look.stdout).unwrap();
            let (promised, done) = (&said.0["mode"], &seen["target"]);
            let undecided = !promised["else_freeze_pause_ms"].is_null();
            assert!(promised["way"] == done["mode"] || (undecided && done["mode"] == "freeze"), "{said:#?} {done}");
            if promised["way"] == "freeze" {
                assert_eq!(promised["why_not_fork"].is_null(), done["not_forked"].is_null(), "{said:#?} {done}");
            }
            // The proof is the same, on bytes that were read without a stop.
            if said.ok("layout") == Some(true) {
                assert_eq!(said.0["target"]["pythons"][0]["build"], done["build"]);
            }
        }
        // What people see has the same exit code, and fits.
        let table = self.run(&["doctor", pid]);
        assert_eq!(table.code, Some(if readable { 0 } else { 3 }), "{table:#?}");
        assert_eq!(table.stderr, "", "{table:#?}");
        said
    }
}

/// exuvia as it was built, run by whoever runs the tests.
fn here() -> Surroundings<'static> {
    Surroundings { before: &[], exuvia: Path::new(env!("CARGO_BIN_EXE_exuvia")) }
}

/// An answer.
#[derive(Debug)]
struct Said(Value);

impl Said {
    #[track_caller]
    fn new(ran: Ran, about_a_process: bool) -> Said {
        assert_eq!(ran.stderr, "", "{ran:#?}");
        let said = Said(serde_json::from_str(&ran.stdout).unwrap());
        assert_eq!(said.0["schema"], "exuvia/doctor/1");
        let ids: Vec<&str> = said.0["checks"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap()).collect();
        let all: Vec<&str> = OF_THE_MACHINE.into_iter().chain(OF_THE_PROCESS.into_iter().filter(|_| about_a_process)).collect();
        assert_eq!(ids, all);
        let readable = said.0["readable"] == true;
        assert_eq!(ran.code, Some(if readable || !about_a_process { 0 } else { 3 }), "{said:#?}");
        for check in said.0["checks"].as_array().unwrap() {
            // Whatever does not work has advice, and whatever works has none.
            assert_eq!(check["ok"] == false, check["advice"].is_string(), "{check}");
            assert!(!check["found"].as_str().unwrap().is_empty(), "{check}");
        }
        said
    }

    #[track_caller]
    fn check(&self, id: &str) -> &Value {
        self.0["checks"].as_array().unwrap().iter().find(|c| c["id"] == id).unwrap_or_else(|| panic!("no {id} in {self:#?}"))
    }

    #[track_caller]
    fn ok(&self, id: &str) -> Option<bool> {
        self.check(id)["ok"].as_bool()
    }

    #[track_caller]
    fn found(&self, id: &str) -> &str {
        self.check(id)["found"].as_str().unwrap()
    }

    #[track_caller]
    fn advice(&self, id: &str) -> &str {
        self.check(id)["advice"].as_str().unwrap_or_else(|| panic!("no advice for {id}: {self:#?}"))
    }

    #[track_caller]
    fn not_forked(&self) -> &str {
        assert_eq!(self.0["mode"]["way"], "freeze", "{self:#?}");
        self.0["mode"]["why_not_fork"].as_str().unwrap_or_else(|| panic!("no reason: {self:#?}"))
    }
}

/// Pastes a line into a shell, with exuvia on its path.
#[track_caller]
fn paste(line: &str) -> Ran {
    let ours = Path::new(env!("CARGO_BIN_EXE_exuvia")).parent().unwrap();
    let path = format!("{}:{}", ours.display(), std::env::var("PATH").unwrap());
    let ran = ran(Command::new("sh").args(["-c", line]).env("PATH", path).env_remove("COLUMNS").stdin(Stdio::null()));
    assert_eq!(ran.code, Some(0), "pasted {line}: {ran:#?}");
    ran
}

fn leave_out<T>(why: &str) -> Option<T> {
    println!("left out: {why}");
    None
}

fn root() -> Option<()> {
    if !may_trace() {
        return None;
    }
    if nix::unistd::geteuid().is_root() {
        Some(())
    } else {
        leave_out("it takes root")
    }
}

/// Whether a command does what it should; what it says where it does not.
fn works(command: &[&str]) -> Option<()> {
    let out = Command::new(command[0]).args(&command[1..]).stdin(Stdio::null()).output();
    match out {
        Ok(out) if out.status.success() => Some(()),
        Ok(out) => leave_out(&format!("{command:?}: {}", String::from_utf8_lossy(&out.stderr))),
        Err(e) => leave_out(&format!("{command:?}: {e}")),
    }
}

/// A copy of the command that everybody may run.
struct ForAll(#[allow(dead_code)] Scratch, PathBuf);

impl ForAll {
    fn new() -> ForAll {
        let folder = Scratch::new().unwrap();
        let copy = folder.path().join("exuvia");
        std::fs::copy(env!("CARGO_BIN_EXE_exuvia"), &copy).unwrap();
        for path in [folder.path(), copy.as_path()] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        ForAll(folder, copy)
    }
}

const NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// An interpreter that every user may run and read.
fn open_python() -> Option<PathBuf> {
    let found = testbed::interpreters().found.iter().map(|py| py.path.clone()).find(|path| path.starts_with("/usr"));
    found.or_else(|| leave_out("no interpreter below /usr, which others may run"))
}

/// Installs a filter that answers call `number` with EPERM and all others with yes.
fn filter(number: i32) -> String {
    format!(
        "import ctypes\n\
        class I(ctypes.Structure): _fields_ = [('code', ctypes.c_ushort), ('jt', ctypes.c_ubyte), ('jf', ctypes.c_ubyte), ('k', ctypes.c_uint)]\n\
        class P(ctypes.Structure): _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.POINTER(I))]\n\
        program = (I * 4)(I(0x20, 0, 0, 0), I(0x15, 0, 1, {number}), I(6, 0, 0, 0x50001), I(6, 0, 0, 0x7fff0000))\n\
        libc = ctypes.CDLL(None)\n\
        assert libc.prctl(38, 1, 0, 0, 0) == 0\n\
        assert libc.prctl(22, 2, ctypes.byref(P(4, program))) == 0\n"
    )
}

/// Calls of x86-64, by number.
const CLONE: i32 = 56;
const FORK: i32 = 57;
const PTRACE: i32 = 101;

#[test]
fn the_machine_and_its_pythons() {
    if !may_trace() {
        return;
    }
    let target = Started::python("rows = [[n] for n in range(1000)]");
    let said = Said::new(common::run(&["doctor", "--json"]), false);
    assert!(said.0["target"].is_null() && said.0["mode"].is_null());
    let processes = said.0["processes"].as_array().unwrap();
    let ours = processes.iter().find(|p| p["pid"].as_i64() == Some(target.child.id().into())).unwrap_or_else(|| panic!("{processes:#?}"));
    let of = common::run(&["types", "--json", &target.pid()]);
    let seen: Value = serde_json::from_str(of.answered()).unwrap();
    assert_eq!((&ours["python"], &ours["refused"]), (&seen["target"]["python"], &Value::Null));
    assert!(ours["resident_bytes"].as_u64().unwrap() > 1 << 20);
    assert_eq!(said.found("kernel"), std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim());
    let screen = ran(exuvia().arg("doctor").env("COLUMNS", "80"));
    assert!(
        screen.answered().lines().count() <= 24 || said.0["checks"].as_array().unwrap().iter().any(|c| c["ok"] == false),
        "{screen:#?}"
    );
    assert!(screen.stdout.contains("next: exuvia doctor "), "{screen:#?}");
}

#[test]
fn a_plain_process() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let target = Started::python_of(&py.path, "rows = [[n] for n in range(1000)]");
        let said = here().doctor(&target.pid());
        for id in ["access", "tracer", "state", "filters", "namespaces", "headroom", "python", "layout", "mode"] {
            assert_eq!(said.ok(id), Some(true), "{id}: {said:#?}");
        }
        let (mode, it) = (&said.0["mode"], &said.0["target"]);
        assert_eq!((&mode["way"], &mode["why_not_fork"], &mode["else_freeze_pause_ms"]), (&"fork".into(), &Value::Null, &Value::Null));
        assert!(mode["fork_cost_bytes"].as_u64() > mode["resident_bytes"].as_u64());
        assert_eq!((it["pid"].to_string(), &it["state"], &it["seccomp"]), (target.pid(), &"S".into(), &"off".into()));
        assert!(it["command"].as_str().unwrap().contains("rows = [["), "{it:#?}");
    });
}

/// While it allocates, collects and lets go in three threads.
#[test]
fn a_busy_process_is_proved_while_it_runs() {
    if !may_trace() {
        return;
    }
    let script = "\
import threading
rows = {}
def work(k):
    for n in range(1 << 62):
        rows[k, n % 5000] = [[n], {'a': n}, (n, [n])]
for k in range(3):
    threading.Thread(target=work, args=(k,), daemon=True).start()";
    testbed::for_each_interpreter(|py| {
        let target = Started::python_of(&py.path, script);
        let said = here().doctor(&target.pid());
        assert_eq!((said.ok("layout"), said.ok("mode")), (Some(true), Some(true)), "{said:#?}");
        assert!(!said.0["target"]["pythons"][0]["build"].is_null() && said.found("state").contains("4 threads"), "{said:#?}");
    });
}

#[test]
fn a_pause_that_is_too_long_is_told_with_one_that_is_enough() {
    if !may_trace() {
        return;
    }
    let target = Started::python("");
    let ran = common::run(&["doctor", "--json", "--max-pause", "1ms", &target.pid()]);
    let said = Said::new(ran, true);
    assert_eq!((said.ok("mode"), &said.0["readable"], &said.0["mode"]["max_pause_ms"]), (Some(false), &false.into(), &1.0.into()));
    assert_eq!(common::run(&["types", "--max-pause", "1ms", &target.pid()]).code, Some(3));
    assert!(paste(said.advice("mode")).stdout.starts_with("coverage: "));
}

#[test]
fn another_users_process_and_the_way_to_it() {
    let Some(()) = root() else { return };
    let copy = ForAll::new();
    let target = Started::python("");
    let said = Surroundings { before: &NOBODY, exuvia: &copy.1 }.doctor(&target.pid());
    assert_eq!((said.ok("access"), said.ok("rights"), &said.0["mode"]), (Some(false), None, &Value::Null));
    assert!(said.found("access").contains("user 0") && said.found("access").contains("65534"), "{said:#?}");
    // By whom it is asked does not matter for what everybody is told.
    assert_eq!((said.ok("tracer"), said.ok("filters"), said.ok("headroom")), (Some(true), Some(true), Some(true)));
    let advice = said.advice("access");
    if ["docker ", "podman ", "kubectl "].iter().any(|engine| advice.starts_with(engine)) {
        return leave_out("in this container the way leads over its host").unwrap_or(());
    }
    // Root needs no password.
    let pasted = Said::new(paste(advice), true);
    assert_eq!((&pasted.0["readable"], &pasted.0["target"]["pid"]), (&true.into(), &said.0["target"]["pid"]));

    // The machine as such: nothing of others is promised.
    let alone = Said::new(ran(Command::new(NOBODY[0]).args(&NOBODY[1..]).arg(&copy.1).args(["doctor", "--json"])), false);
    assert_eq!((alone.ok("rights"), alone.ok("kernel.seccomp-filters")), (Some(false), Some(false)), "{alone:#?}");
    let listed =
        alone.0["processes"].as_array().unwrap().iter().find(|p| p["pid"].as_i64() == Some(target.child.id().into())).cloned().unwrap();
    assert!(listed["refused"].as_str().unwrap().contains("CAP_SYS_PTRACE"), "{listed}");
}

#[test]
fn an_owner_without_rights() {
    let (Some(()), Some(python)) = (root(), open_python()) else { return };
    let copy = ForAll::new();
    let nobody = Surroundings { before: &NOBODY, exuvia: &copy.1 };
    let start = |script: &str| {
        let script = format!("{script}\nprint('READY', flush=True)\nimport sys; sys.stdin.read()");
        Started::ready(Command::new(NOBODY[0]).args(&NOBODY[1..]).arg(&python).args(["-I", "-c", &script]))
    };
    let yama = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    if !matches!(yama.trim(), "" | "0") {
        return leave_out("kernel.yama.ptrace_scope forbids it to owners").unwrap_or(());
    }

    let plain = start("");
    let said = nobody.doctor(&plain.pid());
    assert_eq!((said.ok("access"), said.ok("rights"), &said.0["mode"]["way"]), (Some(true), Some(true), &"fork".into()), "{said:#?}");
    // Not needed for this one.
    assert_eq!(said.ok("kernel.seccomp-filters"), None);

    // Its filters may not be read, so nothing is tried; root may.
    let filtered = start(&filter(FORK));
    let said = nobody.doctor(&filtered.pid());
    assert!(said.not_forked().contains("CAP_SYS_ADMIN"), "{said:#?}");
    assert_eq!((said.ok("filters"), said.ok("kernel.seccomp-filters")), (Some(false), Some(false)), "{said:#?}");
    assert_eq!(here().doctor(&filtered.pid()).0["mode"]["way"], "fork");

    // PR_SET_DUMPABLE 0.
    let hidden = start("import ctypes; assert ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0");
    let said = nobody.doctor(&hidden.pid());
    assert!(said.found("access").contains("undumpable"), "{said:#?}");
    assert_eq!(said.0["mode"], Value::Null);
    assert_eq!(here().doctor(&hidden.pid()).0["readable"], true);
}

#[test]
fn traced_by_whom() {
    if !may_trace() {
        return;
    }
    let target = Started::python("");
    nix::sys::ptrace::seize(Pid::from_raw(target.child.id() as i32), nix::sys::ptrace::Options::empty()).unwrap();
    let said = here().doctor(&target.pid());
    let me = std::process::id().to_string();
    assert_eq!((said.ok("tracer"), said.0["target"]["tracer_pid"].to_string()), (Some(false), me.clone()));
    assert!(said.found("tracer").contains(&me) && said.ok("mode").is_none(), "{said:#?}");
    assert!(paste(said.advice("tracer")).stdout.contains(&me));
}

#[test]
fn a_stopped_one_stays_so() {
    if !may_trace() {
        return;
    }
    let target = Started::python("");
    let pid = Pid::from_raw(target.child.id() as i32);
    kill(pid, Signal::SIGSTOP).unwrap();
    let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().rsplit(") ").next().unwrap().chars().next().unwrap();
    while state() != 'T' {
        std::thread::yield_now();
    }
    let said = here().doctor(&target.pid());
    assert_eq!((&said.0["target"]["state"], said.ok("state"), said.ok("layout")), (&"T".into(), None, Some(true)), "{said:#?}");
    assert!(said.not_forked().contains("stopped"), "{said:#?}");
    assert_eq!(state(), 'T');
}

#[test]
fn what_is_no_python_or_no_process() {
    if !may_trace_anybody() {
        return;
    }
    let shell = Started::ready(Command::new("sh").args(["-c", "echo READY; read x"]));
    let said = here().doctor(&shell.pid());
    assert_eq!((said.ok("access"), said.ok("python"), said.ok("layout")), (Some(true), Some(false), None), "{said:#?}");
    assert!(said.found("python").contains("_PyRuntime") && said.0["mode"].is_null());

    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let said = here().doctor(&child.id().to_string());
    assert!(said.0["target"].is_null() && said.found("access").contains("no process has PID"), "{said:#?}");

    if let Some(path) = testbed::refused::debug_build() {
        let said = here().doctor(&Started::python_of(&path, "").pid());
        assert_eq!((said.ok("python"), said.ok("layout")), (Some(true), Some(false)), "{said:#?}");
        assert!(said.found("layout").contains("debug build") && said.0["mode"].is_null(), "{said:#?}");
    }
}

#[test]
fn filters_of_system_calls_are_decided_on_in_the_stop() {
    let Some(()) = root() else { return };
    for (number, forks) in [(CLONE, false), (FORK, true)] {
        let target = Started::python(&filter(number));
        let said = here().doctor(&target.pid());
        let mode = &said.0["mode"];
        assert_eq!(
            (&mode["way"], said.ok("filters"), &said.0["target"]["seccomp"]),
            (&"fork".into(), None, &"filters".into()),
            "{said:#?}"
        );
        assert!(mode["else_freeze_pause_ms"].as_f64().unwrap() > 0.0 && said.found("mode").contains("freeze: about"), "{said:#?}");
        let look = common::run(&["types", "--json", &target.pid()]);
        let seen: Value = serde_json::from_str(look.answered()).unwrap();
        assert_eq!(seen["target"]["mode"] == "fork", forks);
    }
}

/// As in a container with a profile.
#[test]
fn under_a_filter_of_our_own() {
    let Some(()) = root() else { return };
    let run_under = |number: i32, arguments: &[&str]| -> Ran {
        let script = format!("{}import os, sys; os.execv(sys.argv[1], sys.argv[1:])", filter(number));
        let python = common::python().path.to_string_lossy().into_owned();
        let before = [python.as_str(), "-I", "-c", &script];
        Surroundings { before: &before, exuvia: Path::new(env!("CARGO_BIN_EXE_exuvia")) }.run(arguments)
    };
    // Who is filtered may not read others' filters.
    let target = Started::python(&filter(FORK));
    let pid = target.pid();
    let said = Said::new(run_under(FORK, &["doctor", "--json", &pid]), true);
    assert!(said.not_forked().contains("under seccomp itself"), "{said:#?}");
    assert_eq!((said.ok("seccomp"), said.ok("filters"), said.ok("layout")), (None, Some(false), Some(true)), "{said:#?}");
    assert!(said.advice("filters").contains("# in another shell"), "{said:#?}");
    let look = run_under(FORK, &["types", "--json", &pid]);
    assert!(look.answered().contains(r#""mode":"freeze""#), "{look:#?}");

    // Without ptrace nothing can be stopped, and reading is still possible.
    let said = Said::new(run_under(PTRACE, &["doctor", "--json", &pid]), true);
    assert_eq!((said.ok("kernel.tracing"), said.ok("access"), &said.0["readable"]), (Some(false), Some(true), &false.into()), "{said:#?}");
    assert_eq!(run_under(PTRACE, &["types", "--json", &pid]).code.map(|code| code != 0), Some(true));
    let words: Vec<&str> = said.advice("kernel.tracing").split(' ').skip(1).collect();
    assert!(run_under(PTRACE, &words).answered().contains("never stopped"));
}

#[test]
fn in_other_namespaces() {
    let Some(()) = root() else { return };
    let unshare = ["unshare", "-Urpf", "--kill-child", "--mount-proc"];
    let Some(()) = works(&[&unshare[..], &["true"]].concat()) else { return };
    for (script, filtered) in [(String::new(), false), (filter(FORK), true)] {
        let script = format!("{script}\nprint('READY', flush=True)\nimport sys; sys.stdin.read()");
        let started = Started::ready(Command::new(unshare[0]).args(&unshare[1..]).arg(&common::python().path).args(["-I", "-c", &script]));
        let outer = started.pid();
        let pid = std::fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap().trim().to_string();

        // From outside.
        let said = here().doctor(&pid);
        assert_eq!((&said.0["mode"]["way"], said.ok("namespaces")), (&"fork".into(), None), "{said:#?}");
        assert_eq!(said.0["target"]["other_namespaces"], serde_json::json!(["user", "pid", "mount"]));
        assert_eq!(said.0["target"]["pids_inside"], serde_json::json!([pid.parse::<i32>().unwrap(), 1]));

        // From inside its root has all capabilities, and they are worth something towards those that are inside too.
        let enter = ["nsenter", "-t", &pid, "-U", "-p", "-m", "--preserve-credentials"];
        let inside = Surroundings { before: &enter, exuvia: Path::new(env!("CARGO_BIN_EXE_exuvia")) };
        let said = inside.doctor("1");
        assert_eq!((said.ok("access"), said.ok("namespaces")), (Some(true), Some(true)), "{said:#?}");
        assert!(said.found("container").contains("user namespace") && said.found("rights").contains("user namespace"), "{said:#?}");
        match filtered {
            true => assert!(said.not_forked().contains("CAP_SYS_ADMIN"), "{said:#?}"),
            false => assert_eq!(said.0["mode"]["way"], "fork", "{said:#?}"),
        }
    }
}

#[test]
fn the_root_of_a_user_namespace_has_no_rights_outside() {
    let Some(()) = root() else { return };
    let unshare = ["unshare", "--user", "--map-root-user"];
    let Some(()) = works(&[&unshare[..], &["true"]].concat()) else { return };
    let target = Started::python("");
    let said = Surroundings { before: &unshare, exuvia: Path::new(env!("CARGO_BIN_EXE_exuvia")) }.doctor(&target.pid());
    assert!(said.found("access").contains("outside of this user namespace"), "{said:#?}");
    let advice = said.advice("access");
    if ["docker ", "podman ", "kubectl "].iter().any(|engine| advice.starts_with(engine)) {
        return leave_out("in this container the way leads over its host").unwrap_or(());
    }
    assert!(advice.contains("# in a shell outside of this user namespace") || advice.contains("# on the host"), "{said:#?}");
    assert_eq!(Said::new(paste(advice), true).0["readable"], true);
}

/// A root folder with nothing in it but the command and its libraries.
#[test]
fn in_a_new_root_folder() {
    let Some(()) = root() else { return };
    let Some(()) = works(&["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]) else { return };
    let folder = Scratch::new().unwrap();
    let listed = Command::new("ldd").arg(env!("CARGO_BIN_EXE_exuvia")).output().unwrap();
    let libraries = String::from_utf8(listed.stdout).unwrap();
    let libraries: Vec<&Path> = libraries.split_whitespace().filter(|w| w.starts_with('/')).map(Path::new).collect();
    for file in libraries.into_iter().chain([Path::new(env!("CARGO_BIN_EXE_exuvia"))]) {
        let name = if file.ends_with("exuvia") { Path::new("exuvia") } else { file.strip_prefix("/").unwrap() };
        let copy = folder.path().join(name);
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(file, copy).unwrap();
    }
    std::fs::create_dir(folder.path().join("proc")).unwrap();

    let bare = ["unshare", "-m", "chroot", folder.path().to_str().unwrap()];
    let target = Started::python("");
    let pid = target.pid();
    let no_proc = Surroundings { before: &bare, exuvia: Path::new("/exuvia") }.run(&["doctor", &pid]);
    let [_, _, advice] = no_proc.refused(4);
    assert_eq!(advice, "mount -t proc proc /proc");

    // What was advised, done before the chroot, where there is a mount command.
    let line = format!("mount -t proc proc {0}/proc && exec chroot {0} \"$@\"", folder.path().display());
    let mounted = ["unshare", "-m", "sh", "-c", &line, "sh"];
    let there = Surroundings { before: &mounted, exuvia: Path::new("/exuvia") };
    let said = there.doctor(&pid);
    assert_eq!((said.ok("access"), said.ok("layout")), (Some(true), Some(true)), "{said:#?}");
    assert!(said.found("container").contains("chroot"), "{said:#?}");
    assert_eq!(said.0["target"]["other_namespaces"], serde_json::json!(["mount"]));
    // Its groups are seen through its own root folder.
    assert_eq!(said.0["mode"]["way"], "fork", "{said:#?}");
}

/// A memory group of our own, removed at the end.
struct Group {
    folder: PathBuf,
    limit: &'static str,
    usage: &'static str,
}

impl Group {
    fn new() -> Option<Group> {
        let v1 = Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes");
        let (top, limit, usage) = if v1.exists() {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
        } else {
            ("/sys/fs/cgroup", "memory.max", "memory.current")
        };
        let folder = Path::new(top).join(format!("exuvia-doctor-{}", std::process::id()));
        match std::fs::create_dir(&folder) {
            Ok(()) if folder.join(limit).exists() => Some(Group { folder, limit, usage }),
            Ok(()) => {
                std::fs::remove_dir(&folder).unwrap();
                leave_out("no group of ours may have a memory limit")
            }
            Err(e) => leave_out(&format!("{}: {e}", folder.display())),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that was just reaped may still count as a member for a moment.
        for _ in 0..1000 {
            if std::fs::remove_dir(&self.folder).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}

#[test]
fn near_the_limit_of_its_group_it_is_frozen_until_the_limit_is_raised() {
    let Some(()) = root() else { return };
    let Some(group) = Group::new() else { return };
    let script = "rows = [[n] for n in range(200000)]\nprint('READY', flush=True)\nimport sys; sys.stdin.read()";
    let line = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", group.folder.display());
    let target = Started::ready(Command::new("sh").args(["-c", &line, "sh"]).arg(&common::python().path).args(["-I", "-c", script]));
    let used: u64 = std::fs::read_to_string(group.folder.join(group.usage)).unwrap().trim().parse().unwrap();
    std::fs::write(group.folder.join(group.limit), (used + (8 << 20)).to_string()).unwrap();

    let said = here().doctor(&target.pid());
    let file = group.folder.join(group.limit).display().to_string();
    assert!(said.not_forked().contains(&file) && said.ok("headroom") == Some(false), "{said:#?}");
    assert!(said.0["target"]["headroom"]["limited_by"].as_str().unwrap().contains(&file), "{said:#?}");
    assert!(said.0["target"]["headroom"]["left_bytes"].as_u64().unwrap() < 32 << 20, "{said:#?}");

    paste(said.advice("headroom"));
    let said = here().doctor(&target.pid());
    assert_eq!((said.ok("headroom"), &said.0["mode"]["way"]), (Some(true), &"fork".into()), "{said:#?}");
    drop(target);
}
