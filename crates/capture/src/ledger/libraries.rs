//! Memory that libraries map for themselves: where it begins stands in their static data, as the buffers of OpenBLAS do.
//!
//! Never does: say how far it reaches; the kernel joins mappings, so that the next such word or the mapping's end is taken for that.
//! Sources: mmap(2) (what it gives begins at a page); elf(5) for static data.

use memory::{Addr, Image, Mapping};

const PAGE: u64 = 4096;

/// Where memory of libraries begins, by address.
#[derive(Debug, Default)]
pub(super) struct Begun<'m>(Vec<(Addr, &'m str)>);

impl<'m> Begun<'m> {
    /// Reads static data, which is of the file with that path; keeps the words that are first addresses of pages in anonymous memory.
    pub(super) fn read(statics: &[(Addr, Addr, &'m str)], maps: &[Mapping], image: &Image<'_>) -> Begun<'m> {
        let anonymous: Vec<&Mapping> = maps.iter().filter(|m| m.inode == 0 && m.write && !m.shared && m.path.is_empty()).collect();
        let mut all = Vec::new();
        for &(start, end, path) in statics {
            // What is not whole in the copy is not read.
            let bytes = image.slice(start, end.0.saturating_sub(start.0) as usize).unwrap_or_default();
            let words = bytes.chunks_exact(8).filter_map(|word| word.try_into().ok()).map(u64::from_le_bytes);
            for word in words.filter(|word| *word != 0 && word % PAGE == 0) {
                let next = anonymous.partition_point(|m| m.start.0 <= word);
                if next.checked_sub(1).and_then(|i| anonymous.get(i)).is_some_and(|m| word < m.end.0) {
                    all.push((Addr(word), path));
                }
            }
        }
        all.sort_unstable();
        all.dedup_by_key(|(at, _)| *at);
        Begun(all)
    }

    /// `start..end` by whose it is: up to the first word that is in it nobody's.
    pub(super) fn parts(&self, start: Addr, end: Addr) -> Vec<(Addr, Addr, Option<&'m str>)> {
        let first = self.0.partition_point(|(at, _)| *at < start);
        let mut parts = Vec::new();
        let (mut from, mut whose) = (start, None);
        for &(at, path) in self.0.get(first..).unwrap_or(&[]).iter().take_while(|(at, _)| *at < end) {
            if from < at {
                parts.push((from, at, whose));
            }
            (from, whose) = (at, Some(path));
        }
        parts.push((from, end, whose));
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::Segment;

    #[test]
    fn what_static_data_names_is_its_library_s_up_to_the_next() {
        let mapping = |start, end, inode| Mapping {
            start: Addr(start),
            end: Addr(end),
            read: true,
            write: true,
            exec: false,
            shared: false,
            offset: 0,
            inode,
            path: String::new(),
        };
        let maps = [mapping(0x1000, 0x2000, 7), mapping(0x10_0000, 0x20_0000, 0), mapping(0x30_0000, 0x40_0000, 9)];
        // Two pages, the inside of a page, a page of a file, one of nobody.
        let words = [0x18_0000_u64, 0x14_0000, 0x15_0008, 0x30_0000, 0x50_0000, 0];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let image = Image::new(vec![Segment { start: Addr(0x1000), bytes: &bytes }]);
        let statics = [(Addr(0x1000), Addr(0x1030), "/lib/a.so"), (Addr(0x9000), Addr(0xa000), "/lib/not-copied.so")];
        let begun = Begun::read(&statics, &maps, &image);
        let part = |start, end, whose| (Addr(start), Addr(end), whose);
        let a = Some("/lib/a.so");
        assert_eq!(
            begun.parts(Addr(0x10_0000), Addr(0x20_0000)),
            [part(0x10_0000, 0x14_0000, None), part(0x14_0000, 0x18_0000, a), part(0x18_0000, 0x20_0000, a)]
        );
        // What is free begins behind the word: whose it is, is not known.
        assert_eq!(begun.parts(Addr(0x19_0000), Addr(0x20_0000)), [part(0x19_0000, 0x20_0000, None)]);
    }
}
