//! The notes of a core file: its process, its threads, its mapped files, and what exuvia adds to those that it writes itself.
//!
//! Holds: [`Notes`]. Never does: trust a count or a length.
//! Sources: core(5); fs/binfmt_elf.c of Linux (fill_psinfo, fill_files_note); struct elf_prpsinfo in include/linux/elfcore.h.

use std::collections::HashMap;
use std::path::Path;

use memory::{Addr, Module};
use object::elf;
use object::read::elf::ProgramHeader;
use serde::{Deserialize, Serialize};

use super::{headers, CoreError, MAPPINGS_MAX};

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
    pub(super) pid: Option<i32>,
    pub(super) files: Vec<FileRange>,
    entry: Option<u64>,
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
                    (b"CORE", elf::NT_PRSTATUS) => notes.threads = notes.threads.saturating_add(1),
                    (b"CORE", elf::NT_PRPSINFO) => notes.process(words),
                    (b"CORE", elf::NT_AUXV) => notes.entry = auxiliary(words, AT_ENTRY),
                    (b"CORE", elf::NT_FILE) => notes.files = files(words),
                    (OURS, OUR_TYPE) => notes.told = serde_json::from_slice(words).ok(),
                    _ => {}
                }
            }
        }
        Ok(notes)
    }

    /// struct elf_prpsinfo of a 64-bit process: the PID at 24, the name at 40.
    fn process(&mut self, words: &[u8]) {
        let pid = words.get(24..28).and_then(|b| b.try_into().ok()).map(i32::from_le_bytes);
        self.pid = pid.filter(|pid| *pid > 0);
        let name = words.get(40..56).unwrap_or_default().split(|b| *b == 0).next().unwrap_or_default();
        self.name = String::from_utf8_lossy(name).into_owned();
    }

    /// The Pythons that exuvia told of when it wrote the core.
    pub(super) fn modules(&mut self) -> Vec<Module> {
        self.told.as_mut().map(|told| std::mem::take(&mut told.modules).into_iter().map(Module::from).collect()).unwrap_or_default()
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
