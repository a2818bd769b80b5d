//! `cargo xtask matrix`: docs/support-matrix.md from the record of the tests that ran.
//!
//! Holds: the reading of the record (`testbed::record` writes it) and the page. Never: runs a test, or calls supported what no test ran on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::time::SystemTime;

use crate::bench::record::{commit, now, said};
use crate::trouble::{Doing, Done, Trouble};

/// What `--help` says of it.
pub(crate) const HELP: &str = "\
cargo xtask matrix                        docs/support-matrix.md from the tests that ran last (cargo test --workspace)";

/// The page.
pub(crate) const PAGE: &str = "docs/support-matrix.md";
/// Tests of the tests, which say nothing about exuvia.
const OWN: &str = "exuvia_testbed";

/// Interpreter → outcome, and the reason where it was left out.
type Row = BTreeMap<String, (String, String)>;
/// (suite, test) → row.
type Record = BTreeMap<(String, String), Row>;

/// Writes the page of the workspace at `root`.
pub(crate) fn run(root: &Path, words: &[String]) -> Done<()> {
    if !words.is_empty() {
        return Err(Trouble::new(format!("which matrix?\n\n{HELP}")));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    let commit = commit(root)?;
    let seconds = said(std::process::Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(root))?;
    let since = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds.parse().doing("git log")?);
    let record = read(&target.join("tests-ran"), since)?;
    if record.is_empty() {
        return Err(Trouble::new("no test ran since the last commit: cargo test --workspace".to_owned()));
    }
    let failed: Vec<&str> =
        record.iter().filter(|(_, row)| row.values().any(|(o, _)| o == "failed")).map(|((_, t), _)| t.as_str()).collect();
    if !failed.is_empty() {
        return Err(Trouble::new(format!("the last run failed: {}", failed.join(", "))));
    }
    if record.values().flat_map(BTreeMap::values).any(|(_, reason)| reason.starts_with("EXUVIA_ONLY")) {
        return Err(Trouble::new("the last run was of one release only: cargo test --workspace without EXUVIA_ONLY".to_owned()));
    }
    let text = page(&record, now()?.get(..10).unwrap_or_default(), &commit);
    std::fs::write(root.join(PAGE), text).doing(PAGE)
}

/// What ran since the commit.
fn read(folder: &Path, since: SystemTime) -> Done<Record> {
    let mut record = Record::new();
    let Ok(suites) = folder.read_dir() else { return Ok(record) };
    for suite in suites {
        let suite = suite.doing("the record")?;
        let name = suite.file_name().to_string_lossy().into_owned();
        for test in suite.path().read_dir().doing("the record")? {
            let test = test.doing("the record")?;
            if name == OWN || test.metadata().and_then(|m| m.modified()).doing("the record")? < since {
                continue;
            }
            let text = std::fs::read_to_string(test.path()).doing("the record")?;
            record.insert((name.clone(), test.file_name().to_string_lossy().into_owned()), row(&text));
        }
    }
    Ok(record)
}

fn row(text: &str) -> Row {
    let parts = text.lines().filter_map(|line| {
        let mut parts = line.split('\t');
        Some((parts.next()?.to_owned(), (parts.next()?.to_owned(), parts.next().unwrap_or("").to_owned())))
    });
    parts.collect()
}

/// The page. Interpreters are columns; builds that are refused have a list of their own.
fn page(record: &Record, date: &str, commit: &str) -> String {
    let is_read = |name: &str| name.starts_with(|c: char| c.is_ascii_digit());
    let mut columns: Vec<&str> =
        record.values().flat_map(BTreeMap::keys).map(String::as_str).filter(|n| is_read(n)).collect::<BTreeSet<_>>().into_iter().collect();
    columns.sort_by_key(|name| release(name));
    let mut text = format!(
        "# What was run on what\n\nMade by `cargo xtask matrix` from the record of `cargo test --workspace` of {date}, commit `{commit}`, on Linux \
         on x86-64: a mark says that the test ran with that interpreter and passed. What has no mark was not run, and is not called supported.\n\n\
         (system) is Debian 12's own interpreter, stripped; (trixie) and (sid) are Debian's packages, started through their own loader and \
         C library; the others are pyenv's builds.\n"
    );
    let mut reasons: Vec<&str> = Vec::new();
    let mut suite = "";
    for ((of, test), row) in record.iter().filter(|(_, row)| row.keys().any(|name| is_read(name))) {
        if suite != of {
            suite = of;
            let _ = write!(text, "\n## `--test {of}`\n\n| test | {} |\n| --- |{}\n", columns.join(" | "), " :-: |".repeat(columns.len()));
        }
        let _ = write!(text, "| {} |", shown(test));
        for column in &columns {
            let cell = match row.get(*column) {
                Some((outcome, _)) if outcome == "passed" => "✓".to_owned(),
                Some((_, reason)) => {
                    let at = reasons.iter().position(|known| known == reason).unwrap_or_else(|| {
                        reasons.push(reason);
                        reasons.len() - 1
                    });
                    format!("({})", at + 1)
                }
                None => String::new(),
            };
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    if !reasons.is_empty() {
        text.push_str("\nLeft out:\n\n");
        for (at, reason) in reasons.iter().enumerate() {
            let _ = writeln!(text, "- ({}) {reason}", at + 1);
        }
    }
    text.push_str("\n## Refused with one clear error\n\n");
    for ((suite, test), row) in record {
        for name in row.keys().filter(|name| !is_read(name)) {
            let _ = writeln!(text, "- {name} (`--test {suite} {test}`)");
        }
    }
    text
}

/// The test's name as words.
fn shown(test: &str) -> String {
    test.rsplit('.').next().unwrap_or(test).replace('_', " ")
}

/// 3.9.18 before 3.11.2.
fn release(name: &str) -> (Vec<u32>, &str) {
    let numbers = name.split(' ').next().unwrap_or("").split('.').filter_map(|n| n.parse().ok()).collect();
    (numbers, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_stands_where_a_test_passed_and_nowhere_else() {
        let mut record = Record::new();
        record.insert(("parity".into(), "all_found".into()), row("3.9.1\tpassed\t\n3.11.2 (system)\tleft out\tno wheel\n"));
        record.insert(("parity".into(), "again".into()), row("3.10.4\tpassed\t\n"));
        record.insert(("clear".into(), "pypy".into()), row("PyPy\tpassed\t\n"));
        let page = page(&record, "2026-01-02", "abc");
        assert!(page.contains("| test | 3.9.1 | 3.10.4 | 3.11.2 (system) |\n"), "{page}");
        assert!(page.contains("| all found | ✓ |  | (1) |\n"), "{page}");
        assert!(page.contains("- (1) no wheel\n") && page.contains("- PyPy (`--test clear pypy`)\n"), "{page}");
    }
}
