//! How much was read, how each byte is known, and what is missing: a number in every output.

use memory::{Addr, Bytes};

/// Sums over all objects, and the gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Objects found.
    pub objects: u64,
    /// What `sys.getsizeof` would say of them, summed.
    pub own_bytes: Bytes,
    /// What the allocators spend for them, summed.
    pub footprint_bytes: Bytes,
    /// The part of `own_bytes` that comes from decoders of that very type.
    pub exact_bytes: Bytes,
    /// The part that follows object's own rule, although the type has a `__sizeof__` of its own.
    pub derived_bytes: Bytes,
    /// The part of types known by their slots and by a scan of their bodies only.
    pub scanned_bytes: Bytes,
    /// Allocated pymalloc blocks.
    pub blocks_in_use: u64,
    /// Those of them that belong to an object that was found.
    pub blocks_explained: u64,
    /// The bytes of `blocks_in_use`, by size class.
    pub blocks_bytes: Bytes,
    /// What could not be read or attributed, one entry a kind, in the order of [`GapKind::ALL`], none with a count of zero.
    pub gaps: Vec<Gap>,
    /// Where the first of those stand that something wrote over, by address; at most [`Coverage::CORRUPTED_SHOWN`].
    pub corrupted_at: Vec<Addr>,
}

impl Coverage {
    /// Addresses of damaged objects that are kept: enough to look at the words around them.
    pub const CORRUPTED_SHOWN: usize = 8;

    /// Notes an object that something wrote over.
    pub fn add_corrupted(&mut self, at: Addr) {
        self.add_gap(GapKind::Corrupted, 1);
        let place = self.corrupted_at.partition_point(|other| *other < at);
        if place < Self::CORRUPTED_SHOWN && self.corrupted_at.get(place) != Some(&at) {
            self.corrupted_at.insert(place, at);
            self.corrupted_at.truncate(Self::CORRUPTED_SHOWN);
        }
    }

    /// Adds the gaps of another part of the same heap.
    pub fn add_gaps(&mut self, other: &Coverage) {
        for gap in &other.gaps {
            self.add_gap(gap.what, gap.count);
        }
        self.corrupted_at.extend(&other.corrupted_at);
        self.corrupted_at.sort_unstable();
        self.corrupted_at.dedup();
        self.corrupted_at.truncate(Self::CORRUPTED_SHOWN);
    }

    /// Adds to the gap of a kind. Keeps the list in order and without zeros.
    pub fn add_gap(&mut self, what: GapKind, count: u64) {
        if count == 0 {
            return;
        }
        match self.gaps.binary_search_by_key(&what, |g| g.what) {
            Ok(i) => {
                if let Some(gap) = self.gaps.get_mut(i) {
                    gap.count = gap.count.saturating_add(count);
                }
            }
            Err(i) => self.gaps.insert(i, Gap { what, count }),
        }
    }

    /// The count of one kind, zero where there is none.
    pub fn gap(&self, what: GapKind) -> u64 {
        self.gaps.iter().find(|g| g.what == what).map_or(0, |g| g.count)
    }
}

/// So many of one kind could not be read or attributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Which kind.
    pub what: GapKind,
    /// How many.
    pub count: u64,
}

/// Makes the enum, its list, its words and its sentences from one table, so that a kind is one entry.
macro_rules! gap_kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $sentence:literal;)*) => {
        /// What kind of thing could not be read or attributed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum GapKind { $($(#[$doc])* $name,)* }

        impl GapKind {
            /// Every kind, in the order in which they are shown.
            pub const ALL: &'static [GapKind] = &[$(GapKind::$name,)*];

            /// The stable word of the JSON (`gaps[].what`).
            pub fn word(self) -> &'static str {
                match self { $(GapKind::$name => $word,)* }
            }

            /// What it means, for people.
            pub fn sentence(self) -> &'static str {
                match self { $(GapKind::$name => $sentence,)* }
            }
        }
    };
}

gap_kinds! {
    /// The target was inside a garbage collection at every attempt.
    Collecting = "collecting", "a garbage collection was under way: objects that it held apart may be missing";
    /// A list of the collector does not close, or its two directions disagree.
    BrokenList = "broken-list", "lists of the collector that do not close";
    /// An object whose header or body contradicts itself.
    TornObject = "torn-object", "objects that were half-written when the target stood still";
    /// An object whose words no running program writes: a type that is none, an impossible count or size.
    Corrupted = "corrupted", "objects that something wrote over: C code, or a bug of the interpreter";
    /// A reference that leads to something that is no object.
    BadReference = "bad-reference", "references that lead to no object";
    /// Memory that is not mapped or was not copied.
    AbsentPage = "absent-page", "reads of memory that is not mapped or was not copied";
    /// A type whose name or layout could not be read.
    UnreadableType = "unreadable-type", "types whose name or layout could not be read";
    /// A walk that ended at its bound.
    BoundHit = "bound-hit", "walks that ended at their bound";
    /// A block in use that belongs to no object that was found.
    UnexplainedBlock = "unexplained-block", "allocated blocks that belong to no object found";
    /// An arena or pool whose counters disagree.
    BrokenPool = "broken-pool", "pools of pymalloc whose counters disagree";
    /// A thread whose frames could not be followed.
    UnreadableThread = "unreadable-thread", "threads whose frames could not be followed";
    /// An interpreter of the process that was left out.
    OtherInterpreter = "other-interpreter", "further interpreters of the process that were not read";
    /// An extension module whose own state is known to its C code only.
    OpaqueState = "opaque-state", "extension modules whose C state cannot be read";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_add_up_in_order_and_without_zeros() {
        let mut c = Coverage::default();
        c.add_gap(GapKind::BoundHit, 2);
        c.add_gap(GapKind::Collecting, 1);
        c.add_gap(GapKind::BoundHit, 3);
        c.add_gap(GapKind::AbsentPage, 0);
        assert_eq!(c.gaps, [Gap { what: GapKind::Collecting, count: 1 }, Gap { what: GapKind::BoundHit, count: 5 }]);
        assert_eq!(c.gap(GapKind::BoundHit), 5);
        assert_eq!(c.gap(GapKind::AbsentPage), 0);
        c.add_gap(GapKind::BoundHit, u64::MAX);
        assert_eq!(c.gap(GapKind::BoundHit), u64::MAX);
    }

    #[test]
    fn the_first_damaged_ones_are_named_whoever_met_them() {
        let (mut c, mut other) = (Coverage::default(), Coverage::default());
        (1..20).rev().for_each(|n| c.add_corrupted(Addr(n * 16)));
        other.add_corrupted(Addr(8));
        c.add_gaps(&other);
        assert_eq!((c.gap(GapKind::Corrupted), c.corrupted_at.len()), (20, Coverage::CORRUPTED_SHOWN));
        assert_eq!(c.corrupted_at[..3], [Addr(8), Addr(16), Addr(32)]);
    }

    #[test]
    fn words_are_stable_and_differ() {
        let mut words: Vec<_> = GapKind::ALL.iter().map(|k| k.word()).collect();
        assert!(words.iter().all(|w| w.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')), "{words:?}");
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), GapKind::ALL.len());
    }
}
