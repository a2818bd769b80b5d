//! One object of a snapshot with its references: what `object` answers from a folder, as `capture` answers it from a process.

use memory::Addr;
use rayon::prelude::*;

use super::decode::Table;
use crate::{Brief, Content, Holder, Inspected, Label, LinkKind, LinkLabel, Reference, References, RootLink, RootPlace, Type};

/// Most references that are shown in one direction, as `capture` shows them; the total is always told.
const SHOWN: usize = 1000;

/// Some objects' columns.
struct Picked {
    /// Their numbers, sorted.
    rows: Vec<u32>,
    addresses: Vec<u64>,
    kinds: Vec<u32>,
    lengths: Vec<Option<u64>>,
    names: Vec<Option<String>>,
    values: Vec<Option<String>>,
}

impl Picked {
    /// Reads them; `types` is how many types there are.
    fn read(t: &Table, rows: Vec<u32>, types: usize) -> Result<Picked, String> {
        let t = t.at(&rows);
        let some = Picked {
            addresses: t.u64s("address")?,
            kinds: t.u32s("type")?,
            lengths: t.optional_u64s("length")?,
            names: t.optional_texts("name")?,
            values: t.optional_texts("value")?,
            rows,
        };
        if some.kinds.iter().any(|k| *k as usize >= types) {
            return Err("an object is of a type that is not there".into());
        }
        Ok(some)
    }
}

/// What an object's words are made of.
struct Parts<'s> {
    types: &'s [Type],
    contents: &'s [Content],
    objects: Picked,
}

impl Parts<'_> {
    fn place(&self, row: u32) -> Option<usize> {
        self.objects.rows.binary_search(&row).ok()
    }

    fn type_of(&self, place: usize) -> Option<&Type> {
        self.types.get(*self.objects.kinds.get(place)? as usize)
    }

    fn brief(&self, row: u32) -> Brief {
        let o = &self.objects;
        let Some(i) = self.place(row) else { return Brief::Nothing };
        if let Some(Some(value)) = o.values.get(i) {
            return Brief::Value(value.clone());
        }
        let type_name = || self.type_of(i).map_or_else(String::new, |t| t.name.clone());
        let content = o.kinds.get(i).and_then(|k| self.contents.get(*k as usize));
        match (content, o.lengths.get(i).copied().flatten()) {
            (Some(&Content::Counted(unit)), Some(len)) => Brief::Sized { type_name: type_name(), len, unit },
            (Some(Content::Hidden), _) => Brief::Hidden { type_name: type_name() },
            _ => o.names.get(i).cloned().flatten().map_or(Brief::Nothing, Brief::Named),
        }
    }

    fn holder(&self, row: u32) -> Holder {
        let place = self.place(row);
        let type_name = place.and_then(|i| self.type_of(i)).map_or_else(|| "?".to_owned(), |t| t.name.clone());
        let address = place.and_then(|i| self.objects.addresses.get(i)).map_or(Addr::NULL, |a| Addr(*a));
        Holder::Object { address, type_name, brief: self.brief(row) }
    }
}

/// One reference from or to the object asked for.
#[derive(Clone, Copy, Debug)]
struct Link {
    label: u32,
    holder: u32,
    target: u32,
    position: u32,
}

/// The references of one object: those that are shown, in their order, and how many there are.
#[derive(Default)]
struct Links {
    out: Vec<Link>,
    out_total: u64,
    into: Vec<Link>,
    into_total: u64,
    into_certain: u64,
}

impl Links {
    /// Adds those of another part of the table and keeps what is shown.
    fn add(&mut self, other: Links, labels: &[LinkLabel]) {
        self.out.extend(other.out);
        self.into.extend(other.into);
        self.out_total += other.out_total;
        self.into_total += other.into_total;
        self.into_certain += other.into_certain;
        self.cut(labels);
    }

    fn cut(&mut self, labels: &[LinkLabel]) {
        let order = |l: &Link| labels.get(l.label as usize).map(|x| (x.kind.order(l.position), x.name.as_deref(), !x.certain));
        self.out.sort_by(|a, b| order(a).cmp(&order(b)));
        self.out.truncate(SHOWN);
        self.into.sort_by(|a, b| (a.holder, order(a)).cmp(&(b.holder, order(b))));
        self.into.truncate(SHOWN);
    }
}

pub(crate) fn contents(t: &Table) -> Result<Vec<Content>, String> {
    let words = t.optional_texts("content")?.into_iter();
    let known = |word: &Option<String>| Content::ALL.into_iter().find(|c| c.word() == word.as_deref());
    words.map(|word| known(&word).ok_or_else(|| format!("a type's content is {word:?}"))).collect()
}

fn kind(word: &str) -> Result<LinkKind, String> {
    LinkKind::ALL.iter().copied().find(|k| k.word() == word).ok_or_else(|| format!("a reference is of kind {word:?}"))
}

pub(crate) fn labels(t: &Table, types: usize) -> Result<Vec<LinkLabel>, String> {
    let columns = t.u32s("type")?.into_iter().zip(t.texts("kind")?).zip(t.optional_texts("name")?);
    let rest = t.flags("certain")?.into_iter().zip(t.u64s("count")?);
    // The first programs that wrote folders did not write it; questions about the collector say that it is missing.
    let traversed = if t.has("traversed") { t.flags("traversed")? } else { Vec::new() };
    columns
        .zip(rest)
        .enumerate()
        .map(|(i, (((type_index, word), name), (certain, count)))| {
            let traversed = traversed.get(i).copied().unwrap_or(true);
            if type_index as usize >= types {
                return Err("a label is of a type that is not there".to_string());
            }
            Ok(LinkLabel { type_index, kind: kind(&word)?, name, certain, traversed, count })
        })
        .collect()
}

/// Looks for the references of `row`. In which row groups the holder can be is told by their least and greatest; targets are
/// looked through, and other columns are read where one was found.
fn links(t: &Table, labels: &[LinkLabel], rows: u64, row: u32) -> Result<Links, String> {
    let found: Vec<Links> = t.parts().par_iter().map(|part| links_of(part, labels, rows, row)).collect::<Result<_, String>>()?;
    let mut all = Links::default();
    for part in found {
        all.add(part, labels);
    }
    Ok(all)
}

fn links_of(part: &Table, labels: &[LinkLabel], rows: u64, row: u32) -> Result<Links, String> {
    let mut links = Links::default();
    let sought = [u64::from(row)];
    let some = |column: &str| if part.may_hold(column, &sought) { part.u32s(column).map(Some) } else { Ok(None) };
    let places = |column: &Option<Vec<u32>>| -> Vec<usize> {
        let all = column.iter().flatten().enumerate();
        all.filter(|(_, o)| **o == row).map(|(i, _)| i).collect()
    };
    let (holders, targets) = (some("holder")?, some("target")?);
    let (out, into) = (places(&holders), places(&targets));
    if out.is_empty() && into.is_empty() {
        return Ok(links);
    }
    let all = Columns::read(part, holders, targets)?;
    links.out_total = out.len() as u64;
    links.into_total = into.len() as u64;
    for i in out {
        links.out.push(all.link(i, labels, rows)?);
    }
    for i in into {
        let link = all.link(i, labels, rows)?;
        links.into_certain += u64::from(labels.get(link.label as usize).is_some_and(|l| l.certain));
        links.into.push(link);
    }
    links.cut(labels);
    Ok(links)
}

/// The columns of one row group of references.
struct Columns {
    labels: Vec<u32>,
    holders: Vec<u32>,
    targets: Vec<u32>,
    positions: Vec<u32>,
}

impl Columns {
    /// Reads those that were not read yet.
    fn read(part: &Table, holders: Option<Vec<u32>>, targets: Option<Vec<u32>>) -> Result<Columns, String> {
        let or_read = |column: Option<Vec<u32>>, name: &str| column.map_or_else(|| part.u32s(name), Ok);
        let (holders, targets) = (or_read(holders, "holder")?, or_read(targets, "target")?);
        let all = Columns { labels: part.u32s("label")?, holders, targets, positions: part.u32s("position")? };
        if [all.holders.len(), all.targets.len(), all.positions.len()].iter().any(|n| *n != all.labels.len()) {
            return Err("its columns differ in length".into());
        }
        Ok(all)
    }

    fn link(&self, i: usize, labels: &[LinkLabel], rows: u64) -> Result<Link, String> {
        let pick = |column: &[u32]| column.get(i).copied().unwrap_or(u32::MAX);
        let link =
            Link { label: pick(&self.labels), holder: pick(&self.holders), target: pick(&self.targets), position: pick(&self.positions) };
        if link.label as usize >= labels.len() {
            return Err("a reference has a label that is not there".into());
        }
        if u64::from(link.holder.max(link.target)) >= rows {
            return Err("a reference is of an object that is not there".into());
        }
        Ok(link)
    }
}

/// The keys at `wanted` places (dict and entry, sorted): dict, entry, and the key.
fn keys(t: &Table, labels: &[LinkLabel], rows: u64, wanted: &[(u32, u32)]) -> Result<Vec<(u32, u32, u32)>, String> {
    let mut dicts: Vec<u64> = wanted.iter().map(|w| u64::from(w.0)).collect();
    dicts.dedup();
    let is_key: Vec<bool> = labels.iter().map(|l| l.kind == LinkKind::Key).collect();
    let mut parts = t.parts();
    parts.retain(|part| part.may_hold("holder", &dicts));
    let found = parts.par_iter().map(|part| {
        let holders = part.u32s("holder")?;
        if !holders.iter().any(|h| dicts.binary_search(&u64::from(*h)).is_ok()) {
            return Ok(Vec::new());
        }
        let all = Columns::read(part, Some(holders), None)?;
        let at = all.labels.iter().zip(&all.holders).zip(&all.positions).enumerate();
        let keys = at.filter(|(_, ((label, holder), position))| {
            is_key.get(**label as usize).copied().unwrap_or(false) && wanted.binary_search(&(**holder, **position)).is_ok()
        });
        keys.map(|(i, _)| all.link(i, labels, rows).map(|l| (l.holder, l.position, l.target))).collect()
    });
    let found: Vec<Vec<(u32, u32, u32)>> = found.collect::<Result<_, String>>()?;
    let mut keys = found.concat();
    keys.sort_unstable();
    Ok(keys)
}

/// The number of the object at an address. Addresses are sorted, so that few row groups can have it.
pub(crate) fn row_at(objects: &Table, address: Addr) -> Result<Option<u32>, String> {
    for part in objects.parts().iter().filter(|part| part.may_hold("address", &[address.0])) {
        if let Some(i) = part.u64s("address")?.iter().position(|a| *a == address.0) {
            return u32::try_from(part.first_row() + i as u64).map(Some).map_err(|_| "it has too many rows".into());
        }
    }
    Ok(None)
}

/// An object's references, the keys of dicts among those that are shown, and the numbers of all objects in them.
pub(crate) struct Found {
    links: Links,
    keys: Vec<(u32, u32, u32)>,
}

impl Found {
    /// Reads the table of references; `rows` is how many objects there are.
    pub(crate) fn read(references: &Table, labels: &[LinkLabel], rows: u64, row: u32) -> Result<Found, String> {
        let links = links(references, labels, rows, row)?;
        let is_value = |l: &&Link| labels.get(l.label as usize).is_some_and(|l| l.kind == LinkKind::Value);
        let mut wanted: Vec<(u32, u32)> = links.out.iter().chain(&links.into).filter(is_value).map(|l| (l.holder, l.position)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let keys = if wanted.is_empty() { Vec::new() } else { keys(references, labels, rows, &wanted)? };
        Ok(Found { links, keys })
    }

    fn rows(&self, row: u32) -> Vec<u32> {
        let links = self.links.out.iter().map(|l| l.target).chain(self.links.into.iter().map(|l| l.holder));
        let mut rows: Vec<u32> = links.chain(self.keys.iter().map(|k| k.2)).chain([row]).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }
}

/// References from what is no object.
pub(crate) fn roots(t: &Table) -> Result<Vec<RootLink>, String> {
    let columns = t.texts("root")?.into_iter().zip(t.texts("kind")?).zip(t.optional_texts("name")?);
    let rest = t.u32s("position")?.into_iter().zip(t.flags("certain")?).zip(t.u32s("target")?);
    columns
        .zip(rest)
        .map(|(((root, word), name), ((position, certain), target))| {
            Ok(RootLink { place: place(&root, name.as_deref()), root, kind: kind(&word)?, name, position, certain, target })
        })
        .collect()
}

/// What part of the interpreter a root is in, by the words that `capture` writes.
fn place(root: &str, name: Option<&str>) -> RootPlace {
    match root {
        _ if root.contains(", frame of ") || (root.starts_with("thread ") && name == Some("frame")) => RootPlace::Frame,
        _ if root.starts_with("thread ") => RootPlace::Thread,
        _ if root.starts_with("interpreter") => RootPlace::Interpreter,
        _ => RootPlace::Static,
    }
}

/// The answer to `object`, of the object of number `row`.
pub(crate) fn inspect(
    objects: &Table,
    types: &[Type],
    contents: &[Content],
    labels: &[LinkLabel],
    found: &Found,
    roots: Vec<RootLink>,
    row: u32,
) -> Result<Option<Inspected>, String> {
    let one = super::read::objects(&objects.at(&[row]), types.len())?;
    let parts = Parts { types, contents, objects: Picked::read(objects, found.rows(row), types.len())? };
    let Some(o) = one.get(0) else { return Ok(None) };
    let Some(t) = types.get(o.type_index as usize) else { return Ok(None) };
    let (links, keys) = (&found.links, &found.keys);
    let reference = |l: &Link, other: u32| {
        let known = labels.get(l.label as usize)?;
        let key = || {
            let at = keys.partition_point(|k| (k.0, k.1) < (l.holder, l.position));
            keys.get(at).filter(|k| (k.0, k.1) == (l.holder, l.position)).map_or(Brief::Nothing, |k| parts.brief(k.2))
        };
        let label = Label::of(known.kind, known.name.clone(), l.position, key);
        Some(Reference { label, other: parts.holder(other), certain: known.certain })
    };
    let mut held: Vec<Reference> = links.into.iter().filter_map(|l| reference(l, l.holder)).collect();
    let explained_refs = links.into_certain + roots.iter().filter(|r| r.certain).count() as u64;
    let total = links.into_total + roots.len() as u64;
    for r in roots {
        if held.len() < SHOWN {
            let label = Label::of(r.kind, r.name, r.position, || Brief::Nothing);
            held.push(Reference { label, other: Holder::Root { name: r.root }, certain: r.certain });
        }
    }
    Ok(Some(Inspected {
        address: o.address,
        type_name: t.name.clone(),
        type_address: t.address,
        brief: parts.brief(row),
        own_bytes: o.own_bytes,
        footprint_bytes: o.footprint_bytes,
        known: t.known,
        refcount: o.refcount,
        explained_refs,
        state: o.state,
        references_out: References { shown: links.out.iter().filter_map(|l| reference(l, l.target)).collect(), total: links.out_total },
        references_in: References { shown: held, total },
    }))
}
