//! Damaged memory of every release, and damaged core files, read as a command reads them.
//!
//! Holds: the cores that are changed, the changes, the run. What is asked of each: a snapshot in each detail, and what `explain` makes
//! of it. Never: counts a refusal as an error; a panic is one, and so is a look that takes minutes or gigabytes.

use std::io::{BufRead, BufReader};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use capture::{capture, CaptureError, Detail, FingerprintKey, Moment, Source};
use cpython::layout::Table;
use memory::{Addr, Image, Mapping, Module, Residency, Segment};
use snapshot::Snapshot;
use target::{open_core, CoreError, CorePlaces};

use super::{cpu_seconds, memory_kib, random, said, Fuzzed};
use crate::trouble::{Doing, Done, Trouble};

/// A heap of a few megabytes takes some hundred: more is no bound.
const MEMORY_MOST_KIB: u64 = 4 << 20;
/// A look at such a heap takes some hundredths of a second; without optimisation and with other work beside it some seconds.
const SECONDS_MOST: f64 = 120.0;

/// Something of everything that has a decoder of its own.
const HEAP: &str = r#"
import array, collections, ctypes, decimal, functools, itertools, json, sqlite3, sys, threading, weakref
class Row:
    def __init__(self, n):
        self.n, self.text = n, "text %d" % n
class Slotted:
    __slots__ = ("a", "__weakref__")
rows = [Row(n + 1000) for n in range(300)]
table = {n + 5000: (str(n), [n], {n}, frozenset([n])) for n in range(300)}
slotted = [Slotted() for n in range(50)]
numbers = [decimal.Decimal(n) / 7 for n in range(50)] + [2 ** (n * 9) for n in range(50)]
buffers = [array.array("d", range(500)), bytearray(3000), collections.deque(range(99)), memoryview(b"x" * 99)]
ordered = collections.OrderedDict((str(n), n) for n in range(50))
weak = weakref.WeakValueDictionary({row.n: row for row in rows[:50]})
cached = functools.lru_cache(maxsize=None)(str)
[cached(n) for n in range(50)]
knot = []
knot.append(knot)
def generated():
    try:
        yield rows
    finally:
        pass
waiting = generated()
next(waiting)
print("READY", flush=True)
sys.stdin.read()
"#;

/// The cores that are changed: made for this run, or left by one that failed.
///
/// The seed of each execution is in the folder before it begins, so that a run that was aborted can be looked at again, too.
struct Cores {
    folder: PathBuf,
    made: bool,
}

/// In the folder of the cores: what the last execution began with, and the core file that it read.
const SEED: &str = "seed";
const CHANGED: &str = "changed";

impl Cores {
    fn of_this_run() -> Done<Cores> {
        let folder = std::env::temp_dir().join(format!("exuvia-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).doing("the folder for cores")?;
        Ok(Cores { folder, made: true })
    }

    fn begin(&self, seed: u64) -> Done<()> {
        std::fs::write(self.folder.join(SEED), seed.to_string()).doing("the seed of an execution")
    }

    /// They stay where something was found.
    fn end(self, what: &str, failed: Done<()>) -> Done<()> {
        let Cores { folder, made } = self;
        match failed {
            Ok(()) if made => std::fs::remove_dir_all(&folder).doing("the folder for cores"),
            Ok(()) => Ok(()),
            Err(trouble) => Err(Trouble::new(format!("{trouble}\n{}", again(what, &folder)))),
        }
    }
}

/// How what was found is looked at again.
fn again(what: &str, folder: &Path) -> String {
    format!("again: cargo xtask fuzz {what} 1 SEED {}", folder.display())
}

/// One core, its bytes as they may be changed.
struct Seed {
    name: String,
    path: PathBuf,
    segments: Vec<(u64, Vec<u8>)>,
    mappings: Vec<Mapping>,
    pythons: Vec<Module>,
}

/// Changed memory, read as a core's.
pub(super) fn memory(root: &Path, time: Duration, seed: &mut u64, left: Option<&Path>) -> Done<Fuzzed> {
    let (cores, mut seeds, tables) = prepare(root, left)?;
    let names: Vec<&str> = seeds.iter().map(|s| s.name.as_str()).collect();
    let what = format!("changed memory of {}", names.join(", "));
    let watch = Watch::start(again("memory", &cores.folder));
    let (mut executions, mut refused) = (0, 0);
    let start = Instant::now();
    let mut failed = Ok(());
    while start.elapsed() < time && failed.is_ok() {
        let begun_with = *seed;
        cores.begin(begun_with)?;
        let nth = random(seed) as usize % seeds.len().max(1);
        let Some(one) = seeds.get_mut(nth) else { break };
        watch.begin(begun_with);
        let undo = change(&mut one.segments, seed);
        let cut = random(seed) % 8 == 0;
        let asked = random(seed);
        let looked = catch_unwind(AssertUnwindSafe(|| {
            let segments = one.segments.iter().enumerate().map(|(i, (start, bytes))| {
                // Now and then the end of a stretch is missing.
                let kept = if cut && i as u64 % 5 == asked % 5 { bytes.len() / 2 } else { bytes.len() };
                Segment { start: Addr(*start), bytes: bytes.get(..kept).unwrap_or_default() }
            });
            let image = Image::new(segments.collect());
            look(&image, &one.mappings, &one.pythons, &tables, asked, None)
        }));
        for (segment, at, old) in undo.into_iter().rev() {
            if let Some(room) = one.segments.get_mut(segment).and_then(|(_, bytes)| bytes.get_mut(at..at + old.len())) {
                room.copy_from_slice(&old);
            }
        }
        executions += 1;
        failed = verdict(looked, &one.name, begun_with, &mut refused);
    }
    watch.end();
    cores.end("memory", failed)?;
    Ok(Fuzzed { what, executions, refused })
}

/// Changed core files.
pub(super) fn files(root: &Path, time: Duration, seed: &mut u64, left: Option<&Path>) -> Done<Fuzzed> {
    let (cores, seeds, tables) = prepare(root, left)?;
    let names: Vec<&str> = seeds.iter().map(|s| s.name.as_str()).collect();
    let what = format!("changed core files, as they are and compressed, of {}", names.join(", "));
    let wholes = seeds.iter().map(|s| std::fs::read(&s.path).doing("a core")).collect::<Done<Vec<_>>>()?;
    let changed = cores.folder.join(CHANGED);
    let watch = Watch::start(again("cores", &cores.folder));
    let (mut executions, mut refused) = (0, 0);
    let start = Instant::now();
    let mut failed = Ok(());
    while start.elapsed() < time && failed.is_ok() {
        let begun_with = *seed;
        cores.begin(begun_with)?;
        watch.begin(begun_with);
        let nth = random(seed) as usize % seeds.len().max(1);
        let (Some(mut bytes), Some(one)) = (wholes.get(nth).cloned(), seeds.get(nth)) else { break };
        // Headers and notes stand in front.
        let head = 1 << 16;
        for _ in 0..1 + random(seed) % 8 {
            let at = random(seed) as usize % if random(seed) % 4 == 0 { bytes.len() } else { head.min(bytes.len()) };
            put(&mut bytes, at, seed);
        }
        if random(seed) % 8 == 0 {
            bytes.truncate(random(seed) as usize % bytes.len().max(1));
        }
        // One of eight is compressed, as changed, and half of those are changed once more: what is compressed is then nonsense.
        if random(seed) % 8 == 0 {
            bytes = packed(&bytes).doing("a changed core")?;
            if random(seed) % 2 == 0 {
                let at = random(seed) as usize % bytes.len().max(1);
                put(&mut bytes, at, seed);
            }
        }
        std::fs::write(&changed, &bytes).doing("a changed core")?;
        let asked = random(seed);
        let looked = catch_unwind(AssertUnwindSafe(|| {
            let core = open_core(&changed, &CorePlaces::default()).map_err(Refused::Core)?;
            let pythons = core.pythons().map_err(Refused::Core)?;
            // What was in memory: by the note of ours, which may be nonsense now, or by what the core has.
            let held = core.kept().residency.clone().unwrap_or_else(|| core.held());
            look(&core.image(), core.mappings(), &pythons, &tables, asked, Some(&held))
        }));
        executions += 1;
        failed = verdict(looked, &format!("a core file of {}", one.name), begun_with, &mut refused);
    }
    watch.end();
    cores.end("cores", failed)?;
    Ok(Fuzzed { what, executions, refused })
}

/// As `exuvia snapshot --core --compress` packs it.
fn packed(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packed = lz4_flex::frame::FrameEncoder::new(Vec::new());
    std::io::Write::write_all(&mut packed, bytes)?;
    Ok(packed.finish()?)
}

enum Refused {
    Core(#[allow(dead_code)] CoreError),
    Capture(#[allow(dead_code)] CaptureError),
}

fn verdict(looked: std::thread::Result<Result<(), Refused>>, name: &str, seed: u64, refused: &mut u64) -> Done<()> {
    match looked {
        Ok(Ok(())) => {}
        Ok(Err(Refused::Core(_) | Refused::Capture(_))) => *refused += 1,
        Err(panic) => {
            return Err(Trouble::new(format!("a panic on {name}, seed {seed}: {}", said(&*panic))));
        }
    }
    if memory_kib() > MEMORY_MOST_KIB {
        return Err(Trouble::new(format!("{} MiB on {name}, seed {seed}", memory_kib() / 1024)));
    }
    Ok(())
}

/// What a command does with it.
fn look(
    image: &Image<'_>,
    mappings: &[Mapping],
    pythons: &[Module],
    tables: &[Table],
    asked: u64,
    residency: Option<&Residency>,
) -> Result<(), Refused> {
    let mut last = Ok(());
    for python in pythons {
        let source = Source { image, python, mappings, tables, moment: Moment::Still, residency };
        let detail = match asked % 5 {
            0 => Detail::Types,
            4 if residency.is_some() => Detail::Ledger,
            1 => Detail::Objects,
            2 => Detail::Facts(FingerprintKey([7; 16])),
            _ => Detail::Graph,
        };
        last = match capture(source, detail) {
            Ok(snapshot) => {
                ask(&snapshot);
                object(source, &snapshot, asked)
            }
            Err(e) => Err(Refused::Capture(e)),
        };
    }
    last
}

/// The questions about owners.
fn ask(snapshot: &Snapshot) {
    if snapshot.graph.is_some() {
        let _ = analyses::explain::explain(snapshot);
    }
}

/// One of the objects, with its values.
fn object(source: Source<'_>, snapshot: &Snapshot, asked: u64) -> Result<(), Refused> {
    let Some(objects) = &snapshot.objects else { return Ok(()) };
    let nth = asked as usize % objects.len().max(1);
    let Some(address) = objects.addresses().get(nth).copied() else { return Ok(()) };
    capture(source, Detail::Object { address, values: true }).map(|_| ()).map_err(Refused::Capture)
}

/// Changes some words; gives what stood there.
fn change(segments: &mut [(u64, Vec<u8>)], seed: &mut u64) -> Vec<(usize, usize, Vec<u8>)> {
    let mut undo = Vec::new();
    let total: usize = segments.iter().map(|(_, bytes)| bytes.len()).sum();
    let times = 1u64 << (random(seed) % 13);
    for _ in 0..times {
        let mut at = random(seed) as usize % total.max(1);
        let Some(segment) = segments.iter().position(|(_, bytes)| {
            let here = at < bytes.len();
            at -= if here { 0 } else { bytes.len() };
            here
        }) else {
            continue;
        };
        let Some((_, bytes)) = segments.get_mut(segment) else { continue };
        let at = at / 8 * 8;
        let Some(old) = bytes.get(at..at + 8).map(<[u8]>::to_vec) else { continue };
        put(bytes, at, seed);
        undo.push((segment, at, old));
    }
    undo
}

/// Changes one word: a bit, a byte, a number at an edge, the word of another place, its neighbour.
fn put(bytes: &mut [u8], at: usize, seed: &mut u64) {
    let at = at / 8 * 8;
    let other = random(seed) as usize % bytes.len().max(8) / 8 * 8;
    let other: Option<[u8; 8]> = bytes.get(other..other + 8).and_then(|b| b.try_into().ok());
    let Some(room) = bytes.get_mut(at..at + 8) else { return };
    let mut word = room.try_into().map(u64::from_le_bytes).unwrap_or_default();
    word = match random(seed) % 8 {
        0 | 1 => word ^ 1 << (random(seed) % 64),
        2 => word ^ (random(seed) % 256) << (8 * (random(seed) % 8)),
        3 => [0, 1, u64::MAX, u64::MAX >> 1, 1 << 63, u64::from(u32::MAX)][random(seed) as usize % 6],
        4 => word.wrapping_add(random(seed) % 64).wrapping_sub(32),
        _ => other.map_or(0, u64::from_le_bytes),
    };
    room.copy_from_slice(&word.to_le_bytes());
}

/// A core of each interpreter, by name.
fn prepare(root: &Path, left: Option<&Path>) -> Done<(Cores, Vec<Seed>, Vec<Table>)> {
    let tables = cpython::layout::tables().map_err(|e| Trouble::new(e.to_string()))?;
    let cores = match left {
        Some(folder) => Cores { folder: folder.to_path_buf(), made: false },
        None => made(root)?,
    };
    let files = std::fs::read_dir(&cores.folder).doing(cores.folder.display().to_string())?;
    let mut names: Vec<String> = files.filter_map(|file| file.ok()?.file_name().into_string().ok()).collect();
    names.retain(|name| name != SEED && name != CHANGED);
    names.sort();
    let mut seeds = Vec::new();
    for name in names {
        let path = cores.folder.join(&name);
        let core = open_core(&path, &CorePlaces::default()).map_err(|e| Trouble::new(e.to_string()))?;
        let pythons = core.pythons().map_err(|e| Trouble::new(e.to_string()))?;
        let segments = core.image().segments().iter().map(|s| (s.start.0, s.bytes.to_vec())).collect();
        seeds.push(Seed { name, path, segments, mappings: core.mappings().to_vec(), pythons });
    }
    if seeds.is_empty() {
        return Err(Trouble::new(format!("no core in {}", cores.folder.display())));
    }
    Ok((cores, seeds, tables))
}

/// A process of each interpreter, as a core with the interpreter's name.
fn made(root: &Path) -> Done<Cores> {
    let exuvia = built(root)?;
    let cores = Cores::of_this_run()?;
    let pythons = testbed::interpreters();
    pythons.missing.iter().for_each(|why| eprintln!("missing: {why}"));
    for python in &pythons.found {
        let mut child = Command::new(&python.path)
            .args(["-I", "-c", HEAP])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .doing("a Python to be changed")?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.as_mut() {
            BufReader::new(stdout).read_line(&mut line).doing("a Python to be changed")?;
        }
        let path = cores.folder.join(&python.name);
        let made = Command::new(&exuvia).args(["snapshot", "--core", &child.id().to_string(), "-o"]).arg(&path).output();
        child.kill().doing("a Python to be changed")?;
        child.wait().doing("a Python to be changed")?;
        let made = made.doing("exuvia snapshot --core")?;
        if !made.status.success() {
            return Err(Trouble::new(format!("{}: {}", python.name, String::from_utf8_lossy(&made.stderr))));
        }
    }
    Ok(cores)
}

fn built(root: &Path) -> Done<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(["build", "--quiet", "-p", "exuvia"]).current_dir(root).status().doing("cargo build")?;
    if !status.success() {
        return Err(Trouble::new("cargo build failed"));
    }
    let here = std::env::current_exe().doing("where this task is")?;
    Ok(here.with_file_name("exuvia"))
}

/// Ends the program when one look takes too long, and says at which seed.
struct Watch {
    seed: Arc<AtomicU64>,
    begun: Arc<AtomicU64>,
}

impl Watch {
    fn start(again: String) -> Watch {
        let watch = Watch { seed: Arc::default(), begun: Arc::default() };
        let (seed, begun) = (Arc::clone(&watch.seed), Arc::clone(&watch.begun));
        std::thread::spawn(move || {
            // Processor time, not the clock's: a fuzzer stands behind all other work of its machine.
            let mut last = (0, 0.0);
            loop {
                std::thread::sleep(Duration::from_secs(1));
                let now = begun.load(Ordering::Relaxed);
                if now == u64::MAX {
                    return;
                }
                if now != last.0 {
                    last = (now, cpu_seconds());
                }
                if now != 0 && cpu_seconds() - last.1 > SECONDS_MOST {
                    eprintln!("fuzz: no end after {SECONDS_MOST} s of processor time, seed {}\n{again}", seed.load(Ordering::Relaxed));
                    std::process::exit(1);
                }
            }
        });
        watch
    }

    fn begin(&self, seed: u64) {
        self.seed.store(seed, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.begun.store(u64::MAX, Ordering::Relaxed);
    }
}
