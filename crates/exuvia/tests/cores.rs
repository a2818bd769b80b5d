//! Core files: of the kernel, of gcore and of exuvia itself, each with the objects that the live process had.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{may_trace, run, Ran, Started};
use testbed::Scratch;

/// Something of everything, and libraries of its own.
const HEAP: &str = r#"
import array, asyncio, collections, ctypes, decimal, json, sqlite3, threading, weakref
class Row:
    def __init__(self, n):
        self.n, self.text = n, "text %d" % n
rows = [Row(n + 1000) for n in range(3000)]
table = {n + 5000: (str(n), [n], {n}) for n in range(3000)}
numbers = [decimal.Decimal(n) / 7 for n in range(500)]
buffers = [array.array("d", range(5000)), bytearray(300000), collections.deque(range(999))]
weak = weakref.WeakValueDictionary({row.n: row for row in rows[:100]})
def generated():
    yield rows
waiting = generated()
next(waiting)
"#;

fn objects(target: &str, options: &[&str]) -> Vec<String> {
    let ran = run(&[&["objects", "--json", target], options].concat());
    // The first line tells how it was looked at; what is left is an object a line.
    let mut lines: Vec<String> = ran.answered().lines().skip(1).map(str::to_string).collect();
    lines.sort();
    lines
}

/// It refused, and its lines have these words.
#[track_caller]
fn refused(ran: &Ran, code: i32, words: &[&str]) {
    let lines = ran.refused(code).join("\n");
    for word in words {
        assert!(lines.contains(word), "{word}: {lines}");
    }
}

#[track_caller]
fn same(live: &[String], core: &[String], what: &str) {
    assert!(live.len() > 10_000, "{what}: {}", live.len());
    let only = |of: &[String], other: &[String]| -> Vec<String> {
        of.iter().filter(|line| other.binary_search(line).is_err()).take(5).cloned().collect()
    };
    assert!(live == core, "{what}: {} and {}\nlive: {:#?}\ncore: {:#?}", live.len(), core.len(), only(live, core), only(core, live));
}

#[test]
fn a_core_of_ours_has_the_objects_of_the_live_one() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let target = Started::python_of(&py.path, HEAP);
        let scratch = Scratch::new().unwrap();
        let core = scratch.path().join("our core");
        let core = core.to_str().unwrap();
        let live = objects(&target.pid(), &[]);
        run(&["snapshot", "--core", &target.pid(), "-o", core]).answered();
        drop(target);
        same(&live, &objects(core, &[]), &py.name);
        // Nothing of the system that it ran on is needed.
        let answer: serde_json::Value =
            serde_json::from_str(run(&["types", "--json", core, "--root", scratch.path().to_str().unwrap(), "--limit", "1"]).answered())
                .unwrap();
        assert_eq!(answer["coverage"]["objects"].as_u64(), Some(live.len() as u64), "{}", py.name);
    });
}

#[test]
fn every_command_takes_a_core() {
    if !may_trace() {
        return;
    }
    let target = Started::python(HEAP);
    let pid = target.pid();
    let scratch = Scratch::new().unwrap();
    let core = scratch.path().join("core");
    let core = core.to_str().unwrap();
    run(&["snapshot", "--core", &pid, "-o", core]).answered();
    for words in [
        &["types"][..],
        &["containers"],
        &["gc"],
        &["weakrefs"],
        &["retained"],
        &["refcounts"],
        &["cycles"],
        &["finalizers"],
        &["slots"],
        &["path", "TARGET", "__main__:rows"],
        &["sizes", "TARGET", "__main__:rows", "__main__.Row"],
    ] {
        let asked = |target: &str| {
            let mut words: Vec<&str> = words.iter().map(|w| if *w == "TARGET" { target } else { w }).collect();
            if words.len() == 1 {
                words.push(target);
            }
            words.push("--json");
            let answer: serde_json::Value = serde_json::from_str(run(&words).answered()).unwrap();
            let mut answer = answer.as_object().unwrap().clone();
            // How it was looked at differs, and that a core does not know how long its process ran; nothing else.
            answer.remove("age_s");
            answer.remove("full_collections_an_hour");
            assert_eq!(answer.remove("target").unwrap()["mode"] == "core", target == core, "{words:?}");
            answer
        };
        assert_eq!(asked(core), asked(&pid), "{words:?}");
    }
    let explained = run(&["explain", core]);
    assert!(explained.answered().contains("from a core file"), "{explained:#?}");
    assert!(explained.stdout.contains("__main__.rows"), "{explained:#?}");
    let folder = scratch.path().join("folder");
    run(&["snapshot", core, "-o", folder.to_str().unwrap()]).answered();
    same(&objects(&pid, &[]), &objects(folder.to_str().unwrap(), &[]), "a folder made of a core");
    refused(&run(&["ledger", core]), 3, &["has no ledger", "what of it was in memory"]);
    refused(&run(&["snapshot", "--core", core, "-o", "x"]), 2, &["is one already"]);
}

/// The command line of a Python that dumps core in this folder.
fn dumping(python: &Path, folder: &Path) -> Started {
    let script = format!("{}{HEAP}\nprint('READY', flush=True)\nimport sys; sys.stdin.read()", common::MAY_BE_TRACED);
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -c unlimited; exec \"$0\" \"$@\""]).arg(python).args(["-I", "-c", &script]).current_dir(folder);
    Started::ready(&mut shell)
}

fn core_in(folder: &Path) -> Option<PathBuf> {
    let mut files = std::fs::read_dir(folder).unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    files.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core")))
}

#[test]
fn a_core_of_the_kernel_has_them_too() {
    if !may_trace() {
        return;
    }
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if pattern.trim() != "core" {
        println!("left out: the kernel writes cores elsewhere: {pattern}");
        return;
    }
    let limit = Command::new("sh").args(["-c", "ulimit -H -c"]).output().unwrap().stdout;
    if limit != b"unlimited\n" {
        println!("left out: cores are limited to {}", String::from_utf8_lossy(&limit));
        return;
    }
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let mut target = dumping(&py.path, scratch.path());
        let live = objects(&target.pid(), &[]);
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(target.child.id() as i32), nix::sys::signal::SIGABRT).unwrap();
        target.child.wait().unwrap();
        let core = core_in(scratch.path()).unwrap_or_else(|| panic!("{}: no core in {}", py.name, scratch.path().display()));
        let core = core.to_str().unwrap();
        same(&live, &objects(core, &[]), &py.name);
        // Without its files it is not readable, and says so.
        let nothing = scratch.path().join("nothing");
        std::fs::create_dir(&nothing).unwrap();
        refused(&run(&["types", core, "--root", nothing.to_str().unwrap()]), 3, &["are missing", "--root FOLDER"]);
        let other = py.path.parent().unwrap().join("no-such-program");
        refused(&run(&["types", core, "--root", nothing.to_str().unwrap(), "--exe", other.to_str().unwrap()]), 3, &["are missing"]);
    });
}

#[test]
fn a_core_of_gcore_has_them_too() {
    if !may_trace() {
        return;
    }
    let there = Command::new("gcore").arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_err() {
        println!("left out: no gcore");
        assert!(std::env::var("EXUVIA_REQUIRE_ALL").map_or(true, |v| v != "1"), "gcore is missing, and EXUVIA_REQUIRE_ALL=1");
        return;
    }
    // What gcore writes does not depend on the release; that the releases are read is seen on the other two kinds.
    let wanted = |py: &testbed::Interpreter| match ["3.8", "3.12", "3.15"].iter().any(|series| py.name.starts_with(series)) {
        true => Ok(()),
        false => Err("gcore is asked for on the oldest, the newest and one more release".to_string()),
    };
    testbed::for_each_that(wanted, |py| {
        let scratch = Scratch::new().unwrap();
        let target = Started::python_of(&py.path, HEAP);
        let live = objects(&target.pid(), &[]);
        let made = Command::new("gcore").arg("-o").arg(scratch.path().join("core")).arg(target.pid()).output().unwrap();
        let core = core_in(scratch.path()).unwrap_or_else(|| panic!("{}: {made:?}", py.name));
        same(&live, &objects(core.to_str().unwrap(), &[]), &py.name);
    });
}

#[test]
fn what_is_no_core_has_one_clear_error() {
    if !may_trace() {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let at = |name: &str| scratch.path().join(name).to_str().unwrap().to_string();
    let target = Started::python(HEAP);
    run(&["snapshot", "--core", &target.pid(), "-o", &at("core")]).answered();
    let whole = std::fs::read(at("core")).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(at(name), bytes).unwrap();
    write("text", b"this is no core file at all\n");
    write("empty", b"");
    write("cut", &whole[..whole.len() / 2]);
    write("cut-early", &whole[..100]);
    let patched = |name: &str, at: usize, with: &[u8]| {
        let mut bytes = whole.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        write(name, &bytes);
    };
    // e_machine of AArch64, a 32-bit class, a big-endian core of s390.
    patched("arm", 18, &[183, 0]);
    patched("32-bit", 4, &[1]);
    patched("s390", 5, &[2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 22]);
    let sleep = {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = child.id().to_string();
        let made = Command::new("gcore").arg("-o").arg(at("sleep")).arg(&pid).output();
        child.kill().unwrap();
        child.wait().unwrap();
        made.map(|_| at(&format!("sleep.{pid}")))
    };
    for (name, words) in [
        ("text", "this is no ELF file"),
        ("empty", "an empty file"),
        ("cut", "is cut"),
        ("cut-early", "is cut"),
        ("arm", "another architecture: 64-bit, AArch64"),
        ("32-bit", "another architecture: 32-bit"),
        ("s390", "another architecture"),
    ] {
        refused(&run(&["types", &at(name)]), 3, &[words]);
        refused(&run(&["explain", "--json", &at(name)]), 3, &[words]);
    }
    refused(&run(&["types", "/bin/sh"]), 3, &["a program or a library"]);
    if let Ok(sleep) = sleep {
        refused(&run(&["types", &sleep]), 3, &["runs no Python"]);
    }
    refused(&run(&["types", "--root", "/", &target.pid()]), 2, &["--root and --exe are for core files"]);
    refused(&run(&["types", &at("core"), "--after", "1s"]), 2, &["--after is for a program"]);
    refused(&run(&["snapshot", "--core", &target.pid(), "-o", &at("core")]), 2, &["exists already"]);
    refused(&run(&["snapshot", "--core", &target.pid(), "-o", "-"]), 2, &["not written to stdout"]);
}
