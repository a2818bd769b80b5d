//! Containers: what each kind of waste costs is told as the interpreter's own sizes say, proved by the same program with the change made, and
//! not told of a program in which all changes are made. A saved folder answers as the process does.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::process::Command;

use common::{may_trace, run, Started, MAY_BE_TRACED};
use serde_json::Value;
use testbed::Scratch;

/// Waste of each kind in a global of its own; that which FIX names is changed, and with "all" each is. TRUTH gets what sys.getsizeof says.
const PLANTED: &str = r#"
import array, asyncio, functools, gc, sys
gc.collect(); gc.disable()
def fixed(name): return FIX in (name, "all")
def shrunk(n):
    x = [None] * 40
    del x[25:]
    return x[:] if fixed("LISTS") else x
LISTS = [shrunk(n) for n in range(3000)][:]
def appended(n):
    x = []
    x.append(None)
    return x[:] if fixed("APPENDED") else x
APPENDED = [appended(n) for n in range(20000)][:]
def emptied(n):
    x = dict.fromkeys(range(200))
    for k in range(n % 20 + 10, 200): del x[k]
    return dict(x) if fixed("DICTS") else x
DICTS = [emptied(n) for n in range(60)][:]
KEYS = [sys.intern("k%d" % k) for k in range(100)]
def named(n):
    x = dict.fromkeys(KEYS)
    for k in KEYS[n % 9 + 22:]: del x[k]
    return dict(x) if fixed("NAMED") else x
NAMED = [named(n) for n in range(150)][:]
def added(n):
    x = set()
    for k in range(n % 6 + 20): x.add(k)
    return set(x) if fixed("SETS") else x
SETS = [added(n) for n in range(300)][:]
NOTHING = [None if fixed("NOTHING") else [] for n in range(5000)][:]
NO_KEYS = [None if fixed("NO_KEYS") else {} for n in range(5000)][:]
class Row:
    __slots__ = ("name", "size", "kind", "owner")
    def __init__(self): self.name = self.size = self.kind = self.owner = None
RECORDS = [Row() if fixed("RECORDS") else {"name": None, "size": None, "kind": None, "owner": None} for n in range(2000)][:]
def floats(n):
    x = [n + k / 7 for k in range(200)][:]
    return array.array("d", x) if fixed("FLOATS") else x
FLOATS = [floats(n) for n in range(40)][:]
def ints(n):
    x = tuple(1000 + n * 1000 + k for k in range(200))
    return array.array("i", x) if fixed("INTS") else x
INTS = [ints(n) for n in range(40)][:]
def text(n):
    x = "".join(["color", "-", str(n % 30)])
    return sys.intern(x) if fixed("TEXTS") else x
TEXTS = [text(n) for n in range(6000)][:]
ONE = [bytes([n]) * 90 for n in range(50)] if fixed("RAW") else None
def raw(n):
    x = bytes([n % 50]) * 90
    return ONE[n % 50] if fixed("RAW") else x
RAW = [raw(n) for n in range(3000)][:]
class Holder:
    __slots__ = ("value",)
    def __init__(self, value): self.value = value
KNOWN = {}
def alike(name, x): return KNOWN.setdefault((type(x), x), x) if fixed(name) else x
SAME_FLOATS = [Holder(alike("SAME_FLOATS", n % 30 + 0.5)) for n in range(9000)][:]
SAME_INTS = [Holder(alike("SAME_INTS", n % 30 + 10 ** 6)) for n in range(9000)][:]
SAME_TUPLES = [alike("SAME_TUPLES", tuple(["pair", n % 30])) for n in range(9000)][:]
def cached(n):
    @functools.lru_cache(maxsize=10 if fixed("CACHES") else None)
    def made(k): return b"%d %d" % (n, k) * 20
    for k in range(1000): made(k)
    return made
CACHES = [cached(n) for n in range(3)][:]
def wide(n):
    x = "%d is one of many \u2026" % n + "letters" * 20
    return x.encode() if fixed("WIDE") else x
WIDE = [wide(n) for n in range(2000)][:]
def rows(n):
    held = bytearray(8000)
    yield len(held)
    yield held
def waiting(n):
    x = rows(n)
    return next(x) and None if fixed("CALLS") else (next(x), x)[1]
CALLS = [waiting(n) for n in range(50)][:]
def failing(n):
    local = bytearray(8000)
    raise ValueError(None)
def failed(n):
    try:
        failing(n)
    except ValueError as e:
        return e.with_traceback(None) if fixed("FAILED") else e
FAILED = [failed(n) for n in range(50)][:]
def closure(n):
    held = bytearray(8000)
    size = n % 9
    if fixed("CLOSURES"): return lambda: size
    return lambda: held
CLOSURES = [closure(n) for n in range(50)][:]
def partial(n):
    held = bytearray(8000)
    return functools.partial(len, ()) if fixed("PARTIALS") else functools.partial(len, held)
PARTIALS = [partial(n) for n in range(50)][:]
def view(n):
    base = bytes([n]) * 8000
    part = memoryview(base)[n:n + 40]
    return bytes(part) if fixed("VIEWS") else part
VIEWS = [view(n) for n in range(50)][:]
WHOLE = [memoryview(bytes([n]) * 8000) for n in range(50, 60)][:]
async def job(n):
    return bytearray(8000)
async def jobs():
    all = [asyncio.ensure_future(job(n)) for n in range(50)]
    await asyncio.wait(all)
    return all
loop = asyncio.new_event_loop()
TASKS = loop.run_until_complete(jobs())
if fixed("TASKS"): del TASKS[:]
loop.close()
del loop
gc.collect()
size = sys.getsizeof
with open(TRUTH, "w") as f:
    f.write("LISTS %d\n" % sum(size(x) - size(x[:]) for x in LISTS))
    f.write("APPENDED %d\n" % sum(size(x) - size(x[:]) for x in APPENDED))
    f.write("DICTS %d\n" % sum(size(x) - size(dict(x)) for x in DICTS))
    f.write("NAMED %d\n" % sum(size(x) - size(dict(x)) for x in NAMED))
    f.write("SETS %d\n" % sum(size(x) - size(set(x)) for x in SETS))
"#;

/// Which waste stands in which global, and how many objects it is.
const KINDS: &[(&str, &str, &str, u64)] = &[
    ("LISTS", "room", "list", 3000),
    ("APPENDED", "room", "list", 20_000),
    ("DICTS", "room", "dict", 60),
    ("NAMED", "room", "dict", 150),
    ("SETS", "room", "set", 300),
    ("NOTHING", "empty", "list", 5000),
    ("NO_KEYS", "empty", "dict", 5000),
    ("RECORDS", "records", "dict", 2000),
    ("FLOATS", "numbers", "list", 40),
    ("INTS", "numbers", "tuple", 40),
    ("TEXTS", "equal", "str", 5970),
    ("RAW", "equal", "bytes", 2950),
    ("SAME_FLOATS", "equal", "float", 8970),
    ("SAME_INTS", "equal", "int", 8970),
    ("SAME_TUPLES", "equal", "tuple", 8970),
    ("CACHES", "caches", "functools._lru_cache_wrapper", 3),
    ("WIDE", "wide", "str", 2000),
    ("CALLS", "calls", "generator", 50),
    ("FAILED", "tracebacks", "ValueError", 50),
    ("CLOSURES", "closures", "function", 50),
    ("PARTIALS", "closures", "functools.partial", 50),
    ("VIEWS", "views", "memoryview", 50),
    ("TASKS", "tasks", "_asyncio.Task", 50),
];

/// The planted program with a change, and what its sizes say. It waits without a buffer, which would be there in one look and not in another.
fn planted(py: &testbed::Interpreter, scratch: &Scratch, fix: &str) -> (Started, BTreeMap<String, f64>) {
    let (path, truth) = (scratch.path().join("planted.py"), scratch.path().join("truth"));
    let waits = "import os; print('READY', flush=True); os.read(0, 1)";
    std::fs::write(&path, format!("{MAY_BE_TRACED}FIX, TRUTH = {fix:?}, {truth:?}{PLANTED}{waits}\n")).unwrap();
    let target = Started::ready(Command::new(&py.path).args(["-I", "-S"]).arg(&path));
    let lines = std::fs::read_to_string(&truth).unwrap();
    let sizes = lines.lines().map(|line| line.split_once(' ').unwrap()).map(|(name, n)| (name.to_owned(), n.parse().unwrap()));
    (target, sizes.collect())
}

fn containers(target: &str) -> Value {
    let answer: Value = serde_json::from_str(run(&["containers", "--json", target]).answered()).unwrap();
    assert_eq!(answer["schema"], "exuvia/containers/1");
    answer
}

/// The rows of a global.
fn of<'a>(answer: &'a Value, name: &str) -> Vec<&'a Value> {
    let path = format!("__main__.{name}[…]");
    answer["rows"].as_array().unwrap().iter().filter(|row| row["path"].as_str().unwrap().starts_with(&path)).collect()
}

fn total(answer: &Value) -> f64 {
    answer["coverage"]["footprint_bytes"].as_f64().unwrap()
}

#[test]
fn the_predicted_saving_is_what_the_same_program_with_the_change_saves() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let (target, truth) = planted(py, &scratch, "");
        let wrong = containers(&target.pid());
        let mut off = Vec::new();
        for (name, kind, type_name, count) in KINDS {
            let (changed, _) = planted(py, &scratch, name);
            let right = serde_json::from_str(run(&["types", "--json", &changed.pid()]).answered()).unwrap();
            let measured = total(&wrong) - total(&right);
            let found = of(&wrong, name);
            let Some(row) = found.iter().find(|row| row["kind"] == *kind) else {
                off.push(format!("{name}: no row of {kind}, {measured} measured: {found:?}"));
                continue;
            };
            let predicted = row["saving_bytes"].as_f64().unwrap();
            println!("{}: {name}: {predicted} predicted, {measured} measured, {:.2} % off", py.name, (predicted / measured - 1.0) * 100.0);
            if (&row["type"], row["count"].as_u64()) != (&Value::from(*type_name), Some(*count)) {
                off.push(format!("{name}: {row}"));
            }
            // Sizes of the interpreter are not rounded as blocks are.
            if let Some(sizes) = truth.get(*name).filter(|sizes| (**sizes - predicted).abs() > 32.0 * *count as f64 || **sizes <= 0.0) {
                off.push(format!("{name}: {predicted} predicted, the sizes say {sizes}"));
            }
            if (predicted - measured).abs() >= measured * 0.03 {
                off.push(format!("{name}: {predicted} predicted, {measured} measured: {row}"));
            }
        }
        assert!(off.is_empty(), "{}: {}", py.name, off.join("\n"));
    });
}

#[test]
fn a_program_in_which_all_is_changed_has_no_row_and_a_folder_answers_alike() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let (clean, _) = planted(py, &scratch, "all");
        let answer = containers(&clean.pid());
        assert_eq!(answer["rows"], Value::Array(Vec::new()), "{}", py.name);
        let explained: Value = serde_json::from_str(run(&["explain", "--json", &clean.pid()]).answered()).unwrap();
        let findings = explained["findings"].as_array().unwrap();
        assert!(findings.iter().all(|f| f["id"] != "containers"), "{}: {findings:#?}", py.name);
        let (target, _) = planted(py, &scratch, "");
        let folder = scratch.path().join("snapshot");
        let folder = folder.to_str().unwrap();
        run(&["snapshot", &target.pid(), "-o", folder, "--json"]).answered();
        let (live, saved) = (containers(&target.pid()), containers(folder));
        assert_eq!((&live["rows"], &live["kinds"]), (&saved["rows"], &saved["kinds"]), "{}", py.name);
        assert_eq!(saved["missing"], Value::Array(Vec::new()));
        // A view that shows all of its base is none of them.
        assert!(live["rows"].as_array().unwrap().len() >= KINDS.len() && of(&live, "WHOLE").is_empty(), "{}", py.name);
        let explained: Value = serde_json::from_str(run(&["explain", "--json", folder]).answered()).unwrap();
        // Told by itself, or by the finding with which it goes.
        let findings = explained["findings"].to_string();
        for (name, ..) in KINDS {
            assert!(findings.contains(&format!("in __main__.{name}[…]")), "{}: {name}: {:#}", py.name, explained["findings"]);
        }
    });
}

#[test]
fn a_small_view_of_a_large_array_is_told_with_what_a_copy_saves() {
    if !may_trace() {
        return;
    }
    if !testbed::packages::wanted() {
        println!("left out: packages from PyPI (EXUVIA_PYPI=1)");
        return;
    }
    const VIEWS: &str = "
import gc, os, numpy
gc.collect(); gc.disable()
VIEWS = []
for n in range(200):
    part = numpy.full(20000, float(n))[n:n + 10]
    VIEWS.append(part.copy() if FIX else part)
WHOLE = [numpy.full(20000, float(n))[:] for n in range(5)]
del part
gc.collect()
print('READY', flush=True)
os.read(0, 1)
";
    testbed::for_each_interpreter(|py| {
        let environment = testbed::packages::environment(py, &testbed::packages::folder()).unwrap();
        if !environment.installed.iter().any(|package| package.starts_with("numpy")) {
            println!("left out: no numpy for {}", py.name);
            return;
        }
        let [wrong, right] = ["False", "True"].map(|fix| {
            let script = format!("{MAY_BE_TRACED}FIX = {fix}\n{VIEWS}");
            let target = Started::ready(Command::new(&environment.python).args(["-I", "-c", &script]));
            containers(&target.pid())
        });
        let rows = of(&wrong, "VIEWS");
        let row = rows.iter().find(|row| row["kind"] == "views").unwrap_or_else(|| panic!("{}: {:#}", py.name, wrong["rows"]));
        assert_eq!(row["count"].as_u64(), Some(200), "{}: {row}", py.name);
        let (predicted, measured) = (row["saving_bytes"].as_f64().unwrap(), total(&wrong) - total(&right));
        assert!((predicted - measured).abs() < measured * 0.03, "{}: {predicted} predicted, {measured} measured", py.name);
        assert!(of(&wrong, "WHOLE").is_empty() && of(&right, "VIEWS").is_empty(), "{}: {:#}", py.name, right["rows"]);
    });
}
