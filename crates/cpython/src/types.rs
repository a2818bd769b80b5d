//! What a type object says about its instances.
//!
//! Holds: [`TypeInfo`], read once per type and judged valid or not.
//! Sources: `Include/cpython/object.h`, `Objects/typeobject.c` of 3.8–3.13.

use std::sync::Arc;

use memory::{Addr, Memory};

use crate::heap::{Heap, Obj};
use crate::layout::rules::ManagedDict;
use crate::layout::{Fields, TypeFields};
use crate::objects::{Decoder, Kind};

/// `tp_flags` bits (`Include/object.h`).
pub mod flags {
    /// Static type whose dict is kept per interpreter, 3.12+.
    pub const STATIC_BUILTIN: u64 = 1 << 1;
    /// Attribute values inline in the body, 3.13+.
    pub const INLINE_VALUES: u64 = 1 << 2;
    /// Weak-reference list head before the object, 3.12+.
    pub const MANAGED_WEAKREF: u64 = 1 << 3;
    /// Dictionary or values before the object, 3.11+.
    pub const MANAGED_DICT: u64 = 1 << 4;
    /// Allocated on the heap.
    pub const HEAPTYPE: u64 = 1 << 9;
    /// Ready for use.
    pub const READY: u64 = 1 << 12;
    /// Instances carry a collector's head.
    pub const HAVE_GC: u64 = 1 << 14;
    /// A subclass of int.
    pub const LONG: u64 = 1 << 24;
    /// A subclass of bytes.
    pub const BYTES: u64 = 1 << 27;
    /// A subclass of str.
    pub const UNICODE: u64 = 1 << 28;
    /// A subclass of dict.
    pub const DICT: u64 = 1 << 29;
    /// A subclass of type: instances are types.
    pub const TYPE: u64 = 1 << 31;
}

/// Longest chain of bases that is followed; CPython's own limit on nesting is far below.
const BASES_BOUND: usize = 1000;
/// Largest number of `__slots__` or members of one type that is read.
const MEMBERS_BOUND: i64 = 10_000;
/// `PyMemberDef.type` of object members (`structmember.h`).
const T_OBJECT: i32 = 6;
const T_OBJECT_EX: i32 = 16;
/// `PyMemberDef.flags`: the offset counts on behind the items, in subclasses of tuple from 3.15 on (`_Py_AFTER_ITEMS`, gh-41779).
const AFTER_ITEMS: i32 = 16;

/// Where an instance keeps its dictionary, besides what its decoder knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DictAt {
    /// Nowhere.
    None,
    /// At an offset of the body.
    Offset(u64),
    /// At an offset from the end of a var-sized body (int and tuple subclasses to 3.11).
    FromEnd(i64),
    /// Before the object or inline: see [`ManagedDict`].
    Managed,
}

/// How what is said of a type's instances is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Known {
    /// By a decoder that was compared with the interpreter.
    Exact,
    /// Own size by object's rule although the type overrides `__sizeof__`.
    Derived,
    /// References by scanning the body.
    Scanned,
}

/// A type, as far as its instances need it.
#[derive(Debug)]
pub struct TypeInfo {
    /// Address of the type object.
    pub addr: Addr,
    /// Its number among the types met so far: for sums in arrays.
    pub index: u32,
    /// Module-qualified; builtins bare.
    pub name: String,
    /// `tp_basicsize`.
    pub basic: u64,
    /// `tp_itemsize`.
    pub item: u64,
    /// `tp_flags`.
    pub flags: u64,
    /// Bytes between the start of an instance's block and the instance.
    pub pre: u64,
    /// How its instances are read.
    pub decoder: Arc<Decoder>,
    /// Whether layers made by `class` statements stand above the C base.
    pub python_class: bool,
    /// The collector sees that instances refer to their class.
    pub class_visible: bool,
    /// Object slots of the Python layers: offset and C name.
    pub slots: Box<[(u64, Addr)]>,
    /// Those that stand behind the items, as if there were none.
    pub slots_after_items: Box<[(u64, Addr)]>,
    /// Object members of C layers without a decoder: offset and C name.
    pub members: Box<[(u64, Addr)]>,
    /// The dictionary that the decoder does not know.
    pub dict: DictAt,
    /// Offset of the list of weak references in the body; 0 for none.
    pub weaklist: i64,
    /// `ht_cached_keys` of a heap type: names of split and inline values.
    pub cached_keys: Addr,
    /// Words of the body that nothing above explains: scanned.
    pub scan: Box<[u32]>,
    /// How good all this is.
    pub known: Known,
}

impl TypeInfo {
    /// Whether the type object is allocated on the heap: its instances count a reference to it.
    #[inline]
    pub fn is_heap(&self) -> bool {
        self.flags & flags::HEAPTYPE != 0
    }

    /// Whether instances carry a collector's head (static types, instances of `type`, do not: see [`crate::objects`]).
    #[inline]
    pub fn is_gc(&self) -> bool {
        self.flags & flags::HAVE_GC != 0
    }

    /// Whether instances are types.
    #[inline]
    pub fn is_metatype(&self) -> bool {
        self.flags & flags::TYPE != 0
    }

    /// Whether instances are strs.
    #[inline]
    pub fn is_str(&self) -> bool {
        self.flags & flags::UNICODE != 0
    }

    /// Whether instances are dicts.
    #[inline]
    pub fn is_dict(&self) -> bool {
        self.flags & flags::DICT != 0
    }

    /// Reads and judges the type at `addr`. `None`: no type stands there.
    pub(crate) fn read(heap: &Heap<'_>, addr: Addr) -> Option<TypeInfo> {
        let f = &heap.layout.at.ty;
        if addr.0 % 8 != 0 || !looks_like_type(heap, addr) {
            return None;
        }
        let o = heap.obj(addr).ok()?;
        let flags = o.u64(f.tp_flags as i64).ok()?;
        let basic = o.i64(f.tp_basicsize).ok()?;
        let item = o.i64(f.tp_itemsize).ok()?;
        if (flags & flags::READY == 0 && !never_readied(&o, f, flags))
            || !(Fields::HEADER as i64..1 << 32).contains(&basic)
            || !(0..1 << 32).contains(&item)
        {
            return None;
        }
        let name = type_name(heap, addr, flags)?;
        let (basic, item) = (basic as u64, item as u64);

        // The C base: the first type down the chain that no class statement made.
        let (mut slots, mut slots_after_items) = (Vec::new(), Vec::new());
        let mut base = addr;
        let mut python_class = false;
        for _ in 0..BASES_BOUND {
            let b = heap.obj(base).ok()?;
            let is_heap = b.u64(f.tp_flags as i64).ok()? & flags::HEAPTYPE != 0;
            if !is_heap || heap.subtype_dealloc.is_none() || Some(b.addr(f.tp_dealloc).ok()?) != heap.subtype_dealloc {
                break;
            }
            // A C type made from a spec without a dealloc has the same one; its `tp_name` has a dot, which names of classes
            // made by a statement have not.
            let c_name = heap.c_str(b.addr(f.tp_name).ok()?).ok()?;
            if c_name.contains('.') && heap.catalogue.get(&c_name, false, true).is_some_and(|d| d.fits(base_size(&b, f))) {
                break;
            }
            python_class = true;
            members(heap, base, &mut slots, &mut slots_after_items, &[T_OBJECT_EX, T_OBJECT]);
            let next = b.addr(f.tp_base).ok()?;
            if next.is_null() || next == base {
                break;
            }
            base = next;
        }
        let b = heap.obj(base).ok()?;
        let base_basic = base_size(&b, f);
        let base_flags = b.u64(f.tp_flags as i64).ok()?;
        // What the collector sees of the C part: ctypes' bases have a `tp_traverse` to 3.12 without being collected themselves.
        let collected = flags & flags::HAVE_GC != 0 && !b.addr(f.tp_traverse).ok()?.is_null();
        let base_item = b.u64(f.tp_itemsize as i64).ok()?;

        // A decoder by name, for the C base or the nearest of its bases that adds nothing to the struct.
        let mut decoder = None;
        let mut c = base;
        for _ in 0..BASES_BOUND {
            let t = heap.obj(c).ok()?;
            let c_name = heap.c_str(t.addr(f.tp_name).ok()?).ok()?;
            let c_basic = t.u64(f.tp_basicsize as i64).ok()?;
            if let Some(d) = heap.catalogue.get(&c_name, collected, base_flags & flags::HEAPTYPE != 0) {
                if d.fits(c_basic) {
                    decoder = Some((Arc::clone(d), c_basic));
                }
                break;
            }
            let next = t.addr(f.tp_base).ok()?;
            if next.is_null() {
                break;
            }
            c = next;
        }
        let decoded_to = match &decoder {
            // Struct sequences of 3.13+ count their hidden fields in the basic size.
            Some(d) if d.0.kind == Kind::Tuple => base_basic,
            Some(d) => d.1,
            None => Fields::HEADER,
        };
        let foreign_layers = c != base && base_basic > decoded_to;
        let decoder = decoder.map_or_else(|| heap.catalogue.opaque(), |d| d.0);
        let opaque = decoder.kind == Kind::Opaque;

        let dictoffset = o.i64(f.tp_dictoffset).ok()?;
        let base_dictoffset = b.i64(f.tp_dictoffset).ok()?;
        let managed = heap.layout.rules.managed_dict != ManagedDict::None && flags & flags::MANAGED_DICT != 0;
        let dict = if managed {
            DictAt::Managed
        } else if dictoffset != 0 && (dictoffset != base_dictoffset || opaque || (foreign_layers && dictoffset >= decoded_to as i64)) {
            match dictoffset {
                1.. => DictAt::Offset(dictoffset as u64),
                _ => DictAt::FromEnd(dictoffset),
            }
        } else {
            DictAt::None
        };
        let weaklist = o.i64(f.tp_weaklistoffset).ok()?;

        let mut c_members = Vec::new();
        if opaque || foreign_layers {
            let mut c = base;
            for _ in 0..BASES_BOUND {
                let Ok(t) = heap.obj(c) else { break };
                members(heap, c, &mut c_members, &mut slots_after_items, &[T_OBJECT, T_OBJECT_EX]);
                match t.addr(f.tp_base) {
                    Ok(next) if !next.is_null() => c = next,
                    _ => break,
                }
            }
            c_members.sort_unstable();
            c_members.dedup();
            c_members.retain(|m| m.0 >= decoded_to);
        }

        // What is left unexplained between what the decoder knows and the end of the fixed body.
        let mut scan: Vec<u32> = Vec::new();
        // A class statement adds nothing but slots, a dict and a weak list, so only C layers leave words unexplained;
        // but types from specs without a dealloc of their own share `subtype_dealloc`, so every word is accounted for.
        let mut at = memory::rounded_up(decoded_to, 8);
        while at < 1 << 20 && at + 8 <= basic {
            let explained = slots.iter().chain(&slots_after_items).any(|s| s.0 == at)
                || c_members.iter().any(|m| m.0 == at)
                || dict == DictAt::Offset(at)
                || dictoffset == at as i64
                || weaklist == at as i64
                || (opaque && at == Fields::OB_SIZE && base_item > 0);
            // A dict that is addressed from the end (≤3.11) stands behind the items, and the word for it within the
            // fixed part is the last one; likewise the weak list before it.
            let from_end = matches!(dict, DictAt::FromEnd(_)) && at + 8 == basic;
            if !explained && !from_end {
                scan.push(at as u32);
            }
            at += 8;
        }

        let gc = flags & flags::HAVE_GC != 0;
        let managed_words = match heap.layout.rules.managed_dict {
            ManagedDict::None => false,
            ManagedDict::TwoWords => flags & flags::MANAGED_DICT != 0,
            _ => flags & (flags::MANAGED_DICT | flags::MANAGED_WEAKREF) != 0,
        };
        let pre = if gc { Fields::GC_HEAD } else { 0 } + if managed_words { 16 } else { 0 };
        // Only collected objects are asked for what they refer to.
        let visited = python_class || (heap.layout.rules.c_heap_types_visit_type && decoder.class_visible);
        let class_visible = gc && visited && !inherits_static(heap, addr);
        let cached_keys = if flags & flags::HEAPTYPE != 0 { o.addr(heap.layout.at.heap_type.ht_cached_keys).ok()? } else { Addr::NULL };
        let scanned = !scan.is_empty() || (opaque && base_item > 0);
        let known = if overrides_sizeof(heap, addr, if opaque { Addr::NULL } else { c }) {
            Known::Derived
        } else if scanned {
            Known::Scanned
        } else {
            Known::Exact
        };
        slots.sort_unstable();
        slots_after_items.sort_unstable();
        slots_after_items.dedup();
        Some(TypeInfo {
            addr,
            index: 0,
            name,
            basic,
            item,
            flags,
            pre,
            decoder,
            python_class,
            class_visible,
            slots: slots.into(),
            slots_after_items: slots_after_items.into(),
            members: c_members.into(),
            dict,
            weaklist,
            cached_keys,
            scan: scan.into(),
            known,
        })
    }
}

/// Whether the `tp_traverse` of the heap type at `ty` is that of a static type above it, which knows no class to visit.
fn inherits_static(heap: &Heap<'_>, ty: Addr) -> bool {
    let f = &heap.layout.at.ty;
    let traverse = |t: Addr| heap.image.addr(t + f.tp_traverse).unwrap_or(Addr::NULL);
    let mut base = ty;
    for _ in 0..BASES_BOUND {
        match heap.image.addr(base + f.tp_base) {
            Ok(next) if !next.is_null() && traverse(next) == traverse(ty) => base = next,
            _ => break,
        }
    }
    base != ty && heap.image.u64(base + f.tp_flags).is_ok_and(|word| word & flags::HEAPTYPE == 0)
}

/// `tp_basicsize`; 0 where it is not there.
fn base_size(o: &Obj<'_>, f: &TypeFields) -> u64 {
    o.u64(f.tp_basicsize as i64).unwrap_or(0)
}

/// Whether this is a static type that nobody has passed to `PyType_Ready`: it has instances all the same, and nothing of
/// what that call fills in. The links of `functools.lru_cache` are of such a type up to 3.9 (`lru_list_elem_type` in
/// `Modules/_functoolsmodule.c`).
fn never_readied(o: &Obj<'_>, f: &TypeFields, flags: u64) -> bool {
    let empty = |field: u64| o.addr(field).is_ok_and(|a| a == Addr::NULL);
    let dealloc = o.addr(f.tp_dealloc).is_ok_and(|a| !a.is_null());
    flags & flags::HEAPTYPE == 0 && dealloc && empty(f.tp_mro) && empty(f.tp_dict) && empty(f.tp_bases) && empty(f.tp_subclasses)
}

/// Whether `addr` has a class whose instances are types, itself of such a class.
fn looks_like_type(heap: &Heap<'_>, addr: Addr) -> bool {
    let f = &heap.layout.at.ty;
    let mut t = addr;
    for _ in 0..2 {
        let Ok(meta) = heap.obj(t).and_then(|o| o.ty()) else { return false };
        let Ok(flags) = heap.image.u64(meta + f.tp_flags) else { return false };
        if meta.0 % 8 != 0 || flags & (flags::TYPE | flags::READY) != flags::TYPE | flags::READY {
            return false;
        }
        if meta == heap.type_type {
            return true;
        }
        t = meta;
    }
    // A metaclass of a metaclass is legal and rare; the chain must end in `type`, so walk it, bounded.
    for _ in 0..BASES_BOUND {
        match heap.obj(t).and_then(|o| o.ty()) {
            Ok(meta) if meta == heap.type_type => return true,
            Ok(meta) if meta != t => t = meta,
            _ => return false,
        }
    }
    false
}

/// `module.qualname`, builtins bare.
fn type_name(heap: &Heap<'_>, addr: Addr, flags: u64) -> Option<String> {
    let f = &heap.layout.at;
    let o = heap.obj(addr).ok()?;
    let c_name = heap.c_str(o.addr(f.ty.tp_name).ok()?).ok()?;
    if c_name.is_empty() {
        return None;
    }
    if flags & flags::HEAPTYPE == 0 {
        return Some(c_name.strip_prefix("builtins.").unwrap_or(&c_name).to_owned());
    }
    let qualname = o.addr(f.heap_type.ht_qualname).ok().and_then(|q| heap.name(q)).unwrap_or(c_name);
    let module = o.addr(f.ty.tp_dict).ok().filter(|d| !d.is_null()).and_then(|d| heap.dict_get(d, "__module__").ok().flatten());
    match module.and_then(|m| heap.name(m)) {
        Some(m) if m != "builtins" => Some(format!("{m}.{qualname}")),
        _ => Some(qualname),
    }
}

/// The object members of one type's own `tp_members`.
fn members(heap: &Heap<'_>, ty: Addr, into: &mut Vec<(u64, Addr)>, after_items: &mut Vec<(u64, Addr)>, kinds: &[i32]) {
    let f = &heap.layout.at;
    let Ok(list) = heap.image.addr(ty + f.ty.tp_members) else { return };
    if list.is_null() {
        return;
    }
    for i in 0..MEMBERS_BOUND as u64 {
        let at = list + i * f.member.size;
        let (Ok(name), Ok(kind), Ok(offset)) =
            (heap.image.addr(at + f.member.name), heap.image.i32(at + Fields::MEMBER_TYPE), heap.image.i64(at + f.member.offset))
        else {
            return;
        };
        if name.is_null() {
            return;
        }
        if kinds.contains(&kind) && offset >= Fields::HEADER as i64 {
            let behind = heap.image.i32(at + f.member.offset + 8).is_ok_and(|flags| flags & AFTER_ITEMS != 0);
            if behind { &mut *after_items } else { &mut *into }.push((offset as u64, name));
        }
    }
}

/// The dictionary of a type, wherever its release keeps it: the main interpreter's, or that of the first that has one.
pub fn type_dict(heap: &Heap<'_>, ty: Addr) -> Addr {
    type_state(heap, ty, TypeState::Dict).unwrap_or_else(|| heap.image.addr(ty + heap.layout.at.ty.tp_dict).unwrap_or(Addr::NULL))
}

/// A word that 3.12+ keeps per interpreter for a static type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeState {
    /// `tp_dict`.
    Dict,
    /// `tp_subclasses`.
    Subclasses,
    /// `tp_weaklist`.
    Weaklist,
}

/// More static types than CPython and its extension modules have (`_Py_MAX_MANAGED_STATIC_BUILTIN_TYPES`: 200).
const STATIC_TYPES_BOUND: u64 = 1000;

/// Such a word of the first interpreter that has one; `None` where the type object itself holds it.
pub fn type_state(heap: &Heap<'_>, ty: Addr, which: TypeState) -> Option<Addr> {
    let index = static_index(heap, ty)?;
    let mut all = heap.interpreters.iter().filter_map(|i| state_in(heap, *i, ty, index, which));
    let first = all.next()?;
    Some(if first.is_null() { all.find(|at| !at.is_null()).unwrap_or(first) } else { first })
}

/// Such a word of every interpreter.
pub fn type_states<'h>(heap: &'h Heap<'_>, ty: Addr, which: TypeState) -> impl Iterator<Item = Addr> + 'h {
    let index = static_index(heap, ty);
    heap.interpreters.iter().filter_map(move |i| state_in(heap, *i, ty, index?, which))
}

/// The place of a static type in each interpreter's table; `None` for other types and releases.
fn static_index(heap: &Heap<'_>, ty: Addr) -> Option<u64> {
    let f = &heap.layout.at;
    if !heap.layout.rules.static_types_per_interpreter {
        return None;
    }
    let flags = heap.image.u64(ty + f.ty.tp_flags).ok()?;
    if flags & flags::STATIC_BUILTIN == 0 || flags & flags::HEAPTYPE != 0 {
        return None;
    }
    // Index + 1, small; `managed_static_type_state` in Objects/typeobject.c.
    heap.image.u64(ty + f.ty.tp_subclasses).ok()?.checked_sub(1).filter(|i| *i < STATIC_TYPES_BOUND)
}

/// 3.12 has entries of 40 bytes {type, flags, dict, subclasses, weaklist}; 3.13 of 48, the words 8 further, and a table of its own for
/// the types of extension modules.
fn state_in(heap: &Heap<'_>, interpreter: Addr, ty: Addr, index: u64, which: TypeState) -> Option<Addr> {
    let table = &heap.layout.table;
    let is_it = |entry: &Addr| heap.image.addr(*entry) == Ok(ty);
    let dict = match table.offset("_is", "types.builtins.initialized") {
        Some(at) => {
            let builtin = interpreter + at + index * 48;
            // Few, so that each is looked at.
            let extensions = || {
                let at = interpreter + table.offset("_is", "types.for_extensions.initialized")?;
                let count = table.extent("_is", "types.for_extensions.initialized").unwrap_or(0) / 48;
                (0..count.min(STATIC_TYPES_BOUND)).map(|i| at + i * 48).find(is_it)
            };
            Some(builtin).filter(is_it).or_else(extensions)? + 24
        }
        None => Some(interpreter + table.offset("_is", "types.builtins")? + index * 40).filter(is_it)? + 16,
    };
    let at = match which {
        TypeState::Dict => dict,
        TypeState::Subclasses => dict + 8,
        TypeState::Weaklist => dict + 16,
    };
    heap.image.addr(at).ok()
}

/// Whether a class between `ty` and the one that its decoder is of defines `__sizeof__` itself; null for no decoder.
fn overrides_sizeof(heap: &Heap<'_>, ty: Addr, decoded: Addr) -> bool {
    let f = &heap.layout.at;
    let Ok(mro) = heap.image.addr(ty + f.ty.tp_mro) else { return false };
    let Ok(length) = heap.image.i64(mro + Fields::OB_SIZE) else { return false };
    for i in 0..length.clamp(0, BASES_BOUND as i64) as u64 {
        let Ok(class) = heap.image.addr(mro + f.tuple.ob_item + i * 8) else { return false };
        let Ok(base) = heap.image.addr(class + f.ty.tp_base) else { return false };
        if base.is_null() || class == decoded {
            return false;
        }
        if heap.dict_get(type_dict(heap, class), "__sizeof__").ok().flatten().is_some() {
            return true;
        }
    }
    false
}
