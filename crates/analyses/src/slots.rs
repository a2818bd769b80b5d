//! `slots`: classes without `__slots__` that have many instances, and what naming their attributes would save in this very release.
//!
//! Holds: [`slots`] and its findings. What an instance takes now is counted: its own block, its dict with keys and values, inline values.
//! What it would take is computed: collector's head, object header, a word an attribute, rounded as the allocators round.
//! Bounded: classes of a method resolution order by [`ORDER_MOST`], attributes by [`ATTRIBUTES_MOST`], different sets by [`SETS_MOST`].
//! Sources: `type_new` and `subtype_dealloc` in `Objects/typeobject.c`, 3.8–3.13; `Objects/object_layout.md` of 3.13.

use memory::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};
use snapshot::{Collector, LinkKind, Snapshot};

use crate::explain::grouped;
use crate::finding::{Finding, Saves, Sure};
use crate::ownership::Ownership;
use crate::place::{Place, Places};

/// Of fewer instances a class is not worth the change.
pub(crate) const COUNT_LEAST: u64 = 100;
/// Classes in a method resolution order that are looked at.
const ORDER_MOST: usize = 256;
/// More attributes than this are data, not attributes.
pub(crate) const ATTRIBUTES_MOST: usize = 256;
/// Different sets of attributes that are told apart.
const SETS_MOST: usize = 64;
/// The collector's head, and the object's: `PyGC_Head`, `PyObject`.
pub(crate) const HEADS: u64 = 16 + 16;
/// `PyTupleObject` without items, with its head.
const TUPLE: u64 = 16 + 24;
/// `PyMemberDescrObject`, with its head.
const DESCRIPTOR: u64 = 16 + 48;
/// `PyMemberDef`.
const MEMBER: u64 = 40;
/// What pymalloc serves, and how it rounds.
const SMALL: u64 = 512;
/// Hooks of pickle that may speak of `__dict__`.
const PICKLING: &[&str] = &["__getstate__", "__setstate__", "__reduce__", "__reduce_ex__", "__getnewargs__", "__getnewargs_ex__"];

/// The classes of a snapshot that slots would make smaller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slots {
    /// What saves most comes first.
    pub classes: Vec<Unslotted>,
}

/// A class whose instances have a dict or inline values.
#[derive(Clone, Debug, PartialEq)]
pub struct Unslotted {
    /// Its name.
    pub type_name: String,
    /// Its row of types.
    pub type_index: u32,
    /// Its instances.
    pub count: u64,
    /// What `__slots__` would save.
    pub saving_bytes: Bytes,
    /// What its instances take now: with dicts, their keys and values.
    pub present_bytes: Bytes,
    /// What one instance would take.
    pub slotted_bytes: Bytes,
    /// The attributes in use, and how many instances have each; the most first.
    pub attributes: Vec<(String, u64)>,
    /// What speaks against it, or must be seen to.
    pub against: Vec<String>,
    /// Bases that need `__slots__` too.
    pub bases: Vec<String>,
    /// It is a dataclass: `@dataclass(slots=True)` does it.
    pub is_dataclass: bool,
    /// Where it is defined.
    pub place: Option<Place>,
}

impl Unslotted {
    /// What to write.
    pub fn advice(&self) -> String {
        if self.is_dataclass {
            return "@dataclass(slots=True), from 3.10 on".to_owned();
        }
        let names: Vec<String> = self.attributes.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let comma = if names.len() == 1 { "," } else { "" };
        format!("__slots__ = ({}{comma})", names.join(", "))
    }
}

/// The classes that slots would make smaller.
pub fn slots(ownership: &Ownership<'_>, snapshot: &Snapshot) -> Slots {
    let places = Places::of(ownership.objects, ownership.graph, ownership.details);
    let classes = Classes::of(ownership, snapshot, &places);
    let mut counts = Counts::new(ownership, classes.by_row.len());
    for (node, row) in ownership.objects.type_indices().iter().enumerate() {
        if let Some(Some(_)) = classes.by_row.get(*row as usize) {
            counts.instance(node as u32, *row);
        }
    }
    let mut all: Vec<Unslotted> = counts
        .rows
        .iter()
        .enumerate()
        .filter_map(|(row, count)| {
            let (count, class) = (count.as_ref()?, classes.by_row.get(row)?.as_ref()?);
            let judged = classes.judged(&places, &counts, snapshot.types.get(row)?.name.as_str(), class, count);
            judged.map(|class| Unslotted { type_index: row as u32, ..class })
        })
        .collect();
    all.sort_by(|a, b| (b.saving_bytes, &a.type_name, b.count).cmp(&(a.saving_bytes, &b.type_name, a.count)));
    Slots { classes: all }
}

/// What to do about them.
pub fn findings(slots: &Slots) -> Vec<Finding> {
    slots
        .classes
        .iter()
        .map(|class| {
            let against = if class.against.is_empty() { String::new() } else { format!("; look at: {}", class.against.join("; ")) };
            Finding {
                id: "slots",
                title: format!(
                    "{} {} without __slots__: {} attributes",
                    grouped(class.count as usize),
                    class.type_name,
                    class.attributes.len()
                ),
                saving_bytes: class.saving_bytes,
                known: Sure::Exact,
                place: class.place.clone(),
                evidence: format!(
                    "{} bytes now, {} each with {}{against}",
                    grouped(class.present_bytes.0 as usize),
                    class.slotted_bytes.0,
                    class.advice()
                ),
                saves: Saves::Instances { type_index: class.type_index, count: class.count },
            }
        })
        .collect()
}

/// A class that may be a candidate.
struct Class {
    /// The class and its bases that have no `__slots__`, the class first.
    without: Vec<u32>,
    /// Its whole order but `object`.
    order: Vec<u32>,
    /// Slots that its bases have already.
    present_slots: u64,
}

/// The classes by the row of their type.
struct Classes<'o, 's> {
    ownership: &'o Ownership<'s>,
    by_row: Vec<Option<Class>>,
    names: FxHashMap<u32, &'s str>,
    /// Classes that derive from another and from more than one class, by that other.
    several_bases: FxHashMap<u32, Vec<u32>>,
    /// What a class says of itself that has no keys to share: the smallest of all that are on the heap.
    bare_class: u64,
}

impl<'o, 's> Classes<'o, 's> {
    fn of(ownership: &'o Ownership<'s>, snapshot: &'s Snapshot, places: &Places<'_>) -> Self {
        // Classes of frozen modules are the interpreter's own.
        let frozen: FxHashSet<u32> =
            ownership.details.codes.iter().filter(|code| code.file.starts_with("<frozen")).map(|c| c.object).collect();
        let nodes: Vec<Option<u32>> = snapshot.types.iter().map(|t| places.at(t.address)).collect();
        let names = nodes.iter().zip(&snapshot.types).filter_map(|(node, t)| Some(((*node)?, t.name.as_str()))).collect();
        let mut classes = Classes { ownership, by_row: Vec::new(), names, several_bases: FxHashMap::default(), bare_class: 0 };
        classes.bare_class = classes.smallest(&nodes);
        for (node, t) in nodes.iter().zip(&snapshot.types) {
            let Some(node) = *node else {
                classes.by_row.push(None);
                continue;
            };
            if classes.bases(node).len() > 1 {
                for above in classes.order(node).into_iter().filter(|above| *above != node) {
                    classes.several_bases.entry(above).or_default().push(node);
                }
            }
            let class = (t.count >= COUNT_LEAST).then(|| classes.candidate(node, &frozen)).flatten();
            classes.by_row.push(class);
        }
        classes
    }

    /// `None` for one that slots cannot make smaller: it has them, or what it derives from is written in C.
    fn candidate(&self, node: u32, frozen: &FxHashSet<u32>) -> Option<Class> {
        let graph = self.ownership.graph;
        let mut order = self.order(node);
        // `object` comes last, and is static as every type of C that is no heap type.
        let last = order.pop()?;
        let is_static =
            |node: &u32| self.ownership.objects.states().get(*node as usize).is_none_or(|s| s.collector() == Collector::Without);
        if order.is_empty() || graph.of(last).any(|link| link.label.kind == LinkKind::Base) || order.iter().any(is_static) {
            return None;
        }
        let mut present_slots = 0;
        let mut without = Vec::new();
        // A class of C may be on the heap too; only one whose instances have a dict has this in its namespace, or inherits it.
        let mut has_dict = false;
        for &class in &order {
            let dict = graph.named(class, LinkKind::Field, "__dict__")?;
            let mut has_slots = false;
            for link in graph.of(dict).filter(|link| link.label.kind == LinkKind::Attribute) {
                has_slots |= link.label.name.as_deref() == Some("__slots__");
                has_dict |= link.label.name.as_deref() == Some("__dict__");
                present_slots += u64::from(self.ownership.type_name(link.target) == "member_descriptor");
                let code = graph.named(link.target, LinkKind::Field, "__code__");
                if code.is_some_and(|code| frozen.contains(&code)) {
                    return None;
                }
            }
            if !has_slots {
                without.push(class);
            }
        }
        (has_dict && !without.is_empty()).then_some(Class { without, order, present_slots })
    }

    fn smallest(&self, nodes: &[Option<u32>]) -> u64 {
        let objects = self.ownership.objects;
        let own = nodes.iter().flatten().filter_map(|node| objects.get(*node as usize));
        own.filter(|class| class.state.collector() != Collector::Without).map(|class| class.own_bytes.0).min().unwrap_or(u64::MAX)
    }

    /// Its method resolution order, itself first.
    fn order(&self, class: u32) -> Vec<u32> {
        let graph = self.ownership.graph;
        let Some(order) = graph.named(class, LinkKind::Field, "__mro__") else { return Vec::new() };
        graph.of(order).filter(|link| link.label.kind == LinkKind::Index).map(|link| link.target).take(ORDER_MOST).collect()
    }

    fn bases(&self, class: u32) -> Vec<u32> {
        let graph = self.ownership.graph;
        let Some(bases) = graph.named(class, LinkKind::Field, "__bases__") else { return Vec::new() };
        graph.of(bases).filter(|link| link.label.kind == LinkKind::Index).map(|link| link.target).take(ORDER_MOST).collect()
    }

    /// What is in the namespaces of its order under this name.
    fn has(&self, class: &Class, name: &str) -> bool {
        class.order.iter().any(|class| {
            let dict = self.ownership.graph.named(*class, LinkKind::Field, "__dict__");
            dict.is_some_and(|dict| self.ownership.graph.named(dict, LinkKind::Attribute, name).is_some())
        })
    }

    fn name(&self, node: u32) -> String {
        self.names.get(&node).map_or_else(|| "a base class".to_owned(), |name| (*name).to_owned())
    }

    /// The answer for one class; `None` where nothing is saved.
    fn judged(&self, places: &Places<'_>, counts: &Counts<'_, '_>, name: &str, class: &Class, count: &Count) -> Option<Unslotted> {
        if count.foreign || count.instances < COUNT_LEAST || count.attributes.len() > ATTRIBUTES_MOST {
            return None;
        }
        let words = class.present_slots + count.attributes.len() as u64;
        let slotted = rounded(HEADS + 8 * words + if count.weakly > 0 { weak_words(class, count) } else { 0 });
        let saving = count.bytes.checked_sub(count.instances * slotted).filter(|saving| *saving > 0)?;
        let saving = saving.checked_add_signed(self.of_class(class, count.attributes.len() as u64)).filter(|saving| *saving > 0)?;
        let own_dict = self.ownership.graph.named(*class.order.first()?, LinkKind::Field, "__dict__")?;
        let mut attributes: Vec<(String, u64)> =
            count.attributes.iter().map(|(name, n)| (counts.names.get(*name as usize).map_or("?", |n| n).to_owned(), *n)).collect();
        attributes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let bases: Vec<String> =
            class.without.iter().filter(|base| Some(*base) != class.order.first()).map(|base| self.name(*base)).collect();
        let is_dataclass = self.ownership.graph.named(own_dict, LinkKind::Attribute, "__dataclass_fields__").is_some();
        let against = self.against(class, count, &attributes, &bases, is_dataclass);
        Some(Unslotted {
            type_index: u32::MAX,
            type_name: name.to_owned(),
            count: count.instances,
            saving_bytes: Bytes(saving),
            present_bytes: Bytes(count.bytes),
            slotted_bytes: Bytes(slotted),
            attributes,
            against,
            bases,
            is_dataclass,
            place: class.order.first().and_then(|class| places.of_class(*class)).or_else(|| self.file(name)),
        })
    }

    /// What the class itself loses, less what it gains: its shared keys and the descriptors of `__dict__` and `__weakref__` go; for each
    /// attribute come a descriptor, its row among the members, an entry of the namespace, and a place in two tuples of names.
    fn of_class(&self, class: &Class, attributes: u64) -> i64 {
        let objects = self.ownership.objects;
        let footprint = |node: u32| objects.footprint_bytes().get(node as usize).map_or(0, |bytes| bytes.0);
        let (mut goes, mut comes) = (0, 0);
        for &one in &class.without {
            goes += objects.own_bytes().get(one as usize).map_or(0, |bytes| bytes.0.saturating_sub(self.bare_class));
            let Some(dict) = self.ownership.graph.named(one, LinkKind::Field, "__dict__") else { continue };
            let namespace: Vec<_> = self.ownership.graph.of(dict).filter(|link| link.label.kind == LinkKind::Attribute).collect();
            let is_gone = |name: Option<&str>| matches!(name, Some("__dict__" | "__weakref__"));
            let gone: Vec<u32> = namespace.iter().filter(|link| is_gone(link.label.name.as_deref())).map(|link| link.target).collect();
            goes += gone.iter().map(|node| footprint(*node)).sum::<u64>();
            comes += 2 * rounded(TUPLE);
            if Some(&one) == class.order.first() {
                let (entry, after) =
                    (footprint(dict) / (namespace.len() as u64).max(1), namespace.len() + 1 + attributes as usize - gone.len());
                comes += attributes * (DESCRIPTOR + MEMBER + 2 * 8)
                    + entry * (after as u64).saturating_sub(namespace.len().next_power_of_two() as u64);
            }
        }
        goes as i64 - comes as i64
    }

    fn against(&self, class: &Class, count: &Count, attributes: &[(String, u64)], bases: &[String], is_dataclass: bool) -> Vec<String> {
        let mut all = Vec::new();
        if count.sets.len() > 1 {
            let more = if count.sets.len() >= SETS_MOST { " or more" } else { "" };
            let every = attributes.len();
            all.push(format!("{}{more} different sets of attributes: every instance would pay for all {every}", count.sets.len()));
        }
        if !bases.is_empty() {
            all.push(format!("needs __slots__ in its bases too: {}", bases.join(", ")));
        }
        let first = class.order.first().copied().unwrap_or_default();
        if self.bases(first).len() > 1 {
            all.push("several bases: only one of them may have slots of its own".to_owned());
        }
        for derived in self.several_bases.get(&first).into_iter().flatten().take(3) {
            all.push(format!("{} derives from it and from another: only one of them may have slots", self.name(*derived)));
        }
        if count.weakly > 0 {
            all.push(format!("{} are held by weak references: name __weakref__ in __slots__ (it is counted)", count.weakly));
        }
        let hooks: Vec<&str> = PICKLING.iter().copied().filter(|hook| self.has(class, hook)).collect();
        if !hooks.is_empty() {
            all.push(format!("pickling hooks that may ask for __dict__: {}", hooks.join(", ")));
        }
        let same: Vec<&str> = attributes.iter().map(|(name, _)| name.as_str()).filter(|name| self.has(class, name)).collect();
        if !same.is_empty() && !is_dataclass {
            all.push(format!("class variables of the same name must go: {}", same.join(", ")));
        }
        if self.cached_properties(class) {
            all.push("functools.cached_property needs a __dict__".to_owned());
        }
        if count.shared_dicts > 0 {
            all.push(format!("the __dict__ of {} is held by something else", count.shared_dicts));
        }
        all
    }

    fn cached_properties(&self, class: &Class) -> bool {
        let graph = self.ownership.graph;
        class
            .order
            .iter()
            .filter_map(|class| graph.named(*class, LinkKind::Field, "__dict__"))
            .any(|dict| graph.of(dict).any(|link| self.ownership.type_name(link.target) == "functools.cached_property"))
    }

    /// The file of the module that the name begins with.
    fn file(&self, name: &str) -> Option<Place> {
        let modules = self.ownership.details.modules.iter();
        let inside = modules.filter(|m| name.strip_prefix(m.name.as_str()).is_some_and(|rest| rest.starts_with('.')));
        let file = inside.max_by_key(|m| m.name.len())?.file.clone()?;
        Some(Place { file, line: None, near: false })
    }
}

/// What the list of weak references takes in an instance with slots. To 3.11 it is a word of the body; since 3.12 it stands before the
/// object, with a second word beside it (`_PyType_PreHeaderSize`). Which of them it is, the present size of an instance says: 3.11 keeps
/// dict and values before it and the list in it, and to 3.10 both are in it and attributes are in a dict.
fn weak_words(class: &Class, count: &Count) -> u64 {
    let own = count.own.saturating_sub(8 * class.present_slots);
    match own {
        _ if !count.inline => 8,
        56 => 8,
        _ => 16,
    }
}

/// What a request takes: multiples of 16 from pymalloc, and from malloc a word more. One that is beyond all memory, as a damaged object may
/// have it, stays so.
pub(crate) fn rounded(request: u64) -> u64 {
    let word = if request <= SMALL { 0 } else { 8 };
    request.checked_add(word).and_then(|bytes| bytes.checked_next_multiple_of(16)).unwrap_or(u64::MAX)
}

/// What the instances of one class have.
#[derive(Default)]
struct Count {
    instances: u64,
    bytes: u64,
    own: u64,
    weakly: u64,
    shared_dicts: u64,
    /// Some have attributes without a dict.
    inline: bool,
    /// They have parts that only C code makes, or keys that are no names.
    foreign: bool,
    attributes: FxHashMap<u32, u64>,
    sets: FxHashSet<Vec<u32>>,
}

/// The counts by the row of the type.
struct Counts<'o, 's> {
    ownership: &'o Ownership<'s>,
    /// Attributes' names by number, and the number of each label's name.
    names: Vec<&'s str>,
    of_label: Vec<u32>,
    rows: Vec<Option<Count>>,
    set: Vec<u32>,
}

impl<'o, 's> Counts<'o, 's> {
    fn new(ownership: &'o Ownership<'s>, rows: usize) -> Self {
        let mut numbers: FxHashMap<&str, u32> = FxHashMap::default();
        let mut names = Vec::new();
        let number = |label: &'s snapshot::LinkLabel| {
            let name = label.name.as_deref().unwrap_or("?");
            *numbers.entry(name).or_insert_with(|| {
                names.push(name);
                names.len() as u32 - 1
            })
        };
        let graph: &'s snapshot::Graph = ownership.graph;
        let of_label = graph.labels().iter().map(number).collect();
        Counts { ownership, names, of_label, rows: (0..rows).map(|_| None).collect(), set: Vec::new() }
    }

    fn instance(&mut self, node: u32, row: u32) {
        let objects = self.ownership.objects;
        let footprint = |node: u32| objects.footprint_bytes().get(node as usize).map_or(0, |bytes| bytes.0);
        let Some(slot) = self.rows.get_mut(row as usize) else { return };
        let count = slot.get_or_insert_with(Count::default);
        count.instances += 1;
        count.bytes += footprint(node);
        count.own = objects.own_bytes().get(node as usize).map_or(0, |bytes| bytes.0);
        count.weakly += u64::from(objects.states().get(node as usize).is_some_and(|state| state.weakly_held()));
        self.set.clear();
        let graph = self.ownership.graph;
        let labels = |node: u32| graph.edges().of(node).iter().copied().zip(graph.label_places().of(graph.edges().range(node)));
        let mut dict = None;
        for (target, place) in labels(node) {
            let Some(label) = graph.labels().get(place as usize) else { continue };
            match label.kind {
                LinkKind::Attribute => {
                    count.inline = true;
                    self.set.extend(self.of_label.get(place as usize));
                }
                LinkKind::Field if label.name.as_deref() == Some("__dict__") => dict = Some(target),
                LinkKind::Slot | LinkKind::Type => {}
                _ => count.foreign = true,
            }
        }
        if let Some(dict) = dict {
            // A dict that something else holds would stay.
            if objects.refcounts().get(dict as usize) == Some(1) {
                count.bytes += footprint(dict);
            } else {
                count.shared_dicts += 1;
            }
            for (_, place) in labels(dict) {
                match graph.labels().get(place as usize).map(|label| label.kind) {
                    Some(LinkKind::Attribute) => self.set.extend(self.of_label.get(place as usize)),
                    Some(LinkKind::Value) => count.foreign = true,
                    _ => {}
                }
            }
        }
        self.set.sort_unstable();
        self.set.dedup();
        for name in &self.set {
            if count.attributes.len() <= ATTRIBUTES_MOST {
                *count.attributes.entry(*name).or_default() += 1;
            }
        }
        if count.sets.len() < SETS_MOST && !count.sets.contains(self.set.as_slice()) {
            count.sets.insert(self.set.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    /// A class with that order above it (`object` added), that namespace, and so many instances with a dict of two attributes each.
    fn class(made: &mut Made, name: &str, above: &[u32], namespace: &[&str], instances: u32) -> u32 {
        let first = made.object(name, 64, 1);
        let (class, order, dict) = (made.object("type", 1064, 9), made.object("tuple", 64, 1), made.object("dict", 232, 1));
        made.class(name, class);
        made.link(class, order, LinkKind::Field, "__mro__");
        made.link(class, dict, LinkKind::Field, "__dict__");
        made.link(order, class, LinkKind::Index, "");
        let object = made.object("type", 400, 9);
        above.iter().chain([&object]).for_each(|above| made.link(order, *above, LinkKind::Index, ""));
        let bases = made.object("tuple", 64, 1);
        made.link(class, bases, LinkKind::Field, "__bases__");
        above.iter().take(1).for_each(|base| made.link(bases, *base, LinkKind::Index, ""));
        for name in namespace {
            let kind = if *name == "__dict__" { "getset_descriptor" } else { "function" };
            let value = made.object(kind, 64, 1);
            made.link(dict, value, LinkKind::Attribute, name);
        }
        for i in 0..instances {
            let one = if i == 0 { first } else { made.object(name, 64, 1) };
            let dict = made.object("dict", 104, 1);
            made.link(one, dict, LinkKind::Field, "__dict__");
            for name in if i % 4 == 3 { &["left"][..] } else { &["left", "right"] } {
                made.link(dict, class, LinkKind::Attribute, name);
            }
        }
        class
    }

    fn found(made: Made) -> Slots {
        let snapshot = made.snapshot();
        slots(&Ownership::of(&snapshot).unwrap(), &snapshot)
    }

    #[test]
    fn what_an_instance_takes_is_weighed_against_what_it_would_take() {
        let mut made = Made::default();
        let base = class(&mut made, "app.Base", &[], &["__dict__", "__init__"], 20);
        class(&mut made, "app.Pair", &[base], &["__init__", "__getstate__", "left"], 400);
        let slots = found(made);
        let [pair] = slots.classes.as_slice() else { panic!("{slots:#?}") };
        // Two heads, two words: 48. What the classes lose and gain is little beside it.
        assert_eq!((pair.count, pair.present_bytes.0, pair.slotted_bytes.0), (400, 400 * 168, 48));
        assert!(pair.saving_bytes.0.abs_diff(400 * 120) < 1000, "{pair:#?}");
        assert_eq!(pair.attributes, [("left".to_owned(), 400), ("right".to_owned(), 300)]);
        assert_eq!(pair.bases, ["app.Base"]);
        let against = pair.against.join("\n");
        for wanted in ["2 different sets", "bases too: app.Base", "__getstate__", "must go: left"] {
            assert!(against.contains(wanted), "{wanted} is not in {against}");
        }
        assert_eq!(pair.advice(), "__slots__ = (\"left\", \"right\")");
        assert_eq!(findings(&slots)[0].saving_bytes, pair.saving_bytes);
    }

    #[test]
    fn slotted_classes_and_few_instances_are_no_rows() {
        let mut made = Made::default();
        class(&mut made, "app.Slotted", &[], &["__slots__", "left", "right"], 400);
        class(&mut made, "app.Rare", &[], &["__dict__"], 99);
        assert_eq!(found(made), Slots::default());
    }

    #[test]
    fn sizes_are_rounded_as_the_allocators_round() {
        assert_eq!([32, 40, 48, 512, 513, 520, 521].map(rounded), [32, 48, 48, 512, 528, 528, 544]);
    }
}
