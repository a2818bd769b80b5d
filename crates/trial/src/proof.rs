//! Whether an allocator is the one that a process used.
//!
//! Holds: [`prove`], [`Unproved`]. Never does: conclude from what was asked for: a preload that the loader could not open, or that defines no
//! malloc, leaves the program with glibc's, and says so on stderr at best; a Python that ignores its environment keeps its own.
//! Sources: `_PyMem_SetAllocator` and `_Py_GetGlobalAllocatedBlocks` in CPython's Objects/obmalloc.c: with malloc there is not one block to
//! count, with pymalloc and mimalloc there are, and mimalloc has segments.

use crate::allocator::{Allocators, Library, PythonMalloc};
use crate::collector::Collector;
use crate::run::Run;
use crate::witness::{file_name, is_glibc, is_musl, Seen, Unseen};

/// Why a choice is not proved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproved {
    /// It is not known.
    #[error("not proved: {0}")]
    Unseen(#[from] Unseen),
    /// The loader says on stderr why.
    #[error("not in use: malloc is in {file}; {words}")]
    Refused {
        /// Where malloc is.
        file: String,
        /// The loader's.
        words: String,
    },
    /// It was loaded and its malloc is not the one that is called.
    #[error("not in use: malloc is in {file}, though {library} is loaded")]
    Idle {
        /// Where malloc is.
        file: String,
        /// What was loaded.
        library: String,
    },
    /// It is another.
    #[error("not in use: malloc is in {0}")]
    Other(String),
    /// There is no glibc.
    #[error("not in use: malloc is musl's, in {0}")]
    Musl(String),
    /// glibc's own fields could not be read.
    #[error("not proved: the fields of glibc's malloc were not found")]
    NoArenas,
    /// glibc was told something else.
    #[error("not in use: {}", told(*.0))]
    Arenas(u64),
    /// There are more of them: a program may tell glibc another number (mallopt(3)).
    #[error("not in use: there are {0} arenas")]
    MoreArenas(usize),
    /// What PYTHONPATH brings left no record.
    #[error("not proved: no Python told (it ignores its environment by -I or -E, has no site by -S, or there is none)")]
    NoPython,
    /// Python uses blocks of its own.
    #[error("not in use: Python counts {0} blocks of an allocator of its own")]
    Blocks(u64),
    /// It uses malloc.
    #[error("not in use: Python counts no block of its own, it has its objects from malloc")]
    NoBlocks,
    /// Python's mimalloc has no memory.
    #[error("not in use: Python's mimalloc has no segment")]
    NoSegments,
    /// It has.
    #[error("not in use: Python's mimalloc has {0} segments")]
    Segments(usize),
}

fn told(most: u64) -> String {
    match most {
        0 => "glibc was told no number of arenas".into(),
        most => format!("glibc was told to make at most {most} arenas"),
    }
}

/// Whether `chosen` was in use, in words: what proves it. `seen` is what a [`crate::Witness`] saw at the run's end.
///
/// # Errors
/// It is not proved.
pub fn prove(chosen: Allocators, seen: &Seen, run: &Run) -> Result<String, Unproved> {
    let file = seen.malloc.as_ref().map_err(Clone::clone)?;
    let mut words = vec![malloc(chosen.library, file, seen, run)?];
    if let Some(most) = chosen.arenas {
        words.push(arenas(most, seen)?);
    }
    if let Some(python) = chosen.python {
        let collector = run.collector.as_ref().ok_or(Unproved::NoPython)?;
        words.push(objects(python, collector, seen)?);
    }
    Ok(words.join(", "))
}

fn malloc(library: Option<Library>, file: &str, seen: &Seen, run: &Run) -> Result<String, Unproved> {
    let name = file_name(file);
    let Some(library) = library else {
        return match name {
            _ if is_glibc(name) => Ok(format!("malloc is in {name}")),
            _ if is_musl(name) => Err(Unproved::Musl(file.into())),
            _ => Err(Unproved::Other(file.into())),
        };
    };
    if library.is_file(name) {
        let not_pythons = if library == Library::Mimalloc { " (the library, not Python's own)" } else { "" };
        return Ok(format!("malloc is in {name}{not_pythons}"));
    }
    let file = file.to_string();
    let idle = seen.loaded.iter().find(|path| library.is_file(file_name(path)));
    Err(match (&run.preload_refused, idle) {
        (Some(words), _) => Unproved::Refused { file, words: words.clone() },
        (None, Some(library)) => Unproved::Idle { file, library: library.clone() },
        (None, None) => Unproved::Other(file),
    })
}

fn arenas(most: u32, seen: &Seen) -> Result<String, Unproved> {
    let arenas = seen.glibc.ok_or(Unproved::NoArenas)?;
    let told = arenas.most.ok_or(Unproved::NoArenas)?;
    if told != u64::from(most) {
        return Err(Unproved::Arenas(told));
    }
    // A first arena is there before the number is asked for.
    if arenas.count > most as usize {
        return Err(Unproved::MoreArenas(arenas.count));
    }
    Ok(format!("glibc has {} of at most {most} arenas", arenas.count))
}

fn objects(python: PythonMalloc, collector: &Collector, seen: &Seen) -> Result<String, Unproved> {
    let blocks = collector.blocks;
    // A library's segments may have the form of Python's.
    let of_library = seen.malloc.as_ref().is_ok_and(|file| Library::Mimalloc.is_file(file_name(file)));
    match python {
        PythonMalloc::Malloc if blocks > 0 => Err(Unproved::Blocks(blocks)),
        PythonMalloc::Malloc => Ok("Python has no block of its own".into()),
        _ if blocks == 0 => Err(Unproved::NoBlocks),
        // Built without the GIL, it has no other.
        PythonMalloc::Mimalloc if collector.free_threaded => Ok(format!("Python, free-threaded, has {blocks} blocks of its mimalloc")),
        PythonMalloc::Pymalloc if collector.free_threaded => Err(Unproved::Segments(seen.segments)),
        PythonMalloc::Mimalloc if seen.segments == 0 || of_library => Err(Unproved::NoSegments),
        PythonMalloc::Mimalloc => Ok(format!("Python has {blocks} blocks, in {} segments of its own mimalloc", seen.segments)),
        PythonMalloc::Pymalloc if seen.segments > 0 && !of_library => Err(Unproved::Segments(seen.segments)),
        PythonMalloc::Pymalloc => Ok(format!("Python has {blocks} blocks of pymalloc")),
    }
}
