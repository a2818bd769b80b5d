//! `explain`: who holds the memory, what looks like a leak, what to do about it.
//!
//! Holds: [`explain`], which asks the other analyses, and the findings of the owners themselves: containers of many like entries that hang
//! from a module, a class or a frame. Never: counts anything that another analysis counts.

use graph::Edges;
use memory::Bytes;
use rustc_hash::FxHashMap;
use snapshot::{LinkKind, Snapshot};

use crate::accumulation::{self, Accumulation};
use crate::calls::Calls;
use crate::finding::{rank, Finding, Saves, Sure};
use crate::ledger::{self, Statement};
use crate::naming::{Names, Step};
use crate::ownership::{Hold, Ownership};
use crate::place::{is_standard, Place, Places};
use crate::retained::{retained_in, Owner, Retained};

/// Names of each entry of the ledger.
const LEDGER_NAMES: usize = 3;
/// Owners that are shown.
const OWNERS: usize = 6;
/// An owner of this part of the whole is suspect, as in Eclipse MAT.
const SUSPECT_SHARE: f64 = 0.1;
/// A container of so many like entries grows with the program's work.
const MANY_ENTRIES: usize = 500;
/// Of that many entries so many are of one type.
const ALIKE: f64 = 0.8;
/// A finding that saves less than this part of the whole is not worth a line.
const FINDING_SHARE: f64 = 0.005;
/// Nor one that saves less than this.
const FINDING_LEAST: u64 = 16 << 10;

/// The answer to `explain`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explanation {
    /// Where the resident memory is, where that was seen.
    pub ledger: Option<Statement>,
    /// Who holds it.
    pub retained: Retained,
    /// What looks like a leak.
    pub suspects: Vec<Suspect>,
    /// What to do, what saves most first.
    pub findings: Vec<Finding>,
}

/// One owner that holds a great part of all, or many like entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect {
    /// Its way from a root.
    pub path: String,
    /// Its type.
    pub type_name: String,
    /// What it retains.
    pub retained_bytes: Bytes,
    /// What most of its entries are, and how many: the group of like objects.
    pub entries: Option<(u64, String)>,
    /// Where it is made or kept, as far as the source tells.
    pub place: Option<Place>,
    /// How many objects the suspect is: 1, or the size of a group of like objects that no one of them holds.
    pub objects: u64,
    /// Where its memory comes together; of a group nothing is said.
    pub accumulation: Option<Accumulation>,
}

/// Explains a snapshot with its graph; `None` where it has none.
pub fn explain(snapshot: &Snapshot) -> Option<Explanation> {
    let ownership = Ownership::of(snapshot)?;
    let below = ownership.tree.below();
    let places = Places::of(ownership.objects, ownership.graph, ownership.details);
    let calls = Calls::of(&ownership);
    let mut retained = retained_in(&ownership, &below, Some(usize::MAX));
    fold_away(&mut retained);
    let whole = retained.whole;
    let mut suspects = Vec::new();
    let mut findings = Vec::new();
    let mut places_of_suspects = Vec::new();
    for owner in retained.owners.iter().filter(|owner| !owner.is_rest) {
        let is_big = retained.share(owner.retained_bytes) >= SUSPECT_SHARE;
        if owner.owners > 1 {
            if is_big {
                let entries = Some((owner.owners, owner.type_name.clone()));
                let place = place_of(&ownership, &places, &calls, &owner.steps);
                suspects.push(suspect(owner, entries, place));
                places_of_suspects.push(None);
            }
            continue;
        }
        let entries = entries(&ownership, owner);
        let place = place_of(&ownership, &places, &calls, &owner.steps);
        let growing = entries.as_ref().and_then(|e| growing(&ownership, &below, owner, e, place.clone()));
        let grows = growing.is_some();
        findings.extend(growing);
        if grows || is_big {
            suspects.push(suspect(owner, entries.map(|e| (e.count as u64, e.type_name)), place));
            places_of_suspects.push(Some(accumulation::find(&ownership, &below, owner.node)));
        }
    }
    let wanted: Vec<u32> = places_of_suspects.iter().flatten().flat_map(|found| [found.from, found.at]).collect();
    if !wanted.is_empty() {
        let names = Names::of(&ownership, &wanted);
        for (suspect, found) in suspects.iter_mut().zip(places_of_suspects) {
            suspect.accumulation = found.and_then(|found| accumulation::described(&ownership, &below, &names, found));
        }
    }
    drop(below);
    let least = least(whole.0);
    // The one that takes longest goes beside all others.
    let (wasted, (others, of_any_size)) = rayon::join(
        || crate::containers::containers(&ownership, snapshot),
        || {
            let mut others = crate::refcounts::findings(&ownership, &places);
            others.extend(crate::slots::findings(&crate::slots::slots(&ownership, snapshot)));
            others.extend(crate::cycles::findings(&crate::cycles::cycles(&ownership)));
            others.extend(crate::weakrefs::findings(&ownership, &places, &calls));
            let mut of_any_size = crate::finalizers::findings(&ownership, &places, least);
            of_any_size.extend(crate::gc::findings(&ownership, least));
            (others, of_any_size)
        },
    );
    findings.extend(others);
    findings.extend(wasted.into_iter().flat_map(|wasted| crate::containers::findings(wasted, &findings)).collect::<Vec<_>>());
    findings.retain(|finding| finding.saving_bytes.0 >= least);
    findings.extend(of_any_size);
    suspects.retain(|suspect| suspect.retained_bytes.0 >= least);
    crate::overlap::once(&ownership, &mut findings, least);
    let statement = snapshot.ledger.as_ref().map(|l| ledger::ledger(l, &ledger::pin_owners(&ownership, snapshot), Some(LEDGER_NAMES)));
    findings.extend(statement.iter().flat_map(ledger::findings));
    rank(&mut findings);
    cut(&mut retained);
    Some(Explanation { ledger: statement, retained, suspects, findings })
}

/// Fewer bytes than these are not worth a line, where all is so many.
pub(crate) fn least(whole: u64) -> u64 {
    ((whole as f64 * FINDING_SHARE) as u64).max(FINDING_LEAST)
}

fn suspect(owner: &Owner, entries: Option<(u64, String)>, place: Option<Place>) -> Suspect {
    Suspect {
        path: owner.path.clone(),
        type_name: owner.type_name.clone(),
        retained_bytes: owner.retained_bytes,
        entries,
        place,
        objects: owner.owners,
        accumulation: None,
    }
}

/// What the interpreter itself consists of is no news: it goes to the rest.
fn fold_away(retained: &mut Retained) {
    let own = |owner: &Owner| matches!(owner.named_by, Hold::Interpreter | Hold::Static);
    let (away, stay): (Vec<Owner>, Vec<Owner>) = std::mem::take(&mut retained.owners).into_iter().partition(own);
    retained.owners = stay;
    for owner in away {
        retained.rest_bytes.0 += owner.retained_bytes.0;
        retained.rest_objects += owner.objects;
    }
}

/// Leaves the biggest owners; what the others hold goes to the rest.
fn cut(retained: &mut Retained) {
    for owner in retained.owners.drain(OWNERS.min(retained.owners.len())..) {
        retained.rest_bytes.0 += owner.retained_bytes.0;
        retained.rest_objects += owner.objects;
    }
}

/// What a container holds, where most of it is of one type.
struct Entries {
    count: usize,
    type_name: String,
    nodes: Vec<u32>,
    /// They stand in so many containers of this type, which are the entries: listeners by topic, say.
    within: Option<(usize, String)>,
}

/// The entries of a container: items, values or members. Where these are few and containers themselves, theirs.
fn entries(ownership: &Ownership<'_>, owner: &Owner) -> Option<Entries> {
    let first = alike(ownership, entries_of(ownership, owner.node))?;
    let is_container = matches!(first.type_name.as_str(), "list" | "dict" | "set" | "tuple" | "collections.deque");
    if first.count >= MANY_ENTRIES || !is_container {
        return Some(first);
    }
    let theirs = first.nodes.iter().flat_map(|node| entries_of(ownership, *node)).collect();
    match alike(ownership, theirs) {
        Some(second) if second.count >= MANY_ENTRIES => Some(Entries { within: Some((first.count, first.type_name)), ..second }),
        _ => Some(first),
    }
}

fn entries_of(ownership: &Ownership<'_>, node: u32) -> Vec<u32> {
    let is_entry = |kind| matches!(kind, LinkKind::Index | LinkKind::Value | LinkKind::Member);
    ownership.graph.of(node).filter(|link| is_entry(link.label.kind)).map(|link| link.target).collect()
}

/// Entries most of which are of one type.
fn alike(ownership: &Ownership<'_>, nodes: Vec<u32>) -> Option<Entries> {
    let mut by_type: FxHashMap<&str, usize> = FxHashMap::default();
    for &node in &nodes {
        *by_type.entry(ownership.type_name(node)).or_default() += 1;
    }
    let (type_name, most) = by_type.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(a.0)))?;
    let alike = most as f64 >= nodes.len() as f64 * ALIKE;
    alike.then(|| Entries { count: nodes.len(), type_name: type_name.to_owned(), nodes, within: None })
}

/// A container that grows with the program's work: what a bound of a tenth of its entries would save.
fn growing(ownership: &Ownership<'_>, below: &Edges, owner: &Owner, entries: &Entries, place: Option<Place>) -> Option<Finding> {
    // A global of the standard library itself is one of its tables: html's entities, say.
    let standard = place.as_ref().is_some_and(|place| place.line.is_none() && is_standard(&place.file));
    // Weak references go with what they refer to: a weak dictionary is as large as what others hold.
    let first_key = ownership.graph.of(owner.node).find(|link| link.label.kind == LinkKind::Key);
    let weak_keys = first_key.is_some_and(|link| ownership.type_name(link.target).starts_with("weakref"));
    let weak = weak_keys || entries.type_name.starts_with("weakref");
    // `finalizers` says what to do about it.
    let gc_garbage = owner.path == "gc.garbage";
    if standard
        || weak
        || gc_garbage
        || entries.count < MANY_ENTRIES
        || !matches!(owner.hold, Hold::Module | Hold::Frame | Hold::Thread | Hold::Several)
    {
        return None;
    }
    // Its own bound holds it: a deque's maxlen, an lru_cache's maxsize.
    let known = known_bound(ownership, owner);
    if matches!(known, Some(Some(_))) {
        return None;
    }
    let (what, advice) = match known {
        Some(None) => (format!("{}, an lru_cache without maxsize,", owner.path.trim_end_matches(".cache")), "give it one"),
        _ => (owner.path.clone(), "bound it"),
    };
    let bound = bound(entries.count);
    // What each entry keeps alive with the container: itself and, in a dict, its key.
    let held: u64 = below.of(owner.node).iter().map(|child| ownership.retained(*child)).sum();
    let share = (entries.count - bound) as f64 / entries.count as f64;
    let saving = (owner.retained_bytes.0 as f64 * share) as u64;
    let alone = |node: u32| {
        let above = ownership.tree.above(node);
        above == Some(owner.node) || (entries.within.is_some() && above.and_then(|above| ownership.tree.above(above)) == Some(owner.node))
    };
    let alone = entries.nodes.iter().filter(|node| alone(**node)).count();
    let within = entries.within.as_ref().map(|(n, kind)| format!(" in {n} {kind}")).unwrap_or_default();
    Some(Finding {
        id: "retained",
        title: format!("{what} holds {} {}{within}: {advice}", grouped(entries.count), entries.type_name),
        saving_bytes: Bytes(saving),
        known: Sure::Estimated,
        place,
        evidence: format!(
            "a {} of {} entries, {} of them held by nothing else, which keep {} bytes alive; were each as large as now, {} entries would be {} bytes",
            owner.type_name,
            entries.count,
            alone,
            held,
            bound,
            owner.retained_bytes.0 - saving,
        ),
        saves: Saves::At(vec![(owner.node, saving)]),
    })
}

/// The bound of an owner's own: of the container itself, or of the lru_cache whose table it is.
fn known_bound(ownership: &Ownership<'_>, owner: &Owner) -> Option<Option<u64>> {
    let of = |node: u32| ownership.details.bounds.iter().find(|row| row.object == node).map(|row| row.bound);
    let before = owner.steps.iter().rev().nth(1).filter(|_| owner.steps.last().is_some_and(|last| last.text == ".cache"));
    of(owner.node).or_else(|| of(before?.node))
}

/// The power of ten below a tenth of the entries: 1,000 for 10,644, 100 for 2,000.
fn bound(entries: usize) -> usize {
    let mut bound = 1;
    while bound * 10 <= entries / 5 {
        bound *= 10;
    }
    bound
}

/// 10644 as `10,644`.
pub(crate) fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Where an owner is kept: the class of the nearest instance on its way, else the module.
pub(crate) fn place_of(ownership: &Ownership<'_>, places: &Places<'_>, calls: &Calls<'_, '_>, steps: &[Step]) -> Option<Place> {
    for step in steps.iter().rev() {
        if let Some(place) = calls.place(step.node) {
            return Some(place);
        }
        if let Some(dict) = ownership.modules.contains_key(&step.node).then_some(step.node) {
            let name = ownership.modules.get(&dict);
            let file = ownership.details.modules.iter().find(|module| Some(&module.name.as_str()) == name).and_then(|m| m.file.clone());
            let dict = ownership.graph.named(dict, LinkKind::Field, "__dict__").unwrap_or(dict);
            return file.map(|file| Place { file, line: None, near: false }).or_else(|| places.of_globals(dict));
        }
        let class = ownership.graph.of(step.node).find(|link| link.label.kind == LinkKind::Type).map(|link| link.target);
        if let Some(place) = class.and_then(|class| places.of_class(class)).or_else(|| places.of_class(step.node)) {
            return Some(place);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_round_and_grouped_numbers_readable() {
        assert_eq!([500, 1995, 10_644, 100_000].map(bound), [100, 100, 1000, 10_000]);
        assert_eq!([7, 1000, 1_234_567].map(grouped), ["7", "1,000", "1,234,567"]);
    }
}
