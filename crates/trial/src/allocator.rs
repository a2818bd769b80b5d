//! Allocators that a program can be run with, and where their libraries are.
//!
//! Holds: [`Allocators`] (a choice and the environment that makes it), [`AllocatorError`]. Never does: believe that a choice is in use, which
//! is [`crate::prove`]'s.
//! Sources: ld.so(8) for LD_PRELOAD, mallopt(3) for MALLOC_ARENA_MAX, "PYTHONMALLOC" in CPython's Doc/using/cmdline.rst.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

/// Where distributions keep libraries, most particular first.
const FOLDERS: [&str; 7] =
    ["/usr/local/lib", "/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib", "/lib"];

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
}

impl Allocators {
    /// Reads `jemalloc`, `arena-max=2`, `jemalloc+malloc`.
    ///
    /// # Errors
    /// A word that is none, or words that exclude each other.
    pub fn parse(text: &str) -> Result<Allocators, AllocatorError> {
        let mut chosen = Allocators::default();
        let mut glibc = false;
        for word in text.split('+') {
            let twice = match word {
                "glibc" => std::mem::replace(&mut glibc, true) || chosen.library.is_some(),
                "pymalloc" => chosen.python.replace(PythonMalloc::Pymalloc).is_some(),
                "malloc" => chosen.python.replace(PythonMalloc::Malloc).is_some(),
                "mimalloc" => chosen.python.replace(PythonMalloc::Mimalloc).is_some(),
                "jemalloc" => glibc || chosen.library.replace(Library::Jemalloc).is_some(),
                "tcmalloc" => glibc || chosen.library.replace(Library::Tcmalloc).is_some(),
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
        match (chosen.library, chosen.arenas) {
            (Some(library), Some(_)) => Err(AllocatorError::NoArenas(library)),
            _ => Ok(chosen),
        }
    }

    /// mimalloc as a library, for an interpreter that brings none along.
    #[must_use]
    pub fn by_library(self) -> Allocators {
        match self {
            Allocators { library: None, python: Some(PythonMalloc::Mimalloc), .. } => {
                Allocators { library: Some(Library::Mimalloc), python: None, ..self }
            }
            other => other,
        }
    }

    /// The variables that choose it. What the user's environment says of any of the three does not count.
    ///
    /// # Errors
    /// The library is not there.
    pub fn environment(self) -> Result<Vec<(OsString, Option<OsString>)>, AllocatorError> {
        let preload = self.library.map(Library::find).transpose()?.map(PathBuf::into_os_string);
        let word = |python: PythonMalloc| OsStr::new(python.word()).to_os_string();
        Ok(vec![
            ("LD_PRELOAD".into(), preload),
            ("PYTHONMALLOC".into(), self.python.map(word)),
            ("MALLOC_ARENA_MAX".into(), self.arenas.map(|n| n.to_string().into())),
        ])
    }
}

impl fmt::Display for Allocators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            self.library.map(|library| library.word().to_string()),
            self.python.map(|python| python.word().to_string()),
            self.arenas.map(|n| format!("arena-max={n}")),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        f.write_str(if words.is_empty() { "glibc" } else { "" })?;
        f.write_str(&words.join("+"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_and_written() {
        for text in
            ["glibc", "arena-max=2", "pymalloc", "malloc", "mimalloc", "jemalloc", "tcmalloc", "jemalloc+malloc", "malloc+arena-max=1"]
        {
            assert_eq!(Allocators::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "jmalloc", "arena-max=", "arena-max=0", "arena-max=-1", "malloc+", "Glibc"] {
            assert!(matches!(Allocators::parse(text), Err(AllocatorError::Unknown(_))), "{text}");
        }
        for text in ["jemalloc+tcmalloc", "malloc+pymalloc", "glibc+jemalloc", "jemalloc+glibc", "arena-max=1+arena-max=2"] {
            assert_eq!(Allocators::parse(text), Err(AllocatorError::Twice(text.into())));
        }
        assert_eq!(Allocators::parse("jemalloc+arena-max=2"), Err(AllocatorError::NoArenas(Library::Jemalloc)));
    }

    #[test]
    fn mimalloc_is_the_librarys_where_python_has_none() {
        let chosen = Allocators::parse("mimalloc").unwrap();
        assert_eq!(chosen.by_library(), Allocators { library: Some(Library::Mimalloc), ..Allocators::default() });
        assert_eq!(Allocators::parse("malloc").unwrap().by_library(), Allocators::parse("malloc").unwrap());
    }
}
