//! Weak references, weak containers and what pins them: planted with known numbers on every interpreter, live and from a snapshot; what a
//! finding says that a change saves is what it saves; and twins that do it right.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use common::{may_trace, python, run, Started, MAY_BE_TRACED};
use serde_json::{json, Value};
use testbed::Scratch;

/// What goes wrong in the ways that WRONG names; the rest is right. What is there is told by the target itself, in `FACTS`.
const PLANTED: &str = r#"
import functools, gc, json, weakref
class Page:
    __slots__ = ("load", "__weakref__")
    def __init__(self, n): self.load = bytes([n % 256]) * 1000
    def gone(self, ref=None): pass
class Note:
    __slots__ = ("of",)
class Session:
    __slots__ = ("user",)
class User(Page):
    __slots__ = ()
def told(ref): pass
N = 1200
CACHE, LOADED, HEARD = weakref.WeakValueDictionary(), weakref.WeakValueDictionary(), weakref.WeakSet()
NOTES, USERS, REGISTRY = weakref.WeakKeyDictionary(), weakref.WeakValueDictionary(), weakref.WeakSet()
HISTORY, LISTENERS, WATCHED, SESSIONS, WEAK, ENDS = [], [], [], [], [], []
def page(n):
    p = Page(n)
    CACHE["page %d" % n] = p
    if "list" in WRONG: HISTORY.append((n % 256, p))
@functools.lru_cache(None)
def kept(n):
    p = Page(n)
    LOADED["loaded %d" % n] = p
    return p if "lru" in WRONG else None
def hear(n):
    p = Page(n)
    HEARD.add(p)
    if "method" in WRONG: LISTENERS.append(p.gone)
def note(n):
    p, o = Page(n), Note()
    NOTES[p] = o
    if "keys" in WRONG: o.of = p
def watch(n):
    p = Page(n)
    WATCHED.append(weakref.ref(p, p.gone if "callback" in WRONG else told))
def end(n):
    p = Page(n)
    weakref.finalize(p, p.gone if "finalize" in WRONG else told, None)
# What is right as it is: users that sessions use, each one; a registry of what something else has.
for n in range(N // 4):
    s = Session()
    s.user = USERS[n + 1000000] = User(n)
    SESSIONS.append(s)
    REGISTRY.add(s.user)
PROXIES = [weakref.proxy(s.user) for s in SESSIONS[:20]]
for n in range(N):
    page(n), hear(n), note(n), watch(n), end(n)
    if "lru" in WRONG: kept(n % 256 + 1000 * n)
s = None
gc.collect()
containers = dict(CACHE=CACHE, LOADED=LOADED, HEARD=HEARD, NOTES=NOTES, USERS=USERS, REGISTRY=REGISTRY)
facts = {name: [len(c), len(c.data)] for name, c in containers.items()}
facts["dead"] = sum(r() is None for r in WATCHED)
facts["users"] = sum(weakref.getweakrefcount(s.user) for s in SESSIONS)
json.dump(facts, open(FACTS, "w"))
del containers, facts
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

/// A script without `site`: what lies in an installation's site-packages may have weak references of its own.
fn started(path: &Path, script: &str) -> Started {
    let script = format!("{MAY_BE_TRACED}{script}\nprint('READY', flush=True)\nimport sys; sys.stdin.read()");
    Started::ready(Command::new(path).args(["-I", "-S", "-c", &script]))
}

fn planted(py: &testbed::Interpreter, wrong: &str) -> (Started, Value, Scratch) {
    let scratch = Scratch::new().unwrap();
    let facts = scratch.path().join("facts.json");
    let target = started(&py.path, &format!("WRONG, FACTS = {wrong:?}.split(), {:?}\n{PLANTED}", facts.to_str().unwrap()));
    let facts = serde_json::from_str(&std::fs::read_to_string(&facts).unwrap()).unwrap();
    (target, facts, scratch)
}

/// Titles of the findings of this family.
fn told(explained: &Value) -> Vec<String> {
    let findings = explained["findings"].as_array().unwrap().iter().filter(|f| f["id"] == "weakrefs");
    findings.map(|f| f["title"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn weak_references_and_containers_are_as_the_target_counts_them() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let (target, facts, scratch) = planted(py, "list lru method keys callback finalize");
        let folder = scratch.path().join("snapshot");
        let folder = folder.to_str().unwrap();
        run(&["snapshot", &target.pid(), "-o", folder, "--json"]).answered();
        let (live, saved) = (answer("weakrefs", &target.pid()), answer("weakrefs", folder));
        for field in ["linked", "weak_references", "containers", "containers_total", "referents", "holders", "callbacks", "finalize"] {
            assert!(live[field] == saved[field], "{field}: live and saved differ: {}", py.name);
        }
        let bytes = |container: &Value| container["referents_bytes"].as_u64().unwrap();
        for (name, weak, pinned, by, kind, through, itself) in [
            ("CACHE", "values", 1200, "HISTORY", "list", Some("tuple"), 0),
            ("LOADED", "values", 1200, "kept", "functools._lru_cache_wrapper", None, 0),
            ("HEARD", "members", 1200, "LISTENERS", "list", Some("method"), 0),
            ("NOTES", "keys", 0, "", "", None, 1200),
            ("USERS", "values", 300, "SESSIONS", "list", Some("__main__.Session"), 0),
            ("REGISTRY", "members", 300, "SESSIONS", "list", Some("__main__.Session"), 0),
        ] {
            let container = row(&live, "containers", "path", &format!("__main__.{name}"));
            let (len, entries) = (&facts[name][0], &facts[name][1]);
            assert_eq!(fields(container, &["weak", "live", "entries", "dead"]), json!([weak, len, entries, 0]), "{name} of {}", py.name);
            assert_eq!(container["held_by_itself"], itself, "{name} of {}: {container:#}", py.name);
            let pins = container["pins"].as_array().unwrap();
            assert_eq!(pins.len(), usize::from(pinned > 0), "{name} of {}: {container:#}", py.name);
            for pin in pins {
                let wanted = json!([format!("__main__.{by}"), kind, pinned, through, bytes(container)]);
                assert_eq!(fields(pin, &["path", "type", "entries", "through", "bytes"]), wanted, "{name} of {}", py.name);
            }
            // Each has a load of 1000 bytes.
            let live = len.as_u64().unwrap();
            assert!((live * 1100..live * 1300).contains(&bytes(container)), "{name} of {}: {container:#}", py.name);
        }
        // A set and a dict of weak references with callbacks, and the proxies of some.
        let users = row(&live, "referents", "type", "__main__.User");
        assert_eq!(fields(users, &["objects", "references", "with_callback"]), json!([300, facts["users"], 600]), "{}", py.name);
        assert_eq!(facts["users"], 620);
        let held = |holder: &str| fields(row(&live, "holders", "holder", holder), &["objects", "alive", "dead"]);
        assert_eq!(held("__main__.CACHE"), json!([1, 1200, 0]), "{}", py.name);
        assert_eq!(held("__main__.WATCHED"), json!([1, 1200, facts["dead"]]), "{}", py.name);
        assert_eq!(held("__main__.PROXIES"), json!([1, 20, 0]), "{}", py.name);
        assert_eq!(held("weakref.finalize._Info.weakref"), json!([1200, 1200, 0]), "{}", py.name);
        let counts = ["count", "holding", "pinning"];
        for list in ["callbacks", "finalize"] {
            let gone = live[list].as_array().unwrap().iter().find(|c| c["function"].as_str().unwrap().ends_with("gone")).unwrap();
            assert_eq!(fields(gone, &counts), json!([1200, 1200, 1200]), "{list} of {}", py.name);
        }
        let found = told(&answer("explain", folder));
        for wanted in [
            "__main__.CACHE is weak, but __main__.HISTORY pins 1,200 of its values: let go of them there, or bound it",
            "__main__.LOADED is weak, but __main__.kept pins 1,200 of its values: let go of them there, or bound it",
            "__main__.HEARD is weak, but __main__.LISTENERS pins 1,200 of its members, by bound methods: use weakref.WeakMethod",
            "__main__.NOTES: 1,200 keys are held by their own values, so that no entry ever goes: make that way weak",
            "gone) hold the __main__.Page that they wait for: use weakref.WeakMethod or a function",
            "gone) hold the __main__.Page that they wait for: give it what is to be closed, not the object",
        ] {
            assert!(found.iter().any(|title| title.ends_with(wanted)), "{wanted} of {}: {found:#?}", py.name);
        }
        assert_eq!(found.len(), 6, "{}: {found:#?}", py.name);
        // The twin has the same containers, and everything else goes.
        let (twin, facts, _scratch) = planted(py, "");
        let clean = answer("weakrefs", &twin.pid());
        for name in ["CACHE", "LOADED", "HEARD", "NOTES"] {
            let container = row(&clean, "containers", "path", &format!("__main__.{name}"));
            assert_eq!((&container["live"], &facts[name][0]), (&json!(0), &json!(0)), "{name} of {}", py.name);
        }
        let watched = row(&clean, "holders", "holder", "__main__.WATCHED");
        assert_eq!((&watched["dead"], &facts["dead"]), (&json!(1200), &json!(1200)), "{}", py.name);
        assert!(clean["finalize"].as_array().unwrap().iter().all(|f| f["holding"] == 0), "{}: {clean:#}", py.name);
        assert_eq!(told(&answer("explain", &twin.pid())), Vec::<String>::new(), "{}", py.name);
    });
}

#[test]
fn what_a_finding_predicts_is_what_the_change_saves() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let total = |answer: &Value| answer["coverage"]["footprint_bytes"].as_f64().unwrap();
        let right = answer("explain", &planted(py, "").0.pid());
        assert_eq!(told(&right), Vec::<String>::new(), "{}", py.name);
        for wrong in ["list", "lru", "method", "keys", "callback", "finalize"] {
            let answer = answer("explain", &planted(py, wrong).0.pid());
            let findings = answer["findings"].as_array().unwrap();
            let of_these = findings.iter().filter(|f| f["id"] == "weakrefs");
            let predicted: f64 = of_these.map(|f| f["saving_bytes"].as_f64().unwrap()).sum();
            let measured = total(&answer) - total(&right);
            let off = (predicted - measured).abs() / measured;
            println!("{}: {wrong}: {predicted} predicted, {measured} measured, {:.2} % off", py.name, off * 100.0);
            assert!(off < 0.03, "{}: {wrong}: {predicted} predicted, {measured} measured: {findings:#?}", py.name);
            assert_eq!(told(&answer).len(), 1, "{}: {wrong}: {findings:#?}", py.name);
        }
    });
}

/// Objects of everything that can be referred to weakly, some of them several times; `FACTS` has what the interpreter says of all that it
/// knows. What is asked is asked before the file is opened: that makes no weak reference.
const ZOO: &str = r#"
import array, asyncio, collections, contextlib, functools, gc, json, re, socket, sys, threading, types, weakref
class Plain: pass
class Slotted: __slots__ = ("__weakref__",)
class OfInt(int): pass
class OfDict(dict): pass
class OfList(list): pass
class OfTuple(tuple): pass
class OfStr(str): pass
class OfType(type): pass
class Made(metaclass=OfType): pass
class Error(Exception): pass
def function(): yield 1
async def coroutine(): pass
async def agen(): yield 1
corout = coroutine()
ZOO = [Plain(), Slotted(), OfInt(9), OfDict(a=1), OfList([1]), OfTuple((1,)), OfStr("x"), OfType, Made, Made(), Error("x"), function, function(),
    corout, agen(), {1}, frozenset([1, 2]), collections.deque([1]), collections.OrderedDict(a=1), collections.Counter("ab"), array.array("i", [1]),
    re.compile("x+y"), function.__code__, len, Plain().__init__, functools.partial(len, "x"), types.ModuleType("made"), json, int, type, dict,
    threading.Lock(), threading.RLock(), threading.Thread(), socket.socket(), open("/dev/null"), open("/dev/null", "rb", 0), memoryview(b"x"),
    weakref.WeakSet(), weakref.WeakValueDictionary(), weakref.WeakKeyDictionary(), contextlib.nullcontext(), functools.lru_cache(None)(len),
    types.SimpleNamespace(a=1), threading.Event(), asyncio.new_event_loop(), threading.local()]
KEPT = []
class Keyed(weakref.ref):
    __slots__ = ("key",)
def called(r): pass
bound = Plain()
bound.method = lambda: None
for n, o in enumerate(ZOO):
    made = []
    for make in [weakref.ref, weakref.proxy, Keyed, lambda o: weakref.ref(o, called), lambda o: Keyed(o, called), lambda o: weakref.proxy(o, called)]:
        try:
            made.append(make(o))
        except TypeError:
            pass
    KEPT.append(made[:n % 7])
    del made
class Methods:
    def method(self): pass
METHODS = Methods()
KEPT.append([weakref.WeakMethod(METHODS.method), weakref.finalize(METHODS, called, None)])
del n, o
gc.collect()
def facts():
    all, ahead = {}, gc.get_objects() + ZOO
    while ahead:
        o = ahead.pop()
        if id(o) in all or o is all:
            continue
        all[id(o)] = o
        ahead.extend(gc.get_referents(o))
    del o
    return {i: weakref.getweakrefcount(o) for i, o in all.items() if weakref.getweakrefcount(o)}
json.dump(facts(), open(FACTS, "w"))
"#;

#[test]
fn each_object_has_as_many_weak_references_as_the_interpreter_says() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let (facts, folder) = (scratch.path().join("facts.json"), scratch.path().join("snapshot"));
        let target = started(&py.path, &format!("FACTS = {:?}\n{ZOO}", facts.to_str().unwrap()));
        run(&["snapshot", &target.pid(), "-o", folder.to_str().unwrap(), "--json"]).answered();
        let wanted: BTreeMap<String, u64> = serde_json::from_str(&std::fs::read_to_string(&facts).unwrap()).unwrap();
        let wanted: BTreeMap<u64, u64> = wanted.into_iter().map(|(id, count)| (id.parse().unwrap(), count)).collect();
        let reader = snapshot::file::Reader::open(&folder).unwrap();
        let addresses = reader.numbers("objects", "address").unwrap().unwrap();
        let mut found: BTreeMap<u64, u64> = BTreeMap::new();
        for referent in reader.numbers("weakrefs", "referent").unwrap().unwrap().into_iter().flatten() {
            *found.entry(addresses[referent as usize].unwrap()).or_default() += 1;
        }
        let differ: Vec<(u64, u64, Option<&u64>)> =
            wanted.iter().filter(|(id, count)| found.get(id) != Some(count)).map(|(id, count)| (*id, *count, found.get(id))).collect();
        assert!(differ.is_empty(), "{}: address, the interpreter's count, ours: {differ:x?}", py.name);
        // What it does not tell of is not reachable by gc.get_referents: classes of C that are not in use.
        let beyond: Vec<(u64, u64)> = found.into_iter().filter(|(id, _)| !wanted.contains_key(id)).collect();
        assert!(beyond.len() * 20 < wanted.len(), "{}: {} of {}: {beyond:x?}", py.name, beyond.len(), wanted.len());
        assert!(wanted.len() > 200, "{}: {}", py.name, wanted.len());
        let unknown = answer("weakrefs", folder.to_str().unwrap())["weak_references"]["unknown"].clone();
        assert_eq!(unknown, 0, "{}", py.name);
        println!("{}: {} objects, {} more", py.name, wanted.len(), beyond.len());
    });
}

#[test]
fn a_folder_of_an_earlier_program_is_read_and_says_what_is_missing() {
    if !may_trace() {
        return;
    }
    let (target, _, scratch) = planted(python(), "list");
    let folder = scratch.path().join("snapshot");
    let name = folder.to_str().unwrap();
    run(&["snapshot", &target.pid(), "-o", name, "--json"]).answered();
    std::fs::remove_file(folder.join("weakrefs.parquet")).unwrap();
    snapshot::file::reseal(&folder).unwrap();
    let table = run(&["weakrefs", name]);
    let line = "weak:     not in this folder, which an earlier program wrote: take a new snapshot";
    assert!(table.answered().lines().any(|l| l == line), "{table:#?}");
    let answer = answer("weakrefs", name);
    assert_eq!(answer["linked"], false);
    let cache = row(&answer, "containers", "path", "__main__.CACHE");
    assert_eq!(fields(cache, &["entries", "live", "dead"]), json!([1200, null, null]));
    run(&["explain", name]).answered();
}
