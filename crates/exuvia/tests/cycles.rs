//! Reference cycles: planted ones of each shape, live and garbage, on every interpreter, live and from a snapshot.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/mod.rs"]
mod common;

use std::path::Path;
use std::process::Command;

use common::{may_trace, python, run, Started, MAY_BE_TRACED};
use serde_json::Value;
use testbed::Scratch;

/// Makers of one cycle each; `LIVE` keeps some of each, and of each some are dropped while the collector is off.
const PLANTED: &str = r#"
import gc
class Parent:
    def __init__(self): self.children = []
class Child:
    def __init__(self, parent): self.parent = parent
class Feed:
    def __init__(self): self.listeners = []
class Listener:
    def __init__(self, feed):
        self.feed = feed
        feed.listeners.append(self.heard)
    def heard(self): pass
class Me:
    def __init__(self): self.me = self
class Pair:
    __slots__ = ("other", "load")
class Error(Exception): pass

def family():
    p = Parent()
    p.children.extend(Child(p) for _ in range(3))
    return p
def feed():
    f = Feed()
    Listener(f)
    return f
def closure():
    def again(n): return again(n - 1)
    return again
def failed():
    try: raise Error()
    except Error as e: kept = e
    return kept
def pair():
    a, b = Pair(), Pair()
    a.other, b.other, a.load = b, a, bytes(700)
    return a
makers = [family, feed, closure, failed, Me, pair]
gc.collect()
gc.disable()
LIVE = [[make() for _ in range(10 * (i + 1))] for i, make in enumerate(makers)]
for i, make in enumerate(makers):
    for _ in range(7 * (i + 1)): make()
"#;

/// In the order of the makers: shape, edge, why, references there for each cycle.
const SHAPES: [(&str, &str, &str, u64); 6] = [
    (
        "__main__.Child .parent → __main__.Parent .children → list [] → __main__.Child",
        "__main__.Child .parent → __main__.Parent",
        "back-reference",
        3,
    ),
    ("__main__.Feed .listeners → list [] → method .__self__ → __main__.Listener .feed → __main__.Feed", "list [] → method", "callback", 1),
    ("cell .cell_contents → function .__closure__ → tuple [] → cell", "cell .cell_contents → function", "closure", 1),
    (
        "__main__.Error .__traceback__ → traceback .tb_frame → frame local kept → __main__.Error",
        "__main__.Error .__traceback__ → traceback",
        "traceback",
        1,
    ),
    ("__main__.Me .me → itself", "__main__.Me .me → __main__.Me", "attribute", 1),
    ("__main__.Pair .other → __main__.Pair .other → __main__.Pair", "__main__.Pair .other → __main__.Pair", "attribute", 2),
];

#[test]
fn planted_cycles_are_counted_by_shape_with_the_edge_that_breaks_them() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let target = started(&py.path, PLANTED);
        let folder = scratch.path().join("snapshot");
        let folder = folder.to_str().unwrap();
        run(&["snapshot", &target.pid(), "-o", folder, "--json"]).answered();
        let (live, saved) = (shapes(&target.pid()), shapes(folder));
        for answer in [&live, &saved] {
            let mut wanted: Vec<(String, bool, u64, String, String, u64, u64)> = Vec::new();
            for (i, (shape, edge, why, references)) in SHAPES.iter().enumerate() {
                for (garbage, count) in [(true, 7 * (i as u64 + 1)), (false, 10 * (i as u64 + 1))] {
                    wanted.push((shape.to_string(), garbage, count, edge.to_string(), why.to_string(), count * references, count));
                }
            }
            let text = |shape: &Value, key: &str| shape[key].as_str().unwrap().to_owned();
            let number = |shape: &Value, key: &str| shape[key].as_u64().unwrap();
            let mut found: Vec<_> = answer
                .iter()
                .map(|s| {
                    let garbage = s["garbage"].as_bool().unwrap();
                    let (references, breaks) = (number(s, "break_references"), number(s, "breaks"));
                    (text(s, "shape"), garbage, number(s, "count"), text(s, "break_at"), text(s, "break_why"), references, breaks)
                })
                .collect();
            wanted.sort();
            found.sort();
            assert_eq!(found, wanted, "{}", py.name);
            // All that is garbage is in these cycles.
            let bytes: u64 = answer.iter().filter(|s| s["garbage"] == true).map(|s| number(s, "retained_bytes")).sum();
            assert_eq!(bytes, garbage(folder), "{}", py.name);
        }
        assert_eq!(strip(live), strip(saved), "{}", py.name);
        // `explain` counts them too, where they are worth a line: the pairs with their loads.
        let answer: Value = serde_json::from_str(run(&["explain", "--json", folder]).answered()).unwrap();
        let all = answer["findings"].as_array().unwrap();
        let one = all.iter().find(|f| f["id"] == "cycles" && f["title"].as_str().unwrap().contains("Pair .other"));
        let one = one.unwrap_or_else(|| panic!("{all:#?}"));
        assert_eq!(one["known"], "exact");
        assert!(one["saving_bytes"].as_u64().unwrap() > 42 * 700, "{one:#?}");
    });
}

#[test]
fn a_clean_program_has_no_shape_and_dropped_classes_are_told() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        // Ways back are weak, what is recursive is at the top, exceptions are let go.
        let clean = started(
            &py.path,
            r#"
import gc, json, weakref
class Parent:
    def __init__(self): self.children = []
class Child:
    def __init__(self, parent): self.parent = weakref.ref(parent)
def again(n): return n and again(n - 1)
def failed():
    try: raise ValueError()
    except ValueError as e: return str(e)
KEPT = [Parent() for _ in range(50)]
for p in KEPT: p.children.extend(Child(p) for _ in range(3))
for _ in range(50): failed(), again(3)
gc.collect()
"#,
        );
        assert_eq!(shapes(&clean.pid()), Vec::<Value>::new(), "{}", py.name);
        let classes = started(&py.path, "import gc\ngc.collect()\ngc.disable()\nfor _ in range(12):\n    class Made: pass\ndel Made");
        let found = shapes(&classes.pid());
        let told: Vec<_> = found.iter().map(|s| (s["count"].as_u64().unwrap(), s["break_why"].as_str().unwrap())).collect();
        assert_eq!(told, [(12, "class")], "{}: {found:#?}", py.name);
    });
}

#[test]
fn chains_and_rings_of_a_million_are_one_shape_each() {
    if !may_trace() {
        return;
    }
    let target = started(
        &python().path,
        r#"
class Node:
    __slots__ = ("next", "prev")
def chain(n, back):
    first = last = Node()
    for _ in range(n - 1):
        node = Node()
        last.next = node
        if back: node.prev = last
        last = node
    return first, last
CHAIN = chain(1000000, False)
BOTH = chain(1000000, True)
RING = chain(1000000, False)
RING[1].next = RING[0]
"#,
    );
    let found = shapes(&target.pid());
    let mut told: Vec<_> = found
        .iter()
        .map(|s| (s["shape"].as_str().unwrap(), s["count"].as_u64(), s["objects"].as_u64(), s["break_at"].as_str().unwrap()))
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            ("__main__.Node .next → __main__.Node .prev → __main__.Node", Some(1), Some(1_000_000), "__main__.Node .prev → __main__.Node"),
            ("__main__.Node .next → … → __main__.Node", Some(1), Some(1_000_000), "__main__.Node .next → __main__.Node"),
        ]
    );
}

/// A script without `site`: what lies in an installation's site-packages may import libraries that have cycles of their own.
fn started(path: &Path, script: &str) -> Started {
    let script = format!("{MAY_BE_TRACED}{script}\nprint('READY', flush=True)\nimport sys; sys.stdin.read()");
    Started::ready(Command::new(path).args(["-I", "-S", "-c", &script]))
}

/// All shapes of a target.
fn shapes(target: &str) -> Vec<Value> {
    let answer: Value = serde_json::from_str(run(&["cycles", "--json", target]).answered()).unwrap();
    assert_eq!(answer["schema"], "exuvia/cycles/1");
    answer["shapes"].as_array().unwrap().clone()
}

/// Bytes that nothing holds.
fn garbage(target: &str) -> u64 {
    let answer: Value = serde_json::from_str(run(&["retained", "--json", "--limit", "1", target]).answered()).unwrap();
    let held = answer["held_by"].as_array().unwrap();
    held.iter().find(|h| h["hold"] == "garbage").and_then(|h| h["bytes"].as_u64()).unwrap()
}

/// In an order that does not depend on the moment.
fn strip(mut shapes: Vec<Value>) -> Vec<String> {
    shapes.sort_by_key(|s| (s["shape"].to_string(), s["garbage"].as_bool()));
    shapes.iter().map(Value::to_string).collect()
}
