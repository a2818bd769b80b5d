//! Who holds the memory: planted truths with known objects, on every interpreter, live and from a snapshot.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/mod.rs"]
mod common;

use std::collections::BTreeMap;

use common::{may_trace, run, Started};
use serde_json::Value;
use testbed::Scratch;

/// Owners of every kind, each with the ids of exactly what it keeps alive. `facts` is where the script writes them.
const PLANTED: &str = r#"
import gc, json, sys, threading

class Plain:
    def __init__(self, n):
        self.number = n + 100000
        self.text = "text %d" % (n + 100000)

class Holder:
    shared = None
    def __init__(self):
        self.items = {}

def whole(objects):
    """The ids of these objects and of all that they alone hold, by what they are made of: no classes, no small ints."""
    seen, ahead = {}, list(objects)
    while ahead:
        o = ahead.pop()
        if id(o) in seen or isinstance(o, type) or (isinstance(o, int) and -6 < o < 257):
            continue
        if isinstance(o, str) and len(o) < 2:
            continue
        seen[id(o)] = o
        if isinstance(o, dict):
            ahead.extend(o.values())
            ahead.extend(k for k in o if not isinstance(k, str) or not k.isidentifier())
        elif isinstance(o, (list, tuple, set)):
            ahead.extend(o)
        elif isinstance(o, (Plain, Holder)):
            ahead.append(vars(o)) if DICTS else ahead.extend(vars(o).values())
    return sorted(seen)

# From 3.11 on an instance has no dict until somebody asks for it; asking would make one.
DICTS = sys.version_info < (3, 11)

LIST = [Plain(n) for n in range(2000)]
CACHE = Holder()
for n in range(1500):
    CACHE.items["key %d" % n] = ["value %d" % n] * 3
Holder.shared = [bytes([n % 256]) * 700 for n in range(1000)]
started = threading.Event()
stop = threading.Event()
local_ids = []
def worker():
    mine = [(n + 100000, "local %d" % n) for n in range(3000)]
    local_ids.extend(whole([mine]))
    started.set()
    stop.wait()
thread = threading.Thread(target=worker, daemon=True)
thread.start()
started.wait()
gc.collect()
gc.disable()
class Knot: pass
for n in range(500):
    a, b = Knot(), Knot()
    a.other, b.other, a.load = b, a, bytes([n % 256]) * 1000
del a, b
def instances(o):
    if DICTS:
        return whole(o)
    # Without asking for dicts: what they hold is known by construction.
    out = []
    for x in o:
        out.append(id(x))
        for name in ("number", "text"):
            out.append(id(getattr(x, name)))
    return sorted(set(out))
facts = {
    "__main__.LIST": [id(LIST)] + instances(LIST),
    "__main__.CACHE.items": whole([CACHE.items]),
    "__main__.Holder.shared": whole([Holder.shared]),
    "local mine": local_ids,
}
json.dump(facts, open(FACTS, "w"))
del facts, local_ids[:]
"#;

#[test]
fn owners_retain_exactly_what_was_planted() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let facts = scratch.path().join("facts.json");
        let target = Started::python_of(&py.path, &format!("FACTS = {:?}\n{PLANTED}", facts.to_str().unwrap()));
        let facts: BTreeMap<String, Vec<u64>> = serde_json::from_str(&std::fs::read_to_string(&facts).unwrap()).unwrap();
        let folder = scratch.path().join("snapshot");
        let folder = folder.to_str().unwrap();
        run(&["snapshot", &target.pid(), "-o", folder, "--json"]).answered();
        let listed = run(&["objects", "--json", folder]);
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
        let (live, saved) = (owners(&target.pid()), owners(folder));
        let shown = |answer: &Value| -> Vec<String> {
            answer["owners"].as_array().unwrap().iter().take(9).map(|o| format!("{} {}", o["name"], o["retained_bytes"])).collect()
        };
        for answer in [&live, &saved] {
            let all = answer["owners"].as_array().unwrap();
            for (name, ids) in &facts {
                let found = all.iter().find(|o| o["path"].as_str().unwrap().ends_with(name.as_str()));
                let found = found.unwrap_or_else(|| panic!("no owner {name} of {}: {:#?}", py.name, shown(answer)));
                let bytes: u64 = ids.iter().map(|id| footprints.get(id).unwrap_or_else(|| panic!("{name}: no object {id:#x}"))).sum();
                assert_eq!((found["objects"].as_u64(), found["retained_bytes"].as_u64()), (Some(ids.len() as u64), Some(bytes)), "{name}");
            }
            // All bytes are somebody's, and the planted knots are garbage: 1,000 instances, what they load and their dicts.
            let held = |word: &str| {
                let all = answer["held_by"].as_array().unwrap();
                let one = all.iter().find(|h| h["hold"] == word).unwrap();
                (one["bytes"].as_u64().unwrap(), one["objects"].as_u64().unwrap())
            };
            let total: u64 = answer["held_by"].as_array().unwrap().iter().map(|h| h["bytes"].as_u64().unwrap()).sum();
            assert_eq!(Some(total), answer["coverage"]["footprint_bytes"].as_u64());
            let rows: u64 = all.iter().map(|o| o["retained_bytes"].as_u64().unwrap()).sum();
            assert_eq!(rows + answer["rest_bytes"].as_u64().unwrap(), total);
            let (_, garbage) = held("garbage");
            let dicts = if py.minor < 11 { 1000 } else { 0 };
            assert!((1500 + dicts..1500 + dicts + 60).contains(&garbage), "garbage: {garbage}");
        }
        assert_eq!(shown(&live), shown(&saved), "{}", py.name);
    });
}

/// All owners of a target.
fn owners(target: &str) -> Value {
    let ran = run(&["retained", "--json", "--limit", "0", target]);
    serde_json::from_str(ran.answered()).unwrap()
}

#[test]
fn explain_names_what_was_planted_and_nothing_in_a_clean_program() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let facts = scratch.path().join("facts.json");
        let planted = Started::python_of(&py.path, &format!("FACTS = {:?}\n{PLANTED}", facts.to_str().unwrap()));
        let answer: Value = serde_json::from_str(run(&["explain", "--json", &planted.pid()]).answered()).unwrap();
        let titles: Vec<&str> = answer["findings"].as_array().unwrap().iter().map(|f| f["title"].as_str().unwrap()).collect();
        for wanted in [
            "__main__.Holder.shared holds 1,000 bytes",
            "local mine holds 3,000 tuple",
            "__main__.CACHE.items holds 1,500 list",
            "__main__.LIST holds 2,000 __main__.Plain",
        ] {
            assert!(titles.iter().any(|title| title.contains(wanted)), "{wanted} is not in {titles:#?}");
        }
        assert!(answer["sentence"].as_str().unwrap().contains(titles[0]), "{answer:#?}");
        let suspects = answer["suspects"].as_array().unwrap();
        assert!(suspects.iter().any(|s| s["path"] == "__main__.Holder.shared" && s["entries"] == 1000), "{suspects:#?}");
        // A container in an attribute in a global: its memory comes together in the container, in 1,500 lists.
        let items = suspects.iter().find(|s| s["path"] == "__main__.CACHE.items").unwrap();
        let place = &items["accumulation"];
        assert_eq!((&place["from"], &place["path"]), (&"__main__.CACHE".into(), &"__main__.CACHE.items".into()), "{}: {place:#}", py.name);
        let of = ["type", "children", "child_type", "children_of_type"].map(|field| place[field].clone());
        let keys = place["children"].as_u64().unwrap() - 1500;
        let wanted: [Value; 4] = ["dict".into(), (1500 + keys).into(), "list".into(), 1500.into()];
        assert_eq!(of, wanted, "{}: {place:#}", py.name);
        assert!(place["biggest_child_bytes"].as_u64().unwrap() * 100 < place["retained_bytes"].as_u64().unwrap(), "{place:#}");
        // The twin keeps nothing.
        let clean =
            Started::python_of(&py.path, "import gc, json, threading\nwork = [str(n) * 3 for n in range(9000)]\ndel work\ngc.collect()");
        let answer: Value = serde_json::from_str(run(&["explain", "--json", &clean.pid()]).answered()).unwrap();
        assert_eq!(answer["findings"], Value::Array(Vec::new()), "{}", py.name);
        assert_eq!(answer["suspects"], Value::Array(Vec::new()), "{}", py.name);
        // Limits are for the exit code.
        let limited = |option: &str, size: &str| run(&["explain", option, size, &planted.pid()]).code;
        assert_eq!((limited("--fail-over", "1kB"), limited("--fail-over", "1GB")), (Some(1), Some(0)));
        assert_eq!((limited("--fail-owner-over", "100kB"), limited("--fail-owner-over", "1GB")), (Some(1), Some(0)));
    });
}

/// The program of the prediction, and the same with the bound that the finding names.
const CACHING: &str = "
import gc
CACHE = {}
def put(n):
    CACHE['request %d' % n] = ['answer %d to it' % n, n + 100_000, float(n)]
    while len(CACHE) > BOUND:
        del CACHE[next(iter(CACHE))]
for n in range(20_000):
    put(n)
gc.collect()
";

#[test]
fn a_predicted_saving_is_what_the_bound_saves() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let explained = |bound: u64| -> Value {
            let target = Started::python_of(&py.path, &format!("BOUND = {bound}{CACHING}"));
            serde_json::from_str(run(&["explain", "--json", &target.pid()]).answered()).unwrap()
        };
        let total = |answer: &Value| answer["coverage"]["footprint_bytes"].as_u64().unwrap() as f64;
        let (without, with) = (explained(1_000_000), explained(1000));
        let finding = &without["findings"][0];
        assert!(finding["title"].as_str().unwrap().starts_with("__main__.CACHE holds 20,000 list"), "{finding}");
        let predicted = finding["saving_bytes"].as_f64().unwrap();
        let measured = total(&without) - total(&with);
        let off = (predicted - measured).abs() / measured;
        println!("{}: {predicted} predicted, {measured} measured, {:.2} % off", py.name, off * 100.0);
        assert!(off < 0.03, "{}: {predicted} predicted, {measured} measured", py.name);
    });
}

#[test]
fn names_of_the_target_cannot_steer_the_terminal() {
    if !may_trace() {
        return;
    }
    let script = "
import sys, types
evil = types.ModuleType('evil\\x1b[2J\\u202emod')
sys.modules[evil.__name__] = evil
Bad = type('Ba\\x1b]0;owned\\x07d\\u202e', (), {'__module__': 'evil'})
setattr(evil, 'x\\x1b[31m\\nhid\\u200bden', [[Bad() for n in range(2000)]])
setattr(Bad(), 'y\\x1b[0m', 1)
";
    let target = Started::python(script);
    for command in ["explain", "retained"] {
        for args in [vec![command, &target.pid()], vec![command, "--limit", "0", &target.pid()]] {
            if command == "explain" && args.len() > 2 {
                continue;
            }
            let ran = run(&args);
            let text = ran.answered();
            assert!(text.contains("evil\\u{1b}[2J\\u{202e}mod"), "{text}");
            assert!(text.chars().all(|c| c == '\n' || (!c.is_control() && !"\u{202e}\u{200b}".contains(c))), "{text:?}");
        }
    }
}

#[test]
fn sums_by_module_and_type_add_up_live_and_saved() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let facts = scratch.path().join("facts.json");
        let target = Started::python_of(&py.path, &format!("FACTS = {:?}\n{PLANTED}", facts.to_str().unwrap()));
        let folder = scratch.path().join("snapshot");
        let folder = folder.to_str().unwrap();
        run(&["snapshot", &target.pid(), "-o", folder, "--json"]).answered();
        let by = |target: &str, by: &str| -> Value {
            serde_json::from_str(run(&["retained", "--json", "--by", by, target]).answered()).unwrap()
        };
        let group = |answer: &Value, name: &str| -> (u64, u64) {
            let all = answer["groups"].as_array().unwrap();
            let one = all.iter().find(|g| g["name"] == name).unwrap_or_else(|| panic!("{name}: {all:#?}"));
            (one["objects"].as_u64().unwrap(), one["retained_bytes"].as_u64().unwrap())
        };
        let (live, saved) = (by(&target.pid(), "module"), by(folder, "module"));
        assert_eq!(live["groups"], saved["groups"], "{}", py.name);
        let total: u64 = live["groups"].as_array().unwrap().iter().map(|g| g["retained_bytes"].as_u64().unwrap()).sum();
        assert_eq!(Some(total), live["coverage"]["footprint_bytes"].as_u64());
        // LIST, CACHE and Holder.shared hang from __main__ alone: 2,000 Plain, 1,500 lists, 1,000 bytes and what they hold.
        assert!(group(&live, "__main__").0 > 10_000, "{}", live["groups"]);
        let types = by(folder, "type");
        let (objects, bytes) = group(&types, "__main__.Plain");
        let per = if py.minor < 11 { 4 } else { 3 };
        assert_eq!((objects, bytes > 200_000), (2000 * per, true));
        assert_eq!(by(&target.pid(), "distribution")["by"], "distribution");
    });
}

#[test]
fn the_last_line_is_a_command_that_shows_what_is_claimed() {
    if !may_trace() {
        return;
    }
    // Runs the last line of a screen as a shell would, with our own binary for its first word.
    let pasted = |screen: &str, word: &str| -> String {
        let line = screen.lines().last().unwrap();
        let command = line.strip_prefix(word).unwrap_or_else(|| panic!("{line}")).strip_prefix(": exuvia ").unwrap();
        assert!(screen.lines().count() <= 24, "{screen}");
        let binary = env!("CARGO_BIN_EXE_exuvia");
        let ran = common::ran(std::process::Command::new("sh").args(["-c", &format!("{binary} {command}")]));
        ran.answered().to_owned()
    };
    let growing = "
import threading, time
ROWS = [[n] for n in range(20000)]
def grow():
    while True:
        ROWS.extend([n] for n in range(500))
        time.sleep(0.2)
threading.Thread(target=grow, daemon=True).start()
";
    let target = Started::python(growing);
    let screen = run(&["explain", &target.pid()]).answered().to_owned();
    assert!(screen.contains("\nsuspect: ") && screen.contains("comes together in __main__.ROWS"), "{screen}");
    let shown = pasted(&screen, "see it grow");
    assert!(shown.contains("__main__.ROWS"), "{shown}");
    // A snapshot does not grow: it shows who holds it.
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path().join("it's a snapshot");
    run(&["snapshot", &target.pid(), "-o", folder.to_str().unwrap(), "--json"]).answered();
    let shown = pasted(run(&["explain", folder.to_str().unwrap()]).answered(), "see it");
    assert!(shown.contains("__main__.ROWS"), "{shown}");
    let cyclic = Started::python("import gc\ngc.disable()\nclass Knot: pass\nfor n in range(3000):\n    k = Knot()\n    k.me = k");
    let shown = pasted(run(&["explain", &cyclic.pid()]).answered(), "see it");
    assert!(shown.contains("__main__.Knot .me"), "{shown}");
}
