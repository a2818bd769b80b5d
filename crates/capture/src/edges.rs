//! A decoder's labels in the terms of a snapshot: kind, name, place. One home for what `object` shows and what a file keeps.

use cpython::visit::{Torn, Visitor};
use cpython::{Heap, Label};
use memory::{Addr, Memory};
use snapshot::LinkKind;

/// Where a name stands; the text is read once for many references.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum NameAt {
    None,
    Static(&'static str),
    /// A str object.
    Str(Addr),
    /// A C string.
    C(Addr),
    /// Slot of a frame of this code.
    Local(Addr, u32),
}

/// One reference as a decoder tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    pub(crate) to: Addr,
    pub(crate) kind: LinkKind,
    pub(crate) name: NameAt,
    pub(crate) position: u32,
    /// The key's object, of a dict's value.
    pub(crate) key: Addr,
    pub(crate) certain: bool,
    /// Whether the holder's `tp_traverse` tells the collector of it; of what a scan found it is taken to.
    pub(crate) traversed: bool,
    /// Whether it is held by it at all: values of a dict may stand in the instance's block and be told by the instance.
    pub(crate) held: bool,
}

/// Hands each reference of one object on. `is_namespace` and `code` are of that object.
pub(crate) struct Teller<F> {
    pub(crate) each: F,
    /// Keys are names: the object is the `__dict__` of something.
    pub(crate) is_namespace: bool,
    /// Whose names its locals have: a frame's or a generator's.
    pub(crate) code: Addr,
    last_key: (Addr, u32),
    /// Values that a dict does not hold are told too.
    pub(crate) with_values_held_elsewhere: bool,
}

impl<F: FnMut(Edge)> Teller<F> {
    pub(crate) fn new(each: F) -> Self {
        Teller { each, is_namespace: false, code: Addr::NULL, last_key: (Addr::NULL, 0), with_values_held_elsewhere: false }
    }

    /// For the next object.
    #[inline]
    pub(crate) fn begin(&mut self, is_namespace: bool, code: Addr) {
        self.is_namespace = is_namespace;
        self.code = code;
        self.last_key = (Addr::NULL, 0);
    }

    #[inline]
    fn tell(&mut self, to: Addr, label: Label, certain: bool, traversed: bool) {
        let small = |i: u64| u32::try_from(i).unwrap_or(u32::MAX);
        let mut key_at = Addr::NULL;
        let (kind, name, position) = match label {
            Label::Type => (LinkKind::Type, NameAt::None, 0),
            Label::Field("cell_contents") => (LinkKind::Cell, NameAt::None, 0),
            Label::Field("__base__") => (LinkKind::Base, NameAt::None, 0),
            Label::Field(name) => (LinkKind::Field, NameAt::Static(name), 0),
            Label::Attribute(name) => (LinkKind::Attribute, NameAt::Str(name), 0),
            Label::Key(i) => {
                self.last_key = (to, small(i));
                (LinkKind::Key, NameAt::None, small(i))
            }
            Label::Member => (LinkKind::Member, NameAt::None, 0),
            Label::Value(key) => {
                key_at = key;
                // The keys of a table that instances share are told by their class, and are names.
                let own_key = self.last_key.0 == key;
                let name = if self.is_namespace || !own_key { NameAt::Str(key) } else { NameAt::None };
                let kind = if name == NameAt::None { LinkKind::Value } else { LinkKind::Attribute };
                (kind, name, if own_key { self.last_key.1 } else { 0 })
            }
            Label::Item(i) => (LinkKind::Index, NameAt::None, small(i)),
            Label::Slot(name) => (LinkKind::Slot, NameAt::C(name), 0),
            Label::Local(i) => (LinkKind::Local, NameAt::Local(self.code, i), 0),
            Label::Stack(i) => (LinkKind::Stack, NameAt::None, i),
            Label::Scanned(at) | Label::ScannedBlock(at) => (LinkKind::Scanned, NameAt::None, at),
        };
        let position = if kind == LinkKind::Attribute { 0 } else { position };
        (self.each)(Edge { to, kind, name, position, key: key_at, certain, traversed, held: true });
    }
}

impl<F: FnMut(Edge)> Visitor for Teller<F> {
    #[inline]
    fn reference(&mut self, to: Addr, label: Label) {
        self.tell(to, label, true, true);
    }
    #[inline]
    fn hidden(&mut self, to: Addr, label: Label) {
        self.tell(to, label, true, false);
    }
    #[inline]
    fn scanned(&mut self, to: Addr, label: Label) {
        // A stack whose depth is unknown is a running frame's, of which the collector is told nothing.
        self.tell(to, label, false, matches!(label, Label::Scanned(_) | Label::ScannedBlock(_)));
    }
    #[inline]
    fn weak(&mut self, to: Addr, label: Label) {
        if let (Label::Value(key), true) = (label, self.with_values_held_elsewhere) {
            (self.each)(Edge {
                to,
                kind: LinkKind::Value,
                name: NameAt::None,
                position: 0,
                key,
                certain: true,
                traversed: false,
                held: false,
            });
        }
    }
    fn owns(&mut self, _: Addr, _: u64) {}
    fn torn(&mut self, _: Torn) {}
}

/// The text of a name.
pub(crate) fn name_text(heap: &Heap<'_>, name: NameAt) -> Option<String> {
    let or_unknown = |text: Option<String>| Some(text.unwrap_or_else(|| "?".to_owned()));
    match name {
        NameAt::None => None,
        NameAt::Static(name) => Some(name.to_owned()),
        NameAt::Str(at) => or_unknown(heap.name(at)),
        NameAt::C(at) => or_unknown(heap.c_str(at).ok()),
        NameAt::Local(code, i) => Some(local_name(heap, code, i).unwrap_or_else(|| format!("#{i}"))),
    }
}

/// The name of slot `i` of a frame of `code`.
fn local_name(heap: &Heap<'_>, code: Addr, i: u32) -> Option<String> {
    let c = &heap.layout.at.code;
    let item = heap.layout.at.tuple.ob_item;
    let pick = |names: Addr, i: u64| {
        let n = heap.image.u64(names + 16).ok()?;
        (i < n).then(|| heap.image.addr(names + item + i * 8).ok()).flatten().and_then(|a| heap.name(a))
    };
    if let Some(all) = c.co_localsplusnames {
        return pick(heap.image.addr(code + all).ok()?, u64::from(i));
    }
    // ≤3.10: locals, then cells, then free variables.
    let mut i = u64::from(i);
    for names in [c.co_varnames?, c.co_cellvars?, c.co_freevars?] {
        let names = heap.image.addr(code + names).ok()?;
        let n = heap.image.u64(names + 16).ok()?;
        if i < n {
            return pick(names, i);
        }
        i -= n;
    }
    None
}
