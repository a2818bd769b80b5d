//! code: constants, names, tables; bytecode inline from 3.11.
//!
//! The collector never sees into code (it is not tracked), so everything here is hidden from it.
//! Source: `code_sizeof` in `Objects/codeobject.c`.

use memory::{Addr, Fault, Memory};

use crate::heap::{Heap, Obj};
use crate::layout::Fields;
use crate::types::TypeInfo;
use crate::visit::{Label, Visitor};

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let f = &heap.layout.at.code;
    let mut tell = |at: Option<u64>, name: &'static str| -> Result<(), Fault> {
        if let Some(at) = at {
            let to = o.addr(at)?;
            if !to.is_null() {
                v.hidden(to, Label::Field(name));
            }
        }
        Ok(())
    };
    tell(Some(f.co_consts), "co_consts")?;
    tell(Some(f.co_names), "co_names")?;
    tell(Some(f.co_filename), "co_filename")?;
    tell(Some(f.co_name), "co_name")?;
    tell(f.co_qualname, "co_qualname")?;
    tell(f.co_code, "co_code")?;
    tell(f.co_varnames, "co_varnames")?;
    tell(f.co_freevars, "co_freevars")?;
    tell(f.co_cellvars, "co_cellvars")?;
    tell(f.co_lnotab, "co_lnotab")?;
    tell(f.co_linetable, "co_linetable")?;
    tell(f.co_exceptiontable, "co_exceptiontable")?;
    tell(f.co_localsplusnames, "co_localsplusnames")?;
    tell(f.co_localspluskinds, "co_localspluskinds")?;
    // 3.11 only: the cached `co_code`. 3.12+ keeps it with others in a block, `_PyCoCached`.
    tell(f._co_code, "co_code")?;
    // ≤3.10: one frame is parked per code object for its next call; it is freed memory that is kept, not an object.
    if let Some(parked) = f.co_zombieframe {
        let frame = o.addr(parked)?;
        if !frame.is_null() {
            let slots = heap.image.u64(frame + Fields::OB_SIZE)?.min(1 << 20);
            v.owns(frame - Fields::GC_HEAD, Fields::GC_HEAD + heap.layout.at.frame.size + slots * 8);
        }
    }
    if let Some(cached) = f._co_cached {
        cached_parts(heap, o.addr(cached)?, v)?;
    }
    let mut own = if heap.layout.rules.code_inline { memory::rounded_up(heap.default_size(o, t, v)?, 8) } else { t.basic };
    let extra = o.addr(f.co_extra)?;
    if !extra.is_null() {
        let n = heap.image.i64(extra)?.clamp(1, 1 << 20) as u64;
        own += 16 + (n - 1) * 8;
        v.owns(extra, 16 + (n - 1) * 8);
    }
    if let (Some(cell2arg), Some(cellvars)) = (f.co_cell2arg, f.co_cellvars) {
        let (cell2arg, cellvars) = (o.addr(cell2arg)?, o.addr(cellvars)?);
        if !cell2arg.is_null() && !cellvars.is_null() {
            let bytes = heap.image.u64(cellvars + Fields::OB_SIZE)?.min(1 << 20) * 8;
            own += bytes;
            v.owns(cell2arg, bytes);
        }
    }
    if let (Some(map), Some(cache), Some(size), Some(code)) = (f.co_opcache_map, f.co_opcache, f.co_opcache_size, f.co_code) {
        let (map, cache) = (o.addr(map)?, o.addr(cache)?);
        let instructions = heap.image.u64(o.addr(code)? + Fields::OB_SIZE)?.min(1 << 32) / 2;
        if !map.is_null() {
            own += instructions;
            v.owns(map, instructions);
        }
        if !cache.is_null() {
            // An `_PyOpcache` entry takes 32 bytes in 3.8–3.10 (Include/internal/pycore_code.h).
            let bytes = u64::from(o.u8(size)?) * 32;
            own += if map.is_null() { instructions + bytes } else { bytes };
            v.owns(cache, bytes);
        }
    }
    Ok(own)
}

/// `_PyCoCached`: attributes of a code object that were asked for once, 3.12+.
fn cached_parts<V: Visitor>(heap: &Heap<'_>, at: Addr, v: &mut V) -> Result<(), Fault> {
    if at.is_null() {
        return Ok(());
    }
    let table = &heap.layout.table;
    let Some(size) = table.size("_PyCoCached") else { return Ok(()) };
    v.owns(at, size);
    for (field, name) in
        [("_co_code", "co_code"), ("_co_varnames", "co_varnames"), ("_co_cellvars", "co_cellvars"), ("_co_freevars", "co_freevars")]
    {
        if let Some(offset) = table.offset("_PyCoCached", field) {
            let to = heap.image.addr(at + offset)?;
            if !to.is_null() {
                v.hidden(to, Label::Field(name));
            }
        }
    }
    Ok(())
}
