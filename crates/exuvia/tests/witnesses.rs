//! Witnesses: objects that only one of them names. A root (a running frame, a thread's frame, C's static memory, the table of
//! interned strings, sys.modules), the sweep of pymalloc's blocks, and the scan of a body that no decoder knows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{may_trace, run, Started, MAY_BE_TRACED};
use serde_json::Value;
use testbed::{for_each_interpreter, Interpreter};

/// Starts a script that ends in a function which fills `facts` with addresses by name, says them, and never returns.
fn start(py: &Interpreter, script: &str) -> (Started, HashMap<String, Vec<String>>) {
    let script = format!("{MAY_BE_TRACED}{SAY}{script}");
    let mut child = Command::new(&py.path).args(["-I", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines().map_while(Result::ok);
    let facts = lines.next().unwrap_or_else(|| panic!("{}: the target ended", py.name));
    assert_eq!(lines.next().unwrap(), "READY");
    drop(lines);
    (Started { child }, serde_json::from_str(&facts).unwrap())
}

/// `keep(x)` makes a count that nothing stands for, `hidden(x)` takes an object off the collector's lists, `wait(facts)` says
/// the facts and waits without an end.
const SAY: &str = "
import ctypes, gc, json, sys
gc.disable()
def keep(x):
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(x))
def hidden(x):
    if gc.is_tracked(x): ctypes.pythonapi.PyObject_GC_UnTrack(ctypes.py_object(x))
    return x
def wait(**facts):
    print(json.dumps({name: [hex(id) for id in ids] for name, ids in facts.items()}))
    print('READY', flush=True)
    sys.stdin.read()
";

/// What `exuvia object` says of one address.
#[track_caller]
fn object(target: &Started, address: &str) -> Value {
    let answer: Value = serde_json::from_str(run(&["object", "--json", "--limit", "0", &target.pid(), address]).answered()).unwrap();
    answer["object"].clone()
}

/// Label, holder's type or root's name, certain or not, of each reference on one side.
fn references(it: &Value, side: &str) -> Vec<(String, String, bool)> {
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let all = it[side]["shown"].as_array().unwrap();
    all.iter()
        .map(|r| (text(&r["label"]).unwrap(), text(&r["type"]).or(text(&r["root"])).unwrap(), r["certain"].as_bool().unwrap()))
        .collect()
}

/// Objects that the collector does not name. Each is held at one place only.
const ROOTS: &str = "
import threading, types
class Held: __slots__ = ()
def work(done):
    in_thread = hidden(Held())
    done.append(id(in_thread))
    threading.Event().wait()
def static():
    x = hidden(Held())
    keep(x)
    ctypes.c_void_p.in_dll(ctypes.CDLL(None), 'program_invocation_name').value = id(x)
    return id(x)
def interned():
    x = sys.intern('held by the table of interned' + ' strings'[:len(sys.argv) + 100])
    keep(x)
    return id(x)
def module():
    sys.modules['only_here'] = hidden(types.ModuleType('only_here'))
    return id(sys.modules['only_here'])
def other_module():
    sys.modules['no_module'] = hidden(Held())
    return id(sys.modules['no_module'])
def outer():
    in_frame = hidden(Held())
    done = []
    threading.Thread(target=work, args=(done,), daemon=True).start()
    while not done: pass
    wait(frame=[id(in_frame)], thread=done[:], static=[static()], interned=[interned()], module=[module()], other_module=[other_module()])
outer()
";

#[test]
fn what_only_a_root_holds_is_found_there() {
    if !may_trace() {
        return;
    }
    for_each_interpreter(|py| {
        let (target, facts) = start(py, ROOTS);
        let of = |name: &str| object(&target, &facts[name][0]);
        for (name, variable, function) in [("frame", "local in_frame", "outer"), ("thread", "local in_thread", "work")] {
            let it = of(name);
            // A word that is left over on the stack may lead to it too.
            let holders: Vec<_> = references(&it, "references_in").into_iter().filter(|(_, _, certain)| *certain).collect();
            assert_eq!(it["found"], "reference", "{it:#}");
            assert_eq!(
                (it["type"].as_str(), it["refcount"].as_u64(), it["account"].as_str()),
                (Some("__main__.Held"), Some(1), Some("whole"))
            );
            assert_eq!(holders.len(), 1, "{it:#}");
            // Frames are objects to 3.10, and places on a thread's stack after that.
            let (label, holder, _) = &holders[0];
            assert!(label == variable && (holder == "frame" || holder.ends_with(&format!("frame of {function}"))), "{it:#}");
        }
        let it = of("static");
        // A word in the C library's own data, of which nothing says that it is a reference.
        let held = references(&it, "references_in");
        assert!(held.iter().all(|(_, root, certain)| root.starts_with("static data of ") && !certain) && !held.is_empty(), "{it:#}");
        assert_eq!((it["type"].as_str(), it["found"].as_str()), (Some("__main__.Held"), Some("reference")), "{it:#}");

        let it = of("interned");
        assert_ne!(it["found"], "sweep", "{it:#}");
        let held = references(&it, "references_in");
        assert!(held.iter().any(|(label, holder, _)| label.starts_with("key ") && holder == "dict"), "{it:#}");

        for (name, class) in [("module", "module"), ("other_module", "__main__.Held")] {
            let it = of(name);
            assert_eq!((it["type"].as_str(), it["found"].as_str()), (Some(class), Some("reference")), "{it:#}");
            let held = references(&it, "references_in");
            assert_eq!(held.len(), 1, "{it:#}");
            assert_eq!((held[0].1.as_str(), held[0].2), ("dict", true), "{it:#}");
        }
    });
}

/// A thousand objects with counts of their own and no holder; a quarter of what was allocated between them is freed again.
const LOST: &str = "
class Lost: __slots__ = ('one', 'two')
class Gone: __slots__ = ('one', 'two')
class Payload: __slots__ = ()
def lose():
    all = []
    for n in range(1000):
        x = hidden(Lost()); x.one = hidden(Payload()); keep(x)
        all.append((x, Gone() if n % 4 == 0 else None))
    return [id(x) for x, _ in all[400:410]]
lost = lose()
def churn(n): return n and churn(n - 1)
churn(50)
wait(lost=lost)
";

#[test]
fn what_only_its_block_names_is_found_by_the_sweep() {
    if !may_trace() {
        return;
    }
    for_each_interpreter(|py| {
        let (target, facts) = start(py, LOST);
        let answer: Value = serde_json::from_str(run(&["types", "--json", &target.pid()]).answered()).unwrap();
        let count = |name: &str| {
            let row = answer["types"].as_array().unwrap().iter().find(|t| t["type"] == name);
            row.map_or(0, |t| t["count"].as_u64().unwrap())
        };
        assert_eq!([count("__main__.Lost"), count("__main__.Payload"), count("__main__.Gone")], [1000, 1000, 0], "{}", py.name);
        let mut swept = 0;
        for address in &facts["lost"] {
            let it = object(&target, address);
            assert_eq!(
                (it["type"].as_str(), it["refcount"].as_u64(), it["collector"].as_str()),
                (Some("__main__.Lost"), Some(1), Some("untracked")),
                "{it:#}"
            );
            assert_eq!(references(&it, "references_in"), [], "{it:#}");
            swept += u64::from(it["found"] == "sweep");
        }
        println!("{}: {swept} of {} by the sweep", py.name, facts["lost"].len());
        // A word that is left over in a frame or a register may still lead to one.
        assert!(swept >= 9, "{}: {swept}", py.name);
    });
}

/// A type made through the C interface, with a member, a dictionary, and words of which nothing is known.
const UNKNOWN: &str = "
class Member(ctypes.Structure):
    _fields_ = [('name', ctypes.c_char_p), ('type', ctypes.c_int), ('offset', ctypes.c_ssize_t), ('flags', ctypes.c_int), ('doc', ctypes.c_char_p)]
class Slot(ctypes.Structure):
    _fields_ = [('slot', ctypes.c_int), ('pointer', ctypes.c_void_p)]
class Spec(ctypes.Structure):
    _fields_ = [('name', ctypes.c_char_p), ('basicsize', ctypes.c_int), ('itemsize', ctypes.c_int), ('flags', ctypes.c_uint), ('slots', ctypes.POINTER(Slot))]
T_OBJECT_EX, T_PYSSIZET, READONLY = 16, 19, 1
Py_tp_dealloc, Py_tp_members = 52, 72
members = (Member * 3)(Member(b'member', T_OBJECT_EX, 16, 0, None), Member(b'__dictoffset__', T_PYSSIZET, 48, READONLY, None))
slots = (Slot * 3)(Slot(Py_tp_members, ctypes.addressof(members)), Slot(Py_tp_dealloc, ctypes.cast(ctypes.pythonapi.PyObject_Free, ctypes.c_void_p).value))
spec = Spec(b'unknown.Unknown', 56, 0, 1 << 18, slots)
from_spec = ctypes.pythonapi.PyType_FromSpec
from_spec.restype, from_spec.argtypes = ctypes.py_object, [ctypes.c_void_p]
Unknown = from_spec(ctypes.addressof(spec))
if not Unknown.__dictoffset__:
    # Specs know no __dictoffset__ in 3.8.
    ctypes.c_ssize_t.from_address(id(Unknown) + 288).value = 48
class Held: __slots__ = ()
class Attribute: __slots__ = ()
def word(x, at, value): ctypes.c_ssize_t.from_address(id(x) + at).value = value
x = Unknown()
x.member, x.attribute = Held(), Attribute()
raw, other = Held(), Held()
keep(raw)
word(x, 24, id(raw))
word(x, 32, id(other) + 8)
word(x, 40, 0x123456789)
wait(x=[id(x)], member=[id(x.member)], raw=[id(raw)], other=[id(other)], attribute=[id(x.attribute)], dict=[ctypes.c_size_t.from_address(id(x) + 48).value])
";

#[test]
fn a_body_without_a_decoder_is_scanned_and_says_so() {
    if !may_trace() {
        return;
    }
    for_each_interpreter(|py| {
        let (target, facts) = start(py, UNKNOWN);
        let it = object(&target, &facts["x"][0]);
        assert_eq!((it["type"].as_str(), it["known"].as_str()), (Some("unknown.Unknown"), Some("scanned")), "{it:#}");
        assert_eq!(it["own_bytes"], 56, "{it:#}");
        let out: Vec<(&str, &str, bool)> = it["references_out"]["shown"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| (r["label"].as_str().unwrap(), r["address"].as_str().unwrap(), r["certain"].as_bool().unwrap()))
            .collect();
        let at = |name: &str| facts[name][0].as_str();
        let by = |address: &str| {
            out.iter().filter(|(_, to, _)| *to == address).map(|(label, _, certain)| (*label, *certain)).collect::<Vec<_>>()
        };
        assert_eq!(by(at("member")), [(".member (slot)", true)], "{out:?}");
        assert_eq!(by(at("dict")), [("__dict__", true)], "{out:?}");
        assert_eq!(by(at("raw")).iter().map(|(_, certain)| *certain).collect::<Vec<_>>(), [false], "{out:?}");
        assert_eq!(by(at("other")), [], "an address inside an object is none");
        // The class, the member, the word and the dictionary.
        assert_eq!(out.len(), 4, "{out:?}");
        let it = object(&target, at("raw"));
        let held = references(&it, "references_in");
        assert!(held.iter().any(|(_, holder, certain)| holder == "unknown.Unknown" && !certain), "{it:#}");
    });
}
