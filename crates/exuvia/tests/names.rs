//! What users name and how it is held: planted ways with known numbers, on every interpreter, live and from a snapshot.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/mod.rs"]
mod common;

use common::{may_trace, run, Started};
use serde_json::Value;
use testbed::Scratch;

/// Sessions that are held in four ways, and one that nothing but a weak reference knows of besides its list.
const PLANTED: &str = r#"
import json, weakref

class Base:
    __slots__ = ()
    registry = [0]
class Session(Base):
    __slots__ = ("user", "__weakref__")
class Cache:
    pass

ALL = [Session() for _ in range(1995)]
WEAK = [weakref.ref(s) for s in ALL]
CACHE = Cache()
CACHE.pages = {n: Session() for n in range(12)}
CACHE.twice = {n: ALL[n] for n in range(7)}
ALL[3].user = ["named"]
def hold(FACTS):
    mine = Session()
    facts = {"ALL": id(ALL), "user": id(ALL[3].user), "registry": id(Base.registry), "class": id(Session), "pages": id(CACHE.pages),
             "third": id(ALL[3])}
    json.dump(facts, open(FACTS, "w"))
    print('READY', flush=True)
    import sys; sys.stdin.read()
hold(FACTS)
"#;

/// One branch: its text with the threads' addresses left out, its objects, its holders.
fn branches(answer: &Value) -> Vec<(String, u64, u64)> {
    let text = |b: &Value| {
        let path = b["path"].as_str().unwrap();
        path.rsplit_once("frame").map_or(path, |(_, end)| end).to_owned()
    };
    let all = answer["branches"].as_array().unwrap();
    all.iter().map(|b| (text(b), b["objects"].as_u64().unwrap(), b["holders"].as_u64().unwrap())).collect()
}

fn ask(target: &str, options: &[&str]) -> Value {
    let ran = run(&[&["path", "--json", target], options].concat());
    serde_json::from_str(ran.answered()).unwrap()
}

#[test]
fn ways_are_those_that_were_planted() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let facts = scratch.path().join("facts.json");
        let target = Started::python_of(&py.path, &format!("FACTS = {:?}\n{PLANTED}", facts.to_str().unwrap()));
        let facts: Value = serde_json::from_str(&std::fs::read_to_string(&facts).unwrap()).unwrap();
        let folder = scratch.path().join("snapshot");
        let (folder, pid) = (folder.to_str().unwrap(), target.pid());
        run(&["snapshot", &pid, "-o", folder, "--json"]).answered();
        for target in [pid.as_str(), folder] {
            let all = ask(target, &["__main__.Session"]);
            let found = branches(&all);
            let told = format!("{}: {found:#?}", py.name);
            assert_eq!((&all["objects"], &all["unreached"]), (&2008.into(), &0.into()), "{told}");
            let branch =
                |text: &str| found.iter().find(|(t, _, _)| t.ends_with(text)).unwrap_or_else(|| panic!("no {text}: {told}")).clone();
            assert_eq!(branch("__main__"), ("__main__".into(), 2007, 1), "{told}");
            assert_eq!(branch(".ALL"), (".ALL".into(), 1995, 1), "{told}");
            assert!(found.contains(&("[…]".into(), 1995, 1995)), "{told}");
            assert_eq!((branch(".CACHE.pages").1, branch(" local mine").1), (12, 1), "{told}");
            // Without the list seven are held by the other dict; weak references hold none of the rest.
            let without = ask(target, &["__main__.Session", "--exclude", "ALL"]);
            assert_eq!(without["unreached"], 1995 - 7, "{}: {:#?}", py.name, branches(&without));
            assert!(branches(&without).iter().any(|b| *b == ("[…]".into(), 7, 7)), "{}: {:#?}", py.name, branches(&without));
            let without = ask(target, &["__main__.Session", "--exclude", "__main__.Cache", "--exclude", ".ALL"]);
            assert_eq!(without["unreached"], 2007, "{}: {:#?}", py.name, branches(&without));

            // One object under its many names.
            let id = |key: &str| facts[key].as_u64().unwrap();
            for (word, key) in [
                ("__main__:ALL", "ALL"),
                ("__main__.ALL", "ALL"),
                ("__main__:ALL[3]", "third"),
                ("__main__:ALL[3].user", "user"),
                ("__main__:ALL[3].registry", "registry"),
                ("__main__:Session.registry", "registry"),
                ("__main__:ALL[3].__class__", "class"),
                ("__main__:Session", "class"),
                ("__main__:CACHE.pages", "pages"),
                (&id("third").to_string(), "third"),
                (&format!("{:#x}", id("third")), "third"),
            ] {
                let answer = ask(target, &[word]);
                let end = answer["branches"].as_array().unwrap().last().unwrap_or_else(|| panic!("{}: no way to {word}", py.name)).clone();
                assert_eq!(end["address"].as_str().unwrap(), format!("{:#x}", id(key)), "{}: {word}: {end:#}", py.name);
                assert_eq!((&answer["objects"], &end["is_end"]), (&1.into(), &true.into()), "{}: {word}", py.name);
            }
            let way = |word: &str| branches(&ask(target, &[word])).into_iter().map(|b| b.0).collect::<Vec<_>>();
            assert_eq!(way("__main__:CACHE.pages"), ["__main__.CACHE.pages"]);
            assert_eq!(way(&id("user").to_string()), ["__main__.ALL[3].user"]);
        }
    });
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    if !may_trace() {
        return;
    }
    let target = Started::python("class Order: pass\nORDERS = [Order()]\nORDERS[0].customer = 'somebody'");
    let pid = target.pid();
    for (words, error, advice) in [
        (&["__mian__:ORDERS"][..], "there is no module __mian__", "__main__"),
        (&["__main__:ORDRES"][..], "__main__ has no ORDRES", "ORDERS"),
        (&["__main__:ORDERS[0].custommer"][..], "__main__:ORDERS[0] has no custommer", "customer"),
        (&["__main__:ORDERS[7]"][..], "__main__:ORDERS has no [7]", "[0] to [0]"),
        (&["__main__.Ordre"][..], "__main__ has no Ordre", "Order"),
        (&["0x10"][..], "no object stands at 0x10", "exuvia objects"),
        (&["nothing_of_this"][..], "there is nothing named nothing_of_this", "one of "),
        (&["__main__:ORDERS", "--exclude", "ORDRES"][..], "nothing is excluded by ORDRES", "--exclude"),
    ] {
        let ran = run(&[&["path", &pid], words].concat());
        let [what, _, instead] = ran.refused(3);
        assert!(what == error && instead.contains(advice), "{words:?}: {ran:#?}");
    }
    for words in [&["path"][..], &["path", &pid], &["path", &pid, "__main__:ORDERS..x"], &["path", "nowhere", "dict"]] {
        run(words).refused(2);
    }
}
