//! decimal.Decimal: digits inline, or in a block when they are many.
//!
//! Source: `dec_sizeof` in `Modules/_decimal/_decimal.c`; `mpd_isdynamic_data` in `libmpdec/mpdecimal.h`.

use memory::Fault;

use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Torn, Visitor};

/// `MPD_STATIC_DATA | MPD_SHARED_DATA | MPD_CONST_DATA`: the digits are not the object's own block.
const NOT_OWNED: u8 = 0x20 | 0x40 | 0x80;
/// Most words of digits that are believed.
const WORDS_BOUND: i64 = 1 << 40;

pub(super) fn decode<V: Visitor>(_heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let &[flags, alloc, data] = &*t.decoder.extra else { return Ok(t.basic) };
    if o.u8(flags)? & NOT_OWNED != 0 {
        return Ok(t.basic);
    }
    let words = o.i64(alloc)?;
    if !(0..WORDS_BOUND).contains(&words) {
        v.torn(Torn::Size);
        return Ok(t.basic);
    }
    let bytes = words as u64 * 8;
    v.owns(o.addr(data)?, bytes);
    Ok(t.basic + bytes)
}
