//! Where objects are held, as a program's text would say it: `shop.cache.PAGES[…].tags`, one for all items of a list and all values of a dict.
//!
//! Holds: [`Sites`]: each object that modules, frames and threads lead to gets the site by which the shortest way comes to it. Sites of
//! which all belongs to the interpreter or to Python's own library, and constants of code, are nobody's: nothing there can be changed.
//! Bounded: one pass over references; ways by [`DEPTH_MOST`], a structure that refers to its like (`.next.next`) is one site.

use rustc_hash::FxHashMap;
use snapshot::{LinkKind, LinkLabel};

use crate::naming::{joined, Names, Step};
use crate::ownership::{Hold, Ownership};
use crate::place::{is_standard, Place, Places};

/// Steps of a site; what lies deeper is told as if it stood there.
const DEPTH_MOST: u8 = 24;
/// No site.
const NONE: u32 = u32::MAX;
/// Fields of functions that programs give them.
const GIVEN: &[&str] = &["__closure__", "__defaults__", "__kwdefaults__", "__dict__", "__wrapped__"];

/// One site.
struct Site {
    /// The site of what holds.
    parent: u32,
    /// How: a place in the graph's labels.
    label: u32,
    /// The first object that was met there.
    first: u32,
    depth: u8,
    /// A module, class or frame that is no part of Python is on the way.
    ours: bool,
    /// No code object, class or function of C stands on the way.
    open: bool,
}

/// The sites of a snapshot.
pub(super) struct Sites<'o, 's> {
    ownership: &'o Ownership<'s>,
    /// How roots are called.
    names: Names<'o, 's>,
    all: Vec<Site>,
    of: Vec<u32>,
}

impl<'o, 's> Sites<'o, 's> {
    pub(super) fn of(ownership: &'o Ownership<'s>) -> Sites<'o, 's> {
        let graph = ownership.graph;
        let modules = Modules::of(ownership);
        let steps: Vec<Across> = graph.labels().iter().map(|label| Across::by(ownership, &modules, label)).collect();
        let first: Vec<u32> = ownership.roots.first().map(|(node, _)| *node).into_iter().collect();
        let names = Names::of(ownership, &first);
        let mut sites = Sites { ownership, names, all: Vec::new(), of: vec![NONE; graph.edges().len()] };
        let mut known: FxHashMap<(u32, u32), u32> = FxHashMap::default();
        let mut queue: Vec<u32> = Vec::new();
        for (node, hold) in &ownership.roots {
            if matches!(hold, Hold::Module | Hold::Frame | Hold::Thread) && sites.of.get(*node as usize) == Some(&NONE) {
                let ours = ownership.modules.get(node).is_none_or(|name| modules.is_ours(name));
                let root = Site { parent: NONE, label: NONE, first: *node, depth: 0, ours, open: true };
                sites.enter(root, *node, &mut queue);
            }
        }
        let mut done = 0;
        while let Some(&holder) = queue.get(done) {
            done += 1;
            let from = sites.of.get(holder as usize).copied().unwrap_or(NONE);
            let mut last = (NONE, NONE);
            for (edge, &target) in graph.edges().range(holder).zip(graph.edges().of(holder)) {
                if sites.of.get(target as usize) != Some(&NONE) {
                    continue;
                }
                let label = graph.label_places().get(edge).unwrap_or(NONE);
                if last.0 != label {
                    last = (label, sites.step(&mut known, &steps, from, label, target));
                }
                if last.1 != NONE {
                    if let Some(slot) = sites.of.get_mut(target as usize) {
                        *slot = last.1;
                        queue.push(target);
                    }
                }
            }
        }
        sites
    }

    fn enter(&mut self, site: Site, node: u32, queue: &mut Vec<u32>) {
        if let Some(slot) = self.of.get_mut(node as usize) {
            *slot = self.all.len() as u32;
            self.all.push(site);
            queue.push(node);
        }
    }

    /// The site that a label leads to from another.
    fn step(&mut self, known: &mut FxHashMap<(u32, u32), u32>, steps: &[Across], from: u32, label: u32, target: u32) -> u32 {
        let (Some(across), Some(parent)) = (steps.get(label as usize), self.all.get(from as usize)) else { return NONE };
        if !across.leads {
            return NONE;
        }
        // A structure that refers to its like.
        if parent.label == label || parent.depth >= DEPTH_MOST {
            return from;
        }
        let next = self.all.len() as u32;
        let site = *known.entry((from, label)).or_insert(next);
        if site == next {
            let (depth, ours, open) = (parent.depth + 1, parent.ours || across.ours, parent.open && across.open);
            self.all.push(Site { parent: from, label, first: target, depth, ours, open });
        }
        site
    }

    /// Where an object is held that a program put there; `None` for what is not the program's to change.
    #[inline]
    pub(super) fn of_node(&self, node: u32) -> Option<u32> {
        let number = *self.of.get(node as usize)?;
        let site = self.all.get(number as usize).filter(|site| site.ours && site.open)?;
        let kind = self.ownership.graph.labels().get(site.label as usize)?.kind;
        let put = matches!(
            kind,
            LinkKind::Attribute
                | LinkKind::Slot
                | LinkKind::Value
                | LinkKind::Key
                | LinkKind::Index
                | LinkKind::Member
                | LinkKind::Local
                | LinkKind::Cell
        );
        put.then_some(number)
    }

    /// The same with what fields of C structures hold too, as a task its coroutine.
    pub(super) fn of_any(&self, node: u32) -> Option<u32> {
        let number = *self.of.get(node as usize)?;
        self.all.get(number as usize).filter(|site| site.ours && site.open).map(|_| number)
    }

    /// The sites from one up to its root.
    fn up(&self, site: u32) -> impl Iterator<Item = &Site> {
        std::iter::successors(self.all.get(site as usize), |site| self.all.get(site.parent as usize))
    }

    /// The way to it.
    pub(super) fn text(&self, site: u32) -> String {
        let mut steps: Vec<Step> = Vec::new();
        for site in self.up(site) {
            let label = self.ownership.graph.labels().get(site.label as usize);
            let text = match label {
                Some(label) => written(label),
                None => self.names.root(site.first),
            };
            steps.push(Step { node: site.first, text });
        }
        steps.reverse();
        // `x.__dict__.name` is `x.name`.
        let mut short: Vec<Step> = Vec::with_capacity(steps.len());
        for step in steps {
            if step.text.starts_with('.') && short.last().is_some_and(|last| last.text == ".__dict__") {
                short.pop();
            }
            short.push(step);
        }
        joined(&short)
    }

    /// Where it is kept: the class of the nearest instance on its way, else the module.
    pub(super) fn place(&self, site: u32, places: &Places<'_>) -> Option<Place> {
        let ownership = self.ownership;
        for site in self.up(site) {
            let node = site.first;
            if let Some(name) = ownership.modules.get(&node) {
                let file = ownership.details.modules.iter().find(|module| module.name == *name).and_then(|module| module.file.clone());
                let dict = ownership.graph.named(node, LinkKind::Field, "__dict__").unwrap_or(node);
                return file.map(|file| Place { file, line: None, near: false }).or_else(|| places.of_globals(dict));
            }
            let class = ownership.graph.of(node).find(|link| link.label.kind == LinkKind::Type).map(|link| link.target);
            if let Some(place) = class.and_then(|class| places.of_class(class)).or_else(|| places.of_class(node)) {
                return Some(place);
            }
        }
        None
    }
}

/// How a reference is written behind its holder, whichever of many it is.
fn written(label: &LinkLabel) -> String {
    let name = || label.name.as_deref().unwrap_or("?");
    match label.kind {
        LinkKind::Field | LinkKind::Attribute | LinkKind::Slot => format!(".{}", name()),
        LinkKind::Local => format!(" local {}", name()),
        LinkKind::Index | LinkKind::Value => "[…]".to_owned(),
        LinkKind::Base => ".__bases__[…]".to_owned(),
        LinkKind::Key => " key".to_owned(),
        LinkKind::Member => " member".to_owned(),
        LinkKind::Cell => ".cell_contents".to_owned(),
        LinkKind::Stack => " stack".to_owned(),
        LinkKind::Scanned => ".?".to_owned(),
        LinkKind::Type => ".__class__".to_owned(),
    }
}

/// What it means to go along references of one label.
struct Across {
    /// Ways lead along it.
    leads: bool,
    ours: bool,
    open: bool,
}

impl Across {
    fn by(ownership: &Ownership<'_>, modules: &Modules<'_>, label: &LinkLabel) -> Across {
        let holder = ownership.type_row_name(label.type_index);
        let name = label.name.as_deref().unwrap_or_default();
        let closed = match (label.kind, holder) {
            (LinkKind::Field, "function") => !GIVEN.contains(&name),
            (LinkKind::Field, "type") => name != "__dict__",
            (LinkKind::Field, "code") | (LinkKind::Base, _) => true,
            _ => false,
        };
        Across { leads: label.kind != LinkKind::Type, ours: modules.of_type(holder), open: !closed }
    }
}

/// Which modules are no part of Python.
struct Modules<'s> {
    ours: FxHashMap<&'s str, bool>,
}

impl<'s> Modules<'s> {
    fn of(ownership: &Ownership<'s>) -> Modules<'s> {
        let ours = ownership.details.modules.iter().map(|module| {
            let is_ours = module.name == "__main__" || module.file.as_deref().is_some_and(|file| file.contains('/') && !is_standard(file));
            (module.name.as_str(), is_ours)
        });
        Modules { ours: ours.collect() }
    }

    fn is_ours(&self, name: &str) -> bool {
        self.ours.get(name).copied().unwrap_or(false)
    }

    /// Whether a type is of such a module, by its full name.
    fn of_type(&self, name: &str) -> bool {
        let mut name = name;
        while let Some((module, _)) = name.rsplit_once('.') {
            if let Some(is_ours) = self.ours.get(module) {
                return *is_ours;
            }
            name = module;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn objects_of_one_place_have_one_site_and_what_is_pythons_has_none() {
        let mut made = Made::default();
        let (_, globals) = made.module("__main__");
        let (_, library) = made.module("re");
        let rows = made.object("list", 80, 1);
        made.link(globals, rows, LinkKind::Attribute, "ROWS");
        let made_row = |made: &mut Made| {
            let (row, tags) = (made.object("__main__.Row", 50, 1), made.object("list", 60, 1));
            made.link(rows, row, LinkKind::Index, "");
            made.link(row, tags, LinkKind::Slot, "tags");
            tags
        };
        let tags = [made_row(&mut made), made_row(&mut made)];
        // A chain of a thousand is one place.
        let chain: Vec<u32> = (0..1000).map(|_| made.object("__main__.Node", 50, 1)).collect();
        made.link(globals, chain[0], LinkKind::Attribute, "CHAIN");
        chain.windows(2).for_each(|pair| made.link(pair[0], pair[1], LinkKind::Attribute, "next"));
        // A table of the library, and what a program has put into one.
        let (table, entry) = (made.object("dict", 80, 1), made.object("list", 60, 1));
        made.link(library, table, LinkKind::Attribute, "_cache");
        made.link(table, entry, LinkKind::Value, "");
        let (hook, held) = (made.object("__main__.Hook", 50, 1), made.object("list", 60, 1));
        made.link(table, hook, LinkKind::Value, "");
        made.link(hook, held, LinkKind::Attribute, "held");
        // A constant of code.
        let (function, code, constants, constant) =
            (made.object("function", 80, 1), made.object("code", 80, 1), made.object("tuple", 60, 1), made.object("str", 60, 1));
        made.link(globals, function, LinkKind::Attribute, "f");
        made.link(function, code, LinkKind::Field, "__code__");
        made.link(code, constants, LinkKind::Field, "co_consts");
        made.link(constants, constant, LinkKind::Index, "");
        let snapshot = made.snapshot();
        let ownership = Ownership::of(&snapshot).unwrap();
        let sites = Sites::of(&ownership);
        let text = |node: u32| sites.of_node(node).map(|site| sites.text(site));
        assert_eq!(tags.map(text), [Some("__main__.ROWS[…].tags".to_owned()), Some("__main__.ROWS[…].tags".to_owned())]);
        assert_eq!((sites.of_node(chain[1]), text(chain[999])), (sites.of_node(chain[998]), Some("__main__.CHAIN.next".to_owned())));
        assert_eq!((text(entry), text(constant)), (None, None));
        assert_eq!(text(held), Some("re._cache[…].held".to_owned()));
        assert!(sites.all.len() < 30);
    }
}
