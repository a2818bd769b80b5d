//! Runs of real interpreters: what is measured is true, what is set is set, and the program is its own.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;
use std::time::Duration;

use exuvia_trial::{Program, Run, Setting, Stop, Trials, Way};
use target::Ending;
use testbed::{for_each_interpreter, interpreters, Interpreter, Scratch};

fn trials() -> Trials {
    Trials::new(PathBuf::from(env!("CARGO_BIN_EXE_exuvia-trial-test")), Stop::catch()).unwrap()
}

fn python(py: &Interpreter, options: &[&str], script: &str) -> Program {
    let words = [&[py.path.to_str().unwrap()], options, &["-c", script]].concat();
    Program { argv: words.iter().map(Into::into).collect(), ..Program::default() }
}

fn run(py: &Interpreter, script: &str, way: &Way) -> Run {
    let run = trials().run(&python(py, &[], script), way, |_| {}).unwrap();
    assert!(run.succeeded(), "{}: {:?} {}", py.name, run.ending, run.last_words);
    run
}

/// Once with each, and all releases.
const WORK: &str = "
import gc, sys
class Node: pass
def knots(n):
    for _ in range(n):
        a = Node(); a.me = a
knots(30000)
";

#[test]
fn peak_and_end_are_the_kernels() {
    for_each_interpreter(|py| {
        let small = run(py, "pass", &Way::default());
        let script = "big = bytearray(200 << 20)\ndel big\nkept = bytearray(50 << 20)\nimport time\ntime.sleep(0.3)";
        let run = run(py, script, &Way::default());
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let peak = mib(run.peak_rss_bytes) - mib(small.peak_rss_bytes);
        let end = mib(run.end_rss_bytes.unwrap()) - mib(small.end_rss_bytes.unwrap());
        assert!((199.0..203.0).contains(&peak), "{}: {peak}", py.name);
        assert!((49.0..53.0).contains(&end), "{}: {end}", py.name);
        assert!(run.time >= Duration::from_millis(300), "{}: {:?}", py.name, run.time);
        assert!(run.cpu < run.time, "{}: it slept", py.name);
    });
}

#[test]
fn the_peak_is_of_the_biggest_process() {
    let py = interpreters().found.first().unwrap();
    let script = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'bytearray(300 << 20)'], check=True)";
    let run = run(py, script, &Way::default());
    assert!(run.peak_rss_bytes > 300 << 20 && run.end_rss_bytes.unwrap() < 100 << 20, "{run:?}");
    assert_eq!(run.collector.unwrap().processes, 2);
}

#[test]
fn a_collector_is_set_and_counted() {
    for_each_interpreter(|py| {
        let set = |setting| run(py, WORK, &Way { collector: setting, ..Way::default() }).collector.unwrap();
        let default = set(Setting::Default);
        assert!(
            default.enabled && default.collections > 5 && default.time > Duration::ZERO && default.frozen < 1000,
            "{}: {default:?}",
            py.name
        );
        assert_eq!(default.release[..2], [3, py.minor.into()], "{}", py.name);
        assert!(default.blocks > 0, "{}", py.name);
        let off = set(Setting::Off);
        assert!(!off.enabled && off.collections == 0, "{}: {off:?}", py.name);
        let rare = set(Setting::Threshold(vec![5000, 7, 3]));
        assert!(rare.thresholds[..2] == [5000, 7] && rare.collections < default.collections, "{}: {rare:?}", py.name);
    });
}

#[test]
fn what_outlives_the_first_full_collection_is_frozen() {
    for_each_interpreter(|py| {
        let script = format!("kept = [[] for _ in range(5000)]\nimport gc\ngc.collect()\n{WORK}");
        let frozen = run(py, &script, &Way { collector: Setting::Freeze, ..Way::default() }).collector.unwrap();
        assert!(frozen.frozen > 5000 && frozen.full >= 1, "{}: {frozen:?}", py.name);
        let forked = "import os\nkept = [[] for _ in range(5000)]\nif os.fork() == 0: os._exit(0)\nos.wait()";
        let forked = run(py, forked, &Way { collector: Setting::Freeze, ..Way::default() }).collector.unwrap();
        assert!(forked.frozen > 10_000 && forked.processes == 2, "{}: in both: {forked:?}", py.name);
    });
}

#[test]
fn the_program_finds_all_as_it_would_be_without_us() {
    for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        std::fs::write(scratch.path().join("sitecustomize.py"), "import sys\nsys.own_sitecustomize = True\n").unwrap();
        let script = "
import os, sys
own = os.path.dirname(os.environ['WHERE'])
assert sys.own_sitecustomize
assert sys.modules['sitecustomize'].__file__.startswith(own), sys.modules['sitecustomize']
assert not any('exuvia-trial' in place for place in sys.path), sys.path
assert sys.stdin.read() == ''
";
        let mut program = python(py, &[], script);
        let own = scratch.path().as_os_str().to_os_string();
        program.env = vec![("PYTHONPATH".into(), Some(own)), ("WHERE".into(), Some(scratch.path().join("x").into_os_string()))];
        let run = trials().run(&program, &Way::default(), |_| {}).unwrap();
        assert!(run.succeeded(), "{}: {}", py.name, run.last_words);
        assert!(run.collector.is_some(), "{}", py.name);
    });
}

#[test]
fn without_an_environment_nothing_is_claimed() {
    let py = interpreters().found.last().unwrap();
    let run = trials().run(&python(py, &["-I"], "pass"), &Way::default(), |_| {}).unwrap();
    assert!(run.succeeded() && run.collector.is_none() && run.end_rss_bytes.is_some(), "{run:?}");
    let run = trials().run(&python(py, &[], "pass"), &Way { untouched: true, ..Way::default() }, |_| {}).unwrap();
    assert!(run.succeeded() && run.collector.is_none(), "{run:?}");
}

#[test]
fn a_program_that_fails_is_told_with_its_last_words() {
    let py = interpreters().found.last().unwrap();
    let run = trials().run(&python(py, &[], "raise SystemExit('that was it')"), &Way::default(), |_| {}).unwrap();
    assert!(run.ending == Ending::Code(1) && run.last_words.contains("that was it"), "{run:?}");
    let run = trials().run(&python(py, &[], "import os; os.kill(os.getpid(), 11)"), &Way::default(), |_| {}).unwrap();
    assert!(run.ending == Ending::Signal(11) && run.peak_rss_bytes > 1 << 20, "{run:?}");
    let none = Program { argv: vec!["/nowhere/python3".into()], ..Program::default() };
    assert!(trials().run(&none, &Way::default(), |_| {}).unwrap_err().to_string().contains("/nowhere/python3"));
}

#[test]
fn a_run_without_end_is_ended_with_its_children() {
    let py = interpreters().found.last().unwrap();
    let script = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'while True: pass'])";
    let way = Way { limit: Some(Duration::from_secs(1)), ..Way::default() };
    let trials = trials();
    let mut pid = 0;
    let run = trials.run(&python(py, &[], script), &way, |process| pid = process.pid()).unwrap();
    assert!(run.over && run.ending == Ending::Signal(9), "{run:?}");
    let folder = trials.folder().to_path_buf();
    drop(trials);
    assert!(!folder.exists());
}

#[test]
fn nothing_is_blocked_in_a_program_and_its_children_can_be_ended() {
    let py = interpreters().found.last().unwrap();
    let script = "
import signal, subprocess
assert not signal.pthread_sigmask(signal.SIG_BLOCK, []), signal.pthread_sigmask(signal.SIG_BLOCK, [])
child = subprocess.Popen(['sleep', '1000'])
child.terminate()
assert child.wait() == -signal.SIGTERM
";
    run(py, script, &Way { limit: Some(Duration::from_secs(60)), ..Way::default() });
}

#[test]
fn what_a_program_leaves_running_ends_with_it() {
    let py = interpreters().found.last().unwrap();
    let scratch = Scratch::new().unwrap();
    let told = scratch.path().join("pid");
    let script = format!("import subprocess\nopen({told:?}, 'w').write(str(subprocess.Popen(['sleep', '1000']).pid))");
    run(py, &script, &Way::default());
    let pid = std::fs::read_to_string(&told).unwrap();
    // Whoever it belongs to now has to reap it.
    let runs = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    let begun = std::time::Instant::now();
    while runs() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{pid} runs on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_is_said_is_kept_in_part() {
    let py = interpreters().found.last().unwrap();
    let script = "import sys\nfor _ in range(100): sys.stderr.write('x' * 1000000)\nraise SystemExit('that was all')";
    let trials = trials();
    let folder = trials.folder().to_path_buf();
    let mut bytes = None;
    let run = trials
        .run(&python(py, &[], script), &Way::default(), |_| {
            let files = std::fs::read_dir(folder.join("run-0")).unwrap();
            bytes = Some(files.map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>());
        })
        .unwrap();
    assert!(run.ending == Ending::Code(1) && run.last_words.ends_with("that was all\n"), "{run:?}");
    assert!(bytes.unwrap() < 1 << 16, "{bytes:?}");
}
