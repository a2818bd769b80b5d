//! The ledger: every byte in memory goes to one share.
//!
//! Holds: [`ledger`], which asks in turn what walks an allocator, knows a stack or a file, and gives each what is left of the
//! address space. Shares are counted by the kernel's pages: half a page of free memory is half a page in memory, not gained if it
//! is freed. Never does: rank, advise.

mod claims;
mod libraries;
mod malloc;
mod mappings;
mod mimalloc;
mod owners;
mod pymalloc;
mod stacks;

use memory::{Counted, Residency};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use snapshot::{Ledger, Part, Share};

use self::claims::Claims;
use crate::reach::Reached;
use crate::worker::Piece;

/// What a share has so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    count: u64,
    bytes: u64,
    counted: Counted,
}

impl Sum {
    fn add(&mut self, bytes: u64, counted: Counted) {
        self.count += 1;
        self.bytes += bytes;
        self.counted += counted;
    }

    fn merge(&mut self, other: &Sum) {
        self.count += other.count;
        self.bytes += other.bytes;
        self.counted += other.counted;
    }
}

/// All shares.
#[derive(Default)]
struct Shares(FxHashMap<(Part, String), Sum>);

impl Shares {
    fn add(&mut self, part: Part, name: &str, sum: &Sum) {
        if *sum != Sum::default() {
            self.0.entry((part, name.to_string())).or_default().merge(sum);
        }
    }

    fn sorted(self) -> Vec<Share> {
        let mut all: Vec<Share> = self
            .0
            .into_iter()
            .map(|((part, name), sum)| Share {
                part,
                name,
                count: sum.count,
                bytes: sum.bytes,
                resident_bytes: sum.counted.resident,
                shared_bytes: sum.counted.shared,
                huge_bytes: sum.counted.huge,
            })
            .collect();
        all.sort_by(|a, b| (a.part, b.resident_bytes, &a.name).cmp(&(b.part, a.resident_bytes, &b.name)));
        all
    }
}

/// Sums by the number of a type.
#[derive(Clone, Default)]
struct ByType(FxHashMap<u32, Sum>);

impl ByType {
    fn add(&mut self, type_index: u32, bytes: u64, counted: Counted) {
        self.0.entry(type_index).or_default().add(bytes, counted);
    }

    fn merge(&mut self, other: &ByType) {
        for (index, sum) in &other.0 {
            self.0.entry(*index).or_default().merge(sum);
        }
    }

    /// What all types have together.
    fn total(&self) -> Sum {
        let mut all = Sum::default();
        self.0.values().for_each(|sum| all.merge(sum));
        all
    }

    fn into_shares(self, part: Part, names: &FxHashMap<u32, String>, shares: &mut Shares) {
        for (index, sum) in self.0 {
            shares.add(part, names.get(&index).map_or("?", |name| name.as_str()), &sum);
        }
    }
}

/// What every walk reads.
#[derive(Clone, Copy)]
struct Asked<'a, 'w, 'm> {
    reached: &'a Reached<'w, 'm>,
    residency: &'a Residency,
    /// What objects have outside pymalloc's arenas, by address.
    pieces: &'a [Piece],
    /// Types by their numbers.
    names: &'a FxHashMap<u32, String>,
}

/// Makes the ledger of what was reached; before a second walk.
pub(crate) fn ledger(reached: &mut Reached<'_, '_>, residency: &Residency) -> Ledger {
    let mut pieces = std::mem::take(&mut reached.pieces);
    // With PYTHONMALLOC=malloc there are tens of millions.
    pieces.par_sort_unstable_by_key(|piece| (piece.at, piece.type_index));
    // A block that two objects own counts for one of them, and each time for the same.
    pieces.dedup_by_key(|piece| piece.at);
    let names: FxHashMap<u32, String> = reached.tally.iter().map(|(t, _)| (t.index, t.name.clone())).collect();
    let mut made = Ledger {
        rss_bytes: residency.rss(),
        statm_bytes: residency.statm_bytes,
        swap_bytes: residency.mappings.iter().map(|(_, sums)| sums.swap).sum(),
        huge_bytes: residency.mappings.iter().map(|(_, sums)| sums.huge).sum(),
        ..Ledger::default()
    };
    let mut shares = Shares::default();
    let mut claims = Claims::default();
    let asked = Asked { reached, residency, pieces: &pieces, names: &names };
    pymalloc::walk(reached, residency, &mut claims, &mut shares, &mut made);
    malloc::walk(asked, &mut claims, &mut shares, &mut made);
    mimalloc::walk(asked, &mut claims, &mut shares, &mut made);
    stacks::find(reached, residency, &mut claims, &mut shares);
    mappings::rest(asked, &mut claims, &mut shares);
    made.shares = shares.sorted();
    made
}
