//! pymalloc's arenas: objects, free blocks, free pools, and what is lost around them.
//!
//! Source: `_PyObject_DebugMallocStats` in Objects/obmalloc.c (3.8–3.15) for the terms.

use std::sync::atomic::Ordering;

use alloc::pymalloc::{Arena, Pool, POOL_HEADER};
use cpython::Obj;
use memory::{Counted, Counter, Residency};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use snapshot::{Ledger, Part, Pin, Pymalloc};

use super::claims::Claims;
use super::{Shares, Sum};
use crate::reach::Reached;

/// An arena with less than this part in use is sparse: a tenth.
const SPARSE: u64 = 10;

/// Objects of a type that keep sparse arenas whose addresses are kept.
const SAMPLES: usize = 32;

/// What arenas are made of.
#[derive(Default)]
struct Made {
    stats: Pymalloc,
    in_use: Sum,
    free_blocks: Sum,
    free_pools: Sum,
    overhead: Sum,
    broken: u64,
    sparse: Vec<usize>,
    sparse_bytes: u64,
}

impl Made {
    fn merge(mut self, other: Made) -> Made {
        let (mine, theirs) = (&mut self.stats, &other.stats);
        mine.used_pools += theirs.used_pools;
        mine.free_pools += theirs.free_pools;
        mine.allocated_bytes += theirs.allocated_bytes;
        mine.available_bytes += theirs.available_bytes;
        mine.header_bytes += theirs.header_bytes;
        mine.quantization_bytes += theirs.quantization_bytes;
        mine.alignment_bytes += theirs.alignment_bytes;
        self.in_use.merge(&other.in_use);
        self.free_blocks.merge(&other.free_blocks);
        self.free_pools.merge(&other.free_pools);
        self.overhead.merge(&other.overhead);
        self.broken += other.broken;
        self.sparse.extend(other.sparse);
        self.sparse_bytes += other.sparse_bytes;
        self
    }
}

/// Gives pymalloc's memory to its shares.
pub(super) fn walk(reached: &Reached<'_, '_>, residency: &Residency, claims: &mut Claims, shares: &mut Shares, ledger: &mut Ledger) {
    let arenas = &reached.world().arenas;
    if arenas.all.is_empty() {
        return;
    }
    let made = (0..arenas.all.len())
        .into_par_iter()
        .fold(
            || (residency.counter(), Made::default()),
            |(mut counter, made), i| {
                let made = made.merge(arena(reached, i, &mut counter));
                (counter, made)
            },
        )
        .map(|(_, made)| made)
        .reduce(Made::default, Made::merge);
    for a in &arenas.all {
        claims.take(a.start, a.end);
    }
    objects(reached, &made.in_use, shares);
    shares.add(Part::PymallocFreeBlocks, "", &made.free_blocks);
    shares.add(Part::PymallocFreePools, "", &made.free_pools);
    shares.add(Part::PymallocOverhead, "", &made.overhead);
    if made.broken > 0 {
        ledger.gaps.push(format!("{} pools of pymalloc contradict themselves", made.broken));
    }
    ledger.pymalloc = Some(Pymalloc {
        arenas: arenas.all.len() as u64,
        arena_bytes: arenas.geometry.arena_bytes,
        pool_bytes: arenas.geometry.pool_bytes,
        ..made.stats
    });
    ledger.sparse_arenas = made.sparse.len() as u64;
    ledger.sparse_bytes = made.sparse_bytes;
    ledger.pins = pins(reached, &made.sparse);
}

/// Blocks in use, by the type of the object that is in them or owns them. Where some are not in memory (swap) each type is taken
/// to have lost as much.
fn objects(reached: &Reached<'_, '_>, in_use: &Sum, shares: &mut Shares) {
    let part = |bytes: u64, of: u64| {
        if in_use.bytes == 0 {
            return 0;
        }
        (u128::from(bytes) * u128::from(of) / u128::from(in_use.bytes)) as u64
    };
    let mut left = *in_use;
    for (t, sum) in reached.tally.iter().filter(|(_, sum)| sum.in_arenas > 0) {
        let of = |counted: u64| part(sum.in_arenas, counted);
        let whole = &in_use.counted;
        let counted = Counted { resident: of(whole.resident), shared: of(whole.shared), huge: of(whole.huge) };
        shares.add(Part::PymallocObjects, &t.name, &Sum { count: sum.count, bytes: sum.in_arenas, counted });
        left.bytes = left.bytes.saturating_sub(sum.in_arenas);
        left.counted.resident = left.counted.resident.saturating_sub(counted.resident);
        left.counted.shared = left.counted.shared.saturating_sub(counted.shared);
        left.counted.huge = left.counted.huge.saturating_sub(counted.huge);
    }
    left.count = 0;
    shares.add(Part::PymallocOther, "", &left);
}

fn arena(reached: &Reached<'_, '_>, i: usize, counter: &mut Counter<'_>) -> Made {
    let mut made = Made::default();
    let arenas = &reached.world().arenas;
    let Some(a) = arenas.all.get(i) else { return made };
    let geometry = arenas.geometry;
    let image = reached.world().source.image;
    let whole = counter.count(a.start, a.end);
    let mut pool_end = a.first_pool;
    while pool_end.0 + geometry.pool_bytes <= a.end.0 {
        let start = pool_end;
        pool_end = start + geometry.pool_bytes;
        if start >= a.carved_end || a.free_pools.binary_search(&start).is_ok() {
            made.stats.free_pools += 1;
            made.free_pools.add(geometry.pool_bytes, counter.count(start, pool_end));
            continue;
        }
        made.stats.used_pools += 1;
        match a.pool_of(image, start, geometry) {
            Some(pool) => in_pool(&pool, geometry.pool_bytes, counter, &mut made),
            None => {
                made.broken += 1;
                made.in_use.add(geometry.pool_bytes, counter.count(start, pool_end));
            }
        }
    }
    // Where the arena does not begin at a pool's boundary one pool is lost.
    let lost = alignment(a, pool_end.0);
    made.stats.alignment_bytes += lost;
    let mut counted = counter.count(a.start, a.first_pool);
    counted += counter.count(pool_end, a.end);
    if lost > 0 {
        made.overhead.add(lost, counted);
    }
    if made.in_use.bytes * SPARSE < geometry.arena_bytes && whole.resident > 0 {
        made.sparse.push(i);
        made.sparse_bytes = whole.resident;
    }
    made
}

fn alignment(a: &Arena, pools_end: u64) -> u64 {
    (a.first_pool.0 - a.start.0) + a.end.0.saturating_sub(pools_end)
}

fn in_pool(pool: &Pool, pool_bytes: u64, counter: &mut Counter<'_>, made: &mut Made) {
    let (start, end) = (pool.start, pool.start + pool_bytes);
    let room = (pool_bytes - POOL_HEADER) / pool.block_bytes;
    let in_use = u64::from(pool.in_use) * pool.block_bytes;
    let free = room * pool.block_bytes - in_use;
    let blocks_end = pool.block(room as u32);
    let whole = counter.count(start, end);
    let uniform = |part: u64| part == 0 || part == pool_bytes;
    let used = if whole.resident == pool_bytes && uniform(whole.shared) && uniform(whole.huge) {
        let of = |part: u64| if part == 0 { 0 } else { in_use };
        Counted { resident: in_use, shared: of(whole.shared), huge: of(whole.huge) }
    } else {
        let mut used = Counted::default();
        pool.blocks().for_each(|i| used += counter.count(pool.block(i), pool.block(i) + pool.block_bytes));
        used
    };
    let mut around = counter.count(start, start + POOL_HEADER);
    around += counter.count(blocks_end, end);
    let left = |of: fn(&Counted) -> u64| of(&whole).saturating_sub(of(&used)).saturating_sub(of(&around));
    made.stats.allocated_bytes += in_use;
    made.stats.available_bytes += free;
    made.stats.header_bytes += POOL_HEADER;
    made.stats.quantization_bytes += end.0 - blocks_end.0;
    made.in_use.merge(&Sum { count: u64::from(pool.in_use), bytes: in_use, counted: used });
    if free > 0 {
        let counted = Counted { resident: left(|c| c.resident), shared: left(|c| c.shared), huge: left(|c| c.huge) };
        made.free_blocks.merge(&Sum { count: room - u64::from(pool.in_use), bytes: free, counted });
    }
    made.overhead.add(POOL_HEADER + (end.0 - blocks_end.0), around);
}

/// What is in use in sparse arenas, by type, the most first.
fn pins(reached: &Reached<'_, '_>, sparse: &[usize]) -> Vec<Pin> {
    let (arenas, heap) = (&reached.world().arenas, &reached.world().heap);
    let mut by_type: FxHashMap<u32, Pin> = FxHashMap::default();
    for &arena in sparse {
        let Some(start) = arenas.all.get(arena).map(|a| a.start) else { continue };
        for (i, word) in reached.shared.done.arena(arena).iter().enumerate() {
            let mut bits = word.load(Ordering::Relaxed);
            while bits != 0 {
                let offset = (i as u64 * 64 + u64::from(bits.trailing_zeros())) * 16;
                bits &= bits - 1;
                let o = Obj::within(start + offset, arenas.window(arena), offset as usize);
                let Some(t) = o.ty().ok().and_then(|t| heap.type_at(t)) else { continue };
                let pin =
                    by_type.entry(t.index).or_insert_with(|| Pin { type_name: t.name.clone(), count: 0, bytes: 0, samples: Vec::new() });
                pin.count += 1;
                if pin.samples.len() < SAMPLES {
                    pin.samples.push(o.addr.0);
                }
                pin.bytes += arenas.block_bytes(arena, o.addr).unwrap_or(0);
            }
        }
    }
    let mut all: Vec<Pin> = by_type.into_values().collect();
    all.sort_by(|a, b| (b.bytes, b.count, &a.type_name).cmp(&(a.bytes, a.count, &b.type_name)));
    all
}
