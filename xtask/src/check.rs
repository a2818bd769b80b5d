//! `cargo xtask check`: all that CI does, in CI's order.
//!
//! Holds: the list of steps. Never: installs anything; `.ci/run` does that and then calls this.

use std::path::Path;
use std::process::Command;

use crate::trouble::{Doing, Done, Trouble};
use crate::{layouts, tidy};

/// What `--help` says of it.
pub(crate) const HELP: &str = "\
cargo xtask check                         all that CI does: fmt, clippy, other systems, tidy, layouts, tests
  --no-tests                              all but the tests";

/// The command that the README tells a reader to run.
pub(crate) const TEST: &[&str] = &["test", "--workspace"];

/// Systems on which snapshots are read and no live process is.
const ELSEWHERE: &[&str] = &["aarch64-unknown-linux-gnu", "aarch64-apple-darwin"];

/// Runs all steps in the workspace at `root`; the first that fails ends it.
pub(crate) fn run(root: &Path, words: &[String]) -> Done<()> {
    let with_tests = match words {
        [] => true,
        [word] if word == "--no-tests" => false,
        _ => return Err(Trouble::new(format!("which check?\n\n{HELP}"))),
    };
    cargo(root, &["fmt", "--all", "--check"])?;
    cargo(root, &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    elsewhere(root)?;
    announce("xtask tidy");
    tidy::run(root)?;
    announce("xtask layouts --check");
    layouts::run(root, &["--check".to_owned()])?;
    if with_tests {
        cargo(root, TEST)?;
    }
    Ok(())
}

/// Snapshots are read where no live process can be: the command is checked for each such system whose standard library is installed.
fn elsewhere(root: &Path) -> Done<()> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().doing("rustc --print sysroot")?.stdout;
    let libraries = Path::new(String::from_utf8_lossy(&sysroot).trim()).join("lib/rustlib");
    let (installed, missing): (Vec<&str>, Vec<&str>) = ELSEWHERE.iter().partition(|name| libraries.join(name).join("lib").is_dir());
    for name in missing {
        announce(&format!("{name} is not checked: rustup target add {name}"));
    }
    installed.iter().try_for_each(|name| cargo(root, &["check", "--quiet", "--package", "exuvia", "--target", name]))
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
