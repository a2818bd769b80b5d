//! Where resident memory is: entries that add up to RSS, pymalloc's own figures, and gains that come true.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/mod.rs"]
mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Command;

use common::{may_trace, run, Started};
use serde_json::Value;
use testbed::Scratch;

/// Half of what threads made in turn is given back; what stays is strewn over the arena of each.
const FRAGMENTED: &str = r#"
import threading
kept, stop = [], threading.Event()
def work(started):
    rows = [bytes(600 + 37 * n % 3000) for n in range(8000)]
    kept.append(rows[::400])
    del rows
    started.set()
    stop.wait()
for n in range(8):
    started = threading.Event()
    threading.Thread(target=work, args=(started,), daemon=True).start()
    started.wait()
"#;

/// Freeing a large block raises malloc's thresholds; what is freed at the top stays there then.
const TOP: &str = "
large = bytes(25000000)
del large
rows = [bytes(30000) for n in range(1000)]
del rows
";

/// Objects of all sizes, buffers, a mapping.
const PURE: &str = r#"
import array, mmap
rows = [{"number": n, "text": str(n)} for n in range(20000)]
table, buffer, numbers = [None] * 300000, bytearray(3000000), array.array("d", range(50000))
mapping = mmap.mmap(-1, 1 << 20)
mapping.write(b"x" * (1 << 20))
"#;

/// A library with a buffer that it mapped for itself, and one of which it keeps no address.
const MAPS: &str = r"
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
char *buffer;
static uintptr_t hidden;
static char *made(size_t used) {
    char *at = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(at, 1, used);
    return at;
}
void maps(void) {
    buffer = made(3 << 20);
    hidden = ~(uintptr_t)made(2 << 20);
}
";

/// A worker of a parent that lives on, which has written to a part of what they share.
const FORKED: &str = r#"
import os, sys, time
rows = [[n, str(n)] for n in range(50000)]
parent = os.getpid()
if os.fork():
    # The test knows the child alone: the parent goes when that does.
    os.wait()
    os._exit(0)
touched = [row[1] for row in rows[::10]]
"#;

/// Entries, parts and what is not attributed add up to RSS, and little is not attributed.
fn adds_up(answer: &Value, what: &str) {
    let bytes = |value: &Value, key: &str| value[key].as_u64().unwrap();
    let rss = bytes(answer, "rss_bytes");
    let entries = answer["entries"].as_array().unwrap();
    let sum: u64 = entries.iter().map(|e| bytes(e, "resident_bytes")).sum::<u64>() + bytes(answer, "not_attributed_bytes");
    assert!(sum.abs_diff(rss) * 1000 <= rss, "{what}: {sum} of {rss}");
    assert!(bytes(answer, "not_attributed_bytes") * 50 < rss, "{what}: {} of {rss} not attributed", bytes(answer, "not_attributed_bytes"));
    for entry in entries {
        let of = entry["of"].as_array().unwrap();
        let parts: u64 = of.iter().map(|e| bytes(e, "resident_bytes")).sum();
        assert!(of.is_empty() || parts <= bytes(entry, "resident_bytes"), "{what}: {entry:#?}");
    }
}

fn ledger(target: &str) -> Value {
    serde_json::from_str(run(&["ledger", "--json", target]).answered()).unwrap()
}

fn entry(answer: &Value, name: &str) -> u64 {
    let entries = answer["entries"].as_array().unwrap();
    entries.iter().find(|e| e["name"].as_str().unwrap().starts_with(name)).map_or(0, |e| e["resident_bytes"].as_u64().unwrap())
}

fn gain(answer: &Value, setting: &str) -> u64 {
    let advice = answer["advice"].as_array().unwrap();
    let one = advice.iter().find(|a| a["setting"].as_str().unwrap().contains(setting));
    one.unwrap_or_else(|| panic!("no advice of {setting}: {advice:#?}"))["gain_bytes"].as_u64().unwrap()
}

#[test]
fn entries_add_up_to_what_is_resident() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        for (name, script) in [("pure", PURE), ("fragmented", FRAGMENTED), ("forked", FORKED), ("empty", "")] {
            let target = Started::python_of(&py.path, script);
            let pid = if name == "forked" { child_of(&target.pid()) } else { target.pid() };
            let answer = ledger(&pid);
            adds_up(&answer, &format!("{name} of {}", py.name));
            if name == "pure" {
                assert!(entry(&answer, "shared memory") >= 1 << 20, "{answer:#?}");
                assert!(entry(&answer, "Python objects") > 300_000 * 8 + 3_000_000 + 400_000);
                // The same from a folder.
                let scratch = Scratch::new().unwrap();
                let folder = scratch.path().join("saved");
                run(&["snapshot", &pid, "-o", folder.to_str().unwrap()]).answered();
                let saved = ledger(folder.to_str().unwrap());
                adds_up(&saved, "saved");
                let (live, saved) = (entry(&answer, "Python objects"), entry(&saved, "Python objects"));
                assert!(live.abs_diff(saved) < live / 100, "{live} {saved}");
            }
            if name == "forked" {
                let (shared, forked) = (answer["shared_bytes"].as_u64().unwrap(), answer["forked_bytes"].as_u64().unwrap());
                assert!(forked > 1 << 20 && forked < shared, "{answer:#?}");
            } else {
                assert_eq!(answer["forked_bytes"].as_u64(), Some(0), "{name} of {}", py.name);
            }
        }
    });
}

/// The one child of a process.
fn child_of(pid: &str) -> String {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().next().unwrap().to_string()
}

#[test]
fn pymalloc_is_as_it_says_itself() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        let told = scratch.path().join("stats");
        // After the figures are written nothing is allocated.
        let script = format!(
            "{}{PURE}\nimport os, signal, sys\nos.dup2(os.open({told:?}, os.O_WRONLY | os.O_CREAT), 2)\n\
             write, ready, pause, tell = os.write, b'READY\\n', signal.pause, sys._debugmallocstats\ntell()\nwrite(1, ready)\npause()",
            common::MAY_BE_TRACED
        );
        let target = Started::ready(Command::new(&py.path).args(["-I", "-c", &script]));
        let stats = std::fs::read_to_string(&told).unwrap();
        let figure = |words: &str| -> u64 {
            let line = stats.lines().find(|l| l.contains(words)).unwrap_or_else(|| panic!("{words}: {stats}"));
            line.rsplit('=').next().unwrap().trim().replace(',', "").parse().unwrap()
        };
        let answer = ledger(&target.pid());
        for (key, words) in [
            ("arenas", "# arenas allocated current"),
            ("allocated_bytes", "# bytes in allocated blocks"),
            ("available_bytes", "# bytes in available blocks"),
            ("header_bytes", "bytes lost to pool headers"),
            ("quantization_bytes", "bytes lost to quantization"),
            ("alignment_bytes", "bytes lost to arena alignment"),
        ] {
            assert_eq!(answer["pymalloc"][key].as_u64(), Some(figure(words)), "{key} of {}: {stats}", py.name);
        }
    });
}

/// How far the difference that was measured may be from the one that was told: 15 of 100.
#[track_caller]
fn comes_true(told: u64, before: u64, after: u64, what: &str) {
    let measured = before.saturating_sub(after);
    assert!(told.abs_diff(measured) * 100 <= measured * 15, "{what}: told {told}, measured {measured}");
}

fn rss(answer: &Value) -> u64 {
    answer["rss_bytes"].as_u64().unwrap()
}

/// Starts a script and waits for READY; a line to its stdin lets it go on, and what it answers is waited for.
fn go_on(target: &mut Started) {
    target.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    let mut line = String::new();
    BufReader::new(target.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "DONE\n");
}

fn started(python: &Path, script: &str, variables: &[(&str, &str)]) -> Started {
    let script = format!("{}{NO_HUGE_PAGES}{script}", common::MAY_BE_TRACED);
    Started::ready(Command::new(python).args(["-I", "-c", &script]).envs(variables.iter().copied()))
}

/// Where a gain is measured khugepaged must not work at its own time: it fills a huge page with pages that were free or shared, and
/// Python 3.15 asks for huge pages (PR_SET_THP_DISABLE, prctl(2)).
const NO_HUGE_PAGES: &str = "\
import ctypes
ctypes.CDLL(None).prctl(41, ctypes.c_ulong(1), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
";

const WAIT: &str = "\nprint('READY', flush=True)\nimport sys\nsys.stdin.read()\n";

#[test]
fn what_trimming_gives_back_is_told_before() {
    if !may_trace() {
        return;
    }
    const TRIM: &str = "\nimport ctypes, sys\ntrim = ctypes.CDLL(None).malloc_trim\nprint('READY', flush=True)\nsys.stdin.readline()\n\
        trim(0)\nprint('DONE', flush=True)\nsys.stdin.read()\n";
    testbed::for_each_interpreter(|py| {
        for (what, script) in [("fragmented", FRAGMENTED), ("top", TOP)] {
            let mut target = started(&py.path, &format!("{script}{TRIM}"), &[]);
            let before = ledger(&target.pid());
            go_on(&mut target);
            let after = ledger(&target.pid());
            comes_true(gain(&before, "malloc_trim"), rss(&before), rss(&after), &format!("{what} of {}", py.name));
            let again =
                after["advice"].as_array().unwrap().iter().filter(|a| a["setting"].as_str().unwrap().contains("malloc_trim")).count();
            assert_eq!(again, 0, "{what} of {}: nothing is left", py.name);
        }
        // A clean twin.
        let clean = Started::python_of(&py.path, PURE);
        assert_eq!(ledger(&clean.pid())["advice"], Value::Array(Vec::new()), "{}", py.name);
    });
}

#[test]
fn what_fewer_arenas_give_back_is_told_before() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let script = format!("{FRAGMENTED}{WAIT}");
        let (before, after) = (started(&py.path, &script, &[]), started(&py.path, &script, &[("MALLOC_ARENA_MAX", "2")]));
        let (before, after) = (ledger(&before.pid()), ledger(&after.pid()));
        comes_true(gain(&before, "MALLOC_ARENA_MAX"), rss(&before), rss(&after), py.name.as_str());
    });
}

#[test]
fn what_a_fixed_threshold_gives_back_is_told_before() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let script = format!("{TOP}{WAIT}");
        let fixed = [("MALLOC_TRIM_THRESHOLD_", "131072")];
        let (before, after) = (started(&py.path, &script, &[]), started(&py.path, &script, &fixed));
        let (before, after) = (ledger(&before.pid()), ledger(&after.pid()));
        comes_true(gain(&before, "MALLOC_TRIM_THRESHOLD_"), rss(&before), rss(&after), py.name.as_str());
    });
}

#[test]
fn what_mappings_of_their_own_give_back_is_told_before() {
    if !may_trace() {
        return;
    }
    // Freeing one of 25 MB lets blocks of 1 MB lie in the arena; every tenth stays.
    const LARGE: &str = "
large = bytes(25000000)
del large
rows = [b'%d' % (n % 10) * 1000000 for n in range(60)]
kept = rows[::10]
del rows
";
    testbed::for_each_interpreter(|py| {
        let script = format!("{LARGE}{WAIT}");
        let fixed = [("MALLOC_MMAP_THRESHOLD_", "131072")];
        let (before, after) = (started(&py.path, &script, &[]), started(&py.path, &script, &fixed));
        let (before, after) = (ledger(&before.pid()), ledger(&after.pid()));
        comes_true(gain(&before, "MALLOC_MMAP_THRESHOLD_"), rss(&before), rss(&after), py.name.as_str());
    });
}

#[test]
fn what_pins_arenas_is_told_with_its_bytes() {
    if !may_trace() {
        return;
    }
    // What lives on is strewn over all that was made with it, or was made before.
    const PINNED: &str = "
import gc
class Row: __slots__ = ('number', 'other')
kept = [Row() for n in range(200)] if FIRST else []
rows = []
for n in range(400000):
    rows.append(Row())
    if n % 2000 == 0 and not FIRST: kept.append(rows[-1])
del rows
gc.collect()
";
    testbed::for_each_interpreter(|py| {
        let before = started(&py.path, &format!("FIRST = False\n{PINNED}{WAIT}"), &[]);
        let after = started(&py.path, &format!("FIRST = True\n{PINNED}{WAIT}"), &[]);
        let (before, after) = (ledger(&before.pid()), ledger(&after.pid()));
        let advice = before["advice"].as_array().unwrap();
        assert!(advice.iter().any(|a| a["why"].as_str().unwrap().contains("__main__.Row")), "{}: {advice:#?}", py.name);
        let why = |answer: &Value| -> String { answer["advice"].as_array().unwrap().iter().map(|a| a["why"].to_string()).collect() };
        assert!(why(&before).contains("of __main__.kept"), "{}: {}", py.name, why(&before));
        comes_true(gain(&before, "make what lives long"), rss(&before), rss(&after), py.name.as_str());
    });
}

#[test]
fn what_freezing_before_a_fork_keeps_shared_is_told_before() {
    if !may_trace() {
        return;
    }
    // Workers that collect, and work on what they make themselves.
    const WORKERS: &str = "
import gc, os, sys, time
rows = [[n] for n in range(200000)]
gc.collect()
if FREEZE: gc.freeze()
pipe, told = os.pipe()
for n in range(2):
    if os.fork() == 0:
        gc.collect()
        mine = [[n] for n in range(20000)]
        os.write(told, b'.')
        time.sleep(1000)
while len(os.read(pipe, 1)) and n: n -= 1
time.sleep(0.3)
";
    testbed::for_each_interpreter(|py| {
        let mut looks = ["False", "True"].map(|freeze| {
            let target = started(&py.path, &format!("FREEZE = {freeze}\n{WORKERS}{WAIT}"), &[]);
            let ran = run(&["ledger", "--tree", "--json", &target.pid()]);
            let answer: Value = serde_json::from_str(ran.answered()).unwrap();
            for process in answer["processes"].as_array().unwrap().iter().skip(1) {
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(process["pid"].as_i64().unwrap() as i32), nix::sys::signal::SIGKILL)
                    .unwrap();
            }
            answer
        });
        let private = |answer: &Value| -> u64 {
            let processes = answer["processes"].as_array().unwrap();
            assert_eq!(processes.len(), 3, "{processes:#?}");
            processes.iter().filter_map(|p| p["private_bytes"].as_u64()).sum()
        };
        let [before, after] = &mut looks;
        comes_true(gain(before, "gc.freeze"), private(before), private(after), py.name.as_str());
        assert_eq!(after["advice"], Value::Array(Vec::new()), "{}: frozen already", py.name);
        // A payload that only the worker wrote is told as its own.
        let processes = before["processes"].as_array().unwrap();
        let new: u64 = processes.iter().filter_map(|p| p["new_bytes"].as_u64()).sum();
        assert!(new > 2 << 20, "{}: {new}", py.name);
    });
}

#[test]
fn a_sibling_tells_who_wrote() {
    if !may_trace() {
        return;
    }
    // The first worker alone writes to the first megabyte, all write the same to the second, each its own to the third, the parent
    // to the fourth.
    const WORKERS: &str = "
import gc, os, signal
gc.disable()
MB = 1 << 20
table = bytearray(4 * MB)
for n in range(0, len(table), 4096): table[n] = 1
pipe, told = os.pipe()
for worker in range(3):
    if os.fork() == 0:
        for n in range(0, MB, 4096):
            if worker == 0: table[n] = 2
            table[MB + n] = 2
            table[2 * MB + n] = 10 + worker
        os.write(told, b'.')
        signal.pause()
told = b''
while len(told) < 3: told += os.read(pipe, 3)
for n in range(3 * MB, 4 * MB, 4096): table[n] = 3
";
    testbed::for_each_interpreter(|py| {
        let target = started(&py.path, &format!("{WORKERS}{WAIT}"), &[]);
        let ran = run(&["ledger", "--tree", "--json", &target.pid()]);
        let answer: Value = serde_json::from_str(ran.answered()).unwrap();
        let processes = answer["processes"].as_array().unwrap();
        for process in processes.iter().skip(1) {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(process["pid"].as_i64().unwrap() as i32), nix::sys::signal::SIGKILL).unwrap();
        }
        assert_eq!(processes.len(), 4, "{}: {processes:#?}", py.name);
        assert!(processes[0]["sibling"].is_null(), "{}", py.name);
        // The first is compared with the second, the others with the first.
        for (worker, beside) in [(1, 2), (2, 1), (3, 1)] {
            let sibling = &processes[worker]["sibling"];
            assert_eq!(sibling["pid"], processes[beside]["pid"], "{}", py.name);
            let about = |key: &str| (sibling[key].as_u64().unwrap() as f64 / (1 << 20) as f64).floor() as u64;
            let expected = [u64::from(worker == 1), 1, 1];
            let seen = ["alone_bytes", "alike_bytes", "each_bytes"].map(about);
            assert_eq!(seen, expected, "{}: worker {worker}: {sibling:#?}", py.name);
            // What one process wrote, the parent still shares with the others.
            let shares = processes[worker]["parent_shares_bytes"].as_u64().unwrap();
            assert_eq!(shares >= 1 << 20, worker == 1, "{}: worker {worker}: {shares}", py.name);
        }
    });
}

#[test]
fn entries_add_up_with_packages_that_have_memory_of_their_own() {
    if !testbed::packages::wanted() {
        println!("left out: packages from PyPI (EXUVIA_PYPI=1)");
        return;
    }
    const NUMBERS: &str = "
import threading
try:
    import numpy
    arrays = [numpy.ones(200000), numpy.zeros((300, 400)), numpy.arange(1000)]
    product = arrays[1] @ arrays[1].T
    read_only = numpy.zeros(4000000)
    total = read_only.sum()
    import pandas
    frame = pandas.DataFrame({'a': range(100000), 'b': ['x%d' % n for n in range(100000)]})
except ImportError:
    pass
";
    testbed::for_each_interpreter(|py| {
        let environment = testbed::packages::environment(py, &testbed::packages::folder()).unwrap();
        let target = started(&environment.python, &format!("{NUMBERS}{WAIT}"), &[]);
        adds_up(&ledger(&target.pid()), &format!("{} with {:?}", py.name, environment.installed));
    });
}

#[test]
fn what_a_library_maps_for_itself_is_named_by_its_own_word_of_it() {
    let scratch = Scratch::new().unwrap();
    let (source, library) = (scratch.path().join("maps.c"), scratch.path().join("libmaps.so"));
    std::fs::write(&source, MAPS).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).output().unwrap();
    assert!(built.status.success(), "{built:?}");
    testbed::for_each_interpreter(|py| {
        let target = started(&py.path, &format!("import ctypes\nctypes.CDLL({library:?}).maps()\n{WAIT}"), &[]);
        let answer = ledger(&target.pid());
        let entries = answer["entries"].as_array().unwrap();
        let mapped = entries.iter().find(|e| e["name"] == "memory that libraries mapped for themselves");
        let mapped = mapped.unwrap_or_else(|| panic!("{}: {entries:#?}", py.name));
        let theirs = mapped["of"].as_array().unwrap().iter().find(|e| e["name"].as_str() == library.to_str()).unwrap();
        assert_eq!((&theirs["resident_bytes"], &theirs["known"]), (&(3 << 20).into(), &"by a pointer".into()), "{}", py.name);
        let left = answer["not_attributed_bytes"].as_u64().unwrap();
        assert!((2 << 20..(2 << 20) + (64 << 10)).contains(&left), "{}: {left}", py.name);
    });
}

#[test]
fn other_allocators_are_named_with_the_objects_in_them() {
    if !may_trace() {
        return;
    }
    for (library, name) in [("libjemalloc.so.2", "jemalloc"), ("libtcmalloc_minimal.so.4", "tcmalloc")] {
        let path = Path::new("/usr/lib/x86_64-linux-gnu").join(library);
        if !path.exists() {
            println!("left out: {name}: no {}", path.display());
            assert!(std::env::var("EXUVIA_REQUIRE_ALL").map_or(true, |v| v != "1"), "{name} is missing, and EXUVIA_REQUIRE_ALL=1");
            continue;
        }
        testbed::for_each_interpreter(|py| {
            // An interpreter with a libc of its own cannot load the system's libraries.
            if py.path != py.executable {
                return;
            }
            let script = format!("kept = [bytes(3000) for n in range(3000)]\n{WAIT}");
            let target = started(&py.path, &script, &[("LD_PRELOAD", path.to_str().unwrap())]);
            let answer = ledger(&target.pid());
            adds_up(&answer, &format!("{name} of {}", py.name));
            let entries = answer["entries"].as_array().unwrap();
            let other = entries.iter().find(|e| e["name"].as_str().unwrap().starts_with("another allocator")).unwrap();
            assert_eq!((other["of"][0]["name"].as_str(), other["known"].as_str()), (Some(name), Some("by exclusion")));
            let objects = entries.iter().find(|e| e["name"] == "Python objects").unwrap();
            let inside = objects["of"].as_array().unwrap().iter().find(|e| e["name"] == "in another allocator").unwrap();
            let bytes = inside["of"].as_array().unwrap().iter().find(|e| e["name"] == "bytes").unwrap();
            assert!(bytes["resident_bytes"].as_u64().unwrap() > 3000 * 3000, "{}: {bytes}", py.name);
        });
    }
}

#[test]
fn a_heap_that_was_overwritten_ends_in_a_gap() {
    if !may_trace() {
        return;
    }
    // Sizes of chunks far up in the heap are overwritten, by a program that writes past its own buffers.
    const BROKEN: &str = "
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
blocks = [libc.malloc(2000) for n in range(2000)]
for n in range(1000, 1040):
    ctypes.memset(blocks[n] - 8, n % 7 * 0x11 + 0x22, 8)
";
    testbed::for_each_interpreter(|py| {
        let target = started(&py.path, &format!("{BROKEN}{WAIT}"), &[]);
        let answer = ledger(&target.pid());
        let gaps = answer["gaps"].as_array().unwrap();
        assert!(gaps.iter().any(|g| g.as_str().unwrap().contains("in disorder")), "{}: {gaps:?}", py.name);
        let rss = rss(&answer);
        let sum: u64 = answer["entries"].as_array().unwrap().iter().map(|e| e["resident_bytes"].as_u64().unwrap()).sum();
        let left = answer["not_attributed_bytes"].as_u64().unwrap();
        assert_eq!(sum + left, rss, "{}", py.name);
        // What is broken is lost, and little else.
        assert!((40 * 1000..400_000).contains(&left), "{}: {left}", py.name);
    });
}

#[test]
fn the_mimalloc_of_cpython_is_walked() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        if py.minor < 13 {
            return;
        }
        let script = format!("rows = [[n, str(n)] for n in range(50000)]\ngone = [bytes(3000) for n in range(3000)]\ndel gone\n{WAIT}");
        // Not isolated: it would not read the variable.
        let script = format!("{}{script}", common::MAY_BE_TRACED);
        let target = Started::ready(Command::new(&py.path).args(["-c", &script]).env("PYTHONMALLOC", "mimalloc"));
        let answer = ledger(&target.pid());
        let (footprint, rss) = (answer["coverage"]["footprint_bytes"].as_u64().unwrap(), answer["rss_bytes"].as_u64().unwrap());
        assert!(footprint < rss, "{}: {footprint} of {rss}", py.name);
        adds_up(&answer, py.name.as_str());
        let entries = answer["entries"].as_array().unwrap();
        let part = |entry: &str, part: &str| {
            let entry = entries.iter().find(|e| e["name"] == entry).unwrap_or_else(|| panic!("{entry}: {entries:#?}"));
            let part = entry["of"].as_array().unwrap().iter().find(|e| e["name"] == part).unwrap_or_else(|| panic!("{part}: {entry:#?}"));
            (part["resident_bytes"].as_u64().unwrap(), part["known"].as_str().unwrap().to_string())
        };
        let (objects, known) = part("Python objects", "in another allocator");
        // Lists of two with their tables, strings and ints: at least 50,000 of each.
        assert!(objects > 50_000 * (88 + 56 + 28) && known == "walked", "{}: {objects} {known}", py.name);
        let (free, _) = part("another allocator, not in use by objects", "free, and never handed out");
        assert!(free > 4 << 20, "{}: {free}", py.name);
    });
}
