//! The image: segments of a target's memory, copied while it stood.

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

/// Segments sorted by address, without overlap.
#[derive(Clone, Debug, Default)]
pub struct Image<'m> {
    segments: Vec<Segment<'m>>,
}

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
        Image { segments: kept }
    }

    /// All segments, by address.
    pub fn segments(&self) -> &[Segment<'m>] {
        &self.segments
    }

    /// The segment that holds `at`.
    #[inline]
    pub fn segment(&self, at: Addr) -> Option<&Segment<'m>> {
        let i = self.segments.partition_point(|s| s.start <= at);
        let s = self.segments.get(i.wrapping_sub(1))?;
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
