//! PyCapsule: a pointer of C code with a name. From 3.13 its maker may give it a traverse function (gh-108240).
//!
//! What such a function visits only C code knows. The standard library has two users: what `_socket` and, from 3.14, `_curses` give to
//! other modules, which holds the class of sockets or windows first. Sources: `sock_capi_traverse` in `Modules/socketmodule.c`,
//! `curses_capi_traverse` in `Modules/_cursesmodule.c`.

use memory::{Fault, Memory};

use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Visitor};

/// The capsules' names (`PySocket_CAPSULE_NAME`, `PyCurses_CAPSULE_NAME`) and the first thing in each.
const KNOWN: [(&str, &str); 2] = [("_socket.CAPI", "Sock_Type"), ("_curses._C_API", "window_type")];

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    if let &[pointer, name, traverse] = &*t.decoder.extra {
        let (pointer, name) = (o.addr(pointer)?, o.addr(name)?);
        let name = if o.u64(traverse as i64)? == 0 || name.is_null() { String::new() } else { heap.c_str(name).unwrap_or_default() };
        if let Some((_, field)) = KNOWN.iter().find(|(known, _)| *known == name) {
            t.decoder.told.tell(v, heap.image.addr(pointer)?, Label::Field(field));
        }
    }
    heap.default_size(o, t, v)
}
