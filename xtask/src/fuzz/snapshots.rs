//! Damaged and made-up snapshots, read by the reader until the time is up.
//!
//! Holds: the mutations and the run. Never: a dependency of its own, so that it runs on stable wherever the
//! tests do. Sources: the snapshot that the tests keep, whose files are changed and whose checksums are made right again,
//! as somebody would who wants to get past them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use snapshot::file::{reseal, FileError, Reader, TABLES};

use super::{memory_kib, random, Fuzzed};
use crate::trouble::{Doing, Done, Trouble};

const KEPT: &str = "crates/exuvia/tests/kept/format-1-facts";
/// The kept snapshot has 0.2 MB: a reader that takes this much for a file of that size believes what it says.
const MEMORY_MOST_KIB: u64 = 1 << 20;

/// Reads changed snapshots for so long.
pub(super) fn run(root: &Path, time: Duration, seed: &mut u64) -> Done<Fuzzed> {
    let folder = std::env::temp_dir().join(format!("exuvia-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).doing("the folder for changed snapshots")?;
    let done = many(&root.join(KEPT), &folder, time, seed);
    std::fs::remove_dir_all(&folder).doing("the folder for changed snapshots")?;
    let counts = done?;
    let what = format!("snapshots; in {} the decoder of Parquet panicked and was caught", counts.caught);
    Ok(Fuzzed { what, executions: counts.executions, refused: counts.refused })
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
