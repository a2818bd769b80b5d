//! Wrong arguments: each is refused with exit code 2, in three lines that say what, why and what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

/// The arguments, a part of the first line, a part of the second.
fn check(args: &str, what: &str, why: &str) {
    let ran = common::run(&args.split_whitespace().collect::<Vec<_>>());
    let [error, reason, advice] = ran.refused(2);
    assert!(error.contains(what), "{args}: {ran:#?}");
    assert!(reason.contains(why), "{args}: {ran:#?}");
    assert!(advice.contains("exuvia") || advice.contains("--after"), "{args}: {ran:#?}");
}

#[test]
fn wrong_arguments_are_refused_in_three_lines() {
    check("--foo", "--foo", "usage: exuvia");
    check("typos", "typos", "");
    check("type 1", "'type'", "'types'");
    check("types", "no target", "process or at a program");
    check("types --", "no target", "process or at a program");
    check("types abc", "abc", "whole number above 0");
    check("types 0", "0", "whole number above 0");
    check("types -p -3", "-3", "");
    check("types 99999999999", "99999999999", "whole number above 0");
    check("types 1 2", "'2'", "usage");
    check("types 1 -p 2", "--pid", "one target");
    check("types 1 -- python3", "PROGRAM", "one target");
    check("types -p", "--pid", "takes a value");
    check("types 1 --jsn", "--jsn", "'--json'");
    check("types 1 --sort size", "size", "footprint, own, count, name");
    check("types 1 --limit many", "many", "invalid digit");
    check("types 1 --max-pause ten", "ten", "300ms");
    check("types 1 --max-pause 5h", "5h", "ms, s or m");
    check("types 1 --after 5s", "--after", "runs already");
    check("types 1 --mode slow", "slow", "auto, fork, freeze, live");
    check("objects 1 --type", "--type", "takes a value");
    check("doctor abc", "abc", "whole number above 0");
    check("doctor 1 2", "'2'", "usage");
    check("doctor 1 -p 2", "--pid", "one target");
    check("doctor --max-pause ten", "ten", "300ms");
    check("doctor -- python3", "does not start python3", "starts nothing");
    check("object", "no address", "one object");
    check("object 1", "no address", "one object");
    check("object -p 1", "no address", "one object");
    check("object 0x7f00", "no target", "one process");
    check("object 1 here", "here is no address", "0x7f");
    check("object 1 0", "0 is no address", "0x7f");
    check("object one 0x7f00", "one is no PID", "whole number");
    check("object 1 0x7f00 0x7f08", "0x7f08", "");
    check("object -p 1 2 0x7f00", "more than one target", "");
}

#[test]
fn a_name_on_the_command_line_cannot_steer_the_terminal() {
    let ran = common::run(&["types", "\x1b[31m\u{202e}red"]);
    ran.refused(2);
    assert!(!ran.stderr.contains('\x1b') && !ran.stderr.contains('\u{202e}'), "{ran:#?}");
}

#[test]
fn a_process_is_found_by_the_name_of_its_script() {
    if !common::may_trace() {
        return;
    }
    let scratch = testbed::Scratch::new().unwrap();
    let script = scratch.path().join("exuvia-named-once.py");
    std::fs::write(&script, format!("{}\nprint('READY', flush=True)\nimport sys; sys.stdin.read()", common::MAY_BE_TRACED)).unwrap();
    // One that stands in its own command line, not behind a loader.
    let python = testbed::interpreters().found.iter().find(|i| i.path == i.executable).unwrap();
    let start = || common::Started::ready(std::process::Command::new(&python.path).arg("-u").arg(&script));
    let one = start();
    let answer: serde_json::Value = serde_json::from_str(common::run(&["types", "exuvia-named-once.py", "--json"]).answered()).unwrap();
    assert_eq!(answer["target"]["pid"].to_string(), one.pid());
    let other = start();
    let ran = common::run(&["types", "exuvia-named-once.py"]);
    let lines = ran.refused(2);
    assert!(lines[1].contains("2 Python processes are called so"), "{lines:?}");
    assert!(lines[1].contains(&one.pid()) && lines[1].contains(&other.pid()), "{lines:?}");
}
