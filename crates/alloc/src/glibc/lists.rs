//! An arena's free lists: 127 bins, doubly linked, and where it has them ten fastbins, singly linked.
//!
//! Holds: [`Lists`], [`Linking`]. Never does: follow a list beyond a link that does not lead back, or round and round.
//! Sources: `bin_at`, `unlink_chunk`, `fastbin`, `REVEAL_PTR` in `malloc/malloc.c`: since 2.32 a link of a singly linked list is stored
//! xored with its own address shifted by 12 (safe-linking).

use memory::{Addr, Image, Memory};

use super::arena::Arena;
use super::shape::{Shape, BINS, FASTBINS};

/// So many chunks of a list tell how it is linked: a wrong reading breaks off at the second.
const SAMPLE: usize = 16;

/// How singly linked lists store their links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Linking {
    /// Xored with the address of the link shifted by 12.
    Protected,
    /// As they are.
    Plain,
}

impl Linking {
    /// Which one fits the arenas' fastbins; none where all are empty.
    pub(super) fn decide(image: &Image<'_>, shape: Shape, arenas: &[Arena]) -> Option<Linking> {
        let count = |linking| {
            let lists = arenas.iter().map(|arena| fastbins(image, shape, arena, linking, SAMPLE));
            lists.fold((0, 0), |(chunks, broken), (fast, more)| (chunks + fast.len(), broken + more))
        };
        let (protected, plain) = (count(Linking::Protected), count(Linking::Plain));
        match (protected.0, plain.0) {
            (0, 0) => None,
            _ if plain.1 < protected.1 => Some(Linking::Plain),
            _ => Some(Linking::Protected),
        }
    }

    /// Where the link that is stored at `at` leads.
    pub(super) fn next(self, image: &Image<'_>, at: Addr) -> Option<u64> {
        let stored = image.u64(at).ok()?;
        Some(match self {
            Linking::Protected => stored ^ (at.0 >> 12),
            Linking::Plain => stored,
        })
    }
}

/// What is free, by the lists.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    /// Address and size of the chunks in bins, in no order.
    pub(super) binned: Vec<(u64, u64)>,
    /// Address and size of the chunks in fastbins.
    pub(super) fast: Vec<(u64, u64)>,
    /// Sum of the flag bits in the sizes of chunks in bins: `malloc_info` adds them.
    pub(super) flag_bits: u64,
    /// Lists that broke off.
    pub(super) broken: u32,
}

impl Lists {
    /// Reads the lists of an arena whose heaps are known.
    pub(super) fn read(image: &Image<'_>, shape: Shape, arena: &Arena, linking: Linking) -> Lists {
        let mut lists = Lists::default();
        (lists.fast, lists.broken) = fastbins(image, shape, arena, linking, usize::MAX);
        for bin in 0..BINS {
            lists.read_bin(image, arena, arena.at + (shape.bins() - 16) + bin * 16);
        }
        lists
    }

    /// Reads the list whose head stands as if it were the chunk at `head`. No chunk can come twice: it would have to lead back to two.
    fn read_bin(&mut self, image: &Image<'_>, arena: &Arena, head: Addr) {
        let mut before = head;
        let Ok(mut at) = image.addr(head + 16) else { return };
        while at != head {
            // An empty list of an arena that was never used has no links at all.
            if at.0 == 0 && before == head {
                return;
            }
            let (Ok(header), Ok(next), Ok(back)) = (image.u64(at + 8), image.addr(at + 16), image.addr(at + 24)) else {
                self.broken += 1;
                return;
            };
            let size = header & !7;
            if back != before || at.0 % 16 != 0 || size < 32 || size % 16 != 0 || size > arena.room(at.0) {
                self.broken += 1;
                return;
            }
            self.binned.push((at.0, size));
            self.flag_bits += header & 7;
            before = at;
            at = next;
        }
    }
}

/// The chunks in an arena's fastbins, at most so many of each, and how many lists broke off before.
fn fastbins(image: &Image<'_>, shape: Shape, arena: &Arena, linking: Linking, most: usize) -> (Vec<(u64, u64)>, u32) {
    let (mut found, mut broken) = (Vec::new(), 0);
    let Some(heads) = shape.fastbins() else { return (found, 0) };
    for bin in 0..FASTBINS {
        let size = 32 + bin * 16;
        let fits = |at: u64| at % 16 == 0 && arena.holds(at) && image.u64(Addr(at) + 8).is_ok_and(|header| header & !7 == size);
        let Ok(head) = image.u64(arena.at + heads + bin * 8) else { continue };
        let before = found.len();
        let whole = follow(head, most, |at| fits(at).then(|| linking.next(image, Addr(at) + 16)).flatten(), |at| found.push((at, size)));
        broken += u32::from(!whole && found.len() - before < most);
    }
    (found, broken)
}

/// Follows a singly linked list from `head` until it ends; says whether it ended as it should: in null, after at most `most` entries and
/// without a loop. `next` gives nothing for an entry that cannot be right.
pub(super) fn follow(head: u64, most: usize, next: impl Fn(u64) -> Option<u64>, mut each: impl FnMut(u64)) -> bool {
    // Brent's search for a loop: an entry is kept and compared with all that follow, for twice as long each time.
    let (mut at, mut kept, mut count, mut until) = (head, 0, 0, 1);
    while at != 0 {
        let Some(after) = next(at) else { return false };
        if at == kept || count >= most {
            return false;
        }
        each(at);
        count += 1;
        if count == until {
            (kept, until) = (at, until * 2);
        }
        at = after;
    }
    true
}
