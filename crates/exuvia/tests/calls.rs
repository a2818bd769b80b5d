//! Tasks of asyncio, coroutines and generators by name, with the locals that they hold; containers that know a bound of their own. Planted
//! with known numbers on every interpreter, live and from a snapshot.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/mod.rs"]
mod common;

use common::{may_trace, run, Started};
use serde_json::Value;
use testbed::Scratch;

/// Tasks that sleep and that wait for a future, a generator and an async generator, each with rows in a local. `facts` has what each has.
const WAITING: &str = r#"
import asyncio, gc, json, sys
FACTS = {}
def grown(n):
    rows = [bytes(500) for _ in range(n)]
    return rows
def noted(name, rows):
    FACTS[name] = [id(rows)] + [id(row) for row in rows]
async def deeper(event):
    inner_rows = grown(400)
    noted("deeper", inner_rows)
    await event
async def sleeper():
    rows = grown(300)
    noted("sleeper", rows)
    await asyncio.sleep(3600)
async def outer(event):
    await deeper(event)
def numbers():
    kept = grown(500)
    noted("numbers", kept)
    for n in range(10):
        yield n
async def main():
    event = asyncio.get_running_loop().create_future()
    tasks = [asyncio.ensure_future(f) for f in (sleeper(), outer(event))]
    for task, name in zip(tasks, ("worker-3", "worker-4")):
        task.set_name(name)
    del tasks, task
    await asyncio.sleep(0.05)
    json.dump(FACTS, open(PATH, "w"))
    FACTS.clear()
    print("READY", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
GENERATORS = [numbers()]
next(GENERATORS[0])
gc.collect()
asyncio.run(main())
"#;

fn started(py: &testbed::Interpreter, scratch: &Scratch) -> (Started, Value) {
    let (facts, file) = (scratch.path().join("facts.json"), scratch.path().join("app.py"));
    std::fs::write(&file, format!("PATH = {:?}\n{WAITING}", facts.to_str().unwrap())).unwrap();
    let script = format!("{}import sys\nexec(compile(open({file:?}).read(), {file:?}, 'exec'))", common::MAY_BE_TRACED);
    let target = Started::ready(std::process::Command::new(&py.path).args(["-I", "-c", &script]));
    (target, serde_json::from_str(&std::fs::read_to_string(&facts).unwrap()).unwrap())
}

#[test]
fn what_tasks_and_generators_hold_is_told_by_their_names() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let (target, facts) = started(py, &scratch);
        let folder = scratch.path().join("snapshot");
        let folder = folder.to_str().unwrap();
        run(&["snapshot", &target.pid(), "-o", folder, "--json"]).answered();
        let owners =
            |target: &str| -> Value { serde_json::from_str(run(&["retained", "--json", "--limit", "0", target]).answered()).unwrap() };
        let line = |text: &str| 2 + WAITING.lines().position(|line| line.contains(text)).unwrap();
        let (sleeps, waits, awaits) = (line("sleep(3600)") - 1, line("await event") - 1, line("await deeper") - 1);
        let yields = line("yield n") - 1;
        let (sleeps, waits, awaits, yields) = (sleeps + 1, waits + 1, awaits + 1, yields + 1);
        let wanted = [
            ("sleeper", format!("asyncio task \"worker-3\" (__main__.sleeper, app.py:{sleeps}) → local rows")),
            (
                "deeper",
                format!(
                    "asyncio task \"worker-4\" (__main__.outer, app.py:{awaits}) → coroutine __main__.deeper, app.py:{waits} → local inner_rows"
                ),
            ),
            ("numbers", format!("__main__.GENERATORS[0] (generator __main__.numbers, app.py:{yields}) → local kept")),
        ];
        for target in [&target.pid() as &str, folder] {
            let answer = owners(target);
            let all = answer["owners"].as_array().unwrap();
            for (name, path) in &wanted {
                let objects = facts[name].as_array().unwrap().len();
                let one = all.iter().find(|o| o["path"] == **path);
                let one =
                    one.unwrap_or_else(|| panic!("no {path} on {}: {:#?}", py.name, all.iter().map(|o| &o["path"]).collect::<Vec<_>>()));
                assert_eq!((one["objects"].as_u64(), one["type"].as_str()), (Some(objects as u64), Some("list")), "{path} on {}", py.name);
                assert!(one["retained_bytes"].as_u64().unwrap() > (objects as u64 - 1) * 500, "{path} on {}", py.name);
            }
        }
        // A path says the same.
        let rows = facts["numbers"][0].as_u64().unwrap();
        let ways = run(&["path", "--json", &target.pid(), &format!("{rows:#x}")]);
        assert!(ways.answered().contains("(generator __main__.numbers"), "{}: {}", py.name, ways.stdout);
    });
}

#[test]
fn what_knows_its_own_bound_is_not_called_without_one() {
    if !may_trace() {
        return;
    }
    let script = r#"
import collections, functools, gc
BOUNDED = collections.deque(maxlen=3000)
OPEN = collections.deque()
for n in range(5000):
    BOUNDED.append("a %d" % n)
    OPEN.append(n.to_bytes(3, 'big') * 30)
@functools.lru_cache(maxsize=4000)
def held(n):
    return bytearray(n % 7 + 90)
@functools.lru_cache(maxsize=None)
def kept(n):
    return n.to_bytes(4, 'big') * 25
for n in range(6000):
    held(n), kept(n)
gc.collect()
"#;
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let folder = scratch.path().join("snapshot");
        let folder = folder.to_str().unwrap();
        let target = Started::python_of(&py.path, script);
        run(&["snapshot", &target.pid(), "-o", folder, "--json"]).answered();
        for target in [&target.pid() as &str, folder] {
            let answer: Value = serde_json::from_str(run(&["explain", "--json", target]).answered()).unwrap();
            let found = answer["findings"].as_array().unwrap().iter().filter(|f| f["id"] == "retained");
            let mut titles: Vec<&str> = found.map(|f| f["title"].as_str().unwrap()).collect();
            titles.sort_unstable();
            let wanted = [
                "__main__.OPEN holds 5,000 bytes: bound it",
                "__main__.kept, an lru_cache without maxsize, holds 6,000 bytes: give it one",
            ];
            assert_eq!(titles, wanted, "{}", py.name);
        }
    });
}

/// Generators that stand in each kind of block, and in none.
const BLOCKS: &str = r#"
import asyncio, contextlib, json
def cleanup(): pass
class Lock:
    def __enter__(self): pass
    def __exit__(self, *a): pass
    async def __aenter__(self): pass
    async def __aexit__(self, *a): pass
def plain(): yield 1
def looping():
    for n in range(3): yield n
def after():
    try: cleanup()
    finally: cleanup()
    yield 1
def finally_call():
    try: yield 1
    finally: cleanup()
def finally_if():
    try: yield 1
    finally:
        if BLOCKED: cleanup()
        x = 5
def finally_try():
    try: yield 1
    finally:
        try: cleanup()
        except ValueError: pass
def with_one():
    with Lock(): yield 1
def with_as():
    with Lock() as one: yield 1
def except_one():
    try: yield 1
    except ValueError: pass
def except_two():
    try: yield 1
    except (ValueError, json.JSONDecodeError) as e: pass
def except_bare():
    try: yield 1
    except: pass
def in_except():
    try: raise ValueError()
    except ValueError as e: yield 1
def in_finally():
    try: pass
    finally: yield 1
def with_in_except():
    try:
        with Lock(): yield 1
    except ValueError: pass
def except_in_finally():
    try:
        try: yield 1
        except ValueError: pass
    finally: cleanup()
def delegates():
    try: yield from plain()
    finally: cleanup()
async def waits(f): await f
async def async_with(f):
    async with Lock(): await f
async def numbers(f):
    await f
    yield 1
async def async_for(f):
    async for n in numbers(f): pass
BLOCKED = False
LOOP = asyncio.new_event_loop()
FUTURE = LOOP.create_future()
STANDING = [f() for f in (plain, looping, after, finally_call, finally_if, finally_try, with_one, with_as, except_one, except_two,
    except_bare, in_except, in_finally, with_in_except, except_in_finally, delegates)]
for g in STANDING: next(g)
NEW = finally_call(), with_one()
TASKS = [LOOP.create_task(f(FUTURE)) for f in (waits, async_with, async_for)]
LOOP.call_soon(LOOP.stop)
LOOP.run_forever()
"#;

#[test]
fn blocks_that_run_when_a_call_goes_are_told_apart() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let folder = scratch.path().join("snapshot");
        let folder = folder.to_str().unwrap();
        let target = Started::python_of(&py.path, BLOCKS);
        run(&["snapshot", &target.pid(), "-o", folder, "--json"]).answered();
        for target in [&target.pid() as &str, folder] {
            let answer: Value = serde_json::from_str(run(&["finalizers", "--json", "--limit", "0", target]).answered()).unwrap();
            let mut found: Vec<String> = Vec::new();
            for call in answer["unfinished"].as_array().unwrap() {
                let of = |what: &str| call[what].as_u64().unwrap();
                for (what, n) in ["in_finally", "in_with", "in_try", "in_except"].map(|what| (what, of(what))) {
                    if n > 0 {
                        found.push(format!("{} {n} {what}", call["function"].as_str().unwrap()));
                    }
                }
            }
            found.sort();
            let wanted = [
                "async_with 1 in_with",
                "delegates 1 in_finally",
                "except_bare 1 in_except",
                "except_in_finally 1 in_finally",
                "except_one 1 in_except",
                "except_two 1 in_except",
                "finally_call 1 in_finally",
                "finally_if 1 in_finally",
                "finally_try 1 in_finally",
                "with_as 1 in_with",
                "with_in_except 1 in_with",
                "with_one 1 in_with",
            ];
            assert_eq!(found, wanted, "{}", py.name);
        }
    });
}
