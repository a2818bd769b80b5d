//! A core file: a process's memory as the kernel wrote it when the process died, or gcore while it lived.
//!
//! Holds: [`open_core`], [`Core`] and what can be wrong with one. What a core leaves out is taken from the mapped files, where they are
//! those that were mapped (same build id). Never does: write, trust a length or an offset of the file.
//! Sources: core(5), elf(5); fs/binfmt_elf.c of Linux (fill_psinfo, fill_files_note, vma_dump_size).

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use memory::{Addr, Bytes, Image, Mapping, Module, Segment, ThreadStack};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{elf, Endianness, Object};

mod held;
mod loads;
mod notes;
mod packed;
mod write;

use loads::{left_out, loads, Header, Load};
pub use notes::Kept;
use notes::Notes;
pub use write::{write_core, Dump};

use crate::elf::{mapped_files, python_module};
use crate::pagemap::PAGE;
use crate::sys::mapped::Mapped;

/// No more bytes are taken from mapped files; the libraries of the largest programs have a few gigabytes.
const FILLED_MAX: u64 = 8 << 30;
/// Bytes of an ELF file in which its build id must stand: the first page, which the kernel dumps of each (coredump_filter, bit 4).
const HEAD: usize = 4096;

/// What is wrong with a core file.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// It cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no core file.
    #[error("{} is no core file but {found}", path.display())]
    NotCore {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// A core of another CPU.
    #[error("{} is a core of another architecture: {found}", path.display())]
    OtherCpu {
        /// The file.
        path: PathBuf,
        /// Which one.
        found: String,
    },
    /// Its end is missing.
    #[error("{} is cut: {have} bytes of at least {wanted}", path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// Its length.
        have: u64,
        /// What its headers speak of.
        wanted: u64,
    },
    /// It is compressed in a way that is not read here.
    #[error("{} is compressed by {packing}", path.display())]
    Packed {
        /// The file.
        path: PathBuf,
        /// The way.
        packing: &'static str,
        /// What unpacks it to stdout.
        command: &'static str,
    },
    /// It is compressed, and its bytes are not what the compression wrote.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How it is compressed.
        packing: &'static str,
        /// What its decoder met.
        why: String,
    },
    /// It is compressed, and there is no room for what it unpacks to.
    #[error("cannot unpack {} into {}: {source}", path.display(), folder.display())]
    NoRoom {
        /// The file.
        path: PathBuf,
        /// Where it was to go.
        folder: PathBuf,
        /// Why that failed.
        source: io::Error,
    },
    /// No mapped file has a Python, and all were looked at.
    #[error("{} is a core of {exe}, which runs no Python", path.display())]
    NotPython {
        /// The file.
        path: PathBuf,
        /// The program.
        exe: String,
    },
    /// Files that were mapped are not here, and one of them may be Python.
    #[error("the files that {} was made of are missing", path.display())]
    FilesMissing {
        /// The core.
        path: PathBuf,
        /// Each that is missing, and why.
        missing: Vec<(String, String)>,
    },
}

/// Where the files that a core's process had mapped are, if not at their own paths.
#[derive(Clone, Debug, Default)]
pub struct CorePlaces {
    /// The root folder of the system that the process ran in.
    pub root: Option<PathBuf>,
    /// The program itself.
    pub exe: Option<PathBuf>,
}

/// Bytes of the image: some of the core, or of a file that was mapped.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: u64,
    /// Which of [`Core::files`]; the core itself is `None`.
    file: Option<usize>,
    offset: u64,
    length: u64,
}

/// Parts that touch, as one stretch: an object may stand across two of them, and a library's data is read as a whole.
#[derive(Debug)]
struct Joined {
    start: u64,
    bytes: Vec<u8>,
}

/// An opened core file.
#[derive(Debug)]
pub struct Core {
    path: PathBuf,
    bytes: Mapped,
    files: Vec<Mapped>,
    /// What stands alone.
    parts: Vec<Part>,
    joined: Vec<Joined>,
    /// What the core itself has, by address.
    dumped_parts: Vec<Part>,
    dumped: u64,
    mappings: Vec<Mapping>,
    threads: u32,
    stacks: Vec<ThreadStack>,
    pid: Option<i32>,
    exe: String,
    /// Pythons that the core itself tells of: one that exuvia wrote.
    told: Vec<Module>,
    missing: Vec<(String, String)>,
    absent: u64,
    /// How the file is compressed.
    packing: Option<&'static str>,
    told_of: Kept,
    about: About,
}

/// What the notes say of the process, beside its memory.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The first 80 bytes of its command line; empty where exuvia wrote the core.
    pub arguments: String,
    /// The signal that ended it, or stopped it for gcore.
    pub signal: Option<i16>,
    /// Whether exuvia wrote the core.
    pub ours: bool,
}

/// Opens a core file and finds the files that its process had mapped.
///
/// # Errors
/// [`CoreError`]: no core, one of another CPU, a cut one.
pub fn open_core(path: &Path, places: &CorePlaces) -> Result<Core, CoreError> {
    let io = |source| CoreError::Io { path: path.to_path_buf(), source };
    let (file, packing) = packed::unpacked(path, open_regular(path).map_err(io)?)?;
    let bytes = Mapped::whole(&file).map_err(io)?;
    let mut notes = Notes::read(path, bytes.bytes())?;
    let mut loads = loads(path, bytes.bytes())?;
    left_out(&mut loads, &notes.files);
    let mut core = Core {
        path: path.to_path_buf(),
        files: Vec::new(),
        parts: Vec::new(),
        joined: Vec::new(),
        dumped_parts: Vec::new(),
        dumped: 0,
        mappings: Vec::new(),
        threads: notes.threads,
        stacks: std::mem::take(&mut notes.stacks),
        pid: notes.pid,
        exe: String::new(),
        told: Vec::new(),
        missing: Vec::new(),
        absent: 0,
        packing,
        told_of: notes.kept(),
        about: About { arguments: std::mem::take(&mut notes.arguments), signal: notes.signal, ours: notes.is_ours() },
        bytes,
    };
    core.exe = notes.exe().unwrap_or_default();
    core.told = notes.modules();
    core.map(&loads, &notes);
    core.name(notes.random);
    core.fill(&loads, places);
    core.join();
    Ok(core)
}

fn open_regular(path: &Path) -> io::Result<File> {
    let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is no regular file"))
    }
}

/// Why a mapped file is not read.
enum NotFound {
    /// It is no program and no library.
    Data,
    /// It is not here as it was.
    Missing(String),
}

impl Core {
    /// The core's bytes and those of mapped files, at their addresses.
    pub fn image(&self) -> Image<'_> {
        let alone = self.parts.iter().map(|part| Segment { start: Addr(part.start), bytes: self.of(part) });
        let joined = self.joined.iter().map(|joined| Segment { start: Addr(joined.start), bytes: &joined.bytes });
        Image::new(alone.chain(joined).collect())
    }

    /// The bytes of a part; fewer where a file ends before.
    fn of(&self, part: &Part) -> &[u8] {
        let from = part.file.map_or(Some(&self.bytes), |i| self.files.get(i)).map(Mapped::bytes).unwrap_or_default();
        let bytes = usize::try_from(part.offset).ok().and_then(|at| from.get(at..)).unwrap_or_default();
        let length = usize::try_from(part.length).unwrap_or(usize::MAX).min(bytes.len());
        bytes.get(..length).unwrap_or_default()
    }

    /// Copies parts that touch into one stretch; what stands alone, as most of a large heap does, stays where it is.
    fn join(&mut self) {
        let mut parts = std::mem::take(&mut self.parts);
        parts.retain(|part| part.length > 0);
        parts.sort_by_key(|part| part.start);
        self.dumped_parts = parts.iter().filter(|part| part.file.is_none()).copied().collect();
        self.dumped = self.dumped_parts.iter().map(|part| part.length).sum();
        for group in parts.chunk_by(|a, b| a.start.checked_add(a.length) == Some(b.start)) {
            let [first, _, ..] = group else {
                self.parts.extend_from_slice(group);
                continue;
            };
            let mut bytes = Vec::new();
            for part in group {
                bytes.extend_from_slice(self.of(part));
                // Behind a file's end its last page is zero.
                bytes.resize((part.start - first.start + part.length) as usize, 0);
            }
            self.joined.push(Joined { start: first.start, bytes });
        }
    }

    /// What was mapped, by address. Inodes are numbers of our own: one for each file.
    pub fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// Threads.
    pub fn threads(&self) -> u32 {
        self.threads
    }

    /// The process's number, where it told one.
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }

    /// The program's path, as the process had it.
    pub fn exe(&self) -> &str {
        &self.exe
    }

    /// Files that were mapped and are not here as they were: path and reason.
    pub fn missing(&self) -> &[(String, String)] {
        &self.missing
    }

    /// Bytes of address space of which nothing is known: neither in the core nor in a file.
    pub fn absent_bytes(&self) -> Bytes {
        Bytes(self.absent)
    }

    /// How the file is compressed, if it is.
    pub fn packing(&self) -> Option<&'static str> {
        self.packing
    }

    /// What exuvia wrote down of the process beside its memory; nothing of it is in a core of another program.
    pub fn kept(&self) -> &Kept {
        &self.told_of
    }

    /// Mapped programs and libraries that are here, the same builds that ran.
    pub fn found(&self) -> usize {
        self.files.len()
    }

    /// What else its notes say.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Bytes that are in the core.
    pub fn dumped_bytes(&self) -> Bytes {
        Bytes(self.dumped)
    }

    /// All mapped files that define `_PyRuntime`.
    ///
    /// # Errors
    /// [`CoreError::NotPython`], [`CoreError::FilesMissing`].
    pub fn pythons(&self) -> Result<Vec<Module>, CoreError> {
        if !self.told.is_empty() {
            return Ok(self.told.clone());
        }
        let image = self.image();
        let mut found = Vec::new();
        for mapping in mapped_files(&image, &self.mappings) {
            let file = mapping.inode.checked_sub(1).and_then(|i| self.files.get(i as usize));
            found.extend(file.and_then(|file| python_module(file.bytes(), mapping, &image)));
        }
        let path = self.path.clone();
        match (found.is_empty(), self.missing.is_empty()) {
            (false, _) => Ok(found),
            (true, true) => Err(CoreError::NotPython { path, exe: self.exe.clone() }),
            (true, false) => Err(CoreError::FilesMissing { path, missing: self.missing.clone() }),
        }
    }

    fn map(&mut self, loads: &[Load], notes: &Notes) {
        for load in loads {
            let file = notes.files.partition_point(|f| f.start <= load.start).checked_sub(1).and_then(|i| notes.files.get(i));
            let file = file.filter(|f| load.start < f.end);
            self.mappings.push(Mapping {
                start: Addr(load.start),
                end: Addr(load.end),
                read: load.flags & elf::PF_R != 0,
                write: load.flags & elf::PF_W != 0,
                exec: load.flags & elf::PF_X != 0,
                shared: false,
                offset: file.map_or(0, |f| f.offset.saturating_add(load.start - f.start)),
                inode: 0,
                path: file.map(|f| f.path.clone()).unwrap_or_default(),
            });
        }
    }

    /// The kernel's names of what is no file, which a core does not have: as exuvia wrote them down; else the stack is where the kernel
    /// put its random bytes, and the heap of the program break is the first writable memory behind the program that is not its own.
    fn name(&mut self, random: Option<u64>) {
        if let Some(residency) = &self.told_of.residency {
            let named = &residency.mappings;
            for m in self.mappings.iter_mut().filter(|m| m.path.is_empty()) {
                let nth = named.partition_point(|(named, _)| named.end <= m.start);
                if let Some((named, _)) = named.get(nth).filter(|(named, _)| named.start <= m.start && named.inode == 0) {
                    (m.path, m.shared) = (named.path.clone(), named.shared);
                }
            }
            return;
        }
        let exe = self.mappings.iter().rposition(|m| !m.path.is_empty() && m.path == self.exe);
        let mut behind = exe.map_or(Addr::NULL, |exe| self.mappings.get(exe).map_or(Addr::NULL, |m| m.end));
        let after = self.mappings.iter_mut().skip(exe.map_or(usize::MAX, |exe| exe + 1));
        for m in after.take_while(|m| m.path.is_empty()) {
            // What touches the program is its .bss.
            if m.start != behind && m.write && !m.exec {
                m.path = "[heap]".to_string();
                break;
            }
            behind = m.end;
        }
        if let Some(stack) = random.and_then(|at| self.mappings.iter_mut().find(|m| m.start.0 <= at && at < m.end.0 && m.path.is_empty())) {
            stack.path = "[stack]".to_string();
        }
    }

    /// Gives each mapped file a number, and each range its bytes: those of the core first.
    fn fill(&mut self, loads: &[Load], places: &CorePlaces) {
        let mut numbers: HashMap<String, Option<u64>> = HashMap::new();
        let mut missing = BTreeMap::new();
        let heads: HashMap<String, Load> = self
            .mappings
            .iter()
            .zip(loads)
            .filter(|(m, _)| !m.path.is_empty() && m.offset == 0)
            .map(|(m, load)| (m.path.clone(), *load))
            .collect();
        let mut filled = FILLED_MAX;
        for nth in 0..self.mappings.len() {
            let (Some(m), Some(load)) = (self.mappings.get(nth).cloned(), loads.get(nth)) else { continue };
            let dumped = load.dumped.min(load.end - load.start);
            self.parts.push(Part { start: load.start, file: None, offset: load.offset, length: dumped });
            let absent = load.end - load.start - dumped;
            if m.path.is_empty() || m.path.starts_with('[') {
                self.absent = self.absent.saturating_add(if m.read { absent } else { 0 });
                continue;
            }
            let number = *numbers.entry(m.path.clone()).or_insert_with(|| {
                let head = heads.get(&m.path).map(|load| self.dumped(load));
                match self.find(&m.path, head.unwrap_or_default(), places) {
                    Ok(file) => {
                        self.files.push(file);
                        Some(self.files.len() as u64)
                    }
                    Err(NotFound::Data) => None,
                    Err(NotFound::Missing(why)) => {
                        missing.insert(m.path.clone(), why);
                        None
                    }
                }
            });
            // A file that is not here is a file all the same: its number is behind all others.
            let inode = number.unwrap_or(u64::MAX);
            if let Some(mapping) = self.mappings.get_mut(nth) {
                mapping.inode = inode;
            }
            match number {
                Some(number) if absent > 0 => {
                    let offset = m.offset.saturating_add(dumped);
                    let file = number as usize - 1;
                    let there = self.files.get(file).map_or(0, |file| file.bytes().len() as u64).saturating_sub(offset);
                    let length = absent.min(there.next_multiple_of(PAGE)).min(filled);
                    filled -= length;
                    self.absent = self.absent.saturating_add(absent - length);
                    self.parts.push(Part { start: load.start + dumped, file: Some(file), offset, length });
                }
                None if m.read => self.absent = self.absent.saturating_add(absent),
                _ => {}
            }
        }
        // A core of ours has all that is needed.
        self.missing = if self.told.is_empty() { missing.into_iter().collect() } else { Vec::new() };
    }

    fn dumped(&self, load: &Load) -> &[u8] {
        let from = usize::try_from(load.offset).unwrap_or(usize::MAX);
        let length = usize::try_from(load.dumped).unwrap_or(0).min(HEAD);
        self.bytes.bytes().get(from..from.saturating_add(length)).unwrap_or_default()
    }

    /// The file that was mapped as `path`; it must have the build id that stands in the core.
    fn find(&self, path: &str, head: &[u8], places: &CorePlaces) -> Result<Mapped, NotFound> {
        let plain = path.strip_suffix(" (deleted)").unwrap_or(path);
        if plain.starts_with("/dev/") || plain.starts_with("/memfd:") || plain.starts_with("/SYSV") {
            return Err(NotFound::Data);
        }
        let below_root = |root: &PathBuf| root.join(plain.trim_start_matches('/'));
        let own = places.exe.as_ref().filter(|_| path == self.exe);
        let at = own.cloned().or_else(|| places.root.as_ref().map(below_root)).unwrap_or_else(|| PathBuf::from(plain));
        let mapped =
            open_regular(&at).and_then(|file| Mapped::whole(&file)).map_err(|e| NotFound::Missing(format!("{}: {e}", at.display())))?;
        // A made-up core could name any file, whose contents would be shown then.
        if !mapped.bytes().starts_with(b"\x7fELF") {
            return Err(NotFound::Data);
        }
        match (build_id(head), build_id(mapped.bytes())) {
            (Some(then), Some(now)) if then != now => {
                Err(NotFound::Missing(format!("{} is another build than the one that ran", at.display())))
            }
            _ => Ok(mapped),
        }
    }
}

/// The build id of an ELF file of which at least the first page is there.
pub(crate) fn build_id(bytes: &[u8]) -> Option<Vec<u8>> {
    // Only the head of a dumped file is there: its sections are not, its segments' notes are.
    let header = Header::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    for segment in header.program_headers(endian, bytes).ok()? {
        let Ok(Some(mut notes)) = segment.notes(endian, bytes) else { continue };
        while let Ok(Some(note)) = notes.next() {
            if note.name() == elf::ELF_NOTE_GNU && note.n_type(endian) == elf::NT_GNU_BUILD_ID {
                return Some(note.desc().to_vec());
            }
        }
    }
    ElfFile64::<Endianness>::parse(bytes).ok()?.build_id().ok().flatten().map(<[u8]>::to_vec)
}
