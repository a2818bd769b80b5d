//! What users name: an address, a way by names (`shop.cache:PAGES.newest`), a type. From their words to objects.
//!
//! Holds: [`named`]. Never: guesses; what is not found is told together with what there is.
//! Attributes are looked up as Python does it: in the object's own slots and dict, then in its class's, along the classes' `__mro__`
//! (Doc/reference/datamodel.rst, "Invoking Descriptors"); nothing is called, so that what a property would compute has no object here.

use memory::Addr;
use rustc_hash::FxHashSet;
use snapshot::{Graph, LinkKind, Snapshot};
use thiserror::Error;

use crate::ownership::Ownership;

/// What is told of what there is instead.
const NEAR: usize = 5;
/// Classes of one `__mro__` that are looked at.
const MRO_MOST: usize = 1000;

/// Types of what stands in a class for an attribute that is made when it is asked for.
const COMPUTING: [&str; 3] = ["getset_descriptor", "member_descriptor", "property"];

/// What a word names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The word.
    pub text: String,
    /// What it is.
    pub kind: NamedKind,
    /// The objects, by row, in order.
    pub nodes: Vec<u32>,
}

/// What a word can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedKind {
    /// The address of an object.
    Address,
    /// A way by names to one object.
    Name,
    /// A type: all of its instances.
    Type,
}

impl NamedKind {
    /// The word of the JSON.
    pub fn word(self) -> &'static str {
        match self {
            NamedKind::Address => "address",
            NamedKind::Name => "name",
            NamedKind::Type => "type",
        }
    }
}

/// Why a word names nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotNamed {
    /// The number is not where an object begins.
    #[error("no object stands at {0}")]
    NoObject(Addr),
    /// The word before `:` is no module.
    #[error("there is no module {module}")]
    NoModule {
        /// The word.
        module: String,
        /// Names of modules that come near.
        near: Vec<String>,
    },
    /// The object on the way has nothing of this name.
    #[error("{of} has no {name}")]
    NoAttribute {
        /// The way so far.
        of: String,
        /// Its type.
        type_name: String,
        /// What it does not have: `name` or `[3]`.
        name: String,
        /// What it has, the nearest first.
        there: Vec<String>,
    },
    /// Neither a type with instances nor a module begins so.
    #[error("there is no type and no module global {word}")]
    Nothing {
        /// The word.
        word: String,
        /// Names of types and modules that come near.
        near: Vec<String>,
    },
    /// Brackets or dots that do not fit together.
    #[error("{word} is not written as a name")]
    Form {
        /// The word.
        word: String,
    },
}

/// The objects that a word names: `0x7f2ab4c01d30` or `139821` (an address), `shop.cache:PAGES.newest[0]` (a module's global and what hangs
/// from it), `shop.models.Session` (all instances of the type, and where there is none of the name, `module.NAME`).
///
/// # Errors
/// There is none; what there is instead is told.
pub fn named(snapshot: &Snapshot, ownership: &Ownership<'_>, word: &str) -> Result<Named, NotNamed> {
    let found = |kind, nodes| Ok(Named { text: word.to_owned(), kind, nodes });
    if let Some(address) = address(word) {
        let row = ownership.objects.addresses().binary_search(&address).map_err(|_| NotNamed::NoObject(address))?;
        return found(NamedKind::Address, vec![row as u32]);
    }
    let names = Lookup { ownership, snapshot };
    if let Some((module, rest)) = word.split_once(':') {
        let at = names.module(module).ok_or_else(|| NotNamed::NoModule { module: module.to_owned(), near: names.near_modules(module) })?;
        return found(NamedKind::Name, vec![names.walk(at, module, ':', rest)?]);
    }
    let of_type = names.instances(word);
    if !of_type.is_empty() {
        return found(NamedKind::Type, of_type);
    }
    // The longest front that is a module; the rest is attributes.
    let ends = word.char_indices().filter(|(_, c)| *c == '.' || *c == '[').map(|(i, _)| i).chain([word.len()]);
    let fronts: Vec<(&str, &str)> = ends.filter_map(|end| Some((word.get(..end)?, word.get(end..)?))).collect();
    for (front, rest) in fronts.into_iter().rev() {
        if let Some(at) = names.module(front) {
            return found(NamedKind::Name, vec![names.walk(at, front, '.', rest.strip_prefix('.').unwrap_or(rest))?]);
        }
    }
    Err(NotNamed::Nothing { word: word.to_owned(), near: names.near(word) })
}

/// Hex as `repr` shows it, decimal as `id()` does.
fn address(word: &str) -> Option<Addr> {
    match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok().map(Addr),
        None => word.parse().ok().map(Addr),
    }
}

/// One part of a way by names.
enum Part<'w> {
    Name(&'w str),
    Item(u32),
}

impl Part<'_> {
    fn written(&self) -> String {
        match self {
            Part::Name(name) => (*name).to_owned(),
            Part::Item(n) => format!("[{n}]"),
        }
    }
}

/// `PAGES.newest[0]` as its parts.
fn parts(rest: &str) -> Option<Vec<Part<'_>>> {
    let mut all = Vec::new();
    for piece in rest.split('.').filter(|_| !rest.is_empty()) {
        let (name, items) = piece.split_at(piece.find('[').unwrap_or(piece.len()));
        match (name.is_empty(), all.is_empty() && !items.is_empty()) {
            (false, _) => all.push(Part::Name(name)),
            (true, true) => {}
            (true, false) => return None,
        }
        for item in items.split_inclusive(']').filter(|_| !items.is_empty()) {
            all.push(Part::Item(item.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?));
        }
    }
    Some(all)
}

struct Lookup<'o, 's> {
    ownership: &'o Ownership<'s>,
    snapshot: &'o Snapshot,
}

impl Lookup<'_, '_> {
    fn graph(&self) -> &Graph {
        self.ownership.graph
    }

    /// The module of this name: that of `sys.modules`, else any.
    fn module(&self, name: &str) -> Option<u32> {
        let mut all = self.ownership.details.modules.iter().filter(|module| module.name == name);
        let listed = all.clone().find(|module| self.ownership.modules.contains_key(&module.object));
        listed.or_else(|| all.next()).map(|module| module.object)
    }

    /// Every instance of the types of this name.
    fn instances(&self, name: &str) -> Vec<u32> {
        let wanted: Vec<bool> = self.snapshot.types.iter().map(|t| t.name == name).collect();
        if !wanted.contains(&true) {
            return Vec::new();
        }
        let rows = self.ownership.objects.type_indices().iter().enumerate();
        rows.filter(|(_, t)| wanted.get(**t as usize) == Some(&true)).map(|(row, _)| row as u32).collect()
    }

    fn walk(&self, from: u32, front: &str, sign: char, rest: &str) -> Result<u32, NotNamed> {
        let parts = parts(rest).ok_or_else(|| NotNamed::Form { word: format!("{front}{sign}{rest}") })?;
        let (mut at, mut way, mut sign) = (from, front.to_owned(), sign);
        for part in parts {
            let next = match part {
                Part::Name(name) => self.attribute(at, name),
                Part::Item(n) => {
                    self.graph().of(at).find(|link| link.label.kind == LinkKind::Index && link.nth == n).map(|link| link.target)
                }
            };
            let Some(next) = next else { return Err(self.no_attribute(at, way, &part)) };
            match part {
                Part::Name(name) => way.extend([sign.to_string().as_str(), name]),
                Part::Item(_) => way.push_str(&part.written()),
            }
            (at, sign) = (next, '.');
        }
        Ok(at)
    }

    /// What `node.name` is: its own, then its class's.
    fn attribute(&self, node: u32, name: &str) -> Option<u32> {
        match name {
            "__class__" => return self.class(node),
            "cell_contents" => return self.graph().of(node).find(|link| link.label.kind == LinkKind::Cell).map(|link| link.target),
            _ => {}
        }
        // What these would give is computed, and no object of the class's dict.
        let computed = |found: &u32| COMPUTING.contains(&self.ownership.type_name(*found));
        let of_class = || self.class(node).and_then(|class| self.along_mro(class, name)).filter(|found| !computed(found));
        // A class's attributes come from its bases before they come from its metaclass.
        self.own(node, name).or_else(|| self.along_mro(node, name)).or_else(of_class)
    }

    fn own(&self, node: u32, name: &str) -> Option<u32> {
        let kinds = [LinkKind::Attribute, LinkKind::Slot, LinkKind::Local, LinkKind::Field];
        let direct = kinds.iter().find_map(|kind| self.graph().named(node, *kind, name));
        direct.or_else(|| self.graph().named(self.dict(node)?, LinkKind::Attribute, name))
    }

    fn dict(&self, node: u32) -> Option<u32> {
        self.graph().named(node, LinkKind::Field, "__dict__")
    }

    fn class(&self, node: u32) -> Option<u32> {
        let kind = self.ownership.objects.type_indices().get(node as usize)?;
        let address = self.snapshot.types.get(*kind as usize)?.address;
        self.ownership.objects.addresses().binary_search(&address).ok().map(|row| row as u32)
    }

    /// The attribute of the first class that has it.
    fn along_mro(&self, class: u32, name: &str) -> Option<u32> {
        let mro = self.graph().named(class, LinkKind::Field, "__mro__")?;
        let classes = self.graph().of(mro).filter(|link| link.label.kind == LinkKind::Index).take(MRO_MOST);
        let mut dicts = classes.filter_map(|link| self.dict(link.target));
        dicts.find_map(|dict| self.graph().named(dict, LinkKind::Attribute, name))
    }

    fn no_attribute(&self, at: u32, of: String, part: &Part<'_>) -> NotNamed {
        let mut there: Vec<String> = Vec::new();
        let mut seen: FxHashSet<&str> = FxHashSet::default();
        let items = self.graph().of(at).filter(|link| link.label.kind == LinkKind::Index).count();
        for holder in [Some(at), self.dict(at)].into_iter().flatten() {
            for link in self.graph().of(holder) {
                if matches!(link.label.kind, LinkKind::Attribute | LinkKind::Slot | LinkKind::Field) {
                    there.extend(link.label.name.as_deref().filter(|name| seen.insert(name)).map(str::to_owned));
                }
            }
        }
        let written = part.written();
        let mut there = nearest(&written, there);
        if items > 0 {
            there.insert(0, format!("[0] to [{}]", items - 1));
        }
        let type_name = self.ownership.type_name(at).to_owned();
        NotNamed::NoAttribute { of, type_name, name: written, there }
    }

    fn near_modules(&self, name: &str) -> Vec<String> {
        let listed = self.ownership.details.modules.iter().filter(|module| self.ownership.modules.contains_key(&module.object));
        nearest(name, listed.map(|module| module.name.clone()).collect())
    }

    fn near(&self, word: &str) -> Vec<String> {
        // A part of a name that is shorter than this is in every other one.
        const PART: usize = 3;
        let part = word.rsplit('.').next().is_some_and(|last| last.len() >= PART);
        let containing = if part { crate::similar_types(self.snapshot, word, NEAR) } else { Vec::new() };
        let mut all: Vec<String> = containing.into_iter().map(str::to_owned).collect();
        let types = self.snapshot.types.iter().filter(|t| t.count > 0).map(|t| t.name.clone());
        let modules = self.ownership.details.modules.iter().map(|module| module.name.clone());
        all.extend(nearest(word, types.chain(modules).collect()));
        let mut seen = FxHashSet::default();
        all.retain(|name| seen.insert(name.clone()));
        all.truncate(NEAR);
        all
    }
}

/// The few of `all` that come nearest to a name: the fewest letters to change, ties by name.
fn nearest(name: &str, mut all: Vec<String>) -> Vec<String> {
    all.sort_by_cached_key(|other| (letters_to_change(name, other), other.clone()));
    all.dedup();
    all.truncate(NEAR);
    all
}

/// Insertions, deletions and changes of one letter that make `b` of `a` (Levenshtein); of long names the first letters.
fn letters_to_change(a: &str, b: &str) -> usize {
    const LETTERS: usize = 64;
    let letters = |s: &str| s.chars().take(LETTERS).flat_map(char::to_lowercase).collect::<Vec<char>>();
    let (a, b) = (letters(a), letters(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (slot, y) in row.iter_mut().skip(1).zip(&b) {
            let best = (diagonal + usize::from(x != y)).min(*slot + 1).min(left + 1);
            diagonal = *slot;
            *slot = best;
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn words_name_what_python_would() {
        let mut made = Made::default();
        let (module, globals) = made.module("shop.cache");
        let cache = made.object("shop.cache.Cache", 10, 1);
        made.link(globals, cache, LinkKind::Attribute, "CACHE");
        let (slot, dict, item, shared) =
            (made.object("list", 10, 1), made.object("dict", 10, 1), made.object("bytes", 9, 1), made.object("set", 9, 1));
        made.link(cache, slot, LinkKind::Slot, "pages");
        made.link(cache, dict, LinkKind::Field, "__dict__");
        made.link(slot, item, LinkKind::Index, "");
        made.link(slot, cache, LinkKind::Index, "");
        made.link(dict, item, LinkKind::Attribute, "first");
        // The class of the row stands where its type says: object 0 lies at 0x1000.
        let (class, mro, base, base_dict) =
            (made.object("type", 10, 1), made.object("tuple", 10, 1), made.object("type", 10, 1), made.object("dict", 10, 1));
        made.link(globals, class, LinkKind::Attribute, "Cache");
        made.link(class, mro, LinkKind::Field, "__mro__");
        made.link(mro, class, LinkKind::Index, "");
        made.link(mro, base, LinkKind::Index, "");
        made.link(base, base_dict, LinkKind::Field, "__dict__");
        made.link(base_dict, shared, LinkKind::Attribute, "shared");
        let mut snapshot = made.snapshot();
        let at = |node: u32| Addr(0x1000 + 0x100 * u64::from(node));
        snapshot.types.iter_mut().find(|t| t.name == "shop.cache.Cache").unwrap().address = at(class);
        let ownership = Ownership::of(&snapshot).unwrap();
        let ask = |word: &str| named(&snapshot, &ownership, word);
        let one = |word: &str| ask(word).unwrap().nodes;
        for (word, node) in [
            ("shop.cache", module),
            ("shop.cache:CACHE", cache),
            ("shop.cache.CACHE", cache),
            ("shop.cache.CACHE.pages", slot),
            ("shop.cache:CACHE.first", item),
            ("shop.cache:CACHE.__dict__.first", item),
            ("shop.cache:CACHE.pages[0]", item),
            ("shop.cache:CACHE.pages[1].pages[0]", item),
            ("shop.cache:CACHE.shared", shared),
            ("shop.cache:Cache.shared", shared),
            ("shop.cache:CACHE.__class__", class),
        ] {
            assert_eq!(one(word), [node], "{word}");
        }
        assert_eq!((one(&at(item).to_string()), one(&at(item).0.to_string())), (vec![item], vec![item]));
        // A type goes before a global of its name: the class itself is had by a colon.
        assert_eq!(ask("shop.cache.Cache").unwrap(), Named { text: "shop.cache.Cache".into(), kind: NamedKind::Type, nodes: vec![cache] });
        assert_eq!(one("shop.cache:Cache"), [class]);
        assert_eq!(ask("0x1001"), Err(NotNamed::NoObject(Addr(0x1001))));
        assert_eq!(ask("shop.cahce:X"), Err(NotNamed::NoModule { module: "shop.cahce".into(), near: vec!["shop.cache".into()] }));
        match ask("shop.cache:CACHE.fisrt") {
            Err(NotNamed::NoAttribute { of, type_name, name, there }) => {
                assert_eq!((of.as_str(), type_name.as_str(), name.as_str()), ("shop.cache:CACHE", "shop.cache.Cache", "fisrt"));
                assert_eq!(there.first().map(String::as_str), Some("first"));
            }
            other => panic!("{other:?}"),
        }
        match ask("shop.cache:CACHE.pages[9]") {
            Err(NotNamed::NoAttribute { there, .. }) => assert_eq!(there, ["[0] to [1]"]),
            other => panic!("{other:?}"),
        }
        for word in
            ["shop.cache:CACHE.", "shop.cache:CACHE..first", "shop.cache:CACHE.pages[x]", "shop.cache:CACHE.pages[0", "shop.cache:.x"]
        {
            assert!(matches!(ask(word), Err(NotNamed::Form { .. })), "{word}: {:?}", ask(word));
        }
        match ask("Cache") {
            Err(NotNamed::Nothing { near, .. }) => assert_eq!(near.first().map(String::as_str), Some("shop.cache.Cache")),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn letters_to_change_are_counted() {
        for (a, b, wanted) in [("", "", 0), ("cahce", "cache", 2), ("Cache", "cache", 0), ("", "abc", 3), ("kitten", "sitting", 3)] {
            assert_eq!(letters_to_change(a, b), wanted, "{a} {b}");
        }
    }
}
