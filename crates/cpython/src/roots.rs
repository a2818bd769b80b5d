//! Roots: what the interpreter itself holds, thread by thread and frame by frame.
//!
//! Holds: the [`Chain`]s of interpreters, threads and frames, each walked with a bound and as far as it leads.
//! Sources: `Include/internal/pycore_interp.h`, `pycore_pystate.h`, `pycore_frame.h` of 3.8–3.13.

use memory::{Addr, Fault, Memory};
use rustc_hash::FxHashSet;

use crate::heap::Heap;
use crate::layout::rules::FrameForm;
use crate::objects::frame;
use crate::visit::Visitor;

/// Most interpreters and threads that are walked: far above any real process's.
const INTERPRETERS_BOUND: usize = 10_000;
const THREADS_BOUND: usize = 1_000_000;
/// A frame takes more than this: bounds the walk by the memory there is. 3.12+ allows Python frames by the million.
const FRAME_BYTES: u64 = 64;

/// A chain, as far as it could be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain<T> {
    /// What stands in it, in its order, each once.
    pub all: Vec<T>,
    /// It did not end: it leads to what is not there, or back into itself.
    pub broken: bool,
}

impl<T> Default for Chain<T> {
    fn default() -> Self {
        Chain { all: Vec::new(), broken: false }
    }
}

/// Follows a chain of addresses to its null. One that leads back into itself is noticed by Brent's algorithm, without a set: the bound
/// alone would let a loop of two threads be walked a million times.
fn follow(first: Result<Addr, Fault>, most: usize, next: impl Fn(Addr) -> Result<Addr, Fault>) -> Chain<Addr> {
    let Ok(mut at) = first else { return Chain { all: Vec::new(), broken: true } };
    let mut all = Vec::new();
    let (mut seen, mut again) = (Addr::NULL, 1);
    while !at.is_null() {
        if at == seen || all.len() >= most {
            let mut met = FxHashSet::default();
            all.retain(|at| met.insert(*at));
            return Chain { all, broken: true };
        }
        // What cannot be read does not stand in the chain.
        let Ok(to) = next(at) else { return Chain { all, broken: true } };
        all.push(at);
        if all.len() == again {
            (seen, again) = (at, again * 2);
        }
        at = to;
    }
    Chain { all, broken: false }
}

/// A thread state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Address of the `PyThreadState`.
    pub at: Addr,
    /// `pthread_t`.
    pub thread_id: u64,
}

/// The interpreters of a runtime, the main one first.
pub fn interpreters(heap: &Heap<'_>, runtime: Addr) -> Chain<Addr> {
    let Some(head) = heap.layout.table.offset("pyruntimestate", "interpreters.head") else { return Chain::default() };
    let next = |at: Addr| heap.image.addr(at + heap.layout.at.interpreter.next);
    let mut chain = follow(heap.image.addr(runtime + head), INTERPRETERS_BOUND, next);
    // The newest is at the head, the main one at the end.
    chain.all.reverse();
    chain
}

/// The number that an interpreter has: 0 for the main one, then in the order in which they were made. Numbers are not given twice.
pub fn interpreter_number(heap: &Heap<'_>, interpreter: Addr) -> Option<u32> {
    let at = heap.layout.table.offset("_is", "id")?;
    heap.image.i64(interpreter + at).ok().and_then(|id| u32::try_from(id).ok())
}

/// The threads of an interpreter, newest first.
pub fn threads(heap: &Heap<'_>, interpreter: Addr) -> Chain<Thread> {
    let Some(head) = heap.layout.table.offset("_is", "threads.head") else { return Chain::default() };
    let f = &heap.layout.at.thread;
    let Chain { all, broken } =
        follow(heap.image.addr(interpreter + head), THREADS_BOUND, |at| heap.image.u64(at + f.thread_id).and(heap.image.addr(at + f.next)));
    let thread = |at: Addr| Some(Thread { at, thread_id: heap.image.u64(at + f.thread_id).ok()? });
    Chain { all: all.into_iter().filter_map(thread).collect(), broken }
}

/// The frames of a thread, innermost first: frame objects (≤3.10) or interpreter frames.
pub fn frames(heap: &Heap<'_>, thread: Thread) -> Chain<Addr> {
    let f = &heap.layout.at;
    let (first, back) = match heap.layout.rules.frames {
        FrameForm::Interpreter => {
            let first = match (f.thread.current_frame, f.thread.cframe) {
                (Some(current), _) => heap.image.addr(thread.at + current),
                (None, Some(cframe)) => {
                    let current = heap.layout.table.offset("_PyCFrame", "current_frame").unwrap_or(0);
                    heap.image.addr(thread.at + cframe).and_then(|cframe| match cframe.is_null() {
                        true => Ok(Addr::NULL),
                        false => heap.image.addr(cframe + current),
                    })
                }
                _ => Ok(Addr::NULL),
            };
            (first, heap.layout.iframe.map_or(0, |i| i.previous))
        }
        _ => match f.thread.frame {
            Some(first) => (heap.image.addr(thread.at + first), f.frame.f_back),
            None => (Ok(Addr::NULL), 0),
        },
    };
    follow(first, heap.most(FRAME_BYTES) as usize, |at| heap.image.addr(at + back))
}

/// Whether what stands at `at` in a chain of frames runs code, as each frame of Python does.
pub fn runs_code(heap: &Heap<'_>, at: Addr) -> bool {
    let class = frame_code(heap, at).and_then(|code| heap.obj(code)).and_then(|code| code.ty());
    class.is_ok_and(|class| heap.type_at(class).is_some_and(|t| &*t.name == "code"))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Each address leads to the next of the list; 0 ends it, what is in no list cannot be read.
    fn walked(links: &[(u64, u64)], most: usize) -> (Vec<u64>, bool) {
        // The first pages hold nothing.
        const PAGE: u64 = 0x10_0000;
        let next = |at: Addr| links.iter().find(|(from, _)| *from * PAGE == at.0).map(|(_, to)| Addr(*to * PAGE)).ok_or(Fault::Null);
        let chain = follow(Ok(Addr(links[0].0 * PAGE)), most, next);
        (chain.all.iter().map(|at| at.0 / PAGE).collect(), chain.broken)
    }

    #[test]
    fn a_chain_is_followed_as_far_as_it_leads() {
        assert_eq!(walked(&[(1, 2), (2, 3), (3, 0)], 9), (vec![1, 2, 3], false));
        assert_eq!(walked(&[(1, 2), (2, 0x4141)], 9), (vec![1, 2], true));
        assert_eq!(walked(&[(1, 2), (2, 3), (3, 2)], 1_000_000), (vec![1, 2, 3], true));
        assert_eq!(walked(&[(1, 1)], 1_000_000), (vec![1], true));
        assert_eq!(walked(&[(1, 2), (2, 3), (3, 0)], 2), (vec![1, 2], true));
    }
}
