//! `cycles`: reference cycles among instances, grouped by shape, and the one edge of each that would break it.
//!
//! Holds: [`cycles`] and its findings. A cycle is looked for in strongly connected components. Classes, modules and their namespaces are
//! cycles by construction (a class and its `__mro__`, a function and its globals): they are the program's own code, and edges to and from
//! them are left out, except where nothing holds a class any more.
//! Bounded: edges of a cycle that are weighed by [`tally`]; what is searched in one component by [`knot`]. No recursion.

mod knot;
mod tally;

use graph::Components;
use memory::Bytes;
use rustc_hash::FxHashSet;
use snapshot::{LinkKind, LinkLabel};

use self::tally::Tally;
use crate::explain::grouped;
use crate::finding::{Finding, Saves, Sure};
use crate::ownership::{Alive, Ownership};
use crate::place::Place;

/// The cycles of a snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cycles {
    /// The shapes: garbage first, then by retained bytes.
    pub shapes: Vec<Shape>,
    /// Classes, modules and their namespaces: the program's own code, which was left out.
    pub code_objects: u64,
}

/// Cycles of like types and labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Types and labels around the smallest cycle: `shop.Order .customer → shop.Customer .orders → list [] → shop.Order`.
    pub shape: String,
    /// How many: strongly connected components whose smallest cycle is this.
    pub count: u64,
    /// Nothing holds them: they wait for the collector.
    pub garbage: bool,
    /// What would go if they went.
    pub retained_bytes: Bytes,
    /// How many objects are in them.
    pub objects: u64,
    /// Of which types, the most first.
    pub types: Vec<(String, u64)>,
    /// The edge to break it at.
    pub break_at: Break,
    /// The classes and functions around the cycle with their places.
    pub places: Vec<(String, Place)>,
    /// An object of the first of them.
    pub example: u32,
    /// Those of their objects that no other of them keeps alive, of garbage.
    pub tops: Vec<(u32, u64)>,
}

/// One edge that breaks a cycle if it is weak, or cleared.
#[derive(Clone, Debug, PartialEq)]
pub struct Break {
    /// Holder, label and target: `shop.Order .customer → shop.Customer`.
    pub edge: String,
    /// Why this one.
    pub why: Why,
    /// How many references that are.
    pub references: u64,
    /// How many of the shape's components have no cycle at all without it.
    pub breaks: u64,
}

/// Why an edge is the one to break a cycle at. In the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// An exception's traceback leads to the frame whose local has the exception.
    Traceback,
    /// Its name says that it points back: parent, owner, bus.
    Back,
    /// A bound method that a container or an attribute keeps.
    Callback,
    /// It points from many to one.
    ManyToOne,
    /// A function that closes over what refers to it.
    Closure,
    /// An attribute as any other.
    Attribute,
    /// A local of a frame that is over or waits.
    Local,
    /// A class that nothing holds: classes are cycles by construction.
    Class,
    /// None of these.
    Other,
}

impl Why {
    /// The word of the JSON.
    pub fn word(self) -> &'static str {
        match self {
            Why::Traceback => "traceback",
            Why::Back => "back-reference",
            Why::Callback => "callback",
            Why::ManyToOne => "many-to-one",
            Why::Closure => "closure",
            Why::Attribute => "attribute",
            Why::Local => "local",
            Why::Class => "class",
            Why::Other => "other",
        }
    }

    /// What to do there.
    pub fn advice(self) -> &'static str {
        match self {
            Why::Traceback => "clear it when done: del the local, or set __traceback__ to None",
            Why::Back | Why::ManyToOne | Why::Attribute => "weakref.ref",
            Why::Callback => "weakref.WeakMethod",
            Why::Closure => "pass it as an argument, or del it when done",
            Why::Local => "del the local when done",
            Why::Class => "make the class once, not at each call",
            Why::Other => "remove it when done",
        }
    }
}

/// The cycles of a snapshot, by shape.
pub fn cycles(ownership: &Ownership<'_>) -> Cycles {
    let graph = ownership.graph;
    let code = Code::of(ownership);
    let is_live = |node: u32| ownership.alive(node) != Alive::Garbage;
    let mut tally = Tally::new(ownership);
    let components = Components::of(graph.edges(), |node| !code.has(node));
    tally.take(&components, 0..components.len() as u32);
    // What nothing holds is looked at again with its classes: one that was made and dropped is a cycle by itself.
    if code.nodes().any(|node| !is_live(node)) {
        let components = Components::of(graph.edges(), |node| !is_live(node));
        let has_code = |c: &u32| components.members(*c).iter().any(|node| code.has(*node));
        let wanted: Vec<u32> = (0..components.len() as u32).filter(has_code).collect();
        tally.of_classes = true;
        tally.take(&components, wanted.into_iter());
    }
    let code_objects = code.nodes().filter(|node| is_live(*node)).count() as u64;
    Cycles { shapes: tally.shapes(), code_objects }
}

/// What to do about garbage cycles.
pub fn findings(cycles: &Cycles) -> Vec<Finding> {
    let living =
        |shape: &Shape| cycles.shapes.iter().find(|other| !other.garbage && other.shape == shape.shape).map_or(0, |other| other.count);
    cycles
        .shapes
        .iter()
        .filter(|shape| shape.garbage)
        .map(|shape| {
            let also = match living(shape) {
                0 => String::new(),
                n => format!("; {} more of this shape are alive", grouped(n as usize)),
            };
            let what = if shape.count == 1 { "cycle waits" } else { "cycles wait" };
            Finding {
                id: "cycles",
                title: format!("{} {what} for the collector: break {}", grouped(shape.count as usize), shape.break_at.edge),
                saving_bytes: shape.retained_bytes,
                known: Sure::Exact,
                place: shape.places.first().map(|(_, place)| place.clone()),
                evidence: format!(
                    "{}; {} objects that nothing holds; {} references there ({}){also}",
                    shape.shape,
                    grouped(shape.objects as usize),
                    grouped(shape.break_at.references as usize),
                    shape.break_at.why.advice()
                ),
                saves: Saves::At(shape.tops.clone()),
            }
        })
        .collect()
}

/// Classes, modules, and the dicts that are their namespaces.
struct Code {
    /// By row: it is asked for each edge.
    is: Vec<bool>,
}

impl Code {
    fn of(ownership: &Ownership<'_>) -> Code {
        let graph = ownership.graph;
        let mut nodes: FxHashSet<u32> = ownership.details.modules.iter().map(|module| module.object).collect();
        nodes.extend(ownership.modules.keys());
        // Every class has its method resolution order; what functions and frames call globals is a namespace.
        let labelled = |names: &[&str]| -> Vec<bool> {
            let is = |l: &LinkLabel| l.kind == LinkKind::Field && l.name.as_deref().is_some_and(|name| names.contains(&name));
            graph.labels().iter().map(is).collect()
        };
        let (orders, globals) = (labelled(&["__mro__"]), labelled(&["__globals__", "__builtins__", "f_globals", "f_builtins"]));
        let has = |of: &[bool], label: u32| of.get(label as usize).copied().unwrap_or(false);
        let edges = graph.edges();
        for node in 0..edges.len() as u32 {
            for (target, label) in edges.of(node).iter().zip(graph.label_places().of(edges.range(node))) {
                if has(&orders, label) {
                    nodes.insert(node);
                }
                if has(&globals, label) {
                    nodes.insert(*target);
                }
            }
        }
        let dicts: Vec<u32> = nodes.iter().filter_map(|node| graph.named(*node, LinkKind::Field, "__dict__")).collect();
        nodes.extend(dicts);
        let mut is = vec![false; edges.len()];
        for node in nodes {
            if let Some(slot) = is.get_mut(node as usize) {
                *slot = true;
            }
        }
        Code { is }
    }

    #[inline]
    fn has(&self, node: u32) -> bool {
        self.is.get(node as usize).copied().unwrap_or(false)
    }

    fn nodes(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.is.len() as u32).filter(|node| self.has(*node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    /// A parent with so many children, each with a way back, held by a module or by nothing.
    fn family(made: &mut Made, children: usize, globals: Option<u32>) {
        let (parent, list) = (made.object("app.Parent", 10, 1 + u64::from(globals.is_some())), made.object("list", 5, 1));
        made.link(parent, list, LinkKind::Attribute, "children");
        if let Some(globals) = globals {
            made.link(globals, parent, LinkKind::Attribute, "PARENT");
        }
        for _ in 0..children {
            // The attributes of a child stand in a dict of its own, those of the parent do not.
            let (child, dict) = (made.object("app.Child", 20, 1), made.object("dict", 7, 1));
            made.link(list, child, LinkKind::Index, "");
            made.link(child, dict, LinkKind::Field, "__dict__");
            made.link(dict, parent, LinkKind::Attribute, "parent");
        }
    }

    fn found(made: Made) -> Cycles {
        let snapshot = made.snapshot();
        cycles(&Ownership::of(&snapshot).unwrap())
    }

    #[test]
    fn like_cycles_are_one_shape_with_the_edge_that_breaks_all_of_them() {
        let mut made = Made::default();
        let (_, globals) = made.module("app");
        family(&mut made, 1, Some(globals));
        family(&mut made, 3, None);
        family(&mut made, 2, None);
        let cycles = found(made);
        let text = "app.Child .parent → app.Parent .children → list [] → app.Child";
        let rows: Vec<_> = cycles.shapes.iter().map(|s| (s.shape.as_str(), s.garbage, s.count, s.objects, s.retained_bytes.0)).collect();
        assert_eq!(rows, [(text, true, 2, 14, 30 + 5 * 27), (text, false, 1, 4, 15 + 27)]);
        let at = &cycles.shapes[0].break_at;
        assert_eq!((at.edge.as_str(), at.why, at.references, at.breaks), ("app.Child .parent → app.Parent", Why::Back, 5, 2));
        let findings = findings(&cycles);
        assert_eq!((findings.len(), findings[0].saving_bytes.0), (1, 165));
        assert!(findings[0].evidence.contains("1 more of this shape are alive"), "{}", findings[0].evidence);
    }

    #[test]
    fn an_edge_that_leaves_another_cycle_is_not_the_one() {
        let mut made = Made::default();
        // a.parent → b would be the name, but the other way b → a goes by two lists, and c refers back too: only `.part` breaks both.
        let [a, b, c] = [0; 3].map(|_| made.object("app.Part", 8, 1));
        let tree = made.object("app.Tree", 8, 3);
        for part in [a, b, c] {
            made.link(part, tree, LinkKind::Slot, if part == a { "parent" } else { "whole" });
        }
        for part in [a, b, c] {
            made.link(tree, part, LinkKind::Slot, "part");
        }
        let cycles = found(made);
        assert_eq!(cycles.shapes.len(), 1);
        assert_eq!(cycles.shapes[0].break_at.edge, "app.Tree .part → app.Part");
    }

    #[test]
    fn code_is_left_out_and_a_class_that_nothing_holds_is_told() {
        let class = |made: &mut Made, counts: u64| {
            let (class, order, dict) = (made.object("type", 1000, counts), made.object("tuple", 60, 1), made.object("dict", 200, 1));
            made.link(class, order, LinkKind::Field, "__mro__");
            made.link(order, class, LinkKind::Index, "");
            made.link(class, dict, LinkKind::Field, "__dict__");
            // An instance that its class keeps.
            let one = made.object("app.One", 16, 1);
            made.link(dict, one, LinkKind::Attribute, "ONE");
            made.link(one, class, LinkKind::Type, "");
            class
        };
        let mut made = Made::default();
        let (_, globals) = made.module("app");
        let kept = class(&mut made, 3);
        made.link(globals, kept, LinkKind::Attribute, "Kept");
        let f = made.object("function", 100, 1);
        made.link(globals, f, LinkKind::Attribute, "f");
        made.link(f, globals, LinkKind::Field, "__globals__");
        class(&mut made, 2);
        let cycles = found(made);
        let rows: Vec<_> = cycles.shapes.iter().map(|s| (s.garbage, s.count, s.break_at.why, s.retained_bytes.0)).collect();
        // Both modules' parts, the kept class and its dict.
        assert_eq!((rows, cycles.code_objects), (vec![(true, 1, Why::Class, 1276)], 4));
    }

    #[test]
    fn a_ring_is_told_by_what_it_repeats() {
        let mut made = Made::default();
        let nodes: Vec<u32> = (0..50).map(|_| made.object("app.Node", 10, 1)).collect();
        for (i, node) in nodes.iter().enumerate() {
            made.link(*node, nodes[(i + 1) % 50], LinkKind::Attribute, "next");
        }
        let own = made.object("app.Node", 10, 1);
        made.link(own, own, LinkKind::Attribute, "next");
        let told: Vec<_> = found(made).shapes.into_iter().map(|s| (s.shape, s.objects)).collect();
        assert_eq!(told, [("app.Node .next → … → app.Node".to_owned(), 50), ("app.Node .next → itself".to_owned(), 1)]);
        assert_eq!([&[1, 2, 1, 2][..], &[1, 2, 1], &[1], &[]].map(tally::period), [2, 3, 1, 0]);
    }
}
