//! What is tracked and could be untracked: tuples, and dicts where this release's collector untracks them, that hold nothing which may be
//! part of a cycle.
//!
//! Holds: [`untrackable`]. Sources: `_PyTuple_MaybeUntrack` in Objects/tupleobject.c, `MAINTAIN_TRACKING` and `_PyDict_MaybeUntrack` in
//! Objects/dictobject.c of 3.8 to 3.13.

use rayon::prelude::*;
use snapshot::{Collector, CollectorState, Graph, LinkKind, Objects, Snapshot};

/// Objects that one task takes.
const TASK: usize = 1 << 14;
/// Tuples in tuples: rounds until nothing more is found. Each collection of CPython's does one.
const ROUNDS: usize = 8;

/// Objects of one type that could be untracked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Untrackable {
    /// How many.
    pub objects: u64,
    /// References that each collection follows for them.
    pub references: u64,
}

/// Tuples and dicts.
pub(super) fn untrackable(snapshot: &Snapshot, collector: &CollectorState) -> Option<(Untrackable, Untrackable)> {
    let (objects, graph) = (snapshot.objects.as_ref()?, snapshot.graph.as_ref()?);
    let row = |name: &str| snapshot.types.iter().position(|t| t.name == name).map_or(u32::MAX, |row| row as u32);
    let (tuple, dict) = (row("tuple"), row("dict"));
    let mut look = Look { objects, graph, tuple, untracked: vec![false; objects.len()] };
    let of = |wanted: u32| -> Vec<u32> {
        let types = objects.type_indices().par_iter().enumerate().with_min_len(TASK);
        types.filter(|(node, kind)| **kind == wanted && is_walked(objects, *node)).map(|(node, _)| node as u32).collect()
    };
    let tuples = look.settle(of(tuple), |_| true);
    let dicts = if collector.untracks_dicts {
        // Only keys that are no strs are asked; strs have no header, so that all may be.
        look.settle(of(dict), |kind| matches!(kind, LinkKind::Key | LinkKind::Value | LinkKind::Attribute))
    } else {
        Untrackable::default()
    };
    Some((tuples, dicts))
}

fn is_walked(objects: &Objects, node: usize) -> bool {
    let state = objects.states().get(node);
    state.is_some_and(|s| matches!(s.collector(), Collector::Generation0 | Collector::Generation1 | Collector::Generation2))
}

struct Look<'s> {
    objects: &'s Objects,
    graph: &'s Graph,
    tuple: u32,
    /// What was found so far.
    untracked: Vec<bool>,
}

impl Look<'_> {
    /// Those of some objects that hold nothing which may be tracked; what was found in one round counts in the next.
    fn settle(&mut self, mut rest: Vec<u32>, asked: impl Fn(LinkKind) -> bool + Sync) -> Untrackable {
        let mut sum = Untrackable::default();
        for _ in 0..ROUNDS {
            let atomic = |node: &u32| self.graph.of(*node).filter(|l| asked(l.label.kind)).all(|link| !self.may_be_tracked(link.target));
            let (found, others): (Vec<u32>, Vec<u32>) = rest.into_par_iter().with_min_len(TASK).partition(atomic);
            sum.objects += found.len() as u64;
            sum.references += found.iter().map(|node| self.graph.edges().of(*node).len() as u64).sum::<u64>();
            for node in &found {
                if let Some(slot) = self.untracked.get_mut(*node as usize) {
                    *slot = true;
                }
            }
            rest = others;
            if found.is_empty() || rest.is_empty() {
                break;
            }
        }
        sum
    }

    /// `_PyObject_GC_MAY_BE_TRACKED`: it has a collector's head, and is no tuple or a tracked one.
    fn may_be_tracked(&self, node: u32) -> bool {
        let at = node as usize;
        let Some(state) = self.objects.states().get(at) else { return true };
        match state.collector() {
            Collector::Without => false,
            Collector::Untracked => self.objects.type_indices().get(at) != Some(&self.tuple),
            _ => !(self.objects.type_indices().get(at) == Some(&self.tuple) && self.untracked.get(at) == Some(&true)),
        }
    }
}
