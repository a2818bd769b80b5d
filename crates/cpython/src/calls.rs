//! Calls that have not ended: generators, coroutines and async generators with their functions and lines; names of asyncio's tasks; bounds
//! that containers keep themselves.
//!
//! Holds: [`call`], [`task_name`], [`bound`]. Never: what they hold (that is `objects`).
//! Sources: `Objects/genobject.c`; `TaskObj` in `Modules/_asynciomodule.c`, whose name is an int from 3.13 on until somebody asks for it;
//! `maxlen` in `Modules/_collectionsmodule.c` and `maxsize` in `Modules/_functoolsmodule.c`, both -1 for none.

use memory::{Addr, Memory};

use crate::handlers::{inside, Inside};
use crate::heap::{Heap, Obj};
use crate::lines;
use crate::objects::Kind;
use crate::roots::frame_code;
use crate::types::TypeInfo;

/// One call that is not at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The qualified name.
    pub name: String,
    /// Its code object.
    pub code: Addr,
    /// Its globals.
    pub globals: Addr,
    /// The line on which it stands; the first one where it has not begun.
    pub line: Option<u32>,
    /// What it stands in.
    pub inside: Option<Inside>,
    /// It ran at least to its first pause.
    pub begun: bool,
}

/// What a generator, coroutine or async generator says of itself; `None` of anything else and of those that are at their end.
pub fn call(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo) -> Option<Call> {
    if t.decoder.kind != Kind::Generator {
        return None;
    }
    let f = &heap.layout.at;
    let frame = match (f.gen.gi_iframe, f.gen.gi_frame_state, f.gen.gi_frame) {
        (Some(at), Some(state), _) => ((o.u8(state).ok()? as i8) < heap.layout.rules.generators.cleared_from).then_some(o.addr + at),
        (_, _, Some(at)) => o.addr(at).ok().filter(|frame| !frame.is_null()),
        _ => None,
    }?;
    let code = frame_code(heap, frame).ok().filter(|code| !code.is_null())?;
    let globals = heap.layout.iframe.map(|i| i.globals).or(f.frame.f_globals)?;
    Some(Call {
        name: heap.name(o.addr(f.gen.gi_qualname).ok()?)?,
        code,
        globals: heap.image.addr(frame + globals).ok()?,
        line: lines::current_line(heap, frame),
        inside: inside(heap, frame, code),
        begun: match f.gen.gi_frame_state {
            Some(at) if heap.layout.iframe.is_some() => o.u8(at).ok()? as i8 != heap.layout.rules.generators.created,
            _ => lines::last_instruction(heap, frame).is_none_or(|at| at >= 0),
        },
    })
}

/// Fields that a type of asyncio's has, of which few other types have so many.
const TASK_FIELDS_LEAST: usize = 8;

/// The name of a task of asyncio's C implementation; `None` of anything else.
pub fn task_name(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo) -> Option<String> {
    let fields = &t.decoder.fields;
    if t.decoder.kind != Kind::Plain || fields.len() < TASK_FIELDS_LEAST || !fields.iter().any(|f| f.name == "coro") {
        return None;
    }
    let name = o.addr(fields.iter().find(|f| f.name == "name")?.offset).ok().filter(|name| !name.is_null())?;
    heap.name(name).or_else(|| {
        let number = heap.obj(name).ok()?;
        let (digits, negative) = heap.int_digits(&number).ok().filter(|(digits, negative)| *digits < 2 && !negative)?;
        let number = if digits == 0 { 0 } else { heap.image.u32(name + 24).ok()? };
        (!negative).then(|| format!("Task-{number}"))
    })
}

/// What a container says of its own bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// It could have one and has none.
    None,
    /// It holds no more than this.
    AtMost(u64),
}

/// The `maxlen` of a deque, the `maxsize` of an lru_cache; `None` of anything else.
pub fn bound(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo) -> Option<Bound> {
    let at = match t.decoder.kind {
        Kind::Deque => heap.layout.table.offset("dequeobject", "maxlen"),
        Kind::LruCache => heap.layout.table.offset("lru_cache_object", "maxsize"),
        _ => None,
    }?;
    Some(u64::try_from(o.i64(at).ok()?).map_or(Bound::None, Bound::AtMost))
}
