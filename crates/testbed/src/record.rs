//! Holds the record of what ran: for each test that goes over interpreters, one file beside the build's own folders, from which
//! `cargo xtask matrix` makes docs/support-matrix.md.
//! Never decides anything: a record that cannot be written is printed, and the test goes on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

/// What became of a test with one interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It was not run, with the reason.
    LeftOut(String),
}

/// Test → interpreter → outcome, of this process so far: a test may go over the interpreters more than once.
static RECORD: Mutex<BTreeMap<String, BTreeMap<String, Outcome>>> = Mutex::new(BTreeMap::new());

/// Notes what became of the running test with the interpreter of that name. A failure stays one.
pub fn note(interpreter: &str, outcome: Outcome) {
    let thread = std::thread::current();
    // The harness names each test's thread after it. Where it runs them in the first one, nothing tells which test this is.
    let (Some(test), Some(suite)) = (thread.name().filter(|name| *name != "main"), suite()) else { return };
    let Ok(mut record) = RECORD.lock() else { return };
    let of_test = record.entry(test.to_owned()).or_default();
    match of_test.get(interpreter) {
        Some(Outcome::Failed) => {}
        Some(Outcome::Passed) if matches!(outcome, Outcome::LeftOut(_)) => {}
        _ => drop(of_test.insert(interpreter.to_owned(), outcome)),
    }
    let lines: Vec<String> = of_test.iter().map(|(name, outcome)| line(name, outcome)).collect();
    let folder = folder().join(suite);
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join(test.replace("::", ".")), lines.concat()));
    if let Err(e) = written {
        println!("no record of this test: {}: {e}", folder.display());
    }
}

/// Interpreter, outcome and reason, with tabs between.
fn line(interpreter: &str, outcome: &Outcome) -> String {
    let (word, reason) = match outcome {
        Outcome::Passed => ("passed", ""),
        Outcome::Failed => ("failed", ""),
        Outcome::LeftOut(reason) => ("left out", reason.as_str()),
    };
    format!("{interpreter}\t{word}\t{}\n", reason.replace(['\t', '\n'], " "))
}

/// Where the records stand.
fn folder() -> PathBuf {
    crate::packages::folder().with_file_name("tests-ran")
}

/// The test program's name, without the hash that cargo puts behind it.
fn suite() -> Option<String> {
    let name = std::env::current_exe().ok()?.file_name()?.to_string_lossy().into_owned();
    Some(name.rsplit_once('-').map_or(name.clone(), |(name, _)| name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_stays_and_reasons_are_one_line() {
        note("9.9", Outcome::Failed);
        note("9.9", Outcome::Passed);
        note("9.8", Outcome::Passed);
        note("9.8", Outcome::LeftOut("later".to_owned()));
        note("9.7", Outcome::LeftOut("no\nwheel".to_owned()));
        let file = folder().join(suite().unwrap()).join("record.tests.a_failure_stays_and_reasons_are_one_line");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "9.7\tleft out\tno wheel\n9.8\tpassed\t\n9.9\tfailed\t\n");
        std::fs::remove_file(file).unwrap();
    }
}
