//! The references of a chunk while they are told: labelled, and packed as soon as there are enough for a row group, in the middle of
//! an object too: one dict may have more than all others together.

use snapshot::file::{FileError, LinkRows, PackedLinks, Packer};

use crate::edges::Edge;
use crate::labels::{Key, Local};

/// References of a row group.
const LINKS_MOST: usize = 1 << 20;

/// A reference as it is told.
#[derive(Clone, Copy)]
pub(crate) struct Link {
    /// The number of its label within the chunk.
    pub(crate) label: u32,
    pub(crate) holder: u32,
    pub(crate) target: u32,
    pub(crate) position: u32,
}

/// Room that is used again for the next chunk.
#[derive(Default)]
pub(crate) struct Buffers {
    links: Vec<Link>,
    sorted: LinkRows,
}

/// References in the making.
pub(crate) struct Gather<'p> {
    packer: Option<&'p Packer>,
    labels: Local,
    buffers: Buffers,
    packed: Vec<(PackedLinks, Vec<u32>)>,
    failed: Option<FileError>,
}

/// All references of a chunk.
pub(crate) struct Told {
    /// As they are, by holder, where nothing packs them.
    pub(crate) links: Vec<Link>,
    /// Groups, with the number of references of each of `labels`.
    pub(crate) packed: Vec<(PackedLinks, Vec<u32>)>,
    pub(crate) labels: Vec<Key>,
    pub(crate) buffers: Buffers,
}

impl<'p> Gather<'p> {
    pub(crate) fn new(packer: Option<&'p Packer>, mut buffers: Buffers) -> Gather<'p> {
        buffers.links.clear();
        Gather { packer, labels: Local::default(), buffers, packed: Vec::new(), failed: None }
    }

    /// Adds the `nth` reference of an object whose type has the row `kind_of_holder`.
    #[inline]
    pub(crate) fn add(&mut self, kind_of_holder: u32, nth: usize, holder: u32, target: u32, e: &Edge) {
        let label = self.labels.number(kind_of_holder, nth, e);
        self.buffers.links.push(Link { label, holder, target, position: e.position });
        if let (true, Some(packer)) = (self.buffers.links.len() >= LINKS_MOST, self.packer) {
            self.pack(packer);
        }
    }

    /// The rest.
    pub(crate) fn done(mut self) -> Result<Told, FileError> {
        if let (false, Some(packer)) = (self.buffers.links.is_empty(), self.packer) {
            self.pack(packer);
        }
        match self.failed {
            Some(e) => Err(e),
            None => {
                let links = if self.packer.is_none() { std::mem::take(&mut self.buffers.links) } else { Vec::new() };
                Ok(Told { links, packed: self.packed, labels: self.labels.keys, buffers: self.buffers })
            }
        }
    }

    /// Sorts the references told so far by label and packs them. An object's own stay in the order in which it tells them.
    #[cold]
    fn pack(&mut self, packer: &Packer) {
        let Buffers { links, sorted } = &mut self.buffers;
        let mut counts = vec![0u32; self.labels.keys.len()];
        for l in links.iter() {
            if let Some(n) = counts.get_mut(l.label as usize) {
                *n += 1;
            }
        }
        let mut end = 0;
        let mut places: Vec<usize> = counts
            .iter()
            .map(|n| {
                end += *n as usize;
                end - *n as usize
            })
            .collect();
        for column in [&mut sorted.holders, &mut sorted.targets, &mut sorted.positions] {
            column.clear();
            column.resize(end, 0);
        }
        for l in links.drain(..) {
            let Some(place) = places.get_mut(l.label as usize) else { continue };
            let (h, t, p) = (sorted.holders.get_mut(*place), sorted.targets.get_mut(*place), sorted.positions.get_mut(*place));
            if let (Some(h), Some(t), Some(p)) = (h, t, p) {
                (*h, *t, *p) = (l.holder, l.target, l.position);
            }
            *place += 1;
        }
        sorted.counts = counts;
        match packer.links(sorted) {
            Ok(packed) => self.packed.push((packed, std::mem::take(&mut sorted.counts))),
            Err(e) => self.failed = self.failed.take().or(Some(e)),
        }
    }
}
