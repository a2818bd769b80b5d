//! `refcounts`: the audit of reference counts: how much of each is explained, and what is held from outside the heap.
//!
//! Holds: [`refcounts`], sums by type, and [`findings`]: types of which many objects are alive through C code alone, as a reference that a C
//! extension forgot to give back leaves them. Never: says that a count is wrong; C code may hold what it holds.

use memory::Bytes;
use rustc_hash::FxHashMap;
use snapshot::LinkKind;

use crate::explain::grouped;
use crate::finding::{Finding, Saves, Sure};
use crate::ownership::{Alive, Hold, Ownership};
use crate::place::Places;

/// So many like objects that are held alike from nowhere are no accident.
pub const MANY: u64 = 100;

/// Deep-frozen objects of 3.11 begin with a count of 999,999,999 (`_PyObject_IMMORTAL_REFCNT`, Include/internal/pycore_runtime_init.h) and
/// are immortal in all but name. No heap of a terabyte has so many references to one object.
const IMMORTAL_BY_COUNT: u64 = 500_000_000;
/// Anonymous memory behind a file's data is its `.bss` where it is smaller than an arena: the kernel may have put one there, and older
/// snapshots have both as one region.
const BSS_LESS_THAN: u64 = 256 << 10;

/// The answer to `refcounts`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Audit {
    /// Every type, what is unexplained first.
    pub types: Vec<TypeAudit>,
    /// All types together.
    pub sum: Sums,
    /// Groups that look like a leak, what they keep alive first.
    pub suspects: Vec<Leak>,
}

/// What was counted and what was found, of one type or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Objects.
    pub count: u64,
    /// Of those, immortal ones: their counts mean nothing and are in none of the sums below.
    pub immortal: u64,
    /// The counts in the headers, added up.
    pub references: u64,
    /// References that were found in a field, as far as the counts go; with the one that a static object is born with.
    pub explained: u64,
    /// References that a scan found, as far as the rest of the counts goes: variables of C code, running frames.
    pub scanned: u64,
    /// References that are counted and were not found: held from outside.
    pub unexplained: u64,
    /// Objects that have such a reference.
    pub held: u64,
    /// References that were found and are not counted: static data of 3.11 and older, or a heap caught in a change. What frames of 3.14 and
    /// newer borrow is no reference here.
    pub surplus: u64,
    /// Objects that nothing but C code keeps alive, itself or through others.
    pub only_c: u64,
    /// Their footprint.
    pub only_c_bytes: Bytes,
}

/// One row; classes of one name share it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeAudit {
    /// The type's name.
    pub type_name: String,
    /// Its sums.
    pub sums: Sums,
}

/// Many objects of one type with the same unexplained count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leak {
    /// The type's name.
    pub type_name: String,
    /// Its row of types.
    pub type_index: u32,
    /// How many.
    pub count: u64,
    /// References to each that are held from nowhere.
    pub each: u64,
    /// Nothing else holds them; else they are in use, and will stay when they are not.
    pub is_alone: bool,
    /// What they keep alive; of objects in use nothing is said.
    pub retained_bytes: Bytes,
    /// The first of them.
    pub node: u32,
    /// Those that C code alone holds, with what each keeps alive.
    pub tops: Vec<(u32, u64)>,
}

/// How many objects of a group, the first of them, and those that C code alone holds with what each keeps alive.
type Group = (u64, u32, Vec<(u32, u64)>);

/// Audits every count.
pub fn refcounts(ownership: &Ownership<'_>) -> Audit {
    let found = Found::of(ownership);
    let mut sums: FxHashMap<u32, Sums> = FxHashMap::default();
    let mut groups: FxHashMap<(u32, u64, bool), Group> = FxHashMap::default();
    let objects = ownership.objects;
    let columns = objects.type_indices().iter().zip(objects.refcounts().iter()).zip(objects.states()).zip(objects.footprint_bytes().iter());
    for (node, (((&type_index, count), state), bytes)) in columns.enumerate() {
        let node = node as u32;
        let sum = sums.entry(type_index).or_default();
        sum.count += 1;
        let one = found.weigh(node, count);
        if state.immortal() || one.unexplained > IMMORTAL_BY_COUNT {
            sum.immortal += 1;
            continue;
        }
        let only_c = ownership.alive(node) == Alive::ByC;
        sum.only_c += u64::from(only_c);
        sum.only_c_bytes.0 += if only_c { bytes.0 } else { 0 };
        sum.references = sum.references.saturating_add(count);
        sum.explained += one.explained;
        sum.scanned += one.scanned;
        sum.surplus += one.surplus;
        sum.unexplained = sum.unexplained.saturating_add(one.unexplained);
        if one.unexplained > 0 {
            sum.held += 1;
            let group = groups.entry((type_index, one.unexplained, only_c)).or_insert((0, node, Vec::new()));
            group.0 += 1;
            if only_c && ownership.hold(node) == Hold::C {
                group.2.push((node, ownership.retained(node)));
            }
        }
    }
    let all = sums.values().fold(Sums::default(), |all, sum| all.plus(sum));
    let mut by_name: FxHashMap<&str, Sums> = FxHashMap::default();
    for (type_index, sum) in &sums {
        let of_name = by_name.entry(ownership.type_row_name(*type_index)).or_default();
        *of_name = of_name.plus(sum);
    }
    let mut types: Vec<TypeAudit> = by_name.into_iter().map(|(name, sums)| TypeAudit { type_name: name.to_owned(), sums }).collect();
    let order = |t: &TypeAudit| (std::cmp::Reverse(t.sums.unexplained), std::cmp::Reverse(t.sums.count));
    types.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.type_name.cmp(&b.type_name)));
    let mut suspects: Vec<Leak> = groups
        .into_iter()
        .filter(|(_, (count, ..))| *count >= MANY)
        .map(|((type_index, each, is_alone), (count, node, tops))| Leak {
            type_name: ownership.type_row_name(type_index).to_owned(),
            type_index,
            count,
            each,
            is_alone,
            retained_bytes: Bytes(tops.iter().map(|(_, bytes)| bytes).sum()),
            node,
            tops,
        })
        .collect();
    suspects.sort_by(|a, b| (b.retained_bytes, b.count).cmp(&(a.retained_bytes, a.count)).then_with(|| a.type_name.cmp(&b.type_name)));
    Audit { types, sum: all, suspects }
}

impl Sums {
    fn plus(self, other: &Sums) -> Sums {
        Sums {
            count: self.count + other.count,
            immortal: self.immortal + other.immortal,
            references: self.references.saturating_add(other.references),
            explained: self.explained + other.explained,
            scanned: self.scanned + other.scanned,
            unexplained: self.unexplained.saturating_add(other.unexplained),
            held: self.held + other.held,
            surplus: self.surplus + other.surplus,
            only_c: self.only_c + other.only_c,
            only_c_bytes: Bytes(self.only_c_bytes.0 + other.only_c_bytes.0),
        }
    }
}

/// References that were found, by object.
struct Found {
    certain: Vec<u32>,
    scanned: Vec<u32>,
    /// Objects that stand in a binary's data.
    is_static: Vec<bool>,
}

/// A count, divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Weighed {
    explained: u64,
    scanned: u64,
    unexplained: u64,
    surplus: u64,
}

impl Found {
    fn of(ownership: &Ownership<'_>) -> Found {
        let (graph, roots) = (ownership.graph, &ownership.details.roots);
        let mut scanned = vec![0u32; graph.edges().len()];
        let mut count = |target: u32| {
            if let Some(count) = scanned.get_mut(target as usize) {
                *count = count.saturating_add(1);
            }
        };
        let uncertain: Vec<bool> = graph.labels().iter().map(|label| !label.certain).collect();
        if uncertain.contains(&true) {
            for (target, label) in graph.edges().targets().iter().zip(graph.label_places().iter()) {
                if uncertain.get(label as usize) == Some(&true) {
                    count(*target);
                }
            }
        }
        roots.iter().filter(|root| !root.certain).for_each(|root| count(root.target));
        Found { certain: graph.explained(roots), scanned, is_static: static_objects(ownership) }
    }

    fn weigh(&self, node: u32, count: u64) -> Weighed {
        let at = |counts: &[u32]| counts.get(node as usize).copied().map_or(0, u64::from);
        // A static object is born with a count of its own (`PyObject_HEAD_INIT`, Include/object.h).
        let born_with = u64::from(self.is_static.get(node as usize) == Some(&true));
        let (certain, scanned) = (at(&self.certain) + born_with, at(&self.scanned));
        let explained = certain.min(count);
        let scanned = scanned.min(count - explained);
        Weighed { explained, scanned, unexplained: count - explained - scanned, surplus: (certain - born_with).saturating_sub(count) }
    }
}

/// Which objects stand in the data of a binary: in a mapped file, or in the anonymous memory right behind one.
fn static_objects(ownership: &Ownership<'_>) -> Vec<bool> {
    let regions = &ownership.details.regions;
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for (i, region) in regions.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|i| regions.get(i));
        let behind_a_file = || region.path.is_empty() && before.is_some_and(|b| b.path.starts_with('/') && b.end == region.start);
        let is_small = region.end.0.saturating_sub(region.start.0) < BSS_LESS_THAN;
        if region.path.starts_with('/') || (is_small && behind_a_file()) {
            ranges.push((region.start.0, region.end.0));
        }
    }
    ranges.sort_unstable();
    let mut next = ranges.iter().peekable();
    let addresses = ownership.objects.addresses().iter();
    // Both ascend.
    addresses
        .map(|address| {
            while next.peek().is_some_and(|(_, end)| *end <= address.0) {
                next.next();
            }
            next.peek().is_some_and(|(start, _)| *start <= address.0)
        })
        .collect()
}

/// Types of which [`MANY`] objects or more are alive through C code alone.
pub fn findings(ownership: &Ownership<'_>, places: &Places<'_>) -> Vec<Finding> {
    // Where C code holds little, nothing needs to be audited.
    if (ownership.roots.iter().filter(|(_, hold)| *hold == Hold::C).count() as u64) < MANY {
        return Vec::new();
    }
    let audit = refcounts(ownership);
    let class = |leak: &Leak| ownership.graph.of(leak.node).find(|link| link.label.kind == LinkKind::Type).map(|link| link.target);
    let finding = |leak: &Leak| Finding {
        id: "refcounts",
        title: format!("{} {} are alive only through C code: a reference may be leaked", grouped(leak.count as usize), leak.type_name),
        saving_bytes: leak.retained_bytes,
        known: Sure::AtMost,
        place: class(leak).and_then(|class| places.of_class(class)),
        evidence: format!(
            "to each of them {} more is counted than was found in objects, frames and variables of binaries, and no root leads there",
            if leak.each == 1 { "one reference".to_owned() } else { format!("{} references", leak.each) },
        ),
        saves: Saves::At(leak.tops.clone()),
    };
    audit.suspects.iter().filter(|leak| leak.is_alone).map(finding).collect()
}

#[cfg(test)]
mod tests {
    use snapshot::RootPlace;

    use super::*;
    use crate::testing::Made;

    fn row<'a>(audit: &'a Audit, name: &str) -> &'a Sums {
        &audit.types.iter().find(|t| t.type_name == name).unwrap().sums
    }

    #[test]
    fn a_count_is_what_was_found_and_what_is_held_from_outside() {
        let mut made = Made::default();
        let (_, globals) = made.module("app");
        // Two references in fields, one in a variable of C code, one from nowhere.
        let shared = made.object("app.Shared", 10, 4);
        made.link(globals, shared, LinkKind::Attribute, "A");
        made.link(globals, shared, LinkKind::Attribute, "B");
        made.root(RootPlace::Static, "static data of lib.so", None, shared, false);
        // More was found than is counted.
        let interned = made.object("str", 10, 1);
        made.link(globals, interned, LinkKind::Key, "");
        made.link(shared, interned, LinkKind::Attribute, "name");
        let singleton = made.object("NoneType", 10, 7);
        made.link(globals, singleton, LinkKind::Attribute, "NOTHING");
        made.immortal(singleton);
        // As 3.11's deep-frozen objects are.
        let frozen = made.object("code", 10, IMMORTAL_BY_COUNT * 2);
        made.link(globals, frozen, LinkKind::Attribute, "CODE");
        let snapshot = made.snapshot();
        let audit = refcounts(&Ownership::of(&snapshot).unwrap());
        let one = Sums { count: 1, ..Sums::default() };
        assert_eq!(*row(&audit, "app.Shared"), Sums { references: 4, explained: 2, scanned: 1, unexplained: 1, held: 1, ..one });
        assert_eq!(*row(&audit, "str"), Sums { references: 1, explained: 1, surplus: 1, ..one });
        assert_eq!(*row(&audit, "NoneType"), Sums { immortal: 1, ..one });
        assert_eq!(*row(&audit, "code"), Sums { immortal: 1, ..one });
        assert_eq!((audit.sum.count, audit.sum.immortal, audit.sum.unexplained), (7, 2, 1));
        assert_eq!(audit.types[0].type_name, "app.Shared");
        assert_eq!(audit.suspects, []);
    }

    #[test]
    fn many_that_are_held_alike_from_nowhere_are_suspect() {
        let mut made = Made::default();
        let (_, globals) = made.module("app");
        let list = made.object("list", 10, 1);
        made.link(globals, list, LinkKind::Attribute, "ROWS");
        for _ in 0..MANY {
            // Leaked with what hangs from them, and in use with one reference too many.
            let (lost, load, row) = (made.object("app.Lost", 10, 2), made.object("bytes", 100, 1), made.object("app.Row", 10, 2));
            made.link(lost, load, LinkKind::Attribute, "load");
            made.link(list, row, LinkKind::Index, "");
        }
        for _ in 1..MANY {
            made.object("app.Few", 10, 1);
        }
        // What a frame holds, and garbage, are not C's.
        let (local, knot) = (made.object("set", 10, 1), made.object("app.Knot", 10, 1));
        made.root(RootPlace::Frame, "thread 0x1, frame of f", Some("seen"), local, true);
        made.link(knot, knot, LinkKind::Attribute, "me");
        let snapshot = made.snapshot();
        let ownership = Ownership::of(&snapshot).unwrap();
        let audit = refcounts(&ownership);
        assert_eq!((row(&audit, "set").only_c, row(&audit, "app.Knot").only_c, audit.sum.only_c), (0, 0, 3 * MANY - 1));
        let shown: Vec<_> =
            audit.suspects.iter().map(|l| (l.type_name.as_str(), l.count, l.each, l.is_alone, l.retained_bytes.0)).collect();
        assert_eq!(shown, [("app.Lost", MANY, 2, true, MANY * 110), ("app.Row", MANY, 1, false, 0)]);
        assert_eq!((row(&audit, "bytes").only_c, row(&audit, "app.Few").only_c, row(&audit, "app.Row").only_c), (MANY, MANY - 1, 0));
        let places = Places::of(ownership.objects, ownership.graph, ownership.details);
        let found = findings(&ownership, &places);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].saving_bytes, found[0].title.starts_with("100 app.Lost are alive only")), (Bytes(MANY * 110), true));
    }

    #[test]
    fn a_static_object_is_born_with_one_reference() {
        let region = |start: u64, end: u64, path: &str| snapshot::RegionRow {
            start: memory::Addr(start),
            end: memory::Addr(end),
            rights: "rw-p".to_owned(),
            offset: 0,
            path: path.to_owned(),
        };
        let mut made = Made::default();
        let (_, globals) = made.module("app");
        // Objects lie at 0x1000 + 0x100 · number: the last of them behind the file.
        let objects: Vec<u32> = (0..3).map(|_| made.object("type", 10, 2)).collect();
        objects.iter().for_each(|o| made.link(globals, *o, LinkKind::Attribute, "T"));
        let at = |node: u32| 0x1000 + 0x100 * u64::from(node);
        let mut snapshot = made.snapshot();
        let regions = vec![
            region(at(objects[0]), at(objects[1]), "/usr/lib/lib.so"),
            region(at(objects[1]), at(objects[2]), ""),
            region(at(objects[2]) + 0x80, at(objects[2]) + 0x100, "[heap]"),
        ];
        snapshot.details.as_mut().unwrap().regions = regions;
        let audit = refcounts(&Ownership::of(&snapshot).unwrap());
        assert_eq!((row(&audit, "type").explained, row(&audit, "type").unexplained), (5, 1));
    }
}
