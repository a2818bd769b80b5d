//! The number of each object: its place among all addresses. And the objects in that order, cut into chunks.

use std::ops::Range;
use std::sync::atomic::Ordering;

use memory::Addr;
use rustc_hash::FxHashMap;

use crate::arenas::ArenaMap;
use crate::reach::Reached;

/// Objects in a chunk, about, of which a row group of the file is made. Few, so that a chunk for each thread takes little memory.
pub(crate) const ROW_GROUP: usize = 1 << 18;
/// Objects in a chunk, about, that is kept as it is: its references take 16 bytes each until they are joined with the others.
pub(crate) const KEPT: usize = 1 << 14;
/// Bytes of an arena for which a word has a bit for each place where an object can stand.
const WORD_BYTES: u64 = 1024;

/// Objects of one arena or of a part of those outside the arenas, in the order of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// An arena, by its place among all.
    Arena(usize),
    /// Some of [`Ids::outside`].
    Outside(Range<usize>),
}

/// Consecutive objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// The number of the first.
    pub(crate) first: u32,
    pub(crate) pieces: Vec<Piece>,
}

/// Numbers by address.
pub(crate) struct Ids<'w, 'm> {
    arenas: &'w ArenaMap<'m>,
    /// For each KiB of the arenas, one after the other: where objects stand, and the number of the first that does.
    words: Vec<(u64, u32)>,
    per_arena: usize,
    numbers_outside: FxHashMap<Addr, u32>,
    /// Those outside the arenas, by address.
    pub(crate) outside: Vec<Addr>,
    pub(crate) chunks: Vec<Chunk>,
    objects: u32,
}

impl<'w, 'm> Ids<'w, 'm> {
    /// Numbers all objects that were found, and cuts chunks of about so many.
    pub(crate) fn new(reached: &Reached<'w, 'm>, chunk_objects: usize) -> Ids<'w, 'm> {
        let arenas = &reached.world().arenas;
        let mut outside = reached.outside.objects.clone();
        outside.sort_unstable();
        outside.dedup();
        let per_arena = (arenas.geometry.arena_bytes / WORD_BYTES) as usize;
        let mut ids = Ids {
            arenas,
            words: Vec::with_capacity(per_arena * arenas.all.len()),
            per_arena,
            numbers_outside: FxHashMap::with_capacity_and_hasher(outside.len(), Default::default()),
            outside,
            chunks: Vec::new(),
            objects: 0,
        };
        let mut cutter = Cutter { most: chunk_objects, ..Cutter::default() };
        let mut from = 0;
        for (i, a) in arenas.all.iter().enumerate() {
            let to = ids.outside.partition_point(|at| *at < a.start);
            ids.add_outside(from..to, &mut cutter);
            from = to.max(from);
            let first = cutter.next;
            cutter.begin();
            for word in reached.shared.done.arena(i) {
                let bits = word.load(Ordering::Relaxed);
                ids.words.push((bits, cutter.next));
                cutter.next = cutter.next.saturating_add(bits.count_ones());
            }
            if cutter.next > first {
                cutter.chunk.pieces.push(Piece::Arena(i));
            }
        }
        ids.add_outside(from..ids.outside.len(), &mut cutter);
        cutter.cut();
        ids.objects = cutter.next;
        ids.chunks = cutter.chunks;
        ids
    }

    fn add_outside(&mut self, range: Range<usize>, cutter: &mut Cutter) {
        for start in range.clone().step_by(cutter.most) {
            let some = start..(start + cutter.most).min(range.end);
            cutter.begin();
            for at in self.outside.get(some.clone()).unwrap_or_default() {
                self.numbers_outside.insert(*at, cutter.next);
                cutter.next = cutter.next.saturating_add(1);
            }
            cutter.chunk.pieces.push(Piece::Outside(some));
        }
    }

    /// How many objects there are.
    pub(crate) fn len(&self) -> usize {
        self.objects as usize
    }

    /// The number of the object at `at`, if one stands there.
    #[inline]
    pub(crate) fn of(&self, at: Addr) -> Option<u32> {
        let Some(arena) = self.arenas.of(at) else { return self.numbers_outside.get(&at).copied() };
        let offset = at.0 - self.arenas.all.get(arena)?.start.0;
        if offset % 16 != 0 {
            return None;
        }
        let &(bits, before) = self.words.get(arena * self.per_arena + (offset / WORD_BYTES) as usize)?;
        let bit = offset / 16 % 64;
        (bits >> bit & 1 == 1).then(|| before + (bits & ((1 << bit) - 1)).count_ones())
    }

    /// Where the objects of an arena stand: offsets from its start.
    pub(crate) fn offsets(&self, arena: usize) -> impl Iterator<Item = u64> + '_ {
        let words = self.words.get(arena * self.per_arena..(arena + 1) * self.per_arena).unwrap_or_default();
        words.iter().enumerate().flat_map(|(i, (bits, _))| {
            let mut bits = *bits;
            std::iter::from_fn(move || {
                (bits != 0).then(|| {
                    let at = i as u64 * WORD_BYTES + u64::from(bits.trailing_zeros()) * 16;
                    bits &= bits - 1;
                    at
                })
            })
        })
    }
}

/// Cuts chunks while pieces come.
#[derive(Default)]
struct Cutter {
    /// Objects in a chunk, about.
    most: usize,
    /// The number of the next object.
    next: u32,
    chunk: Chunk,
    chunks: Vec<Chunk>,
}

impl Cutter {
    /// Before a piece.
    fn begin(&mut self) {
        if (self.next - self.chunk.first) as usize >= self.most {
            self.cut();
        }
        if self.chunk.pieces.is_empty() {
            self.chunk.first = self.next;
        }
    }

    fn cut(&mut self) {
        let chunk = std::mem::take(&mut self.chunk);
        if !chunk.pieces.is_empty() {
            self.chunks.push(chunk);
        }
        self.chunk.first = self.next;
    }
}
