//! A heap that is read: bytes, the layout that was proved for them, and the types met so far.
//!
//! Holds: [`Heap`], [`Obj`] (one object's bytes within the segment that holds it).
//! Never: a walk over many objects (that is `capture`).

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, RwLock};

use memory::{Addr, Fault, Image, Memory};
use rustc_hash::FxHashMap;

use crate::layout::{Fields, Layout};
use crate::objects::Catalogue;
use crate::types::TypeInfo;

/// Longest type name that is read; longer ones are cut. Real ones stay below 200.
pub const NAME_BOUND: usize = 512;

/// One object: its address and the bytes around it.
#[derive(Clone, Copy)]
pub struct Obj<'m> {
    /// Address of the `PyObject`.
    pub addr: Addr,
    window: &'m [u8],
    at: usize,
}

impl<'m> Obj<'m> {
    /// The object at `addr`, whose bytes stand in `window` from `at` on (and before, for its pre-header).
    #[inline]
    pub fn within(addr: Addr, window: &'m [u8], at: usize) -> Obj<'m> {
        Obj { addr, window, at }
    }

    /// The word at a signed offset from the object's address.
    #[inline]
    pub fn u64(&self, offset: i64) -> Result<u64, Fault> {
        let from = self.at.wrapping_add(offset as usize);
        match self.window.get(from..from.wrapping_add(8)) {
            Some(b) => Ok(u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])),
            None => Err(Fault::Absent { at: self.addr.offset(offset), len: 8 }),
        }
    }

    /// A pointer field.
    #[inline]
    pub fn addr(&self, offset: u64) -> Result<Addr, Fault> {
        self.u64(offset as i64).map(Addr)
    }

    /// A signed word.
    #[inline]
    pub fn i64(&self, offset: u64) -> Result<i64, Fault> {
        self.u64(offset as i64).map(|v| v as i64)
    }

    /// A 32-bit field.
    #[inline]
    pub fn u32(&self, offset: u64) -> Result<u32, Fault> {
        let b = self.bytes(offset, 4)?;
        Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    /// A byte field.
    #[inline]
    pub fn u8(&self, offset: u64) -> Result<u8, Fault> {
        Ok(self.bytes(offset, 1)?[0])
    }

    /// `len` bytes of the body.
    #[inline]
    pub fn bytes(&self, offset: u64, len: u64) -> Result<&'m [u8], Fault> {
        let absent = Fault::Absent { at: self.addr + offset, len: len as usize };
        let from = self.at.checked_add(offset as usize).ok_or(absent)?;
        let to = from.checked_add(len as usize).ok_or(absent)?;
        self.window.get(from..to).ok_or(absent)
    }

    /// Address of the type object.
    #[inline]
    pub fn ty(&self) -> Result<Addr, Fault> {
        self.u64(Fields::OB_TYPE as i64).map(Addr)
    }

    /// `ob_size`; only var-sized types have one.
    #[inline]
    pub fn size(&self) -> Result<i64, Fault> {
        self.i64(Fields::OB_SIZE)
    }
}

/// Everything that a decoder may ask.
pub struct Heap<'m> {
    /// The copied memory.
    pub image: &'m Image<'m>,
    /// The proved layout.
    pub layout: &'m Layout,
    /// Decoders, resolved for the layout.
    pub catalogue: Catalogue,
    /// Address of the static type `type`.
    pub type_type: Addr,
    /// `tp_dealloc` of classes made by a `class` statement (`subtype_dealloc`), learned from the target.
    pub subtype_dealloc: Option<Addr>,
    /// ≤3.10: address of `lookdict`, the lookup function of dictionaries with keys of any type.
    pub lookdict: Option<Addr>,
    /// All interpreters, the main one first, for what each keeps per static type.
    pub interpreters: Vec<Addr>,
    types: RwLock<FxHashMap<Addr, Option<Arc<TypeInfo>>>>,
    numbered: AtomicU32,
}

impl<'m> Heap<'m> {
    /// A heap without types yet, of which only the main interpreter is known.
    pub fn new(image: &'m Image<'m>, layout: &'m Layout, type_type: Addr, interpreter: Addr) -> Heap<'m> {
        Heap {
            image,
            layout,
            catalogue: Catalogue::new(layout),
            type_type,
            subtype_dealloc: None,
            lookdict: None,
            interpreters: vec![interpreter],
            types: RwLock::default(),
            numbered: AtomicU32::new(0),
        }
    }

    /// The main interpreter.
    pub fn main_interpreter(&self) -> Addr {
        self.interpreters.first().copied().unwrap_or_default()
    }

    /// The object at an address, with all of its segment as its window.
    #[inline]
    pub fn obj(&self, addr: Addr) -> Result<Obj<'m>, Fault> {
        if addr.is_null() {
            return Err(Fault::Null);
        }
        let s = self.image.segment(addr).ok_or(Fault::Absent { at: addr, len: 16 })?;
        Ok(Obj { addr, window: s.bytes, at: (addr.0 - s.start.0) as usize })
    }

    /// The most things of `bytes` each that the copied memory can hold: the bound of walks along links, which a damaged or
    /// hostile target may have closed into a loop.
    pub fn most(&self, bytes: u64) -> u64 {
        self.image.total_bytes() / bytes.max(1)
    }

    /// What the type object at `addr` says; `None` where no valid type stands there. Each address is judged once.
    pub fn type_at(&self, addr: Addr) -> Option<Arc<TypeInfo>> {
        if let Ok(types) = self.types.read() {
            if let Some(known) = types.get(&addr) {
                return known.clone();
            }
        }
        let read = TypeInfo::read(self, addr);
        let Ok(mut types) = self.types.write() else { return None };
        if let Some(known) = types.get(&addr) {
            return known.clone();
        }
        // Numbered under the lock: each valid type once, without holes.
        let read = read.map(|mut t| {
            t.index = self.numbered.fetch_add(1, Ordering::Relaxed);
            Arc::new(t)
        });
        types.insert(addr, read.clone());
        read
    }

    /// All valid types met so far, by address.
    pub fn types(&self) -> Vec<Arc<TypeInfo>> {
        let Ok(types) = self.types.read() else { return Vec::new() };
        let mut all: Vec<_> = types.values().flatten().cloned().collect();
        all.sort_by_key(|t| t.addr);
        all
    }

    /// Forgets the types read while `subtype_dealloc` was unknown.
    pub fn forget_types(&self) {
        if let Ok(mut types) = self.types.write() {
            types.clear();
            self.numbered.store(0, Ordering::Relaxed);
        }
    }

    /// A C string of the target.
    pub fn c_str(&self, at: Addr) -> Result<String, Fault> {
        self.image.c_str(at, NAME_BOUND)
    }
}

/// A thread's own small view on the types: a direct-mapped cache in front of the shared map.
pub struct TypeCache<'h, 'm> {
    heap: &'h Heap<'m>,
    slots: Vec<(Addr, Option<Arc<TypeInfo>>)>,
}

impl<'h, 'm> TypeCache<'h, 'm> {
    const SLOTS: usize = 4096;

    /// An empty cache over `heap`.
    pub fn new(heap: &'h Heap<'m>) -> Self {
        TypeCache { heap, slots: vec![(Addr::NULL, None); Self::SLOTS] }
    }

    /// The type at `addr`, if one stands there.
    #[inline]
    pub fn get(&mut self, addr: Addr) -> Option<&Arc<TypeInfo>> {
        let slot = &mut self.slots[(addr.0 >> 4) as usize % Self::SLOTS];
        if slot.0 != addr {
            *slot = (addr, self.heap.type_at(addr));
        }
        slot.1.as_ref()
    }

    /// The same, lent without counting: give it back with [`TypeCache::give_back`]. One count per object would be the
    /// dearest thing of a walk, as all threads count the same few types.
    #[inline]
    pub fn lend(&mut self, addr: Addr) -> Option<Arc<TypeInfo>> {
        let slot = &mut self.slots[(addr.0 >> 4) as usize % Self::SLOTS];
        if slot.0 != addr {
            *slot = (addr, self.heap.type_at(addr));
        }
        let lent = slot.1.take();
        // While it is lent the slot must not say that no type stands there.
        slot.0 = Addr::NULL;
        lent
    }

    /// Puts a lent type back.
    #[inline]
    pub fn give_back(&mut self, t: Arc<TypeInfo>) {
        let slot = &mut self.slots[(t.addr.0 >> 4) as usize % Self::SLOTS];
        *slot = (t.addr, Some(t));
    }
}

impl Heap<'_> {
    /// Learns what only the target can tell: the `tp_dealloc` of classes made by a `class` statement (by far the most
    /// frequent among heap types), and to 3.10 the lookup function of dictionaries with keys of any type.
    pub fn learn(&mut self, python: &memory::Module, objects: impl Iterator<Item = Addr>) {
        let f = &self.layout.at;
        let mut deallocs: FxHashMap<Addr, u32> = FxHashMap::default();
        for addr in objects {
            let Ok(o) = self.obj(addr) else { continue };
            // Types are instances of `type` or a metaclass; those of `type` itself are enough to learn from.
            if o.ty() == Ok(self.type_type) && self.is_heap_type(&o) == Ok(true) {
                if let Ok(dealloc) = o.addr(f.ty.tp_dealloc) {
                    *deallocs.entry(dealloc).or_default() += 1;
                }
            }
        }
        self.subtype_dealloc =
            python.symbol("subtype_dealloc").or_else(|| deallocs.into_iter().max_by_key(|(addr, n)| (*n, *addr)).map(|(addr, _)| addr));
        self.lookdict = python.symbol("lookdict");
        self.forget_types();
    }
}
