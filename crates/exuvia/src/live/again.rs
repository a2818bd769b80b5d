//! Looking again: a process can be caught in the middle of something (a dict that grows, an object that is being linked into the
//! collector's lists), and a moment later it is not.
//!
//! Holds: [`look`], which repeats a look while that is worth it; [`Attempt`], with what it cost and what the process was.
//! Never does: touch a process itself (that is `look`).

use std::time::Duration;

use capture::CaptureError;
use cpython::LayoutError;
use snapshot::{GapKind, Mode, Snapshot};
use target::{Cost, Taken, Way};

use crate::look::Captured;
use crate::screen;
use crate::trouble::Trouble;

/// More looks are not worth the pauses.
const LOOKS_MAX: u32 = 4;
/// Wounds of a look that proved nothing.
const NOTHING: u64 = u64::MAX;

/// One look.
pub(crate) struct Attempt {
    pub(crate) outcome: Result<Captured, CaptureError>,
    /// What it cost the process; in the end, what all looks cost together.
    pub(crate) spent: Spent,
    pub(crate) facts: Facts,
}

impl Attempt {
    /// How much of what was seen was in the middle of a change. A build that cannot be read gives the same error each time.
    fn wounds(&self) -> u64 {
        match &self.outcome {
            Ok(Captured { snapshot, .. }) => {
                let wounds = snapshot.coverage.gaps.iter().filter(|gap| matches!(gap.what, GapKind::TornObject | GapKind::BrokenList));
                wounds.map(|gap| gap.count).sum()
            }
            Err(CaptureError::Layout(LayoutError::Unproved { .. })) => NOTHING,
            Err(_) => 0,
        }
    }
}

/// Looks until nothing is wounded, or it gets no better, or the pauses together would go beyond `max_pause`. The best look
/// counts. A `live` look stops nothing and always finds wounds: one that proves the layout will do.
pub(crate) fn look(live: bool, max_pause: Duration, mut once: impl FnMut() -> Result<Attempt, Trouble>) -> Result<Attempt, Trouble> {
    let mut best = once()?;
    let mut spent = best.spent;
    for looks in 1..LOOKS_MAX {
        let wounds = best.wounds();
        if wounds == 0 || (live && wounds < NOTHING) || spent.pause + spent.pause / looks > max_pause {
            break;
        }
        let next = once()?;
        spent.add(&next.spent);
        let better = next.wounds() < wounds;
        if better {
            best = next;
        } else if wounds < NOTHING {
            break;
        }
    }
    best.spent = spent;
    Ok(best)
}

/// What looks cost a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pause: Duration,
    attempts: u32,
    second_stop: Option<Duration>,
    page_faults: Option<u64>,
}

impl Spent {
    pub(crate) fn of(cost: &Cost) -> Spent {
        Spent { pause: cost.stopped, attempts: cost.attempts, second_stop: cost.second_stop, page_faults: cost.page_faults }
    }

    fn add(&mut self, other: &Spent) {
        self.pause += other.pause;
        self.attempts += other.attempts;
        self.second_stop = self.second_stop.zip(other.second_stop).map(|(a, b)| a + b).or(self.second_stop).or(other.second_stop);
        self.page_faults = self.page_faults.zip(other.page_faults).map(|(a, b)| a + b).or(self.page_faults).or(other.page_faults);
    }
}

/// What the process itself says, beside what its heap says.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    mode: Mode,
    not_forked: Option<String>,
    threads: u32,
    resident_bytes: u64,
    copied_bytes: u64,
    zombie: bool,
}

impl Facts {
    pub(crate) fn of(taken: &Taken) -> Facts {
        Facts {
            mode: match taken.way() {
                Way::Fork => Mode::Fork,
                Way::Freeze => Mode::Freeze,
                Way::Live => Mode::Live,
            },
            not_forked: taken.instead_of_fork().map(str::to_string),
            threads: u32::try_from(taken.threads().len()).unwrap_or(u32::MAX),
            resident_bytes: taken.resident_bytes().0,
            copied_bytes: taken.bytes_copied().0,
            zombie: taken.cost().zombie,
        }
    }

    pub(crate) fn fill(self, snapshot: &mut Snapshot, exe: &str, pid: i32, spent: &Spent) {
        let t = &mut snapshot.target;
        t.pid = Some(pid);
        let inside = target::Inside::of(pid);
        (t.pid_inside, t.container) = (inside.pid, inside.container);
        t.executable = exe.to_string();
        t.mode = self.mode;
        t.pause_ms = (spent.attempts > 0).then(|| milliseconds(spent.pause));
        t.second_stop_ms = spent.second_stop.map(milliseconds);
        t.page_faults = spent.page_faults;
        t.not_forked = self.not_forked;
        t.attempts = spent.attempts;
        t.threads = self.threads;
        t.resident_bytes = Some(self.resident_bytes);
        t.copied_bytes = Some(self.copied_bytes);
        if self.zombie {
            screen::remark(&format!("the copy's remains stay with process {pid} as a zombie child: none of its threads could be used"));
        }
    }
}

fn milliseconds(d: Duration) -> f64 {
    d.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks with so many half-written objects each; `None`: unproved.
    #[track_caller]
    fn check(live: bool, max_pause_ms: u64, looks: &[Option<u64>], wanted: Option<u64>, pauses: u32) {
        let mut made = looks.iter();
        let once = || {
            let outcome = match made.next().expect("one look too many") {
                Some(torn) => {
                    let mut snapshot = Snapshot::default();
                    snapshot.coverage.add_gap(GapKind::TornObject, *torn);
                    Ok(Captured { snapshot, saved: None })
                }
                None => Err(CaptureError::Layout(LayoutError::Unproved { release: "3.12".into(), tried: Vec::new() })),
            };
            let spent = Spent { pause: Duration::from_millis(10), attempts: 1, ..Spent::default() };
            let facts = Facts { mode: Mode::Fork, not_forked: None, threads: 1, resident_bytes: 0, copied_bytes: 0, zombie: false };
            Ok(Attempt { outcome, spent, facts })
        };
        let best = look(live, Duration::from_millis(max_pause_ms), once).unwrap_or_else(|_| panic!("no look failed"));
        assert_eq!(best.wounds(), wanted.unwrap_or(NOTHING));
        assert_eq!((best.spent.attempts, best.spent.pause), (pauses, Duration::from_millis(10) * pauses));
    }

    #[test]
    fn again_while_it_gets_better_and_is_allowed() {
        check(false, 1000, &[Some(0)], Some(0), 1);
        check(false, 1000, &[Some(3), Some(1), Some(0)], Some(0), 3);
        check(false, 1000, &[Some(3), Some(5)], Some(3), 2);
        check(false, 1000, &[None, None, Some(0)], Some(0), 3);
        check(false, 1000, &[None, None, None, None], None, 4);
        check(false, 15, &[Some(3)], Some(3), 1);
        check(true, 0, &[Some(3)], Some(3), 1);
    }
}
