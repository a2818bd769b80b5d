//! `cargo xtask bench`: exuvia beside other tools on the same heaps in the same run, every answer checked, every value kept.
//!
//! Holds: the command's arguments and the order of the samples. Never: optimises for the table: the rows that we lose stand in it.

mod ledger;
mod questions;
pub(crate) mod record;
mod runners;
pub(crate) mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use record::{Machine, Record, SCHEMA};
use runners::{Bench, PEERS};

use crate::pythons;
use crate::trouble::{Doing, Done, Trouble};

/// What `--help` says of it.
pub(crate) const HELP: &str = "\
cargo xtask bench                         exuvia beside guppy3, pympler, objgraph and refcycle; one file more in bench/runs
  --sizes 30000,300000,3000000            the heaps, as the N of bench/targets/service_heap.py
  --tools exuvia,guppy3,pympler,getsizeof,questions,ledger
                                          which tools; questions: pympler asizeof, guppy3, objgraph, refcycle on who holds what;
                                          ledger: exuvia ledger, and psutil's sums of the same process
  --repeat 5                              samples of each; else 5, at a million and above 3 of exuvia and 1 of the others
  --python PATH                           the target's interpreter (else pyenv's newest 3.12)
  --table                                 write the medians over all kept runs into README.md; measure nothing";

const SIZES: &[u64] = &[30_000, 300_000, 3_000_000];
/// From this N on a peer takes minutes.
const LARGE: u64 = 1_000_000;
const README: &str = "README.md";

#[derive(Debug)]
struct Arguments {
    sizes: Vec<u64>,
    tools: Vec<String>,
    repeat: Option<usize>,
    python: Option<PathBuf>,
    table: bool,
}

impl Arguments {
    fn read(words: &[String]) -> Done<Arguments> {
        let tools = ["exuvia"].iter().chain(PEERS).chain([&runners::QUESTIONS, &runners::LEDGER]).map(|tool| (*tool).to_owned()).collect();
        let mut read = Arguments { sizes: SIZES.to_vec(), tools, repeat: None, python: None, table: false };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| Trouble::new(format!("{word}: a value is missing\n\n{HELP}")));
            match word.as_str() {
                "--sizes" => read.sizes = value()?.split(',').map(str::parse).collect::<Result<_, _>>().doing("--sizes")?,
                "--tools" => read.tools = value()?.split(',').map(str::to_owned).collect(),
                "--repeat" => read.repeat = Some(value()?.parse().doing("--repeat")?),
                "--python" => read.python = Some(value()?.into()),
                "--table" => read.table = true,
                _ => return Err(Trouble::new(format!("{word}: not an option of this task\n\n{HELP}"))),
            }
        }
        match read
            .tools
            .iter()
            .find(|tool| *tool != "exuvia" && *tool != runners::QUESTIONS && *tool != runners::LEDGER && !PEERS.contains(&tool.as_str()))
        {
            Some(tool) => Err(Trouble::new(format!("{tool}: not one of the tools\n\n{HELP}"))),
            None => Ok(read),
        }
    }

    fn repeats(&self, tool: &str, n: u64) -> usize {
        self.repeat.unwrap_or(match (n >= LARGE, tool) {
            (true, "exuvia") => 3,
            // Each of them takes from a second to a minute.
            (_, runners::QUESTIONS | runners::LEDGER) => 1,
            (false, _) => 5,
            (true, _) => 1,
        })
    }
}

/// Runs the task in the workspace at `root`.
pub(crate) fn run(root: &Path, words: &[String]) -> Done<()> {
    if let Some((_, rest)) = words.split_first().filter(|(first, _)| *first == "--measure") {
        return runners::measure(rest);
    }
    let arguments = Arguments::read(words)?;
    if arguments.table {
        return write_table(root);
    }
    let python = match &arguments.python {
        Some(path) => path.clone(),
        None => default_python()?,
    };
    let release = record::said(Command::new(&python).args(["-c", "import platform; print(platform.python_version())"]))?;
    let (peers_python, peers) = match arguments.tools.iter().any(|tool| tool != "exuvia") {
        true => peers(root, &python, &release)?,
        false => (python.clone(), Vec::new()),
    };
    let bench = Bench { root, exuvia: built(root)?, python, peers_python };
    let mut kept = Record {
        schema: SCHEMA.to_owned(),
        date: record::now()?,
        machine: Machine::this()?,
        commit: record::commit(root)?,
        command: ["cargo xtask bench"].into_iter().chain(words.iter().map(String::as_str)).collect::<Vec<_>>().join(" "),
        python: release,
        peers,
        samples: Vec::new(),
    };
    for n in &arguments.sizes {
        for tool in &arguments.tools {
            for turn in 1..=arguments.repeats(tool, *n) {
                for sample in bench.samples(tool, *n)? {
                    println!(
                        "N={n} {} {turn}: {:.0} ms, stands still {:.1} ms{}{}, {} MiB, {} objects",
                        sample.tool,
                        sample.wall_ms,
                        sample.pause_ms,
                        sample.second_stop_ms.map(|ms| format!(", then {ms:.2} ms")).unwrap_or_default(),
                        sample.gap_ms.map(|gap| format!(" (the target saw {gap:.1} ms)")).unwrap_or_default(),
                        sample.peak_bytes >> 20,
                        sample.objects
                    );
                    kept.samples.push(sample);
                }
            }
        }
    }
    println!("kept as {}", kept.save(root)?);
    Ok(())
}

/// The kept runs among `files` of (path from the root, text).
pub(crate) fn kept<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Done<Vec<Record>> {
    files
        .filter(|(path, _)| {
            path.strip_prefix(record::RUNS)
                .is_some_and(|name| ![record::SOAK, record::FUZZ].iter().any(|start| name.starts_with(&format!("/{start}"))))
        })
        .filter(|(path, _)| path.ends_with(".json"))
        .map(|(path, text)| Record::parse(text).doing(path))
        .collect()
}

fn write_table(root: &Path) -> Done<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root.join(record::RUNS)).doing(record::RUNS)? {
        let path = entry.doing(record::RUNS)?.path();
        let text = std::fs::read_to_string(&path).doing(path.display())?;
        files.push((format!("{}/{}", record::RUNS, path.file_name().unwrap_or_default().to_string_lossy()), text));
    }
    let records = kept(files.iter().map(|(path, text)| (path.as_str(), text.as_str())))?;
    let section = table::section(&records);
    let path = root.join(README);
    let readme = std::fs::read_to_string(&path).doing(README)?;
    let written = table::written_into(&readme, &section)
        .ok_or_else(|| Trouble::new(format!("{README} has no {} and {}", table::BEGIN, table::END)))?;
    std::fs::write(&path, written).doing(README)?;
    println!("{section}");
    Ok(())
}

pub(crate) fn default_python() -> Done<PathBuf> {
    pythons::pyenv()
        .into_iter()
        .rfind(|(numbers, _)| numbers.starts_with(&[3, 12]))
        .map(|(_, path)| path)
        .ok_or_else(|| Trouble::new("pyenv has no 3.12 here: --python PATH"))
}

/// The command, built as users build it.
pub(crate) fn built(root: &Path) -> Done<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(["build", "--release"]).current_dir(root).status().doing("cargo build --release")?;
    match status.success() {
        true => Ok(target.join("release/exuvia")),
        false => Err(Trouble::new("cargo build --release failed")),
    }
}

/// An interpreter with the peers in a virtual environment below `target/`, and their versions.
fn peers(root: &Path, python: &Path, release: &str) -> Done<(PathBuf, Vec<String>)> {
    let requirements = root.join("bench/peers/requirements.txt");
    let wanted = std::fs::read_to_string(&requirements).doing(requirements.display())?;
    let versions: Vec<String> = wanted
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once("=="))
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let home = root.join(format!("target/bench-venv-{release}"));
    let inside = home.join("bin/python");
    // Installed once for each list of versions.
    let mark = home.join("installed");
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok((inside, versions));
    }
    eprintln!("installing {} into {}", versions.join(", "), home.display());
    record::said(Command::new(python).args(["-m", "venv"]).arg(&home))?;
    record::said(Command::new(&inside).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&requirements))?;
    std::fs::write(&mark, wanted).doing(mark.display())?;
    Ok((inside, versions))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn arguments_are_read_or_refused() {
        let read = |text: &str| Arguments::read(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let some = read("--sizes 1000,2000000 --tools exuvia,guppy3").unwrap();
        assert_eq!(some.sizes, [1000, 2_000_000]);
        assert_eq!((some.repeats("guppy3", 1000), some.repeats("guppy3", 2_000_000), some.repeats("exuvia", 2_000_000)), (5, 1, 3));
        assert!(read("--tools valgrind").is_err());
        assert!(read("--sizes many").is_err());
    }

    #[test]
    fn a_kept_run_reads_back_and_another_schema_is_refused() {
        let record = table::tests::record("2026-01-02T00:00:00Z", "cpu", &[("exuvia", 500.0)]);
        let text = serde_json::to_string(&record).unwrap();
        let files = [("bench/runs/a.json", text.as_str()), ("bench/other.json", "no run")];
        assert_eq!(kept(files.into_iter()).unwrap(), [record]);
        let other = text.replace(SCHEMA, "exuvia/bench/0");
        assert!(kept([("bench/runs/a.json", other.as_str())].into_iter()).is_err());
    }
}
