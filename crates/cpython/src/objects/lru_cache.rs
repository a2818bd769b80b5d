//! functools.lru_cache: a dict and, when bounded, a ring of links through the object's own head.
//!
//! Source: `lru_cache_tp_traverse` in `Modules/_functoolsmodule.c`. The links are in the dict too; each is counted
//! by both. The collector sees keys and results through the ring and not through the links, so
//! they are told here, and the links tell them as not counted.

use memory::{Fault, Memory};

use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Torn, Visitor};

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let table = &heap.layout.table;
    let at = |field| table.offset("lru_list_elem", field);
    if let (Some(next), Some(key), Some(result), Some(bytes)) = (at("next"), at("key"), at("result"), table.size("lru_list_elem")) {
        let bound = heap.most(bytes);
        let mut link = o.addr(next)?;
        let mut n = 0;
        while link != o.addr && !link.is_null() {
            if n == bound {
                v.torn(Torn::Bound);
                break;
            }
            v.hidden(link, Label::Item(n));
            let key = heap.image.addr(link + key)?;
            t.decoder.told.tell(v, key, Label::Key(n));
            t.decoder.told.tell(v, heap.image.addr(link + result)?, Label::Value(key));
            link = heap.image.addr(link + next)?;
            n += 1;
        }
    }
    heap.default_size(o, t, v)
}
