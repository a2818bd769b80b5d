//! The naive twins of the algorithms: slow, and right by looking at them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::Edges;

/// A random graph: nodes, edges (some in parallel, some loops), roots.
pub(crate) fn graph() -> impl Strategy<Value = (usize, Vec<(u32, u32)>, Vec<u32>)> {
    (1usize..24).prop_flat_map(|n| {
        let node = 0..n as u32;
        (Just(n), prop::collection::vec((node.clone(), node.clone()), 0..n * 3), prop::collection::vec(node, 0..4))
    })
}

/// What is reached from `roots` without going through `without`.
pub(crate) fn reached(edges: &Edges, roots: &[u32], without: Option<u32>) -> BTreeSet<u32> {
    let mut seen = BTreeSet::new();
    let mut ahead: Vec<u32> = roots.to_vec();
    while let Some(node) = ahead.pop() {
        if Some(node) != without && seen.insert(node) {
            ahead.extend(edges.of(node));
        }
    }
    seen
}

/// For each node what is reached only through it, itself included; nothing where it is not reached.
pub(crate) fn retained(edges: &Edges, roots: &[u32]) -> Vec<Vec<u32>> {
    let all = reached(edges, roots, None);
    let of = |node: u32| all.difference(&reached(edges, roots, Some(node))).copied().collect();
    (0..edges.len() as u32).map(|node| if all.contains(&node) { of(node) } else { Vec::new() }).collect()
}
