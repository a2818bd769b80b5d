//! Objects outside the arenas: static ones in binaries, large ones in malloc's chunks, all of them where pymalloc is not
//! in use.

use std::ops::Range;

use memory::{Addr, Image, Mapping, Memory, Module};
use rustc_hash::FxHashSet;

/// What is known outside the arenas.
#[derive(Default)]
pub(crate) struct Outside {
    /// Addresses that were queued once: nothing is looked at twice.
    seen: FxHashSet<Addr>,
    /// Objects among them; sorted once all are found.
    pub(crate) objects: Vec<Addr>,
    /// Those of them that a root named first.
    pub(crate) by_root: FxHashSet<Addr>,
    /// Blocks that objects own.
    pub(crate) owned: FxHashSet<Addr>,
}

impl Outside {
    /// Whether `at` was not seen before.
    pub(crate) fn first_sight(&mut self, at: Addr) -> bool {
        self.seen.insert(at)
    }

    /// Whether an object or a candidate stands at `at`.
    pub(crate) fn knows(&self, at: Addr) -> bool {
        self.seen.contains(&at)
    }
}

/// The memory of mapped files: what stands there was never allocated.
pub(crate) struct Statics(Vec<Range<u64>>);

impl Statics {
    /// From the mappings and, for `.bss`, the module's own ranges.
    pub(crate) fn new(mappings: &[Mapping], python: &Module, image: &Image<'_>) -> Statics {
        let mut all: Vec<Range<u64>> = mappings.iter().filter(|m| m.inode != 0).map(|m| m.start.0..m.end.0).collect();
        all.extend(python.writable.iter().map(|r| r.start.0..r.end.0));
        // A file's .bss is anonymous memory right behind its last mapping. What else the kernel put there, an arena say, is joined to it
        // or stands there instead, so that only the file knows where it ends.
        for (i, pair) in mappings.windows(2).enumerate() {
            if let [a, b] = pair {
                if a.inode != 0 && a.write && b.inode == 0 && b.path.is_empty() && b.write && a.end == b.start {
                    let end = bss_end(mappings.get(..=i).unwrap_or(&[]), a.inode, image).map_or(b.end.0, |end| end.min(b.end.0));
                    if end > b.start.0 {
                        all.push(b.start.0..end);
                    }
                }
            }
        }
        all.sort_by_key(|r| r.start);
        Statics(all)
    }

    /// Whether `at` lies in a mapped file's memory.
    pub(crate) fn contains(&self, at: Addr) -> bool {
        let i = self.0.partition_point(|r| r.start <= at.0);
        // Ranges of one file may overlap by the module's own list; two back are enough.
        self.0.get(i.saturating_sub(3)..i).unwrap_or(&[]).iter().any(|r| r.contains(&at.0))
    }

    /// The ranges.
    pub(crate) fn ranges(&self) -> &[Range<u64>] {
        &self.0
    }
}

/// Most program headers that are read; files have about a dozen.
const HEADERS_BOUND: u64 = 256;
/// `PT_LOAD` (elf.h).
const LOAD: u32 = 1;
const PAGE: u64 = 4096;

/// Where the memory of a mapped ELF file ends by its own program headers; `None` where they cannot be read. `mappings` end with the
/// file's last one; its header is at the start of the mapping of offset 0 (elf(5): `e_phoff`, `e_phentsize`, `e_phnum`, `Elf64_Phdr`).
pub(crate) fn bss_end(mappings: &[Mapping], inode: u64, image: &Image<'_>) -> Option<u64> {
    let head = mappings.iter().rev().find(|m| m.inode == inode && m.offset == 0)?.start;
    if image.u32(head).ok()? != u32::from_le_bytes(*b"\x7fELF") {
        return None;
    }
    let half = |at: u64| image.u32(head + at).map(|word| u64::from(word & 0xffff));
    let (table, size, count) = (image.u64(head + 32).ok()?, half(54).ok()?, half(56).ok()?);
    let mut lowest = u64::MAX;
    let mut end = 0;
    for i in 0..count.min(HEADERS_BOUND) {
        let at = Addr(head.0.checked_add(table)?.checked_add(i * size)?);
        if image.u32(at).ok()? != LOAD {
            continue;
        }
        let (address, bytes) = (image.u64(at + 16).ok()?, image.u64(at + 40).ok()?);
        lowest = lowest.min(address / PAGE * PAGE);
        end = end.max(address.checked_add(bytes)?);
    }
    head.0.checked_add(end.checked_sub(lowest)?)?.checked_next_multiple_of(PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::Segment;

    fn mapping(range: Range<u64>, inode: u64, offset: u64, write: bool) -> Mapping {
        let (start, end) = (Addr(range.start), Addr(range.end));
        Mapping { start, end, read: true, write, exec: false, shared: false, offset, inode, path: String::new() }
    }

    /// A file of three pages and a .bss of half a page more, and an arena that the kernel put right behind its mapping.
    #[test]
    fn what_stands_behind_a_file_s_data_is_its_own_only_as_far_as_it_says() {
        let mut file = vec![0_u8; 0x1000];
        file[..4].copy_from_slice(b"\x7fELF");
        file[32..40].copy_from_slice(&64_u64.to_le_bytes());
        file[54..58].copy_from_slice(&[56, 0, 2, 0]);
        // (address, bytes in memory) of each part to be loaded.
        for (i, (address, bytes)) in [(0_u64, 0x1800_u64), (0x2000, 0x1800)].into_iter().enumerate() {
            let at = 64 + i * 56;
            file[at..at + 4].copy_from_slice(&LOAD.to_le_bytes());
            file[at + 16..at + 24].copy_from_slice(&address.to_le_bytes());
            file[at + 40..at + 48].copy_from_slice(&bytes.to_le_bytes());
        }
        let mappings = [
            mapping(0x10_0000..0x10_2000, 7, 0, false),
            mapping(0x10_2000..0x10_3000, 7, 0x2000, true),
            mapping(0x10_3000..0x20_4000, 0, 0, true),
        ];
        let image = Image::new(vec![Segment { start: Addr(0x10_0000), bytes: &file }]);
        let statics = Statics::new(&mappings, &Module::default(), &image);
        assert!(statics.contains(Addr(0x10_2ff8)) && statics.contains(Addr(0x10_3ff8)));
        assert!(!statics.contains(Addr(0x10_4000)) && !statics.contains(Addr(0x20_3ff8)));
        // Nothing is known of a file whose head was not copied.
        let statics = Statics::new(&mappings, &Module::default(), &Image::new(Vec::new()));
        assert!(statics.contains(Addr(0x20_3ff8)));
    }
}
