//! One object, looked at closely: what it refers to and what refers to it, with labels.

use cpython::types::TypeInfo;
use cpython::visit::{Torn, Visitor};
use cpython::{roots, Heap, Obj};
use memory::{Addr, Bytes, Memory};
use rustc_hash::FxHashSet;
use snapshot::{Found, Holder, Inspected, Known, Label, Reference, References, State};

use crate::briefs::{brief, keys_are_names};
use crate::reach::Reached;
use crate::worker::{RefCount, Worker};

/// Most references that are shown in one direction; the total is always told.
const SHOWN: usize = 1000;

/// One reference as a decoder tells it.
#[derive(Clone, Copy)]
struct Edge {
    to: Addr,
    label: cpython::Label,
    certain: bool,
}

/// Collects all references of one object, and what it owns.
#[derive(Default)]
struct Edges {
    all: Vec<Edge>,
    owned: Vec<(Addr, u64)>,
}

impl Visitor for Edges {
    fn reference(&mut self, to: Addr, label: cpython::Label) {
        self.all.push(Edge { to, label, certain: true });
    }
    fn hidden(&mut self, to: Addr, label: cpython::Label) {
        self.all.push(Edge { to, label, certain: true });
    }
    fn scanned(&mut self, to: Addr, label: cpython::Label) {
        self.all.push(Edge { to, label, certain: false });
    }
    fn owns(&mut self, at: Addr, bytes: u64) {
        self.owned.push((at, bytes));
    }
    fn torn(&mut self, _: Torn) {}
}

/// Only the references to one object.
struct To {
    target: Addr,
    found: Vec<Edge>,
}

impl Visitor for To {
    #[inline]
    fn reference(&mut self, to: Addr, label: cpython::Label) {
        if to == self.target {
            self.found.push(Edge { to, label, certain: true });
        }
    }
    #[inline]
    fn hidden(&mut self, to: Addr, label: cpython::Label) {
        self.reference(to, label);
    }
    #[inline]
    fn scanned(&mut self, to: Addr, label: cpython::Label) {
        if to == self.target {
            self.found.push(Edge { to, label, certain: false });
        }
    }
    fn owns(&mut self, _: Addr, _: u64) {}
    fn torn(&mut self, _: Torn) {}
}

/// `None` where no object was found at `address`.
pub(crate) fn inspect(reached: &Reached<'_, '_>, address: Addr, values: bool) -> Option<Inspected> {
    if !reached.is_object(address) {
        return None;
    }
    let heap = &reached.world().heap;
    let o = heap.obj(address).ok()?;
    let t = heap.type_at(o.ty().ok()?)?;
    let mut edges = Edges::default();
    let own = heap.decode(&o, &t, &mut edges).unwrap_or(t.pre + t.basic);
    let count = heap.refcount(&o);
    let measure = Worker::new(&reached.shared, false);
    let footprint = measure.footprint(&o, &t, own, &edges.owned);
    let collector = measure.collector(&o, &t);
    let found = if reached.swept.binary_search(&address).is_ok() { Found::Sweep } else { found(collector) };

    let (references_in, explained_refs) = incoming(reached, address, values);
    let is_namespace = references_in.shown.iter().any(|r| r.label == Label::Field("__dict__".to_owned())) || keys_are_names(heap, address);
    let out: Vec<Edge> = edges.all.into_iter().filter(|e| e.certain || reached.is_object(e.to)).collect();
    let total = out.len() as u64;
    let shown = out
        .iter()
        .take(SHOWN)
        .map(|e| Reference { label: label(heap, &o, e.label, is_namespace, values), other: holder(heap, e.to, values), certain: e.certain })
        .collect();
    Some(Inspected {
        address,
        type_name: t.name.clone(),
        type_address: t.addr,
        brief: brief(heap, address, values),
        own_bytes: Bytes(own),
        footprint_bytes: Bytes(footprint),
        known: known(&t),
        refcount: count.count,
        explained_refs,
        state: State::new(collector, found, count.immortal),
        references_out: References { shown, total },
        references_in,
    })
}

fn found(collector: snapshot::Collector) -> Found {
    match collector {
        snapshot::Collector::Without | snapshot::Collector::Untracked => Found::Reference,
        _ => Found::List,
    }
}

pub(crate) fn known(t: &TypeInfo) -> Known {
    match t.known {
        cpython::types::Known::Exact => Known::Exact,
        cpython::types::Known::Derived => Known::Derived,
        cpython::types::Known::Scanned => Known::Scanned,
    }
}

fn holder(heap: &Heap<'_>, at: Addr, values: bool) -> Holder {
    let type_name = heap.obj(at).and_then(|o| o.ty()).ok().and_then(|t| heap.type_at(t)).map(|t| t.name.clone());
    Holder::Object { address: at, type_name: type_name.unwrap_or_else(|| "?".to_owned()), brief: brief(heap, at, values) }
}

/// All references to `target`, from objects and from roots, and how many of them are certain.
fn incoming(reached: &Reached<'_, '_>, target: Addr, values: bool) -> (References, u64) {
    let heap = &reached.world().heap;
    let mut found: Vec<(Addr, Edge)> = reached
        .for_each(
            || (To { target, found: Vec::new() }, Vec::new()),
            |(to, all), o, t| {
                // What was told before a fault stands.
                let _ = heap.decode(o, t, to);
                all.extend(to.found.drain(..).map(|e| (o.addr, e)));
            },
        )
        .into_iter()
        .flat_map(|(_, all)| all)
        .collect();
    found.sort_by_key(|(from, _)| *from);
    let mut total = found.len() as u64;
    let mut certain = found.iter().filter(|(_, e)| e.certain).count() as u64;
    let namespaces = namespaces(reached, found.iter().take(SHOWN).map(|(from, _)| *from).collect());
    let mut shown: Vec<Reference> = found
        .iter()
        .take(SHOWN)
        .filter_map(|(from, e)| {
            let o = heap.obj(*from).ok()?;
            let named = namespaces.contains(from) || keys_are_names(heap, *from);
            Some(Reference { label: label(heap, &o, e.label, named, values), other: holder(heap, *from, values), certain: e.certain })
        })
        .collect();
    for reference in from_frames(reached, target) {
        total += 1;
        certain += u64::from(reference.certain);
        if shown.len() < SHOWN {
            shown.push(reference);
        }
    }
    (References { shown, total }, certain)
}

/// Which of these dicts are the `__dict__` of something: their keys are names.
fn namespaces(reached: &Reached<'_, '_>, dicts: FxHashSet<Addr>) -> FxHashSet<Addr> {
    struct Dictionaries<'a> {
        among: &'a FxHashSet<Addr>,
        found: FxHashSet<Addr>,
    }
    impl Visitor for Dictionaries<'_> {
        fn reference(&mut self, to: Addr, label: cpython::Label) {
            if label == cpython::Label::Field("__dict__") && self.among.contains(&to) {
                self.found.insert(to);
            }
        }
        fn hidden(&mut self, to: Addr, label: cpython::Label) {
            self.reference(to, label);
        }
        fn scanned(&mut self, _: Addr, _: cpython::Label) {}
        fn owns(&mut self, _: Addr, _: u64) {}
        fn torn(&mut self, _: Torn) {}
    }
    if dicts.is_empty() {
        return dicts;
    }
    let heap = &reached.world().heap;
    reached
        .for_each(
            || Dictionaries { among: &dicts, found: FxHashSet::default() },
            |d, o, t| {
                let _ = heap.decode(o, t, d);
            },
        )
        .into_iter()
        .flat_map(|d| d.found)
        .collect()
}

/// References from the frames of all threads. Where frames are objects (≤3.10), they are found among the objects.
fn from_frames(reached: &Reached<'_, '_>, target: Addr) -> Vec<Reference> {
    let world = reached.world();
    let heap = &world.heap;
    let mut all = Vec::new();
    for &interpreter in &world.interpreters {
        for thread in roots::threads(heap, interpreter).unwrap_or_default() {
            for frame in roots::frames(heap, thread).unwrap_or_default() {
                let code = roots::frame_code(heap, frame).unwrap_or_default();
                let mut to = To { target, found: Vec::new() };
                if heap.layout.iframe.is_none() || !roots::is_python_frame(heap, frame) {
                    continue;
                }
                let _ = roots::frame_contents(heap, frame, &mut to);
                let function = heap.layout.at.code.co_qualname.and_then(|q| heap.image.addr(code + q).ok()).and_then(|q| heap.name(q));
                for e in to.found {
                    let name = format!("thread {:#x}, frame of {}", thread.thread_id, function.as_deref().unwrap_or("?"));
                    let label = match e.label {
                        cpython::Label::Local(i) => local(heap, code, i),
                        other => plain_label(heap, other),
                    };
                    all.push(Reference { label, other: Holder::Root { name }, certain: e.certain });
                }
            }
        }
    }
    all
}

/// A decoder's label in words.
fn label(heap: &Heap<'_>, holder: &Obj<'_>, label: cpython::Label, names: bool, values: bool) -> Label {
    match label {
        cpython::Label::Value(key) if names => match heap.name(key) {
            Some(name) => Label::Attribute(name),
            None => Label::Value(brief(heap, key, values)),
        },
        cpython::Label::Value(key) => Label::Value(brief(heap, key, values)),
        cpython::Label::Local(i) => {
            let code = frame_object_code(heap, holder).unwrap_or_default();
            local(heap, code, i)
        }
        other => plain_label(heap, other),
    }
}

fn plain_label(heap: &Heap<'_>, label: cpython::Label) -> Label {
    match label {
        cpython::Label::Type => Label::Type,
        cpython::Label::Field("cell_contents") => Label::Cell,
        cpython::Label::Field("__base__") => Label::Base(0),
        cpython::Label::Field(name) => Label::Field(name.to_owned()),
        cpython::Label::Attribute(name) => Label::Attribute(heap.name(name).unwrap_or_else(|| "?".to_owned())),
        cpython::Label::Key(i) => Label::Key(i),
        cpython::Label::Member => Label::Member,
        cpython::Label::Value(_) => Label::Field("value".to_owned()),
        cpython::Label::Item(i) => Label::Index(i),
        cpython::Label::Slot(name) => Label::Slot(heap.c_str(name).unwrap_or_else(|_| "?".to_owned())),
        cpython::Label::Local(i) => Label::Local(format!("#{i}")),
        cpython::Label::Stack(i) => Label::Stack(u64::from(i)),
        cpython::Label::Scanned(at) | cpython::Label::ScannedBlock(at) => Label::Scanned(u64::from(at)),
    }
}

/// The code of a frame object or of a generator.
fn frame_object_code(heap: &Heap<'_>, o: &Obj<'_>) -> Option<Addr> {
    let f = &heap.layout.at;
    let t = heap.type_at(o.ty().ok()?)?;
    match (t.decoder.kind, heap.layout.iframe) {
        (cpython::objects::Kind::Frame, Some(i)) => heap.image.addr(o.addr(f.frame.f_frame?).ok()? + i.code).ok(),
        (cpython::objects::Kind::Frame, None) => o.addr(f.frame.f_code?).ok(),
        (cpython::objects::Kind::Generator, Some(i)) => o.addr(f.gen.gi_iframe? + i.code).ok(),
        _ => None,
    }
}

/// The name of slot `i` of a frame of `code`.
fn local(heap: &Heap<'_>, code: Addr, i: u32) -> Label {
    let name = || {
        let c = &heap.layout.at.code;
        let item = heap.layout.at.tuple.ob_item;
        let pick = |names: Addr, i: u64| {
            let n = heap.image.u64(names + 16).ok()?;
            (i < n).then(|| heap.image.addr(names + item + i * 8).ok()).flatten().and_then(|a| heap.name(a))
        };
        if let Some(all) = c.co_localsplusnames {
            return pick(heap.image.addr(code + all).ok()?, u64::from(i));
        }
        // ≤3.10: locals, then cells, then free variables.
        let mut i = u64::from(i);
        for names in [c.co_varnames?, c.co_cellvars?, c.co_freevars?] {
            let names = heap.image.addr(code + names).ok()?;
            let n = heap.image.u64(names + 16).ok()?;
            if i < n {
                return pick(names, i);
            }
            i -= n;
        }
        None
    };
    Label::Local(name().unwrap_or_else(|| format!("#{i}")))
}
