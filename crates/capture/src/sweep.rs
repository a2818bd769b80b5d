//! The third witness: blocks in use that nothing found so far refers to. What looks like an object there is held by C
//! code, or leaked by it.

use cpython::Obj;
use memory::Addr;
use rayon::prelude::*;
use snapshot::GapKind;

use crate::reach::Witness;
use crate::worker::{Shared, Worker};

/// Bytes that can stand between the start of a block and an object: nothing, a collector's head, that and two words.
const PRE_HEADERS: [u64; 3] = [0, 16, 32];

/// The objects that only their blocks name, sorted by address.
pub(crate) fn unreached<'s, 'w, 'm>(shared: &'s Shared<'w, 'm>, main: &mut Worker<'s, 'w, 'm>) -> Vec<Addr> {
    let arenas = &shared.world.arenas;
    let parts: Vec<(Vec<Addr>, u64)> = (0..arenas.all.len())
        .into_par_iter()
        .fold(
            || (Worker::new(shared, false), Vec::new(), 0),
            |(mut w, mut found, mut broken), arena| {
                for pool in arenas.all[arena].pools(shared.world.source.image, arenas.geometry) {
                    let Ok(pool) = pool else {
                        broken += 1;
                        continue;
                    };
                    for i in pool.blocks() {
                        let block = pool.block(i);
                        if explained(shared, arena, block) {
                            continue;
                        }
                        found.extend(object_in(&mut w, arena, block, pool.block_bytes));
                    }
                }
                (w, found, broken)
            },
        )
        .map(|(_, found, broken)| (found, broken))
        .collect();
    let mut all = Vec::new();
    for (mut found, broken) in parts {
        all.append(&mut found);
        main.coverage.add_gap(GapKind::BrokenPool, broken);
    }
    all.sort_unstable();
    all
}

/// Whether an object was reached in the block, or one owns it.
fn explained(shared: &Shared<'_, '_>, arena: usize, block: Addr) -> bool {
    let offset = block.0 - shared.world.arenas.all[arena].start.0;
    shared.owned.get(arena, offset)
        || PRE_HEADERS.iter().any(|pre| {
            let at = offset + shared.world.arenas.padding + pre;
            at < shared.world.arenas.geometry.arena_bytes && shared.reached.get(arena, at)
        })
}

/// The object in a block that nothing refers to, if the block looks like one in every respect.
fn object_in(w: &mut Worker<'_, '_, '_>, arena: usize, block: Addr, block_bytes: u64) -> Option<Addr> {
    let arenas = &w.shared.world.arenas;
    let start = arenas.all[arena].start;
    let padding = arenas.padding;
    let window = arenas.window(arena);
    PRE_HEADERS.into_iter().find_map(|pre| {
        let at = block + padding + pre;
        if padding + pre + 16 > block_bytes {
            return None;
        }
        let o = Obj::within(at, window, (at.0 - start.0) as usize);
        let t = w.plausible(&o)?;
        (w.shared.world.heap.pre_header(&o, &t) == pre && padding + pre + t.basic <= block_bytes).then_some(at)
    })
}

/// Takes a swept object in.
pub(crate) fn decode<'m>(shared: &Shared<'_, 'm>, main: &mut Worker<'_, '_, 'm>, at: Addr) {
    let arenas = &shared.world.arenas;
    let Some(arena) = arenas.of(at) else { return };
    let offset = at.0 - arenas.all[arena].start.0;
    // Another swept object may have led here meanwhile.
    shared.reached.set(arena, offset);
    if shared.done.set(arena, offset) {
        main.object(&Obj::within(at, arenas.window(arena), offset as usize), Some(arena), Witness::Sweep);
    }
}

/// Counts blocks in use, and those that nothing explains.
pub(crate) fn account<'s, 'w, 'm>(shared: &'s Shared<'w, 'm>, main: &mut Worker<'s, 'w, 'm>) {
    let arenas = &shared.world.arenas;
    let (in_use, unexplained, bytes) = (0..arenas.all.len())
        .into_par_iter()
        .map(|arena| {
            let mut sums = (0, 0, 0);
            for pool in arenas.all[arena].pools(shared.world.source.image, arenas.geometry).flatten() {
                for i in pool.blocks() {
                    sums.0 += 1;
                    sums.2 += pool.block_bytes;
                    if !explained(shared, arena, pool.block(i)) {
                        sums.1 += 1;
                    }
                }
            }
            sums
        })
        .reduce(|| (0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
    main.coverage.blocks_in_use = in_use;
    main.coverage.blocks_explained = in_use - unexplained;
    main.coverage.blocks_bytes = memory::Bytes(bytes);
    main.coverage.add_gap(GapKind::UnexplainedBlock, unexplained);
}
