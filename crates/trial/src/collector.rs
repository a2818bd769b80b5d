//! The cyclic collector during a run: how it is set, and what it did.
//!
//! Holds: [`Setting`], [`Collector`], and the records that `python/sitecustomize.py` writes. Never does: trust that a setting reached the
//! program: without a record (`python -I`, `-E`, `-S`; no Python at all) nothing is known.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

/// Records that are read of one run, one for each process.
const RECORDS_MOST: usize = 4096;
/// The length of a record, and more.
const RECORD_BYTES_MOST: u64 = 4096;

/// How the cyclic collector is set when a program starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Setting {
    /// As the interpreter has it.
    #[default]
    Default,
    /// `gc.disable()`.
    Off,
    /// `gc.freeze()` once: after the first full collection or before the first fork, whichever comes first.
    Freeze,
    /// `gc.set_threshold(…)`: one to three numbers, as it takes them.
    Threshold(Vec<u32>),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Setting::Default => f.write_str("default"),
            Setting::Off => f.write_str("off"),
            Setting::Freeze => f.write_str("freeze"),
            Setting::Threshold(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
                write!(f, "threshold={}", numbers.join(","))
            }
        }
    }
}

/// What the collectors of a run's Python processes did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collector {
    /// Python processes that wrote it down.
    pub processes: u32,
    /// Collections of any generation, until the program's end: not those of an interpreter that is torn down.
    pub collections: u64,
    /// Full ones of these.
    pub full: u64,
    /// Time in them, the callbacks of `gc.callbacks` included; of all processes together.
    pub time: Duration,
    /// Objects that were frozen when it was last written down.
    pub frozen: u64,
    /// Whether the first process was on, when it was last written down.
    pub enabled: bool,
    /// Its thresholds then; a program may have set its own.
    pub thresholds: [u32; 3],
    /// Blocks in use of the interpreter's own allocator (`sys.getallocatedblocks`), of all processes: none where Python uses malloc.
    pub blocks: u64,
    /// The first process's release.
    pub release: [u32; 3],
    /// The first process's Python was built without the GIL.
    pub free_threaded: bool,
}

#[derive(Deserialize)]
struct Record {
    collections: u64,
    full: u64,
    nanoseconds: u64,
    enabled: bool,
    thresholds: [u32; 3],
    frozen: u64,
    blocks: u64,
    release: [u32; 3],
    free_threaded: bool,
}

impl Collector {
    /// Sums the records in a folder; `first` is the process that was started. `None` without any.
    pub(crate) fn read(folder: &Path, first: i32) -> Option<Collector> {
        let mut sum: Option<Collector> = None;
        for entry in std::fs::read_dir(folder).ok()?.flatten().take(RECORDS_MOST) {
            let path = entry.path();
            // Written by the program under trial, so it may be anything.
            if entry.metadata().map_or(true, |m| !m.is_file() || m.len() > RECORD_BYTES_MOST) {
                continue;
            }
            let Some(record) = std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str::<Record>(&text).ok()) else {
                continue;
            };
            let is_first = entry.file_name().to_str().and_then(|name| name.parse().ok()) == Some(first);
            let sum = sum.get_or_insert_with(Collector::default);
            if is_first || sum.processes == 0 {
                (sum.enabled, sum.thresholds, sum.release) = (record.enabled, record.thresholds, record.release);
                sum.free_threaded = record.free_threaded;
            }
            sum.processes += 1;
            sum.collections = sum.collections.saturating_add(record.collections);
            sum.full = sum.full.saturating_add(record.full);
            sum.time = sum.time.saturating_add(Duration::from_nanos(record.nanoseconds));
            sum.frozen = sum.frozen.saturating_add(record.frozen);
            sum.blocks = sum.blocks.saturating_add(record.blocks);
        }
        sum
    }
}
