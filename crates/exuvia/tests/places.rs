//! Where a class is: its exact line from 3.13 on, before near its first function, else its file; live and from a snapshot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{may_trace, run, Started};
use serde_json::Value;
use testbed::Scratch;

/// The module that is imported: a class with functions far below its head, and one that has none.
const SHOP: &str = r#""""Classes."""
import functools


@functools.total_ordering
class Ordered:
    """Its line is that of its decorator, 5; its first own function is on line 16."""

    a = 1
    b = 2
    c = 3
    d = 4
    e = 5
    f = 6

    def __lt__(self, other):
        return self.n < other.n

    def __eq__(self, other):
        return self.n == other.n

    def __hash__(self):
        return 1

    def __del__(self):
        len("x")


class Bare:
    """Line 29; nothing in it has a line."""
"#;

/// What makes use of it: many of each for `slots`, cycles of each for `cycles`.
const PLANTED: &str = "
import gc, sys
sys.path.insert(0, FOLDER)
import exuvia_shop as shop
gc.disable()
ALL = []
for c in (shop.Ordered, shop.Bare):
    for n in range(2000):
        o = c()
        o.n, o.m = n + 1000000, n + 2000000
        ALL.append(o)
    for n in range(100):
        a, b = c(), c()
        a.other, b.other = b, a
        ALL.append(a)
";

/// File and line of what a row says of its class, and whether it is near.
fn place(row: &Value) -> (String, Option<u64>, bool) {
    let file = row["file"].as_str().unwrap_or_default().rsplit('/').next().unwrap().to_owned();
    (file, row["line"].as_u64(), row["near"].as_bool().unwrap_or_default())
}

#[test]
fn a_class_s_place_is_as_exact_as_its_release_tells() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        std::fs::write(scratch.path().join("exuvia_shop.py"), SHOP).unwrap();
        let target = Started::python_of(&py.path, &format!("FOLDER = {:?}\n{PLANTED}", scratch.path().to_str().unwrap()));
        let folder = scratch.path().join("snapshot");
        let (folder, pid) = (folder.to_str().unwrap(), target.pid());
        run(&["snapshot", &pid, "-o", folder, "--json"]).answered();
        let file = || "exuvia_shop.py".to_owned();
        let (ordered, bare) = match py.minor {
            13.. => ((file(), Some(5), false), (file(), Some(29), false)),
            _ => ((file(), Some(16), true), (file(), None, false)),
        };
        for target in [pid.as_str(), folder] {
            let ask = |command: &str| -> Value { serde_json::from_str(run(&[command, "--json", target]).answered()).unwrap() };
            let slots = ask("slots");
            let of = |all: &Value, name: &str| {
                let found = all.as_array().unwrap().iter().find(|row| row["type"] == name);
                found.unwrap_or_else(|| panic!("{}: no {name}: {all:#}", py.name)).clone()
            };
            assert_eq!(place(&of(&slots["classes"], "exuvia_shop.Ordered")["where"]), ordered, "{}", py.name);
            assert_eq!(place(&of(&slots["classes"], "exuvia_shop.Bare")["where"]), bare, "{}", py.name);
            let cycles = ask("cycles");
            let places: Vec<Value> =
                cycles["shapes"].as_array().unwrap().iter().flat_map(|s| s["where"].as_array().unwrap().clone()).collect();
            assert_eq!(place(&of(&places.clone().into(), "exuvia_shop.Ordered")), ordered, "{}", py.name);
            assert_eq!(place(&of(&places.into(), "exuvia_shop.Bare")), bare, "{}", py.name);
            // A finalizer is where its __del__ is, which is a function and has its line everywhere.
            let del = of(&ask("finalizers")["types"], "exuvia_shop.Ordered");
            assert_eq!(place(&del["where"]), (file(), Some(25), false), "{}", py.name);
            let explained = ask("explain");
            let slots_of = |name: &str| {
                let all = explained["findings"].as_array().unwrap();
                let found = all.iter().find(|f| f["id"] == "slots" && f["title"].as_str().unwrap().contains(name));
                place(&found.unwrap_or_else(|| panic!("{}: {all:#?}", py.name))["where"])
            };
            assert_eq!((slots_of("exuvia_shop.Ordered"), slots_of("exuvia_shop.Bare")), (ordered.clone(), bare.clone()), "{}", py.name);
        }
    });
}
