//! str: characters inline (compact) or in a block, a cached UTF-8 form, to 3.11 a cached `wchar_t` form.
//!
//! Source: `unicode_sizeof` in `Objects/unicodeobject.c`; `Include/cpython/unicodeobject.h`.

use memory::Fault;

use crate::heap::{Heap, Obj};
use crate::names::StrState;
use crate::types::TypeInfo;
use crate::visit::{Torn, Visitor};

/// Longest str that is believed, in characters.
const LENGTH_BOUND: u64 = 1 << 44;

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let f = &heap.layout.at;
    let length = o.u64(f.ascii.length as i64)?;
    let state = StrState::new(o.u32(f.ascii.state)?);
    if length > LENGTH_BOUND {
        v.torn(Torn::Size);
        return Ok(t.basic);
    }
    let characters = (length + 1) * state.kind;
    let (mut own, data) = match (state.compact, state.ascii) {
        (true, true) => (heap.inline(o, f.ascii.size + length + 1, f.ascii.size, v), o.addr + f.ascii.size),
        (true, false) => (heap.inline(o, f.compact.size + characters, f.compact.size, v), o.addr + f.compact.size),
        _ => {
            let data = o.addr(f.unicode.data)?;
            if !data.is_null() && heap.owned_block(data, characters, v) {
                (f.unicode.size + characters, data)
            } else {
                (f.unicode.size, data)
            }
        }
    };
    if heap.layout.rules.legacy_strings {
        if let (Some(wstr), Some(wstr_length)) = (f.ascii.wstr, f.compact.wstr_length) {
            let buffer = o.addr(wstr)?;
            // A compact ASCII str has no wstr_length: its length is the str's (PyUnicode_WSTR_LENGTH).
            let n = if state.compact && state.ascii { length } else { o.u64(wstr_length as i64)? };
            if !buffer.is_null() && buffer != data && n <= LENGTH_BOUND {
                own += (n + 1) * 4;
                v.owns(buffer, (n + 1) * 4);
            }
        }
    }
    if !(state.compact && state.ascii) {
        let utf8 = o.addr(f.compact.utf8)?;
        let n = o.u64(f.compact.utf8_length as i64)?;
        if !utf8.is_null() && utf8 != data && n <= LENGTH_BOUND {
            own += n + 1;
            v.owns(utf8, n + 1);
        }
    }
    Ok(own)
}
