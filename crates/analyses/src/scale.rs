//! What `exuvia scale` says of its measurements: one figure a size, and how each grows.
//!
//! Holds: [`Sampled`] (a run), [`Figures`] and [`Point`] (a size), [`Grown`] (all of it), [`Growths`] and [`growths`], [`next`] (what the next size will take).
//! Never does: run anything.

use crate::growth::{fit, Fit, Noise};

/// Resident memory is counted in pages, comes in arenas of 256 KiB and 1 MiB that are touched bit by bit, and the kernel's high-water mark
/// may be behind by 32 pages a processor (`percpu_counter_batch`): below this a difference says nothing.
pub const MEMORY_FLOOR_BYTES: f64 = 256.0 * 1024.0;
/// What was free before the call, in arenas and in malloc's chunks, is used first, and does not show: a line may begin so far below zero.
const FREE_BEFORE_BYTES: f64 = 2.0 * 1024.0 * 1024.0;
const MEMORY: Noise = Noise { floor: MEMORY_FLOOR_BYTES, share: 0.005, constant_least: -FREE_BEFORE_BYTES };
/// The least of several calls is within some percent of what a quiet machine would give.
const TIME: Noise = Noise { floor: 1e-7, share: 0.05, constant_least: 0.0 };

/// What one run of one size took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampled {
    /// The call.
    pub seconds: f64,
    /// Before the input was made.
    pub base_bytes: f64,
    /// What the input added.
    pub input_bytes: f64,
    /// What the call added and still holds with its result.
    pub held_bytes: f64,
    /// What it added at its peak.
    pub peak_bytes: f64,
}

/// What the runs of one size say together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// How many runs there were.
    pub runs: u32,
    /// The least: what else the machine does only adds to it.
    pub seconds: f64,
    /// The most.
    pub seconds_high: f64,
    /// The median before the input was made: interpreter and imports.
    pub base_bytes: f64,
    /// The median.
    pub input_bytes: f64,
    /// The median.
    pub held_bytes: f64,
    /// The median.
    pub peak_bytes: f64,
    /// The median of the whole process at the call's peak: interpreter, imports, input and call.
    pub process_bytes: f64,
}

/// A size, and what came of it: figures, or the last words of a run that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// n.
    pub n: u64,
    /// Figures, or why there are none.
    pub outcome: Result<Figures, String>,
}

/// All that was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grown {
    /// The interpreter's release; empty where no run came so far.
    pub python: String,
    /// Smallest n first.
    pub points: Vec<Point>,
    /// Why there are fewer sizes or runs than were asked for.
    pub ended: Option<String>,
    /// Its first call kept something for the later ones, and is what is told.
    pub keeps: bool,
    /// What it returned without doing anything: a generator, a coroutine.
    pub lazy: Option<String>,
    /// Memory that was left on the machine, or in the container, before.
    pub left: u64,
}

/// How each figure grows; `None` where fewer than three sizes were measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Growths {
    /// Seconds.
    pub time: Option<Fit>,
    /// Bytes that the result holds.
    pub held: Option<Fit>,
    /// Bytes that the call takes at its peak.
    pub peak: Option<Fit>,
    /// Bytes of the whole process then: what has to fit.
    pub process: Option<Fit>,
}

impl Figures {
    /// Sums up the runs of a size. `None` without any.
    pub fn of(runs: &[Sampled]) -> Option<Figures> {
        let median = |of: fn(&Sampled) -> f64| {
            let mut values: Vec<f64> = runs.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            let middle = values.get((runs.len().max(1) - 1) / 2).zip(values.get(runs.len() / 2));
            middle.map(|(low, high)| (low + high) / 2.0)
        };
        Some(Figures {
            runs: runs.len() as u32,
            seconds: runs.iter().map(|r| r.seconds).reduce(f64::min)?,
            seconds_high: runs.iter().map(|r| r.seconds).reduce(f64::max)?,
            base_bytes: median(|r| r.base_bytes)?,
            input_bytes: median(|r| r.input_bytes)?,
            held_bytes: median(|r| r.held_bytes)?,
            peak_bytes: median(|r| r.peak_bytes)?,
            process_bytes: median(|r| r.base_bytes + r.input_bytes + r.peak_bytes)?,
        })
    }
}

/// Fits what was measured.
pub fn growths(points: &[Point]) -> Growths {
    let of = |figure: fn(&Figures) -> f64, noise: Noise| {
        let values = points.iter().filter_map(|p| p.outcome.as_ref().ok().map(|f| (p.n as f64, figure(f))));
        fit(&values.collect::<Vec<_>>(), noise)
    };
    // What was there before it began is known, and does not grow.
    let base = points.iter().filter_map(|p| p.outcome.as_ref().ok().map(|f| f.base_bytes)).reduce(f64::min).unwrap_or_default();
    let process = Noise { constant_least: base - FREE_BEFORE_BYTES, ..MEMORY };
    Growths {
        time: of(|f| f.seconds, TIME),
        held: of(|f| f.held_bytes, MEMORY),
        peak: of(|f| f.peak_bytes, MEMORY),
        process: of(|f| f.process_bytes, process),
    }
}

/// What the next size takes if it goes on as from the last but one to the last: by the power of n that lies between them, or by the power
/// of two a step, whichever is more; as much as the last, where there is one alone, or where nothing grows. `None` where there is none.
pub fn next(known: &[(u64, f64)], n: u64) -> Option<f64> {
    let [.., (before, low), (last, high)] = known else { return known.last().map(|(_, value)| *value) };
    if !(*low > 0.0 && high > low && last > before && n > *last) {
        return known.last().map(|(_, value)| *value);
    }
    let (before, last, n) = (*before as f64, *last as f64, n as f64);
    let times = high / low;
    let power = high * times.powf((n / last).ln() / (last / before).ln());
    // Where sizes are steps rather than factors (10, 12, 14), an exponential is nearer than any power.
    let steps = if n / last < 2.0 { high * times.powf((n - last) / (last - before)) } else { 0.0 };
    Some(power.max(steps))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_next_size_is_foreseen() {
        let near = |a: Option<f64>, b: f64| assert!((a.unwrap() / b - 1.0).abs() < 0.01, "{a:?} {b}");
        near(next(&[(10, 100.0), (100, 10_000.0)], 1000), 1e6);
        near(next(&[(10, 1024.0), (12, 4096.0)], 14), 16_384.0);
        near(next(&[(1000, 5.0), (2000, 5.0)], 4000), 5.0);
        near(next(&[(1000, 5.0), (2000, 4.0)], 4000), 4.0);
        assert_eq!(next(&[], 10), None);
    }

    #[test]
    fn a_size_is_its_least_time_and_its_median_memory() {
        let run = |seconds, held_bytes| Sampled { seconds, base_bytes: 10.0, input_bytes: 5.0, held_bytes, peak_bytes: held_bytes + 1.0 };
        let figures = Figures::of(&[run(3.0, 7.0), run(1.0, 100.0), run(2.0, 8.0)]).unwrap();
        assert_eq!((figures.runs, figures.seconds, figures.seconds_high), (3, 1.0, 3.0));
        assert_eq!((figures.held_bytes, figures.peak_bytes, figures.process_bytes), (8.0, 9.0, 24.0));
        assert_eq!(Figures::of(&[]), None);
    }

    #[test]
    fn what_failed_is_not_fitted() {
        let figures =
            Figures::of(&[Sampled { seconds: 1.0, base_bytes: 0.0, input_bytes: 0.0, held_bytes: 0.0, peak_bytes: 0.0 }]).unwrap();
        let mut points: Vec<Point> = (1..=3).map(|n| Point { n, outcome: Ok(figures) }).collect();
        assert!(growths(&points).time.is_some());
        points.last_mut().unwrap().outcome = Err("MemoryError".into());
        assert_eq!(growths(&points), Growths::default());
    }
}
