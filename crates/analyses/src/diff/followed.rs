//! Objects followed through looks: which of the last one were in the first, where they were new, and which were replaced in between.
//!
//! Holds: [`Followed`]. Never: counts bytes. The marks and their sources are told at `diff`.

use std::borrow::Cow;

use memory::Addr;
use rustc_hash::FxHashMap;
use snapshot::{Collector, Details};

use super::marks::{Marks, DICT};
use super::{Look, Read};

/// Types whose length never changes.
const IMMUTABLE: [&str; 4] = ["str", "bytes", "tuple", "frozenset"];

/// The objects of the last look, followed back through all of them.
pub(super) struct Followed {
    /// For each object of the last look its row in each earlier look that has it, from the look where it was new on.
    pub(super) born: Vec<u32>,
    /// Its row in the first look, where it was there.
    pub(super) first: Vec<u32>,
    /// Whether in some step nothing told it from another.
    pub(super) unsure: Vec<bool>,
    pub(super) replaced: u64,
    pub(super) fingerprints: bool,
}

/// No row.
const NOWHERE: u32 = u32::MAX;

impl Followed {
    pub(super) fn through(looks: &[Look], read: &[Cow<'_, Read>]) -> Option<Followed> {
        let mut fingerprints = true;
        let mut replaced = 0;
        let count = looks.first()?.snapshot.objects.as_ref()?.len();
        let mut born = vec![0u32; count];
        let mut first: Vec<u32> = (0..count as u32).collect();
        let mut unsure = vec![false; count];
        for (step, (pair, read)) in looks.windows(2).zip(read.windows(2)).enumerate() {
            let ([a, b], [marks_a, marks_b]) = (pair, read) else { continue };
            let pair = Pair::of(a, b, [&marks_a.marks, &marks_b.marks]);
            fingerprints &= pair.same_key;
            let (ours, theirs) = (b.snapshot.objects.as_ref()?, a.snapshot.objects.as_ref()?);
            let (mut next_born, mut next_first) = (vec![step as u32 + 1; ours.len()], vec![NOWHERE; ours.len()]);
            let mut next_unsure = vec![false; ours.len()];
            for (before, now) in same_addresses(theirs.addresses(), ours.addresses()) {
                let sameness = pair.same(before, now);
                match sameness {
                    Sameness::Same | Sameness::Unsure => {
                        if let (Some(to), Some(from)) = (next_unsure.get_mut(now), unsure.get(before)) {
                            *to = *from || sameness == Sameness::Unsure;
                        }
                        let slots = (next_born.get_mut(now), next_first.get_mut(now), born.get(before), first.get(before));
                        if let (Some(to_born), Some(to_first), Some(from_born), Some(from_first)) = slots {
                            (*to_born, *to_first) = (*from_born, *from_first);
                        }
                    }
                    Sameness::Replaced => replaced += 1,
                    Sameness::OtherType => {}
                }
            }
            (born, first, unsure) = (next_born, next_first, next_unsure);
        }
        Some(Followed { born, first, unsure, replaced, fingerprints })
    }

    /// Instances that survived from the first look on, and may be others.
    pub(super) fn unsure(&self) -> u64 {
        self.born.iter().zip(&self.unsure).filter(|(born, unsure)| **born == 0 && **unsure).count() as u64
    }

    pub(super) fn first_row(&self, node: u32) -> Option<u32> {
        self.first.get(node as usize).copied().filter(|row| *row != NOWHERE)
    }
}

/// The rows that stand at the same address in both; both are sorted by address.
fn same_addresses<'a>(a: &'a [Addr], b: &'a [Addr]) -> impl Iterator<Item = (usize, usize)> + 'a {
    let mut i = 0;
    b.iter().enumerate().filter_map(move |(j, address)| {
        while a.get(i).is_some_and(|before| before < address) {
            i += 1;
        }
        (a.get(i) == Some(address)).then_some((i, j))
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sameness {
    Same,
    /// Taken for the same, as nothing says otherwise.
    Unsure,
    Replaced,
    OtherType,
}

/// Two looks that follow each other, with what is asked for each object found once.
struct Pair<'l> {
    a: &'l Look,
    b: &'l Look,
    marks: [&'l Marks; 2],
    same_key: bool,
    /// For each row of types of the first look the row of the same type in the second.
    types: Vec<Option<u32>>,
    /// For each row of types of the second look whether its instances never change in length.
    immutable: Vec<bool>,
    /// And whether the collector may take them off its lists and put them on again.
    untracked: Vec<bool>,
}

impl<'l> Pair<'l> {
    fn of(a: &'l Look, b: &'l Look, marks: [&'l Marks; 2]) -> Pair<'l> {
        let rows: FxHashMap<(Addr, &str), u32> =
            b.snapshot.types.iter().enumerate().map(|(row, t)| ((t.address, t.name.as_str()), row as u32)).collect();
        let types = a.snapshot.types.iter().map(|t| rows.get(&(t.address, t.name.as_str())).copied()).collect();
        let immutable = b.snapshot.types.iter().map(|t| IMMUTABLE.contains(&t.name.as_str())).collect();
        let untracked = b.snapshot.types.iter().map(|t| matches!(t.name.as_str(), "dict" | "tuple")).collect();
        Pair { a, b, marks, untracked, same_key: a.key.is_some() && a.key == b.key, types, immutable }
    }

    fn same(&self, before: usize, now: usize) -> Sameness {
        let kind = |look: &Look, row: usize| look.snapshot.objects.as_ref()?.type_indices().get(row).copied();
        let new = kind(self.b, now);
        let old = kind(self.a, before).and_then(|row| self.types.get(row as usize).copied().flatten());
        if old.is_none() || old != new {
            return Sameness::OtherType;
        }
        let print = |look: &Look, row: usize| look.fingerprints.get(row).copied().flatten();
        if self.same_key && matches!((print(self.a, before), print(self.b, now)), (Some(x), Some(y)) if x != y) {
            return Sameness::Replaced;
        }
        let length = |look: &Look, row: usize| look.lengths.get(row).copied().unwrap_or(Details::NO_LENGTH);
        let is_immutable = new.is_some_and(|row| self.immutable.get(row as usize) == Some(&true));
        if is_immutable && length(self.a, before) != length(self.b, now) {
            return Sameness::Replaced;
        }
        let collector = |look: &Look, row: usize| look.snapshot.objects.as_ref()?.states().get(row).map(|state| state.collector());
        let old_enough = matches!(collector(self.a, before), Some(Collector::Generation1 | Collector::Generation2));
        let may_be_young_again = new.is_some_and(|row| self.untracked.get(row as usize) == Some(&true));
        if old_enough && collector(self.b, now) == Some(Collector::Generation0) && !may_be_young_again {
            return Sameness::Replaced;
        }
        self.by_marks(before, now)
    }

    /// What the attributes of an instance say.
    fn by_marks(&self, before: usize, now: usize) -> Sameness {
        let [old, new] = [self.marks[0].at(before), self.marks[1].at(now)];
        let is_class = |row: usize| -> Option<bool> {
            let kind = *self.b.snapshot.objects.as_ref()?.type_indices().get(row)?;
            Some(self.b.snapshot.types.get(kind as usize)?.name.contains('.'))
        };
        let print = |look: &Look, row: u32| look.fingerprints.get(row as usize).copied().flatten();
        let (mut compared, mut same, mut sure) = (0, 0, false);
        for mark in new {
            let Some(was) = old.iter().find(|was| was.name == mark.name) else { continue };
            let prints = (print(self.a, was.row).filter(|_| self.same_key), print(self.b, mark.row));
            let differ = was.target != mark.target || matches!(prints, (Some(x), Some(y)) if x != y);
            if mark.name == DICT {
                if differ {
                    return Sameness::Replaced;
                }
                continue;
            }
            compared += 1;
            same += usize::from(!differ);
            // What it shares with others proves nothing; nor does a place alone, which its next owner gets as easily.
            sure |= !differ && mark.alone && was.alone && matches!(prints, (Some(_), Some(_)));
        }
        match (compared, same) {
            (2.., 0) => Sameness::Replaced,
            _ if sure || is_class(now) != Some(true) => Sameness::Same,
            _ => Sameness::Unsure,
        }
    }
}
