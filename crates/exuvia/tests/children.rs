//! `--children`: the processes of a tree, each as a look at it alone sees it; what is no Python is named and is not the end of the rest.
//!
//! Which release it is makes no difference to the tree, so one tree is looked at: of the newest interpreter, with another release in it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use common::{may_trace, run, Ran, Started};
use serde_json::Value;
use testbed::{Interpreter, Scratch};

/// Two forked workers, one of them with a child of its own release, another release, a program that is no Python, one that has ended and
/// that nobody waits for. All of them end with their stdin, which is the test's.
const TREE: &str = r#"
import multiprocessing, os, subprocess, sys
class Order:
    pass
ORDERS = [Order() for _ in range(1200)]
own = os.dup(0)
def work(pipe):
    mine = [Order() for _ in range(300)]
    pipe.send("up")
    os.read(own, 1)
pids = {"master": os.getpid()}
fork = multiprocessing.get_context("fork")
for n in range(2):
    here, there = fork.Pipe()
    worker = fork.Process(target=work, args=(there,))
    worker.start()
    here.recv()
    pids["worker %d" % n] = worker.pid
other = subprocess.Popen([OTHER, "-I", "-c", MAY + "print('up', flush=True); import sys; sys.stdin.read()"], stdin=own, stdout=subprocess.PIPE)
assert other.stdout.readline() == b"up\n"
pids["other"] = other.pid
cat = subprocess.Popen(["cat"], stdin=own)
pids["cat"] = cat.pid
ended = subprocess.Popen(["true"])
pids["ended"] = ended.pid
os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
with open(FACTS, "w") as facts:
    facts.write("\n".join("%s=%d" % pair for pair in pids.items()))
"#;

/// The tree, and who is who in it.
struct Tree {
    _scratch: Scratch,
    _master: Started,
    pids: BTreeMap<String, i64>,
}

impl Tree {
    /// As `Started::python`, of a script of this name.
    fn new(name: &str) -> Tree {
        let [python, other] = interpreters();
        let scratch = Scratch::new().unwrap();
        let (script, facts) = (scratch.path().join(name), scratch.path().join("facts"));
        let may = common::MAY_BE_TRACED;
        let head = format!("{may}\nFACTS, OTHER, MAY = {facts:?}, {:?}, {may:?}", other.path);
        std::fs::write(&script, format!("{head}\n{TREE}\nprint('READY', flush=True)\nsys.stdin.read()")).unwrap();
        let master = Started::ready(Command::new(&python.path).arg("-I").arg(&script));
        let told = std::fs::read_to_string(&facts).unwrap();
        let pids = told.lines().map(|l| l.split_once('=').unwrap()).map(|(who, pid)| (who.to_string(), pid.parse().unwrap())).collect();
        Tree { _scratch: scratch, _master: master, pids }
    }

    fn pid(&self, who: &str) -> String {
        self.pids[who].to_string()
    }

    /// The Pythons, in the order of the tree.
    fn pythons(&self) -> Vec<i64> {
        ["master", "worker 0", "worker 1", "other"].map(|who| self.pids[who]).to_vec()
    }
}

/// Two releases whose names stand in their own command lines, not behind a loader.
fn interpreters() -> [&'static Interpreter; 2] {
    let all = || testbed::interpreters().found.iter().filter(|i| i.path == i.executable && i.not_covered().is_none());
    let newest = all().max_by_key(|i| (i.minor, i.micro)).unwrap();
    [newest, all().min_by_key(|i| (i.minor, i.micro)).unwrap()]
}

fn json(ran: &Ran) -> Vec<Value> {
    ran.answered().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An answer without what is another each time.
fn still(mut answer: Value) -> Value {
    answer["target"] = Value::Null;
    answer
}

fn pid_of(answer: &Value) -> i64 {
    answer["target"]["pid"].as_i64().unwrap()
}

#[test]
fn a_tree_answers_as_its_processes_do_alone() {
    if !may_trace() {
        return;
    }
    let tree = Tree::new("tree.py");
    let master = tree.pid("master");
    let alone = |command: &str, pid: i64| json(&run(&[command, "--json", &pid.to_string()])).remove(0);

    // `types` is one sum.
    let answer = json(&run(&["types", "--json", "--children", &master])).remove(0);
    assert_eq!(answer["schema"], "exuvia/types-tree/1");
    let mut sums: BTreeMap<String, [u64; 4]> = BTreeMap::new();
    for pid in tree.pythons() {
        let one = alone("types", pid);
        let told = answer["processes"].as_array().unwrap().iter().find(|p| p["pid"] == pid).unwrap();
        assert_eq!((&told["coverage"], &told["refused"]), (&one["coverage"], &Value::Null), "{pid}");
        assert_eq!(told["target"]["python"], one["target"]["python"]);
        for row in one["types"].as_array().unwrap() {
            let sum = sums.entry(row["type"].as_str().unwrap().to_owned()).or_default();
            for (sum, key) in sum.iter_mut().zip(["count", "own_bytes", "footprint_bytes"]) {
                *sum += row[key].as_u64().unwrap();
            }
            sum[3] += 1;
        }
    }
    let told = answer["types"].as_array().unwrap().iter().map(|row| {
        let numbers = ["count", "own_bytes", "footprint_bytes", "processes"].map(|key| row[key].as_u64().unwrap());
        (row["type"].as_str().unwrap().to_owned(), numbers)
    });
    assert_eq!(told.collect::<BTreeMap<_, _>>(), sums);
    assert_eq!(sums["__main__.Order"][0], 3 * 1200 + 2 * 300);
    assert_eq!((sums["__main__.Order"][3], sums["dict"][3]), (3, 4));

    // Those that are no Python are named with their reason, and so is who is whose child.
    let process = |who: &str| {
        let all = answer["processes"].as_array().unwrap();
        all.iter().find(|p| p["pid"] == tree.pids[who]).unwrap_or_else(|| panic!("no {who}: {all:#?}")).clone()
    };
    assert!(process("cat")["refused"].as_str().unwrap().contains("not a CPython process"), "{}", process("cat"));
    assert!(process("ended")["refused"].as_str().unwrap().contains("ended"), "{}", process("ended"));
    assert_eq!((&process("master")["parent"], &process("worker 1")["parent"]), (&Value::Null, &tree.pids["master"].into()));

    // The others answer for each.
    for command in ["retained", "cycles"] {
        let mut answers = json(&run(&[command, "--json", "--children", &master]));
        let last = answers.pop().unwrap();
        assert_eq!(last["schema"], "exuvia/children/1");
        assert_eq!(last["processes"].as_array().unwrap().len(), tree.pids.len(), "{last:#}");
        assert_eq!(answers.iter().map(pid_of).collect::<Vec<_>>(), tree.pythons(), "{command}");
        for answer in answers {
            assert_eq!(still(alone(command, pid_of(&answer))), still(answer), "{command}");
        }
    }
    let ran = run(&["objects", "--type", "list", "--children", &master]);
    let text = ran.answered();
    for (who, parent) in [("master", None), ("worker 0", Some("master")), ("other", Some("master"))] {
        let parent = parent.map_or(String::new(), |parent| format!(", child of {}", tree.pid(parent)));
        assert!(text.contains(&format!("== {}{parent}: ", tree.pid(who))), "{text}");
    }
    assert!(text.contains("\n4 of 6 processes answered\n") && text.contains("not a CPython process (cat)\n"), "{text}");

    // A limit that one crosses is told when all have answered.
    let ran = run(&["explain", "--children", "--fail-over", "1B", &master]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.stdout.contains("4 of 6 processes answered") && ran.stderr.contains(&format!("process {master}: ")), "{ran:#?}");

    // One snapshot each.
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path().join("all");
    run(&["snapshot", "--children", &master, "-o", folder.to_str().unwrap()]).answered();
    for pid in tree.pythons() {
        let saved = folder.join(pid.to_string());
        let saved = json(&run(&["types", "--json", saved.to_str().unwrap()])).remove(0);
        assert_eq!(saved["types"], alone("types", pid)["types"], "{pid}");
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 4);

    // `ledger` calls it --tree, too.
    for option in ["--tree", "--children"] {
        let answer = json(&run(&["ledger", "--json", option, &master])).remove(0);
        assert_eq!((&answer["schema"], &answer["processes"][0]["pid"]), (&"exuvia/ledger-tree/1".into(), &tree.pids["master"].into()));
    }
}

#[test]
fn a_name_means_the_tree_of_its_master() {
    if !may_trace() {
        return;
    }
    let name = format!("exuvia-tree-of-{}.py", std::process::id());
    let tree = Tree::new(&name);
    // The forked workers have the master's command line.
    let [_, why, advice] = run(&["types", &name]).refused(2).map(str::to_owned);
    assert!(why.contains("3 Python processes are called so") && advice.contains("--children"), "{why} {advice}");
    let answer = json(&run(&["types", "--json", "--children", &name])).remove(0);
    assert_eq!(answer["processes"][0]["pid"], tree.pids["master"]);
    let other = Tree::new(&name);
    let ran = run(&["types", "--children", &name]);
    let [what, why, advice] = ran.refused(2);
    assert!(what.contains("one tree") && why.contains("they are 2 trees"), "{ran:#?}");
    assert!([&tree, &other].iter().any(|t| advice.ends_with(&t.pid("master"))), "{ran:#?}");
}

#[test]
fn what_has_no_children_is_refused_in_three_lines() {
    if !may_trace() {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let file = scratch.path().join("core");
    std::fs::write(&file, "core").unwrap();
    let (folder, file) = (scratch.path().to_str().unwrap(), file.to_str().unwrap());
    let program = Path::new("/bin/true").to_str().unwrap();
    for (words, why) in [
        (vec![folder], "snapshot of one process"),
        (vec![file], "a core is of one process"),
        (vec!["--", program], "looked at alone"),
        (vec![], "looks at a process"),
        (vec!["1", "--root", "/"], "runs"),
        (vec!["1", "--after", "1s"], "runs already"),
    ] {
        for command in ["types", "explain", "ledger"] {
            let ran = run(&[&[command, "--children"], words.as_slice()].concat());
            assert!(ran.refused(2)[1].contains(why), "{words:?}: {ran:#?}");
        }
    }
    let ran = run(&["snapshot", "--children", "1", "-o", "-"]);
    assert!(ran.refused(2)[1].contains("a stream has one"), "{ran:#?}");

    // A tree without a Python: alone and with a child.
    let mut cat = Command::new("sh").args(["-c", "cat; true"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    for command in ["types", "explain"] {
        run(&[command, "--children", &cat.id().to_string()]).refused(3);
    }
    drop(cat.stdin.take());
    cat.wait().unwrap();
}
