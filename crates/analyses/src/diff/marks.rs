//! What tells instances of one class apart that have no value of their own: where their dict lies, and what their attributes refer to.
//!
//! Holds: [`Marks`], taken of a look's graph so that the graph need not be kept. Bounded: [`MARKS_MOST`] of each instance.

use std::hash::{Hash, Hasher};

use memory::Addr;
use rustc_hash::FxHasher;
use snapshot::{Graph, LinkKind, Snapshot};

/// Attributes of one instance that are kept, always those of the same names.
const MARKS_MOST: usize = 4;
/// Links of one instance that are looked at.
const LINKS_MOST: usize = 256;

/// The marks of a look's instances.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    starts: Vec<u32>,
    all: Vec<Mark>,
}

/// What an instance refers to by one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The name's hash; 0 for the dict itself.
    pub(super) name: u32,
    /// Where it lies.
    pub(super) target: Addr,
    /// Its row.
    pub(super) row: u32,
    /// Nothing else refers to it.
    pub(super) alone: bool,
}

/// The name of the dict of an instance, among the marks.
pub(super) const DICT: u32 = 0;

impl Marks {
    /// Of a look that has its graph.
    pub(super) fn of(snapshot: &Snapshot) -> Option<Marks> {
        let (objects, graph) = (snapshot.objects.as_ref()?, snapshot.graph.as_ref()?);
        // Classes of a module; what bears a bare name is builtin, and told by its value or not at all.
        let is_class: Vec<bool> = snapshot.types.iter().map(|t| t.name.contains('.')).collect();
        let mut marks = Marks { starts: vec![0], all: Vec::new() };
        let mut some: Vec<Mark> = Vec::new();
        for (row, kind) in objects.type_indices().iter().enumerate() {
            if is_class.get(*kind as usize) == Some(&true) {
                let mark = |name: u32, to: u32| {
                    let state = objects.states().get(to as usize)?;
                    let target = *objects.addresses().get(to as usize)?;
                    let alone = objects.refcounts().get(to as usize) == Some(1);
                    (!state.immortal()).then_some(Mark { name, target, row: to, alone })
                };
                let dict = graph.named(row as u32, LinkKind::Field, "__dict__");
                some.extend(dict.and_then(|dict| mark(DICT, dict)));
                attributes(graph, row as u32, dict, |name, to| some.extend(mark(name, to)));
                some.sort_unstable_by_key(|mark| (mark.name, mark.target));
                some.truncate(MARKS_MOST + 1);
                marks.all.append(&mut some);
            }
            marks.starts.push(marks.all.len() as u32);
        }
        Some(marks)
    }

    /// Those of an object, by name.
    pub(super) fn at(&self, row: usize) -> &[Mark] {
        let ends = (self.starts.get(row), self.starts.get(row + 1));
        let (Some(start), Some(end)) = ends else { return &[] };
        self.all.get(*start as usize..*end as usize).unwrap_or_default()
    }
}

/// The attributes and slots of an instance, by their name's hash.
fn attributes(graph: &Graph, row: u32, dict: Option<u32>, mut found: impl FnMut(u32, u32)) {
    let own = graph.of(row).filter(|link| matches!(link.label.kind, LinkKind::Attribute | LinkKind::Slot)).take(LINKS_MOST);
    let inside = dict.into_iter().flat_map(|dict| graph.of(dict).filter(|link| link.label.kind == LinkKind::Attribute).take(LINKS_MOST));
    for link in own.chain(inside) {
        if let Some(name) = link.label.name.as_deref() {
            let mut hash = FxHasher::default();
            name.hash(&mut hash);
            found((hash.finish() >> 32) as u32 | 1, link.target);
        }
    }
}
