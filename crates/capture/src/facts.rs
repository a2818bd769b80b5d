//! What a snapshot's file keeps of each object instead of its value: room, form, kinds of items, fingerprints.
//!
//! Holds: [`Noter`], which one thread notes them with, and [`Elements`]. Bounded: by the objects that were found, and by [`KEYS_MOST`].

use cpython::objects::{dict, Attributes, Form, Kind};
use cpython::types::TypeInfo;
use cpython::{Heap, Obj};
use memory::Addr;
use snapshot::{Facts, LinkKind, Shape};

use crate::edges::Edge;
use crate::fingerprint::{FingerprintKey, Fingerprints};
use crate::reach::Reached;

/// Dicts with more entries have no key set: nobody has two of them by design.
const KEYS_MOST: u64 = 4096;
/// Types whose rows are remembered.
const TYPES: usize = 1024;

/// Notes facts. What it remembers makes it faster and changes nothing.
pub(crate) struct Noter<'w, 'm> {
    heap: &'w Heap<'m>,
    fingerprints: Fingerprints<'w, 'm>,
    keys: Vec<Addr>,
    rows: Vec<(Addr, Option<u32>)>,
}

/// The types of an object's items and keys, as its references are told.
#[derive(Default)]
pub(crate) struct Elements {
    pub(crate) items: OneType,
    pub(crate) keys: OneType,
}

/// Whether all are of one type.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) enum OneType {
    #[default]
    Nothing,
    All(u32),
    Several,
}

impl OneType {
    #[inline]
    fn meet(&mut self, kind: Option<u32>) {
        *self = match (*self, kind) {
            (OneType::Nothing, Some(kind)) => OneType::All(kind),
            (OneType::All(known), Some(kind)) if known == kind => return,
            _ => OneType::Several,
        };
    }
}

impl Elements {
    /// What the container holds by `e`; `kind` gives the row of its type. `length`: items of a sequence beyond it are hidden fields.
    #[inline]
    pub(crate) fn meet(&mut self, e: &Edge, length: u64, kind: impl FnOnce() -> Option<u32>) {
        let met = match e.kind {
            LinkKind::Index if u64::from(e.position) < length => &mut self.items,
            LinkKind::Member => &mut self.items,
            // Values of a dict, by whatever name their references go.
            _ if e.key != Addr::NULL => &mut self.items,
            LinkKind::Key => &mut self.keys,
            _ => return,
        };
        if *met != OneType::Several {
            met.meet(kind());
        }
    }
}

impl<'w, 'm> Noter<'w, 'm> {
    pub(crate) fn new(heap: &'w Heap<'m>, key: FingerprintKey) -> Self {
        Noter { heap, fingerprints: Fingerprints::new(heap, key), keys: Vec::new(), rows: vec![(Addr::NULL, None); TYPES] }
    }

    /// Notes all but the elements' types of the object with the number `id`.
    pub(crate) fn note(&mut self, id: u32, o: &Obj<'m>, t: &TypeInfo, facts: &mut Facts) {
        facts.shapes.push(shape(self.heap, o, t));
        if let Some(room) = self.heap.room(o, t) {
            facts.capacities.push((id, room.capacity));
            facts.used.extend(room.used.map(|used| (id, used)));
        }
        if let Some(number) = self.fingerprints.of(o, t) {
            facts.fingerprints.push((id, number));
            // Bounded as the fingerprint is: by the str, all of whose characters it was made of.
            let is_wide: Option<fn(&u8) -> bool> = match facts.shapes.last().and_then(|shape| shape.form()) {
                Some(snapshot::Form::Ucs2) => Some(above_latin_1),
                Some(snapshot::Form::Ucs4) => Some(above_plane_0),
                _ => None,
            };
            if let (Some(is_wide), utf8) = (is_wide, self.fingerprints.last_text()) {
                facts.wide.push((id, utf8.iter().filter(|byte| is_wide(byte)).count() as u64));
                facts.encoded.push((id, utf8.len() as u64));
            }
        }
        if matches!(t.decoder.kind, Kind::Dict | Kind::OrderedDict) && self.keys_of(o) {
            facts.key_sets.push((id, self.fingerprints.key_set(&self.keys)));
        }
    }

    /// Notes the types of a container's elements.
    pub(crate) fn elements(&mut self, id: u32, o: &Obj<'m>, t: &TypeInfo, elements: Elements, of: &Reached<'_, '_>, facts: &mut Facts) {
        if let OneType::All(kind) = elements.items {
            facts.item_types.push((id, kind));
        }
        let key_type = match elements.keys {
            OneType::All(kind) => Some(kind),
            // Shared keys are the class's, which tells them; all are strs.
            OneType::Nothing if t.is_dict() && self.heap.form(o, t) == Some(Form::Split) && elements.items != OneType::Nothing => {
                let any = self.keys_of(o).then(|| self.keys.first().copied()).flatten();
                any.and_then(|key| self.type_row(of, key))
            }
            _ => None,
        };
        facts.key_types.extend(key_type.map(|kind| (id, kind)));
    }

    /// The row of the type of the object at an address.
    #[inline]
    pub(crate) fn type_row(&mut self, of: &Reached<'_, '_>, at: Addr) -> Option<u32> {
        let kind = self.heap.obj(at).and_then(|o| o.ty()).ok()?;
        let slot = self.rows.get_mut((kind.0 >> 4) as usize % TYPES)?;
        if slot.0 != kind {
            *slot = (kind, self.heap.type_at(kind).and_then(|t| of.type_row(&t)));
        }
        slot.1
    }

    /// Reads the keys of a dict, unless they are too many.
    fn keys_of(&mut self, o: &Obj<'m>) -> bool {
        dict::keys_in_order(self.heap, o, KEYS_MOST, &mut self.keys) == Ok(Some(()))
    }
}

/// Whether this byte of UTF-8 begins a character above U+00FF.
fn above_latin_1(byte: &u8) -> bool {
    *byte >= 0xc4
}

/// Whether this byte of UTF-8 begins a character above U+FFFF.
fn above_plane_0(byte: &u8) -> bool {
    *byte >= 0xf0
}

fn shape(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo) -> Shape {
    let form = heap.form(o, t).map(|form| match form {
        Form::Ascii => snapshot::Form::Ascii,
        Form::Latin1 => snapshot::Form::Latin1,
        Form::Ucs2 => snapshot::Form::Ucs2,
        Form::Ucs4 => snapshot::Form::Ucs4,
        Form::Combined => snapshot::Form::Combined,
        Form::Split => snapshot::Form::Split,
        Form::Small => snapshot::Form::Small,
        Form::Table => snapshot::Form::Table,
    });
    let attributes = heap.attributes(o, t).map(|attributes| match attributes {
        Attributes::None => snapshot::Attributes::None,
        Attributes::Dict => snapshot::Attributes::Dict,
        Attributes::Values => snapshot::Attributes::Values,
        Attributes::ValuesAndDict => snapshot::Attributes::ValuesAndDict,
    });
    Shape::new(form, attributes, heap.is_interned(o, t), heap.has_weakrefs(o, t))
}
