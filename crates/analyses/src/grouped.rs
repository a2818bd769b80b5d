//! `retained --by`: what is retained, summed by type, by module or by distribution.
//!
//! By type: what would go if all instances of the type went; an instance within what another one retains counts once. Types overlap: a
//! dict within a session is in the sums of both. By module and by distribution: each object counts once, with the module whose globals
//! hold it alone.

use graph::{Dominators, Edges};
use memory::Bytes;
use rustc_hash::FxHashMap;

use crate::ownership::{Hold, Ownership};
use crate::place::is_standard;

/// What sums are made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The type of the object that retains.
    Type,
    /// The module whose globals hold it.
    Module,
    /// The distribution that the module came with.
    Distribution,
}

impl By {
    /// The word of the JSON.
    pub fn word(self) -> &'static str {
        match self {
            By::Type => "type",
            By::Module => "module",
            By::Distribution => "distribution",
        }
    }
}

/// One sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The type's, module's or distribution's name; what no module holds alone stands in brackets: `(several)`, `(garbage)`.
    pub name: String,
    /// How many objects would go.
    pub objects: u64,
    /// Their footprint.
    pub bytes: Bytes,
}

/// The sums, the biggest first.
pub fn grouped(ownership: &Ownership<'_>, by: By) -> Vec<Group> {
    let below = ownership.tree.below();
    let sums = match by {
        By::Type => by_type(ownership, &below),
        By::Module => by_module(ownership, |name| name.to_owned()),
        By::Distribution => {
            let files: FxHashMap<&str, &str> =
                ownership.details.modules.iter().filter_map(|m| Some((m.name.as_str(), m.file.as_deref()?))).collect();
            by_module(ownership, |module| distribution(module, files.get(module).copied()))
        }
    };
    let mut groups: Vec<Group> = sums.into_iter().map(|(name, (objects, bytes))| Group { name, objects, bytes: Bytes(bytes) }).collect();
    groups.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    groups
}

type Sums = FxHashMap<String, (u64, u64)>;

fn by_type(ownership: &Ownership<'_>, below: &Edges) -> Sums {
    let counts = ownership.tree.retained(|_| 1);
    let type_of = |node: u32| ownership.objects.type_indices().get(node as usize).copied().unwrap_or(u32::MAX);
    let mut rows: FxHashMap<u32, (u64, u64)> = FxHashMap::default();
    // How many objects of each type are above the current one.
    let mut above: FxHashMap<u32, u32> = FxHashMap::default();
    for top in ownership.tree.top() {
        let mut stack = vec![(top, 0usize)];
        enter(ownership, &counts, &mut rows, &mut above, type_of(top), top);
        while let Some((node, seen)) = stack.last_mut() {
            let (node, next) = (*node, below.of(*node).get(*seen).copied());
            *seen += 1;
            match next {
                Some(child) => {
                    enter(ownership, &counts, &mut rows, &mut above, type_of(child), child);
                    stack.push((child, 0));
                }
                None => {
                    if let Some(count) = above.get_mut(&type_of(node)) {
                        *count -= 1;
                    }
                    stack.pop();
                }
            }
        }
    }
    let mut sums = Sums::default();
    for (row, (objects, bytes)) in rows {
        let sum = sums.entry(ownership.type_row_name(row).to_owned()).or_default();
        *sum = (sum.0 + objects, sum.1 + bytes);
    }
    sums
}

fn enter(
    ownership: &Ownership<'_>,
    counts: &[u64],
    rows: &mut FxHashMap<u32, (u64, u64)>,
    above: &mut FxHashMap<u32, u32>,
    row: u32,
    node: u32,
) {
    let count = above.entry(row).or_insert(0);
    if *count == 0 {
        let sum = rows.entry(row).or_default();
        *sum = (sum.0 + counts.get(node as usize).copied().unwrap_or(0), sum.1 + ownership.retained(node));
    }
    *count += 1;
}

fn by_module(ownership: &Ownership<'_>, name: impl Fn(&str) -> String) -> Sums {
    // For each object the module above it, as a place in `names`; parents come before children.
    let mut names: Vec<String> = Hold::ALL.iter().map(|hold| format!("({})", hold.word())).collect();
    let mut places: FxHashMap<&str, u32> = FxHashMap::default();
    let mut held = vec![0u32; ownership.retained.len()];
    let mut sums = vec![(0u64, 0u64); names.len()];
    for &node in ownership.tree.order() {
        let place = match (ownership.modules.get(&node), ownership.tree.above(node)) {
            (Some(module), _) => *places.entry(module).or_insert_with(|| {
                names.push(name(module));
                sums.push((0, 0));
                names.len() as u32 - 1
            }),
            (None, Some(above)) if above != Dominators::ROOT => held.get(above as usize).copied().unwrap_or(0),
            _ => Hold::ALL.iter().position(|hold| *hold == ownership.hold(node)).unwrap_or(0) as u32,
        };
        if let Some(slot) = held.get_mut(node as usize) {
            *slot = place;
        }
        if let Some(sum) = sums.get_mut(place as usize) {
            *sum = (sum.0 + 1, sum.1 + ownership.objects.footprint_bytes().get(node as usize).map_or(0, |bytes| bytes.0));
        }
    }
    let mut all = Sums::default();
    for (name, (objects, bytes)) in names.into_iter().zip(sums).filter(|(_, (objects, _))| *objects > 0) {
        let sum = all.entry(name).or_default();
        *sum = (sum.0 + objects, sum.1 + bytes);
    }
    all
}

/// The distribution by the folder that it was installed to; `python` for its own library, the top package for what is not installed.
fn distribution(module: &str, file: Option<&str>) -> String {
    let top = || module.split('.').next().unwrap_or(module).to_owned();
    let Some(file) = file else { return if module == "__main__" { top() } else { "python".to_owned() } };
    for folder in ["/site-packages/", "/dist-packages/"] {
        if let Some((_, rest)) = file.split_once(folder) {
            return rest.split('/').next().unwrap_or(rest).trim_end_matches(".py").to_owned();
        }
    }
    if is_standard(file) {
        "python".to_owned()
    } else {
        top()
    }
}

#[cfg(test)]
mod tests {
    use snapshot::LinkKind;

    use super::*;
    use crate::testing::Made;

    #[test]
    fn sums_count_each_object_once_for_its_group() {
        let mut made = Made::default();
        let (_, globals) = made.module("app.cache");
        let (_, other) = made.module("json");
        // A tree of two nodes of one type, with a list in the lower one.
        let (root, leaf, list) = (made.object("app.Node", 100, 1), made.object("app.Node", 100, 1), made.object("list", 40, 1));
        made.link(globals, root, LinkKind::Attribute, "ROOT");
        made.link(root, leaf, LinkKind::Attribute, "left");
        made.link(leaf, list, LinkKind::Attribute, "rows");
        // Held by both modules: by none alone.
        let both = made.object("bytes", 7, 2);
        made.link(globals, both, LinkKind::Attribute, "B");
        made.link(other, both, LinkKind::Attribute, "B");
        let snapshot = made.snapshot();
        let ownership = Ownership::of(&snapshot).unwrap();
        let find = |by, name: &str| grouped(&ownership, by).into_iter().find(|g| g.name == name).map(|g| (g.objects, g.bytes.0));
        assert_eq!(find(By::Type, "app.Node"), Some((3, 240)));
        assert_eq!(find(By::Type, "list"), Some((1, 40)));
        assert_eq!(find(By::Module, "app.cache"), Some((5, 260)));
        assert_eq!(find(By::Module, "(several)"), Some((1, 7)));
        assert_eq!(find(By::Distribution, "python").map(|found| found.1 > 0), Some(true));
        let all: u64 = grouped(&ownership, By::Module).iter().map(|g| g.bytes.0).sum();
        assert_eq!(all, snapshot.types.iter().map(|t| t.footprint_bytes.0).sum::<u64>());
    }

    #[test]
    fn a_distribution_is_the_folder_that_it_was_installed_to() {
        let of = |module, file| distribution(module, file);
        assert_eq!(of("django.db.models", Some("/v/lib/python3.11/site-packages/django/db/models/__init__.py")), "django");
        assert_eq!(of("six", Some("/usr/lib/python3/dist-packages/six.py")), "six");
        assert_eq!(of("json.decoder", Some("/usr/lib/python3.11/json/decoder.py")), "python");
        assert_eq!(of("shop.cache", Some("/srv/shop/cache.py")), "shop");
        assert_eq!((of("sys", None), of("__main__", None)), ("python".to_owned(), "__main__".to_owned()));
    }
}
