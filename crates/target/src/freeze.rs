//! The frozen copy: stop, copy, go on; everything else happens before or after.
//!
//! Holds: [`freeze`], its options, and [`Frozen`], what it gives. Never does: parse the target's objects, print.
//! Source: docs of the design: the goal is a pause of at most 300 ms per GB.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use memory::{Addr, Bytes, Image, Mapping, Memory};

use crate::copy::{is_elf, Copy};
use crate::error::TargetError;
use crate::guardian::Guardian;
use crate::plan::Plan;
use crate::process::Process;

/// Between two attempts the target runs for so long: first, and at most. A collection takes milliseconds.
const RETRY_FIRST: Duration = Duration::from_millis(1);
const RETRY_LAST: Duration = Duration::from_millis(5);
/// The guardian lets the target go after this many times the longest pause allowed: an estimate may be wrong, and a
/// command that was stopped itself (Ctrl-Z) must not hold the target.
const HOLD_FACTOR: u32 = 2;
/// … but never before this: the limit is checked against the estimate, not against a scheduler's bad luck.
const HOLD_MIN: Duration = Duration::from_millis(500);

/// How to freeze.
#[derive(Clone, Debug)]
pub struct FreezeOptions {
    /// `i32` words in the target that must be 0 for its heap to be consistent (a collector's `collecting`). While one is
    /// not, the target goes on and is stopped again a little later.
    pub quiet_words: Vec<Addr>,
    /// How often to try for quiet. After that the copy is made as it is, and [`Frozen::quiet`] says so.
    pub retries: u32,
    /// The longest pause allowed. When copying is expected to take longer nothing is stopped.
    pub max_pause: Duration,
    /// The executable that answers [`crate::GUARDIAN_ARGUMENT`]; normally `/proc/self/exe`.
    pub guardian: PathBuf,
}

impl Default for FreezeOptions {
    fn default() -> Self {
        FreezeOptions { quiet_words: Vec::new(), retries: 20, max_pause: Duration::from_secs(1), guardian: "/proc/self/exe".into() }
    }
}

/// A thread of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// The kernel's number of it; the first thread has the PID.
    pub tid: i32,
    /// Its short name.
    pub name: String,
}

/// A target's memory at one moment.
#[derive(Debug)]
pub struct Frozen {
    copy: Copy,
    mappings: Vec<Mapping>,
    threads: Vec<Thread>,
    gaps: Vec<(String, Bytes)>,
    resident: Bytes,
    pause: Duration,
    stopped: Duration,
    attempts: u32,
    quiet: bool,
    was_stopped: bool,
}

impl Frozen {
    /// The copied bytes. Mappings that touch are one segment; never touched anonymous pages read as zeros.
    pub fn image(&self) -> Image<'_> {
        self.copy.image()
    }

    /// What was mapped in the stop, by address.
    pub fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// The threads that stood.
    pub fn threads(&self) -> &[Thread] {
        &self.threads
    }

    /// The longest time that the target stood at a stretch, from the first thread stopped to the last one let go.
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// The time that it stood in all attempts together.
    pub fn stopped(&self) -> Duration {
        self.stopped
    }

    /// How often it was stopped.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether all [`FreezeOptions::quiet_words`] were 0 when the copy was made.
    pub fn quiet(&self) -> bool {
        self.quiet
    }

    /// Whether it was stopped already (job control, SIGSTOP) before we came; it was left so.
    pub fn was_stopped(&self) -> bool {
        self.was_stopped
    }

    /// Bytes copied, before and in the stop.
    pub fn bytes_copied(&self) -> Bytes {
        self.copy.copied()
    }

    /// Bytes in memory or swap of what is copied in the stop, as counted before it.
    pub fn resident_bytes(&self) -> Bytes {
        self.resident
    }

    /// What was not copied: the reason, and bytes of address space.
    pub fn gaps(&self) -> &[(String, Bytes)] {
        &self.gaps
    }
}

/// Makes a frozen copy of a process: everything is prepared, then all its threads are stopped by a guardian, copied, and
/// let go. A process that was stopped before (state `T`) is read too, and still stopped afterwards.
pub fn freeze(process: &Process, options: &FreezeOptions) -> Result<Frozen, TargetError> {
    process.refuse_if_traced()?;
    let prepared = Prepared::new(process, options, false)?;
    prepared.take(&mut Guardian::start(&options.guardian)?)
}

/// All that can be done before the stop.
pub(crate) struct Prepared<'p> {
    process: &'p Process,
    options: &'p FreezeOptions,
    /// The target stands and stays so until the copy is made: there is no pause to limit and no later attempt to wait for.
    held: bool,
    was_stopped: bool,
    resident: Bytes,
    copy: Copy,
}

impl<'p> Prepared<'p> {
    pub(crate) fn new(process: &'p Process, options: &'p FreezeOptions, held: bool) -> Result<Self, TargetError> {
        let pid = process.pid();
        let was_stopped = process.state()? == 'T';
        let (copy, resident) = Copy::prepare(process, plan(process, &process.mappings()?))?;
        let available = crate::headroom::headroom();
        if available < resident {
            // The out-of-memory killer might choose the target.
            return Err(TargetError::TooLittleMemory { pid, needed: resident, available });
        }
        if !held {
            let expected = Duration::from_secs_f64(resident.0 as f64 / copy.speed(process, resident)?);
            if expected > options.max_pause {
                return Err(TargetError::PauseTooLong { pid, resident, expected, limit: options.max_pause });
            }
        }
        copy.populate()?;
        Ok(Prepared { process, options, held, was_stopped, resident, copy })
    }

    /// Stops, copies, lets go.
    pub(crate) fn take(self, guardian: &mut Guardian) -> Result<Frozen, TargetError> {
        let Prepared { process, options, held, was_stopped, resident, mut copy } = self;
        let pid = process.pid();
        let hold = (!held).then(|| (options.max_pause * HOLD_FACTOR).max(HOLD_MIN));
        let (mut pause, mut stopped) = (Duration::ZERO, Duration::ZERO);
        let mut attempts = 0;
        let mut wait = RETRY_FIRST;
        loop {
            attempts += 1;
            let begun = Instant::now();
            let tids = guardian.stop(pid, hold)?;
            let last = held || attempts > options.retries;
            let taken = in_the_stop(process, options, &mut copy, last, hold.map(|h| begun + h));
            let threads = tids.iter().map(|&tid| Thread { tid, name: thread_name(pid, tid) }).collect();
            // Let go first, then look at what came of it.
            let (this, overran) = guardian.release()?;
            pause = pause.max(this);
            stopped += this;
            match taken {
                Err(TargetError::PauseOverrun { .. }) => return Err(TargetError::PauseOverrun { pid, pause: this }),
                Ok(_) if overran => return Err(TargetError::PauseOverrun { pid, pause: this }),
                Err(error) => return Err(error),
                Ok(None) => {
                    std::thread::sleep(wait);
                    wait = (wait * 2).min(RETRY_LAST);
                }
                Ok(Some((mappings, mut gaps, quiet))) => {
                    if copy.unreadable().0 > 0 {
                        gaps.push(("pages that could not be read, or are as in their file".to_string(), copy.unreadable()));
                    }
                    return Ok(Frozen { copy, mappings, threads, gaps, resident, pause, stopped, attempts, quiet, was_stopped });
                }
            }
        }
    }
}

type Taken = (Vec<Mapping>, Vec<(String, Bytes)>, bool);

/// What happens while the target stands. `None`: it is not quiet, and this is not the last attempt.
fn in_the_stop(
    process: &Process,
    options: &FreezeOptions,
    copy: &mut Copy,
    last: bool,
    deadline: Option<Instant>,
) -> Result<Option<Taken>, TargetError> {
    process.check_same()?;
    // A word that cannot be read does not stand for trouble: it says nothing, and the reader of the image will find out.
    let quiet = options.quiet_words.iter().all(|&word| process.i32(word).map_or(true, |v| v == 0));
    if !quiet && !last {
        return Ok(None);
    }
    let mappings = process.mappings()?;
    let plan = plan(process, &mappings);
    copy.take(process, &plan, deadline)?;
    Ok(Some((mappings, plan.gaps(), quiet)))
}

fn plan(process: &Process, mappings: &[Mapping]) -> Plan {
    Plan::new(mappings, |m| is_elf(process, m.start))
}

fn thread_name(pid: i32, tid: i32) -> String {
    match std::fs::read(format!("/proc/{pid}/task/{tid}/comm")) {
        Ok(name) => String::from_utf8_lossy(name.trim_ascii_end()).into_owned(),
        Err(_) => "?".to_string(),
    }
}
