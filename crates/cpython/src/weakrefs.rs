//! What a weak reference object refers to without a count, and whom it tells.
//!
//! Holds: [`weak_link`]. Never: walks the list of an object's weak references; each of them is found as an object and says itself to what
//! it refers.
//! Source: `PyWeakReference` in `Include/cpython/weakrefobject.h`; `clear_weakref` in `Objects/weakrefobject.c`, which puts None in the
//! place of the referent. None itself cannot be referred to weakly.

use memory::{Addr, Fault};

use crate::heap::{Heap, Obj};

/// A weak reference object's two fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeakLink {
    /// What it refers to.
    pub referent: Addr,
    /// What it referred to is gone.
    pub dead: bool,
    /// What is called when the referent goes; null for nothing.
    pub callback: Addr,
}

/// Reads a weak reference, a proxy or an instance of a class that inherits from one.
///
/// # Errors
/// A [`Fault`] where it is not in the image.
pub fn weak_link(heap: &Heap<'_>, o: &Obj<'_>) -> Result<WeakLink, Fault> {
    let f = &heap.layout.at.weakref;
    let (to, callback) = (o.addr(f.wr_object)?, o.addr(f.wr_callback)?);
    let is_none = |at: Addr| heap.obj(at).and_then(|o| o.ty()).ok().and_then(|t| heap.type_at(t)).is_some_and(|t| &*t.name == "NoneType");
    Ok(WeakLink { referent: to, dead: is_none(to), callback })
}
