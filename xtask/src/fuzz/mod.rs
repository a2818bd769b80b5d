//! `cargo xtask fuzz`: damaged and made-up input until the time is up; each run is kept.
//!
//! Holds: the task's arguments, the record, chance. Never: a fuzzer's runtime, so that it runs on stable wherever the tests do.

mod cores;
mod snapshots;

use std::any::Any;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::bench::record::{self, Machine};
use crate::trouble::{Doing, Done, Trouble};

/// What `--help` says of it.
pub(crate) const HELP: &str = "\
cargo xtask fuzz [snapshots|memory|cores] [SECONDS] [SEED] [FOLDER]
                                          changed snapshots, changed memory of all releases, changed core files; fails on a
                                          panic, on memory or time without bound; one file more in bench/runs. A run of
                                          memory or cores that fails leaves its cores in a folder, and beside them the seed of its
                                          last execution: with both, that one is made again";

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Snapshots,
    Memory,
    Cores,
}

impl What {
    const ALL: [(&'static str, What); 3] = [("snapshots", What::Snapshots), ("memory", What::Memory), ("cores", What::Cores)];
}

/// What a run did.
#[derive(Debug, Serialize)]
struct Fuzzed {
    what: String,
    executions: u64,
    refused: u64,
}

/// One run, as it is kept.
#[derive(Serialize)]
struct Kept {
    schema: &'static str,
    date: String,
    machine: Machine,
    commit: String,
    command: String,
    seconds: f64,
    /// Of this process, all threads.
    cpu_seconds: f64,
    peak_kib: u64,
    done: Option<Fuzzed>,
    failure: Option<String>,
}

/// Runs for so many seconds, 60 where none are named.
pub(crate) fn run(root: &Path, words: &[String]) -> Done<()> {
    let first = words.first().and_then(|word| What::ALL.iter().find(|(name, _)| name == word));
    let (what, rest) = first.map_or((What::Snapshots, words), |(_, what)| (*what, words.get(1..).unwrap_or_default()));
    let number = |i: usize, default: u64| {
        rest.get(i).map_or(Ok(default), |w| w.parse::<u64>().map_err(|_| Trouble::new(format!("{w} is no number\n\n{HELP}"))))
    };
    let name = What::ALL.iter().find(|(_, one)| *one == what).map_or("", |(name, _)| *name);
    let (time, mut seed) = (Duration::from_secs(number(0, 60)?), number(1, 1)?.max(1));
    let left = rest.get(2).map(Path::new);
    if what == What::Snapshots && left.is_some() {
        return Err(Trouble::new(format!("changed snapshots are made of no cores\n\n{HELP}")));
    }
    let date = record::now()?;
    let (machine, commit) = (Machine::this()?, record::commit(root)?);
    let begun = Instant::now();
    // A panic is an error with its seed and place; its own message would stand in between.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(|panic| {
        *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = panic.location().map(ToString::to_string);
    }));
    let done = match what {
        What::Snapshots => snapshots::run(root, time, &mut seed),
        What::Memory => cores::memory(root, time, &mut seed, left),
        What::Cores => cores::files(root, time, &mut seed, left),
    };
    std::panic::set_hook(told);
    let failure = done.as_ref().err().map(ToString::to_string);
    let (done, failed) = match done {
        Ok(fuzzed) => (Some(fuzzed), Ok(())),
        Err(trouble) => (None, Err(trouble)),
    };
    if let Some(fuzzed) = &done {
        println!(
            "fuzz: {} executions of {}; {} refused; {} MiB at most",
            fuzzed.executions,
            fuzzed.what,
            fuzzed.refused,
            memory_kib() / 1024
        );
    }
    let command = ["cargo xtask fuzz"].into_iter().chain(words.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
    let (seconds, cpu_seconds) = (begun.elapsed().as_secs_f64(), cpu_seconds());
    let path = format!("{}/{}{name}-{}.json", record::RUNS, record::FUZZ, date.replace(':', "-"));
    let kept =
        Kept { schema: "exuvia/fuzz/1", date, machine, commit, command, seconds, cpu_seconds, peak_kib: memory_kib(), done, failure };
    let text = serde_json::to_string_pretty(&kept).doing(&path)?;
    std::fs::write(root.join(&path), text + "\n").doing(&path)?;
    println!("kept as {path}");
    failed
}

/// Where the last panic was.
static PLACE: Mutex<Option<String>> = Mutex::new(None);

/// What a panic said, and where.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    format!("{} at {}", text.unwrap_or("a panic without words"), place.as_deref().unwrap_or("a place that is not known"))
}

/// xorshift64*: the same run for the same seed.
fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    seed.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
}

/// The most memory that this process had (`VmHWM`), in KiB.
fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}

/// User and system time (proc_pid_stat(5): fields 14 and 15, in hundredths of a second on Linux).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_ascii_whitespace().skip(11).take(2));
    fields.into_iter().flatten().filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}
