//! The cyclic collector: its state is what the module gc says, and what a pass on the snapshot finds is what gc.collect() then returns.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/mod.rs"]
mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::Command;

use common::{may_trace, run, Started, MAY_BE_TRACED};
use serde_json::Value;
use testbed::Scratch;

/// Makers of garbage, by name; each leaves what only itself holds.
const MAKERS: &str = r#"
import collections.abc, gc, os, sys, types, weakref
KEEP = []
VALUES, KEYS, SET = weakref.WeakValueDictionary(), weakref.WeakKeyDictionary(), weakref.WeakSet()
class Node: pass
class Del:
    def __del__(self): pass
class Slots:
    __slots__ = ("a", "b", "__weakref__")
def hit(r): pass
def plain():
    a, b = Node(), Node(); a.o, b.o = b, a; a.load = [1, "x" * 100, {"k": (1, 2)}]
def finalizers():
    a, b = Del(), Del(); a.o, b.o = b, a; a.text = "some %d" % id(a)
def weak():
    a = Node(); a.me = a; a.w = weakref.ref(a, hit); a.v = weakref.ref(a)
    KEEP.append(weakref.ref(a, hit)); KEEP.append(weakref.ref(a))
def weak_containers():
    a = Node(); a.me = a; VALUES[id(a)] = a; KEYS[a] = 1; SET.add(a); weakref.finalize(a, len, ())
    class Virtual: pass
    collections.abc.Mapping.register(Virtual); isinstance(Virtual(), collections.abc.Sequence)
def generators():
    def kept(box):
        inner = [box, {"x": box}]; tail = Node()
        yield inner
    def sent():
        me = yield
        other = [1, [3]]
        yield me
    def careful(box):
        try: yield box
        finally: box = None
    for g in kept, careful:
        box = []; i = g(box); next(i); box.append(i)
    box = []; box.append(kept(box))
    i = sent(); next(i); i.send(i)
def coroutines():
    class A:
        def __await__(self): yield
    async def c(box): await A()
    box = []; i = c(box); i.send(None); box.append(i)
    async def a(box):
        x = {"a": box}
        yield x
    box = []; i = a(box)
    try: i.__anext__().send(None)
    except StopIteration: pass
    box.append(i)
def closures():
    def again(n): return again(n - 1)
def classes():
    class Made:
        z = [1]
        def f(self): return Made
    Made.i = Made()
def nests():
    l = [[(1, 2, [3])], {"a": {"b": [set()]}}]; l.append(l)
    t = ([], {}); t[0].append(t); d = {}; d["d"] = d
    d = {}; d[(1, 2)] = d; d[frozenset([3])] = (d, 1.5); d["s"] = bytearray(50)
def slots():
    a, b = Slots(), Slots(); a.a, b.a = b, a; a.b = bytes(300)
def attributes():
    a = Node(); a.x, a.y, a.me = 1, [2], a; a.__dict__
    b = Node(); b.me = b; b.__dict__["zz"] = b; b.z = vars(b)
def errors():
    try: raise ValueError
    except ValueError as e: kept = e
def library():
    import abc, collections, contextlib, dataclasses, enum, functools, itertools, queue, threading, typing
    @dataclasses.dataclass
    class P: x: int; y: list
    p = P(1, []); p.y.append(p)
    class E(enum.Enum): A = 1; B = 2
    e = collections.OrderedDict(); e["a"] = e
    q = collections.deque(); q.append(q)
    d = collections.defaultdict(list); d[1].append(d)
    for i, made in enumerate([iter([d]), itertools.chain([1], d), types.MethodType(len, d), types.MappingProxyType(d), zip(d[7], d[7])]):
        d[i + 10].append(made)
    l = []; l.append(collections.namedtuple("NT", "a b")(l, 1))
    @functools.lru_cache(2)
    def c(x): return c
    c(1), c(2), c(3)
    for made in threading.Condition(), threading.Event(), types.SimpleNamespace(), types.ModuleType("m"), Exception(): made.me = made
    for made in queue.Queue(), queue.SimpleQueue(): made.put(made)
    @contextlib.contextmanager
    def m(): yield m
    z = [m()]; z[0].__enter__(); z.append(z)
    class G(typing.Generic[typing.TypeVar("T")]): pass
    n = Node(); n.f, n.s = frozenset([n]), slice(n, None)
MAKERS = [plain, finalizers, weak, weak_containers, generators, coroutines, closures, classes, nests, slots, attributes, errors, library]
# What is made once stays: caches of modules, types of generics.
for make in MAKERS: make()
for _ in range(5): gc.collect()
"#;

/// Stands still until a line comes, then collects, says what it got, and waits.
const COLLECT: &str = r#"
make = None
write, read, collect = os.write, os.read, gc.collect
write(1, b'READY\n')
read(0, 1)
n = collect(GENERATION)
write(1, b'%d %d\n' % (n, len(gc.garbage)))
read(0, 1)
"#;

#[test]
fn a_pass_finds_what_the_collector_then_finds() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let folder = scratch.path().join("snapshot");
        let folder = folder.to_str().unwrap();
        // All shapes together, and the twin that makes none.
        for (what, planted) in [("all", "for make in MAKERS:\n    for _ in range(5): make()"), ("none", "")] {
            let script = format!("{MAKERS}gc.disable()\n{planted}\nGENERATION = 2{COLLECT}");
            let mut target = started(&py.path, &script);
            let live = gc(&target.pid());
            let told = full(&live);
            if what == "all" {
                run(&["snapshot", &target.pid(), "-o", folder, "--json"]).answered();
                let saved = gc(folder);
                for key in ["lists", "passes", "collectors", "untrackable"] {
                    assert_eq!(saved[key], live[key], "{key} of {}", py.name);
                }
                assert!(number(told, "freed_by_calls") > 30 && number(told, "finalizing_objects") >= 10, "{}: {told}", py.name);
                assert!(number(told, "freed_by_callbacks") >= 20 && number(told, "callbacks") > number(told, "freed_by_callbacks"));
            } else {
                assert_eq!((number(told, "found_objects"), &live["advice"]), (0, &Value::Null), "{}: {told}", py.name);
            }
            let (returned, _) = collected(&mut target);
            assert_eq!(number(told, "returns"), returned, "{what} of {}: {told}", py.name);
            assert_eq!(number(told, "contradicting"), 0, "{what} of {}", py.name);
        }
    });
}

/// What goes with a collection is what `cycles` calls garbage, and `retained`.
#[test]
fn what_a_pass_frees_is_what_cycles_calls_garbage() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let planted =
            "gc.disable()\nfor make in plain, finalizers, closures, slots, attributes:\n    for _ in range(5): make()\nGENERATION = 2";
        let target = started(&py.path, &format!("{MAKERS}{planted}{COLLECT}"));
        let told = gc(&target.pid());
        let freed = number(full(&told), "freed_bytes");
        let ask = |command: &str| -> Value { serde_json::from_str(run(&[command, "--json", &target.pid()]).answered()).unwrap() };
        let cycles = ask("cycles");
        let garbage = cycles["shapes"].as_array().unwrap().iter().filter(|s| s["garbage"] == true);
        assert_eq!(garbage.map(|s| number(s, "retained_bytes")).sum::<u64>(), freed, "{}: {cycles}", py.name);
        let retained = ask("retained");
        let garbage = retained["held_by"].as_array().unwrap().iter().find(|h| h["hold"] == "garbage").unwrap();
        assert_eq!((number(garbage, "bytes"), number(garbage, "objects")), (freed, number(full(&told), "freed_objects")), "{}", py.name);
    });
}

#[test]
fn each_shape_alone_is_found() {
    if !may_trace() {
        return;
    }
    const SHAPES: [&str; 6] = ["weak_containers", "generators", "coroutines", "weak", "attributes", "library"];
    testbed::for_each_interpreter(|py| {
        for shape in SHAPES {
            let script = format!("{MAKERS}gc.disable()\nfor _ in range(3): {shape}()\nGENERATION = 2{COLLECT}");
            let mut target = started(&py.path, &script);
            let told = gc(&target.pid());
            let (returned, _) = collected(&mut target);
            assert!(number(full(&told), "found_objects") > 0, "{shape} of {}", py.name);
            assert_eq!(number(full(&told), "returns"), returned, "{shape} of {}: {}", py.name, full(&told));
        }
    });
}

/// What lies in an older generation, or is frozen, is left alone and holds what it refers to.
#[test]
fn generations_and_frozen_objects_are_taken_as_the_collector_takes_them() {
    if !may_trace() {
        return;
    }
    const PLANTED: &str = r#"
gc.disable()
def old():
    a, b = Node(), Node(); a.o, b.o = b, a
    a.later = later = Node(); later.me = later
    return a
for _ in range(4): plain()
OLD = [old() for _ in range(6)]
del OLD[:2]
"#;
    testbed::for_each_interpreter(|py| {
        for (generation, promoted) in
            [(0, ""), (0, "gc.collect(0); "), (1, "gc.collect(0); "), (1, "gc.collect(1); "), (2, "gc.freeze(); ")]
        {
            let script = format!(
                "{MAKERS}{PLANTED}for _ in range(5): gc.collect()\nfor n in OLD: n.new = [n]\n{promoted}del OLD[:2]\nfor _ in range(3): plain()\nn = None\n\
                 GENERATION = {generation}{COLLECT}"
            );
            let mut target = started(&py.path, &script);
            let told = gc(&target.pid());
            let pass =
                told["passes"].as_array().unwrap().iter().find(|p| p["generation"] == generation).unwrap_or_else(|| panic!("{told}"));
            let (returned, _) = collected(&mut target);
            assert!(returned > 0, "{}", py.name);
            assert_eq!(number(pass, "returns"), returned, "generation {generation} after {promoted:?} of {}: {pass}", py.name);
        }
    });
}

/// A `tp_del`, which no class of Python has any more, is planted into a type by its address.
#[test]
fn what_has_a_legacy_finalizer_stays_with_all_that_it_leads_to() {
    if !may_trace() {
        return;
    }
    const PLANTED: &str = r#"
import ctypes
class Legacy: pass
ctypes.c_void_p.from_address(id(Legacy) + 376).value = ctypes.cast(ctypes.pythonapi.PyErr_Clear, ctypes.c_void_p).value
gc.disable()
for _ in range(5):
    a, b = Legacy(), Node(); a.b, b.a, b.c = b, a, [b]
    c = Node(); c.c = c
a = b = c = None
GENERATION = 2
"#;
    testbed::for_each_interpreter(|py| {
        let mut target = started(&py.path, &format!("{MAKERS}{PLANTED}{COLLECT}"));
        let told = gc(&target.pid());
        let full = full(&told);
        let (returned, garbage) = collected(&mut target);
        assert_eq!((number(full, "returns"), garbage), (returned, 5), "{}: {full}", py.name);
        assert!(number(full, "uncollectable_objects") >= 15 && number(full, "found_objects") > number(full, "uncollectable_objects"));
        let after = gc(&target.pid());
        let oldest = &after["collectors"][0]["generations"][2];
        assert_eq!(number(oldest, "uncollectable"), number(full, "uncollectable_objects"), "{}: {after}", py.name);
        assert_eq!(number(&after["collectors"][0], "garbage"), 5);
    });
}

#[test]
fn the_state_is_what_the_module_gc_says() {
    if !may_trace() {
        return;
    }
    // The figures are printed before the look; the last that is asked for allocates nothing that counts: its tuple is one that was freed.
    const ASK: &str = r#"
class Node: pass
def make():
    a = Node(); a.me = a
gc.collect(); gc.collect(1)
for _ in range(50): make()
gc.collect(0); gc.set_threshold(30000, 5, 7); gc.set_debug(DEBUG)
gc.callbacks.append(lambda *a: None); gc.garbage.append(3)
SWITCH
for _ in range(20): make()
SETTLE
write, read, objects, count = os.write, os.read, gc.get_objects, gc.get_count
line = "%r;%r;%r;%r;%r;%r" % (gc.get_threshold(), [tuple(s.values()) if len(s) == 3 else (s["collections"], s["collected"], s["uncollectable"]) for s in gc.get_stats()], gc.isenabled(), gc.get_debug(), len(gc.garbage), len(gc.callbacks))
line = line.encode()
n0 = n1 = n2 = frozen = c = None
frozen = gc.get_freeze_count()
n2 = len(objects(generation=2))
n1 = len(objects(generation=1))
n0 = len(objects(generation=0))
c = count(); c = None; c = count()
n0 = len(objects(generation=0))
write(1, b'READY\n')
read(0, 1)
write(1, b'%s;%d;%d;%d;%d;%d;%d;%d\n' % (line, n0, n1, n2, frozen, c[0], c[1], c[2]))
read(0, 1)
"#;
    testbed::for_each_interpreter(|py| {
        for (switch, settle, debug) in [("", "", 0), ("gc.disable()", "", 32), ("gc.freeze()", "gc.collect(1)", 0)] {
            let script = ASK.replace("SWITCH", switch).replace("SETTLE", settle).replace("DEBUG", &debug.to_string());
            let mut target = started(&py.path, &format!("import gc, os\n{script}"));
            let told = gc(&target.pid());
            let main = &told["collectors"][0];
            target.child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
            let line = line(&mut target);
            let generations = main["generations"].as_array().unwrap();
            let each = |key: &str| generations.iter().map(|g| number(g, key).to_string()).collect::<Vec<_>>().join(", ");
            let stats = generations
                .iter()
                .map(|g| format!("({}, {}, {})", number(g, "collections"), number(g, "collected"), number(g, "uncollectable")));
            let enabled = if main["enabled"] == true { "True" } else { "False" };
            let lists: Vec<u64> = told["lists"].as_array().unwrap().iter().map(|l| number(l, "objects")).collect();
            let found = format!(
                "({});[{}];{enabled};{};{};{};{};{};{};{};{}",
                each("threshold"),
                stats.collect::<Vec<_>>().join(", "),
                number(main, "debug"),
                number(main, "garbage"),
                number(main, "callbacks"),
                lists[0],
                lists[1],
                lists[2],
                lists[3],
                each("count").replace(", ", ";"),
            );
            assert_eq!(found, line, "{switch} {settle} of {}", py.name);
            assert!(lists[3] > 1000 || switch != "gc.freeze()", "{lists:?}");
            assert!(told["age_s"].as_f64().unwrap() >= 0.0);
        }
    });
}

#[test]
fn a_folder_of_an_earlier_program_is_read_and_says_what_is_missing() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kept/format-1");
    let folder = folder.to_str().unwrap();
    let answer = gc(folder);
    assert!(answer["missing"].as_str().unwrap().contains("before the collector's state was kept"), "{answer}");
    assert_eq!((answer["passes"].as_array().unwrap().len(), &answer["advice"]), (0, &Value::Null));
    assert!(answer["lists"].as_array().unwrap().iter().map(|l| number(l, "objects")).sum::<u64>() > 1000, "{answer}");
    assert_eq!(run(&["gc", folder]).answered().lines().filter(|line| line.starts_with("missing: ")).count(), 1);
}

/// What waits because the collector is off is told with the line that turns it on; the twin that leaves it on is told nothing.
#[test]
fn garbage_that_waits_is_among_the_findings_of_explain() {
    if !may_trace() {
        return;
    }
    const PLANTED: &str = "
import gc, os
class Request:
    def __init__(self): self.body, self.me = bytes(5000), self
SWITCH
for _ in range(4000): Request()
LATER
os.write(1, b'READY\\n')
os.read(0, 1)
";
    testbed::for_each_interpreter(|py| {
        for (switch, later, advised) in
            [("gc.disable()", "", "gc.enable()"), ("gc.set_threshold(0)", "", "gc.set_threshold(700, 10, 10)"), ("", "gc.collect()", "")]
        {
            let target = started(&py.path, &PLANTED.replace("SWITCH", switch).replace("LATER", later));
            let told = gc(&target.pid());
            let explained: Value = serde_json::from_str(run(&["explain", "--json", &target.pid()]).answered()).unwrap();
            let finding = explained["findings"].as_array().unwrap().iter().find(|f| f["id"] == "gc");
            if advised.is_empty() {
                assert_eq!((&told["advice"], finding), (&Value::Null, None), "{}", py.name);
                continue;
            }
            assert_eq!(told["advice"]["lines"], serde_json::json!(["import gc", advised]), "{}: {told}", py.name);
            assert!(number(full(&told), "freed_bytes") > 4000 * 5000);
            let finding = finding.unwrap_or_else(|| panic!("{}: {explained}", py.name));
            assert!(finding["title"].as_str().unwrap().ends_with(advised), "{finding}");
        }
    });
}

/// Starts a script and waits for its READY.
fn started(path: &std::path::Path, script: &str) -> Started {
    // Without `site`: what an installation's site-packages import may leave garbage of its own.
    Started::ready(Command::new(path).args(["-I", "-S", "-W", "ignore", "-c", &format!("{MAY_BE_TRACED}{script}")]))
}

/// Lets a target collect; what gc.collect() returned, and how many are in gc.garbage then.
fn collected(target: &mut Started) -> (u64, u64) {
    target.child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    let line = line(target);
    let (returned, garbage) = line.split_once(' ').unwrap();
    (returned.parse().unwrap(), garbage.parse().unwrap())
}

fn line(target: &mut Started) -> String {
    let mut line = String::new();
    BufReader::new(target.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn gc(target: &str) -> Value {
    let answer: Value = serde_json::from_str(run(&["gc", "--json", target]).answered()).unwrap();
    assert_eq!(answer["schema"], "exuvia/gc/1");
    answer
}

fn full(answer: &Value) -> &Value {
    answer["passes"].as_array().unwrap().last().unwrap()
}

#[track_caller]
fn number(of: &Value, key: &str) -> u64 {
    of[key].as_u64().unwrap_or_else(|| panic!("{key} of {of}"))
}
