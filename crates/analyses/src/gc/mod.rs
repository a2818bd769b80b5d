//! `gc`: what the cyclic collector has done, what a collection would walk and find now, and whether a setting would help.
//!
//! Holds: [`gc`] and its findings. Never: a time that was not measured: [`NANOSECONDS_AN_OBJECT`] says what estimates rest on.

mod advice;
mod pass;
mod untracked;

use memory::Bytes;
use snapshot::{Collector, CollectorState, Snapshot};

pub use self::advice::{Advice, Kind};
pub use self::pass::Pass;
pub use self::untracked::Untrackable;
use crate::explain::grouped;
use crate::finding::{Finding, Saves, Sure};
use crate::ownership::{Hold, Ownership};

/// What a collection takes for each object that it walks, about: gc.collect() with 300,000 instances, their lists and dicts took 77 to 119 ns
/// an object on CPython 3.8 to 3.15 (docs/techniques/09-gc.md). Half or twice of that is usual, by the machine and the objects.
pub const NANOSECONDS_AN_OBJECT: f64 = 90.0;

/// The answer to `gc`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gc {
    /// The collectors, the main interpreter's first; none where the folder is of an earlier program.
    pub collectors: Vec<CollectorState>,
    /// By the list that they are on: generations 0 to 2, and frozen.
    pub lists: [List; 4],
    /// What collections of the young, the middle and the oldest generation would do; with the incremental collector of the whole alone.
    pub passes: Vec<Pass>,
    /// Tuples that are tracked and need not be.
    pub tuples: Untrackable,
    /// Dicts likewise, where this release untracks them.
    pub dicts: Untrackable,
    /// For how long the process had run, in seconds.
    pub age_s: Option<f64>,
    /// What to paste; nothing where nothing would help.
    pub advice: Option<Advice>,
    /// The footprint of all objects.
    pub whole: Bytes,
}

/// What is on one list of the collector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// How many objects.
    pub objects: u64,
    /// Their footprint.
    pub bytes: Bytes,
}

impl Gc {
    /// The collection that takes everything.
    pub fn full(&self) -> Option<&Pass> {
        self.passes.last()
    }

    /// The collector of the main interpreter.
    pub fn main(&self) -> Option<&CollectorState> {
        self.collectors.first()
    }

    /// Whether collections start by themselves.
    pub fn is_automatic(&self) -> bool {
        self.main().is_some_and(|c| c.enabled && c.generations.first().is_some_and(|g| g.threshold > 0))
    }

    /// Full collections so far in an hour, about.
    pub fn full_an_hour(&self) -> Option<f64> {
        let done: u64 = self.collectors.iter().map(|c| c.generations.last().map_or(0, |g| g.collections)).sum();
        self.age_s.filter(|age| *age > 0.0).map(|age| done as f64 * 3600.0 / age)
    }
}

/// What a collection of so many objects takes, about, in milliseconds.
pub fn estimated_ms(objects: u64) -> f64 {
    objects as f64 * NANOSECONDS_AN_OBJECT / 1e6
}

/// The collector of a snapshot; `None` for one without objects or references.
pub fn gc(snapshot: &Snapshot) -> Option<Gc> {
    of(snapshot, true)
}

/// The same, where only the full collection is asked for.
fn of(snapshot: &Snapshot, all: bool) -> Option<Gc> {
    let (objects, details) = (snapshot.objects.as_ref()?, snapshot.details.as_ref()?);
    snapshot.graph.as_ref()?;
    let mut gc = Gc {
        collectors: details.collectors.clone(),
        age_s: snapshot.target.age_s,
        whole: Bytes(snapshot.types.iter().map(|t| t.footprint_bytes.0).sum()),
        ..Gc::default()
    };
    for (state, bytes) in objects.states().iter().zip(objects.footprint_bytes().iter()) {
        let place = match state.collector() {
            Collector::Generation0 => 0,
            Collector::Generation1 => 1,
            Collector::Generation2 => 2,
            Collector::Frozen => 3,
            Collector::Without | Collector::Untracked => continue,
        };
        if let Some(list) = gc.lists.get_mut(place) {
            list.objects += 1;
            list.bytes.0 += bytes.0;
        }
    }
    // Without this the folder was written by an earlier program, which did not note of what the collector is told either.
    let Some(collector) = details.collectors.first() else { return Some(gc) };
    let heap = pass::Heap::of(snapshot, collector)?;
    let generations = if all && !collector.incremental { 0..=2 } else { 2..=2 };
    gc.passes = generations.map(|generation| heap.pass(generation)).collect();
    if all {
        (gc.tuples, gc.dicts) = untracked::untrackable(snapshot, collector).unwrap_or_default();
    }
    gc.advice = advice::advice(&gc);
    Some(gc)
}

/// What `explain` says of it: garbage that waits because nothing collects it, and long walks.
pub(crate) fn findings(ownership: &Ownership<'_>, least: u64) -> Vec<Finding> {
    let Some(gc) = of(ownership.snapshot, false) else { return Vec::new() };
    let (Some(full), Some(advice)) = (gc.full(), &gc.advice) else { return Vec::new() };
    let waiting = matches!(advice.kind, Kind::Off | Kind::Waiting | Kind::SaveAll);
    if waiting && full.freed_bytes.0 < least {
        return Vec::new();
    }
    let tops = ownership.roots.iter().filter(|(_, hold)| *hold == Hold::Garbage).map(|(node, _)| (*node, ownership.retained(*node)));
    vec![Finding {
        id: "gc",
        title: advice.title(&gc),
        saving_bytes: if waiting { full.freed_bytes } else { Bytes(0) },
        known: if waiting { Sure::Exact } else { Sure::Estimated },
        place: None,
        evidence: format!(
            "a full collection walks {} objects and {} references; {}; {}: {}",
            grouped(full.walked_objects as usize),
            grouped(full.walked_references as usize),
            advice.why,
            advice.at,
            advice.lines.join("; ")
        ),
        saves: if waiting { Saves::At(tops.collect()) } else { Saves::Nowhere },
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;
    use snapshot::{CallRow, Finalizer, Generation, LinkKind, RootPlace};

    /// A snapshot whose main collector is on, with the defaults of 3.12.
    fn seen(made: Made, change: impl FnOnce(&mut Snapshot)) -> Gc {
        let mut snapshot = made.snapshot();
        let generations = [(700, 5), (10, 1), (10, 0)].map(|(threshold, count)| Generation { threshold, count, ..Generation::default() });
        let details = snapshot.details.as_mut().unwrap();
        details.collectors.push(CollectorState { enabled: true, generations, untracks_dicts: true, ..CollectorState::default() });
        change(&mut snapshot);
        gc(&snapshot).unwrap()
    }

    #[test]
    fn what_nothing_holds_from_outside_is_found_and_what_it_alone_holds_goes_too() {
        let mut made = Made::default();
        let (_, globals) = made.module("app");
        let [a, b, kept] = [100, 200, 10].map(|bytes| made.object("app.Node", bytes, 1));
        made.link(a, b, LinkKind::Attribute, "o");
        made.link(b, a, LinkKind::Attribute, "o");
        let load = made.object("bytes", 1000, 1);
        made.link(b, load, LinkKind::Attribute, "load");
        made.link(globals, kept, LinkKind::Attribute, "KEPT");
        // Held by a frame, with a cycle of its own; and by C, which counts once more than is found.
        let [framed, counted] = [1, 2].map(|count| made.object("app.Node", 7, count + 1));
        made.link(framed, framed, LinkKind::Attribute, "me");
        made.link(counted, counted, LinkKind::Attribute, "me");
        made.root(RootPlace::Frame, "thread 0x1, frame of f", Some("x"), framed, true);
        let gc = seen(made, |_| {});
        let full = gc.full().unwrap();
        assert_eq!((full.found_objects, full.returns, full.contradicting), (3, 3, 0));
        assert_eq!((full.freed_objects, full.freed_bytes, full.uncollectable_objects), (3, Bytes(1300), 0));
        assert_eq!(full.types, [("app.Node".to_owned(), 2), ("bytes".to_owned(), 1)]);
        // Younger generations are empty here: all of this is old.
        assert_eq!(gc.passes.iter().map(|p| (p.walked_objects, p.found_objects)).collect::<Vec<_>>(), [(0, 0), (0, 0), (9, 3)]);
    }

    #[test]
    fn legacy_finalizers_keep_what_they_lead_to_and_ended_calls_free_before_the_count() {
        let mut made = Made::default();
        let [legacy, led, other] = ["ext.Old", "app.Node", "app.Node"].map(|name| made.object(name, 10, 1));
        made.link(legacy, led, LinkKind::Attribute, "o");
        made.link(led, legacy, LinkKind::Attribute, "o");
        made.link(other, other, LinkKind::Attribute, "me");
        // A generator in a list that its own frame has, with a local that only the frame holds.
        let (call, list, local) = (made.object("generator", 20, 1), made.object("list", 20, 1), made.object("app.Node", 30, 1));
        made.link(list, call, LinkKind::Index, "");
        made.link(call, list, LinkKind::Local, "box");
        made.link(call, local, LinkKind::Local, "tail");
        let gc = seen(made, |snapshot| {
            let finalizer = |name: &str| if name == "ext.Old" { Finalizer::Legacy } else { Finalizer::None };
            let classes = snapshot.types.iter().map(|t| snapshot::ClassRow {
                address: t.address,
                name: t.name.clone(),
                first_line: None,
                finalizer: finalizer(&t.name),
            });
            let classes = classes.collect();
            let details = snapshot.details.as_mut().unwrap();
            details.classes = classes;
            let row = CallRow { object: call, name: "g".into(), code: None, globals: None, line: None, inside: None, begun: true };
            details.calls.push(row);
        });
        let full = gc.full().unwrap();
        assert_eq!((full.found_objects, full.uncollectable_objects, full.freed_by_calls, full.returns), (6, 2, 3, 3));
        assert_eq!((full.freed_objects, full.freed_bytes), (4, Bytes(80)));
    }

    #[test]
    fn tuples_of_atoms_need_not_be_tracked() {
        let mut made = Made::default();
        let [inner, outer, other] = [1, 1, 1].map(|count| made.object("tuple", 50, count));
        let list = made.object("list", 50, 1);
        made.link(outer, inner, LinkKind::Index, "");
        made.link(other, list, LinkKind::Index, "");
        let dict = made.object("dict", 64, 1);
        made.link(dict, outer, LinkKind::Value, "");
        let gc = seen(made, |_| {});
        assert_eq!((gc.tuples, gc.dicts), (Untrackable { objects: 2, references: 1 }, Untrackable { objects: 1, references: 1 }));
    }

    #[test]
    fn advice_is_for_what_would_be_felt() {
        let waiting = |enabled: bool, bytes: u64| {
            let mut made = Made::default();
            let a = made.object("app.Node", bytes, 1);
            made.link(a, a, LinkKind::Attribute, "me");
            seen(made, |snapshot| snapshot.details.as_mut().unwrap().collectors[0].enabled = enabled).advice
        };
        assert_eq!(waiting(false, 1000), None);
        let off = waiting(false, 2 << 20).unwrap();
        assert_eq!((off.kind, off.lines), (Kind::Off, ["import gc".to_owned(), "gc.enable()".to_owned()]));
        assert_eq!(waiting(true, 2 << 20).unwrap().lines[1], "gc.collect()");
        // Old objects, and full collections that ran: how often and for how long decides.
        let old = |n: u64, collections: u64, age: f64, young: u64| {
            let mut made = Made::default();
            let holder = made.object("list", 8, 1);
            made.root(RootPlace::Frame, "thread 0x1, frame of f", Some("x"), holder, true);
            let objects: Vec<u32> = (0..n).map(|_| made.object("app.Entry", 10, 1)).collect();
            objects.iter().for_each(|o| made.link(holder, *o, LinkKind::Index, ""));
            seen(made, |snapshot| {
                snapshot.target.age_s = Some(age);
                let generations = &mut snapshot.details.as_mut().unwrap().collectors[0].generations;
                generations[2].collections = collections;
                generations[0].collections = young;
            })
            .advice
        };
        assert_eq!(old(60_000, 0, 10.0, 0), None, "no full collection ran");
        assert_eq!(old(60_000, 3, 3600.0, 0), None, "three of 5 ms in an hour");
        assert_eq!(old(400, 1000, 10.0, 0), None, "nothing to freeze");
        assert_eq!(old(60_000, 100, 1.0, 0), None, "the start-up alone");
        let freeze = old(60_000, 100, 10.0, 0).unwrap();
        assert_eq!((freeze.kind, freeze.lines[1].as_str()), (Kind::Freeze, "gc.collect(); gc.freeze()"));
        let young = old(400, 0, 10.0, 100_000).unwrap();
        assert_eq!((young.kind, young.lines[1].as_str()), (Kind::Thresholds, "gc.set_threshold(50_000, 20, 100)"));
        assert_eq!(old(60_000, 100, 10.0, 100_000).unwrap().kind, Kind::FreezeAndThresholds);
    }

    #[test]
    fn a_folder_of_an_earlier_program_gives_lists_alone() {
        let mut made = Made::default();
        made.object("app.Node", 10, 0);
        let gc = gc(&made.snapshot()).unwrap();
        assert_eq!((gc.lists[2].objects, gc.full(), &gc.advice), (1, None, &None));
    }
}
