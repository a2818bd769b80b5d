//! glibc's malloc, read from outside and without symbols: every chunk of every arena.
//!
//! Holds: [`Malloc`] ([`Malloc::find`]), its [`Arena`]s with their [`Heap`]s, every [`Chunk`] with its [`Kind`], the chunks that have a
//! mapping of their own ([`Mapped`]), the sums that `mallinfo2` and `malloc_info` give ([`Sums`]), what `malloc_trim(0)` would give back.
//! Never does: IO, Python, belief: a size or link that cannot be right ends in a counted [`Gap`].
//! Sources: `malloc/malloc.c` and `malloc/arena.c` of glibc 2.31–2.43. One file a noun: `shape` (where fields are), `bins` (the search for
//! the arenas' free lists), `arena`, `heap`, `lists`, `cache` (tcache), `chunk` (the walk), `parameters` (`mp_`), `mapped`, `sums`, `trim`.

mod arena;
mod bins;
mod cache;
mod chunk;
#[cfg(test)]
mod fake;
mod heap;
mod lists;
mod mapped;
mod parameters;
mod shape;
mod sums;
#[cfg(test)]
mod tests;
mod trim;

use std::ops::Range;

use memory::{Addr, Image, Mapping};

pub use arena::Arena;
pub use cache::Cache;
pub use chunk::{Chunk, Gap, Kind};
pub use heap::Heap;
pub use mapped::Mapped;
pub use parameters::Parameters;
pub use shape::Shape;
pub use sums::{Sums, Totals};

use lists::Linking;

/// Most arenas that are believed: glibc makes 8 for a processor unless told otherwise.
const ARENAS_BOUND: usize = 1 << 16;

/// Why there is no malloc of glibc to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlibcError {
    /// No writable memory of a module holds what looks like the 127 bins of an arena: another libc, or an allocator in its place.
    #[error("glibc's main arena was not found")]
    NotFound,
}

/// All that glibc's malloc has.
#[derive(Clone, Debug)]
pub struct Malloc {
    /// Which fields its arenas have.
    pub shape: Shape,
    /// Address of `main_arena`.
    pub main: Addr,
    /// In the order of the ring, the main arena first: as `malloc_info` numbers them.
    pub arenas: Vec<Arena>,
    /// Whether the ring of arenas leads back to the main one. Where not, arenas may be missing.
    pub ring_closed: bool,
    /// `mp_`, where it could be proved.
    pub parameters: Option<Parameters>,
    /// The threads' caches (tcache) that hold something.
    pub caches: Vec<Cache>,
    /// Where the program break is, as far as the kernel's `[heap]` tells.
    brk: Option<Addr>,
}

impl Malloc {
    /// Finds the main arena by its structure, and from it everything else.
    pub fn find(image: &Image<'_>, mappings: &[Mapping]) -> Result<Malloc, GlibcError> {
        let mut found = None;
        for ranges in modules(mappings) {
            let Some(bins) = bins::find(image, &ranges) else { continue };
            // A process can hold several (dlmopen, a preloaded copy): the one that has the most memory is the one in use.
            let system_mem = bins.shape.system_mem(image, bins.main).unwrap_or(0);
            let more = !matches!(&found, Some((_, _, most)) if system_mem <= *most);
            if more {
                found = Some((bins, ranges, system_mem));
            }
        }
        let (found, ranges, _) = found.ok_or(GlibcError::NotFound)?;
        let heap = mappings.iter().find(|m| m.path == "[heap]").map(|m| m.start..mappings_end(mappings, m));
        let parameters = parameters::find(image, &ranges, found.shape, heap.as_ref());
        let span = parameters.as_ref().map_or(heap::SPAN, Parameters::heap_span);
        let sbrk = parameters.as_ref().and_then(|p| p.sbrk_base).or(heap.as_ref().map(|h| h.start));
        let mut arenas = Vec::new();
        for (index, at) in found.ring.iter().enumerate() {
            arenas.push(Arena::read(image, found.shape, *at, index as u32, sbrk, span, mappings));
        }
        let linking = Linking::decide(image, found.shape, &arenas);
        for arena in &mut arenas {
            arena.read_lists(image, found.shape, linking.unwrap_or(Linking::Protected));
        }
        let caches = cache::find(image, &arenas, linking);
        for arena in &mut arenas {
            arena.mark(&caches);
        }
        let brk = heap.map(|h| h.end);
        Ok(Malloc { shape: found.shape, main: found.main, arenas, ring_closed: found.closed, parameters, caches, brk })
    }

    /// Every chunk of every arena, by arena and within it by address, and the gaps: what corrupt metadata hides.
    pub fn chunks(&self, image: &Image<'_>, mut visit: impl FnMut(Chunk)) -> Vec<Gap> {
        let mut gaps = Vec::new();
        for arena in &self.arenas {
            gaps.extend(arena.chunks(image, &mut visit));
        }
        gaps
    }

    /// The chunks with a mapping of their own in `range`, which should be an anonymous private mapping, or a part of one, that nothing else
    /// claims: the kernel joins neighbours. All of them together should be [`Parameters::mmapped_chunks`].
    pub fn mapped(&self, image: &Image<'_>, range: &Range<Addr>) -> Vec<Mapped> {
        mapped::mapped(image, range, self.shape, Some)
    }

    /// As [`Malloc::mapped`], where it is known which pages can hold a header: `next` gives the first of them at or behind an address.
    /// The stacks of thousands of threads are gigabytes of addresses with next to nothing in them.
    pub fn mapped_on(&self, image: &Image<'_>, range: &Range<Addr>, next: impl FnMut(Addr) -> Option<Addr>) -> Vec<Mapped> {
        mapped::mapped(image, range, self.shape, next)
    }

    /// The ranges of whole pages that `malloc_trim(0)` would give back to the kernel, resident or not.
    pub fn trimmable(&self, image: &Image<'_>, mut visit: impl FnMut(Range<Addr>)) {
        for arena in &self.arenas {
            trim::arena(image, arena, self.brk, self.parameters.as_ref(), &mut visit);
        }
    }

    /// What `mallinfo2` says.
    pub fn totals(&self) -> Totals {
        Totals::of(self)
    }
}

/// The kernel shows the heap in several lines where its parts differ in a flag.
fn mappings_end(mappings: &[Mapping], first: &Mapping) -> Addr {
    let same = mappings.iter().filter(|m| m.path == first.path);
    same.map(|m| m.end).max().unwrap_or(first.end)
}

/// The writable ranges to be searched, best first: those of each libc, then those of every other file.
fn modules(mappings: &[Mapping]) -> Vec<Vec<Range<Addr>>> {
    let name = |m: &Mapping| m.path.rsplit('/').next().unwrap_or_default().to_owned();
    let is_libc = |m: &Mapping| name(m).starts_with("libc.so") || name(m).starts_with("libc-2.");
    let libcs: Vec<Vec<Range<Addr>>> = by_file(mappings, is_libc);
    if libcs.is_empty() {
        by_file(mappings, |_| true)
    } else {
        libcs
    }
}

/// Per file, its private writable mappings and the anonymous one that follows: `.data` and `.bss`.
fn by_file(mappings: &[Mapping], wanted: impl Fn(&Mapping) -> bool) -> Vec<Vec<Range<Addr>>> {
    let mut all: Vec<(u64, &str, Vec<Range<Addr>>)> = Vec::new();
    for (i, m) in mappings.iter().enumerate() {
        if m.inode == 0 || !m.write || m.shared || !wanted(m) {
            continue;
        }
        let mut end = m.end;
        if let Some(next) = mappings.get(i + 1).filter(|n| n.start == end && n.inode == 0 && n.write && !n.shared && n.path.is_empty()) {
            end = next.end;
        }
        match all.iter_mut().find(|(inode, path, _)| *inode == m.inode && *path == m.path) {
            Some((_, _, ranges)) => ranges.push(m.start..end),
            None => all.push((m.inode, &m.path, vec![m.start..end])),
        }
    }
    all.into_iter().map(|(_, _, ranges)| ranges).collect()
}
