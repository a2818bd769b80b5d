//! xml.etree.ElementTree.Element: attributes and children in a block of their own once there are any.
//!
//! Source: `element_sizeof_impl`, `element_gc_traverse`, `elementiter_traverse` in `Modules/_elementtree.c`.

use memory::{Addr, Fault, Memory};

use super::parts::addresses;
use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Torn, Visitor};

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let &[text, tail, extra] = &*t.decoder.extra else { return heap.default_size(o, t, v) };
    // Bit 0 says that what stands there is a list of strings still to be joined.
    for (at, name) in [(text, "text"), (tail, "tail")] {
        t.decoder.told.tell(v, Addr(o.addr(at)?.0 & !1), Label::Field(name));
    }
    let extra = o.addr(extra)?;
    if extra.is_null() {
        return Ok(t.basic);
    }
    let table = &heap.layout.table;
    let at = |field| table.offset("ElementObjectExtra", field);
    let (Some(bytes), Some(attrib), Some(length), Some(allocated), Some(children), Some(inline)) =
        (table.size("ElementObjectExtra"), at("attrib"), at("length"), at("allocated"), at("children"), at("_children"))
    else {
        return Ok(t.basic);
    };
    v.owns(extra, bytes);
    t.decoder.told.tell(v, heap.image.addr(extra + attrib)?, Label::Field("attrib"));
    let (n, room) = (heap.image.u64(extra + length)?, heap.image.u64(extra + allocated)?);
    let array = heap.image.addr(extra + children)?;
    if n > room || room > heap.most(8) {
        v.torn(Torn::Size);
        return Ok(t.basic + bytes);
    }
    if n > 0 {
        for (i, to) in addresses(heap.image.slice(array, n as usize * 8)?).enumerate() {
            t.decoder.told.tell(v, to, Label::Item(i as u64));
        }
    }
    if array == extra + inline {
        return Ok(t.basic + bytes);
    }
    v.owns(array, room * 8);
    Ok(t.basic + bytes + room * 8)
}

/// The iterator's stack of parents.
pub(super) fn iterator<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let table = &heap.layout.table;
    let (&[stack, used], Some(bytes), Some(parent)) =
        (&*t.decoder.extra, table.size("ParentLocator"), table.offset("ParentLocator", "parent"))
    else {
        return heap.default_size(o, t, v);
    };
    let (stack, used) = (o.addr(stack)?, o.u64(used as i64)?);
    if used > heap.most(bytes) {
        v.torn(Torn::Size);
    } else if !stack.is_null() {
        for i in 0..used {
            t.decoder.told.tell(v, heap.image.addr(stack + i * bytes + parent)?, Label::Item(i));
        }
    }
    heap.default_size(o, t, v)
}
