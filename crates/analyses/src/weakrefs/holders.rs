//! Who has weak references: one object with many, or an attribute of the instances of a class.
//!
//! Holds: [`grouped`]. A weak reference without a callback is shared by all who ask for one, so several may have it: the first, by its row,
//! is told. Bounded: one pass over all references.

use std::cmp::Reverse;

use rustc_hash::{FxHashMap, FxHashSet};
use snapshot::LinkKind;

use super::containers::Found;
use super::{Holders, Links, Sums};
use crate::naming::{written, Names};

/// Holders that are named by their way; of others only the type is told.
pub(super) const NAMED_MOST: usize = 1000;
/// A container with so many weak references is told by its own way.
const OWN_LEAST: u64 = 8;

/// Who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Who<'s> {
    /// One object.
    One(u32),
    /// An attribute, or another reference, of the instances of a type; and whether it leads to a container with them.
    Each(u32, LinkKind, Option<&'s str>, bool),
    /// No object: a frame, the interpreter, C code.
    Nobody,
}

/// Weak references of one holder.
pub(super) struct Group<'s> {
    who: Who<'s>,
    objects: u64,
    sums: Sums,
}

/// All of them, most first.
pub(super) fn grouped<'s>(links: &Links<'_, 's>, containers: &[Found]) -> Vec<Group<'s>> {
    let graph = links.ownership.graph;
    let tables: FxHashMap<u32, u32> = containers.iter().map(|c| (c.table, c.node)).collect();
    let first = first_holders(links);
    let mut many: FxHashMap<u32, u64> = FxHashMap::default();
    for (holder, _) in first.iter().flatten() {
        *many.entry(*holder).or_default() += 1;
    }
    let type_of = |node: u32| links.look.type_of(node);
    // The instance whose `__dict__` it is.
    let instance = |dict: u32| {
        let above = links.ownership.tree.above(dict)?;
        (graph.named(above, LinkKind::Field, "__dict__") == Some(dict)).then_some(above)
    };
    let each = |holder: u32, kind: LinkKind, name: Option<&'s str>, within: bool| -> (Who<'s>, u32) {
        let owner = if kind == LinkKind::Attribute { instance(holder).unwrap_or(holder) } else { holder };
        match links.ownership.modules.contains_key(&owner) {
            true => (Who::One(owner), owner),
            false => (Who::Each(type_of(owner), kind, name, within), owner),
        }
    };
    let mut groups: FxHashMap<Who<'s>, (Sums, FxHashSet<u32>)> = FxHashMap::default();
    // What a holder is counted under is the same for all that it has in one way.
    let mut known: FxHashMap<(u32, LinkKind, Option<&str>), (Who<'s>, u32)> = FxHashMap::default();
    for (row, found) in links.rows.iter().zip(&first) {
        let (who, object) = match found {
            None => (Who::Nobody, u32::MAX),
            Some((holder, edge)) => {
                let label = graph.label(*edge);
                let (kind, name) = label.map_or((LinkKind::Scanned, None), |label| (label.kind, label.name.as_deref()));
                *known.entry((*holder, kind, name)).or_insert_with(|| {
                    if let Some(container) = tables.get(holder).filter(|_| many.get(holder) >= Some(&OWN_LEAST)) {
                        return (Who::One(*container), *container);
                    }
                    if !matches!(kind, LinkKind::Index | LinkKind::Key | LinkKind::Value | LinkKind::Member) {
                        return each(*holder, kind, name, false);
                    }
                    let above = links.ownership.tree.above(*holder).and_then(|above| Some((above, graph.between(above, *holder)?)));
                    match above {
                        // A class's list of its subclasses is no one's work.
                        Some((above, link)) if link.label.name.as_deref() == Some("__subclasses__") => {
                            each(above, link.label.kind, link.label.name.as_deref(), true)
                        }
                        _ if many.get(holder) >= Some(&OWN_LEAST) => (Who::One(*holder), *holder),
                        Some((above, link)) if !matches!(link.label.kind, LinkKind::Index | LinkKind::Value | LinkKind::Member) => {
                            each(above, link.label.kind, link.label.name.as_deref(), true)
                        }
                        _ => (Who::Each(type_of(*holder), kind, None, false), *holder),
                    }
                })
            }
        };
        let (sums, objects) = groups.entry(who).or_default();
        sums.add(row, links.footprint(row.object));
        objects.insert(object);
    }
    let mut all: Vec<Group<'s>> =
        groups.into_iter().map(|(who, (sums, objects))| Group { who, objects: objects.len() as u64, sums }).collect();
    // Types are numbered in the order in which they were found, which differs from look to look: their names decide.
    let name = |who: Who<'s>| match who {
        Who::One(node) => links.ownership.type_name(node),
        Who::Each(row, ..) => links.ownership.type_row_name(row),
        Who::Nobody => "",
    };
    all.sort_by_key(|group| (Reverse(group.sums.bytes), Reverse(group.sums.references()), name(group.who), group.who));
    all
}

/// For each weak reference the first that has it, with the reference's place.
fn first_holders(links: &Links<'_, '_>) -> Vec<Option<(u32, usize)>> {
    let edges = links.ownership.graph.edges();
    let mut first = vec![None; links.rows.len()];
    let mut is_weak = vec![0u64; links.ownership.objects.len().div_ceil(64)];
    for row in links.rows {
        if let Some(word) = is_weak.get_mut(row.object as usize / 64) {
            *word |= 1 << (row.object % 64);
        }
    }
    for holder in 0..links.ownership.objects.len() as u32 {
        for (edge, target) in edges.range(holder).zip(edges.of(holder)) {
            if is_weak.get(*target as usize / 64).is_some_and(|word| word >> (target % 64) & 1 == 1) {
                let at = links.rows.binary_search_by_key(target, |row| row.object).ok();
                if let Some(slot) = at.and_then(|at| first.get_mut(at)).filter(|slot: &&mut Option<_>| slot.is_none()) {
                    *slot = Some((holder, edge));
                }
            }
        }
    }
    first
}

impl Group<'_> {
    /// The object that is to be named.
    pub(super) fn wanted(&self) -> Option<u32> {
        match self.who {
            Who::One(node) => Some(node),
            _ => None,
        }
    }

    pub(super) fn described(&self, links: &Links<'_, '_>, names: &Names<'_, '_>, place: usize) -> Holders {
        let ownership = links.ownership;
        let (holder, type_name) = match self.who {
            Who::One(node) => {
                let type_name = ownership.type_name(node);
                let path = if place < NAMED_MOST { names.text(node) } else { format!("a {type_name}") };
                (path, type_name.to_owned())
            }
            Who::Each(row, kind, name, within) => {
                let type_name = ownership.type_row_name(row).to_owned();
                let label =
                    snapshot::LinkLabel { type_index: row, kind, name: name.map(str::to_owned), certain: true, traversed: true, count: 0 };
                let step = match kind {
                    LinkKind::Index => "[…]".to_owned(),
                    _ => written(&snapshot::Link { target: 0, label: &label, nth: 0 }),
                };
                (format!("{type_name}{step}{}", if within { "[…]" } else { "" }), type_name)
            }
            Who::Nobody => ("frames, the interpreter or C code".to_owned(), String::new()),
        };
        Holders { holder, type_name, objects: self.objects, sums: self.sums }
    }
}
