//! io.BufferedReader, BufferedWriter, BufferedRandom: a raw buffer of `buffer_size` bytes.

use memory::Fault;

use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Torn, Visitor};

/// Largest buffer that is believed.
const BUFFER_BOUND: i64 = 1 << 46;

pub(super) fn decode<V: Visitor>(_heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let &[buffer, size] = &*t.decoder.extra else { return Ok(t.basic) };
    let (buffer, size) = (o.addr(buffer)?, o.i64(size)?);
    if buffer.is_null() {
        return Ok(t.basic);
    }
    if !(0..BUFFER_BOUND).contains(&size) {
        v.torn(Torn::Size);
        return Ok(t.basic);
    }
    v.owns(buffer, size as u64);
    Ok(t.basic + size as u64)
}
