//! module: its dictionary, and the C state of an extension, which is scanned.

use memory::{Addr, Fault, Memory};

use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Visitor};

/// `PyModuleDef.m_size` (`Include/moduleobject.h`): base 40, name, doc, size.
const M_SIZE: u64 = 56;
/// Largest state that is scanned.
const STATE_BOUND: i64 = 1 << 20;

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let f = &heap.layout.at.module;
    let state = o.addr(f.md_state)?;
    // From 3.15 the module says it itself (PEP 793).
    let size = match (f.md_state_size, f.md_def) {
        (Some(size), _) => o.i64(size).ok(),
        (None, Some(def)) => Some(o.addr(def)?).filter(|def| !def.is_null()).and_then(|def| heap.image.i64(def + M_SIZE).ok()),
        (None, None) => None,
    };
    if !state.is_null() {
        if let Some(size) = size {
            if (1..=STATE_BOUND).contains(&size) {
                v.owns(state, size as u64);
                for (i, word) in heap.image.slice(state, size as usize & !7)?.chunks_exact(8).enumerate() {
                    let to = Addr(u64::from_le_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]));
                    if !to.is_null() {
                        v.scanned(to, Label::ScannedBlock(i as u32 * 8));
                    }
                }
            }
        }
    }
    heap.default_size(o, t, v)
}
