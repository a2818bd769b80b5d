//! The proof: which runtime this is, and that a layout fits it.
//!
//! Holds: [`identify`] (what the target says of itself), [`prove`] (candidates against structure).
//! Never: a layout taken on its version number; a guess where the proof fails.
//!
//! The ladder: told by the target (`_Py_DebugOffsets`, 3.13+) → the tables of its minor → accept what passes every check
//! on the frozen image → refuse when nothing passes, or two that disagree do.

use std::collections::BTreeMap;

use memory::{Addr, Fault, Image, Memory, Module};

use super::care::{Care, Kind};
use super::collector::collector;
use super::shapes::{inside, Shapes};
use super::{incremental, Fields, Layout, LayoutError, Proof, Release, Table};
use crate::heap::{Heap, TypeCache};
use crate::roots;
use crate::types::flags;
use crate::visit::{Label, Torn, Visitor};

/// Objects of the collector's lists that the proof decodes, evenly spread.
const DECODED: usize = 4_000;
/// Frames of each thread that it looks at.
const FRAMES: usize = 10_000;

/// What the bytes of an image have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// They are of one moment: what points at each other fits together.
    Still,
    /// They were read one after the other while the program ran.
    Running,
}

/// What the target says of itself before anything is proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Address of `_PyRuntime`.
    pub runtime: Addr,
    /// Minor of CPython 3.
    pub minor: u8,
    /// The exact release, where the target tells it without any layout (3.11+).
    pub release: Option<Release>,
}

impl Identity {
    /// `3.12.1`, or `3.10` where the micro release is not known yet.
    pub fn shown(&self) -> String {
        self.release.map_or_else(|| format!("3.{}", self.minor), |r| r.to_string())
    }
}

/// Reads version and flavour from symbols and the first words of the runtime.
///
/// # Errors
/// Free-threaded and debug builds, pre-releases and unsupported series, each with what was found.
pub fn identify(memory: &dyn Memory, python: &Module) -> Result<Identity, LayoutError> {
    let runtime = python.symbol("_PyRuntime").ok_or_else(|| LayoutError::NoRuntime { path: python.path.clone() })?;
    let mut hex = None;
    let mut free_threaded = false;
    let mut cookie = [0; 8];
    if memory.read(runtime, &mut cookie).is_ok() && &cookie == b"xdebugpy" {
        hex = memory.u64(runtime + 8).ok();
        free_threaded = memory.u64(runtime + 16).unwrap_or(0) != 0;
    } else if let Some(version) = python.symbol("Py_Version") {
        hex = memory.u64(version).ok().map(|v| v & 0xffff_ffff);
    }
    let (name_minor, name_flags) = of_file_name(&python.path);
    let release = match hex {
        Some(hex) => Some(Release::from_hex(hex).ok_or_else(|| LayoutError::Unsupported { found: format!("pre-release {hex:#x}") })?),
        None => None,
    };
    let minor = release
        .map(|r| r.minor)
        .or(name_minor)
        .or_else(|| of_symbols(python))
        .ok_or_else(|| LayoutError::Unsupported { found: python.path.clone() })?;
    let found = release.map_or_else(|| format!("3.{minor}"), |r| r.to_string());
    if free_threaded || name_flags.contains('t') {
        return Err(LayoutError::FreeThreaded { found });
    }
    // Exported only where `Py_REF_DEBUG` is defined, which debug builds imply (Include/object.h, 3.8–3.15).
    if name_flags.contains('d') || python.symbol("_Py_NegativeRefcount").is_some() {
        return Err(LayoutError::DebugBuild { found });
    }
    if super::Rules::of(Release { major: 3, minor, micro: 0 }).is_none() {
        return Err(LayoutError::Unsupported { found });
    }
    Ok(Identity { runtime, minor, release })
}

/// The minor of a release before 3.11, which says it nowhere, in a program that is not called by it: by what each was the first to have
/// (Include/modsupport.h: `PyModule_AddObjectRef` 3.10, `PyModule_AddType` 3.9; Include/code.h: `PyCode_NewWithPosOnlyArgs` 3.8). A
/// linker takes their files whole, and the proof decides.
fn of_symbols(python: &Module) -> Option<u8> {
    const FIRST: [(&str, u8); 3] = [("PyModule_AddObjectRef", 10), ("PyModule_AddType", 9), ("PyCode_NewWithPosOnlyArgs", 8)];
    FIRST.iter().find(|(name, _)| python.symbol(name).is_some()).map(|(_, minor)| *minor)
}

/// The minor and the ABI flags in a file name: `libpython3.13t.so.1.0`, `python3.11`.
fn of_file_name(path: &str) -> (Option<u8>, String) {
    let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(" (deleted)");
    let Some(rest) = name.split_once("python3.").map(|p| p.1) else { return (None, String::new()) };
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let flags = rest.get(digits.len()..).unwrap_or("").chars().take_while(char::is_ascii_alphabetic).collect::<String>();
    // `python3.11-config` and the like have no flags; `.so` begins with a dot.
    (digits.parse().ok(), flags)
}

/// A proved target.
#[derive(Clone, Debug)]
pub struct Proved {
    /// The layout that fits.
    pub layout: Layout,
    /// Address of `_PyRuntime`.
    pub runtime: Addr,
    /// The main interpreter.
    pub interpreter: Addr,
    /// The static type `type`.
    pub type_type: Addr,
}

/// Where the word `collecting` of the main interpreter's collector may be, by each candidate that looks right so far:
/// what a stop checks before it copies.
pub fn collecting_words(memory: &dyn Memory, identity: &Identity, tables: &[Table]) -> Vec<Addr> {
    let mut all: Vec<Addr> = candidates(identity, tables)
        .into_iter()
        .filter_map(|t| {
            let layout = Layout::new(identity.release.unwrap_or(t.release), t).ok()?;
            let start = start(memory, identity, &layout).ok()?;
            Some(layout.gc_state(identity.runtime, start.interpreter)? + layout.at.gc.collecting)
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

/// The tables of the target's minor, and what they become with another collector that the series had.
fn candidates(identity: &Identity, tables: &[Table]) -> Vec<Table> {
    let all = tables.iter().filter(|t| t.release.minor == identity.minor);
    all.flat_map(|t| [Some(t.clone()), incremental::candidate(t)]).flatten().collect()
}

/// Tries every candidate table of the target's minor on the image.
///
/// # Errors
/// [`LayoutError::Unproved`] with the first failed check of each candidate; [`LayoutError::NotInitialised`] and
/// [`LayoutError::Finalizing`] where every candidate says so.
pub fn prove(image: &Image<'_>, identity: &Identity, python: &Module, tables: &[Table], moment: Moment) -> Result<Proved, LayoutError> {
    let mut passed: Vec<Proved> = Vec::new();
    let mut tried = Vec::new();
    let mut state = None;
    for table in candidates(identity, tables) {
        match check(image, identity, python, &table, moment, Care::Whole) {
            Ok(p) => passed.push(p),
            Err(Failure::State(e)) => state = Some(e),
            Err(Failure::Check(why)) => tried.push((table.name.clone(), why)),
        }
    }
    if passed.is_empty() && state.is_none() {
        // Its own table fits, or what it describes is damaged: then all but little of it fits.
        let again = candidates(identity, tables).into_iter().filter_map(|t| check(image, identity, python, &t, moment, Care::Damaged).ok());
        passed.extend(again.filter(|p| p.layout.proof == Proof::ExactRelease));
    }
    // The release's own table, where it passes, is the best witness; of others the nearest release, and all must agree.
    passed.sort_by_key(|p| (p.layout.proof != Proof::ExactRelease, p.layout.table.release.micro.abs_diff(p.layout.release.micro)));
    let Some(first) = passed.first() else {
        return Err(state.unwrap_or(LayoutError::Unproved { release: identity.shown(), tried }));
    };
    if first.layout.proof == Proof::ExactRelease {
        return Ok(passed.swap_remove(0));
    }
    if let Some(other) = passed.iter().find(|p| !agree(&p.layout, &first.layout)) {
        return Err(LayoutError::Ambiguous {
            release: identity.shown(),
            first: first.layout.table.name.clone(),
            second: other.layout.table.name.clone(),
        });
    }
    Ok(passed.swap_remove(0))
}

/// Whether two layouts that both passed lead to the same objects. Compared is what the proof vouches for: runtime, interpreter,
/// threads, frames, collector, allocator and the types of the interpreter itself. The structs of extension modules need not
/// agree: each is used only where the type's own `tp_basicsize` is its size. Nor do the ends of the large structs, which are
/// only scanned, and the place of the generations, which the proof itself found.
fn agree(a: &Layout, b: &Layout) -> bool {
    const CORE: &[(&str, &str)] = &[
        ("pyruntimestate", "_finalizing"),
        ("pyruntimestate", "interpreters.head"),
        ("pyruntimestate", "interpreters.main"),
        ("pyruntimestate", "gc"),
        ("_is", "imports.modules"),
        ("_is", "threads.head"),
        ("_is", "obmalloc"),
        ("_is", "types.builtins"),
        ("_is", "types.builtins.initialized"),
        ("_is", "types.for_extensions.initialized"),
        ("_obmalloc_state", "mgmt.arenas"),
        ("_obmalloc_state", "mgmt.maxarenas"),
        ("_PyCFrame", "current_frame"),
    ];
    let fields = |l: &Layout| {
        let mut at = l.at;
        at.thread.size = 0;
        at.interpreter.size = 0;
        at.gc.generations = 0;
        at
    };
    fields(a) == fields(b)
        && a.iframe == b.iframe
        && a.generations == b.generations
        && CORE.iter().all(|(name, field)| a.table.offset(name, field) == b.table.offset(name, field))
}

pub(super) enum Failure {
    /// A fact about the target, not about the table.
    State(LayoutError),
    /// The check that failed.
    Check(String),
}

impl From<Fault> for Failure {
    fn from(f: Fault) -> Failure {
        Failure::Check(f.to_string())
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Failure {
        Failure::Check(why)
    }
}

pub(super) fn fail<T>(why: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Check(why.into()))
}

struct Start {
    interpreter: Addr,
    sysdict: Addr,
    modules: Addr,
    builtins: Addr,
    dict_type: Addr,
    type_type: Addr,
}

/// The first steps, which a live look can take too: runtime → main interpreter → three dicts of one type → `type`.
fn start(memory: &dyn Memory, identity: &Identity, layout: &Layout) -> Result<Start, Failure> {
    let t = &layout.table;
    let need = |name: &'static str, field: &'static str| t.need(name, field).map_err(|e| Failure::Check(e.to_string()));
    if let Some(at) = t.offset("pyruntimestate", "_finalizing") {
        if memory.u64(identity.runtime + at)? != 0 {
            return Err(Failure::State(LayoutError::Finalizing));
        }
    }
    let interpreter = memory.addr(identity.runtime + need("pyruntimestate", "interpreters.main")?)?;
    if interpreter.is_null() {
        return Err(Failure::State(LayoutError::NotInitialised));
    }
    let modules = memory.addr(interpreter + need("_is", "imports.modules")?)?;
    let sysdict = memory.addr(interpreter + layout.at.interpreter.sysdict)?;
    let builtins = memory.addr(interpreter + layout.at.interpreter.builtins)?;
    if modules.is_null() || sysdict.is_null() || builtins.is_null() {
        // A runtime that says that it is ready has all three: then the table is wrong, not the moment.
        let ready = ["_initialized", "initialized"]
            .iter()
            .find_map(|f| t.offset("pyruntimestate", f))
            .is_some_and(|at| memory.i32(identity.runtime + at) == Ok(1));
        if ready {
            return fail("the interpreter has no sys.modules, sys.__dict__ or builtins.__dict__");
        }
        return Err(Failure::State(LayoutError::NotInitialised));
    }
    let dict_type = memory.addr(sysdict + Fields::OB_TYPE)?;
    if memory.addr(modules + Fields::OB_TYPE)? != dict_type || memory.addr(builtins + Fields::OB_TYPE)? != dict_type {
        return fail("sys.modules, sys.__dict__ and builtins.__dict__ are not of one type");
    }
    let type_type = memory.addr(dict_type + Fields::OB_TYPE)?;
    if memory.addr(type_type + Fields::OB_TYPE)? != type_type {
        return fail("type(type) is not type");
    }
    for (ty, name, flag) in [(type_type, "type", flags::TYPE), (dict_type, "dict", flags::DICT)] {
        let found = memory.c_str(memory.addr(ty + layout.at.ty.tp_name)?, 64)?;
        if found != name {
            return fail(format!("a type is called {found:?} where {name:?} must be"));
        }
        if memory.u64(ty + layout.at.ty.tp_flags)? & flag == 0 {
            return fail(format!("{name} lacks the flag of its kind"));
        }
    }
    Ok(Start { interpreter, sysdict, modules, builtins, dict_type, type_type })
}

fn check(image: &Image<'_>, identity: &Identity, python: &Module, table: &Table, moment: Moment, care: Care) -> Result<Proved, Failure> {
    let layout = Layout::new(identity.release.unwrap_or(table.release), table.clone()).map_err(|e| Failure::Check(e.to_string()))?;
    inside(table)?;
    told_by_target(image, identity, table)?;
    let s = start(image, identity, &layout)?;
    let release = names(image, &layout, &s)?;
    if identity.release.is_some_and(|r| r != release) {
        return fail(format!("sys.hexversion says {release}"));
    }
    let mut layout = Layout::new(release, table.clone()).map_err(|e| Failure::Check(e.to_string()))?;
    let sample = collector(image, identity, &mut layout, s.interpreter, moment, care)?;
    decode_sample(image, &layout, &s, python, &sample, care)?;
    threads(image, &layout, &s, care)?;
    Ok(Proved { layout, runtime: identity.runtime, interpreter: s.interpreter, type_type: s.type_type })
}

/// What `_Py_DebugOffsets` says must be what the table says (Include/internal/pycore_runtime.h, from 3.14 pycore_debug_offsets.h).
fn told_by_target(image: &Image<'_>, identity: &Identity, table: &Table) -> Result<(), Failure> {
    let mut cookie = [0; 8];
    if image.read(identity.runtime, &mut cookie).is_err() || &cookie != b"xdebugpy" {
        return Ok(());
    }
    // Fields were put in between in each release: positions in 3.13, 3.14 and 3.15; 0 where it does not tell of the field.
    const TOLD: &[([u64; 3], &str, &str)] = &[
        ([40, 40, 40], "pyruntimestate", "interpreters.head"),
        ([64, 64, 64], "_is", "next"),
        ([72, 72, 72], "_is", "threads.head"),
        ([80, 88, 88], "_is", "gc"),
        ([88, 96, 96], "_is", "imports.modules"),
        ([96, 104, 104], "_is", "sysdict"),
        ([104, 112, 112], "_is", "builtins"),
        ([168, 192, 192], "_ts", "next"),
        ([184, 208, 208], "_ts", "current_frame"),
        ([192, 216, 240], "_ts", "thread_id"),
        ([208, 232, 256], "_ts", "datastack_chunk"),
        ([232, 256, 320], "_PyInterpreterFrame", "previous"),
        ([256, 280, 344], "_PyInterpreterFrame", "localsplus"),
        ([264, 288, 352], "_PyInterpreterFrame", "owner"),
        ([0, 296, 360], "_PyInterpreterFrame", "stackpointer"),
        ([280, 320, 384], "PyCodeObject", "co_filename"),
        ([408, 456, 552], "PyTupleObject", "ob_item"),
        ([432, 480, 576], "PyListObject", "ob_item"),
        ([0, 512, 608], "PySetObject", "table"),
        ([456, 536, 632], "PyDictObject", "ma_keys"),
        ([464, 544, 640], "PyDictObject", "ma_values"),
        ([544, 624, 720], "PyASCIIObject", "state"),
        ([576, 656, 760], "_gc_runtime_state", "collecting"),
        ([0, 680, 808], "PyGenObject", "gi_iframe"),
        ([0, 688, 816], "PyGenObject", "gi_frame_state"),
    ];
    const GC_SIZE: [u64; 3] = [568, 648, 752];
    let Some(release) = (13..=15).position(|minor| minor == identity.minor) else {
        return fail("its debug offsets are of a release that is not known");
    };
    for &(at, name, field) in TOLD {
        let Some(at) = at.get(release).copied().filter(|at| *at != 0) else { continue };
        let told = image.u64(identity.runtime + at)?;
        if table.offset(name, field).is_some_and(|o| o != told) {
            return fail(format!("the target says that {name}.{field} is at {told}"));
        }
    }
    let told = GC_SIZE.get(release).map_or(Ok(0), |at| image.u64(identity.runtime + *at))?;
    if table.size("_gc_runtime_state") != Some(told) {
        return fail(format!("the target says that the collector's state has {told} bytes"));
    }
    Ok(())
}

/// Dictionaries, strings, ints and types by their contents; gives the release that `sys.hexversion` names.
fn names(image: &Image<'_>, layout: &Layout, s: &Start) -> Result<Release, Failure> {
    let heap = Heap::new(image, layout, s.type_type, s.interpreter);
    let Some(sys) = heap.dict_get(s.modules, "sys")? else { return fail("sys.modules does not hold sys") };
    if image.addr(sys + layout.at.module.md_dict)? != s.sysdict {
        return fail("sys.modules['sys'] does not hold sys.__dict__");
    }
    let Some(hex) = heap.dict_get(s.sysdict, "hexversion")? else { return fail("sys has no hexversion") };
    // One digit of 30 bits after the size word: what stands behind it belongs to nobody.
    let (count, digit) = (heap.int_digits(&heap.obj(hex)?)?, image.u32(hex + 24)?);
    let Some(release) = Release::from_hex(u64::from(digit)).filter(|_| count == (1, false)) else {
        return fail(format!("sys.hexversion is {digit:x}, of {count:?} digits"));
    };
    // sizes that the interpreter's own types say they have
    for (name, structure) in [
        ("dict", "PyDictObject"),
        ("list", "PyListObject"),
        ("set", "PySetObject"),
        ("str", "PyUnicodeObject"),
        ("float", "PyFloatObject"),
        ("bytearray", "PyByteArrayObject"),
        ("property", "propertyobject"),
        ("classmethod", "classmethod"),
        ("slice", "PySliceObject"),
        ("BaseException", "PyBaseExceptionObject"),
        ("OSError", "PyOSErrorObject"),
        ("zip", "zipobject"),
        ("super", "superobject"),
    ] {
        let Some(ty) = heap.dict_get(s.builtins, name)? else { return fail(format!("builtins has no {name}")) };
        let basic = image.u64(ty + layout.at.ty.tp_basicsize)?;
        if layout.table.size(structure).is_some_and(|size| size != basic) {
            return fail(format!("{name}.__basicsize__ is {basic}"));
        }
        let mro = image.addr(ty + layout.at.ty.tp_mro)?;
        if image.addr(mro + layout.at.tuple.ob_item)? != ty {
            return fail(format!("{name}.__mro__ does not begin with {name}"));
        }
    }
    if image.addr(heap.dict_get(s.builtins, "dict")?.unwrap_or_default() + Fields::OB_TYPE)? != s.type_type {
        return fail("builtins.dict is not a type");
    }
    Ok(release)
}

/// Counts, per type, objects whose references lead to no objects.
#[derive(Default)]
struct Judge {
    references: Vec<Addr>,
    torn: u32,
}

impl Visitor for Judge {
    fn reference(&mut self, to: Addr, _: Label) {
        self.references.push(to);
    }
    fn hidden(&mut self, to: Addr, _: Label) {
        self.references.push(to);
    }
    fn scanned(&mut self, _: Addr, _: Label) {}
    fn owns(&mut self, _: Addr, _: u64) {}
    fn torn(&mut self, _: Torn) {
        self.torn += 1;
    }
}

/// Decodes the sample: of every type that is met, most objects must lead to objects only.
fn decode_sample(image: &Image<'_>, layout: &Layout, s: &Start, python: &Module, sample: &[Addr], care: Care) -> Result<(), Failure> {
    let mut heap = Heap::new(image, layout, s.type_type, s.interpreter);
    heap.learn(python, sample.iter().copied());
    let shapes = Shapes::new(&heap, s.dict_type)?;
    shapes.sizes()?;
    shapes.namespaces(care)?;
    shapes.arenas(sample)?;
    shapes.modules(sample)?;
    let mut types = TypeCache::new(&heap);
    let mut judged: BTreeMap<String, Kind> = BTreeMap::new();
    let mut unknown = 0;
    let mut shaped: BTreeMap<u32, Kind> = BTreeMap::new();
    let mut misfit = String::new();
    for &addr in sample.iter().step_by(sample.len().div_ceil(DECODED).max(1)) {
        let o = heap.obj(addr)?;
        let Some(t) = types.get(o.ty()?).cloned() else {
            unknown += 1;
            continue;
        };
        let mut judge = Judge::default();
        let fault = heap.decode(&o, &t, &mut judge).is_err();
        let wrong = fault
            || judge.torn > 0
            || judge.references.iter().any(|to| {
                let ty = heap.obj(*to).and_then(|o| o.ty());
                !ty.is_ok_and(|ty| types.get(ty).is_some())
            });
        judged.entry(t.name.clone()).or_default().count(&t, wrong);
        let fits = shapes.object(&o, &t);
        shaped.entry(t.index).or_default().count(&t, fits.is_err());
        misfit = fits.err().unwrap_or(misfit);
    }
    if unknown * 100 > sample.len().min(DECODED) {
        return fail(format!("{unknown} of {} tracked objects have no type", sample.len().min(DECODED)));
    }
    // A torn object now and then is normal on a busy target; a type of which most are wrong is not.
    let all = sample.len().min(DECODED);
    let wrong: Vec<_> = judged.iter().filter(|(_, kind)| kind.is_wrong()).collect();
    if let Some((name, kind)) = wrong.first() {
        if care.too_many_of(wrong.iter().map(|(_, kind)| *kind), all) {
            return fail(format!("{} of {} sampled objects of type {name} lead to what is no object", kind.bad, kind.good + kind.bad));
        }
    }
    if !judged.contains_key("dict") || !judged.contains_key("function") {
        return fail("no dict or no function among the sampled objects");
    }
    match care.too_many_of(shaped.values().filter(|kind| kind.is_wrong()), all) {
        true => fail(misfit),
        false => Ok(()),
    }
}

/// Every thread belongs to the interpreter, and its frames run code.
fn threads(image: &Image<'_>, layout: &Layout, s: &Start, care: Care) -> Result<(), Failure> {
    let heap = Heap::new(image, layout, s.type_type, s.interpreter);
    let roots::Chain { all: threads, broken } = roots::threads(&heap, s.interpreter);
    if broken && care == Care::Whole {
        return fail("the chain of threads does not end");
    }
    if threads.is_empty() {
        return fail("the main interpreter has no thread");
    }
    let shapes = Shapes::new(&heap, s.dict_type)?;
    shapes.threads(&threads)?;
    let (mut fit, mut misfits) = (0, Vec::new());
    for thread in threads {
        if image.addr(thread.at + layout.at.thread.interp)? != s.interpreter {
            return fail("a thread does not belong to its interpreter");
        }
        let frames = roots::frames(&heap, thread);
        if frames.broken && care == Care::Whole {
            return fail("a chain of frames does not end");
        }
        for frame in frames.all.into_iter().take(FRAMES) {
            if care == Care::Damaged && !roots::runs_code(&heap, frame) {
                continue;
            }
            if !roots::is_python_frame(&heap, frame) {
                let most = layout.rules.frame_owner_most;
                if layout.iframe.is_some_and(|i| image.u8(frame + i.owner).is_ok_and(|owner| owner > most)) {
                    return fail("a frame belongs to nobody");
                }
                continue;
            }
            let code = roots::frame_code(&heap, frame)?;
            let name = heap.type_at(heap.obj(code)?.ty()?).map(|t| t.name.clone());
            if name.as_deref() != Some("code") {
                return fail("a frame does not run code");
            }
            if !heap.is_str(image.addr(code + layout.at.code.co_name)?) {
                return fail("a code object has no name");
            }
            match shapes.frame(frame, code) {
                Ok(()) => fit += 1,
                Err(why) => misfits.push(why),
            }
        }
    }
    if care == Care::Damaged && fit == 0 {
        return fail("no thread has a frame that runs code");
    }
    // The innermost frame of each thread may be half made.
    match misfits.pop() {
        Some(why) if misfits.len() >= fit => fail(why),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_tell_the_series_and_the_flavour() {
        let of = |p| of_file_name(p);
        assert_eq!(of("/usr/lib/libpython3.13t.so.1.0"), (Some(13), "t".to_owned()));
        assert_eq!(of("/usr/bin/python3.11"), (Some(11), String::new()));
        assert_eq!(of("/usr/bin/python3.11d"), (Some(11), "d".to_owned()));
        assert_eq!(of("/usr/bin/python3.11 (deleted)"), (Some(11), String::new()));
        assert_eq!(of("/usr/sbin/uwsgi"), (None, String::new()));
    }

    /// A fake world: bytes at the runtime, symbols of the file.
    fn say(path: &str, symbols: &[&str], runtime: &[u64]) -> Result<Identity, LayoutError> {
        let bytes: Vec<u8> = runtime.iter().flat_map(|w| w.to_le_bytes()).collect();
        let image = Image::new(vec![memory::Segment { start: Addr(0x10_0000), bytes: &bytes }]);
        let mut module = Module { path: path.to_owned(), ..Module::default() };
        for name in symbols {
            // Py_Version is its own word, after the two of the cookie.
            let at = if *name == "Py_Version" { 0x10_0010 } else { 0x10_0000 };
            module.symbols.insert((*name).to_owned(), Addr(at));
        }
        identify(&image, &module)
    }

    const COOKIE: u64 = u64::from_le_bytes(*b"xdebugpy");

    #[test]
    fn the_target_says_what_it_is() {
        let of = |i: Result<Identity, LayoutError>| i.map(|i| i.shown());
        assert_eq!(of(say("/x/libpython3.13.so.1.0", &["_PyRuntime"], &[COOKIE, 0x030d_00f0, 0])), Ok("3.13.0".to_owned()));
        assert_eq!(of(say("/x/uwsgi", &["_PyRuntime", "Py_Version"], &[0, 0, 0x030b_02f0])), Ok("3.11.2".to_owned()));
        assert_eq!(of(say("/x/libpython3.9.so.1.0", &["_PyRuntime"], &[0, 0, 0])), Ok("3.9".to_owned()));
        let first = ["_PyRuntime", "PyCode_NewWithPosOnlyArgs", "PyModule_AddType", "PyModule_AddObjectRef"];
        for (count, release) in [(2, "3.8"), (3, "3.9"), (4, "3.10")] {
            assert_eq!(of(say("/x/uwsgi", first.get(..count).unwrap(), &[0, 0, 0])), Ok(release.to_owned()));
        }
        assert!(say("/x/uwsgi", &["_PyRuntime"], &[0, 0, 0]).is_err());
    }

    #[test]
    fn builds_that_are_read_otherwise_are_refused_by_name() {
        let found = || "3.13.0".to_owned();
        let free_threaded = say("/x/python", &["_PyRuntime"], &[COOKIE, 0x030d_00f0, 1]);
        assert_eq!(free_threaded, Err(LayoutError::FreeThreaded { found: found() }));
        let debug = say("/x/python", &["_PyRuntime", "_Py_NegativeRefcount"], &[COOKIE, 0x030d_00f0, 0]);
        assert_eq!(debug, Err(LayoutError::DebugBuild { found: found() }));
        let named = say("/x/libpython3.9d.so.1.0", &["_PyRuntime"], &[0, 0, 0]);
        assert_eq!(named, Err(LayoutError::DebugBuild { found: "3.9".to_owned() }));
        let beta = say("/x/python", &["_PyRuntime"], &[COOKIE, 0x030d_00b1, 0]);
        assert_eq!(beta, Err(LayoutError::Unsupported { found: "pre-release 0x30d00b1".to_owned() }));
        for (hex, release) in [(0x0307_10f0, "3.7.16"), (0x0310_01f0, "3.16.1")] {
            let other = say("/x/python", &["_PyRuntime"], &[COOKIE, hex, 0]);
            assert_eq!(other, Err(LayoutError::Unsupported { found: release.to_owned() }));
        }
        assert!(matches!(say("/x/python", &[], &[0]), Err(LayoutError::NoRuntime { .. })));
    }
}
