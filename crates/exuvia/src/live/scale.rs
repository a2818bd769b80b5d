//! The runs of `exuvia scale`: which size is run when, and when it is enough.
//!
//! Holds: [`scale`]. Never does: fit, print.
//! All sizes once before any a second time: what the machine does meanwhile falls on all of them, and a stop leaves the whole range.

use std::time::{Duration, Instant};

use analyses::scale::{next, Figures, Grown, Point, Sampled};
use nix::sys::prctl;
use report::scale::{counted, foreseen_bytes, foreseen_time};
use target::TakeOptions;
use trial::{Growing, Measured, Place, Sample, Stop, Trials};

use super::imports::trouble;
use crate::cli::{Function, Scale};
use crate::progress::Progress;
use crate::trouble::Trouble;

/// Of what is left on the machine a run may take so much.
const SHARE_OF_LEFT: f64 = 0.8;
/// What stands around the call (the interpreter's start, imports, the input, repeats) may take so long, and the call once more.
const AROUND: Duration = Duration::from_secs(10);

/// One size and its runs.
struct Size {
    n: u64,
    runs: Vec<Measured>,
    failed: Option<String>,
    /// The whole of its first run: the next ones take about as long.
    took: Duration,
}

/// Runs a function with each size.
pub(crate) fn scale(args: &Scale, function: &Function, sizes: &[u64]) -> Result<Grown, Trouble> {
    // Before there is any other thread: they inherit what is blocked.
    let stop = Stop::catch();
    let trials = Trials::new(TakeOptions::default().guardian, stop).map_err(trouble)?;
    let progress = Progress::start("starting");
    // Inherited by what we start. With huge pages a size is a multiple of 2 MiB, and whose turn it is to get one is chance; where the kernel
    // has no such switch there is nothing to switch off.
    let _ = prctl::set_thp_disable(true);
    let place = if function.is_file { Place::File(function.place.clone()) } else { Place::Module(function.place.clone()) };
    let growing = Growing { python: args.python.clone(), place, name: function.name.clone(), input: args.input.clone() };
    let left = target::headroom_of(std::process::id() as i32).bytes.0;
    let until = Instant::now().checked_add(args.limit).unwrap_or_else(far);
    let (mut known, mut ended): (Vec<Size>, Option<String>) = (Vec::new(), None);
    for (nth, &n) in sizes.iter().enumerate() {
        if let Some(why) = enough(&trials, until, args).or_else(|| beyond(&known, n, left, args.run_limit)) {
            ended = Some(why);
            break;
        }
        progress.step(format!("n = {}, size {} of {}, run 1 of {}", counted(n), nth + 1, sizes.len(), args.repeat));
        let (begun, most) = (Instant::now(), whole(args, until));
        let sample = trials.sample(&growing, n, bound(left), most).map_err(trouble)?;
        if trials.stopped() {
            ended = Some("stopped".into());
            break;
        }
        let mut size = Size { n, runs: Vec::new(), failed: None, took: begun.elapsed() };
        match sample {
            Sample::Measured(run) => size.runs.push(run),
            Sample::Refused { kind, words } if known.is_empty() => return Err(refused(args, function, &kind, words)),
            Sample::NotPython(words) if known.is_empty() => return Err(no_python(args, words)),
            Sample::Refused { words, .. } | Sample::NotPython(words) | Sample::Failed(words) => {
                if words.starts_with("MemoryError") {
                    ended = Some(format!("no larger n than {}: memory was over", counted(n)));
                }
                size.failed = Some(words);
            }
            Sample::Over if Instant::now() >= until => {
                ended = enough(&trials, until, args);
                break;
            }
            Sample::Over => {
                ended = Some(format!("no larger n than {}: it took longer than --run-limit {:?}", counted(n), args.run_limit));
                size.failed = Some(format!("ended after {most:?}"));
            }
        }
        known.push(size);
        if ended.is_some() {
            break;
        }
    }
    let mut rounds = 1;
    'rounds: while rounds < args.repeat {
        let (count, round): (usize, Duration) = (known.len(), known.iter().map(|size| size.took).sum());
        let mut left_here = round;
        for (nth, size) in known.iter_mut().enumerate().filter(|(_, size)| size.failed.is_none()) {
            if let Some(why) = enough(&trials, until, args) {
                ended.get_or_insert(why);
                break 'rounds;
            }
            let time_left = left_here + round * (args.repeat - rounds - 1);
            progress.step(format!(
                "n = {}, size {} of {count}, run {} of {}, about {} left",
                counted(size.n),
                nth + 1,
                rounds + 1,
                args.repeat,
                foreseen_time(time_left.as_secs_f64())
            ));
            left_here = left_here.saturating_sub(size.took);
            let most = whole(args, until);
            match trials.sample(&growing, size.n, bound(left), most).map_err(trouble)? {
                _ if trials.stopped() => {}
                Sample::Over if Instant::now() >= until => {}
                Sample::Measured(run) => size.runs.push(run),
                Sample::Refused { words, .. } | Sample::NotPython(words) | Sample::Failed(words) => size.failed = Some(words),
                Sample::Over => size.failed = Some(format!("ended after {most:?}")),
            }
        }
        rounds += 1;
    }
    if trials.stopped() {
        ended.get_or_insert("stopped".into());
    } else if let Some(words) = known.first().and_then(|size| size.failed.clone()).filter(|_| known.iter().all(|s| s.failed.is_some())) {
        return Err(Trouble::target(
            format!("{} fails with every n", args.named()),
            words,
            "smaller --sizes; a call of it by hand shows all that it says",
        ));
    }
    let any = known.iter().flat_map(|size| &size.runs).next();
    Ok(Grown {
        python: any.map(|run| run.python.clone()).unwrap_or_default(),
        lazy: any.and_then(|run| run.lazy.clone()),
        keeps: known.iter().flat_map(|size| &size.runs).any(|run| run.keeps),
        points: known.iter().filter_map(point).collect(),
        ended,
        left,
    })
}

/// What a process may take in all: twice the call's time, for what goes on around it, and no more than is left for all.
fn whole(args: &Scale, until: Instant) -> Duration {
    let left = until.saturating_duration_since(Instant::now());
    args.run_limit.saturating_mul(2).saturating_add(AROUND).min(left)
}

/// Further than anybody waits; a clock has an end.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(1 << 30)
}

/// Whether it is time to end.
fn enough(trials: &Trials, until: Instant, args: &Scale) -> Option<String> {
    if trials.stopped() {
        return Some("stopped".into());
    }
    (Instant::now() >= until).then(|| format!("--limit {:?} is over", args.limit))
}

/// Whether this size is expected to take more than it may.
fn beyond(known: &[Size], n: u64, left: u64, limit: Duration) -> Option<String> {
    let of = |figure: fn(&Measured) -> f64| {
        let values: Vec<(u64, f64)> = known.iter().filter_map(|size| size.runs.first().map(|run| (size.n, figure(run)))).collect();
        next(&values, n)
    };
    let bytes = of(|run| (run.input_bytes + run.peak_bytes) as f64).unwrap_or_default();
    let most = bound(left);
    if bytes > most as f64 {
        let (bytes, most) = (foreseen_bytes(bytes), foreseen_bytes(most as f64));
        return Some(format!("no n of {} and more: it would take about {bytes}, of {most} that may be taken here", counted(n)));
    }
    // One run may be slow by chance on a busy machine: what it was before the last size has to foretell it as well.
    let times: Vec<(u64, f64)> = known.iter().filter_map(|size| size.runs.first().map(|run| (size.n, run.time.as_secs_f64()))).collect();
    let skipped = match times.as_slice() {
        [.., before, _, last] => next(&[*before, *last], n),
        _ => None,
    };
    let seconds = next(&times, n).unwrap_or_default().min(skipped.unwrap_or(f64::INFINITY));
    let words = || format!("no n of {} and more: it would take about {}, beyond --run-limit {limit:?}", counted(n), foreseen_time(seconds));
    (seconds > limit.as_secs_f64()).then(words)
}

fn bound(left: u64) -> u64 {
    // What is not limited has no 2 to the 60 either, and the kernel adds to it.
    (left.min(1 << 60) as f64 * SHARE_OF_LEFT) as u64
}

fn point(size: &Size) -> Option<Point> {
    let runs: Vec<Sampled> = size
        .runs
        .iter()
        .map(|run| Sampled {
            seconds: run.time.as_secs_f64(),
            base_bytes: run.base_bytes as f64,
            input_bytes: run.input_bytes as f64,
            held_bytes: run.held_bytes as f64,
            peak_bytes: run.peak_bytes as f64,
        })
        .collect();
    let outcome = match &size.failed {
        Some(words) => Err(words.clone()),
        None => Ok(Figures::of(&runs)?),
    };
    Some(Point { n: size.n, outcome })
}

fn refused(args: &Scale, function: &Function, kind: &str, words: String) -> Trouble {
    let (place, name) = (&function.place, &function.name);
    let python = args.python.to_string_lossy();
    match kind {
        "import" => Trouble::usage(
            format!("cannot import {place}"),
            words,
            if function.is_file {
                format!("{python} {place} (shows all of it)")
            } else {
                format!("{python} -c 'import {place}' (in its folder, with its interpreter: --python PATH)")
            },
        ),
        "name" => Trouble::usage(format!("{place} has no {name}"), words, format!("{python} -c 'import {place}; print(dir({place}))'")),
        "callable" => Trouble::usage(format!("{name} of {place} is no function"), words, "name a function that takes n"),
        "argument" => Trouble::usage(
            format!("{name} of {place} cannot be called with n alone"),
            words,
            "a function of one argument; --input EXPRESSION makes that of n",
        ),
        _ => Trouble::usage(
            format!("--input {} makes no argument", args.input.as_deref().unwrap_or_default()),
            words,
            "an expression of n with the names of the module: --input 'list(range(n))'",
        ),
    }
}

fn no_python(args: &Scale, words: String) -> Trouble {
    let what = format!("{} did not start as a Python", args.python.to_string_lossy());
    Trouble::usage(what, words, "--python PATH (an interpreter, 3.8 or newer: ~/venv/bin/python)")
}
