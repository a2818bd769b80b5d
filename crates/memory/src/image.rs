//! The image: segments of a target's memory, copied while it stood.

use std::ops::Range;

use crate::{Addr, Fault, Memory};

/// One run of copied bytes.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'m> {
    /// Address of the first byte in the target.
    pub start: Addr,
    /// The bytes, borrowed from whoever made the copy.
    pub bytes: &'m [u8],
}

impl Segment<'_> {
    /// One past the last address.
    pub fn end(&self) -> Addr {
        self.start + self.bytes.len() as u64
    }
}

/// Segments sorted by address, without overlap, behind an index: every field of every object is looked up here.
#[derive(Clone, Debug, Default)]
pub struct Image<'m> {
    segments: Vec<Segment<'m>>,
    /// Per GiB of user address space: which leaf of `leaves`, plus one; zero for none.
    roots: Vec<u32>,
    /// Per 2 MiB of a GiB: the first segment that ends behind its start.
    leaves: Vec<[u32; LEAF]>,
}

const ROOT_BITS: u32 = 30;
const GRANULE_BITS: u32 = 21;
const LEAF: usize = 1 << (ROOT_BITS - GRANULE_BITS);
/// User addresses on x86-64 have 47 bits; what lies above is found by search.
const ROOTS: usize = 1 << (47 - ROOT_BITS);

impl<'m> Image<'m> {
    /// Sorts `segments`; where two overlap, the later one in address order loses its overlapping front.
    pub fn new(mut segments: Vec<Segment<'m>>) -> Self {
        segments.retain(|s| !s.bytes.is_empty() && s.start.0.checked_add(s.bytes.len() as u64).is_some());
        segments.sort_by_key(|s| s.start);
        let mut kept: Vec<Segment<'m>> = Vec::with_capacity(segments.len());
        for mut s in segments {
            if let Some(last) = kept.last() {
                let end = last.end();
                if s.start < end {
                    let cut = (end.0 - s.start.0) as usize;
                    if cut >= s.bytes.len() {
                        continue;
                    }
                    s = Segment { start: end, bytes: &s.bytes[cut..] };
                }
            }
            kept.push(s);
        }
        Image::indexed(kept)
    }

    fn indexed(segments: Vec<Segment<'m>>) -> Self {
        let mut roots = vec![0; ROOTS];
        let mut leaves: Vec<[u32; LEAF]> = Vec::new();
        for s in &segments {
            let last = s.end().0 - 1;
            for gib in s.start.0 >> ROOT_BITS..=last >> ROOT_BITS {
                let Some(root) = roots.get_mut(gib as usize) else { break };
                if *root != 0 {
                    continue;
                }
                let mut leaf = [0; LEAF];
                for (i, first) in leaf.iter_mut().enumerate() {
                    let granule = (gib << ROOT_BITS) + ((i as u64) << GRANULE_BITS);
                    *first = segments.partition_point(|s| s.end().0 <= granule) as u32;
                }
                leaves.push(leaf);
                *root = leaves.len() as u32;
            }
        }
        Image { segments, roots, leaves }
    }

    /// All segments, by address.
    pub fn segments(&self) -> &[Segment<'m>] {
        &self.segments
    }

    /// All bytes of all segments.
    pub fn total_bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.bytes.len() as u64).sum()
    }

    /// The first address at or behind `at` that has a byte.
    pub fn next(&self, at: Addr) -> Option<Addr> {
        self.segments.get(self.segments.partition_point(|s| s.end() <= at)).map(|s| s.start.max(at))
    }

    /// What of `range` is there, by address: a mapping that a damaged core tells of may be longer than any memory.
    pub fn parts(&self, range: Range<Addr>) -> impl Iterator<Item = Range<Addr>> + '_ {
        let first = self.segments.partition_point(|s| s.end() <= range.start);
        let here = self.segments.get(first..).unwrap_or_default().iter().take_while(move |s| s.start < range.end);
        here.map(move |s| s.start.max(range.start)..s.end().min(range.end))
    }

    /// The segment that holds `at`.
    #[inline]
    pub fn segment(&self, at: Addr) -> Option<&Segment<'m>> {
        let leaf = self.roots.get((at.0 >> ROOT_BITS) as usize).map_or(0, |r| *r as usize);
        let Some(leaf) = self.leaves.get(leaf.wrapping_sub(1)) else {
            return self.search(at, 0);
        };
        let first = leaf.get((at.0 >> GRANULE_BITS) as usize % LEAF).map_or(0, |f| *f as usize);
        let s = self.segments.get(first)?;
        if at < s.end() {
            return (s.start <= at).then_some(s);
        }
        self.search(at, first)
    }

    /// By binary search from segment `first` on: where several segments share a granule.
    #[cold]
    fn search(&self, at: Addr, first: usize) -> Option<&Segment<'m>> {
        let rest = self.segments.get(first..)?;
        let i = rest.partition_point(|s| s.start <= at);
        let s = rest.get(i.wrapping_sub(1))?;
        (at < s.end()).then_some(s)
    }

    /// `len` bytes at `at`, when one segment holds them all. Adjacent mappings are separate segments; nothing that
    /// an interpreter allocates spans two unless the kernel split a mapping, so callers count that as a gap.
    #[inline]
    pub fn slice(&self, at: Addr, len: usize) -> Result<&'m [u8], Fault> {
        if at.is_null() {
            return Err(Fault::Null);
        }
        let absent = Fault::Absent { at, len };
        let s = self.segment(at).ok_or(absent)?;
        let from = (at.0 - s.start.0) as usize;
        let to = from.checked_add(len).ok_or(absent)?;
        s.bytes.get(from..to).ok_or(absent)
    }
}

impl Memory for Image<'_> {
    #[inline]
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Fault> {
        into.copy_from_slice(self.slice(at, into.len())?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_range_are_what_is_there() {
        let (a, b) = ([0u8; 16], [0u8; 32]);
        let image = Image::new(vec![Segment { start: Addr(0x1000), bytes: &a }, Segment { start: Addr(0x2000), bytes: &b }]);
        let parts = |start, end| image.parts(Addr(start)..Addr(end)).map(|p| (p.start.0, p.end.0)).collect::<Vec<_>>();
        assert_eq!(parts(0, u64::MAX), [(0x1000, 0x1010), (0x2000, 0x2020)]);
        assert_eq!(parts(0x1008, 0x2001), [(0x1008, 0x1010), (0x2000, 0x2001)]);
        assert_eq!(parts(0x1010, 0x2000), []);
        assert_eq!(parts(0x2008, 0x2010), [(0x2008, 0x2010)]);
    }

    #[test]
    fn reads_within_a_segment_and_faults_outside() {
        let a = [1u8, 2, 3, 4, 5, 6, 7, 8];
        let b = [9u8; 4];
        let image = Image::new(vec![Segment { start: Addr(0x9000), bytes: &b }, Segment { start: Addr(0x5000), bytes: &a }]);
        assert_eq!(image.u64(Addr(0x5000)), Ok(0x0807_0605_0403_0201));
        assert_eq!(image.u64(Addr(0x5001)), Err(Fault::Absent { at: Addr(0x5001), len: 8 }));
        assert_eq!(image.u8(Addr(0x9003)), Ok(9));
        assert_eq!(image.u8(Addr(0x9004)), Err(Fault::Absent { at: Addr(0x9004), len: 1 }));
        assert_eq!(image.u8(Addr(0)), Err(Fault::Null));
        assert_eq!(image.slice(Addr(0x5000), usize::MAX), Err(Fault::Absent { at: Addr(0x5000), len: usize::MAX }));
    }

    #[test]
    fn the_index_finds_what_a_search_finds() {
        let bytes = vec![7u8; 5 << 20];
        // Many in one granule, one across granules, one across GiB, one above the index.
        let mut segments: Vec<Segment<'_>> =
            (0..200).map(|i| Segment { start: Addr(0x7f00_0000_1000 + i * 0x3000), bytes: &bytes[..0x1000] }).collect();
        segments.push(Segment { start: Addr(0x7f00_3fe0_0000), bytes: &bytes });
        segments.push(Segment { start: Addr(0xffff_ffff_ff60_0000), bytes: &bytes[..0x1000] });
        let image = Image::new(segments);
        let naive = |at: Addr| image.segments().iter().find(|s| s.start <= at && at < s.end()).map(|s| s.start);
        for at in image.segments().iter().flat_map(|s| [s.start.0 - 1, s.start.0, s.end().0 - 1, s.end().0, s.start.0 + (3 << 20)]) {
            assert_eq!(image.segment(Addr(at)).map(|s| s.start), naive(Addr(at)), "{at:#x}");
        }
    }

    #[test]
    fn overlapping_segments_keep_the_first() {
        let a = [1u8; 8];
        let b = [2u8; 8];
        let image = Image::new(vec![Segment { start: Addr(0x5004), bytes: &b }, Segment { start: Addr(0x5000), bytes: &a }]);
        assert_eq!(image.u8(Addr(0x5007)), Ok(1));
        assert_eq!(image.u8(Addr(0x5008)), Ok(2));
        assert_eq!(image.u8(Addr(0x500b)), Ok(2));
        assert!(image.u8(Addr(0x500c)).is_err());
    }
}
