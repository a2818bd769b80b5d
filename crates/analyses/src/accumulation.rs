//! Where a leak suspect's memory comes together: down the dominator tree along the biggest child, to the place where what is retained drops
//! sharply.
//!
//! Holds: [`Accumulation`]. Sources: Eclipse MAT's leak suspects (`FindLeaksQuery`: a child that retains less than 0.7 of its parent ends the
//! walk). Bounded: by [`DEPTH_MOST`], as there; no recursion.

use graph::{Dominators, Edges};
use memory::Bytes;
use rustc_hash::FxHashMap;

use crate::naming::Names;
use crate::ownership::Ownership;

/// A biggest child that retains less than this part of its parent: the bytes are spread over the children.
const DROP: f64 = 0.7;
/// Steps that are gone down, and up.
const DEPTH_MOST: usize = 1000;

/// The place where a suspect's memory comes together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accumulation {
    /// The outermost object from which nearly all of it leads there: the suspect by its name.
    pub from: String,
    /// What that retains.
    pub from_bytes: Bytes,
    /// The place, by its way from a root.
    pub path: String,
    /// Its type.
    pub type_name: String,
    /// What it retains.
    pub retained_bytes: Bytes,
    /// How many objects it keeps alive directly.
    pub children: u64,
    /// What most of them are, and how many of them.
    pub child_type: String,
    /// How many are of that type.
    pub of_type: u64,
    /// What all of that type retain.
    pub of_type_bytes: Bytes,
    /// What the biggest child retains: the drop.
    pub biggest_bytes: Bytes,
}

/// The nodes of an accumulation, before they are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) from: u32,
    pub(crate) at: u32,
}

/// Goes up from `node` as long as it is most of what is above, and down as long as one child is most of it.
pub(crate) fn find(ownership: &Ownership<'_>, below: &Edges, node: u32) -> Found {
    let biggest = |node: u32| below.of(node).iter().copied().max_by_key(|child| (ownership.retained(*child), std::cmp::Reverse(*child)));
    let goes_on = |node: u32, child: u32| ownership.retained(child) as f64 >= ownership.retained(node) as f64 * DROP;
    let (mut from, mut at) = (node, node);
    for _ in 0..DEPTH_MOST {
        let Some(above) = ownership.tree.above(from).filter(|above| *above != Dominators::ROOT && goes_on(*above, from)) else { break };
        from = above;
    }
    for _ in 0..DEPTH_MOST {
        let Some(child) = biggest(at).filter(|child| goes_on(at, *child)) else { break };
        at = child;
    }
    Found { from, at }
}

/// Names and counts it; `None` for a place that keeps nothing but itself.
pub(crate) fn described(ownership: &Ownership<'_>, below: &Edges, names: &Names<'_, '_>, found: Found) -> Option<Accumulation> {
    let mut by_type: FxHashMap<&str, (u64, u64)> = FxHashMap::default();
    let children = below.of(found.at);
    for &child in children {
        let sum = by_type.entry(ownership.type_name(child)).or_default();
        *sum = (sum.0 + 1, sum.1 + ownership.retained(child));
    }
    let (child_type, (of_type, of_type_bytes)) = by_type.into_iter().max_by(|a, b| a.1 .1.cmp(&b.1 .1).then_with(|| b.0.cmp(a.0)))?;
    Some(Accumulation {
        from: names.text(found.from),
        from_bytes: Bytes(ownership.retained(found.from)),
        path: names.text(found.at),
        type_name: ownership.type_name(found.at).to_owned(),
        retained_bytes: Bytes(ownership.retained(found.at)),
        children: children.len() as u64,
        child_type: child_type.to_owned(),
        of_type,
        of_type_bytes: Bytes(of_type_bytes),
        biggest_bytes: Bytes(children.iter().map(|child| ownership.retained(*child)).max().unwrap_or(0)),
    })
}

#[cfg(test)]
mod tests {
    use snapshot::LinkKind;

    use super::*;
    use crate::testing::Made;

    #[test]
    fn the_way_down_ends_where_the_bytes_are_spread() {
        let mut made = Made::default();
        let (_, globals) = made.module("app");
        let (server, dict) = (made.object("app.Server", 50, 1), made.object("dict", 60, 1));
        made.link(globals, server, LinkKind::Attribute, "SERVER");
        made.link(server, dict, LinkKind::Field, "__dict__");
        let pages = made.object("list", 100, 1);
        made.link(dict, pages, LinkKind::Attribute, "pages");
        for n in 0..10 {
            let page = made.object(if n == 0 { "app.Cover" } else { "app.Page" }, 200, 1);
            made.link(pages, page, LinkKind::Index, "");
        }
        // As much again beside it in the same module.
        let other = made.object("bytes", 1500, 1);
        made.link(globals, other, LinkKind::Attribute, "OTHER");
        let snapshot = made.snapshot();
        let ownership = Ownership::of(&snapshot).unwrap();
        let below = ownership.tree.below();
        let found = find(&ownership, &below, dict);
        assert_eq!(found, Found { from: server, at: pages });
        let names = Names::of(&ownership, &[found.from, found.at]);
        let told = described(&ownership, &below, &names, found).unwrap();
        assert_eq!((told.from.as_str(), told.path.as_str(), told.type_name.as_str()), ("app.SERVER", "app.SERVER.pages", "list"));
        assert_eq!((told.children, told.child_type.as_str(), told.of_type, told.of_type_bytes.0), (10, "app.Page", 9, 1800));
        assert_eq!((told.from_bytes.0, told.retained_bytes.0, told.biggest_bytes.0), (2210, 2100, 200));
        // One block has nothing below it.
        assert_eq!(described(&ownership, &below, &Names::of(&ownership, &[other]), find(&ownership, &below, other)), None);
    }
}
