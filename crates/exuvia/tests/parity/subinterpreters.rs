//! Holds sub-interpreters: each says itself which objects its collector knows, and exuvia must find just these on its lists, of these sizes,
//! and each interpreter's roots under its name.
//! Never guesses which interpreter an object belongs to: to 3.8 there is one collector for all, and the lists tell from 3.9 on.

use std::collections::BTreeMap;
use std::path::Path;

use capture::{Keep, Moment, Reached, Source, World};
use memory::{Addr, Memory};
use serde_json::Value;
use testbed::{for_each_interpreter, Scratch, Target};

use crate::look::options;
use crate::tables;

/// What one interpreter wrote down: size and type by address.
fn written(path: &Path) -> BTreeMap<Addr, (u64, String)> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut all = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        let mut next = || words.next().unwrap_or_else(|| panic!("{line:?}"));
        let (at, size) = (next().parse().unwrap(), next().parse().unwrap());
        all.insert(Addr(at), (size, next().to_owned()));
    }
    all
}

/// The objects of a list: followed here, by hand.
fn follow(memory: &dyn Memory, head: Addr, into: &mut Vec<Addr>) {
    let mut at = memory.u64(head).unwrap() & !3;
    while at != head.0 {
        into.push(Addr(at + 16));
        at = memory.u64(Addr(at)).unwrap() & !3;
    }
}

fn object(pid: u32, address: Addr) -> Value {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_exuvia"))
        .args(["object", "--json", "--limit", "0", "--max-pause", "60s", &pid.to_string(), &address.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["object"].clone()
}

/// The roots that hold an object.
fn roots(object: &Value) -> Vec<String> {
    let all = object["references_in"]["shown"].as_array().unwrap();
    all.iter().filter_map(|r| r["root"].as_str()).map(str::to_owned).collect()
}

#[test]
fn each_interpreter_s_objects_are_found_with_it() {
    for_each_interpreter(|py| {
        let folder = Scratch::new().unwrap();
        let script = testbed::target::scripts().join("subinterpreters_heap.py");
        let mut target = Target::start_path(&py.path, &script, &[folder.path()]).unwrap();
        let truth = target.truth().unwrap();
        assert_eq!(truth.header.notes.failures, Vec::<String>::new());
        let numbers = truth.header.notes.numbers("kinds");
        assert!(numbers.len() >= 2, "{numbers:?}");

        let process = target::open(target.pid() as i32).unwrap();
        let python = process.python().unwrap();
        let frozen = target::take(&process, &options()).unwrap();
        let (image, tables) = (frozen.image(), tables());
        let source =
            Source { image: &image, python: &python, mappings: frozen.mappings(), tables: &tables, moment: Moment::Still, residency: None };
        let proved = capture::prove(source).unwrap();
        let world = World::open(source, &proved);
        let mut reached = Reached::all(&world, Keep::Rows);
        let snapshot = reached.snapshot();
        let found: BTreeMap<Addr, (u64, &str)> = {
            let name = |at: u32| snapshot.types[at as usize].name.as_str();
            snapshot.objects.as_ref().unwrap().iter().map(|o| (o.address, (o.own_bytes.0, name(o.type_index)))).collect()
        };
        let by_number: BTreeMap<u32, Addr> =
            world.interpreters.iter().map(|i| (cpython::roots::interpreter_number(&world.heap, *i).unwrap(), *i)).collect();
        let expected: Vec<u32> = [0].into_iter().chain(numbers.values().map(|n| *n as u32)).collect();
        assert_eq!(by_number.keys().copied().collect::<Vec<_>>(), expected, "{}", py.name);
        assert_eq!(
            snapshot.coverage.gaps.iter().filter(|g| g.what != snapshot::GapKind::UnexplainedBlock).count(),
            0,
            "{:?}",
            snapshot.coverage.gaps
        );

        for (kind, number) in &numbers {
            let said = written(&folder.path().join(kind));
            // All of them are found, with the size that their interpreter says.
            let wrong: Vec<String> = said
                .iter()
                .filter(|(at, (size, _))| found.get(at).map(|f| f.0) != Some(*size))
                .map(|(at, told)| format!("{at}: {told:?}, found {:?}", found.get(at)))
                .collect();
            let shown: Vec<&String> = wrong.iter().take(20).collect();
            assert!(wrong.is_empty(), "{}, interpreter {number}: {} of {}: {shown:#?}", py.name, wrong.len(), said.len());
            // Planted ones, by class: these and no others.
            let count = |class: &str| found.values().filter(|(_, name)| *name == format!("__main__.{class}_{kind}")).count() as i64;
            let n: i64 = kind.parse().unwrap();
            let held = i64::from(kind == "3");
            assert_eq!(
                [count("Planted"), count("Slotted"), count("Child")],
                [101 + n * 10, 202 + n * 10 + held, 303 + n * 10],
                "{}, interpreter {number}",
                py.name
            );
            // Nothing else is on its lists.
            if proved.layout.table.offset("_is", "gc").is_some() {
                let mut listed = Vec::new();
                for (_, head) in proved.layout.collector_lists(proved.runtime, by_number[&(*number as u32)]).unwrap() {
                    follow(&image, head, &mut listed);
                }
                let others: Vec<_> = listed.iter().filter(|at| !said.contains_key(at)).map(|at| found.get(at)).collect();
                println!("{}, interpreter {number}: {} objects, {} made since: {others:?}", py.name, said.len(), others.len());
                // The one in which a thread still runs has what runs it: its code's words and, to 3.10, its frames.
                let running = if kind == "3" { 6 } else { 0 };
                assert!(others.len() <= running, "{}, interpreter {number}: {others:?}", py.name);
                assert!(listed.len() > 1000);
            }
        }

        // Roots bear their interpreter's name.
        let read = |interpreter: Addr, field| image.addr(interpreter + proved.layout.table.offset("_is", field).unwrap()).unwrap();
        for (number, interpreter) in &by_number {
            let of = roots(&object(target.pid(), read(*interpreter, "sysdict")));
            let name = if *number == 0 { "interpreter".to_owned() } else { format!("interpreter {number}") };
            assert!(of.contains(&name), "{}: sys.__dict__ of interpreter {number}: {of:?}", py.name);
        }
        // A static type has a namespace in each (from 3.12 on), and holds all of them.
        let kind = numbers.keys().rfind(|kind| *kind != "3").unwrap();
        let namespace: u64 = std::fs::read_to_string(folder.path().join(format!("{kind}.int"))).unwrap().parse().unwrap();
        let it = object(target.pid(), Addr(namespace));
        let holders = it["references_in"]["shown"].as_array().unwrap();
        let is_it = |r: &&Value| r["label"] == "__dict__" && r["type"] == "type" && r["certain"] == true;
        assert_eq!(holders.iter().filter(is_it).count(), 1, "{}, interpreter {}: {it:#}", py.name, numbers[kind]);
        let held: u64 = std::fs::read_to_string(folder.path().join("3.held")).unwrap().parse().unwrap();
        let it = object(target.pid(), Addr(held));
        assert_eq!(it["type"], "__main__.Slotted_3", "{it:#}");
        let shown = it["references_in"].to_string();
        let frame = format!(" of interpreter {}, frame of hold_3", numbers["3"]);
        // To 3.10 a frame is an object, and its thread holds the innermost one.
        assert!(shown.contains(&frame) || (proved.layout.iframe.is_none() && shown.contains("local held_3")), "{}: {it:#}", py.name);
    });
}
