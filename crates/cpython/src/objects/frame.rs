//! frame: to 3.10 the frame itself; from 3.11 a view on an interpreter frame that it owns once the call is over.
//!
//! Sources: `frame_traverse`, `frame_sizeof` in `Objects/frameobject.c`; `_PyFrame_Traverse` in `Python/frame.c`;
//! memory-map of frames in `Include/internal/pycore_frame.h`.

use memory::{Addr, Fault, Memory};

use super::list::items;
use crate::heap::{Heap, Obj};
use crate::layout::rules::FrameForm;
use crate::layout::Fields;
use crate::types::TypeInfo;
use crate::visit::{Label, Torn, Visitor};

/// Most slots of one frame that are read.
const SLOTS_BOUND: u64 = 1 << 20;
/// `FRAME_OWNED_BY_FRAME_OBJECT`.
const OWNED_BY_OBJECT: u8 = 2;

pub(super) fn decode<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    match heap.layout.rules.frames {
        FrameForm::Interpreter => view(heap, o, t, v),
        _ => whole(heap, o, v),
    }
}

/// How many slots the code of a frame asks for: locals with cells and free variables, operand stack.
#[derive(Clone, Copy)]
pub struct CodeSlots {
    /// Locals, cells, free variables.
    pub locals: u64,
    /// Operand stack at its deepest.
    pub stack: u64,
}

/// Asks the code object at `code`.
pub fn code_slots(heap: &Heap<'_>, code: Addr) -> Result<CodeSlots, Fault> {
    let f = &heap.layout.at.code;
    let o = heap.obj(code)?;
    let locals = match (f.co_nlocalsplus, f.co_nlocals, f.co_cellvars, f.co_freevars) {
        (Some(all), ..) => u64::from(o.u32(all)?),
        (None, Some(locals), Some(cells), Some(free)) => {
            let length = |at| heap.image.u64(o.addr(at)? + Fields::OB_SIZE);
            u64::from(o.u32(locals)?).saturating_add(length(cells)?).saturating_add(length(free)?)
        }
        _ => 0,
    };
    let stack = u64::from(o.u32(f.co_stacksize)?);
    if locals > SLOTS_BOUND || stack > SLOTS_BOUND {
        return Err(Fault::Absent { at: code, len: 8 });
    }
    Ok(CodeSlots { locals, stack })
}

/// ≤3.10: fields, locals and stack in the object.
fn whole<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, v: &mut V) -> Result<u64, Fault> {
    let f = &heap.layout.at.frame;
    let missing = Fault::Absent { at: o.addr, len: 8 };
    for (at, name) in [
        (Some(f.f_back), "f_back"),
        (f.f_code, "f_code"),
        (f.f_builtins, "f_builtins"),
        (f.f_globals, "f_globals"),
        (f.f_locals, "f_locals"),
        (Some(f.f_trace), "f_trace"),
    ] {
        let to = o.addr(at.ok_or(missing)?)?;
        if !to.is_null() {
            v.reference(to, Label::Field(name));
        }
    }
    let code = o.addr(f.f_code.ok_or(missing)?)?;
    let slots = code_slots(heap, code)?;
    let locals = o.addr + f.f_localsplus.ok_or(missing)?;
    local_slots(heap, locals, slots.locals, true, v)?;
    let stack = locals + slots.locals * 8;
    let depth = match (f.f_stacktop, f.f_stackdepth) {
        (Some(at), _) => {
            let top = o.addr(at)?;
            (!top.is_null()).then(|| top.0.saturating_sub(stack.0) / 8)
        }
        (None, Some(at)) => u64::try_from(o.u32(at)? as i32).ok(),
        _ => None,
    };
    operands(heap, stack, slots, depth, v)?;
    // "subtract one as it is already included in PyFrameObject" (frame_sizeof).
    Ok((f.size + 8 * (slots.locals + slots.stack)).saturating_sub(8))
}

/// 3.11+: what the object itself holds, and the frame's contents once they are its own.
fn view<V: Visitor>(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
    let f = &heap.layout.at.frame;
    let (Some(data), Some(frame), Some(i)) = (f._f_frame_data, f.f_frame, heap.layout.iframe) else { return Ok(t.basic) };
    for (at, name) in [
        (Some(f.f_back), "f_back"),
        (Some(f.f_trace), "f_trace"),
        (f.f_extra_locals, "f_extra_locals"),
        (f.f_locals_cache, "f_locals_cache"),
    ] {
        let Some(at) = at else { continue };
        let to = o.addr(at)?;
        if !to.is_null() {
            v.reference(to, Label::Field(name));
        }
    }
    let frame = o.addr(frame)?;
    let code = heap.image.addr(frame + i.code)?;
    let slots = code_slots(heap, code)?;
    if heap.image.u8(frame + i.owner)? == OWNED_BY_OBJECT {
        contents(heap, frame, v)?;
    }
    Ok(data + i.localsplus + 8 * (slots.locals + slots.stack))
}

/// What an interpreter frame holds: function, code, locals, operand stack. Its globals and builtins are borrowed from
/// the function.
pub fn contents<V: Visitor>(heap: &Heap<'_>, frame: Addr, v: &mut V) -> Result<(), Fault> {
    let Some(i) = heap.layout.iframe else { return Ok(()) };
    for (at, name) in [(i.frame_obj, "frame"), (i.locals, "f_locals"), (i.func, "function"), (i.code, "f_code")] {
        let to = heap.image.addr(frame + at)?;
        if !to.is_null() {
            v.reference(to, Label::Field(name));
        }
    }
    let slots = code_slots(heap, heap.image.addr(frame + i.code)?)?;
    // Slots in use, locals included; negative while the frame executes.
    let top = heap.image.i32(frame + i.stacktop)?;
    let locals = frame + i.localsplus;
    match u64::try_from(top) {
        Ok(top) if top <= slots.locals + slots.stack => {
            local_slots(heap, locals, slots.locals.min(top), true, v)?;
            operands(heap, locals + slots.locals * 8, slots, Some(top.saturating_sub(slots.locals)), v)
        }
        Ok(_) => {
            v.torn(Torn::Size);
            Ok(())
        }
        Err(_) => {
            // `_PyFrame_Traverse` sees none of a running frame's slots; its locals are held all the same.
            local_slots(heap, locals, slots.locals, false, v)?;
            operands(heap, locals + slots.locals * 8, slots, None, v)
        }
    }
}

fn local_slots<V: Visitor>(heap: &Heap<'_>, at: Addr, n: u64, visible: bool, v: &mut V) -> Result<(), Fault> {
    for (i, word) in heap.image.slice(at, n as usize * 8)?.chunks_exact(8).enumerate() {
        let to = Addr(u64::from_le_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]));
        if !to.is_null() {
            if visible {
                v.reference(to, Label::Local(i as u32));
            } else {
                v.hidden(to, Label::Local(i as u32));
            }
        }
    }
    Ok(())
}

/// The operand stack: `depth` slots, or, while the frame executes and the depth is in a register, a scan.
fn operands<V: Visitor>(heap: &Heap<'_>, at: Addr, slots: CodeSlots, depth: Option<u64>, v: &mut V) -> Result<(), Fault> {
    match depth {
        Some(depth) if depth <= slots.stack => {
            let mut relabel = Operands(v);
            items(heap, at, depth, &mut relabel)
        }
        Some(_) => {
            v.torn(Torn::Size);
            Ok(())
        }
        None => {
            for (i, word) in heap.image.slice(at, slots.stack as usize * 8)?.chunks_exact(8).enumerate() {
                let to = Addr(u64::from_le_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]));
                if !to.is_null() {
                    v.scanned(to, Label::Stack(i as u32));
                }
            }
            Ok(())
        }
    }
}

/// Calls items what they are on a stack.
struct Operands<'v, V>(&'v mut V);

impl<V: Visitor> Visitor for Operands<'_, V> {
    fn reference(&mut self, to: Addr, label: Label) {
        let label = if let Label::Item(i) = label { Label::Stack(i as u32) } else { label };
        self.0.reference(to, label);
    }
    fn hidden(&mut self, to: Addr, label: Label) {
        self.0.hidden(to, label);
    }
    fn scanned(&mut self, word: Addr, label: Label) {
        self.0.scanned(word, label);
    }
    fn owns(&mut self, at: Addr, bytes: u64) {
        self.0.owns(at, bytes);
    }
    fn torn(&mut self, what: Torn) {
        self.0.torn(what);
    }
}
