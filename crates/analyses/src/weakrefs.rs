//! `weakrefs`: weak references by what they refer to and by who has them, weak containers, and what pins what should be weak.
//!
//! Holds: [`weakrefs`] and its [`findings`]: a cache of weak values that something else holds, weak containers whose own entries hold each
//! other, callbacks and `weakref.finalize` that hold what they wait for. Never: says which strong reference should have been weak in a
//! cycle, which `cycles` does. Bounded: an object's weak references are never walked; each says itself to what it refers.
//! Sources: `Lib/weakref.py`, `Lib/_weakrefset.py`; `Objects/weakrefobject.c`.

mod callbacks;
mod containers;
mod holders;
mod nested;

use std::cmp::Reverse;

use memory::{Addr, Bytes};
use rustc_hash::FxHashMap;
use snapshot::{LinkKind, WeakRow};

use self::nested::Nested;
use crate::calls::Calls;
use crate::explain::grouped;
use crate::finalizers::look::{codes, Look};
use crate::finding::{Finding, Saves, Sure};
use crate::naming::Names;
use crate::ownership::Ownership;
use crate::place::{Place, Places};

/// The answer to `weakrefs`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WeakRefs {
    /// Whether it is known what each refers to: folders of earlier programs do not have it.
    pub linked: bool,
    /// All of them together.
    pub sums: Sums,
    /// Weak containers, those that keep most first.
    pub containers: Vec<Container>,
    /// Weak containers that are too many to be listed.
    pub more_containers: u64,
    /// By the type of what they refer to, most first.
    pub referents: Vec<Referents>,
    /// By who has them, most first.
    pub holders: Vec<Holders>,
    /// What they call, by function; those of Python's own library last.
    pub callbacks: Vec<Callbacks>,
    /// What `weakref.finalize` keeps alive because what it will call holds it, by function.
    pub finalizes: Vec<Callbacks>,
}

/// Weak references together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Those whose referent lives.
    pub alive: u64,
    /// Those whose referent is gone.
    pub dead: u64,
    /// Those whose referent is no object that was found.
    pub unknown: u64,
    /// Those with a callback.
    pub with_callback: u64,
    /// Their own footprint.
    pub bytes: Bytes,
}

impl Sums {
    fn add(&mut self, row: &WeakRow, bytes: u64) {
        match (row.dead, row.referent) {
            (true, _) => self.dead += 1,
            (false, Some(_)) => self.alive += 1,
            (false, None) => self.unknown += 1,
        }
        self.with_callback += u64::from(row.callback.is_some());
        self.bytes.0 += bytes;
    }

    /// All of them.
    pub fn references(&self) -> u64 {
        self.alive + self.dead + self.unknown
    }
}

/// Weak references to objects of one type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Referents {
    /// The referents' type.
    pub type_name: String,
    /// How many objects are referred to.
    pub objects: u64,
    /// The references to them.
    pub sums: Sums,
}

/// Weak references that one object has, or an attribute of the instances of one class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// The way to the one object, or class and attribute.
    pub holder: String,
    /// The holder's type.
    pub type_name: String,
    /// How many objects that is.
    pub objects: u64,
    /// What they have.
    pub sums: Sums,
}

/// What is weak in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weak {
    /// The values: `WeakValueDictionary`.
    Values,
    /// The keys: `WeakKeyDictionary`.
    Keys,
    /// The members: `WeakSet`.
    Members,
}

impl Weak {
    /// The word of the JSON and of findings.
    pub fn word(self) -> &'static str {
        match self {
            Weak::Values => "values",
            Weak::Keys => "keys",
            Weak::Members => "members",
        }
    }
}

/// A weak container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its way from a root.
    pub path: String,
    /// Its type.
    pub type_name: String,
    /// Its address.
    pub address: Addr,
    /// What of it is weak.
    pub weak: Weak,
    /// Entries of its table.
    pub entries: u64,
    /// Entries whose referent lives, which is what `len` says; `None` where that is not known.
    pub live: Option<u64>,
    /// Entries whose referent is gone; likewise.
    pub dead: Option<u64>,
    /// The container itself, its table and its weak references.
    pub own_bytes: Bytes,
    /// What its referents keep alive, themselves included.
    pub referents_bytes: Bytes,
    /// Who keeps many of its referents alive, most first.
    pub pins: Vec<Pin>,
    /// Referents that its own entries keep alive and nothing else does: they never go.
    pub held_by_itself: u64,
    /// What these keep alive, themselves included.
    pub held_by_itself_bytes: Bytes,
}

/// One object that alone keeps many referents of a weak container alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Its way from a root.
    pub path: String,
    /// Its type.
    pub type_name: String,
    /// Its address.
    pub address: Addr,
    /// How many referents.
    pub entries: u64,
    /// What these keep alive, themselves included.
    pub bytes: Bytes,
    /// The type of what stands between it and them, where something does: `method` for bound methods.
    pub through: Option<String>,
}

/// What weak references call, and whether it holds what they wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callbacks {
    /// The function's name; of C code `C code`.
    pub function: String,
    /// Where it is defined.
    pub place: Option<Place>,
    /// How many have it.
    pub count: u64,
    /// Of these those that hold the referent themselves: it is never called as long as the weak reference lives.
    pub holding: u64,
    /// Of these those that alone keep it alive.
    pub pinning: u64,
    /// What goes when these let go.
    pub pinned_bytes: Bytes,
    /// Where that is saved.
    pub tops: Vec<(u32, u64)>,
    /// The type of most of what they keep alive.
    pub pinned_type: String,
}

/// What the questions have in common.
struct Links<'a, 's> {
    ownership: &'a Ownership<'s>,
    look: Look<'a, 's>,
    /// By the row of the weak reference.
    rows: &'s [WeakRow],
    linked: bool,
    nested: Nested,
}

impl<'a, 's> Links<'a, 's> {
    fn of(ownership: &'a Ownership<'s>, places: &'a Places<'s>) -> Links<'a, 's> {
        let rows = ownership.details.weakrefs.as_deref();
        let look = Look { ownership, places, codes: codes(ownership), unused_alone: false };
        Links { ownership, look, rows: rows.unwrap_or_default(), linked: rows.is_some(), nested: Nested::of(ownership) }
    }

    fn row(&self, object: u32) -> Option<&'s WeakRow> {
        let at = self.rows.binary_search_by_key(&object, |row| row.object).ok()?;
        self.rows.get(at)
    }

    fn footprint(&self, node: u32) -> u64 {
        self.ownership.objects.footprint_bytes().get(node as usize).map_or(0, |bytes| bytes.0)
    }

    fn address(&self, node: u32) -> Addr {
        self.ownership.objects.addresses().get(node as usize).copied().unwrap_or_default()
    }

    /// An attribute of an instance, wherever it keeps it.
    fn attribute(&self, node: u32, name: &str) -> Option<u32> {
        let graph = self.ownership.graph;
        let own = [LinkKind::Attribute, LinkKind::Slot].into_iter().find_map(|kind| graph.named(node, kind, name));
        own.or_else(|| graph.named(graph.named(node, LinkKind::Field, "__dict__")?, LinkKind::Attribute, name))
    }

    /// What stands right below `owner` on the way to what it keeps alive.
    fn below(&self, owner: u32, node: u32) -> u32 {
        /// The dominator tree may be as high as a list is long; further up nothing is told.
        const HEIGHT_MOST: usize = 1000;
        let mut at = node;
        for _ in 0..HEIGHT_MOST {
            match self.ownership.tree.above(at) {
                Some(above) if above == owner => return at,
                Some(above) if self.nested.keeps(owner, above) => at = above,
                _ => return node,
            }
        }
        node
    }

    /// What these retain together.
    fn retained(&self, nodes: Vec<u32>) -> u64 {
        self.nested.outermost(nodes).iter().map(|node| self.ownership.retained(*node)).sum()
    }
}

/// Everything about weak references.
pub fn weakrefs(ownership: &Ownership<'_>, places: &Places<'_>) -> WeakRefs {
    let links = Links::of(ownership, places);
    let mut sums = Sums::default();
    links.rows.iter().for_each(|row| sums.add(row, links.footprint(row.object)));
    let found = containers::all(&links);
    let held = holders::grouped(&links, &found);
    let mut wanted: Vec<u32> = found.iter().take(containers::LISTED_MOST).flat_map(containers::Found::wanted).collect();
    wanted.extend(held.iter().take(holders::NAMED_MOST).filter_map(holders::Group::wanted));
    let names = Names::of(ownership, &wanted);
    let more_containers = found.len().saturating_sub(containers::LISTED_MOST) as u64;
    WeakRefs {
        linked: links.linked,
        sums,
        containers: found.iter().take(containers::LISTED_MOST).map(|one| one.described(&links, &names)).collect(),
        more_containers,
        referents: referents(&links),
        holders: held.iter().enumerate().map(|(place, group)| group.described(&links, &names, place)).collect(),
        callbacks: callbacks::callbacks(&links),
        finalizes: callbacks::finalizes(&links),
    }
}

fn referents(links: &Links<'_, '_>) -> Vec<Referents> {
    let mut by_type: FxHashMap<u32, (Sums, Vec<u32>)> = FxHashMap::default();
    for row in links.rows {
        let Some(referent) = row.referent else { continue };
        let (sums, objects) = by_type.entry(links.look.type_of(referent)).or_default();
        sums.add(row, links.footprint(row.object));
        objects.push(referent);
    }
    let mut by_name: FxHashMap<&str, Referents> = FxHashMap::default();
    for (row, (sums, mut objects)) in by_type {
        objects.sort_unstable();
        objects.dedup();
        let name = links.ownership.type_row_name(row);
        let group = by_name.entry(name).or_insert_with(|| Referents { type_name: name.to_owned(), ..Referents::default() });
        group.objects += objects.len() as u64;
        group.sums.alive += sums.alive;
        group.sums.with_callback += sums.with_callback;
        group.sums.bytes.0 += sums.bytes.0;
    }
    let mut all: Vec<Referents> = by_name.into_values().collect();
    all.sort_by(|a, b| (b.sums.bytes, b.sums.alive).cmp(&(a.sums.bytes, a.sums.alive)).then_with(|| a.type_name.cmp(&b.type_name)));
    all
}

/// Weak containers that are pinned or hold themselves, callbacks and `weakref.finalize` that hold what they wait for.
pub fn findings(ownership: &Ownership<'_>, places: &Places<'_>, calls: &Calls<'_, '_>) -> Vec<Finding> {
    if ownership.details.weakrefs.as_ref().is_none_or(Vec::is_empty) {
        return Vec::new();
    }
    let links = Links::of(ownership, places);
    let found = containers::all(&links);
    let told: Vec<&containers::Found> = found.iter().filter(|one| one.is_told()).collect();
    let wanted: Vec<u32> = told.iter().flat_map(|one| one.wanted()).collect();
    let mut all = Vec::new();
    if !wanted.is_empty() {
        let names = Names::of(ownership, &wanted);
        all.extend(told.iter().flat_map(|one| one.findings(&links, &names, calls)));
    }
    for (what, advice, known, groups) in [
        ("callbacks of weak references", "use weakref.WeakMethod or a function", Sure::Exact, callbacks::callbacks(&links)),
        ("calls of weakref.finalize", "give it what is to be closed, not the object", Sure::Estimated, callbacks::finalizes(&links)),
    ] {
        all.extend(groups.into_iter().filter(|group| group.pinning > 0).map(|group| {
            let n = grouped(group.pinning as usize);
            Finding {
                id: "weakrefs",
                title: format!("{n} {what} ({}) hold the {} that they wait for: {advice}", group.function, group.pinned_type),
                saving_bytes: group.pinned_bytes,
                known,
                place: group.place,
                evidence: format!(
                    "{n} of {} calls of {} are by a bound method, a closure or arguments that alone keep the object alive, so that it never goes",
                    grouped(group.count as usize),
                    group.function,
                ),
                saves: Saves::At(group.tops),
            }
        }));
    }
    all.sort_by(|a, b| (Reverse(a.saving_bytes), &a.title).cmp(&(Reverse(b.saving_bytes), &b.title)));
    all
}

#[cfg(test)]
mod tests {
    use snapshot::Snapshot;

    use super::*;
    use crate::testing::Made;

    /// A weak-valued cache of 200 pages, each of which `holder` makes the cache's table, a list or something else hold.
    fn cache(mut holder: impl FnMut(&mut Made, u32, u32, u32)) -> Snapshot {
        let mut made = Made::default();
        let (_, library) = made.module("weakref");
        let (class, mro) = (made.object("type", 1, 9), made.object("tuple", 1, 1));
        made.link(library, class, LinkKind::Attribute, "WeakValueDictionary");
        made.link(class, mro, LinkKind::Field, "__mro__");
        made.link(mro, class, LinkKind::Index, "");
        let (_, globals) = made.module("app");
        let (cache, table) = (made.object("weakref.WeakValueDictionary", 50, 1), made.object("dict", 400, 1));
        made.class("weakref.WeakValueDictionary", class);
        made.link(globals, cache, LinkKind::Attribute, "CACHE");
        made.link(cache, table, LinkKind::Attribute, "data");
        let owner = made.object("list", 800, 1);
        made.link(globals, owner, LinkKind::Attribute, "HISTORY");
        let mut rows = Vec::new();
        for n in 0..200 {
            let (weak, page) = (made.object("weakref.KeyedRef", 10, 1), made.object("app.Page", 100, 1));
            made.link(table, weak, LinkKind::Value, "");
            holder(&mut made, table, owner, page);
            rows.push(WeakRow { object: weak, referent: Some(page), dead: false, callback: None });
            if n % 2 == 0 {
                let gone = made.object("weakref.KeyedRef", 10, 1);
                made.link(table, gone, LinkKind::Value, "");
                rows.push(WeakRow { object: gone, referent: None, dead: true, callback: None });
            }
        }
        let mut snapshot = made.snapshot();
        snapshot.details.as_mut().unwrap().weakrefs = Some(rows);
        snapshot
    }

    fn look(snapshot: &Snapshot) -> (WeakRefs, Vec<Finding>) {
        let ownership = Ownership::of(snapshot).unwrap();
        let places = Places::of(ownership.objects, ownership.graph, ownership.details);
        (weakrefs(&ownership, &places), findings(&ownership, &places, &Calls::of(&ownership)))
    }

    #[test]
    fn a_list_that_keeps_the_values_of_a_weak_cache_pins_it() {
        let snapshot = cache(|made, _, list, page| made.link(list, page, LinkKind::Index, ""));
        let (found, told) = look(&snapshot);
        let one = &found.containers[0];
        assert_eq!((one.path.as_str(), one.entries, one.live, one.dead), ("app.CACHE", 300, Some(200), Some(100)));
        assert_eq!((one.own_bytes, one.referents_bytes), (Bytes(50 + 400 + 3000), Bytes(20_000)));
        let pin = &one.pins[0];
        assert_eq!((pin.path.as_str(), pin.entries, pin.bytes, &pin.through), ("app.HISTORY", 200, Bytes(20_000), &None));
        // The list with its places; in the cache the weak references of what lives, and their part of its table.
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].saving_bytes, Bytes(20_000 + 800 + 2000 + 400 * 2 / 3));
        assert_eq!((found.sums.alive, found.sums.dead, found.sums.bytes), (200, 100, Bytes(3000)));
        assert_eq!((found.referents[0].objects, found.holders[0].holder.as_str()), (200, "app.CACHE"));
    }

    #[test]
    fn instances_that_each_use_a_value_pin_nothing_and_others_are_not_told() {
        let each = |made: &mut Made, _, list, page| {
            let session = made.object("app.Session", 20, 1);
            made.link(list, session, LinkKind::Index, "");
            made.link(session, page, LinkKind::Slot, "page");
        };
        let (found, told) = look(&cache(each));
        assert_eq!(found.containers[0].pins[0].through.as_deref(), Some("app.Session"));
        assert_eq!(told, []);
        // A folder of an earlier program.
        let mut snapshot = cache(each);
        snapshot.details.as_mut().unwrap().weakrefs = None;
        let (found, told) = look(&snapshot);
        assert_eq!((found.linked, found.containers[0].entries, found.containers[0].live), (false, 300, None));
        assert_eq!(told, []);
    }

    #[test]
    fn keys_that_hold_the_values_are_told() {
        let snapshot = cache(|made, table, _, page| {
            let key = made.object("app.Key", 30, 1);
            made.link(table, key, LinkKind::Key, "");
            made.link(key, page, LinkKind::Slot, "page");
        });
        let (found, told) = look(&snapshot);
        assert_eq!((found.containers[0].held_by_itself, found.containers[0].held_by_itself_bytes), (200, Bytes(26_000)));
        assert!(told[0].title.starts_with("app.CACHE: 200 values are held by their own keys"), "{told:#?}");
    }
}
