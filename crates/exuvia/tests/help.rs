//! Help: every command has an example there, and every example runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{may_trace, python, ran, run, Started};

/// The example's process and address are those of a target that we start.
const PID: &str = "4711";
const ADDRESS: &str = "0x7f2ab4c01d30";

/// The lines below "Example:" or "Examples:".
fn examples(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|l| !l.starts_with("Example")).skip(1);
    lines.take_while(|l| l.starts_with("  ")).map(|l| l.trim().to_string()).collect()
}

/// The commands named in the groups of the first page.
fn commands(help: &str) -> Vec<String> {
    let named = |l: &str| l.strip_prefix("  ")?.split_once("   ").map(|(name, _)| name.trim().to_string());
    help.lines().take_while(|l| !l.starts_with("Options")).filter_map(named).collect()
}

#[test]
fn every_example_of_every_command_runs() {
    if !may_trace() {
        return;
    }
    let target = Started::python("x = {'a': [1]}\nx['b'] = x");
    let pid = target.pid();
    let listed = run(&["objects", "--json", "--type", "dict", "--limit", "1", &pid]);
    let row: serde_json::Value = serde_json::from_str(listed.answered().lines().nth(1).unwrap()).unwrap();
    let address = row["address"].as_str().unwrap();

    let first = run(&["--help"]);
    let all = commands(first.answered());
    assert!(all.iter().any(|c| c == "types"), "{all:?}");
    let mut count = 0;
    for command in &all {
        let help = run(&[command, "--help"]);
        let found = examples(help.answered());
        assert!(!found.is_empty(), "exuvia {command} --help has no example");
        for example in found {
            assert!(example.len() <= 78, "help would break the line: {example}");
            assert!(format!("{example} ").starts_with(&format!("exuvia {command} ")), "{example}");
            let line = example.replace(PID, &pid).replace(ADDRESS, address);
            shell(&line);
            count += 1;
        }
    }
    println!("{count} examples run");
}

/// Runs a line as a user's shell would, with exuvia and a supported python3 on PATH.
fn shell(line: &str) {
    let folder = testbed::Scratch::new().unwrap();
    std::os::unix::fs::symlink(&python().path, folder.path().join("python3")).unwrap();
    let ours = Path::new(env!("CARGO_BIN_EXE_exuvia")).parent().unwrap();
    let path = format!("{}:{}:{}", folder.path().display(), ours.display(), std::env::var("PATH").unwrap());
    let ran = ran(Command::new("bash").args(["-o", "pipefail", "-c", line]).env("PATH", path).current_dir(folder.path()));
    assert_eq!(ran.code, Some(0), "{line}: {ran:#?}");
    assert!(ran.stdout.len() > 100 || line.ends_with("| tar x"), "{line}: {ran:#?}");
}

#[test]
fn the_first_page_shows_the_four_questions_on_one_screen() {
    let help = run(&["-h"]);
    let text = help.answered();
    assert!(text.lines().count() <= 24, "{text}");
    assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
    for group in ["See ", "Explain ", "Shrink ", "Prove "] {
        assert!(text.lines().any(|l| l.starts_with(group)), "no {group}: {text}");
    }
    assert!(run(&["--help"]).answered().contains("SIGKILL"), "what remains unguarded is told");
    assert!(run(&["--version"]).answered().starts_with("exuvia "), "the version");
}
