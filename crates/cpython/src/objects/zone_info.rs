//! zoneinfo.ZoneInfo: tables of transitions and of the offsets between them.
//!
//! The collector sees nothing of it: the type has no `tp_traverse` to 3.11, and one that visits the class alone after.
//! Source: `Modules/_zoneinfo.c`.

use memory::{Addr, Fault, Memory};

use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Torn, Visitor};

/// Most transitions or offsets of one zone that are believed; real zones have some hundreds.
const ENTRIES_BOUND: u64 = 1 << 20;

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let table = &heap.layout.table;
    let (&[transitions, ttinfos, utc, wall, of_transitions, infos], Some(info_bytes)) = (&*t.decoder.extra, table.size("_ttinfo")) else {
        return heap.default_size(o, t, v);
    };
    let (transitions, ttinfos) = (o.u64(transitions as i64)?, o.u64(ttinfos as i64)?);
    if transitions > ENTRIES_BOUND || ttinfos > ENTRIES_BOUND {
        v.torn(Torn::Size);
        return heap.default_size(o, t, v);
    }
    // `trans_list_wall` is two pointers, one for each fold.
    for at in [utc, wall, wall + 8, of_transitions] {
        let block = o.addr(at)?;
        if !block.is_null() && transitions > 0 {
            v.owns(block, transitions * 8);
        }
    }
    let infos = o.addr(infos)?;
    if !infos.is_null() && ttinfos > 0 {
        v.owns(infos, ttinfos * info_bytes);
        for i in 0..ttinfos {
            one(heap, infos + i * info_bytes, v)?;
        }
    }
    heap.default_size(o, t, v)
}

/// A `_ttinfo`.
fn one<V: Visitor>(heap: &Heap<'_>, at: Addr, v: &mut V) -> Result<(), Fault> {
    for field in ["utcoff", "dstoff", "tzname"] {
        if let Some(offset) = heap.layout.table.offset("_ttinfo", field) {
            let to = heap.image.addr(at + offset)?;
            if !to.is_null() {
                v.hidden(to, Label::Field(field));
            }
        }
    }
    Ok(())
}
