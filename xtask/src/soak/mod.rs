//! `cargo xtask soak`: exuvia killed and run by the hundred beside programs that check themselves, and comparisons by the hundred of
//! programs whose difference is known; each run is kept.
//!
//! Holds: the task's arguments, the record, the order. Never: forgives: one error of the target, one child, one tracer, one lost
//! look ends the soak, and the record says which.

mod comparisons;
mod kills;
mod looks;
mod target;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use crate::bench::default_python;
use crate::bench::record::{self, Machine};
use crate::trouble::{Doing, Done, Trouble};

/// What `--help` says of it.
pub(crate) const HELP: &str = "\
cargo xtask soak                          kills and looks by the hundred; one file more in bench/runs
  --kills 200                             kill -9 of the command, of each of two targets
  --looks 2000                            looks at one busy target, over all modes
  --large 1100                            the larger target's megabytes
  --python PATH                           the targets' interpreter (else pyenv's newest 3.12)
cargo xtask soak --comparisons 100        instead: comparisons where nothing, 5 % of peak RSS, 20 % of time is planted, each so often";

#[derive(Debug)]
struct Arguments {
    kills: usize,
    looks: usize,
    large: u64,
    comparisons: usize,
    python: Option<PathBuf>,
}

impl Arguments {
    fn read(words: &[String]) -> Done<Arguments> {
        let mut read = Arguments { kills: 200, looks: 2000, large: 1100, comparisons: 0, python: None };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| Trouble::new(format!("{word}: a value is missing\n\n{HELP}")));
            match word.as_str() {
                "--kills" => read.kills = value()?.parse().doing("--kills")?,
                "--looks" => read.looks = value()?.parse().doing("--looks")?,
                "--comparisons" => {
                    let times: std::num::NonZeroUsize = value()?.parse().doing("--comparisons")?;
                    (read.kills, read.looks, read.comparisons) = (0, 0, times.get());
                }
                "--large" => read.large = value()?.parse().doing("--large")?,
                "--python" => read.python = Some(value()?.into()),
                _ => return Err(Trouble::new(format!("{word}: not an option of this task\n\n{HELP}"))),
            }
        }
        Ok(read)
    }
}

/// One run, as it is kept.
#[derive(Serialize)]
struct Kept {
    schema: &'static str,
    date: String,
    machine: Machine,
    commit: String,
    command: String,
    python: String,
    kills: Vec<kills::Kills>,
    looks: Option<looks::Looks>,
    comparisons: Vec<comparisons::Comparisons>,
    /// What ended it early.
    failure: Option<String>,
}

/// Runs the task in the workspace at `root`.
pub(crate) fn run(root: &Path, words: &[String]) -> Done<()> {
    let arguments = Arguments::read(words)?;
    let python = arguments.python.clone().map_or_else(default_python, Ok)?;
    let mut kept = Kept {
        schema: "exuvia/soak/1",
        date: record::now()?,
        machine: Machine::this()?,
        commit: record::commit(root)?,
        command: ["cargo xtask soak"].into_iter().chain(words.iter().map(String::as_str)).collect::<Vec<_>>().join(" "),
        python: record::said(Command::new(&python).args(["-c", "import platform; print(platform.python_version())"]))?,
        kills: Vec::new(),
        looks: None,
        comparisons: Vec::new(),
        failure: None,
    };
    let soaked = soak(root, &arguments, &python, &mut kept);
    kept.failure = soaked.as_ref().err().map(ToString::to_string);
    let path = format!("{}/{}{}.json", record::RUNS, record::SOAK, kept.date.replace(':', "-"));
    let text = serde_json::to_string_pretty(&kept).doing(&path)?;
    std::fs::write(root.join(&path), text + "\n").doing(&path)?;
    println!("kept as {path}");
    soaked
}

fn soak(root: &Path, arguments: &Arguments, python: &Path, kept: &mut Kept) -> Done<()> {
    let exuvia = crate::bench::built(root)?;
    let script = root.join("bench/targets/busy_heap.py");
    for megabytes in [1, arguments.large] {
        if arguments.kills > 0 {
            kept.kills.push(kills::kill(&exuvia, python, &script, megabytes, arguments.kills)?);
        }
    }
    if arguments.looks > 0 {
        kept.looks = Some(looks::look(&exuvia, python, &script, arguments.looks)?);
    }
    if arguments.comparisons > 0 {
        let script = root.join("bench/targets/planted.py");
        comparisons::compare(&exuvia, python, &script, arguments.comparisons, &mut kept.comparisons)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn arguments_are_read_or_refused() {
        let read = |text: &str| Arguments::read(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let some = read("--kills 3 --looks 5 --large 7").unwrap();
        assert_eq!((some.kills, some.looks, some.large), (3, 5, 7));
        let comparisons = read("--comparisons 9").unwrap();
        assert_eq!((comparisons.kills, comparisons.looks, comparisons.comparisons), (0, 0, 9));
        assert!(read("--kills").is_err() && read("--kills many").is_err() && read("--more 1").is_err());
    }
}
