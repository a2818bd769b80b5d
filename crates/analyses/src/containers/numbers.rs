//! Lists and tuples of one type of numbers: each a pointer and a box of its own, where array.array and numpy keep the number alone.

use rustc_hash::FxHashSet;

use super::groups::{Groups, Key, One};
use super::{Kind, Look};
use crate::slots::rounded;

/// Shorter ones are records, not arrays.
const LENGTH_LEAST: u64 = 16;
/// `arrayobject`, with the collector's head that it has from 3.10 on.
const ARRAY: u64 = 16 + 64;
/// What `sys.getsizeof` says of an int of one digit of 30 bits, and of two: what fits `i` and `q`.
const ONE_DIGIT: u64 = 28;
const TWO_DIGITS: u64 = 32;

pub(super) fn count(look: &Look<'_, '_>, groups: &mut Groups) {
    let types = &look.ownership.snapshot.types;
    let name = |row: u32| types.get(row as usize).map_or("", |t| t.name.as_str());
    let graph = look.ownership.graph;
    let mut seen: FxHashSet<u32> = FxHashSet::default();
    for (node, row) in look.facts.item_types.iter() {
        let of = name(row as u32);
        let type_index = look.type_row(node);
        let length = look.length(node);
        if !matches!(of, "int" | "float" | "bool") || length < LENGTH_LEAST || !matches!(name(type_index), "list" | "tuple") {
            continue;
        }
        let Some(site) = look.sites.of_node(node) else { continue };
        let (mut boxes, mut widest) = (0, 0);
        seen.clear();
        for &item in graph.edges().of(node) {
            if look.type_row(item) != row as u32 {
                continue;
            }
            widest = widest.max(look.own(item));
            let held_here = look.ownership.tree.above(item) == Some(node);
            let several = look.ownership.objects.refcounts().get(item as usize) != Some(1);
            if held_here && (!several || seen.insert(item)) {
                boxes += look.footprint(item);
            }
        }
        let item_bytes = match of {
            "bool" => 1,
            "int" if widest <= ONE_DIGIT => 4,
            "int" if widest > TWO_DIGITS => continue,
            _ => 8,
        };
        let present = look.footprint(node) + boxes;
        let saving = present.saturating_sub(rounded(ARRAY) + rounded(item_bytes * length));
        if saving > 0 {
            groups.add(Key { kind: Kind::Numbers, type_index, site, extra: row }, One { node, present, saving, items: length, extra: 0 });
        }
    }
}
