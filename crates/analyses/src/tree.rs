//! `ledger --tree`: what forked processes share, and what would have kept more of it shared.

use memory::Bytes;
use snapshot::Forked;

use crate::ledger::{Advice, HeldBy};

/// Nothing smaller is worth a setting.
const WORTH_LEAST: u64 = 1 << 20;

/// What would have kept memory shared, the most first.
pub fn advice<'f>(forked: impl Iterator<Item = &'f Forked>) -> Vec<Advice> {
    let (mut gain, mut workers) = (0, 0);
    for one in forked {
        gain += one.freeze_bytes;
        workers += 1;
    }
    let freeze = Advice {
        held_by: HeldBy::Forks,
        setting: "gc.freeze() before the fork".into(),
        why: format!("collections in {workers} forked processes wrote to the headers of objects that nothing else wrote to"),
        gain_bytes: Bytes(gain),
        known: "estimated",
    };
    if gain < WORTH_LEAST {
        Vec::new()
    } else {
        vec![freeze]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_given_where_it_is_worth_it() {
        let one = |freeze_bytes| Forked { freeze_bytes, ..Forked::default() };
        assert_eq!(advice([one(1 << 19)].iter()), []);
        let all = [one(3 << 20), one(2 << 20)];
        let made = advice(all.iter());
        assert_eq!(made.first().map(|a| a.gain_bytes), Some(Bytes(5 << 20)));
    }
}
