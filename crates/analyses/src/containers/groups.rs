//! Objects that waste in one way, by type and by where they are held.

use memory::Bytes;
use rustc_hash::FxHashMap;

use super::{Kind, Sum};

/// A list that stands within what appending leaves free may grow on; of so many it is known that they will not.
const DONE_LEAST: u64 = 100;
/// What a class takes that is written for the dicts of one key set: type, namespace, order of resolution; and for each attribute
/// descriptor, member, entry of the namespace.
const CLASS_BYTES: u64 = 2400;
const ATTRIBUTE_BYTES: u64 = 150;

/// What the objects of a group have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) kind: Kind,
    pub(super) type_index: u32,
    pub(super) site: u32,
    /// A key set, the row of a type, or whether a list may grow on: what the kind says.
    pub(super) extra: u64,
}

/// One object.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct One {
    pub(super) node: u32,
    pub(super) present: u64,
    pub(super) saving: u64,
    pub(super) items: u64,
    pub(super) extra: u64,
}

/// The sums over a group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) kind: Kind,
    pub(super) type_index: u32,
    pub(super) site: u32,
    pub(super) extra: u64,
    pub(super) count: u64,
    pub(super) present: u64,
    pub(super) saving: u64,
    pub(super) items: u64,
    pub(super) extra_sum: u64,
    pub(super) at: Vec<(u32, u64)>,
}

/// All groups.
#[derive(Default)]
pub(super) struct Groups {
    places: FxHashMap<Key, u32>,
    all: Vec<Group>,
    last: Option<(Key, u32)>,
}

impl Groups {
    /// Adds an object to the group of that key.
    pub(super) fn add(&mut self, key: Key, one: One) {
        let next = self.all.len() as u32;
        let place = match self.last {
            Some((last, place)) if last == key => place,
            _ => *self.places.entry(key).or_insert(next),
        };
        self.last = Some((key, place));
        if place == next {
            let Key { kind, type_index, site, extra } = key;
            self.all.push(Group { kind, type_index, site, extra, count: 0, present: 0, saving: 0, items: 0, extra_sum: 0, at: Vec::new() });
        }
        let Some(group) = self.all.get_mut(place as usize) else { return };
        group.count += 1;
        group.present = group.present.saturating_add(one.present);
        group.saving = group.saving.saturating_add(one.saving);
        group.items = group.items.saturating_add(one.items);
        group.extra_sum = group.extra_sum.saturating_add(one.extra);
        group.at.push((one.node, one.saving));
    }

    /// The groups of a kind that count.
    fn of(&self, kind: Kind) -> impl Iterator<Item = &Group> {
        self.all.iter().filter(move |group| group.kind == kind && group.counts())
    }

    /// What is wasted in one way; `None` where nothing is.
    pub(super) fn sum(&self, kind: Kind) -> Option<Sum> {
        let mut sum = Sum { kind, count: 0, present_bytes: Bytes(0), saving_bytes: Bytes(0) };
        for group in self.of(kind) {
            sum.count += group.count;
            sum.present_bytes.0 += group.present;
            sum.saving_bytes.0 += group.net();
        }
        (sum.count > 0).then_some(sum)
    }

    /// Those that save so many bytes.
    pub(super) fn worth(self, least: u64) -> Vec<Group> {
        let worth = self.all.into_iter().filter(|group| group.counts() && group.net() >= least);
        worth.map(|group| Group { saving: group.net(), ..group }).collect()
    }
}

impl Group {
    /// Whether it is waste, and not room that is about to be used.
    fn counts(&self) -> bool {
        match self.kind {
            Kind::Room => self.extra == 0 || self.count >= DONE_LEAST,
            Kind::Records => self.count >= DONE_LEAST && self.net() > 0,
            _ => true,
        }
    }

    /// What is saved when what the change itself takes is taken off.
    fn net(&self) -> u64 {
        match self.kind {
            Kind::Records => {
                let keys = self.items.checked_div(self.count).unwrap_or(0);
                self.saving.saturating_sub(CLASS_BYTES + keys * ATTRIBUTE_BYTES)
            }
            _ => self.saving,
        }
    }
}
