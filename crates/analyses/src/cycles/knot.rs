//! One strongly connected component as a small graph of its own: the smallest cycle in it, and what breaks it.
//!
//! Holds: [`Knot`]. An instance and its `__dict__` are one node of it, so that releases with and without instance dicts give the same.
//! Bounded: starts by [`STARTS_MOST`], edges that are followed by [`EDGES_MOST`] for each edge of the component. No recursion.

/// Members from which a smallest cycle is looked for; of a component with more members, one of each type.
pub(super) const STARTS_MOST: usize = 64;
/// How often each edge may be followed in the search, on the average.
const EDGES_MOST: usize = 16;

/// The graph of a component. Nodes are 0 to `len() - 1`.
#[derive(Debug, Default)]
pub(super) struct Knot {
    starts: Vec<u32>,
    /// Target and what the edge is.
    edges: Vec<(u32, u32)>,
    seen: Vec<u32>,
    before: Vec<(u32, u32)>,
    queue: Vec<u32>,
    round: u32,
}

impl Knot {
    /// Takes the edges (from, to, what) of a component of `nodes` nodes; keeps the room of the one before.
    pub(super) fn fill(&mut self, nodes: usize, list: &mut [(u32, u32, u32)]) {
        list.sort_by_key(|(from, _, _)| *from);
        self.starts.clear();
        self.starts.resize(nodes + 1, 0);
        for (from, _, _) in list.iter() {
            if let Some(count) = self.starts.get_mut(*from as usize + 1) {
                *count += 1;
            }
        }
        let mut end = 0;
        for start in &mut self.starts {
            end += *start;
            *start = end;
        }
        self.edges.clear();
        self.edges.extend(list.iter().map(|(_, to, what)| (*to, *what)));
        self.seen.clear();
        self.seen.resize(nodes, 0);
        self.before.clear();
        self.before.resize(nodes, (0, 0));
        self.round = 0;
    }

    /// How many nodes.
    pub(super) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// How many edges.
    pub(super) fn edges(&self) -> usize {
        self.edges.len()
    }

    fn of(&self, node: u32) -> &[(u32, u32)] {
        let at = |i: u32| self.starts.get(i as usize).map_or(0, |s| *s as usize);
        self.edges.get(at(node)..at(node + 1)).unwrap_or_default()
    }

    /// The smallest cycle through one of `from`, as nodes, each with what its edge to the next is; of those of one length the one that
    /// `before` puts first.
    pub(super) fn smallest(&mut self, from: &[u32], before: impl Fn(&[(u32, u32)], &[(u32, u32)]) -> bool) -> Vec<(u32, u32)> {
        let mut best: Vec<(u32, u32)> = Vec::new();
        let mut left = self.edges.len().saturating_mul(EDGES_MOST).max(1 << 12);
        for &start in from.iter().take(STARTS_MOST) {
            if left == 0 && !best.is_empty() {
                break;
            }
            let longest = if best.is_empty() { usize::MAX } else { best.len() };
            if let Some(cycle) = self.through(start, longest, &mut left) {
                if best.is_empty() || cycle.len() < best.len() || before(&cycle, &best) {
                    best = cycle;
                }
            }
        }
        best
    }

    /// The smallest cycle through `start` that is no longer than `longest`: breadth first.
    fn through(&mut self, start: u32, longest: usize, left: &mut usize) -> Option<Vec<(u32, u32)>> {
        self.round += 1;
        let round = self.round;
        let mut queue = std::mem::take(&mut self.queue);
        queue.clear();
        queue.push(start);
        let (mut done, mut depth, mut level_end) = (0, 1, 1);
        let mut last = None;
        'search: while let Some(&node) = queue.get(done) {
            if done == level_end {
                (depth, level_end) = (depth + 1, queue.len());
            }
            if depth > longest {
                break;
            }
            done += 1;
            let range =
                self.starts.get(node as usize).map_or(0, |s| *s as usize)..self.starts.get(node as usize + 1).map_or(0, |s| *s as usize);
            *left = left.saturating_sub(range.len());
            for edge in range {
                let Some(&(to, what)) = self.edges.get(edge) else { continue };
                if to == start {
                    last = Some((node, what));
                    break 'search;
                }
                if let (Some(seen), Some(before)) = (self.seen.get_mut(to as usize), self.before.get_mut(to as usize)) {
                    if *seen != round {
                        (*seen, *before) = (round, (node, what));
                        queue.push(to);
                    }
                }
            }
        }
        self.queue = queue;
        let (mut node, mut what) = last?;
        let mut cycle = vec![(node, what)];
        while node != start && cycle.len() <= self.len() {
            (node, what) = self.before.get(node as usize).copied()?;
            cycle.push((node, what));
        }
        cycle.reverse();
        Some(cycle)
    }

    /// Whether no cycle is left without the edges that are `what`: nodes are taken away as long as nothing refers to them.
    pub(super) fn is_acyclic_without(&mut self, what: u32) -> bool {
        let mut entered = std::mem::take(&mut self.seen);
        entered.iter_mut().for_each(|n| *n = 0);
        for (to, _) in self.edges.iter().filter(|(_, w)| *w != what) {
            if let Some(n) = entered.get_mut(*to as usize) {
                *n += 1;
            }
        }
        let mut free: Vec<u32> = (0..self.len() as u32).filter(|node| entered.get(*node as usize) == Some(&0)).collect();
        let mut gone = 0;
        while let Some(node) = free.pop() {
            gone += 1;
            for (to, _) in self.of(node).iter().filter(|(_, w)| *w != what) {
                if let Some(n) = entered.get_mut(*to as usize) {
                    *n -= 1;
                    if *n == 0 {
                        free.push(*to);
                    }
                }
            }
        }
        entered.iter_mut().for_each(|n| *n = 0);
        self.seen = entered;
        self.round = 0;
        gone == self.len()
    }

    /// How many edges are `what`, and to how many nodes they lead.
    pub(super) fn counted(&mut self, what: u32) -> (u64, u64) {
        self.round += 1;
        let (mut edges, mut targets) = (0, 0);
        for (to, _) in self.edges.iter().filter(|(_, w)| *w == what) {
            edges += 1;
            if let Some(seen) = self.seen.get_mut(*to as usize).filter(|seen| **seen != self.round) {
                *seen = self.round;
                targets += 1;
            }
        }
        (edges, targets)
    }
}

#[cfg(test)]
mod tests {
    use graph::{Components, Edges};
    use proptest::prelude::*;

    use super::*;

    fn knot(nodes: usize, edges: &[(u32, u32, u32)]) -> Knot {
        let mut knot = Knot::default();
        knot.fill(nodes, &mut edges.to_vec());
        knot
    }

    #[test]
    fn the_smallest_cycle_is_found_and_what_breaks_all() {
        // A ring of four with a short cut back from 2 to 1, and all of it broken by edge 7 alone.
        let mut k = knot(4, &[(0, 1, 7), (1, 2, 7), (2, 3, 8), (3, 0, 9), (2, 1, 5)]);
        assert_eq!(k.smallest(&[0, 1, 2, 3], |_, _| false), [(1, 7), (2, 5)]);
        assert_eq!([7, 8, 9, 5].map(|what| k.is_acyclic_without(what)), [true, false, false, false]);
        assert_eq!(k.counted(7), (2, 2));
        assert_eq!(knot(2, &[(0, 1, 0), (1, 1, 0), (1, 0, 1)]).smallest(&[0, 1], |_, _| false), [(1, 0)]);
    }

    #[test]
    fn a_ring_of_a_million_is_walked() {
        let n = 1_000_000;
        let mut k = knot(n as usize, &(0..n).map(|i| (i, (i + 1) % n, 3)).collect::<Vec<_>>());
        assert_eq!(k.smallest(&[5], |_, _| false).len(), n as usize);
        assert!(k.is_acyclic_without(3) && !k.is_acyclic_without(4));
    }

    proptest! {
        #[test]
        fn it_agrees_with_its_twins(list in prop::collection::vec((0u32..7, 0u32..7, 0u32..3), 1..30)) {
            let mut k = knot(7, &list);
            for what in 0..3 {
                let edges = Edges::gather(7, |tell| list.iter().filter(|e| e.2 != what).for_each(|e| tell(e.0, e.1)));
                prop_assert_eq!(k.is_acyclic_without(what), Components::of(&edges, |_| true).is_empty());
            }
            let found = k.smallest(&[0, 1, 2, 3, 4, 5, 6], |_, _| false);
            for (i, step) in found.iter().enumerate() {
                let next = found[(i + 1) % found.len()].0;
                prop_assert!(list.contains(&(step.0, next, step.1)));
            }
            // No shorter one: from no node do fewer steps lead back to it.
            for start in 0..7u32 {
                let mut ring = vec![start];
                for _ in 1..if found.is_empty() { 9 } else { found.len() } {
                    ring = list.iter().filter(|e| ring.contains(&e.0)).map(|e| e.1).collect();
                    prop_assert!(!ring.contains(&start));
                }
            }
        }
    }
}
