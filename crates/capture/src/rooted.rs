//! References from what is no object: frames, threads, interpreters, and the variables of C code in mapped binaries.
//!
//! Holds: [`root_edges`]. A field that is known by name is told as such; of the rest each word that is an object's address is told as
//! uncertain: it may be a leftover. Bounded by [`SCANNED_MOST`].

use std::path::Path;

use cpython::{roots, Heap, Label};
use memory::{Addr, Memory};
use rustc_hash::FxHashSet;
use snapshot::RootPlace;

use crate::edges::{Edge, Teller};
use crate::reach::Reached;

/// Most objects that scanned words are told of.
const SCANNED_MOST: usize = 1 << 22;

/// One reference from a root.
pub(crate) struct RootEdge {
    pub(crate) place: RootPlace,
    /// `thread 0x7f…, frame of f`, `interpreter`, `static data of libfoo.so`.
    pub(crate) root: String,
    pub(crate) edge: Edge,
}

/// All of them. What a scan finds is told once for each object, at the first place. `is_object` knows what was found.
pub(crate) fn root_edges(reached: &Reached<'_, '_>, is_object: &dyn Fn(Addr) -> bool) -> Vec<RootEdge> {
    let world = reached.world();
    let heap = &world.heap;
    let mut all = All { reached, is_object, edges: Vec::new(), scanned: FxHashSet::default() };
    for &interpreter in &world.interpreters {
        for thread in roots::threads(heap, interpreter).all {
            all.frames(thread, &thread_name(heap, interpreter, thread));
        }
    }
    for &interpreter in &world.interpreters {
        let name = interpreter_name(heap, interpreter);
        all.fields(interpreter, &name);
        all.words(RootPlace::Interpreter, &name, interpreter, heap.layout.at.interpreter.size);
        for thread in roots::threads(heap, interpreter).all {
            all.words(RootPlace::Thread, &thread_name(heap, interpreter, thread), thread.at, heap.layout.at.thread.size);
        }
    }
    for range in reached.shared.statics.ranges() {
        let mapping = world.source.mappings.iter().find(|m| m.start.0 <= range.start && range.start < m.end.0);
        if let Some(mapping) = mapping.filter(|m| m.write) {
            // What stands behind a file's last mapping is its .bss, and has no name of its own.
            let named = Some(mapping.path.as_str()).filter(|path| !path.is_empty());
            let before = world.source.mappings.iter().rev().find(|m| m.end == mapping.start).map(|m| m.path.as_str());
            let path = named.or(before).unwrap_or("?");
            let file = Path::new(path).file_name().map_or_else(|| "?".into(), |name| name.to_string_lossy());
            all.words(RootPlace::Static, &format!("static data of {file}"), Addr(range.start), range.end.saturating_sub(range.start));
        }
    }
    all.edges
}

/// `interpreter`, and with its number where it is not the main one.
fn interpreter_name(heap: &Heap<'_>, interpreter: Addr) -> String {
    match roots::interpreter_number(heap, interpreter) {
        _ if interpreter == heap.main_interpreter() => "interpreter".to_owned(),
        Some(number) => format!("interpreter {number}"),
        None => format!("interpreter at {interpreter}"),
    }
}

/// `thread 0x7f…`, and its interpreter where that is not the main one.
fn thread_name(heap: &Heap<'_>, interpreter: Addr, thread: roots::Thread) -> String {
    let name = format!("thread {:#x}", thread.thread_id);
    match interpreter == heap.main_interpreter() {
        true => name,
        false => format!("{name} of {}", interpreter_name(heap, interpreter)),
    }
}

struct All<'r, 'w, 'm> {
    reached: &'r Reached<'w, 'm>,
    is_object: &'r dyn Fn(Addr) -> bool,
    edges: Vec<RootEdge>,
    scanned: FxHashSet<Addr>,
}

impl All<'_, '_, '_> {
    fn tell(&mut self, place: RootPlace, root: &str, to: Addr, label: Label, certain: bool) {
        let (edges, root) = (&mut self.edges, root.to_owned());
        let mut teller = Teller::new(|edge| edges.push(RootEdge { place, root: root.clone(), edge }));
        match certain {
            true => cpython::visit::Visitor::reference(&mut teller, to, label),
            false => cpython::visit::Visitor::scanned(&mut teller, to, label),
        }
    }

    /// What the frames of a thread hold; where frames are objects (≤3.10), the innermost one, which holds the others.
    fn frames(&mut self, thread: roots::Thread, name: &str) {
        let heap = &self.reached.world().heap;
        let frames = roots::frames(heap, thread).all;
        if heap.layout.iframe.is_none() {
            if let Some(&frame) = frames.first().filter(|frame| (self.is_object)(**frame)) {
                // The C function that runs it holds the count.
                self.tell(RootPlace::Frame, name, frame, Label::Field("frame"), false);
            }
            return;
        }
        for frame in frames {
            if !roots::is_python_frame(heap, frame) || !roots::runs_code(heap, frame) {
                continue;
            }
            let code = roots::frame_code(heap, frame).unwrap_or_default();
            let function = heap.layout.at.code.co_qualname.and_then(|q| heap.image.addr(code + q).ok()).and_then(|q| heap.name(q));
            let root = format!("{name}, frame of {}", function.as_deref().unwrap_or("?"));
            let edges = &mut self.edges;
            let mut teller = Teller::new(|edge| edges.push(RootEdge { place: RootPlace::Frame, root: root.clone(), edge }));
            teller.begin(false, code);
            let _ = roots::frame_contents(heap, frame, &mut teller);
        }
    }

    /// Fields of an interpreter that are known by name.
    fn fields(&mut self, interpreter: Addr, name: &str) {
        let heap = &self.reached.world().heap;
        for (field, shown) in [("imports.modules", "modules"), ("modules", "modules"), ("sysdict", "sysdict"), ("builtins", "builtins")] {
            let to = heap.layout.table.offset("_is", field).and_then(|offset| heap.image.addr(interpreter + offset).ok());
            if let Some(to) = to.filter(|to| (self.is_object)(*to)) {
                if self.scanned.insert(to) {
                    self.tell(RootPlace::Interpreter, name, to, Label::Field(shown), true);
                }
            }
        }
    }

    /// Words that are the address of an object.
    fn words(&mut self, place: RootPlace, name: &str, at: Addr, bytes: u64) {
        let image = self.reached.world().source.image;
        let Ok(window) = image.slice(at, bytes as usize & !7) else { return };
        for (i, w) in window.chunks_exact(8).enumerate() {
            let to = Addr(u64::from_le_bytes([w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]]));
            if to.0 % 8 == 0 && self.scanned.len() < SCANNED_MOST && (self.is_object)(to) && self.scanned.insert(to) {
                self.tell(place, name, to, Label::Scanned(u32::try_from(i * 8).unwrap_or(u32::MAX)), false);
            }
        }
    }
}
