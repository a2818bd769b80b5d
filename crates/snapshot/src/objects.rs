//! Every object, as columns: 25 bytes an object, so that 33 million fit in 0.8 GB.

use memory::{Addr, Bytes};
use rayon::prelude::*;

use crate::Column;

/// One row of [`Objects`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// Where it lies in the target.
    pub address: Addr,
    /// Index in [`Snapshot::types`](crate::Snapshot::types).
    pub type_index: u32,
    /// What `sys.getsizeof` would say.
    pub own_bytes: Bytes,
    /// What the allocators spend for it.
    pub footprint_bytes: Bytes,
    /// The count in its header, without meaning where `state` says immortal.
    pub refcount: u64,
    /// Collector state, immortality and how it was found.
    pub state: State,
}

/// The objects of a heap, a column for each property; all columns have one length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    address: Vec<Addr>,
    type_index: Vec<u32>,
    own_bytes: Column<Bytes>,
    footprint_bytes: Column<Bytes>,
    refcount: Column<u64>,
    state: Vec<State>,
}

impl Objects {
    /// No object yet, with room for `n`.
    pub fn with_capacity(n: usize) -> Objects {
        Objects {
            address: Vec::with_capacity(n),
            type_index: Vec::with_capacity(n),
            own_bytes: Column::with_capacity(n),
            footprint_bytes: Column::with_capacity(n),
            refcount: Column::with_capacity(n),
            state: Vec::with_capacity(n),
        }
    }

    /// Forgets all and keeps the room.
    pub fn clear(&mut self) {
        self.address.clear();
        self.type_index.clear();
        self.own_bytes.clear();
        self.footprint_bytes.clear();
        self.refcount.clear();
        self.state.clear();
    }

    /// From whole columns; `None` where they differ in length.
    pub(crate) fn of_columns(
        address: Vec<Addr>,
        type_index: Vec<u32>,
        own_bytes: Column<Bytes>,
        footprint_bytes: Column<Bytes>,
        refcount: Column<u64>,
        state: Vec<State>,
    ) -> Option<Objects> {
        let n = address.len();
        let same = [type_index.len(), own_bytes.len(), footprint_bytes.len(), refcount.len(), state.len()].iter().all(|l| *l == n);
        same.then_some(Objects { address, type_index, own_bytes, footprint_bytes, refcount, state })
    }

    /// The rows in the order of their addresses.
    pub fn sort_by_address(&mut self) {
        if self.address.windows(2).all(|pair| pair.first() <= pair.last()) {
            return;
        }
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        // All cores: of 33 million objects this would be half of the time that a snapshot takes.
        order.par_sort_unstable_by_key(|&i| self.address.get(i as usize));
        fn pick<T: Copy + Send + Sync>(column: &mut Vec<T>, order: &[u32]) {
            *column = order.par_iter().filter_map(|&i| column.get(i as usize).copied()).collect();
        }
        pick(&mut self.address, &order);
        pick(&mut self.type_index, &order);
        self.own_bytes = self.own_bytes.picked(&order);
        self.footprint_bytes = self.footprint_bytes.picked(&order);
        self.refcount = self.refcount.picked(&order);
        pick(&mut self.state, &order);
    }

    /// Adds one.
    #[inline]
    pub fn push(&mut self, o: Object) {
        self.address.push(o.address);
        self.type_index.push(o.type_index);
        self.own_bytes.push(o.own_bytes);
        self.footprint_bytes.push(o.footprint_bytes);
        self.refcount.push(o.refcount);
        self.state.push(o.state);
    }

    /// Adds all of `other`, as parallel walks join their parts.
    pub fn append(&mut self, other: &mut Objects) {
        self.address.append(&mut other.address);
        self.type_index.append(&mut other.type_index);
        self.own_bytes.append(&mut other.own_bytes);
        self.footprint_bytes.append(&mut other.footprint_bytes);
        self.refcount.append(&mut other.refcount);
        self.state.append(&mut other.state);
    }

    /// Replaces every type's number `n` by `numbers[n]`; a number beyond the list stays.
    pub fn renumber_types(&mut self, numbers: &[u32]) {
        for t in &mut self.type_index {
            *t = numbers.get(*t as usize).copied().unwrap_or(*t);
        }
    }

    /// How many.
    #[inline]
    pub fn len(&self) -> usize {
        self.address.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.address.is_empty()
    }

    /// The row at `i`.
    #[inline]
    pub fn get(&self, i: usize) -> Option<Object> {
        Some(Object {
            address: *self.address.get(i)?,
            type_index: *self.type_index.get(i)?,
            own_bytes: self.own_bytes.get(i)?,
            footprint_bytes: self.footprint_bytes.get(i)?,
            refcount: self.refcount.get(i)?,
            state: *self.state.get(i)?,
        })
    }

    /// All rows, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = Object> + '_ {
        (0..self.len()).filter_map(|i| self.get(i))
    }

    /// Notes which are held weakly, by row.
    pub(crate) fn hold_weakly(&mut self, rows: &[bool]) {
        for (state, is) in self.state.iter_mut().zip(rows) {
            *state = state.held_weakly(*is);
        }
    }

    /// The column of addresses.
    pub fn addresses(&self) -> &[Addr] {
        &self.address
    }

    /// The column of types.
    pub fn type_indices(&self) -> &[u32] {
        &self.type_index
    }

    /// The column of own sizes.
    pub fn own_bytes(&self) -> &Column<Bytes> {
        &self.own_bytes
    }

    /// The column of footprints.
    pub fn footprint_bytes(&self) -> &Column<Bytes> {
        &self.footprint_bytes
    }

    /// The column of reference counts.
    pub fn refcounts(&self) -> &Column<u64> {
        &self.refcount
    }

    /// The column of states.
    pub fn states(&self) -> &[State] {
        &self.state
    }
}

/// What the cyclic collector knows of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Collector {
    /// It has no collector header.
    Without,
    /// It has one and is on no list.
    Untracked,
    /// On the list of the youngest generation.
    Generation0,
    /// On the list of the middle generation.
    Generation1,
    /// On the list of the oldest generation.
    Generation2,
    /// On the permanent list (`gc.freeze`).
    Frozen,
}

impl Collector {
    pub(crate) const ALL: [Collector; 6] = [
        Collector::Without,
        Collector::Untracked,
        Collector::Generation0,
        Collector::Generation1,
        Collector::Generation2,
        Collector::Frozen,
    ];

    /// The word of the JSON and of the tables.
    pub fn word(self) -> &'static str {
        match self {
            Collector::Without => "without",
            Collector::Untracked => "untracked",
            Collector::Generation0 => "generation-0",
            Collector::Generation1 => "generation-1",
            Collector::Generation2 => "generation-2",
            Collector::Frozen => "frozen",
        }
    }
}

/// Which witness named an object first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Found {
    /// A list of the collector.
    List,
    /// A reference from another object.
    Reference,
    /// A root: interpreter or thread state, a static type, a table of the runtime.
    Root,
    /// Nothing but an allocated block that holds it.
    Sweep,
}

impl Found {
    pub(crate) const ALL: [Found; 4] = [Found::List, Found::Reference, Found::Root, Found::Sweep];

    /// The word of the JSON and of the tables.
    pub fn word(self) -> &'static str {
        match self {
            Found::List => "list",
            Found::Reference => "reference",
            Found::Root => "root",
            Found::Sweep => "sweep",
        }
    }
}

/// Collector state, immortality and witness of one object in one byte.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct State(u8);

impl State {
    const FOUND_SHIFT: u8 = 3;
    const IMMORTAL: u8 = 1 << 5;
    const WEAKLY: u8 = 1 << 6;

    /// Packs the three.
    #[inline]
    pub fn new(collector: Collector, found: Found, immortal: bool) -> State {
        State(collector as u8 | (found as u8) << Self::FOUND_SHIFT | if immortal { Self::IMMORTAL } else { 0 })
    }

    /// The same with a note that a weak reference to it exists.
    #[inline]
    pub fn held_weakly(self, is: bool) -> State {
        State(if is { self.0 | Self::WEAKLY } else { self.0 })
    }

    /// Whether a weak reference to it exists; noted where the question is about references.
    #[inline]
    pub fn weakly_held(self) -> bool {
        self.0 & Self::WEAKLY != 0
    }

    /// What the collector knows of it.
    #[inline]
    pub fn collector(self) -> Collector {
        Collector::ALL.get(usize::from(self.0 & 7)).copied().unwrap_or(Collector::Without)
    }

    /// Which witness named it first.
    #[inline]
    pub fn found(self) -> Found {
        Found::ALL.get(usize::from(self.0 >> Self::FOUND_SHIFT & 3)).copied().unwrap_or(Found::List)
    }

    /// Whether its reference count means nothing, because it lives as long as the interpreter.
    #[inline]
    pub fn immortal(self) -> bool {
        self.0 & Self::IMMORTAL != 0
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}/{:?}{}", self.collector(), self.found(), if self.immortal() { "/immortal" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_gives_back_what_it_was_made_of() {
        for collector in Collector::ALL {
            for found in Found::ALL {
                for immortal in [false, true] {
                    let s = State::new(collector, found, immortal);
                    assert_eq!((s.collector(), s.found(), s.immortal()), (collector, found, immortal));
                    assert!(!s.weakly_held() && s.held_weakly(true).weakly_held() && s.held_weakly(true).collector() == collector);
                }
            }
        }
    }

    #[test]
    fn rows_are_sorted_whole() {
        let mut o = Objects::default();
        for n in [5u64, 3, 9, 1, 7] {
            o.push(Object {
                address: Addr(n),
                type_index: n as u32,
                own_bytes: Bytes(n),
                footprint_bytes: Bytes(n),
                refcount: n,
                state: State::new(Collector::Without, Found::List, n > 5),
            });
        }
        o.sort_by_address();
        let rows: Vec<_> =
            o.iter().map(|o| (o.address.0, o.type_index, o.own_bytes.0, o.footprint_bytes.0, o.refcount, o.state.immortal())).collect();
        assert_eq!(rows, [1, 3, 5, 7, 9].map(|n| (n, n as u32, n, n, n, n > 5)));
    }

    #[test]
    fn columns_give_back_rows_and_join() {
        let row = |n: u64| Object {
            address: Addr(n),
            type_index: n as u32,
            own_bytes: Bytes(n + 1),
            footprint_bytes: Bytes(n + 2),
            refcount: n + 3,
            state: State::new(Collector::Generation2, Found::List, false),
        };
        let (mut a, mut b) = (Objects::with_capacity(1), Objects::default());
        a.push(row(10));
        b.push(row(20));
        b.push(row(30));
        a.append(&mut b);
        assert!(b.is_empty());
        assert_eq!(a.iter().collect::<Vec<_>>(), [row(10), row(20), row(30)]);
        assert_eq!(a.get(3), None);
    }
}
