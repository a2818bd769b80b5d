//! What references have in common, numbered: first within a chunk, by where names stand, then for the whole snapshot, by
//! what they are.
//!
//! Bounded: labels by [`LABELS_MOST`].

use cpython::Heap;
use rustc_hash::FxHashMap;
use snapshot::{Coverage, GapKind, LinkKind, LinkLabel};

use crate::edges::{name_text, Edge, NameAt};

/// Most labels that are told apart. A program has some ten thousand; one that makes an attribute name of every value
/// would have no bound.
const LABELS_MOST: usize = 1 << 20;
/// References of one type's instances that have a guess each.
const GUESSES: usize = 16;

/// A label before its name is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key {
    kind_of_holder: u32,
    kind: LinkKind,
    name: NameAt,
    certain: bool,
    traversed: bool,
}

/// The labels of one chunk, in the order in which they are met.
#[derive(Default)]
pub(crate) struct Local {
    pub(crate) keys: Vec<Key>,
    places: FxHashMap<Key, u32>,
    /// By type and place among an object's references: the label that was there last. Instances of a type are much alike.
    guesses: Vec<[u32; GUESSES]>,
}

impl Local {
    /// The number of a label within the chunk. `nth`: which reference of its object this is.
    #[inline]
    pub(crate) fn number(&mut self, kind_of_holder: u32, nth: usize, e: &Edge) -> u32 {
        let key = Key { kind_of_holder, kind: e.kind, name: e.name, certain: e.certain, traversed: e.traversed };
        let guess = self.guesses.get(kind_of_holder as usize).and_then(|g| g.get(nth % GUESSES)).copied().unwrap_or(u32::MAX);
        if self.keys.get(guess as usize) == Some(&key) {
            return guess;
        }
        self.look_up(key, nth)
    }

    fn look_up(&mut self, key: Key, nth: usize) -> u32 {
        let next = self.keys.len() as u32;
        let number = *self.places.entry(key).or_insert(next);
        if number == next {
            self.keys.push(key);
        }
        let row = key.kind_of_holder as usize;
        if self.guesses.len() <= row {
            self.guesses.resize(row + 1, [u32::MAX; GUESSES]);
        }
        if let Some(guess) = self.guesses.get_mut(row).and_then(|g| g.get_mut(nth % GUESSES)) {
            *guess = number;
        }
        number
    }
}

/// The labels of all chunks.
#[derive(Default)]
pub(crate) struct Labels {
    /// In the order of their numbers.
    pub(crate) all: Vec<LinkLabel>,
    by_key: FxHashMap<Key, u32>,
    by_name: FxHashMap<(u32, LinkKind, Option<String>, bool, bool), u32>,
}

impl Labels {
    /// The numbers of a chunk's labels. Chunks come in their order, so that a heap's labels always have the same numbers.
    pub(crate) fn numbers(&mut self, heap: &Heap<'_>, keys: &[Key], coverage: &mut Coverage) -> Vec<u32> {
        keys.iter().map(|key| self.number(heap, *key, coverage)).collect()
    }

    /// Counts references of a label.
    pub(crate) fn count(&mut self, number: u32, references: u64) {
        if let Some(label) = self.all.get_mut(number as usize) {
            label.count = label.count.saturating_add(references);
        }
    }

    fn number(&mut self, heap: &Heap<'_>, key: Key, coverage: &mut Coverage) -> u32 {
        if let Some(known) = self.by_key.get(&key) {
            return *known;
        }
        let mut name = name_text(heap, key.name);
        let full = self.all.len() >= LABELS_MOST && name.is_some();
        if full {
            coverage.add_gap(GapKind::BoundHit, 1);
            name = Some("?".to_owned());
        }
        let label = (key.kind_of_holder, key.kind, name, key.certain, key.traversed);
        let next = self.all.len() as u32;
        let number = *self.by_name.entry(label.clone()).or_insert(next);
        if number == next {
            self.all.push(LinkLabel { type_index: label.0, kind: label.1, name: label.2, certain: label.3, traversed: label.4, count: 0 });
        }
        if !full {
            self.by_key.insert(key, number);
        }
        number
    }
}
