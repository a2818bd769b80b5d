//! struct.Struct: a table of format codes, one for each run of fields, ended by one without a definition.
//!
//! Source: `s_sizeof` in `Modules/_struct.c`, which counts the end too.

use memory::{Fault, Memory};

use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Torn, Visitor};

/// Most codes of one format that are believed; formats are written by hand.
const CODES_BOUND: u64 = 1 << 20;

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let table = &heap.layout.table;
    let (&[codes], Some(bytes), Some(definition)) = (&*t.decoder.extra, table.size("formatcode"), table.offset("formatcode", "fmtdef"))
    else {
        return heap.default_size(o, t, v);
    };
    let codes = o.addr(codes)?;
    if codes.is_null() {
        return Ok(t.basic + bytes);
    }
    for n in 0..CODES_BOUND {
        if heap.image.u64(codes + n * bytes + definition)? == 0 {
            v.owns(codes, (n + 1) * bytes);
            return Ok(t.basic + (n + 1) * bytes);
        }
    }
    v.torn(Torn::Bound);
    Ok(t.basic)
}
