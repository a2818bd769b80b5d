//! Taking a target's memory: prepare, stop, copy or fork, go on; everything else happens before or after.
//!
//! Holds: [`take`], its options, and the choice of the way. Never does: parse the target's objects, print.
//! Why fork where it is safe: the target stands for as long as the kernel needs to copy page tables, not pages; but what
//! the target writes while its copy lives is copied by the kernel, at the cost of the target's control group.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use memory::{Addr, Bytes, Mapping, Memory};

use crate::copy::{is_elf, Copy};
use crate::error::{ForkProblem, TargetError};
use crate::guardian::Guardian;
use crate::headroom::{fork_cost, headroom, headroom_of};
use crate::plan::Plan;
use crate::process::Process;
use crate::residency::{self, Raw};
use crate::seccomp;
use crate::status::{page_faults, threads_of};
use crate::taken::{Cost, Taken, Thread, Way};
use crate::testpoint;

/// Between two attempts the target runs for so long: first, and at most. A collection takes milliseconds.
const RETRY_FIRST: Duration = Duration::from_millis(1);
const RETRY_LAST: Duration = Duration::from_millis(5);
/// The guardian lets the target go after this many times the longest pause allowed: an estimate may be wrong, and a
/// command that was stopped itself (Ctrl-Z) must not hold the target.
const HOLD_FACTOR: u32 = 2;
/// … but never before this: the limit is checked against the estimate, not against a scheduler's bad luck.
const HOLD_MIN: Duration = Duration::from_millis(500);
/// What a fork is expected to cost: stopping the threads and making the calls, and copying page tables.
const FORK_PAUSE: Duration = Duration::from_millis(5);
const FORK_PAUSE_PER_GB: Duration = Duration::from_millis(20);
/// What reading smaps and pagemap is expected to add.
const RESIDENCY_PAUSE_PER_GB: Duration = Duration::from_millis(20);

/// Which way is wished for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// By fork where that is safe, else by freeze.
    #[default]
    Auto,
    /// By fork, or not at all.
    Fork,
    /// By freeze.
    Freeze,
    /// Without any stop.
    Live,
}

/// How to take it.
#[derive(Clone, Debug)]
pub struct TakeOptions {
    /// The way.
    pub mode: Mode,
    /// `i32` words in the target that must be 0 for its heap to be consistent (a collector's `collecting`). While one is
    /// not, the target goes on and is stopped again a little later.
    pub quiet_words: Vec<Addr>,
    /// How often to try for quiet. After that the copy is made as it is, and [`Taken::quiet`] says so.
    pub retries: u32,
    /// The longest pause allowed. When a longer one is expected nothing is stopped.
    pub max_pause: Duration,
    /// Whether to read in the stop which pages are in memory ([`Taken::residency`]).
    pub residency: bool,
    /// The executable that answers [`crate::GUARDIAN_ARGUMENT`]; normally `/proc/self/exe`.
    pub guardian: PathBuf,
}

impl Default for TakeOptions {
    fn default() -> Self {
        TakeOptions {
            mode: Mode::Auto,
            quiet_words: Vec::new(),
            retries: 20,
            max_pause: Duration::from_secs(1),
            residency: false,
            guardian: "/proc/self/exe".into(),
        }
    }
}

/// What would be done to a process, said before anything is stopped.
#[derive(Debug)]
pub struct Forecast {
    /// How its memory would be had.
    pub way: Way,
    /// Why not by fork.
    pub not_fork: Option<String>,
    /// What would be copied in the stop, or what a fork would share.
    pub resident: Bytes,
    /// The pause to expect. Zero where nothing would be stopped.
    pub pause: Duration,
    /// It would be a fork, but the target has filters of system calls, which are only read in the stop: where they do not allow
    /// it, it becomes a freeze with this pause.
    pub else_freeze: Option<Duration>,
    /// What a forked copy may cost at most, in memory that is charged to the target's control groups.
    pub fork_cost: Bytes,
}

/// Takes the memory of a process. A process that was stopped before (state `T`) is read too, and still stopped afterwards.
pub fn take(process: &Process, options: &TakeOptions) -> Result<Taken, TargetError> {
    if options.mode == Mode::Live {
        return live(process, options);
    }
    process.refuse_if_traced()?;
    let prepared = Prepared::new(process, options, false)?;
    prepared.take_somehow(&mut Guardian::start(&options.guardian)?)
}

/// The same through a guardian that is there, which traces the process already. `held`: it stands, and stays so until then.
pub(crate) fn take_traced(process: &Process, options: &TakeOptions, held: bool, guardian: &mut Guardian) -> Result<Taken, TargetError> {
    Prepared::new(process, options, held)?.take_somehow(guardian)
}

/// What [`take`] would do, as far as it can be known without stopping anything: a filter of system calls is only read in the stop.
pub fn forecast(process: &Process, mode: Mode) -> Result<Forecast, TargetError> {
    let (copy, resident) = Copy::prepare(process, plan(process, &process.mappings()?))?;
    let (way, obstacle) = choose(process, mode, resident)?;
    let pause = expected_pause(way, &copy, process, resident)?;
    let undecided = way == Way::Fork && seccomp::is_filtered(process.pid());
    let else_freeze = if undecided { Some(expected_pause(Way::Freeze, &copy, process, resident)?) } else { None };
    Ok(Forecast { way, not_fork: obstacle.map(|o| o.to_string()), resident, pause, else_freeze, fork_cost: fork_cost(resident) })
}

/// The way, and what speaks against a fork where one would have been made.
fn choose(process: &Process, mode: Mode, resident: Bytes) -> Result<(Way, Option<ForkProblem>), TargetError> {
    match mode {
        Mode::Live => Ok((Way::Live, None)),
        Mode::Freeze => Ok((Way::Freeze, None)),
        Mode::Auto | Mode::Fork => match obstacle(process, resident)? {
            None => Ok((Way::Fork, None)),
            Some(problem) if mode == Mode::Auto => Ok((Way::Freeze, Some(problem))),
            Some(problem) => Err(TargetError::CannotFork { pid: process.pid(), problem }),
        },
    }
}

/// What makes a fork unsafe here, as far as it is known before the stop.
fn obstacle(process: &Process, resident: Bytes) -> Result<Option<ForkProblem>, TargetError> {
    if process.state()? == 'T' {
        return Ok(Some(ForkProblem::Stopped));
    }
    if let Some(unreadable) = seccomp::refused_to_us(process.pid()) {
        return Ok(Some(ForkProblem::Seccomp(unreadable.to_string())));
    }
    Ok(headroom_of(process.pid()).admits_fork(resident).err().map(ForkProblem::Tight))
}

fn expected_pause(way: Way, copy: &Copy, process: &Process, resident: Bytes) -> Result<Duration, TargetError> {
    Ok(match way {
        Way::Live => Duration::ZERO,
        Way::Fork => FORK_PAUSE + FORK_PAUSE_PER_GB.mul_f64(resident.0 as f64 / 1e9),
        Way::Freeze => Duration::from_secs_f64(resident.0 as f64 / copy.speed(process, resident)?),
    })
}

/// All that can be done before the stop.
struct Prepared<'p> {
    process: &'p Process,
    options: &'p TakeOptions,
    way: Way,
    instead: Option<ForkProblem>,
    /// The target stands and stays so until the copy is made: there is no pause to limit and no later attempt to wait for.
    held: bool,
    was_stopped: bool,
    resident: Bytes,
    copy: Copy,
    /// Ranges that a fork does not copy.
    not_forked: Vec<(u64, u64)>,
}

impl<'p> Prepared<'p> {
    fn new(process: &'p Process, options: &'p TakeOptions, held: bool) -> Result<Self, TargetError> {
        let was_stopped = process.state()? == 'T';
        let (copy, resident) = Copy::prepare(process, plan(process, &process.mappings()?))?;
        check_headroom(process, resident)?;
        // What stands anyway need not be forked.
        let (way, instead) = if held { (Way::Freeze, None) } else { choose(process, options.mode, resident)? };
        let not_forked = if way == Way::Fork { process.not_forked()? } else { Vec::new() };
        let prepared = Prepared { process, options, way, instead, held, was_stopped, resident, copy, not_forked };
        prepared.check_pause()?;
        prepared.copy.populate()?;
        Ok(prepared)
    }

    fn check_pause(&self) -> Result<(), TargetError> {
        if self.held {
            return Ok(());
        }
        let mut expected = expected_pause(self.way, &self.copy, self.process, self.resident)?;
        if self.options.residency {
            expected += RESIDENCY_PAUSE_PER_GB.mul_f64(self.resident.0 as f64 / 1e9);
        }
        let limit = self.options.max_pause;
        if expected > limit {
            return Err(TargetError::PauseTooLong { pid: self.process.pid(), resident: self.resident, expected, limit });
        }
        Ok(())
    }

    /// Takes it, by freeze where a fork does not come about and need not.
    fn take_somehow(self, guardian: &mut Guardian) -> Result<Taken, TargetError> {
        let (process, options, held) = (self.process, self.options, self.held);
        match self.take(guardian) {
            Err(TargetError::CannotFork { problem, .. }) if options.mode == Mode::Auto => {
                // Prepared anew: what was copied belongs to another moment.
                let options = TakeOptions { mode: Mode::Freeze, ..options.clone() };
                let mut prepared = Prepared::new(process, &options, held)?;
                prepared.instead = Some(problem);
                prepared.take(guardian)
            }
            taken => taken,
        }
    }

    /// Stops, copies or forks, lets go.
    fn take(mut self, guardian: &mut Guardian) -> Result<Taken, TargetError> {
        let pid = self.process.pid();
        let hold = (!self.held).then(|| (self.options.max_pause * HOLD_FACTOR).max(HOLD_MIN));
        let mut cost = Cost::default();
        let mut wait = RETRY_FIRST;
        loop {
            cost.attempts += 1;
            let begun = Instant::now();
            let tids = guardian.stop(pid, hold)?;
            let last = self.held || cost.attempts > self.options.retries;
            let moment = self.in_the_stop(guardian, &tids, last, hold.map(|h| begun + h));
            let threads: Vec<Thread> = tids.iter().map(|&tid| thread(pid, tid)).collect();
            // Let go first, then look at what came of it.
            let (this, overran) = guardian.release()?;
            cost.pause = cost.pause.max(this);
            cost.stopped += this;
            let overrun = || TargetError::PauseOverrun { pid, pause: this };
            match moment {
                Err(TargetError::PauseOverrun { .. }) => return Err(overrun()),
                Err(error) => return Err(error),
                Ok(Moment::NotQuiet | Moment::Copied(_)) if overran => return Err(overrun()),
                Ok(Moment::NotQuiet) => {
                    std::thread::sleep(wait);
                    wait = (wait * 2).min(RETRY_LAST);
                }
                Ok(Moment::Copied(seen)) => return Ok(self.taken(seen, threads, cost)),
                Ok(Moment::Forked { seen, copy, faults }) => {
                    self.read_fork(guardian, &seen, copy, faults, &mut cost)?;
                    return Ok(self.taken(seen, threads, cost));
                }
            }
        }
    }

    /// What happens while the target stands.
    fn in_the_stop(&mut self, guardian: &mut Guardian, tids: &[i32], last: bool, deadline: Option<Instant>) -> Result<Moment, TargetError> {
        let process = self.process;
        process.check_same()?;
        let quiet = is_quiet(process, self.options);
        if !quiet && !last {
            return Ok(Moment::NotQuiet);
        }
        let mappings = process.mappings()?;
        let plan = plan(process, &mappings);
        // Before a fork: after it every page is shared.
        let residency = self.options.residency.then(|| residency::read(process, &mappings, tids)).transpose()?;
        let seen = Seen { mappings, plan, quiet, residency };
        match self.way {
            Way::Fork => {
                let special = seen.plan.within(&self.not_forked);
                self.copy.take_some(process, &special, &seen.plan, deadline)?;
                let copy = guardian.fork(process.pid())?;
                // After the call: what the call itself caused is not the copy's doing.
                Ok(Moment::Forked { seen, copy, faults: page_faults(process.pid()) })
            }
            Way::Freeze | Way::Live => {
                self.copy.take(process, &seen.plan, deadline)?;
                Ok(Moment::Copied(seen))
            }
        }
    }

    /// Reads the copy while the target goes on, and ends it whatever comes of that.
    fn read_fork(
        &mut self,
        guardian: &mut Guardian,
        seen: &Seen,
        copy: i32,
        faults_before: Option<u64>,
        cost: &mut Cost,
    ) -> Result<(), TargetError> {
        let pid = self.process.pid();
        testpoint::reached("copy", "read");
        let read = self.copy.read_from_fork(copy).and_then(|()| self.copy.take(self.process, &seen.plan, None));
        let faults = page_faults(pid);
        let (second, zombie) = guardian.discard()?;
        cost.second_stop = Some(second);
        cost.zombie = zombie;
        cost.page_faults = faults.zip(faults_before).map(|(after, before)| after.saturating_sub(before));
        let lost = |problem| TargetError::CannotFork { pid, problem };
        read.map_err(|error| match error {
            // It can only be the copy's: the target's end would show here.
            TargetError::GoneMeanwhile { .. } | TargetError::Gone { .. } if self.process.check_same().is_ok() => lost(ForkProblem::Lost),
            TargetError::NotPermitted { .. } => lost(ForkProblem::Unreadable),
            error => error,
        })
    }

    fn taken(self, seen: Seen, threads: Vec<Thread>, cost: Cost) -> Taken {
        let Prepared { copy, resident, was_stopped, way, instead, .. } = self;
        let gaps = gaps(&seen.plan, &copy);
        let instead = instead.map(|problem| problem.to_string());
        let residency = seen.residency.map(|raw| raw.residency(&threads));
        Taken { copy, mappings: seen.mappings, threads, gaps, resident, residency, quiet: seen.quiet, was_stopped, way, instead, cost }
    }
}

/// What the target was at the moment.
struct Seen {
    mappings: Vec<Mapping>,
    plan: Plan,
    quiet: bool,
    residency: Option<Raw>,
}

/// What came of a stop.
enum Moment {
    /// It is not quiet, and this is not the last attempt.
    NotQuiet,
    /// All is copied.
    Copied(Seen),
    /// The copy can be read; the target's page faults until now.
    Forked { seen: Seen, copy: i32, faults: Option<u64> },
}

/// Without any stop.
fn live(process: &Process, options: &TakeOptions) -> Result<Taken, TargetError> {
    let pid = process.pid();
    let was_stopped = process.state()? == 'T';
    let (mut copy, resident) = Copy::prepare(process, plan(process, &process.mappings()?))?;
    check_headroom(process, resident)?;
    copy.populate()?;
    let mappings = process.mappings()?;
    let plan = plan(process, &mappings);
    copy.take(process, &plan, None)?;
    let tids = threads_of(pid).unwrap_or_default();
    let raw = options.residency.then(|| residency::read(process, &mappings, &tids)).transpose()?;
    process.check_same()?;
    let threads: Vec<Thread> = tids.into_iter().map(|tid| thread(pid, tid)).collect();
    let residency = raw.map(|raw| raw.residency(&threads));
    let gaps = gaps(&plan, &copy);
    let cost = Cost::default();
    Ok(Taken { copy, mappings, threads, gaps, resident, residency, quiet: true, was_stopped, way: Way::Live, instead: None, cost })
}

/// The out-of-memory killer might choose the target.
fn check_headroom(process: &Process, resident: Bytes) -> Result<(), TargetError> {
    let available = headroom();
    if available < resident {
        return Err(TargetError::TooLittleMemory { pid: process.pid(), needed: resident, available });
    }
    Ok(())
}

/// A word that cannot be read does not stand for trouble: it says nothing, and the reader of the image will find out.
fn is_quiet(process: &Process, options: &TakeOptions) -> bool {
    options.quiet_words.iter().all(|&word| process.i32(word).map_or(true, |v| v == 0))
}

fn gaps(plan: &Plan, copy: &Copy) -> Vec<(String, Bytes)> {
    let mut gaps = plan.gaps();
    if copy.unreadable().0 > 0 {
        gaps.push(("pages that could not be read, or are as in their file".to_string(), copy.unreadable()));
    }
    gaps
}

fn plan(process: &Process, mappings: &[Mapping]) -> Plan {
    Plan::new(mappings, |m| is_elf(process, m.start))
}

fn thread(pid: i32, tid: i32) -> Thread {
    let name = match std::fs::read(format!("/proc/{pid}/task/{tid}/comm")) {
        Ok(name) => String::from_utf8_lossy(name.trim_ascii_end()).into_owned(),
        Err(_) => "?".to_string(),
    };
    Thread { tid, name }
}
