//! generator, coroutine, async_generator: to 3.10 a frame object, from 3.11 the frame embedded.
//!
//! Source: `gen_traverse`, `gen_sizeof` in `Objects/genobject.c`.

use memory::{Fault, Memory};

use super::catalogue::Told;
use super::frame::{code_slots, contents, untagged};
use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Visitor};

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let f = &heap.layout.at.gen;
    let table = &heap.layout.table;
    let mut tell = |at: Option<u64>, name: &'static str| -> Result<(), Fault> {
        if let Some(at) = at {
            let to = o.addr(at)?;
            if !to.is_null() {
                v.reference(to, Label::Field(name));
            }
        }
        Ok(())
    };
    tell(Some(f.gi_name), "__name__")?;
    tell(Some(f.gi_qualname), "__qualname__")?;
    tell(f.gi_frame, "gi_frame")?;
    tell(f.gi_code, "gi_code")?;
    // The exception state: type, value, traceback to 3.10, the value alone from 3.11.
    for field in ["exc_type", "exc_value", "exc_traceback"] {
        tell(table.offset("_PyErr_StackItem", field).map(|at| f.gi_exc_state + at), field)?;
    }
    match f.gi_origin_or_finalizer {
        Some(at) if &*t.name == "async_generator" => tell(Some(at), "ag_finalizer")?,
        None if &*t.name == "async_generator" => tell(table.offset("PyAsyncGenObject", "ag_finalizer"), "ag_finalizer")?,
        _ => {}
    }
    if &*t.name == "coroutine" {
        // `gen_traverse` serves coroutines too and knows nothing of it.
        if let Some(origin) = f.gi_origin_or_finalizer.or_else(|| table.offset("PyCoroObject", "cr_origin")) {
            Told::Hidden.tell(v, o.addr(origin)?, Label::Field("cr_origin"));
        }
    }
    let (Some(at), Some(state), Some(i)) = (f.gi_iframe, f.gi_frame_state, heap.layout.iframe) else {
        return heap.default_size(o, t, v);
    };
    let code = untagged(heap, heap.image.u64(o.addr + at + i.code)?);
    if (o.u8(state)? as i8) < heap.layout.rules.generators.cleared_from {
        contents(heap, o.addr + at, v)?;
    } else if !code.is_null() {
        // The code stays when the frame is cleared.
        let told = if heap.layout.rules.generators.code_visible { Told::Visible } else { Told::Hidden };
        told.tell(v, code, Label::Field("gi_code"));
    }
    let slots = code_slots(heap, code)?;
    Ok(at + i.localsplus + 8 * (slots.locals + slots.stack))
}
