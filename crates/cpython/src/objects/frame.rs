//! frame: to 3.10 the frame itself; from 3.11 a view on an interpreter frame that it owns once the call is over.
//!
//! Sources: `frame_traverse`, `frame_sizeof` in `Objects/frameobject.c`; `_PyFrame_Traverse` in `Python/frame.c`;
//! memory-map of frames in `Include/internal/pycore_frame.h`.

use memory::{Addr, Fault, Memory};

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
        (f.f_overwritten_fast_locals, "f_overwritten_fast_locals"),
    ] {
        let Some(at) = at else { continue };
        let to = o.addr(at)?;
        if !to.is_null() {
            v.reference(to, Label::Field(name));
        }
    }
    let frame = o.addr(frame)?;
    let code = untagged(heap, heap.image.u64(frame + i.code)?);
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
    for (at, name) in [(i.frame_obj, "frame"), (i.locals, "f_locals")] {
        let to = heap.image.addr(frame + at)?;
        if !to.is_null() {
            v.reference(to, Label::Field(name));
        }
    }
    for (at, name) in [(i.func, "function"), (i.code, "f_code")] {
        Slot::read(heap, heap.image.u64(frame + at)?).tell(Label::Field(name), true, v);
    }
    let code = untagged(heap, heap.image.u64(frame + i.code)?);
    let slots = code_slots(heap, code)?;
    let locals = frame + i.localsplus;
    // Slots in use, locals included; negative or null while the frame executes.
    let top = match (i.stacktop, i.stackpointer) {
        (Some(at), _) => u64::try_from(heap.image.i32(frame + at)?).ok(),
        (None, Some(at)) => {
            let top = heap.image.addr(frame + at)?;
            (!top.is_null()).then(|| top.0.wrapping_sub(locals.0) / 8)
        }
        (None, None) => None,
    };
    match top {
        Some(top) if top <= slots.locals + slots.stack => {
            local_slots(heap, locals, slots.locals.min(top), true, v)?;
            operands(heap, locals + slots.locals * 8, slots, Some(top.saturating_sub(slots.locals)), v)
        }
        Some(_) => {
            v.torn(Torn::Size);
            Ok(())
        }
        None => {
            // `_PyFrame_Traverse` sees none of a running frame's slots; its locals are held all the same.
            local_slots(heap, locals, slots.locals, false, v)?;
            operands(heap, locals + slots.locals * 8, slots, None, v)
        }
    }
}

/// What stands in a frame for an object: to 3.13 its address, from 3.14 with a tag (`_PyStackRef` in Include/internal/pycore_stackref.h).
enum Slot {
    /// Nothing, or a number.
    Empty,
    /// A counted reference.
    Counted(Addr),
    /// One that is not counted, since something else holds it for as long; immortal objects are never counted.
    Borrowed(Addr),
}

impl Slot {
    fn read(heap: &Heap<'_>, word: u64) -> Slot {
        let at = Addr(word & !TAGS);
        match (heap.layout.rules.stack_refs, word & TAGS) {
            (false, _) if word == 0 => Slot::Empty,
            (false, _) => Slot::Counted(Addr(word)),
            (true, COUNTED | BORROWED) if at.is_null() => Slot::Empty,
            (true, COUNTED) => Slot::Counted(at),
            // Of an immortal object nothing is counted: it is held like any other.
            (true, BORROWED) if heap.image.u32(at).is_ok_and(|count| count >> 31 == 1) => Slot::Counted(at),
            (true, BORROWED) => Slot::Borrowed(at),
            // Numbers, and marks that are no objects.
            (true, _) => Slot::Empty,
        }
    }

    fn tell<V: Visitor>(self, label: Label, visible: bool, v: &mut V) {
        match self {
            Slot::Empty => {}
            Slot::Counted(to) if visible => v.reference(to, label),
            Slot::Counted(to) => v.hidden(to, label),
            Slot::Borrowed(to) => v.weak(to, label),
        }
    }
}

/// The bits of a tag, and the tags of references: null is the second without an address.
const TAGS: u64 = 3;
const COUNTED: u64 = 0;
const BORROWED: u64 = 1;

/// The object that stands in an interpreter frame as `word`.
pub fn untagged(heap: &Heap<'_>, word: u64) -> Addr {
    match Slot::read(heap, word) {
        Slot::Empty => Addr::NULL,
        Slot::Counted(at) | Slot::Borrowed(at) => at,
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.chunks_exact(8).map(|w| u64::from_le_bytes([w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]]))
}

fn local_slots<V: Visitor>(heap: &Heap<'_>, at: Addr, n: u64, visible: bool, v: &mut V) -> Result<(), Fault> {
    for (i, word) in words(heap.image.slice(at, n as usize * 8)?).enumerate() {
        Slot::read(heap, word).tell(Label::Local(i as u32), visible, v);
    }
    Ok(())
}

/// The operand stack: `depth` slots, or, while the frame executes and the depth is in a register, a scan.
fn operands<V: Visitor>(heap: &Heap<'_>, at: Addr, slots: CodeSlots, depth: Option<u64>, v: &mut V) -> Result<(), Fault> {
    match depth {
        Some(depth) if depth <= slots.stack => {
            for (i, word) in words(heap.image.slice(at, depth as usize * 8)?).enumerate() {
                Slot::read(heap, word).tell(Label::Stack(i as u32), true, v);
            }
        }
        Some(_) => v.torn(Torn::Size),
        None => {
            for (i, word) in words(heap.image.slice(at, slots.stack as usize * 8)?).enumerate() {
                let to = untagged(heap, word);
                if !to.is_null() {
                    v.scanned(to, Label::Stack(i as u32));
                }
            }
        }
    }
    Ok(())
}
