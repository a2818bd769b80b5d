//! Which object keeps which alive, answered at once for many pairs.
//!
//! Holds: [`Nested`]: each object of the dominator tree as an interval that lies within that of the object that keeps it alive.
//! Never: recursion. Eight bytes an object, while it is asked.

use graph::Dominators;

use crate::ownership::Ownership;

/// Intervals of the dominator tree.
pub(super) struct Nested {
    start: Vec<u32>,
    size: Vec<u32>,
}

impl Nested {
    pub(super) fn of(ownership: &Ownership<'_>) -> Nested {
        let tree = &ownership.tree;
        let nodes = ownership.objects.len();
        let (mut size, mut start) = (vec![1u32; nodes], vec![0u32; nodes]);
        let get = |column: &[u32], node: u32| column.get(node as usize).copied().unwrap_or(0);
        let above = |node: u32| tree.above(node).filter(|above| *above != Dominators::ROOT);
        // Each stands behind what keeps it alive.
        for &node in tree.order().iter().rev() {
            let own = get(&size, node);
            if let Some(into) = above(node).and_then(|above| size.get_mut(above as usize)) {
                *into = into.saturating_add(own);
            }
        }
        // Where the next one below each begins.
        let mut next = vec![0u32; nodes];
        let mut next_top = 0u32;
        for &node in tree.order() {
            let begins = above(node).map_or(next_top, |above| get(&next, above));
            let ends = begins.saturating_add(get(&size, node));
            match above(node).and_then(|above| next.get_mut(above as usize)) {
                Some(slot) => *slot = ends,
                None => next_top = ends,
            }
            if let Some(slot) = start.get_mut(node as usize) {
                *slot = begins;
            }
            if let Some(slot) = next.get_mut(node as usize) {
                *slot = begins.saturating_add(1);
            }
        }
        Nested { start, size }
    }

    fn interval(&self, node: u32) -> (u32, u32) {
        let start = self.start.get(node as usize).copied().unwrap_or(u32::MAX);
        (start, start.saturating_add(self.size.get(node as usize).copied().unwrap_or(0)))
    }

    /// Whether `inner` goes when `outer` goes; each goes with itself.
    pub(super) fn keeps(&self, outer: u32, inner: u32) -> bool {
        let ((from, to), (at, _)) = (self.interval(outer), self.interval(inner));
        from <= at && at < to
    }

    /// Those of `nodes` that none of the others keeps alive, each once: what they retain can be added.
    pub(super) fn outermost(&self, mut nodes: Vec<u32>) -> Vec<u32> {
        nodes.sort_unstable_by_key(|node| (self.interval(*node).0, *node));
        let mut end = 0;
        nodes.retain(|node| {
            let (from, to) = self.interval(*node);
            let is_first = from >= end;
            end = end.max(to);
            is_first
        });
        nodes
    }
}

#[cfg(test)]
mod tests {
    use snapshot::LinkKind;

    use super::*;
    use crate::testing::Made;

    #[test]
    fn what_keeps_what_is_the_dominator_tree() {
        let mut made = Made::default();
        let (_, globals) = made.module("app");
        let nodes: Vec<u32> = (0..6).map(|_| made.object("app.Node", 10, 1)).collect();
        let [a, b, c, d, e, f] = nodes[..] else { panic!("six") };
        made.link(globals, a, LinkKind::Attribute, "A");
        for (from, to) in [(a, b), (b, c), (b, d), (a, e), (d, f), (e, f)] {
            made.link(from, to, LinkKind::Attribute, "x");
        }
        let snapshot = made.snapshot();
        let ownership = Ownership::of(&snapshot).unwrap();
        let nested = Nested::of(&ownership);
        for outer in 0..ownership.objects.len() as u32 {
            for inner in 0..ownership.objects.len() as u32 {
                let mut at = Some(inner);
                let mut is_above = false;
                while let Some(node) = at.filter(|node| *node != Dominators::ROOT) {
                    is_above |= node == outer;
                    at = ownership.tree.above(node);
                }
                assert_eq!(nested.keeps(outer, inner), is_above, "{outer} {inner}");
            }
        }
        // Two ways lead to the last: neither keeps it.
        let mut outermost = nested.outermost(vec![f, d, c, d]);
        outermost.sort_unstable();
        assert_eq!(outermost, [c, d, f]);
        assert_eq!(nested.outermost(vec![c, b, e]).len(), 2);
    }
}
