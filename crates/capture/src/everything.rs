//! All that a snapshot's file keeps: a second walk over every object, in the order of addresses, chunk by chunk. What a chunk
//! gives is packed by the thread that read it and written in order, so that neither objects nor references are ever held
//! together.

use std::ops::Range;

use cpython::types::TypeInfo;
use cpython::{collector, lines, roots};
use graph::Edges;
use memory::Addr;
use snapshot::file::{Draft, FileError};
use snapshot::{
    CollectorState, Content, Coverage, Details, FrameRow, Graph, KeyNote, KnownFacts, LabelPlaces, Objects, RegionRow, RootLink, ThreadRow,
};

use crate::briefs;
use crate::chunk::{code_facts, Plain, Rows, Walk};
use crate::edges::name_text;
use crate::fingerprint::FingerprintKey;
use crate::gather::Link;
use crate::ids::{self, Ids};
use crate::labels::Labels;
use crate::reach::Reached;
use crate::rooted::{root_edges, RootEdge};
use crate::world::World;

/// Writes objects and references of all that was reached into `draft`; gives what else its file keeps.
///
/// # Errors
/// The draft cannot be written.
pub(crate) fn everything(
    reached: &mut Reached<'_, '_>,
    values: bool,
    key: FingerprintKey,
    coverage: &mut Coverage,
    draft: &mut Draft,
) -> Result<Details, FileError> {
    let ids = Ids::new(reached, ids::ROW_GROUP);
    reached.shared.second_walk();
    let reached = &*reached;
    let heap = &reached.world().heap;
    let packer = draft.packer();
    let walk = Walk { reached, ids: &ids, packer: Some(&packer), key: Some(key), values };
    let mut details = Details {
        contents: reached.contents(),
        classes: reached.classes(),
        key: KeyNote { id: key.id(), alone: None },
        ..Details::default()
    };
    let mut labels = Labels::default();
    walk.all(|mut chunk| {
        let numbers = labels.numbers(heap, &chunk.labels, coverage);
        if let Rows::Packed { objects, links } = chunk.rows {
            draft.objects(objects)?;
            for (links, counts) in links {
                numbers.iter().zip(counts).for_each(|(number, count)| labels.count(*number, u64::from(count)));
                draft.links(links, &numbers)?;
            }
        }
        details.codes.append(&mut chunk.codes);
        details.modules.append(&mut chunk.modules);
        chunk.said.add_to(&mut details);
        Ok(())
    })?;
    details.labels = labels.all;
    small(reached, &ids, &mut details);
    Ok(details)
}

/// References of an object, about, for which room is kept: twice of what heaps have.
const REFERENCES_EACH: usize = 4;

/// What a walk for questions about the graph gave.
pub(crate) struct Whole {
    pub(crate) objects: Objects,
    pub(crate) graph: Graph,
    pub(crate) details: Details,
    /// Where they were asked for.
    pub(crate) facts: Option<KnownFacts>,
}

/// Every object with its references, for questions about the graph; with `key` what is known of them instead of their values too.
///
/// # Errors
/// What a walk gives; none that writes nothing.
pub(crate) fn graph(reached: &mut Reached<'_, '_>, key: Option<FingerprintKey>, coverage: &mut Coverage) -> Result<Whole, FileError> {
    let ids = Ids::new(reached, ids::KEPT);
    reached.shared.second_walk();
    let reached = &*reached;
    let heap = &reached.world().heap;
    let walk = Walk { reached, ids: &ids, packer: None, key, values: false };
    let mut known = key.map(|_| KnownFacts::default());
    let mut details = Details { contents: reached.contents(), classes: reached.classes(), ..Details::default() };
    let mut labels = Labels::default();
    let mut all = Objects::with_capacity(ids.len());
    // Room that is never touched costs nothing; growing would leave holes that do.
    let room = ids.len().saturating_mul(REFERENCES_EACH);
    let (mut counts, mut targets, mut label) = (vec![0u32; ids.len() + 1], Vec::with_capacity(room), LabelPlaces::with_capacity(room));
    walk.all(|mut chunk| {
        let numbers = labels.numbers(heap, &chunk.labels, coverage);
        if let Rows::Plain(plain) = chunk.rows {
            let Plain { mut objects, mut links, facts, lengths } = *plain;
            all.append(&mut objects);
            if let Some(known) = &mut known {
                known.append(facts, &lengths);
            }
            // In the order in which a snapshot's file gives them too.
            let number = |link: &Link| numbers.get(link.label as usize).copied().unwrap_or(u32::MAX);
            for row in links.chunk_by_mut(|a, b| a.holder == b.holder) {
                row.sort_unstable_by_key(|link| (number(link), link.position, link.target));
            }
            for link in links {
                let Some(number) = numbers.get(link.label as usize) else { continue };
                if let Some(count) = counts.get_mut(link.holder as usize + 1) {
                    *count += 1;
                    targets.push(link.target);
                    label.push(*number);
                    labels.count(*number, 1);
                }
            }
        }
        details.codes.append(&mut chunk.codes);
        details.modules.append(&mut chunk.modules);
        chunk.said.add_to(&mut details);
        Ok(())
    })?;
    small(reached, &ids, &mut details);
    drop(ids);
    let graph = Edges::from_counts(counts, targets).and_then(|edges| Graph::new(edges, label, labels.all));
    let mut graph = graph.unwrap_or_default();
    graph.drop_leftovers(&all, &details.roots);
    Ok(Whole { objects: all, graph, details, facts: known })
}

/// What is small: roots, threads, frames, mappings.
fn small(reached: &Reached<'_, '_>, ids: &Ids<'_, '_>, details: &mut Details) {
    let heap = &reached.world().heap;
    details.roots = root_edges(reached, &|at| ids.of(at).is_some())
        .into_iter()
        .filter_map(|RootEdge { place, root, edge: e }| {
            let target = ids.of(e.to)?;
            let name = name_text(heap, e.name);
            Some(RootLink { place, root, kind: e.kind, name, position: e.position, certain: e.certain, target })
        })
        .collect();
    (details.threads, details.frames) = threads(reached);
    details.collectors = collectors(reached.world());
    let statics = reached.shared.statics.ranges();
    details.regions = reached.world().source.mappings.iter().flat_map(|m| regions(m, statics)).collect();
}

/// The collector of each interpreter; to 3.8 all have one.
fn collectors(world: &World<'_>) -> Vec<CollectorState> {
    let layout = world.heap.layout;
    let mut seen = Vec::new();
    let mut all = Vec::new();
    for (number, &interpreter) in world.interpreters.iter().enumerate() {
        let at = layout.gc_state(world.runtime, interpreter);
        if seen.contains(&at) {
            continue;
        }
        seen.push(at);
        let Ok(state) = collector::state(&world.heap, world.runtime, interpreter) else { continue };
        let generation = |g: collector::Generation| snapshot::Generation {
            threshold: g.threshold,
            count: g.count,
            collections: g.collections,
            collected: g.collected,
            uncollectable: g.uncollectable,
        };
        all.push(CollectorState {
            interpreter: roots::interpreter_number(&world.heap, interpreter).unwrap_or(number as u32),
            enabled: state.enabled,
            debug: state.debug,
            collecting: state.collecting,
            incremental: layout.incremental,
            generations: state.generations.map(generation),
            long_lived: state.long_lived,
            garbage: state.garbage,
            callbacks: state.callbacks,
            untracks_dicts: layout.rules.dicts_are_untracked,
            unbegun_generators_keep_frame: layout.rules.unbegun_generators_keep_frame,
        });
    }
    all
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
        for thread in roots::threads(heap, interpreter).all {
            let row = threads.len() as u32;
            let number = roots::interpreter_number(heap, interpreter).unwrap_or(number as u32);
            threads.push(ThreadRow { interpreter: number, address: thread.at, thread_id: thread.thread_id });
            let python =
                roots::frames(heap, thread).all.into_iter().filter(|f| roots::is_python_frame(heap, *f) && roots::runs_code(heap, *f));
            for (depth, address) in python.enumerate() {
                let (function, file, first_line) = code_facts(heap, roots::frame_code(heap, address).unwrap_or_default());
                let line = lines::current_line(heap, address);
                frames.push(FrameRow { thread: row, depth: depth as u32, address, function, file, first_line, line });
            }
        }
    }
    (threads, frames)
}

/// A mapping; of one that is a file's .bss with an arena that the kernel joined to it, both.
fn regions(m: &memory::Mapping, statics: &[Range<u64>]) -> Vec<RegionRow> {
    let right = |has: bool, letter: char| if has { letter } else { '-' };
    let rights: String = [right(m.read, 'r'), right(m.write, 'w'), right(m.exec, 'x'), if m.shared { 's' } else { 'p' }].iter().collect();
    let one = |start: Addr, end: Addr| RegionRow { start, end, rights: rights.clone(), offset: m.offset, path: m.path.clone() };
    let bss = statics.iter().filter(|_| m.inode == 0).find(|r| r.start == m.start.0 && r.end < m.end.0);
    match bss.map(|bss| Addr(bss.end)) {
        Some(end) => vec![one(m.start, end), one(end, m.end)],
        None => vec![one(m.start, m.end)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen in one of many runs: the static ints of 3.8 were no static objects any more, and each had a reference too many.
    #[test]
    fn an_arena_that_was_joined_to_a_bss_is_a_region_of_its_own() {
        let mapping = |start, end, inode| memory::Mapping {
            start: Addr(start),
            end: Addr(end),
            read: true,
            write: true,
            exec: false,
            shared: false,
            offset: 0,
            inode,
            path: String::new(),
        };
        let ranges = |m: &memory::Mapping, statics: &[Range<u64>]| -> Vec<(u64, u64)> {
            regions(m, statics).iter().map(|row| (row.start.0, row.end.0)).collect()
        };
        let statics = [0x1000..0x4000, 0x4000..0x6000];
        assert_eq!(ranges(&mapping(0x4000, 0x4_6000, 0), &statics), [(0x4000, 0x6000), (0x6000, 0x4_6000)]);
        assert_eq!(ranges(&mapping(0x4000, 0x6000, 0), &statics), [(0x4000, 0x6000)]);
        assert_eq!(ranges(&mapping(0x1000, 0x9000, 7), &statics), [(0x1000, 0x9000)]);
        assert_eq!(ranges(&mapping(0x7000, 0x9000, 0), &statics), [(0x7000, 0x9000)]);
    }
}
