//! Small snapshots made by hand, for the tests of the analyses.

use graph::Edges;
use memory::{Addr, Bytes};
use snapshot::{Collector, Details, Found, Graph, LinkKind, LinkLabel, Object, Objects, RootLink, RootPlace, Snapshot, State, Type};

/// A snapshot in the making. Objects are numbered from 0; each object lies at 0x1000 + 0x100 · its number.
#[derive(Default)]
pub(crate) struct Made {
    types: Vec<Type>,
    objects: Vec<(u32, u64, u64, bool)>,
    links: Vec<(u32, u32, LinkKind, Option<String>, bool)>,
    details: Details,
}

impl Made {
    /// An object of that type, of that footprint, with that reference count.
    pub(crate) fn object(&mut self, type_name: &str, bytes: u64, refcount: u64) -> u32 {
        let at = self.types.iter().position(|t| t.name == type_name).unwrap_or_else(|| {
            let known = snapshot::Known::Exact;
            let (name, address) = (type_name.to_owned(), Addr(0x10 * (self.types.len() as u64 + 1)));
            self.types.push(Type { name, address, count: 0, own_bytes: Bytes(0), footprint_bytes: Bytes(0), known });
            self.types.len() - 1
        });
        self.types[at].count += 1;
        self.types[at].footprint_bytes.0 += bytes;
        self.objects.push((at as u32, bytes, refcount, false));
        self.objects.len() as u32 - 1
    }

    /// It lives as long as the interpreter.
    pub(crate) fn immortal(&mut self, node: u32) {
        self.objects[node as usize].3 = true;
    }

    /// Makes an object the class of the objects of that type.
    pub(crate) fn class(&mut self, type_name: &str, node: u32) {
        if let Some(t) = self.types.iter_mut().find(|t| t.name == type_name) {
            t.address = Addr(0x1000 + 0x100 * u64::from(node));
        }
    }

    /// A reference with its kind and name.
    pub(crate) fn link(&mut self, from: u32, to: u32, kind: LinkKind, name: &str) {
        self.links.push((from, to, kind, (!name.is_empty()).then(|| name.to_owned()), true));
    }

    /// A reference that a scan found.
    pub(crate) fn scanned(&mut self, from: u32, to: u32) {
        self.links.push((from, to, LinkKind::Scanned, None, false));
    }

    /// A module of `sys.modules` with its globals; gives the module and the dict.
    pub(crate) fn module(&mut self, name: &str) -> (u32, u32) {
        let modules = match self.details.roots.iter().find(|root| root.name.as_deref() == Some("modules")) {
            Some(root) => root.target,
            None => {
                let dict = self.object("dict", 100, 1);
                self.root(RootPlace::Interpreter, "interpreter", Some("modules"), dict, true);
                dict
            }
        };
        let (module, dict) = (self.object("module", 10, 1), self.object("dict", 10, 1));
        self.link(modules, module, LinkKind::Value, "");
        self.link(module, dict, LinkKind::Field, "__dict__");
        self.details.modules.push(snapshot::ModuleRow { object: module, name: name.to_owned(), file: None });
        (module, dict)
    }

    /// A reference from a root.
    pub(crate) fn root(&mut self, place: RootPlace, root: &str, name: Option<&str>, target: u32, certain: bool) {
        let (kind, root) = (if certain { LinkKind::Local } else { LinkKind::Scanned }, root.to_owned());
        self.details.roots.push(RootLink { place, root, kind, name: name.map(str::to_owned), position: 0, certain, target });
    }

    /// The snapshot.
    pub(crate) fn snapshot(self) -> Snapshot {
        let mut objects = Objects::default();
        for (i, (type_index, bytes, refcount, immortal)) in self.objects.iter().enumerate() {
            objects.push(Object {
                address: Addr(0x1000 + 0x100 * i as u64),
                type_index: *type_index,
                own_bytes: Bytes(*bytes),
                footprint_bytes: Bytes(*bytes),
                refcount: *refcount,
                state: State::new(Collector::Generation2, Found::List, *immortal),
            });
        }
        let mut labels: Vec<LinkLabel> = Vec::new();
        let mut label = snapshot::LabelPlaces::default();
        let mut links = self.links;
        links.sort_by_key(|link| link.0);
        for (from, _, kind, name, certain) in &links {
            let type_index = self.objects[*from as usize].0;
            let same = |l: &LinkLabel| (l.type_index, l.kind, &l.name, l.certain) == (type_index, *kind, name, *certain);
            let at = labels.iter().position(same).unwrap_or_else(|| {
                labels.push(LinkLabel { type_index, kind: *kind, name: name.clone(), certain: *certain, traversed: true, count: 0 });
                labels.len() - 1
            });
            labels[at].count += 1;
            label.push(at as u32);
        }
        let mut lengths = vec![0u32; self.objects.len()];
        links.iter().for_each(|link| lengths[link.0 as usize] += 1);
        let edges = Edges::from_rows(lengths.into_iter(), links.iter().map(|link| link.1).collect()).unwrap();
        let mut graph = Graph::new(edges, label, labels).unwrap();
        graph.drop_leftovers(&objects, &self.details.roots);
        let mut snapshot = Snapshot { types: self.types, objects: Some(objects), graph: Some(graph), ..Snapshot::default() };
        snapshot.details = Some(self.details);
        snapshot
    }
}
