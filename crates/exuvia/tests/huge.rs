//! What is huge: one list of 100 million, an int of 100 MB, a str of 1 GB; chains a million deep of every kind that makes one; 2,000
//! threads. Sizes are those of `sys.getsizeof`, answers stay short, and nothing recurses.
//! One release: what it costs does not depend on it, and how each is decoded is tested on all of them elsewhere.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader};

use common::{may_trace, run, Started};
use serde_json::Value;

/// A Python that tells of some objects: address and `sys.getsizeof` of each, in a line.
fn told(script: &str, names: &str) -> (Started, Vec<(String, u64)>) {
    let script = format!(
        "import gc, os, sys, threading, weakref\ngc.disable()\n{}{script}\nprint('READY', flush=True)\n\
         os.read(0, 1)\nprint(' '.join('0x%x %d' % (id(o), sys.getsizeof(o)) for o in [{names}]), flush=True)\nos.read(0, 1)\nos._exit(0)",
        common::MAY_BE_TRACED
    );
    let mut command = std::process::Command::new(&common::python().path);
    let mut started = Started::ready(command.args(["-I", "-S", "-c", &script]));
    std::io::Write::write_all(started.child.stdin.as_mut().unwrap(), b"\n").unwrap();
    let mut line = String::new();
    BufReader::new(started.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let objects = words.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].parse().unwrap())).collect();
    (started, objects)
}

#[track_caller]
fn json(words: &[&str]) -> Value {
    serde_json::from_str(run(words).answered()).unwrap()
}

fn count(answer: &Value, class: &str) -> u64 {
    let rows = answer["types"].as_array().unwrap().iter();
    rows.filter(|row| row["type"] == class).map(|row| row["count"].as_u64().unwrap()).sum()
}

/// `object` of the list took 11 GiB and a minute: it kept each of its references with a name and a place to sort them by, and looked
/// for None among all objects outside the arenas, one by one.
#[test]
fn single_objects_of_any_size_have_their_size() {
    if !may_trace() {
        return;
    }
    // What was never written, as most of `d`, is not in memory and is sized all the same.
    let (target, objects) = told("a = [None] * 10**8\nb = 'x' * 10**9\nc = 1 << 800_000_000\nd = bytes(10**9)", "a, b, c, d");
    let (address, size) = &objects[0];
    let ran = run(&["object", "--json", &target.pid(), address, "--values"]);
    let answer: Value = serde_json::from_str(ran.answered()).unwrap();
    assert_eq!(answer["object"]["own_bytes"].as_u64(), Some(*size), "{objects:?}: {:.2000}", ran.stdout);
    assert!(ran.stdout.len() < 1 << 20, "{objects:?}: {} bytes", ran.stdout.len());
    let answer = json(&["types", "--json", "--limit", "0", &target.pid()]);
    let own = answer["coverage"]["own_bytes"].as_u64().unwrap();
    let wanted: u64 = objects.iter().map(|(_, size)| size).sum();
    assert!((wanted..wanted + (64 << 20)).contains(&own), "{own} and {wanted}");
    assert!(!answer["coverage"].to_string().contains("corrupted"), "{}", answer["coverage"]);
}

#[test]
fn chains_a_million_deep_are_followed_to_their_end() {
    if !may_trace() {
        return;
    }
    // One chain, of each kind of link in turn; and weak references, each to the one before.
    let script = "
class Node: pass
class Ref(weakref.ref): pass
def waits(o): yield o
innermost = a = Node()
refs = [Ref(a)]
for n in range(200_000):
    a = [{'k': a}]
    o = Node(); o.next = a
    a = ValueError(n); a.__context__ = ValueError(o)
    a.__context__.held = o
    a = waits(a); next(a)
    refs.append(Ref(refs[-1]))
del o
";
    let (target, objects) = told(script, "a, innermost");
    let folder = testbed::Scratch::new().unwrap();
    let folder = folder.path().join("folder");
    let folder = folder.to_str().unwrap();
    let answer = json(&["types", "--json", "--limit", "0", &target.pid()]);
    for (class, least) in [("__main__.Node", 200_001), ("__main__.Ref", 200_001), ("ValueError", 400_000), ("generator", 200_000)] {
        assert_eq!(count(&answer, class), least, "{class}");
    }
    run(&["snapshot", "--json", &target.pid(), "-o", folder]).answered();
    for words in [&["explain"][..], &["cycles"], &["gc"], &["retained"], &["weakrefs"], &["containers"]] {
        let ran = run(&[words, &["--json", folder]].concat());
        assert!(ran.answered().len() < 1 << 20, "{words:?}: {}", ran.stdout.len());
    }
    // The innermost hangs on a million links, and on one global.
    for (address, _) in &objects {
        let ran = run(&["path", "--json", folder, address]);
        assert!(ran.answered().len() < 1 << 20, "{address} of {objects:?}: {}", ran.stdout.len());
    }
    run(&["object", "--json", &target.pid(), &objects[0].0]).answered();
}

#[test]
fn two_thousand_threads_stand_and_their_frames_are_roots() {
    if !may_trace() {
        return;
    }
    let script = "
threading.stack_size(1 << 17)
stop, up = threading.Event(), threading.Semaphore(0)
class Mine: pass
def work():
    mine = Mine()
    up.release(); stop.wait()
for n in range(2000): threading.Thread(target=work, daemon=True).start()
for n in range(2000): up.acquire()
";
    let (target, _) = told(script, "stop");
    for mode in ["fork", "freeze"] {
        let answer = json(&["types", "--json", "--limit", "0", "--mode", mode, &target.pid()]);
        assert_eq!((answer["target"]["threads"].as_u64(), count(&answer, "__main__.Mine")), (Some(2001), 2000), "{mode}");
        assert!(!answer["coverage"]["gaps"].to_string().contains("thread"), "{mode}: {}", answer["coverage"]);
    }
    // Each `mine` is held by a local of a frame of its own thread alone: by no other object, and by no leak.
    let answer = json(&["retained", "--json", "--by", "type", "--limit", "0", &target.pid()]);
    assert!(answer.to_string().contains("__main__.Mine"), "{answer:.2000}");
    let answer = json(&["refcounts", "--json", &target.pid()]);
    assert!(!answer["suspects"].to_string().contains("__main__.Mine"), "{}", answer["suspects"]);
}
