//! One thread's share of the search: decodes objects, marks what they lead to, adds up what they cost.

use std::sync::{Arc, OnceLock};

use cpython::heap::TypeCache;
use cpython::layout::proof::Moment;
use cpython::layout::rules::Immortality;
use cpython::types::TypeInfo;
use cpython::visit::{Torn, Visitor};
use cpython::{Label, Obj};
use memory::{Addr, Bytes, Memory};
use rustc_hash::FxHashMap;
use snapshot::{Collector, Coverage, GapKind, Object, Objects, State};

use crate::arenas::{Bits, Dirty};
use crate::outside::{Outside, Statics};
use crate::reach::{found, Witness};
use crate::sweep::PRE_HEADERS;
use crate::tally::Tally;
use crate::world::World;

/// What all workers share.
pub(crate) struct Shared<'w, 'm> {
    pub(crate) world: &'w World<'m>,
    /// Addresses in arenas that an object stands at.
    pub(crate) reached: Bits,
    /// Those of them that were decoded.
    pub(crate) done: Bits,
    /// Starts of blocks that objects own.
    pub(crate) owned: Bits,
    /// Generations, where they are asked for: on lists 1 or 3, on lists 2 or 3.
    pub(crate) lists: Option<[Bits; 2]>,
    /// The same outside the arenas: the number of the list.
    pub(crate) lists_outside: OnceLock<FxHashMap<Addr, u8>>,
    /// Which dicts are the `__dict__` of something, where that is asked for.
    pub(crate) namespaces: Option<Bits>,
    pub(crate) dirty: Dirty,
    pub(crate) statics: Statics,
}

impl<'m> Shared<'_, 'm> {
    /// Before objects are read a second time: what was reached is known now, and blocks are owned anew.
    pub(crate) fn second_walk(&mut self) {
        self.reached.forget();
        self.done.forget();
        self.owned.clear_all();
    }

    /// What the collector knows of an object.
    pub(crate) fn collector(&self, o: &Obj<'m>, t: &TypeInfo) -> Collector {
        let heap = &self.world.heap;
        if !t.is_gc() || (t.is_metatype() && heap.is_heap_type(o) != Ok(true)) {
            return Collector::Without;
        }
        if o.u64(-16).unwrap_or(0) == 0 {
            return Collector::Untracked;
        }
        let arenas = &self.world.arenas;
        let Some([low, high]) = &self.lists else { return Collector::Generation2 };
        let list = match arenas.of(o.addr) {
            Some(arena) => {
                let offset = o.addr.0 - arenas.all[arena].start.0;
                u8::from(low.get(arena, offset)) | u8::from(high.get(arena, offset)) << 1
            }
            None => self.lists_outside.get().and_then(|l| l.get(&o.addr)).copied().unwrap_or(2),
        };
        match list {
            0 => Collector::Generation0,
            1 => Collector::Generation1,
            2 => Collector::Generation2,
            _ => Collector::Frozen,
        }
    }

    /// What an object outside the arenas takes: its chunk, or in a binary just itself. `blocks` is what the blocks take that it
    /// owns.
    pub(crate) fn outside_bytes(&self, o: &Obj<'m>, t: &TypeInfo, own: u64, blocks: u64) -> u64 {
        if self.statics.contains(o.addr) {
            return own - if t.is_metatype() { own.min(t.pre) } else { 0 };
        }
        let pre = self.world.heap.pre_header(o, t);
        let request = pre + t.basic;
        let inline = own.saturating_sub(blocks).max(request);
        let (at, image) = (o.addr - pre, self.world.heap.image);
        self.world.blocks.bytes(image, at, request).unwrap_or_else(|| self.world.blocks.least(at, inline))
    }

    /// What the block of `bytes` at `at` takes.
    fn block_footprint(&self, at: Addr, bytes: u64) -> u64 {
        if let Some(arena) = self.world.arenas.of(at) {
            return self.world.arenas.block_bytes(arena, at).unwrap_or_else(|| memory::rounded_up(bytes, 16));
        }
        if at.is_null() || self.statics.contains(at) {
            return 0;
        }
        self.world.blocks.bytes(self.world.heap.image, at, bytes).unwrap_or_else(|| self.world.blocks.least(at, bytes))
    }

    /// What a block takes that an object owns. It counts once, for its first owner.
    #[inline]
    pub(crate) fn takes(&self, at: Addr, bytes: u64) -> u64 {
        let Some(arena) = self.world.arenas.of(at) else { return self.block_footprint(at, bytes) };
        let start = at - self.world.arenas.padding;
        let first = self.world.arenas.all[arena].start.0;
        if start.0 < first || !self.owned.set(arena, start.0 - first) {
            return 0;
        }
        self.world.arenas.block_bytes(arena, at).unwrap_or_else(|| memory::rounded_up(bytes, 16))
    }
}

/// Addresses outside the arenas that were met lately: None, True, small ints and classes fill most of it.
const RECENT: usize = 2048;

/// One thread's state.
pub(crate) struct Worker<'s, 'w, 'm> {
    pub(crate) shared: &'s Shared<'w, 'm>,
    types: TypeCache<'s, 'm>,
    pub(crate) tally: Tally,
    pub(crate) coverage: Coverage,
    /// Addresses outside the arenas to be looked at.
    pub(crate) outside: Vec<Addr>,
    /// Words outside the arenas that may be objects.
    pub(crate) maybe: Vec<Addr>,
    /// Blocks outside the arenas that objects own.
    pub(crate) owned_outside: Vec<Addr>,
    /// Rows, where every object is asked for.
    pub(crate) objects: Option<Objects>,
    /// What is reached is decoded at once instead of by the next pass.
    pub(crate) stack: Option<Vec<Addr>>,
    /// Such dicts outside the arenas.
    pub(crate) namespaces_outside: Vec<Addr>,
    /// Addresses that were to be objects and are none.
    pub(crate) nothing: Vec<Addr>,
    /// Newly reached in arenas.
    pub(crate) newly: u64,
    recent: Vec<Addr>,
    footprint: u64,
    /// Of that, in arenas.
    footprint_in_arenas: u64,
    /// The object that is being decoded.
    decoding: Addr,
    /// Its type.
    type_index: u32,
    keep_owned_outside: bool,
    /// What lies outside the arenas with its type, where a ledger is asked for.
    pub(crate) pieces: Option<Vec<Piece>>,
}

/// Memory outside the arenas that an object is, or owns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) at: Addr,
    pub(crate) bytes: u64,
    pub(crate) type_index: u32,
}

impl<'s, 'w, 'm> Worker<'s, 'w, 'm> {
    pub(crate) fn new(shared: &'s Shared<'w, 'm>, objects: bool) -> Self {
        Worker {
            shared,
            types: TypeCache::new(&shared.world.heap),
            tally: Tally::default(),
            coverage: Coverage::default(),
            outside: Vec::new(),
            maybe: Vec::new(),
            owned_outside: Vec::new(),
            objects: objects.then(Objects::default),
            stack: None,
            namespaces_outside: Vec::new(),
            nothing: Vec::new(),
            newly: 0,
            recent: vec![Addr::NULL; RECENT],
            footprint: 0,
            footprint_in_arenas: 0,
            decoding: Addr::NULL,
            type_index: 0,
            keep_owned_outside: false,
            pieces: shared.world.source.residency.map(|_| Vec::new()),
        }
    }

    /// Marks the object at `to`, wherever it is.
    #[inline]
    pub(crate) fn reach(&mut self, to: Addr) {
        let shared = self.shared;
        match shared.world.arenas.of(to) {
            Some(arena) => {
                let offset = to.0 - shared.world.arenas.all[arena].start.0;
                if to.0 % 16 != 0 {
                    self.coverage.add_gap(GapKind::BadReference, 1);
                } else if shared.reached.set(arena, offset) {
                    self.newly += 1;
                    match &mut self.stack {
                        Some(stack) => stack.push(to),
                        None => shared.dirty.mark(arena),
                    }
                }
            }
            None => {
                let slot = &mut self.recent[(to.0 >> 4) as usize % RECENT];
                if *slot != to {
                    *slot = to;
                    self.outside.push(to);
                }
            }
        }
    }

    /// Decodes everything in an arena that is reached and not done.
    pub(crate) fn arena(&mut self, arena: usize) {
        let shared = self.shared;
        let arenas = &shared.world.arenas;
        let start = arenas.all[arena].start;
        let window = arenas.window(arena);
        for (i, word) in shared.reached.arena(arena).iter().enumerate() {
            let mut todo = word.load(std::sync::atomic::Ordering::Relaxed);
            if todo == 0 {
                continue;
            }
            todo &= !shared.done.arena(arena)[i].load(std::sync::atomic::Ordering::Relaxed);
            while todo != 0 {
                let offset = (i as u64 * 64 + u64::from(todo.trailing_zeros())) * 16;
                todo &= todo - 1;
                if shared.done.set(arena, offset) {
                    let o = Obj::within(start + offset, window, offset as usize);
                    self.object(&o, Some(arena), Witness::Reference);
                }
            }
        }
    }

    /// Decodes what the stack holds, and what that leads to.
    pub(crate) fn drain(&mut self) {
        while let Some(addr) = self.stack.as_mut().and_then(Vec::pop) {
            let shared = self.shared;
            let Some(arena) = shared.world.arenas.of(addr) else { continue };
            let offset = addr.0 - shared.world.arenas.all[arena].start.0;
            if shared.done.set(arena, offset) {
                let o = Obj::within(addr, shared.world.arenas.window(arena), offset as usize);
                self.object(&o, Some(arena), Witness::Reference);
            }
        }
    }

    /// Decodes one object and adds it up. `false` where none stands there.
    pub(crate) fn object(&mut self, o: &Obj<'m>, arena: Option<usize>, witness: Witness) -> bool {
        let world = self.shared.world;
        let Some(t) = o.ty().ok().and_then(|ty| self.types.lend(ty)) else {
            // A block that is in use and was an object: what leads to it was written when it was one, or it was overwritten since.
            let in_use = PRE_HEADERS.iter().any(|pre| {
                let block = Addr(o.addr.0.wrapping_sub(pre + world.arenas.padding));
                world.arenas.pool(o.addr).is_some_and(|pool| pool.block_at(block).is_some())
            });
            match in_use && world.source.moment == Moment::Still {
                true => self.corrupted(o.addr),
                false => self.coverage.add_gap(GapKind::BadReference, 1),
            }
            self.nothing.push(o.addr);
            return false;
        };
        let heap = &world.heap;
        self.decoding = o.addr;
        if world.source.moment == Moment::Still && !heap.possible_count(o) {
            self.corrupted(o.addr);
        }
        (self.footprint, self.footprint_in_arenas, self.type_index) = (0, 0, t.index);
        let own = match heap.decode(o, &t, self) {
            Ok(own) if own <= world.mapped_bytes => own,
            // What claims more than there is would make sums of all objects that claim nothing wrong, or overflow them.
            Ok(_) => {
                self.corrupted(o.addr);
                heap.pre_header(o, &t).saturating_add(t.basic).min(world.mapped_bytes)
            }
            Err(_) => {
                self.coverage.add_gap(GapKind::AbsentPage, 1);
                heap.pre_header(o, &t).saturating_add(t.basic).min(world.mapped_bytes)
            }
        };
        // The type itself is an object too; heap types are told by the decoder, static ones only here.
        self.reach(t.addr);
        let body = match arena {
            Some(arena) => {
                let bytes = self.shared.world.arenas.block_bytes(arena, o.addr).unwrap_or(own);
                self.footprint_in_arenas += bytes;
                bytes
            }
            None => {
                let bytes = self.shared.outside_bytes(o, &t, own, self.footprint);
                self.piece(o.addr - heap.pre_header(o, &t), bytes);
                bytes
            }
        };
        let footprint = self.footprint.saturating_add(body).min(world.mapped_bytes);
        self.tally.add(&t, own, footprint, self.footprint_in_arenas);
        if self.objects.is_some() {
            self.row(o, &t, own, footprint, witness);
        }
        self.types.give_back(t);
        true
    }

    #[cold]
    fn row(&mut self, o: &Obj<'m>, t: &Arc<TypeInfo>, own: u64, footprint: u64, witness: Witness) {
        let count = self.shared.world.heap.refcount(o);
        let collector = self.shared.collector(o, t);
        let found = found(collector, witness);
        if let Some(objects) = &mut self.objects {
            objects.push(Object {
                address: o.addr,
                type_index: t.index,
                own_bytes: Bytes(own),
                footprint_bytes: Bytes(footprint),
                refcount: count.count,
                state: State::new(collector, found, count.immortal),
            });
        }
    }

    /// Notes an object that something wrote over.
    #[cold]
    fn corrupted(&mut self, at: Addr) {
        self.coverage.add_corrupted(at);
    }

    /// Judges a word that may lead to an object, and reaches it if it does.
    pub(crate) fn maybe(&mut self, word: Addr) {
        if word.is_null() || word.0 % 8 != 0 {
            return;
        }
        match self.shared.world.arenas.of(word) {
            Some(_) => {
                if self.object_block(word) {
                    self.reach(word);
                }
            }
            None => {
                let slot = &mut self.recent[(word.0 >> 4) as usize % RECENT];
                if *slot != word {
                    self.maybe.push(word);
                }
            }
        }
    }

    /// Whether a live object stands at `at`, in an arena: its block is in use, its type's pre-header leads to the block's
    /// start, its count is possible and it fits.
    pub(crate) fn object_block(&mut self, at: Addr) -> bool {
        let arenas = &self.shared.world.arenas;
        let Some(arena) = arenas.of(at) else { return false };
        let offset = at.0 - arenas.all[arena].start.0;
        if at.0 % 16 != 0 {
            return false;
        }
        if self.shared.reached.get(arena, offset) {
            return true;
        }
        let Some(pool) = arenas.pool(at) else { return false };
        let padding = arenas.padding;
        let o = Obj::within(at, arenas.window(arena), offset as usize);
        let Some(t) = self.plausible(&o) else { return false };
        let pre = self.shared.world.heap.pre_header(&o, &t);
        pool.block_at(at - pre - padding).is_some() && padding + pre + self.shared.world.heap.least_bytes(&t) <= pool.block_bytes
    }

    /// The type of what looks like a live object: a valid type, a possible count, a collector's head that can be one, and
    /// references to objects only.
    pub(crate) fn plausible(&mut self, o: &Obj<'m>) -> Option<Arc<TypeInfo>> {
        let t = self.types.get(o.ty().ok()?)?.clone();
        let heap = &self.shared.world.heap;
        if !heap.possible_count(o) {
            return None;
        }
        if t.is_gc() && !(t.is_metatype() && heap.is_heap_type(o) != Ok(true)) {
            let next = o.u64(-16).ok()?;
            // On a list, its neighbour leads back; off the lists the word is zero.
            if next != 0 {
                let back = heap.image.u64(Addr(next & !3) + 8).ok()? & !3;
                if back != o.addr.0 - 16 && !self.shared.world.collecting {
                    return None;
                }
            }
        }
        if t.is_metatype() && heap.type_at(o.addr).is_none() {
            return None;
        }
        let mut sound = Sound { heap, wrong: false, owned: 0 };
        let own = heap.decode(o, &t, &mut sound).ok()?;
        // All of its body is there. (What it owns may count less than what it takes, so this is a lower bound.)
        let body = own.saturating_sub(sound.owned).saturating_sub(t.pre);
        (!sound.wrong && o.bytes(0, body).is_ok()).then_some(t)
    }

    /// Joins what another worker found.
    pub(crate) fn absorb(&mut self, mut other: Worker<'s, 'w, 'm>) {
        self.tally.merge(other.tally);
        self.coverage.add_gaps(&other.coverage);
        self.outside.append(&mut other.outside);
        self.maybe.append(&mut other.maybe);
        self.owned_outside.append(&mut other.owned_outside);
        self.namespaces_outside.append(&mut other.namespaces_outside);
        self.nothing.append(&mut other.nothing);
        self.newly += other.newly;
        if let (Some(mine), Some(theirs)) = (&mut self.pieces, &mut other.pieces) {
            mine.append(theirs);
        }
        if let (Some(mine), Some(theirs)) = (&mut self.objects, &mut other.objects) {
            mine.append(theirs);
        }
    }

    /// Looks at an address outside the arenas: certain references by their type, scanned words by everything that an
    /// object must be.
    pub(crate) fn outside_object(&mut self, at: Addr, certain: bool, outside: &mut Outside, witness: Witness) {
        let Ok(o) = self.shared.world.heap.obj(at) else {
            if certain && outside.first_sight(at) {
                self.coverage.add_gap(GapKind::BadReference, 1);
            }
            return;
        };
        if !certain {
            if outside.knows(at) {
                return;
            }
            let Some(t) = self.plausible(&o) else { return };
            if !self.shared.statics.contains(at) {
                // In malloc's memory: a chunk of the right size begins before it.
                let pre = self.shared.world.heap.pre_header(&o, &t);
                let request = pre + self.shared.world.heap.least_bytes(&t);
                let header = o.u64(-(pre as i64) - 8).unwrap_or(0);
                let size = header & !7;
                if size < request || size > 1 << 46 || at.0 % 16 != 0 || outside.owned.contains(&(at - pre)) {
                    return;
                }
            }
        }
        if outside.first_sight(at) && self.object(&o, None, witness) {
            outside.objects.push(at);
            if witness == Witness::Root {
                outside.by_root.insert(at);
            }
        }
    }

    /// What an object and the blocks that it owns take, without marking anything.
    pub(crate) fn footprint(&self, o: &Obj<'m>, t: &TypeInfo, own: u64, owned: &[(Addr, u64)]) -> u64 {
        let arenas = &self.shared.world.arenas;
        let body = match arenas.of(o.addr) {
            Some(arena) => arenas.block_bytes(arena, o.addr).unwrap_or(own),
            None => self.shared.outside_bytes(o, t, own.saturating_sub(owned.iter().map(|b| b.1).sum()), self.footprint),
        };
        body + owned.iter().map(|&(at, bytes)| self.shared.block_footprint(at, bytes)).sum::<u64>()
    }

    /// Notes memory outside the arenas.
    #[inline]
    fn piece(&mut self, at: Addr, bytes: u64) {
        if let Some(pieces) = &mut self.pieces {
            if !at.is_null() && bytes > 0 && !self.shared.statics.contains(at) {
                pieces.push(Piece { at, bytes, type_index: self.type_index });
            }
        }
    }

    /// Notes a dict whose keys are names.
    fn namespace(&mut self, dict: Addr) {
        let Some(bits) = &self.shared.namespaces else { return };
        let arenas = &self.shared.world.arenas;
        match arenas.of(dict) {
            Some(arena) => {
                bits.set(arena, dict.0 - arenas.all[arena].start.0);
            }
            None => self.namespaces_outside.push(dict),
        }
    }

    /// Keeps the addresses of owned blocks outside the arenas.
    pub(crate) fn keep_owned_outside(&mut self) {
        self.keep_owned_outside = true;
    }
}

/// Whether everything that an object refers to is an object.
struct Sound<'h, 'm> {
    heap: &'h cpython::Heap<'m>,
    wrong: bool,
    owned: u64,
}

impl Visitor for Sound<'_, '_> {
    fn reference(&mut self, to: Addr, _: Label) {
        self.wrong = self.wrong || !self.heap.obj(to).and_then(|o| o.ty()).is_ok_and(|t| self.heap.type_at(t).is_some());
    }
    fn hidden(&mut self, to: Addr, label: Label) {
        self.reference(to, label);
    }
    fn scanned(&mut self, _: Addr, _: Label) {}
    fn owns(&mut self, _: Addr, bytes: u64) {
        self.owned = self.owned.saturating_add(bytes);
    }
    fn torn(&mut self, _: Torn) {
        self.wrong = true;
    }
}

impl Visitor for Worker<'_, '_, '_> {
    #[inline]
    fn reference(&mut self, to: Addr, label: Label) {
        if let (Some(_), Label::Field("__dict__")) = (&self.shared.namespaces, label) {
            self.namespace(to);
        }
        self.reach(to);
    }

    #[inline]
    fn hidden(&mut self, to: Addr, label: Label) {
        self.reference(to, label);
    }

    fn scanned(&mut self, word: Addr, _: Label) {
        self.maybe(word);
    }

    #[inline]
    fn owns(&mut self, at: Addr, bytes: u64) {
        let took = self.shared.takes(at, bytes);
        self.footprint += took;
        if self.shared.world.arenas.of(at).is_some() {
            self.footprint_in_arenas += took;
            return;
        }
        if self.keep_owned_outside {
            self.owned_outside.push(at);
        }
        self.piece(at, took);
    }

    fn torn(&mut self, what: Torn) {
        match what {
            Torn::Dict | Torn::Size => self.coverage.add_gap(GapKind::TornObject, 1),
            Torn::Impossible => self.corrupted(self.decoding),
            Torn::Bound => self.coverage.add_gap(GapKind::BoundHit, 1),
        }
    }
}

/// A reference count as it stands in the header.
pub(crate) struct Count {
    pub(crate) count: u64,
    pub(crate) immortal: bool,
}

/// Reads counts by the rule of the series.
pub(crate) trait RefCount {
    fn refcount(&self, o: &Obj<'_>) -> Count;
    /// Whether a live object can have what stands there for a count.
    fn possible_count(&self, o: &Obj<'_>) -> bool;
}

impl RefCount for cpython::Heap<'_> {
    fn refcount(&self, o: &Obj<'_>) -> Count {
        let raw = o.u64(0).unwrap_or(0);
        match self.layout.rules.immortality {
            Immortality::None => Count { count: raw, immortal: false },
            Immortality::Bit31 | Immortality::Bit31WithFlags => Count { count: raw & 0xffff_ffff, immortal: raw & 0x8000_0000 != 0 },
        }
    }

    #[inline]
    fn possible_count(&self, o: &Obj<'_>) -> bool {
        let raw = o.u64(0).unwrap_or(0);
        // An immortal count is one too: a header whose upper half is not empty is a pointer (Include/object.h, 3.12–3.13). From 3.14
        // flags stand in its last quarter, where no pointer has anything.
        let low = match self.layout.rules.immortality {
            Immortality::Bit31WithFlags => raw & 0xffff_ffff_ffff,
            Immortality::None | Immortality::Bit31 => raw,
        };
        match self.refcount(o).immortal {
            true => low >> 32 == 0,
            // A list of None alone can refer to it more than 2^31 times; no address is below 2^40 but in a program that stands low.
            false if self.layout.rules.immortality == Immortality::None => (1..1 << 40).contains(&low),
            false => (1..1 << 31).contains(&low),
        }
    }
}
