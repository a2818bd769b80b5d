//! The hot fields, resolved once from a table: one small struct per CPython struct, in CPython's own names.

use super::{LayoutError, Table};

macro_rules! fields {
    ($($(#[$doc:meta])* $group:ident: $ty:ident = $name:literal { $($field:ident),* $(; $($opt:ident),*)? })*) => {
        $(
            $(#[$doc])*
            #[allow(missing_docs)]
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub struct $ty { pub size: u64, $(pub $field: u64,)* $($(pub $opt: Option<u64>,)*)? }
        )*
        /// Every group.
        #[allow(missing_docs)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Fields { $(pub $group: $ty,)* }
        impl Fields {
            /// Reads every group; an absent field that the series must have is an error, an optional one is `None`.
            pub fn read(t: &Table) -> Result<Fields, LayoutError> {
                Ok(Fields { $($group: $ty {
                    size: t.need_size($name)?,
                    $($field: t.need($name, stringify!($field))?,)*
                    $($($opt: t.offset($name, stringify!($opt)),)*)?
                },)* })
            }
        }
    };
}

fields! {
    /// `PyTypeObject`.
    ty: TypeFields = "PyTypeObject" { tp_name, tp_basicsize, tp_itemsize, tp_dealloc, tp_flags, tp_traverse, tp_weaklistoffset, tp_members, tp_base, tp_dict, tp_dictoffset, tp_bases, tp_mro, tp_cache, tp_subclasses; tp_doc }
    /// `PyHeapTypeObject`.
    heap_type: HeapTypeFields = "PyHeapTypeObject" { ht_name, ht_slots, ht_qualname, ht_cached_keys; ht_module, _ht_tpname }
    /// `PyMemberDef`.
    member: MemberFields = "PyMemberDef" { name, offset }
    /// `PyASCIIObject`.
    ascii: AsciiFields = "PyASCIIObject" { length, state; wstr }
    /// `PyCompactUnicodeObject`.
    compact: CompactFields = "PyCompactUnicodeObject" { utf8_length, utf8; wstr_length }
    /// `PyUnicodeObject`.
    unicode: UnicodeFields = "PyUnicodeObject" { data }
    /// `PyBytesObject`.
    bytes: BytesFields = "PyBytesObject" { ob_sval }
    /// `PyTupleObject`.
    tuple: TupleFields = "PyTupleObject" { ob_item }
    /// `PyListObject`.
    list: ListFields = "PyListObject" { ob_item, allocated }
    /// `PyDictObject`.
    dict: DictFields = "PyDictObject" { ma_used, ma_keys, ma_values }
    /// `_dictkeysobject`.
    keys: KeysFields = "_dictkeysobject" { dk_refcnt, dk_usable, dk_nentries, dk_indices; dk_size, dk_lookup, dk_log2_size, dk_log2_index_bytes, dk_kind }
    /// `PySetObject`.
    set: SetFields = "PySetObject" { fill, used, mask, table, smalltable }
    /// `PyCodeObject`.
    code: CodeFields = "PyCodeObject" { co_stacksize, co_consts, co_names, co_filename, co_name, co_extra, co_firstlineno, co_flags; co_nlocals, co_code, co_varnames, co_freevars, co_cellvars, co_cell2arg, co_lnotab, co_linetable, co_zombieframe, co_opcache_map, co_opcache, co_opcache_size, co_exceptiontable, co_nlocalsplus, co_localsplusnames, co_localspluskinds, co_qualname, _co_code, _co_linearray, _co_cached, _co_monitoring, co_executors, co_code_adaptive }
    /// `PyFrameObject`.
    frame: FrameFields = "PyFrameObject" { f_back, f_trace; f_code, f_builtins, f_globals, f_locals, f_valuestack, f_stacktop, f_stackdepth, f_localsplus, f_frame, _f_frame_data, f_extra_locals, f_locals_cache, f_overwritten_fast_locals, f_gen }
    /// Generators; coroutines and asynchronous generators begin alike.
    gen: GenFields = "PyGenObject" { gi_name, gi_qualname, gi_exc_state; gi_frame, gi_code, gi_origin_or_finalizer, gi_frame_state, gi_iframe }
    /// `PyWeakReference`.
    weakref: WeakrefFields = "PyWeakReference" { wr_object, wr_callback, wr_next }
    /// `PyModuleObject`.
    module: ModuleFields = "PyModuleObject" { md_dict, md_state, md_name; md_def, md_state_size }
    /// `PyThreadState`.
    thread: ThreadFields = "_ts" { next, interp, thread_id; frame, cframe, current_frame, native_thread_id, datastack_chunk }
    /// `PyInterpreterState`.
    interpreter: InterpreterFields = "_is" { next, sysdict, builtins; gc }
    /// The collector's state.
    gc: GcFields = "_gc_runtime_state" { generations, permanent_generation, collecting, garbage, callbacks, enabled }
}

impl Fields {
    /// Bytes of the object header, `PyObject`.
    pub const HEADER: u64 = 16;
    /// Bytes of a `PyGC_Head`.
    pub const GC_HEAD: u64 = 16;
    /// Offset of `PyMemberDef.type`, an int after the name in every series.
    pub const MEMBER_TYPE: u64 = 8;
    /// Offset of `PyTypeObject.tp_del`, the same in every series; so is the next.
    pub const TP_DEL: u64 = 376;
    /// Offset of `PyTypeObject.tp_finalize`.
    pub const TP_FINALIZE: u64 = 392;
    /// Offset of `ob_type`.
    pub const OB_TYPE: u64 = 8;
    /// Offset of `ob_size` in var-sized objects.
    pub const OB_SIZE: u64 = 16;
}

/// `_PyInterpreterFrame`, 3.11+.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterpreterFrame {
    pub func: u64,
    pub code: u64,
    pub globals: u64,
    pub builtins: u64,
    pub locals: u64,
    pub frame_obj: u64,
    pub previous: u64,
    /// Slots in use, an int: to 3.13.
    pub stacktop: Option<u64>,
    /// The first slot that is not in use: 3.14+.
    pub stackpointer: Option<u64>,
    pub owner: u64,
    pub localsplus: u64,
}

impl InterpreterFrame {
    /// `None` where frames are objects (≤3.10). 3.11 calls the function `f_func` and all series to 3.12 the code `f_code`.
    pub fn read(t: &Table) -> Result<Option<InterpreterFrame>, LayoutError> {
        const NAME: &str = "_PyInterpreterFrame";
        if t.size(NAME).is_none() {
            return Ok(None);
        }
        let either = |a: &'static str, b: &'static str| t.offset(NAME, a).map_or_else(|| t.need(NAME, b), Ok);
        Ok(Some(InterpreterFrame {
            func: either("f_func", "f_funcobj")?,
            code: either("f_code", "f_executable")?,
            globals: t.need(NAME, "f_globals")?,
            builtins: t.need(NAME, "f_builtins")?,
            locals: t.need(NAME, "f_locals")?,
            frame_obj: t.need(NAME, "frame_obj")?,
            previous: t.need(NAME, "previous")?,
            stacktop: t.offset(NAME, "stacktop"),
            stackpointer: t.offset(NAME, "stackpointer"),
            owner: t.need(NAME, "owner")?,
            localsplus: t.need(NAME, "localsplus")?,
        }))
    }
}
