//! datetime.datetime, datetime.time: the last field, `tzinfo`, is there only where a flag says so; the block of a naive
//! one ends before it.
//!
//! Source: `datetime_alloc`, `time_alloc` in `Modules/_datetimemodule.c`.

use memory::Fault;

use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Visitor};

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    if let &[has_tzinfo, tzinfo] = &*t.decoder.extra {
        if o.u8(has_tzinfo)? != 0 {
            t.decoder.told.tell(v, o.addr(tzinfo)?, Label::Field("tzinfo"));
        }
    }
    heap.default_size(o, t, v)
}
