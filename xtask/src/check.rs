//! `cargo xtask check`: all that CI does, in CI's order.
//!
//! Holds: the list of steps. Never: installs anything; `.ci/run` does that and then calls this.

use std::path::Path;
use std::process::Command;

use crate::trouble::{Doing, Done, Trouble};
use crate::{layouts, tidy};

/// What `--help` says of it.
pub(crate) const HELP: &str = "\
cargo xtask check                         all that CI does: fmt, clippy, tidy, layouts, tests
  --no-tests                              all but the tests";

/// The command that the README tells a reader to run.
pub(crate) const TEST: &[&str] = &["test", "--workspace"];

/// Runs all steps in the workspace at `root`; the first that fails ends it.
pub(crate) fn run(root: &Path, words: &[String]) -> Done<()> {
    let with_tests = match words {
        [] => true,
        [word] if word == "--no-tests" => false,
        _ => return Err(Trouble::new(format!("which check?\n\n{HELP}"))),
    };
    cargo(root, &["fmt", "--all", "--check"])?;
    cargo(root, &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    announce("xtask tidy");
    tidy::run(root)?;
    announce("xtask layouts --check");
    layouts::run(root, &["--check".to_owned()])?;
    if with_tests {
        cargo(root, TEST)?;
    }
    Ok(())
}

fn announce(what: &str) {
    eprintln!("--- {what}");
}

fn cargo(root: &Path, arguments: &[&str]) -> Done<()> {
    let words = arguments.join(" ");
    announce(&format!("cargo {words}"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(arguments).current_dir(root).status().doing("cargo")?;
    match status.success() {
        true => Ok(()),
        false => Err(Trouble::new(format!("cargo {words} failed"))),
    }
}
