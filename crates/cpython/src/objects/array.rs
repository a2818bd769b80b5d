//! array.array: a block of machine values.

use memory::{Fault, Memory};

use super::OWN_BOUND;
use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Torn, Visitor};

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let &[items, allocated, descr] = &*t.decoder.extra else { return Ok(t.basic) };
    let (items, allocated, descr) = (o.addr(items)?, o.i64(allocated)?, o.addr(descr)?);
    let Some(item_size) = heap.layout.table.offset("arraydescr", "itemsize") else { return Ok(t.basic) };
    let item_size = heap.image.u32(descr + item_size)?;
    let bytes = (allocated.max(0) as u64).saturating_mul(u64::from(item_size));
    if allocated < 0 || bytes > OWN_BOUND {
        v.torn(Torn::Size);
        return Ok(t.basic);
    }
    if bytes > 0 && !items.is_null() {
        v.owns(items, bytes);
    }
    Ok(t.basic + bytes)
}
