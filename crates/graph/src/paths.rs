//! Shortest paths from roots.

use crate::{Edges, NONE};

/// The nearest way from the roots to every node: a breadth-first tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The node before, [`Paths::ROOT`] for a root, [`NONE`] where there is no way.
    before: Vec<u32>,
    /// The reached nodes, nearest first.
    order: Vec<u32>,
}

impl Paths {
    /// Stands before a root.
    pub const ROOT: u32 = NONE - 1;

    /// From `roots`, over those edges (holder, place in all targets, target) that `follow` lets through. Among ways of the same length the
    /// one by the first root, and by the first edge of a row, is taken.
    pub fn from(edges: &Edges, roots: &[u32], follow: impl Fn(u32, usize, u32) -> bool) -> Paths {
        Paths::until(edges, roots, follow, &[])
    }

    /// The same, no further than until each of `wanted` is reached; to the end where none is named. With wanted ones the order is not kept.
    pub fn until(edges: &Edges, roots: &[u32], follow: impl Fn(u32, usize, u32) -> bool, wanted: &[u32]) -> Paths {
        /// Nodes between two looks at what is still wanted.
        const LOOK: usize = 1 << 16;
        let mut paths = Paths { before: vec![NONE; edges.len()], order: Vec::new() };
        for &root in roots {
            paths.enter(root, Paths::ROOT);
        }
        let mut done = 0;
        let mut is_first = true;
        while let Some(&node) = paths.order.get(done) {
            if (done == LOOK || is_first) && !wanted.is_empty() && wanted.iter().all(|node| paths.reached(*node)) {
                break;
            }
            is_first = false;
            if done == LOOK && !wanted.is_empty() {
                // What was looked at is not asked for again.
                paths.order.drain(..done);
                done = 0;
            }
            done += 1;
            for (place, &next) in edges.range(node).zip(edges.of(node)) {
                if paths.before.get(next as usize) == Some(&NONE) && follow(node, place, next) {
                    paths.enter(next, node);
                }
            }
        }
        if !wanted.is_empty() {
            paths.order = Vec::new();
        }
        paths
    }

    fn enter(&mut self, node: u32, before: u32) {
        match self.before.get_mut(node as usize) {
            Some(slot) if *slot == NONE => {
                *slot = before;
                self.order.push(node);
            }
            _ => {}
        }
    }

    /// The nodes on the way to `node`, a root first, itself last; nothing where there is no way.
    pub fn to(&self, node: u32) -> Vec<u32> {
        let mut way = Vec::new();
        let mut at = node;
        while let Some(&before) = self.before.get(at as usize).filter(|before| **before != NONE) {
            way.push(at);
            at = before;
        }
        way.reverse();
        way
    }

    /// The node before `node` on its way; `None` for a root and for what is not reached.
    pub fn before(&self, node: u32) -> Option<u32> {
        self.before.get(node as usize).copied().filter(|before| *before < Paths::ROOT)
    }

    /// Whether there is a way.
    pub fn reached(&self, node: u32) -> bool {
        self.before.get(node as usize).is_some_and(|before| *before != NONE)
    }

    /// The reached nodes, nearest first.
    pub fn order(&self) -> &[u32] {
        &self.order
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::twins::graph;

    proptest! {
        #[test]
        fn it_agrees_with_its_twin((n, list, roots) in graph(), barred in 0u32..24) {
            let edges = Edges::gather(n, |tell| list.iter().for_each(|&(a, b)| tell(a, b)));
            let follow = |from: u32, _: usize, to: u32| from != barred && to != barred;
            let paths = Paths::from(&edges, &roots, follow);
            // Rings of nodes at distance 0, 1, 2 …
            let mut ring: BTreeSet<u32> = roots.iter().copied().collect();
            let mut seen: BTreeSet<u32> = BTreeSet::new();
            let mut far = 1;
            while !ring.is_empty() {
                for &node in &ring {
                    let way = paths.to(node);
                    prop_assert_eq!(way.len(), far, "the way to {}", node);
                    prop_assert!(roots.contains(&way[0]) && way.last() == Some(&node));
                    prop_assert!(way.windows(2).all(|step| edges.of(step[0]).contains(&step[1]) && follow(step[0], 0, step[1])));
                }
                seen.extend(&ring);
                ring = ring.iter().flat_map(|&a| edges.of(a).iter().filter(move |b| follow(a, 0, **b))).copied().collect();
                ring.retain(|node| !seen.contains(node));
                far += 1;
            }
            for node in 0..n as u32 {
                prop_assert_eq!(paths.reached(node), seen.contains(&node));
            }
        }
    }
}
