//! Values that are equal and stored many times: strs, bytes, numbers and tuples, known by their fingerprints.
//!
//! One of each value is kept: an interned or immortal one where there is one, else that at the lowest address.

use rayon::prelude::*;

use super::groups::{Groups, Key, One};
use super::{Kind, Look};

/// Types whose values cannot change. A tuple has a fingerprint only where all in it have.
const CONSTANT: &[&str] = &["str", "bytes", "int", "float", "complex", "tuple"];

pub(super) fn count(look: &Look<'_, '_>, groups: &mut Groups) {
    let types = &look.ownership.snapshot.types;
    let constant: Vec<bool> = types.iter().map(|t| CONSTANT.contains(&t.name.as_str())).collect();
    let is_constant = |node: u32| constant.get(look.type_row(node) as usize).copied().unwrap_or(false);
    let mut all: Vec<(u64, u32)> =
        look.facts.fingerprints.iter().filter(|(node, _)| is_constant(*node)).map(|(node, number)| (number, node)).collect();
    all.par_sort_unstable();
    let states = look.ownership.objects.states();
    let is_shared = |node: u32| look.facts.shape(node).interned() || states.get(node as usize).is_some_and(|state| state.immortal());
    let mut found: Vec<(Key, u32)> = Vec::new();
    for same in all.chunk_by(|a, b| a.0 == b.0).filter(|same| same.len() > 1) {
        let kept = same.iter().map(|(_, node)| *node).find(|node| is_shared(*node)).or(same.first().map(|(_, node)| *node));
        found.clear();
        for (_, node) in same.iter().filter(|(_, node)| Some(*node) != kept && !is_shared(*node)) {
            let Some(site) = look.sites.of_node(*node) else { continue };
            found.push((Key { kind: Kind::Equal, type_index: look.type_row(*node), site, extra: 0 }, *node));
        }
        for (place, (key, node)) in found.iter().enumerate() {
            // A value counts once for each group in which it has copies.
            let is_first = !found.iter().take(place.min(FEW)).any(|(other, _)| other == key);
            let present = look.footprint(*node);
            groups.add(*key, One { node: *node, present, saving: present, items: u64::from(is_first), extra: 0 });
        }
    }
}

/// Copies of a value among which another of the same place is looked for: what comes later counts as one more copy.
const FEW: usize = 64;
