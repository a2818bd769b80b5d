//! What a snapshot stores instead of values, against what each interpreter says of the same objects: room, form, attributes, kinds of
//! items, key sets, fingerprints, lines of frames, files of modules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../common/mod.rs"]
mod common;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::process::Command;

use common::{exuvia, may_trace, ran, Started, MAY_BE_TRACED};
use serde_json::Value;
use snapshot::file::Reader;
use testbed::{for_each_interpreter, Interpreter, Scratch};

const HEAP: &str = include_str!("heap.py");

/// A target with what it says of its objects, and its snapshot.
struct Taken {
    said: Value,
    reader: Reader,
    _target: Started,
}

/// Takes one; the key of the fingerprints is kept below `state`.
fn take(py: &Interpreter, scratch: &Path, state: &Path) -> Taken {
    let said = scratch.join(format!("{}.json", py.name));
    let script = format!("{MAY_BE_TRACED}{HEAP}");
    let target = Started::ready(Command::new(&py.path).args(["-I", "-c", &script]).arg(&said));
    let folder = scratch.join(format!("{}.snapshot", py.name));
    ran(exuvia().env("XDG_STATE_HOME", state).args(["snapshot", &target.pid(), "-o"]).arg(&folder)).answered();
    let said = serde_json::from_str(&std::fs::read_to_string(said).unwrap()).unwrap();
    Taken { said, reader: Reader::open(&folder).unwrap(), _target: target }
}

/// A column of `objects` by address, as JSON.
fn column(reader: &Reader, name: &str) -> HashMap<u64, Value> {
    let addresses = reader.numbers("objects", "address").unwrap().unwrap();
    let kind = snapshot::file::TABLES.iter().find(|t| t.name == "objects").unwrap().columns.iter().find(|c| c.name == name).unwrap().kind;
    let values: Vec<Value> = match kind {
        snapshot::file::Kind::Text => reader.texts("objects", name).unwrap().unwrap().into_iter().map(Value::from).collect(),
        _ => reader.numbers("objects", name).unwrap().unwrap().into_iter().map(Value::from).collect(),
    };
    addresses.into_iter().flatten().zip(values).collect()
}

/// The same, of types by their row: addresses.
fn types(reader: &Reader) -> Vec<Value> {
    reader.numbers("types", "address").unwrap().unwrap().into_iter().map(Value::from).collect()
}

#[test]
fn facts_are_those_that_the_interpreter_tells() {
    if !may_trace() {
        return;
    }
    let scratch = Scratch::new().unwrap();
    for_each_interpreter(|py| {
        let taken = take(py, scratch.path(), &scratch.path().join("state"));
        let types = types(&taken.reader);
        let names = ["capacity", "used", "form", "interned", "attributes", "weakly_held", "item_type", "key_type"];
        let columns: Vec<(&str, HashMap<u64, Value>)> = names.iter().map(|n| (*n, column(&taken.reader, n))).collect();
        let mut compared = BTreeMap::new();
        let mut wrong = Vec::new();
        for (address, facts) in taken.said["facts"].as_object().unwrap() {
            for (name, found) in &columns {
                let Some(wanted) = facts.get(*name) else { continue };
                let found = found.get(&address.parse().unwrap()).unwrap_or(&Value::Null);
                // A type is told by its row there and by its address here.
                let found = match (name.ends_with("_type"), found.as_u64()) {
                    (true, Some(row)) => &types[row as usize],
                    _ => found,
                };
                *compared.entry(*name).or_insert(0) += 1;
                if found != wanted {
                    wrong.push(format!("{name} of the {} at {address}: {found}, not {wanted}: {facts}", facts["is"]));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let least = [
            ("capacity", 30),
            ("used", 20),
            ("form", 25),
            ("interned", 7),
            ("attributes", 9),
            ("weakly_held", 9),
            ("item_type", 35),
            ("key_type", 18),
        ];
        for (name, least) in least {
            assert!(compared[name] >= least, "{name}: {compared:?}");
        }
    });
}

#[test]
fn two_dicts_have_one_key_set_when_they_have_the_same_keys_in_the_same_order() {
    if !may_trace() {
        return;
    }
    let scratch = Scratch::new().unwrap();
    for_each_interpreter(|py| {
        let taken = take(py, scratch.path(), &scratch.path().join("state"));
        let found = column(&taken.reader, "key_set");
        let said: Vec<(u64, &str)> =
            taken.said["key_sets"].as_object().unwrap().iter().map(|(at, keys)| (at.parse().unwrap(), keys.as_str().unwrap())).collect();
        assert!(said.len() > 20);
        let mut equal = 0;
        for (at, keys) in &said {
            let Some(number) = found[at].as_u64() else {
                assert!(keys.len() > 50_000, "no key set: {}", &keys[..keys.len().min(200)]);
                continue;
            };
            for (other_at, other) in &said {
                let same = found[other_at].as_u64() == Some(number);
                assert_eq!(same, keys == other, "{keys} and {other}");
                equal += u32::from(same && at != other_at);
            }
        }
        assert!(equal >= 10, "{equal}");
    });
}

#[test]
fn values_are_equal_when_their_fingerprints_are_in_every_process_and_release() {
    if !may_trace() {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let all = std::sync::Mutex::new(BTreeMap::<String, (String, u64)>::new());
    let take_and_compare = |py: &Interpreter| {
        let taken = take(py, scratch.path(), &scratch.path().join("state"));
        let found = column(&taken.reader, "fingerprint");
        let mut by_number = HashMap::new();
        let mut numbers = 0;
        for pair in taken.said["fingerprints"].as_array().unwrap() {
            let (at, value) = (pair[0].as_u64().unwrap(), pair[1].as_str().unwrap());
            let number = found[&at].as_u64().unwrap_or_else(|| panic!("no fingerprint of {value}"));
            numbers += 1;
            let first = by_number.entry(number).or_insert(value);
            assert_eq!(*first, value, "two values of one fingerprint");
            let mut all = all.lock().unwrap();
            let known = all.entry(value.to_owned()).or_insert((py.name.clone(), number));
            assert_eq!(known.1, number, "{value} has one fingerprint in {} and another in {}", known.0, py.name);
        }
        assert!(numbers > 100 && by_number.len() > 40, "{numbers} {}", by_number.len());
        for at in taken.said["none"].as_array().unwrap() {
            assert_eq!(found.get(&at.as_u64().unwrap()), Some(&Value::Null), "{at}");
        }
    };
    for_each_interpreter(take_and_compare);
    // A process of its own with another key: no number is the same.
    let py = testbed::interpreters().found.last().unwrap();
    let elsewhere = Scratch::new().unwrap();
    let other = take(py, elsewhere.path(), &scratch.path().join("other"));
    let found: HashSet<u64> = column(&other.reader, "fingerprint").values().filter_map(Value::as_u64).collect();
    assert!(found.len() > 1000 && all.lock().unwrap().values().all(|(_, number)| !found.contains(number)));
}

#[test]
fn frames_are_on_the_lines_and_modules_have_the_files_that_the_interpreter_tells() {
    if !may_trace() {
        return;
    }
    let scratch = Scratch::new().unwrap();
    for_each_interpreter(|py| {
        let Taken { said, reader, _target } = take(py, scratch.path(), &scratch.path().join("state"));
        let numbers = |table: &str, column: &str| -> Vec<Option<u64>> { reader.numbers(table, column).unwrap().unwrap() };
        let texts = |table: &str, column: &str| -> Vec<Option<String>> { reader.texts(table, column).unwrap().unwrap() };
        let threads = numbers("threads", "thread_id");
        let mut found: BTreeMap<String, Vec<(String, Option<u64>)>> = BTreeMap::new();
        let functions = texts("frames", "function").into_iter().zip(numbers("frames", "line"));
        for (thread, (function, line)) in numbers("frames", "thread").into_iter().zip(functions) {
            let ident = threads[thread.unwrap() as usize].unwrap().to_string();
            // From 3.11 on a function has its qualified name there.
            let name = function.unwrap().rsplit('.').next().unwrap().to_owned();
            found.entry(ident).or_default().push((name, line));
        }
        let wanted = said["frames"].as_object().unwrap();
        assert_eq!(wanted.len(), 2);
        for (ident, lines) in wanted {
            let wanted: Vec<(String, Option<u64>)> =
                lines.as_array().unwrap().iter().map(|l| (l[0].as_str().unwrap().to_owned(), l[1].as_u64())).collect();
            assert!(wanted.len() > 5);
            assert_eq!(found[ident], wanted);
        }

        let addresses = numbers("objects", "address");
        let files: BTreeMap<String, Option<String>> = numbers("modules", "object")
            .into_iter()
            .zip(texts("modules", "file"))
            .map(|(row, file)| (addresses[row.unwrap() as usize].unwrap().to_string(), file))
            .collect();
        let wanted = said["modules"].as_object().unwrap();
        assert!(wanted.len() > 30);
        for (address, file) in wanted {
            assert_eq!(files[address].as_deref(), file.as_str(), "{address}");
        }
    });
}

#[test]
fn the_key_is_the_users_alone_and_never_in_a_snapshot() {
    if !may_trace() {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new().unwrap();
    let state = scratch.path().join("deep/state");
    let target = Started::python("");
    let mut folders = 0;
    let mut meta = |prepare: &dyn Fn(&mut Command)| {
        folders += 1;
        let folder = scratch.path().join(format!("snapshot-{folders}"));
        let mut command = exuvia();
        command.args(["snapshot", &target.pid(), "-o"]).arg(&folder);
        prepare(&mut command);
        ran(&mut command).answered();
        let reader = Reader::open(&folder).unwrap();
        let texts = |column| reader.texts("meta", column).unwrap().unwrap().into_iter().flatten();
        let all: BTreeMap<String, String> = texts("key").zip(texts("value")).collect();
        let get = |key: &str| all.get(key).cloned();
        (get("fingerprint.key").unwrap(), get("fingerprint.key_id").unwrap(), get("fingerprint.note"), folder)
    };
    let users = |c: &mut Command| {
        c.env("XDG_STATE_HOME", &state);
    };
    let first = meta(&users);
    let second = meta(&users);
    assert_eq!((first.0.as_str(), &first.1, &first.2), ("user", &second.1, &None));
    let key = state.join("exuvia/fingerprint.key");
    let mode = |p: &Path| p.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&key), mode(key.parent().unwrap())), (0o600, 0o700));
    assert_eq!(key.parent().unwrap().read_dir().unwrap().count(), 1, "nothing else is left there");
    let bytes = std::fs::read(&key).unwrap();
    assert_eq!(bytes.len(), 16);
    for file in first.3.read_dir().unwrap() {
        let contents = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!contents.windows(16).any(|w| w == bytes));
    }
    // The home folder's, where XDG says nothing.
    let home = meta(&|c| {
        c.env_remove("XDG_STATE_HOME").env("HOME", scratch.path());
    });
    assert!(scratch.path().join(".local/state/exuvia/fingerprint.key").is_file() && home.0 == "user" && home.1 != first.1);

    let mut alone = |prepare: &dyn Fn(&mut Command)| {
        let (one, two) = (meta(prepare), meta(prepare));
        assert_eq!((one.0.as_str(), two.0.as_str()), ("snapshot", "snapshot"));
        assert_ne!(one.1, two.1);
        one.2.unwrap()
    };
    // A file that others may read, one that is cut, no folder at all, one in which nothing can be made.
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(alone(&users).contains("mode 0644"));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&key, &bytes[..7]).unwrap();
    assert!(alone(&users).contains("16 bytes"));
    let nowhere = |c: &mut Command| {
        c.env_remove("XDG_STATE_HOME").env_remove("HOME");
    };
    assert!(alone(&nowhere).contains("HOME"));
    let file = |c: &mut Command| {
        c.env("XDG_STATE_HOME", scratch.path().join("snapshot-1/checksums"));
    };
    assert!(alone(&file).contains("Not a directory"));
}
