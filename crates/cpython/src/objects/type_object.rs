//! type: static, or a heap type with names, members and shared keys.
//!
//! Source: `type___sizeof___impl`, `type_traverse` in `Objects/typeobject.c`. A static type reports nothing to the
//! collector, but what it holds is shown all the same.

use memory::{Addr, Fault, Memory};

use super::catalogue::Told;
use super::dict;
use crate::heap::{Heap, Obj};
use crate::types::{type_states, TypeInfo, TypeState};
use crate::visit::{Label, Visitor};

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, _t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let f = &heap.layout.at;
    let is_heap = heap.is_heap_type(o)?;
    let mut base = o.addr(f.ty.tp_base)?;
    // A base that stands in a static type's initialiser is not counted; `object`, which `PyType_Ready` fills in, is.
    if !is_heap && !base.is_null() && !heap.image.addr(base + f.ty.tp_base)?.is_null() {
        v.weak(base, Label::Field("__base__"));
        base = Addr::NULL;
    }
    let mut tell = |visible: bool, to: Addr, name: &'static str| {
        if visible && is_heap {
            Told::Visible.tell(v, to, Label::Field(name));
        } else {
            Told::Hidden.tell(v, to, Label::Field(name));
        }
    };
    // Every interpreter has its own of a static type; the type object's own words mean nothing then (3.12+).
    let mut per_interpreter = false;
    for (which, name) in [(TypeState::Dict, "__dict__"), (TypeState::Subclasses, "__subclasses__")] {
        for held in type_states(heap, o.addr, which) {
            per_interpreter = true;
            tell(true, held, name);
        }
    }
    if !per_interpreter {
        tell(true, o.addr(f.ty.tp_dict)?, "__dict__");
        tell(false, o.addr(f.ty.tp_subclasses)?, "__subclasses__");
    }
    tell(true, o.addr(f.ty.tp_cache)?, "tp_cache");
    tell(true, o.addr(f.ty.tp_mro)?, "__mro__");
    tell(true, o.addr(f.ty.tp_bases)?, "__bases__");
    tell(true, base, "__base__");
    if !is_heap {
        return Ok(f.ty.size);
    }
    if let Some(module) = f.heap_type.ht_module {
        tell(true, o.addr(module)?, "__module__");
    }
    tell(false, o.addr(f.heap_type.ht_name)?, "__name__");
    tell(false, o.addr(f.heap_type.ht_qualname)?, "__qualname__");
    tell(false, o.addr(f.heap_type.ht_slots)?, "__slots__");
    // Copies of its name and docstring that the type frees with itself (type_new_set_doc, PyType_FromMetaclass). Those that
    // still stand in a binary were never allocated, which the footprint knows.
    for at in [f.ty.tp_doc, f.heap_type._ht_tpname].into_iter().flatten() {
        let text = o.addr(at)?;
        if !text.is_null() {
            if let Some(bytes) = c_string_bytes(heap, text) {
                v.owns(text, bytes);
            }
        }
    }
    let mut own = f.heap_type.size;
    let cached = o.addr(f.heap_type.ht_cached_keys)?;
    if !cached.is_null() {
        let keys = dict::keys(heap, cached)?;
        own += keys.bytes;
        v.owns(cached, keys.bytes);
        for i in 0..keys.used as usize {
            let key = keys.key(i);
            if !key.is_null() {
                v.hidden(key, Label::Key(i as u64));
            }
        }
    }
    Ok(own)
}

/// Longest docstring that is measured; a longer one is left out of the footprint.
const DOC_BOUND: usize = 1 << 20;

/// Bytes of a C string with its end.
fn c_string_bytes(heap: &Heap<'_>, at: Addr) -> Option<u64> {
    let segment = heap.image.segment(at)?;
    let rest = segment.bytes.get((at.0 - segment.start.0) as usize..)?;
    rest.iter().take(DOC_BOUND).position(|b| *b == 0).map(|n| n as u64 + 1)
}
