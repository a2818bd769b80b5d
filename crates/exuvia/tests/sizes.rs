//! How big things are: own, deep and retained of planted structures, on every interpreter, live and from a snapshot; deep against pympler's
//! asizeof where packages are asked for (`EXUVIA_PYPI=1`).

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/mod.rs"]
mod common;

use std::path::Path;
use std::process::Command;

use common::{may_trace, run, Started};
use serde_json::Value;
use testbed::Scratch;

/// Structures of built-in types, of slots and of dicts, with a size by a walk that the interpreter itself does.
const PLANTED: &str = r#"
import json, sys, types

class Plain:
    shared = ["of the class"] * 9
    def __init__(self, n):
        self.number = n + 1000
        self.text = "t%d" % n
class Slotted:
    __slots__ = ("a", "b")
    def __init__(self, n):
        self.a = n + 5000
        self.b = (n, "x%d" % n)

def loop():
    a = [n * 1000 for n in range(9)]
    a.append({"self": a, "code": loop, "class": Slotted, "module": sys})
    return a
def chain(n):
    a = None
    for i in range(n):
        a = [a]
    return a

PLAIN = [Plain(n) for n in range(100)]
for p in PLAIN:
    vars(p)
SLOTTED = [Slotted(n) for n in range(100)]
DICT = {"k%d" % n: [n * 1000, {n}, None, True] for n in range(100)}
MIXED = (1.5, b"abc", bytearray(10), frozenset([1, 2]), 2 ** 100, "\xfc", "\u1234x", DICT, 1j)
LOOP = loop()
CHAIN = chain(100000)
NAMES = ["PLAIN", "SLOTTED", "DICT", "MIXED", "LOOP"]
CODE = (type, types.FunctionType, types.ModuleType)

def deep(o):
    seen, ahead, total = set(), [o], 0
    while ahead:
        o = ahead.pop()
        if id(o) in seen or isinstance(o, CODE):
            continue
        seen.add(id(o))
        total += sys.getsizeof(o) + 7 & ~7
        if isinstance(o, dict):
            ahead += o.values()
            ahead += o
        elif isinstance(o, (list, tuple, set, frozenset)):
            ahead += o
        elif isinstance(o, Slotted):
            ahead += o.a, o.b
        elif isinstance(o, Plain):
            ahead.append(vars(o))
    return total
# Names of attributes belong to the class.
OF_NAMES = sum(sys.getsizeof(name) + 7 & ~7 for name in ("number", "text"))
facts = {name: deep(globals()[name]) for name in NAMES + ["CHAIN"]}
facts["PLAIN"] -= OF_NAMES
facts["own"] = sys.getsizeof(DICT)
"#;

const TOLD: &str = "\njson.dump(facts, open(FACTS, 'w'))\n";

fn sizes(target: &str, whats: &[&str]) -> Value {
    serde_json::from_str(run(&[&["sizes", "--json", target], whats].concat()).answered()).unwrap()
}

/// Starts the script; gives it and its facts.
fn planted(python: &Path, script: &str, scratch: &Scratch) -> (Started, Value) {
    let facts = scratch.path().join("facts.json");
    let target = Started::python_of(python, &format!("FACTS = {:?}\n{PLANTED}{script}{TOLD}", facts.to_str().unwrap()));
    let facts = serde_json::from_str(&std::fs::read_to_string(&facts).unwrap()).unwrap();
    (target, facts)
}

#[test]
fn sizes_are_those_that_were_planted() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let (target, facts) = planted(&py.path, "", &scratch);
        let folder = scratch.path().join("snapshot");
        let (folder, pid) = (folder.to_str().unwrap(), target.pid());
        run(&["snapshot", &pid, "-o", folder, "--json"]).answered();
        let names = ["PLAIN", "SLOTTED", "DICT", "MIXED", "LOOP", "CHAIN"];
        let words = names.map(|name| format!("__main__:{name}"));
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["__main__.Slotted"]).collect();
        let (live, saved) = (sizes(&pid, &words), sizes(folder, &words));
        assert_eq!((&live["sizes"], &live["together"]), (&saved["sizes"], &saved["together"]), "{}", py.name);
        let of = |place: usize| &live["sizes"][place];
        for (place, name) in names.into_iter().enumerate() {
            assert_eq!(of(place)["deep_bytes"], facts[name], "{} in {}: {:#}", name, py.name, of(place));
        }
        assert_eq!(of(2)["own_bytes"], facts["own"], "{}", py.name);
        // A list, its slotted objects, and of each the number, the tuple and the text; small numbers are the interpreter's.
        assert_eq!((&of(1)["retained_objects"], &of(6)["retained_objects"]), (&401.into(), &400.into()), "{}: {:#}", py.name, of(1));
        assert_eq!((&of(6)["what"]["objects"], &of(6)["what"]["kind"]), (&100.into(), &"type".into()));
        // A hundred thousand lists, each in the next; asizeof would stop after a hundred.
        assert_eq!((&of(5)["retained_objects"], &of(5)["deep_objects"]), (&100_000.into(), &100_001.into()), "{}", py.name);
        let sum: u64 = (0..names.len()).map(|place| of(place)["deep_bytes"].as_u64().unwrap()).sum();
        assert!(live["together"]["deep_bytes"].as_u64().unwrap() < sum, "what several share counts once");
        let retained = |target: &Value, n: usize| target["sizes"][n]["retained_bytes"].as_u64().unwrap();
        // The list retains its objects, so that both together are no more than the list.
        let both = sizes(&pid, &["__main__:SLOTTED", "__main__.Slotted"]);
        assert_eq!(both["together"]["retained_bytes"], retained(&both, 0), "{}: {both:#}", py.name);
        assert!(retained(&both, 1) < retained(&both, 0), "{}: {both:#}", py.name);
    });
}

#[test]
fn deep_is_what_asizeof_says() {
    if !testbed::packages::wanted() {
        println!("left out: pympler comes from PyPI: EXUVIA_PYPI=1");
        return;
    }
    if !may_trace() {
        return;
    }
    let packages = Scratch::new().unwrap();
    let folder = packages.path().to_str().unwrap().to_owned();
    // pympler is pure Python: one copy is for all.
    let install = |py: &Path| {
        let args = ["-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--target", &folder, "pympler==1.1"];
        Command::new(py).args(args).output().is_ok_and(|done| done.status.success())
    };
    assert!(testbed::interpreters().found.iter().rev().any(|py| install(&py.path)), "no pip installs pympler");
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let script = format!(
            "sys.path.insert(0, {folder:?})\nfrom pympler.asizeof import asizeof\n\
             facts.update((name, asizeof(globals()[name])) for name in NAMES)\nfacts['PLAIN'] -= OF_NAMES\n"
        );
        let (target, facts) = planted(&py.path, &script, &scratch);
        // A module that is met counts as an object of its own there.
        for name in ["PLAIN", "SLOTTED", "DICT", "MIXED"] {
            let found = sizes(&target.pid(), &[&format!("__main__:{name}")]);
            assert_eq!(found["sizes"][0]["deep_bytes"], facts[name], "{name} in {}", py.name);
        }
    });
}
