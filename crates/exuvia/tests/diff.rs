//! What grows between looks: planted steps with known numbers, on every interpreter, from snapshots and live; and a clean twin.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/mod.rs"]
mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use common::{may_trace, python, run, Started};
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
KEPT = []
DROPPED = [Freed() for _ in range(500)]
REPLACED = [complex(n, 1) for n in range(50)]
INDEX = {}
def step(n):
    KEPT.extend(Added(n * 1000 + 300 + i) for i in range(120))
    del DROPPED[-100:]
    for i in range(30):
        INDEX[n * 30 + i] = KEPT[-1 - i]
    old = set(map(id, REPLACED[:20]))
    del REPLACED[:20]
    REPLACED[:0] = [complex(k + 1000 * n, 2) for k in range(20)]
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

#[test]
fn what_cannot_be_compared_is_refused() {
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path().to_str().unwrap();
    for words in [&["diff"][..], &["diff", folder], &["diff", folder, folder, "--every", "1s"], &["diff", "4711", folder], &["diff", "no"]]
    {
        run(words).refused(2);
    }
    run(&["diff", folder, folder]).refused(3);
}
