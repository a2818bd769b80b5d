//! Holds the reader of the truth files that python/oracle.py writes: every object of a heap with what the interpreter says of it.
//! Never reads a process; a file that does not have the form is an error with the field's name.
//! Sources: python/oracle.py (`_write_truth`), the writer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Deserialize;

const MAGIC: &[u8] = b"EXUVIA-TRUTH-1\n";

/// What can be wrong with a truth file.
#[derive(Debug, thiserror::Error)]
pub enum TruthError {
    /// It cannot be read.
    #[error("truth file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The header is not what the reader knows.
    #[error("truth file's header: {0}")]
    Header(#[from] serde_json::Error),
    /// It ends early or has another length than its header says.
    #[error("truth file: {0} is cut short or of another form")]
    Form(&'static str),
}

/// One object as its interpreter describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrueObject<'a> {
    /// `id(o)`: its address.
    pub id: u64,
    /// `type(o)`.
    pub class: &'a TrueType,
    /// `sys.getsizeof(o)`; None where that raised.
    pub size: Option<u64>,
    /// `sys.getrefcount(o)` without the oracle's own references.
    pub refcount: TrueCount,
    /// `gc.is_tracked(o)`.
    pub tracked: bool,
    /// `gc.is_finalized(o)`; always false on 3.8, which cannot say.
    pub finalized: bool,
    /// 0, 1, 2; 3 for an object in the permanent generation; None where untracked.
    pub generation: Option<u8>,
    /// `gc.get_referents(o)`, as often as it names each.
    pub referents: &'a [u64],
}

/// A reference count as the interpreter tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrueCount {
    /// 3.12 and later: not counted.
    Immortal,
    /// So many references besides the oracle's own.
    Counted(i64),
}

/// A type in use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TrueType {
    /// Its address.
    pub id: u64,
    /// `__module__` where that is a str.
    pub module: Option<String>,
    /// `__qualname__` where that is a str.
    pub qualname: Option<String>,
    /// `__flags__`.
    pub flags: u64,
    /// `__basicsize__`.
    pub basicsize: i64,
    /// `__itemsize__`.
    pub itemsize: i64,
    /// `__dictoffset__`.
    pub dictoffset: i64,
    /// Module, qualified name and kind of method of the class in the MRO that defines `__sizeof__`.
    pub sizeof_owner: (Option<String>, Option<String>, String),
    /// The type's own type.
    pub metatype: u64,
}

impl TrueType {
    /// The name as outputs show it: `module.qualname`, without the module for builtins.
    pub fn name(&self) -> String {
        full_name(self.module.as_deref(), self.qualname.as_deref())
    }

    /// Made at run time (`Py_TPFLAGS_HEAPTYPE`).
    pub fn is_heap(&self) -> bool {
        self.flags & (1 << 9) != 0
    }

    /// The class whose `__sizeof__` answers, as `name` would show it.
    pub fn sizeof_owner(&self) -> String {
        let (module, qualname, _) = &self.sizeof_owner;
        full_name(module.as_deref(), qualname.as_deref())
    }
}

fn full_name(module: Option<&str>, qualname: Option<&str>) -> String {
    let qualname = qualname.unwrap_or("?");
    match module {
        // The second: as repr() of a class does whose __module__ is no str.
        Some("builtins") | None => qualname.to_owned(),
        Some(module) => format!("{module}.{qualname}"),
    }
}

/// One thread's Python stack.
#[derive(Debug, Clone, Deserialize)]
pub struct TrueThread {
    /// `threading.get_ident()`.
    pub ident: u64,
    /// Names of the functions, innermost first.
    pub names: Vec<String>,
    /// Ids of the frame objects; from 3.11 most of these exist in the oracle's copy alone.
    pub frames: Vec<u64>,
}

/// What scripts tell the test beside the heap.
#[derive(Debug, Clone, Deserialize)]
pub struct Notes {
    /// Parts of the heap that could not be built, by name.
    pub failures: Vec<String>,
    /// Whatever else the script wants to say.
    #[serde(flatten)]
    pub more: BTreeMap<String, serde_json::Value>,
}

impl Notes {
    /// A table of numbers that the script left under a key; empty where there is none.
    pub fn numbers(&self, key: &str) -> BTreeMap<String, i64> {
        let table = self.more.get(key).and_then(|v| v.as_object());
        table.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), value.as_i64()?))).collect()
    }
}

/// The first part of the file: all that is not a column.
#[derive(Debug, Clone, Deserialize)]
pub struct Header {
    objects: usize,
    referents: usize,
    /// `sys.version`.
    pub version: String,
    /// `sys.hexversion`.
    pub hexversion: u64,
    /// `sys.executable`.
    pub executable: String,
    /// Of the target.
    pub pid: u32,
    /// "libc", or "os" where ctypes is missing and the truth knows no other thread's frames.
    pub fork: String,
    /// What the oracle's own references add to each count; taken off already.
    pub excess: i64,
    /// `sys.getallocatedblocks()` just before the fork.
    pub allocated_blocks: i64,
    /// `gc.get_freeze_count()`.
    pub freeze_count: u64,
    /// `gc.get_threshold()`.
    pub thresholds: Vec<u64>,
    /// `gc.isenabled()`.
    pub enabled: bool,
    /// Of attributes that an instance keeps inline after it was asked for its `__dict__` that dict tells, not the instance.
    pub dict_tells_attributes: bool,
    sizeof_failed: Vec<(u64, String)>,
    disturbed: FxHashSet<u64>,
    /// Objects that the script gave a name.
    pub named: BTreeMap<String, u64>,
    /// Well-known roots: `sys.modules`, `builtins.__dict__`, `gc.garbage` …
    pub roots: BTreeMap<String, u64>,
    /// Every thread's Python stack.
    pub threads: Vec<TrueThread>,
    /// The script's own words.
    pub notes: Notes,
    types: Vec<TrueType>,
}

/// A whole heap as its interpreter describes it.
#[derive(Debug, Clone)]
pub struct Truth {
    /// All that is not about one object.
    pub header: Header,
    ids: Vec<u64>,
    type_index: Vec<u32>,
    sizes: Vec<i64>,
    refcounts: Vec<i64>,
    flags: Vec<u8>,
    generations: Vec<u8>,
    offsets: Vec<u64>,
    referents: Vec<u64>,
    by_id: FxHashMap<u64, u32>,
}

impl Truth {
    /// Reads a truth file.
    pub fn read(path: &Path) -> Result<Truth, TruthError> {
        let bytes = std::fs::read(path).map_err(|source| TruthError::Io { path: path.to_owned(), source })?;
        Truth::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Result<Truth, TruthError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(TruthError::Form("magic"))?;
        let (length, rest) = rest.split_first_chunk::<8>().ok_or(TruthError::Form("header's length"))?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| TruthError::Form("header's length"))?;
        let (text, mut rest) = rest.split_at_checked(length).ok_or(TruthError::Form("header"))?;
        let header: Header = serde_json::from_slice(text)?;
        let n = header.objects;
        let truth = Truth {
            ids: column(&mut rest, n, u64::from_le_bytes, "ids")?,
            type_index: column(&mut rest, n, u32::from_le_bytes, "type_index")?,
            sizes: column(&mut rest, n, i64::from_le_bytes, "sizes")?,
            refcounts: column(&mut rest, n, i64::from_le_bytes, "refcounts")?,
            flags: column(&mut rest, n, u8::from_le_bytes, "flags")?,
            generations: column(&mut rest, n, u8::from_le_bytes, "generations")?,
            offsets: column(&mut rest, n + 1, u64::from_le_bytes, "offsets")?,
            referents: column(&mut rest, header.referents, u64::from_le_bytes, "referents")?,
            by_id: FxHashMap::default(),
            header,
        };
        if !rest.is_empty() {
            return Err(TruthError::Form("end"));
        }
        truth.checked()
    }

    /// What later accessors rely on: indices in range, each id once.
    fn checked(mut self) -> Result<Truth, TruthError> {
        if self.type_index.iter().any(|&t| t as usize >= self.header.types.len()) {
            return Err(TruthError::Form("type_index"));
        }
        let sorted = self.offsets.windows(2).all(|w| w[0] <= w[1]);
        if !sorted || self.offsets.last().copied() != Some(self.referents.len() as u64) {
            return Err(TruthError::Form("offsets"));
        }
        self.by_id = self.ids.iter().zip(0u32..).map(|(&id, at)| (id, at)).collect();
        if self.by_id.len() != self.ids.len() {
            return Err(TruthError::Form("ids (one is there twice)"));
        }
        Ok(self)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// No object at all: never on a real interpreter.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The object at an index below `len`.
    pub fn object(&self, at: usize) -> TrueObject<'_> {
        let raw = self.refcounts[at];
        TrueObject {
            id: self.ids[at],
            class: &self.header.types[self.type_index[at] as usize],
            size: u64::try_from(self.sizes[at]).ok(),
            // 3.12 and 3.13 answer 0xffffffff, 3.14 0xC0000000 and more; 3.11's static objects start at 999999999 and are counted.
            refcount: if raw >= 1 << 31 { TrueCount::Immortal } else { TrueCount::Counted(raw - self.header.excess) },
            tracked: self.flags[at] & 1 != 0,
            finalized: self.flags[at] & 2 != 0,
            generation: (self.generations[at] != u8::MAX).then_some(self.generations[at]),
            referents: &self.referents[self.offsets[at] as usize..self.offsets[at + 1] as usize],
        }
    }

    /// The object at an address.
    pub fn by_id(&self, id: u64) -> Option<TrueObject<'_>> {
        self.by_id.get(&id).map(|&at| self.object(at as usize))
    }

    /// All objects, in the order in which the oracle met them.
    pub fn objects(&self) -> impl Iterator<Item = TrueObject<'_>> {
        (0..self.len()).map(|at| self.object(at))
    }

    /// The object that the script called so.
    pub fn named(&self, name: &str) -> Option<TrueObject<'_>> {
        self.by_id(*self.header.named.get(name)?)
    }

    /// All types in use.
    pub fn types(&self) -> &[TrueType] {
        &self.header.types
    }

    /// The count of this object is not comparable: the oracle's frames refer to it, or everybody does (None, small ints …).
    pub fn is_disturbed(&self, id: u64) -> bool {
        self.header.disturbed.contains(&id)
    }

    /// What `sys.getsizeof` raised for this object.
    pub fn sizeof_failed(&self, id: u64) -> Option<&str> {
        self.header.sizeof_failed.iter().find(|(failed, _)| *failed == id).map(|(_, error)| error.as_str())
    }

    /// Minor release of the interpreter: 11 in 3.11.2.
    pub fn minor(&self) -> u8 {
        (self.header.hexversion >> 16 & 0xff) as u8
    }
}

fn column<T, const N: usize>(rest: &mut &[u8], n: usize, decode: impl Fn([u8; N]) -> T, what: &'static str) -> Result<Vec<T>, TruthError> {
    let (bytes, after) = n.checked_mul(N).and_then(|len| rest.split_at_checked(len)).ok_or(TruthError::Form(what))?;
    *rest = after;
    Ok(bytes.chunks_exact(N).filter_map(|chunk| chunk.try_into().ok()).map(decode).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{for_each_interpreter, Target};

    #[test]
    fn two_writers_of_one_moment_agree_and_a_heap_at_rest_stays_the_same() {
        for_each_interpreter(|py| {
            let mut target = Target::start(py, "zoo_heap.py", &[""; 0]).unwrap();
            let (first, second) = target.truth_twice().unwrap();
            assert_eq!(first.header.notes.failures, Vec::<String>::new());
            assert_eq!(first.header.excess, 2, "the list's reference and the argument's");
            assert_same(&first, &second, |_| false);
            let third = target.truth().unwrap();
            // In between the target read and took apart a line: names came into the attribute cache and others went.
            assert_same(&second, &third, |o| o.class.name() == "str" || first.is_disturbed(o.id));
        });
    }

    #[test]
    fn the_truth_has_the_counts_that_the_scripts_know_by_construction() {
        for_each_interpreter(|py| {
            let truth = Target::start(py, "refcounts_heap.py", &[""; 0]).unwrap().truth().unwrap();
            let counts = truth.header.notes.numbers("counts");
            assert_eq!(counts.len(), 13);
            for (name, count) in counts {
                assert_eq!(truth.named(&name).unwrap().refcount, TrueCount::Counted(count), "{name}");
            }
            let truth = Target::start(py, "counts_heap.py", &["2"]).unwrap().truth().unwrap();
            let counts = truth.header.notes.numbers("counts");
            assert_eq!(counts.len(), 15);
            for (name, count) in counts {
                assert_eq!(truth.objects().filter(|o| o.class.name() == name).count() as i64, count, "{name}");
            }
        });
    }

    #[test]
    fn freed_objects_are_not_in_the_truth() {
        for_each_interpreter(|py| {
            let mut target = Target::start(py, "freed_heap.py", &[""; 0]).unwrap();
            for (truth, marker) in [(target.truth().unwrap(), 7), (target.ask("free").and_then(|_| target.truth()).unwrap(), 0)] {
                let counts = truth.header.notes.numbers("counts");
                assert_eq!((counts.len(), counts["__main__.GoneSlots"]), (12, marker));
                for (name, count) in counts {
                    assert_eq!(truth.objects().filter(|o| o.class.name() == name).count() as i64, count, "{name}");
                }
            }
        });
    }

    /// Same objects and same facts; the counts of those that `moves` names are let off.
    fn assert_same(first: &Truth, second: &Truth, moves: impl Fn(&TrueObject<'_>) -> bool) {
        let mut differences = Vec::new();
        for one in first.objects() {
            match second.by_id(one.id) {
                None => differences.push(format!("gone: {} at {:#x}", one.class.name(), one.id)),
                Some(two) if one == two || (moves(&one) && TrueObject { refcount: one.refcount, ..two } == one) => {}
                Some(two) => differences.push(describe(second, &one, &two)),
            }
        }
        assert_eq!(differences, Vec::<String>::new());
        assert_eq!(first.len(), second.len());
    }

    fn describe(second: &Truth, one: &TrueObject<'_>, two: &TrueObject<'_>) -> String {
        let lost: Vec<_> = one.referents.iter().filter(|id| !two.referents.contains(id)).collect();
        let won: Vec<_> = two.referents.iter().filter(|id| !one.referents.contains(id)).map(|id| second.by_id(*id)).collect();
        let bare = |o: &TrueObject<'_>| format!("{:?}", (o.id, o.class.name(), o.size, o.refcount, o.generation, o.referents.len()));
        format!("{}\nthen {}; lost {lost:?}, won {won:?}", bare(one), bare(two))
    }

    #[test]
    fn a_truth_cut_short_is_an_error() {
        assert!(matches!(Truth::parse(b"EXUVIA-TRUTH"), Err(TruthError::Form("magic"))));
        assert!(matches!(Truth::parse(b"EXUVIA-TRUTH-1\n\x05\0\0\0\0\0\0\0{}"), Err(TruthError::Form("header"))));
    }
}
