//! Objects outside the arenas: static ones in binaries, large ones in malloc's chunks, all of them where pymalloc is not
//! in use.

use std::ops::Range;

use memory::{Addr, Mapping, Module};
use rustc_hash::FxHashSet;

/// What is known outside the arenas.
#[derive(Default)]
pub(crate) struct Outside {
    /// Addresses that were queued once: nothing is looked at twice.
    seen: FxHashSet<Addr>,
    /// Objects among them.
    pub(crate) objects: Vec<Addr>,
    /// Blocks that objects own.
    pub(crate) owned: FxHashSet<Addr>,
}

impl Outside {
    /// Whether `at` was not seen before.
    pub(crate) fn first_sight(&mut self, at: Addr) -> bool {
        self.seen.insert(at)
    }

    /// Whether an object or a candidate stands at `at`.
    pub(crate) fn knows(&self, at: Addr) -> bool {
        self.seen.contains(&at)
    }
}

/// The memory of mapped files: what stands there was never allocated.
pub(crate) struct Statics(Vec<Range<u64>>);

impl Statics {
    /// From the mappings and, for `.bss`, the module's own ranges.
    pub(crate) fn new(mappings: &[Mapping], python: &Module) -> Statics {
        let mut all: Vec<Range<u64>> = mappings.iter().filter(|m| m.inode != 0).map(|m| m.start.0..m.end.0).collect();
        all.extend(python.writable.iter().map(|r| r.start.0..r.end.0));
        // A file's .bss is anonymous memory right behind its last mapping.
        for pair in mappings.windows(2) {
            if let [a, b] = pair {
                if a.inode != 0 && a.write && b.inode == 0 && b.path.is_empty() && b.write && a.end == b.start {
                    all.push(b.start.0..b.end.0);
                }
            }
        }
        all.sort_by_key(|r| r.start);
        Statics(all)
    }

    /// Whether `at` lies in a mapped file's memory.
    pub(crate) fn contains(&self, at: Addr) -> bool {
        let i = self.0.partition_point(|r| r.start <= at.0);
        // Ranges of one file may overlap by the module's own list; two back are enough.
        self.0.get(i.saturating_sub(3)..i).unwrap_or(&[]).iter().any(|r| r.contains(&at.0))
    }

    /// The ranges.
    pub(crate) fn ranges(&self) -> &[Range<u64>] {
        &self.0
    }
}
