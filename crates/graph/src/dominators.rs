//! Dominators: who would be gone if a node were gone.
//!
//! The algorithm is semi-NCA (L. Georgiadis, *Linear-Time Algorithms for Dominators and Related Problems*, 2005): Lengauer and Tarjan's
//! semidominators, then one walk up for each node. It works in preorder numbers, so that what is near in the graph is near in memory.

use crate::{Edges, NONE};

/// The dominator tree of what a virtual root reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dominators {
    /// Immediate dominator of each node: a node, [`Dominators::ROOT`], or [`NONE`] where the root does not reach it.
    above: Vec<u32>,
    /// The reached nodes, each behind its immediate dominator.
    order: Vec<u32>,
}

impl Dominators {
    /// The virtual root, over all roots.
    pub const ROOT: u32 = NONE - 1;

    /// Of the graph with a virtual root that refers to each of `roots`.
    pub fn of(edges: &Edges, roots: &[u32]) -> Dominators {
        let mut walk = Walk::new(edges);
        walk.enter(roots);
        walk.dominators()
    }

    fn from(walk: Walk<'_>) -> Dominators {
        let Walk { edges, roots, number, order, parent, stack } = walk;
        drop(stack);
        let nodes = edges.len();
        // In preorder numbers from here on: 0 is the virtual root, `order[i - 1]` is the node of number i.
        let reached = order.len() + 1;
        let (mut starts, before) = predecessors(edges, &roots, &number, &order, &parent).into_rows();
        drop((number, roots));
        let mut tree = Tree { ancestor: parent.clone(), least: (0..reached as u32).collect(), path: Vec::new() };
        for w in (1..reached as u32).rev() {
            let row = at(&starts, w) as usize..at(&starts, w + 1) as usize;
            let mut least = at(&parent, w);
            for &v in before.get(row).unwrap_or_default() {
                least = least.min(tree.eval(v, w + 1));
            }
            set(&mut tree.least, w, least);
            // The end of this row is not asked for again: here the semidominator is kept.
            set(&mut starts, w + 1, least);
        }
        drop((tree, before));
        let mut idom = parent;
        for w in 1..reached as u32 {
            let (mut d, semi) = (at(&idom, w), at(&starts, w + 1));
            while d > semi {
                d = at(&idom, d);
            }
            set(&mut idom, w, d);
        }
        drop(starts);
        let mut above = vec![NONE; nodes];
        for (i, &node) in order.iter().enumerate() {
            let d = at(&idom, i as u32 + 1);
            let dominator = if d == 0 { Self::ROOT } else { at(&order, d - 1) };
            set(&mut above, node, dominator);
        }
        Dominators { above, order }
    }

    /// The immediate dominator of `node`: [`Dominators::ROOT`] where no single node holds it, `None` where no root reaches it.
    #[inline]
    pub fn above(&self, node: u32) -> Option<u32> {
        self.above.get(node as usize).copied().filter(|d| *d != NONE)
    }

    /// Whether a root reaches it.
    #[inline]
    pub fn reached(&self, node: u32) -> bool {
        self.above(node).is_some()
    }

    /// The reached nodes, each behind its immediate dominator.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// For each node the sum of `size` over all that it dominates, itself included: what would go if it went. 0 where it is not reached.
    pub fn retained(&self, size: impl Fn(u32) -> u64) -> Vec<u64> {
        let mut sums = vec![0u64; self.above.len()];
        for &node in self.order.iter().rev() {
            let sum = match sums.get_mut(node as usize) {
                Some(sum) => {
                    *sum = sum.saturating_add(size(node));
                    *sum
                }
                None => continue,
            };
            let above = self.above.get(node as usize).copied().unwrap_or(NONE);
            if let Some(into) = sums.get_mut(above as usize) {
                *into = into.saturating_add(sum);
            }
        }
        sums
    }

    /// The tree downwards: what each node dominates immediately. What the virtual root does is [`Dominators::top`].
    pub fn below(&self) -> Edges {
        Edges::gather(self.above.len(), |tell| {
            for (node, above) in self.above.iter().enumerate() {
                tell(*above, node as u32);
            }
        })
    }

    /// The nodes that only the virtual root dominates.
    pub fn top(&self) -> Vec<u32> {
        self.order.iter().copied().filter(|node| self.above(*node) == Some(Self::ROOT)).collect()
    }
}

#[inline]
fn at(column: &[u32], i: u32) -> u32 {
    column.get(i as usize).copied().unwrap_or(0)
}

#[inline]
fn set(column: &mut [u32], i: u32, value: u32) {
    if let Some(slot) = column.get_mut(i as usize) {
        *slot = value;
    }
}

/// A depth-first walk from a virtual root, whose roots may be told bit by bit: what is not reached yet tells which come next.
#[derive(Clone, Debug)]
pub struct Walk<'g> {
    edges: &'g Edges,
    roots: Vec<u32>,
    /// Preorder number of each node, from 1; 0 where it was not reached.
    number: Vec<u32>,
    /// The reached nodes in preorder.
    order: Vec<u32>,
    /// Preorder number of each number's parent; the virtual root's is 0.
    parent: Vec<u32>,
    /// The way down to the current node, with how many successors of each were looked at.
    stack: Vec<(u32, u32)>,
}

impl<'g> Walk<'g> {
    /// Nothing reached yet.
    pub fn new(edges: &'g Edges) -> Walk<'g> {
        Walk { edges, roots: Vec::new(), number: vec![0; edges.len()], order: Vec::new(), parent: vec![0], stack: Vec::new() }
    }

    /// Goes to all that these roots reach.
    pub fn enter(&mut self, roots: &[u32]) {
        for &root in roots {
            self.roots.push(root);
            self.step(root, 0);
            while let Some((node, seen)) = self.stack.last_mut() {
                let node = *node;
                match self.edges.of(node).get(*seen as usize) {
                    Some(&next) => {
                        *seen += 1;
                        let parent = at(&self.number, node);
                        self.step(next, parent);
                    }
                    None => drop(self.stack.pop()),
                }
            }
        }
    }

    /// Whether a root reaches it.
    #[inline]
    pub fn reached(&self, node: u32) -> bool {
        at(&self.number, node) != 0
    }

    /// The dominator tree of what was reached. Time: near linear. Memory at the peak: 20 bytes a node and 4 for each edge
    /// that is not its target's first, beside the graph.
    pub fn dominators(self) -> Dominators {
        Dominators::from(self)
    }

    #[inline]
    fn step(&mut self, node: u32, parent: u32) {
        match self.number.get_mut(node as usize) {
            Some(number) if *number == 0 => {
                self.order.push(node);
                *number = self.order.len() as u32;
                self.parent.push(parent);
                self.stack.push((node, 0));
            }
            _ => {}
        }
    }
}

/// The predecessors but the parent, in preorder numbers; the virtual root is one of each root.
fn predecessors(edges: &Edges, roots: &[u32], number: &[u32], order: &[u32], parent: &[u32]) -> Edges {
    Edges::gather(order.len() + 1, |tell| {
        let mut other = |node: u32, before: u32| {
            if at(parent, node) != before {
                tell(node, before);
            }
        };
        for &root in roots {
            if at(number, root) != 0 {
                other(at(number, root), 0);
            }
        }
        for (i, &node) in order.iter().enumerate() {
            for &next in edges.of(node) {
                other(at(number, next), i as u32 + 1);
            }
        }
    })
}

/// Lengauer and Tarjan's forest with path compression; node w and all above it in number are linked to their parents.
struct Tree {
    ancestor: Vec<u32>,
    /// The least semidominator on the way from a node up to its ancestor; of what is not linked, itself.
    least: Vec<u32>,
    path: Vec<u32>,
}

impl Tree {
    /// The least semidominator on the way from `v` up to its tree's root; numbers from `linked` on are linked.
    fn eval(&mut self, v: u32, linked: u32) -> u32 {
        if v < linked {
            return v;
        }
        self.path.clear();
        let mut up = v;
        while at(&self.ancestor, up) >= linked {
            self.path.push(up);
            up = at(&self.ancestor, up);
        }
        // From the top down each takes the better of its own and what is above it, and points past it.
        let mut above = up;
        while let Some(node) = self.path.pop() {
            let (theirs, own) = (at(&self.least, above), at(&self.least, node));
            set(&mut self.least, node, theirs.min(own));
            let beyond = at(&self.ancestor, above);
            set(&mut self.ancestor, node, beyond);
            above = node;
        }
        at(&self.least, v)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::twins::{self, graph};

    #[test]
    fn a_diamond_is_held_by_its_top() {
        // 0 → 1, 2 → 3 → 4; 5 refers to 4 and is not reached.
        let list = [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4), (5, 4)];
        let edges = Edges::gather(6, |tell| list.iter().for_each(|&(a, b)| tell(a, b)));
        let tree = Dominators::of(&edges, &[0]);
        let above: Vec<_> = (0..6).map(|n| tree.above(n)).collect();
        assert_eq!(above, [Some(Dominators::ROOT), Some(0), Some(0), Some(0), Some(3), None]);
        assert_eq!(tree.retained(|n| 1 << n), [31, 2, 4, 24, 16, 0]);
        assert_eq!((tree.below().of(0).to_vec(), tree.top()), (vec![1, 2, 3], vec![0]));
    }

    #[test]
    fn a_chain_of_a_million_needs_no_recursion() {
        let n = 1_000_000;
        let edges = Edges::gather(n, |tell| (1..n as u32).for_each(|i| tell(i - 1, i)));
        let sums = Dominators::of(&edges, &[0]).retained(|_| 1);
        assert_eq!((sums[0], sums[n - 1]), (n as u64, 1));
        // Every node also referred to from the first: all hang from it.
        let edges = Edges::gather(n, |tell| (1..n as u32).for_each(|i| [i - 1, 0].iter().for_each(|from| tell(*from, i))));
        let tree = Dominators::of(&edges, &[0]);
        assert!((1..n as u32).all(|i| tree.above(i) == Some(0)));
    }

    proptest! {
        #[test]
        fn it_agrees_with_its_twin((n, list, roots) in graph()) {
            let edges = Edges::gather(n, |tell| list.iter().for_each(|&(a, b)| tell(a, b)));
            let tree = Dominators::of(&edges, &roots);
            let naive = twins::retained(&edges, &roots);
            for node in 0..n as u32 {
                prop_assert_eq!(tree.reached(node), !naive[node as usize].is_empty());
                let held: Vec<u32> = (0..n as u32).filter(|other| {
                    let mut up = *other;
                    while up != node && tree.above(up).is_some_and(|d| d != Dominators::ROOT) {
                        up = tree.above(up).unwrap();
                    }
                    up == node && tree.reached(*other)
                }).collect();
                prop_assert_eq!(&held, &naive[node as usize], "what {} holds", node);
            }
            let sums = tree.retained(|node| u64::from(node) + 1);
            for node in 0..n {
                prop_assert_eq!(sums[node], naive[node].iter().map(|other| u64::from(*other) + 1).sum::<u64>());
            }
            let total: u64 = tree.top().iter().map(|node| sums[*node as usize]).sum();
            prop_assert_eq!(total, tree.order().iter().map(|node| u64::from(*node) + 1).sum::<u64>());
        }
    }
}
