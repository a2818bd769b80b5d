//! One object, looked at closely: what it refers to and what refers to it, with labels.

use cpython::types::TypeInfo;
use cpython::visit::{Torn, Visitor};
use cpython::{roots, Heap, Obj};
use memory::{Addr, Bytes};
use rustc_hash::FxHashSet;
use snapshot::{Found, Holder, Inspected, Known, Label, LinkKind, Reference, References, State};

use crate::briefs::brief;
use crate::edges::{name_text, Edge, Teller};
use crate::reach::Reached;
use crate::rooted::{root_edges, RootEdge};
use crate::worker::{RefCount, Worker};

/// Most references that are shown in one direction; the total is always told.
const SHOWN: usize = 1000;

/// `None` where no object was found at `address`.
pub(crate) fn inspect(reached: &Reached<'_, '_>, address: Addr, values: bool) -> Option<Inspected> {
    if !reached.is_object(address) {
        return None;
    }
    let heap = &reached.world().heap;
    let o = heap.obj(address).ok()?;
    let t = heap.type_at(o.ty().ok()?)?;
    let (references_in, explained_refs) = incoming(reached, address, values);
    let is_namespace = !namespaces(reached, FxHashSet::from_iter([address])).is_empty();
    let mut out = First { heap, all: Vec::new(), last: None, total: 0 };
    let mut teller = Teller::new(|e: Edge| {
        if reached.is_object(e.to) {
            out.add(e);
        }
    });
    teller.begin(is_namespace, frame_object_code(heap, &o).unwrap_or_default());
    let mut owned = Owned(Vec::new());
    let own = heap.decode(&o, &t, &mut owned).unwrap_or(t.pre + t.basic);
    // What was told before a fault stands.
    let _ = heap.decode(&o, &t, &mut teller);
    let count = heap.refcount(&o);
    let measure = Worker::new(&reached.shared, false);
    let footprint = measure.footprint(&o, &t, own, &owned.0);
    let collector = reached.shared.collector(&o, &t);
    let found = if reached.swept.binary_search(&address).is_ok() { Found::Sweep } else { found(collector) };

    out.cut();
    let total = out.total;
    let shown = out.all.iter().map(|e| Named::of(heap, e).reference(heap, e.to, values)).collect();
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

/// The first references of an object, in the order in which they are shown, and how many there are. A list of a hundred million takes no
/// more room than one of [`KEPT`]: kept whole, its references with their names took 11 GiB to show a thousand.
struct First<'h, 'm> {
    heap: &'h Heap<'m>,
    all: Vec<Edge>,
    /// The last that is shown, once there are enough.
    last: Option<(LinkKind, u32, LinkKind)>,
    total: u64,
}

/// References that are kept before those that will not be shown are dropped.
const KEPT: usize = 64 * SHOWN;

impl First<'_, '_> {
    fn add(&mut self, edge: Edge) {
        self.total += 1;
        if self.last.is_some_and(|last| edge.kind.order(edge.position) > last) {
            return;
        }
        self.all.push(edge);
        if self.all.len() >= KEPT {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let mut named: Vec<Named> = self.all.iter().map(|e| Named::of(self.heap, e)).collect();
        named.sort_by(|a, b| a.order().cmp(&b.order()));
        let more = named.len() >= SHOWN;
        named.truncate(SHOWN);
        self.last = named.last().filter(|_| more).map(|n| n.order().0);
        self.all = named.iter().map(|n| *n.edge).collect();
    }
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
    let holders = reached
        .for_each(
            || (To { target, found: false }, Vec::new()),
            |(to, all), o, t| {
                to.found = false;
                // What was told before a fault stands.
                let _ = heap.decode(o, t, to);
                if to.found {
                    all.push(o.addr);
                }
            },
        )
        .into_iter()
        .flat_map(|(_, all)| all);
    let mut holders: Vec<Addr> = holders.collect();
    holders.sort_unstable();
    let namespaces = namespaces(reached, holders.iter().copied().collect());
    let (mut shown, mut total, mut certain) = (Vec::new(), 0, 0);
    for from in holders {
        let Ok(o) = heap.obj(from) else { continue };
        let Some(t) = o.ty().ok().and_then(|t| heap.type_at(t)) else { continue };
        let mut edges = Vec::new();
        let mut teller = Teller::new(|e: Edge| {
            if e.to == target {
                edges.push(e);
            }
        });
        teller.begin(namespaces.contains(&from), frame_object_code(heap, &o).unwrap_or_default());
        let _ = heap.decode(&o, &t, &mut teller);
        total += edges.len() as u64;
        certain += edges.iter().filter(|e| e.certain).count() as u64;
        let mut named: Vec<Named> = edges.iter().map(|e| Named::of(heap, e)).collect();
        named.sort_by(|a, b| a.order().cmp(&b.order()));
        let room = SHOWN.saturating_sub(shown.len());
        shown.extend(named.iter().take(room).map(|n| n.reference(heap, from, values)));
    }
    for RootEdge { root, edge, .. } in root_edges(reached, &|at| reached.is_object(at)).into_iter().filter(|root| root.edge.to == target) {
        total += 1;
        certain += u64::from(edge.certain);
        if shown.len() < SHOWN {
            let named = Named::of(heap, &edge);
            shown.push(Reference { label: named.label(heap, values), other: Holder::Root { name: root }, certain: edge.certain });
        }
    }
    (References { shown, total }, certain)
}

/// Whether an object refers to one.
struct To {
    target: Addr,
    found: bool,
}

impl Visitor for To {
    #[inline]
    fn reference(&mut self, to: Addr, _: cpython::Label) {
        self.found |= to == self.target;
    }
    #[inline]
    fn hidden(&mut self, to: Addr, label: cpython::Label) {
        self.reference(to, label);
    }
    #[inline]
    fn scanned(&mut self, to: Addr, label: cpython::Label) {
        self.reference(to, label);
    }
    fn owns(&mut self, _: Addr, _: u64) {}
    fn torn(&mut self, _: Torn) {}
}

/// The blocks that an object owns.
struct Owned(Vec<(Addr, u64)>);

impl Visitor for Owned {
    fn reference(&mut self, _: Addr, _: cpython::Label) {}
    fn hidden(&mut self, _: Addr, _: cpython::Label) {}
    fn scanned(&mut self, _: Addr, _: cpython::Label) {}
    fn owns(&mut self, at: Addr, bytes: u64) {
        self.0.push((at, bytes));
    }
    fn torn(&mut self, _: Torn) {}
}

/// An edge with its name read.
struct Named<'e> {
    edge: &'e Edge,
    kind: LinkKind,
    name: Option<String>,
}

impl<'e> Named<'e> {
    fn of(heap: &Heap<'_>, edge: &'e Edge) -> Named<'e> {
        Named { edge, kind: edge.kind, name: name_text(heap, edge.name) }
    }

    fn order(&self) -> ((LinkKind, u32, LinkKind), Option<&str>, bool) {
        (self.kind.order(self.edge.position), self.name.as_deref(), !self.edge.certain)
    }

    fn label(&self, heap: &Heap<'_>, values: bool) -> Label {
        let key = || brief(heap, self.edge.key, values);
        Label::of(self.kind, self.name.clone(), self.edge.position, key)
    }

    fn reference(&self, heap: &Heap<'_>, other: Addr, values: bool) -> Reference {
        Reference { label: self.label(heap, values), other: holder(heap, other, values), certain: self.edge.certain }
    }
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

/// The code of a frame object or of a generator.
pub(crate) fn frame_object_code(heap: &Heap<'_>, o: &Obj<'_>) -> Option<Addr> {
    let f = &heap.layout.at;
    let t = heap.type_at(o.ty().ok()?)?;
    match (t.decoder.kind, heap.layout.iframe) {
        (cpython::objects::Kind::Frame, Some(_)) => roots::frame_code(heap, o.addr(f.frame.f_frame?).ok()?).ok(),
        (cpython::objects::Kind::Frame, None) => o.addr(f.frame.f_code?).ok(),
        (cpython::objects::Kind::Generator, Some(_)) => roots::frame_code(heap, o.addr + f.gen.gi_iframe?).ok(),
        _ => None,
    }
}
