//! `exuvia compare`: planted differences are told with their noise, what fails is a row, and wrong input has one error.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{exuvia, python, ran, run, Ran};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use serde_json::Value;
use testbed::{for_each_interpreter, Scratch};

/// With 4 figures of 2 variants the fewest for a verdict.
const REPEAT: &str = "8";

fn asked(words: &[&str]) -> Value {
    json(&run(&[&["compare", "--json", "--repeat", REPEAT], words].concat()))
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(ran.answered()).unwrap()
}

fn this_python() -> &'static str {
    python().path.to_str().unwrap()
}

fn mib(value: &Value) -> f64 {
    value.as_f64().unwrap() / f64::from(1 << 20)
}

/// A program that writes its first argument down, and then does what the script says.
fn noting(scratch: &Scratch, script: &str) -> String {
    let path = scratch.path().join("noting");
    let log = scratch.path().join("log");
    let text = format!(
        "#!{}\nimport sys\nlog = {log:?}\nopen(log, 'a').write(sys.argv[1] + '\\n')\nruns = len(open(log).read().split())\n{script}\n",
        this_python()
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().into()
}

fn noted(scratch: &Scratch) -> Vec<String> {
    let text = std::fs::read_to_string(scratch.path().join("log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn what_the_collector_would_have_freed_is_told() {
    // How a collector is set, counted and timed is each release's own.
    for_each_interpreter(|py| {
        // 64 MiB in cycles, of which the collector leaves a part at most.
        let script = "
class Node: pass
for n in range(4000):
    a = Node(); a.me = a; a.load = bytearray(16 << 10); a.more = [[] for _ in range(9)]
";
        let answer = asked(&["--gc", "default,off", "--", py.path.to_str().unwrap(), "-c", script]);
        let (base, off) = (&answer["variants"][0], &answer["variants"][1]);
        assert!(
            base["proof"].as_str().unwrap().contains("collection") && off["proof"] == "switched off, 0 collections",
            "{}: {answer:#}",
            py.name
        );
        assert!(
            base["collector_seconds"]["median"].as_f64() > Some(0.0) && off["collector_seconds"]["high"] == 0.0,
            "{}: {answer:#}",
            py.name
        );
        let peak = &off["peak_rss_bytes"];
        let more = mib(&peak["median"]) - mib(&base["peak_rss_bytes"]["median"]);
        assert!(peak["differs"] == true && peak["change"].as_f64() > peak["noise"].as_f64() && more > 20.0, "{}: {answer:#}", py.name);
        assert!(off["verdict"].as_str().unwrap().starts_with("peak RSS +"), "{}: {answer:#}", py.name);
        assert_eq!(base["runs"].as_array().unwrap().len(), 8, "{}", py.name);
    });
}

#[test]
fn a_planted_difference_is_told_and_none_is_not() {
    // Of the statistic, not of a release. 200 MiB that all variants have keep what a page more or less is below what is worth telling.
    let script = "import sys\nall = bytearray(200 << 20)\nmore = bytearray(int(sys.argv[1]) << 20)";
    let command = |n: &str| format!("{} -c '{script}' {n}", this_python());
    let words = ["--against", &command("0 again"), "--against", &command("64"), "--", this_python(), "-c", script, "0"];
    let answer = json(&run(&[&["compare", "--json", "--repeat", "9", "--seed", "7"], &words[..]].concat()));
    assert_eq!((&answer["schema"], &answer["seed"], &answer["fewest_for_a_verdict"]), (&"exuvia/compare/1".into(), &7.into(), &9.into()));
    let [base, same, more] = answer["variants"].as_array().unwrap().as_slice() else { panic!("{answer:#}") };
    for figure in ["peak_rss_bytes", "end_rss_bytes"] {
        assert_eq!((&base[figure]["differs"], &same[figure]["differs"]), (&Value::Null, &false.into()), "{answer:#}");
        let added = mib(&more[figure]["median"]) - mib(&base[figure]["median"]);
        assert!(more[figure]["differs"] == true && (60.0..68.0).contains(&added), "{figure}: {answer:#}");
        let (low, median, high) = (&more[figure]["low"], &more[figure]["median"], &more[figure]["high"]);
        assert!(low.as_u64() <= median.as_u64() && median.as_u64() <= high.as_u64() && low.as_u64().is_some(), "{answer:#}");
    }
    assert!(same["verdict"].as_str().unwrap().contains("no difference found, less than the noise: peak RSS (±"), "{answer:#}");
    assert!(more["verdict"].as_str().unwrap().starts_with("peak RSS +3"), "{answer:#}");
    assert!(base["seconds"]["median"].as_f64() > Some(0.0) && base["verdict"].as_str().unwrap().starts_with("the base"), "{answer:#}");
}

#[test]
fn people_get_a_table_of_80_columns_and_a_sentence_each() {
    let words = [
        "compare",
        "--repeat",
        "9",
        "--allocators",
        "glibc,malloc,arena-max=2",
        "--",
        this_python(),
        "-c",
        "kept = [[n] for n in range(99999)]",
    ];
    let shown = ran(exuvia().args(words).env("COLUMNS", "80"));
    let text = shown.answered();
    for part in [
        "\n9 runs of each of 3 variants in shuffled rounds after an unmeasured one\n",
        "\nvariant ",
        "peak RSS",
        "at end",
        "collector\n",
        "\n  low-high ",
        "\nglibc: the base (malloc is in libc",
        "\nmalloc: peak RSS +",
        "(noise ±",
        "Python has no block of its own",
        "of at most 2 arenas)",
    ] {
        assert!(text.replace('\n', " ").contains(&part.replace('\n', " ")), "{part:?}: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn rounds_are_shuffled_and_a_seed_repeats_them() {
    let orders = |seed: &str| {
        let scratch = Scratch::new().unwrap();
        let program = noting(&scratch, "");
        let command = |n: &str| format!("{program} {n}");
        let words =
            ["compare", "--repeat", "9", "--seed", seed, "--against", &command("b"), "--against", &command("c"), "--", &program, "a"];
        run(&words).answered();
        noted(&scratch)
    };
    let (first, again, other) = (orders("1"), orders("1"), orders("2"));
    assert!(first == again && first != other && first.len() == 10 * 3, "{first:?} {other:?}");
    let rounds: Vec<&[String]> = first.chunks(3).collect();
    assert!(rounds.iter().all(|round| ["a", "b", "c"].iter().all(|name| round.iter().any(|n| n == name))), "{rounds:?}");
    let rotated = |a: &[String], b: &[String]| (0..3).any(|by| (0..3).all(|i| a[(i + by) % 3] == b[i]));
    assert!(!rounds.iter().all(|round| rotated(rounds[0], round)), "not rotated alone: {rounds:?}");
}

#[test]
fn a_variant_that_fails_is_a_row_and_the_others_go_on() {
    let scratch = Scratch::new().unwrap();
    // The base alone writes its runs down, and its third fails; \u{1b}c would clear a terminal.
    let sometimes = noting(&scratch, "if runs == 3: sys.exit('just \\x1bcnow')");
    let crash = format!("{} -c 'import os; os.abort()'", this_python());
    let other = format!("{} -c pass", this_python());
    let shown = run(&["compare", "--repeat", "9", "--against", &crash, "--against", &other, "--", &sometimes, "base"]);
    let text = shown.answered().replace('\n', " ");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    for part in [
        " base: no verdict, 1 of 9 runs failed: it ended with exit code 1: just \\u{1b}cnow",
        ": failed: SIGABRT ended it",
        "no verdict, the base failed",
        "0 to 9 runs of each of 3 variants",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let answer =
        json(&run(&["compare", "--json", "--repeat", "9", "--against", &crash, "--against", "sh -c :", "--", this_python(), "-c", "pass"]));
    let [base, crashed, shell] = answer["variants"].as_array().unwrap().as_slice() else { panic!("{answer:#}") };
    assert_eq!(
        (&crashed["failures"], &crashed["failed"], &crashed["peak_rss_bytes"]),
        (&2.into(), &"SIGABRT ended it".into(), &Value::Null)
    );
    assert!(base["failed"].is_null() && base["runs"].as_array().unwrap().len() == 9, "{answer:#}");
    // A program that is no Python has no collector, and the rest of the figures.
    assert!(shell["collector_seconds"].is_null() && shell["peak_rss_bytes"]["differs"] == true, "{answer:#}");
}

#[test]
fn what_was_run_before_an_end_is_told() {
    let scratch = Scratch::new().unwrap();
    // Two variants: the fifth run is the first of the second measured round.
    let program = noting(&scratch, "import time\nif runs == 5: time.sleep(600)");
    let mut command = exuvia();
    command.args(["compare", "--json", "--against", &format!("{program} b"), "--", &program, "a"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while noted(&scratch).len() < 5 {
        std::thread::yield_now();
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let ended = answer["ended"].as_str().unwrap();
    assert!(output.status.code() == Some(0) && ended.starts_with("stopped in round 2 of "), "{answer:#}");
    for variant in answer["variants"].as_array().unwrap() {
        assert!(variant["runs"].as_array().unwrap().len() == 1 && variant["failed"].is_null(), "{answer:#}");
    }
    let verdict = answer["variants"][1]["verdict"].as_str().unwrap();
    assert!(verdict.starts_with("no verdict, 1 run of each and the base are too few: 8 are needed"), "{verdict}");
    assert_eq!(noted(&scratch).len(), 5, "nothing was run after it");
}

#[test]
fn under_nohup_a_hangup_ends_nothing() {
    let scratch = Scratch::new().unwrap();
    // And what is temporary is beside us, wherever the program goes.
    std::fs::create_dir(scratch.path().join("here")).unwrap();
    let program = noting(
        &scratch,
        // Stdout is flushed when the interpreter is torn down, before it collects.
        "import gc, os, time
class Slow:
    closed = False
    def flush(self): time.sleep(0.02)
sys.stdout = Slow()
os.chdir('/')
gc.collect()
while runs == 2 and not os.path.exists(log + '.go'): time.sleep(0.01)",
    );
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh", exuvia().get_program().to_str().unwrap()]);
    command.args(["compare", "--json", "--repeat", REPEAT, "--gc", "default,off", "--", &program, "a"]);
    command.current_dir(scratch.path()).env("TMPDIR", "here");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while noted(&scratch).len() < 2 {
        std::thread::yield_now();
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGHUP).unwrap();
    std::fs::write(scratch.path().join("log.go"), "").unwrap();
    let output = child.wait_with_output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert!(answer["ended"].is_null() && answer["variants"][1]["runs"].as_array().unwrap().len() == 8, "{answer:#}");
    // The one that was asked for: what a slow end of the interpreter collects is not the program's.
    assert_eq!(answer["variants"][0]["proof"], "1 collection", "{answer:#}");
    assert_eq!(left(&scratch.path().join("here")), 0);
}

#[test]
fn a_limit_that_is_crossed_has_an_exit_code() {
    let more = format!("{} -c 'more = bytearray(64 << 20)'", this_python());
    let ask = |percent: &str| {
        run(&["compare", "--repeat", REPEAT, "--fail-over", percent, "--against", &more, "--", this_python(), "-c", "pass"])
    };
    let crossed = ask("20%");
    assert!(
        crossed.code == Some(1) && crossed.stderr.starts_with("limit: peak RSS of ") && crossed.stderr.contains("more than 20 %"),
        "{crossed:#?}"
    );
    assert!(crossed.stdout.contains("peak RSS +"), "{crossed:#?}");
    ask("100000").answered();
    // What crashes has not passed.
    let crash = format!("{} -c 'import os; os.abort()'", this_python());
    let failed = run(&["compare", "--repeat", REPEAT, "--fail-over", "100000", "--against", &crash, "--", this_python(), "-c", "pass"]);
    assert!(failed.code == Some(1) && failed.stderr.contains(": failed: SIGABRT ended it"), "{failed:#?}");
}

#[test]
fn wrong_input_has_one_error() {
    let py = this_python();
    let to = |words: &[&'static str], rest: &[&str]| -> Vec<String> {
        words.iter().map(|w| (*w).to_string()).chain(rest.iter().map(|w| (*w).to_string())).collect()
    };
    for (words, code, wanted) in [
        (to(&[], &["--", py]), 2, "it is not said what to compare"),
        (to(&["--gc", "default,off"], &[]), 2, "no program was named"),
        (to(&["--gc", "default"], &["--", py]), 2, "there is one variant only"),
        (to(&["--gc", "default"], &["--", py]), 2, "--gc default,off"),
        (to(&["--gc", "off,default,off"], &["--", py]), 2, "the variant off is named twice"),
        (to(&["--gc", "off,maybe"], &["--", py]), 2, "maybe is no setting"),
        (to(&["--gc", "off,threshold=1:2:3:4"], &["--", py]), 2, "is no setting"),
        (to(&["--gc", "off,default", "--allocators", "glibc,malloc"], &["--", py]), 2, "--allocators and --gc were given together"),
        (to(&["--allocators", "glibc,jmalloc"], &["--", py]), 2, "is no allocator"),
        (to(&["--allocators", "glibc,jemalloc+arena-max=2"], &["--", py]), 2, "arena-max is a setting of glibc's malloc"),
        (to(&["--allocators", "glibc,malloc"], &["--", py, "-I", "-c", "pass"]), 2, "ignores PYTHONMALLOC"),
        (to(&["--gc", "off,default", "--repeat", "4"], &["--", py]), 2, "from 8 runs of each on"),
        (to(&["--gc", "off,default", "--repeat", "0"], &["--", py]), 2, "0"),
        (to(&["--gc", "off,default", "--fail-over", "-1"], &["--", py]), 2, "-1"),
        (to(&["--gc", "off,default", "--fail-over", "much"], &["--", py]), 2, "percent"),
        (to(&["--against", "python3 'app.py"], &["--", py]), 2, "a quote in it has no end"),
        (to(&["--against", ""], &["--", py]), 2, "names no command"),
        (to(&["--gc", "default,off", "--", "/nowhere/python3"], &[]), 3, "/nowhere/python3"),
        (to(&["--pythons", "/nowhere/python3"], &["--", py]), 2, "there is one variant only"),
        (to(&["--pythons"], &[&format!("{py},/nowhere/python3"), "--", py, "-c", "pass"]), 3, "/nowhere/python3"),
        (to(&["--gc", "default,off"], &["--", py, "-c", "raise SystemExit('so it is')"]), 3, "so it is"),
    ] {
        let refused = ran(exuvia().arg("compare").args(&words).current_dir(Path::new("/")));
        let lines = refused.refused(code).join("\n");
        assert!(lines.contains(wanted), "{words:?}: {lines}");
    }
}

fn git(folder: &Path, words: &[&str]) -> String {
    let config = ["-c", "user.name=N", "-c", "user.email=n@example.invalid", "-c", "commit.gpgsign=false"];
    let ran = ran(Command::new("git").args(config).args(words).current_dir(folder).env("LC_ALL", "C"));
    assert_eq!(ran.code, Some(0), "{words:?}: {ran:#?}");
    ran.stdout
}

/// A repository with three states of a package: 8 MiB, 40 MiB, and 72 MiB that are not committed; a program in a folder that the first
/// commit has not.
fn repository(folder: &Path) {
    let state = |mib: u32| std::fs::write(folder.join("src/pkg.py"), format!("held = bytearray({mib} << 20)\n")).unwrap();
    git(folder, &["init", "-q", "."]);
    std::fs::create_dir_all(folder.join("src")).unwrap();
    state(8);
    git(folder, &["add", "."]);
    git(folder, &["commit", "-q", "-m", "first"]);
    git(folder, &["tag", "first"]);
    std::fs::create_dir_all(folder.join("tools")).unwrap();
    std::fs::write(folder.join("tools/app.py"), "import pkg\n").unwrap();
    git(folder, &["add", "."]);
    git(folder, &["commit", "-q", "-m", "second"]);
    git(folder, &["tag", "second"]);
    state(40);
    git(folder, &["commit", "-q", "-a", "-m", "third"]);
    state(72);
}

/// Where a comparison's own folders would be left.
fn left(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn revisions_are_run_side_by_side_and_the_working_tree_stays_as_it_is() {
    // Of git and paths; what a Python tells of its modules is the same in each release.
    let scratch = Scratch::new().unwrap();
    let (top, temporary) = (scratch.path().join("shop"), scratch.path().join("temporary"));
    [&top, &temporary].iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
    repository(&top);
    // A hook would be one more program that runs.
    let hook = top.join(".git/hooks/post-checkout");
    std::fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", scratch.path().join("hooked").display())).unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let before = (git(&top, &["status", "--porcelain", "--branch"]), git(&top, &["worktree", "list"]));
    let ask = |words: &[&str], python_path: &str| {
        let mut command = exuvia();
        command.args(["compare", "--json", "--repeat", "9"]).args(words).current_dir(top.join("tools"));
        ran(command.env("PYTHONPATH", python_path).env("TMPDIR", &temporary))
    };
    let src = top.join("src");
    let app = top.join("tools/app.py");
    for (python_path, app) in [(src.to_str().unwrap(), "app.py"), ("../src", app.to_str().unwrap())] {
        let answer = json(&ask(&["--revisions", "second,HEAD,.", "--", this_python(), app], python_path));
        let peaks: Vec<f64> = answer["variants"].as_array().unwrap().iter().map(|v| mib(&v["peak_rss_bytes"]["median"])).collect();
        assert!((27.0..37.0).contains(&(peaks[1] - peaks[0])) && (27.0..37.0).contains(&(peaks[2] - peaks[1])), "{answer:#}");
        assert!(answer["variants"][0]["proof"].as_str().unwrap().starts_with("commit "), "{answer:#}");
        assert_eq!(answer["notes"].as_array().unwrap().len(), 0, "{answer:#}");
    }
    // What comes from the working tree all the same is no revision's.
    let script = format!("import sys; sys.path.insert(0, {src:?}); import pkg");
    let answer = json(&ask(&["--revisions", "HEAD,HEAD~0", "--", this_python(), "-c", &script], ""));
    for variant in answer["variants"].as_array().unwrap() {
        let verdict = variant["verdict"].as_str().unwrap();
        assert!(verdict.contains("pkg was imported from the working tree") && verdict.starts_with("no verdict"), "{verdict}");
    }
    let notes = answer["notes"].to_string();
    assert!(notes.contains("uncommitted changes") && notes.contains("HEAD and HEAD~0 are the same commit"), "{notes}");
    for (revisions, wanted) in
        [("HEAD,nope", "nope names no commit"), ("HEAD,--all", "--all names no commit"), ("HEAD,first", "tools/ is not a folder in first")]
    {
        let refused = ask(&[&format!("--revisions={revisions}"), "--", this_python(), "app.py"], "");
        assert!(refused.refused(2).join(" ").contains(wanted), "{refused:#?}");
    }
    let nowhere = ran(exuvia()
        .args(["compare", "--revisions", "a,b", "--", this_python()])
        .current_dir(&temporary)
        .env("GIT_CEILING_DIRECTORIES", scratch.path()));
    assert!(nowhere.refused(2).join(" ").contains("in no working tree of git"), "{nowhere:#?}");
    let gitless = ran(exuvia().args(["compare", "--revisions", "a,b", "--", this_python()]).current_dir(&top).env("PATH", &temporary));
    assert!(gitless.refused(2).join(" ").contains("git cannot be started"), "{gitless:#?}");

    // Also after an end before the end.
    let waits = format!("open({:?}, 'w').close(); import time; time.sleep(600)", scratch.path().join("begun"));
    let mut command = exuvia();
    command.args(["compare", "--revisions", "HEAD,second", "--", this_python(), "-c", &waits]).current_dir(&top).env("TMPDIR", &temporary);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !scratch.path().join("begun").exists() {
        std::thread::yield_now();
    }
    assert_eq!(git(&top, &["worktree", "list"]).lines().count(), 3);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.code() == Some(3) && String::from_utf8_lossy(&output.stderr).contains("no run came to its end"), "{output:?}");

    assert_eq!((git(&top, &["status", "--porcelain", "--branch"]), git(&top, &["worktree", "list"])), before);
    assert!(
        left(&temporary) == 0 && !scratch.path().join("hooked").exists(),
        "{:?}",
        std::fs::read_dir(&temporary).unwrap().collect::<Vec<_>>()
    );
}

#[test]
fn a_function_in_a_process_of_its_own_leaves_no_memory_behind() {
    // The script that calls it is tested with each release in crate trial.
    let scratch = Scratch::new().unwrap();
    let work = "def build(n):\n    used = bytearray(n << 20)\n    kept = [used]\n    kept.append(kept)\n    return [1] * 9\ndef local(n): return lambda: n\ndef dies(n):\n    import os\n    os.abort()\n";
    ["work.py", "stat.py", "my.work.py"].iter().for_each(|name| std::fs::write(scratch.path().join(name), work).unwrap());
    let ask = |words: &[&str]| {
        ran(exuvia()
            .args(["compare", "--python", this_python(), "--repeat", REPEAT])
            .args(words)
            .current_dir(scratch.path())
            .env("COLUMNS", "80"))
    };
    // A cycle holds 96 MiB: inside they stay until the collector comes.
    let answer = json(&ask(&["--json", "--isolate", "work:build", "--input", "96"]));
    let [inside, apart] = answer["variants"].as_array().unwrap().as_slice() else { panic!("{answer:#}") };
    assert_eq!((&inside["name"], &apart["name"]), (&"inside".into(), &"in a process of its own".into()));
    for figure in ["peak_rss_bytes", "after_rss_bytes"] {
        let less = mib(&inside[figure]["median"]) - mib(&apart[figure]["median"]);
        assert!(apart[figure]["differs"] == true && (80.0..100.0).contains(&less), "{figure}: {answer:#}");
    }
    let held = mib(&inside["collected_rss_bytes"]["median"]) - mib(&inside["before_rss_bytes"]["median"]);
    assert!(held < 20.0 && mib(&apart["child_peak_rss_bytes"]["median"]) > 96.0, "{answer:#}");
    assert!(apart["verdict"].as_str().unwrap().starts_with("peak RSS −") && inside["seconds"]["median"].as_f64() > Some(0.0), "{answer:#}");
    let shown = ask(&["--isolate", "work.py:build", "--input", "[8][0]", "--start", "fork"]);
    let text = shown.answered();
    for part in ["work.py:build\n", "collected", "inside: the base", "started by fork", "the transfer: 0 B there and "] {
        assert!(text.replace('\n', " ").contains(part.trim_end()), "{part}: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for (words, code, wanted) in [
        (&["--isolate", "work:local", "--input", "1"][..], 3, "what the function returns cannot be pickled"),
        (&["--isolate", "work:dies", "--input", "1"], 3, "signal 6 ended it"),
        (&["--isolate", "work:build"], 3, "the function fails"),
        (&["--isolate", "work:build", "--input", "1 +"], 2, "--input cannot be evaluated"),
        (&["--isolate", "work:nope"], 2, "work has no nope"),
        (&["--isolate", "nowork:build"], 2, "cannot import nowork"),
        (&["--isolate", "./stat.py:build"], 2, "a module of its name comes before it"),
        (&["--isolate", "./my.work.py:build"], 2, "my.work is no name that can be imported"),
        (&["--isolate", "work"], 2, "names no function"),
        (&["--isolate", "nowhere.py:build"], 2, "there is no such file"),
        (&["--isolate", "work:build", "--", "python3"], 2, "beside --isolate"),
        (&["--isolate", "work:build", "--gc", "default,off"], 2, "--gc and --isolate were given together"),
        (&["--gc", "default,off", "--input", "1", "--", "python3"], 2, "--isolate"),
    ] {
        let refused = ask(words);
        assert!(refused.refused(code).join("\n").contains(wanted), "{words:?}: {refused:#?}");
    }
}
