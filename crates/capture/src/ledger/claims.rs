//! What of the address space has its share already.

use memory::Addr;

/// Ranges that were given to a share.
#[derive(Default)]
pub(super) struct Claims(Vec<(Addr, Addr)>);

impl Claims {
    /// Takes `start..end`, as far as nobody has it; gives the parts that were free.
    pub(super) fn take(&mut self, start: Addr, end: Addr) -> Vec<(Addr, Addr)> {
        let free = self.free(start, end);
        for range in &free {
            let at = self.0.partition_point(|claim| claim.0 < range.0);
            self.0.insert(at, *range);
        }
        free
    }

    /// The parts of `start..end` that nobody has.
    pub(super) fn free(&self, start: Addr, end: Addr) -> Vec<(Addr, Addr)> {
        let mut free = Vec::new();
        let mut at = start;
        let first = self.0.partition_point(|claim| claim.1 <= start);
        for claim in self.0.get(first..).unwrap_or(&[]) {
            if claim.0 >= end {
                break;
            }
            if at < claim.0 {
                free.push((at, claim.0));
            }
            at = at.max(claim.1);
        }
        if at < end {
            free.push((at, end));
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_twice() {
        let mut claims = Claims::default();
        let range = |start, end| (Addr(start), Addr(end));
        assert_eq!(claims.take(Addr(10), Addr(20)), [range(10, 20)]);
        assert_eq!(claims.take(Addr(30), Addr(40)), [range(30, 40)]);
        assert_eq!(claims.take(Addr(15), Addr(35)), [range(20, 30)]);
        assert_eq!(claims.take(Addr(10), Addr(40)), []);
        assert_eq!(claims.free(Addr(0), Addr(50)), [range(0, 10), range(40, 50)]);
    }
}
