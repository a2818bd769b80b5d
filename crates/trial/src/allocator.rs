//! Allocators that a program can be run with, and where their libraries are.
//!
//! Holds: [`Allocators`] (a choice and the environment that makes it), [`AllocatorError`]. Never does: believe that a choice is in use, which
//! is [`crate::prove`]'s, nor that it fits a program, which is `refusal`'s.
//! Sources: ld.so(8) for LD_PRELOAD, mallopt(3) for MALLOC_ARENA_MAX, "Memory Allocation Tunables" in glibc's manual, "PYTHONMALLOC" in
//! CPython's Doc/using/cmdline.rst.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::witness::file_name;

/// Where distributions keep libraries, most particular first.
const FOLDERS: [&str; 7] =
    ["/usr/local/lib", "/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib", "/lib"];

/// Parts of the names of libraries that define malloc.
const ALLOCATORS: [&str; 6] = ["jemalloc", "tcmalloc", "mimalloc", "hoard", "snmalloc", "c_malloc_debug"];

/// A library that takes malloc's place when it is loaded first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// jemalloc.
    Jemalloc,
    /// The one of gperftools, without its profiler.
    Tcmalloc,
    /// mimalloc.
    Mimalloc,
}

impl Library {
    /// Its name, as it is asked for.
    pub fn word(self) -> &'static str {
        match self {
            Library::Jemalloc => "jemalloc",
            Library::Tcmalloc => "tcmalloc",
            Library::Mimalloc => "mimalloc",
        }
    }

    /// Debian's package.
    pub fn package(self) -> &'static str {
        match self {
            Library::Jemalloc => "libjemalloc2",
            Library::Tcmalloc => "libtcmalloc-minimal4",
            Library::Mimalloc => "libmimalloc2.0",
        }
    }

    /// Whether it is in a file of this name, in whatever version.
    pub(crate) fn is_file(self, name: &str) -> bool {
        name.starts_with("lib") && name.contains(self.word()) && name.contains(".so")
    }

    fn files(self) -> &'static [&'static str] {
        match self {
            Library::Jemalloc => &["libjemalloc.so.2"],
            Library::Tcmalloc => &["libtcmalloc_minimal.so.4", "libtcmalloc.so.4"],
            Library::Mimalloc => &["libmimalloc.so.3", "libmimalloc.so.2", "libmimalloc.so.2.0"],
        }
    }

    /// Its file on this system.
    ///
    /// # Errors
    /// There is none in the usual folders.
    pub fn find(self) -> Result<PathBuf, AllocatorError> {
        let at = |folder: &&str| self.files().iter().map(|file| Path::new(folder).join(file)).find(|path| path.is_file());
        FOLDERS.iter().find_map(at).ok_or(AllocatorError::NotFound(self))
    }
}

/// What Python has its small objects from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PythonMalloc {
    /// Its own: arenas, pools, blocks.
    Pymalloc,
    /// malloc, whichever that is.
    Malloc,
    /// The mimalloc that it brings along.
    Mimalloc,
}

impl PythonMalloc {
    /// As PYTHONMALLOC has it.
    pub fn word(self) -> &'static str {
        match self {
            PythonMalloc::Pymalloc => "pymalloc",
            PythonMalloc::Malloc => "malloc",
            PythonMalloc::Mimalloc => "mimalloc",
        }
    }
}

/// The allocators of one variant. All `None`: as the program has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocators {
    /// In the place of glibc's malloc.
    pub library: Option<Library>,
    /// Of Python's objects.
    pub python: Option<PythonMalloc>,
    /// The most arenas of glibc's malloc.
    pub arenas: Option<u32>,
    /// glibc's malloc was asked for by its name.
    pub glibc: bool,
}

/// Why a choice is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocatorError {
    /// No allocator is called so.
    #[error("{0:?} is no allocator: there are glibc, arena-max=N, pymalloc, malloc, mimalloc, jemalloc, tcmalloc, joined by +")]
    Unknown(String),
    /// Two of a kind.
    #[error("{0:?} names two allocators for one thing")]
    Twice(String),
    /// An option of an allocator that is not in use.
    #[error("arena-max is a setting of glibc's malloc, which {} stands in for", .0.word())]
    NoArenas(Library),
    /// It is not installed.
    #[error("{} is not in the usual folders: Debian and Ubuntu have it in the package {}", .0.word(), .0.package())]
    NotFound(Library),
    /// The loader drops LD_PRELOAD before the program begins.
    #[error("{path} runs with other rights than ours ({how}), so the loader ignores LD_PRELOAD (ld.so(8), secure-execution mode)")]
    OtherRights {
        /// Which.
        path: String,
        /// What gives them.
        how: &'static str,
    },
    /// There is no loader.
    #[error("{0} is linked statically: malloc is part of it, and there is no loader that reads LD_PRELOAD")]
    Static(String),
    /// Libraries and proofs are for x86-64.
    #[error("{path} is {found}, and allocators are found and proved for 64-bit x86-64 programs only")]
    OtherCpu {
        /// Which.
        path: String,
        /// What it is, in words.
        found: String,
    },
    /// `-I` or `-E`.
    #[error("Python is started with {0}, so it ignores PYTHONMALLOC")]
    Ignored(String),
    /// The interpreter was asked.
    #[error("{python} has no {} for its objects: {words}", .choice.word())]
    NotInPython {
        /// Which.
        python: String,
        /// What it was asked for.
        choice: PythonMalloc,
        /// What it says.
        words: String,
    },
    /// Neither Python's own nor the library.
    #[error("{python} brings no mimalloc along ({words}), and there is no library of it in the usual folders: Debian and Ubuntu have it in the package {}", Library::Mimalloc.package())]
    NoMimalloc {
        /// Which interpreter.
        python: String,
        /// What it says, or why it was not asked.
        words: String,
    },
}

impl Allocators {
    /// Reads `jemalloc`, `arena-max=2`, `jemalloc+malloc`. `mimalloc` is Python's own until [`Allocators::for_program`] knows better; joined
    /// with `malloc` or `pymalloc`, which say what Python does, it is the library.
    ///
    /// # Errors
    /// A word that is none, or words that exclude each other.
    pub fn parse(text: &str) -> Result<Allocators, AllocatorError> {
        let mut chosen = Allocators::default();
        let mut mimalloc = false;
        for word in text.split('+') {
            let twice = match word {
                "glibc" => std::mem::replace(&mut chosen.glibc, true),
                "pymalloc" => chosen.python.replace(PythonMalloc::Pymalloc).is_some(),
                "malloc" => chosen.python.replace(PythonMalloc::Malloc).is_some(),
                "mimalloc" => std::mem::replace(&mut mimalloc, true),
                "jemalloc" => chosen.library.replace(Library::Jemalloc).is_some(),
                "tcmalloc" => chosen.library.replace(Library::Tcmalloc).is_some(),
                _ => {
                    let number = word.strip_prefix("arena-max=").and_then(|n| n.parse().ok()).filter(|n| *n > 0);
                    let number: u32 = number.ok_or_else(|| AllocatorError::Unknown(word.into()))?;
                    chosen.arenas.replace(number).is_some()
                }
            };
            if twice {
                return Err(AllocatorError::Twice(text.into()));
            }
        }
        let library_twice = match (mimalloc, chosen.python) {
            (false, _) => false,
            (true, None) => {
                chosen.python = Some(PythonMalloc::Mimalloc);
                false
            }
            (true, Some(_)) => chosen.library.replace(Library::Mimalloc).is_some(),
        };
        if library_twice || (chosen.glibc && chosen.library.is_some()) {
            return Err(AllocatorError::Twice(text.into()));
        }
        match (chosen.library, chosen.arenas) {
            (Some(library), Some(_)) => Err(AllocatorError::NoArenas(library)),
            _ => Ok(chosen),
        }
    }

    /// mimalloc as a library, for an interpreter that brings none along: where malloc is free to be another.
    #[must_use]
    pub fn by_library(self) -> Allocators {
        match self {
            Allocators { library: None, python: Some(PythonMalloc::Mimalloc), arenas: None, glibc: false } => {
                Allocators { library: Some(Library::Mimalloc), ..Allocators::default() }
            }
            other => other,
        }
    }

    /// The variables that choose it. What the user's environment says of allocators does not count: PYTHONMALLOC, MALLOC_ARENA_MAX, the same
    /// in GLIBC_TUNABLES, and allocators in LD_PRELOAD. What else the user preloads stays, behind ours: the program may need it, and the
    /// first library that defines malloc is the one in use.
    ///
    /// # Errors
    /// The library is not there.
    pub fn environment(self) -> Result<Vec<(OsString, Option<OsString>)>, AllocatorError> {
        let library = self.library.map(Library::find).transpose()?;
        let word = |python: PythonMalloc| OsStr::new(python.word()).to_os_string();
        let mut variables = vec![
            ("LD_PRELOAD".into(), preload(library.as_deref(), std::env::var_os("LD_PRELOAD").as_deref())),
            ("PYTHONMALLOC".into(), self.python.map(word)),
            ("MALLOC_ARENA_MAX".into(), self.arenas.map(|n| n.to_string().into())),
        ];
        if let Some(before) = std::env::var_os("GLIBC_TUNABLES") {
            variables.push(("GLIBC_TUNABLES".into(), without(&before, b":", |entry| entry.starts_with(b"glibc.malloc.arena_max="))));
        }
        Ok(variables)
    }
}

/// Ours first, then what was there but for allocators. Entries are separated by colons or spaces (ld.so(8)).
fn preload(library: Option<&Path>, before: Option<&OsStr>) -> Option<OsString> {
    let is_allocator = |entry: &[u8]| {
        let entry = String::from_utf8_lossy(entry);
        ALLOCATORS.iter().any(|part| file_name(&entry).contains(part))
    };
    let kept = before.and_then(|before| without(before, b": ", is_allocator));
    let entries: Vec<&OsStr> = library.map(Path::as_os_str).into_iter().chain(kept.as_deref()).collect();
    (!entries.is_empty()).then(|| entries.join(OsStr::new(":")))
}

/// A list without some of its entries, joined by the first separator. `None` where nothing is left.
fn without(list: &OsStr, separators: &[u8], drop: impl Fn(&[u8]) -> bool) -> Option<OsString> {
    let entries = list.as_bytes().split(|b| separators.contains(b)).filter(|entry| !entry.is_empty() && !drop(entry));
    let entries: Vec<&[u8]> = entries.collect();
    (!entries.is_empty()).then(|| OsString::from_vec(entries.join(&b':')))
}

impl fmt::Display for Allocators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            self.library.map(|library| library.word().to_string()),
            self.python.map(|python| python.word().to_string()),
            self.arenas.map(|n| format!("arena-max={n}")),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        f.write_str(match (self.glibc, words.is_empty()) {
            (_, true) => "glibc",
            (true, false) => "glibc+",
            (false, false) => "",
        })?;
        f.write_str(&words.join("+"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_and_written() {
        for text in [
            "glibc",
            "arena-max=2",
            "pymalloc",
            "malloc",
            "mimalloc",
            "jemalloc",
            "tcmalloc",
            "jemalloc+malloc",
            "malloc+arena-max=1",
            "glibc+malloc",
            "mimalloc+malloc",
            "jemalloc+mimalloc",
        ] {
            assert_eq!(Allocators::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "jmalloc", "arena-max=", "arena-max=0", "arena-max=-1", "malloc+", "Glibc"] {
            assert!(matches!(Allocators::parse(text), Err(AllocatorError::Unknown(_))), "{text}");
        }
        let twice = [
            "jemalloc+tcmalloc",
            "malloc+pymalloc",
            "glibc+jemalloc",
            "jemalloc+glibc",
            "glibc+glibc",
            "arena-max=1+arena-max=2",
            "mimalloc+mimalloc",
            "jemalloc+mimalloc+malloc",
            "glibc+mimalloc+malloc",
        ];
        for text in twice {
            assert_eq!(Allocators::parse(text), Err(AllocatorError::Twice(text.into())));
        }
        assert_eq!(Allocators::parse("jemalloc+arena-max=2"), Err(AllocatorError::NoArenas(Library::Jemalloc)));
        assert_eq!(Allocators::parse("mimalloc+pymalloc+arena-max=2"), Err(AllocatorError::NoArenas(Library::Mimalloc)));
    }

    #[test]
    fn mimalloc_is_the_librarys_where_python_has_none_and_malloc_is_free() {
        let chosen = Allocators::parse("mimalloc").unwrap();
        assert_eq!(chosen.by_library(), Allocators { library: Some(Library::Mimalloc), ..Allocators::default() });
        for text in ["malloc", "glibc+mimalloc", "jemalloc+mimalloc", "mimalloc+arena-max=2"] {
            assert_eq!(Allocators::parse(text).unwrap().by_library(), Allocators::parse(text).unwrap());
        }
    }

    #[test]
    fn what_the_user_preloads_stays_behind_ours_but_for_allocators() {
        let of = |library: Option<&str>, before: Option<&str>| {
            preload(library.map(Path::new), before.map(OsStr::new)).map(|list| list.into_string().unwrap())
        };
        assert_eq!(of(None, None), None);
        assert_eq!(of(Some("/lib/libjemalloc.so.2"), None).unwrap(), "/lib/libjemalloc.so.2");
        assert_eq!(of(None, Some("libeatmydata.so  /x/libgomp.so.1:")).unwrap(), "libeatmydata.so:/x/libgomp.so.1");
        assert_eq!(of(Some("/lib/a.so"), Some("/opt/libmimalloc.so.2 libb.so")).unwrap(), "/lib/a.so:libb.so");
        assert_eq!(of(None, Some("/opt/libtcmalloc.so.4")), None);
        // A folder is not a library.
        assert_eq!(of(None, Some("/opt/jemalloc/libx.so")).unwrap(), "/opt/jemalloc/libx.so");
    }

    #[test]
    fn of_the_tunables_only_that_of_arenas_goes() {
        let of = |text: &str| without(OsStr::new(text), b":", |e| e.starts_with(b"glibc.malloc.arena_max="));
        assert_eq!(of("glibc.malloc.arena_max=8"), None);
        assert_eq!(of("glibc.malloc.arena_max=8:glibc.malloc.check=3").unwrap(), "glibc.malloc.check=3");
    }
}
