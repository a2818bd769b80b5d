//! Every reference between objects, by holder: what questions of ownership work on. 8 bytes a reference and 4 an object.

use graph::Edges;

use crate::{LinkKind, LinkLabel};

/// The references of all objects. An object is named by its row in [`Objects`](crate::Objects), which is sorted by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    edges: Edges,
    /// For each edge its label's place in `labels`.
    label: Vec<u32>,
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
    pub fn new(edges: Edges, label: Vec<u32>, labels: Vec<LinkLabel>) -> Option<Graph> {
        let whole = label.len() == edges.edges() && label.iter().all(|l| (*l as usize) < labels.len());
        whole.then_some(Graph { edges, label, labels })
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
        self.labels.get(*self.label.get(edge)? as usize)
    }

    /// For each edge the place of its label, in the order of [`Graph::edges`].
    pub fn label_places(&self) -> &[u32] {
        &self.label
    }

    /// What `holder` refers to, in the order in which it tells.
    pub fn of(&self, holder: u32) -> impl Iterator<Item = Link<'_>> {
        let (mut last, mut nth) = (u32::MAX, 0);
        self.edges.range(holder).zip(self.edges.of(holder)).filter_map(move |(edge, &target)| {
            let place = *self.label.get(edge)?;
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
