//! Every reference between objects, by holder: what questions of ownership work on. 6 bytes a reference (8 with more than 65,536 labels) and 4 an object.

use graph::Edges;

use crate::{LabelPlaces, LinkKind, LinkLabel, Objects, RootLink};

/// The references of all objects. An object is named by its row in [`Objects`](crate::Objects), which is sorted by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    edges: Edges,
    /// For each edge its label's place in `labels`.
    label: LabelPlaces,
    labels: Vec<LinkLabel>,
}

/// One reference as its holder has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link<'g> {
    /// The object that is held.
    pub target: u32,
    /// What the reference is.
    pub label: &'g LinkLabel,
    /// Its place among the holder's references of this label, in the order in which they stand: for items of a sequence their index, where
    /// none before it is empty.
    pub nth: u32,
}

impl Graph {
    /// `None` where labels and edges do not belong together.
    pub fn new(edges: Edges, label: LabelPlaces, labels: Vec<LinkLabel>) -> Option<Graph> {
        let whole = label.len() == edges.edges() && label.iter().all(|l| (l as usize) < labels.len());
        whole.then_some(Graph { edges, label, labels })
    }

    /// References to each object that were found and are certain, from objects and from roots: what explains its count.
    pub fn explained(&self, roots: &[RootLink]) -> Vec<u32> {
        let mut counts = vec![0u32; self.edges.len()];
        let certain: Vec<bool> = self.labels.iter().map(|label| label.certain).collect();
        let mut count = |target: u32| {
            if let Some(count) = counts.get_mut(target as usize) {
                *count = count.saturating_add(1);
            }
        };
        for (target, label) in self.edges.targets().iter().zip(self.label.iter()) {
            if certain.get(label as usize).copied().unwrap_or(false) {
                count(*target);
            }
        }
        roots.iter().filter(|root| root.certain).for_each(|root| count(root.target));
        counts
    }

    /// Leaves out what a scan found of objects whose counts are explained without it: old entries of a frame's stack, say.
    pub fn drop_leftovers(&mut self, objects: &Objects, roots: &[RootLink]) {
        if self.labels.iter().all(|label| label.certain) {
            return;
        }
        let explained = self.explained(roots);
        let counts = objects.refcounts();
        let (labels, label) = (&self.labels, &mut self.label);
        let mut kept = 0;
        self.edges.retain(|place, target| {
            let (found, counted) = (explained.get(target as usize), counts.get(target as usize));
            let is_certain = label.get(place).and_then(|l| labels.get(l as usize)).is_some_and(|l| l.certain);
            let keep = is_certain || counted > found.map(|n| u64::from(*n));
            if keep {
                label.move_down(place, kept);
                kept += 1;
            }
            keep
        });
        label.truncate(kept);
    }

    /// Who refers to whom.
    pub fn edges(&self) -> &Edges {
        &self.edges
    }

    /// What references have in common.
    pub fn labels(&self) -> &[LinkLabel] {
        &self.labels
    }

    /// The label of an edge, by its place among all.
    #[inline]
    pub fn label(&self, edge: usize) -> Option<&LinkLabel> {
        self.labels.get(self.label.get(edge)? as usize)
    }

    /// For each edge the place of its label, in the order of [`Graph::edges`].
    pub fn label_places(&self) -> &LabelPlaces {
        &self.label
    }

    /// What `holder` refers to, in the order in which it tells.
    pub fn of(&self, holder: u32) -> impl Iterator<Item = Link<'_>> {
        let (mut last, mut nth) = (u32::MAX, 0);
        self.edges.range(holder).zip(self.edges.of(holder)).filter_map(move |(edge, &target)| {
            let place = self.label.get(edge)?;
            nth = if place == last { nth + 1 } else { 0 };
            last = place;
            Some(Link { target, label: self.labels.get(place as usize)?, nth })
        })
    }

    /// The first reference from `holder` to `target`.
    pub fn between(&self, holder: u32, target: u32) -> Option<Link<'_>> {
        self.of(holder).find(|link| link.target == target)
    }

    /// What `holder` has under this kind and name.
    pub fn named(&self, holder: u32, kind: LinkKind, name: &str) -> Option<u32> {
        self.of(holder).find(|link| link.label.kind == kind && link.label.name.as_deref() == Some(name)).map(|link| link.target)
    }
}
