//! `cargo xtask docs`: real output between the markers of README.md.
//!
//! Holds: the search for markers and the run of the command in each. Never: writes output that no run gave.
//! A marker is a comment of its own line, `<!-- output: exuvia ARGUMENTS -->`; the next `<!-- /output -->` ends what it owns.

use std::path::Path;
use std::process::Command;

use crate::trouble::{Doing, Done, Trouble};

/// What `--help` says of it.
pub(crate) const HELP: &str = "\
cargo xtask docs                          real output between the markers of README.md";

const PAGE: &str = "README.md";
const BEGIN: &str = "<!-- output: ";
const END: &str = "<!-- /output -->";

/// Builds the command and fills the page of the workspace at `root`.
pub(crate) fn run(root: &Path, words: &[String]) -> Done<()> {
    if !words.is_empty() {
        return Err(Trouble::new(format!("which docs?\n\n{HELP}")));
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(["build", "--release", "--quiet"]).current_dir(root).status().doing("cargo build")?;
    if !built.success() {
        return Err(Trouble::new("cargo build --release failed".to_owned()));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    let exuvia = target.join("release/exuvia");
    let path = root.join(PAGE);
    let page = std::fs::read_to_string(&path).doing(PAGE)?;
    let filled = fill(&page, |command| output(root, &exuvia, command))?;
    std::fs::write(&path, filled).doing(PAGE)
}

/// The page with each marker's output replaced by what `run` gives for its command.
fn fill(page: &str, mut run: impl FnMut(&str) -> Done<String>) -> Done<String> {
    let mut filled = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        filled += line;
        filled.push('\n');
        let Some(command) = line.strip_prefix(BEGIN).and_then(|l| l.strip_suffix(" -->")) else { continue };
        if !lines.by_ref().any(|l| l == END) {
            return Err(Trouble::new(format!("{PAGE}: no {END} behind {line}")));
        }
        filled += &format!("\n```\n{}\n```\n\n{END}\n", run(command)?.trim_end());
    }
    Ok(filled)
}

/// What the command writes to a terminal of 80 columns.
fn output(root: &Path, exuvia: &Path, command: &str) -> Done<String> {
    let words: Vec<&str> = command.split(' ').collect();
    let Some(("exuvia", arguments)) = words.split_first().map(|(first, rest)| (*first, rest)) else {
        return Err(Trouble::new(format!("{PAGE}: {command} is no command of ours")));
    };
    let output =
        Command::new(exuvia).args(arguments).env("COLUMNS", "80").env("NO_COLOR", "1").current_dir(root).output().doing(command)?;
    if !output.status.success() {
        return Err(Trouble::new(format!("{command}: {}", String::from_utf8_lossy(&output.stderr))));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_replaces_what_stood_between_the_markers() {
        let page = "a\n<!-- output: exuvia x -->\nold\nolder\n<!-- /output -->\nb\n";
        let filled = fill(page, |c| Ok(format!("new of {c}\n"))).unwrap();
        assert_eq!(filled, "a\n<!-- output: exuvia x -->\n\n```\nnew of exuvia x\n```\n\n<!-- /output -->\nb\n");
        // What it wrote it can replace again.
        assert_eq!(fill(&filled, |c| Ok(format!("new of {c}\n"))).unwrap(), filled);
        assert!(fill("<!-- output: exuvia x -->\n", |_| Ok(String::new())).is_err());
    }
}
