//! Several processes together: their types in one sum, each type with in how many processes it is.

use std::collections::BTreeMap;

use memory::Bytes;
use snapshot::{Coverage, Snapshot};

/// Snapshots of several processes as one: coverage and types, which [`crate::types()`] takes.
#[derive(Clone, Debug, Default)]
pub struct Together {
    /// All of them as if they were one; its target is nobody.
    pub whole: Snapshot,
    /// Snapshots that were added.
    pub processes: u64,
    /// In how many of them a type of this name has instances.
    pub having: BTreeMap<String, u64>,
}

impl Together {
    /// Adds one more; only its sums are looked at.
    pub fn add(&mut self, snapshot: &Snapshot) {
        self.processes += 1;
        add(&mut self.whole.coverage, &snapshot.coverage);
        let mut names: Vec<&str> = snapshot.types.iter().filter(|t| t.count > 0).map(|t| t.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            match self.having.get_mut(name) {
                Some(count) => *count += 1,
                None => {
                    self.having.insert(name.to_owned(), 1);
                }
            }
        }
        self.whole.types.extend(snapshot.types.iter().filter(|t| t.count > 0).cloned());
    }
}

/// Sums that no hostile target can make overflow.
fn add(all: &mut Coverage, one: &Coverage) {
    let bytes = |mine: &mut Bytes, theirs: Bytes| mine.0 = mine.0.saturating_add(theirs.0);
    let count = |mine: &mut u64, theirs: u64| *mine = mine.saturating_add(theirs);
    count(&mut all.objects, one.objects);
    bytes(&mut all.own_bytes, one.own_bytes);
    bytes(&mut all.footprint_bytes, one.footprint_bytes);
    bytes(&mut all.exact_bytes, one.exact_bytes);
    bytes(&mut all.derived_bytes, one.derived_bytes);
    bytes(&mut all.scanned_bytes, one.scanned_bytes);
    count(&mut all.blocks_in_use, one.blocks_in_use);
    count(&mut all.blocks_explained, one.blocks_explained);
    bytes(&mut all.blocks_bytes, one.blocks_bytes);
    one.gaps.iter().for_each(|gap| all.add_gap(gap.what, gap.count));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SortBy;
    use snapshot::{GapKind, Known, Type};

    #[test]
    fn a_sum_has_what_each_has_and_says_in_how_many_it_is() {
        let of = |types: &[(&str, u64)]| {
            let types: Vec<Type> = types
                .iter()
                .map(|&(name, count)| Type {
                    name: name.into(),
                    address: memory::Addr(16),
                    count,
                    own_bytes: Bytes(0),
                    footprint_bytes: Bytes(count * 10),
                    known: Known::Exact,
                })
                .collect();
            let objects = types.iter().map(|t| t.count).sum();
            let mut coverage = Coverage { objects, footprint_bytes: Bytes(objects * 10), ..Coverage::default() };
            coverage.add_gap(GapKind::TornObject, 2);
            Snapshot { coverage, types, ..Snapshot::default() }
        };
        let mut all = Together::default();
        // Two classes of one name in one process: one process has the name.
        all.add(&of(&[("a.Row", 3), ("a.Row", 1), ("dict", 2), ("gone", 0)]));
        all.add(&of(&[("dict", 5)]));
        let table = crate::types(&all.whole, SortBy::Footprint, None);
        let rows: Vec<_> = table.rows.iter().map(|r| (r.name, r.classes, r.count, all.having[r.name])).collect();
        assert_eq!(rows, [("dict", 2, 7, 2), ("a.Row", 2, 4, 1)]);
        assert_eq!((all.processes, all.whole.coverage.objects, table.whole), (2, 11, Bytes(110)));
        assert_eq!(all.whole.coverage.gap(GapKind::TornObject), 4);
    }
}
