//! numpy._ArrayMethod: one of the some thousand casts and loops that numpy registers; some wrap another.
//!
//! Not collected. Source: `PyArrayMethodObject` in `numpy/core/src/multiarray/array_method.h` of 1.22–1.24 and of 2.x.

use memory::Fault;

use super::parts::{addresses, string_bytes};
use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Torn, Visitor};

/// The basic sizes of 1.22–1.24 and of 2.x; those between are scanned.
pub(super) const SIZES: &[u64] = &[120, NEW];
const NEW: u64 = 184;
const NAME: u64 = 16;
const INPUTS: u64 = 24;
const OUTPUTS: u64 = 28;
/// The wrapped method; after it the array of the dtype classes that it stands for.
const WRAPPED_OLD: u64 = 88;
const WRAPPED: u64 = 120;
/// `NPY_MAXARGS` of 2.x; 32 before.
const ARGUMENTS_BOUND: u32 = 64;

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let own = heap.default_size(o, t, v)?;
    let name = o.addr(NAME)?;
    if !name.is_null() {
        if let Some(bytes) = string_bytes(heap, name)? {
            v.owns(name, bytes);
        }
    }
    let wrapped = if t.basic >= NEW { WRAPPED } else { WRAPPED_OLD };
    let (method, classes) = (o.addr(wrapped)?, o.addr(wrapped + 8)?);
    // The four casts that numpy makes without a spec leave these words as malloc gave them (`PyArray_GetVoidToGenericCastingImpl`
    // and its kin in multiarray/convert_datatype.c).
    if heap.obj(method).and_then(|m| m.ty()) != Ok(t.addr) {
        return Ok(own);
    }
    t.decoder.told.tell(v, method, Label::Field("wrapped"));
    let n = o.u32(INPUTS)?.saturating_add(o.u32(OUTPUTS)?);
    if n > ARGUMENTS_BOUND {
        v.torn(Torn::Size);
    } else if !classes.is_null() {
        v.owns(classes, u64::from(n) * 8);
        for (i, to) in addresses(heap.image.slice(classes, n as usize * 8)?).enumerate() {
            t.decoder.told.tell(v, to, Label::Item(i as u64));
        }
    }
    Ok(own)
}
