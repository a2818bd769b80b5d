//! What a process shows of its allocators while it stands at its end.
//!
//! Holds: [`Witness`] (looks), [`Seen`] (what it saw), [`Unseen`]. Never does: judge ([`crate::prove`] does), change the process, walk a heap.
//! How it is known: the executable and libpython call `malloc` through a word that the loader fills (elf(5): a JUMP_SLOT or GLOB_DAT
//! relocation); the file that it points into is the allocator. Of a JUMP_SLOT that was never called (lazy binding) the word leads back into
//! the caller and tells nothing. glibc's arenas are counted by their ring, and what it was told stands in `mp_` (malloc/malloc.c). Python's
//! own mimalloc is known by its segments.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;

use alloc::{glibc, mimalloc};
use memory::{Addr, Image, Mapping, Memory, Segment};
use object::read::elf::{ElfFile64, FileHeader};
use object::{Endianness, Object, ObjectSegment, ObjectSymbol, ObjectSymbolTable, ReadCache, RelocationFlags, RelocationTarget};
use target::Process;

/// Words that lead to malloc in one file: one or two.
const SLOTS_MOST: usize = 16;
/// R_X86_64_GLOB_DAT and R_X86_64_JUMP_SLOT of the x86-64 psABI, 4.4.1.
const SLOTS: [u32; 2] = [6, 7];
const PAGE: u64 = 4096;
/// A libc's writable memory is below 100 kB.
const LIBC_BYTES_MOST: u64 = 4 << 20;
/// `HEAP_MAX_SIZE` of glibc (malloc/arena.c): every other arena stands at the beginning of a heap, which is aligned to it.
const ARENA_ALIGNMENT: u64 = 64 << 20;
/// `MI_SEGMENT_ALIGN` of mimalloc (mimalloc/types.h); the header of a segment ends before its first 64 KiB do.
const SEGMENT_ALIGNMENT: u64 = 32 << 20;
const SEGMENT_HEADER: u64 = 64 << 10;
/// Places that are looked at: 512 GiB of segments.
const PLACES_MOST: usize = 1 << 14;
/// A chunk's header and its two links.
const CHUNK_BYTES: u64 = 32;

/// Looks at processes. Of each file it remembers where the words are through which it calls malloc.
#[derive(Debug, Default)]
pub struct Witness {
    slots: HashMap<(String, u64), Result<Slots, Unseen>>,
}

/// What was seen of a process.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The file that `malloc` of the executable and libpython is in.
    pub malloc: Result<String, Unseen>,
    /// glibc's malloc, where that is loaded and could be read.
    pub glibc: Option<Arenas>,
    /// Segments in use that have the form of those of Python's own mimalloc. A library's may have the same.
    pub segments: usize,
    /// Files with code in it, other than the executable.
    pub loaded: Vec<String>,
    /// Its executable.
    pub executable: String,
    /// It has a Python in it, and is not what started one.
    pub python: bool,
}

/// The arenas of glibc's malloc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arenas {
    /// How many there are.
    pub count: usize,
    /// The most that it may make, as it was told; 0 where nothing was. `None` where that could not be found.
    pub most: Option<u64>,
}

/// Why the file of `malloc` is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unseen {
    /// The process did not reach its end, or could not be read there.
    #[error("it was not seen at its end")]
    NotSeen,
    /// `/proc/PID/maps` cannot be read.
    #[error("what it has mapped cannot be read: {0}")]
    Maps(String),
    /// The file of the executable or of libpython cannot be read.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// No word leads to it.
    #[error("no word of the program leads to malloc: it is linked statically, or never called it")]
    NoSlot,
    /// The executable uses another one than libpython.
    #[error("malloc is in several files: {}", .0.join(", "))]
    Several(Vec<String>),
}

impl Default for Seen {
    fn default() -> Seen {
        Seen { malloc: Err(Unseen::NotSeen), glibc: None, segments: 0, loaded: Vec::new(), executable: String::new(), python: false }
    }
}

/// Where words are that lead to malloc, as the file counts addresses.
#[derive(Clone, Debug)]
struct Slots {
    /// It stands where the file says (ET_EXEC).
    fixed: bool,
    /// The page of its lowest segment.
    lowest: u64,
    at: Vec<u64>,
}

impl Witness {
    /// Looks at a process that stands.
    pub fn look(&mut self, process: &Process) -> Seen {
        match process.mappings() {
            Ok(mappings) => Seen {
                malloc: self.malloc(process, &mappings),
                glibc: arenas(process, &mappings),
                segments: segments(process, &mappings),
                loaded: loaded(&mappings, &process.exe()),
                executable: process.exe(),
                python: mappings.iter().any(|m| m.exec && is_python(&m.path)),
            },
            Err(e) => Seen { malloc: Err(Unseen::Maps(e.to_string())), ..Seen::default() },
        }
    }

    fn malloc(&mut self, process: &Process, mappings: &[Mapping]) -> Result<String, Unseen> {
        let exe = process.exe();
        // A loader that was started as a program has a malloc of its own for the time before there is another.
        let is_caller = |m: &Mapping| (m.path == exe && !file_name(&m.path).starts_with("ld-")) || is_python(&m.path);
        let mut callers: Vec<&Mapping> = mappings.iter().filter(|m| m.offset == 0 && m.inode != 0 && is_caller(m)).collect();
        callers.dedup_by(|a, b| a.path == b.path);
        let mut found: Vec<String> = Vec::new();
        for caller in callers {
            let known = self.slots.entry((caller.path.clone(), caller.inode));
            let slots = known.or_insert_with(|| slots(process, caller)).as_ref().map_err(Clone::clone)?;
            let bias = if slots.fixed { 0 } else { caller.start.0.wrapping_sub(slots.lowest) };
            for slot in &slots.at {
                let Ok(to) = process.u64(Addr(bias.wrapping_add(*slot))) else { continue };
                let Some(mapping) = mappings.iter().find(|m| m.start.0 <= to && to < m.end.0) else { continue };
                if mapping.path != caller.path && !found.contains(&mapping.path) {
                    found.push(mapping.path.clone());
                }
            }
        }
        match found.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(Unseen::NoSlot),
            _ => Err(Unseen::Several(found)),
        }
    }
}

/// Reads them from the file, if that is the mapped one.
fn slots(process: &Process, caller: &Mapping) -> Result<Slots, Unseen> {
    let cannot = |why: String| Unseen::File { path: caller.path.clone(), why };
    let file = File::open(&caller.path).map_err(|e| cannot(e.to_string()))?;
    let length = file.metadata().map_err(|e| cannot(e.to_string()))?;
    if !length.is_file() {
        return Err(cannot("it is no regular file".into()));
    }
    let (mut head, mut mapped) = (Vec::new(), vec![0; PAGE as usize]);
    Read::take(&file, PAGE).read_to_end(&mut head).map_err(|e| cannot(e.to_string()))?;
    mapped.truncate(head.len());
    if process.read(caller.start, &mut mapped).is_err() || mapped != head {
        return Err(cannot("another file stands there than the one that is mapped".into()));
    }
    let cache = ReadCache::new(file);
    let file: ElfFile64<'_, Endianness, _> = ElfFile64::parse(&cache).map_err(|e| cannot(e.to_string()))?;
    let fixed = file.elf_header().e_type(Endianness::Little) == object::elf::ET_EXEC;
    let lowest = file.segments().map(|s| s.address() & !(PAGE - 1)).min().unwrap_or_default();
    let mut slots = Slots { fixed, lowest, at: Vec::new() };
    let (Some(symbols), Some(relocations)) = (file.dynamic_symbol_table(), file.dynamic_relocations()) else { return Ok(slots) };
    let to_malloc = relocations.filter(|(_, relocation)| {
        let RelocationFlags::Elf { r_type } = relocation.flags() else { return false };
        let RelocationTarget::Symbol(index) = relocation.target() else { return false };
        SLOTS.contains(&r_type) && symbols.symbol_by_index(index).is_ok_and(|symbol| symbol.name() == Ok("malloc"))
    });
    slots.at = to_malloc.take(SLOTS_MOST).map(|(offset, _)| offset).collect();
    Ok(slots)
}

/// glibc's arenas, from the memory of libc and the first page of each heap: no heap is copied.
fn arenas(process: &Process, mappings: &[Mapping]) -> Option<Arenas> {
    let mut copied = Vec::new();
    for (i, libc) in mappings.iter().enumerate().filter(|(_, m)| m.write && !m.shared && is_glibc(file_name(&m.path))) {
        // What follows without a file is its .bss.
        let bss = mappings.get(i + 1).filter(|next| next.start == libc.end && is_anonymous(next) && next.path.is_empty());
        for part in [Some(libc), bss].into_iter().flatten() {
            copied.extend(copy(process, part.start, part.len().min(LIBC_BYTES_MOST)));
        }
    }
    if copied.is_empty() {
        return None;
    }
    copied.extend(aligned(process, mappings, ARENA_ALIGNMENT).map(|(at, page, _)| (at, page)));
    // The heads of the free lists lead to chunks that lead back.
    let within = |at: u64| {
        let i = mappings.partition_point(|m| m.end.0 <= at);
        mappings.get(i).is_some_and(|m| m.start.0 <= at && is_anonymous(m))
    };
    let words = |bytes: &[u8]| bytes.chunks_exact(8).map(|w| u64::from_le_bytes(w.try_into().unwrap_or_default())).collect::<Vec<u64>>();
    let mut chunks: Vec<u64> = copied.iter().flat_map(|(_, bytes)| words(bytes)).filter(|word| word % 16 == 0 && within(*word)).collect();
    chunks.sort_unstable();
    chunks.dedup();
    copied.extend(chunks.into_iter().filter_map(|at| copy(process, Addr(at), CHUNK_BYTES)));
    let found = glibc::Malloc::find(&image(&copied), mappings).ok()?;
    Some(Arenas { count: found.arenas.len(), most: found.parameters.map(|p| p.arena_max) })
}

/// Segments of a mimalloc, from their headers.
fn segments(process: &Process, mappings: &[Mapping]) -> usize {
    let places = aligned(process, mappings, SEGMENT_ALIGNMENT);
    let copied: Vec<(Addr, Vec<u8>)> = places.filter_map(|(at, _, room)| copy(process, at, SEGMENT_HEADER.min(room))).collect();
    mimalloc::Mimalloc::find(&image(&copied), mappings).map_or(0, |found| found.segments.len())
}

/// The addresses in anonymous memory that are so aligned and where something was written, each with its page and how much of the mapping is
/// behind it.
fn aligned<'a>(process: &'a Process, mappings: &'a [Mapping], alignment: u64) -> impl Iterator<Item = (Addr, Vec<u8>, u64)> + 'a {
    let places = mappings.iter().filter(|m| is_anonymous(m)).flat_map(move |m| {
        let first = m.start.0.checked_next_multiple_of(alignment).unwrap_or(u64::MAX);
        (first..m.end.0).step_by(alignment as usize).map(|at| (Addr(at), m.end.0 - at))
    });
    places.take(PLACES_MOST).filter_map(|(at, room)| {
        let (_, page) = copy(process, at, PAGE.min(room))?;
        page.iter().any(|byte| *byte != 0).then_some((at, page, room))
    })
}

fn copy(process: &Process, at: Addr, len: u64) -> Option<(Addr, Vec<u8>)> {
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    process.read(at, &mut bytes).ok()?;
    Some((at, bytes))
}

fn image(copied: &[(Addr, Vec<u8>)]) -> Image<'_> {
    Image::new(copied.iter().map(|(start, bytes)| Segment { start: *start, bytes }).collect())
}

fn is_anonymous(m: &Mapping) -> bool {
    m.inode == 0 && m.read && m.write && !m.shared
}

fn loaded(mappings: &[Mapping], exe: &str) -> Vec<String> {
    let mut files: Vec<String> = mappings.iter().filter(|m| m.exec && m.inode != 0 && m.path != exe).map(|m| m.path.clone()).collect();
    files.sort();
    files.dedup();
    files
}

/// By its name: of the executable, also where a loader was started with it, or of the library.
fn is_python(path: &str) -> bool {
    ["python", "libpython"].iter().any(|start| file_name(path).starts_with(start))
}

/// Whether a file of this name is glibc's libc: `libc.so.6`, to 2.33 `libc-2.NN.so`.
pub(crate) fn is_glibc(name: &str) -> bool {
    let release = name.strip_prefix("libc-2.").and_then(|rest| rest.strip_suffix(".so"));
    name == "libc.so.6" || release.is_some_and(|release| !release.is_empty() && release.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether it is musl's libc, which is its loader too.
pub(crate) fn is_musl(name: &str) -> bool {
    name.starts_with("ld-musl-") || name.starts_with("libc.musl-")
}

pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_libc_is_known_by_its_whole_name() {
        for name in ["libc.so.6", "libc-2.31.so"] {
            assert!(is_glibc(name) && !is_musl(name), "{name}");
        }
        for name in ["libcrypto.so.3", "libc.so", "libc++.so.1", "libc-2.so", "libc-2..so", "libc-2.x.so", "libcap.so.2", "libc.so.6.old"] {
            assert!(!is_glibc(name), "{name}");
        }
        for name in ["ld-musl-x86_64.so.1", "libc.musl-x86_64.so.1"] {
            assert!(is_musl(name) && !is_glibc(name), "{name}");
        }
    }
}
