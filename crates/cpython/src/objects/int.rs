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
    let (digits, _) = heap.int_digits(o)?;
    let digits = if rules.int_zero_has_digit { digits.max(1) } else { digits };
    let start = if rules.int_counts_basicsize { t.basic } else { DIGITS };
    Ok(start.saturating_add(digits.saturating_mul(4)))
}

impl Heap<'_> {
    /// How many digits of 30 bits an int has, and whether it is negative.
    pub fn int_digits(&self, o: &Obj<'_>) -> Result<(u64, bool), Fault> {
        Ok(match self.layout.rules.ints {
            IntForm::SignedSize => (o.size()?.unsigned_abs(), o.size()? < 0),
            // Bits 0 and 1: 0 positive, 1 zero, 2 negative.
            IntForm::Tag => {
                let tag = o.u64(DIGITS as i64 - 8)?;
                (tag >> 3, tag & 3 == 2)
            }
        })
    }

    /// The value of an int of one digit; nothing for a longer one.
    pub fn small_int(&self, o: &Obj<'_>) -> Result<Option<i64>, Fault> {
        let value = |negative: bool| -> Result<i64, Fault> {
            let digit = i64::from(o.u32(DIGITS)?);
            Ok(if negative { -digit } else { digit })
        };
        match self.int_digits(o)? {
            (0, _) => Ok(Some(0)),
            (1, negative) => value(negative).map(Some),
            _ => Ok(None),
        }
    }
}
