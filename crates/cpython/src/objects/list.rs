//! list: a separate array of items.

use memory::{Addr, Fault};

use super::tuple::ITEMS_BOUND;
use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Torn, Visitor};

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let f = &heap.layout.at.list;
    let (size, allocated) = (o.size()?, o.i64(f.allocated)?);
    // `list.sort` empties the list and sets allocated to -1 while it runs, which `list.__sizeof__` then counts
    // (Objects/listobject.c).
    if allocated == -1 && size == 0 {
        return Ok(t.basic - 8);
    }
    let possible = 0..=ITEMS_BOUND as i64;
    if !possible.contains(&size) || !possible.contains(&allocated) {
        v.torn(Torn::Impossible);
        return Ok(t.basic);
    }
    if size > allocated {
        v.torn(Torn::Size);
        return Ok(t.basic + allocated as u64 * 8);
    }
    let array = o.addr(f.ob_item)?;
    if allocated > 0 && !array.is_null() {
        if !heap.owned_block(array, allocated as u64 * 8, v) {
            return Ok(t.basic);
        }
        items(heap, array, size as u64, v)?;
    }
    Ok(t.basic + allocated as u64 * 8)
}

/// `n` references in an array of pointers.
pub(super) fn items<V: Visitor>(heap: &Heap<'_>, array: Addr, n: u64, v: &mut V) -> Result<(), Fault> {
    if n == 0 {
        return Ok(());
    }
    for (i, word) in heap.image.slice(array, n as usize * 8)?.chunks_exact(8).enumerate() {
        let to = Addr(u64::from_le_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]));
        if !to.is_null() {
            v.reference(to, Label::Item(i as u64));
        }
    }
    Ok(())
}
