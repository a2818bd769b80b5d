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
    if run.collector.is_some() && !seen.python {
        // What descends from it has its environment, and was not looked at.
        words.push(format!("as {} has it, which starts or holds Python", file_name(&seen.executable)));
    }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use target::Ending;

    use super::*;
    use crate::witness::Arenas;

    fn seen(file: &str) -> Seen {
        Seen { malloc: Ok(file.into()), python: true, ..Seen::default() }
    }

    fn run(blocks: Option<u64>) -> Run {
        Run {
            ending: Ending::Code(0),
            over: false,
            time: Duration::ZERO,
            cpu: Duration::ZERO,
            peak_rss_bytes: 0,
            end_rss_bytes: None,
            collector: blocks.map(|blocks| Collector { blocks, ..Collector::default() }),
            astray: None,
            last_words: String::new(),
            preload_refused: None,
        }
    }

    fn proof(text: &str, seen: &Seen, blocks: Option<u64>) -> Result<String, Unproved> {
        prove(Allocators::parse(text).unwrap(), seen, &run(blocks))
    }

    #[test]
    fn malloc_is_glibcs_by_its_whole_name() {
        assert_eq!(proof("glibc", &seen("/lib/libc.so.6"), None).unwrap(), "malloc is in libc.so.6");
        assert_eq!(proof("glibc", &seen("/lib/ld-musl-x86_64.so.1"), None), Err(Unproved::Musl("/lib/ld-musl-x86_64.so.1".into())));
        assert_eq!(proof("glibc", &seen("/lib/libcrypto.so.3"), None), Err(Unproved::Other("/lib/libcrypto.so.3".into())));
        assert_eq!(proof("glibc", &Seen::default(), None), Err(Unproved::Unseen(Unseen::NotSeen)));
    }

    #[test]
    fn what_the_loader_says_comes_before_what_is_loaded() {
        let mut seen = seen("/lib/libc.so.6");
        assert_eq!(proof("jemalloc", &seen, None), Err(Unproved::Other("/lib/libc.so.6".into())));
        seen.loaded = vec!["/opt/libjemalloc.so.2".into()];
        assert_eq!(
            proof("jemalloc", &seen, None).unwrap_err().to_string(),
            "not in use: malloc is in /lib/libc.so.6, though /opt/libjemalloc.so.2 is loaded"
        );
        let refused = Run { preload_refused: Some("ld.so: object …: ignored.".into()), ..run(None) };
        let why = prove(Allocators::parse("jemalloc").unwrap(), &seen, &refused).unwrap_err();
        assert_eq!(why.to_string(), "not in use: malloc is in /lib/libc.so.6; ld.so: object …: ignored.");
    }

    #[test]
    fn arenas_are_as_told_and_not_more() {
        let of = |count, most| Seen { glibc: Some(Arenas { count, most }), ..seen("/lib/libc.so.6") };
        assert!(proof("arena-max=2", &of(2, Some(2)), None).is_ok());
        assert_eq!(proof("arena-max=2", &of(3, Some(2)), None), Err(Unproved::MoreArenas(3)));
        assert_eq!(proof("arena-max=2", &of(1, Some(0)), None), Err(Unproved::Arenas(0)));
        assert_eq!(proof("arena-max=2", &of(1, None), None), Err(Unproved::NoArenas));
        assert_eq!(proof("arena-max=2", &seen("/lib/libc.so.6"), None), Err(Unproved::NoArenas));
    }

    #[test]
    fn python_says_which_blocks_it_has() {
        let (none, segments) = (seen("/lib/libc.so.6"), Seen { segments: 3, ..seen("/lib/libc.so.6") });
        for (text, seen, blocks, wanted) in [
            ("malloc", &none, Some(0), None),
            ("malloc", &none, Some(9), Some(Unproved::Blocks(9))),
            ("malloc", &none, None, Some(Unproved::NoPython)),
            ("pymalloc", &none, Some(9), None),
            ("pymalloc", &none, Some(0), Some(Unproved::NoBlocks)),
            ("pymalloc", &segments, Some(9), Some(Unproved::Segments(3))),
            ("mimalloc", &segments, Some(9), None),
            ("mimalloc", &none, Some(9), Some(Unproved::NoSegments)),
            ("mimalloc", &segments, Some(0), Some(Unproved::NoBlocks)),
        ] {
            assert_eq!(proof(text, seen, blocks).err(), wanted, "{text} {blocks:?}");
        }
        // Segments of the library are not Python's.
        let library = Seen { segments: 3, ..seen("/lib/libmimalloc.so.2.0") };
        assert_eq!(proof("mimalloc+pymalloc", &library, Some(9)).err(), None);
    }

    #[test]
    fn what_starts_python_is_told_apart_from_it() {
        let shell = Seen { python: false, executable: "/usr/bin/dash".into(), ..seen("/lib/libc.so.6") };
        assert_eq!(proof("glibc", &shell, Some(9)).unwrap(), "malloc is in libc.so.6, as dash has it, which starts or holds Python");
        assert_eq!(proof("glibc", &shell, None).unwrap(), "malloc is in libc.so.6");
    }
}
