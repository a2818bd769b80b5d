//! numpy.ndarray: shape, strides, and data that it owns or borrows.
//!
//! numpy's own layout, the same in 1.x and 2.x for the array, different for the dtype. Not collected, so the collector
//! sees nothing of it. Source: `PyArrayObject_fields`, `_PyArray_Descr` in `numpy/core/include/numpy/ndarraytypes.h`;
//! `array_sizeof` in `multiarray/methods.c`.

use memory::{Addr, Fault};

use super::parts::addresses;
use super::Kind;
use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Torn, Visitor};

const DATA: u64 = 16;
const DIMENSIONS: u64 = 24;
const SHAPE: u64 = 32;
const STRIDES: u64 = 40;
const BASE: u64 = 48;
const DTYPE: u64 = 56;
const FLAGS: u64 = 64;
/// The fixed part that all releases share: up to `flags`.
const LEAST: u64 = 72;
/// `len` of a `Py_buffer`, in bytes: `Include/cpython/object.h`, `Include/pybuffer.h`.
const BUFFER_LENGTH: u64 = 16;
/// `NPY_ARRAY_OWNDATA`.
const OWNS_DATA: u32 = 4;
/// `NPY_MAXDIMS` of 2.x; 32 before.
const DIMENSIONS_BOUND: u32 = 64;
/// Largest data that is believed.
const DATA_BOUND: u64 = 1 << 46;
/// `kind` in the dtype, after the scalar's class.
const KIND: u64 = 24;
/// Size of an item: an `int` in 1.x; in 2.x flags stand there, and the size follows.
const ITEM_SIZE_1: u64 = 32;
const ITEM_SIZE_2: u64 = 40;
/// A dtype's basic size from which it has 2.x's fields; 1.x has 96.
const DTYPE_2: u64 = 104;

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    if t.basic < LEAST {
        return heap.default_size(o, t, v);
    }
    let (base, dtype, n) = (o.addr(BASE)?, o.addr(DTYPE)?, o.u32(DIMENSIONS)?);
    for (to, name) in [(base, "base"), (dtype, "dtype")] {
        t.decoder.told.tell(v, to, Label::Field(name));
    }
    if n > DIMENSIONS_BOUND {
        v.torn(Torn::Size);
        return Ok(t.basic);
    }
    let shape = o.addr(SHAPE)?;
    let mut own = t.basic + u64::from(n) * 16;
    let mut items: u64 = 1;
    if n > 0 {
        // Shape and strides share a block.
        if o.addr(STRIDES)? == shape + u64::from(n) * 8 {
            v.owns(shape, u64::from(n) * 16);
        }
        for length in addresses(heap.image.slice(shape, n as usize * 8)?) {
            items = items.saturating_mul(length.0);
        }
    }
    if o.u32(FLAGS)? & OWNS_DATA == 0 {
        return Ok(own);
    }
    let (item_bytes, kind) = item(heap, dtype)?;
    let (data, bytes) = (o.addr(DATA)?, items.saturating_mul(item_bytes));
    if bytes > DATA_BOUND {
        v.torn(Torn::Size);
        return Ok(own);
    }
    own += bytes;
    if !data.is_null() && bytes > 0 {
        v.owns(data, bytes);
        // An array of objects holds references.
        if kind == b'O' && item_bytes == 8 {
            for (i, to) in addresses(heap.image.slice(data, bytes as usize)?).enumerate() {
                if !to.is_null() {
                    v.hidden(to, Label::Item(i as u64));
                }
            }
        }
    }
    Ok(own)
}

impl Heap<'_> {
    /// Bytes that a view of a buffer shows, an array's or a memoryview's: `nbytes`. `None` of anything else.
    pub fn shown_bytes(&self, o: &Obj<'_>, t: &TypeInfo) -> Option<u64> {
        if t.decoder.kind != Kind::NdArray {
            let view = self.layout.table.offset("PyMemoryViewObject", "view").filter(|_| &*t.name == "memoryview")?;
            return u64::try_from(o.i64(view + BUFFER_LENGTH).ok()?).ok();
        }
        let n = o.u32(DIMENSIONS).ok().filter(|n| t.basic >= LEAST && *n <= DIMENSIONS_BOUND)?;
        let shape = if n == 0 { &[][..] } else { self.image.slice(o.addr(SHAPE).ok()?, n as usize * 8).ok()? };
        let items = addresses(shape).fold(1u64, |items, length| items.saturating_mul(length.0));
        Some(items.saturating_mul(item(self, o.addr(DTYPE).ok()?).ok()?.0))
    }
}

/// Size and kind of the items of a dtype.
fn item(heap: &Heap<'_>, dtype: Addr) -> Result<(u64, u8), Fault> {
    let d = heap.obj(dtype)?;
    let kind = d.u8(KIND)?;
    let second = heap.type_at(d.ty()?).is_some_and(|t| t.basic >= DTYPE_2);
    let bytes = if second { d.u64(ITEM_SIZE_2 as i64)? } else { u64::from(d.u32(ITEM_SIZE_1)?) };
    Ok((bytes.min(DATA_BOUND), kind))
}
