//! Answers: what a person and a program get, through terminals, pipes and with a program of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{exuvia, may_trace, python, ran, root, run, Started, MAY_BE_TRACED};
use serde_json::Value;

/// A target with things in it whose numbers are known.
const HEAP: &str = "
import collections, sys
class Marker:
    def __init__(self, n):
        self.number = n
        self.secret = 'do not show ' + str(n)
markers = [Marker(n) for n in range(1000)]
by_name = {'customer of ' + str(n): m for n, m in enumerate(markers)}
print(hex(id(markers)), hex(id(markers[7])), hex(id(by_name)), sys.getsizeof(markers), sys.getrefcount(markers[7]) - 1)
";

/// Starts [`HEAP`] and gives back what it printed: addresses of the list, of the eighth marker and of the dict, size, count.
fn heap() -> (Started, Vec<String>) {
    let script = format!("{MAY_BE_TRACED}{HEAP}\nprint('READY', flush=True)\nsys.stdin.read()");
    let mut child = Command::new(&python().path).args(["-I", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let facts = lines.next().unwrap().unwrap().split(' ').map(str::to_string).collect();
    assert_eq!(lines.next().unwrap().unwrap(), "READY");
    (Started { child }, facts)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// What a key of an object must hold.
type Kind = fn(&Value) -> bool;

/// The keys of an object must be there and hold a number, text or list as named.
#[track_caller]
fn has(value: &Value, keys: &[(&str, Kind)]) {
    for (key, is) in keys {
        assert!(value.get(key).is_some_and(is), "{key}: {value}");
    }
}

#[test]
fn types_for_programs_have_the_promised_shape() {
    if !may_trace() {
        return;
    }
    let (target, facts) = heap();
    let answer = json(run(&["types", "--json", &target.pid()]).answered());
    assert_eq!(answer["schema"], "exuvia/types/1");
    has(
        &answer["target"],
        &[("pid", Value::is_u64), ("python", Value::is_string), ("mode", Value::is_string), ("pause_ms", Value::is_f64)],
    );
    assert_eq!(answer["target"]["pid"].to_string(), target.pid());
    assert_eq!(answer["target"]["python"], format!("3.{}.{}", python().minor, python().micro));
    assert_eq!(answer["target"]["mode"], "fork");
    let sums = ["objects", "own_bytes", "footprint_bytes", "exact_bytes", "scanned_bytes"].map(|k| (k, Value::is_u64 as Kind));
    has(&answer["coverage"], &sums);
    assert!(answer["coverage"]["gaps"].as_array().unwrap().iter().all(|g| g["what"].is_string() && g["count"].is_u64()), "{answer}");
    let types = answer["types"].as_array().unwrap();
    for t in types {
        let numbers = ["count", "own_bytes", "footprint_bytes"].map(|k| (k, Value::is_u64 as Kind));
        has(t, &numbers);
    }
    let marker = types.iter().find(|t| t["type"] == "__main__.Marker").unwrap();
    assert_eq!(marker["count"], 1000);
    // What is listed and what is summed are the same.
    let sum = |key: &str| types.iter().map(|t| t[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum("count"), answer["coverage"]["objects"]);
    assert_eq!(sum("own_bytes"), answer["coverage"]["own_bytes"]);
    assert_eq!(sum("footprint_bytes"), answer["coverage"]["footprint_bytes"]);
    // By footprint, biggest first.
    assert!(types.windows(2).all(|w| w[0]["footprint_bytes"].as_u64() >= w[1]["footprint_bytes"].as_u64()));
    drop(facts);
}

#[test]
fn objects_for_programs_are_a_line_each() {
    if !may_trace() {
        return;
    }
    let (target, facts) = heap();
    let ran = run(&["objects", "--json", "--type", "list", &target.pid()]);
    let mut lines = ran.answered().lines().map(json);
    let first = lines.next().unwrap();
    assert_eq!(first["schema"], "exuvia/objects/1");
    assert!(first["target"]["pid"].is_u64() && first["coverage"]["objects"].is_u64(), "{first}");
    let rows: Vec<Value> = lines.collect();
    assert_eq!(first["objects"], rows.len());
    for row in &rows {
        assert_eq!(row["type"], "list");
        assert!(row["address"].as_str().unwrap().starts_with("0x"), "{row}");
        assert!(["own_bytes", "footprint_bytes", "refcount"].iter().all(|k| row[k].is_u64()), "{row}");
    }
    assert!(rows.windows(2).all(|w| w[0]["footprint_bytes"].as_u64() >= w[1]["footprint_bytes"].as_u64()));
    let markers = rows.iter().find(|r| r["address"] == facts[0].as_str()).expect("the list of markers");
    assert_eq!(markers["own_bytes"].to_string(), facts[3]);
    // A limit gives the front of the same list.
    let ran = run(&["objects", "--json", "--type", "list", "--limit", "2", &target.pid()]);
    let few: Vec<Value> = ran.answered().lines().skip(1).map(json).collect();
    assert_eq!(few, rows[..2]);
}

#[test]
fn one_object_has_its_references_with_labels_and_no_values() {
    if !may_trace() {
        return;
    }
    let (target, facts) = heap();
    let answer = json(run(&["object", &target.pid(), &facts[1], "--json"]).answered());
    assert_eq!(answer["schema"], "exuvia/object/1");
    let it = &answer["object"];
    assert_eq!((it["address"].as_str(), it["type"].as_str()), (Some(facts[1].as_str()), Some("__main__.Marker")));
    assert_eq!(it["refcount"].to_string(), facts[4]);
    assert_eq!(it["explained_refs"], it["refcount"], "held by the list and the dict: {it:#}");
    let all = |side: &str| it[side]["shown"].as_array().unwrap().clone();
    let holders = all("references_in");
    let by = |address: &str| holders.iter().find(|r| r["address"] == address).unwrap_or_else(|| panic!("{address}: {it:#}")).clone();
    assert_eq!(by(&facts[0])["label"], "[7]");
    assert_eq!(by(&facts[2])["label"], "[str, 13 chars]", "the key of a plain dict is a value");
    assert!(answer["coverage"]["objects"].as_u64().is_some_and(|n| n > 1000));
    assert!(!answer.to_string().contains("customer of 7") && !answer.to_string().contains("do not show 7"), "{it:#}");

    let shown = run(&["object", &target.pid(), &facts[1], "--json", "--values"]);
    assert!(shown.answered().contains("customer of 7"), "{shown:#?}");
    // The attribute's name is a name: it shows without --values, wherever the attributes are kept.
    let table = run(&["object", &target.pid(), &facts[1], "--limit", "0"]);
    assert!(table.answered().contains("__main__.Marker"), "{table:#?}");
}

#[test]
fn a_freed_or_wrong_address_is_refused() {
    if !may_trace() {
        return;
    }
    let (target, facts) = heap();
    let inside = format!("{:#x}", u64::from_str_radix(&facts[0][2..], 16).unwrap() + 8);
    for address in [inside.as_str(), "0x1000", "0xffffffffffffff00"] {
        let ran = run(&["object", &target.pid(), address]);
        let [what, _, advice] = ran.refused(3);
        assert!(what.contains("no object") && what.contains(address), "{ran:#?}");
        assert!(advice.contains(&format!("exuvia objects {}", target.pid())), "{ran:#?}");
    }
}

#[test]
fn a_table_fits_a_screen_and_comes_with_coverage_and_the_next_command() {
    if !may_trace() {
        return;
    }
    let (target, _) = heap();
    for command in ["types", "objects"] {
        let ran = ran(exuvia().args([command, &target.pid()]).env("COLUMNS", "80"));
        let lines: Vec<&str> = ran.answered().lines().collect();
        assert!(lines.len() <= 23, "{ran:#?}");
        assert!(lines[0].starts_with("coverage: "), "{ran:#?}");
        assert!(lines.iter().any(|l| l.contains("stopped ")), "{ran:#?}");
        assert!(lines.last().unwrap().starts_with("next: exuvia object"), "{ran:#?}");
        assert!(lines.iter().all(|l| l.chars().count() <= 80), "{ran:#?}");
        assert!(!ran.stdout.contains('\x1b'), "{ran:#?}");
    }
}

#[test]
fn a_type_that_is_not_there_is_an_answer_and_a_typo_gets_a_hint() {
    if !may_trace() {
        return;
    }
    let (target, _) = heap();
    let ran = run(&["objects", &target.pid(), "--type", "main.marker"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.stdout.contains("0 objects"), "{ran:#?}");
    assert!(ran.stderr.contains("__main__.Marker"), "{ran:#?}");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    if !may_trace() {
        return;
    }
    let (target, _) = heap();
    let mut child = exuvia().args(["objects", "--json", &target.pid()]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    assert_eq!(json(&first)["schema"], "exuvia/objects/1");
}

#[test]
fn an_output_that_is_full_is_our_failure() {
    if !may_trace() {
        return;
    }
    let (target, _) = heap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = exuvia().args(["types", &target.pid()]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: cannot write the answer\nwhy: "), "{output:?}");
}

#[test]
fn a_started_program_keeps_its_output_apart_and_its_exit_code_is_told() {
    if !may_trace() {
        return;
    }
    let script = "print('words of the program'); keep = [[] for _ in range(5000)]; import sys; sys.exit(7)";
    let program = python().path.to_str().unwrap();
    let table = run(&["types", "--", program, "-I", "-c", script]);
    assert_eq!(table.code, Some(0), "{table:#?}");
    assert_eq!(table.stderr, "the program ended with exit code 7\n");
    assert!(table.stdout.starts_with("words of the program\ncoverage: "), "{table:#?}");

    let ran = run(&["types", "--json", "--", program, "-I", "-c", script]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let answer = json(&ran.stdout);
    assert!(ran.stderr.contains("words of the program"), "{ran:#?}");
    assert_eq!(answer["target"]["exit_code"], 7);
    assert_eq!(answer["target"]["moment"], "before-finalize");
    assert_eq!(answer["target"]["command"][1], "-I");
    let lists = answer["types"].as_array().unwrap().iter().find(|t| t["type"] == "list").unwrap();
    assert!(lists["count"].as_u64().unwrap() > 5000, "{lists}");
}

#[test]
fn a_program_that_cannot_be_looked_at_is_refused_after_its_end() {
    if !may_trace() {
        return;
    }
    let ran = run(&["types", "--", "no-such-program-anywhere"]);
    let [what, _, advice] = ran.refused(3);
    assert!(what.contains("no-such-program-anywhere") && advice.contains("command -v"), "{ran:#?}");

    let ran = run(&["types", "--json", "--", "sh", "-c", "echo its words; exit 5"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""), "{ran:#?}");
    for wanted in ["its words", "the program ended with exit code 5", "not a CPython process"] {
        assert!(ran.stderr.contains(wanted), "no {wanted:?}: {ran:#?}");
    }
}

#[test]
fn after_a_time_a_running_program_is_looked_at_and_then_waited_for() {
    if !may_trace() {
        return;
    }
    // It ends when its stdin does: long after the look, whatever the machine does.
    let script = "import sys; keep = [[] for _ in range(5000)]; sys.stdin.read(); print('bye')";
    let mut child = exuvia()
        .args(["types", "--json", "--after", "300ms", "--", python().path.to_str().unwrap(), "-I", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut answer = String::new();
    stdout.read_line(&mut answer).unwrap();
    // The answer is here and the program still runs.
    let answer = json(&answer);
    assert_eq!((answer["target"]["moment"].as_str(), answer["target"]["exit_code"].is_null()), (Some("after"), true));
    assert_eq!(child.try_wait().unwrap(), None);
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("bye\n") && stderr.contains("the program ended with exit code 0"), "{stderr}");
}

#[test]
fn the_example_shop_shows_its_leak() {
    if !may_trace() {
        return;
    }
    let program = python().path.to_str().unwrap();
    let ran = ran(exuvia().args(["types", "--", program, "examples/shop/app.py"]).current_dir(root()).env("PYTHONDONTWRITEBYTECODE", "1"));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.stdout.starts_with("shop: 12000 requests, 880 orders, 10644 pages in the cache, 118 errors kept\n"), "{ran:#?}");
    let row = ran.stdout.lines().find(|l| l.ends_with("shop.cache.CachedPage")).unwrap_or_else(|| panic!("{ran:#?}"));
    assert!(row.trim_start().starts_with("10,644 "), "{row}");
}

#[test]
fn exuvia_alone_lists_the_processes_and_the_next_command() {
    if !may_trace() {
        return;
    }
    let (target, _) = heap();
    let ran = run(&[] as &[&str]);
    let row = ran.answered().lines().find(|l| l.trim_start().starts_with(&format!("{} ", target.pid())));
    assert!(ran.stdout.lines().count() <= 23, "{ran:#?}");
    // More than a screen of larger Pythons may run on this machine.
    assert!(row.is_some_and(|r| r.contains("python")) || ran.stdout.contains("smaller one"), "{ran:#?}");
    assert!(ran.stdout.lines().last().unwrap().starts_with("next: exuvia types "), "{ran:#?}");
}

/// Words of the interpreter's own data that happened to look like the header of an immortal `bytes` made a heap of
/// petabytes: whenever the address space was laid out so that a pointer in front of `&PyBytes_Type` had bit 31 set.
#[test]
fn a_heap_is_no_larger_than_what_was_copied_of_it() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let target = Started::python_of(&py.path, "");
        // The layout of the address space is drawn anew by each start, and so was the failure.
        for target in [target, Started::python_of(&py.path, ""), Started::python_of(&py.path, "")] {
            let answer = json(run(&["types", "--json", &target.pid()]).answered());
            let copied = answer["target"]["copied_bytes"].as_u64().unwrap();
            for sum in ["own_bytes", "footprint_bytes"] {
                assert!(answer["coverage"][sum].as_u64().unwrap() <= copied, "{sum}: {answer}");
            }
        }
    });
}

/// `sys.hexversion` takes one digit of an int, and the proof read two: the second is what the allocator left there. Most blocks
/// are clean at the start of a process; those of the debug hooks never are.
#[test]
fn every_allocator_is_read() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        for allocator in ["malloc", "debug", "malloc_debug"] {
            let script =
                format!("{MAY_BE_TRACED}import sys; keep = [[] for _ in range(5000)]; print('READY', flush=True); sys.stdin.read()");
            let target = Started::ready(Command::new(&py.path).args(["-s", "-c", &script]).env("PYTHONMALLOC", allocator));
            let answer = json(run(&["types", "--json", &target.pid()]).answered());
            let lists = answer["types"].as_array().unwrap().iter().find(|t| t["type"] == "list").unwrap();
            assert!((5000..6000).contains(&lists["count"].as_u64().unwrap()), "{allocator}: {lists}");
        }
    });
}

/// Everything that can hold one object, each place with its label; the marker's address is printed.
const HOLDERS: &str = r#"
import collections, functools, sys, threading, types
class Base: pass
class Slots(Base):
    __slots__ = ('left',)
class Plain:
    def __init__(self): self.attribute = marker
class Meta(type): pass
class OfMeta(metaclass=Meta):
    of_class = marker = None
marker = Base()
OfMeta.of_class = marker
slots = Slots(); slots.left = marker
plain = Plain()
materialised = Plain(); materialised.__dict__
def outer():
    closed = marker
    return lambda: closed
closure = outer()
def suspended():
    in_generator = marker
    yield
generator = suspended(); next(generator)
ready = threading.Event()
def work():
    in_thread = marker
    ready.set(); threading.Event().wait()
threading.Thread(target=work, daemon=True).start(); ready.wait()
a_list = [0, marker]; a_tuple = (0, marker); a_set = {marker}; a_frozenset = frozenset([marker])
a_deque = collections.deque([0, marker])
ordered = collections.OrderedDict(secret_1=marker); defaulting = collections.defaultdict(list, secret_2=marker)
a_dict = {'secret_3': marker}; keyed = {marker: 1}
namespace = types.SimpleNamespace(in_namespace=marker)
method = types.MethodType(print, marker)
@functools.lru_cache()
def cached(n): return marker
cached(5)
print(hex(id(marker)), sys.getrefcount(marker) - 1)
"#;

#[test]
fn every_reference_has_the_label_of_its_place() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let script = format!("{MAY_BE_TRACED}{HOLDERS}\nprint('READY', flush=True)\nsys.stdin.read()");
        let mut child = Command::new(&py.path).args(["-I", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let facts = lines.next().unwrap().unwrap();
        let (address, refcount) = facts.split_once(' ').unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "READY");
        let target = Started { child };
        let answer = json(run(&["object", "--json", &target.pid(), address]).answered());
        let it = &answer["object"];
        let certain: Vec<(&str, &str)> = it["references_in"]["shown"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|r| r["certain"] == true)
            .map(|r| (r["label"].as_str().unwrap(), r["type"].as_str().or(r["root"].as_str()).unwrap()))
            .collect();
        for (label, holder) in [
            (".left (slot)", "__main__.Slots"),
            (".of_class", "dict"),
            (".marker", "dict"),
            (".in_namespace", "dict"),
            ("cell content", "cell"),
            ("[1]", "list"),
            ("[1]", "tuple"),
            ("[1]", "collections.deque"),
            ("member", "set"),
            ("member", "frozenset"),
            ("[str, 8 chars]", "collections.OrderedDict"),
            ("[str, 8 chars]", "collections.defaultdict"),
            ("[str, 8 chars]", "dict"),
            ("key 0", "dict"),
            ("__self__", "method"),
            ("[int]", "functools._lru_cache_wrapper"),
        ] {
            assert!(certain.contains(&(label, holder)), "no {label} of a {holder}: {certain:#?}");
        }
        // Where these stand differs between releases: in an object or a dict, in a frame object or in a thread's frame.
        for label in [".attribute", "local in_generator", "local in_thread"] {
            assert!(certain.iter().any(|(l, _)| *l == label), "no {label}: {certain:#?}");
        }
        assert_eq!(certain.iter().filter(|(l, _)| *l == ".attribute").count(), 2, "{certain:#?}");
        // All of it is found, and nothing twice.
        assert_eq!(it["refcount"].to_string(), refcount, "{it:#}");
        assert_eq!((certain.len().to_string().as_str(), it["account"].as_str()), (refcount, Some("whole")), "{certain:#?}");
        // Keys of plain dicts are values.
        assert!(!it.to_string().contains("secret_"), "{it:#}");
    });
}
