//! Places in source: where a class, a module or a function is defined.
//!
//! Holds: [`Places`]. A class knows its line from 3.13 on (`__firstlineno__`). Before, the first line of its own functions is taken and said
//! to be *near*; of one that has none only its module's file is known.

use memory::Addr;
use rustc_hash::FxHashMap;
use snapshot::{Details, Graph, LinkKind, Objects};

/// A place in source.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as its code objects name it.
    pub file: String,
    /// The line; `None` where only the file is known.
    pub line: Option<u32>,
    /// The line is that of something inside, not of the thing itself.
    pub near: bool,
}

/// Most attributes of a class or module that are looked at.
const ATTRIBUTES_MOST: usize = 10_000;

/// Whether a file belongs to Python's own library.
pub(crate) fn is_standard(file: &str) -> bool {
    let installed = file.contains("/site-packages/") || file.contains("/dist-packages/");
    file.starts_with("<frozen ") || (!installed && file.rsplit_once("/python3.").is_some_and(|(_, rest)| rest.split('/').count() <= 4))
}

/// The places of a snapshot's code.
#[derive(Clone, Debug)]
pub struct Places<'s> {
    objects: &'s Objects,
    graph: &'s Graph,
    /// File and first line by code object.
    codes: FxHashMap<u32, (&'s str, &'s str, u32)>,
    /// Name and first line by a class's address.
    classes: FxHashMap<Addr, (&'s str, Option<u32>)>,
    /// File by a module's name.
    modules: FxHashMap<&'s str, &'s str>,
}

impl<'s> Places<'s> {
    /// Of a snapshot's parts.
    pub fn of(objects: &'s Objects, graph: &'s Graph, details: &'s Details) -> Places<'s> {
        let codes = details.codes.iter().map(|code| (code.object, (code.name.as_str(), code.file.as_str(), code.first_line))).collect();
        let classes = details.classes.iter().map(|class| (class.address, (class.name.as_str(), class.first_line))).collect();
        let modules = details.modules.iter().filter_map(|m| Some((m.name.as_str(), m.file.as_deref()?))).collect();
        Places { objects, graph, codes, classes, modules }
    }

    /// The object at an address.
    pub fn at(&self, address: Addr) -> Option<u32> {
        self.objects.addresses().binary_search(&address).ok().map(|row| row as u32)
    }

    /// Where a function, a bound method's function or a code object is defined.
    pub fn of_function(&self, node: u32) -> Option<Place> {
        let code = if self.codes.contains_key(&node) { Some(node) } else { self.graph.named(node, LinkKind::Field, "__code__") };
        let (_, file, line) = self.codes.get(&code?)?;
        Some(Place { file: (*file).to_owned(), line: Some(*line), near: false })
    }

    /// Where a class is defined: on the line that it tells, or near the first of its own functions, or somewhere in its module's file.
    pub fn of_class(&self, class: u32) -> Option<Place> {
        let address = self.objects.addresses().get(class as usize)?;
        let (name, line) = self.classes.get(address).copied().unwrap_or_default();
        let near = self.near_functions(class);
        let Some(line) = line else { return near.or_else(|| self.in_module(name, None)) };
        match near {
            Some(place) => Some(Place { line: Some(line), near: false, ..place }),
            None => self.in_module(name, Some(line)),
        }
    }

    /// The file of the module of a class with this full name. What is of C and says that it is of a module of Python's own library is not
    /// in that module's file.
    fn in_module(&self, class: &str, line: Option<u32>) -> Option<Place> {
        let mut name = class;
        while let Some((module, _)) = name.rsplit_once('.') {
            if let Some(file) = self.modules.get(module) {
                let is_source = file.ends_with(".py") && (line.is_some() || !is_standard(file));
                return is_source.then(|| Place { file: (*file).to_owned(), line, near: false });
            }
            name = module;
        }
        None
    }

    fn near_functions(&self, class: u32) -> Option<Place> {
        let dict = self.graph.named(class, LinkKind::Field, "__dict__").unwrap_or(class);
        let mut by_file: FxHashMap<&str, (u32, u32)> = FxHashMap::default();
        for link in self.graph.of(dict).filter(|link| link.label.kind == LinkKind::Attribute).take(ATTRIBUTES_MOST) {
            let Some(code) = self.graph.named(link.target, LinkKind::Field, "__code__") else { continue };
            let Some((name, file, line)) = self.codes.get(&code) else { continue };
            // What was made elsewhere and put here bears another name.
            let own = link.label.name.as_deref().is_some_and(|attribute| name.rsplit('.').next() == Some(attribute));
            if own && !file.starts_with('<') {
                let entry = by_file.entry(file).or_insert((0, u32::MAX));
                *entry = (entry.0 + 1, entry.1.min(*line));
            }
        }
        let (file, (_, line)) = by_file.into_iter().max_by(|a, b| a.1 .0.cmp(&b.1 .0).then_with(|| b.0.cmp(a.0)))?;
        Some(Place { file: file.to_owned(), line: Some(line), near: true })
    }

    /// The file of a module, by its globals: that of the functions whose globals they are.
    pub fn of_globals(&self, dict: u32) -> Option<Place> {
        for link in self.graph.of(dict).filter(|link| link.label.kind == LinkKind::Attribute).take(ATTRIBUTES_MOST) {
            if self.graph.named(link.target, LinkKind::Field, "__globals__") == Some(dict) {
                if let Some(place) = self.of_function(link.target) {
                    return Some(Place { line: None, ..place });
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_told_from_what_is_installed() {
        assert!(is_standard("/usr/lib/python3.11/html/entities.py") && is_standard("<frozen os>"));
        assert!(!is_standard("/usr/lib/python3.11/site-packages/flask/app.py") && !is_standard("/srv/app/cache.py"));
    }
}
