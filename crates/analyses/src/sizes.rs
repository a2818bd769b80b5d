//! `sizes`: how big something is: own, footprint, deep (with all that it reaches) and retained (what would go if it went).
//!
//! Deep follows the rule of pympler's `asizeof` (its documentation, "asizeof"): own sizes, each rounded up to 8 bytes, of everything that
//! is reached, but not classes, modules, functions and other code. Where the two differ: asizeof counts the names of attributes, once each,
//! which belong to the class; it makes a dict for each instance that has none (3.11 and later) and counts it, follows weak references,
//! stops after 100 steps, and does not see what containers written in C other than the built-in ones (`collections.deque`) and subclasses
//! of the built-in ones hold.

use graph::Paths;
use memory::Bytes;
use rustc_hash::FxHashSet;
use snapshot::LinkKind;

use crate::ownership::Ownership;

/// What asizeof calls code: not counted where it is met on the way.
const CODE: [&str; 16] = [
    "builtin_function_or_method",
    "classmethod",
    "classmethod_descriptor",
    "code",
    "frame",
    "function",
    "getset_descriptor",
    "member_descriptor",
    "method",
    "method-wrapper",
    "method_descriptor",
    "module",
    "staticmethod",
    "super",
    "type",
    "wrapper_descriptor",
];
/// asizeof rounds each object up to a multiple of this.
const ALIGNMENT: u64 = 8;

/// So many objects of so many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: Bytes,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes.0 = self.bytes.0.saturating_add(bytes);
    }
}

/// The four sizes of a set of objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// What `sys.getsizeof` says of them.
    pub own: Amount,
    /// What the allocators spend for them.
    pub footprint: Amount,
    /// Own sizes of all that they reach, themselves included.
    pub deep: Amount,
    /// The footprint of what would go if they went together.
    pub retained: Amount,
}

/// The sizes of `nodes`, taken together: what several of them share counts once.
pub fn sizes(ownership: &Ownership<'_>, nodes: &[u32]) -> Sizes {
    let objects = ownership.objects;
    let own = |node: u32| objects.own_bytes().get(node as usize).map_or(0, |bytes| bytes.0);
    let footprint = |node: u32| objects.footprint_bytes().get(node as usize).map_or(0, |bytes| bytes.0);
    let mut sizes = Sizes::default();
    for &node in nodes {
        sizes.own.add(own(node));
        sizes.footprint.add(footprint(node));
    }
    for &node in deep(ownership, nodes).order() {
        sizes.deep.add(own(node).next_multiple_of(ALIGNMENT));
    }
    let stays = without(ownership, nodes);
    for node in (0..objects.len() as u32).filter(|node| !stays.reached(*node)) {
        sizes.retained.add(footprint(node));
    }
    sizes
}

/// What is reached from `nodes` without meeting code.
fn deep(ownership: &Ownership<'_>, nodes: &[u32]) -> Paths {
    let graph = ownership.graph;
    // Metaclasses have any names; their instances are what has an `__mro__`.
    let is_mro = |label: &&snapshot::LinkLabel| label.kind == LinkKind::Field && label.name.as_deref() == Some("__mro__");
    let mut code: FxHashSet<u32> = graph.labels().iter().filter(is_mro).map(|label| label.type_index).collect();
    let rows: FxHashSet<u32> = ownership.objects.type_indices().iter().copied().collect();
    code.extend(rows.into_iter().filter(|row| CODE.contains(&ownership.type_row_name(*row))));
    let is_code = |node: u32| ownership.objects.type_indices().get(node as usize).is_some_and(|row| code.contains(row));
    let is_type: Vec<bool> = graph.labels().iter().map(|label| label.kind == LinkKind::Type).collect();
    let of_type = |edge: usize| graph.label_places().get(edge).is_some_and(|label| is_type.get(label as usize) == Some(&true));
    Paths::from(graph.edges(), nodes, |_, edge, to| !of_type(edge) && !is_code(to))
}

/// What is still reached from the roots when `nodes` are gone.
fn without(ownership: &Ownership<'_>, nodes: &[u32]) -> Paths {
    let mut gone = vec![false; ownership.objects.len()];
    for &node in nodes {
        if let Some(slot) = gone.get_mut(node as usize) {
            *slot = true;
        }
    }
    let stays = |node: u32| gone.get(node as usize) == Some(&false);
    let roots: Vec<u32> = ownership.roots.iter().map(|(node, _)| *node).filter(|node| stays(*node)).collect();
    Paths::from(ownership.graph.edges(), &roots, |_, _, to| stays(to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn the_four_sizes_of_one_and_of_several() {
        let mut made = Made::default();
        let (module, globals) = made.module("app");
        let (a, b) = (made.object("app.Cache", 13, 1), made.object("app.Cache", 13, 1));
        let (mine, shared, both) = (made.object("bytes", 100, 1), made.object("bytes", 1000, 2), made.object("bytes", 10_000, 2));
        let (class, mro, function) = (made.object("app.Meta", 400, 1), made.object("tuple", 50, 1), made.object("function", 70, 1));
        made.link(globals, a, LinkKind::Attribute, "A");
        made.link(globals, b, LinkKind::Attribute, "B");
        made.link(globals, shared, LinkKind::Attribute, "SHARED");
        made.link(a, class, LinkKind::Type, "");
        made.link(class, mro, LinkKind::Field, "__mro__");
        made.link(a, mine, LinkKind::Attribute, "mine");
        made.link(a, function, LinkKind::Attribute, "callback");
        made.link(a, class, LinkKind::Attribute, "kind");
        made.link(a, module, LinkKind::Attribute, "where");
        for cache in [a, b] {
            made.link(cache, shared, LinkKind::Attribute, "shared");
            made.link(cache, both, LinkKind::Attribute, "both");
        }
        let snapshot = made.snapshot();
        let ownership = Ownership::of(&snapshot).unwrap();
        let amount = |objects, bytes| Amount { objects, bytes: Bytes(bytes) };
        // 13 is rounded up to 16; code, classes and modules that are met do not count, and what only they reach neither.
        let one = sizes(&ownership, &[a]);
        assert_eq!((one.own, one.footprint, one.deep), (amount(1, 13), amount(1, 13), amount(4, 16 + 104 + 1000 + 10_000)));
        assert_eq!(one.retained, amount(5, 13 + 100 + 70 + 400 + 50));
        let both = sizes(&ownership, &[a, b]);
        assert_eq!((both.own, both.deep), (amount(2, 26), amount(5, 32 + 104 + 1000 + 10_000)));
        assert_eq!(both.retained, amount(7, 26 + 100 + 70 + 400 + 50 + 10_000));
        // What would go with one object is what it dominates.
        for node in 0..snapshot.objects.as_ref().unwrap().len() as u32 {
            let is_root = ownership.roots.iter().any(|(root, _)| *root == node);
            let retained = sizes(&ownership, &[node]).retained.bytes.0;
            assert!(retained == ownership.retained(node) || is_root, "{node}: {retained}");
        }
        // A class that is named itself is counted.
        assert_eq!(sizes(&ownership, &[class]).deep, amount(2, 400 + 56));
    }
}
