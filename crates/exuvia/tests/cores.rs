//! Core files: of the kernel, of gcore and of exuvia itself, each with the objects that the live process had.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{exuvia, may_trace, run, Ran, Started};
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

/// One process an interpreter: its live objects, and those of each kind of core of it.
#[test]
fn a_core_has_the_objects_of_the_live_one() {
    if !may_trace() {
        return;
    }
    let by_kernel = kernel_writes_cores();
    let gcore = gcore();
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let mut target = dumping(&py.path, scratch.path(), "");
        let at = |name: &str| scratch.path().join(name).to_str().unwrap().to_string();
        let live = objects(&target.pid(), &[]);
        // As it is, the written bytes are those of the other test.
        run(&["snapshot", "--core", "--compress", &target.pid(), "-o", &at("our core")]).answered();
        // What gcore writes does not depend on the release; that the releases are read is seen on the other two kinds.
        let by_gcore = gcore && ["3.8", "3.12", "3.15"].iter().any(|series| py.name.starts_with(series));
        if by_gcore {
            let made = Command::new("gcore").arg("-o").arg(at("gcore")).arg(target.pid()).output().unwrap();
            assert!(made.status.success(), "{made:?}");
        }
        let gcore = at(&format!("gcore.{}", target.pid()));
        let dumped = by_kernel.then(|| killed(&mut target, scratch.path()));
        drop(target);
        // Nothing of the system that it ran on is needed for ours.
        let nothing = at("nothing");
        std::fs::create_dir(&nothing).unwrap();
        same(&live, &objects(&at("our core"), &["--root", &nothing]), &py.name);
        if by_gcore {
            same(&live, &objects(&gcore, &[]), &py.name);
        }
        let Some(core) = dumped else { return };
        let core = core.to_str().unwrap();
        same(&live, &objects(core, &[]), &py.name);
        // Without its files it is not readable, and says so.
        refused(&run(&["types", core, "--root", &nothing]), 3, &["are missing", "--root FOLDER"]);
        let other = py.path.parent().unwrap().join("no-such-program");
        refused(&run(&["types", core, "--root", &nothing, "--exe", other.to_str().unwrap()]), 3, &["are missing"]);
    });
}

#[track_caller]
fn adds_up(ledger: &serde_json::Value) {
    let entries = ledger["entries"].as_array().unwrap().iter().map(|e| e["resident_bytes"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(entries + ledger["not_attributed_bytes"].as_u64().unwrap(), ledger["rss_bytes"].as_u64().unwrap(), "{ledger:#}");
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
    let age = |target: &str| json(&["gc", target])["age_s"].as_f64().unwrap();
    let before = age(&pid);
    run(&["snapshot", "--core", &pid, "-o", core]).answered();
    let (then, after) = (age(core), age(&pid));
    assert!(before <= then && then <= after, "the age of the process when the core was written: {before} {then} {after}");
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
            // How it was looked at differs, and the moment; nothing else.
            let age = answer.remove("age_s");
            if let Some(an_hour) = answer.remove("full_collections_an_hour") {
                let age = age.unwrap().as_f64().unwrap();
                let generations = answer["collectors"][0]["generations"].as_array().unwrap();
                let full = generations.last().unwrap()["collections"].as_f64().unwrap();
                assert!((an_hour.as_f64().unwrap() * age / 3600.0 - full).abs() < 1e-6, "{an_hour} of {full} in {age} s");
            }
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
    // What was resident is in the core: the same entries as live, which add up. Their bytes are of another moment.
    let (live, saved) = (json(&["ledger", &pid]), json(&["ledger", core]));
    for key in ["counted", "pymalloc", "gaps"] {
        assert_eq!(live[key], saved[key], "{key}");
    }
    assert_eq!(saved["counted"], "resident");
    let arenas = |answer: &serde_json::Value| -> Vec<u64> {
        answer["malloc_arenas"].as_array().unwrap().iter().map(|a| a["system_bytes"].as_u64().unwrap()).collect()
    };
    assert_eq!(arenas(&live), arenas(&saved));
    adds_up(&saved);
    let counts = |answer: &serde_json::Value| -> Vec<(String, u64)> {
        let entries = answer["entries"].as_array().unwrap().iter();
        let mut all: Vec<(String, u64)> = entries
            .filter(|e| {
                ["Python objects", "malloc, in use by others (native code, the interpreter)"].contains(&e["name"].as_str().unwrap())
            })
            .map(|e| (e["name"].as_str().unwrap().to_string(), e["count"].as_u64().unwrap()))
            .collect();
        all.sort();
        all
    };
    assert_eq!(counts(&live), counts(&saved));
    // Another program's core does not tell what was resident: what is counted then is said.
    if gcore() {
        let made = Command::new("gcore").arg("-o").arg(scratch.path().join("gcore")).arg(&pid).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let gcore = scratch.path().join(format!("gcore.{pid}"));
        let of_gdb = json(&["ledger", gcore.to_str().unwrap()]);
        assert_eq!(of_gdb["counted"], "core");
        assert_eq!((&of_gdb["pymalloc"], arenas(&of_gdb)), (&live["pymalloc"], arenas(&live)));
        adds_up(&of_gdb);
        let shown = run(&["ledger", gcore.to_str().unwrap()]);
        let words = shown.answered().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("what was resident, a core does not tell"), "{shown:#?}");
    }
    refused(&run(&["snapshot", "--core", core, "-o", "x"]), 2, &["is one already"]);
}

/// A Python that dumps core in this folder, with this in front of its heap.
fn dumping(python: &Path, folder: &Path, first: &str) -> Started {
    limited(python, folder, first, "unlimited")
}

fn limited(python: &Path, folder: &Path, first: &str, limit: &str) -> Started {
    let script = format!("{}{first}\n{HEAP}\nprint('READY', flush=True)\nimport sys; sys.stdin.read()", common::MAY_BE_TRACED);
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -c $LIMIT; exec \"$0\" \"$@\""]).arg(python).args(["-I", "-c", &script]).current_dir(folder);
    Started::ready(shell.env("LIMIT", limit))
}

/// Ends it, and gives the core that the kernel wrote then.
fn killed(target: &mut Started, folder: &Path) -> PathBuf {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(target.child.id() as i32), nix::sys::signal::SIGABRT).unwrap();
    target.child.wait().unwrap();
    core_in(folder).unwrap_or_else(|| panic!("no core in {}", folder.display()))
}

fn core_in(folder: &Path) -> Option<PathBuf> {
    let mut files = std::fs::read_dir(folder).unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    files.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core")))
}

/// Whether the kernel writes cores where a test finds them.
fn kernel_writes_cores() -> bool {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if pattern.trim() != "core" {
        println!("left out: the kernel writes cores elsewhere: {pattern}");
        return false;
    }
    let limit = Command::new("sh").args(["-c", "ulimit -H -c"]).output().unwrap().stdout;
    if limit != b"unlimited\n" {
        println!("left out: cores are limited to {}", String::from_utf8_lossy(&limit));
        return false;
    }
    true
}

/// Whether gcore is here.
fn gcore() -> bool {
    let there = Command::new("gcore").arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !there {
        println!("left out: no gcore");
        assert!(std::env::var("EXUVIA_REQUIRE_ALL").map_or(true, |v| v != "1"), "gcore is missing, and EXUVIA_REQUIRE_ALL=1");
    }
    there
}

fn json(words: &[&str]) -> serde_json::Value {
    serde_json::from_str(run(&[words, &["--json"]].concat()).answered()).unwrap()
}

/// What the kernel leaves out of a core by its filter is taken from the files, where they are the builds that ran, or is told.
#[test]
fn what_a_core_leaves_out_is_taken_from_the_files_or_told() {
    if !may_trace() || !kernel_writes_cores() {
        return;
    }
    // A library of its own that holds Python: what is missing is then not the program.
    let py = testbed::interpreters().found.iter().find(|py| py.shared && py.not_covered().is_none()).unwrap();
    let with = |filter: &str| {
        let scratch = Scratch::new().unwrap();
        let mut target = dumping(&py.path, scratch.path(), &format!("open('/proc/self/coredump_filter', 'w').write('{filter}')"));
        let live = objects(&target.pid(), &[]);
        let core = killed(&mut target, scratch.path());
        (scratch, live, core.to_str().unwrap().to_string())
    };
    // Private anonymous memory alone; with the first page of each file; with huge pages as well.
    for filter in ["0x01", "0x11", "0x33"] {
        let (_scratch, live, core) = with(filter);
        same(&live, &objects(&core, &[]), filter);
    }
    // Another build at the library's path.
    let (scratch, _, core) = with("0x33");
    let root = scratch.path().join("root");
    let told = json(&["doctor", &core]);
    assert_eq!((told["readable"].as_bool(), told["core"].as_str()), (Some(true), Some(core.as_str())), "{told:#}");
    let found = |told: &serde_json::Value, id: &str| {
        let checks = told["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("{id}: {told:#}"))
    };
    assert!(found(&told, "moment")["found"].as_str().unwrap().contains("SIGABRT"), "{told:#}");
    assert_eq!(found(&told, "layout")["ok"].as_bool(), Some(true), "{told:#}");
    let python = found(&told, "python")["found"].as_str().unwrap().split(" in ").nth(1).unwrap().to_string();
    let wrong = root.join(python.trim_start_matches('/'));
    std::fs::create_dir_all(wrong.parent().unwrap()).unwrap();
    std::fs::copy("/bin/sh", &wrong).unwrap();
    let root = root.to_str().unwrap();
    refused(&run(&["types", &core, "--root", root]), 3, &["are missing"]);
    let asked = run(&["doctor", &core, "--root", root, "--json"]);
    assert_eq!(asked.code, Some(3), "{asked:#?}");
    let told: serde_json::Value = serde_json::from_str(&asked.stdout).unwrap();
    assert_eq!(found(&told, "files")["ok"].as_bool(), Some(false), "{told:#}");
    assert_eq!(found(&told, "python")["blocks"].as_bool(), Some(true), "{told:#}");
    // With the library alone, what else is missing is named, and the heap is read.
    std::fs::copy(&python, &wrong).unwrap();
    let ran = run(&["types", &core, "--root", root, "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let gaps = serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap()["coverage"]["gaps"].to_string();
    assert!(gaps.contains("bad-reference"), "what stands in a library that is not here is counted: {gaps}");
    assert!(ran.stderr.contains("not read: ") && ran.stderr.contains("more mapped files"), "{}", ran.stderr);
    // No memory at all.
    let (_scratch, _, core) = with("0x00");
    let ran = run(&["types", &core]);
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    ran.refused(3);
    // The limit of ulimit -c, in blocks of 512 bytes or KiB, ends it before its last segment.
    let scratch = Scratch::new().unwrap();
    let mut target = limited(&py.path, scratch.path(), "", "4000");
    let core = killed(&mut target, scratch.path());
    refused(&run(&["types", core.to_str().unwrap()]), 3, &["is cut", "ulimit -c unlimited"]);
}

/// What came between a core and the process as it is now, and between two cores.
#[test]
fn cores_are_compared() {
    if !may_trace() {
        return;
    }
    let script =
        "kept = []\nprint('READY', flush=True)\nimport sys\nfor line in sys.stdin:\n    exec(line)\n    print('DONE', flush=True)\n";
    let mut target = Started::ready(Command::new(&common::python().path).args(["-I", "-c", &format!("{}{script}", common::MAY_BE_TRACED)]));
    let scratch = Scratch::new().unwrap();
    let at = |name: &str| scratch.path().join(name).to_str().unwrap().to_string();
    run(&["snapshot", "--core", &target.pid(), "-o", &at("first")]).answered();
    target.child.stdin.as_mut().unwrap().write_all(b"kept.extend([n] for n in range(777))\n").unwrap();
    let mut done = [0; 5];
    target.child.stdout.as_mut().unwrap().read_exact(&mut done).unwrap();
    run(&["snapshot", "--core", "--compress", &target.pid(), "-o", &at("second")]).answered();
    let lists = |words: &[&str]| {
        let answer = json(words);
        let types = answer["types"].as_array().unwrap_or_else(|| panic!("{answer:#}")).clone();
        let list = types.into_iter().find(|row| row["type"] == "list").unwrap_or_else(|| panic!("{answer:#}"));
        list["new"]["objects"].as_i64().unwrap_or_else(|| panic!("{list:#}"))
    };
    let cores = lists(&["diff", &at("first"), &at("second")]);
    assert!((777..800).contains(&cores), "{cores}");
    assert_eq!(lists(&["diff", &at("first"), &target.pid()]), cores, "a core and the process as it is now");
    refused(&run(&["diff", &at("first"), &at("first")]), 2, &["was named twice"]);
    refused(&run(&["diff", &target.pid(), &at("first")]), 2, &["is not compared"]);
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
    // Compressed: taken as they are where that is possible, one sentence where it is not.
    run(&["snapshot", "--core", "--compress", &target.pid(), "-o", &at("packed")]).answered();
    let packed = std::fs::read(at("packed")).unwrap();
    assert!(packed.len() * 2 < whole.len(), "{} of {}", packed.len(), whole.len());
    write("packed-cut", &packed[..packed.len() / 2]);
    write("packed-cut-early", &packed[..30]);
    let mut damaged = packed.clone();
    let middle = damaged.len() / 2;
    damaged.drain(middle..middle + 3);
    write("packed-damaged", &damaged);
    write("gzipped", b"\x1f\x8b\x08\0\0\0\0\0");
    write("xz", b"\xfd7zXZ\0\0\x04");
    for (name, words) in [
        ("packed-cut", &["is cut"][..]),
        ("packed-cut-early", &["is cut"]),
        ("packed-damaged", &["packed-damaged is "]),
        ("gzipped", &["is compressed by gzip", "gzip -dc"]),
        ("xz", &["is compressed by xz", "xz -dc"]),
    ] {
        refused(&run(&["types", &at(name)]), 3, words);
    }
    let full = exuvia().args(["types", &at("packed")]).env("TMPDIR", "/proc").output().unwrap();
    let full = Ran { code: full.status.code(), stdout: String::new(), stderr: String::from_utf8_lossy(&full.stderr).into_owned() };
    refused(&full, 3, &["cannot unpack", "/proc", "TMPDIR=FOLDER"]);
    if Command::new("zstd").args(["-q", &at("core"), "-o", &at("core.zst")]).status().is_ok_and(|s| s.success()) {
        let asked = |name: &str| {
            let mut answer = json(&["types", &at(name)]);
            answer["target"].take();
            answer
        };
        assert_eq!(asked("core.zst"), asked("core"));
        let zst = std::fs::read(at("core.zst")).unwrap();
        write("zst-cut", &zst[..zst.len() / 2]);
        refused(&run(&["types", &at("zst-cut")]), 3, &["is cut"]);
    } else {
        println!("left out: no zstd");
    }
    refused(&run(&["types", "/dev/zero"]), 3, &[""]);
    refused(&run(&["types", scratch.path().to_str().unwrap()]), 3, &["is no snapshot"]);
    nix::unistd::mkfifo(scratch.path().join("fifo").as_path(), nix::sys::stat::Mode::S_IRUSR).unwrap();
    refused(&run(&["types", &at("fifo")]), 3, &[""]);
    refused(&run(&["types", "/bin/sh"]), 3, &["a program or a library"]);
    if let Ok(sleep) = sleep {
        refused(&run(&["types", &sleep]), 3, &["runs no Python"]);
    }
    refused(&run(&["types", "--root", "/", &target.pid()]), 2, &["--root and --exe are for core files"]);
    refused(&run(&["types", &at("core"), "--after", "1s"]), 2, &["--after is for a program"]);
    refused(&run(&["snapshot", "--core", &target.pid(), "-o", &at("core")]), 2, &["exists already"]);
    refused(&run(&["snapshot", "--core", &target.pid(), "-o", "-"]), 2, &["not written to stdout"]);
}
