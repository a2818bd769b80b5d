//! Columns that take as few bytes as their values need.
//!
//! Holds: [`Column`], whose numbers nearly all fit in 32 bits, and [`LabelPlaces`], which nearly always fit in 16.
//! Never: loses one that does not fit.

use std::ops::Range;

use memory::Bytes;

/// What a [`Column`] is of.
pub trait Number: Copy {
    /// As plain number.
    fn raw(self) -> u64;
    /// From its plain number.
    fn of(raw: u64) -> Self;
}

impl Number for u64 {
    #[inline]
    fn raw(self) -> u64 {
        self
    }
    #[inline]
    fn of(raw: u64) -> u64 {
        raw
    }
}

impl Number for Bytes {
    #[inline]
    fn raw(self) -> u64 {
        self.0
    }
    #[inline]
    fn of(raw: u64) -> Bytes {
        Bytes(raw)
    }
}

/// Numbers, 4 bytes each; one of 2³² - 1 or more takes 16 bytes more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column<T> {
    /// [`LARGE`] where the number stands in `large`.
    small: Vec<u32>,
    /// Row and number, ascending.
    large: Vec<(u32, u64)>,
    of: std::marker::PhantomData<T>,
}

const LARGE: u32 = u32::MAX;

impl<T> Default for Column<T> {
    fn default() -> Self {
        Column { small: Vec::new(), large: Vec::new(), of: std::marker::PhantomData }
    }
}

impl<T: Number> Column<T> {
    /// None yet, with room for `n`.
    pub fn with_capacity(n: usize) -> Column<T> {
        Column { small: Vec::with_capacity(n), ..Column::default() }
    }

    /// How many.
    #[inline]
    pub fn len(&self) -> usize {
        self.small.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.small.is_empty()
    }

    /// The number of row `i`.
    #[inline]
    pub fn get(&self, i: usize) -> Option<T> {
        match *self.small.get(i)? {
            LARGE => Some(T::of(self.large(i))),
            small => Some(T::of(u64::from(small))),
        }
    }

    #[cold]
    fn large(&self, i: usize) -> u64 {
        let at = self.large.binary_search_by_key(&(i as u32), |(row, _)| *row);
        at.ok().and_then(|at| self.large.get(at)).map_or(u64::from(LARGE), |(_, n)| *n)
    }

    /// All numbers.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        (0..self.len()).filter_map(|i| self.get(i))
    }

    /// Adds one.
    #[inline]
    pub fn push(&mut self, number: T) {
        let raw = number.raw();
        if raw >= u64::from(LARGE) {
            self.large.push((self.small.len() as u32, raw));
        }
        self.small.push(u32::try_from(raw).unwrap_or(LARGE));
    }

    /// Forgets all and keeps the room.
    pub fn clear(&mut self) {
        self.small.clear();
        self.large.clear();
    }

    /// Adds all of `other`.
    pub fn append(&mut self, other: &mut Column<T>) {
        let before = self.small.len() as u32;
        self.large.extend(other.large.drain(..).map(|(row, n)| (row + before, n)));
        self.small.append(&mut other.small);
    }

    /// The rows in this order.
    pub(crate) fn picked(&self, order: &[u32]) -> Column<T> {
        let mut picked = Column::with_capacity(order.len());
        order.iter().filter_map(|i| self.get(*i as usize)).for_each(|n| picked.push(n));
        picked
    }
}

impl<T: Number> FromIterator<T> for Column<T> {
    fn from_iter<I: IntoIterator<Item = T>>(numbers: I) -> Self {
        let numbers = numbers.into_iter();
        let mut column = Column::with_capacity(numbers.size_hint().0);
        numbers.for_each(|n| column.push(n));
        column
    }
}

/// For each reference the place of its label: 2 bytes while there are at most 2¹⁶ labels, 4 else.
#[derive(Clone, Debug)]
pub struct LabelPlaces(Places);

#[derive(Clone, Debug)]
enum Places {
    Few(Vec<u16>),
    Many(Vec<u32>),
}

impl Default for LabelPlaces {
    fn default() -> Self {
        LabelPlaces(Places::Few(Vec::new()))
    }
}

impl PartialEq for LabelPlaces {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for LabelPlaces {}

impl LabelPlaces {
    /// None yet, with room for `n`.
    pub fn with_capacity(n: usize) -> LabelPlaces {
        LabelPlaces(Places::Few(Vec::with_capacity(n)))
    }

    /// How many.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Places::Few(all) => all.len(),
            Places::Many(all) => all.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Of reference `i`.
    #[inline]
    pub fn get(&self, i: usize) -> Option<u32> {
        match &self.0 {
            Places::Few(all) => all.get(i).copied().map(u32::from),
            Places::Many(all) => all.get(i).copied(),
        }
    }

    /// Of some consecutive references.
    pub fn of(&self, some: Range<usize>) -> impl Iterator<Item = u32> + '_ {
        some.map_while(|i| self.get(i))
    }

    /// Of all.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.of(0..self.len())
    }

    /// Adds one.
    #[inline]
    pub fn push(&mut self, place: u32) {
        match (&mut self.0, u16::try_from(place)) {
            (Places::Few(all), Ok(place)) => all.push(place),
            (Places::Many(all), _) => all.push(place),
            (Places::Few(_), Err(_)) => self.widen(place),
        }
    }

    #[cold]
    fn widen(&mut self, place: u32) {
        let all = self.iter().chain([place]).collect();
        self.0 = Places::Many(all);
    }

    /// Copies one to an earlier place.
    #[inline]
    pub(crate) fn move_down(&mut self, from: usize, to: usize) {
        fn copy<T: Copy>(all: &mut [T], from: usize, to: usize) {
            if let (Some(value), Some(slot)) = (all.get(from).copied(), all.get_mut(to)) {
                *slot = value;
            }
        }
        match &mut self.0 {
            Places::Few(all) => copy(all, from, to),
            Places::Many(all) => copy(all, from, to),
        }
    }

    /// Leaves the first `n`.
    pub(crate) fn truncate(&mut self, n: usize) {
        match &mut self.0 {
            Places::Few(all) => all.truncate(n),
            Places::Many(all) => all.truncate(n),
        }
    }
}

impl FromIterator<u32> for LabelPlaces {
    fn from_iter<I: IntoIterator<Item = u32>>(places: I) -> Self {
        let mut all = LabelPlaces::default();
        places.into_iter().for_each(|place| all.push(place));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_stay_what_they_are() {
        let numbers = [3, u64::from(u32::MAX) - 1, u64::from(u32::MAX), 1 << 40, 0, u64::MAX];
        let mut column: Column<u64> = numbers.into_iter().collect();
        assert_eq!(column.iter().collect::<Vec<_>>(), numbers);
        let mut more: Column<u64> = [7, 1 << 50].into_iter().collect();
        column.append(&mut more);
        assert!(more.is_empty() && column.len() == 8);
        assert_eq!([column.get(6), column.get(7), column.get(8)], [Some(7), Some(1 << 50), None]);
        assert_eq!(column.picked(&[7, 0, 2]).iter().collect::<Vec<_>>(), [1 << 50, 3, u64::from(u32::MAX)]);
        column.clear();
        column.push(1);
        assert_eq!(column.iter().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn places_widen_when_they_must() {
        let list = [1, 65_535, 2];
        let few: LabelPlaces = list.into_iter().collect();
        let mut many = few.clone();
        many.push(65_536);
        many.push(4);
        assert_eq!(many.iter().collect::<Vec<_>>(), [1, 65_535, 2, 65_536, 4]);
        assert_eq!(many.of(1..3).collect::<Vec<_>>(), [65_535, 2]);
        many.move_down(4, 1);
        many.truncate(3);
        assert_eq!(many.iter().collect::<Vec<_>>(), [1, 4, 2]);
        assert_ne!(many, few);
        many.move_down(0, 1);
        assert_eq!(many, [1, 1, 2].into_iter().collect());
    }
}
