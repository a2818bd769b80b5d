//! What a finding says that a change saves is what it saves: each program is started again with the change that the finding names, and the
//! two totals differ by the predicted bytes, within 3 %. Those of bounds are in `owners`, those of slots in `slots`.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/mod.rs"]
mod common;

use common::{may_trace, run, Started};
use serde_json::Value;

/// What goes wrong in the way that WRONG names, and does not where it names something else. At its end the cache of methods is emptied:
/// it holds names, and which ones depends on their addresses (on 3.11 by 158 strs, 15 KB, from one start to the next).
const PLANTED: &str = r#"
import ctypes, gc, sys, warnings, weakref
# What a warning of _clear_type_cache (3.13 and newer) makes would wait for the collector.
warnings.simplefilter("ignore")
gc.collect()
gc.disable()
incref = ctypes.pythonapi.Py_IncRef
incref.argtypes, incref.restype = [ctypes.py_object], None
class Node:
    def __init__(self, n):
        self.load = bytes([n % 256]) * 900
class Closer(Node):
    def __del__(self):
        pass
class Row(Node):
    pass
def tree(n):
    parent, child = Node(n), Node(n)
    parent.child = child
    child.parent = parent if WRONG == "cycles" else weakref.ref(parent)
def connect(n):
    a, b = Closer(n), Closer(n)
    a.other = b
    b.other = a if WRONG == "finalizers" else weakref.ref(a)
def row(n):
    o = Row(n)
    if WRONG == "refcounts":
        incref(o)
def note(n):
    o = Row(n)
    if WRONG == "gc.garbage":
        gc.garbage.append(o)
def read(n):
    o = Node(n)
    f = open("/dev/null")
    if WRONG == "open":
        o.me, o.file = o, f
    f.close() if WRONG != "open" else None
for n in range(600):
    tree(n), connect(n), row(n), note(n), read(n)
sys._clear_type_cache()
"#;

fn explained(py: &testbed::Interpreter, wrong: &str) -> Value {
    let target = Started::python_of(&py.path, &format!("WRONG = {wrong:?}{PLANTED}"));
    serde_json::from_str(run(&["explain", "--json", &target.pid()]).answered()).unwrap()
}

#[test]
fn what_a_finding_predicts_is_what_the_change_saves() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let total = |answer: &Value| answer["coverage"]["footprint_bytes"].as_f64().unwrap();
        let right = explained(py, "nothing");
        assert_eq!(right["findings"], Value::Array(Vec::new()), "{}", py.name);
        // All findings of the wrong program together: what is wrong in one way saves its bytes once, however many say so.
        for (wrong, family) in
            [("cycles", "cycles"), ("finalizers", "cycles"), ("refcounts", "refcounts"), ("gc.garbage", "finalizers"), ("open", "cycles")]
        {
            let answer = explained(py, wrong);
            let findings = answer["findings"].as_array().unwrap();
            let predicted: f64 = findings.iter().map(|f| f["saving_bytes"].as_f64().unwrap()).sum();
            let measured = total(&answer) - total(&right);
            let off = (predicted - measured).abs() / measured;
            println!("{}: {wrong}: {predicted} predicted, {measured} measured, {:.2} % off", py.name, off * 100.0);
            assert!(off < 0.03, "{}: {wrong}: {predicted} predicted, {measured} measured: {findings:#?}", py.name);
            assert_eq!(findings[0]["id"], family, "{}: {findings:#?}", py.name);
        }
    });
}
