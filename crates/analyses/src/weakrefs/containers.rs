//! Weak containers: what is in them, and who keeps it alive.
//!
//! Holds: [`all`]: `WeakValueDictionary`, `WeakKeyDictionary`, `WeakSet` and classes that inherit from them, each with the objects that alone
//! keep many of its referents alive, and with those that its own entries hold. Bounded: from a referent [`LEVELS`] are gone up.

use std::cmp::Reverse;

use graph::Dominators;
use memory::Bytes;
use rustc_hash::FxHashMap;
use snapshot::LinkKind;

use super::{Container, Links, Pin, Weak};
use crate::calls::Calls;
use crate::explain::{grouped, place_of};
use crate::finding::{Finding, Saves, Sure};
use crate::naming::{joined, Names, Step};

/// Containers that are listed.
pub(super) const LISTED_MOST: usize = 1000;
/// How far up from a referent its owner is looked for.
const LEVELS: usize = 6;
/// One that keeps fewer referents alive pins nothing.
const PIN_LEAST: u64 = 10;
/// Nor one that keeps less than this part of them.
const PIN_PART: u64 = 20;
/// Pins of one container that are told.
const PINS_MOST: usize = 8;
/// A finding is about so many entries or more.
const MANY_ENTRIES: u64 = 100;
/// What may stand between an owner and what it pins without being an owner itself.
const BETWEEN: [&str; 9] =
    ["tuple", "list", "dict", "set", "method", "cell", "functools._lru_list_elem", "functools.partial", "collections.deque"];

/// A weak container.
pub(super) struct Found {
    pub(super) node: u32,
    /// Its dict or set.
    pub(super) table: u32,
    weak: Weak,
    entries: u64,
    live: u64,
    dead: u64,
    own: u64,
    referents: u64,
    pins: Vec<FoundPin>,
    itself: Itself,
}

/// Referents that one object keeps alive.
struct FoundPin {
    owner: u32,
    entries: u64,
    bytes: u64,
    through: Option<&'static str>,
    between: Option<String>,
    /// What goes when it lets go of them, its own places for them included.
    saves: u64,
    /// What goes in the weak container then.
    entries_save: u64,
}

/// Referents that the container's own entries keep alive.
#[derive(Default)]
struct Itself {
    entries: u64,
    bytes: u64,
    /// With what their entries take.
    saves: u64,
}

/// All of them, what keeps most first.
pub(super) fn all(links: &Links<'_, '_>) -> Vec<Found> {
    let mut kinds: FxHashMap<u32, Weak> = FxHashMap::default();
    let classes = [
        ("WeakValueDictionary", "weakref", Weak::Values),
        ("WeakKeyDictionary", "weakref", Weak::Keys),
        ("WeakSet", "_weakrefset", Weak::Members),
    ];
    for (name, module, weak) in classes {
        let bases = links.look.of_module(module, name);
        if !bases.is_empty() {
            kinds.extend(links.look.inheriting(&bases, weak));
        }
    }
    if kinds.is_empty() {
        return Vec::new();
    }
    let of_type = links.ownership.objects.type_indices().iter().enumerate();
    let nodes = of_type.filter_map(|(node, row)| kinds.get(row).map(|weak| (node as u32, *weak)));
    let mut found: Vec<Found> = nodes.filter_map(|(node, weak)| one(links, node, weak)).collect();
    found.sort_by_key(|one| (Reverse(one.referents + one.own), one.node));
    found
}

/// One of its entries that lives.
struct Entry {
    weakref: u32,
    referent: u32,
}

fn one(links: &Links<'_, '_>, node: u32, weak: Weak) -> Option<Found> {
    let graph = links.ownership.graph;
    let table = links.attribute(node, "data")?;
    let kind = match weak {
        Weak::Values => LinkKind::Value,
        Weak::Keys => LinkKind::Key,
        Weak::Members => LinkKind::Member,
    };
    let dict = graph.named(node, LinkKind::Field, "__dict__");
    let mut found = Found {
        node,
        table,
        weak,
        entries: 0,
        live: 0,
        dead: 0,
        own: links.footprint(node) + dict.map_or(0, |dict| links.footprint(dict)) + links.footprint(table),
        referents: 0,
        pins: Vec::new(),
        itself: Itself::default(),
    };
    let mut live: Vec<Entry> = Vec::new();
    for link in graph.of(table).filter(|link| link.label.kind == kind) {
        found.entries += 1;
        let Some(row) = links.row(link.target) else { continue };
        found.own += links.footprint(row.object);
        found.dead += u64::from(row.dead);
        live.extend(row.referent.map(|referent| Entry { weakref: row.object, referent }));
    }
    found.live = live.len() as u64;
    found.referents = links.retained(live.iter().map(|entry| entry.referent).collect());
    let (own, others): (Vec<Entry>, Vec<Entry>) = live.into_iter().partition(|entry| links.nested.keeps(table, entry.referent));
    if !own.is_empty() {
        let tops = own.iter().map(|entry| links.below(table, entry.referent)).collect();
        let kept = links.retained(tops);
        let weakrefs: u64 = own.iter().map(|entry| links.footprint(entry.weakref)).sum();
        found.itself = Itself {
            entries: own.len() as u64,
            bytes: kept,
            saves: kept + weakrefs + share(links.footprint(table), own.len() as u64, found.entries),
        };
    }
    found.pins = pins(links, &found, &others);
    Some(found)
}

/// The part of a table that some of its entries take.
fn share(bytes: u64, entries: u64, of: u64) -> u64 {
    (u128::from(bytes) * u128::from(entries.min(of)) / u128::from(of.max(1))) as u64
}

/// Who alone keeps many of these alive: of the objects above a referent the lowest that has many of the others too.
fn pins(links: &Links<'_, '_>, container: &Found, entries: &[Entry]) -> Vec<FoundPin> {
    let ownership = links.ownership;
    let least = PIN_LEAST.max(container.live / PIN_PART);
    if (entries.len() as u64) < least {
        return Vec::new();
    }
    // A module, a class or a frame has things of its own; it is no one's pin.
    let above = |node: u32| ownership.tree.above(node).filter(|above| *above != Dominators::ROOT && !ownership.modules.contains_key(above));
    let up = |node: u32| std::iter::successors(above(node), |node| above(*node)).take(LEVELS);
    let mut counts: FxHashMap<u32, u64> = FxHashMap::default();
    for entry in entries {
        up(entry.referent).for_each(|node| *counts.entry(node).or_default() += 1);
    }
    let mut by_owner: FxHashMap<u32, Vec<&Entry>> = FxHashMap::default();
    for entry in entries {
        let owner = up(entry.referent).find(|node| counts.get(node).is_some_and(|count| *count >= least));
        if let Some(owner) = owner {
            by_owner.entry(owner).or_default().push(entry);
        }
    }
    let mut owners: Vec<(u32, Vec<&Entry>)> = by_owner.into_iter().filter(|(_, entries)| entries.len() as u64 >= least).collect();
    owners.sort_by_key(|(owner, entries)| (Reverse(entries.len()), *owner));
    owners.truncate(PINS_MOST);
    owners.into_iter().map(|(owner, entries)| pin(links, container, owner, &entries)).collect()
}

fn pin(links: &Links<'_, '_>, container: &Found, owner: u32, entries: &[&Entry]) -> FoundPin {
    let (ownership, graph) = (links.ownership, links.ownership.graph);
    let tops: Vec<u32> = entries.iter().map(|entry| links.below(owner, entry.referent)).collect();
    let mut between: FxHashMap<&str, u64> = FxHashMap::default();
    for (top, _) in tops.iter().zip(entries).filter(|(top, entry)| **top != entry.referent) {
        *between.entry(ownership.type_name(*top)).or_default() += 1;
    }
    let between = between.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(a.0))).map(|(name, _)| name);
    let through = between.and_then(|name| BETWEEN.into_iter().find(|known| *known == name));
    let bytes = links.retained(entries.iter().map(|entry| entry.referent).collect());
    // What is nothing but a place for a referent goes with it.
    let gone = if between.is_none() || through.is_some() { links.retained(tops) } else { bytes };
    let places =
        graph.of(owner).filter(|link| matches!(link.label.kind, LinkKind::Index | LinkKind::Value | LinkKind::Member)).count() as u64;
    // Keys of the owner's own that nothing else holds go with what stands under them.
    let keys = graph.of(owner).filter(|link| link.label.kind == LinkKind::Key && ownership.tree.above(link.target) == Some(owner));
    let keys: u64 = keys.map(|link| ownership.retained(link.target)).sum();
    let of_owner = links.footprint(owner) + keys;
    let own_places = if places >= entries.len() as u64 { share(of_owner, entries.len() as u64, places) } else { 0 };
    // A key of the weak dictionary that is held by nothing else goes with its entry.
    let key = |weakref: u32| graph.named(weakref, LinkKind::Slot, "key").filter(|key| ownership.tree.above(*key) == Some(container.table));
    let of_entry = |entry: &&Entry| links.footprint(entry.weakref) + key(entry.weakref).map_or(0, |key| ownership.retained(key));
    let table = share(links.footprint(container.table), entries.len() as u64, container.entries);
    FoundPin {
        owner,
        entries: entries.len() as u64,
        bytes,
        through,
        between: between.map(str::to_owned),
        saves: gone + own_places,
        entries_save: entries.iter().map(of_entry).sum::<u64>() + table,
    }
}

impl FoundPin {
    /// An instance that has a referent among other things uses it; only containers, closures and bound methods pin.
    fn is_container(&self) -> bool {
        self.between.is_none() || self.through.is_some()
    }
}

impl Found {
    /// The objects that are to be named.
    pub(super) fn wanted(&self) -> impl Iterator<Item = u32> + use<'_> {
        std::iter::once(self.node).chain(self.pins.iter().map(|pin| pin.owner))
    }

    /// Whether there is a finding about it.
    pub(super) fn is_told(&self) -> bool {
        self.itself.entries >= MANY_ENTRIES || self.told_pins().next().is_some()
    }

    /// Pins that are a mistake: of a cache of weak values one container keeps half or more. Keys and members that live elsewhere are what
    /// weak keys and members are for, unless bound methods hold them: those are callbacks.
    fn told_pins(&self) -> impl Iterator<Item = &FoundPin> {
        let is_most = move |pin: &&FoundPin| pin.entries >= MANY_ENTRIES && pin.entries * 2 >= self.live;
        let is_mistake = move |pin: &&FoundPin| pin.is_container() && (self.weak == Weak::Values || pin.through == Some("method"));
        self.pins.iter().filter(is_most).filter(is_mistake)
    }

    pub(super) fn described(&self, links: &Links<'_, '_>, names: &Names<'_, '_>) -> Container {
        let type_name = |node: u32| links.ownership.type_name(node).to_owned();
        let pin = |pin: &FoundPin| {
            let (steps, owner) = owner_of(links, names, pin.owner);
            let (path, between) = (joined(&steps), pin.between.clone());
            let type_name = type_name(owner);
            Pin { path, type_name, address: links.address(owner), entries: pin.entries, bytes: Bytes(pin.bytes), through: between }
        };
        Container {
            path: names.text(self.node),
            type_name: type_name(self.node),
            address: links.address(self.node),
            weak: self.weak,
            entries: self.entries,
            live: links.linked.then_some(self.live),
            dead: links.linked.then_some(self.dead),
            own_bytes: Bytes(self.own),
            referents_bytes: Bytes(self.referents),
            pins: self.pins.iter().map(pin).collect(),
            held_by_itself: self.itself.entries,
            held_by_itself_bytes: Bytes(self.itself.bytes),
        }
    }

    pub(super) fn findings(&self, links: &Links<'_, '_>, names: &Names<'_, '_>, calls: &Calls<'_, '_>) -> Vec<Finding> {
        let path = names.text(self.node);
        let mut all = Vec::new();
        for pin in self.told_pins() {
            let (steps, owner) = owner_of(links, names, pin.owner);
            let n = grouped(pin.entries as usize);
            let by = match pin.through {
                Some("method") => ", by bound methods: use weakref.WeakMethod",
                _ => ": let go of them there, or bound it",
            };
            let told = joined(&steps);
            all.push(Finding {
                id: "weakrefs",
                title: format!("{path} is weak, but {told} pins {n} of its {}{by}", self.weak.word()),
                saving_bytes: Bytes(pin.saves + pin.entries_save),
                known: Sure::AtMost,
                place: place_of(links.ownership, links.look.places, calls, &steps),
                evidence: format!(
                    "{n} of its {} live {} are kept alive by {told}, a {}, and by nothing else: {} bytes there, {} in their entries of the weak {}",
                    grouped(self.live as usize),
                    self.weak.word(),
                    links.ownership.type_name(owner),
                    pin.saves,
                    pin.entries_save,
                    links.ownership.type_name(self.node),
                ),
                saves: Saves::At(vec![(pin.owner, pin.saves), (self.table, pin.entries_save)]),
            });
        }
        if self.itself.entries >= MANY_ENTRIES {
            let n = grouped(self.itself.entries as usize);
            let (held, by) = match self.weak {
                Weak::Keys => ("keys", "values"),
                _ => ("values", "keys"),
            };
            // Its own class is the library's, and no place to change.
            let mut steps = names.steps(self.node);
            steps.pop();
            all.push(Finding {
                id: "weakrefs",
                title: format!("{path}: {n} {held} are held by their own {by}, so that no entry ever goes: make that way weak"),
                saving_bytes: Bytes(self.itself.saves),
                known: Sure::Estimated,
                place: place_of(links.ownership, links.look.places, calls, &steps),
                evidence: format!(
                    "{n} of {} live {held} of the {} are kept alive by the container itself and by nothing else: {} bytes; with their entries {}",
                    grouped(self.live as usize),
                    links.ownership.type_name(self.node),
                    self.itself.bytes,
                    self.itself.saves,
                ),
                saves: Saves::At(vec![(self.table, self.itself.saves)]),
            });
        }
        all
    }
}

/// The way to an owner, and the object that is to be told; of the table of an lru_cache that is the function.
fn owner_of(links: &Links<'_, '_>, names: &Names<'_, '_>, node: u32) -> (Vec<Step>, u32) {
    let mut steps = names.steps(node);
    let before = steps.iter().rev().nth(1).map(|step| step.node);
    let cache = before.filter(|node| links.ownership.type_name(*node) == "functools._lru_cache_wrapper");
    match cache {
        Some(cache) => {
            steps.pop();
            (steps, cache)
        }
        None => (steps, node),
    }
}
