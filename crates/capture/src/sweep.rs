//! The third witness: blocks in use that nothing found so far refers to. What looks like an object there is held by C
//! code, or leaked by it.

use cpython::types::flags;
use cpython::Obj;
use memory::{Addr, Bytes, Memory};
use rayon::prelude::*;
use snapshot::{Coverage, GapKind};

use crate::outside::Outside;
use crate::reach::Witness;
use crate::worker::{Shared, Worker};

/// Bytes that can stand between the start of a block and an object: nothing, a collector's head, that and two words.
pub(crate) const PRE_HEADERS: [u64; 3] = [0, 16, 32];

/// Nothing is mapped below, but where the machine was told so (`vm.mmap_min_addr`).
const POINTERS_FROM: u64 = 1 << 16;

/// What a sweep over all blocks in use finds.
#[derive(Default)]
pub(crate) struct Swept {
    /// Objects that only their blocks name, sorted by address.
    pub(crate) objects: Vec<Addr>,
    /// Blocks that nothing explained when they were met, with their bytes.
    unexplained: Vec<(Addr, u64)>,
    in_use: u64,
    bytes: u64,
    broken: u64,
}

/// Sweeps over every pool, after all references were followed.
pub(crate) fn sweep(shared: &Shared<'_, '_>) -> Swept {
    let arenas = &shared.world.arenas;
    let parts: Vec<Swept> = (0..arenas.all.len())
        .into_par_iter()
        .fold(
            || (Worker::new(shared, false), Swept::default()),
            |(mut w, mut swept), arena| {
                let first = arenas.all[arena].start.0;
                for pool in arenas.all[arena].pools(shared.world.source.image, arenas.geometry) {
                    let Ok(pool) = pool else {
                        swept.broken += 1;
                        continue;
                    };
                    swept.in_use += u64::from(pool.in_use);
                    swept.bytes += u64::from(pool.in_use) * pool.block_bytes;
                    for i in pool.blocks() {
                        let block = pool.block(i);
                        if !explained(shared, arena, block.0 - first, pool.block_bytes) {
                            swept.unexplained.push((block, pool.block_bytes));
                            swept.objects.extend(object_in(&mut w, arena, block, pool.block_bytes));
                        }
                    }
                }
                (w, swept)
            },
        )
        .map(|(_, swept)| swept)
        .collect();
    let mut all = Swept::default();
    for mut part in parts {
        all.objects.append(&mut part.objects);
        all.unexplained.append(&mut part.unexplained);
        all.in_use += part.in_use;
        all.bytes += part.bytes;
        all.broken += part.broken;
    }
    all.objects.sort_unstable();
    all
}

/// Whether an object was reached in the block of `bytes` at `offset` of an arena, or one owns it. What stands in the next block explains
/// nothing: a block of 32 bytes ends where an object with two words before its head would begin.
#[inline]
fn explained(shared: &Shared<'_, '_>, arena: usize, offset: u64, bytes: u64) -> bool {
    let padding = shared.world.arenas.padding;
    let at = offset + padding;
    let fits = |pre: u64| padding + pre < bytes && at + pre < shared.world.arenas.geometry.arena_bytes;
    PRE_HEADERS.iter().any(|&pre| fits(pre) && shared.reached.get(arena, at + pre)) || shared.owned.get(arena, offset)
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
        // In a program that stands at low addresses a pointer to its data would do for a count; where two pointers lie beside each other,
        // the second of them to a class, they are no object of it.
        if o.u64(0).is_ok_and(|count| count > POINTERS_FROM && w.shared.world.source.image.segment(Addr(count)).is_some()) {
            return None;
        }
        let t = w.plausible(&o)?;
        (w.shared.world.heap.pre_header(&o, &t) == pre && padding + pre + w.shared.world.heap.least_bytes(&t) <= block_bytes).then_some(at)
    })
}

/// What the collector has set aside in lists of its own (`unreachable`, on its stack) is on no list that is known. Those objects of it
/// that stand in arenas were swept; the links of their heads lead to the others, each of which must look like an object in every respect.
/// The first words are true all the while: the others hold counts during a part of a collection (gc.c, update_refs).
pub(crate) fn set_aside<'m>(shared: &Shared<'_, 'm>, main: &mut Worker<'_, '_, 'm>, swept: &[Addr], outside: &mut Outside) {
    let world = shared.world;
    let mut left = world.heap.most(32);
    for &object in swept {
        let mut at = object;
        let is_gc = |at: Addr| world.heap.obj(at).and_then(|o| o.ty()).ok().and_then(|t| world.heap.type_at(t)).is_some_and(|t| t.is_gc());
        while left > 0 && is_gc(at) {
            left -= 1;
            let Ok(next) = world.source.image.u64(at - 16).map(|next| Addr(next & !3) + 16) else { break };
            // In an arena it was swept, or it is on no list; outside it is followed while it is new.
            let before = outside.objects.len();
            if next.0 <= 16 || world.arenas.of(next).is_some() {
                break;
            }
            main.outside_object(next, false, outside, Witness::Sweep);
            if outside.objects.len() == before {
                break;
            }
            at = next;
        }
    }
}

/// Takes the swept objects in. From 3.15 on the buffer of a bytearray is a bytes object, and where nothing else holds that, a part of
/// the bytearray: swept ones come last, and those that are a part are no objects.
pub(crate) fn decode<'m>(shared: &Shared<'_, 'm>, main: &mut Worker<'_, '_, 'm>, swept: &mut Swept) {
    let heap = &shared.world.heap;
    let is_bytes = |at: &Addr| {
        let class = heap.obj(*at).and_then(|o| o.ty()).ok().and_then(|t| heap.type_at(t));
        class.is_some_and(|t| t.flags & flags::BYTES != 0)
    };
    let buffers: Vec<Addr> = match heap.layout.table.offset("PyByteArrayObject", "ob_bytes_object") {
        Some(_) => swept.objects.iter().copied().filter(is_bytes).collect(),
        None => Vec::new(),
    };
    let is_late = |at: &Addr| buffers.binary_search(at).is_ok();
    swept.objects.iter().filter(|at| !is_late(at)).for_each(|at| decode_one(shared, main, *at));
    let arenas = &shared.world.arenas;
    let is_part =
        |at: &Addr| arenas.of(*at).is_some_and(|arena| shared.owned.get(arena, (*at - arenas.padding).0 - arenas.all[arena].start.0));
    swept.objects.retain(|at| !(is_late(at) && is_part(at)));
    swept.objects.iter().filter(|at| is_late(at)).for_each(|at| decode_one(shared, main, *at));
}

fn decode_one<'m>(shared: &Shared<'_, 'm>, main: &mut Worker<'_, '_, 'm>, at: Addr) {
    let arenas = &shared.world.arenas;
    let Some(arena) = arenas.of(at) else { return };
    let offset = at.0 - arenas.all[arena].start.0;
    // Another swept object may have led here meanwhile.
    shared.reached.set(arena, offset);
    if shared.done.set(arena, offset) {
        main.object(&Obj::within(at, arenas.window(arena), offset as usize), Some(arena), Witness::Sweep);
    }
}

/// Writes blocks in use, and those that nothing explains now that swept objects were followed too, into the coverage.
pub(crate) fn account(shared: &Shared<'_, '_>, swept: &Swept, coverage: &mut Coverage) {
    let arenas = &shared.world.arenas;
    let left = swept.unexplained.iter().filter(|(block, bytes)| {
        let Some(arena) = arenas.of(*block) else { return false };
        !explained(shared, arena, block.0 - arenas.all[arena].start.0, *bytes)
    });
    let left = left.count() as u64;
    coverage.blocks_in_use = swept.in_use;
    coverage.blocks_explained = swept.in_use - left;
    coverage.blocks_bytes = Bytes(swept.bytes);
    coverage.add_gap(GapKind::UnexplainedBlock, left);
    coverage.add_gap(GapKind::BrokenPool, swept.broken);
}
