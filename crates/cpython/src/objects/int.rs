//! int and bool: 30-bit digits inline.
//!
//! Source: `int___sizeof___impl` in `Objects/longobject.c` of each series.

use memory::Fault;

use crate::heap::{Heap, Obj};
use crate::layout::rules::IntForm;
use crate::types::TypeInfo;

/// Offset of the first digit; the size word stands before it in every series.
const DIGITS: u64 = 24;

pub(super) fn decode(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo) -> Result<u64, Fault> {
    let rules = &heap.layout.rules;
    let digits = match rules.ints {
        IntForm::SignedSize => o.size()?.unsigned_abs(),
        IntForm::Tag => o.u64(DIGITS as i64 - 8)? >> 3,
    };
    let digits = if rules.int_zero_has_digit { digits.max(1) } else { digits };
    let start = if rules.int_counts_basicsize { t.basic } else { DIGITS };
    Ok(start.saturating_add(digits.saturating_mul(4)))
}
