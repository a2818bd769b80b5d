//! `cargo xtask tidy`: the invariants of ARCHITECTURE.md that can be seen by reading the tree.
//!
//! Holds: the list of checks and the tree that they read. Never: builds or runs anything but `git ls-files` and `cargo metadata`.
//! A check is a function from the tree to complaints; its test plants a violation.

mod asked;
mod code;
mod documents;
mod source;
mod workspace;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::trouble::{Doing, Done, Trouble};

/// What `--help` says of it.
pub(crate) const HELP: &str = "\
cargo xtask tidy                          the invariants that can be seen by reading the tree";

/// What the checks read: the files that git knows or would add, and the workspace as cargo sees it.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Text by path from the root, with `/`. Files that are no text are left out.
    pub(crate) files: BTreeMap<String, String>,
    /// What `cargo metadata --no-deps` says.
    pub(crate) metadata: Value,
}

/// One complaint: where, and what is wrong there.
pub(crate) type Complaint = String;

type Check = fn(&Tree) -> Vec<Complaint>;

/// Every check and the sentence that it holds.
const CHECKS: &[(&str, Check)] = &[
    ("every source file opens with its card", code::cards),
    ("unsafe is forbidden in every crate but target, and lives in its src/sys", code::unsafe_rooms),
    ("every unsafe block says who guarantees what", code::safety_remarks),
    ("only the command prints", code::printing),
    ("only cpython::layout compares versions", code::versions),
    ("no file is longer than 600 lines", code::lengths),
    ("nothing right of snapshot can reach a process", workspace::right_of_snapshot),
    ("every dependency has its reason", workspace::reasons),
    ("no registry's host and no path of a machine", documents::hosts_and_paths),
    ("ARCHITECTURE.md lists the crates that there are", documents::architecture),
    ("the glossary is there", documents::glossary),
    ("docs/support-matrix.md is about the tests that there are", documents::support_matrix),
    ("the benchmark's table is what the kept runs say", documents::bench_section),
    ("every layout table is in the list, and the list has no other", documents::tables),
    ("every struct and field that is asked of a layout table is in one", asked::fields),
];

/// Runs all checks in the workspace at `root`.
pub(crate) fn run(root: &Path) -> Done<()> {
    let tree = Tree::read(root)?;
    let mut complaints = Vec::new();
    for (sentence, check) in CHECKS {
        complaints.extend(check(&tree).into_iter().map(|complaint| format!("{complaint}\n    ({sentence})")));
    }
    match complaints.is_empty() {
        true => {
            println!("tidy: {} checks, {} files", CHECKS.len(), tree.files.len());
            Ok(())
        }
        false => Err(Trouble::new(format!("the tree is not tidy\n  {}", complaints.join("\n  ")))),
    }
}

impl Tree {
    fn read(root: &Path) -> Done<Tree> {
        let listed = output(Command::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root))?;
        let mut files = BTreeMap::new();
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            // A file that was deleted and not yet committed is listed still.
            if let Ok(bytes) = std::fs::read(root.join(path)) {
                if let Ok(text) = String::from_utf8(bytes) {
                    files.insert(path.to_owned(), text);
                }
            }
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let metadata = output(Command::new(cargo).args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(root))?;
        Ok(Tree { files, metadata: serde_json::from_str(&metadata).doing("cargo metadata")? })
    }

    /// Rust files below `crates/*/src`, as (path, crate, text).
    pub(crate) fn sources(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.files.iter().filter_map(|(path, text)| {
            let (krate, rest) = path.strip_prefix("crates/")?.split_once('/')?;
            (rest.starts_with("src/") && rest.ends_with(".rs")).then_some((path.as_str(), krate, text.as_str()))
        })
    }
}

fn output(command: &mut Command) -> Done<String> {
    let output = command.output().doing(format_args!("{command:?}"))?;
    match output.status.success() {
        true => String::from_utf8(output.stdout).doing(format_args!("{command:?}")),
        false => Err(Trouble::new(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))),
    }
}

/// A tree of these files, for the tests of the checks.
#[cfg(test)]
pub(crate) fn tree(files: &[(&str, &str)]) -> Tree {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    Tree { files, metadata: Value::Null }
}
