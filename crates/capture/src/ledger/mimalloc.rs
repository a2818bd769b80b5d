//! mimalloc, as CPython has it from 3.13 on: each block goes to the object that owns it, to others, or is free.

use alloc::mimalloc::{Block, Segment};
use memory::{Counter, Image};
use rayon::prelude::*;
use snapshot::{Ledger, Part};

use super::claims::Claims;
use super::owners::Owners;
use super::{Asked, ByType, Shares, Sum};
use crate::worker::Piece;

const NAME: &str = "mimalloc";

/// What the blocks of one segment are.
#[derive(Default)]
struct Walked {
    objects: ByType,
    others: Sum,
    free: Sum,
    /// Headers, what was never made a block of, and pages that contradict themselves.
    rest: Sum,
    broken: u64,
}

/// Gives mimalloc's memory to its shares.
pub(super) fn walk(asked: Asked<'_, '_, '_>, claims: &mut Claims, shares: &mut Shares, ledger: &mut Ledger) {
    let Asked { reached, residency, pieces, names } = asked;
    let world = reached.world();
    let source = &world.source;
    let Some(mimalloc) = world.blocks.mimalloc() else { return };
    let walked: Vec<Walked> =
        mimalloc.segments.par_iter().map(|segment| blocks_of(source.image, segment, pieces, &mut residency.counter())).collect();
    let mut objects = ByType::default();
    let mut broken = 0;
    for (segment, walked) in mimalloc.segments.iter().zip(walked) {
        claims.take(segment.start, segment.end());
        objects.merge(&walked.objects);
        shares.add(Part::AllocatorInUse, NAME, &walked.others);
        shares.add(Part::AllocatorFree, NAME, &walked.free);
        shares.add(Part::AllocatorFree, NAME, &walked.rest);
        broken += walked.broken;
    }
    let mut counter = residency.counter();
    for freed in &mimalloc.freed {
        let mut sum = Sum::default();
        for (start, end) in claims.take(freed.start, freed.end) {
            sum.add(end.0 - start.0, counter.count(start, end));
        }
        shares.add(Part::AllocatorFree, NAME, &sum);
    }
    objects.into_shares(Part::AllocatorObjects, names, shares);
    if broken > 0 {
        ledger.gaps.push(format!("{broken} bytes of mimalloc's pages contradict themselves"));
    }
}

fn blocks_of(image: &Image<'_>, segment: &Segment, pieces: &[Piece], counter: &mut Counter<'_>) -> Walked {
    let mut walked = Walked::default();
    let mut owners = Owners::new(pieces);
    let mut in_blocks = Sum::default();
    let gaps = segment.blocks(image, |block: Block| {
        let end = block.at + block.bytes;
        let counted = counter.count(block.at, end);
        in_blocks.add(block.bytes, counted);
        match (block.in_use, owners.of(block.at, end)) {
            (false, _) => walked.free.add(block.bytes, counted),
            (true, Some(owner)) => walked.objects.add(owner.type_index, block.bytes, counted),
            (true, None) => walked.others.add(block.bytes, counted),
        }
    });
    walked.broken = gaps.iter().map(|gap| gap.bytes).sum();
    let whole = counter.count(segment.start, segment.end());
    walked.rest.bytes = segment.bytes.saturating_sub(in_blocks.bytes);
    walked.rest.counted.resident = whole.resident.saturating_sub(in_blocks.counted.resident);
    walked.rest.counted.shared = whole.shared.saturating_sub(in_blocks.counted.shared);
    walked.rest.counted.huge = whole.huge.saturating_sub(in_blocks.counted.huge);
    walked
}
