//! Functions that Cython made: a builtin function's struct with what Python functions have besides.
//!
//! The struct differs between Cython's releases, which the types' names tell (`_cython_3_2_4.…`), and with what it needs on
//! the Python that it was compiled for, which the basic size tells; the forms stand in `rows/cython.rs`.
//! Source: `__pyx_CyFunctionObject`, `__Pyx_CyFunction_traverse` in `Cython/Utility/CythonFunction.c` of 0.29 to 3.3.

use memory::{Addr, Fault};

use super::catalogue::{CythonForm, Told};
use super::parts::addresses;
use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Torn, Visitor};

/// `m_module` of the builtin function that it starts with, and its class where builtin methods have one.
const MODULE: u64 = 32;
const CLASS: u64 = 56;
/// Bytes of a builtin function's struct without the class.
const WITHOUT_CLASS: u64 = 56;
/// Most default arguments of one function that are believed.
const DEFAULTS_BOUND: u64 = 1 << 16;

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, forms: &[CythonForm], v: &mut V) -> Result<u64, Fault> {
    // A subclass may have added to the struct.
    let Some(form) = forms.iter().filter(|f| f.bytes <= t.basic).max_by_key(|f| f.bytes) else { return heap.default_size(o, t, v) };
    let told = t.decoder.told;
    let hidden_unless = |visible: bool| if visible { told } else { Told::Hidden };
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
    if form.dict {
        told.tell(v, o.addr(next())?, Label::Field("__dict__"));
    }
    for (name, constant) in
        [("__name__", true), ("__qualname__", true), ("__doc__", false), ("__globals__", false), ("__code__", true), ("__closure__", false)]
    {
        hidden_unless(!constant || form.constants_visible).tell(v, o.addr(next())?, Label::Field(name));
    }
    if with_class.is_none() {
        told.tell(v, o.addr(next())?, Label::Field("__objclass__"));
    }
    let defaults = o.addr(next())?;
    if form.defaults_block {
        let (objects, bytes) = (u64::from(o.u32(next())?), o.u64(next() as i64)?);
        default_values(heap, defaults, (objects, bytes), told, v)?;
    } else {
        told.tell(v, defaults, Label::Field("defaults"));
    }
    let _flags = next();
    told.tell(v, o.addr(next())?, Label::Field("__defaults__"));
    told.tell(v, o.addr(next())?, Label::Field("__kwdefaults__"));
    let _getter = next();
    hidden_unless(form.annotations_visible).tell(v, o.addr(next())?, Label::Field("__annotations__"));
    if form.marker {
        told.tell(v, o.addr(next())?, Label::Field("_is_coroutine"));
    }
    for name in form.fused {
        told.tell(v, o.addr(next())?, Label::Field(name));
    }
    heap.default_size(o, t, v)
}

/// A block that starts with the values that are objects.
fn default_values<V: Visitor>(heap: &Heap<'_>, at: Addr, size: (u64, u64), told: Told, v: &mut V) -> Result<(), Fault> {
    let (objects, bytes) = size;
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
