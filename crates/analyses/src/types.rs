//! `types`: how many instances each type has and what they cost.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use memory::Bytes;
use snapshot::{Known, Snapshot};

use crate::SortBy;

/// Rows for the types of a snapshot, at most `limit` of them; what is left out is summed in [`TypeTable::rest`].
///
/// Classes of one name share a row: a program that makes a class in a function makes many, and means one.
pub fn types(snapshot: &Snapshot, sort: SortBy, limit: Option<usize>) -> TypeTable<'_> {
    let mut by_name: BTreeMap<&str, TypeRow<'_>> = BTreeMap::new();
    for t in snapshot.types.iter().filter(|t| t.count > 0) {
        let row = by_name.entry(&t.name).or_insert(TypeRow { name: &t.name, ..TypeRow::default() });
        row.classes += 1;
        row.count = row.count.saturating_add(t.count);
        row.own_bytes = add(row.own_bytes, t.own_bytes);
        row.footprint_bytes = add(row.footprint_bytes, t.footprint_bytes);
        row.known = row.known.max(t.known);
    }
    // The map gives the rows by name; the sort is stable, so the name decides ties.
    let mut rows: Vec<_> = by_name.into_values().collect();
    match sort {
        SortBy::Footprint => rows.sort_by_key(|r| Reverse((r.footprint_bytes, r.own_bytes))),
        SortBy::Own => rows.sort_by_key(|r| Reverse((r.own_bytes, r.footprint_bytes))),
        SortBy::Count => rows.sort_by_key(|r| Reverse((r.count, r.footprint_bytes))),
        SortBy::Name => {}
    }
    let cut = limit.unwrap_or(rows.len()).min(rows.len());
    let mut rest = Rest::default();
    for r in rows.drain(cut..) {
        rest.types += 1;
        rest.count = rest.count.saturating_add(r.count);
        rest.own_bytes = add(rest.own_bytes, r.own_bytes);
        rest.footprint_bytes = add(rest.footprint_bytes, r.footprint_bytes);
    }
    TypeTable { rows, rest, whole: snapshot.coverage.footprint_bytes }
}

/// The answer to `types`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TypeTable<'s> {
    /// In the order asked for.
    pub rows: Vec<TypeRow<'s>>,
    /// The sum of the rows left out.
    pub rest: Rest,
    /// The footprint of all objects, of which a row has its share.
    pub whole: Bytes,
}

impl TypeTable<'_> {
    /// The part of the whole footprint, from 0 to 1; 0 where there is nothing.
    pub fn share(&self, footprint: Bytes) -> f64 {
        if self.whole.0 == 0 {
            return 0.0;
        }
        footprint.0 as f64 / self.whole.0 as f64
    }
}

/// One name and its instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TypeRow<'s> {
    /// The type's name.
    pub name: &'s str,
    /// How many classes have this name.
    pub classes: u32,
    /// Instances.
    pub count: u64,
    /// What `sys.getsizeof` would say of them, summed.
    pub own_bytes: Bytes,
    /// What the allocators spend for them, summed.
    pub footprint_bytes: Bytes,
    /// The worst of how its classes are known.
    pub known: Known,
}

/// What a limit cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// Rows.
    pub types: u64,
    /// Instances.
    pub count: u64,
    /// Own sizes.
    pub own_bytes: Bytes,
    /// Footprints.
    pub footprint_bytes: Bytes,
}

/// A sum that a hostile target cannot make overflow.
fn add(a: Bytes, b: Bytes) -> Bytes {
    Bytes(a.0.saturating_add(b.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::Addr;
    use snapshot::{Coverage, Type};

    fn snapshot(types: &[(&str, u64, u64, u64)]) -> Snapshot {
        let types: Vec<_> = types
            .iter()
            .enumerate()
            .map(|(i, &(name, count, own, footprint))| Type {
                name: name.into(),
                address: Addr(0x1000 * (i as u64 + 1)),
                count,
                own_bytes: Bytes(own),
                footprint_bytes: Bytes(footprint),
                known: if name.starts_with("c.") { Known::Scanned } else { Known::Exact },
            })
            .collect();
        let footprint_bytes = types.iter().fold(Bytes(0), |a, t| add(a, t.footprint_bytes));
        Snapshot { coverage: Coverage { footprint_bytes, ..Coverage::default() }, types, ..Snapshot::default() }
    }

    fn check(sort: SortBy, limit: Option<usize>, wanted: &str) {
        let s = snapshot(&[("str", 10, 500, 640), ("dict", 2, 900, 960), ("int", 10, 280, 320), ("gone", 0, 0, 0), ("a.Row", 1, 900, 960)]);
        let t = types(&s, sort, limit);
        let names: Vec<_> = t.rows.iter().map(|r| r.name).collect();
        assert_eq!(format!("{} + {} of {} B", names.join(" "), t.rest.types, t.rest.footprint_bytes.0), wanted);
    }

    #[test]
    fn rows_come_in_the_order_asked_for_and_the_name_decides_ties() {
        check(SortBy::Footprint, None, "a.Row dict str int + 0 of 0 B");
        check(SortBy::Own, Some(3), "a.Row dict str + 1 of 320 B");
        check(SortBy::Count, Some(2), "str int + 2 of 1920 B");
        check(SortBy::Name, Some(0), " + 4 of 2880 B");
    }

    #[test]
    fn classes_of_one_name_share_a_row() {
        let s = snapshot(&[("c.Row", 3, 300, 330), ("c.Row", 1, 100, 110)]);
        let t = types(&s, SortBy::Footprint, None);
        let row =
            TypeRow { name: "c.Row", classes: 2, count: 4, own_bytes: Bytes(400), footprint_bytes: Bytes(440), known: Known::Scanned };
        assert_eq!(t.rows, [row]);
        assert_eq!(t.share(Bytes(110)), 0.25);
    }

    #[test]
    fn an_empty_heap_has_shares_too() {
        assert_eq!(types(&Snapshot::default(), SortBy::Footprint, None).share(Bytes(1)), 0.0);
    }
}
