//! Dicts that all have the same keys, in the same order: instances of a class that nobody wrote.
//!
//! What an instance with `__slots__` takes is computed as `slots` does it. What the class itself takes is estimated.

use rustc_hash::FxHashMap;

use super::groups::{Groups, Key, One};
use super::{Kind, Look};
use crate::slots::{rounded, ATTRIBUTES_MOST, COUNT_LEAST, HEADS};

pub(super) fn count(look: &Look<'_, '_>, groups: &mut Groups) {
    let types = &look.ownership.snapshot.types;
    let row = |name: &str| types.iter().position(|t| t.name == name).map(|row| row as u32);
    let (Some(dict), Some(text)) = (row("dict"), row("str")) else { return };
    let mut counts: FxHashMap<u64, u32> = FxHashMap::default();
    let dicts = || look.facts.key_sets.iter().filter(|(node, _)| look.type_row(*node) == dict);
    dicts().for_each(|(_, set)| *counts.entry(set).or_default() += 1);
    counts.retain(|_, count| u64::from(*count) >= COUNT_LEAST);
    for (node, set) in dicts().filter(|(_, set)| counts.contains_key(set)) {
        let keys = look.length(node);
        if keys == 0 || keys > ATTRIBUTES_MOST as u64 || look.facts.key_types.get(node) != Some(u64::from(text)) {
            continue;
        }
        let Some(site) = look.sites.of_node(node) else { continue };
        let present = look.footprint(node);
        let saving = present.saturating_sub(rounded(HEADS + 8 * keys));
        groups.add(Key { kind: Kind::Records, type_index: dict, site, extra: set }, One { node, present, saving, items: keys, extra: 0 });
    }
}
