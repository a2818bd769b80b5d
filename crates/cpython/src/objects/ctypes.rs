//! ctypes: classes with what describes their C form, and instances with memory of their own or of others.
//!
//! To 3.12 a class keeps the description in its `__dict__`, a `StgDict`; from 3.13 in the type object's own extra space
//! (gh-114314). Sources: `Modules/_ctypes/_ctypes.c`, `Modules/_ctypes/stgdict.c`.

use memory::{Addr, Fault};

use super::catalogue::Told;
use super::{dict, parts, type_object, OWN_BOUND};
use crate::heap::{Heap, Obj};
use crate::types::{flags, TypeInfo};
use crate::visit::{Label, Torn, Visitor};

/// `TYPEFLAG_ISPOINTER` (`Modules/_ctypes/ctypes.h`).
const IS_POINTER: u32 = 0x100;
/// Most fields or dimensions of one class that are believed.
const FIELDS_BOUND: u64 = 1 << 24;

/// The dict of a class, to 3.12. `PyCStgDict_sizeof` counts the struct's own part twice.
pub(super) fn stg_dict<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let own = dict::decode(heap, o, t, v)?;
    let &[length, elements, format, dimensions, shape, proto, proto_flags] = &*t.decoder.extra else { return Ok(own) };
    let proto = o.addr(proto)?;
    // Of a pointer class, the class itself shows what it points to (`PyCPointerType_traverse`).
    let told = if shown_by_class(heap, proto, o.u32(proto_flags)?) { Told::Weak } else { Told::Hidden };
    told.tell(v, proto, Label::Field("_type_"));
    let described = description(heap, o, [length, elements, format, dimensions, shape], v)?;
    Ok(own + t.basic - heap.layout.at.dict.size + described)
}

fn shown_by_class(heap: &Heap<'_>, proto: Addr, proto_flags: u32) -> bool {
    proto_flags & IS_POINTER != 0
        && heap.obj(proto).and_then(|o| o.ty()).ok().and_then(|t| heap.type_at(t)).is_some_and(|t| t.flags & flags::TYPE != 0)
}

/// A pointer class to 3.12, any ctypes class from 3.13.
pub(super) fn class<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let own = type_object::decode(heap, o, t, v)?;
    let table = &heap.layout.table;
    let Some(info) = table.offset("StgInfo", "proto").map(|_| heap.layout.at.heap_type.size.next_multiple_of(16)) else {
        let stg = o.addr(heap.layout.at.ty.tp_dict)?;
        let at = |field| table.offset("StgDictObject", field);
        if let (Ok(stg), Some(proto), Some(proto_flags)) = (heap.obj(stg), at("proto"), at("flags")) {
            let is_stg = heap.type_at(stg.ty()?).is_some_and(|t| t.decoder.kind == super::Kind::StgDict);
            if is_stg && shown_by_class(heap, stg.addr(proto)?, stg.u32(proto_flags)?) {
                v.reference(stg.addr(proto)?, Label::Field("_type_"));
            }
        }
        return Ok(own);
    };
    // Static types have no extra space.
    if !heap.is_heap_type(o)? {
        return Ok(own);
    }
    let at = |field| table.offset("StgInfo", field).map(|f| info + f);
    for (field, name) in [
        ("proto", "_type_"),
        ("argtypes", "_argtypes_"),
        ("converters", "converters"),
        ("restype", "_restype_"),
        ("checker", "checker"),
        ("module", "module"),
        ("pointer_type", "__pointer_type__"),
    ] {
        if let Some(at) = at(field) {
            t.decoder.told.tell(v, o.addr(at)?, Label::Field(name));
        }
    }
    let (Some(length), Some(elements), Some(format), Some(dimensions), Some(shape)) =
        (at("length"), at("ffi_type_pointer.elements"), at("format"), at("ndim"), at("shape"))
    else {
        return Ok(own);
    };
    // `CType_Type_sizeof` starts from the metatype's basic size: neither slots nor shared keys.
    Ok(t.basic + description(heap, o, [length, elements, format, dimensions, shape], v)?)
}

/// The blocks that describe the C form.
fn description<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, at: [u64; 5], v: &mut V) -> Result<u64, Fault> {
    let [length, elements, format, dimensions, shape] = at;
    let mut own = 0;
    let mut block = |at: Addr, bytes: u64| {
        if !at.is_null() && bytes > 0 {
            v.owns(at, bytes);
        }
    };
    let format = o.addr(format)?;
    if !format.is_null() {
        let bytes = parts::string_bytes(heap, format)?.unwrap_or(0);
        block(format, bytes);
        own += bytes;
    }
    let dimensions = u64::from(o.u32(dimensions)?);
    let (length, elements) = (o.u64(length as i64)?, o.addr(elements)?);
    if dimensions > FIELDS_BOUND || (length > FIELDS_BOUND && !elements.is_null()) {
        v.torn(Torn::Size);
        return Ok(own);
    }
    block(o.addr(shape)?, dimensions * 8);
    own += dimensions * 8;
    if !elements.is_null() {
        block(elements, (length + 1) * 8);
        own += (length + 1) * 8;
    }
    Ok(own)
}

/// An instance: its memory is inline, in a block of its own, or somebody else's.
pub(super) fn instance<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    if let &[pointer, needs_free, size, inline] = &*t.decoder.extra {
        let (at, bytes) = (o.addr(pointer)?, o.i64(size)?);
        if o.u32(needs_free)? != 0 && at != o.addr + inline && !at.is_null() {
            match u64::try_from(bytes) {
                Ok(bytes) if bytes <= OWN_BOUND => v.owns(at, bytes),
                _ => v.torn(Torn::Size),
            }
        }
    }
    heap.default_size(o, t, v)
}
