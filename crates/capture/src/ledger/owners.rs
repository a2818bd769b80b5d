//! Which object owns a block: pieces and blocks, both by address.

use memory::Addr;

use crate::worker::Piece;

/// Finds the owner of one block after the other.
pub(super) struct Owners<'p> {
    pieces: &'p [Piece],
    next: usize,
}

impl<'p> Owners<'p> {
    /// Of sorted pieces.
    pub(super) fn new(pieces: &'p [Piece]) -> Self {
        Owners { pieces, next: 0 }
    }

    /// The first piece in a range. Ranges that follow each other need no search.
    pub(super) fn of(&mut self, start: Addr, end: Addr) -> Option<&Piece> {
        let before = self.next.checked_sub(1).and_then(|i| self.pieces.get(i));
        if before.is_some_and(|piece| piece.at >= start) {
            self.next = self.pieces.partition_point(|piece| piece.at < start);
        }
        // Mostly none or one; after a jump a search is shorter.
        let mut steps = 0;
        while self.pieces.get(self.next).is_some_and(|piece| piece.at < start) {
            self.next += 1;
            steps += 1;
            if steps > 64 {
                self.next = self.pieces.partition_point(|piece| piece.at < start);
            }
        }
        self.pieces.get(self.next).filter(|piece| piece.at < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_piece_in_a_block_owns_it() {
        let pieces: Vec<Piece> = [0x10, 0x50, 0x58, 0x1000].map(|at| Piece { at: Addr(at), bytes: 8, type_index: at as u32 }).to_vec();
        let mut owners = Owners::new(&pieces);
        let mut of = |start, end| owners.of(Addr(start), Addr(end)).map(|piece| piece.type_index);
        assert_eq!(of(0x10, 0x20), Some(0x10));
        assert_eq!(of(0x20, 0x50), None);
        assert_eq!(of(0x40, 0x80), Some(0x50));
        assert_eq!(of(0xff0, 0x2000), Some(0x1000));
        assert_eq!(of(0x2000, 0x3000), None);
        assert_eq!(of(0x10, 0x20), Some(0x10), "back again");
    }
}
