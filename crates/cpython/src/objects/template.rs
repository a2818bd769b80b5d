//! The compiled replacement text of `re.sub`, 3.12+: literals between group numbers.
//!
//! Source: `template_traverse` in `Modules/_sre/sre.c`.

use memory::Fault;

use super::parts::addresses;
use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Torn, Visitor};

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let Some(n) = u64::try_from(o.size()?).ok().filter(|n| *n <= heap.most(16)) else {
        v.torn(Torn::Size);
        return Ok(t.basic);
    };
    // An item is a group's index and the literal after it.
    for (i, to) in addresses(o.bytes(t.decoder.size, n * 16)?).enumerate() {
        if i % 2 == 1 {
            t.decoder.told.tell(v, to, Label::Item(i as u64 / 2));
        }
    }
    heap.default_size(o, t, v)
}
