//! `cargo xtask fuzz`: damaged and made-up snapshots, read by the reader until the time is up.
//!
//! Holds: the mutations, the run and its verdict. Never: a dependency of its own, so that it runs on stable wherever the
//! tests do. Sources: the snapshot that the tests keep, whose files are changed and whose checksums are made right again,
//! as somebody would who wants to get past them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use snapshot::file::{reseal, FileError, Reader, TABLES};

use crate::trouble::{Doing, Done, Trouble};

/// What `--help` says of it.
pub(crate) const HELP: &str = "\
cargo xtask fuzz [SECONDS] [SEED]         reads changed snapshots; fails on a panic or on memory beyond 1 GiB";

const KEPT: &str = "crates/exuvia/tests/kept/format-1-facts";
/// The kept snapshot has 0.2 MB: a reader that takes this much for a file of that size believes what it says.
const MEMORY_MOST_KIB: u64 = 1 << 20;

/// Runs for so many seconds, 60 where none are named.
pub(crate) fn run(root: &Path, words: &[String]) -> Done<()> {
    let number = |i: usize, default: u64| {
        words.get(i).map_or(Ok(default), |w| w.parse::<u64>().map_err(|_| Trouble::new(format!("{w} is no number\n\n{HELP}"))))
    };
    let (seconds, mut seed) = (number(0, 60)?, number(1, 1)?.max(1));
    let folder = std::env::temp_dir().join(format!("exuvia-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).doing("the folder for changed snapshots")?;
    // A panic is counted by what the reader says of it; its message would hide the count.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let done = many(&root.join(KEPT), &folder, Duration::from_secs(seconds), &mut seed);
    std::panic::set_hook(told);
    std::fs::remove_dir_all(&folder).doing("the folder for changed snapshots")?;
    let counts = done?;
    println!(
        "fuzz: {} executions in {seconds} s: {} read, {} refused, of those {} where the decoder of Parquet panicked and was caught; {} MiB at most",
        counts.executions,
        counts.executions - counts.refused,
        counts.refused,
        counts.caught,
        memory_kib() / 1024
    );
    Ok(())
}

#[derive(Default)]
struct Counts {
    executions: u64,
    refused: u64,
    caught: u64,
}

fn many(kept: &Path, folder: &Path, time: Duration, seed: &mut u64) -> Done<Counts> {
    let mut counts = Counts::default();
    let files: Vec<String> = TABLES.iter().map(|t| t.file()).collect();
    let mut whole = Vec::new();
    for name in &files {
        whole.push(std::fs::read(kept.join(name)).doing(name)?);
        std::fs::copy(kept.join(name), folder.join(name)).doing(name)?;
    }
    let start = Instant::now();
    while start.elapsed() < time {
        let i = random(seed) as usize % files.len();
        let (Some(name), Some(bytes)) = (files.get(i), whole.get(i)) else { continue };
        let other = whole.get(random(seed) as usize % whole.len()).unwrap_or(bytes);
        let begun_with = *seed;
        let changed = mutate(bytes, other, seed);
        let path: PathBuf = folder.join(name);
        std::fs::write(&path, changed).doing(name)?;
        reseal(folder).doing("the checksums")?;
        let folder = folder.to_path_buf();
        let read = std::panic::catch_unwind(move || read(&folder));
        counts.executions += 1;
        match read {
            Ok(Ok(())) => {}
            Ok(Err(e)) => {
                counts.refused += 1;
                counts.caught += u64::from(e.to_string().contains("gave up"));
            }
            Err(_) => return Err(Trouble::new(format!("the reader panicked on a changed {name}, seed {begun_with}"))),
        }
        if memory_kib() > MEMORY_MOST_KIB {
            return Err(Trouble::new(format!("the reader took {} MiB on a changed {name}, seed {begun_with}", memory_kib() / 1024)));
        }
        std::fs::write(&path, bytes).doing(name)?;
    }
    Ok(counts)
}

/// Everything that a command asks of a snapshot.
fn read(folder: &Path) -> Result<(), FileError> {
    let reader = Reader::open(folder)?;
    let objects = reader.objects()?;
    let some = objects.objects.as_ref().and_then(|o| o.addresses().get(o.len() / 2).copied());
    reader.object(some.unwrap_or_default())?;
    reader.graph()?;
    for table in TABLES {
        reader.all_texts(table.name)?;
    }
    Ok(())
}

/// Some bits flipped, bytes set, a piece cut out, doubled or taken from another file; the footer, where the counts are, as
/// often as all the rest.
fn mutate(bytes: &[u8], other: &[u8], seed: &mut u64) -> Vec<u8> {
    let mut new = bytes.to_vec();
    for _ in 0..1 + random(seed) % 4 {
        let n = new.len().max(1);
        let near_end = n.saturating_sub(random(seed) as usize % n.min(4000) + 1);
        let at = if random(seed) % 2 == 0 { near_end } else { random(seed) as usize % n };
        let to = (at + random(seed) as usize % 64).min(new.len());
        match random(seed) % 6 {
            0 | 1 => {
                if let Some(b) = new.get_mut(at) {
                    *b ^= 1 << (random(seed) % 8);
                }
            }
            2 => {
                if let Some(b) = new.get_mut(at) {
                    *b = [0, 1, 0x7f, 0x80, 0xff][random(seed) as usize % 5];
                }
            }
            3 => drop(new.drain(at..to)),
            4 => {
                let piece = new.get(at..to).unwrap_or_default().to_vec();
                new.splice(at..at, piece);
            }
            _ => {
                let from = random(seed) as usize % other.len().max(1);
                let piece = other.get(from..(from + 64).min(other.len())).unwrap_or_default().to_vec();
                new.splice(at..to, piece);
            }
        }
    }
    new
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
