//! What is known of all objects instead of their values, in memory: the same facts that a folder keeps, by row.
//!
//! Holds: [`KnownFacts`]. What every object has takes 2 bytes an object; what some have takes 8 bytes each, a fingerprint 12.
//! Never: a value.

use crate::{Column, Details, Facts, Shape};

/// The facts of all objects; rows are those of [`Objects`](crate::Objects).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownFacts {
    /// How each is kept.
    pub shapes: Vec<Shape>,
    /// How many chars, bytes or items.
    pub lengths: Numbers,
    /// For how many items, entries or bytes a container has room.
    pub capacities: Numbers,
    /// Places taken in a dict or set.
    pub used: Numbers,
    /// The row of the type that all items, members or values are of.
    pub item_types: Numbers,
    /// The row of the type that all keys of a dict are of.
    pub key_types: Numbers,
    /// Characters that make a str wide.
    pub wide: Numbers,
    /// Bytes of a wide str as UTF-8.
    pub encoded: Numbers,
    /// A dict's keys with their order, as a fingerprint.
    pub key_sets: Hashes,
    /// A value, as a fingerprint.
    pub fingerprints: Hashes,
    /// Columns that a folder of an earlier program does not have.
    pub missing: Vec<&'static str>,
}

impl KnownFacts {
    /// Adds the facts of the next objects, and the length of each.
    pub fn append(&mut self, facts: Facts, lengths: &[u64]) {
        let first = self.shapes.len() as u32;
        let Facts { mut shapes, capacities, used, item_types, key_types, key_sets, fingerprints, wide, encoded } = facts;
        self.shapes.append(&mut shapes);
        let with = (first..).zip(lengths).filter(|(_, length)| **length != Details::NO_LENGTH);
        with.for_each(|(row, length)| self.lengths.push(row, *length));
        let all = [(&mut self.capacities, capacities), (&mut self.used, used), (&mut self.wide, wide), (&mut self.encoded, encoded)];
        for (to, from) in all {
            from.into_iter().for_each(|(row, n)| to.push(row, n));
        }
        for (to, from) in [(&mut self.item_types, item_types), (&mut self.key_types, key_types)] {
            from.into_iter().for_each(|(row, n)| to.push(row, u64::from(n)));
        }
        for (to, from) in [(&mut self.key_sets, key_sets), (&mut self.fingerprints, fingerprints)] {
            from.into_iter().for_each(|(row, n)| to.push(row, n));
        }
    }

    /// How the object of this row is kept.
    #[inline]
    pub fn shape(&self, row: u32) -> Shape {
        self.shapes.get(row as usize).copied().unwrap_or_default()
    }
}

/// Numbers that few objects have, nearly all of them small.
pub type Numbers = Sparse<Column<u64>>;
/// Numbers of 64 bits that few objects have.
pub type Hashes = Sparse<Vec<u64>>;

/// Where numbers stand, one behind the other.
pub trait Store: Default {
    /// The number at a place.
    fn at(&self, place: usize) -> Option<u64>;
    /// Adds one.
    fn add(&mut self, number: u64);
}

impl Store for Column<u64> {
    #[inline]
    fn at(&self, place: usize) -> Option<u64> {
        self.get(place)
    }
    #[inline]
    fn add(&mut self, number: u64) {
        self.push(number);
    }
}

impl Store for Vec<u64> {
    #[inline]
    fn at(&self, place: usize) -> Option<u64> {
        self.get(place).copied()
    }
    #[inline]
    fn add(&mut self, number: u64) {
        self.push(number);
    }
}

/// What some objects have, with their rows, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sparse<S> {
    rows: Vec<u32>,
    values: S,
}

impl<S: Store> Sparse<S> {
    /// That of a row.
    #[inline]
    pub fn get(&self, row: u32) -> Option<u64> {
        self.values.at(self.rows.binary_search(&row).ok()?)
    }

    /// Adds that of a later row.
    #[inline]
    pub fn push(&mut self, row: u32, number: u64) {
        self.rows.push(row);
        self.values.add(number);
    }

    /// All, in the order of rows.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.rows.iter().enumerate().filter_map(|(place, row)| Some((*row, self.values.at(place)?)))
    }

    /// How many have one.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none has one.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl<S: Store> FromIterator<Option<u64>> for Sparse<S> {
    /// One for each row, from the first on.
    fn from_iter<I: IntoIterator<Item = Option<u64>>>(all: I) -> Self {
        let mut sparse = Sparse { rows: Vec::new(), values: S::default() };
        for (row, number) in (0..).zip(all) {
            if let Some(number) = number {
                sparse.push(row, number);
            }
        }
        sparse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_chunks_are_joined_by_row() {
        let mut known = KnownFacts::default();
        let chunk = |row: u32, n: u64| Facts {
            shapes: vec![Shape::from_bits(1), Shape::from_bits(2)],
            capacities: vec![(row, n)],
            fingerprints: vec![(row + 1, n << 17)],
            ..Facts::default()
        };
        known.append(chunk(0, 7), &[Details::NO_LENGTH, 3]);
        known.append(chunk(2, 1 << 33), &[4, Details::NO_LENGTH]);
        assert_eq!(known.capacities.iter().collect::<Vec<_>>(), [(0, 7), (2, 1 << 33)]);
        assert_eq!((known.lengths.get(0), known.lengths.get(1), known.lengths.get(2)), (None, Some(3), Some(4)));
        assert_eq!((known.fingerprints.get(3), known.fingerprints.len(), known.used.is_empty()), (Some(1 << 50), 2, true));
        assert_eq!((known.shape(3).bits(), known.shape(9).bits()), (2, 0));
        let all: Numbers = [None, Some(5), None, Some(6)].into_iter().collect();
        assert_eq!(all.iter().collect::<Vec<_>>(), [(1, 5), (3, 6)]);
    }
}
