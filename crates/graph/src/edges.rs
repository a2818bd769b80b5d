//! Compressed rows: the successors of each node, one after another.

use crate::NONE;

/// The edges of a graph whose nodes are 0 to `len() - 1`; parallel edges and loops are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edges {
    /// Where each node's row begins, and one past the last.
    starts: Vec<u32>,
    targets: Vec<u32>,
}

impl Edges {
    /// From rows in the order of their nodes: how many targets each node has, and the targets. `None` where the lengths do not add up to
    /// the targets, a target is no node, or there are 2³² edges or more.
    pub fn from_rows(lengths: impl Iterator<Item = u32>, targets: Vec<u32>) -> Option<Edges> {
        let mut starts = Vec::with_capacity(lengths.size_hint().0.saturating_add(1));
        starts.push(0);
        let mut end = 0u32;
        for length in lengths {
            end = end.checked_add(length)?;
            starts.push(end);
        }
        let nodes = starts.len() - 1;
        let whole = end as usize == targets.len() && targets.iter().all(|t| (*t as usize) < nodes);
        whole.then_some(Edges { starts, targets })
    }

    /// From rows in the order of their nodes: at i + 1 how many targets node i has, and the targets; the same memory is used on. `None` as
    /// with [`Edges::from_rows`], and where the first number is not 0.
    pub fn from_counts(mut starts: Vec<u32>, targets: Vec<u32>) -> Option<Edges> {
        let mut end = 0u32;
        for start in &mut starts {
            end = end.checked_add(*start)?;
            *start = end;
        }
        let nodes = starts.len().checked_sub(1)?;
        let whole = starts.first() == Some(&0) && end as usize == targets.len() && targets.iter().all(|t| (*t as usize) < nodes);
        whole.then_some(Edges { starts, targets })
    }

    /// From edges in any order, told twice by `each` in the same order: once to count, once to place. The order within a row is that of
    /// the telling. Edges from or to what is no node are left out.
    pub fn gather(nodes: usize, each: impl Fn(&mut dyn FnMut(u32, u32))) -> Edges {
        let mut starts = vec![0u32; nodes + 1];
        let known = |from: u32, to: u32| (from as usize) < nodes && (to as usize) < nodes;
        each(&mut |from, to| {
            if known(from, to) {
                if let Some(count) = starts.get_mut(from as usize + 1) {
                    *count = count.saturating_add(1);
                }
            }
        });
        let mut end = 0u32;
        for start in &mut starts {
            end = end.saturating_add(*start);
            *start = end;
        }
        let mut targets = vec![NONE; end as usize];
        // Each start walks to its row's end while the row fills, and is put back after.
        each(&mut |from, to| {
            if known(from, to) {
                if let Some(next) = starts.get_mut(from as usize) {
                    if let Some(slot) = targets.get_mut(*next as usize) {
                        *slot = to;
                    }
                    *next += 1;
                }
            }
        });
        starts.copy_within(0..nodes, 1);
        if let Some(first) = starts.first_mut() {
            *first = 0;
        }
        Edges { starts, targets }
    }

    /// How many nodes.
    #[inline]
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many edges.
    pub fn edges(&self) -> usize {
        self.targets.len()
    }

    /// All targets, row after row.
    pub fn targets(&self) -> &[u32] {
        &self.targets
    }

    /// Where the row of `node` lies among all targets; empty for what is no node.
    #[inline]
    pub fn range(&self, node: u32) -> std::ops::Range<usize> {
        let start = |i: usize| self.starts.get(i).copied().unwrap_or(0) as usize;
        let i = node as usize;
        if i < self.len() {
            start(i)..start(i + 1)
        } else {
            0..0
        }
    }

    /// The successors of `node`.
    #[inline]
    pub fn of(&self, node: u32) -> &[u32] {
        self.targets.get(self.range(node)).unwrap_or_default()
    }

    /// Where each row begins, and one past the last; and all targets.
    pub(crate) fn into_rows(self) -> (Vec<u32>, Vec<u32>) {
        (self.starts, self.targets)
    }

    /// Leaves out the edges, told by their place among all and their target, that `keep` refuses.
    pub fn retain(&mut self, mut keep: impl FnMut(usize, u32) -> bool) {
        let mut place = 0;
        let mut kept = 0u32;
        for node in 0..self.len() {
            let end = self.starts.get(node + 1).map_or(0, |end| *end as usize);
            if let Some(start) = self.starts.get_mut(node) {
                *start = kept;
            }
            while place < end {
                let target = self.targets.get(place).copied().unwrap_or(NONE);
                if keep(place, target) {
                    if let Some(slot) = self.targets.get_mut(kept as usize) {
                        *slot = target;
                    }
                    kept += 1;
                }
                place += 1;
            }
        }
        if let Some(last) = self.starts.last_mut() {
            *last = kept;
        }
        self.targets.truncate(kept as usize);
    }

    /// The same edges, each turned round; a row is in the order of the edges' old holders.
    pub fn reversed(&self) -> Edges {
        Edges::gather(self.len(), |tell| {
            for node in 0..self.len() as u32 {
                for &target in self.of(node) {
                    tell(target, node);
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_gathered_and_turned_round() {
        let list = [(2, 0), (0, 1), (0, 2), (0, 1), (1, 1), (7, 0), (0, 9)];
        let edges = Edges::gather(3, |tell| list.iter().for_each(|&(a, b)| tell(a, b)));
        assert_eq!((edges.len(), edges.edges()), (3, 5));
        assert_eq!([edges.of(0), edges.of(1), edges.of(2), edges.of(3)], [&[1, 2, 1][..], &[1], &[0], &[]]);
        let back = edges.reversed();
        assert_eq!([back.of(0), back.of(1), back.of(2)], [&[2][..], &[0, 0, 1], &[0]]);
        let mut some = edges.clone();
        some.retain(|place, _| ![0, 3].contains(&place));
        assert_eq!([some.of(0), some.of(1), some.of(2)], [&[2, 1][..], &[], &[0]]);
        assert_eq!(Edges::from_rows([3, 1, 1].into_iter(), vec![1, 2, 1, 1, 0]), Some(edges.clone()));
        assert_eq!(Edges::from_counts(vec![0, 3, 1, 1], vec![1, 2, 1, 1, 0]), Some(edges));
        assert_eq!([Edges::from_counts(vec![], vec![]), Edges::from_counts(vec![1, 1], vec![0, 0])], [None, None]);
        assert_eq!([Edges::from_counts(vec![0, 1], vec![1]), Edges::from_counts(vec![0, 2], vec![0])], [None, None]);
        assert_eq!(Edges::from_rows([1].into_iter(), vec![1]), None);
        assert_eq!(Edges::from_rows([2].into_iter(), vec![0]), None);
        assert!(Edges::default().is_empty() && Edges::default().reversed().is_empty());
    }
}
