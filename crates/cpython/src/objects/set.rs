//! set and frozenset: an open-addressed table, the smallest one inline.

use memory::{Addr, Fault};

use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Torn, Visitor};

/// Largest table that is believed.
const MASK_BOUND: u64 = 1 << 36;

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let f = &heap.layout.at.set;
    let mask = o.u64(f.mask as i64)?;
    let table = o.addr(f.table)?;
    if mask >= MASK_BOUND {
        v.torn(Torn::Size);
        return Ok(t.basic);
    }
    let bytes = (mask + 1) * 16;
    let inline = table == o.addr + f.smalltable;
    let entries = if inline { o.bytes(f.smalltable, bytes)? } else { heap.image.slice(table, bytes as usize)? };
    let mut live = 0;
    for e in entries.chunks_exact(16) {
        let key = Addr(u64::from_le_bytes([e[0], e[1], e[2], e[3], e[4], e[5], e[6], e[7]]));
        let hash = i64::from_le_bytes([e[8], e[9], e[10], e[11], e[12], e[13], e[14], e[15]]);
        // Deleted entries hold a dummy and the hash -1, which no object has.
        if !key.is_null() && hash != -1 {
            live += 1;
            v.reference(key, Label::Member);
        }
    }
    if live != o.i64(f.used)? {
        v.torn(Torn::Size);
    }
    if inline {
        return Ok(t.basic);
    }
    v.owns(table, bytes);
    Ok(t.basic + bytes)
}
