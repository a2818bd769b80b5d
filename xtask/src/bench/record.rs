//! What a benchmark keeps: one JSON file for each run, in `bench/runs`.
//!
//! Holds: its values, its machine, reading and writing. Never: measures.

use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::trouble::{Doing, Done, Trouble};

/// Version of the files.
pub(crate) const SCHEMA: &str = "exuvia/bench/1";

/// Where they are, from the root.
pub(crate) const RUNS: &str = "bench/runs";

/// How the names of soaks' records begin, which lie beside them.
pub(crate) const SOAK: &str = "soak-";
/// What the names of kept fuzz runs begin with.
pub(crate) const FUZZ: &str = "fuzz-";

/// One run of `cargo xtask bench`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// [`SCHEMA`].
    pub(crate) schema: String,
    /// When it began, UTC.
    pub(crate) date: String,
    /// Where.
    pub(crate) machine: Machine,
    /// The commit of exuvia, with `+` where the tree was changed.
    pub(crate) commit: String,
    /// What was typed.
    pub(crate) command: String,
    /// `3.12.1`, the target's and the peers'.
    pub(crate) python: String,
    /// Name and version of each peer.
    pub(crate) peers: Vec<String>,
    /// Every value that was measured.
    pub(crate) samples: Vec<Sample>,
}

/// The machine, as far as it explains times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// As /proc/cpuinfo names it.
    pub(crate) cpu: String,
    /// Processors that may be used.
    pub(crate) cores: usize,
    /// `uname -r`.
    pub(crate) kernel: String,
    /// MemTotal.
    pub(crate) memory_bytes: u64,
}

/// One tool's look at one heap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// `exuvia`, `guppy3`, …
    pub(crate) tool: String,
    /// The N of the heap.
    pub(crate) n: u64,
    /// From the start of the tool (in process: of its call) to its last byte of output.
    pub(crate) wall_ms: f64,
    /// How long the tool says, or is known, to have kept the target from running.
    pub(crate) pause_ms: f64,
    /// How long one thread of the target stood afterwards, to take note of the end of its copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) second_stop_ms: Option<f64>,
    /// The longest time between two steps of the target, as the target saw it (from outside only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gap_ms: Option<f64>,
    /// The longest such time before the tool started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gap_before_ms: Option<f64>,
    /// Memory that the tool took at most: its own process, or what it added to the target's.
    pub(crate) peak_bytes: u64,
    /// The target's RSS before.
    pub(crate) target_rss_bytes: u64,
    /// Objects that the tool saw.
    pub(crate) objects: u64,
    /// Instances of `Session` and `Node` that it counted, where it tells; checked against `n`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) counted: Option<[u64; 2]>,
    /// Of the target's memory that was copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) copied_bytes: Option<u64>,
    /// The answer, where the question is one about bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answer_bytes: Option<u64>,
    /// The tool was ended before it had an answer: its times are the limit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_over_limit: bool,
    /// What a ledger said of the resident memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) accounted: Option<Accounted>,
    /// Of a snapshot that was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) saved: Option<Saved>,
}

/// What a ledger accounts for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accounted {
    /// The sum of smaps, at the stop.
    pub(crate) rss_bytes: u64,
    /// Of that.
    pub(crate) not_attributed_bytes: u64,
}

impl Accounted {
    /// The part of RSS without a name.
    pub(crate) fn not_attributed(&self) -> f64 {
        self.not_attributed_bytes as f64 / self.rss_bytes.max(1) as f64
    }
}

/// What writing a snapshot gave, and how long it takes to ask it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// From the end of the copy to the end of the writing, synced.
    pub(crate) after_copy_ms: f64,
    /// Of all files.
    pub(crate) bytes: u64,
    /// `exuvia types FOLDER`.
    pub(crate) types_ms: f64,
    /// `exuvia object FOLDER ADDRESS`.
    pub(crate) object_ms: f64,
    /// `exuvia explain FOLDER`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) explain_ms: Option<f64>,
    /// Its memory at the peak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) explain_peak_bytes: Option<u64>,
}

impl Machine {
    /// This one.
    pub(crate) fn this() -> Done<Machine> {
        let field = |path: &str, key: &str| -> Done<String> {
            let text = std::fs::read_to_string(path).doing(path)?;
            let line = text.lines().find(|line| line.starts_with(key)).ok_or_else(|| Trouble::new(format!("{path}: no {key}")))?;
            Ok(line.split_once(':').map_or("", |(_, value)| value).trim().to_owned())
        };
        let kib: u64 = field("/proc/meminfo", "MemTotal")?.trim_end_matches(" kB").parse().doing("MemTotal")?;
        Ok(Machine {
            cpu: field("/proc/cpuinfo", "model name")?,
            cores: std::thread::available_parallelism().doing("cores")?.get(),
            kernel: said(Command::new("uname").arg("-r"))?,
            memory_bytes: kib * 1024,
        })
    }
}

impl Record {
    /// Keeps it; gives the path from the root.
    pub(crate) fn save(&self, root: &Path) -> Done<String> {
        let path = format!("{RUNS}/{}.json", self.date.replace(':', "-"));
        std::fs::create_dir_all(root.join(RUNS)).doing(RUNS)?;
        let text = serde_json::to_string_pretty(self).doing(&path)?;
        std::fs::write(root.join(&path), text + "\n").doing(&path)?;
        Ok(path)
    }

    /// A kept one.
    pub(crate) fn parse(text: &str) -> Done<Record> {
        let record: Record = serde_json::from_str(text).doing("a kept run")?;
        match record.schema == SCHEMA {
            true => Ok(record),
            false => Err(Trouble::new(format!("a kept run of schema {}", record.schema))),
        }
    }
}

/// Now, in UTC.
pub(crate) fn now() -> Done<String> {
    said(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]))
}

/// The commit that the tree is at.
pub(crate) fn commit(root: &Path) -> Done<String> {
    let commit = said(Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).current_dir(root))?;
    let changed =
        said(Command::new("git").args(["status", "--porcelain", "--untracked-files=no", "--", "crates", "Cargo.lock"]).current_dir(root))?;
    Ok(if changed.is_empty() { commit } else { commit + "+" })
}

/// What a program prints, without the end of its last line.
pub(crate) fn said(command: &mut Command) -> Done<String> {
    let output = command.output().doing(format_args!("{command:?}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(Trouble::new(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))),
    }
}
