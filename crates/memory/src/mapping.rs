//! What the kernel says is mapped, and what a mapped file's symbol table says.

use std::collections::HashMap;
use std::ops::Range;

use crate::Addr;

/// One line of `/proc/PID/maps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: Addr,
    /// One past the last.
    pub end: Addr,
    /// Readable by the target.
    pub read: bool,
    /// Writable by the target.
    pub write: bool,
    /// Executable by the target.
    pub exec: bool,
    /// Shared (`s`) instead of private (`p`).
    pub shared: bool,
    /// Offset in the file.
    pub offset: u64,
    /// Inode; zero where no file is mapped.
    pub inode: u64,
    /// Path or name (`[heap]`, `[stack]`); empty for anonymous memory.
    pub path: String,
}

impl Mapping {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.end.0.saturating_sub(self.start.0)
    }

    /// Whether no byte is mapped.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A mapped ELF file: where it lies and which symbols it has, at addresses of the target.
#[derive(Clone, Debug, Default)]
pub struct Module {
    /// Path as the target sees it.
    pub path: String,
    /// Defined symbols of `.dynsym` and `.symtab`, relocated.
    pub symbols: HashMap<String, Addr>,
    /// Its own writable memory (`.data`, `.bss`), for searches by structure.
    pub writable: Vec<Range<Addr>>,
}

impl Module {
    /// The address of a symbol.
    pub fn symbol(&self, name: &str) -> Option<Addr> {
        self.symbols.get(name).copied()
    }
}
