//! A mapped ELF file that cannot be opened any more: what is loaded of it. A library that a package upgrade replaced is such a file
//! where the kernel's own links to it (`/proc/PID/map_files`) may not be followed; its dynamic symbols are still in memory.
//!
//! Holds: [`python`]. Never does: read a file; look for what is not loaded (`.symtab`).
//! Sources: elf(5); the GNU hash table as glibc's `_dl_setup_hash` reads it (elf/dl-setup_hash.c, 2.36); relocated `d_ptr` in the
//! dynamic section (elf/get-dynamic-info.h there).

use std::collections::HashMap;

use memory::{Addr, Mapping, Memory, Module};

use crate::elf::{is_wanted, plain_name, Symbol, SYMBOL_BYTES};
use crate::pagemap::PAGE;

/// Bounds against a hostile process. libpython has some 2,000 dynamic symbols, and 12 program headers.
const HEADERS_MAX: u64 = 128;
const TAGS_MAX: u64 = 1024;
const BUCKETS_MAX: u32 = 1 << 20;
const SYMBOLS_MAX: u32 = 1 << 20;
const NAMES_MAX: u64 = 64 << 20;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PF_W: u32 = 2;
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_STRSZ: u64 = 10;
const DT_GNU_HASH: u64 = 0x6fff_fef5;

/// The module of the file whose first bytes are mapped here, if its dynamic symbols define `_PyRuntime`.
pub(crate) fn python(memory: &dyn Memory, mapping: &Mapping) -> Option<Module> {
    let loaded = Loaded::read(memory, mapping.start)?;
    let names = loaded.bytes(DT_STRTAB, *loaded.tags.get(&DT_STRSZ).filter(|n| **n <= NAMES_MAX)?)?;
    let table = loaded.bytes(DT_SYMTAB, u64::from(loaded.count()?) * SYMBOL_BYTES as u64)?;
    let mut module = Module { path: mapping.path.clone(), writable: loaded.writable.clone(), ..Module::default() };
    for symbol in table.chunks_exact(SYMBOL_BYTES).filter_map(|raw| Symbol::read(raw, &names)) {
        if let Some(name) = std::str::from_utf8(symbol.name).ok().map(plain_name).filter(|name| symbol.address != 0 && is_wanted(name)) {
            module.symbols.insert(name.to_string(), Addr(symbol.address.wrapping_add(loaded.bias)));
        }
    }
    memory.u64(module.symbol("_PyRuntime")?).ok()?;
    Some(module)
}

/// What the program headers and the dynamic section say.
struct Loaded<'m> {
    memory: &'m dyn Memory,
    bias: u64,
    end: u64,
    writable: Vec<std::ops::Range<Addr>>,
    tags: HashMap<u64, u64>,
}

impl<'m> Loaded<'m> {
    fn read(memory: &'m dyn Memory, start: Addr) -> Option<Self> {
        let word = |at: u64| memory.u64(Addr(at)).ok();
        let half = |at: u64| memory.u32(Addr(at)).ok();
        // e_phoff, e_phentsize and e_phnum.
        let (offset, sizes) = (word(start.0.checked_add(32)?)?, half(start.0.checked_add(54)?)?);
        let (size, count) = (u64::from(sizes & 0xffff), u64::from(sizes >> 16));
        if size != 56 || count > HEADERS_MAX {
            return None;
        }
        let mut segments = Vec::new();
        for i in 0..count {
            // p_type, p_flags, p_vaddr, p_memsz.
            let at = start.0.checked_add(offset)?.checked_add(i * size)?;
            segments.push((half(at)?, half(at.checked_add(4)?)?, word(at.checked_add(16)?)?, word(at.checked_add(40)?)?));
        }
        let loads = || segments.iter().filter(|(kind, ..)| *kind == PT_LOAD);
        let bias = start.0.wrapping_sub(loads().map(|(_, _, at, _)| at / PAGE * PAGE).min()?);
        let end = loads().map(|(_, _, at, size)| at.wrapping_add(*size).wrapping_add(bias)).max()?;
        let writable = loads().filter(|(_, flags, _, size)| flags & PF_W != 0 && *size != 0).map(|(_, _, at, size)| {
            let from = Addr(at.wrapping_add(bias));
            from.align_down(PAGE)..Addr(from.0.wrapping_add(*size).wrapping_add(PAGE - 1)).align_down(PAGE)
        });
        let writable = writable.collect();
        let (_, _, dynamic, _) = segments.iter().find(|(kind, ..)| *kind == PT_DYNAMIC)?;
        let mut tags = HashMap::new();
        for i in 0..TAGS_MAX {
            let at = dynamic.wrapping_add(bias).checked_add(i * 16)?;
            match word(at)? {
                0 => break,
                tag => tags.insert(tag, word(at.checked_add(8)?)?),
            };
        }
        Some(Loaded { memory, bias, end, writable, tags })
    }

    /// Where a tag leads: the loader has put addresses in place of offsets, except where it does not write (a program of its own).
    fn at(&self, tag: u64) -> Option<u64> {
        let told = *self.tags.get(&tag)?;
        Some(if (self.bias..self.end).contains(&told) { told } else { told.wrapping_add(self.bias) })
    }

    fn bytes(&self, tag: u64, len: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        self.memory.read(Addr(self.at(tag)?), &mut bytes).ok()?;
        Some(bytes)
    }

    /// How many dynamic symbols there are: only the hash tables tell.
    fn count(&self) -> Option<u32> {
        let word = |at: u64, i: u64| self.memory.u32(Addr(at.checked_add(i.checked_mul(4)?)?)).ok();
        if let Some(hash) = self.at(DT_HASH).filter(|_| self.tags.contains_key(&DT_HASH)) {
            return word(hash, 1).filter(|n| *n <= SYMBOLS_MAX);
        }
        let hash = self.at(DT_GNU_HASH)?;
        let (buckets, first, bloom) = (word(hash, 0)?, word(hash, 1)?, word(hash, 2)?);
        if buckets > BUCKETS_MAX || bloom > BUCKETS_MAX {
            return None;
        }
        let table = hash.checked_add(16 + u64::from(bloom) * 8)?;
        let mut last = 0;
        for i in 0..u64::from(buckets) {
            last = last.max(word(table, i)?);
        }
        if last < first {
            return Some(first.min(SYMBOLS_MAX));
        }
        // The chain of the last bucket ends with an odd hash.
        let chain = table.checked_add(u64::from(buckets) * 4)?;
        while last < SYMBOLS_MAX {
            if word(chain, u64::from(last - first))? & 1 == 1 {
                return Some(last + 1);
            }
            last += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::mapped_files;

    #[test]
    fn what_is_loaded_says_what_the_file_says() {
        let me = crate::open(std::process::id() as i32).unwrap();
        let mappings = me.mappings().unwrap();
        let libc = mapped_files(&me, &mappings).into_iter().find(|m| m.path.contains("libc.so")).unwrap();
        let loaded = Loaded::read(&me, libc.start).unwrap();
        let names = loaded.bytes(DT_STRTAB, loaded.tags[&DT_STRSZ]).unwrap();
        let table = loaded.bytes(DT_SYMTAB, u64::from(loaded.count().unwrap()) * SYMBOL_BYTES as u64).unwrap();
        let found = table.chunks_exact(SYMBOL_BYTES).filter_map(|raw| Symbol::read(raw, &names)).find(|s| s.name == b"environ").unwrap();
        let told = crate::elf::find_symbols(&me, &["environ"]).unwrap();
        assert_eq!(told, [Addr(found.address.wrapping_add(loaded.bias))]);
        let page = loaded.writable.iter().any(|range| range.contains(&told[0]));
        assert!(page, "{:?}", loaded.writable);
        assert!(python(&me, libc).is_none());
    }

    #[test]
    fn what_is_no_elf_file_is_nothing() {
        let me = crate::open(std::process::id() as i32).unwrap();
        let bytes = vec![0xffu8; 4096];
        assert!(Loaded::read(&me, Addr(bytes.as_ptr() as u64)).is_none());
        assert!(Loaded::read(&me, Addr(u64::MAX - 8)).is_none());
    }
}
