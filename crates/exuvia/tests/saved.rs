//! A snapshot in a folder: the same answers as the target gave, nothing that others may read, and one clear error for each
//! way in which a folder can be wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::{exuvia, may_trace, python, ran, run, Started, MAY_BE_TRACED};
use serde_json::Value;
use testbed::Scratch;

const SCRIPT: &str = "\
class Item:
    def __init__(self, n):
        self.n, self.name, self.more = n, 'item %d' % n, {'deep': [n]}
class Slotted:
    __slots__ = ('left', 'right')
items = [Item(n) for n in range(200)]
s = Slotted(); s.left = items; s.right = (s.left, {1, 2, 'three'})
def outer():
    import sys
    kept = ['in a cell']
    def inner():
        return kept
    return inner, sys._getframe(), (n for n in kept)
held = outer()
";

fn texts(path: &Path) -> String {
    path.to_str().unwrap().to_string()
}

/// The target, stopped so that it is the same at every look, and its snapshot.
fn taken(scratch: &Scratch, options: &[&str]) -> (Started, PathBuf) {
    let target = Started::python(&format!("{SCRIPT}import gc; gc.disable()"));
    let folder = scratch.path().join("snap");
    let folder_text = texts(&folder);
    let mut args = vec!["snapshot", "-o", &folder_text];
    let pid = target.pid();
    args.push(&pid);
    args.extend(options);
    run(&args).answered();
    (target, folder)
}

fn json(args: &[&str]) -> Vec<Value> {
    run(args).answered().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// The answer without what differs from look to look.
fn comparable(mut answer: Vec<Value>) -> Vec<Value> {
    for v in &mut answer {
        for key in ["pause_ms", "second_stop_ms", "page_faults", "attempts", "copied_bytes", "resident_bytes"] {
            if let Some(Value::Object(target)) = v.get_mut("target") {
                target.remove(key);
            }
        }
    }
    answer
}

#[test]
fn a_snapshot_answers_with_the_numbers_of_its_target() {
    if !may_trace() {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let (target, folder) = taken(&scratch, &[]);
    let (pid, folder) = (target.pid(), texts(&folder));
    assert_eq!(comparable(json(&["types", "--json", &folder])), comparable(json(&["types", "--json", &pid])));
    let sorted = |target: &str| {
        let mut rows: Vec<String> = comparable(json(&["objects", "--json", target])).iter().map(Value::to_string).collect();
        rows.sort();
        rows
    };
    let (saved, live) = (sorted(&folder), sorted(&pid));
    assert!(saved.len() > 1000);
    for (saved, live) in saved.iter().zip(&live) {
        assert_eq!(saved, live);
    }
    assert_eq!(saved.len(), live.len());
    // Objects of every kind: instances, slots, dicts, sets, classes, modules, functions, code, frames, strs.
    let mut looked = 0;
    for kind in
        ["__main__.Item", "__main__.Slotted", "dict", "set", "type", "module", "function", "code", "frame", "str", "tuple", "int", "cell"]
    {
        let rows = json(&["objects", "--json", "--type", kind, "--limit", "6", &folder]);
        for row in &rows[1..] {
            let address = row["address"].as_str().unwrap();
            let (saved, live) = (run(&["object", "--json", &folder, address]), run(&["object", "--json", &pid, address]));
            let parse = |text: &str| comparable(vec![serde_json::from_str(text).unwrap()]);
            assert_eq!(parse(saved.answered()), parse(live.answered()), "{kind} {address}");
            looked += 1;
        }
    }
    assert!(looked > 50, "{looked}");
    run(&["object", &folder, "0x10"]).refused(3);
}

/// More objects than a row group has, whose holders and targets stand in several; one holder with more references than are shown.
#[test]
fn a_snapshot_of_many_row_groups_answers_alike() {
    if !may_trace() {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let target = Started::python(
        "import gc; gc.disable()
class First: pass
class Last: pass
first = First(); many = [[n, first] for n in range(1000, 140_000)]; table = {n: item for n, item in enumerate(many)}
last = Last(); last.back, first.on, last.none = first, last, many[-1]",
    );
    let (pid, folder) = (target.pid(), texts(&scratch.path().join("snap")));
    run(&["snapshot", "-o", &folder, &pid]).answered();
    assert_eq!(comparable(json(&["types", "--json", &folder])), comparable(json(&["types", "--json", &pid])));
    let mut looked = 0;
    for (kind, limit) in [("__main__.First", "1"), ("__main__.Last", "1"), ("list", "3"), ("dict", "2"), ("type", "2"), ("int", "2")] {
        for row in &json(&["objects", "--json", "--type", kind, "--limit", limit, &folder])[1..] {
            let address = row["address"].as_str().unwrap();
            let one = |target: &str| comparable(json(&["object", "--json", "--limit", "0", target, address])).remove(0);
            let (saved, live) = (one(&folder), one(&pid));
            assert!(saved["object"] == live["object"], "{kind} {address}: {:.2000} and {:.2000}", saved.to_string(), live.to_string());
            looked += 1;
        }
    }
    assert!(looked > 8, "{looked}");
}

#[test]
fn no_value_of_the_target_is_in_it_unless_asked_for() {
    if !may_trace() {
        return;
    }
    // The secrets are made at run time, so that they stand in no constant, and each in a place of its own.
    const PLANTED: &str = "\
def secret(where): return ''.join(['hun', 'ter-', where])
class Documented: pass
Documented.__doc__ = secret('docstring')
text = secret('text'); raw = secret('bytes').encode(); box = bytearray(raw)
table = {secret('key'): [secret('value')], 'n': 735928173492}
members = {secret('member')}
try:
    raise ValueError(secret('exception'))
except ValueError as e:
    kept = e
def running():
    local = secret('local')
    print('READY', flush=True)
    sys.stdin.read()
import sys
running()
";
    let scratch = Scratch::new().unwrap();
    let target = Started::ready(std::process::Command::new(&python().path).args(["-I", "-c", &format!("{MAY_BE_TRACED}{PLANTED}")]));
    let contents = |name: &str, options: &[&str]| {
        let folder = scratch.path().join(name);
        let text = texts(&folder);
        run(&[&["snapshot", "-o", &text, &target.pid()], options].concat()).answered();
        let mut strings = String::new();
        for spec in snapshot::file::TABLES {
            for column in snapshot::file::Reader::open(&folder).unwrap().all_texts(spec.name).unwrap() {
                strings += &column;
                strings.push('\n');
            }
        }
        strings
    };
    let without = contents("without", &[]);
    assert!(without.contains("Documented") && without.contains("running") && without.contains("local"), "names are there");
    let found: Vec<&str> = without.lines().filter(|l| l.contains("hunter-") || l.contains("735928173492")).collect();
    assert!(found.is_empty(), "{found:?}");
    let with = contents("with", &["--values"]);
    for place in ["docstring", "text", "key", "value", "member", "exception", "local"] {
        assert!(with.contains(&format!("hunter-{place}")), "{place}");
    }
    assert!(with.contains("735928173492"));
}

#[test]
fn only_its_owner_may_read_it() {
    if !may_trace() {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let (_target, folder) = taken(&scratch, &[]);
    let mode = |p: &Path| p.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&folder), 0o700);
    let mut files = 0;
    for file in folder.read_dir().unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
        files += 1;
    }
    assert!(files > 3);
}

#[test]
fn a_tar_holds_the_same_folder() {
    if !may_trace() {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let target = Started::python(SCRIPT);
    let file = std::fs::File::create(scratch.path().join("t.tar")).unwrap();
    let status = exuvia().args(["snapshot", "-o", "-", &target.pid()]).stdout(file).status().unwrap();
    assert!(status.success());
    assert!(std::process::Command::new("tar").args(["xf", "t.tar"]).current_dir(scratch.path()).status().unwrap().success());
    let folder = texts(&scratch.path().join(format!("exuvia-{}", target.pid())));
    assert!(json(&["types", "--json", &folder])[0]["types"].as_array().unwrap().len() > 50);
}

#[test]
fn a_folder_that_is_wrong_gets_one_clear_error() {
    if !may_trace() {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let (target, folder) = taken(&scratch, &[]);
    let name = texts(&folder);
    let check = |path: &str, code: i32, what: &str, why: &str| {
        let ran = run(&["objects", path]);
        let lines = ran.refused(code);
        assert!(lines[0].contains(what) && lines[1].contains(why), "{ran:#?}");
    };
    run(&["snapshot", "-o", &name, &target.pid()]).refused(2);
    check(&format!("{name}/no"), 3, "cannot read", "nothing of this name");
    check(&texts(scratch.path()), 3, "no snapshot", "checksums");
    check(&format!("{name}/types.parquet"), 3, "no snapshot", "is a folder");

    let list = folder.join("checksums");
    let good = std::fs::read(&list).unwrap();
    std::fs::write(&list, "exuvia snapshot 2000\nunknown\n").unwrap();
    check(&name, 3, "cannot read", "format is 2000");
    std::fs::write(&list, "something else\n").unwrap();
    check(&name, 3, "no snapshot", "words of a snapshot");
    std::fs::write(&list, &good[..good.len() - 4]).unwrap();
    check(&name, 3, "damaged", "checksums");
    std::fs::write(&list, &good).unwrap();

    for file in ["meta.parquet", "types.parquet", "objects.parquet"] {
        let path = folder.join(file);
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0x10;
        std::fs::write(&path, flipped).unwrap();
        check(&name, 3, "damaged", &format!("{file}: its checksum differs"));
        std::fs::write(&path, &whole[..whole.len() / 3]).unwrap();
        check(&name, 3, "damaged", file);
        std::fs::remove_file(&path).unwrap();
        check(&name, 3, "damaged", "missing");
        std::fs::write(&path, whole).unwrap();
    }
    run(&["objects", &name]).answered();
}

#[test]
fn a_full_disk_leaves_nothing() {
    if !may_trace() {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let target = Started::python(SCRIPT);
    // The largest file that the shell and what it starts may write: 8 blocks of 1024 bytes.
    let line = format!("ulimit -f 8; trap '' XFSZ; exec {} snapshot -o half {}", env!("CARGO_BIN_EXE_exuvia"), target.pid());
    let out = ran(std::process::Command::new("bash")
        .args(["-c", &line])
        .current_dir(scratch.path())
        .env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR")));
    let [what, why, _] = out.refused(4);
    assert!(what.contains("snapshot") && why.contains("File too large"), "{out:#?}");
    let left: Vec<_> = scratch.path().read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}
