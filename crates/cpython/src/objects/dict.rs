//! dict: a keys object, perhaps shared, and for split tables an array of values.
//!
//! Sources: `Objects/dictobject.c`, `Include/internal/pycore_dict.h` of 3.8–3.13. Shared keys belong to the class
//! (`ht_cached_keys`) and are sized there.

use memory::{Addr, Fault, Memory};

use crate::heap::{Heap, Obj};
use crate::layout::rules::KeysForm;
use crate::types::TypeInfo;
use crate::visit::{Label, Torn, Visitor};

/// Largest `log2` of a table that is believed: 2^40 slots would be 8 TiB.
const LOG2_BOUND: u64 = 40;

/// A keys object, read.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'m> {
    /// Its address.
    pub at: Addr,
    /// `dk_refcnt`: 1 means that it is not shared.
    pub refcount: i64,
    /// All of its bytes.
    pub bytes: u64,
    /// Entries in use or deleted.
    pub used: u64,
    /// Entries that can still be added.
    pub usable: u64,
    /// Entries that there is room for.
    pub capacity: u64,
    /// Only exact strs as keys, without stored hashes: 3.11+.
    pub unicode: bool,
    /// Keys are visited by the collector.
    pub visible_keys: bool,
    entries: &'m [u8],
    stride: usize,
    key: usize,
}

impl<'m> Keys<'m> {
    /// The key of entry `i`; null where deleted.
    #[inline]
    pub fn key(&self, i: usize) -> Addr {
        word(self.entries, i * self.stride + self.key)
    }

    /// The value of entry `i` in a combined table.
    #[inline]
    fn value(&self, i: usize) -> Addr {
        word(self.entries, i * self.stride + self.key + 8)
    }
}

#[inline]
fn word(bytes: &[u8], at: usize) -> Addr {
    match bytes.get(at..at + 8) {
        Some(b) => Addr(u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])),
        None => Addr::NULL,
    }
}

/// Reads the keys object at `at`.
pub fn keys<'m>(heap: &Heap<'m>, at: Addr) -> Result<Keys<'m>, Fault> {
    let f = &heap.layout.at.keys;
    let o = heap.obj(at)?;
    let absent = Fault::Absent { at, len: 40 };
    let refcount = o.i64(f.dk_refcnt)?;
    let used = o.i64(f.dk_nentries)?;
    let usable = o.i64(f.dk_usable)?;
    let used = u64::try_from(used).ok().filter(|n| *n < 1 << LOG2_BOUND).ok_or(absent)?;
    let usable = u64::try_from(usable).ok().filter(|n| *n < 1 << LOG2_BOUND).unwrap_or(0);
    let (index_bytes, capacity, unicode, visible_keys) = match heap.layout.rules.keys {
        KeysForm::Wide => {
            let size = o.i64(f.dk_size.ok_or(absent)?)?;
            let size = u64::try_from(size).ok().filter(|n| *n < 1 << LOG2_BOUND).ok_or(absent)?;
            let width = match size {
                0..=0xff => 1,
                0x100..=0xffff => 2,
                0x1_0000..=0xffff_ffff => 4,
                _ => 8,
            };
            let lookup = o.addr(f.dk_lookup.ok_or(absent)?)?;
            (size * width, size * 2 / 3, false, heap.lookdict.is_none_or(|l| l == lookup))
        }
        KeysForm::Log2 => {
            let log2 = u64::from(o.u8(f.dk_log2_size.ok_or(absent)?)?);
            let log2_index = u64::from(o.u8(f.dk_log2_index_bytes.ok_or(absent)?)?);
            if log2 > LOG2_BOUND || log2_index > LOG2_BOUND + 3 {
                return Err(absent);
            }
            let unicode = o.u8(f.dk_kind.ok_or(absent)?)? != 0;
            (1 << log2_index, (2 << log2) / 3, unicode, !unicode)
        }
    };
    let (stride, key) = if unicode { (16, 0) } else { (24, 8) };
    let entries = o.bytes(f.dk_indices + index_bytes, used * stride)?;
    let bytes = f.dk_indices + index_bytes + capacity * stride;
    // All of it was allocated at once.
    o.bytes(0, bytes)?;
    Ok(Keys { at, refcount, bytes, used, usable, capacity, unicode, visible_keys, entries, stride: stride as usize, key })
}

/// A key with its value.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The key object.
    pub key: Addr,
    /// The value object.
    pub value: Addr,
}

/// The live entries of a dict.
pub struct Entries<'m> {
    keys: Keys<'m>,
    values: Option<&'m [u8]>,
}

impl Entries<'_> {
    /// In the order of insertion.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Entry> + '_ {
        (0..self.keys.used as usize).filter_map(|i| {
            let value = match self.values {
                Some(values) => word(values, i * 8),
                None => self.keys.value(i),
            };
            (!value.is_null()).then(|| Entry { key: self.keys.key(i), value })
        })
    }
}

/// The entries of the dict `o`.
pub fn entries<'m>(heap: &Heap<'m>, o: &Obj<'m>) -> Result<Entries<'m>, Fault> {
    let f = &heap.layout.at.dict;
    let keys = keys(heap, o.addr(f.ma_keys)?)?;
    let values = o.addr(f.ma_values)?;
    let values = if values.is_null() { None } else { Some(split_values(heap, values, keys.used)?) };
    Ok(Entries { keys, values })
}

/// The pointers of a values array: bare to 3.12, after a header of 8 bytes from 3.13.
pub(super) fn split_values<'m>(heap: &Heap<'m>, values: Addr, n: u64) -> Result<&'m [u8], Fault> {
    if n == 0 {
        return Ok(&[]);
    }
    let (at, n) = if heap.layout.rules.values_have_header {
        let header = heap.image.slice(values, 4)?;
        (values + 8, n.min(u64::from(header[0])))
    } else {
        (values, n)
    };
    heap.image.slice(at, n as usize * 8)
}

/// How many values a split dict has room for.
pub(super) fn value_slots(heap: &Heap<'_>, keys: &Keys<'_>) -> u64 {
    // ≤3.10 counts usable_fraction(dk_size), which is what 3.11+ writes as used + usable.
    match heap.layout.rules.keys {
        KeysForm::Wide => keys.capacity,
        KeysForm::Log2 => keys.used + keys.usable,
    }
}

/// The keys of the dict `o` in the order of insertion, which its iteration follows, at most `most`; `None` where there are more.
pub fn keys_in_order(heap: &Heap<'_>, o: &Obj<'_>, most: u64, into: &mut Vec<Addr>) -> Result<Option<()>, Fault> {
    into.clear();
    let f = &heap.layout.at.dict;
    if o.u64(f.ma_used as i64)? > most {
        return Ok(None);
    }
    let all = entries(heap, o)?;
    let values = o.addr(f.ma_values)?;
    let order = match heap.layout.rules.keys {
        KeysForm::Log2 if !values.is_null() => insertion_order(heap, values)?,
        // Without shared keys, and to 3.10 with them too, entries stand as they were inserted.
        _ => {
            into.extend(all.iter().map(|e| e.key));
            return Ok(Some(()));
        }
    };
    into.extend(order.into_iter().filter(|i| u64::from(*i) < all.keys.used).map(|i| all.keys.key(usize::from(i))));
    Ok(Some(()))
}

/// The places of values in the order in which they came: `get_index_from_order` in Objects/dictobject.c, 3.11+.
fn insertion_order(heap: &Heap<'_>, values: Addr) -> Result<Vec<u8>, Fault> {
    if heap.layout.rules.values_have_header {
        let header = heap.image.slice(values, 4)?;
        let (capacity, size) = (u64::from(header[0]), usize::from(header[1]));
        return Ok(heap.image.slice(values + 8 + capacity * 8, size)?.to_vec());
    }
    // 3.11 and 3.12: their number two bytes before the array, the first of them one more before, the others down from there.
    let size = u64::from(heap.image.slice(values - 2, 1)?[0]);
    Ok(heap.image.slice(values - 2 - size, size as usize)?.iter().rev().copied().collect())
}

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let f = &heap.layout.at.dict;
    let keys = keys(heap, o.addr(f.ma_keys)?)?;
    let values = o.addr(f.ma_values)?;
    let mut own = t.basic;
    let mut embedded = false;
    let split = if values.is_null() {
        None
    } else {
        let slots = value_slots(heap, &keys);
        own += slots * 8;
        embedded = owned_values(heap, values, slots, v)?;
        Some(split_values(heap, values, keys.used)?)
    };
    if keys.refcount == 1 {
        own += keys.bytes;
        v.owns(keys.at, keys.bytes);
    }
    let interned = split.is_none() && holds_interned(heap, &keys)?;
    let mut live = 0;
    for i in 0..keys.used as usize {
        let value = match split {
            Some(values) => word(values, i * 8),
            None => keys.value(i),
        };
        if value.is_null() {
            continue;
        }
        live += 1;
        let key = keys.key(i);
        if interned {
            v.scanned(key, Label::Key(i as u64));
            continue;
        }
        // Keys of a shared table are counted by the table, which the class owns.
        if !key.is_null() && split.is_none() {
            if keys.visible_keys {
                v.reference(key, Label::Key(i as u64));
            } else {
                v.hidden(key, Label::Key(i as u64));
            }
        }
        if embedded {
            // The instance tells them.
            v.weak(value, Label::Value(key));
        } else {
            v.reference(value, Label::Value(key));
        }
    }
    if live != o.i64(f.ma_used)? {
        v.torn(Torn::Dict);
    }
    Ok(own)
}

/// Whether this is the interpreter's table of interned strs, which holds each as key and value without counting it
/// (`intern_common` in Objects/unicodeobject.c): a table whose values are their own keys, and one of them has a count
/// that two references cannot leave.
fn holds_interned(heap: &Heap<'_>, keys: &Keys<'_>) -> Result<bool, Fault> {
    for i in 0..keys.used as usize {
        let (key, value) = (keys.key(i), keys.value(i));
        if value.is_null() {
            continue;
        }
        if key != value {
            return Ok(false);
        }
        if heap.image.u32(key)? < 2 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Tells of a values array that is a block of its own. Whether it is part of the instance's block instead.
fn owned_values<V: Visitor>(heap: &Heap<'_>, values: Addr, slots: u64, v: &mut V) -> Result<bool, Fault> {
    match heap.layout.rules.keys {
        KeysForm::Wide => v.owns(values, slots * 8),
        KeysForm::Log2 if heap.layout.rules.values_have_header => {
            let header = heap.image.slice(values, 4)?;
            if header[2] != 0 {
                return Ok(true);
            }
            let capacity = u64::from(header[0]);
            v.owns(values, 8 + capacity * 8 + capacity.next_multiple_of(8));
        }
        KeysForm::Log2 => own_prefixed_values(heap, values, slots, v)?,
    }
    Ok(false)
}

/// 3.11 and 3.12 put bytes for the order of insertion before the array; the last of them says how many they are
/// (`new_values` in Objects/dictobject.c).
pub(super) fn own_prefixed_values<V: Visitor>(heap: &Heap<'_>, values: Addr, slots: u64, v: &mut V) -> Result<(), Fault> {
    let prefix = u64::from(heap.image.slice(values - 1, 1)?[0]);
    v.owns(values - prefix, prefix + slots * 8);
    Ok(())
}
