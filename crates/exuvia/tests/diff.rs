//! What grows between looks: planted steps with known numbers, on every interpreter, from snapshots and live; and a clean twin.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/mod.rs"]
mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{may_trace, python, run, Started};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use serde_json::Value;
use testbed::Scratch;

/// Each line that it reads is a step: 120 come, 100 go, 20 are replaced.
const PLANTED: &str = r#"
import json, sys
class Added:
    __slots__ = ("n",)
    def __init__(self, n):
        self.n = n
class Freed:
    pass
class Passing:
    pass
class Swapped:
    def __init__(self, n):
        self.number = n + 1000000
        self.text = "text %d" % n
KEPT = []
DROPPED = [Freed() for _ in range(500)]
REPLACED = [complex(n, 1) for n in range(50)]
SWAPPED = [Swapped(n) for n in range(50)]
INDEX = {}
def step(n):
    KEPT.extend(Added(n * 1000 + 300 + i) for i in range(120))
    del DROPPED[-100:]
    for i in range(30):
        INDEX[n * 30 + i] = KEPT[-1 - i]
    old = set(map(id, REPLACED[:20]))
    del REPLACED[:20]
    REPLACED[:0] = [complex(k + 1000 * n, 2) for k in range(20)]
    del SWAPPED[:20]
    SWAPPED[:0] = [Swapped(k + 1000 * n) for k in range(20)]
    return len(old & set(map(id, REPLACED[:20])))
def clean(n):
    rows = [Passing() for _ in range(5000)]
    table = {str(i): rows[i] for i in range(5000)}
    text = "".join(sorted(table))
    return len(text)
step(0), clean(0)
print('READY', flush=True)
n = 0
for line in sys.stdin:
    n += 1
    print(json.dumps({"step": step, "clean": clean}[line.strip()](n)), flush=True)
"#;

/// Has the target do one step; gives what it says.
fn step(target: &mut Started, word: &str) -> u64 {
    writeln!(target.child.stdin.as_mut().unwrap(), "{word}").unwrap();
    let mut line = String::new();
    BufReader::new(target.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    line.trim().parse().unwrap_or_else(|_| panic!("the target said {line:?}"))
}

fn save(target: &Started, scratch: &Scratch, name: &str) -> String {
    let folder = scratch.path().join(name).to_str().unwrap().to_owned();
    run(&["snapshot", &target.pid(), "-o", &folder, "--json"]).answered();
    folder
}

fn diff(words: &[&str]) -> Value {
    serde_json::from_str(run(&[&["diff", "--json"], words].concat()).answered()).unwrap()
}

fn count(row: &Value, key: &str) -> u64 {
    row[key]["objects"].as_u64().unwrap()
}

fn of_type(answer: &Value, name: &str) -> Value {
    answer["types"].as_array().unwrap().iter().find(|t| t["type"] == name).unwrap_or(&Value::Null).clone()
}

fn looks(row: &Value) -> Vec<u64> {
    row["looks"].as_array().unwrap().iter().map(|c| c["objects"].as_u64().unwrap()).collect()
}

/// Starts the script without stepping it further.
fn started(py: &Path) -> Started {
    Started::ready(std::process::Command::new(py).args(["-I", "-c", &format!("{}{PLANTED}", common::MAY_BE_TRACED)]))
}

#[test]
fn growth_is_what_was_planted_and_a_clean_program_has_none() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let mut target = started(&py.path);
        let first = save(&target, &scratch, "first");
        let mut reused = step(&mut target, "step");
        let second = save(&target, &scratch, "second");
        reused += step(&mut target, "step");
        let third = save(&target, &scratch, "third");
        let answer = diff(&[&first, &second, &third]);
        let told = || format!("{}: {:#}", py.name, answer["suspects"]);

        let added = of_type(&answer, "__main__.Added");
        assert_eq!(looks(&added), [120, 240, 360], "{}", py.name);
        assert_eq!([count(&added, "new"), count(&added, "gone"), count(&added, "stayed"), count(&added, "survived")], [240, 0, 120, 120]);
        let freed = of_type(&answer, "__main__.Freed");
        assert_eq!(looks(&freed), [400, 300, 200], "{}", py.name);
        assert_eq!([count(&freed, "new"), count(&freed, "gone"), count(&freed, "survived")], [0, 200, 200]);
        // Of fifty twenty were replaced twice, most of them where the old ones stood.
        let complex = of_type(&answer, "complex");
        let first_complex = looks(&complex)[0];
        assert_eq!(looks(&complex), [first_complex; 3], "{}", py.name);
        assert_eq!([count(&complex, "new"), count(&complex, "gone"), count(&complex, "stayed")], [20, 20, 0], "{}", py.name);
        // So were twenty instances, which their attributes tell apart.
        let swapped = of_type(&answer, "__main__.Swapped");
        let kinds = [count(&swapped, "new"), count(&swapped, "gone"), count(&swapped, "survived"), count(&swapped, "stayed")];
        assert_eq!((looks(&swapped), kinds), (vec![50; 3], [20, 20, 30, 0]), "{}", py.name);
        let replaced = answer["replaced"].as_u64().unwrap();
        // 3.15 did not put new ones where the old ones stood; the target's own ids say so.
        assert!((reused > 0 || py.minor >= 15) && replaced >= reused, "{}: {replaced} of {reused}", py.name);
        assert_eq!(answer["fingerprints"], true);

        let containers = answer["containers"].as_array().unwrap();
        let grown = |path: &str| {
            let found = containers.iter().find(|c| c["path"] == path);
            found.unwrap_or_else(|| panic!("no {path}: {containers:#?}")).clone()
        };
        let (kept, index) = (grown("__main__.KEPT"), grown("__main__.INDEX"));
        assert_eq!((&kept["lengths"], &kept["grew_by"]), (&serde_json::json!([120, 240, 360]), &240.into()), "{}", told());
        assert_eq!((&kept["entries_type"], &kept["entries_new"]), (&"__main__.Added".into(), &240.into()), "{}", told());
        assert_eq!(index["lengths"], serde_json::json!([30, 60, 90]), "{}", told());
        let suspects = answer["suspects"].as_array().unwrap();
        let names: Vec<&str> = suspects.iter().filter_map(|s| s["container"]["path"].as_str()).collect();
        assert_eq!(names, ["__main__.KEPT", "__main__.INDEX"], "{}", told());
        assert_eq!(suspects.len(), 2, "{}", told());
        // What the list retains is what sizes says of it.
        let sizes: Value = serde_json::from_str(run(&["sizes", "--json", &third, "__main__:KEPT"]).answered()).unwrap();
        let owner = answer["owners"].as_array().unwrap().iter().find(|o| o["path"] == "__main__.KEPT").unwrap();
        let middle: Value = serde_json::from_str(run(&["sizes", "--json", &second, "__main__:KEPT"]).answered()).unwrap();
        let between = &middle["sizes"][0]["retained_bytes"];
        assert_eq!((&owner["looks_bytes"][1], &owner["grew_in_each"]), (between, &true.into()), "{}", py.name);
        assert_eq!(
            (&owner["last_bytes"], &kept["last_bytes"]),
            (&sizes["sizes"][0]["retained_bytes"], &owner["last_bytes"]),
            "{}",
            py.name
        );
        let sizes: Value = serde_json::from_str(run(&["sizes", "--json", &first, "__main__:KEPT"]).answered()).unwrap();
        assert_eq!(owner["first_bytes"], sizes["sizes"][0]["retained_bytes"], "{}", py.name);

        // The twin works and keeps nothing.
        step(&mut target, "clean");
        let fourth = save(&target, &scratch, "fourth");
        let clean = diff(&[&third, &fourth]);
        assert_eq!(clean["suspects"], Value::Array(Vec::new()), "{}", py.name);
        assert_eq!(
            (of_type(&clean, "__main__.Passing"), count(&of_type(&clean, "__main__.Added"), "new")),
            (Value::Null, 0),
            "{}",
            py.name
        );

        // Addresses of another process mean nothing.
        let other = Started::python_of(&py.path, "");
        let elsewhere = save(&other, &scratch, "elsewhere");
        let [what, why, _] = run(&["diff", &first, &elsewhere]).refused(3).map(str::to_owned);
        assert!(what.contains("different processes") && why.contains("process ids"), "{what} {why}");
    });
}

#[test]
fn a_process_is_looked_at_again_and_again() {
    if !may_trace() {
        return;
    }
    let growing = Started::python(
        "import threading, time\nKEPT = []\ndef work():\n    while True:\n        KEPT.extend([n] for n in range(50))\n        time.sleep(0.001)\n\
         threading.Thread(target=work, daemon=True).start()",
    );
    let answer = diff(&[&growing.pid(), "--every", "500ms", "--times", "3"]);
    assert_eq!(answer["looks"].as_array().unwrap().len(), 3);
    let first = &answer["suspects"][0]["container"];
    assert_eq!((&first["path"], &first["entries_type"]), (&"__main__.KEPT".into(), &"list".into()), "{:#}", answer["suspects"]);
    let screen = run(&["diff", &growing.pid(), "--every", "100ms", "--times", "2"]);
    let screen = screen.answered();
    assert!(screen.starts_with("coverage: ") && screen.contains("__main__.KEPT (list)"), "{screen}");
    assert!(screen.lines().count() <= 24, "{screen}");

    let still = started(&python().path);
    let answer = diff(&[&still.pid(), "--every", "1ms", "--times", "3"]);
    assert_eq!((count(&answer, "new"), count(&answer, "gone"), &answer["suspects"]), (0, 0, &Value::Array(Vec::new())));
}

/// A diff of a process that is under way, with a folder of its own for what is temporary.
fn under_way(target: &Started, scratch: &Scratch, every: &str) -> Child {
    let mut command = common::exuvia();
    command.args(["diff", "--json", &target.pid(), "--every", every, "--times", "100"]).env("TMPDIR", scratch.path());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The looks, those being written too; with `whole` those that are written to their end.
fn folders(scratch: &Scratch, whole: bool) -> usize {
    let inside = |path: std::path::PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_whole = |path: &std::path::PathBuf| path.extension().is_none() && path.join("checksums").exists();
    inside(scratch.path().to_owned()).flat_map(inside).filter(|path| !whole || is_whole(path)).count()
}

/// What lies in the folder for what is temporary.
fn left(scratch: &Scratch) -> usize {
    std::fs::read_dir(scratch.path()).unwrap().count()
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(120), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

#[test]
fn ctrl_c_is_answered_with_what_there_is_and_leaves_nothing_behind() {
    if !may_trace() {
        return;
    }
    let target = started(&python().path);
    // As Ctrl-C, and as what ends a service; in a pause and within a look.
    for (word, every) in [(Signal::SIGINT, "1ms"), (Signal::SIGTERM, "1ms")] {
        let scratch = Scratch::new().unwrap();
        let child = under_way(&target, &scratch, every);
        wait_until("a third look", || folders(&scratch, false) > 2);
        signal(&child, word);
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{word}: {told}");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let looks = answer["looks"].as_array().unwrap().len();
        assert!((2..100).contains(&looks) && told.starts_with("exuvia: stopped after "), "{word}: {looks} looks, {told}");
        assert_eq!(left(&scratch), 0, "{word}");
    }
    // One look is nothing to compare, be it whole or being written.
    for whole in [true, false] {
        let scratch = Scratch::new().unwrap();
        let child = under_way(&target, &scratch, "10m");
        wait_until("the first look", || folders(&scratch, whole) == 1);
        signal(&child, Signal::SIGINT);
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), told.lines().count(), output.stdout.len()), (Some(3), 3, 0), "{told}");
        assert!(told.contains("SIGINT came after"), "{told}");
        assert_eq!(left(&scratch), 0);
    }
    // Nor does an error leave anything: the target goes away between two looks.
    let scratch = Scratch::new().unwrap();
    let gone = started(&python().path);
    let child = under_way(&gone, &scratch, "3s");
    wait_until("the first look", || folders(&scratch, true) == 1);
    drop(gone);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(left(&scratch), 0);
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path().to_str().unwrap();
    for words in [&["diff"][..], &["diff", folder], &["diff", folder, folder, "--every", "1s"], &["diff", "4711", folder], &["diff", "no"]]
    {
        run(words).refused(2);
    }
    assert!(run(&["diff", folder, folder]).refused(2)[0].contains("named twice"));
}
