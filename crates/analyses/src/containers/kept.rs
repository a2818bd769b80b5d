//! Small things that keep big ones alive: calls that wait, tracebacks, closures, partials, caches without bound, tasks that are done, views.
//!
//! Each is told with what would go if it went (`Ownership`); one within what another of its kind keeps alive is not told again.
//! A task is done where its coroutine is at its end (`TaskObj` in Modules/_asynciomodule.c keeps it until the task goes).

use graph::Dominators;
use rustc_hash::{FxHashMap, FxHashSet};
use snapshot::LinkKind;

use super::groups::{Groups, Key, One};
use super::{Kind, Look};
use crate::slots::rounded;

/// `PyBytesObject` with the zero at its end.
const BYTES: u64 = 33;

/// One that may be told.
struct Candidate {
    kind: Kind,
    /// The object that keeps, of all that go with it the top.
    pins: u32,
    items: u64,
    /// The code object of a call; of a view whether it is an array.
    extra: u64,
}

pub(super) fn count(look: &Look<'_, '_>, groups: &mut Groups) {
    let mut all: FxHashMap<u32, Candidate> = FxHashMap::default();
    calls_and_tasks(look, &mut all);
    by_type(look, &mut all);
    let bounds = look.ownership.details.bounds.iter().filter(|row| row.bound.is_none());
    for row in bounds {
        let table = look.ownership.graph.named(row.object, LinkKind::Field, "cache");
        let items = table.map_or(0, |table| look.length(table));
        let pins = table.unwrap_or(row.object);
        all.insert(row.object, Candidate { kind: Kind::Caches, pins, items, extra: 0 });
    }
    // Kinds above each object, a bit each: parents come before children.
    let mut above = vec![0u16; look.ownership.retained.len()];
    for &node in look.ownership.tree.order() {
        let mut kinds = match look.ownership.tree.above(node) {
            Some(over) if over != Dominators::ROOT => above.get(over as usize).copied().unwrap_or(0),
            _ => 0,
        };
        if let Some(candidate) = all.get(&node) {
            let bit = 1 << candidate.kind as u16;
            if kinds & bit == 0 {
                told(look, groups, node, candidate);
            }
            kinds |= bit;
        }
        if let Some(slot) = above.get_mut(node as usize) {
            *slot = kinds;
        }
    }
}

fn told(look: &Look<'_, '_>, groups: &mut Groups, node: u32, candidate: &Candidate) {
    let site = match candidate.kind {
        Kind::Caches | Kind::Closures => look.sites.of_node(node),
        _ => look.sites.of_any(node),
    };
    let Some(site) = site else { return };
    let retained = look.ownership.retained(candidate.pins);
    // Of a function its own block stays, of a view what it shows. A cache with a bound has a small table from the start.
    let stays = match candidate.kind {
        Kind::Calls | Kind::Tasks | Kind::Tracebacks | Kind::Caches => 0,
        Kind::Closures => look.footprint(candidate.pins),
        // What is needed is copied, into a bytes object or an array of its own.
        _ if candidate.extra == 0 => rounded(BYTES + candidate.items),
        _ => look.footprint(node) + rounded(candidate.items),
    };
    let saving = retained.saturating_sub(stays);
    if candidate.kind == Kind::Views && saving < retained / 2 {
        return;
    }
    if saving > 0 {
        let type_index = look.type_row(node);
        let key = Key { kind: candidate.kind, type_index, site, extra: candidate.extra };
        groups.add(key, One { node: candidate.pins, present: retained, saving, items: candidate.items, extra: 0 });
    }
}

/// Generators and coroutines that are not at their end, but for those of tasks that go on; tasks of which it is.
fn calls_and_tasks(look: &Look<'_, '_>, all: &mut FxHashMap<u32, Candidate>) {
    let (details, graph) = (look.ownership.details, look.ownership.graph);
    let waiting: FxHashSet<u32> = details.calls.iter().map(|call| call.object).collect();
    let mut at_work: FxHashSet<u32> = FxHashSet::default();
    for task in &details.tasks {
        let Some(coroutine) = graph.named(task.object, LinkKind::Field, "coro") else { continue };
        if waiting.contains(&coroutine) {
            at_work.insert(coroutine);
        } else if matches!(look.ownership.type_name(coroutine), "coroutine" | "generator") {
            all.insert(task.object, Candidate { kind: Kind::Tasks, pins: task.object, items: 0, extra: 0 });
        }
    }
    for call in details.calls.iter().filter(|call| !at_work.contains(&call.object)) {
        let extra = call.code.map_or(0, u64::from);
        all.insert(call.object, Candidate { kind: Kind::Calls, pins: call.object, items: 0, extra });
    }
}

/// Exceptions with tracebacks, functions with closures, partials, views.
fn by_type(look: &Look<'_, '_>, all: &mut FxHashMap<u32, Candidate>) {
    let (graph, types) = (look.ownership.graph, &look.ownership.snapshot.types);
    let mut fields: Vec<Option<(&str, Kind)>> = vec![None; types.len()];
    for label in graph.labels().iter().filter(|label| label.kind == LinkKind::Field) {
        let of = look.ownership.type_row_name(label.type_index);
        let found = match (label.name.as_deref(), of) {
            (Some("__traceback__"), _) => Some(("__traceback__", Kind::Tracebacks)),
            (Some("__closure__"), "function") => Some(("__closure__", Kind::Closures)),
            (Some("args"), "functools.partial") => Some(("args", Kind::Closures)),
            (Some("mbuf"), "memoryview") => Some(("mbuf", Kind::Views)),
            (Some("base"), "numpy.ndarray") => Some(("base", Kind::Views)),
            _ => None,
        };
        if let (Some(slot), Some(found)) = (fields.get_mut(label.type_index as usize), found) {
            *slot = Some(found);
        }
    }
    for (node, row) in look.ownership.objects.type_indices().iter().enumerate() {
        let Some((field, kind)) = fields.get(*row as usize).copied().flatten() else { continue };
        let node = node as u32;
        let Some(target) = graph.named(node, LinkKind::Field, field) else { continue };
        // What something else holds too would stay.
        if look.ownership.tree.above(target) != Some(node) {
            continue;
        }
        let (pins, items) = match kind {
            Kind::Views => match look.told_length(node) {
                Some(shown) => (node, shown),
                None => continue,
            },
            _ => (target, 0),
        };
        all.insert(node, Candidate { kind, pins, items, extra: u64::from(field == "base") });
    }
}
