//! Strongly connected components: nodes that all reach each other.
//!
//! The algorithm is Tarjan's, in D. Pearce's form with one number a node (*A Space-Efficient Algorithm for Finding Strongly Connected
//! Components*, 2016), without recursion.

use crate::{Edges, NONE};

/// The components of a graph that are cycles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Components {
    /// The component of each node, [`NONE`] for one that is in no cycle.
    of: Vec<u32>,
    /// Where the members of each component begin, and one past the last.
    starts: Vec<u32>,
    /// The nodes of each component, ascending.
    members: Vec<u32>,
}

impl Components {
    /// Of the part of the graph that `inside` lets through. A component is two nodes or more, or one that refers to itself.
    pub fn of(edges: &Edges, inside: impl Fn(u32) -> bool) -> Components {
        let nodes = edges.len();
        // Order of entering from 1 while open; afterwards CLOSED.
        let mut low = vec![0u32; nodes];
        let mut of = vec![NONE; nodes];
        let (mut next, mut cycles) = (1u32, 0u32);
        let mut walk: Vec<(u32, u32, u32)> = Vec::new();
        let mut open: Vec<u32> = Vec::new();
        for start in 0..nodes as u32 {
            if at(&low, start) != 0 || !inside(start) {
                continue;
            }
            enter(start, &mut low, &mut next, &mut walk);
            while let Some((node, entered, seen)) = walk.last_mut() {
                let (node, entered) = (*node, *entered);
                let row = edges.of(node);
                let mut deeper = None;
                while let Some(&other) = row.get(*seen as usize) {
                    *seen += 1;
                    if !inside(other) {
                        continue;
                    }
                    match at(&low, other) {
                        0 => {
                            deeper = Some(other);
                            break;
                        }
                        CLOSED => {}
                        theirs => lower(&mut low, node, theirs),
                    }
                }
                if let Some(other) = deeper {
                    enter(other, &mut low, &mut next, &mut walk);
                    continue;
                }
                walk.pop();
                if at(&low, node) < entered {
                    open.push(node);
                } else {
                    // What was left open since then is of this component.
                    let first = open.len() - open.iter().rev().take_while(|other| at(&low, **other) >= entered).count();
                    let number = if first < open.len() || row.contains(&node) { cycles } else { NONE };
                    for other in open.drain(first..).chain([node]) {
                        set(&mut low, other, CLOSED);
                        set(&mut of, other, number);
                    }
                    cycles += u32::from(number != NONE);
                }
                if let Some((above, _, _)) = walk.last() {
                    let (above, mine) = (*above, at(&low, node));
                    if mine != CLOSED {
                        lower(&mut low, above, mine);
                    }
                }
            }
        }
        let (starts, members) = members(&of, cycles);
        Components { of, starts, members }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The component of a node that is in a cycle.
    #[inline]
    pub fn component(&self, node: u32) -> Option<u32> {
        self.of.get(node as usize).copied().filter(|c| *c != NONE)
    }

    /// The nodes of a component, ascending.
    pub fn members(&self, component: u32) -> &[u32] {
        let start = |c: usize| self.starts.get(c).map_or(0, |s| *s as usize);
        self.members.get(start(component as usize)..start(component as usize + 1)).unwrap_or_default()
    }
}

/// Its component is known.
const CLOSED: u32 = NONE;

/// The nodes by component, as starts and one list.
fn members(of: &[u32], cycles: u32) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; cycles as usize + 1];
    for &c in of {
        if let Some(count) = starts.get_mut(c as usize + 1) {
            *count += 1;
        }
    }
    let mut end = 0;
    for start in &mut starts {
        end += *start;
        *start = end;
    }
    let mut all = vec![NONE; end as usize];
    let mut next = starts.clone();
    for (node, &c) in of.iter().enumerate() {
        if let Some(place) = next.get_mut(c as usize) {
            set(&mut all, *place, node as u32);
            *place += 1;
        }
    }
    (starts, all)
}

fn enter(node: u32, low: &mut [u32], next: &mut u32, walk: &mut Vec<(u32, u32, u32)>) {
    set(low, node, *next);
    walk.push((node, *next, 0));
    *next += 1;
}

fn lower(low: &mut [u32], node: u32, to: u32) {
    if let Some(slot) = low.get_mut(node as usize) {
        *slot = (*slot).min(to);
    }
}

#[inline]
fn at(column: &[u32], i: u32) -> u32 {
    column.get(i as usize).copied().unwrap_or(CLOSED)
}

fn set(column: &mut [u32], i: u32, value: u32) {
    if let Some(slot) = column.get_mut(i as usize) {
        *slot = value;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::twins::{graph, reached};

    #[test]
    fn a_ring_of_a_million_is_one_component() {
        let n = 1_000_000u32;
        let edges = Edges::gather(n as usize, |tell| (0..n).for_each(|i| tell(i, (i + 1) % n)));
        let rings = Components::of(&edges, |_| true);
        assert_eq!((rings.len(), rings.members(0).len()), (1, n as usize));
        // One node left out of it: no cycle.
        assert!(Components::of(&edges, |node| node != 5).is_empty());
    }

    #[test]
    fn a_node_that_refers_to_itself_is_one_and_another_alone_is_none() {
        let edges = Edges::gather(3, |tell| [(0, 0), (0, 1), (1, 2)].iter().for_each(|&(a, b)| tell(a, b)));
        let found = Components::of(&edges, |_| true);
        assert_eq!((found.len(), found.members(0), found.component(1)), (1, &[0][..], None));
    }

    proptest! {
        #[test]
        fn it_agrees_with_its_twin((n, list, outside) in graph()) {
            let edges = Edges::gather(n, |tell| list.iter().for_each(|&(a, b)| tell(a, b)));
            let inside = |node: u32| !outside.contains(&node);
            let found = Components::of(&edges, inside);
            // Within the part that is let through: who reaches whom by one edge or more?
            let kept = Edges::gather(n, |tell| list.iter().filter(|(a, b)| inside(*a) && inside(*b)).for_each(|&(a, b)| tell(a, b)));
            let reach: Vec<_> = (0..n as u32).map(|node| reached(&kept, kept.of(node), None)).collect();
            for a in 0..n as u32 {
                for b in 0..n as u32 {
                    let same = reach[a as usize].contains(&b) && reach[b as usize].contains(&a);
                    prop_assert_eq!(found.component(a).is_some() && found.component(a) == found.component(b), same, "{} and {}", a, b);
                }
            }
            for component in 0..found.len() as u32 {
                let members: Vec<u32> = (0..n as u32).filter(|node| found.component(*node) == Some(component)).collect();
                prop_assert_eq!(found.members(component), &members[..]);
            }
        }
    }
}
