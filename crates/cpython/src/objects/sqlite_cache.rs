//! sqlite3's cache of statements, to 3.10: a dict of nodes that are also a linked list.
//!
//! Source: `cache_traverse`, `pysqlite_cache_get` in `Modules/_sqlite/cache.c`.

use memory::{Fault, Memory};

use super::catalogue::Told;
use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Torn, Visitor};

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let table = &heap.layout.table;
    let (&[factory, counted, first], Some(next), Some(bytes)) =
        (&*t.decoder.extra, table.offset("pysqlite_Node", "next"), table.size("pysqlite_Node"))
    else {
        return heap.default_size(o, t, v);
    };
    // A connection's own cache does not count the connection, or neither would ever be freed.
    let told = if o.u32(counted)? != 0 { t.decoder.told } else { Told::Weak };
    told.tell(v, o.addr(factory)?, Label::Field("factory"));
    let bound = heap.most(bytes);
    let mut node = o.addr(first)?;
    let mut n = 0;
    while !node.is_null() {
        if n == bound {
            v.torn(Torn::Bound);
            break;
        }
        t.decoder.told.tell(v, node, Label::Item(n));
        node = heap.image.addr(node + next)?;
        n += 1;
    }
    heap.default_size(o, t, v)
}
