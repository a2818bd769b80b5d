//! One object of a snapshot with its references: what `object` answers from a folder, as `capture` answers it from a process.

use memory::Addr;

use super::decode::Table;
use crate::{Brief, Content, Holder, Inspected, Label, LinkKind, LinkLabel, Objects, Reference, References, RootLink, Type};

/// Most references that are shown in one direction, as `capture` shows them; the total is always told.
const SHOWN: usize = 1000;

/// What an object's words are made of.
pub(crate) struct Parts<'s> {
    pub(crate) types: &'s [Type],
    pub(crate) objects: &'s Objects,
    pub(crate) contents: Vec<Content>,
    pub(crate) lengths: Vec<Option<u64>>,
    pub(crate) names: Vec<Option<String>>,
    pub(crate) values: Vec<Option<String>>,
}

impl Parts<'_> {
    fn brief(&self, row: u32) -> Brief {
        let i = row as usize;
        let Some(o) = self.objects.get(i) else { return Brief::Nothing };
        if let Some(Some(value)) = self.values.get(i) {
            return Brief::Value(value.clone());
        }
        let type_name = || self.types.get(o.type_index as usize).map_or_else(String::new, |t| t.name.clone());
        match (self.contents.get(o.type_index as usize), self.lengths.get(i).copied().flatten()) {
            (Some(&Content::Counted(unit)), Some(len)) => Brief::Sized { type_name: type_name(), len, unit },
            (Some(Content::Hidden), _) => Brief::Hidden { type_name: type_name() },
            _ => self.names.get(i).cloned().flatten().map_or(Brief::Nothing, Brief::Named),
        }
    }

    fn holder(&self, row: u32) -> Holder {
        let o = self.objects.get(row as usize);
        let type_name = o.and_then(|o| self.types.get(o.type_index as usize)).map_or_else(|| "?".to_owned(), |t| t.name.clone());
        Holder::Object { address: o.map_or(Addr::NULL, |o| o.address), type_name, brief: self.brief(row) }
    }
}

/// One reference from or to the object asked for.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    label: LinkLabel,
    holder: u32,
    target: u32,
    position: u32,
}

impl Link {
    fn order(&self) -> ((LinkKind, u32, LinkKind), Option<&str>, bool) {
        (self.label.kind.order(self.position), self.label.name.as_deref(), !self.label.certain)
    }
}

/// The references of one object and the keys of dicts that hold it.
pub(crate) struct Links {
    out: Vec<Link>,
    into: Vec<Link>,
    /// Keys by dict and place.
    keys: Vec<(u32, u32, u32)>,
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
    columns
        .zip(rest)
        .map(|(((type_index, word), name), (certain, count))| {
            if type_index as usize >= types {
                return Err("a label is of a type that is not there".to_string());
            }
            Ok(LinkLabel { type_index, kind: kind(&word)?, name, certain, count })
        })
        .collect()
}

/// Looks through all references for those of `row`, one column after the other.
pub(crate) fn links(t: &Table, labels: &[LinkLabel], rows: usize, row: u32) -> Result<Links, String> {
    let (holders, targets) = rayon::join(|| t.u32s("holder"), || t.u32s("target"));
    let (holders, targets) = (holders?, targets?);
    let (label_of, positions) = rayon::join(|| t.u32s("label"), || t.u32s("position"));
    let (label_of, positions) = (label_of?, positions?);
    if [targets.len(), label_of.len(), positions.len()].iter().any(|n| *n != holders.len()) {
        return Err("its columns differ in length".into());
    }
    if holders.iter().chain(&targets).any(|o| *o as usize >= rows) {
        return Err("a reference is of an object that is not there".into());
    }
    let at = |i: usize| -> Result<Link, String> {
        let pick = |column: &[u32]| column.get(i).copied().unwrap_or(0);
        let label = labels.get(pick(&label_of) as usize).ok_or("a reference has a label that is not there")?;
        Ok(Link { label: label.clone(), holder: pick(&holders), target: pick(&targets), position: pick(&positions) })
    };
    let (mut out, mut into) = (Vec::new(), Vec::new());
    for (i, (&holder, &target)) in holders.iter().zip(&targets).enumerate() {
        if holder == row {
            out.push(at(i)?);
        }
        if target == row {
            into.push(at(i)?);
        }
    }
    let mut dicts: Vec<u32> = into.iter().filter(|l| l.label.kind == LinkKind::Value).map(|l| l.holder).collect();
    dicts.push(row);
    dicts.sort_unstable();
    let is_key: Vec<bool> = labels.iter().map(|l| l.kind == LinkKind::Key).collect();
    let mut keys = Vec::new();
    for (i, holder) in holders.iter().enumerate() {
        let label = label_of.get(i).copied().unwrap_or(0) as usize;
        if is_key.get(label).copied().unwrap_or(false) && dicts.binary_search(holder).is_ok() {
            keys.push((*holder, positions.get(i).copied().unwrap_or(0), targets.get(i).copied().unwrap_or(0)));
        }
    }
    keys.sort_unstable();
    Ok(Links { out, into, keys })
}

/// The roots that hold an object.
pub(crate) fn roots(t: &Table, row: u32) -> Result<Vec<RootLink>, String> {
    let columns = t.texts("root")?.into_iter().zip(t.texts("kind")?).zip(t.optional_texts("name")?);
    let rest = t.u32s("position")?.into_iter().zip(t.flags("certain")?).zip(t.u32s("target")?);
    columns
        .zip(rest)
        .filter(|(_, (_, target))| *target == row)
        .map(|(((root, word), name), ((position, certain), target))| {
            Ok(RootLink { place: crate::RootPlace::Frame, root, kind: kind(&word)?, name, position, certain, target })
        })
        .collect()
}

/// The answer to `object`.
pub(crate) fn inspect(parts: &Parts<'_>, row: usize, links: &Links, roots: Vec<RootLink>) -> Option<Inspected> {
    let o = parts.objects.get(row)?;
    let t = parts.types.get(o.type_index as usize)?;
    let label = |l: &Link| {
        let key = || {
            let at = links.keys.partition_point(|k| (k.0, k.1) < (l.holder, l.position));
            links.keys.get(at).filter(|k| (k.0, k.1) == (l.holder, l.position)).map_or(Brief::Nothing, |k| parts.brief(k.2))
        };
        Label::of(l.label.kind, l.label.name.clone(), l.position, key)
    };
    let reference = |l: &Link, other: u32| Reference { label: label(l), other: parts.holder(other), certain: l.label.certain };
    let mut out: Vec<&Link> = links.out.iter().collect();
    out.sort_by(|a, b| a.order().cmp(&b.order()));
    let mut into: Vec<&Link> = links.into.iter().collect();
    into.sort_by(|a, b| (a.holder, a.order()).cmp(&(b.holder, b.order())));
    let mut held: Vec<Reference> = into.iter().take(SHOWN).map(|l| reference(l, l.holder)).collect();
    let explained_refs = into.iter().filter(|l| l.label.certain).count() + roots.iter().filter(|r| r.certain).count();
    let total = into.len() + roots.len();
    for r in roots {
        if held.len() < SHOWN {
            let label = Label::of(r.kind, r.name, r.position, || Brief::Nothing);
            held.push(Reference { label, other: Holder::Root { name: r.root }, certain: r.certain });
        }
    }
    Some(Inspected {
        address: o.address,
        type_name: t.name.clone(),
        type_address: t.address,
        brief: parts.brief(row as u32),
        own_bytes: o.own_bytes,
        footprint_bytes: o.footprint_bytes,
        known: t.known,
        refcount: o.refcount,
        explained_refs: explained_refs as u64,
        state: o.state,
        references_out: References { shown: out.iter().take(SHOWN).map(|l| reference(l, l.target)).collect(), total: out.len() as u64 },
        references_in: References { shown: held, total: total as u64 },
    })
}
