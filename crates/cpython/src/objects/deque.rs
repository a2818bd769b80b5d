//! collections.deque: blocks of 64 items, doubly linked; from 3.11 spare blocks are kept.
//!
//! Source: `Modules/_collectionsmodule.c`.

use memory::{Addr, Fault};

use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Torn, Visitor};

/// `BLOCKLEN`.
pub(super) const BLOCK_ITEMS: u64 = 64;
/// A block: left link, items, right link.
const BLOCK_BYTES: u64 = (BLOCK_ITEMS + 2) * 8;
/// `MAXFREEBLOCKS`.
const SPARE_BOUND: u64 = 16;

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let table = &heap.layout.table;
    let at = |field| table.offset("dequeobject", field);
    let (Some(left_block), Some(left_index)) = (at("leftblock"), at("leftindex")) else { return heap.default_size(o, t, v) };
    let (n, index) = (o.size()?, o.i64(left_index)?);
    if n < 0 || n as u64 > heap.most(8) || !(0..=BLOCK_ITEMS as i64).contains(&index) {
        v.torn(Torn::Size);
        return Ok(t.basic);
    }
    let (n, mut index) = (n as u64, index as u64);
    let blocks = (index + n).div_ceil(BLOCK_ITEMS).max(1);
    let mut block = o.addr(left_block)?;
    let mut item = 0;
    // Blocks that the size calls for; a link that leads nowhere ends the walk by a fault, a loop by the count.
    for _ in 0..blocks {
        let bytes = heap.image.slice(block, BLOCK_BYTES as usize)?;
        v.owns(block, BLOCK_BYTES);
        while index < BLOCK_ITEMS && item < n {
            let from = 8 + index as usize * 8;
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[from..from + 8]);
            let to = Addr(u64::from_le_bytes(word));
            if !to.is_null() {
                v.reference(to, Label::Item(item));
            }
            index += 1;
            item += 1;
        }
        index = 0;
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[BLOCK_BYTES as usize - 8..]);
        block = Addr(u64::from_le_bytes(word));
    }
    if let (Some(count), Some(spares)) = (at("numfreeblocks"), at("freeblocks")) {
        for i in 0..o.u64(count as i64)?.min(SPARE_BOUND) {
            v.owns(o.addr(spares + i * 8)?, BLOCK_BYTES);
        }
    }
    // `deque___sizeof___impl`: blocks from the left index on, none for an empty deque at index 0.
    Ok(t.basic + (o.i64(left_index)? as u64 + n).div_ceil(BLOCK_ITEMS) * BLOCK_BYTES)
}
