//! What a user gets wrong, command by command: each is refused in three lines that say what, why and what to do, with its exit code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{exuvia, may_trace, ran, run, Started};
use testbed::Scratch;

/// Commands that take a target alone.
const OF_A_TARGET: [&str; 11] =
    ["types", "objects", "explain", "retained", "refcounts", "cycles", "finalizers", "weakrefs", "slots", "containers", "gc"];

#[test]
fn each_command_refuses_what_it_cannot_do_in_three_lines() {
    if !may_trace() {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let at = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    let target = Started::python("class Order: pass\nORDERS = [Order() for _ in range(10)]");
    let other = Started::python("");
    let (pid, snapshot, foreign, empty, file) = (target.pid(), at("snapshot"), at("foreign"), at("empty"), at("file"));
    run(&["snapshot", &pid, "-o", &snapshot]).answered();
    run(&["snapshot", &other.pid(), "-o", &foreign]).answered();
    std::fs::create_dir(&empty).unwrap();
    std::fs::write(&file, "no snapshot").unwrap();
    let gone = {
        let gone = Started::python("");
        gone.pid()
    };
    let missing = at("nowhere");
    // The words, the exit code, a part of each of the three lines.
    let mut table: Vec<(Vec<&str>, i32, [&str; 3])> = Vec::new();
    for command in OF_A_TARGET {
        table.extend([
            (vec![command], 2, ["no target was named", command, "exuvia"]),
            (vec![command, &empty], 3, ["is no snapshot", "checksums", "exuvia snapshot"]),
            (vec![command, &file], 3, ["is no snapshot", "a snapshot is a folder", "exuvia snapshot"]),
            (vec![command, &missing], 3, ["cannot read the snapshot", "nothing of this name", "exuvia snapshot"]),
            (vec![command, "nowhere"], 2, ["nowhere", "no folder of this name", command]),
            (vec![command, &gone], 3, ["cannot read process", "no process has PID", "pgrep"]),
            (vec![command, &pid, "--limit", "many"], 2, ["many", "invalid digit", command]),
            (vec![command, &pid, "--limit", "-1"], 2, ["-1", "usage", command]),
            (vec![command, &pid, "--mode", "slow"], 2, ["slow", "freeze", command]),
            (vec![command, &snapshot, "--after", "1s"], 2, ["--after", "of one moment", "--after"]),
            (vec![command, &pid, "-p", "1"], 2, ["--pid", "one target", command]),
        ]);
    }
    for command in ["path", "sizes"] {
        for target in [&pid, &snapshot] {
            table.extend([
                (vec![command, target], 2, ["nothing was named", "address, by module:NAME or by type", command]),
                (vec![command, target, "0x10"], 3, ["no object stands at 0x10", "not where an object begins", "exuvia objects"]),
                (vec![command, target, "__main__.Ordre"], 3, ["has no Ordre", "", "Order"]),
                (vec![command, target, "__mian__:ORDERS"], 3, ["no module __mian__", "sys.modules", "__main__"]),
                (vec![command, target, "__main__:ORDERS[99]"], 3, ["has no [99]", "", "[0] to [9]"]),
                (vec![command, target, "__main__:ORDERS..x"], 2, ["not written as a name", "", "module:NAME"]),
            ]);
        }
        table.extend([
            (vec![command], 2, ["no target was named", command, "exuvia"]),
            (vec![command, &empty, "dict"], 3, ["is no snapshot", "checksums", "exuvia snapshot"]),
            (vec![command, &gone, "dict"], 3, ["cannot read process", "no process has PID", "pgrep"]),
        ]);
    }
    table.extend([
        (vec!["path", &pid, "dict", "--exclude", "nope"], 3, ["nothing is excluded by nope", "", "--exclude"]),
        (vec!["object", &pid, "0x10"], 3, ["no object of process", "", "exuvia objects"]),
        (vec!["object", &snapshot, "0x10"], 3, ["no object of the snapshot", "", "exuvia objects"]),
        (vec!["object", &snapshot, "here"], 2, ["here is no address", "0x7f", "exuvia objects"]),
        (vec!["object", &empty, "0x10"], 3, ["is no snapshot", "checksums", "exuvia snapshot"]),
        (vec!["explain", &pid, "--fail-over", "nonsense"], 2, ["nonsense", "500MB", "exuvia explain --help"]),
        (vec!["explain", &pid, "--fail-owner-over", "-5MB"], 2, ["-5", "", "exuvia explain --help"]),
        (vec!["retained", &pid, "--by", "nope"], 2, ["nope", "type, module, distribution", "exuvia retained --help"]),
        (vec!["diff"], 2, ["two snapshots", "no snapshot and no process", "BEFORE AFTER"]),
        (vec!["diff", &snapshot], 2, ["two snapshots", "alone was named", "BEFORE AFTER"]),
        (vec!["diff", &snapshot, &snapshot], 2, ["was named twice", "one moment", "-o BEFORE"]),
        (vec!["diff", &snapshot, &foreign], 3, ["of different processes", "process ids", "exuvia snapshot"]),
        (vec!["diff", &snapshot, &empty], 3, ["is no snapshot", "checksums", "exuvia snapshot"]),
        (vec!["diff", &pid, &snapshot], 2, ["is not compared", "with itself", "BEFORE AFTER"]),
        (vec!["diff", &pid, "--times", "1"], 2, ["1", "", "exuvia diff --help"]),
        (vec!["diff", &gone], 3, ["cannot read process", "no process has PID", "pgrep"]),
        (vec!["snapshot", &pid], 2, ["required", "--output <FOLDER> is missing", "exuvia snapshot --help"]),
        (vec!["snapshot", &pid, "-o", &snapshot], 2, ["exists already", "nothing is written over", "-o"]),
        (vec!["doctor", &snapshot], 2, ["for processes and core files", "read whole", "exuvia doctor 4711"]),
    ]);
    let mut wrong = String::new();
    for (words, code, parts) in &table {
        let refused = run(words);
        let lines: Vec<&str> = refused.stderr.lines().collect();
        let begin = ["error: ", "why: ", "try: "];
        let told = |(line, (part, word)): (&&str, (&&str, &str))| line.starts_with(word) && line.len() > word.len() && line.contains(*part);
        let is_told = lines.len() == 3 && lines.iter().zip(parts.iter().zip(begin)).all(told);
        if (refused.code, is_told, refused.stdout.as_str()) != (Some(*code), true, "") {
            wrong += &format!("{words:?} should give {code} and {parts:?}: {:?}\n{}\n", refused.code, refused.stderr);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    println!("{} refusals", table.len());

    // Values that a snapshot does not have are not passed over in silence.
    let listed = run(&["objects", "--json", "--type", "str", "--limit", "1", &snapshot]);
    let row: serde_json::Value = serde_json::from_str(listed.answered().lines().nth(1).unwrap()).unwrap();
    let address = row["address"].as_str().unwrap();
    run(&["object", &snapshot, address]).answered();
    let [what, why, instead] = run(&["object", &snapshot, address, "--values"]).refused(3).map(str::to_owned);
    assert!(
        what.ends_with("has no values") && why.contains("without --values") && instead.contains("exuvia snapshot PID --values"),
        "{what}"
    );
    // A type of which there is none is an answer, and a typo is told.
    let none = run(&["objects", &snapshot, "--type", "Ordre"]);
    assert_eq!((none.code, none.stderr.lines().count()), (Some(0), 1), "{none:#?}");
    // 0 is all, everywhere.
    for command in OF_A_TARGET {
        let all = ran(exuvia().args([command, &snapshot, "--limit", "0"]));
        assert!(!all.answered().contains("--limit 0 shows all)"), "{command}: {all:#?}");
    }
    run(&["diff", &pid, "--every", "1ms", "--times", "2", "--limit", "0"]).answered();
}
