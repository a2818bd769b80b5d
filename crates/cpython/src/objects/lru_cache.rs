//! functools.lru_cache: a dict and, when bounded, a ring of links through the object's own head.
//!
//! Source: `lru_cache_tp_traverse` in `Modules/_functoolsmodule.c`: links are visited through the ring; in the dict
//! each is a value too, and the ring's pointers are borrowed from it.

use memory::{Fault, Memory};

use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Torn, Visitor};

/// Longest ring that is walked.
const RING_BOUND: u64 = 1 << 32;

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let table = &heap.layout.table;
    if let (Some(next), Some(key), Some(result)) =
        (table.offset("lru_list_elem", "next"), table.offset("lru_list_elem", "key"), table.offset("lru_list_elem", "result"))
    {
        let mut link = o.addr(next)?;
        let mut n = 0;
        while link != o.addr && !link.is_null() {
            if n == RING_BOUND {
                v.torn(Torn::Bound);
                break;
            }
            let _ = (key, result);
            v.weak(link, Label::Item(n));
            link = heap.image.addr(link + next)?;
            n += 1;
        }
    }
    heap.default_size(o, t)
}
