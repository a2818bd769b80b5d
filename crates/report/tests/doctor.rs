//! What `doctor` writes, byte for byte, beside files that a person can read: see `golden.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::Path;

use exuvia_report as report;
use memory::Bytes;
use report::{Again, Style};
use snapshot::*;

#[test]
fn a_process_that_would_be_forked() {
    check("doctor-fork", &filtered());
}

#[test]
fn a_process_that_may_not_be_read() {
    check("doctor-refused", &refused());
}

#[test]
fn the_machine_and_its_processes() {
    check("doctor-machine", &machine(40));
}

#[test]
fn a_first_screen_has_24_lines_of_80_columns_and_nothing_steers_the_terminal() {
    for diagnosis in [filtered(), refused(), machine(100)] {
        let screen = written(|out| report::doctor::table(out, &diagnosis, &terminal()));
        assert!(screen.lines().count() <= 23, "{} lines:\n{screen}", screen.lines().count());
        for line in screen.lines() {
            // A command is never cut.
            assert!(report::text::width(line) <= 80 || line.starts_with("    try: "), "{line}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
}

#[test]
fn colour_is_written_only_where_it_is_wanted_and_says_nothing_alone() {
    let plain = written(|out| report::doctor::table(out, &refused(), &terminal()));
    let colour = written(|out| report::doctor::table(out, &refused(), &Style { color: true, ..terminal() }));
    assert!(!plain.contains('\x1b') && colour.contains("\x1b[1;31mno\x1b[0m"));
    let stripped = ["\x1b[0m", "\x1b[1m", "\x1b[32m", "\x1b[33m", "\x1b[1;31m"].iter().fold(colour, |s, code| s.replace(code, ""));
    assert_eq!(stripped, plain);
}

#[test]
fn a_block_is_what_makes_it_unreadable() {
    assert!(filtered().readable() && !refused().readable() && machine(1).readable());
}

fn terminal() -> Style {
    Style { width: Some(80), color: false, again: Again::Pid(4711) }
}

fn written(write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[track_caller]
fn check(name: &str, diagnosis: &Diagnosis) {
    compare(&format!("{name}.txt"), written(|out| report::doctor::table(out, diagnosis, &terminal())));
    compare(&format!("{name}.json"), written(|out| report::doctor::json(out, diagnosis)));
}

#[track_caller]
fn compare(file: &str, got: String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &got).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(got, wanted, "\n{} differs; it would be:\n{got}", path.display());
}

fn said(id: &'static str, verdict: Verdict, found: &str, advice: Option<&str>) -> Check {
    Check { id, verdict, found: found.into(), advice: advice.map(String::from) }
}

/// A kernel without pidfd, and the rest as it should be.
fn of_the_machine(pidfd: Verdict) -> Vec<Check> {
    use Verdict::{Note, Works};
    let lost = (pidfd == Verdict::Lacks).then_some("exuvia types --mode freeze 4711");
    vec![
        said("kernel", Works, "6.1.0-18-amd64", None),
        said("kernel.tracing", Works, "works", None),
        said("kernel.pidfd", pidfd, if lost.is_some() { "Function not implemented: no forked copy is made" } else { "works" }, lost),
        said("rights", Works, "user 0 with CAP_SYS_PTRACE, CAP_SYS_ADMIN", None),
        said("yama", Works, "kernel.yama.ptrace_scope is 1, CAP_SYS_PTRACE is held", None),
        said("security", Note, "lockdown,capability,landlock,yama,apparmor; we are unconfined", None),
        said("seccomp", Works, "we have no filters", None),
        said("container", Works, "no sign of one", None),
        said("memory", Works, "12.0 GiB left to us below /proc/meminfo (MemAvailable)", None),
    ]
}

fn subject() -> Subject {
    Subject {
        pid: 4711,
        name: "python3".into(),
        command: "python3 -m shop.server --workers 16 --reload --listen [::]:8000 \x1b[2J --log /var/log/shop.log".into(),
        user: 33,
        state: 'S',
        tracer: None,
        seccomp: Some("filters"),
        pids_inside: vec![4711, 7],
        container: Some("docker 0123456789ab".into()),
        other_namespaces: vec!["pid", "mount"],
        resident: Bytes(240 << 20),
        headroom: Room {
            bytes: Some(Bytes(400 << 20)),
            limited_by: "/sys/fs/cgroup/shop/memory.max (768 MiB)".into(),
            processes: Some(900),
            processes_limited_by: Some("ulimit -u of user 33 (1024)".into()),
            unseen: vec!["memory limits above /sys/fs/cgroup/shop cannot be seen from this container".into()],
        },
        pythons: vec![Python {
            path: "/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0".into(),
            release: Some("3.11.2".into()),
            build: Some("proved by structure, table from 3.11.7".into()),
            unproved: None,
        }],
    }
}

fn filtered() -> Diagnosis {
    use Verdict::{Note, Works};
    let mut checks = of_the_machine(Works);
    checks.extend([
        said("access", Works, "it may be read: it is user 33's", None),
        said("tracer", Works, "nobody traces it", None),
        said("state", Works, "waiting (S), 3 threads", None),
        said("filters", Note, "it has 2 seccomp filters: read in the stop, before a call is made", None),
        said("namespaces", Note, "not ours: pid, mount; inside it is PID 7", None),
        said("headroom", Works, "400 MiB left below /sys/fs/cgroup/shop/memory.max (768 MiB)", None),
        said("python", Works, "CPython 3.11.2 in /usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0", None),
        said("layout", Works, "proved by structure, table from 3.11.7", None),
        said("mode", Works, "fork: it stands for about 9.97 ms; if its seccomp filters refuse that, freeze: about 83.0 ms", None),
    ]);
    let outlook = Outlook {
        mode: Mode::Fork,
        pause_ms: 9.9712345,
        max_pause_ms: 1000.0,
        not_forked: None,
        resident: Bytes(237 << 20),
        fork_cost: Some(Bytes(246 << 20)),
        else_freeze_ms: Some(83.0),
    };
    Diagnosis { checks, pid: Some(4711), core: None, processes: vec![], subject: Some(subject()), outlook: Some(outlook) }
}

fn refused() -> Diagnosis {
    use Verdict::{Blocks, Lacks, Unknown, Works};
    let mut checks = of_the_machine(Lacks);
    checks.push(said(
        "access",
        Blocks,
        "it belongs to user 33, this is user 1000 without CAP_SYS_PTRACE",
        Some("sudo /home/somebody/with/a/long/path/to/exuvia/target/release/exuvia doctor 4711"),
    ));
    checks.extend(["tracer", "state"].map(|id| said(id, Works, "as it should be", None)));
    let same = Some("sudo /home/somebody/with/a/long/path/to/exuvia/target/release/exuvia doctor 4711");
    checks.push(said("filters", Lacks, "it has 1 seccomp filter, which we may not read", same));
    checks.extend(["python", "layout", "mode"].map(|id| said(id, Unknown, "not known", None)));
    Diagnosis { checks, pid: Some(4711), core: None, processes: vec![], subject: Some(subject()), outlook: None }
}

fn machine(processes: i32) -> Diagnosis {
    let process = |n: i32| PythonProcess {
        pid_inside: None,
        container: None,
        pid: 4711 + n,
        resident: Bytes((1 << 30) >> n.min(20)),
        command: format!("python3 -m shop.worker --queue mail\u{202e} --number {n} --and-a-long-option-that-takes-room"),
        release: (n != 2).then(|| "3.12.1".to_string()),
        refused: (n == 2).then(|| "it belongs to user 0, this is user 1000 without CAP_SYS_PTRACE".to_string()),
    };
    Diagnosis { checks: of_the_machine(Verdict::Works), processes: (0..processes).map(process).collect(), ..Diagnosis::default() }
}
