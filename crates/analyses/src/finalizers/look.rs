//! The questions of `finalizers`, one method each, over what they have in common.
//!
//! Holds: [`Look`] and [`Classes`]. Never: decides what is worth a finding.
//! Sources: `Lib/weakref.py`; `Modules/_io/iobase.c`, which notes that a file was closed in an attribute; `Lib/socket.py`, whose sockets
//! have a slot for it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use graph::{Components, Dominators};
use rustc_hash::{FxHashMap, FxHashSet};
use snapshot::LinkKind;

use super::{Called, Descriptors, Finalizing};
use crate::ownership::{Alive, Ownership};
use crate::place::{Place, Places};

/// Types of C with a finalizer that gives back nothing but memory.
const MEMORY_ALONE: [&str; 2] = ["_io.BytesIO", "_io.StringIO"];
/// Types whose objects are calls that have not ended.
const CALLS: [&str; 3] = ["generator", "coroutine", "async_generator"];

/// Which objects are classes.
pub(super) struct Classes(FxHashSet<u32>);

impl Classes {
    /// What has a method resolution order is one.
    pub(super) fn of(ownership: &Ownership<'_>) -> Classes {
        let labels = ownership.graph.labels().iter();
        Classes(labels.filter(|l| l.kind == LinkKind::Field && l.name.as_deref() == Some("__mro__")).map(|l| l.type_index).collect())
    }

    pub(super) fn has(&self, ownership: &Ownership<'_>, node: u32) -> bool {
        ownership.objects.type_indices().get(node as usize).is_some_and(|t| self.0.contains(t))
    }
}

/// The name of each code object.
pub(crate) fn codes<'s>(ownership: &Ownership<'s>) -> FxHashMap<u32, &'s str> {
    ownership.details.codes.iter().map(|code| (code.object, code.name.as_str())).collect()
}

/// What the questions have in common.
pub(crate) struct Look<'a, 's> {
    pub(crate) ownership: &'a Ownership<'s>,
    pub(crate) places: &'a Places<'s>,
    pub(crate) codes: FxHashMap<u32, &'s str>,
    /// Only what is not in use is looked at.
    pub(crate) unused_alone: bool,
}

impl Look<'_, '_> {
    fn named(&self, node: u32, kind: LinkKind, name: &str) -> Option<u32> {
        self.ownership.graph.named(node, kind, name)
    }

    fn field(&self, node: u32, name: &str) -> Option<u32> {
        self.named(node, LinkKind::Field, name)
    }

    pub(crate) fn type_of(&self, node: u32) -> u32 {
        self.ownership.objects.type_indices().get(node as usize).copied().unwrap_or(u32::MAX)
    }

    /// The objects of the types that `wanted` has, with what it says of their type.
    fn instances<'w, T>(&self, wanted: &'w FxHashMap<u32, T>) -> impl Iterator<Item = (u32, &'w T)> + use<'_, 'w, T> {
        let all = if self.unused_alone { 0 } else { self.ownership.objects.len() as u32 };
        let unused = self.ownership.unused().iter().filter(|_| self.unused_alone).map(|(node, _)| *node);
        (0..all).chain(unused).filter_map(|node| wanted.get(&self.type_of(node)).map(|said| (node, said)))
    }

    /// What the module of this name has under this name, in each interpreter.
    pub(crate) fn of_module(&self, module: &str, name: &str) -> Vec<u32> {
        let modules = self.ownership.details.modules.iter().filter(|m| m.name == module);
        let dicts = modules.filter_map(|m| self.field(m.object, "__dict__"));
        dicts.filter_map(|dict| self.named(dict, LinkKind::Attribute, name)).collect()
    }

    /// A class and what it inherits from, in the order in which names are looked up.
    fn mro(&self, class: u32) -> Vec<u32> {
        let order = self.field(class, "__mro__").map(|mro| self.ownership.graph.of(mro).filter(|l| l.label.kind == LinkKind::Index));
        order.map(|links| links.map(|link| link.target).collect()).unwrap_or_default()
    }

    /// The class of each type that has instances, by the type's row.
    fn classes(&self) -> impl Iterator<Item = (u32, u32)> + use<'_> {
        let types = self.ownership.snapshot.types.iter().enumerate().filter(|(_, t)| t.count > 0);
        types.filter_map(|(row, t)| Some((row as u32, self.places.at(t.address)?)))
    }

    /// Types with instances that inherit from one of `bases`.
    pub(crate) fn inheriting<T: Copy>(&self, bases: &[u32], said: T) -> FxHashMap<u32, T> {
        self.classes().filter(|(_, class)| self.mro(*class).iter().any(|c| bases.contains(c))).map(|(row, _)| (row, said)).collect()
    }

    /// Types with a `__del__`, and what their garbage keeps alive.
    pub(super) fn types(&self, cycles: Option<&Components>, tops: &mut Vec<(u32, u64)>) -> Vec<Finalizing> {
        let del = |class: u32| {
            let dicts = self.mro(class).into_iter().filter_map(|c| self.field(c, "__dict__"));
            dicts.into_iter().find_map(|dict| self.named(dict, LinkKind::Attribute, "__del__"))
        };
        let with: FxHashMap<u32, u32> = self.classes().filter_map(|(row, class)| Some((row, del(class)?))).collect();
        let mut sums: FxHashMap<u32, Finalizing> = FxHashMap::default();
        let mut waiting = Vec::new();
        for (node, _) in self.instances(&with) {
            let sum = sums.entry(self.type_of(node)).or_default();
            sum.count += 1;
            sum.in_cycles += u64::from(cycles.is_some_and(|cycles| cycles.component(node).is_some()));
            match self.ownership.alive(node) {
                Alive::Used => {}
                Alive::ByC => sum.by_c += 1,
                Alive::Garbage => {
                    sum.garbage += 1;
                    waiting.push(node);
                }
            }
        }
        let name = |row: u32| self.ownership.type_row_name(row);
        let matters = |row: u32| !MEMORY_ALONE.contains(&name(row));
        let described = |(row, sum): (u32, Finalizing)| {
            let del = with.get(&row).copied().unwrap_or(u32::MAX);
            let is_python = self.ownership.type_name(del) != "wrapper_descriptor";
            Finalizing { type_name: name(row).to_owned(), is_python, place: self.places.of_function(del), ..sum }
        };
        let mut types: Vec<Finalizing> = sums.into_iter().filter(|(row, _)| matters(*row)).map(described).collect();
        let order = |t: &Finalizing| (Reverse(t.garbage), Reverse(t.is_python), Reverse(t.count));
        types.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| (&a.type_name, &a.place).cmp(&(&b.type_name, &b.place))));
        *tops = self.tops(&waiting.into_iter().filter(|node| matters(self.type_of(*node))).collect::<Vec<_>>());
        types
    }

    /// What goes when the garbage goes that these are part of.
    fn tops(&self, nodes: &[u32]) -> Vec<(u32, u64)> {
        if nodes.is_empty() {
            return Vec::new();
        }
        // The top of each object's tree: parents come before children.
        let tree = &self.ownership.tree;
        let mut tops = vec![0u32; self.ownership.retained.len()];
        for &node in tree.order() {
            let top = match tree.above(node) {
                Some(above) if above != Dominators::ROOT => tops.get(above as usize).copied().unwrap_or(node),
                _ => node,
            };
            if let Some(slot) = tops.get_mut(node as usize) {
                *slot = top;
            }
        }
        let tops: FxHashSet<u32> = nodes.iter().filter_map(|node| tops.get(*node as usize).copied()).collect();
        let mut tops: Vec<(u32, u64)> = tops.into_iter().map(|top| (top, self.ownership.retained(top))).collect();
        tops.sort_unstable();
        tops
    }

    /// The same function once, with how often.
    fn counted(&self, functions: impl Iterator<Item = u32>) -> Vec<Called> {
        let mut by_function: BTreeMap<(String, Option<Place>), u64> = BTreeMap::new();
        let mut known: FxHashMap<u32, (String, Option<Place>)> = FxHashMap::default();
        for node in functions {
            let called = known.entry(node).or_insert_with(|| self.called(node)).clone();
            *by_function.entry(called).or_default() += 1;
        }
        let called = |((function, place), count)| Called { function, place, count, inside: [0; 4] };
        let mut all: Vec<Called> = by_function.into_iter().map(called).collect();
        // What has a place first: C code is the library's own.
        all.sort_by(|a, b| (b.place.is_some(), b.count).cmp(&(a.place.is_some(), a.count)).then_with(|| a.cmp(b)));
        all
    }

    /// What is called by a function, a bound method or a partial.
    pub(crate) fn called(&self, node: u32) -> (String, Option<Place>) {
        let inner = ["__func__", "func"].iter().find_map(|name| self.field(node, name)).unwrap_or(node);
        let code = if self.codes.contains_key(&inner) { Some(inner) } else { self.field(inner, "__code__") };
        let by_type = match self.ownership.type_name(node) {
            "builtin_function_or_method" => "C code",
            other => other,
        };
        let name = code.and_then(|code| self.codes.get(&code)).map_or(by_type, |name| name);
        (name.to_owned(), self.places.of_function(inner))
    }

    fn rows_named(&self, names: &[&str]) -> FxHashMap<u32, ()> {
        let types = self.ownership.snapshot.types.iter().enumerate();
        types.filter(|(_, t)| names.contains(&t.name.as_str())).map(|(row, _)| (row as u32, ())).collect()
    }

    /// A call that has not ended has its frame: an object to 3.10, part of the generator since.
    pub(super) fn unfinished(&self) -> Vec<Called> {
        let calls = self.rows_named(&CALLS);
        let code_of = |node: u32| {
            let frame = self.field(node, "gi_frame").and_then(|frame| self.field(frame, "f_code"));
            frame.or_else(|| self.field(node, "f_code"))
        };
        let mut all = self.counted(self.instances(&calls).filter_map(|(node, ())| code_of(node)));
        let mut inside: BTreeMap<(String, Option<Place>), [u64; 4]> = BTreeMap::new();
        for call in &self.ownership.details.calls {
            let Some((kind, code)) = call.inside.zip(code_of(call.object)) else { continue };
            if let Some(n) = inside.entry(self.called(code)).or_default().get_mut(kind as usize) {
                *n += 1;
            }
        }
        for called in &mut all {
            called.inside = inside.get(&(called.function.clone(), called.place.clone())).copied().unwrap_or_default();
        }
        all
    }

    /// The functions of `weakref.finalize._registry`.
    pub(super) fn registered(&self) -> Vec<Called> {
        let registries = self.of_module("weakref", "finalize").into_iter().filter_map(|class| self.field(class, "__dict__"));
        let registries = registries.filter_map(|dict| self.named(dict, LinkKind::Attribute, "_registry"));
        let notes = registries.flat_map(|registry| self.ownership.graph.of(registry).filter(|link| link.label.kind == LinkKind::Value));
        self.counted(notes.filter_map(|note| self.named(note.target, LinkKind::Slot, "func")))
    }

    /// The callbacks of weak references, but for those of `weakref.finalize`.
    pub(super) fn callbacks(&self) -> Vec<Called> {
        let labels = self.ownership.graph.labels().iter();
        let with = labels.filter(|l| l.kind == LinkKind::Field && l.name.as_deref() == Some("__callback__"));
        let with: FxHashMap<u32, ()> = with.map(|l| (l.type_index, ())).collect();
        let callbacks = self.instances(&with).filter_map(|(node, ())| self.field(node, "__callback__"));
        self.counted(callbacks.filter(|callback| self.ownership.type_name(*callback) != "weakref.finalize"))
    }

    /// What is in `gc.garbage`, and what it keeps alive.
    pub(super) fn gc_garbage(&self, tops: &mut Vec<(u32, u64)>) -> Vec<(String, u64)> {
        let mut by_type: BTreeMap<&str, u64> = BTreeMap::new();
        for list in self.of_module("gc", "garbage") {
            for link in self.ownership.graph.of(list).filter(|link| link.label.kind == LinkKind::Index) {
                *by_type.entry(self.ownership.type_name(link.target)).or_default() += 1;
            }
            let own = self.ownership.objects.footprint_bytes().get(list as usize).map_or(0, |bytes| bytes.0);
            tops.push((list, self.ownership.retained(list).saturating_sub(own)));
        }
        let mut all: Vec<(String, u64)> = by_type.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all
    }

    /// Files and sockets.
    pub(super) fn descriptors(&self, lost: &mut Vec<(u32, u64)>) -> Vec<Descriptors> {
        let truth = self.of_module("builtins", "True");
        let file = |node: u32| -> Option<bool> {
            let closed = |dict| self.named(dict, LinkKind::Attribute, "__IOBase_closed").is_some();
            Some(!self.field(node, "__dict__").is_some_and(closed))
        };
        let socket = |node: u32| self.named(node, LinkKind::Slot, "_closed").map(|closed| !truth.contains(&closed));
        // The module's definition calls itself `io` to 3.11 (`_PyIO_Module`).
        let bases = [self.of_module("_io", "FileIO"), self.of_module("io", "FileIO")].concat();
        let mut kinds = self.inheriting(&bases, true);
        kinds.extend(self.inheriting(&self.of_module("_socket", "socket"), false));
        let mut sums: BTreeMap<&str, Descriptors> = BTreeMap::new();
        for (node, is_file) in self.instances(&kinds) {
            let sum = sums.entry(self.ownership.type_name(node)).or_default();
            match if *is_file { file(node) } else { socket(node) } {
                None => sum.unknown += 1,
                Some(false) => sum.closed += 1,
                Some(true) => {
                    sum.open += 1;
                    let alive = self.ownership.alive(node);
                    sum.garbage += u64::from(alive == Alive::Garbage);
                    sum.by_c += u64::from(alive == Alive::ByC);
                    if alive != Alive::Used {
                        sum.lost_bytes.0 += self.ownership.retained(node);
                        lost.push((node, self.ownership.retained(node)));
                    }
                }
            }
        }
        sums.into_iter().map(|(name, sum)| Descriptors { type_name: name.to_owned(), ..sum }).collect()
    }
}
