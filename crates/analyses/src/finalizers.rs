//! `finalizers`: what runs code when it goes, and what of it may never go, or goes too late.
//!
//! Holds: [`finalizers`]: types with a `__del__`, of Python or of C, `weakref.finalize` and the callbacks of weak references, generators that
//! are not at their end, `gc.garbage`, open files and sockets; and [`findings`] of those that nothing live refers to.
//! Sources: PEP 442.

pub(crate) mod look;

use std::cmp::Reverse;

use graph::Components;
use memory::Bytes;
use rustc_hash::FxHashMap;

use self::look::{codes, Classes, Look};
use crate::explain::grouped;
use crate::finding::{Finding, Saves, Sure};
use crate::ownership::{Alive, Ownership};
use crate::place::{Place, Places};

/// The answer to `finalizers`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finalizers {
    /// Types with a finalizer that have instances: those with garbage first, then those of Python.
    pub types: Vec<Finalizing>,
    /// Generators and coroutines that are not at their end, by function.
    pub unfinished: Vec<Called>,
    /// What `weakref.finalize` will call, by function.
    pub registered: Vec<Called>,
    /// What weak references call when their target goes, by function.
    pub callbacks: Vec<Called>,
    /// What is in `gc.garbage`, by type, most first.
    pub gc_garbage: Vec<(String, u64)>,
    /// What `gc.garbage` keeps alive.
    pub gc_garbage_bytes: Bytes,
    /// Files and sockets, by type.
    pub descriptors: Vec<Descriptors>,
    /// What goes with the garbage that has finalizers.
    pub garbage_bytes: Bytes,
    /// The objects that keep what is lost: garbage with finalizers, `gc.garbage`, open files and sockets.
    pub tops: Tops,
}

/// Objects with what each keeps alive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tops {
    /// Over the garbage that has finalizers.
    pub garbage: Vec<(u32, u64)>,
    /// `gc.garbage` itself, without its own bytes.
    pub gc_garbage: Vec<(u32, u64)>,
    /// Open files and sockets that nothing refers to.
    pub descriptors: Vec<(u32, u64)>,
}

/// A type with a finalizer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finalizing {
    /// The type's name.
    pub type_name: String,
    /// Its `__del__` is a function of Python; else C code.
    pub is_python: bool,
    /// Where its `__del__` is.
    pub place: Option<Place>,
    /// Instances.
    pub count: u64,
    /// Those that refer to themselves, over others. Ways over a module's globals and over classes do not count, which stay anyway.
    pub in_cycles: u64,
    /// Those that nothing leads to.
    pub garbage: u64,
    /// Those that only C code keeps alive.
    pub by_c: u64,
}

/// A function that will be called, or is not at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Called {
    /// Its name, or its type's.
    pub function: String,
    /// Where it is defined.
    pub place: Option<Place>,
    /// How often.
    pub count: u64,
    /// Of calls that are not at their end those that stand in `finally`, `with`, another `try` and `except`, in this order.
    pub inside: [u64; 4],
}

/// Files or sockets of one type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptors {
    /// The type's name.
    pub type_name: String,
    /// Not closed.
    pub open: u64,
    /// Closed.
    pub closed: u64,
    /// Not told.
    pub unknown: u64,
    /// Of the open ones those that nothing leads to.
    pub garbage: u64,
    /// Of the open ones those that only C code keeps alive.
    pub by_c: u64,
    /// What the open ones of those two keep alive.
    pub lost_bytes: Bytes,
}

/// Everything that runs code when it goes.
pub fn finalizers(ownership: &Ownership<'_>, places: &Places<'_>) -> Finalizers {
    let classes = Classes::of(ownership);
    let kept = |node: u32| !ownership.modules.contains_key(&node) && !classes.has(ownership, node);
    let is_garbage = |node: u32| ownership.alive(node) == Alive::Garbage;
    let cycles = Components::of(ownership.graph.edges(), |node| is_garbage(node) || kept(node));
    let look = Look { ownership, places, codes: codes(ownership), unused_alone: false };
    let mut tops = Tops::default();
    let gc_garbage = look.gc_garbage(&mut tops.gc_garbage);
    let types = look.types(Some(&cycles), &mut tops.garbage);
    let descriptors = look.descriptors(&mut tops.descriptors);
    Finalizers {
        types,
        garbage_bytes: sum(&tops.garbage),
        unfinished: look.unfinished(),
        registered: look.registered(),
        callbacks: look.callbacks(),
        gc_garbage,
        gc_garbage_bytes: sum(&tops.gc_garbage),
        descriptors,
        tops,
    }
}

fn sum(tops: &[(u32, u64)]) -> Bytes {
    Bytes(tops.iter().map(|(_, bytes)| bytes).sum())
}

/// Finalizers that wait for the collector, where they keep `least` bytes or more; and, whatever their size, what is in `gc.garbage`, and files
/// and sockets that are open and lost.
pub fn findings(ownership: &Ownership<'_>, places: &Places<'_>, least: u64) -> Vec<Finding> {
    let look = Look { ownership, places, codes: FxHashMap::default(), unused_alone: true };
    let mut found = Finalizers::default();
    found.gc_garbage = look.gc_garbage(&mut found.tops.gc_garbage);
    if !ownership.unused().is_empty() {
        found.types = look.types(None, &mut found.tops.garbage);
        found.descriptors = look.descriptors(&mut found.tops.descriptors);
    }
    (found.garbage_bytes, found.gc_garbage_bytes) = (sum(&found.tops.garbage), sum(&found.tops.gc_garbage));
    found.findings(least)
}

impl Finalizers {
    fn findings(&self, least: u64) -> Vec<Finding> {
        let mut all = Vec::new();
        let counts = |counts: Vec<(&str, u64)>| -> String {
            counts.into_iter().map(|(name, count)| format!("{} {name}", grouped(count as usize))).collect::<Vec<_>>().join(", ")
        };
        let finding = |title: String, saving_bytes: Bytes, place: Option<Place>, evidence: String, tops: &[(u32, u64)]| Finding {
            id: "finalizers",
            title,
            saving_bytes,
            known: Sure::AtMost,
            place,
            evidence,
            saves: Saves::At(tops.to_vec()),
        };
        let waiting: Vec<&Finalizing> = self.types.iter().filter(|t| t.garbage > 0).collect();
        if let Some(most) = waiting.iter().max_by_key(|t| (t.garbage, Reverse(&t.type_name))).filter(|_| self.garbage_bytes.0 >= least) {
            let n: u64 = waiting.iter().map(|t| t.garbage).sum();
            let title = format!("{} in garbage cycles: break the cycles", objects(n, "with a finalizer"));
            let by_type = counts(waiting.iter().map(|t| (t.type_name.as_str(), t.garbage)).collect());
            all.push(finding(
                title,
                self.garbage_bytes,
                most.place.clone(),
                format!("{by_type}; they are finalized when the collector comes to them"),
                &self.tops.garbage,
            ));
        }
        if !self.gc_garbage.is_empty() {
            let n: u64 = self.gc_garbage.iter().map(|(_, count)| *count).sum();
            let by_type = counts(self.gc_garbage.iter().map(|(name, count)| (name.as_str(), *count)).collect());
            let title = format!("gc.garbage holds {}: empty it", objects(n, ""));
            all.push(finding(title, self.gc_garbage_bytes, None, by_type, &self.tops.gc_garbage));
        }
        let lost: Vec<&Descriptors> = self.descriptors.iter().filter(|d| d.garbage > 0).collect();
        if !lost.is_empty() {
            let n: u64 = lost.iter().map(|d| d.garbage).sum();
            let title = format!(
                "{} open that nothing refers to: close them where they are used",
                if n == 1 { "1 file or socket is".to_owned() } else { format!("{} files and sockets are", grouped(n as usize)) }
            );
            let bytes = Bytes(lost.iter().map(|d| d.lost_bytes.0).sum());
            let by_type = counts(lost.iter().map(|d| (d.type_name.as_str(), d.garbage)).collect());
            let evidence = format!("{by_type}; each has a descriptor until the collector comes to it");
            all.push(finding(title, bytes, None, evidence, &self.tops.descriptors));
        }
        all
    }
}

fn objects(n: u64, what: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} object{s} {what}", grouped(n as usize)).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use snapshot::{CodeRow, LinkKind, RootPlace, Snapshot};

    use super::*;
    use crate::testing::Made;

    /// A class whose base has a function as `__del__`; gives the class and the function's code.
    fn class(made: &mut Made) -> (u32, u32) {
        let (class, base, mro) = (made.object("type", 1, 9), made.object("type", 1, 9), made.object("tuple", 1, 1));
        made.link(class, mro, LinkKind::Field, "__mro__");
        made.link(mro, class, LinkKind::Index, "");
        made.link(mro, base, LinkKind::Index, "");
        let (dict, del, code) = (made.object("dict", 1, 1), made.object("function", 1, 1), made.object("code", 1, 1));
        made.link(base, dict, LinkKind::Field, "__dict__");
        made.link(dict, del, LinkKind::Attribute, "__del__");
        made.link(del, code, LinkKind::Field, "__code__");
        made.root(RootPlace::Interpreter, "interpreter", Some("x"), class, true);
        (class, code)
    }

    /// As a look gives it: a type's row knows where its class is, a code object its place.
    fn whole(made: Made, type_name: &str, class: u32, code: u32, name: &str) -> Snapshot {
        let mut snapshot = made.snapshot();
        let address = snapshot.objects.as_ref().unwrap().addresses()[class as usize];
        snapshot.types.iter_mut().find(|t| t.name == type_name).unwrap().address = address;
        let row = CodeRow { object: code, name: name.into(), file: "app/db.py".into(), first_line: 12 };
        snapshot.details.as_mut().unwrap().codes.push(row);
        snapshot
    }

    fn look(snapshot: &Snapshot) -> (Finalizers, Vec<Finding>) {
        let ownership = Ownership::of(snapshot).unwrap();
        let places = Places::of(ownership.objects, ownership.graph, ownership.details);
        (finalizers(&ownership, &places), findings(&ownership, &places, 100))
    }

    #[test]
    fn instances_are_live_in_cycles_garbage_or_held_by_c() {
        let mut made = Made::default();
        let (_, globals) = made.module("app");
        let (class, code) = class(&mut made);
        let one = |made: &mut Made, count| {
            let node = made.object("app.Conn", 10, count);
            made.link(node, class, LinkKind::Type, "");
            node
        };
        let plain = one(&mut made, 1);
        made.link(globals, plain, LinkKind::Attribute, "PLAIN");
        // A way over the class is no cycle.
        made.link(class, plain, LinkKind::Attribute, "default");
        let around = one(&mut made, 2);
        made.link(globals, around, LinkKind::Attribute, "AROUND");
        made.link(around, around, LinkKind::Attribute, "me");
        let lost = one(&mut made, 1);
        made.link(lost, lost, LinkKind::Attribute, "me");
        let load = made.object("bytes", 90, 1);
        made.link(lost, load, LinkKind::Attribute, "load");
        one(&mut made, 1);
        let snapshot = whole(made, "app.Conn", class, code, "Base.__del__");
        let (found, told) = look(&snapshot);
        let place = Some(Place { file: "app/db.py".into(), line: Some(12), near: false });
        let wanted = Finalizing { type_name: "app.Conn".into(), is_python: true, place, count: 4, in_cycles: 2, garbage: 1, by_c: 1 };
        assert_eq!((found.types.as_slice(), found.garbage_bytes), (&[wanted][..], Bytes(100)));
        assert_eq!(told.len(), 1);
        assert_eq!(
            (told[0].title.as_str(), told[0].saving_bytes),
            ("1 object with a finalizer in garbage cycles: break the cycles", Bytes(100))
        );
        assert_eq!(findings_from(&snapshot, 101), []);
    }

    fn findings_from(snapshot: &Snapshot, least: u64) -> Vec<Finding> {
        let ownership = Ownership::of(snapshot).unwrap();
        findings(&ownership, &Places::of(ownership.objects, ownership.graph, ownership.details), least)
    }

    #[test]
    fn callbacks_and_calls_that_have_not_ended_are_counted_by_function() {
        let mut made = Made::default();
        let (_, globals) = made.module("app");
        let (class, code) = class(&mut made);
        let (told, last) = (made.object("function", 1, 9), made.object("weakref.finalize", 1, 9));
        made.link(told, code, LinkKind::Field, "__code__");
        let bound = made.object("method", 1, 9);
        made.link(bound, told, LinkKind::Field, "__func__");
        for callback in [told, bound, last] {
            let weak = made.object("weakref", 1, 1);
            made.link(globals, weak, LinkKind::Value, "");
            made.link(weak, callback, LinkKind::Field, "__callback__");
        }
        // One at its end, one with a frame of its own, one whose frame is part of it.
        let frame = made.object("frame", 1, 1);
        made.link(frame, code, LinkKind::Field, "f_code");
        for (kind, to, name) in [("generator", code, "gi_code"), ("generator", frame, "gi_frame"), ("coroutine", code, "f_code")] {
            let call = made.object(kind, 1, 1);
            made.link(globals, call, LinkKind::Value, "");
            made.link(call, to, LinkKind::Field, name);
        }
        let snapshot = whole(made, "type", class, code, "told");
        let (found, _) = look(&snapshot);
        let place = Some(Place { file: "app/db.py".into(), line: Some(12), near: false });
        let called = |count| vec![Called { function: "told".into(), place: place.clone(), count, inside: [0; 4] }];
        assert_eq!((found.callbacks, found.unfinished), (called(2), called(2)));
    }

    #[test]
    fn what_is_in_gc_garbage_and_open_sockets_that_are_lost_are_findings_of_any_size() {
        let mut made = Made::default();
        let (_, gc) = made.module("gc");
        let (list, knot) = (made.object("list", 50, 1), made.object("app.Knot", 7, 1));
        made.link(gc, list, LinkKind::Attribute, "garbage");
        made.link(list, knot, LinkKind::Index, "");
        let ((_, builtins), (_, sockets)) = (made.module("builtins"), made.module("_socket"));
        let (truth, lie) = (made.object("bool", 1, 9), made.object("bool", 1, 9));
        made.link(builtins, truth, LinkKind::Attribute, "True");
        made.link(builtins, lie, LinkKind::Attribute, "False");
        let (class, code) = class(&mut made);
        made.link(sockets, class, LinkKind::Attribute, "socket");
        // Open and lost, closed and lost, open and in use, and one that does not tell.
        for (closed, is_lost) in [(Some(lie), true), (Some(truth), true), (Some(lie), false), (None, false)] {
            let socket = made.object("socket.socket", 5, 1);
            closed.into_iter().for_each(|closed| made.link(socket, closed, LinkKind::Slot, "_closed"));
            made.link(if is_lost { socket } else { list }, socket, LinkKind::Slot, "me");
        }
        let snapshot = whole(made, "socket.socket", class, code, "Base.__del__");
        let (found, told) = look(&snapshot);
        assert_eq!((found.gc_garbage, found.gc_garbage_bytes), (vec![("app.Knot".to_owned(), 1)], Bytes(17)));
        let sums = Descriptors { open: 2, closed: 1, unknown: 1, garbage: 1, by_c: 0, lost_bytes: Bytes(5), ..Descriptors::default() };
        assert_eq!(found.descriptors, [Descriptors { type_name: "socket.socket".into(), ..sums }]);
        let titles: Vec<&str> = told.iter().map(|f| f.title.as_str()).collect();
        let wanted =
            ["gc.garbage holds 1 object: empty it", "1 file or socket is open that nothing refers to: close them where they are used"];
        assert_eq!(titles, wanted);
    }
}
