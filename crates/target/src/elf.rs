//! Mapped ELF files: which of them is CPython, and its symbols at addresses of the target.
//!
//! Holds: the search for `_PyRuntime` through all mapped files, and single symbols for the launcher.
//! Never does: run or write a file; trust a path (inode and build id must be the mapped ones).
//! Sources: elf(5); the `.PyRuntime` section (CPython 3.10+, Include/internal/pycore_runtime.h `_GENERATE_DEBUG_SECTION_LINUX`
//! and its forerunner); proc_pid_map_files(5).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::io;
use std::ops::Range;

use memory::{Addr, Mapping, Memory, Module};
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection, ObjectSegment, ReadCache, ReadRef, SegmentFlags};

use crate::error::TargetError;
use crate::pagemap::PAGE;
use crate::process::Process;

/// No process maps more files that are looked at: a bound against a hostile one (vm.max_map_count is 65530 by default).
const FILES_MAX: usize = 16_384;
/// No more symbols are looked at in one file. The largest libraries have a few hundred thousand.
const SYMBOLS_MAX: usize = 4_000_000;

/// File statics of CPython that readers of its memory want, beside all names with `Py` or `_Py` in front.
/// They stand in `.symtab` only, so a stripped file has none of them.
const STATICS: &[&str] = &[
    "arenas",
    "maxarenas",
    "unused_arena_objects",
    "usable_arenas",
    "usedpools",
    "nfp2lasta",
    "narenas_currently_allocated",
    "ntimes_arena_allocated",
    "narenas_highwater",
    "raw_allocated_blocks",
    "arena_map_root",
    "arena_map_bot_count",
    "arena_map_mid_count",
    "obmalloc_state_main",
    "obmalloc_state_initialized",
    "interned",
    "unicode_latin1",
    "unicode_empty",
    "small_ints",
    "characters",
    "nullstring",
    "subtype_traverse",
    "subtype_dealloc",
    "empty_keys_struct",
    "empty_values",
    "empty_values_struct",
    "generations",
    "static_types",
    "builtin_types",
    "slotdefs",
    "slotdefs_initialized",
];

/// Symbol tables with their names, the one that survives stripping first.
const TABLES: [(&str, &str); 2] = [(".dynsym", ".dynstr"), (".symtab", ".strtab")];
/// `sizeof(Elf64_Sym)`.
pub(crate) const SYMBOL_BYTES: usize = 24;

/// A defined symbol.
pub(crate) struct Symbol<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) address: u64,
    local: bool,
}

impl<'a> Symbol<'a> {
    /// From an `Elf64_Sym` (elf(5)): name, info, other, section, value, size. `None` for an undefined one.
    pub(crate) fn read(raw: &'a [u8], names: &'a [u8]) -> Option<Symbol<'a>> {
        let name = u32::from_le_bytes(raw.get(..4)?.try_into().ok()?);
        let info = raw.get(4)?;
        let section = u16::from_le_bytes(raw.get(6..8)?.try_into().ok()?);
        let address = u64::from_le_bytes(raw.get(8..16)?.try_into().ok()?);
        let name = names.get(name as usize..)?.split(|b| *b == 0).next()?;
        (section != 0).then_some(Symbol { name, address, local: info >> 4 == 0 })
    }
}

/// All mapped files that define `_PyRuntime`, or why there is none.
pub(crate) fn pythons(process: &Process) -> Result<Vec<Module>, TargetError> {
    let mappings = process.mappings()?;
    let pid = process.pid();
    let mapped = |sign: &str| mappings.iter().find(|m| m.path.rsplit('/').next().is_some_and(|name| name.contains(sign)));
    // CPython linked with musl has the same symbols, but neither glibc's malloc nor a proved table.
    if let Some(m) = mapped("ld-musl") {
        return Err(TargetError::Musl { pid, loader: m.path.clone() });
    }
    let mut found = Vec::new();
    let mut unreadable: Vec<(String, io::Error)> = Vec::new();
    for file in mapped_files(process, &mappings) {
        match process.open_mapped(file) {
            Ok(opened) => found.extend(python_module(&ReadCache::new(opened), file, process)),
            Err(e) => match crate::loaded::python(process, file) {
                Some(module) => found.push(module),
                None => unreadable.push((file.path.clone(), e)),
            },
        }
    }
    if !found.is_empty() {
        return Ok(found);
    }
    if let Some(m) = mapped("libpypy").or_else(|| mapped("pypy3")).or_else(|| mapped("pypy2")) {
        return Err(TargetError::PyPy { pid, library: m.path.clone() });
    }
    let count = unreadable.len();
    match unreadable.into_iter().next() {
        Some((path, source)) => Err(TargetError::FilesUnreadable { pid, count, path, source }),
        None => Err(TargetError::NotPython { pid, exe: process.exe() }),
    }
}

/// The addresses of those of `names` that a mapped file defines: of the first file that defines any.
pub(crate) fn find_symbols(process: &Process, names: &[&str]) -> Result<Vec<Addr>, TargetError> {
    let mappings = process.mappings()?;
    for mapping in mapped_files(process, &mappings) {
        let Ok(file) = process.open_mapped(mapping) else { continue };
        let cache = ReadCache::new(file);
        let Some(elf) = Elf::parse(&cache, mapping.start) else { continue };
        let found: Vec<Addr> = names.iter().filter_map(|name| elf.defined(name)).collect();
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// The first mapping of each mapped ELF file, in the order of addresses, each file once.
pub(crate) fn mapped_files<'m>(memory: &dyn Memory, mappings: &'m [Mapping]) -> Vec<&'m Mapping> {
    let mut seen = HashSet::new();
    let mut files = Vec::new();
    for m in mappings {
        if m.inode == 0 || m.offset != 0 || !m.read || m.shared || !seen.insert((m.inode, m.path.as_str())) {
            continue;
        }
        if memory.u32(m.start) != Ok(u32::from_le_bytes(*b"\x7fELF")) {
            continue;
        }
        files.push(m);
        if files.len() == FILES_MAX {
            break;
        }
    }
    files
}

/// The module of a file that defines `_PyRuntime`.
pub(crate) fn python_module<'a>(file: impl ReadRef<'a>, mapping: &Mapping, memory: &dyn Memory) -> Option<Module> {
    let elf = Elf::parse(file, mapping.start)?;
    let runtime = elf.defined("_PyRuntime").or_else(|| elf.section(".PyRuntime"))?;
    // A file that merely was mapped, as data, has no readable byte there.
    memory.u64(runtime).ok()?;
    let mut module = Module { path: mapping.path.clone(), symbols: elf.symbols(), writable: elf.writable() };
    module.symbols.insert("_PyRuntime".to_string(), runtime);
    Some(module)
}

/// An ELF file and where it was loaded.
struct Elf<'a, R: ReadRef<'a>> {
    file: ElfFile64<'a, Endianness, R>,
    bias: u64,
}

impl<'a, R: ReadRef<'a>> Elf<'a, R> {
    fn parse(bytes: R, loaded_at: Addr) -> Option<Self> {
        let file = ElfFile64::<Endianness, R>::parse(bytes).ok()?;
        // The load bias: the first segment lies at the mapping of file offset 0. Zero for a file of fixed addresses (ET_EXEC).
        let first = file.segments().map(|s| s.address()).min()?;
        let bias = loaded_at.0.wrapping_sub(first / PAGE * PAGE);
        Some(Elf { file, bias })
    }

    fn at(&self, address: u64) -> Addr {
        Addr(address.wrapping_add(self.bias))
    }

    /// The address of one defined symbol: `.dynsym` first, then `.symtab`.
    fn defined(&self, name: &str) -> Option<Addr> {
        TABLES.iter().find_map(|tables| self.table(*tables)?.find(|s| s.name == name.as_bytes()).map(|s| self.at(s.address)))
    }

    /// The defined symbols of one table. Both sections are read whole: a name at a time through a reader of files is what a look
    /// at a small process would spend most of its time on.
    fn table(&self, (symbols, names): (&str, &str)) -> Option<impl Iterator<Item = Symbol<'a>> + use<'a, R>> {
        let symbols = self.file.section_by_name(symbols)?.data().ok()?;
        let names = self.file.section_by_name(names)?.data().ok()?;
        Some(symbols.chunks_exact(SYMBOL_BYTES).take(SYMBOLS_MAX).filter_map(|raw| Symbol::read(raw, names)))
    }

    fn section(&self, name: &str) -> Option<Addr> {
        let section = self.file.section_by_name(name)?;
        (section.address() != 0 && section.size() != 0).then(|| self.at(section.address()))
    }

    /// Symbols of both tables that a reader of CPython's memory may ask for.
    fn symbols(&self) -> HashMap<String, Addr> {
        let mut wanted: HashMap<String, Addr> = HashMap::new();
        let mut ambiguous: HashSet<String> = HashSet::new();
        for symbol in TABLES.iter().filter_map(|tables| self.table(*tables)).flatten() {
            let Ok(name) = std::str::from_utf8(symbol.name) else { continue };
            let name = plain_name(name);
            if symbol.address == 0 || !is_wanted(name) {
                continue;
            }
            let at = self.at(symbol.address);
            match wanted.entry(name.to_string()) {
                Entry::Vacant(slot) => {
                    slot.insert(at);
                }
                // Two statics of one name in two C files: neither can be trusted. A global of this name wins.
                Entry::Occupied(slot) if *slot.get() != at && symbol.local => {
                    ambiguous.insert(slot.key().clone());
                }
                Entry::Occupied(mut slot) => {
                    if *slot.get() != at {
                        slot.insert(at);
                    }
                }
            }
        }
        // `_Py…` and `Py…` globals are unique by the linker's rule; only statics can be ambiguous.
        for name in ambiguous {
            if STATICS.contains(&name.as_str()) {
                wanted.remove(&name);
            }
        }
        wanted
    }

    /// The writable segments, rounded out to pages.
    fn writable(&self) -> Vec<Range<Addr>> {
        let mut out = Vec::new();
        for segment in self.file.segments() {
            let SegmentFlags::Elf { p_flags } = segment.flags() else { continue };
            if p_flags & object::elf::PF_W != 0 && segment.size() != 0 {
                let start = self.at(segment.address());
                let end = start + segment.size();
                out.push(start.align_down(PAGE)..Addr(end.0.wrapping_add(PAGE - 1)).align_down(PAGE));
            }
        }
        out
    }
}

pub(crate) fn is_wanted(name: &str) -> bool {
    name.starts_with("Py") || name.starts_with("_Py") || name.starts_with("lookdict") || STATICS.contains(&name)
}

/// A static's name without what link-time optimisation appends to keep it unique: `usedpools.lto_priv.0`.
pub(crate) fn plain_name(name: &str) -> &str {
    name.split_once(".lto_priv.").map_or(name, |(plain, _)| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_kept() {
        for name in ["PyType_Type", "_PyRuntime", "_PySet_Dummy", "usedpools", "lookdict_unicode", "subtype_traverse"] {
            assert!(is_wanted(name), "{name}");
        }
        for name in ["main", "free_list", "malloc", "my_arenas", ""] {
            assert!(!is_wanted(name), "{name}");
        }
        assert_eq!(plain_name("usedpools.lto_priv.0"), "usedpools");
        assert_eq!(plain_name("lookdict.cold"), "lookdict.cold");
    }

    #[test]
    fn bytes_that_are_no_elf_file_give_nothing() {
        let real = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(Elf::parse(real.as_slice(), Addr(0x5000)).is_some());
        assert!(Elf::parse(&b"\x7fELF"[..], Addr(0x5000)).is_none());
        assert!(Elf::parse(&b""[..], Addr(0x5000)).is_none());
        // Every cut of the header's first kilobyte: no panic, whatever is found.
        for cut in (0..1024).step_by(7) {
            if let Some(elf) = Elf::parse(&real[..cut], Addr(0x5000)) {
                assert_eq!(elf.defined("_PyRuntime"), None);
                let _ = (elf.symbols(), elf.writable(), elf.section(".PyRuntime"));
            }
        }
    }

    #[test]
    fn a_symbol_of_our_own_is_where_we_are() {
        let me = crate::open(std::process::id() as i32).unwrap();
        let main = find_symbols(&me, &["no_such_symbol", "main"]).unwrap().remove(0);
        let exe = me.exe();
        let inside = me.mappings().unwrap().into_iter().find(|m| m.start <= main && main < m.end).unwrap();
        assert_eq!((inside.path, inside.exec), (exe, true));
        assert!(matches!(me.python(), Err(TargetError::NotPython { .. })));
    }
}
