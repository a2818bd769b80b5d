//! tuple and struct sequences: items inline.
//!
//! A struct sequence's `ob_size` counts only the visible fields, but hidden ones are held and sized too
//! (`Objects/structseq.c`); their number stands in the class as `n_fields`, and the block's size shows them, so
//! struct sequences are read with the type's `n_fields` where the class has one.

use memory::{Addr, Fault, Memory};

use crate::heap::{Heap, Obj};
use crate::layout::Fields;
use crate::types::{type_dict, TypeInfo};
use crate::visit::{Label, Torn, Visitor};

/// Most items that are read of one tuple.
pub(super) const ITEMS_BOUND: u64 = 1 << 32;

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let size = o.size()?;
    let Some(mut n) = u64::try_from(size).ok().filter(|n| *n <= ITEMS_BOUND) else {
        v.torn(Torn::Impossible);
        return Ok(t.basic);
    };
    // Struct sequences hide fields behind ob_size; their basic size has room for none, so ask the class.
    if !t.python_class && &*t.name != "tuple" {
        n = hidden_fields(heap, t).unwrap_or(n).max(n);
    }
    let Ok(items) = o.bytes(heap.layout.at.tuple.ob_item, n * 8) else {
        v.torn(Torn::Impossible);
        return Ok(t.basic);
    };
    for (i, word) in items.chunks_exact(8).enumerate() {
        let to = Addr(u64::from_le_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]));
        if !to.is_null() {
            v.reference(to, Label::Item(i as u64));
        }
    }
    heap.default_size(o, t, v)
}

/// `n_fields` of a struct sequence class.
fn hidden_fields(heap: &Heap<'_>, t: &TypeInfo) -> Option<u64> {
    let n = heap.dict_get(type_dict(heap, t.addr), "n_fields").ok()??;
    // A small int: one digit after the size word in every series.
    let digit = heap.image.u32(n + Fields::HEADER + 8).ok()?;
    (digit < 1000).then_some(u64::from(digit))
}
