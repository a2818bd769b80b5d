//! The audit of reference counts: references leaked on purpose with known numbers, on every interpreter, live and from a snapshot; and twins
//! that leak nothing.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use common::{may_trace, run, Started};
use serde_json::Value;
use testbed::Scratch;

/// References are taken and never given back, where LEAK says so. `facts` has the ids of all that the lost ones keep alive.
const TAKEN: &str = r#"
import ctypes, gc, json, sys
gc.collect()
gc.disable()
incref = ctypes.pythonapi.Py_IncRef
incref.argtypes, incref.restype = [ctypes.py_object], None
def take(o, times):
    if LEAK:
        for _ in range(times):
            incref(o)
class Lost:
    def __init__(self, n):
        self.load = bytes([n % 256]) * 1000
class Row:
    __slots__ = ()
lost = []
for n in range(1500):
    o = Lost(n)
    take(o, 1)
    lost += [id(o), id(o.load)]
    if sys.version_info < (3, 11):
        lost.append(id(o.__dict__))
for n in range(300):
    o = bytearray(700)
    take(o, 2)
del o
ROWS = [Row() for n in range(700)]
for o in ROWS:
    take(o, 1)
del o
json.dump(lost, open(FACTS, "w"))
del lost
"#;

/// What a C extension forgets: to give back what PyList_Append took a reference of its own to.
const EXTENSION: &str = r#"
#include <Python.h>

static PyObject *words(PyObject *self, PyObject *args)
{
    Py_ssize_t n;
    int forgets;
    if (!PyArg_ParseTuple(args, "ni", &n, &forgets))
        return NULL;
    PyObject *list = PyList_New(0);
    for (Py_ssize_t i = 0; list && i < n; i++) {
        PyObject *word = PyByteArray_FromStringAndSize("word", 4);
        if (!word || PyList_Append(list, word) < 0) {
            Py_XDECREF(word);
            Py_CLEAR(list);
        } else if (!forgets) {
            Py_DECREF(word);
        }
    }
    return list;
}

static PyMethodDef methods[] = {{"words", words, METH_VARARGS, "n words"}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "forgetful", 0, -1, methods};
PyMODINIT_FUNC PyInit_forgetful(void) { return PyModule_Create(&module); }
"#;

fn answer(command: &str, target: &str) -> Value {
    serde_json::from_str(run(&[command, "--json", target]).answered()).unwrap()
}

/// Suspect groups as (type, count, each, held by C alone), and what they keep alive.
fn suspects(answer: &Value) -> BTreeMap<(String, u64, u64, bool), u64> {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let n = |v: &Value| v.as_u64().unwrap();
    let all = answer["suspects"].as_array().unwrap().iter();
    all.map(|s| ((text(&s["type"]), n(&s["count"]), n(&s["unexplained_each"]), s["only_c"] == true), n(&s["retained_bytes"]))).collect()
}

/// The row of a type.
fn row<'a>(answer: &'a Value, name: &str) -> &'a Value {
    answer["types"].as_array().unwrap().iter().find(|t| t["type"] == name).unwrap_or_else(|| panic!("no type {name}"))
}

/// Findings of this family: title and saving.
fn findings(target: &str) -> Vec<(String, u64)> {
    let answer = answer("explain", target);
    let all = answer["findings"].as_array().unwrap().iter().filter(|f| f["id"] == "refcounts");
    all.map(|f| (f["title"].as_str().unwrap().to_owned(), f["saving_bytes"].as_u64().unwrap())).collect()
}

#[test]
fn references_that_were_taken_and_never_given_back_are_counted() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let facts = scratch.path().join("facts.json");
        let script = |leak: &str| format!("LEAK, FACTS = {leak}, {:?}\n{TAKEN}", facts.to_str().unwrap());
        let target = Started::python_of(&py.path, &script("True"));
        let lost: Vec<u64> = serde_json::from_str(&std::fs::read_to_string(&facts).unwrap()).unwrap();
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
        let kept: u64 = lost.iter().map(|id| footprints.get(id).unwrap_or_else(|| panic!("no object {id:#x}"))).sum();
        let (live, saved) = (answer("refcounts", &target.pid()), answer("refcounts", folder));
        for answer in [&live, &saved] {
            let found = suspects(answer);
            let shown: Vec<_> = found.keys().map(|(name, count, each, alone)| format!("{name} {count} {each} {alone}")).collect();
            assert_eq!(shown, ["__main__.Lost 1500 1 true", "__main__.Row 700 1 false", "bytearray 300 2 true"], "{}", py.name);
            assert_eq!(found.values().next(), Some(&kept), "{}", py.name);
            // Each type's counts are divided without a rest.
            for (name, objects, unexplained) in [("__main__.Lost", 1500, 1500), ("bytearray", 300, 600), ("__main__.Row", 700, 700)] {
                let row = row(answer, name);
                let n = |field: &str| row[field].as_u64().unwrap();
                assert_eq!((n("unexplained"), n("unexplained_objects")), (unexplained, objects), "{name} of {}", py.name);
                assert_eq!(n("references"), n("explained") + n("scanned") + n("unexplained"), "{name} of {}", py.name);
            }
        }
        assert!(live["types"] == saved["types"] && live["suspects"] == saved["suspects"], "live and saved differ: {}", py.name);
        let found = findings(&target.pid());
        let wanted = [("1,500 __main__.Lost are alive only", kept), ("300 bytearray are alive only", 0)];
        for (title, bytes) in wanted {
            let one = found.iter().find(|(t, _)| t.starts_with(title));
            assert!(one.is_some_and(|(_, saving)| *saving >= bytes), "{title} of {}: {found:#?}", py.name);
        }
        assert_eq!(found.len(), 2, "{}: {found:#?}", py.name);
        // The twin gives everything back.
        let twin = Started::python_of(&py.path, &script("False"));
        let audit = answer("refcounts", &twin.pid());
        assert_eq!(suspects(&audit), BTreeMap::new(), "{}", py.name);
        assert_eq!(row(&audit, "__main__.Row")["unexplained"], 0, "{}", py.name);
        assert_eq!(findings(&twin.pid()), [], "{}", py.name);
    });
}

#[test]
fn what_an_extension_forgets_is_found() {
    if !may_trace() {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let source = scratch.path().join("forgetful.c");
    std::fs::write(&source, EXTENSION).unwrap();
    let ready = |py: &testbed::Interpreter| -> Result<(), String> {
        let asked = Command::new(&py.path).args(["-I", "-c", "import sysconfig; print(sysconfig.get_path('include'), end='')"]).output();
        let include = asked.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
        if !Path::new(&include).join("Python.h").exists() {
            return Err("its headers are not here".to_owned());
        }
        let folder = scratch.path().join(&py.name);
        std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        let library = folder.join("forgetful.so");
        let built = py.cc(None).args(["-shared", "-fPIC", "-O1", "-I", &include, "-o"]).arg(&library).arg(&source).output();
        match built {
            Ok(built) if built.status.success() => Ok(()),
            Ok(built) => {
                panic!("the extension does not compile with the headers of {}: {}", py.name, String::from_utf8_lossy(&built.stderr))
            }
            Err(e) => Err(format!("no C compiler: {e}")),
        }
    };
    testbed::for_each_that(ready, |py| {
        let script = |forgets: u8| {
            let folder = scratch.path().join(&py.name);
            let folder = folder.to_str().unwrap();
            format!(
                "import sys\nsys.path.insert(0, {folder:?})\nimport forgetful\n\
                 KEPT = forgetful.words(3000, {forgets})\nlen(forgetful.words(5000, {forgets}))"
            )
        };
        let target = Started::python_of(&py.path, &script(1));
        let found = suspects(&answer("refcounts", &target.pid()));
        let shown: Vec<_> = found.keys().map(|(name, count, each, alone)| format!("{name} {count} {each} {alone}")).collect();
        assert_eq!(shown, ["bytearray 3000 1 false", "bytearray 5000 1 true"], "{}", py.name);
        let found = findings(&target.pid());
        assert!(found.len() == 1 && found[0].0.starts_with("5,000 bytearray are alive only"), "{}: {found:#?}", py.name);
        let twin = Started::python_of(&py.path, &script(0));
        assert_eq!(suspects(&answer("refcounts", &twin.pid())), BTreeMap::new(), "{}", py.name);
        assert_eq!(findings(&twin.pid()), [], "{}", py.name);
    });
}
