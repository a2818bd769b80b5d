//! A target whose layout is proved: heap, roots' places, arenas.

use alloc::pymalloc::{self, Geometry};
use cpython::layout::proof::{self, identify, Proved};
use cpython::layout::rules::ObmallocHome;
use cpython::layout::Layout;
use cpython::{Heap, LayoutError};
use memory::{Addr, Memory};

use crate::arenas::ArenaMap;
use crate::blocks::Blocks;
use crate::Source;

/// Everything that the search for objects needs.
pub struct World<'m> {
    /// What the look gave.
    pub source: Source<'m>,
    /// Bytes, layout, decoders and types.
    pub heap: Heap<'m>,
    /// `_PyRuntime`.
    pub runtime: Addr,
    /// All interpreters, the main one first.
    pub interpreters: Vec<Addr>,
    /// Their chain does not end: further ones may be missing.
    pub(crate) interpreters_broken: bool,
    /// pymalloc's arenas.
    pub arenas: ArenaMap<'m>,
    /// Arenas that contradict themselves.
    pub(crate) arenas_broken: u64,
    /// The allocators outside them.
    pub(crate) blocks: Blocks,
    /// The collector was at work when the target stood.
    pub collecting: bool,
    /// All that is mapped, in bytes: no object is bigger.
    pub(crate) mapped_bytes: u64,
}

/// Identifies the build and proves its layout.
///
/// # Errors
/// As [`identify`] and `cpython`'s proof.
pub fn prove(source: Source<'_>) -> Result<Proved, LayoutError> {
    let identity = identify(source.image, source.python)?;
    proof::prove(source.image, &identity, source.python, source.tables, source.moment)
}

impl<'m> World<'m> {
    /// Reads a target with the layout that was [proved](prove) on it, and finds its arenas.
    pub fn open(source: Source<'m>, proved: &'m Proved) -> World<'m> {
        let &Proved { ref layout, runtime, interpreter, type_type } = proved;
        let mut heap = Heap::new(source.image, layout, type_type, interpreter);
        let mut chain = cpython::roots::interpreters(&heap, runtime);
        if !chain.all.contains(&interpreter) {
            // The main one stands at the end of the chain: what is damaged before it hides it.
            chain.all.insert(0, interpreter);
        }
        let interpreters = chain.all;
        let mut collecting = false;
        let mut sample = Vec::new();
        for &i in &interpreters {
            if let Some(gc) = layout.gc_state(runtime, i) {
                collecting |= source.image.i32(gc + layout.at.gc.collecting).is_ok_and(|c| c != 0);
                if source.python.symbol("subtype_dealloc").is_none() {
                    sample.extend(tracked_sample(source, gc + layout.generations));
                }
            }
        }
        heap.interpreters.clone_from(&interpreters);
        heap.learn(source.python, sample.into_iter());
        let (arenas, arenas_broken) = find_arenas(source, layout, &interpreters);
        let arenas = ArenaMap::new(source.image, arenas, geometry(layout), &heap);
        let blocks = Blocks::find(source.image, source.mappings);
        let mapped = source.mappings.iter().fold(0u64, |sum, m| sum.saturating_add(m.len()));
        let mapped_bytes = mapped.max(source.image.total_bytes());
        let interpreters_broken = chain.broken;
        World { source, heap, runtime, interpreters, interpreters_broken, arenas, arenas_broken, blocks, collecting, mapped_bytes }
    }
}

/// Enough tracked objects, types among them, to learn from.
fn tracked_sample(source: Source<'_>, first_generation: Addr) -> Vec<Addr> {
    const SAMPLE: usize = 50_000;
    let mut all = Vec::new();
    for head in [0, 24, 48].map(|o| first_generation + o) {
        let mut at = source.image.u64(head).unwrap_or(0) & !3;
        let start = all.len();
        while at != head.0 && all.len() - start < SAMPLE {
            all.push(Addr(at) + 16);
            match source.image.u64(Addr(at)) {
                Ok(next) => at = next & !3,
                Err(_) => break,
            }
        }
    }
    all
}

pub(crate) fn geometry(layout: &Layout) -> Geometry {
    Geometry { arena_bytes: layout.rules.arena_bytes, pool_bytes: layout.rules.pool_bytes }
}

/// All arenas of all interpreters, and how many contradict themselves; none where pymalloc is not in use or not found, which the
/// coverage then shows.
fn find_arenas(source: Source<'_>, layout: &Layout, interpreters: &[Addr]) -> (Vec<pymalloc::Arena>, u64) {
    let geometry = geometry(layout);
    let table = &layout.table;
    let states = match layout.rules.obmalloc {
        ObmallocHome::Statics => vec![pymalloc::from_statics(source.image, source.python, geometry).ok()],
        home => interpreters
            .iter()
            .map(|&i| {
                let at = i + table.offset("_is", "obmalloc")?;
                let state = if home == ObmallocHome::Pointer { source.image.addr(at).ok()? } else { at };
                if state.is_null() {
                    return None;
                }
                let arenas = table.offset("_obmalloc_state", "mgmt.arenas").unwrap_or(512);
                let max = table.offset("_obmalloc_state", "mgmt.maxarenas").unwrap_or(520);
                pymalloc::from_state(source.image, state, arenas, max).ok()
            })
            .collect(),
    };
    let mut all = Vec::new();
    let mut broken = 0;
    for state in states.into_iter().flatten() {
        let mut found = pymalloc::arenas(source.image, state, geometry);
        all.append(&mut found.whole);
        broken += found.broken;
    }
    all.sort_by_key(|a| a.start);
    all.dedup_by_key(|a| a.start);
    (all, broken)
}
