//! collections.OrderedDict: a dict, a linked list of nodes, and an array from slots to nodes.
//!
//! Source: `odict_sizeof`, `odict_traverse` in `Objects/odictobject.c`.

use memory::{Addr, Fault};

use super::dict;
use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Torn, Visitor};

/// Bytes of an `_odictnode`: key, hash, next, prev.
const NODE_BYTES: u64 = 32;

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let own = dict::decode(heap, o, t, v)?;
    let table = &heap.layout.table;
    let at = |field| table.offset("PyODictObject", field);
    let (Some(first), Some(nodes), Some(slots)) = (at("od_first"), at("od_fast_nodes"), at("od_fast_nodes_size")) else {
        return Ok(own);
    };
    let used = o.u64(heap.layout.at.dict.ma_used as i64)?;
    let (array, slots) = (o.addr(nodes)?, o.u64(slots as i64)?);
    if slots > heap.most(8) || used > heap.most(NODE_BYTES) {
        v.torn(Torn::Size);
        return Ok(own);
    }
    if !array.is_null() {
        v.owns(array, slots * 8);
    }
    let mut node = o.addr(first)?;
    let mut n = 0;
    while !node.is_null() {
        if n == used {
            v.torn(Torn::Size);
            break;
        }
        let bytes = heap.image.slice(node, NODE_BYTES as usize)?;
        v.owns(node, NODE_BYTES);
        let field = |at: usize| {
            Addr(u64::from_le_bytes([
                bytes[at],
                bytes[at + 1],
                bytes[at + 2],
                bytes[at + 3],
                bytes[at + 4],
                bytes[at + 5],
                bytes[at + 6],
                bytes[at + 7],
            ]))
        };
        v.reference(field(0), Label::Key(n));
        node = field(16);
        n += 1;
    }
    Ok(own + slots * 8 + n * NODE_BYTES)
}
