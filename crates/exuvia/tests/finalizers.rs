//! What runs code when it goes: planted with known numbers on every interpreter, live and from a snapshot; and a twin that loses nothing.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/mod.rs"]
mod common;

use std::collections::BTreeMap;

use common::{may_trace, run, Started};
use serde_json::{json, Value};
use testbed::Scratch;

/// What is lost is planted where LOSES says so: knots of instances with a `__del__`, and everything else. `facts` has places and ids.
const PLANTED: &str = r#"
import asyncio, ctypes, gc, json, socket, sys, weakref
incref = ctypes.pythonapi.Py_IncRef
incref.argtypes, incref.restype = [ctypes.py_object], None
class Base:
    def __del__(self):
        pass
class Closer(Base):
    other = load = None
class Plain:
    pass
def done(n):
    pass
def told(r):
    pass
def steps():
    try:
        yield 1
    finally:
        pass
async def waits(future):
    await future

LIVE = [Closer() for n in range(5)]
PAIRS = [(Closer(), Closer()) for n in range(10)]
for a, b in PAIRS:
    a.other, b.other = b, a
PLAIN = [Plain() for n in range(40)]
WEAK = [weakref.ref(p, told) for p in PLAIN]
LAST = [weakref.finalize(p, done, 1) for p in PLAIN[:7]]
STEPS = [steps() for n in range(9)]
for s in STEPS[:5]:
    next(s)
for s in STEPS[:3]:
    list(s)
LOOP = asyncio.new_event_loop()
FUTURE = LOOP.create_future()
TASKS = [LOOP.create_task(waits(FUTURE)) for n in range(4)]
LOOP.call_soon(LOOP.stop)
LOOP.run_forever()
FILES = [open("/dev/null") for n in range(3)]
FILES[0].close()
SOCKETS = [socket.socket() for n in range(3)]
SOCKETS[0].close()
gc.collect()
gc.disable()
ids = []
if "knots" in LOSES:
    for n in range(50):
        a, b = Closer(), Closer()
        a.other, b.other, a.load = b, a, bytes([n]) * 1000
        ids += [id(a), id(b), id(a.load)]
        if sys.version_info < (3, 11):
            ids += [id(a.__dict__), id(b.__dict__)]
if "rest" in LOSES:
    for n in range(3):
        o = Closer()
        incref(o)
    for n in range(6):
        p = Plain()
        p.me, p.file = p, open("/dev/null")
    for n in range(2):
        p = Plain()
        p.me, p.socket = p, socket.socket()
    f = open("/dev/null", "rb", 0)
    incref(f)
    del p, o, f
    gc.garbage.extend(Plain() for n in range(4))
a = b = s = None
line = lambda f: f.__code__.co_firstlineno
json.dump({"ids": ids, "del": line(Base.__del__), "done": line(done), "told": line(told), "steps": line(steps)}, open(FACTS, "w"))
del ids
"#;

fn answer(command: &str, target: &str) -> Value {
    serde_json::from_str(run(&[command, "--json", target]).answered()).unwrap()
}

/// The row of a list whose `key` is `name`.
fn row<'a>(answer: &'a Value, list: &str, key: &str, name: &str) -> &'a Value {
    answer[list].as_array().unwrap().iter().find(|r| r[key] == name).unwrap_or_else(|| panic!("no {name} in {list}: {answer:#?}"))
}

/// These fields of a row.
fn fields(row: &Value, names: &[&str]) -> Value {
    names.iter().map(|name| row[*name].clone()).collect()
}

/// Findings of this family: title and saving.
fn findings(target: &str) -> Vec<(String, u64)> {
    let answer = answer("explain", target);
    let all = answer["findings"].as_array().unwrap().iter().filter(|f| f["id"] == "finalizers");
    all.map(|f| (f["title"].as_str().unwrap().to_owned(), f["saving_bytes"].as_u64().unwrap())).collect()
}

struct Planted {
    target: Started,
    facts: Value,
    scratch: Scratch,
}

fn planted(py: &testbed::Interpreter, loses: &str) -> Planted {
    let scratch = Scratch::new().unwrap();
    let facts = scratch.path().join("facts.json");
    let script = format!("LOSES, FACTS = {loses:?}, {:?}\n{PLANTED}", facts.to_str().unwrap());
    let target = Started::python_of(&py.path, &script);
    let facts = serde_json::from_str(&std::fs::read_to_string(&facts).unwrap()).unwrap();
    Planted { target, facts, scratch }
}

#[test]
fn finalizers_are_told_with_what_is_lost_of_them() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let Planted { target, facts, scratch } = planted(py, "knots rest");
        let folder = scratch.path().join("snapshot");
        let folder = folder.to_str().unwrap();
        run(&["snapshot", &target.pid(), "-o", folder, "--json"]).answered();
        let (live, saved) = (answer("finalizers", &target.pid()), answer("finalizers", folder));
        for answer in [&live, &saved] {
            let sums = ["count", "in_cycles", "garbage", "only_c", "language"];
            let closer = row(answer, "types", "type", "__main__.Closer");
            assert_eq!(fields(closer, &sums), json!([128, 120, 100, 3, "python"]), "{}", py.name);
            assert_eq!((&closer["where"]["line"], &closer["where"]["near"]), (&facts["del"], &json!(false)), "{}", py.name);
            let task = row(answer, "types", "type", "_asyncio.Task");
            assert_eq!(fields(task, &["count", "garbage", "language"]), json!([4, 0, "c"]), "{}", py.name);
            for (list, function, count, line) in [
                ("unfinished", "steps", 6, &facts["steps"]),
                ("finalize", "done", 7, &facts["done"]),
                ("callbacks", "told", 40, &facts["told"]),
            ] {
                let called = row(answer, list, "function", function);
                assert_eq!((&called["count"], &called["where"]["line"]), (&json!(count), line), "{function} of {}", py.name);
            }
            assert_eq!(row(answer, "unfinished", "function", "waits")["count"], 4, "{}", py.name);
            // Two of them have begun; the coroutines wait for a future, which is no block.
            let within =
                |function: &str| fields(row(answer, "unfinished", "function", function), &["in_finally", "in_with", "in_try", "in_except"]);
            assert_eq!((within("steps"), within("waits")), (json!([2, 0, 0, 0]), json!([0, 0, 0, 0])), "{}", py.name);
            assert_eq!(answer["finalize"].as_array().unwrap().len(), 1, "{}", py.name);
            let gc_garbage = json!([{"type": "__main__.Plain", "count": 4}]);
            assert_eq!(answer["gc_garbage"], gc_garbage, "{}", py.name);
            // Three standard streams; a loop has a pair of sockets.
            let of = ["open", "closed", "unknown", "open_garbage", "open_only_c"];
            let files = row(answer, "descriptors", "type", "_io.FileIO");
            assert_eq!(fields(files, &of), json!([3 + 2 + 6 + 1, 1, 0, 6, 1]), "{}", py.name);
            let sockets = row(answer, "descriptors", "type", "socket.socket");
            assert_eq!(fields(sockets, &of), json!([2 + 2 + 2, 1, 0, 2, 0]), "{}", py.name);
        }
        for field in ["types", "unfinished", "finalize", "callbacks", "garbage_bytes", "gc_garbage_bytes", "descriptors"] {
            assert!(live[field] == saved[field], "{field}: live and saved differ: {}", py.name);
        }
        let found: Vec<String> = findings(&target.pid()).into_iter().map(|(title, _)| title).collect();
        for wanted in [" with a finalizer in garbage cycles", "gc.garbage holds 4 objects", "8 files and sockets are open that nothing"] {
            assert!(found.iter().any(|title| title.contains(wanted)), "{wanted} of {}: {found:#?}", py.name);
        }
        assert_eq!(found.len(), 3, "{}: {found:#?}", py.name);
    });
}

#[test]
fn what_garbage_with_finalizers_keeps_is_counted_and_a_clean_program_loses_nothing() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let Planted { target, facts, .. } = planted(py, "knots");
        let listed = run(&["objects", "--json", &target.pid()]);
        let footprints: BTreeMap<u64, u64> = listed
            .answered()
            .lines()
            .skip(1)
            .map(|line| {
                let row: Value = serde_json::from_str(line).unwrap();
                let address = row["address"].as_str().unwrap().trim_start_matches("0x");
                (u64::from_str_radix(address, 16).unwrap(), row["footprint_bytes"].as_u64().unwrap())
            })
            .collect();
        let ids = facts["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap());
        let kept: u64 = ids.map(|id| footprints.get(&id).unwrap_or_else(|| panic!("no object {id:#x}"))).sum();
        assert_eq!(answer("finalizers", &target.pid())["garbage_bytes"], kept, "{}", py.name);
        // Its bytes are those of the finding on the cycles, and are counted there.
        let wanted = [("100 objects with a finalizer in garbage cycles: break the cycles".to_owned(), 0)];
        assert_eq!(findings(&target.pid()), wanted, "{}", py.name);
        let explained = answer("explain", &target.pid());
        let late = explained["findings"].as_array().unwrap().iter().find(|f| f["id"] == "finalizers").unwrap();
        let said = format!(
            "; {kept} bytes more are counted in «50 cycles wait for the collector: break __main__.Closer .other → __main__.Closer»"
        );
        assert!(late["evidence"].as_str().unwrap().ends_with(&said), "{}: {explained:#}", py.name);
        // The twin has the same finalizers, and nothing is lost of what they are for.
        let twin = planted(py, "").target;
        let clean = answer("finalizers", &twin.pid());
        assert_eq!(
            fields(row(&clean, "types", "type", "__main__.Closer"), &["count", "garbage", "only_c"]),
            json!([25, 0, 0]),
            "{}",
            py.name
        );
        assert_eq!((&clean["garbage_bytes"], &clean["gc_garbage"]), (&json!(0), &json!([])), "{}", py.name);
        for descriptors in clean["descriptors"].as_array().unwrap() {
            assert_eq!(fields(descriptors, &["open_garbage", "open_only_c"]), json!([0, 0]), "{}", py.name);
        }
        assert_eq!(findings(&twin.pid()), [], "{}", py.name);
    });
}
