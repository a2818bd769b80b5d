//! `exuvia compare --revisions` beside what else a repository is used for: a commit that goes on, a git that waits, paths that lead out of it.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{exuvia, python, ran, Ran};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use serde_json::Value;
use testbed::Scratch;

/// With 4 figures of 2 variants the fewest for a verdict.
const REPEAT: &str = "8";

fn this_python() -> &'static str {
    python().path.to_str().unwrap()
}

fn git(folder: &Path, words: &[&str]) -> String {
    let config = ["-c", "user.name=N", "-c", "user.email=n@example.invalid", "-c", "commit.gpgsign=false"];
    let ran = ran(Command::new("git").args(config).args(words).current_dir(folder).env("LC_ALL", "C"));
    assert_eq!(ran.code, Some(0), "{words:?}: {ran:#?}");
    ran.stdout
}

fn script(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A repository of two commits, with a program in a folder.
fn repository(scratch: &Scratch) -> PathBuf {
    let top = scratch.path().join("shop");
    std::fs::create_dir_all(top.join("tools")).unwrap();
    git(&top, &["init", "-q", "."]);
    std::fs::write(top.join("tools/app.py"), "import extmod\n").unwrap();
    for state in ["first", "second"] {
        std::fs::write(top.join("state"), state).unwrap();
        git(&top, &["add", "."]);
        git(&top, &["commit", "-q", "-m", state]);
    }
    top
}

#[test]
fn a_commit_holds_what_it_shall_where_its_hook_compares() {
    // git gives its hooks the index that becomes the commit.
    let scratch = Scratch::new().unwrap();
    let top = repository(&scratch);
    let done = scratch.path().join("done");
    let words = ["compare", "--repeat", REPEAT, "--revisions", "HEAD~1,HEAD", "--", this_python(), "-c", "pass"];
    let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let text = format!(
        "#!/bin/sh\n'{}' {} >/dev/null || exit 1\necho >> '{}'\n",
        exuvia().get_program().to_str().unwrap(),
        words.join(" "),
        done.display()
    );
    script(&top.join(".git/hooks/pre-commit"), &text);
    for (state, add, commit) in [("third", false, "-qam"), ("fourth", true, "-qm")] {
        std::fs::write(top.join("state"), state).unwrap();
        if add {
            git(&top, &["add", "state"]);
        }
        git(&top, &["commit", commit, state]);
        assert_eq!((git(&top, &["show", "HEAD:state"]).as_str(), git(&top, &["status", "--porcelain"]).as_str()), (state, ""));
    }
    assert_eq!(std::fs::read_to_string(done).unwrap().lines().count(), 2);
    // A folder of git's that is named on purpose, and is another than the one here, is none to guess about.
    let other = scratch.path().join("other");
    std::fs::create_dir(&other).unwrap();
    git(&other, &["init", "-q", "."]);
    let refused = ran(exuvia()
        .args(["compare", "--revisions", "HEAD~1,HEAD", "--", this_python(), "-c", "pass"])
        .current_dir(&top)
        .env("GIT_DIR", other.join(".git")));
    assert!(refused.refused(2).join(" ").contains("GIT_DIR"), "{refused:#?}");
}

#[test]
fn a_git_that_waits_ends_with_the_comparison() {
    let scratch = Scratch::new().unwrap();
    let top = repository(&scratch);
    let (programs, begun) = (scratch.path().join("programs"), scratch.path().join("begun"));
    std::fs::create_dir(&programs).unwrap();
    let real = std::env::split_paths(&std::env::var_os("PATH").unwrap()).map(|at| at.join("git")).find(|path| path.is_file()).unwrap();
    let at = begun.display();
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in *'worktree add'*) echo $$ > {at}.new; mv {at}.new {at}; exec sleep 60;; esac\nexec {} \"$@\"\n",
        real.display()
    );
    script(&programs.join("git"), &text);
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut command = exuvia();
    command.args(["compare", "--revisions", "HEAD~1,HEAD", "--", this_python(), "-c", "pass"]).current_dir(&top).env("PATH", path);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !begun.exists() {
        std::thread::yield_now();
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(3) && said.contains("no run came to its end"), "{output:?}");
    let waiting: i32 = std::fs::read_to_string(&begun).unwrap().trim().parse().unwrap();
    assert!(kill(Pid::from_raw(waiting), None).is_err(), "it still waits");
    assert_eq!(git(&top, &["worktree", "list"]).lines().count(), 1);
}

#[test]
fn paths_that_lead_out_of_the_repository_stay_where_they_lead() {
    let scratch = Scratch::new().unwrap();
    let top = repository(&scratch);
    let ext = scratch.path().join("ext");
    std::fs::create_dir(&ext).unwrap();
    std::fs::write(ext.join("extmod.py"), "").unwrap();
    std::fs::write(ext.join("run.py"), "import sys\nopen(sys.argv[1]).close()\n").unwrap();
    std::os::unix::fs::symlink(this_python(), ext.join("python3")).unwrap();
    let ask = |words: &[&str]| -> Ran {
        let mut command = exuvia();
        command.args(["compare", "--json", "--repeat", REPEAT, "--revisions", "HEAD~1,HEAD", "--"]).args(words);
        ran(command.current_dir(top.join("tools")).env("PYTHONPATH", "../../ext"))
    };
    let outside = ["../../ext/python3", "../../ext/run.py", "../../ext/extmod.py"];
    for words in [&[this_python(), "app.py"][..], &outside, &[this_python(), "../../ext/run.py", "../state"]] {
        let answer: Value = serde_json::from_str(ask(words).answered()).unwrap();
        for variant in answer["variants"].as_array().unwrap() {
            assert!(variant["failed"].is_null() && variant["runs"].as_array().unwrap().len() == 8, "{words:?}: {answer:#}");
        }
    }
}
