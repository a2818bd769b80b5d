//! Whether an allocator is the one that a process uses, read from the process.
//!
//! Holds: [`prove`]. Never does: conclude from what was asked for: a preload that the loader could not open, or that defines no malloc, leaves
//! the program with glibc's, and says so on stderr at best.
//! How it is known: the executable and libpython call `malloc` through a word that the loader fills (elf(5): a JUMP_SLOT or GLOB_DAT
//! relocation); the mapping that it points into is the allocator. Of a JUMP_SLOT that was never called (lazy binding) the word leads back
//! into the caller and proves nothing.

use std::path::Path;

use memory::{Addr, Mapping, Memory};
use object::read::elf::{ElfFile64, FileHeader};
use object::{Endianness, Object, ObjectSegment, ObjectSymbol, ObjectSymbolTable, RelocationFlags, RelocationTarget};
use target::Process;

use crate::allocator::{Allocators, Library, PythonMalloc};
use crate::collector::Collector;

/// A Python's file is smaller: a static build with debug symbols has 100 MB.
const FILE_BYTES_MOST: u64 = 1 << 30;
/// Words that lead to malloc in one file: one or two.
const SLOTS_MOST: usize = 16;
/// R_X86_64_GLOB_DAT and R_X86_64_JUMP_SLOT of the x86-64 psABI, 4.4.1.
const SLOTS: [u32; 2] = [6, 7];

/// The file that `malloc` of the process's executable and libpython is in.
///
/// # Errors
/// Why it is not known.
pub fn malloc_of(process: &Process) -> Result<String, String> {
    let mappings = process.mappings().map_err(|e| e.to_string())?;
    let exe = process.exe();
    let is_caller = |m: &&Mapping| m.offset == 0 && (m.path == exe || ["python", "libpython"].iter().any(|p| name(&m.path).starts_with(p)));
    let mut callers: Vec<&Mapping> = mappings.iter().filter(is_caller).collect();
    callers.dedup_by(|a, b| a.path == b.path);
    let mut found: Vec<String> = Vec::new();
    for caller in callers {
        for slot in slots(caller)? {
            let Ok(to) = process.u64(slot) else { continue };
            let Some(mapping) = mappings.iter().find(|m| m.start.0 <= to && to < m.end.0) else { continue };
            if mapping.path != caller.path && !found.contains(&mapping.path) {
                found.push(mapping.path.clone());
            }
        }
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err("no word that leads to malloc was found in the program: it may be linked statically".into()),
        several => Err(format!("malloc is in several files: {}", several.join(", "))),
    }
}

/// Where the words stand, in the process.
fn slots(caller: &Mapping) -> Result<Vec<Addr>, String> {
    let path = Path::new(&caller.path);
    let cannot = |why: String| format!("{}: {why}", caller.path);
    let length = std::fs::metadata(path).map_err(|e| cannot(e.to_string()))?.len();
    if length > FILE_BYTES_MOST {
        return Err(cannot("too big to read".into()));
    }
    let bytes = std::fs::read(path).map_err(|e| cannot(e.to_string()))?;
    let file: ElfFile64<'_, Endianness> = ElfFile64::parse(bytes.as_slice()).map_err(|e| cannot(e.to_string()))?;
    // An executable that is not position independent stands where its file says.
    let fixed = file.elf_header().e_type(Endianness::Little) == object::elf::ET_EXEC;
    let lowest = file.segments().map(|s| s.address() & !0xfff).min().unwrap_or_default();
    let bias = if fixed { 0 } else { caller.start.0.wrapping_sub(lowest) };
    let (Some(symbols), Some(relocations)) = (file.dynamic_symbol_table(), file.dynamic_relocations()) else { return Ok(Vec::new()) };
    let to_malloc = relocations.filter(|(_, relocation)| {
        let RelocationFlags::Elf { r_type } = relocation.flags() else { return false };
        let RelocationTarget::Symbol(index) = relocation.target() else { return false };
        SLOTS.contains(&r_type) && symbols.symbol_by_index(index).is_ok_and(|symbol| symbol.name() == Ok("malloc"))
    });
    Ok(to_malloc.take(SLOTS_MOST).map(|(offset, _)| Addr(bias.wrapping_add(offset))).collect())
}

/// Whether `chosen` is in use, in words: what proves it, or (as the error) why it is not proved. `malloc` is what [`malloc_of`] told at the
/// process's end, `collector` what its Python wrote down.
///
/// # Errors
/// It is not proved.
pub fn prove(
    chosen: Allocators,
    malloc: &Result<String, String>,
    environment: &[(String, String)],
    collector: Option<&Collector>,
) -> Result<String, String> {
    let file = malloc.as_ref().map_err(Clone::clone)?;
    let mut words = vec![format!("malloc is in {}", name(file))];
    let is_library = chosen.library.map_or_else(|| name(file).starts_with("libc"), |library| name(file).contains(stem(library)));
    if !is_library {
        return Err(format!("not in use: malloc is in {file}"));
    }
    if let Some(arenas) = chosen.arenas {
        let has = |name: &str| environment.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        if has("MALLOC_ARENA_MAX") != Some(arenas.to_string().as_str()) {
            return Err("not in use: the program's environment has no MALLOC_ARENA_MAX of ours".into());
        }
        words.push(format!("its environment has MALLOC_ARENA_MAX={arenas}"));
    }
    if let Some(python) = chosen.python {
        // It was written by what PYTHONPATH brought, so this Python obeys its environment.
        let Some(collector) = collector else { return Err("no Python told: it may ignore its environment (-I, -E) or be none".into()) };
        match (python, collector.blocks) {
            (PythonMalloc::Malloc, 0) => words.push("Python counts no blocks of its own".into()),
            (PythonMalloc::Malloc, blocks) => return Err(format!("not in use: Python counts {blocks} blocks of its own")),
            (_, 0) => return Err("not in use: Python counts no blocks of its own".into()),
            (_, blocks) => {
                let told = environment.iter().any(|(n, value)| n == "PYTHONMALLOC" && value == python.word());
                if !told {
                    return Err("not in use: the program's environment has no PYTHONMALLOC of ours".into());
                }
                words.push(format!("Python obeys PYTHONMALLOC={} and counts {blocks} blocks", python.word()));
            }
        }
    }
    Ok(words.join(", "))
}

/// The environment that a process was started with, as the kernel keeps it.
pub fn environment_of(process: &Process) -> Vec<(String, String)> {
    let bytes = std::fs::read(format!("/proc/{}/environ", process.pid())).unwrap_or_default();
    let entries = bytes.split(|b| *b == 0).map(String::from_utf8_lossy);
    entries.filter_map(|e| e.split_once('=').map(|(n, v)| (n.to_string(), v.to_string()))).collect()
}

fn stem(library: Library) -> &'static str {
    match library {
        Library::Jemalloc => "libjemalloc",
        Library::Tcmalloc => "libtcmalloc",
        Library::Mimalloc => "libmimalloc",
    }
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
