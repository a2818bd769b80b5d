//! Holds where the interpreters stand that exuvia must refuse: PyPy, a debug build, a free-threaded one.
//! Never leaves one out in silence: what is missing is printed with the way to get it, and with `EXUVIA_REQUIRE_ALL=1` it fails.

use std::path::PathBuf;

use crate::packages;

/// PyPy, from a distributor's package.
pub fn pypy() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    one("PyPy", std::env::split_paths(&path).map(|folder| folder.join("pypy3")).collect(), "apt-get install pypy3")
}

/// A debug build (`Py_DEBUG`): Debian's; pyenv builds none unless asked.
pub fn debug_build() -> Option<PathBuf> {
    one("a debug build", vec!["/usr/bin/python3.11d".into()], "apt-get install python3.11-dbg")
}

/// A free-threaded build (`Py_GIL_DISABLED`), made by xtask beside the build's own folders.
pub fn free_threaded() -> Option<PathBuf> {
    let target = packages::folder();
    one("a free-threaded build", vec![target.with_file_name("interpreters").join("free-threaded/python")], "cargo xtask interpreters")
}

/// The first that is there.
///
/// # Panics
/// Where none is and `EXUVIA_REQUIRE_ALL=1`.
fn one(what: &str, places: Vec<PathBuf>, how: &str) -> Option<PathBuf> {
    let found = places.iter().find(|path| path.is_file()).cloned();
    if found.is_none() {
        println!("missing: {what} ({how})");
        assert!(std::env::var("EXUVIA_REQUIRE_ALL").map_or(true, |v| v != "1"), "{what} is missing, and EXUVIA_REQUIRE_ALL=1: {how}");
    }
    found
}
