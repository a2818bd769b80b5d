//! The copy: room made before the stop, filled in the stop, read after it.
//!
//! Holds: [`Copy`]: islands of our address space, the pieces copied into them, what could not be read.
//! Never does: stop or let go the target (that is `guardian`); it only reads.
//! Why it is fast: pages get their memory before the stop (an untouched buffer costs a fault a page: 0.3 GB/s), in huge
//! pages where the target is dense; in the stop each worker asks the pagemap for a stretch and copies it, both threads at once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use memory::{Addr, Bytes, Image, Mapping, Memory, Segment};

use crate::error::TargetError;
use crate::pagemap::{Pagemap, Want, PAGE};
use crate::plan::{Piece, Plan};
use crate::process::Process;
use crate::sys::bulk::{read_file, read_runs};
use crate::sys::island::{Island, HUGE};

/// Workers share the target in stretches of this size.
const STRETCH: u64 = 8 << 20;
/// Workers, where there are as many cores. Two more than halve the pause of one (2.2 GiB on two cores: 0.65 s and 0.28 s).
const WORKERS_MAX: usize = 4;
/// Mappings at most this far apart share an island.
const ISLAND_GAP_MAX: u64 = 1 << 30;
/// Room below and above an island for what the target maps until the stop: mmap grows down, brk grows up.
const ISLAND_SLACK: u64 = 1 << 30;
/// A stretch with at least this share of its pages touched gets huge pages: 1/2.
const DENSE: u64 = 2;
/// Bytes copied to measure the speed of this machine and target.
const PROBE: u64 = 32 << 20;
/// Assumed where there is too little to measure: bytes in a second.
const SPEED_DEFAULT: f64 = 3e9;

/// A copy in the making, then complete.
#[derive(Debug)]
pub(crate) struct Copy {
    /// Whom bytes come from: the target, or a forked copy of it.
    pid: i32,
    /// Its `/proc/PID/mem`.
    mem: File,
    islands: Vec<Island>,
    placed: Vec<Placed>,
    /// Opened until the copy is complete; `None` for those that cannot be.
    files: HashMap<(u64, String), Option<Arc<File>>>,
    unreadable: u64,
    copied: u64,
}

/// A piece and the island that holds it.
#[derive(Debug)]
struct Placed {
    piece: Piece,
    island: usize,
    /// The file that its untouched pages are read from, so that reading does not touch them in the target.
    file: Option<Arc<File>>,
    /// Its bytes are here, and stay as they are.
    done: bool,
    /// Pages that could not be read, and (where not all pages are wanted and the rest is not zero) those left out.
    holes: Vec<(u64, u64)>,
}

/// A part of a piece, for one worker.
struct Stretch {
    placed: usize,
    start: u64,
    end: u64,
}

impl Copy {
    /// Reserves room for `plan`, copies what cannot change, and counts what the stop will have to copy.
    pub(crate) fn prepare(process: &Process, plan: Plan) -> Result<(Copy, Bytes), TargetError> {
        let pid = process.pid();
        let mut copy = Copy::empty(pid)?;
        copy.reserve(&plan)?;
        for piece in &plan.pieces {
            copy.place(process, piece, &[])?;
        }
        let pagemap = copy.pagemap()?;
        let touched = AtomicU64::new(0);
        let stretches = copy.stretches(|p| !p.before);
        copy.work(&stretches, None, |placed, s| {
            let mut runs = Vec::new();
            pagemap.runs(s.start, s.end, placed.piece.want, &mut runs).map_err(|e| proc_error(pid, e))?;
            touched.fetch_add(total(&runs), Ordering::Relaxed);
            Ok(())
        })?;
        let before = copy.stretches(|p| p.before);
        copy.fill(&before, None)?;
        copy.placed.iter_mut().for_each(|p| p.done = p.piece.before);
        Ok((copy, Bytes(touched.into_inner())))
    }

    /// Copies a part of the target beside the copy, to learn how fast this goes. Returns bytes in a second.
    pub(crate) fn speed(&self, process: &Process, resident: Bytes) -> Result<f64, TargetError> {
        let Some(largest) = self.placed.iter().filter(|p| !p.piece.before).max_by_key(|p| p.piece.end - p.piece.start) else {
            return Ok(SPEED_DEFAULT);
        };
        if resident.0 < 4 * PROBE {
            return Ok(SPEED_DEFAULT);
        }
        let mut probe = Copy::empty(self.pid)?;
        probe.place(process, &largest.piece.front(PROBE), &[])?;
        probe.populate()?;
        let begun = Instant::now();
        let stretches = probe.stretches(|_| true);
        probe.fill(&stretches, None)?;
        let seconds = begun.elapsed().as_secs_f64();
        // Too little of it was touched: say nothing from a handful of pages.
        if probe.copied < PROBE / 4 || seconds <= 0.0 {
            return Ok(SPEED_DEFAULT);
        }
        Ok(probe.copied as f64 / seconds)
    }

    /// Gives memory to every page that the stop will copy.
    pub(crate) fn populate(&self) -> Result<(), TargetError> {
        let pagemap = self.pagemap()?;
        let pid = self.pid;
        let stretches = self.stretches(|p| !p.before);
        self.work(&stretches, None, |placed, s| {
            let Some(island) = self.islands.get(placed.island) else { return Ok(()) };
            let mut runs = Vec::new();
            pagemap.runs(s.start, s.end, placed.piece.want, &mut runs).map_err(|e| proc_error(pid, e))?;
            if total(&runs) * DENSE < s.end - s.start {
                for (start, end) in runs {
                    island.populate(start, end);
                }
                return Ok(());
            }
            island.prefer_huge(s.start, s.end);
            let mut done = s.start;
            for (start, end) in runs {
                let start = (start / HUGE * HUGE).max(done);
                let end = end.next_multiple_of(HUGE).min(s.end);
                if start < end {
                    island.populate(start, end);
                    done = end;
                }
            }
            Ok(())
        })
    }

    /// From now on bytes come from this forked copy of the target.
    pub(crate) fn read_from_fork(&mut self, pid: i32) -> Result<(), TargetError> {
        self.pid = pid;
        self.mem = open_mem(pid)?;
        Ok(())
    }

    /// Copies all that `plan` wants and that was not copied before. `deadline`: give up then.
    pub(crate) fn take(&mut self, process: &Process, plan: &Plan, deadline: Option<Instant>) -> Result<(), TargetError> {
        self.take_some(process, &plan.pieces, plan, deadline)?;
        self.placed.sort_by_key(|p| p.piece.start);
        // A target has hundreds of libraries; their descriptors are not needed any more.
        self.files.clear();
        self.placed.iter_mut().for_each(|p| p.file = None);
        Ok(())
    }

    /// Copies those of `pieces`, which are some of `plan`, that were not copied before.
    pub(crate) fn take_some(
        &mut self,
        process: &Process,
        pieces: &[Piece],
        plan: &Plan,
        deadline: Option<Instant>,
    ) -> Result<(), TargetError> {
        let stale: Vec<(u64, u64)> = std::mem::take(&mut self.placed)
            .into_iter()
            .filter(|p| p.done)
            .filter_map(|p| {
                let range = (p.piece.start, p.piece.end);
                // Still mapped: it stays as it is. Else its bytes lie where another mapping may be now.
                if plan.contains(&p.piece) {
                    self.placed.push(p);
                    return None;
                }
                Some(range)
            })
            .collect();
        let kept = self.placed.len();
        let done: HashSet<u64> = self.placed.iter().map(|p| p.piece.start).collect();
        for piece in pieces.iter().filter(|piece| !done.contains(&piece.start)) {
            self.place(process, piece, &stale)?;
        }
        let fresh: Vec<Stretch> = self.stretches_from(kept, |_| true);
        self.fill(&fresh, deadline)?;
        self.placed.iter_mut().for_each(|p| p.done = true);
        Ok(())
    }

    /// The copied bytes at their addresses. Mappings that touch are one segment.
    pub(crate) fn image(&self) -> Image<'_> {
        let mut ranges: Vec<(usize, u64, u64)> = Vec::new();
        for placed in &self.placed {
            let mut at = placed.piece.start;
            for &(start, end) in placed.holes.iter().chain([&(placed.piece.end, placed.piece.end)]) {
                if at < start {
                    match ranges.last_mut() {
                        Some(last) if last.0 == placed.island && last.2 == at => last.2 = start,
                        _ => ranges.push((placed.island, at, start)),
                    }
                }
                at = at.max(end);
            }
        }
        let segment = |&(island, start, end): &(usize, u64, u64)| {
            self.islands.get(island).map(|i| Segment { start: Addr(start), bytes: i.bytes(start, end) })
        };
        Image::new(ranges.iter().filter_map(segment).collect())
    }

    /// Bytes copied, before and in the stop.
    pub(crate) fn copied(&self) -> Bytes {
        Bytes(self.copied)
    }

    /// Bytes that the kernel would not let us read, or that were left out of a large mapped file.
    pub(crate) fn unreadable(&self) -> Bytes {
        Bytes(self.unreadable)
    }

    fn empty(pid: i32) -> Result<Copy, TargetError> {
        let (islands, placed) = (Vec::new(), Vec::new());
        Ok(Copy { pid, mem: open_mem(pid)?, islands, placed, files: HashMap::new(), unreadable: 0, copied: 0 })
    }

    /// One island for each group of mappings.
    fn reserve(&mut self, plan: &Plan) -> Result<(), TargetError> {
        let mut groups: Vec<(u64, u64)> = Vec::new();
        for piece in &plan.pieces {
            match groups.last_mut() {
                Some(last) if piece.start.saturating_sub(last.1) <= ISLAND_GAP_MAX => last.1 = piece.end,
                _ => groups.push((piece.start, piece.end)),
            }
        }
        for (start, end) in groups {
            let roomy = Island::reserve(start.saturating_sub(ISLAND_SLACK), end.saturating_add(ISLAND_SLACK));
            // Address space may be limited (ulimit -v): then without room to grow.
            let island = roomy.or_else(|_| Island::reserve(start, end)).map_err(|e| no_room(self.pid, e))?;
            self.islands.push(island);
        }
        Ok(())
    }

    /// Finds or makes the room for a piece. Nothing may lie in a `stale` range: other bytes were copied there.
    fn place(&mut self, process: &Process, piece: &Piece, stale: &[(u64, u64)]) -> Result<(), TargetError> {
        let (start, end) = (piece.start, piece.end);
        let clean = !stale.iter().any(|s| s.0 < end && start < s.1);
        let island = match self.islands.iter().position(|i| clean && i.covers(start, end)) {
            Some(i) => i,
            None => {
                self.islands.push(Island::reserve(start, end).map_err(|e| no_room(self.pid, e))?);
                self.islands.len() - 1
            }
        };
        if let Some(island) = self.islands.get(island) {
            // Rounded out, so that the ends can lie in huge pages too.
            let (from, to) = (start / HUGE * HUGE, end.next_multiple_of(HUGE));
            if !island.covers(from, to) || island.open(from, to).is_err() {
                island.open(start, end).map_err(|e| no_room(self.pid, e))?;
            }
        }
        let file = piece.file.as_ref().filter(|_| piece.want == Want::All).and_then(|m| self.file(process, m));
        self.placed.push(Placed { piece: piece.clone(), island, file, done: false, holes: Vec::new() });
        Ok(())
    }

    /// The file behind a mapping, opened once.
    fn file(&mut self, process: &Process, mapping: &Mapping) -> Option<Arc<File>> {
        let open = || process.open_mapped(mapping).ok().map(Arc::new);
        self.files.entry((mapping.inode, mapping.path.clone())).or_insert_with(open).clone()
    }

    fn stretches(&self, which: impl Fn(&Piece) -> bool) -> Vec<Stretch> {
        self.stretches_from(0, which)
    }

    fn stretches_from(&self, first: usize, which: impl Fn(&Piece) -> bool) -> Vec<Stretch> {
        let mut out = Vec::new();
        for (i, placed) in self.placed.iter().enumerate().skip(first) {
            if !which(&placed.piece) {
                continue;
            }
            let mut at = placed.piece.start;
            while at < placed.piece.end {
                let end = (at / STRETCH * STRETCH + STRETCH).min(placed.piece.end);
                out.push(Stretch { placed: i, start: at, end });
                at = end;
            }
        }
        out
    }

    /// Copies stretches, each by one worker.
    fn fill(&mut self, stretches: &[Stretch], deadline: Option<Instant>) -> Result<(), TargetError> {
        let pagemap = self.pagemap()?;
        let pid = self.pid;
        let copied = AtomicU64::new(0);
        let holes: Mutex<BTreeMap<usize, Vec<(u64, u64)>>> = Mutex::default();
        self.work(stretches, deadline, |placed, s| {
            let Some(island) = self.islands.get(placed.island) else { return Ok(()) };
            let mut runs = Vec::new();
            let mut bad = Vec::new();
            // Where the file is at hand only touched pages are read from the target: reading others would make them resident there.
            let want = if placed.file.is_some() { Want::Touched } else { placed.piece.want };
            pagemap.runs(s.start, s.end, want, &mut runs).map_err(|e| proc_error(pid, e))?;
            let mut got = read_runs(&self.mem, island, &runs, &mut bad).map_err(|e| proc_error(pid, e))?;
            if let (Some(file), Some(mapping)) = (&placed.file, &placed.piece.file) {
                for (start, end) in between(&runs, s.start, s.end) {
                    let offset = mapping.offset.saturating_add(start - placed.piece.start);
                    let read = read_file(file, offset, island, start, end);
                    got += read;
                    let whole = (start + read).next_multiple_of(PAGE);
                    if whole < end {
                        bad.push((whole, end));
                    }
                }
            }
            copied.fetch_add(got, Ordering::Relaxed);
            if placed.piece.want == Want::Written {
                bad.extend(between(&runs, s.start, s.end));
            }
            if !bad.is_empty() {
                holes.lock().unwrap_or_else(|e| e.into_inner()).entry(s.placed).or_default().extend(bad);
            }
            Ok(())
        })?;
        self.copied += copied.into_inner();
        for (placed, mut bad) in holes.into_inner().unwrap_or_else(|e| e.into_inner()) {
            bad.sort_unstable();
            self.unreadable += total(&bad);
            if let Some(placed) = self.placed.get_mut(placed) {
                placed.holes = bad;
            }
        }
        Ok(())
    }

    /// Runs `job` on every stretch, on as many threads as the machine has; the first error ends it.
    fn work(
        &self,
        stretches: &[Stretch],
        deadline: Option<Instant>,
        job: impl Fn(&Placed, &Stretch) -> Result<(), TargetError> + Sync,
    ) -> Result<(), TargetError> {
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let failure: Mutex<Option<TargetError>> = Mutex::new(None);
        let run = || {
            while !stop.load(Ordering::Relaxed) {
                let Some(stretch) = stretches.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                let Some(placed) = self.placed.get(stretch.placed) else { break };
                let late = deadline.is_some_and(|d| Instant::now() > d);
                let done =
                    if late { Err(TargetError::PauseOverrun { pid: self.pid, pause: Duration::ZERO }) } else { job(placed, stretch) };
                if let Err(e) = done {
                    stop.store(true, Ordering::Relaxed);
                    failure.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert(e);
                }
            }
        };
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX).min(stretches.len().max(1));
        std::thread::scope(|scope| {
            for _ in 1..workers {
                scope.spawn(run);
            }
            run();
        });
        match failure.into_inner().unwrap_or_else(|e| e.into_inner()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn pagemap(&self) -> Result<Pagemap, TargetError> {
        Pagemap::open(self.pid).map_err(|e| proc_error(self.pid, e))
    }
}

/// Whether the file behind a mapping at offset 0 is an ELF file, by its first bytes in the target.
pub(crate) fn is_elf(process: &Process, start: Addr) -> bool {
    process.u32(start) == Ok(u32::from_le_bytes(*b"\x7fELF"))
}

fn total(runs: &[(u64, u64)]) -> u64 {
    runs.iter().map(|r| r.1 - r.0).sum()
}

/// What lies in `start..end` beside `runs`.
fn between(runs: &[(u64, u64)], start: u64, end: u64) -> Vec<(u64, u64)> {
    let mut out = Vec::new();
    let mut at = start;
    for &(from, to) in runs.iter().chain([&(end, end)]) {
        if at < from {
            out.push((at, from));
        }
        at = to;
    }
    out
}

fn open_mem(pid: i32) -> Result<File, TargetError> {
    File::open(format!("/proc/{pid}/mem")).map_err(|e| proc_error(pid, e))
}

fn proc_error(pid: i32, e: std::io::Error) -> TargetError {
    if e.kind() == std::io::ErrorKind::UnexpectedEof {
        // A pagemap ends early when the memory is gone while the process is still ending.
        return TargetError::GoneMeanwhile { pid };
    }
    match TargetError::from_proc(pid, "copying its memory", e) {
        TargetError::Gone { pid } => TargetError::GoneMeanwhile { pid },
        other => other,
    }
}

fn no_room(pid: i32, source: std::io::Error) -> TargetError {
    TargetError::System { pid, call: "reserving room for the copy", source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_runs() {
        assert_eq!(between(&[(2, 4), (6, 8)], 0, 10), [(0, 2), (4, 6), (8, 10)]);
        assert_eq!(between(&[(0, 10)], 0, 10), []);
        assert_eq!(between(&[], 0, 10), [(0, 10)]);
    }
}
