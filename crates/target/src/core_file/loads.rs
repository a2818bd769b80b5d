//! What a core file says is mapped: its segments.
//!
//! Holds: [`Load`], [`loads`], [`left_out`], [`headers`]. Never does: read a segment's bytes, trust its numbers.
//! Sources: elf(5), core(5).

use std::path::Path;

use object::read::elf::{FileHeader, ProgramHeader};
use object::{elf, Endianness};

use super::notes::FileRange;
use super::CoreError;

/// A process has at most so many mappings (vm.max_map_count is 65,530 by default).
pub(super) const MAPPINGS_MAX: usize = 1 << 20;

/// A PT_LOAD.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) offset: u64,
    pub(super) dumped: u64,
    pub(super) flags: u32,
}

pub(super) type Header = elf::FileHeader64<Endianness>;

pub(super) fn headers<'b>(path: &Path, bytes: &'b [u8]) -> Result<(Endianness, &'b [elf::ProgramHeader64<Endianness>]), CoreError> {
    let not = |found: &str| CoreError::NotCore { path: path.to_path_buf(), found: found.into() };
    let (Some(b"\x7fELF"), Some(&class), Some(&order)) = (bytes.get(..4), bytes.get(4), bytes.get(5)) else {
        return Err(not(if bytes.is_empty() { "an empty file" } else { "no ELF file" }));
    };
    let half = |at: usize| match (bytes.get(at), bytes.get(at + 1), order) {
        (Some(&a), Some(&b), 2) => u16::from_be_bytes([a, b]),
        (Some(&a), Some(&b), _) => u16::from_le_bytes([a, b]),
        _ => 0,
    };
    match half(16) {
        elf::ET_CORE => {}
        elf::ET_EXEC | elf::ET_DYN => return Err(not("a program or a library")),
        elf::ET_REL => return Err(not("an object file of a compiler")),
        _ => return Err(not("another kind of ELF file")),
    }
    if (class, order, half(18)) != (2, 1, elf::EM_X86_64) {
        let bits = if class == 2 { "64-bit" } else { "32-bit" };
        let machine = match half(18) {
            elf::EM_X86_64 => "x86-64".into(),
            elf::EM_386 => "x86".into(),
            elf::EM_AARCH64 => "AArch64".into(),
            elf::EM_ARM => "Arm".into(),
            other => format!("machine {other}"),
        };
        return Err(CoreError::OtherCpu { path: path.to_path_buf(), found: format!("{bits}, {machine}") });
    }
    let cut = || CoreError::Cut { path: path.to_path_buf(), have: bytes.len() as u64, wanted: bytes.len() as u64 + 1 };
    let header = Header::parse(bytes).map_err(|_| cut())?;
    let endian = header.endian().map_err(|_| cut())?;
    let all = header.program_headers(endian, bytes).map_err(|_| cut())?;
    if all.is_empty() {
        return Err(not("an ELF file without segments"));
    }
    Ok((endian, all))
}

/// What is mapped, by address; a core whose bytes end before its last segment is cut.
pub(super) fn loads(path: &Path, bytes: &[u8]) -> Result<Vec<Load>, CoreError> {
    let (endian, headers) = headers(path, bytes)?;
    let mut loads = Vec::new();
    let mut wanted = 0;
    for h in headers.iter().filter(|h| h.p_type(endian) == elf::PT_LOAD).take(MAPPINGS_MAX) {
        let (start, size) = (h.p_vaddr(endian), h.p_memsz(endian).max(h.p_filesz(endian)));
        let Some(end) = start.checked_add(size).filter(|end| *end > start) else { continue };
        let (offset, dumped) = (h.p_offset(endian), h.p_filesz(endian));
        wanted = wanted.max(if dumped > 0 { offset.saturating_add(dumped) } else { 0 });
        loads.push(Load { start, end, offset, dumped, flags: h.p_flags(endian) });
    }
    if wanted > bytes.len() as u64 {
        return Err(CoreError::Cut { path: path.to_path_buf(), have: bytes.len() as u64, wanted });
    }
    // No byte is dumped twice; what a made-up file says so of would be copied as often.
    if loads.iter().fold(0u64, |sum, load| sum.saturating_add(load.dumped)) > bytes.len() as u64 {
        return Err(CoreError::NotCore { path: path.to_path_buf(), found: "an ELF file whose segments overlap".into() });
    }
    loads.sort_unstable_by_key(|load| (load.start, load.end));
    // Nor is an address mapped twice: where a damaged length says so, the next one's beginning is believed.
    for nth in 1..loads.len() {
        let next = loads.get(nth).map_or(u64::MAX, |load| load.start);
        if let Some(load) = loads.get_mut(nth - 1) {
            load.end = load.end.min(next);
            load.dumped = load.dumped.min(load.end - load.start);
        }
    }
    loads.retain(|load| load.end > load.start);
    Ok(loads)
}

/// gcore has no segment for a mapping that it does not dump: the files' ranges without one are added, as read-only.
pub(super) fn left_out(loads: &mut Vec<Load>, files: &[FileRange]) {
    let mut more = Vec::new();
    for range in files {
        let mut at = range.start;
        let first = loads.partition_point(|load| load.end <= range.start);
        for load in loads.iter().skip(first).take_while(|load| load.start < range.end) {
            if at < load.start {
                more.push((at, load.start));
            }
            at = at.max(load.end);
        }
        if at < range.end {
            more.push((at, range.end));
        }
    }
    loads.extend(more.into_iter().map(|(start, end)| Load { start, end, offset: 0, dumped: 0, flags: elf::PF_R }));
    loads.sort_unstable_by_key(|load| load.start);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// An ELF core of x86-64 with these segments: address, bytes in memory.
    fn core(segments: &[(u64, u64)]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(16, 0);
        bytes.extend([elf::ET_CORE, elf::EM_X86_64].iter().flat_map(|half| half.to_le_bytes()));
        bytes.extend(1u32.to_le_bytes());
        bytes.extend([0u64, 64, 0].iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend(0u32.to_le_bytes());
        bytes.extend([64u16, 56, segments.len() as u16, 0, 0, 0].iter().flat_map(|half| half.to_le_bytes()));
        for (address, size) in segments {
            bytes.extend([elf::PT_LOAD, elf::PF_R].iter().flat_map(|word| word.to_le_bytes()));
            bytes.extend([0, *address, 0, 0, *size, 4096].iter().flat_map(|word| word.to_le_bytes()));
        }
        bytes
    }

    /// Found by the fuzzer: the sum of what two of them did not hold was more than there are addresses.
    #[test]
    fn segments_do_not_overlap() {
        let bytes = core(&[(0x2000, 0x1000), (0x1000, u64::MAX - 0x2000), (0x2000, u64::MAX - 0x3000), (0x9000, 0x1000)]);
        let found: Vec<(u64, u64)> = loads(Path::new("core"), &bytes).unwrap().iter().map(|load| (load.start, load.end)).collect();
        assert_eq!(found, [(0x1000, 0x2000), (0x2000, 0x9000), (0x9000, 0xa000)]);
    }
}
