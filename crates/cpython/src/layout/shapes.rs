//! Shapes: what CPython's structs look like in every program, for the proof.
//!
//! Holds: checks of a candidate layout that need no luck with the target's own objects: sizes that types say of themselves, fields
//! that hold one kind of thing or nothing, numbers that bound one another. Never: decides alone (that is `proof`).
//! Sources: `Objects/frameobject.c`, `genobject.c`, `codeobject.c`, `typeobject.c`, `setobject.c` of 3.8–3.13 (the type objects and what
//! makes instances), `Include/internal/pycore_obmalloc.h`; glibc's `tcbhead_t` (sysdeps/x86_64/nptl/tls.h).

use std::collections::BTreeMap;

use memory::{Addr, Fault, Memory};

use super::care::Care;
use super::rules::{FrameForm, ObmallocHome};
use super::{Fields, Table};
use crate::heap::{Heap, Obj};
use crate::objects::frame::untagged;
use crate::roots::Thread;
use crate::types::{flags, type_dict, type_state, TypeInfo, TypeState};
use crate::visit::{Label, Torn, Visitor};

/// Most arenas that are looked through for a sampled object: 64 GiB of them.
const ARENAS_BOUND: u64 = 1 << 16;
/// Sampled objects of which one must stand in an arena.
const FEW: usize = 64;
/// `sizeof(struct arena_object)`, whose first word is the arena's address.
const ARENA_OBJECT: u64 = 48;
/// Most stack entries that a function can ask for.
const STACK_BOUND: u64 = 1 << 20;

/// More than any module's state takes, and less than the address of any function.
const STATE_BOUND: i64 = 1 << 20;

/// What a check gives: why the layout cannot be right.
type Checked = Result<(), String>;

/// Every field lies inside its struct.
pub(super) fn inside(table: &Table) -> Checked {
    for name in table.names() {
        let size = table.size(name).unwrap_or(0);
        // A flexible array begins where the struct ends.
        let outside = |field: &str, at: u64| at > size || (at == size && table.extent(name, field) != Some(0));
        if let Some((field, at)) = table.fields(name).into_iter().find(|&(field, at)| outside(field, at)) {
            return Err(format!("{name}.{field} at {at} lies outside the struct"));
        }
    }
    // Four pointers, all of them tabled (Include/cpython/code.h, 3.12+).
    if table.size("_PyCoCached").is_some_and(|size| size != table.fields("_PyCoCached").len() as u64 * 8) {
        return Err("_PyCoCached is more than its fields".to_owned());
    }
    // `previous_item` follows what is tabled, and nothing else does (Include/cpython/pystate.h).
    let last = table.fields("_PyErr_StackItem").last().map(|(_, at)| at + 16);
    match last == table.size("_PyErr_StackItem") {
        true => Ok(()),
        false => Err("the fields of _PyErr_StackItem do not end one word before its end".to_owned()),
    }
}

/// Types by name, without bases in Python.
pub(super) struct Shapes<'h, 'm> {
    heap: &'h Heap<'m>,
    types: BTreeMap<String, Addr>,
    dict: Addr,
}

/// Collects the values of a dict.
#[derive(Default)]
struct Values(Vec<Addr>);

impl Visitor for Values {
    fn reference(&mut self, to: Addr, label: Label) {
        if matches!(label, Label::Value(_)) {
            self.0.push(to);
        }
    }
    fn hidden(&mut self, to: Addr, label: Label) {
        self.reference(to, label);
    }
    fn scanned(&mut self, _: Addr, _: Label) {}
    fn owns(&mut self, _: Addr, _: u64) {}
    fn torn(&mut self, _: Torn) {}
}

fn fault(e: Fault) -> String {
    e.to_string()
}

impl<'h, 'm> Shapes<'h, 'm> {
    /// Finds the interpreter's types: those that `object.__subclasses__()` lists.
    pub(super) fn new(heap: &'h Heap<'m>, dict_type: Addr) -> Result<Shapes<'h, 'm>, String> {
        let f = &heap.layout.at;
        let object = heap.image.addr(dict_type + f.ty.tp_base).map_err(fault)?;
        let subclasses = match type_state(heap, object, TypeState::Subclasses) {
            Some(at) => at,
            None => heap.image.addr(object + f.ty.tp_subclasses).map_err(fault)?,
        };
        let mut values = Values::default();
        let o = heap.obj(subclasses).map_err(fault)?;
        if o.ty() != Ok(dict_type) {
            return Err("object.__subclasses__ has no dict".to_owned());
        }
        let t = heap.type_at(dict_type).ok_or("dict is no type")?;
        heap.decode(&o, &t, &mut values).map_err(fault)?;
        let mut types = BTreeMap::new();
        for weak in values.0 {
            let Ok(ty) = heap.image.addr(weak + f.weakref.wr_object) else { continue };
            let name = heap.image.addr(ty + f.ty.tp_name).and_then(|at| heap.c_str(at));
            if let (Ok(name), Ok(class)) = (name, heap.image.addr(ty + Fields::OB_TYPE)) {
                if class == heap.type_type {
                    // The interpreter's own stand first; a program's class may have the same name.
                    types.entry(name).or_insert(ty);
                }
            }
        }
        Ok(Shapes { heap, types, dict: dict_type })
    }

    fn class(&self, at: Addr) -> Addr {
        self.heap.image.addr(at + Fields::OB_TYPE).unwrap_or_default()
    }

    fn is(&self, at: Addr, name: &str) -> bool {
        !at.is_null() && self.types.get(name) == Some(&self.class(at))
    }

    fn is_dict(&self, at: Addr) -> bool {
        !at.is_null() && self.heap.type_at(self.class(at)).is_some_and(|t| t.is_dict())
    }

    fn is_object(&self, at: Addr) -> bool {
        !at.is_null() && self.heap.type_at(self.class(at)).is_some()
    }

    /// Sizes that the types of the interpreter say of themselves, and the first member of one.
    pub(super) fn sizes(&self) -> Checked {
        let heap = self.heap;
        let (table, f) = (&heap.layout.table, &heap.layout.at);
        let locals = heap.layout.iframe.map(|i| i.localsplus);
        // From 3.11 on frames and generators end in an interpreter frame, and code in its instructions.
        let joined = |at: Option<u64>| at.zip(locals).map(|(at, locals)| at + locals);
        let expected = [
            ("frame", joined(f.frame._f_frame_data).unwrap_or(f.frame.size)),
            ("generator", joined(f.gen.gi_iframe).unwrap_or(f.gen.size)),
            ("code", f.code.co_code_adaptive.unwrap_or(f.code.size)),
            ("module", f.module.size),
            ("set", f.set.size),
            ("type", f.heap_type.size),
            ("tuple", f.tuple.ob_item),
            ("bytes", f.bytes.ob_sval + 1),
            ("list", f.list.size),
            ("function", table.size("PyFunctionObject").unwrap_or(0)),
            ("method", table.size("PyMethodObject").unwrap_or(0)),
            ("cell", table.size("PyCellObject").unwrap_or(0)),
        ];
        for (name, size) in expected {
            let ty = self.types.get(name).ok_or_else(|| format!("object.__subclasses__() has no {name}"))?;
            let basic = heap.image.u64(*ty + f.ty.tp_basicsize).map_err(fault)?;
            if basic != size {
                return Err(format!("{name}.__basicsize__ is {basic}, not {size}"));
            }
        }
        let weakref = ["weakref", "weakref.ReferenceType"].into_iter().find_map(|name| self.types.get(name));
        let basic = heap.image.u64(weakref.copied().unwrap_or_default() + f.ty.tp_basicsize).map_err(fault)?;
        if basic != f.weakref.size {
            return Err(format!("weakref.__basicsize__ is {basic}, not {}", f.weakref.size));
        }
        // Each form of str begins with the one before (Include/cpython/unicodeobject.h).
        if (f.compact.utf8_length, f.unicode.data, f.unicode.size) != (f.ascii.size, f.compact.size, f.compact.size + 8) {
            return Err("the forms of str do not continue one another".to_owned());
        }
        let stack_item = table.size("_PyErr_StackItem").unwrap_or(0);
        if f.gen.gi_exc_state + stack_item != f.gen.gi_origin_or_finalizer.unwrap_or(f.gen.size) {
            return Err("a generator's gi_exc_state does not end where it must".to_owned());
        }
        let function = self.types.get("function").copied().unwrap_or_default();
        let first = heap.image.addr(function + f.ty.tp_members).map_err(fault)?;
        // `func_memberlist`: `__doc__` is no member any more from 3.14 on, `__globals__` is the next.
        for (at, wanted) in [(first, ["__closure__"; 2]), (first + f.member.size, ["__doc__", "__globals__"])] {
            let name = heap.image.addr(at + f.member.name).and_then(|at| heap.c_str(at)).map_err(fault)?;
            if !wanted.contains(&&*name) {
                return Err(format!("a member of function is called {name:?}, not {}", wanted[0]));
            }
        }
        if table.offset("PyFunctionObject", "func_closure") != heap.image.u64(first + f.member.offset).ok() {
            return Err("function.__closure__ is not at func_closure".to_owned());
        }
        // A heap type made by C code keeps its name there, and several are made before the first line of Python runs.
        let Some(at) = f.heap_type._ht_tpname else { return Ok(()) };
        let word = |ty: Addr, at: u64| heap.image.addr(ty + at).unwrap_or_default();
        let made = self.types.values().filter(|ty| word(**ty, f.ty.tp_flags).0 & flags::HEAPTYPE != 0);
        match made.into_iter().any(|ty| !word(*ty, at).is_null() && word(*ty, at) == word(*ty, f.ty.tp_name)) {
            true => Ok(()),
            false => Err("no class has its name in _ht_tpname".to_owned()),
        }
    }

    /// The namespace of every type of the interpreter is a dict, wherever its release keeps it.
    pub(super) fn namespaces(&self, care: Care) -> Checked {
        let wrong: Vec<_> = self.types.iter().filter(|(_, ty)| self.class(type_dict(self.heap, **ty)) != self.dict).collect();
        // Those of static types are few and lie elsewhere than those of classes: one that is wrong may be the table's fault.
        let flags_at = self.heap.layout.at.ty.tp_flags;
        let is_class = |ty: Addr| self.heap.image.u64(ty + flags_at).is_ok_and(|word| word & flags::HEAPTYPE != 0);
        let own = wrong.iter().any(|(_, ty)| !is_class(**ty));
        match wrong.first() {
            Some((name, _)) if own || care.too_many(wrong.len(), self.types.len()) => Err(format!("the namespace of {name} is no dict")),
            _ => Ok(()),
        }
    }

    /// A sampled object: a set, a module, a class made by a program, or code.
    pub(super) fn object(&self, o: &Obj<'_>, t: &TypeInfo) -> Checked {
        let f = &self.heap.layout.at;
        let word = |at: u64| o.addr(at).map_err(fault);
        if t.is_metatype() && t.addr == self.heap.type_type {
            for (at, name, dict) in [
                (Some(f.ty.tp_subclasses), "tp_subclasses", true),
                (f.heap_type.ht_module, "ht_module", false),
                (Some(f.heap_type.ht_slots), "ht_slots", false),
            ] {
                let Some(at) = at else { continue };
                let held = word(at)?;
                let right = held.is_null() || if dict { self.class(held) == self.dict } else { self.is_object(held) };
                if !right {
                    return Err(format!("{name} of a class holds something else"));
                }
            }
        }
        if self.types.get("set") == Some(&t.addr) {
            let (mask, table) = (word(f.set.mask)?.0, word(f.set.table)?);
            let small = table == o.addr + f.set.smalltable;
            if (mask == 7) != small || word(f.set.used)?.0 > mask || word(f.set.fill)?.0 > mask {
                return Err("a set's table is not as large as it says".to_owned());
            }
        }
        if self.types.get("module") == Some(&t.addr) {
            let name = word(f.module.md_name)?;
            // Deleted from its dict it is nothing; most are named.
            if !self.heap.is_str(name) {
                return Err("a module's name is no str".to_owned());
            }
        }
        if self.types.get("function") == Some(&t.addr) {
            let code = self.heap.layout.table.offset("PyFunctionObject", "func_code").map_or(Ok(Addr::NULL), word)?;
            return self.code(code);
        }
        Ok(())
    }

    /// Modules that have a state of their own say how large it is, where they say it themselves: 3.15+.
    pub(super) fn modules(&self, sample: &[Addr]) -> Checked {
        let f = &self.heap.layout.at.module;
        let (Some(size), Some(module)) = (f.md_state_size, self.types.get("module")) else { return Ok(()) };
        let (mut fit, mut unfit, mut some) = (0, 0, false);
        for at in sample.iter().filter(|at| self.class(**at) == *module) {
            if self.heap.image.addr(*at + f.md_state).is_ok_and(|state| !state.is_null()) {
                let bytes = self.heap.image.i64(*at + size).unwrap_or(-1);
                let possible = (0..STATE_BOUND).contains(&bytes);
                some |= possible && bytes > 0;
                *if possible { &mut fit } else { &mut unfit } += 1;
            }
        }
        // A state of no bytes is one too, and the word behind a size of 0 is mostly 0.
        match some && unfit * 10 <= fit {
            true => Ok(()),
            false => Err(format!("{fit} modules with a state say how large it is, {unfit} do not")),
        }
    }

    /// What a code object holds, field by field.
    fn code(&self, code: Addr) -> Checked {
        let f = &self.heap.layout.at.code;
        let o = self.heap.obj(code).map_err(fault)?;
        for (at, class) in [
            (Some(f.co_consts), "tuple"),
            (Some(f.co_names), "tuple"),
            (f.co_varnames, "tuple"),
            (f.co_freevars, "tuple"),
            (f.co_cellvars, "tuple"),
            (f.co_localsplusnames, "tuple"),
            (f.co_localspluskinds, "bytes"),
            (f.co_code, "bytes"),
            (f.co_lnotab, "bytes"),
            (f.co_linetable, "bytes"),
            (f.co_exceptiontable, "bytes"),
        ] {
            let Some(at) = at else { continue };
            if !self.is(o.addr(at).map_err(fault)?, class) {
                return Err(format!("a code object has no {class} at {at}"));
            }
        }
        if let Some(cached) = f._co_cached {
            self.cached(o.addr(cached).map_err(fault)?)?;
        }
        if u64::from(o.u32(f.co_stacksize).map_err(fault)?) > STACK_BOUND {
            return Err("a code object's co_stacksize is impossible".to_owned());
        }
        for at in [Some(f.co_extra), f.co_zombieframe, f.co_cell2arg, f.co_opcache_map, f.co_opcache, f._co_cached].into_iter().flatten() {
            let held = o.addr(at).map_err(fault)?;
            if !held.is_null() && self.heap.image.u64(held).is_err() {
                return Err(format!("a code object has neither a pointer nor nothing at {at}"));
            }
        }
        Ok(())
    }

    /// The attributes of a code object that were asked for once, 3.12+.
    fn cached(&self, at: Addr) -> Checked {
        if at.is_null() {
            return Ok(());
        }
        for (field, class) in [("_co_code", "bytes"), ("_co_varnames", "tuple"), ("_co_cellvars", "tuple"), ("_co_freevars", "tuple")] {
            let Some(offset) = self.heap.layout.table.offset("_PyCoCached", field) else { continue };
            let held = self.heap.image.addr(at + offset).map_err(fault)?;
            if !held.is_null() && !self.is(held, class) {
                return Err(format!("the cached {field} of a code object is no {class}"));
            }
        }
        Ok(())
    }

    /// A running frame of Python code, of either form.
    pub(super) fn frame(&self, at: Addr, code: Addr) -> Checked {
        let heap = self.heap;
        let f = &heap.layout.at;
        let word = |offset: u64| heap.image.addr(at + offset).map_err(fault);
        let dict = |offset: Option<u64>| offset.map_or(Ok(true), |o| word(o).map(|held| self.is_dict(held)));
        let maybe = |offset: Option<u64>| offset.map_or(Ok(true), |o| word(o).map(|held| held.is_null() || self.is_object(held)));
        let wrong = |name: &str| Err(format!("a frame's {name} holds something else"));
        if let Some(i) = heap.layout.iframe {
            if !dict(Some(i.globals))? {
                return wrong("f_globals");
            }
            let function = untagged(heap, word(i.func)?.0);
            let function = function.is_null() || self.is_object(function);
            // Builtins may be any mapping.
            if !maybe(Some(i.builtins))? || !function || !maybe(Some(i.locals))? {
                return wrong("f_func");
            }
            let object = word(i.frame_obj)?;
            if !object.is_null() && !self.is(object, "frame") {
                return wrong("frame_obj");
            }
            return Ok(());
        }
        if !dict(f.frame.f_globals)? {
            return wrong("f_globals");
        }
        if !maybe(f.frame.f_builtins)? || !maybe(f.frame.f_locals)? || !maybe(Some(f.frame.f_trace))? {
            return wrong("f_locals");
        }
        // The value stack begins where the variables end (Objects/frameobject.c, PyFrame_New).
        let length = |field: Option<u64>| {
            let names = field.map_or(Ok(Addr::NULL), |field| heap.image.addr(code + field)).map_err(fault)?;
            heap.image.u64(names + Fields::OB_SIZE).map_err(fault)
        };
        let locals = f.code.co_nlocals.map_or(Ok(0), |n| heap.image.u32(code + n)).map_err(fault)?;
        let variables = u64::from(locals).saturating_add(length(f.code.co_cellvars)?).saturating_add(length(f.code.co_freevars)?);
        let begin = f.frame.f_localsplus.map(|o| at + o + variables.saturating_mul(8));
        let stack = f.frame.f_valuestack.map(word).transpose()?;
        if begin != stack {
            return wrong("f_valuestack");
        }
        let most = u64::from(heap.image.u32(code + f.code.co_stacksize).map_err(fault)?);
        let depth = match heap.layout.rules.frames {
            FrameForm::ObjectsStackTop => {
                // Null while it runs.
                let top = f.frame.f_stacktop.map_or(Ok(Addr::NULL), word)?;
                let above = top.0.wrapping_sub(stack.unwrap_or_default().0);
                if top.is_null() {
                    0
                } else {
                    above / 8
                }
            }
            // -1 while it runs.
            _ => f.frame.f_stackdepth.map_or(Ok(0), |o| heap.image.i32(at + o)).map_err(fault)?.max(0) as u64,
        };
        if depth > most {
            return wrong("stack depth");
        }
        Ok(())
    }

    /// One of the threads is a thread: its `pthread_t` leads to a block of which the first word leads to itself. Of one that has
    /// ended and was not told to Python the block may be gone.
    pub(super) fn threads(&self, threads: &[Thread]) -> Checked {
        // Stacks are mapped far above what an int beside another amounts to, or beside what was there before it.
        let gone = |id: u64| (1 << 40..1 << 47).contains(&id) && id % 64 == 0 && id as u32 != 0;
        let looks = |id: u64| id != 0 && self.heap.image.u64(Addr(id)).map_or(gone(id), |word| word == id);
        match threads.iter().any(|t| looks(t.thread_id)) {
            true => Ok(()),
            false => Err("no thread_id is a thread's".to_owned()),
        }
    }

    /// Where the allocator's state hangs off the interpreter: sampled objects stand in its arenas, or it has none.
    pub(super) fn arenas(&self, sample: &[Addr]) -> Checked {
        let (heap, table) = (self.heap, &self.heap.layout.table);
        let fields = (
            table.offset("_is", "obmalloc"),
            table.offset("_obmalloc_state", "mgmt.arenas"),
            table.offset("_obmalloc_state", "mgmt.maxarenas"),
        );
        let (home, (Some(state), Some(arenas), Some(most))) = (heap.layout.rules.obmalloc, fields) else { return Ok(()) };
        let state = match home {
            ObmallocHome::Statics => return Ok(()),
            ObmallocHome::Embedded => heap.main_interpreter() + state,
            ObmallocHome::Pointer => heap.image.addr(heap.main_interpreter() + state).map_err(fault)?,
        };
        let (arenas, most) = (heap.image.addr(state + arenas).map_err(fault)?, heap.image.u32(state + most).map_err(fault)?);
        if arenas.is_null() && most == 0 {
            // PYTHONMALLOC=malloc.
            return Ok(());
        }
        // It begins with 16 and doubles (Objects/obmalloc.c, new_arena).
        if most < 16 || !most.is_power_of_two() {
            return Err(format!("pymalloc has room for {most} arenas"));
        }
        let few: Vec<Addr> = sample.iter().copied().step_by(sample.len().div_ceil(FEW).max(1)).collect();
        for i in 0..u64::from(most).min(ARENAS_BOUND) {
            let arena = heap.image.addr(arenas + i * ARENA_OBJECT).map_err(fault)?;
            if !arena.is_null() && few.iter().any(|at| (arena.0..arena.0.saturating_add(heap.layout.rules.arena_bytes)).contains(&at.0)) {
                return Ok(());
            }
        }
        Err("no sampled object stands in one of pymalloc's arenas".to_owned())
    }
}
