//! PyCapsule: a pointer of C code with a name. From 3.13 its maker may give it a traverse function (gh-108240).
//!
//! What such a function visits only C code knows. The standard library has one user: what `_socket` gives to other modules,
//! which holds the class of sockets first. Source: `sock_capi_traverse` in `Modules/socketmodule.c`.

use memory::{Fault, Memory};

use crate::heap::{Heap, Obj};
use crate::types::TypeInfo;
use crate::visit::{Label, Visitor};

/// The capsule's name (`PySocket_CAPSULE_NAME`).
const SOCKET: &str = "_socket.CAPI";

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    if let &[pointer, name, traverse] = &*t.decoder.extra {
        let (pointer, name) = (o.addr(pointer)?, o.addr(name)?);
        if o.u64(traverse as i64)? != 0 && !name.is_null() && heap.c_str(name).is_ok_and(|n| n == SOCKET) {
            t.decoder.told.tell(v, heap.image.addr(pointer)?, Label::Field("Sock_Type"));
        }
    }
    heap.default_size(o, t)
}
