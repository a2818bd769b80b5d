//! pickle.Pickler: a hash table of what was pickled, and an output buffer. pickle.Unpickler: an array of what was read.
//!
//! Source: `_pickle_Pickler___sizeof___impl`, `Pickler_traverse`, `Unpickler_traverse` in `Modules/_pickle.c`.

use memory::{Addr, Fault, Memory};

use super::catalogue::Told;
use super::parts::addresses;
use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Torn, Visitor};

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let &[memo, output] = &*t.decoder.extra else { return heap.default_size(o, t, v) };
    let mut own = heap.default_size(o, t, v)?;
    let memo = o.addr(memo)?;
    if !memo.is_null() {
        own += memo_table(heap, memo, t, v)?;
    }
    let output = o.addr(output)?;
    if !output.is_null() {
        v.hidden(output, Label::Field("output_buffer"));
        let bytes = heap.obj(output)?;
        match heap.type_at(bytes.ty()?) {
            Some(class) => own += heap.default_size(&bytes, &class, v)?,
            None => v.torn(Torn::Size),
        }
    }
    Ok(own)
}

/// A `PyMemoTable`: its bytes.
fn memo_table<V: Visitor>(heap: &Heap<'_>, at: Addr, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let table = &heap.layout.table;
    let field = |name| table.offset("PyMemoTable", name);
    let (Some(bytes), Some(allocated), Some(entries)) = (table.size("PyMemoTable"), field("mt_allocated"), field("mt_table")) else {
        return Ok(0);
    };
    let (Some(entry), Some(key)) = (table.size("PyMemoEntry"), table.offset("PyMemoEntry", "me_key")) else { return Ok(bytes) };
    v.owns(at, bytes);
    let (n, entries) = (heap.image.u64(at + allocated)?, heap.image.addr(at + entries)?);
    if n > heap.most(entry) {
        v.torn(Torn::Size);
        return Ok(bytes);
    }
    if !entries.is_null() {
        v.owns(entries, n * entry);
        let told = memo_told(heap, t);
        for i in 0..n {
            told.tell(v, heap.image.addr(entries + i * entry + key)?, Label::Item(i));
        }
    }
    Ok(bytes + n * entry)
}

/// The memo of an Unpickler; its blocks are told by its row.
pub(super) fn unpickler<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    if let &[memo, size] = &*t.decoder.extra {
        let (memo, n) = (o.addr(memo)?, o.u64(size as i64)?);
        if n > heap.most(8) {
            v.torn(Torn::Size);
        } else if !memo.is_null() && n > 0 {
            let told = memo_told(heap, t);
            for (i, to) in addresses(heap.image.slice(memo, n as usize * 8)?).enumerate() {
                told.tell(v, to, Label::Item(i as u64));
            }
        }
    }
    heap.default_size(o, t, v)
}

fn memo_told(heap: &Heap<'_>, t: &TypeInfo) -> Told {
    if heap.layout.rules.picklers_visit_memo {
        t.decoder.told
    } else {
        Told::Hidden
    }
}
