//! One chunk of objects, read a second time: each gives its row and its references. For a file they are packed at once by the thread that
//! made them; for questions about the graph they are given as they are.

use cpython::heap::TypeCache;
use cpython::objects::Kind;
use cpython::types::TypeInfo;
use cpython::visit::{Torn, Visitor};
use cpython::weakrefs::weak_link;
use cpython::{calls, handlers, names, Label, Obj};
use memory::{Addr, Bytes, Memory};
use rayon::prelude::*;
use snapshot::file::{FileError, ObjectRows, PackedLinks, PackedObjects, Packer};
use snapshot::{BoundRow, CallRow, CodeRow, Details, Facts, ModuleRow, Object, Objects, Shape, State, TaskRow, Unit, WeakRow};

use crate::briefs;
use crate::edges::{Edge, Teller};
use crate::facts::{Elements, Noter};
use crate::fingerprint::FingerprintKey;
use crate::gather::{Buffers, Gather, Link, Told};
use crate::ids::{Chunk, Ids, Piece};
use crate::inspect::frame_object_code;
use crate::labels::Key;
use crate::reach::{found, Reached};
use crate::worker::{RefCount, Shared};

/// Chunks for each thread that may be packed before any of them is written: many, since what is packed is small and threads
/// that are done early wait for the others.
const CHUNKS_A_THREAD: usize = 8;
/// The same for those that are kept as they are: few, since nothing packs them.
const KEPT_A_THREAD: usize = 4;

/// What all threads read.
pub(crate) struct Walk<'a, 'w, 'm> {
    pub(crate) reached: &'a Reached<'w, 'm>,
    pub(crate) ids: &'a Ids<'w, 'm>,
    /// Packs rows; without it they are given as they are.
    pub(crate) packer: Option<&'a Packer>,
    /// Notes what is kept instead of values, with fingerprints by this key.
    pub(crate) key: Option<FingerprintKey>,
    /// Values were asked for.
    pub(crate) values: bool,
}

/// A chunk that was read.
pub(crate) struct Done {
    pub(crate) rows: Rows,
    pub(crate) labels: Vec<Key>,
    pub(crate) codes: Vec<CodeRow>,
    pub(crate) modules: Vec<ModuleRow>,
    pub(crate) said: Said,
}

/// What objects say of themselves.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) calls: Vec<CallRow>,
    pub(crate) tasks: Vec<TaskRow>,
    pub(crate) bounds: Vec<BoundRow>,
    pub(crate) weakrefs: Vec<WeakRow>,
}

impl Said {
    pub(crate) fn add_to(mut self, details: &mut Details) {
        details.calls.append(&mut self.calls);
        details.tasks.append(&mut self.tasks);
        details.bounds.append(&mut self.bounds);
        details.weakrefs.get_or_insert_default().append(&mut self.weakrefs);
    }
}

/// The rows of a chunk.
pub(crate) enum Rows {
    /// For a file.
    Packed {
        objects: PackedObjects,
        /// Groups of references, with the number of references of each label of the chunk.
        links: Vec<(PackedLinks, Vec<u32>)>,
    },
    /// As they are.
    Plain(Box<Plain>),
}

/// Rows as they are.
pub(crate) struct Plain {
    pub(crate) objects: Objects,
    /// References by holder.
    pub(crate) links: Vec<Link>,
    pub(crate) facts: Facts,
    pub(crate) lengths: Vec<u64>,
}

/// One thread's room, used again for each chunk.
struct Room<'w, 'm> {
    types: TypeCache<'w, 'm>,
    rows: ObjectRows,
    buffers: Buffers,
    noter: Option<Noter<'w, 'm>>,
}

impl<'w, 'm> Room<'w, 'm> {
    fn new(reached: &Reached<'w, 'm>, key: Option<FingerprintKey>) -> Self {
        let heap = &reached.world().heap;
        let noter = key.map(|key| Noter::new(heap, key));
        Room { types: TypeCache::new(heap), rows: ObjectRows::default(), buffers: Buffers::default(), noter }
    }
}

impl<'w, 'm> Walk<'_, 'w, 'm> {
    /// Reads all chunks, on all cores, and gives them to `each` in their order.
    pub(crate) fn all(&self, mut each: impl FnMut(Done) -> Result<(), FileError>) -> Result<(), FileError> {
        let each_thread = if self.packer.is_some() { CHUNKS_A_THREAD } else { KEPT_A_THREAD };
        for chunks in self.ids.chunks.chunks(rayon::current_num_threads() * each_thread) {
            let done: Vec<_> =
                chunks.par_iter().map_init(|| Room::new(self.reached, self.key), |room, chunk| self.chunk(room, chunk)).collect();
            for chunk in done {
                each(chunk?)?;
            }
        }
        Ok(())
    }

    /// Reads a chunk.
    fn chunk(&self, room: &mut Room<'w, 'm>, chunk: &Chunk) -> Result<Done, FileError> {
        let heap = &self.reached.world().heap;
        let arenas = &self.reached.world().arenas;
        room.rows.begin(chunk.first);
        let gather = Gather::new(self.packer, std::mem::take(&mut room.buffers));
        let mut making = Making { walk: self, room, gather, codes: Vec::new(), modules: Vec::new(), said: Said::default() };
        for piece in &chunk.pieces {
            match piece {
                Piece::Arena(arena) => {
                    let Some(start) = arenas.all.get(*arena).map(|a| a.start) else { continue };
                    let window = arenas.window(*arena);
                    for offset in self.ids.offsets(*arena) {
                        making.object(&Obj::within(start + offset, window, offset as usize), Some(*arena));
                    }
                }
                Piece::Outside(some) => {
                    for &at in self.ids.outside.get(some.clone()).unwrap_or_default() {
                        let o = heap.obj(at).unwrap_or(Obj::within(at, &[], 0));
                        making.object(&o, None);
                    }
                }
            }
        }
        making.done()
    }
}

/// A chunk in the making.
struct Making<'r, 'a, 'w, 'm> {
    walk: &'a Walk<'a, 'w, 'm>,
    room: &'r mut Room<'w, 'm>,
    gather: Gather<'a>,
    codes: Vec<CodeRow>,
    modules: Vec<ModuleRow>,
    said: Said,
}

impl<'m> Making<'_, '_, '_, 'm> {
    /// Gives exactly one row, whatever stands there: numbers are counted by where objects were found.
    fn object(&mut self, o: &Obj<'m>, arena: Option<usize>) {
        let Some(t) = o.ty().ok().and_then(|t| self.room.types.lend(t)) else {
            // Not after a walk that has decoded it: the memory is a copy.
            let state = State::new(snapshot::Collector::Without, snapshot::Found::Reference, false);
            let nothing = Object { address: o.addr, type_index: 0, own_bytes: Bytes(0), footprint_bytes: Bytes(0), refcount: 0, state };
            self.room.rows.objects.push(nothing);
            self.room.rows.lengths.push(Details::NO_LENGTH);
            self.room.rows.facts.shapes.push(Shape::default());
            return;
        };
        self.row(o, &t, arena);
        self.room.types.give_back(t);
    }

    fn row(&mut self, o: &Obj<'m>, t: &TypeInfo, arena: Option<usize>) {
        let reached = self.walk.reached;
        let heap = &reached.world().heap;
        let id = self.room.rows.first + self.room.rows.objects.len() as u32;
        let type_row = reached.type_row(t).unwrap_or(0);
        let length = self.words(o, t, id);
        if let Some(noter) = &mut self.room.noter {
            noter.note(id, o, t, &mut self.room.rows.facts);
        }
        let mut elements = Elements::default();
        let code = match t.decoder.kind {
            Kind::Frame | Kind::Generator => frame_object_code(heap, o).unwrap_or_default(),
            _ => Addr::NULL,
        };
        let mut nth = 0;
        let (ids, gather) = (self.walk.ids, &mut self.gather);
        let mut noter = self.room.noter.as_mut().filter(|_| briefs::unit(t) == Some(Unit::Item));
        let mut teller = Teller::new(|e: Edge| {
            let Some(target) = ids.of(e.to) else { return };
            if let Some(noter) = &mut noter {
                elements.meet(&e, length, || noter.type_row(reached, e.to));
            }
            if !e.held {
                return;
            }
            gather.add(type_row, nth, id, target, &e);
            nth += 1;
        });
        teller.begin(t.is_dict() && reached.is_namespace(o.addr), code);
        teller.with_values_held_elsewhere = true;
        let mut both = Both { teller, shared: &reached.shared, footprint: 0 };
        // What was told before a fault stands, and the first walk counted the gap.
        let own = heap.decode(o, t, &mut both).unwrap_or_else(|_| heap.pre_header(o, t) + t.basic);
        let body = match arena {
            Some(arena) => reached.world().arenas.block_bytes(arena, o.addr).unwrap_or(own),
            None => reached.shared.outside_bytes(o, t, own, both.footprint),
        };
        let footprint = both.footprint + body;
        if let Some(noter) = noter {
            noter.elements(id, o, t, elements, reached, &mut self.room.rows.facts);
        }
        let count = heap.refcount(o);
        let collector = reached.shared.collector(o, t);
        self.room.rows.objects.push(Object {
            address: o.addr,
            type_index: type_row,
            own_bytes: Bytes(own),
            footprint_bytes: Bytes(footprint),
            refcount: count.count,
            state: State::new(collector, found(collector, reached.witness(o.addr, arena)), count.immortal)
                .held_weakly(heap.has_weakrefs(o, t)),
        });
    }

    /// Length, name, value, and what code and modules say of themselves. Gives the length.
    fn words(&mut self, o: &Obj<'m>, t: &TypeInfo, id: u32) -> u64 {
        let heap = &self.walk.reached.world().heap;
        let mut length = Details::NO_LENGTH;
        if briefs::unit(t).is_some() {
            length = briefs::length(heap, o, t).unwrap_or(Details::NO_LENGTH);
        } else if let Some(name) = briefs::name(heap, o, t) {
            if t.decoder.kind == Kind::Module {
                self.modules.push(ModuleRow { object: id, name: name.clone(), file: names::module_file(heap, o) });
            }
            self.room.rows.names.push((id, name));
        }
        self.room.rows.lengths.push(length);
        if self.walk.values {
            self.room.rows.values.extend(briefs::value(heap, o, t).map(|v| (id, v)));
        }
        match t.decoder.kind {
            Kind::Code => self.codes.push(code_row(heap, o.addr, id)),
            Kind::Generator => self.said.calls.extend(calls::call(heap, o, t).map(|call| CallRow {
                object: id,
                name: call.name,
                code: self.walk.ids.of(call.code),
                globals: self.walk.ids.of(call.globals),
                line: call.line,
                inside: call.inside.map(|inside| match inside {
                    handlers::Inside::Finally => snapshot::Inside::Finally,
                    handlers::Inside::With => snapshot::Inside::With,
                    handlers::Inside::Try => snapshot::Inside::Try,
                    handlers::Inside::Except => snapshot::Inside::Except,
                }),
                begun: call.begun,
            })),
            // A torn one was counted as a gap by the first walk.
            Kind::Weakref => self.said.weakrefs.extend(weak_link(heap, o).ok().map(|link| WeakRow {
                object: id,
                referent: self.walk.ids.of(link.referent).filter(|_| !link.dead),
                dead: link.dead,
                callback: self.walk.ids.of(link.callback),
            })),
            Kind::Plain => self.said.tasks.extend(calls::task_name(heap, o, t).map(|name| TaskRow { object: id, name })),
            Kind::Deque | Kind::LruCache => self.said.bounds.extend(match calls::bound(heap, o, t) {
                Some(calls::Bound::AtMost(bound)) => Some(BoundRow { object: id, bound: Some(bound) }),
                Some(calls::Bound::None) if t.decoder.kind == Kind::LruCache => Some(BoundRow { object: id, bound: None }),
                _ => None,
            }),
            _ => {}
        }
        length
    }

    fn done(self) -> Result<Done, FileError> {
        let Told { links, packed, labels, buffers } = self.gather.done()?;
        self.room.buffers = buffers;
        let rows = match self.walk.packer {
            Some(packer) => Rows::Packed { objects: packer.objects(&self.room.rows)?, links: packed },
            None => {
                let ObjectRows { objects, facts, lengths, .. } = &mut self.room.rows;
                let (objects, facts, lengths) = (std::mem::take(objects), std::mem::take(facts), std::mem::take(lengths));
                Rows::Plain(Box::new(Plain { objects, links, facts, lengths }))
            }
        };
        Ok(Done { rows, labels, codes: self.codes, modules: self.modules, said: self.said })
    }
}

/// What a code object says of itself.
pub(crate) fn code_facts(heap: &cpython::Heap<'_>, code: Addr) -> (String, String, u32) {
    let f = &heap.layout.at.code;
    let text = |at: u64| heap.image.addr(code + at).ok().and_then(|at| heap.name(at)).unwrap_or_default();
    (text(f.co_qualname.unwrap_or(f.co_name)), text(f.co_filename), heap.image.u32(code + f.co_firstlineno).unwrap_or(0))
}

fn code_row(heap: &cpython::Heap<'_>, code: Addr, object: u32) -> CodeRow {
    let (name, file, first_line) = code_facts(heap, code);
    CodeRow { object, name, file, first_line }
}

/// Tells references, and adds up what owned blocks take.
struct Both<'s, 'w, 'm, F> {
    teller: Teller<F>,
    shared: &'s Shared<'w, 'm>,
    footprint: u64,
}

impl<F: FnMut(Edge)> Visitor for Both<'_, '_, '_, F> {
    #[inline]
    fn reference(&mut self, to: Addr, label: Label) {
        self.teller.reference(to, label);
    }
    #[inline]
    fn hidden(&mut self, to: Addr, label: Label) {
        self.teller.hidden(to, label);
    }
    #[inline]
    fn scanned(&mut self, to: Addr, label: Label) {
        self.teller.scanned(to, label);
    }
    #[inline]
    fn owns(&mut self, at: Addr, bytes: u64) {
        self.footprint += self.shared.takes(at, bytes);
    }
    #[inline]
    fn weak(&mut self, to: Addr, label: Label) {
        self.teller.weak(to, label);
    }
    fn torn(&mut self, _: Torn) {}
}
