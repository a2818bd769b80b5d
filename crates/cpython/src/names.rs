//! Strings and names of the target: decoding str objects, finding a key in a dict, naming a type.
//!
//! Bounded: a name is cut at [`crate::heap::NAME_BOUND`], a value at what the caller asks.

use memory::{Addr, Fault, Memory};

use crate::heap::{Heap, Obj, NAME_BOUND};
use crate::objects::{dict, Kind};
use crate::visit::{Label, Torn, Visitor};

/// The parts of a str's state word (`PyASCIIObject.state`, same bits in 3.8–3.13).
#[derive(Clone, Copy, Debug)]
pub struct StrState {
    /// Bytes per character: 1, 2, 4; 0 for a legacy string that is not ready.
    pub kind: u64,
    /// Characters follow the struct.
    pub compact: bool,
    /// All below 128.
    pub ascii: bool,
    /// Interned.
    pub interned: bool,
}

impl StrState {
    /// From the word.
    #[inline]
    pub fn new(word: u32) -> StrState {
        StrState { interned: word & 3 != 0, kind: u64::from(word >> 2 & 7), compact: word >> 5 & 1 == 1, ascii: word >> 6 & 1 == 1 }
    }
}

impl Heap<'_> {
    /// The text of a str object, at most `max` characters.
    pub fn text(&self, at: Addr, max: usize) -> Result<String, Fault> {
        let f = &self.layout.at;
        let o = self.obj(at)?;
        let state = StrState::new(o.u32(f.ascii.state)?);
        let length = (o.u64(f.ascii.length as i64)? as usize).min(max);
        let data = match (state.compact, state.ascii) {
            (true, true) => at + f.ascii.size,
            (true, false) => at + f.compact.size,
            _ => o.addr(f.unicode.data)?,
        };
        if length == 0 {
            return Ok(String::new());
        }
        let raw = self.image.slice(data, length.saturating_mul(state.kind as usize))?;
        Ok(match state.kind {
            1 => raw.iter().map(|&b| char::from(b)).collect(),
            2 => raw.chunks_exact(2).map(|c| char::from_u32(u32::from(u16::from_le_bytes([c[0], c[1]]))).unwrap_or('\u{fffd}')).collect(),
            4 => raw.chunks_exact(4).map(|c| char::from_u32(u32::from_le_bytes([c[0], c[1], c[2], c[3]])).unwrap_or('\u{fffd}')).collect(),
            _ => String::new(),
        })
    }

    /// Whether a str object stands at `at`.
    pub fn is_str(&self, at: Addr) -> bool {
        self.obj(at).and_then(|o| o.ty()).ok().and_then(|t| self.type_at(t)).is_some_and(|t| t.is_str())
    }

    /// A short name: the text of a str object, cut.
    pub fn name(&self, at: Addr) -> Option<String> {
        if !self.is_str(at) {
            return None;
        }
        self.text(at, NAME_BOUND).ok()
    }

    /// The value under a str key of the dict at `dict`, comparing text.
    pub fn dict_get(&self, dict: Addr, key: &str) -> Result<Option<Addr>, Fault> {
        let o = self.obj(dict)?;
        let mut found = None;
        let entries = dict::entries(self, &o)?;
        for e in entries.iter() {
            // Length first: decoding every key of every class would be the slowest thing here.
            let state = self.image.u32(e.key + self.layout.at.ascii.state);
            if found.is_none()
                && state.is_ok_and(|s| StrState::new(s).ascii)
                && self.image.u64(e.key + self.layout.at.ascii.length) == Ok(key.len() as u64)
                && self.text(e.key, key.len()).is_ok_and(|t| t == key)
            {
                found = Some(e.value);
            }
        }
        Ok(found)
    }
}

/// Longest path that is read.
const PATH_BOUND: usize = 4096;

/// The file of a module: `__file__`, or else the origin that its spec tells.
pub fn module_file(heap: &Heap<'_>, module: &Obj<'_>) -> Option<String> {
    let dict = module.addr(heap.layout.at.module.md_dict).ok().filter(|d| !d.is_null())?;
    let text = |at: Addr| if heap.is_str(at) { heap.text(at, PATH_BOUND).ok() } else { None };
    let file = heap.dict_get(dict, "__file__").ok().flatten().and_then(text);
    file.or_else(|| attribute(heap, heap.dict_get(dict, "__spec__").ok()??, "origin").and_then(text))
}

/// The line on which the statement of a class begins: `__firstlineno__`, an int in its dict since 3.13 (`compiler_class` in
/// `Python/compile.c` of 3.13); nothing for other classes.
pub fn class_line(heap: &Heap<'_>, class: Addr) -> Option<u32> {
    let dict = heap.image.addr(class + heap.layout.at.ty.tp_dict).ok().filter(|dict| !dict.is_null())?;
    let line = heap.obj(heap.dict_get(dict, "__firstlineno__").ok()??).ok()?;
    let is_int = heap.type_at(line.ty().ok()?)?.decoder.kind == Kind::Int;
    heap.small_int(&line).ok().flatten().filter(|_| is_int).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0)
}

/// An attribute of an instance's own, wherever it is kept.
fn attribute(heap: &Heap<'_>, at: Addr, name: &str) -> Option<Addr> {
    struct Find<'h, 'm> {
        heap: &'h Heap<'m>,
        name: &'h str,
        found: Option<Addr>,
        dict: Option<Addr>,
    }
    impl Visitor for Find<'_, '_> {
        fn reference(&mut self, to: Addr, label: Label) {
            match label {
                Label::Attribute(name) if self.heap.name(name).as_deref() == Some(self.name) => self.found = Some(to),
                Label::Field("__dict__") => self.dict = Some(to),
                _ => {}
            }
        }
        fn hidden(&mut self, to: Addr, label: Label) {
            self.reference(to, label);
        }
        fn scanned(&mut self, _: Addr, _: Label) {}
        fn owns(&mut self, _: Addr, _: u64) {}
        fn torn(&mut self, _: Torn) {}
    }
    let o = heap.obj(at).ok()?;
    let t = heap.type_at(o.ty().ok()?)?;
    let mut find = Find { heap, name, found: None, dict: None };
    heap.decode(&o, &t, &mut find).ok()?;
    find.found.or_else(|| heap.dict_get(find.dict?, name).ok().flatten())
}
