//! Roots: what the interpreter itself holds, thread by thread and frame by frame.
//!
//! Holds: the chain of interpreters, threads and frames, each walked with a bound.
//! Sources: `Include/internal/pycore_interp.h`, `pycore_pystate.h`, `pycore_frame.h` of 3.8–3.13.

use memory::{Addr, Fault, Memory};

use crate::heap::Heap;
use crate::layout::rules::FrameForm;
use crate::objects::frame;
use crate::visit::Visitor;

/// Most interpreters and threads that are walked: far above any real process's.
const INTERPRETERS_BOUND: usize = 10_000;
const THREADS_BOUND: usize = 1_000_000;
/// A frame takes more than this: bounds the walk by the memory there is. 3.12+ allows Python frames by the million.
const FRAME_BYTES: u64 = 64;

/// A thread state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Address of the `PyThreadState`.
    pub at: Addr,
    /// `pthread_t`.
    pub thread_id: u64,
}

/// The interpreters of a runtime, the main one first.
pub fn interpreters(heap: &Heap<'_>, runtime: Addr) -> Result<Vec<Addr>, Fault> {
    let Some(head) = heap.layout.table.offset("pyruntimestate", "interpreters.head") else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    let mut at = heap.image.addr(runtime + head)?;
    while !at.is_null() && all.len() < INTERPRETERS_BOUND {
        all.push(at);
        at = heap.image.addr(at + heap.layout.at.interpreter.next)?;
    }
    // The newest is at the head, the main one at the end.
    all.reverse();
    Ok(all)
}

/// The number that an interpreter has: 0 for the main one, then in the order in which they were made. Numbers are not given twice.
pub fn interpreter_number(heap: &Heap<'_>, interpreter: Addr) -> Option<u32> {
    let at = heap.layout.table.offset("_is", "id")?;
    heap.image.i64(interpreter + at).ok().and_then(|id| u32::try_from(id).ok())
}

/// The threads of an interpreter, newest first.
pub fn threads(heap: &Heap<'_>, interpreter: Addr) -> Result<Vec<Thread>, Fault> {
    let Some(head) = heap.layout.table.offset("_is", "threads.head") else { return Ok(Vec::new()) };
    let f = &heap.layout.at.thread;
    let mut all = Vec::new();
    let mut at = heap.image.addr(interpreter + head)?;
    while !at.is_null() && all.len() < THREADS_BOUND {
        all.push(Thread { at, thread_id: heap.image.u64(at + f.thread_id)? });
        at = heap.image.addr(at + f.next)?;
    }
    Ok(all)
}

/// The frames of a thread, innermost first: frame objects (≤3.10) or interpreter frames.
pub fn frames(heap: &Heap<'_>, thread: Thread) -> Result<Vec<Addr>, Fault> {
    let f = &heap.layout.at;
    let (mut at, back) = match heap.layout.rules.frames {
        FrameForm::Interpreter => {
            let first = match (f.thread.current_frame, f.thread.cframe) {
                (Some(current), _) => heap.image.addr(thread.at + current)?,
                (None, Some(cframe)) => {
                    let cframe = heap.image.addr(thread.at + cframe)?;
                    let current = heap.layout.table.offset("_PyCFrame", "current_frame").unwrap_or(0);
                    if cframe.is_null() {
                        Addr::NULL
                    } else {
                        heap.image.addr(cframe + current)?
                    }
                }
                _ => Addr::NULL,
            };
            (first, heap.layout.iframe.map_or(0, |i| i.previous))
        }
        _ => match f.thread.frame {
            Some(first) => (heap.image.addr(thread.at + first)?, f.frame.f_back),
            None => (Addr::NULL, 0),
        },
    };
    let mut all = Vec::new();
    let most = heap.most(FRAME_BYTES) as usize;
    while !at.is_null() && all.len() < most {
        all.push(at);
        at = heap.image.addr(at + back)?;
    }
    Ok(all)
}

/// Whether an interpreter frame stands for Python code; trampolines between C and Python (`FRAME_OWNED_BY_CSTACK`, 3.12+; `FRAME_OWNED_BY_INTERPRETER`, 3.14+)
/// hold nothing.
pub fn is_python_frame(heap: &Heap<'_>, frame: Addr) -> bool {
    let Some(i) = heap.layout.iframe else { return true };
    heap.image.u8(frame + i.owner).is_ok_and(|owner| owner < 3)
}

/// Tells what an interpreter frame holds.
pub fn frame_contents<V: Visitor>(heap: &Heap<'_>, at: Addr, v: &mut V) -> Result<(), Fault> {
    frame::contents(heap, at, v)
}

/// The code object of a frame of either form.
pub fn frame_code(heap: &Heap<'_>, at: Addr) -> Result<Addr, Fault> {
    match (heap.layout.iframe, heap.layout.at.frame.f_code) {
        (Some(i), _) => heap.image.u64(at + i.code).map(|word| frame::untagged(heap, word)),
        (None, Some(code)) => heap.image.addr(at + code),
        _ => Ok(Addr::NULL),
    }
}
