//! What is counted while components are gone through one by one: their shapes, the edges that break them, what they retain.
//!
//! Holds: [`Tally`]. Bounded: edges of a cycle that are weighed by [`STEPS_WEIGHED`]. No recursion.

use std::cmp::Reverse;

use graph::{Components, NONE};
use memory::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};
use snapshot::{LinkKind, LinkLabel};

use super::knot::{Knot, STARTS_MOST};
use super::{Break, Shape, Why};
use crate::ownership::{Alive, Ownership};
use crate::place::{Place, Places};

/// Different edges of one cycle that are tried as the one that breaks it.
const STEPS_WEIGHED: usize = 16;
/// Longer cycles are told by their beginning.
const STEPS_TOLD: usize = 8;
/// Longer repetitions are not turned so that two of one kind begin alike.
const TURNED_MOST: usize = 64;

/// Names of attributes that point back from a part to its whole.
const BACK: &[&str] = &[
    "parent",
    "owner",
    "bus",
    "back",
    "prev",
    "previous",
    "root",
    "manager",
    "container",
    "context",
    "ctx",
    "host",
    "outer",
    "hub",
    "master",
    "controller",
    "session",
    "app",
    "application",
    "engine",
    "registry",
    "dispatcher",
    "backref",
    "up",
];

/// What is counted while components are gone through.
pub(super) struct Tally<'o, 's> {
    ownership: &'o Ownership<'s>,
    /// The number of a type's name, by its row: classes of one name are one.
    type_of_row: Vec<u32>,
    type_names: Vec<&'s str>,
    texts: Vec<String>,
    text_numbers: FxHashMap<String, u32>,
    /// By the place of a graph's label.
    text_of_label: Vec<u32>,
    steps: Vec<Step>,
    step_numbers: FxHashMap<Step, u32>,
    /// What cycles are called, by their steps as they were found.
    names: FxHashMap<Vec<u32>, (u32, usize)>,
    shapes: Vec<String>,
    shape_numbers: FxHashMap<String, u32>,
    groups: FxHashMap<(u32, bool), Group>,
    /// For members of cycles their group.
    group_of: FxHashMap<u32, (u32, bool)>,
    local: FxHashMap<u32, u32>,
    knot: Knot,
    /// The components that come now have classes in them.
    pub(super) of_classes: bool,
}

impl<'o, 's> Tally<'o, 's> {
    pub(super) fn new(ownership: &'o Ownership<'s>) -> Self {
        let rows = ownership.objects.type_indices().iter().copied().max().map_or(0, |row| row + 1);
        let mut numbers: FxHashMap<&str, u32> = FxHashMap::default();
        let mut type_names = Vec::new();
        let type_of_row = (0..rows)
            .map(|row| {
                let name = ownership.type_row_name(row);
                *numbers.entry(name).or_insert_with(|| {
                    type_names.push(name);
                    type_names.len() as u32 - 1
                })
            })
            .collect();
        let mut tally = Tally {
            ownership,
            type_of_row,
            type_names,
            texts: Vec::new(),
            text_numbers: FxHashMap::default(),
            text_of_label: Vec::new(),
            steps: Vec::new(),
            step_numbers: FxHashMap::default(),
            names: FxHashMap::default(),
            shapes: Vec::new(),
            shape_numbers: FxHashMap::default(),
            groups: FxHashMap::default(),
            group_of: FxHashMap::default(),
            local: FxHashMap::default(),
            knot: Knot::default(),
            of_classes: false,
        };
        tally.text_of_label = ownership.graph.labels().iter().map(|label| tally.text(written(label))).collect();
        tally
    }

    fn text(&mut self, text: String) -> u32 {
        let next = self.texts.len() as u32;
        let number = *self.text_numbers.entry(text.clone()).or_insert(next);
        if number == next {
            self.texts.push(text);
        }
        number
    }

    fn type_of(&self, node: u32) -> u32 {
        let row = self.ownership.objects.type_indices().get(node as usize).copied().unwrap_or(u32::MAX);
        self.type_of_row.get(row as usize).copied().unwrap_or(u32::MAX)
    }

    fn type_name(&self, number: u32) -> &'s str {
        self.type_names.get(number as usize).copied().unwrap_or("?")
    }

    fn step(&mut self, step: Step) -> u32 {
        let next = self.steps.len() as u32;
        let number = *self.step_numbers.entry(step).or_insert(next);
        if number == next {
            self.steps.push(step);
        }
        number
    }

    /// Counts these components to their shapes.
    pub(super) fn take(&mut self, components: &Components, wanted: impl Iterator<Item = u32>) {
        for component in wanted {
            let members = components.members(component);
            let garbage = members.first().is_some_and(|node| self.ownership.alive(*node) == Alive::Garbage);
            self.component(members, garbage);
        }
    }

    /// Counts one component to its shape.
    fn component(&mut self, members: &[u32], garbage: bool) {
        let owners = self.fill(members);
        // A member of each type at least, all where they are few.
        let starts = self.starts(&owners);
        let mut knot = std::mem::take(&mut self.knot);
        let mut named: FxHashMap<Vec<u32>, (u32, usize)> = std::mem::take(&mut self.names);
        let cycle = {
            let this = std::cell::RefCell::new((&mut *self, &mut named));
            knot.smallest(&starts, |a, b| {
                let (tally, named) = &mut *this.borrow_mut();
                let (a, b) = (tally.named(named, a).0, tally.named(named, b).0);
                a != b && tally.shapes.get(a as usize) < tally.shapes.get(b as usize)
            })
        };
        if !cycle.is_empty() {
            let (shape, turn) = self.named(&mut named, &cycle);
            self.count(members, &owners, shape, turn, garbage, &cycle, &mut knot);
        }
        (self.knot, self.names) = (knot, named);
    }

    /// Makes the component's graph; gives for each of its nodes the object. An instance's dict is one with the instance.
    fn fill(&mut self, members: &[u32]) -> Vec<u32> {
        let graph = self.ownership.graph;
        // Emptying a map takes as long as it is big: not that of a giant for each of a million small ones.
        if self.local.capacity() > members.len() * 8 + 1024 {
            self.local = FxHashMap::default();
        }
        self.local.clear();
        // Which member is whose `__dict__`; one that several share stays itself.
        let inside: FxHashSet<u32> = members.iter().copied().collect();
        let mut owner: FxHashMap<u32, u32> = FxHashMap::default();
        for &node in members {
            let dict = graph.of(node).find(|link| is_dict_of(link.label)).map(|link| link.target);
            if let Some(dict) = dict.filter(|dict| *dict != node && inside.contains(dict) && self.ownership.type_name(*dict) == "dict") {
                owner.entry(dict).and_modify(|o| *o = NONE).or_insert(node);
            }
        }
        // No dict is merged into what is merged itself.
        owner.retain(|_, o| *o != NONE);
        let mut owners: Vec<u32> = Vec::with_capacity(members.len());
        for &node in members.iter().filter(|node| !owner.contains_key(node)) {
            self.local.insert(node, owners.len() as u32);
            owners.push(node);
        }
        for (dict, node) in &owner {
            if let Some(number) = self.local.get(node).copied() {
                self.local.insert(*dict, number);
            }
        }
        let mut list: Vec<(u32, u32, u32)> = Vec::new();
        for &node in members {
            let Some(from) = self.local.get(&node).copied() else { continue };
            let mine = owner.get(&node).copied();
            let holder = self.type_of(mine.unwrap_or(node));
            let places = graph.label_places().of(graph.edges().range(node));
            for (target, label) in graph.edges().of(node).iter().zip(places) {
                let Some(to) = self.local.get(target).copied() else { continue };
                // From an instance to its own dict is no way.
                if mine.is_none() && owner.get(target) == Some(&node) && graph.labels().get(label as usize).is_some_and(is_dict_of) {
                    continue;
                }
                let target = self.type_of(owner.get(target).copied().unwrap_or(*target));
                let label = self.text_of_label.get(label as usize).copied().unwrap_or(0);
                let step = self.step(Step { holder, label, target });
                list.push((from, to, step));
            }
        }
        self.knot.fill(owners.len(), &mut list);
        owners
    }

    fn starts(&self, owners: &[u32]) -> Vec<u32> {
        if owners.len() <= STARTS_MOST {
            return (0..owners.len() as u32).collect();
        }
        let mut met = FxHashSet::default();
        (0..owners.len() as u32).filter(|i| owners.get(*i as usize).is_some_and(|node| met.insert(self.type_of(*node)))).collect()
    }

    /// The number of a cycle's shape, and at which of its steps the text begins.
    fn named(&mut self, known: &mut FxHashMap<Vec<u32>, (u32, usize)>, cycle: &[(u32, u32)]) -> (u32, usize) {
        let steps: Vec<u32> = cycle.iter().map(|(_, step)| *step).collect();
        if let Some(found) = known.get(&steps) {
            return *found;
        }
        let (text, turn) = self.told(&steps);
        let next = self.shapes.len() as u32;
        let number = *self.shape_numbers.entry(text.clone()).or_insert(next);
        if number == next {
            self.shapes.push(text);
        }
        if steps.len() <= TURNED_MOST {
            known.insert(steps, (number, turn));
        }
        (number, turn)
    }

    /// The steps of a cycle as one text that begins at the same place however the cycle was found.
    fn told(&self, steps: &[u32]) -> (String, usize) {
        let period = period(steps);
        let words: Vec<(bool, &str, &str)> = steps.iter().take(period).filter_map(|step| self.words(*step)).collect();
        let turn = first_turn(&words);
        let mut text = String::new();
        let whole = period < words.len().max(1) || period <= STEPS_TOLD;
        let shown = words.iter().cycle().skip(turn).take(if steps.len() <= STEPS_TOLD { steps.len() } else { period.min(STEPS_TOLD) });
        for (_, holder, label) in shown {
            text += &format!("{holder} {label} → ");
        }
        let first = words.get(turn).map_or("?", |(_, holder, _)| holder);
        match steps.len() {
            1 => text += "itself",
            n if n <= STEPS_TOLD => text += first,
            _ if whole => text += &format!("… → {first}"),
            n => text += &format!("… {} more … → {first}", n - STEPS_TOLD),
        }
        (text, turn)
    }

    /// Holder and label; what belongs to the program comes before what is built in.
    fn words(&self, step: u32) -> Option<(bool, &str, &str)> {
        let step = self.steps.get(step as usize)?;
        let holder = self.type_name(step.holder);
        Some((!holder.contains('.'), holder, self.texts.get(step.label as usize)?))
    }

    #[allow(clippy::too_many_arguments)] // One call, of what one component gave.
    fn count(&mut self, members: &[u32], owners: &[u32], shape: u32, turn: usize, garbage: bool, cycle: &[(u32, u32)], knot: &mut Knot) {
        let mut weights: Vec<(u32, Weight)> = Vec::new();
        // A component that is this cycle and nothing else is broken by any of its edges.
        let alone = knot.edges() == cycle.len() && knot.len() == cycle.len();
        for (_, step) in cycle {
            if weights.len() == STEPS_WEIGHED {
                break;
            }
            if weights.iter().all(|(known, _)| known != step) {
                let (references, targets) = knot.counted(*step);
                let breaks = u64::from(alone || knot.is_acyclic_without(*step));
                weights.push((*step, Weight { references, targets, breaks }));
            }
        }
        let types: Vec<u32> = members.iter().map(|node| self.type_of(*node)).collect();
        let key = (shape, garbage);
        let group = self.groups.entry(key).or_insert_with(|| Group {
            count: 0,
            objects: 0,
            types: FxHashMap::default(),
            breaks: FxHashMap::default(),
            example: cycle
                .iter()
                .cycle()
                .skip(turn)
                .take(cycle.len().min(STEPS_WEIGHED))
                .filter_map(|(i, _)| owners.get(*i as usize).copied())
                .collect(),
            retained: 0,
            tops: Vec::new(),
            of_classes: self.of_classes,
        });
        group.count += 1;
        group.objects += members.len() as u64;
        types.iter().for_each(|t| *group.types.entry(*t).or_default() += 1);
        for (step, weight) in weights {
            let sum = group.breaks.entry(step).or_default();
            sum.references += weight.references;
            sum.targets += weight.targets;
            sum.breaks += weight.breaks;
        }
        for node in members {
            self.group_of.entry(*node).or_insert(key);
        }
    }

    /// The shapes with what they retain, in their order.
    pub(super) fn shapes(mut self) -> Vec<Shape> {
        self.weigh();
        let places = Places::of(self.ownership.objects, self.ownership.graph, self.ownership.details);
        let mut shapes: Vec<Shape> =
            self.groups.iter().filter_map(|((shape, garbage), group)| self.shape(&places, *shape, *garbage, group)).collect();
        shapes.sort_by(|a, b| {
            (!a.garbage, Reverse(a.retained_bytes), Reverse(a.count), &a.shape).cmp(&(
                !b.garbage,
                Reverse(b.retained_bytes),
                Reverse(b.count),
                &b.shape,
            ))
        });
        shapes
    }

    /// What each group retains: what its members that no other member of it dominates retain. Down and up the dominator tree once.
    fn weigh(&mut self) {
        let below = self.ownership.tree.below();
        let mut open: FxHashMap<(u32, bool), u32> = FxHashMap::default();
        for top in self.ownership.tree.top() {
            let mut ahead = vec![(top, 0u32)];
            while let Some((node, seen)) = ahead.last_mut() {
                let (node, key) = (*node, self.group_of.get(node));
                if *seen == 0 {
                    if let Some(key) = key {
                        let within = open.entry(*key).or_default();
                        if *within == 0 {
                            if let Some(group) = self.groups.get_mut(key) {
                                group.retained += self.ownership.retained(node);
                                if key.1 {
                                    group.tops.push((node, self.ownership.retained(node)));
                                }
                            }
                        }
                        *within += 1;
                    }
                }
                *seen += 1;
                match below.of(node).get(*seen as usize - 1) {
                    Some(child) => ahead.push((*child, 0)),
                    None => {
                        if let Some(within) = key.and_then(|key| open.get_mut(key)) {
                            *within -= 1;
                        }
                        ahead.pop();
                    }
                }
            }
        }
    }

    fn shape(&self, places: &Places<'_>, shape: u32, garbage: bool, group: &Group) -> Option<Shape> {
        let mut types: Vec<(String, u64)> = group.types.iter().map(|(t, count)| (self.type_name(*t).to_owned(), *count)).collect();
        types.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let rank = |(step, weight): &(&u32, &Weight)| (Reverse(weight.breaks), self.why(**step, weight), self.edge(**step));
        let (step, weight) = group.breaks.iter().min_by_key(rank)?;
        let why = if group.of_classes { Why::Class } else { self.why(*step, weight) };
        let mut found: Vec<(String, Place)> = Vec::new();
        let holder = self.steps.get(*step as usize).map(|step| step.holder);
        for &node in &group.example {
            let Some(named) = self.place(places, node) else { continue };
            // The class that has the edge comes first.
            let at = if Some(self.type_of(node)) == holder { 0 } else { found.len() };
            if !found.contains(&named) {
                found.insert(at, named);
            }
        }
        Some(Shape {
            shape: self.shapes.get(shape as usize)?.clone(),
            count: group.count,
            garbage,
            retained_bytes: Bytes(group.retained),
            objects: group.objects,
            types,
            break_at: Break { edge: self.edge(*step), why, references: weight.references, breaks: weight.breaks },
            places: found,
            example: group.example.first().copied().unwrap_or(NONE),
            tops: group.tops.clone(),
        })
    }

    fn edge(&self, step: u32) -> String {
        let Some(known) = self.steps.get(step as usize) else { return "?".to_owned() };
        let (_, holder, label) = self.words(step).unwrap_or_default();
        format!("{holder} {label} → {}", self.type_name(known.target))
    }

    /// What is known of an edge by its name, and by how many lead to how few.
    fn why(&self, step: u32, weight: &Weight) -> Why {
        let Some(Step { target, .. }) = self.steps.get(step as usize) else { return Why::Other };
        let label = self.words(step).map_or("", |(_, _, label)| label);
        let target = self.type_name(*target);
        match label {
            ".__traceback__" => Why::Traceback,
            _ if target == "method" => Why::Callback,
            ".cell_contents" => Why::Closure,
            _ if label.starts_with("local ") => Why::Local,
            _ => match label.strip_prefix('.').filter(|name| !name.starts_with("__") && !FIELDS.contains(name)) {
                Some(name) if name.to_ascii_lowercase().split('_').any(|word| BACK.contains(&word)) => Why::Back,
                Some(_) if weight.references > weight.targets => Why::ManyToOne,
                Some(_) => Why::Attribute,
                None => Why::Other,
            },
        }
    }

    /// Where the class of an object, or the function that it runs, is defined.
    fn place(&self, places: &Places<'_>, node: u32) -> Option<(String, Place)> {
        let graph = self.ownership.graph;
        let code = graph.named(node, LinkKind::Field, "f_code").or_else(|| graph.named(node, LinkKind::Field, "gi_code"));
        let name = self.ownership.type_name(node).to_owned();
        if let Some(place) = places.of_function(code.unwrap_or(node)) {
            return Some((name, place));
        }
        let class = graph.of(node).find(|link| link.label.kind == LinkKind::Type)?.target;
        places.of_class(class).map(|place| (name, place))
    }
}

/// An edge of a shape: types and label by number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Step {
    holder: u32,
    label: u32,
    target: u32,
}

/// Cycles of one shape, as they are met.
struct Group {
    count: u64,
    objects: u64,
    types: FxHashMap<u32, u64>,
    breaks: FxHashMap<u32, Weight>,
    /// The nodes of the first one.
    example: Vec<u32>,
    retained: u64,
    tops: Vec<(u32, u64)>,
    of_classes: bool,
}

#[derive(Clone, Copy, Default)]
struct Weight {
    references: u64,
    targets: u64,
    breaks: u64,
}

/// Fields of C structures that are written like attributes and cannot be weak.
const FIELDS: &[&str] = &["tb_frame", "tb_next", "f_back", "f_code", "f_locals", "gi_frame", "gi_code", "frame", "function"];

fn is_dict_of(label: &LinkLabel) -> bool {
    label.kind == LinkKind::Field && label.name.as_deref() == Some("__dict__")
}

/// A label within a shape: without places.
fn written(label: &LinkLabel) -> String {
    let name = || label.name.as_deref().unwrap_or("?");
    match label.kind {
        LinkKind::Field | LinkKind::Attribute | LinkKind::Slot => format!(".{}", name()),
        LinkKind::Local => format!("local {}", name()),
        LinkKind::Index | LinkKind::Value | LinkKind::Member => "[]".to_owned(),
        LinkKind::Key => "key".to_owned(),
        LinkKind::Base => ".__base__".to_owned(),
        LinkKind::Cell => ".cell_contents".to_owned(),
        LinkKind::Stack => "stack".to_owned(),
        LinkKind::Scanned => ".?".to_owned(),
        LinkKind::Type => ".__class__".to_owned(),
    }
}

/// The length of the part that, repeated, is all of it (Knuth, Morris and Pratt's failure function).
pub(super) fn period(steps: &[u32]) -> usize {
    let mut fail = vec![0usize; steps.len()];
    let mut k = 0;
    for i in 1..steps.len() {
        while k > 0 && steps.get(i) != steps.get(k) {
            k = fail.get(k - 1).copied().unwrap_or(0);
        }
        if steps.get(i) == steps.get(k) {
            k += 1;
        }
        if let Some(slot) = fail.get_mut(i) {
            *slot = k;
        }
    }
    let part = steps.len() - fail.last().copied().unwrap_or(0);
    if part > 0 && steps.len() % part == 0 {
        part
    } else {
        steps.len()
    }
}

/// At which word the least of all turns begins; of many words, the place of the first of the least.
fn first_turn(words: &[(bool, &str, &str)]) -> usize {
    let turned = |turn: usize| words.iter().cycle().skip(turn).take(if words.len() <= TURNED_MOST { words.len() } else { 1 });
    (0..words.len()).min_by(|a, b| turned(*a).cmp(turned(*b))).unwrap_or(0)
}
