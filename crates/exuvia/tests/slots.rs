//! Slots: the saving that is predicted is proved on every interpreter, by the same program with `__slots__` written in.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/mod.rs"]
mod common;

use std::path::Path;
use std::process::Command;

use common::{may_trace, run, Started, MAY_BE_TRACED};
use serde_json::Value;
use testbed::Scratch;

/// A class of each kind; the one that `SLOTS` names has slots.
const PLANTED: &str = r#"
import weakref
N = 1500
class Point:
    if SLOTS == "Point": __slots__ = ("x", "y", "z")
    def __init__(self, n): self.x = self.y = self.z = n % 9
class Weak:
    if SLOTS == "Weak": __slots__ = ("x", "y", "__weakref__")
    def __init__(self, n): self.x = self.y = n % 9
class Sparse:
    if SLOTS == "Sparse": __slots__ = ("a", "b", "c", "d", "e")
    def __init__(self, n):
        for name in "abcde"[:n % 5 + 1]: setattr(self, name, None)
class Wide:
    NAMES = tuple("w%d" % i for i in range(70))
    if SLOTS == "Wide": __slots__ = NAMES
    def __init__(self, n):
        for name in self.NAMES: setattr(self, name, None)
class Base:
    if SLOTS == "Derived": __slots__ = ("name",)
class Derived(Base):
    if SLOTS == "Derived": __slots__ = ("other", "more")
    def __init__(self, n): self.name = self.other = self.more = None
class Asked:
    if SLOTS == "Asked": __slots__ = ("x", "y")
    def __init__(self, n):
        self.x = self.y = None
        if SLOTS != "Asked": vars(self)
class Half:
    __slots__ = ("one",)
class Holder(Half):
    if SLOTS == "Holder": __slots__ = ("two",)
    def __init__(self, n): self.one = self.two = None
class Empty:
    if SLOTS == "Empty": __slots__ = ()
    def __init__(self, n): pass
ALL = {c.__name__: [c(n) for n in range(N)] for c in (Point, Weak, Sparse, Wide, Derived, Asked, Holder, Empty)}
REFS = [weakref.ref(o) for o in ALL["Weak"][::2]]
"#;

#[test]
fn the_predicted_saving_is_what_the_same_program_with_slots_saves() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let program = |slots: &str| {
            let path = scratch.path().join("planted.py");
            std::fs::write(&path, format!("SLOTS = {slots:?}{PLANTED}")).unwrap();
            started(&py.path, &format!("exec(compile(open({path:?}).read(), {path:?}, 'exec'))"))
        };
        let target = program("");
        let folder = scratch.path().join("snapshot");
        run(&["snapshot", &target.pid(), "-o", folder.to_str().unwrap(), "--json"]).answered();
        let (live, saved) = (slots(&target.pid()), slots(folder.to_str().unwrap()));
        assert_eq!(live["classes"], saved["classes"], "{}", py.name);
        let before = live["coverage"]["footprint_bytes"].as_i64().unwrap();
        let classes = live["classes"].as_array().unwrap();
        let mut names: Vec<&str> = classes.iter().map(name).collect();
        names.sort_unstable();
        assert_eq!(names, ["Asked", "Derived", "Empty", "Holder", "Point", "Sparse", "Weak", "Wide"], "{}", py.name);
        for class in classes {
            let slotted = program(name(class));
            let answer: Value = serde_json::from_str(run(&["types", "--json", &slotted.pid()]).answered()).unwrap();
            let measured = before - answer["coverage"]["footprint_bytes"].as_i64().unwrap();
            let predicted = class["saving_bytes"].as_i64().unwrap();
            assert!(
                (predicted - measured).abs() * 100 <= measured * 3,
                "{} on {}: {predicted} predicted, {measured} measured",
                name(class),
                py.name
            );
            assert_eq!(class["count"], 1500);
            let used = |n: usize| class["attributes"].as_array().unwrap().len() == n;
            let against: Vec<&str> = class["against"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
            let (attributes, wanted) = match name(class) {
                "Point" => (3, ""),
                "Weak" => (2, "750 are held by weak references"),
                "Sparse" => (5, "5 different sets"),
                "Wide" => (70, ""),
                "Derived" => (3, "needs __slots__ in its bases too"),
                "Asked" => (2, ""),
                "Holder" => (1, ""),
                _ => (0, ""),
            };
            assert!(used(attributes) && against.join(";").starts_with(wanted) && wanted.is_empty() == against.is_empty(), "{class:#}");
            let place = &class["where"];
            assert!(place["file"].as_str().unwrap().ends_with("planted.py") && place["line"].as_u64() > Some(1), "{class:#}");
        }
        // Nothing that has slots already is told, and with them there is nothing left to do.
        assert!(names.iter().all(|name| *name != "Half" && *name != "Base"));
    });
}

#[test]
fn what_speaks_against_it_is_told_and_a_clean_program_has_no_row() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let script = r#"
import dataclasses
class Mixin:
    def __reduce__(self): return object, ()
class Other: pass
class Knotty(Mixin, Other):
    size = 0
    def __init__(self, n): self.size = n
@dataclasses.dataclass
class Row:
    left: int = 0
    right: int = 0
class Slotted:
    __slots__ = ("x", "y")
class Code(Exception): pass
class Table(dict): pass
KEPT = [Knotty(n) for n in range(200)], [Row() for _ in range(200)]
CLEAN = [Slotted() for _ in range(200)], [Code() for _ in range(200)], [Table() for _ in range(200)], [Other() for _ in range(20)]
"#;
        let target = started(&py.path, script);
        let answer = slots(&target.pid());
        let classes = answer["classes"].as_array().unwrap();
        let mut names: Vec<&str> = classes.iter().map(name).collect();
        names.sort_unstable();
        assert_eq!(names, ["Knotty", "Row"], "{}", py.name);
        let knotty = classes.iter().find(|c| name(c) == "Knotty").unwrap();
        let against = knotty["against"].to_string();
        for wanted in [
            "needs __slots__ in its bases too: ",
            "several bases",
            "pickling hooks",
            "__reduce__",
            "class variables of the same name must go: size",
        ] {
            assert!(against.contains(wanted), "{wanted} is not in {against} on {}", py.name);
        }
        let row = classes.iter().find(|c| name(c) == "Row").unwrap();
        assert_eq!((&row["is_dataclass"], &row["against"]), (&Value::Bool(true), &Value::Array(Vec::new())), "{}", py.name);
        assert!(row["advice"].as_str().unwrap().contains("slots=True"));
    });
}

fn name(class: &Value) -> &str {
    let name = class["type"].as_str().unwrap();
    name.rsplit('.').next().unwrap()
}

fn slots(target: &str) -> Value {
    let answer: Value = serde_json::from_str(run(&["slots", "--json", target]).answered()).unwrap();
    assert_eq!(answer["schema"], "exuvia/slots/1");
    answer
}

/// A script without `site`: what lies in an installation's site-packages may import libraries with classes of their own.
fn started(path: &Path, script: &str) -> Started {
    let script = format!("{MAY_BE_TRACED}{script}\nprint('READY', flush=True)\nimport sys; sys.stdin.read()");
    Started::ready(Command::new(path).args(["-I", "-S", "-c", &script]))
}
