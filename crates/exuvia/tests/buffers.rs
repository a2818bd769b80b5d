//! Buffers: what an array owns beside its object counts in its footprint, and what it only looks at does not.
//! The target itself says of each how large its buffer is and what `sys.getsizeof` answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{may_trace, run, Started, MAY_BE_TRACED};
use serde_json::Value;
use testbed::{for_each_interpreter, packages};

/// What malloc takes beside a block that it maps by itself: a page's rest and its header. One of its smaller blocks takes a
/// header and a rest to 16 bytes, one of pymalloc's only the rest.
const MAPPED: u64 = 4096 + 16;
const SMALL: u64 = 24 + 16;
/// From here on glibc may map a block by itself (M_MMAP_THRESHOLD).
const MAPPED_FROM: u64 = 128 << 10;
/// An array has its body and up to two blocks: its data, and its shape with its strides.
const BLOCKS: u64 = 3;

/// `say(x, owned)` tells of an object that owns a buffer of so many bytes, or none; `extra` says that `__sizeof__` leaves it out.
const SAY: &str = "
import json, sys
# Room for attributes inline in the object, of which sys.getsizeof says nothing: from 3.13, for ctypes arrays from 3.14.
INLINE = 8 + 30 * 8 + 32 if sys.version_info >= (3, 13) else 0
kept, facts = [], []
def say(x, owned, extra=False):
    kept.append(x)
    facts.append([hex(id(x)), owned, sys.getsizeof(x), owned if extra else 0, INLINE if type(x).__flags__ & 4 else 0])
";

const STANDARD: &str = "
import array, ctypes, io
for n in (1, 16, 100, 500, 512, 513, 1000, 4096, 100_000, 200_000, 5_000_000):
    say(bytearray(n), n)
    grown = bytearray()
    for _ in range(min(n, 1000)): grown.append(7)
    say(grown, len(grown))
    say(bytearray(memoryview(bytes(n))), n)
    for code in 'bhid': say(array.array(code, [1]) * n, n * array.array(code).itemsize)
    text = (ctypes.c_char * n)()
    # ctypes has no __sizeof__; up to 16 bytes stand in the object (cfield.h, b_value).
    say(text, n if n > 16 else 0, extra=True)
    say((ctypes.c_char * n).from_buffer(text), 0)
    say(memoryview(text), 0)
say(bytearray(), 0)
say(array.array('d'), 0)
";

const NUMPY: &str = "
import numpy
for n in (1, 2, 10, 60, 64, 65, 100, 500, 1000, 20_000, 200_000, 1_000_000):
    for kind in ('u1', 'f4', 'f8', 'c16', 'S5', 'U3', 'M8[s]', 'i4,f8', 'O', '?'):
        owner = numpy.zeros(n, dtype=kind)
        say(owner, owner.nbytes)
    owner = numpy.arange(n * 6.0).reshape(n, 2, 3).copy()
    assert owner.base is None
    say(owner, owner.nbytes)
    say(numpy.array(owner[:, 0], order='F', copy=True), n * 24)
    for view in (owner[:], owner[::2], owner.T, owner.reshape(-1), owner[0], owner.view('u1'), numpy.broadcast_to(owner, (2, n, 2, 3)),
                 numpy.frombuffer(bytes(n), dtype='u1')):
        assert not view.flags.owndata
        say(view, 0)
say(numpy.array(5), 8)
say(numpy.zeros((0, 3)), 0)
say(numpy.zeros((100, 0, 7)), 0)
class Sub(numpy.ndarray): pass
say(numpy.ndarray.__new__(Sub, (1000, 10)), 80_000)
";

/// Starts a script that tells its facts, and asks exuvia for the objects of these types (of all where there are none).
fn check(name: &str, python: &Path, script: &str, types: &[&str]) {
    let script = format!("{MAY_BE_TRACED}{SAY}{script}\nprint(json.dumps(facts))\nprint('READY', flush=True)\nsys.stdin.read()");
    let mut child = Command::new(python).args(["-I", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines().map_while(Result::ok);
    let facts = lines.next().unwrap_or_else(|| panic!("{name}: the target ended"));
    assert_eq!(lines.next().unwrap(), "READY");
    let target = Started { child };
    let facts: Vec<(String, u64, u64, u64, u64)> = serde_json::from_str(&facts).unwrap();
    let mut found: HashMap<String, Value> = HashMap::new();
    let all = ["objects", "--json", "--limit", "0"];
    let pid = target.pid();
    let questions = match types {
        [] => vec![[&all[..], &[&pid]].concat()],
        types => types.iter().map(|wanted| [&all[..], &["--type", wanted, &pid]].concat()).collect(),
    };
    for question in questions {
        let ran = run(&question);
        let rows: Vec<Value> = ran.answered().lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(!rows.is_empty(), "{name}: nothing for {question:?}");
        found.extend(rows.into_iter().map(|row| (row["address"].as_str().unwrap().to_owned(), row)));
    }
    let mut wrong = Vec::new();
    let (mut buffers, mut owners) = (0, 0);
    for (address, buffer, size, extra, inline) in &facts {
        let row = found.get(address).unwrap_or_else(|| panic!("{name}: no object at {address}"));
        let (own, footprint) = (row["own_bytes"].as_u64().unwrap(), row["footprint_bytes"].as_u64().unwrap());
        let counted = size + extra;
        let most = counted + if counted >= MAPPED_FROM { MAPPED * BLOCKS } else { SMALL * BLOCKS } + inline;
        if own != *size || footprint < counted.max(*buffer) || footprint > most {
            wrong.push(format!("{row}: owns {buffer}, getsizeof {size}, at most {most}"));
        }
        buffers += buffer;
        owners += u64::from(*buffer > 0);
    }
    assert!(wrong.is_empty(), "{name}: {} of {}:\n{}", wrong.len(), facts.len(), wrong.join("\n"));
    println!("{name}: {} objects, {owners} with buffers of {buffers} bytes", facts.len());
}

#[test]
fn buffers_of_the_standard_library() {
    if !may_trace() {
        return;
    }
    for_each_interpreter(|py| check(&py.name, &py.path, STANDARD, &[]));
}

#[test]
fn buffers_of_numpy() {
    if !packages::wanted() {
        println!("left out: packages are installed from PyPI only when EXUVIA_PYPI=1");
        return;
    }
    if !may_trace() {
        return;
    }
    for_each_interpreter(|py| {
        let environment = packages::environment(py, &packages::folder()).unwrap();
        if !environment.installed.iter().any(|name| name == "numpy") {
            println!("no package: {}: numpy: {:?}", py.name, environment.failed);
            return;
        }
        check(&py.name, &environment.python, NUMPY, &["numpy.ndarray", "__main__.Sub"]);
    });
}
