//! What Python classes add to any object: slots, attributes in all their forms, the class itself; and objects of C
//! types that have no decoder.
//!
//! Sources: `subtype_traverse` in `Objects/typeobject.c`; `Objects/object_layout.md` of 3.12 and 3.13.

use memory::{Addr, Fault, Memory};

use super::dict;
use crate::heap::{Heap, Obj};
use crate::layout::rules::ManagedDict;
use crate::layout::Fields;
use crate::types::{flags, DictAt, TypeInfo};
use crate::visit::{Label, Visitor};

/// Most words of one object's items that are scanned.
const SCAN_BOUND: u64 = 1 << 20;

/// Slots, members, dictionary or values, unexplained words and the class.
#[inline]
pub(super) fn layers<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<(), Fault> {
    // The members of C layers: of a type without a decoder, and of one that adds to the struct of a type with one.
    for &(offset, name) in t.slots.iter().chain(&t.members) {
        let to = o.addr(offset)?;
        if !to.is_null() {
            v.reference(to, Label::Slot(name));
        }
    }
    if !t.slots_after_items.is_empty() {
        let items = o.size()?.unsigned_abs().saturating_mul(t.item);
        for &(offset, name) in &t.slots_after_items {
            let to = o.addr(offset.saturating_add(items))?;
            if !to.is_null() {
                v.reference(to, Label::Slot(name));
            }
        }
    }
    match t.dict {
        DictAt::None => {}
        DictAt::Offset(at) => dictionary(o.addr(at)?, v),
        DictAt::FromEnd(back) => {
            // `_PyObject_ComputedDictPointer` to 3.11.
            let n = o.size()?.unsigned_abs();
            let end = memory::rounded_up(t.basic.saturating_add(n.saturating_mul(t.item)), 8);
            dictionary(o.addr(end.wrapping_add(back as u64))?, v);
        }
        DictAt::Managed => managed(heap, o, t, v)?,
    }
    for &offset in &t.scan {
        let word = o.addr(u64::from(offset))?;
        if !word.is_null() {
            v.scanned(word, Label::Scanned(offset));
        }
    }
    if t.is_heap() {
        if t.class_visible {
            v.reference(t.addr, Label::Type);
        } else {
            v.hidden(t.addr, Label::Type);
        }
    }
    Ok(())
}

fn dictionary<V: Visitor>(dict: Addr, v: &mut V) {
    if !dict.is_null() {
        v.reference(dict, Label::Field("__dict__"));
    }
}

/// The attributes of an instance whose class manages its dictionary.
fn managed<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<(), Fault> {
    let word = o.u64(-24)?;
    match heap.layout.rules.managed_dict {
        ManagedDict::None => {}
        ManagedDict::TwoWords => {
            let values = Addr(o.u64(-32)?);
            if values.is_null() {
                dictionary(Addr(word), v);
            } else {
                attributes(heap, t, values, v)?;
            }
        }
        ManagedDict::TaggedWord => {
            if word & 1 == 1 {
                attributes(heap, t, Addr(word.wrapping_add(1)), v)?;
            } else {
                dictionary(Addr(word), v);
            }
        }
        ManagedDict::Inline => {
            if t.flags & flags::INLINE_VALUES == 0 || !inline_attributes(heap, o, t, Addr(word), v)? {
                dictionary(Addr(word), v);
            }
        }
    }
    Ok(())
}

/// Split values in a block of their own: 3.11, 3.12.
fn attributes<V: Visitor>(heap: &Heap<'_>, t: &TypeInfo, values: Addr, v: &mut V) -> Result<(), Fault> {
    let keys = dict::keys(heap, t.cached_keys)?;
    dict::own_prefixed_values(heap, values, keys.used + keys.usable, v)?;
    if keys.used == 0 {
        return Ok(());
    }
    let array = heap.image.slice(values, keys.used as usize * 8)?;
    tell(&keys, array, true, v);
    Ok(())
}

/// Values in the body after `tp_basicsize`: 3.13+. While they are valid they are told here. The collector of 3.13.0 sees them here too, and
/// neither the dictionary that may have been made of them nor them through it; later ones see them through it
/// (`PyObject_VisitManagedDict`, `dict_traverse` in Objects/dictobject.c). Whether they are valid.
fn inline_attributes<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, dict: Addr, v: &mut V) -> Result<bool, Fault> {
    let header = o.bytes(t.basic, 4)?;
    let (capacity, valid) = (u64::from(header[0]), header[3] != 0);
    if !valid {
        return Ok(false);
    }
    let through_dict = heap.layout.rules.inline_values_seen_through_dict;
    if !dict.is_null() {
        if through_dict {
            v.reference(dict, Label::Field("__dict__"));
        } else {
            v.hidden(dict, Label::Field("__dict__"));
        }
    }
    // A dict that is on no list is not asked, and nobody else tells of the values then (gh-133543).
    let visible = dict.is_null() || !through_dict || heap.image.u64(dict - Fields::GC_HEAD).is_ok_and(|next| next != 0);
    let keys = dict::keys(heap, t.cached_keys)?;
    let array = o.bytes(t.basic + 8, keys.used.min(capacity) * 8)?;
    tell(&keys, array, visible, v);
    Ok(true)
}

fn tell<V: Visitor>(keys: &dict::Keys<'_>, array: &[u8], visible: bool, v: &mut V) {
    for (i, word) in array.chunks_exact(8).enumerate() {
        let to = Addr(u64::from_le_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]));
        if to.is_null() {
            continue;
        }
        if visible {
            v.reference(to, Label::Attribute(keys.key(i)));
        } else {
            v.hidden(to, Label::Attribute(keys.key(i)));
        }
    }
}

/// An object of a C type without a decoder: its items by a scan (members and the fixed words are told by [`layers`]).
pub(super) fn opaque<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    if t.item > 0 && t.basic >= 24 {
        let bytes = o.size()?.unsigned_abs().saturating_mul(t.item).min(SCAN_BOUND * 8) & !7;
        let from = memory::rounded_up(t.basic, 8);
        if let Ok(items) = o.bytes(from, bytes) {
            for (i, word) in items.chunks_exact(8).enumerate() {
                let to = Addr(u64::from_le_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]));
                if !to.is_null() {
                    v.scanned(to, Label::Scanned((from + i as u64 * 8) as u32));
                }
            }
        }
    }
    heap.default_size(o, t, v)
}
