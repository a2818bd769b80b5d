//! What weak references call when their referent goes, and whether that holds the referent: then it never goes, and nothing is ever called.
//!
//! Holds: [`callbacks`] and [`finalizes`]. Bounded: what a callback holds is followed over [`STEPS_MOST`] references.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use snapshot::LinkKind;

use super::{Callbacks, Links};
use crate::place::{is_standard, Place};

/// References that are followed from a callback, over bound methods, closures, defaults and partials.
const STEPS_MOST: usize = 64;
/// Fields of what is called that hold objects for the call.
const CALL_FIELDS: [&str; 9] =
    ["__self__", "__func__", "__closure__", "__defaults__", "__kwdefaults__", "func", "args", "keywords", "kwargs"];

type ByFunction = BTreeMap<(String, Option<Place>), Sum>;

#[derive(Default)]
struct Sum {
    count: u64,
    holding: u64,
    pinning: u64,
    tops: Vec<u32>,
    types: BTreeMap<String, u64>,
    /// A table and what of it goes with the entries.
    places: Vec<(u32, u64)>,
}

/// The callbacks of weak references, but for those of `weakref.finalize`, which are [`finalizes`].
pub(super) fn callbacks(links: &Links<'_, '_>) -> Vec<Callbacks> {
    let mut known: FxHashMap<u32, (String, Option<Place>)> = FxHashMap::default();
    let mut by_function = ByFunction::new();
    for row in links.rows {
        let Some(callback) = row.callback else { continue };
        if links.ownership.type_name(callback) == "weakref.finalize" {
            continue;
        }
        let called = known.entry(callback).or_insert_with(|| links.look.called(callback)).clone();
        let sum = by_function.entry(called).or_default();
        sum.count += 1;
        let Some(referent) = row.referent else { continue };
        let is_pinned = links.nested.keeps(row.object, referent);
        if is_pinned {
            sum.pin(links, [links.below(row.object, referent)], referent);
        }
        sum.holding += u64::from(is_pinned || holds(links, callback, referent));
    }
    listed(links, by_function)
}

/// What `weakref.finalize` will call: entries of its registry, which keep function and arguments.
pub(super) fn finalizes(links: &Links<'_, '_>) -> Vec<Callbacks> {
    let graph = links.ownership.graph;
    let mut by_function = ByFunction::new();
    for class in links.look.of_module("weakref", "finalize") {
        let Some(registry) = links.attribute(class, "_registry") else { continue };
        let notes = graph.of(registry).filter(|link| link.label.kind == LinkKind::Value);
        let place = links.footprint(registry) / (notes.count() as u64).max(1);
        for note in graph.of(registry).filter(|link| link.label.kind == LinkKind::Value) {
            let slot = |name: &str| links.attribute(note.target, name);
            let (Some(weak), Some(func)) = (slot("weakref"), slot("func")) else { continue };
            let sum = by_function.entry(links.look.called(func)).or_default();
            sum.count += 1;
            let Some((row, referent)) = links.row(weak).and_then(|row| Some((row, row.referent?))) else { continue };
            let is_pinned = links.nested.keeps(note.target, referent);
            if is_pinned {
                // When it goes, so does its entry: what was to be called, and the finalize object that is its key.
                let key = row.callback.filter(|key| links.ownership.tree.above(*key) == Some(registry));
                sum.pin(links, [note.target].into_iter().chain(key), referent);
                match sum.places.iter_mut().find(|(table, _)| *table == registry) {
                    Some((_, bytes)) => *bytes += place,
                    None => sum.places.push((registry, place)),
                }
            }
            let among = ["func", "args", "kwargs"].into_iter().filter_map(slot);
            let held = is_pinned || among.into_iter().any(|node| node == referent || holds(links, node, referent));
            sum.holding += u64::from(held);
        }
    }
    listed(links, by_function)
}

impl Sum {
    fn pin(&mut self, links: &Links<'_, '_>, tops: impl IntoIterator<Item = u32>, referent: u32) {
        self.pinning += 1;
        self.tops.extend(tops);
        *self.types.entry(links.ownership.type_name(referent).to_owned()).or_default() += 1;
    }
}

/// Whether what is called holds an object for the call.
fn holds(links: &Links<'_, '_>, called: u32, object: u32) -> bool {
    let graph = links.ownership.graph;
    let mut ahead = vec![called];
    let mut steps = 0;
    while let Some(node) = ahead.pop() {
        for link in graph.of(node) {
            let is_of_call = match link.label.kind {
                LinkKind::Field => link.label.name.as_deref().is_some_and(|name| CALL_FIELDS.contains(&name)),
                LinkKind::Cell => true,
                // Of tuples of cells, defaults and arguments.
                LinkKind::Index | LinkKind::Value => node != called,
                _ => false,
            };
            if !is_of_call {
                continue;
            }
            if link.target == object {
                return true;
            }
            steps += 1;
            if steps >= STEPS_MOST {
                return false;
            }
            // Beyond the call's own parts it is what these hold, which is not the callback's doing.
            if matches!(links.ownership.type_name(link.target), "tuple" | "cell" | "function" | "method" | "functools.partial") {
                ahead.push(link.target);
            }
        }
    }
    false
}

fn listed(links: &Links<'_, '_>, by_function: ByFunction) -> Vec<Callbacks> {
    let mut all: Vec<Callbacks> = by_function
        .into_iter()
        .map(|((function, place), sum)| {
            let mut tops: Vec<(u32, u64)> =
                links.nested.outermost(sum.tops).into_iter().map(|top| (top, links.ownership.retained(top))).collect();
            tops.extend(sum.places);
            let most = sum.types.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(&a.0)));
            Callbacks {
                function,
                place,
                count: sum.count,
                holding: sum.holding,
                pinning: sum.pinning,
                pinned_bytes: memory::Bytes(tops.iter().map(|(_, bytes)| bytes).sum()),
                tops,
                pinned_type: most.map(|(name, _)| name).unwrap_or_default(),
            }
        })
        .collect();
    let own = |c: &Callbacks| c.place.as_ref().is_none_or(|place| is_standard(&place.file));
    all.sort_by(|a, b| {
        (b.holding, !own(b), b.count)
            .cmp(&(a.holding, !own(a), a.count))
            .then_with(|| (&a.function, &a.place).cmp(&(&b.function, &b.place)))
    });
    all
}
