//! Ownership: what would go if an object went. The ground of every question about who holds what.
//!
//! Holds: [`Ownership`], the dominator tree over all objects with retained sizes, and by what each is held in the end ([`Hold`]).
//! Never: decides what is worth showing.

use graph::{Components, Dominators, Edges, Walk};
use memory::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};
use snapshot::{Column, Details, Found, Graph, LinkKind, Objects, RootPlace, Snapshot};

/// By what an object is held that no other object dominates. In the order in which the first is taken where several hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hold {
    /// A module of `sys.modules`, or its globals.
    Module,
    /// A running frame.
    Frame,
    /// The state of a thread.
    Thread,
    /// The state of an interpreter, or its static data.
    Interpreter,
    /// A variable of C code in a mapped binary.
    Static,
    /// C code that we do not see into: the count says that somebody holds it, and nothing that was found does.
    C,
    /// Nothing: reference cycles that the collector has not come to yet.
    Garbage,
    /// Several of the above at once, none of them alone.
    Several,
}

impl Hold {
    /// Every hold.
    pub const ALL: [Hold; 8] =
        [Hold::Module, Hold::Frame, Hold::Thread, Hold::Interpreter, Hold::Static, Hold::C, Hold::Garbage, Hold::Several];

    /// The word of the JSON.
    pub fn word(self) -> &'static str {
        match self {
            Hold::Module => "module",
            Hold::Frame => "frame",
            Hold::Thread => "thread",
            Hold::Interpreter => "interpreter",
            Hold::Static => "static",
            Hold::C => "c",
            Hold::Garbage => "garbage",
            Hold::Several => "several",
        }
    }
}

/// The dominator tree of a snapshot's objects, under a virtual root over all roots.
#[derive(Clone, Debug)]
pub struct Ownership<'s> {
    /// The objects, by row.
    pub objects: &'s Objects,
    /// Who refers to whom.
    pub graph: &'s Graph,
    /// Modules, roots, frames.
    pub details: &'s Details,
    /// The tree. Every object is in it.
    pub tree: Dominators,
    /// For each object what it keeps alive, itself included, as footprint.
    pub retained: Column<u64>,
    /// The roots in the order of [`Hold`], and by what each is held.
    pub roots: Vec<(u32, Hold)>,
    /// Modules of `sys.modules` and their dicts, with the module's name.
    pub modules: FxHashMap<u32, &'s str>,
    pub(crate) snapshot: &'s Snapshot,
    hold: FxHashMap<u32, Hold>,
    /// What is not in use, ascending.
    unused: Vec<(u32, Alive)>,
}

/// What keeps an object alive in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alive {
    /// It is in use: a module, a frame, a thread, the interpreter or a variable of a binary leads to it.
    Used,
    /// Only what C code counts and nobody else refers to leads to it.
    ByC,
    /// Nothing does: the collector has not come to it yet.
    Garbage,
}

/// What is held in one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// How many objects.
    pub objects: u64,
    /// Their footprint.
    pub bytes: Bytes,
}

impl<'s> Ownership<'s> {
    /// `None` for a snapshot without objects, references or details.
    pub fn of(snapshot: &'s Snapshot) -> Option<Ownership<'s>> {
        let (objects, graph, details) = (snapshot.objects.as_ref()?, snapshot.graph.as_ref()?, snapshot.details.as_ref()?);
        let edges = graph.edges();
        let modules = modules(graph, details);
        let mut roots: Vec<(u32, Hold)> = modules.keys().map(|node| (*node, Hold::Module)).collect();
        // A word that a scan found is a leftover where the count is explained without it: a free list's old entry, say.
        let explained = graph.explained(&details.roots);
        let unexplained = |node: u32| {
            let counted = objects.refcounts().get(node as usize).unwrap_or(0);
            counted > explained.get(node as usize).copied().map_or(0, u64::from)
        };
        let held = details.roots.iter().filter(|root| root.certain || unexplained(root.target));
        roots.extend(held.map(|root| (root.target, held_at(root.place))));
        drop(explained);
        // Static objects that nothing refers to, as small integers are.
        let states = objects.states().iter().enumerate();
        roots.extend(states.filter(|(_, s)| s.found() == Found::Root || s.immortal()).map(|(row, _)| (row as u32, Hold::Interpreter)));
        roots.sort_unstable_by_key(|(node, hold)| (*hold, *node));
        let mut walk = Walk::new(edges);
        walk.enter(&roots.iter().map(|(node, _)| *node).collect::<Vec<_>>());
        // Reachable from nothing: held by C where the count says so, else garbage.
        let rest: Vec<u32> = (0..edges.len() as u32).filter(|node| !walk.reached(*node)).collect();
        let mut unused = Vec::new();
        if !rest.is_empty() {
            let by_c = held_by_c(objects, graph, &rest);
            walk.enter(&by_c);
            unused = rest.iter().map(|node| (*node, if walk.reached(*node) { Alive::ByC } else { Alive::Garbage })).collect();
            roots.extend(by_c.into_iter().map(|node| (node, Hold::C)));
            let garbage = tops_of_cycles(edges, |node| !walk.reached(node), &rest);
            walk.enter(&garbage);
            roots.extend(garbage.into_iter().map(|node| (node, Hold::Garbage)));
        }
        let mut hold = FxHashMap::default();
        for (node, by) in &roots {
            hold.entry(*node).or_insert(*by);
        }
        let tree = walk.dominators();
        let footprints = objects.footprint_bytes();
        let retained = tree.retained(|node| footprints.get(node as usize).map_or(0, |bytes| bytes.0)).into_iter().collect();
        Some(Ownership { objects, graph, details, tree, retained, roots, modules, snapshot, hold, unused })
    }

    /// The name of an object's type.
    pub fn type_name(&self, node: u32) -> &'s str {
        self.type_row_name(self.objects.type_indices().get(node as usize).copied().unwrap_or(u32::MAX))
    }

    /// The name of a row of types.
    pub fn type_row_name(&self, row: u32) -> &'s str {
        self.snapshot.types.get(row as usize).map_or("?", |t| t.name.as_str())
    }

    /// What an object keeps alive, itself included.
    pub fn retained(&self, node: u32) -> u64 {
        self.retained.get(node as usize).unwrap_or(0)
    }

    /// By what an object is held that no other dominates.
    pub fn hold(&self, node: u32) -> Hold {
        self.hold.get(&node).copied().unwrap_or(Hold::Several)
    }

    /// What keeps an object alive in the end.
    pub fn alive(&self, node: u32) -> Alive {
        let at = self.unused.binary_search_by_key(&node, |(node, _)| *node);
        at.ok().and_then(|at| self.unused.get(at)).map_or(Alive::Used, |(_, alive)| *alive)
    }

    /// What is not in use, ascending, and what keeps it.
    pub fn unused(&self) -> &[(u32, Alive)] {
        &self.unused
    }

    /// What is held in each way; together they are all objects and all bytes.
    pub fn shares(&self) -> Vec<(Hold, Share)> {
        let mut shares: Vec<(Hold, Share)> = Hold::ALL.iter().map(|hold| (*hold, Share::default())).collect();
        // The top of each object's tree: parents come before children.
        let mut top = vec![0u8; self.retained.len()];
        for &node in self.tree.order() {
            let hold = match self.tree.above(node) {
                Some(above) if above != Dominators::ROOT => top.get(above as usize).copied().unwrap_or(0),
                _ => self.hold(node) as u8,
            };
            if let Some(slot) = top.get_mut(node as usize) {
                *slot = hold;
            }
            if let Some((_, share)) = shares.get_mut(usize::from(hold)) {
                share.objects += 1;
                let bytes = self.objects.footprint_bytes().get(node as usize).map_or(0, |bytes| bytes.0);
                // What a damaged object claims may be anything (found by the fuzzer).
                share.bytes.0 = share.bytes.0.saturating_add(bytes);
            }
        }
        shares
    }
}

fn held_at(place: RootPlace) -> Hold {
    match place {
        RootPlace::Frame => Hold::Frame,
        RootPlace::Thread => Hold::Thread,
        RootPlace::Interpreter => Hold::Interpreter,
        RootPlace::Static => Hold::Static,
    }
}

/// The modules that `sys.modules` has, and their dicts, with names. A module's globals are as much a root as the module: every function of
/// it refers to them.
fn modules<'s>(graph: &Graph, details: &'s Details) -> FxHashMap<u32, &'s str> {
    let listed: FxHashSet<u32> = details
        .roots
        .iter()
        .filter(|root| root.place == RootPlace::Interpreter && root.name.as_deref() == Some("modules"))
        .flat_map(|root| graph.of(root.target).filter(|link| link.label.kind == LinkKind::Value || link.label.kind == LinkKind::Attribute))
        .map(|link| link.target)
        .collect();
    let mut all = FxHashMap::default();
    for module in details.modules.iter().filter(|m| listed.contains(&m.object)) {
        all.insert(module.object, module.name.as_str());
        if let Some(dict) = graph.named(module.object, LinkKind::Field, "__dict__") {
            all.insert(dict, module.name.as_str());
        }
    }
    all
}

/// Those of `rest` that count more references than were found among all objects.
fn held_by_c(objects: &Objects, graph: &Graph, rest: &[u32]) -> Vec<u32> {
    let mut found: FxHashMap<u32, u64> = rest.iter().map(|node| (*node, 0)).collect();
    for target in graph.edges().targets() {
        if let Some(count) = found.get_mut(target) {
            *count += 1;
        }
    }
    let counted = |node: &u32| objects.refcounts().get(*node as usize).unwrap_or(0);
    rest.iter().copied().filter(|node| counted(node) > found.get(node).copied().unwrap_or(0)).collect()
}

/// For each cycle of the nodes `inside` that no other node inside refers to, its first node; and each node to which none refers.
fn tops_of_cycles(edges: &Edges, inside: impl Fn(u32) -> bool, among: &[u32]) -> Vec<u32> {
    let cycles = Components::of(edges, &inside);
    let mut entered_cycles = vec![false; cycles.len()];
    let mut entered: FxHashSet<u32> = FxHashSet::default();
    for &node in among.iter().filter(|node| inside(**node)) {
        for &target in edges.of(node) {
            match (cycles.component(node), cycles.component(target)) {
                (from, Some(to)) if from != Some(to) => {
                    if let Some(slot) = entered_cycles.get_mut(to as usize) {
                        *slot = true;
                    }
                }
                (_, None) => drop(entered.insert(target)),
                _ => {}
            }
        }
    }
    let is_top = |node: &u32| match cycles.component(*node) {
        Some(cycle) => entered_cycles.get(cycle as usize) == Some(&false) && cycles.members(cycle).first() == Some(node),
        None => !entered.contains(node),
    };
    among.iter().copied().filter(|node| inside(*node) && is_top(node)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn everything_is_held_by_somebody_and_the_sums_are_whole() {
        let mut made = Made::default();
        let (_, globals) = made.module("app");
        let cache = made.object("dict", 1000, 1);
        let page = made.object("app.Page", 50, 1);
        made.link(globals, cache, LinkKind::Attribute, "CACHE");
        made.link(cache, page, LinkKind::Value, "");
        let local = made.object("list", 70, 1);
        made.root(RootPlace::Frame, "thread 0x1, frame of f", Some("rows"), local, true);
        // Held by C: its count says so. What it refers to is the C code's too.
        let leaked = made.object("app.Leak", 5, 3);
        let load = made.object("bytes", 500, 1);
        made.link(leaked, load, LinkKind::Attribute, "load");
        // A knot of two that nobody holds, and what hangs from it.
        let (a, b, tail) = (made.object("app.Knot", 7, 1), made.object("app.Knot", 7, 1), made.object("bytes", 11, 1));
        made.link(a, b, LinkKind::Attribute, "other");
        made.link(b, a, LinkKind::Attribute, "other");
        made.link(b, tail, LinkKind::Attribute, "load");
        // An old address that a scan found: the count is explained by the cache.
        made.root(RootPlace::Interpreter, "interpreter", None, page, false);
        made.scanned(local, page);
        let snapshot = made.snapshot();
        let ownership = Ownership::of(&snapshot).unwrap();
        let retained = |node| ownership.retained(node);
        assert_eq!((retained(cache), retained(local), retained(leaked), retained(a)), (1050, 70, 505, 25));
        assert_eq!((ownership.hold(local), ownership.hold(leaked), ownership.hold(a)), (Hold::Frame, Hold::C, Hold::Garbage));
        let alive = [cache, local, leaked, load, a, tail].map(|node| ownership.alive(node));
        assert_eq!(alive, [Alive::Used, Alive::Used, Alive::ByC, Alive::ByC, Alive::Garbage, Alive::Garbage]);
        assert_eq!(ownership.unused().len(), 5);
        let share = |hold: Hold| ownership.shares().into_iter().find(|(h, _)| *h == hold).unwrap().1;
        assert_eq!(share(Hold::Garbage), Share { objects: 3, bytes: Bytes(25) });
        assert_eq!(share(Hold::C), Share { objects: 2, bytes: Bytes(505) });
        assert_eq!(share(Hold::Module), Share { objects: 4, bytes: Bytes(1070) });
        let all: u64 = ownership.shares().iter().map(|(_, share)| share.bytes.0).sum();
        assert_eq!(all, snapshot.types.iter().map(|t| t.footprint_bytes.0).sum::<u64>());
    }
}
