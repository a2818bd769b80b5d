//! `retained`: who holds the memory. Owners are objects, named by their way from a root, whose parts do not hold more than they.
//!
//! Owners are disjoint: one is never within another, so their bytes can be added.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use graph::{Dominators, Edges};
use memory::{Addr, Bytes};
use rustc_hash::{FxHashMap, FxHashSet};
use snapshot::LinkKind;

use crate::naming::{joined, Names, Step};
use crate::ownership::{Hold, Ownership, Share};

/// A part that retains this share of its whole is the better answer: the whole is little more than a way to it.
const MOST_OF_IT: f64 = 0.5;
/// Like objects of this many that no one of them dominates are one owner.
const GROUP_LEAST: u64 = 2;
/// Types that an owner is said to be made of.
const MADE_OF: usize = 4;

/// One owner: an object, or like objects that are held in the same way.
#[derive(Clone, Debug, PartialEq)]
pub struct Owner {
    /// Its way from a root, as Python would write it.
    pub path: String,
    /// The objects on the way, the root first.
    pub steps: Vec<Step>,
    /// The type's name.
    pub type_name: String,
    /// Its address; of a group that of the first.
    pub address: Addr,
    /// The object's row; of a group that of the first.
    pub node: u32,
    /// Its big parts are owners of their own, and this is what is left of it.
    pub is_rest: bool,
    /// How many objects the owner is: 1, or the size of the group.
    pub owners: u64,
    /// What would go if it went.
    pub retained_bytes: Bytes,
    /// How many objects that are.
    pub objects: u64,
    /// By what it is held.
    pub hold: Hold,
    /// What its way begins at.
    pub named_by: Hold,
    /// What it is made of, the most bytes first: type, objects, bytes.
    pub made_of: Vec<(String, u64, Bytes)>,
}

/// Who holds the memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Retained {
    /// The owners, the biggest first.
    pub owners: Vec<Owner>,
    /// What no owner that is listed retains.
    pub rest_bytes: Bytes,
    /// How many objects that are.
    pub rest_objects: u64,
    /// By what all objects are held in the end.
    pub shares: Vec<(Hold, Share)>,
    /// The footprint of all objects.
    pub whole: Bytes,
}

impl Retained {
    /// The part of the whole.
    pub fn share(&self, bytes: Bytes) -> f64 {
        if self.whole.0 == 0 {
            0.0
        } else {
            bytes.0 as f64 / self.whole.0 as f64
        }
    }
}

/// Nothing smaller is called an owner.
const OWNER_LEAST: u64 = 1024;
/// Where there is a limit: the part of the whole below which nothing is called an owner.
const SHARE_LEAST: u64 = 500;

/// The owners that retain most, at most `limit`.
pub fn retained(ownership: &Ownership<'_>, limit: Option<usize>) -> Retained {
    retained_in(ownership, &ownership.tree.below(), limit)
}

/// The same, with the tree downwards at hand.
pub(crate) fn retained_in(ownership: &Ownership<'_>, below: &Edges, limit: Option<usize>) -> Retained {
    let shares = ownership.shares();
    let (whole, count) =
        shares.iter().fold((0, 0), |(bytes, objects), (_, share)| (share.bytes.0.saturating_add(bytes), objects + share.objects));
    let least = if limit.is_some() { (whole / SHARE_LEAST).max(OWNER_LEAST) } else { OWNER_LEAST };
    let owners = owners(ownership, below, least, limit.unwrap_or(usize::MAX));
    let rest_bytes = Bytes(owners.iter().fold(whole, |rest, owner| rest.saturating_sub(owner.retained_bytes.0)));
    let rest_objects = count.saturating_sub(owners.iter().map(|o| o.objects).sum());
    Retained { owners, rest_bytes, rest_objects, shares, whole: Bytes(whole) }
}

/// The owners that retain most, the biggest first, at most `limit`; none below `least` bytes.
fn owners(ownership: &Ownership<'_>, below: &Edges, least: u64, limit: usize) -> Vec<Owner> {
    let found = choose(ownership, below, least.max(1), limit);
    let wanted: Vec<u32> = found.iter().flat_map(|one| one.nodes.iter().copied().take(GROUP_SAMPLE)).collect();
    let names = Names::of(ownership, &wanted);
    found.into_iter().map(|one| described(ownership, below, &names, one)).collect()
}

/// Members of a group whose ways are compared.
const GROUP_SAMPLE: usize = 64;

/// An owner without its name.
struct Found {
    nodes: Vec<u32>,
    retained: u64,
    /// Big parts of it, which are owners of their own.
    parts: Vec<u32>,
}

/// Goes down the tree from the top, the biggest first.
fn choose(ownership: &Ownership<'_>, below: &Edges, least: u64, limit: usize) -> Vec<Found> {
    let mut ahead: BinaryHeap<(u64, Reverse<u32>)> = BinaryHeap::new();
    // What is too small alone may be much together: like objects, by type.
    let mut groups: FxHashMap<u32, Found> = FxHashMap::default();
    let mut found: Vec<Found> = Vec::new();
    let consider = |node: u32, ahead: &mut BinaryHeap<(u64, Reverse<u32>)>, groups: &mut FxHashMap<u32, Found>| {
        let retained = ownership.retained(node);
        if retained >= least {
            ahead.push((retained, Reverse(node)));
        } else {
            let type_index = ownership.objects.type_indices().get(node as usize).copied().unwrap_or(u32::MAX);
            let group = groups.entry(type_index).or_insert(Found { nodes: Vec::new(), retained: 0, parts: Vec::new() });
            group.retained += retained;
            group.nodes.push(node);
        }
    };
    for node in ownership.tree.top() {
        consider(node, &mut ahead, &mut groups);
    }
    while let Some((retained, Reverse(node))) = ahead.pop() {
        let children = below.of(node);
        let biggest = children.iter().copied().max_by_key(|child| ownership.retained(*child));
        let way_through = biggest.is_some_and(|child| ownership.retained(child) as f64 >= retained as f64 * MOST_OF_IT);
        let has_parts = is_whole_of_parts(ownership, node) && biggest.is_some_and(|child| ownership.retained(child) >= least);
        if !(way_through || has_parts) {
            found.push(Found { nodes: vec![node], retained, parts: Vec::new() });
            continue;
        }
        // What is left of it without its big parts is an owner too, where it is big.
        let parts: Vec<u32> = children.iter().copied().filter(|child| ownership.retained(*child) >= least).collect();
        ahead.extend(parts.iter().map(|child| (ownership.retained(*child), Reverse(*child))));
        let left = retained.saturating_sub(parts.iter().map(|child| ownership.retained(*child)).sum());
        if left >= least {
            found.push(Found { nodes: vec![node], retained: left, parts });
        }
    }
    found.extend(groups.into_values().filter(|group| group.retained >= least && group.nodes.len() as u64 >= GROUP_LEAST));
    found.sort_by_key(|one| (Reverse(one.retained), one.nodes.first().copied()));
    found.truncate(limit);
    found
}

/// Whether an object is a place where many different things hang: a module, a namespace, an instance, a frame; not a container of like things.
fn is_whole_of_parts(ownership: &Ownership<'_>, node: u32) -> bool {
    ownership.modules.contains_key(&node)
        || ownership.graph.of(node).any(|link| {
            matches!(
                link.label.kind,
                LinkKind::Attribute | LinkKind::Slot | LinkKind::Local | LinkKind::Field | LinkKind::Cell | LinkKind::Stack
            )
        })
}

fn described(ownership: &Ownership<'_>, below: &Edges, names: &Names<'_, '_>, one: Found) -> Owner {
    let node = one.nodes.first().copied().unwrap_or_default();
    let single = one.nodes.len() == 1;
    let steps = if single { names.steps(node) } else { common(names, &one.nodes) };
    let made = made_of(ownership, below, &one);
    let steps_hold = steps.first().map_or(Hold::Several, |step| ownership.hold(step.node));
    Owner {
        path: joined(&steps),
        steps,
        type_name: ownership.type_name(node).to_owned(),
        address: ownership.objects.addresses().get(node as usize).copied().unwrap_or_default(),
        node,
        is_rest: !one.parts.is_empty(),
        owners: one.nodes.len() as u64,
        retained_bytes: Bytes(one.retained),
        objects: made.objects,
        named_by: steps_hold,
        hold: if single { top_hold(ownership, node) } else { Hold::Several },
        made_of: made.types,
    }
}

/// By what the top of an object's tree is held.
fn top_hold(ownership: &Ownership<'_>, node: u32) -> Hold {
    let mut at = node;
    // Bounded by the height of the tree: each step goes up.
    while let Some(above) = ownership.tree.above(at).filter(|above| *above != Dominators::ROOT) {
        at = above;
    }
    ownership.hold(at)
}

/// The way that most of the objects share, with `[…]` where they part.
fn common(names: &Names<'_, '_>, nodes: &[u32]) -> Vec<Step> {
    let mut holders: FxHashMap<Option<u32>, (usize, u32)> = FxHashMap::default();
    for &node in nodes.iter().take(GROUP_SAMPLE) {
        let entry = holders.entry(names.before(node)).or_insert((0, node));
        entry.0 += 1;
    }
    let most = holders.values().max_by_key(|(count, node)| (*count, Reverse(*node))).map(|(_, node)| *node);
    let mut steps = most.map(|node| names.steps(node)).unwrap_or_default();
    if let Some(last) = steps.last_mut().filter(|last| last.text.starts_with('[')) {
        last.text = "[…]".to_owned();
    }
    steps
}

/// What an owner is made of.
#[derive(Clone, Debug, Default)]
struct MadeOf {
    objects: u64,
    types: Vec<(String, u64, Bytes)>,
}

fn made_of(ownership: &Ownership<'_>, below: &Edges, of: &Found) -> MadeOf {
    let parts: FxHashSet<u32> = of.parts.iter().copied().collect();
    let mut by_type: FxHashMap<u32, (u64, u64)> = FxHashMap::default();
    let mut objects = 0;
    let mut ahead: Vec<u32> = of.nodes.clone();
    while let Some(node) = ahead.pop() {
        objects += 1;
        let type_index = ownership.objects.type_indices().get(node as usize).copied().unwrap_or(u32::MAX);
        let sum = by_type.entry(type_index).or_default();
        sum.0 += 1;
        sum.1 += ownership.objects.footprint_bytes().get(node as usize).map_or(0, |bytes| bytes.0);
        ahead.extend(below.of(node).iter().filter(|child| !parts.contains(child)));
    }
    let mut types: Vec<(String, u64, Bytes)> =
        by_type.into_iter().map(|(t, (count, bytes))| (ownership.type_row_name(t).to_owned(), count, Bytes(bytes))).collect();
    types.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
    types.truncate(MADE_OF);
    MadeOf { objects, types }
}

#[cfg(test)]
mod tests {
    use snapshot::RootPlace;

    use super::*;
    use crate::testing::Made;

    #[test]
    fn owners_are_where_the_bytes_come_together() {
        let mut made = Made::default();
        let (_, globals) = made.module("app");
        // A server whose cache has nearly all: the cache is the owner. Its settings are too small for one.
        let (server, dict) = (made.object("app.Server", 50, 1), made.object("dict", 60, 1));
        made.link(globals, server, LinkKind::Attribute, "SERVER");
        made.link(server, dict, LinkKind::Field, "__dict__");
        let (pages, settings) = (made.object("list", 100, 1), made.object("dict", 200, 1));
        made.link(dict, pages, LinkKind::Attribute, "pages");
        made.link(dict, settings, LinkKind::Attribute, "settings");
        for _ in 0..10 {
            let page = made.object("app.Page", 2000, 1);
            made.link(pages, page, LinkKind::Index, "");
        }
        // Orders that two lists share: no one holds them, together they are an owner.
        let (new, all) = (made.object("list", 10, 1), made.object("list", 10, 1));
        made.root(RootPlace::Frame, "thread 0x1, frame of f", Some("new"), new, true);
        made.link(globals, all, LinkKind::Attribute, "ORDERS");
        for _ in 0..5 {
            let order = made.object("app.Order", 700, 2);
            made.link(new, order, LinkKind::Index, "");
            made.link(all, order, LinkKind::Index, "");
        }
        let snapshot = made.snapshot();
        let ownership = Ownership::of(&snapshot).unwrap();
        let found = retained(&ownership, None);
        let shown: Vec<(&str, u64, u64, u64)> =
            found.owners.iter().map(|o| (o.path.as_str(), o.owners, o.retained_bytes.0, o.objects)).collect();
        assert_eq!(shown, [("app.SERVER.pages", 1, 20_100, 11), ("thread 0x1, frame of f: local new[…]", 5, 3500, 5)]);
        let sum: u64 = found.owners.iter().map(|o| o.retained_bytes.0).sum();
        assert_eq!(sum + found.rest_bytes.0, found.whole.0);
        assert_eq!(found.owners[0].made_of, [("app.Page".to_owned(), 10, Bytes(20_000)), ("list".to_owned(), 1, Bytes(100))]);
    }
}
