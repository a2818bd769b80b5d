//! How much room a container has, beyond what stands in it.
//!
//! Never: sizes in bytes (that is `decode`). Numbers that contradict themselves are nothing here; `decode` counts them.
//! Sources: `Objects/listobject.c`, `dictobject.c`, `setobject.c`, `bytearrayobject.c`; `Modules/_collectionsmodule.c`, `arraymodule.c`.

use memory::Memory;

use super::deque::BLOCK_ITEMS;
use super::{dict, Kind, OWN_BOUND};
use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;

/// The room of one container, in its own unit: entries, items, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// For how many it has memory. Of a set: the places of its table, of which it never uses all.
    pub capacity: u64,
    /// Places that are taken, by deleted entries too, where that is told apart: dicts and sets.
    pub used: Option<u64>,
}

impl Heap<'_> {
    /// The room of the object `o`; `None` for what is no container that grows.
    pub fn room(&self, o: &Obj<'_>, t: &TypeInfo) -> Option<Room> {
        let f = &self.layout.at;
        let (capacity, used) = match t.decoder.kind {
            Kind::List => (positive(o.i64(f.list.allocated).ok()?), None),
            Kind::Dict | Kind::OrderedDict => return dict_room(self, o),
            Kind::Set => (o.u64(f.set.mask as i64).ok()?.checked_add(1)?, Some(o.u64(f.set.fill as i64).ok()?)),
            Kind::ByteArray => (positive(o.i64(self.layout.table.offset("PyByteArrayObject", "ob_alloc")?).ok()?), None),
            Kind::Deque => {
                let left = o.u64(self.layout.table.offset("dequeobject", "leftindex")? as i64).ok()?;
                let taken = left.checked_add(positive(o.size().ok()?))?;
                (taken.div_ceil(BLOCK_ITEMS).max(1).checked_mul(BLOCK_ITEMS)?, None)
            }
            Kind::Array => {
                let &[_, allocated, _] = &*t.decoder.extra else { return None };
                (positive(o.i64(allocated).ok()?), None)
            }
            _ => return None,
        };
        (capacity <= OWN_BOUND).then_some(Room { capacity, used })
    }
}

fn positive(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// A dict's own entries, or its own values where the keys are its class's.
fn dict_room(heap: &Heap<'_>, o: &Obj<'_>) -> Option<Room> {
    let f = &heap.layout.at.dict;
    let keys = dict::keys(heap, o.addr(f.ma_keys).ok()?).ok()?;
    let values = o.addr(f.ma_values).ok()?;
    if values.is_null() {
        return Some(Room { capacity: keys.capacity, used: Some(keys.used) });
    }
    let capacity = match heap.layout.rules.values_have_header {
        true => u64::from(heap.image.u8(values).ok()?),
        false => dict::value_slots(heap, &keys),
    };
    Some(Room { capacity, used: Some(o.u64(f.ma_used as i64).ok()?) })
}
