//! `exuvia scale`: planted growth is found with its factor, what must not run does not, what fails is a row, what is wrong is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{exuvia, may_trace, python, ran, Ran};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use serde_json::Value;
use testbed::{for_each_interpreter, Scratch};

/// What grows how is in the names. The kernel's pages are all touched: bytes(n) fills what it takes.
const PLANTS: &str = "
import functools, math, os, time
def flat_and_exponential(n): return passing_peak(20 * 2 ** n) or b'x' * 1_000_000
def linear_and_log(n): return passing_peak(30_000_000 + int(4e6 * math.log2(n))) or [bytes(1000) for _ in range(300 * n)]
def linearithmic_and_square(n): return passing_peak(5_000_000 + 4000 * n * n) or b'x' * int(50_000 * n * math.log2(n))
def passing_peak(size): b'x' * size
def quick(n): pass
def loops(n):
    for _ in range(n * n): pass
def passing(rows):
    passing = b'x' * (3000 * len(rows))
    return passing[:1000 * len(rows)]
def fails(n):
    if n == 3000: raise ValueError('no thousands: \\x1b[31m')
    return b'x' * (10_000 * n)
def frees(rows): rows.clear()
def sleeps(n): time.sleep(n / 1000)
def waits(n):
    if n == 4:
        open('waiting', 'w').close()
        time.sleep(600)
def nothing(): pass
def lazy(n): yield n
@functools.lru_cache(None)
def kept(n):
    for _ in range(n): pass
def odd(n): raise ValueError('\\udce9')
NUMBER = 5
class Shop:
    @staticmethod
    def rows(n): return [n]
";

fn plants() -> Scratch {
    let scratch = Scratch::new().unwrap();
    std::fs::write(scratch.path().join("plants.py"), PLANTS).unwrap();
    std::fs::write(scratch.path().join("broken.py"), "import nothing_of_this_name\n").unwrap();
    scratch
}

fn command(folder: &Path, python: &Path, words: &[&str]) -> Command {
    let mut command = exuvia();
    command.current_dir(folder).arg("scale").args(words).arg("--python").arg(python).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn scale(folder: &Path, python: &Path, words: &[&str]) -> Ran {
    ran(&mut command(folder, python, words))
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(ran.answered()).unwrap()
}

#[test]
fn planted_memory_is_found_with_its_factor_on_every_release() {
    if !may_trace() {
        return;
    }
    let folder = plants();
    for_each_interpreter(|py| {
        // What is freed before the result is made is a peak of its own: two classes a series. 1,000 bytes and their header of 33 are a
        // chunk of 1,056 of malloc's, and the list has 8 and an eighth at most for each.
        for (name, sizes, held, peak) in [
            ("flat_and_exponential", "16,18,20,21", ("1", 0.0), ("2ⁿ", 20.0)),
            ("linear_and_log", "4,16,64,128", ("n", 300.0 * 1064.0), ("log n", 4e6)),
            ("linearithmic_and_square", "4,16,64,128", ("n log n", 50_000.0), ("n²", 4000.0)),
        ] {
            let words = ["--json", "--repeat", "1", "--sizes", sizes, &format!("plants:{name}")];
            let answer = json(&scale(folder.path(), &py.path, &words));
            for (figure, (class, factor)) in [("memory", held), ("peak", peak)] {
                let fit = &answer[figure];
                assert_eq!((&fit["class"], &fit["undecided"]), (&class.into(), &Value::Array(vec![])), "{} {name}: {answer:#}", py.name);
                let found = fit["coefficients"]["factor"].as_f64().unwrap();
                assert!((found - factor).abs() <= factor * 0.05, "{} {name}: {found}, planted {factor}: {answer:#}", py.name);
            }
        }
    });
}

#[test]
fn held_peak_input_and_time_are_told_apart() {
    if !may_trace() {
        return;
    }
    let folder = plants();
    let (folder, py) = (folder.path(), &python().path);
    let sizes = ["--repeat", "2", "--sizes", "2000,4000,8000,20000"];
    let words = [&["--json", "plants:passing", "--input", "[bytes(2000) for _ in range(n)]"], &sizes[..]].concat();
    let answer = json(&scale(folder, py, &words));
    for (figure, factor) in [("memory", 1000.0), ("peak", 4000.0), ("process", 4000.0 + 2000.0 + 64.0)] {
        let found = answer[figure]["coefficients"]["factor"].as_f64().unwrap();
        assert!((found / factor - 1.0).abs() < 0.05, "{figure}: {answer:#}");
    }
    let last = &answer["points"][3];
    assert!((last["input_bytes"].as_f64().unwrap() / 41.2e6 - 1.0).abs() < 0.05 && last["runs"] == 2, "{last}");

    // Coarse, as the machine may be busy: what does nothing, and what does 900 times as much.
    let sizes = ["--repeat", "1", "--sizes", "100,300,1000,3000"];
    let quick = json(&scale(folder, py, &[&["--json", "plants:quick"], &sizes[..]].concat()));
    assert_eq!((&quick["time"]["class"], &quick["memory"]["class"]), (&"1".into(), &"1".into()), "{quick:#}");
    let loops = json(&scale(folder, py, &[&["--json", "./plants.py:loops"], &sizes[..]].concat()));
    assert!(!["1", "log n"].contains(&loops["time"]["class"].as_str().unwrap()), "{loops:#}");
    assert!(loops["fits"]["n_in_time"]["n"].as_u64().unwrap() > 3000, "{loops:#}");

    // What is kept of a first call is not the time of a call.
    let kept = json(&scale(folder, py, &["--json", "plants:kept", "--repeat", "1", "--sizes", "1e5,1e6,5e6"]));
    assert!(kept["first_call"] == true && kept["points"][2]["time_ms"].as_f64() > Some(5.0), "{kept:#}");

    // Names in classes; what it returns without having run.
    let dotted = scale(folder, py, &["plants:Shop.rows", "--repeat", "1", "--sizes", "1,2,3"]);
    assert!(dotted.answered().contains("plants:Shop.rows"), "{dotted:#?}");
    // What frees what it was given holds less than nothing.
    let words = ["plants:frees", "--input", "bytearray(b'x' * (1000 * n))", "--repeat", "1", "--sizes", "2000,8000,20000"];
    let frees = scale(folder, py, &words);
    assert!(frees.answered().contains("the call frees more than it keeps") && frees.answered().contains(" -"), "{frees:#?}");
    let lazy = scale(folder, py, &["plants:lazy", "--repeat", "1", "--sizes", "1,2,3"]);
    assert!(lazy.answered().contains("returned a generator"), "{lazy:#?}");
}

#[test]
fn what_fails_is_a_row_and_what_would_take_too_much_is_not_run() {
    if !may_trace() {
        return;
    }
    let folder = plants();
    let (folder, py) = (folder.path(), &python().path);
    let words = ["plants:fails", "--repeat", "1", "--sizes", "1000,2000,3000,6000,12000", "--memory", "8GB", "--svg", "plot.svg"];
    let table = scale(folder, py, &words);
    let shown = table.answered();
    assert!(shown.contains("n = 3,000: ValueError: no thousands: \\u{1b}[31m") && !shown.contains('\x1b'), "{shown}");
    assert!(shown.contains("8 GB holds n = ") && shown.contains("held     9.7") && shown.contains(" KiB · n"), "{shown}");
    assert!(shown.lines().count() <= 24 && shown.lines().all(|l| l.chars().count() <= 80), "{shown}");
    let read = "import sys, xml.dom.minidom as m; print(len(m.parse('plot.svg').getElementsByTagName('circle')) > 8)";
    assert_eq!(ran(Command::new(py).args(["-c", read]).current_dir(folder)).answered(), "True\n");

    let long = json(&scale(folder, py, &["--json", "plants:sleeps", "--repeat", "1", "--sizes", "10,100,300,100000"]));
    assert!(long["ended"].as_str().unwrap().contains("--run-limit") && long["complete"] == false, "{long:#}");
    assert_eq!(long["points"].as_array().unwrap().len(), 3, "{long:#}");
    // 9 PB.
    let large = json(&scale(folder, py, &["--json", "plants:fails", "--repeat", "1", "--sizes", "1000,2000,4000,900000000000"]));
    assert!(large["ended"].as_str().unwrap().contains("may be taken here"), "{large:#}");
    // Nothing foretells what a first size takes: it gets a MemoryError, and the machine goes on.
    let first = scale(folder, py, &["--json", "plants:fails", "--repeat", "1", "--sizes", "9e11,1e12,2e12"]);
    assert!(
        first.refused(3).join(" ").contains("plants:fails fails with every n") && first.refused(3)[1].contains("MemoryError"),
        "{first:#?}"
    );
    // One size foretells that a larger one takes as long, and a call without an end is ended with all.
    let long = scale(folder, py, &["--json", "plants:sleeps", "--repeat", "1", "--run-limit", "50ms", "--sizes", "100,200,300"]);
    let long = json(&long);
    assert!(long["points"].as_array().unwrap().len() == 1 && long["ended"].as_str().unwrap().contains("--run-limit"), "{long:#}");
    let all = json(&scale(folder, py, &["--json", "plants:sleeps", "--repeat", "1", "--limit", "2s", "--sizes", "10,600000,700000"]));
    assert!(all["points"].as_array().unwrap().len() == 1 && all["ended"].as_str().unwrap().contains("--limit 2s is over"), "{all:#}");
}

#[test]
fn an_interrupt_gives_what_is_known() {
    if !may_trace() {
        return;
    }
    let folder = plants();
    let words = ["--json", "plants:waits", "--sizes", "1,2,3,4,5"];
    let child = command(folder.path(), &python().path, &words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !folder.path().join("waiting").exists() {
        assert!(begun.elapsed() < Duration::from_secs(120), "it never came so far");
        std::thread::sleep(Duration::from_millis(5));
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    assert_eq!((output.status.code(), &answer["ended"]), (Some(0), &"stopped".into()), "{answer:#}");
    assert_eq!(answer["points"].as_array().unwrap().len(), 3, "{answer:#}");
}

#[test]
fn what_is_wrong_is_refused_in_three_lines() {
    if !may_trace() {
        return;
    }
    let folder = plants();
    let (folder, py) = (folder.path(), &python().path);
    for (words, parts) in [
        (vec![], ["no function was named", "", "module:function"]),
        (vec!["plants"], ["plants names no function", "module:function", ""]),
        (vec!["plants:quick", "--sizes", "1e6..1e3"], ["--sizes", "do not grow", "1e3..1e6"]),
        (vec!["plants:quick", "--sizes", "10,20"], ["--sizes", "from 3 sizes on", ""]),
        (vec!["plants:quick", "--sizes", "few"], ["--sizes", "no size", ""]),
        (vec!["plants:quick", "--repeat", "0"], ["--repeat", "", ""]),
        (vec!["plants:quick", "--memory", "much"], ["--memory", "500MB", ""]),
        (vec!["plants:quick", "--svg", "nowhere/plot.svg"], ["cannot write", "no folder", "--svg"]),
        (
            vec!["nothing_here:quick"],
            ["cannot import nothing_here", "ModuleNotFoundError: No module named 'nothing_here'", "import nothing_here"],
        ),
        (vec!["broken:quick"], ["cannot import broken", "nothing_of_this_name", ""]),
        (vec!["nowhere.py:quick"], ["cannot import nowhere.py", "no such file", ""]),
        (vec!["plants:slow"], ["plants has no slow", "AttributeError", "dir(plants)"]),
        (vec!["plants:NUMBER"], ["is no function", "type int", ""]),
        (vec!["plants:nothing"], ["cannot be called with n alone", "nothing()", "--input"]),
        (vec!["plants:quick", "--input", "range("], ["makes no argument", "SyntaxError", "list(range(n))"]),
        (vec!["plants:quick", "--input", "unknown(n)"], ["makes no argument", "NameError", ""]),
    ] {
        let refused = scale(folder, py, &words);
        let lines = refused.refused(2);
        for (line, part) in lines.iter().zip(parts) {
            assert!(line.contains(part), "{words:?}: {lines:?} without {part:?}");
        }
    }
    // What is no character, and a function that has nothing else to say.
    let odd = scale(folder, py, &["plants:odd"]);
    assert!(odd.refused(3)[1].contains("ValueError: "), "{odd:#?}");
    // PYTHONPATH's first folder is not ours to take away, with PYTHONSAFEPATH (3.11) neither.
    std::fs::create_dir(folder.join("more")).unwrap();
    std::fs::write(folder.join("more/elsewhere.py"), "def few(n): return [n]\n").unwrap();
    let mut command = command(folder, py, &["elsewhere:few", "--repeat", "1", "--sizes", "1,2,3"]);
    let safe = ran(command.env("PYTHONPATH", folder.join("more")).env("PYTHONSAFEPATH", "1"));
    assert!(safe.answered().contains("elsewhere:few"), "{safe:#?}");
    let other = scale(folder, Path::new("/bin/true"), &["plants:quick"]);
    assert!(other.refused(2)[0].contains("/bin/true did not start as a Python"), "{other:#?}");
    let none = scale(folder, Path::new("/nowhere/python3"), &["plants:quick"]);
    assert!(none.stderr.lines().count() == 3 && none.stderr.contains("/nowhere/python3"), "{none:#?}");
}
