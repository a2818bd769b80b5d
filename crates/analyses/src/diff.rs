//! `diff`: what came, what went and what stayed between looks at one process, and what grows.
//!
//! Objects of CPython never move: an object is the same as before where its address, its type and what marks its content are the same. Marks
//! are what cannot change while it lives: the fingerprint of a value, where both looks have one made with the same key, the length of what
//! is immutable, the collector's generation, which never gets younger, and the place of an instance's dict. An instance whose attributes
//! all refer to other objects than before is taken for another, too. Where not even an attribute is the instance's own and the same as
//! before, nothing tells an instance from another of its class at its address: it counts as the same, and is counted as unsure.
//!
//! Holds: [`Look`], [`diff`]. Never: compares looks at different processes (that is refused before).
//! Sources: `Modules/gcmodule.c` of 3.8 to 3.13, `Python/gc.c` later: lists are merged into older ones only. Exact dicts and tuples are
//! left out there: the collector takes those without containers off its lists, and what is put in brings them back as young ones.

mod followed;
mod marks;

use std::borrow::Cow;
use std::cmp::Reverse;

use memory::{Addr, Bytes};
use rustc_hash::{FxHashMap, FxHashSet};
use snapshot::{Details, LinkKind, Objects, Snapshot};

use self::followed::Followed;
pub use self::marks::Marks;
use crate::naming::Names;
use crate::ownership::{Hold, Ownership};
use crate::retained::retained;

/// Types that grow by entries.
const CONTAINERS: [&str; 6] = ["list", "dict", "set", "collections.deque", "collections.OrderedDict", "collections.defaultdict"];
/// A container that gains fewer entries in one step is no suspect: programs breathe.
const STEP_LEAST: u64 = 10;
/// Nor is one whose retained bytes grow by less.
const BYTES_LEAST: u64 = 1024;
/// An owner that is no container is one from these on: so many objects, so many bytes.
const OWNER_OBJECTS: u64 = 100;
const OWNER_BYTES: u64 = 16 << 10;

/// One look at the process.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Its objects; the first and the last look have their graph, too.
    pub snapshot: Snapshot,
    /// For each object its length; [`Details::NO_LENGTH`] for what has none.
    pub lengths: Vec<u64>,
    /// For each object the fingerprint of its value, where it has one.
    pub fingerprints: Vec<Option<u64>>,
    /// By which key they were made.
    pub key: Option<String>,
    /// What is asked of a look's graph, once it was [read](Look::read_graph).
    pub read: Option<Read>,
}

/// What is asked of a look's graph.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// What each object retains.
    retained: Vec<u64>,
    /// What each owner retains, by its path, its type, and whether it is the rest of it.
    by_path: FxHashMap<(String, String, bool), u64>,
    /// What tells instances apart.
    marks: Marks,
}

impl Look {
    /// Asks the graph what a comparison needs. A look between the first and the last needs its graph no longer then.
    pub fn read_graph(&mut self) {
        self.read = Read::of(&self.snapshot);
    }
}

impl Read {
    fn of(snapshot: &Snapshot) -> Option<Read> {
        let ownership = Ownership::of(snapshot)?;
        let by_path =
            retained(&ownership, None).owners.into_iter().map(|o| ((o.path, o.type_name, o.is_rest), o.retained_bytes.0)).collect();
        let retained = (0..ownership.objects.len() as u32).map(|node| ownership.retained(node)).collect();
        Some(Read { retained, by_path, marks: Marks::of(snapshot)? })
    }
}

/// So many objects of so many bytes, as footprint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub objects: u64,
    /// Their footprint.
    pub bytes: Bytes,
}

impl Count {
    fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes.0 = self.bytes.0.saturating_add(bytes);
    }

    fn sub(self, other: Count) -> Count {
        let bytes = Bytes(self.bytes.0.saturating_sub(other.bytes.0));
        Count { objects: self.objects.saturating_sub(other.objects), bytes }
    }
}

/// From the first look to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// In the last look and not in the first.
    pub new: Count,
    /// In the first look and not in the last.
    pub gone: Count,
    /// In both.
    pub survived: Count,
    /// New in a look between the first and the last, and still there in the last.
    pub stayed: Count,
}

/// What became of the instances of one type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeChange {
    /// Its name.
    pub name: String,
    /// How many there were in each look.
    pub looks: Vec<Count>,
    /// What came and went.
    pub change: Change,
}

/// An owner that retains more or less than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerChange {
    /// Its way from a root.
    pub path: String,
    /// Its type.
    pub type_name: String,
    /// Its address in the last look.
    pub address: Addr,
    /// What it retained in the first look; nothing where it was not there.
    pub first_bytes: Bytes,
    /// What it retains in the last look.
    pub last_bytes: Bytes,
    /// What it retained in each look.
    pub looks: Vec<Bytes>,
    /// How many objects that are.
    pub objects: u64,
}

impl OwnerChange {
    /// Whether it retained more in each look than in the one before.
    pub fn grew_in_each(&self) -> bool {
        self.looks.windows(2).all(|pair| matches!(pair, [a, b] if a < b))
    }
}

/// A container that had more entries in each look than in the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growing {
    /// Its way from a root.
    pub path: String,
    /// Its type.
    pub type_name: String,
    /// Where it lies.
    pub address: Addr,
    /// Its entries in each look.
    pub lengths: Vec<u64>,
    /// What it retained in the first look.
    pub first_bytes: Bytes,
    /// What it retains in the last look.
    pub last_bytes: Bytes,
    /// What most of its new entries are, and how many of them were not there in the first look.
    pub entries: Option<(String, u64)>,
}

impl Growing {
    /// By how many entries it grew.
    pub fn grew_by(&self) -> u64 {
        self.lengths.last().copied().unwrap_or(0).saturating_sub(self.lengths.first().copied().unwrap_or(0))
    }
}

/// What looks like a leak, because it grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// What it is: a container, by entries.
    pub growing: Option<Growing>,
    /// Or any owner, by what it retains.
    pub owner: Option<OwnerChange>,
    /// By how many bytes what it retains grew.
    pub grew_bytes: Bytes,
}

/// The difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// All objects of each look.
    pub looks: Vec<Count>,
    /// What came and went.
    pub change: Change,
    /// Addresses at which another object stands now than in an earlier look: same type, other content.
    pub replaced: u64,
    /// Instances among those that survived that nothing tells from another of their class at their address.
    pub unsure: u64,
    /// Whether fingerprints could be compared.
    pub fingerprints: bool,
    /// By type, what grew most first.
    pub types: Vec<TypeChange>,
    /// By owner, what grew most first.
    pub owners: Vec<OwnerChange>,
    /// Containers that grew in each step, those that gained most entries first.
    pub containers: Vec<Growing>,
    /// What looks like a leak, what grew most first.
    pub suspects: Vec<Suspect>,
}

/// Compares looks at one process, the oldest first; `None` where the first or the last has no graph, one between them had none that was
/// read, or there are fewer than two.
pub fn diff(looks: &[Look]) -> Option<Diff> {
    let ([first, .., last], true) = (looks, looks.len() >= 2) else { return None };
    let (old, new) = (Ownership::of(&first.snapshot)?, Ownership::of(&last.snapshot)?);
    let read: Vec<Cow<'_, Read>> = looks
        .iter()
        .map(|look| look.read.as_ref().map(Cow::Borrowed).or_else(|| Read::of(&look.snapshot).map(Cow::Owned)))
        .collect::<Option<_>>()?;
    let followed = Followed::through(looks, &read)?;
    let mut diff = Diff { replaced: followed.replaced, unsure: followed.unsure(), fingerprints: followed.fingerprints, ..Diff::default() };
    by_type(looks, &followed, &mut diff);
    let containers = containers(looks, &followed, &old, &new);
    diff.owners = owners(looks, &read, &followed, &new);
    diff.suspects = suspects(&containers, &diff.owners, &new);
    diff.containers = containers;
    Some(diff)
}

fn footprint(objects: &Objects, row: usize) -> u64 {
    objects.footprint_bytes().get(row).map_or(0, |bytes| bytes.0)
}

/// Counts by type in each look, and what came and went.
fn by_type(looks: &[Look], followed: &Followed, diff: &mut Diff) {
    let mut types: FxHashMap<&str, TypeChange> = FxHashMap::default();
    let empty = || TypeChange { looks: vec![Count::default(); looks.len()], ..TypeChange::default() };
    for (place, look) in looks.iter().enumerate() {
        let mut all = Count::default();
        let mut of_row: Vec<Count> = vec![Count::default(); look.snapshot.types.len()];
        for (row, kind) in look.snapshot.objects.iter().flat_map(|o| o.type_indices().iter().enumerate().map(move |(i, t)| ((o, i), t))) {
            let bytes = footprint(row.0, row.1);
            all.add(bytes);
            if let Some(count) = of_row.get_mut(*kind as usize) {
                count.add(bytes);
            }
        }
        diff.looks.push(all);
        for (t, count) in look.snapshot.types.iter().zip(of_row).filter(|(_, count)| count.objects > 0) {
            if let Some(slot) = types.entry(&t.name).or_insert_with(empty).looks.get_mut(place) {
                slot.objects += count.objects;
                slot.bytes.0 += count.bytes.0;
            }
        }
    }
    let newest = looks.len() as u32 - 1;
    if let Some((last, objects)) = looks.last().and_then(|last| Some((last, last.snapshot.objects.as_ref()?))) {
        for (row, (kind, born)) in objects.type_indices().iter().zip(&followed.born).enumerate() {
            let Some(name) = last.snapshot.types.get(*kind as usize).map(|t| t.name.as_str()) else { continue };
            let bytes = footprint(objects, row);
            let of_type = types.get_mut(name).map(|t| &mut t.change);
            for change in [Some(&mut diff.change), of_type].into_iter().flatten() {
                if *born == 0 { &mut change.survived } else { &mut change.new }.add(bytes);
                if *born > 0 && *born < newest {
                    change.stayed.add(bytes);
                }
            }
        }
    }
    diff.change.gone = diff.looks.first().copied().unwrap_or_default().sub(diff.change.survived);
    diff.types = types
        .into_iter()
        .map(|(name, mut t)| {
            t.change.gone = t.looks.first().copied().unwrap_or_default().sub(t.change.survived);
            TypeChange { name: name.to_owned(), ..t }
        })
        .collect();
    let grew = |t: &TypeChange| {
        let at = |count: Option<&Count>| count.map_or(0, |c| c.bytes.0) as i128;
        at(t.looks.last()) - at(t.looks.first())
    };
    diff.types.sort_by(|a, b| {
        grew(b).cmp(&grew(a)).then_with(|| b.change.new.objects.cmp(&a.change.new.objects)).then_with(|| a.name.cmp(&b.name))
    });
}

/// Containers that are in all looks and had more entries in each.
fn containers(looks: &[Look], followed: &Followed, old: &Ownership<'_>, new: &Ownership<'_>) -> Vec<Growing> {
    let mut found: Vec<(u32, Vec<u64>)> = Vec::new();
    for node in 0..new.objects.len() as u32 {
        if followed.first_row(node).is_none() || !CONTAINERS.contains(&new.type_name(node)) {
            continue;
        }
        let address = new.objects.addresses().get(node as usize).copied().unwrap_or_default();
        let lengths: Option<Vec<u64>> = looks.iter().map(|look| length_at(look, address)).collect();
        let Some(lengths) = lengths else { continue };
        if lengths.windows(2).all(|pair| pair.first() < pair.last()) {
            found.push((node, lengths));
        }
    }
    let wanted: Vec<u32> = found.iter().map(|(node, _)| *node).collect();
    let names = Names::of(new, &wanted);
    let mut growing: Vec<Growing> = found
        .into_iter()
        .map(|(node, lengths)| Growing {
            path: names.text(node),
            type_name: new.type_name(node).to_owned(),
            address: new.objects.addresses().get(node as usize).copied().unwrap_or_default(),
            lengths,
            first_bytes: Bytes(followed.first_row(node).map_or(0, |row| old.retained(row))),
            last_bytes: Bytes(new.retained(node)),
            entries: entries(followed, new, node),
        })
        .collect();
    growing.sort_by(|a, b| b.grew_by().cmp(&a.grew_by()).then_with(|| a.address.cmp(&b.address)));
    growing
}

fn length_at(look: &Look, address: Addr) -> Option<u64> {
    let row = look.snapshot.objects.as_ref()?.addresses().binary_search(&address).ok()?;
    look.lengths.get(row).copied().filter(|length| *length != Details::NO_LENGTH)
}

/// What most of the entries are that were not there in the first look.
fn entries(followed: &Followed, new: &Ownership<'_>, node: u32) -> Option<(String, u64)> {
    let is_entry = |kind| matches!(kind, LinkKind::Index | LinkKind::Value | LinkKind::Member | LinkKind::Attribute);
    let mut by_type: FxHashMap<&str, u64> = FxHashMap::default();
    for link in new.graph.of(node).filter(|link| is_entry(link.label.kind) && followed.first_row(link.target).is_none()) {
        *by_type.entry(new.type_name(link.target)).or_default() += 1;
    }
    let most = by_type.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(a.0)));
    most.map(|(name, count)| (name.to_owned(), count))
}

/// Owners whose retained bytes changed, with what they retained in each look. The same object is compared with itself; where that was not
/// there, the same path with the same path.
fn owners(looks: &[Look], read: &[Cow<'_, Read>], followed: &Followed, new: &Ownership<'_>) -> Vec<OwnerChange> {
    let mut rows: Vec<OwnerChange> = Vec::new();
    for owner in retained(new, None).owners {
        let own = |hold: Hold| matches!(hold, Hold::Interpreter | Hold::Static);
        let born = followed.born.get(owner.node as usize).copied().unwrap_or(u32::MAX) as usize;
        let is_one = owner.owners == 1 && !owner.is_rest;
        let path = (owner.path, owner.type_name, owner.is_rest);
        let before = looks.iter().zip(read).enumerate().take(looks.len().saturating_sub(1)).map(|(place, (look, read))| {
            let row = || look.snapshot.objects.as_ref()?.addresses().binary_search(&owner.address).ok();
            let itself = (is_one && born <= place).then(row).flatten().and_then(|row| read.retained.get(row).copied());
            Bytes(itself.or_else(|| read.by_path.get(&path).copied()).unwrap_or(0))
        });
        let looks: Vec<Bytes> = before.chain([owner.retained_bytes]).collect();
        let first_bytes = looks.first().copied().unwrap_or_default();
        if first_bytes != owner.retained_bytes && !own(owner.named_by) {
            let (path, type_name, _) = path;
            let (address, last_bytes, objects) = (owner.address, owner.retained_bytes, owner.objects);
            rows.push(OwnerChange { path, type_name, address, first_bytes, last_bytes, looks, objects });
        }
    }
    rows.sort_by_key(|row| (Reverse(i128::from(row.last_bytes.0) - i128::from(row.first_bytes.0)), row.address));
    rows
}

/// Containers that gained enough in each step, and owners that grew by other means.
fn suspects(containers: &[Growing], owners: &[OwnerChange], new: &Ownership<'_>) -> Vec<Suspect> {
    let node = |address: Addr| new.objects.addresses().binary_search(&address).ok().map(|row| row as u32);
    let mut within: FxHashSet<u32> = FxHashSet::default();
    let mut suspects: Vec<Suspect> = Vec::new();
    for growing in containers {
        let enough = growing.lengths.windows(2).all(|pair| matches!(pair, [a, b] if b - a >= STEP_LEAST));
        let grew = growing.last_bytes.0.saturating_sub(growing.first_bytes.0);
        if !enough || grew < BYTES_LEAST {
            continue;
        }
        // What holds it grows with it, and is the same suspect.
        let mut at = node(growing.address);
        while let Some(holder) = at.filter(|holder| within.insert(*holder)) {
            at = new.tree.above(holder).filter(|above| (*above as usize) < new.objects.len());
        }
        suspects.push(Suspect { growing: Some(growing.clone()), owner: None, grew_bytes: Bytes(grew) });
    }
    for owner in owners {
        let grew = owner.last_bytes.0.saturating_sub(owner.first_bytes.0);
        let known = node(owner.address).is_some_and(|node| within.contains(&node));
        if grew >= OWNER_BYTES && owner.objects >= OWNER_OBJECTS && owner.first_bytes.0 > 0 && owner.grew_in_each() && !known {
            suspects.push(Suspect { growing: None, owner: Some(owner.clone()), grew_bytes: Bytes(grew) });
        }
    }
    suspects.sort_by_key(|suspect| Reverse(suspect.grew_bytes));
    suspects
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    /// A look at a program that keeps `kept` records in a list and one text. Rows stand at addresses by their order.
    fn look(kept: usize, text_length: u64, print: u64, key: &str) -> Look {
        let mut made = Made::default();
        let (_, globals) = made.module("app");
        let (list, text) = (made.object("list", 64, 1), made.object("str", 60, 1));
        made.link(globals, list, LinkKind::Attribute, "KEPT");
        made.link(globals, text, LinkKind::Attribute, "TEXT");
        for _ in 0..kept {
            let record = made.object("app.Record", 500, 1);
            made.link(list, record, LinkKind::Index, "");
        }
        let snapshot = made.snapshot();
        let mut lengths = vec![Details::NO_LENGTH; snapshot.objects.as_ref().unwrap().len()];
        let mut fingerprints = vec![None; lengths.len()];
        (lengths[list as usize], lengths[text as usize]) = (kept as u64, text_length);
        fingerprints[text as usize] = Some(print);
        Look { snapshot, lengths, fingerprints, key: Some(key.to_owned()), ..Look::default() }
    }

    #[test]
    fn what_came_stayed_and_grew() {
        let found = diff(&[look(10, 5, 1, "k"), look(30, 5, 1, "k"), look(60, 5, 1, "k")]).unwrap();
        assert_eq!(found.looks.iter().map(|c| c.objects).collect::<Vec<_>>(), [15, 35, 65]);
        let c = found.change;
        assert_eq!((c.new.objects, c.gone.objects, c.survived.objects, c.stayed.objects), (50, 0, 15, 20));
        assert_eq!((found.types[0].name.as_str(), found.types[0].change.new.bytes), ("app.Record", Bytes(25_000)));
        assert_eq!(found.containers.len(), 1);
        let list = &found.containers[0];
        assert_eq!((list.path.as_str(), list.lengths.as_slice(), list.grew_by()), ("app.KEPT", &[10, 30, 60][..], 50));
        assert_eq!(list.entries, Some(("app.Record".to_owned(), 50)));
        assert_eq!((list.first_bytes, list.last_bytes), (Bytes(5064), Bytes(30_064)));
        assert_eq!(found.suspects.len(), 1, "the list's holders are the same suspect: {:#?}", found.suspects);
        assert_eq!(found.owners[0].path, "app.KEPT");
    }

    /// A tuple of a list of `listed` records and of `others`.
    fn store(listed: usize, others: usize) -> Look {
        let mut made = Made::default();
        let (_, globals) = made.module("app");
        let (store, list) = (made.object("tuple", 64, 1), made.object("list", 64, 1));
        made.link(globals, store, LinkKind::Attribute, "STORE");
        made.link(store, list, LinkKind::Index, "");
        for n in 0..listed + others {
            let record = made.object("app.Record", 500, 1);
            made.link(if n < listed { list } else { store }, record, LinkKind::Index, "");
        }
        let snapshot = made.snapshot();
        let mut lengths = vec![Details::NO_LENGTH; snapshot.objects.as_ref().unwrap().len()];
        lengths[list as usize] = listed as u64;
        Look { snapshot, lengths, ..Look::default() }
    }

    #[test]
    fn an_owner_that_grows_is_a_suspect_but_not_beside_the_container_in_it() {
        let names = |a: Look, b: Look| {
            let found = diff(&[a, b]).unwrap();
            let name = |s: &Suspect| s.growing.as_ref().map(|g| g.path.clone()).or(s.owner.as_ref().map(|o| o.path.clone())).unwrap();
            found.suspects.iter().map(name).collect::<Vec<_>>()
        };
        // Nothing but the store itself grows.
        assert_eq!(names(store(0, 50), store(0, 200)), ["app.STORE"]);
        // Both grow: the list by entries, and the store because of it.
        assert_eq!(names(store(100, 300), store(200, 300)), ["app.STORE[0]"]);
        assert!(names(store(0, 200), store(0, 205)).is_empty());
    }

    #[test]
    fn what_went_and_what_breathes_is_no_suspect() {
        let found = diff(&[look(60, 5, 1, "k"), look(10, 5, 1, "k")]).unwrap();
        assert_eq!((found.change.gone.objects, found.change.new.objects, found.suspects.len()), (50, 0, 0));
        // Grew and shrank again, or grew by a few.
        assert_eq!(diff(&[look(10, 5, 1, "k"), look(60, 5, 1, "k"), look(50, 5, 1, "k")]).unwrap().containers, []);
        assert_eq!(diff(&[look(10, 5, 1, "k"), look(15, 5, 1, "k")]).unwrap().suspects, []);
        assert!(diff(&[look(1, 5, 1, "k")]).is_none());
    }

    #[test]
    fn owners_are_told_in_every_look_and_those_that_breathe_are_no_suspects() {
        let found = diff(&[store(0, 100), store(0, 150), store(0, 200)]).unwrap();
        let of = |found: &Diff| found.owners.iter().find(|o| o.path == "app.STORE").map(|o| o.looks.clone()).unwrap();
        assert_eq!(of(&found), [100, 150, 200].map(|n| Bytes(64 + 64 + 500 * n)));
        assert_eq!(found.suspects.len(), 1);
        let found = diff(&[store(0, 100), store(0, 300), store(0, 200)]).unwrap();
        assert_eq!((of(&found)[1], found.suspects.len()), (Bytes(64 + 64 + 500 * 300), 0));
        // The middle look is asked once, and its graph let go.
        let mut middle = store(0, 300);
        middle.read_graph();
        middle.snapshot.graph = None;
        assert_eq!(diff(&[store(0, 100), middle, store(0, 200)]).unwrap(), found);
    }

    /// One instance with two attributes, which stand at those places among ten texts with those fingerprints.
    fn instance(first: usize, second: usize, prints: u64, has_dict: bool) -> Look {
        let mut made = Made::default();
        let (_, globals) = made.module("app");
        let record = made.object("app.Record", 500, 1);
        made.link(globals, record, LinkKind::Attribute, "RECORD");
        let dicts: Vec<u32> = (0..2).map(|_| made.object("dict", 100, 1)).collect();
        let texts: Vec<u32> = (0..10).map(|_| made.object("str", 50, 1)).collect();
        let holder = if has_dict { dicts[first % 2] } else { record };
        if has_dict {
            made.link(record, holder, LinkKind::Field, "__dict__");
        }
        made.link(holder, texts[first], LinkKind::Attribute, "first");
        made.link(holder, texts[second], LinkKind::Attribute, "second");
        let snapshot = made.snapshot();
        let rows = snapshot.objects.as_ref().unwrap().len();
        let (lengths, mut fingerprints) = (vec![Details::NO_LENGTH; rows], vec![None; rows]);
        fingerprints.iter_mut().skip(texts[0] as usize).for_each(|print| *print = Some(prints));
        Look { snapshot, lengths, fingerprints, key: Some("k".into()), ..Look::default() }
    }

    #[test]
    fn attributes_tell_instances_apart() {
        let told = |a: Look, b: Look| {
            let found = diff(&[a, b]).unwrap();
            let records = found.types.iter().find(|t| t.name == "app.Record").unwrap().change;
            (records.new.objects, records.survived.objects, found.unsure)
        };
        // One attribute, which is its own, is still the same.
        assert_eq!(told(instance(1, 2, 7, false), instance(1, 3, 7, false)), (0, 1, 0));
        // All refer to others than before, or to the same places with other contents.
        assert_eq!(told(instance(1, 2, 7, false), instance(3, 4, 7, false)), (1, 0, 0));
        assert_eq!(told(instance(1, 2, 7, false), instance(1, 2, 8, false)), (1, 0, 0));
        // Its dict lies elsewhere.
        assert_eq!(told(instance(0, 2, 7, true), instance(1, 2, 7, true)), (1, 0, 0));
        assert_eq!(told(instance(0, 2, 7, true), instance(2, 2, 7, true)), (0, 1, 0));
        // Nothing is known of what they refer to: it may be another.
        let mut unmarked = instance(1, 2, 7, false);
        unmarked.fingerprints.clear();
        assert_eq!(told(unmarked.clone(), unmarked), (0, 1, 1));
    }

    #[test]
    fn content_tells_what_stands_at_a_reused_address() {
        let replaced = |a: Look, b: Look| {
            let found = diff(&[a, b]).unwrap();
            (found.replaced, found.change.new.objects, found.change.gone.objects)
        };
        assert_eq!(replaced(look(1, 5, 1, "k"), look(1, 5, 1, "k")), (0, 0, 0));
        assert_eq!(replaced(look(1, 5, 1, "k"), look(1, 5, 2, "k")), (1, 1, 1));
        // Fingerprints by different keys say nothing; lengths do.
        assert_eq!(replaced(look(1, 5, 1, "k"), look(1, 5, 2, "other")), (0, 0, 0));
        assert_eq!(replaced(look(1, 5, 1, "k"), look(1, 6, 1, "other")), (1, 1, 1));
    }
}
