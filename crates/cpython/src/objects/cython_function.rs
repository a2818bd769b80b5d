//! Functions that Cython made: a builtin function's struct with what Python functions have besides.
//!
//! The struct differs between Cython's minor releases, which the types' names tell (`_cython_3_2_4.…`), and with what it
//! needs on the Python that it was compiled for, which the basic size tells.
//! Source: `__pyx_CyFunctionObject`, `__Pyx_CyFunction_traverse` in `Cython/Utility/CythonFunction.c` of 0.29 and 3.0–3.3.

use memory::{Addr, Fault};

use super::catalogue::Told;
use super::parts::addresses;
use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Torn, Visitor};

/// The release before 3.0, as a minor.
pub(super) const BEFORE_3: u8 = 29;
/// What a fused function has besides: its signatures, what it is bound to and, before 3.0, that one's class.
pub(super) const FUSED_BYTES: u64 = 16;
pub(super) const FUSED_BYTES_BEFORE_3: u64 = 24;
/// `m_module` of the builtin function that it starts with, and its class from 3.9.
const MODULE: u64 = 32;
const CLASS: u64 = 56;
/// Bytes of a builtin function's struct to 3.8, which has no class.
const WITHOUT_CLASS: u64 = 56;
/// Most default arguments of one function that are believed.
const DEFAULTS_BOUND: u64 = 1 << 16;

/// The attributes' dictionary, to 3.1 and where there are no managed ones; and the marker of coroutines.
fn optional(minor: u8, basic: u64) -> (bool, bool) {
    match (minor, basic) {
        (2, 168) => (false, true),
        (3, 160) => (false, false),
        (3, 168) | (BEFORE_3, _) => (true, false),
        _ => (true, true),
    }
}

pub(super) fn decode<V: Visitor>(
    heap: &Heap<'_>,
    o: &Obj<'_>,
    t: &TypeInfo,
    (minor, fused, annotations): (u8, bool, bool),
    v: &mut V,
) -> Result<u64, Fault> {
    let told = t.decoder.told;
    // The struct's own size: a subclass may have added to it.
    let core = t.decoder.sizes.iter().copied().filter(|s| *s <= t.basic).max().unwrap_or(t.basic);
    let core = match (fused, minor) {
        (false, _) => core,
        (true, BEFORE_3) => core.saturating_sub(FUSED_BYTES_BEFORE_3),
        (true, _) => core.saturating_sub(FUSED_BYTES),
    };
    let (has_dict, has_marker) = optional(minor, core);
    let with_class = heap.layout.table.size("PyCMethodObject");
    let mut at = with_class.unwrap_or(WITHOUT_CLASS);
    let mut next = || {
        at += 8;
        at - 8
    };
    told.tell(v, o.addr(MODULE)?, Label::Field("__module__"));
    if with_class.is_some() {
        told.tell(v, o.addr(CLASS)?, Label::Field("__objclass__"));
    }
    if has_dict {
        told.tell(v, o.addr(next())?, Label::Field("__dict__"));
    }
    // What can be part of no cycle is not visited from 3.1 on (`__Pyx_VISIT_CONST`).
    let old = matches!(minor, 0 | BEFORE_3);
    let constant = if old { told } else { Told::Hidden };
    for (name, told) in [
        ("__name__", constant),
        ("__qualname__", constant),
        ("__doc__", told),
        ("__globals__", told),
        ("__code__", constant),
        ("__closure__", told),
    ] {
        told.tell(v, o.addr(next())?, Label::Field(name));
    }
    if with_class.is_none() {
        told.tell(v, o.addr(next())?, Label::Field("__objclass__"));
    }
    let defaults = o.addr(next())?;
    if old {
        let (objects, bytes) = (u64::from(o.u32(next())?), o.u64(next() as i64)?);
        default_values(heap, defaults, objects, bytes, told, v)?;
    } else {
        told.tell(v, defaults, Label::Field("defaults"));
    }
    let _flags = next();
    told.tell(v, o.addr(next())?, Label::Field("__defaults__"));
    told.tell(v, o.addr(next())?, Label::Field("__kwdefaults__"));
    let _getter = next();
    let annotations = if annotations { told } else { Told::Hidden };
    annotations.tell(v, o.addr(next())?, Label::Field("__annotations__"));
    if has_marker {
        told.tell(v, o.addr(next())?, Label::Field("_is_coroutine"));
    }
    if fused {
        told.tell(v, o.addr(next())?, Label::Field("__signatures__"));
        if minor == BEFORE_3 {
            told.tell(v, o.addr(next())?, Label::Field("type"));
        }
        told.tell(v, o.addr(next())?, Label::Field("__self__"));
    }
    heap.default_size(o, t)
}

/// 3.0: a block that starts with the values that are objects.
fn default_values<V: Visitor>(heap: &Heap<'_>, at: Addr, objects: u64, bytes: u64, told: Told, v: &mut V) -> Result<(), Fault> {
    if at.is_null() {
        return Ok(());
    }
    if objects > DEFAULTS_BOUND || bytes > DEFAULTS_BOUND * 8 {
        v.torn(Torn::Size);
        return Ok(());
    }
    v.owns(at, bytes);
    for (i, to) in addresses(heap.image.slice(at, objects as usize * 8)?).enumerate() {
        told.tell(v, to, Label::Item(i as u64));
    }
    Ok(())
}
