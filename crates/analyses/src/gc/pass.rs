//! The collector's own algorithm, run on a snapshot.
//!
//! Holds: [`Heap`], what all passes share, and [`Pass`], what one collection would walk, find and free. A collection of a generation takes
//! it with all younger ones; objects of older and frozen ones only hold. Each of its objects starts with its reference count and loses what
//! the collector is told of by its fellows (`subtract_refs`); what has a rest is held from outside, and so is all that these lead to
//! (`move_unreachable`). Of the others, those with a `tp_del` and what they lead to stay (`move_legacy_finalizers`); the rest goes.
//! Never: runs code of the target. What a finalizer does is known of calls alone, whose frames it clears before gc.collect() counts.
//! Sources: `deduce_unreachable`, `gc_collect_main` and `handle_weakrefs` in Modules/gcmodule.c of 3.8 to 3.12, Python/gc.c since;
//! `_PyGen_Finalize` and `gen_close` in Objects/genobject.c.

use std::sync::atomic::{AtomicU32, Ordering};

use memory::Bytes;
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use snapshot::{CallRow, Collector, CollectorState, Details, Finalizer, Graph, LinkKind, Objects, Snapshot};

/// Objects that one task of a parallel walk takes.
const TASK: usize = 1 << 14;

/// What one collection would do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pass {
    /// The oldest generation that it takes.
    pub generation: u8,
    /// Objects that it walks.
    pub walked_objects: u64,
    /// References of theirs that it follows.
    pub walked_references: u64,
    /// Objects of its own that nothing holds from outside.
    pub found_objects: u64,
    /// Of these, what stays because of a `tp_del`.
    pub uncollectable_objects: u64,
    /// Of these, those with a `tp_finalize`, which may bring something back to life.
    pub finalizing_objects: u64,
    /// Of these, what the ends of generators and coroutines free before the count is taken.
    pub freed_by_calls: u64,
    /// Weak references from outside whose callbacks run.
    pub callbacks: u64,
    /// Of these, those that their callbacks take out of weak dictionaries and sets, `weakref.finalize` and ABCs: gc.collect() counts them too.
    pub freed_by_callbacks: u64,
    /// What gc.collect() would return, if finalizers and callbacks change nothing else.
    pub returns: u64,
    /// All that goes, with what only the found objects hold.
    pub freed_objects: u64,
    /// Its footprint.
    pub freed_bytes: Bytes,
    /// Objects to which more references lead than their count has: taken as held.
    pub contradicting: u64,
    /// What was found, by type, the most first.
    pub types: Vec<(String, u64)>,
}

/// What all passes share.
pub(super) struct Heap<'s> {
    snapshot: &'s Snapshot,
    objects: &'s Objects,
    graph: &'s Graph,
    details: &'s Details,
    collector: &'s CollectorState,
    /// By label: whether the collector is told of such references.
    traversed: Vec<bool>,
    /// By label: whether such a reference goes when a call ends.
    of_frame: Vec<bool>,
    /// By type.
    finalizers: Vec<Finalizer>,
    /// Objects that a field of the interpreter holds.
    roots: FxHashSet<u32>,
}

impl<'s> Heap<'s> {
    pub(super) fn of(snapshot: &'s Snapshot, collector: &'s CollectorState) -> Option<Heap<'s>> {
        let (objects, graph, details) = (snapshot.objects.as_ref()?, snapshot.graph.as_ref()?, snapshot.details.as_ref()?);
        let calls: FxHashSet<u32> = details.calls.iter().filter_map(|c| objects.type_indices().get(c.object as usize).copied()).collect();
        let frame_field = |name: Option<&str>| matches!(name, Some("gi_frame" | "frame" | "f_locals" | "function" | "f_code"));
        let goes = |l: &snapshot::LinkLabel| {
            matches!(l.kind, LinkKind::Local | LinkKind::Stack) || (l.kind == LinkKind::Field && frame_field(l.name.as_deref()))
        };
        Some(Heap {
            snapshot,
            objects,
            graph,
            details,
            collector,
            traversed: graph.labels().iter().map(|l| l.traversed).collect(),
            of_frame: graph.labels().iter().map(|l| calls.contains(&l.type_index) && goes(l)).collect(),
            finalizers: details.classes.iter().map(|c| c.finalizer).collect(),
            roots: details.roots.iter().filter(|root| root.certain).map(|root| root.target).collect(),
        })
    }

    /// The references of an object with the places of their labels.
    fn links(&self, node: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
        let edges = self.graph.edges();
        edges.of(node).iter().copied().zip(self.graph.label_places().of(edges.range(node)))
    }

    /// What the collector is told of.
    fn told(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        let told = |label: u32| self.traversed.get(label as usize).copied().unwrap_or(false);
        self.links(node).filter(move |(_, label)| told(*label)).map(|(target, _)| target)
    }

    fn finalizer(&self, node: u32) -> Finalizer {
        let row = self.objects.type_indices().get(node as usize).copied().unwrap_or(u32::MAX);
        self.finalizers.get(row as usize).copied().unwrap_or_default()
    }

    fn refcount(&self, node: u32) -> u64 {
        self.objects.refcounts().get(node as usize).unwrap_or(0)
    }

    fn immortal(&self, node: u32) -> bool {
        self.objects.states().get(node as usize).is_some_and(|state| state.immortal())
    }

    /// Whether a collection up to that generation takes an object. What became immortal is taken off the lists (3.12+, `update_refs`).
    fn takes(&self, node: u32, generation: u8) -> bool {
        let Some(state) = self.objects.states().get(node as usize) else { return false };
        let of = match state.collector() {
            Collector::Generation0 => 0,
            Collector::Generation1 => 1,
            Collector::Generation2 => 2,
            Collector::Without | Collector::Untracked | Collector::Frozen => return false,
        };
        of <= generation && !state.immortal()
    }

    /// Runs one.
    pub(super) fn pass(&self, generation: u8) -> Pass {
        let n = self.objects.len();
        let taken: Vec<bool> = (0..n as u32).into_par_iter().with_min_len(TASK).map(|node| self.takes(node, generation)).collect();
        let takes = |node: u32| taken.get(node as usize).copied().unwrap_or(false);
        // How many references its fellows have to each.
        let inner: Vec<AtomicU32> = (0..n).into_par_iter().with_min_len(TASK).map(|_| AtomicU32::new(0)).collect();
        let walk = |node: u32| {
            let mut references = 0;
            for target in self.told(node) {
                references += 1;
                if let (true, Some(count)) = (takes(target), inner.get(target as usize)) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
            (1u64, references)
        };
        let walked = (0..n as u32).into_par_iter().with_min_len(TASK).filter(|node| takes(*node)).map(walk);
        let (walked_objects, walked_references) = walked.reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        let inner_of = |node: u32| inner.get(node as usize).map_or(0, |count| u64::from(count.load(Ordering::Relaxed)));
        // More than the count says cannot be: something was read in the middle of a change, or a scan took a word for a reference.
        let mut contradicting = 0;
        let mut reached = vec![false; n];
        let mut stack: Vec<u32> = Vec::new();
        for node in (0..n as u32).filter(|node| takes(*node)) {
            let (counted, told) = (self.refcount(node), inner_of(node));
            contradicting += u64::from(told > counted);
            if told != counted || self.roots.contains(&node) {
                if let Some(slot) = reached.get_mut(node as usize) {
                    *slot = true;
                }
                stack.push(node);
            }
        }
        drop(inner);
        while let Some(node) = stack.pop() {
            for target in self.told(node) {
                let Some(slot) = reached.get_mut(target as usize) else { continue };
                if takes(target) && !*slot {
                    *slot = true;
                    stack.push(target);
                }
            }
        }
        let found: Vec<u32> = (0..n as u32).filter(|node| takes(*node) && reached.get(*node as usize) == Some(&false)).collect();
        let pass = Pass { generation, walked_objects, walked_references, contradicting, ..Pass::default() };
        self.judged(pass, &found)
    }

    /// What becomes of what was found.
    fn judged(&self, mut pass: Pass, found: &[u32]) -> Pass {
        pass.found_objects = found.len() as u64;
        if found.is_empty() {
            return pass;
        }
        let inside: FxHashSet<u32> = found.iter().copied().collect();
        let mut stays: FxHashSet<u32> = found.iter().copied().filter(|node| self.finalizer(*node) == Finalizer::Legacy).collect();
        let mut stack: Vec<u32> = stays.iter().copied().collect();
        while let Some(node) = stack.pop() {
            stack.extend(self.told(node).filter(|target| inside.contains(target) && stays.insert(*target)));
        }
        let goes: Vec<u32> = found.iter().copied().filter(|node| !stays.contains(node)).collect();
        pass.uncollectable_objects = stays.len() as u64;
        pass.finalizing_objects = goes.iter().filter(|node| self.finalizer(**node) == Finalizer::Safe).count() as u64;
        pass.freed_by_calls = self.ended(&goes);
        (pass.callbacks, pass.freed_by_callbacks) = self.called(&inside, &goes);
        pass.returns = (pass.found_objects + pass.freed_by_callbacks).saturating_sub(pass.freed_by_calls);
        let mut going = Going::of(self);
        goes.iter().for_each(|node| going.goes(*node));
        going.follow();
        pass.freed_objects = going.gone.len() as u64;
        let footprint = self.objects.footprint_bytes();
        pass.freed_bytes = Bytes(going.gone.iter().filter_map(|node| footprint.get(*node as usize)).map(|bytes| bytes.0).sum());
        let mut types: FxHashMap<u32, u64> = FxHashMap::default();
        for row in found.iter().filter_map(|node| self.objects.type_indices().get(*node as usize)) {
            *types.entry(*row).or_default() += 1;
        }
        let name = |row: u32| self.snapshot.types.get(row as usize).map_or("?", |t| t.name.as_str()).to_owned();
        // Classes of one name are one row.
        let mut by_name: FxHashMap<String, u64> = FxHashMap::default();
        types.into_iter().for_each(|(row, count)| *by_name.entry(name(row)).or_default() += count);
        pass.types = by_name.into_iter().collect();
        pass.types.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        pass
    }

    /// How many of those that go are freed already when the generators and coroutines among them are closed.
    fn ended(&self, goes: &[u32]) -> u64 {
        let is_going: FxHashSet<u32> = goes.iter().copied().collect();
        let closes = |call: &&CallRow| {
            let coroutine = self.type_name(call.object) == "coroutine";
            is_going.contains(&call.object) && (call.begun || !(coroutine || self.collector.unbegun_generators_keep_frame))
        };
        let mut going = Going::of(self);
        for call in self.details.calls.iter().filter(closes) {
            // A hook of an event loop takes over what it is told of (`_PyGen_Finalize`).
            if self.graph.named(call.object, LinkKind::Field, "ag_finalizer").is_some() {
                continue;
            }
            going.ends(call.object);
        }
        going.follow();
        going.gone.iter().filter(|node| is_going.contains(node)).count() as u64
    }

    /// Weak references outside of what was found to what goes: how many are called, and how many go with that (`handle_weakrefs`).
    fn called(&self, found: &FxHashSet<u32>, goes: &[u32]) -> (u64, u64) {
        let weak = self.details.weakrefs.as_deref().unwrap_or_default();
        let goes: FxHashSet<u32> = goes.iter().copied().collect();
        let mut removers = None;
        let (mut called, mut freed) = (0, 0);
        for row in weak {
            let (Some(referent), Some(callback)) = (row.referent, row.callback) else { continue };
            if !goes.contains(&referent) || found.contains(&row.object) {
                continue;
            }
            called += 1;
            let removers = removers.get_or_insert_with(|| self.removers());
            freed += u64::from(self.refcount(row.object) == 1 && self.removes(callback, removers));
        }
        (called, freed)
    }

    /// Codes of the callbacks by which weak containers let go of an entry: Lib/weakref.py and Lib/_weakrefset.py.
    fn removers(&self) -> FxHashSet<u32> {
        // The second is frozen into the interpreter from 3.11 on where it is imported at the start.
        const FILES: [&str; 3] = ["/weakref.py", "/_weakrefset.py", "<frozen _weakrefset>"];
        let is = |code: &&snapshot::CodeRow| {
            let name = code.name.rsplit('.').next().unwrap_or_default();
            matches!(name, "remove" | "_remove") && FILES.iter().any(|file| code.file.ends_with(file))
        };
        self.details.codes.iter().filter(is).map(|code| code.object).collect()
    }

    /// Whether a callback takes its weak reference out of what holds it. That of an ABC is a function of C over a weak reference to the set
    /// (`_destroy` in Modules/_abc.c).
    fn removes(&self, callback: u32, removers: &FxHashSet<u32>) -> bool {
        let field = |name: &str| self.graph.named(callback, LinkKind::Field, name);
        match self.type_name(callback) {
            "weakref.finalize" => true,
            "builtin_function_or_method" => field("__self__").is_some_and(|it| self.type_name(it).starts_with("weakref")),
            _ => field("__code__").is_some_and(|code| removers.contains(&code)),
        }
    }

    fn type_name(&self, node: u32) -> &str {
        let row = self.objects.type_indices().get(node as usize).copied().unwrap_or(u32::MAX);
        self.snapshot.types.get(row as usize).map_or("?", |t| t.name.as_str())
    }
}

/// What goes when references go, by counting.
struct Going<'h, 's> {
    heap: &'h Heap<'s>,
    /// What is left of the count of each object that lost a reference.
    left: FxHashMap<u32, u64>,
    gone: FxHashSet<u32>,
    /// Calls whose frames are gone already.
    ended: FxHashSet<u32>,
    stack: Vec<u32>,
}

impl<'h, 's> Going<'h, 's> {
    fn of(heap: &'h Heap<'s>) -> Self {
        Going { heap, left: FxHashMap::default(), gone: FxHashSet::default(), ended: FxHashSet::default(), stack: Vec::new() }
    }

    /// An object goes.
    fn goes(&mut self, node: u32) {
        if self.gone.insert(node) {
            self.stack.push(node);
        }
    }

    /// A call ends: its frame lets go of what it holds.
    fn ends(&mut self, node: u32) {
        if self.ended.insert(node) {
            self.drops(node, true);
        }
    }

    fn drops(&mut self, node: u32, of_frame: bool) {
        let heap = self.heap;
        for (target, label) in heap.links(node) {
            if heap.of_frame.get(label as usize).copied().unwrap_or(false) != of_frame {
                continue;
            }
            let left = self.left.entry(target).or_insert_with(|| heap.refcount(target));
            *left = left.saturating_sub(1);
            if *left == 0 && !heap.immortal(target) && !heap.roots.contains(&target) {
                self.goes(target);
            }
        }
    }

    /// All that goes with it.
    fn follow(&mut self) {
        while let Some(node) = self.stack.pop() {
            self.drops(node, false);
            if self.ended.insert(node) {
                self.drops(node, true);
            }
        }
    }
}
