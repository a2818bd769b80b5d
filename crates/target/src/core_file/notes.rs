//! The notes of a core file: its process, its threads, its mapped files, and what exuvia adds to those that it writes itself.
//!
//! Holds: [`Notes`]. Never does: trust a count or a length.
//! Sources: core(5); fs/binfmt_elf.c of Linux (fill_psinfo, fill_files_note); struct elf_prpsinfo in include/linux/elfcore.h.

use std::collections::HashMap;
use std::path::Path;

use memory::{Addr, Mapping, Module, Residency, Run, Sums, ThreadStack};
use object::elf;
use object::read::elf::ProgramHeader;
use serde::{Deserialize, Serialize};

use super::loads::{headers, MAPPINGS_MAX};
use super::CoreError;
use crate::pagemap::PAGE;

/// A range that a file was mapped to.
#[derive(Clone, Debug)]
pub(super) struct FileRange {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) offset: u64,
    pub(super) path: String,
}

/// What the notes tell.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) threads: u32,
    pub(super) stacks: Vec<ThreadStack>,
    pub(super) pid: Option<i32>,
    pub(super) files: Vec<FileRange>,
    entry: Option<u64>,
    /// Where the kernel put the random bytes of the start: on the first thread's stack.
    pub(super) random: Option<u64>,
    /// The signal that the first thread was dumped for.
    pub(super) signal: Option<i16>,
    pub(super) arguments: String,
    name: String,
    told: Option<Told>,
}

impl Notes {
    pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Notes, CoreError> {
        let (endian, headers) = headers(path, bytes)?;
        let mut notes = Notes::default();
        for header in headers {
            let Ok(Some(mut found)) = header.notes(endian, bytes) else { continue };
            while let Ok(Some(note)) = found.next() {
                let words = note.desc();
                match (note.name(), note.n_type(endian)) {
                    (b"CORE", elf::NT_PRSTATUS) => {
                        notes.threads = notes.threads.saturating_add(1);
                        notes.stacks.extend(super::held::stack(words));
                        if notes.threads == 1 {
                            // pr_cursig of struct elf_prstatus.
                            let signal = words.get(12..14).and_then(|b| b.try_into().ok()).map(i16::from_le_bytes);
                            notes.signal = signal.filter(|signal| *signal > 0);
                        }
                    }
                    (b"CORE", elf::NT_PRPSINFO) => notes.process(words),
                    (b"CORE", elf::NT_AUXV) => {
                        notes.entry = auxiliary(words, AT_ENTRY);
                        notes.random = auxiliary(words, AT_RANDOM);
                    }
                    (b"CORE", elf::NT_FILE) => notes.files = files(words),
                    (OURS, OUR_TYPE) => notes.told = serde_json::from_slice(words).ok(),
                    _ => {}
                }
            }
        }
        Ok(notes)
    }

    /// struct elf_prpsinfo of a 64-bit process: the PID at 24, the name at 40, the start of the arguments at 56.
    fn process(&mut self, words: &[u8]) {
        let pid = words.get(24..28).and_then(|b| b.try_into().ok()).map(i32::from_le_bytes);
        self.pid = pid.filter(|pid| *pid > 0);
        let name = words.get(40..56).unwrap_or_default().split(|b| *b == 0).next().unwrap_or_default();
        self.name = String::from_utf8_lossy(name).into_owned();
        let arguments = words.get(56..136).unwrap_or_default().split(|b| *b == 0).next().unwrap_or_default();
        self.arguments = String::from_utf8_lossy(arguments).trim_end().to_string();
    }

    /// The Pythons that exuvia told of when it wrote the core.
    pub(super) fn modules(&mut self) -> Vec<Module> {
        self.told.as_mut().map(|told| std::mem::take(&mut told.modules).into_iter().map(Module::from).collect()).unwrap_or_default()
    }

    /// Whether exuvia wrote the core.
    pub(super) fn is_ours(&self) -> bool {
        self.told.is_some()
    }

    /// What else exuvia told.
    pub(super) fn kept(&mut self) -> Kept {
        let Some(told) = self.told.as_mut() else { return Kept::default() };
        Kept {
            started: told.started,
            age_s: told.age_s.filter(|age| age.is_finite() && *age >= 0.0),
            dumped_unix_s: told.dumped_unix_s,
            residency: told.residency.take().and_then(ResidencyNote::residency),
        }
    }

    /// The program: the file that its entry point lies in.
    pub(super) fn exe(&self) -> Option<String> {
        if let Some(told) = &self.told {
            return Some(told.exe.clone());
        }
        let entry = self.entry.and_then(|at| self.files.iter().find(|f| f.start <= at && at < f.end));
        entry.map(|f| f.path.clone()).or_else(|| (!self.name.is_empty()).then(|| self.name.clone()))
    }
}

/// The note that exuvia writes.
pub(super) const OURS: &[u8] = b"exuvia";
pub(super) const OUR_TYPE: u32 = 1;

/// What exuvia knew of the process when it wrote the core: then neither the program nor its libraries are needed to read it.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Told {
    pub(super) exe: String,
    pub(super) modules: Vec<ModuleNote>,
    /// As [`Kept`] has them. Cores of earlier programs lack them.
    #[serde(default)]
    pub(super) started: Option<u64>,
    #[serde(default)]
    pub(super) age_s: Option<f64>,
    #[serde(default)]
    pub(super) dumped_unix_s: Option<u64>,
    #[serde(default)]
    pub(super) residency: Option<ResidencyNote>,
}

/// What a core that exuvia wrote tells of its process beside the memory.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// When the process started, in clock ticks since boot.
    pub started: Option<u64>,
    /// For how long it had run, in seconds.
    pub age_s: Option<f64>,
    /// When the core was written, in seconds since 1970.
    pub dumped_unix_s: Option<u64>,
    /// What of it was in memory.
    pub residency: Option<Residency>,
}

/// [`Residency`] in a note: runs of pages as numbers, which are many.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct ResidencyNote {
    mappings: Vec<MappingNote>,
    /// Pages from the end of the run before, pages, and what they are: 1 of a file, 2 of this process alone, 4 of a huge page.
    runs: Vec<(u64, u64, u8)>,
    statm_bytes: Option<u64>,
    threads: Vec<(i32, String, Option<u64>)>,
}

/// A mapping: start, end, `rwxs` as bits, offset, inode, path; and the kernel's sums in their order.
type MappingNote = (u64, u64, u8, u64, u64, String, [u64; 6]);

impl From<&Residency> for ResidencyNote {
    fn from(r: &Residency) -> Self {
        let bits = |of: &[bool]| of.iter().rev().fold(0u8, |all, bit| all << 1 | u8::from(*bit));
        let mut behind = 0;
        let mut runs = Vec::with_capacity(r.runs.len());
        for run in &r.runs {
            let (start, end) = (run.start.0 / PAGE, run.end.0 / PAGE);
            runs.push((start.saturating_sub(behind), end.saturating_sub(start), bits(&[run.file, run.exclusive, run.huge])));
            behind = end;
        }
        let mapping = |(m, s): &(Mapping, Sums)| {
            let flags = bits(&[m.read, m.write, m.exec, m.shared]);
            (m.start.0, m.end.0, flags, m.offset, m.inode, m.path.clone(), [s.rss, s.pss, s.shared, s.anonymous, s.huge, s.swap])
        };
        ResidencyNote {
            mappings: r.mappings.iter().map(mapping).collect(),
            runs,
            statm_bytes: r.statm_bytes,
            threads: r.threads.iter().map(|t| (t.tid, t.name.clone(), t.pointer.map(|p| p.0))).collect(),
        }
    }
}

impl ResidencyNote {
    /// `None` where it cannot be true: runs and mappings stand one behind the other, and sums do not overflow.
    fn residency(self) -> Option<Residency> {
        let mut made = Residency { statm_bytes: self.statm_bytes, ..Residency::default() };
        let mut at = 0u64;
        for (skipped, pages, what) in self.runs {
            let start = at.checked_add(skipped)?;
            let end = start.checked_add(pages)?;
            let address = |page: u64| page.checked_mul(PAGE).map(Addr);
            let (file, exclusive, huge) = (what & 1 != 0, what & 2 != 0, what & 4 != 0);
            made.runs.push(Run { start: address(start)?, end: address(end)?, file, exclusive, huge });
            at = end;
        }
        let mut behind = 0;
        let mut sum = 0u64;
        for (start, end, flags, offset, inode, path, [rss, pss, shared, anonymous, huge, swap]) in self.mappings {
            if start < behind || end < start || rss.max(swap).max(huge) > end - start {
                return None;
            }
            behind = end;
            sum = sum.checked_add(end - start)?;
            let [read, write, exec, is_shared] = [1, 2, 4, 8].map(|bit| flags & bit != 0);
            let mapping = Mapping { start: Addr(start), end: Addr(end), read, write, exec, shared: is_shared, offset, inode, path };
            made.mappings.push((mapping, Sums { rss, pss, shared, anonymous, huge, swap }));
        }
        made.threads = self.threads.into_iter().map(|(tid, name, pointer)| ThreadStack { tid, name, pointer: pointer.map(Addr) }).collect();
        Some(made)
    }
}

/// A Python, as [`Module`] has it.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct ModuleNote {
    path: String,
    symbols: HashMap<String, u64>,
    writable: Vec<(u64, u64)>,
}

impl From<&Module> for ModuleNote {
    fn from(m: &Module) -> Self {
        ModuleNote {
            path: m.path.clone(),
            symbols: m.symbols.iter().map(|(name, at)| (name.clone(), at.0)).collect(),
            writable: m.writable.iter().map(|range| (range.start.0, range.end.0)).collect(),
        }
    }
}

impl From<ModuleNote> for Module {
    fn from(m: ModuleNote) -> Self {
        Module {
            path: m.path,
            symbols: m.symbols.into_iter().map(|(name, at)| (name, Addr(at))).collect(),
            writable: m.writable.into_iter().filter(|(start, end)| start <= end).map(|(start, end)| Addr(start)..Addr(end)).collect(),
        }
    }
}

/// getauxval(3): where the program begins.
const AT_ENTRY: u64 = 9;
/// Where 16 random bytes are: right above the program's arguments.
const AT_RANDOM: u64 = 25;

fn auxiliary(words: &[u8], key: u64) -> Option<u64> {
    words.chunks_exact(16).find_map(|pair| (word(pair, 0)? == key).then(|| word(pair, 1)).flatten())
}

fn word(bytes: &[u8], nth: usize) -> Option<u64> {
    let at = nth.checked_mul(8)?;
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)
}

/// NT_FILE: count, page size, for each start, end and offset in pages, then the names, each with a zero behind it.
fn files(words: &[u8]) -> Vec<FileRange> {
    let count = word(words, 0).map_or(0, |n| n.min(MAPPINGS_MAX as u64)) as usize;
    let page = word(words, 1).unwrap_or(4096);
    let mut names = words.get(16 + count * 24..).unwrap_or_default().split(|b| *b == 0);
    let mut made = Vec::new();
    for nth in 0..count {
        let at = |field: usize| word(words, 2 + nth * 3 + field);
        let (Some(start), Some(end), Some(offset), Some(name)) = (at(0), at(1), at(2), names.next()) else { break };
        let path = String::from_utf8_lossy(name).into_owned();
        made.push(FileRange { start, end, offset: offset.saturating_mul(page), path });
    }
    made.sort_by_key(|range| range.start);
    made
}
