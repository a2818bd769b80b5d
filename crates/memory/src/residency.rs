//! What of a process was in memory at the stop: the kernel's sums of each mapping, and its pages as runs.
//!
//! Holds: [`Residency`] and its parts. Never does: read them (that is `target`), say whose they are (that is `capture`).
//! Sources: proc_pid_smaps(5); Documentation/admin-guide/mm/pagemap.rst.

use crate::{Addr, Mapping};

/// What the kernel says of one mapping, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// In memory.
    pub rss: u64,
    /// Of that, each page divided by how many processes map it.
    pub pss: u64,
    /// Of `rss`, mapped by other processes too.
    pub shared: u64,
    /// Of `rss`, what belongs to no file: written, or never a file's.
    pub anonymous: u64,
    /// Of `anonymous`, in huge pages.
    pub huge: u64,
    /// Not in memory but in swap.
    pub swap: u64,
}

/// Pages that lie one behind the other and are alike; all are in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first byte.
    pub start: Addr,
    /// Behind the last byte.
    pub end: Addr,
    /// Of a file, or of shared memory.
    pub file: bool,
    /// Mapped by this process alone.
    pub exclusive: bool,
    /// Part of a huge page.
    pub huge: bool,
}

/// Bytes in memory of a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// All.
    pub resident: u64,
    /// Of those, in pages that other processes map too.
    pub shared: u64,
    /// Of all, in huge pages.
    pub huge: u64,
}

impl std::ops::AddAssign for Counted {
    fn add_assign(&mut self, other: Counted) {
        self.resident += other.resident;
        self.shared += other.shared;
        self.huge += other.huge;
    }
}

/// What was in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Residency {
    /// Every mapping with the kernel's sums, by address.
    pub mappings: Vec<(Mapping, Sums)>,
    /// Every page in memory, by address, without overlap.
    pub runs: Vec<Run>,
    /// What `statm` said: since Linux 6.2 an estimate.
    pub statm_bytes: Option<u64>,
    /// Each thread.
    pub threads: Vec<ThreadStack>,
}

/// A thread as the kernel knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadStack {
    /// The kernel's number of it.
    pub tid: i32,
    /// Its short name.
    pub name: String,
    /// Where its stack was, unless the kernel did not tell: a running thread has none.
    pub pointer: Option<Addr>,
}

impl Residency {
    /// Resident set size: the sum over all mappings.
    pub fn rss(&self) -> u64 {
        self.mappings.iter().map(|(_, sums)| sums.rss).sum()
    }

    /// A way to count ranges. Ranges that follow each other are found without a search.
    pub fn counter(&self) -> Counter<'_> {
        Counter { runs: &self.runs, at: 0 }
    }
}

/// Counts what of a range is in memory.
#[derive(Clone, Debug)]
pub struct Counter<'r> {
    runs: &'r [Run],
    /// The first run that ends behind the start of the range before.
    at: usize,
}

impl Counter<'_> {
    /// The first byte in memory at or behind `at`.
    pub fn next(&mut self, at: Addr) -> Option<Addr> {
        self.seek(at);
        self.runs.get(self.at).map(|run| run.start.max(at))
    }

    /// The parts of `start..end` that are in memory, where runs that touch are one.
    pub fn parts(&mut self, start: Addr, end: Addr) -> Vec<(Addr, Addr)> {
        self.seek(start);
        let mut parts: Vec<(Addr, Addr)> = Vec::new();
        for run in self.runs.get(self.at..).unwrap_or(&[]).iter().take_while(|run| run.start < end) {
            let (from, to) = (run.start.max(start), run.end.min(end));
            match parts.last_mut().filter(|last| last.1 == from) {
                Some(last) => last.1 = to,
                None => parts.push((from, to)),
            }
        }
        parts
    }

    #[inline]
    fn seek(&mut self, start: Addr) {
        if !self.runs.get(self.at).is_some_and(|run| run.start <= start && start < run.end) {
            self.at = self.runs.partition_point(|run| run.end <= start);
        }
    }

    /// Bytes in memory of `start..end`.
    #[inline]
    pub fn count(&mut self, start: Addr, end: Addr) -> Counted {
        self.seek(start);
        let mut all = Counted::default();
        for run in self.runs.get(self.at..).unwrap_or(&[]) {
            if run.start >= end {
                break;
            }
            let bytes = run.end.min(end).0.saturating_sub(run.start.max(start).0);
            all.resident += bytes;
            all.shared += if run.exclusive { 0 } else { bytes };
            all.huge += if run.huge { bytes } else { 0 };
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_counts_what_of_it_is_in_memory() {
        let run = |start, end, exclusive| Run { start: Addr(start), end: Addr(end), file: false, exclusive, huge: false };
        let residency = Residency {
            runs: vec![run(0x1000, 0x3000, true), run(0x3000, 0x4000, false), run(0x8000, 0x9000, true)],
            ..Residency::default()
        };
        let mut counter = residency.counter();
        let mut count = |start, end| {
            let counted = counter.count(Addr(start), Addr(end));
            (counted.resident, counted.shared)
        };
        assert_eq!(count(0x1000, 0x1010), (0x10, 0));
        assert_eq!(count(0x2ff0, 0x3010), (0x20, 0x10));
        assert_eq!(count(0, 0x10_0000), (0x4000, 0x1000));
        assert_eq!(count(0x4000, 0x8000), (0, 0));
        assert_eq!(count(0x3ff8, 0x8008), (0x10, 8));
        assert_eq!(count(0x9000, 0x9100), (0, 0));
        assert_eq!(count(0x1800, 0x1900), (0x100, 0), "back again");
        let range = |start, end| (Addr(start), Addr(end));
        assert_eq!(counter.parts(Addr(0x1800), Addr(0x8800)), [range(0x1800, 0x4000), range(0x8000, 0x8800)]);
        assert_eq!(counter.parts(Addr(0x4000), Addr(0x8000)), []);
        let next = [0, 0x1800, 0x4000, 0x9000].map(|at| counter.next(Addr(at)));
        assert_eq!(next, [Some(Addr(0x1000)), Some(Addr(0x1800)), Some(Addr(0x8000)), None]);
    }
}
