//! `objects`: the objects one by one, biggest first, of one type where asked.

use std::cmp::Reverse;

use memory::Bytes;
use snapshot::{Object, Snapshot, Type};

use crate::SortBy;

/// The objects whose type is called `type_name` (all where it is `None`), at most `limit` of them.
///
/// With a limit only so many are sorted: the rest is partitioned off in one pass, so that the ten biggest of 33 million
/// cost one walk over a column. Ties keep the order of the snapshot.
pub fn objects<'s>(snapshot: &'s Snapshot, type_name: Option<&str>, sort: SortBy, limit: Option<usize>) -> Listing<'s> {
    let wanted: Vec<bool> = snapshot.types.iter().map(|t| type_name.is_none_or(|name| t.name == name)).collect();
    let mut listing = Listing { snapshot, picked: Vec::new(), matched: 0, own_bytes: Bytes(0), footprint_bytes: Bytes(0) };
    let Some(all) = &snapshot.objects else { return listing };
    let ranks = match sort {
        SortBy::Name => name_ranks(&snapshot.types),
        _ => Vec::new(),
    };
    let mut keyed: Vec<(Reverse<u64>, u32)> = Vec::new();
    for (i, o) in all.iter().enumerate() {
        let kind = o.type_index as usize;
        // An index without a type is a bug of the capture; it shows as an object of a type without a name.
        if !wanted.get(kind).copied().unwrap_or(type_name.is_none()) {
            continue;
        }
        listing.own_bytes.0 = listing.own_bytes.0.saturating_add(o.own_bytes.0);
        listing.footprint_bytes.0 = listing.footprint_bytes.0.saturating_add(o.footprint_bytes.0);
        let key = match sort {
            SortBy::Footprint => o.footprint_bytes.0,
            SortBy::Own => o.own_bytes.0,
            SortBy::Count if o.state.immortal() => 0,
            SortBy::Count => o.refcount,
            SortBy::Name => u64::MAX - ranks.get(kind).copied().unwrap_or(u64::MAX),
        };
        keyed.push((Reverse(key), i as u32));
    }
    listing.matched = keyed.len() as u64;
    if let Some(limit) = limit.filter(|&l| l < keyed.len()) {
        if limit > 0 {
            keyed.select_nth_unstable(limit - 1);
        }
        keyed.truncate(limit);
    }
    keyed.sort_unstable();
    listing.picked = keyed.into_iter().map(|(_, i)| i).collect();
    listing
}

/// The answer to `objects`.
#[derive(Clone, Debug)]
pub struct Listing<'s> {
    snapshot: &'s Snapshot,
    /// Positions in the snapshot's columns, in the order asked for.
    picked: Vec<u32>,
    /// Objects that match, shown or not.
    pub matched: u64,
    /// Own sizes of all that match.
    pub own_bytes: Bytes,
    /// Footprints of all that match.
    pub footprint_bytes: Bytes,
}

impl<'s> Listing<'s> {
    /// How many are listed.
    pub fn len(&self) -> usize {
        self.picked.len()
    }

    /// Whether none is listed.
    pub fn is_empty(&self) -> bool {
        self.picked.is_empty()
    }

    /// The objects listed, each with its type's name.
    pub fn rows(&self) -> impl Iterator<Item = (Object, &'s str)> + '_ {
        let all = self.snapshot.objects.as_ref();
        self.picked.iter().filter_map(move |&i| {
            let o = all?.get(i as usize)?;
            let name = self.snapshot.types.get(o.type_index as usize).map_or("", |t| t.name.as_str());
            Some((o, name))
        })
    }
}

/// Names of types that contain `name`, whatever the case, the most frequent first: what a typo may have meant.
pub fn similar_types<'s>(snapshot: &'s Snapshot, name: &str, limit: usize) -> Vec<&'s str> {
    let last = name.rsplit('.').next().unwrap_or(name).to_lowercase();
    let mut near: Vec<_> = snapshot.types.iter().filter(|t| t.count > 0 && t.name.to_lowercase().contains(&last)).collect();
    near.sort_by_key(|t| (Reverse(t.count), t.name.as_str()));
    let mut names: Vec<&str> = Vec::new();
    for t in near {
        if names.len() < limit && !names.contains(&t.name.as_str()) {
            names.push(&t.name);
        }
    }
    names
}

/// For each type the place of its name among all names, equal for equal names.
fn name_ranks(types: &[Type]) -> Vec<u64> {
    let mut names: Vec<&str> = types.iter().map(|t| t.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    types.iter().map(|t| names.partition_point(|&n| n < t.name.as_str()) as u64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::Addr;
    use snapshot::{Collector, Found, Known, Objects, State};

    /// Objects of the types `b` and `a` in turn, with these footprints; own is half of it, the count is the position.
    fn snapshot(footprints: &[u64]) -> Snapshot {
        let types = ["b", "a"]
            .iter()
            .map(|name| Type {
                name: name.to_string(),
                address: Addr(0x1000),
                count: 1,
                own_bytes: Bytes(0),
                footprint_bytes: Bytes(0),
                known: Known::Exact,
            })
            .collect();
        let mut objects = Objects::default();
        for (i, &f) in footprints.iter().enumerate() {
            objects.push(Object {
                address: Addr(i as u64),
                type_index: i as u32 % 2,
                own_bytes: Bytes(f / 2),
                footprint_bytes: Bytes(f),
                refcount: i as u64,
                state: State::new(Collector::Without, Found::Sweep, i == 4),
            });
        }
        Snapshot { types, objects: Some(objects), ..Snapshot::default() }
    }

    fn check(name: Option<&str>, sort: SortBy, limit: Option<usize>, wanted: &str) {
        let s = snapshot(&[10, 30, 20, 30, 5]);
        let l = objects(&s, name, sort, limit);
        let rows: Vec<_> = l.rows().map(|(o, name)| format!("{name}{}", o.address.0)).collect();
        assert_eq!(format!("{} of {}, {} B", rows.join(" "), l.matched, l.footprint_bytes.0), wanted);
    }

    #[test]
    fn biggest_first_of_one_type_or_of_all() {
        check(None, SortBy::Footprint, None, "a1 a3 b2 b0 b4 of 5, 95 B");
        check(None, SortBy::Footprint, Some(3), "a1 a3 b2 of 5, 95 B");
        check(None, SortBy::Footprint, Some(1), "a1 of 5, 95 B");
        check(Some("b"), SortBy::Own, Some(2), "b2 b0 of 3, 35 B");
        check(None, SortBy::Count, Some(9), "a3 b2 a1 b0 b4 of 5, 95 B");
        check(None, SortBy::Name, None, "a1 a3 b0 b2 b4 of 5, 95 B");
        check(Some("c"), SortBy::Own, None, " of 0, 0 B");
        check(None, SortBy::Own, Some(0), " of 5, 95 B");
    }

    #[test]
    fn a_limit_gives_the_front_of_the_whole_list() {
        let mut seed = 12345u64;
        let sizes: Vec<u64> = (0..3000)
            .map(|_| {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (seed >> 33) % 50
            })
            .collect();
        let s = snapshot(&sizes);
        let whole: Vec<_> = objects(&s, None, SortBy::Footprint, None).rows().map(|(o, _)| o.address).collect();
        // The naive twin: a stable sort of everything.
        let mut naive: Vec<usize> = (0..sizes.len()).collect();
        naive.sort_by_key(|&i| Reverse(sizes[i]));
        assert_eq!(whole, naive.iter().map(|&i| Addr(i as u64)).collect::<Vec<_>>());
        for limit in [0, 1, 7, 2999, 3000, 4000] {
            let some: Vec<_> = objects(&s, None, SortBy::Footprint, Some(limit)).rows().map(|(o, _)| o.address).collect();
            assert_eq!(some, whole[..limit.min(whole.len())], "limit {limit}");
        }
    }

    #[test]
    fn a_typo_finds_its_neighbours() {
        let mut s = snapshot(&[]);
        s.types[0].name = "shop.models.Session".into();
        s.types[1].name = "shop.cache.SESSION_pool".into();
        s.types[1].count = 9;
        assert_eq!(similar_types(&s, "models.session", 5), ["shop.cache.SESSION_pool", "shop.models.Session"]);
        assert_eq!(similar_types(&s, "Order", 5), [""; 0]);
    }
}
