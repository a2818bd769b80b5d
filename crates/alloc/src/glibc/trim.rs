//! What `malloc_trim(0)` would give back.
//!
//! Holds: the page ranges of one arena. Never does: look whether they are resident.
//! Source: `mtrim`, `systrim` and `malloc_consolidate` in `malloc/malloc.c`: fastbin chunks are joined with free neighbours first; of every
//! chunk in a bin the whole pages behind its 48 bytes of links go; of the main arena's top all but one page, where nothing else moved the
//! program break.

use std::ops::Range;

use memory::{Addr, Image};

use super::arena::Arena;
use super::chunk::{Chunk, Kind, SMALLEST};
use super::parameters::Parameters;

const PAGE: u64 = 4096;
/// `sizeof(struct malloc_chunk)`: what a free chunk keeps.
const LINKS: u64 = 48;

/// The ranges of one arena.
pub(super) fn arena(
    image: &Image<'_>,
    arena: &Arena,
    brk: Option<Addr>,
    parameters: Option<&Parameters>,
    visit: &mut impl FnMut(Range<Addr>),
) {
    // Free chunks that touch, the first and the end.
    let mut run: Option<(u64, u64)> = None;
    let mut top = None;
    arena.chunks(image, |chunk: Chunk| {
        let (start, end) = (chunk.at.0, chunk.at.0.saturating_add(chunk.bytes));
        let touching = run.filter(|&(_, until)| until == start).map(|(from, _)| from);
        match chunk.kind {
            Kind::Free | Kind::Fast if touching.is_some() => run = touching.map(|from| (from, end)),
            Kind::Top if touching.is_some() => {
                top = touching.map(|from| (from, end));
                run = None;
            }
            kind => {
                binned(run.take(), visit);
                match kind {
                    Kind::Free | Kind::Fast => run = Some((start, end)),
                    Kind::Top => top = Some((start, end)),
                    _ => {}
                }
            }
        }
    });
    binned(run, visit);
    if !arena.is_main() {
        return;
    }
    let Some((start, end)) = top.filter(|&(_, end)| Some(Addr(end)) == brk) else { return };
    let Some(area) = (end - start).checked_sub(SMALLEST + 1) else { return };
    let unit = parameters.and_then(|p| p.thp_bytes).unwrap_or(PAGE);
    let extra = area / unit * unit;
    if extra > 0 {
        visit(Addr(end - extra)..Addr(end));
    }
}

/// The whole pages of a chunk in a bin.
fn binned(chunk: Option<(u64, u64)>, visit: &mut impl FnMut(Range<Addr>)) {
    let Some((start, end)) = chunk else { return };
    let Some(from) = start.checked_add(LINKS).and_then(|at| at.checked_next_multiple_of(PAGE)) else { return };
    let until = end & !(PAGE - 1);
    if end - start > PAGE - 1 + LINKS && from < until {
        // malloc rounds what is left down to pages, from a start that is a page: the same as rounding the end.
        visit(Addr(from)..Addr(until));
    }
}
