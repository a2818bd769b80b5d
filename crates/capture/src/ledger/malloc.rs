//! glibc's malloc: each chunk goes to the object that owns it, to others, or to what malloc holds back.

use alloc::glibc::{Arena, Chunk, Kind, Malloc};
use memory::{Counter, Image, Mapping, Residency};
use rayon::prelude::*;
use snapshot::{Ledger, MallocArena, Part};

use super::claims::Claims;
use super::owners::Owners;
use super::{Asked, ByType, Shares, Sum};
use crate::worker::Piece;

/// malloc's default for `M_MMAP_THRESHOLD` (mallopt(3)).
const MMAP_THRESHOLD: u64 = 128 << 10;

/// What the chunks of one arena are.
#[derive(Default)]
struct Walked {
    objects: ByType,
    others: Sum,
    free: Sum,
    cached: Sum,
    top: Sum,
    overhead: Sum,
    lost: Sum,
    told: MallocArena,
}

/// Gives malloc's memory to its shares.
pub(super) fn walk(asked: Asked<'_, '_, '_>, claims: &mut Claims, shares: &mut Shares, ledger: &mut Ledger) {
    let Asked { reached, residency, pieces, names } = asked;
    let source = &reached.world().source;
    let malloc = match Malloc::find(source.image, source.mappings) {
        Ok(malloc) => malloc,
        Err(why) => {
            ledger.gaps.push(why.to_string());
            return;
        }
    };
    if !malloc.ring_closed {
        ledger.gaps.push("malloc's ring of arenas does not lead back to its start: arenas may be missing".into());
    }
    let walked: Vec<Walked> =
        malloc.arenas.par_iter().map(|arena| chunks_of(source.image, arena, pieces, &mut residency.counter())).collect();
    let mut objects = ByType::default();
    for (arena, mut walked) in malloc.arenas.iter().zip(walked) {
        for heap in &arena.heaps {
            claims.take(heap.start, heap.end.max(heap.committed_end));
        }
        objects.merge(&walked.objects);
        shares.add(Part::MallocOther, "", &walked.others);
        shares.add(Part::MallocFree, "", &walked.free);
        shares.add(Part::MallocCached, "", &walked.cached);
        shares.add(Part::MallocTop, "", &walked.top);
        shares.add(Part::MallocOverhead, "", &walked.overhead);
        shares.add(Part::Unknown, "malloc's, in disorder", &walked.lost);
        if walked.lost.bytes > 0 {
            ledger.gaps.push(format!("{} bytes of malloc's arena at {} are in disorder", walked.lost.bytes, arena.at));
        }
        walked.told.object_resident_bytes = walked.objects.total().counted.resident;
        ledger.malloc_arenas.push(walked.told);
    }
    trimmable(&malloc, source.image, residency, ledger);
    mapped(&malloc, source.image, residency, pieces, claims, shares, &mut objects);
    objects.into_shares(Part::MallocObjects, names, shares);
    ledger.mmap_threshold = malloc.parameters.as_ref().map(|p| p.mmap_threshold);
    ledger.malloc_mapped = malloc.parameters.as_ref().map(|p| (p.mmapped_chunks, p.mmapped_bytes));
}

fn chunks_of(image: &Image<'_>, arena: &Arena, pieces: &[Piece], counter: &mut Counter<'_>) -> Walked {
    let mut walked = Walked::default();
    let sums = arena.sums();
    let mut owners = Owners::new(pieces);
    let mut whole = Sum::default();
    for heap in &arena.heaps {
        whole.add(heap.end.0.saturating_sub(heap.start.0), counter.count(heap.start, heap.end));
        if heap.end < heap.committed_end {
            walked.top.add(heap.committed_end.0 - heap.end.0, counter.count(heap.end, heap.committed_end));
        }
    }
    let mut in_chunks = Sum::default();
    let (mut large_free, mut large_chunks) = (0, 0);
    let gaps = arena.chunks(image, |chunk: Chunk| {
        let end = chunk.at + chunk.bytes;
        let counted = counter.count(chunk.at, end);
        in_chunks.add(chunk.bytes, counted);
        if chunk.bytes >= MMAP_THRESHOLD {
            large_chunks += u64::from(chunk.kind == Kind::InUse);
            large_free += if chunk.kind == Kind::Free { counted.resident } else { 0 };
        }
        match chunk.kind {
            // What the program has of a chunk reaches into the first word of the next.
            Kind::InUse => match owners.of(chunk.user(), end + 8) {
                Some(owner) => walked.objects.add(owner.type_index, chunk.bytes, counted),
                None => walked.others.add(chunk.bytes, counted),
            },
            Kind::Free => walked.free.add(chunk.bytes, counted),
            Kind::Fast | Kind::Cached => walked.cached.add(chunk.bytes, counted),
            Kind::Top => walked.top.add(chunk.bytes, counted),
            Kind::Fencepost => walked.overhead.add(chunk.bytes, counted),
        }
    });
    for gap in gaps {
        if let Some(at) = gap.at {
            let counted = counter.count(at, at + gap.bytes);
            walked.lost.add(gap.bytes, counted);
            in_chunks.add(gap.bytes, counted);
        }
    }
    // What is left are the heads of heaps and of the arena itself.
    walked.overhead.bytes += whole.bytes.saturating_sub(in_chunks.bytes);
    walked.overhead.counted.resident += whole.counted.resident.saturating_sub(in_chunks.counted.resident);
    walked.overhead.counted.shared += whole.counted.shared.saturating_sub(in_chunks.counted.shared);
    walked.overhead.counted.huge += whole.counted.huge.saturating_sub(in_chunks.counted.huge);
    let free = walked.free.counted.resident + walked.cached.counted.resident + walked.top.counted.resident;
    walked.told = MallocArena {
        address: arena.at.0,
        system_bytes: arena.system_mem,
        free_chunks: sums.ordblks,
        free_bytes: sums.fordblks,
        fast_chunks: sums.smblks,
        fast_bytes: sums.fsmblks,
        top_bytes: arena.top_bytes,
        threads: Some(arena.attached_threads),
        resident_bytes: whole.counted.resident,
        free_resident_bytes: free,
        top_resident_bytes: walked.top.counted.resident,
        large_free_bytes: large_free,
        large_chunks,
        ..MallocArena::default()
    };
    walked
}

/// Whole pages in memory that `malloc_trim(0)` would give back, by arena.
fn trimmable(malloc: &Malloc, image: &Image<'_>, residency: &Residency, ledger: &mut Ledger) {
    let mut counter = residency.counter();
    malloc.trimmable(image, |range| {
        let owner =
            malloc.arenas.iter().position(|arena| arena.heaps.iter().any(|heap| heap.start <= range.start && range.start < heap.end));
        if let Some(told) = owner.and_then(|i| ledger.malloc_arenas.get_mut(i)) {
            told.trimmable_bytes += counter.count(range.start, range.end).resident;
        }
    });
}

/// Chunks that have mappings of their own.
#[allow(clippy::too_many_arguments)]
fn mapped(
    malloc: &Malloc,
    image: &Image<'_>,
    residency: &Residency,
    pieces: &[Piece],
    claims: &mut Claims,
    shares: &mut Shares,
    objects: &mut ByType,
) {
    let (mut counter, mut pages) = (residency.counter(), residency.counter());
    let mut owners = Owners::new(pieces);
    let mut others = Sum::default();
    let is_anonymous = |m: &Mapping| m.inode == 0 && m.write && !m.shared && m.path.is_empty();
    for (m, sums) in residency.mappings.iter().filter(|(m, sums)| sums.rss > 0 && is_anonymous(m)) {
        for (start, end) in claims.free(m.start, m.end) {
            // A header in swap is in the copy too.
            let chunks = match sums.swap {
                0 => malloc.mapped_on(image, &(start..end), |at| pages.next(at)),
                _ => malloc.mapped(image, &(start..end)),
            };
            for chunk in chunks {
                claims.take(chunk.start, chunk.end());
                let counted = counter.count(chunk.start, chunk.end());
                match owners.of(chunk.user(), chunk.end()) {
                    Some(owner) => objects.add(owner.type_index, chunk.bytes, counted),
                    None => others.add(chunk.bytes, counted),
                }
            }
        }
    }
    shares.add(Part::MallocOther, "", &others);
}
