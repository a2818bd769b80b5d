//! All that a snapshot's file keeps: a second walk over every object, in the order of addresses, chunk by chunk. What a chunk
//! gives is packed by the thread that read it and written in order, so that neither objects nor references are ever held
//! together.

use cpython::roots;
use cpython::types::TypeInfo;
use rayon::prelude::*;
use snapshot::file::{Draft, FileError};
use snapshot::{Content, Coverage, Details, FrameRow, RegionRow, RootLink, ThreadRow};

use crate::briefs;
use crate::chunk::{code_facts, Room, Walk};
use crate::edges::name_text;
use crate::ids::Ids;
use crate::inspect::root_edges;
use crate::labels::Labels;
use crate::reach::Reached;

/// Chunks for each thread that may be packed before any of them is written: many, since what is packed is small and threads
/// that are done early wait for the others.
const CHUNKS_A_THREAD: usize = 8;

/// Writes objects and references of all that was reached into `draft`; gives what else its file keeps.
///
/// # Errors
/// The draft cannot be written.
pub(crate) fn everything(
    reached: &mut Reached<'_, '_>,
    values: bool,
    coverage: &mut Coverage,
    draft: &mut Draft,
) -> Result<Details, FileError> {
    let ids = Ids::new(reached);
    reached.shared.second_walk();
    let reached = &*reached;
    let heap = &reached.world().heap;
    let packer = draft.packer();
    let walk = Walk { reached, ids: &ids, packer: &packer, values };
    let mut details = Details { contents: reached.contents(), ..Details::default() };
    let mut labels = Labels::default();
    for chunks in ids.chunks.chunks(rayon::current_num_threads() * CHUNKS_A_THREAD) {
        let done: Vec<_> = chunks.par_iter().map_init(|| Room::new(reached), |room, chunk| walk.chunk(room, chunk)).collect();
        for chunk in done {
            let mut chunk = chunk?;
            draft.objects(chunk.objects)?;
            let numbers = labels.numbers(heap, &chunk.labels, coverage);
            for (links, counts) in chunk.links {
                numbers.iter().zip(counts).for_each(|(number, count)| labels.count(*number, u64::from(count)));
                draft.links(links, &numbers)?;
            }
            details.codes.append(&mut chunk.codes);
            details.modules.append(&mut chunk.modules);
        }
    }
    details.labels = labels.all;
    details.roots = root_edges(reached)
        .into_iter()
        .filter_map(|(root, e)| {
            let target = ids.of(e.to)?;
            Some(RootLink { root, kind: e.kind, name: name_text(heap, e.name), position: e.position, certain: e.certain, target })
        })
        .collect();
    (details.threads, details.frames) = threads(reached);
    details.regions = reached.world().source.mappings.iter().map(region).collect();
    Ok(details)
}

/// What the length of a type's instances counts.
pub(crate) fn content(t: &TypeInfo) -> Content {
    match briefs::unit(t) {
        Some(unit) => Content::Counted(unit),
        None if briefs::is_number(t) => Content::Hidden,
        None => Content::None,
    }
}

fn threads(reached: &Reached<'_, '_>) -> (Vec<ThreadRow>, Vec<FrameRow>) {
    let world = reached.world();
    let heap = &world.heap;
    let (mut threads, mut frames) = (Vec::new(), Vec::new());
    for (number, &interpreter) in world.interpreters.iter().enumerate() {
        for thread in roots::threads(heap, interpreter).unwrap_or_default() {
            let row = threads.len() as u32;
            threads.push(ThreadRow { interpreter: number as u32, address: thread.at, thread_id: thread.thread_id });
            let python = roots::frames(heap, thread).unwrap_or_default().into_iter().filter(|f| roots::is_python_frame(heap, *f));
            for (depth, address) in python.enumerate() {
                let (function, file, first_line) = code_facts(heap, roots::frame_code(heap, address).unwrap_or_default());
                frames.push(FrameRow { thread: row, depth: depth as u32, address, function, file, first_line });
            }
        }
    }
    (threads, frames)
}

fn region(m: &memory::Mapping) -> RegionRow {
    let right = |has: bool, letter: char| if has { letter } else { '-' };
    let rights = [right(m.read, 'r'), right(m.write, 'w'), right(m.exec, 'x'), if m.shared { 's' } else { 'p' }];
    RegionRow { start: m.start, end: m.end, rights: rights.iter().collect(), offset: m.offset, path: m.path.clone() }
}
