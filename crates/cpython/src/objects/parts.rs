//! What rows say beyond fields: arrays of references, and blocks of memory that an object owns.

use memory::{Addr, Fault, Memory};

use super::catalogue::{Array, Block, Count, Decoder, Told};
use crate::heap::{Heap, Obj};
use crate::layout::Fields;
use crate::visit::{Label, Torn, Visitor};

/// Largest block that is believed.
const BLOCK_BOUND: u64 = 1 << 46;
/// Longest C string that is measured.
const STRING_BOUND: usize = 1 << 20;

impl Told {
    /// Tells `to` so, unless it is null.
    #[inline]
    pub(super) fn tell<V: Visitor>(self, v: &mut V, to: Addr, label: Label) {
        if to.is_null() {
            return;
        }
        match self {
            Told::Visible => v.reference(to, label),
            Told::Hidden => v.hidden(to, label),
            Told::Weak => v.weak(to, label),
        }
    }
}

/// Tells of a decoder's arrays and blocks, and gives the bytes of them that `__sizeof__` counts.
pub(super) fn tell<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, d: &Decoder, v: &mut V) -> Result<u64, Fault> {
    for array in &d.arrays {
        references(heap, o, array, v)?;
    }
    let mut own = 0;
    for block in &d.blocks {
        own += owned(heap, o, block, v)?;
    }
    Ok(own)
}

fn references<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, array: &Array, v: &mut V) -> Result<(), Fault> {
    let Some(n) = number(heap, o, array.count, Addr::NULL)?.filter(|n| *n <= heap.most(8)) else {
        v.torn(Torn::Size);
        return Ok(());
    };
    let words = if array.outside {
        let at = o.addr(array.at)?;
        if at.is_null() || n == 0 {
            return Ok(());
        }
        heap.image.slice(at, n as usize * 8)?
    } else {
        o.bytes(array.at, n * 8)?
    };
    for (i, to) in addresses(words).enumerate() {
        array.told.tell(v, to, Label::Item(i as u64));
    }
    Ok(())
}

fn owned<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, block: &Block, v: &mut V) -> Result<u64, Fault> {
    let at = o.addr(block.pointer)?;
    if at.is_null() {
        return Ok(0);
    }
    let Some(bytes) = number(heap, o, block.count, at)?.and_then(|n| n.checked_mul(block.unit)).filter(|n| *n <= BLOCK_BOUND) else {
        v.torn(Torn::Size);
        return Ok(0);
    };
    if bytes > 0 {
        v.owns(at, bytes);
    }
    Ok(if block.sized { bytes } else { 0 })
}

/// `None` where the number is negative or a string has no end.
fn number(heap: &Heap<'_>, o: &Obj<'_>, count: Count, block: Addr) -> Result<Option<u64>, Fault> {
    Ok(match count {
        Count::Fixed(n) => Some(n),
        Count::Word(at) => u64::try_from(o.i64(at)?).ok(),
        Count::Half(at) => u64::try_from(o.u32(at)? as i32).ok(),
        Count::SizeOf(at) => {
            let object = o.addr(at)?;
            if object.is_null() {
                Some(0)
            } else {
                u64::try_from(heap.image.i64(object + Fields::OB_SIZE)?).ok()
            }
        }
        Count::CString => string_bytes(heap, block)?,
    })
}

/// The bytes of a C string with its end.
pub(super) fn string_bytes(heap: &Heap<'_>, at: Addr) -> Result<Option<u64>, Fault> {
    let segment = heap.image.segment(at).ok_or(Fault::Absent { at, len: 1 })?;
    let from = (at.0 - segment.start.0) as usize;
    let text = segment.bytes.get(from..).unwrap_or_default();
    Ok(text.iter().take(STRING_BOUND).position(|b| *b == 0).map(|n| n as u64 + 1))
}

/// The words of some bytes as addresses.
#[inline]
pub(super) fn addresses(bytes: &[u8]) -> impl Iterator<Item = Addr> + '_ {
    bytes.chunks_exact(8).map(|w| Addr(u64::from_le_bytes([w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]])))
}
