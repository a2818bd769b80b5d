//! `path`: why objects are alive: their shortest ways from roots, merged into one tree.
//!
//! Holds: [`path`]. Never: follows a weak reference (it holds nothing, and is no edge of the graph) or the reference of an object to its
//! class. Objects that are held in the same way by holders of one type stand in one branch: a chain of a million links is one branch, too,
//! and no function here calls itself.

use std::cmp::Reverse;

use memory::Addr;
use rustc_hash::{FxHashMap, FxHashSet};
use snapshot::{LinkKind, RootLink};

use crate::naming::{joined, written, Names, Step};
use crate::ownership::{Hold, Ownership};

/// What no way may lead through, so that the next one shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excluded {
    /// Names of types; an object of theirs may be the end of a way.
    pub types: Vec<String>,
    /// Names of attributes, slots, locals and fields.
    pub names: Vec<String>,
}

impl Excluded {
    /// From what the user said: a word is a type's name and an attribute's, `.NAME` an attribute's only.
    pub fn of(words: &[String]) -> Excluded {
        let name = |word: &String| word.strip_prefix('.').unwrap_or(word).to_owned();
        Excluded { types: words.iter().filter(|word| !word.starts_with('.')).cloned().collect(), names: words.iter().map(name).collect() }
    }

    /// The first word that neither a type nor a reference has for its name.
    pub fn unknown(&self, ownership: &Ownership<'_>) -> Option<String> {
        let types: FxHashSet<u32> = ownership.objects.type_indices().iter().copied().collect();
        let is_type = |name: &String| self.types.contains(name) && types.iter().any(|row| ownership.type_row_name(*row) == name);
        let is_name = |name: &String| {
            let of_label = ownership.graph.labels().iter().any(|label| label.name.as_ref() == Some(name));
            of_label || ownership.details.roots.iter().any(|root| root.name.as_ref() == Some(name))
        };
        self.names.iter().find(|name| !is_name(name) && !is_type(name)).cloned()
    }
}

/// The ways to a set of objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// Branches from the roots outwards: each behind the one that it hangs from.
    pub branches: Vec<Branch>,
    /// How many objects were asked for.
    pub wanted: u64,
    /// How many of them no way leads to: nothing holds them but what was excluded.
    pub unreached: u64,
}

impl Ways {
    /// The places of the branches that lead to most, at most `limit`, in the order of [`Ways::branches`]; with each also those that it
    /// hangs from.
    pub fn biggest(&self, limit: Option<usize>) -> Vec<usize> {
        // A branch leads to no more than the one above it, so that this is chosen first.
        let mut places: Vec<usize> = (0..self.branches.len()).collect();
        places.sort_by_key(|place| self.branches.get(*place).map(|branch| (Reverse(branch.objects), branch.depth, *place)));
        places.truncate(limit.unwrap_or(usize::MAX));
        places.sort_unstable();
        places
    }
}

/// One branch: from a root or a fork to the next fork.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The branch that it hangs from, by its place.
    pub above: Option<u32>,
    /// 0 for one that begins at a root.
    pub depth: u32,
    /// Its steps as Python would write them: `shop.cache.CACHE.pages`, `[…].body`.
    pub text: String,
    /// How many steps that are.
    pub steps: u64,
    /// By what its root is held.
    pub hold: Hold,
    /// The type of the objects at its end.
    pub type_name: String,
    /// How many objects stand at its end.
    pub holders: u64,
    /// The address of the first of them.
    pub address: Addr,
    /// How many of the objects asked for it leads to, its own end included.
    pub objects: u64,
    /// Whether the objects at its end were asked for themselves.
    pub is_end: bool,
}

/// The shortest ways from roots to `wanted` that touch nothing excluded.
pub fn path(ownership: &Ownership<'_>, wanted: &[u32], excluded: &Excluded) -> Ways {
    let graph = ownership.graph;
    // Said once for each label and type, not for each of millions of edges.
    let barred_labels: Vec<bool> =
        graph.labels().iter().map(|l| l.name.as_ref().is_some_and(|name| excluded.names.contains(name))).collect();
    let type_rows = ownership.objects.type_indices();
    let barred_types: FxHashSet<u32> = match excluded.types.is_empty() {
        true => FxHashSet::default(),
        false => {
            let rows: FxHashSet<u32> = type_rows.iter().copied().collect();
            rows.into_iter().filter(|row| excluded.types.iter().any(|t| t == ownership.type_row_name(*row))).collect()
        }
    };
    let barred = |node: u32| type_rows.get(node as usize).is_some_and(|t| barred_types.contains(t));
    let follow = |from: u32, edge: usize, _: u32| {
        let label = graph.label_places().get(edge);
        !(label.is_some_and(|l| barred_labels.get(l as usize) == Some(&true)) || !barred_types.is_empty() && barred(from))
    };
    let starts = starts(ownership, excluded);
    let names = Names::from(ownership, &starts, wanted, follow);
    // How many of the wanted each node leads to: from the far ends of the ways inwards.
    let mut objects: FxHashMap<u32, u64> = FxHashMap::default();
    let ends: FxHashSet<u32> = wanted.iter().copied().filter(|node| names.reached(*node)).collect();
    let mut below: FxHashMap<u32, u32> = FxHashMap::default();
    for &end in &ends {
        let mut at = end;
        // Up to where another way was here before; its own way goes on from there.
        while let std::collections::hash_map::Entry::Vacant(slot) = objects.entry(at) {
            slot.insert(0);
            let Some(before) = names.before(at) else { break };
            *below.entry(before).or_default() += 1;
            at = before;
        }
    }
    let mut ready: Vec<u32> = objects.keys().copied().filter(|node| !below.contains_key(node)).collect();
    while let Some(node) = ready.pop() {
        let sum = objects.get(&node).copied().unwrap_or(0) + u64::from(ends.contains(&node));
        objects.insert(node, sum);
        let Some(before) = names.before(node) else { continue };
        *objects.entry(before).or_default() += sum;
        if let Some(left) = below.get_mut(&before) {
            *left -= 1;
            if *left == 0 {
                ready.push(before);
            }
        }
    }
    let unreached = wanted.len() as u64 - ends.len() as u64;
    let mut tree = Tree { ownership, names: &names, follow: &follow, objects, ends, branches: Vec::new() };
    tree.grow();
    Ways { branches: tree.branches, wanted: wanted.len() as u64, unreached }
}

/// The roots that are left: those that something else than an excluded name makes a root.
fn starts(ownership: &Ownership<'_>, excluded: &Excluded) -> Vec<u32> {
    let named_so = |root: &&RootLink| root.name.as_ref().is_some_and(|name| excluded.names.contains(name));
    let mut away: FxHashSet<u32> = ownership.details.roots.iter().filter(named_so).map(|root| root.target).collect();
    for root in ownership.details.roots.iter().filter(|root| !named_so(root)) {
        away.remove(&root.target);
    }
    away.retain(|node| !ownership.modules.contains_key(node));
    ownership.roots.iter().map(|(node, _)| *node).filter(|node| !away.contains(node)).collect()
}

/// The branches in the making.
struct Tree<'t, 'o, 's, F> {
    ownership: &'o Ownership<'s>,
    names: &'t Names<'o, 's>,
    follow: &'t F,
    /// How many of the wanted objects a node on a way leads to.
    objects: FxHashMap<u32, u64>,
    ends: FxHashSet<u32>,
    branches: Vec<Branch>,
}

/// Objects that are held alike.
struct Group {
    text: String,
    type_index: u32,
    nodes: Vec<u32>,
    /// The one place, where it is one.
    index: Option<u32>,
}

/// A branch that is still to be followed: what it hangs from, how deep that is, by what its root is held.
type Ahead = (Option<u32>, u32, Hold, Group);

impl<F: Fn(u32, usize, u32) -> bool> Tree<'_, '_, '_, F> {
    fn grow(&mut self) {
        let roots: Vec<u32> = self.objects.keys().copied().filter(|node| self.names.before(*node).is_none()).collect();
        let groups = grouped(roots.into_iter().map(|node| (node, self.names.root(node), self.type_index(node), None)));
        let hold = |group: &Group| group.nodes.first().map_or(Hold::Several, |node| self.ownership.hold(*node));
        let mut ahead: Vec<Ahead> = self.ordered(groups).into_iter().rev().map(|g| (None, 0, hold(&g), g)).collect();
        while let Some((above, depth, hold, group)) = ahead.pop() {
            let place = self.branches.len() as u32;
            let next = self.branch(above, depth, hold, group);
            ahead.extend(next.into_iter().rev().map(|g| (Some(place), depth + 1, hold, g)));
        }
    }

    /// Follows a group as long as its way does not fork; gives what it forks into.
    fn branch(&mut self, above: Option<u32>, depth: u32, hold: Hold, mut group: Group) -> Vec<Group> {
        let mut steps: Vec<Step> = Vec::new();
        loop {
            let single = group.nodes.len() == 1;
            let node = group.nodes.first().copied().unwrap_or_default();
            let text = match group.index {
                Some(index) if single => format!("[{index}]"),
                _ => std::mem::take(&mut group.text),
            };
            let told = if single { self.names.told(node).map(|what| format!(" ({what})")) } else { None };
            steps.push(Step { node, text: text + told.as_deref().unwrap_or_default() });
            let is_end = group.nodes.iter().any(|node| self.ends.contains(node));
            let mut next = self.ordered(self.children(&group));
            let goes_on = !is_end && next.len() == 1 && next.first().is_some_and(|g| g.nodes.len() == group.nodes.len());
            if !goes_on {
                self.branches.push(Branch {
                    above,
                    depth,
                    text: joined(&steps),
                    steps: steps.len() as u64,
                    hold,
                    type_name: self.ownership.type_name(node).to_owned(),
                    holders: group.nodes.len() as u64,
                    address: self.ownership.objects.addresses().get(node as usize).copied().unwrap_or_default(),
                    objects: self.sum(&group),
                    is_end,
                });
                return next;
            }
            group = next.remove(0);
        }
    }

    /// What the ways go on to, in groups.
    fn children(&self, group: &Group) -> Vec<Group> {
        let graph = self.ownership.graph;
        let mut found: Vec<(u32, String, u32, Option<u32>)> = Vec::new();
        let mut taken: FxHashSet<u32> = FxHashSet::default();
        let mut holders: Vec<u32> = group.nodes.clone();
        while let Some(holder) = holders.pop() {
            let followed = graph.edges().range(holder).zip(graph.of(holder)).filter(|(edge, link)| {
                link.label.kind != LinkKind::Type
                    && self.names.before(link.target) == Some(holder)
                    && self.objects.contains_key(&link.target)
                    && (self.follow)(holder, *edge, link.target)
            });
            for (_, link) in followed {
                if !taken.insert(link.target) {
                    continue;
                }
                // `x.__dict__.name` is `x.name`.
                if link.label.name.as_deref() == Some("__dict__") && !self.ends.contains(&link.target) && self.is_namespace(link.target) {
                    holders.push(link.target);
                    continue;
                }
                let (text, index) = match link.label.kind {
                    LinkKind::Index => ("[…]".to_owned(), Some(link.nth)),
                    _ => (written(&link), None),
                };
                found.push((link.target, text, self.type_index(link.target), index));
            }
        }
        grouped(found.into_iter())
    }

    /// Whether the ways go on from a dict by names only.
    fn is_namespace(&self, dict: u32) -> bool {
        let graph = self.ownership.graph;
        graph.of(dict).filter(|link| self.names.before(link.target) == Some(dict)).all(|link| link.label.kind == LinkKind::Attribute)
    }

    fn type_index(&self, node: u32) -> u32 {
        self.ownership.objects.type_indices().get(node as usize).copied().unwrap_or(u32::MAX)
    }

    fn sum(&self, group: &Group) -> u64 {
        group.nodes.iter().filter_map(|node| self.objects.get(node)).sum()
    }

    /// What leads to most comes first; ties by text and type.
    fn ordered(&self, mut groups: Vec<Group>) -> Vec<Group> {
        let type_name = |group: &Group| self.ownership.type_row_name(group.type_index);
        groups.sort_by_cached_key(|group| (Reverse(self.sum(group)), group.text.clone(), type_name(group), group.nodes.first().copied()));
        groups
    }
}

/// Puts together what is held in the same way and of one type.
fn grouped(found: impl Iterator<Item = (u32, String, u32, Option<u32>)>) -> Vec<Group> {
    let mut groups: FxHashMap<(String, u32), Group> = FxHashMap::default();
    for (node, text, type_index, index) in found {
        let group = groups.entry((text.clone(), type_index)).or_insert(Group { text, type_index, nodes: Vec::new(), index });
        group.nodes.push(node);
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.iter_mut().for_each(|group| group.nodes.sort_unstable());
    groups
}

#[cfg(test)]
mod tests {
    use snapshot::{RootPlace, Snapshot};

    use super::*;
    use crate::testing::Made;

    /// Five sessions in a list of a global, one of which a local holds as well; a sixth in a cache.
    fn sessions() -> (Snapshot, Vec<u32>) {
        let mut made = Made::default();
        let (_, globals) = made.module("app");
        let list = made.object("list", 50, 1);
        made.link(globals, list, LinkKind::Attribute, "ALL");
        let mut all: Vec<u32> = (0..5).map(|_| made.object("app.Session", 10, 1)).collect();
        all.iter().for_each(|session| made.link(list, *session, LinkKind::Index, ""));
        let (cache, dict, pages) = (made.object("app.Cache", 10, 1), made.object("dict", 10, 1), made.object("dict", 10, 1));
        made.link(globals, cache, LinkKind::Attribute, "CACHE");
        made.link(cache, dict, LinkKind::Field, "__dict__");
        made.link(dict, pages, LinkKind::Attribute, "pages");
        let sixth = made.object("app.Session", 10, 1);
        made.link(pages, sixth, LinkKind::Value, "");
        // Reached from the list as well, one step further.
        made.link(pages, all[0], LinkKind::Value, "");
        made.root(RootPlace::Frame, "thread 0x1, frame of f", Some("mine"), all[1], true);
        all.push(sixth);
        (made.snapshot(), all)
    }

    fn shown(snapshot: &Snapshot, wanted: &[u32], types: &[&str], names: &[&str]) -> (Vec<String>, u64) {
        let ownership = Ownership::of(snapshot).unwrap();
        let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        let ways = path(&ownership, wanted, &Excluded { types: owned(types), names: owned(names) });
        let line = |b: &Branch| format!("{}{} {} of {} x{}", "  ".repeat(b.depth as usize), b.objects, b.text, b.type_name, b.holders);
        (ways.branches.iter().map(line).collect(), ways.unreached)
    }

    #[test]
    fn ways_are_merged_and_common_holders_counted_once() {
        let (snapshot, all) = sessions();
        let wanted = [
            "5 app of dict x1",
            "  4 .ALL of list x1",
            "    4 […] of app.Session x4",
            "  1 .CACHE.pages[…] of app.Session x1",
            "1 thread 0x1, frame of f: local mine of app.Session x1",
        ];
        assert_eq!(shown(&snapshot, &all, &[], &[]), (wanted.map(str::to_owned).to_vec(), 0));
        let ways = path(&Ownership::of(&snapshot).unwrap(), &all, &Excluded::default());
        assert_eq!((ways.biggest(None).len(), ways.biggest(Some(2)), ways.biggest(Some(4))), (5, vec![0, 1], vec![0, 1, 2, 4]));
        assert_eq!(shown(&snapshot, &all[2..3], &[], &[]).0, ["1 app.ALL[2] of app.Session x1"]);
    }

    #[test]
    fn what_is_excluded_shows_the_next_way_or_that_there_is_none() {
        let (snapshot, all) = sessions();
        let wanted = ["1 app.CACHE.pages[…] of app.Session x1"];
        assert_eq!(shown(&snapshot, &all[..1], &[], &["ALL"]), (wanted.map(str::to_owned).to_vec(), 0));
        assert_eq!(shown(&snapshot, &all[..1], &["list"], &[]), (wanted.map(str::to_owned).to_vec(), 0));
        assert_eq!(shown(&snapshot, &all[..1], &["list"], &["CACHE"]), (Vec::new(), 1));
        // A root's name is excluded, too.
        assert_eq!(shown(&snapshot, &all[1..2], &[], &["mine"]).0, ["1 app.ALL[1] of app.Session x1"]);
        // The end itself may be of an excluded type.
        assert_eq!(shown(&snapshot, &all[1..2], &["app.Session"], &["mine"]).0, ["1 app.ALL[1] of app.Session x1"]);
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_is_one_branch() {
        let mut made = Made::default();
        let (_, globals) = made.module("app");
        let mut last = globals;
        for _ in 0..100_000 {
            let next = made.object("app.Node", 1, 1);
            made.link(last, next, LinkKind::Attribute, "next");
            last = next;
        }
        let snapshot = made.snapshot();
        let ownership = Ownership::of(&snapshot).unwrap();
        let ways = path(&ownership, &[last], &Excluded::default());
        assert_eq!(ways.branches.iter().map(|b| (b.steps, b.objects)).collect::<Vec<_>>(), [(100_001, 1)]);
    }
}
