//! Holds the comparison of what a reader found in a heap with what the heap's interpreter says, and its report.
//! Never knows how the reader works: a caller fills `Found`. Never forgives a difference by itself: a test names what it explains.
//! Sources: none.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::truth::{TrueCount, TrueObject, Truth};

/// An object as the reader under test describes it.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its address.
    pub id: u64,
    /// Its type as shown: `module.qualname`, without the module for builtins.
    pub type_name: Arc<str>,
    /// Address of its type.
    pub type_id: u64,
    /// Own size.
    pub own_bytes: u64,
    /// Reference count.
    pub refcount: TrueCount,
    /// References out that `gc.get_referents` would name.
    pub referents: Vec<u64>,
    /// Read by an exact decoder: its referents must be the interpreter's.
    pub exact: bool,
    /// The collector tracks it.
    pub tracked: bool,
    /// 0, 1, 2; 3 for the permanent generation; None where untracked.
    pub generation: Option<u8>,
    /// The named class that it falls in when the oracle does not reach it: "code constants", "type names" …
    pub origin: Arc<str>,
}

/// In what the two disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The oracle has it, the reader does not.
    Missing,
    /// Another type name.
    TypeName,
    /// Another type address.
    TypeId,
    /// Another own size.
    Size,
    /// Another reference count.
    Refcount,
    /// Another set of referents (exact decoders only).
    Referents,
    /// Tracked or not, or another generation.
    Collector,
}

/// One disagreement about one object.
#[derive(Debug, Clone)]
pub struct Difference {
    /// In what.
    pub kind: Kind,
    /// The object.
    pub id: u64,
    /// Its type as the oracle names it.
    pub type_name: String,
    /// The class in its MRO whose `__sizeof__` answers.
    pub sizeof_owner: String,
    /// The two answers, for people.
    pub detail: String,
    /// Of `Referents`: the types of those that the oracle names and the reader does not.
    pub lacks: Vec<String>,
    /// Of `Referents`: the types of those that the reader names and the oracle does not.
    pub beyond: Vec<String>,
}

/// A difference that a test explains by name.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// In what the two disagree.
    pub kind: Kind,
    /// The type, or `*` where `when` says enough.
    pub type_name: &'static str,
    /// The minor releases that it holds for.
    pub minors: std::ops::RangeInclusive<u8>,
    /// What else must be so.
    pub when: fn(&Difference) -> bool,
    /// Why the difference is right, with its source.
    pub reason: &'static str,
}

/// The outcome of a comparison.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// Minor release of the interpreter.
    pub minor: u8,
    /// How many objects the oracle has.
    pub objects: usize,
    /// How many counts were not compared: everybody's singletons and what the oracle's frames refer to.
    pub disturbed: usize,
    /// How many objects had their referents compared, and the bytes of these (as the oracle sizes them).
    pub exact: usize,
    /// Bytes of the exactly decoded objects.
    pub exact_bytes: u64,
    /// Bytes of all the oracle's objects.
    pub all_bytes: u64,
    /// All differences, in the oracle's order.
    pub differences: Vec<Difference>,
    /// What the reader has beyond the oracle: origin, type → count.
    pub extra: BTreeMap<(Arc<str>, Arc<str>), u64>,
    /// The reader listed the same address more than once.
    pub twice: Vec<u64>,
}

/// Compares a reader's whole heap with the oracle's.
pub fn compare(truth: &Truth, found: &[Found]) -> Comparison {
    let mut by_id = FxHashMap::default();
    let mut twice = Vec::new();
    for one in found {
        if by_id.insert(one.id, one).is_some() {
            twice.push(one.id);
        }
    }
    let mut all = Comparison {
        minor: truth.minor(),
        objects: truth.len(),
        disturbed: 0,
        exact: 0,
        exact_bytes: 0,
        all_bytes: 0,
        differences: Vec::new(),
        extra: BTreeMap::new(),
        twice,
    };
    let mut missing = FxHashMap::default();
    for object in truth.objects() {
        let size = object.size.unwrap_or(0);
        all.all_bytes += size;
        let Some(one) = by_id.get(&object.id) else {
            missing.insert(object.id, all.differences.len());
            all.differ(Kind::Missing, &object, format!("{} bytes, count {:?}", size, object.refcount));
            continue;
        };
        if one.exact {
            all.exact += 1;
            all.exact_bytes += size;
        }
        all.one(truth, &object, one, &by_id);
    }
    all.name_holders(truth, missing);
    for one in found {
        if truth.by_id(one.id).is_none() {
            *all.extra.entry((one.origin.clone(), one.type_name.clone())).or_default() += 1;
        }
    }
    all
}

impl Comparison {
    fn differ(&mut self, kind: Kind, object: &TrueObject<'_>, detail: String) {
        let (lacks, beyond) = (Vec::new(), Vec::new());
        let (type_name, sizeof_owner) = (object.class.name(), object.class.sizeof_owner());
        self.differences.push(Difference { kind, id: object.id, type_name, sizeof_owner, detail, lacks, beyond });
    }

    /// Adds to each missing object which object leads to it, by the oracle's account.
    fn name_holders(&mut self, truth: &Truth, mut missing: FxHashMap<u64, usize>) {
        for holder in truth.objects() {
            if missing.is_empty() {
                return;
            }
            for id in holder.referents {
                if let Some(at) = missing.remove(id) {
                    self.differences[at].detail += &format!(", held by {} at {:#x}", holder.class.name(), holder.id);
                }
            }
        }
    }

    fn one(&mut self, truth: &Truth, object: &TrueObject<'_>, one: &Found, by_id: &FxHashMap<u64, &Found>) {
        let name = object.class.name();
        if *name != *one.type_name {
            self.differ(Kind::TypeName, object, format!("found as {}", one.type_name));
        }
        if object.class.id != one.type_id {
            self.differ(Kind::TypeId, object, format!("type at {:#x}, found {:#x}", object.class.id, one.type_id));
        }
        if object.size != Some(one.own_bytes) {
            self.differ(Kind::Size, object, format!("{:?} bytes, found {}", object.size, one.own_bytes));
        }
        if truth.is_disturbed(object.id) {
            self.disturbed += 1;
        } else if object.refcount != one.refcount {
            self.differ(Kind::Refcount, object, format!("{:?}, found {:?}", object.refcount, one.refcount));
        }
        if object.tracked != one.tracked || object.generation != one.generation {
            let state = |tracked, generation: Option<u8>| format!("tracked {tracked}, generation {generation:?}");
            let (theirs, ours) = (state(object.tracked, object.generation), state(one.tracked, one.generation));
            self.differ(Kind::Collector, object, format!("{theirs}, found {ours}"));
        }
        if one.exact {
            let (theirs, ours) = (as_set(object.referents), as_set(&one.referents));
            if theirs != ours {
                let name = |id: &u64| by_id.get(id).map(|f| f.type_name.to_string()).or_else(|| truth.by_id(*id).map(|o| o.class.name()));
                let names = |ids: Vec<u64>| ids.iter().map(|id| (name(id).unwrap_or_else(|| "?".into()), *id)).collect::<Vec<_>>();
                let lacks = names(without(&theirs, &ours));
                let beyond = names(without(&ours, &theirs));
                let (l, b) = (shorten(&lacks), shorten(&beyond));
                self.differ(Kind::Referents, object, format!("{} of {}; not found: [{l}]; beyond: [{b}]", ours.len(), theirs.len()));
                if let Some(difference) = self.differences.last_mut() {
                    difference.lacks = lacks.into_iter().map(|(name, _)| name).collect();
                    difference.beyond = beyond.into_iter().map(|(name, _)| name).collect();
                }
            }
        }
    }

    /// Splits the differences: those that no explanation covers, and how often each explanation was used.
    pub fn unexplained<'a>(&'a self, table: &[Explanation]) -> (Vec<&'a Difference>, Vec<usize>) {
        let mut used = vec![0; table.len()];
        let mut left = Vec::new();
        for difference in &self.differences {
            let covers = |e: &Explanation| {
                e.kind == difference.kind
                    && e.minors.contains(&self.minor)
                    && (e.type_name == "*" || e.type_name == difference.type_name)
                    && (e.when)(difference)
            };
            match table.iter().position(covers) {
                Some(at) => used[at] += 1,
                None => left.push(difference),
            }
        }
        (left, used)
    }

    /// How many objects the reader has beyond the oracle.
    pub fn extra_count(&self) -> u64 {
        self.extra.values().sum()
    }

    /// The differences that no explanation covers as a readable text, or None: first by kind and type with counts, then ten of each.
    pub fn complaint(&self, table: &[Explanation]) -> Option<String> {
        let (left, _) = self.unexplained(table);
        (!left.is_empty() || !self.twice.is_empty()).then(|| report(&left, &self.twice))
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Comparison { minor, objects, exact, disturbed, exact_bytes, all_bytes, .. } = self;
        let share = *exact_bytes as f64 * 100.0 / (*all_bytes).max(1) as f64;
        writeln!(f, "3.{minor}: {objects} objects, {exact} exact ({share:.2} % of {all_bytes} bytes), {disturbed} counts not comparable")?;
        for ((origin, type_name), count) in &self.extra {
            writeln!(f, "  beyond the oracle: {count:>8} {type_name} ({origin})")?;
        }
        f.write_str(&report(&self.differences.iter().collect::<Vec<_>>(), &self.twice))
    }
}

fn report(differences: &[&Difference], twice: &[u64]) -> String {
    let mut groups: BTreeMap<(Kind, &str), Vec<&Difference>> = BTreeMap::new();
    for difference in differences {
        groups.entry((difference.kind, &difference.type_name)).or_default().push(difference);
    }
    let mut order: Vec<_> = groups.into_iter().collect();
    order.sort_by_key(|((kind, name), all)| (*kind, std::cmp::Reverse(all.len()), *name));
    let mut text = String::new();
    if !twice.is_empty() {
        text += &format!("{} addresses were found more than once, the first {:#x}\n", twice.len(), twice[0]);
    }
    for ((kind, type_name), all) in &order {
        text += &format!("{kind:?}: {} of {type_name}\n", all.len());
    }
    for ((kind, type_name), all) in &order {
        for difference in all.iter().take(10) {
            text += &format!("  {kind:?} {type_name} at {:#x}: {}\n", difference.id, difference.detail);
        }
    }
    text
}

fn as_set(ids: &[u64]) -> FxHashSet<u64> {
    ids.iter().copied().collect()
}

/// What is in `these` and not in `those`, by address.
fn without(these: &FxHashSet<u64>, those: &FxHashSet<u64>) -> Vec<u64> {
    let mut all: Vec<_> = these.difference(those).copied().collect();
    all.sort_unstable();
    all
}

/// The first few for people.
fn shorten(all: &[(String, u64)]) -> String {
    let mut text = all.iter().take(6).map(|(name, id)| format!("{name} at {id:#x}")).collect::<Vec<_>>().join(", ");
    if all.len() > 6 {
        text += &format!(" and {} more", all.len() - 6);
    }
    text
}
