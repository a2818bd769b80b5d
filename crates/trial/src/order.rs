//! In which order variants are run: shuffled anew in each round, the same for the same seed.
//!
//! Holds: [`Order`]. Never does: choose a seed.
//! Sources: splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014); Fisher and Yates's shuffle.

/// Orders, one after the other.
#[derive(Clone, Debug)]
pub struct Order(u64);

impl Order {
    /// The orders of this seed.
    pub fn new(seed: u32) -> Order {
        Order(seed.into())
    }

    /// The numbers from 0 to `count` - 1, each order as likely as any other.
    pub fn next_of(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            // The excess of the low remainders is below count / 2^64.
            let chosen = (self.number() % (last as u64 + 1)) as usize;
            order.swap(last, chosen);
        }
        order
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn each_order_is_as_likely_as_any_other_and_a_seed_repeats_them() {
        let mut order = Order::new(1);
        let mut seen = BTreeMap::new();
        for _ in 0..6000 {
            *seen.entry(order.next_of(3)).or_insert(0) += 1;
        }
        assert!(seen.len() == 6 && seen.values().all(|n| (850..1150).contains(n)), "{seen:?}");
        let (mut a, mut b, mut c) = (Order::new(7), Order::new(7), Order::new(8));
        let (a, b, c): (Vec<_>, Vec<_>, Vec<_>) =
            ((0..9).map(|_| a.next_of(5)).collect(), (0..9).map(|_| b.next_of(5)).collect(), (0..9).map(|_| c.next_of(5)).collect());
        assert!(a == b && a != c);
        assert_eq!(Order::new(3).next_of(0), Vec::<usize>::new());
    }
}
