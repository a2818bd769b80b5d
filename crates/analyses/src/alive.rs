//! What keeps an object alive in the end: something that runs, C code alone, or nothing.
//!
//! Holds: [`alive`], one answer for each object. Never: says who holds what; that is [`Ownership`]'s.

use graph::Walk;

use crate::ownership::{Hold, Ownership};

/// Why an object is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alive {
    /// A module, a frame, a thread, the interpreter or a variable of a binary leads to it.
    Used,
    /// Only what C code counts and nobody else refers to does.
    ByC,
    /// Nothing does: the collector has not come to it yet.
    Garbage,
}

/// For each object.
pub(crate) fn alive(ownership: &Ownership<'_>) -> Vec<Alive> {
    let edges = ownership.graph.edges();
    let roots = |wanted: &dyn Fn(Hold) -> bool| -> Vec<u32> {
        ownership.roots.iter().filter(|(_, hold)| wanted(*hold)).map(|(node, _)| *node).collect()
    };
    let mut walk = Walk::new(edges);
    walk.enter(&roots(&|hold| hold != Hold::C && hold != Hold::Garbage));
    let nodes = 0..edges.len() as u32;
    let mut all: Vec<Alive> = nodes.map(|node| if walk.reached(node) { Alive::Used } else { Alive::Garbage }).collect();
    let by_c = roots(&|hold| hold == Hold::C);
    if !by_c.is_empty() {
        walk.enter(&by_c);
        for (node, one) in all.iter_mut().enumerate() {
            if *one == Alive::Garbage && walk.reached(node as u32) {
                *one = Alive::ByC;
            }
        }
    }
    all
}
