//! A core file of our own: the copy of a process as it is, for later or for another machine.
//!
//! Holds: [`write_core`]. What is zero takes no room on the disk; on request it is compressed. Never does: read a process.
//! Sources: core(5), elf(5); struct elf_prpsinfo and elf_prstatus in include/linux/elfcore.h.

use std::fs::File;
use std::io::{self, Write};

use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};
use memory::{Image, Mapping, Module};
use object::elf;

use super::notes::{Kept, Told, OURS, OUR_TYPE};
use super::packed::sparse;
use crate::pagemap::PAGE;
use crate::taken::Thread;

/// What is written.
#[derive(Clone, Copy, Debug)]
pub struct Dump<'d> {
    /// The process.
    pub pid: i32,
    /// Its program.
    pub exe: &'d str,
    /// Its threads.
    pub threads: &'d [Thread],
    /// What it had mapped.
    pub mappings: &'d [Mapping],
    /// The bytes.
    pub image: &'d Image<'d>,
    /// The mapped files that hold a Python.
    pub pythons: &'d [Module],
    /// What else is to be known of it.
    pub kept: &'d Kept,
    /// Whether the file is compressed, as one LZ4 frame.
    pub compress: bool,
}

/// Bytes of an ELF header, of a program header.
const HEADER: u64 = 64;
const PROGRAM_HEADER: u64 = 56;
/// From so many on their number stands elsewhere (PN_XNUM); a copy of a process has some thousands at most.
const HEADERS_MAX: usize = 0xffff;

/// A stretch of one mapping: with its bytes, or without.
struct Stretch<'d> {
    start: u64,
    end: u64,
    flags: u32,
    bytes: &'d [u8],
}

/// Writes the core into a new file. Returns its length, of which what is zero takes no room.
///
/// # Errors
/// As the file gives them.
pub fn write_core(file: &mut File, dump: Dump<'_>) -> io::Result<u64> {
    let stretches = stretches(dump);
    let headers = stretches.len() + 1;
    if headers >= HEADERS_MAX {
        return Err(io::Error::other(format!("{headers} stretches of memory are more than a core file has room for")));
    }
    let notes = notes(dump)?;
    let at_notes = HEADER + headers as u64 * PROGRAM_HEADER;
    let first = (at_notes + notes.len() as u64).next_multiple_of(PAGE);
    let mut head = header(headers as u16);
    head.extend(program_header(elf::PT_NOTE, 0, at_notes, 0, notes.len() as u64, 0));
    let mut at = first;
    for s in &stretches {
        head.extend(program_header(elf::PT_LOAD, s.flags, at, s.start, s.bytes.len() as u64, s.end - s.start));
        at += (s.bytes.len() as u64).next_multiple_of(PAGE);
    }
    head.extend(notes);
    if dump.compress {
        return compressed(file, &head, &stretches, at);
    }
    file.write_all(&head)?;
    let mut at = first;
    for s in &stretches {
        sparse(file, at, s.bytes)?;
        at += (s.bytes.len() as u64).next_multiple_of(PAGE);
    }
    file.set_len(at)?;
    Ok(at)
}

/// The same bytes as one frame, which `lz4 -d` unpacks. LZ4 since it is at hand, in Rust alone, and as fast as a disk.
fn compressed(file: &mut File, head: &[u8], stretches: &[Stretch<'_>], length: u64) -> io::Result<u64> {
    let zeros = [0; PAGE as usize];
    let frame = FrameInfo::new().block_size(BlockSize::Max4MB).content_checksum(true).content_size(Some(length));
    let mut packed = FrameEncoder::with_frame_info(frame, io::BufWriter::with_capacity(1 << 20, file));
    for bytes in [head].into_iter().chain(stretches.iter().map(|s| s.bytes)) {
        packed.write_all(bytes)?;
        let behind = bytes.len().next_multiple_of(PAGE as usize) - bytes.len();
        packed.write_all(zeros.get(..behind).unwrap_or_default())?;
    }
    packed.finish()?.flush()?;
    Ok(length)
}

/// Each mapping, cut where bytes are missing.
fn stretches(dump: Dump<'_>) -> Vec<Stretch<'_>> {
    let segments = dump.image.segments();
    let mut made = Vec::new();
    for m in dump.mappings {
        let flags = [(m.read, elf::PF_R), (m.write, elf::PF_W), (m.exec, elf::PF_X)];
        let flags = flags.iter().filter(|(is, _)| *is).fold(0, |all, (_, flag)| all | flag);
        let first = segments.partition_point(|s| s.end() <= m.start);
        let mut at = m.start.0;
        let mut push = |start: u64, end: u64, bytes| {
            if start < end {
                made.push(Stretch { start, end, flags, bytes });
            }
        };
        for s in segments.iter().skip(first).take_while(|s| s.start < m.end) {
            let (start, end) = (s.start.0.max(m.start.0), s.end().0.min(m.end.0));
            push(at, start, &[][..]);
            let from = (start - s.start.0) as usize;
            push(start, end, s.bytes.get(from..from + (end - start) as usize).unwrap_or_default());
            at = end;
        }
        push(at, m.end.0, &[][..]);
    }
    made
}

fn header(program_headers: u16) -> Vec<u8> {
    let mut h = vec![0u8; HEADER as usize];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(room) = h.get_mut(at..at + bytes.len()) {
            room.copy_from_slice(bytes);
        }
    };
    // 64-bit, little-endian, version 1.
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &elf::ET_CORE.to_le_bytes());
    put(18, &elf::EM_X86_64.to_le_bytes());
    put(20, &1u32.to_le_bytes());
    put(32, &HEADER.to_le_bytes());
    put(52, &(HEADER as u16).to_le_bytes());
    put(54, &(PROGRAM_HEADER as u16).to_le_bytes());
    put(56, &program_headers.to_le_bytes());
    h
}

fn program_header(kind: u32, flags: u32, offset: u64, address: u64, in_file: u64, in_memory: u64) -> Vec<u8> {
    let mut h = Vec::with_capacity(PROGRAM_HEADER as usize);
    h.extend(kind.to_le_bytes());
    h.extend(flags.to_le_bytes());
    for word in [offset, address, 0, in_file, in_memory, if kind == elf::PT_LOAD { PAGE } else { 4 }] {
        h.extend(word.to_le_bytes());
    }
    h
}

/// The process, its threads, its mapped files, and what exuvia knows.
fn notes(dump: Dump<'_>) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut process = vec![0u8; 136];
    let name = dump.exe.rsplit('/').next().unwrap_or_default();
    let put = |bytes: &mut Vec<u8>, at: usize, what: &[u8]| {
        if let Some(room) = bytes.get_mut(at..at + what.len()) {
            room.copy_from_slice(what);
        }
    };
    put(&mut process, 24, &dump.pid.to_le_bytes());
    put(&mut process, 40, name.as_bytes().get(..name.len().min(15)).unwrap_or_default());
    note(&mut all, b"CORE", elf::NT_PRPSINFO, &process);
    for thread in dump.threads {
        let mut status = vec![0u8; 336];
        put(&mut status, 32, &thread.tid.to_le_bytes());
        note(&mut all, b"CORE", elf::NT_PRSTATUS, &status);
    }
    let files: Vec<&Mapping> = dump.mappings.iter().filter(|m| m.inode != 0).collect();
    let mut mapped: Vec<u8> = [files.len() as u64, 1].iter().flat_map(|word| word.to_le_bytes()).collect();
    mapped.extend(files.iter().flat_map(|m| [m.start.0, m.end.0, m.offset]).flat_map(u64::to_le_bytes));
    mapped.extend(files.iter().flat_map(|m| m.path.bytes().chain([0])));
    note(&mut all, b"CORE", elf::NT_FILE, &mapped);
    let told = Told {
        exe: dump.exe.to_string(),
        modules: dump.pythons.iter().map(Into::into).collect(),
        started: dump.kept.started,
        age_s: dump.kept.age_s,
        dumped_unix_s: dump.kept.dumped_unix_s,
        residency: dump.kept.residency.as_ref().map(Into::into),
    };
    note(&mut all, OURS, OUR_TYPE, &serde_json::to_vec(&told)?);
    Ok(all)
}

fn note(all: &mut Vec<u8>, name: &[u8], kind: u32, words: &[u8]) {
    let name = [name, &[0]].concat();
    all.extend((name.len() as u32).to_le_bytes());
    all.extend((words.len() as u32).to_le_bytes());
    all.extend(kind.to_le_bytes());
    for part in [&name, words] {
        all.extend_from_slice(part);
        all.resize(all.len().next_multiple_of(4), 0);
    }
}
