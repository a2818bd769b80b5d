//! bytearray and io.BytesIO: a buffer beside the object. (bytes itself is plain: its data stand inline.)

use memory::{Fault, Memory};

use super::OWN_BOUND;
use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Torn, Visitor};

pub(super) fn bytearray<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let table = &heap.layout.table;
    let (Some(alloc), Some(at)) = (table.offset("PyByteArrayObject", "ob_alloc"), table.offset("PyByteArrayObject", "ob_bytes")) else {
        return heap.default_size(o, t, v);
    };
    let n = o.i64(alloc)?;
    if !(0..OWN_BOUND as i64).contains(&n) {
        v.torn(Torn::Size);
        return Ok(t.basic);
    }
    let buffer = o.addr(at)?;
    // From 3.15 the buffer is the inside of a bytes object, which is sized with it (gh-139871). Where nobody else holds that one it is
    // a block like any other.
    if let Some(at) = table.offset("PyByteArrayObject", "ob_bytes_object") {
        let bytes = o.addr(at)?;
        if bytes.is_null() {
            return Ok(t.basic);
        }
        let head = heap.layout.at.bytes.ob_sval + 1;
        if n == 0 || heap.image.u64(bytes)? != 1 {
            v.hidden(bytes, Label::Field("bytes"));
        } else if !heap.owned_block(bytes, head + n as u64, v) {
            return Ok(t.basic);
        }
        return Ok(t.basic + if n > 0 { head + n as u64 } else { 0 });
    }
    if n > 0 && !buffer.is_null() && !heap.owned_block(buffer, n as u64, v) {
        return Ok(t.basic);
    }
    Ok(t.basic + n as u64)
}

/// `bytesio_sizeof`: the buffer counts while nobody else shares it.
pub(super) fn bytes_io<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let Some(&at) = t.decoder.extra.first() else { return Ok(t.basic) };
    let buffer = o.addr(at)?;
    if buffer.is_null() || heap.image.u64(buffer)? & 0xffff_ffff > 1 {
        return Ok(t.basic);
    }
    let b = heap.obj(buffer)?;
    let class = heap.type_at(b.ty()?);
    let Some(class) = class else {
        v.torn(Torn::Size);
        return Ok(t.basic);
    };
    // `_PySys_GetSizeOf(self->buf)`: with its pre-header, which bytes has none of.
    Ok(t.basic + heap.default_size(&b, &class, v)?)
}
