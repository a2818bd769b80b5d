//! The runs of `exuvia compare`: which variant is run when, and what becomes of one that fails.
//!
//! Holds: [`compare`], [`Trial`]. Never does: print, decide what is more than noise (`trial::verdict` does).
//! One round before the measured ones brings files into the page cache and modules into `__pycache__`; it also shows what fails. Each
//! round has an order of its own, so that nothing that comes and goes with time, and no neighbour, falls on one variant.

mod figures;
mod isolate;
mod plan;

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use report::compare::Comparison;
use target::{Ending, TakeOptions, TargetError};
use trial::{fewest_runs, prove, Allocators, Order, Program, Run, Seen, Setting, Stop, TrialError, Trials, Way, Witness};

use self::plan::Plan;
use super::imports::trouble;
use crate::cli::{Compare, Dimension};
use crate::live::refusals;
use crate::progress::Progress;
use crate::trouble::Trouble;

/// Measured runs of each variant, where not said and where as many are enough for a verdict: with one more or less disturbed run among
/// them a difference is still told.
const REPEAT: usize = 9;
/// Short programs are noisier and cheap to run again: as many rounds as fit in this time, up to this number. On a virtual machine whose
/// runs vary by a fifth, 30 rounds tell a difference of an eighth of the time in nine of ten comparisons, 9 rounds in one of four.
const ROUNDS_FOR: Duration = Duration::from_secs(15);
const ROUNDS_MOST: usize = 30;
/// A variant that failed so often is not run again.
const FAILURES_MOST: usize = 3;
/// And one that never ran to its end, so often.
const FAILURES_AT_FIRST: usize = 2;

/// A variant and its runs.
#[derive(Debug)]
struct Trial {
    name: String,
    program: Program,
    way: Way,
    allocators: Option<Allocators>,
    /// What it is, where that is known before it runs.
    known: Option<String>,
    /// The function, where it is one that is called.
    called: Option<isolate::Called>,
    /// Of each figure.
    runs: Vec<Vec<Option<f64>>>,
    proof: Option<Result<String, String>>,
    failed: Option<String>,
    failures: usize,
}

impl Trial {
    fn is_given_up(&self) -> bool {
        self.failures >= if self.runs.is_empty() { FAILURES_AT_FIRST } else { FAILURES_MOST }
    }

    fn fails(&mut self, why: String) {
        self.failures += 1;
        self.failed.get_or_insert(why);
    }
}

/// Runs the program under each variant.
pub(crate) fn compare(args: &Compare, dimension: Dimension, names: &[String]) -> Result<Comparison, Trouble> {
    let fewest = fewest_runs(figures::TESTS * names.len().saturating_sub(1));
    let repeat = args.repeat.map_or(REPEAT.max(fewest), |n| n as usize);
    if repeat < fewest {
        return Err(Trouble::usage(
            format!("--repeat {repeat} is too few for any verdict"),
            format!("of {} variants a difference can be told from {fewest} runs of each on", names.len()),
            format!("exuvia compare --repeat {fewest} …"),
        ));
    }
    let seed = args.seed.map_or_else(seed, Ok)?;
    let stop = Stop::catch();
    let trials = Trials::new(TakeOptions::default().guardian, stop.clone()).map_err(trouble)?;
    // Dropped before the folder that they are in.
    let mut plan = Plan::new(args, dimension, trials.folder(), stop);
    let mut variants = Vec::new();
    for name in names {
        variants.push(plan.variant(name)?);
        if trials.stopped() {
            return Err(nothing_ran(args, &variants, true));
        }
    }
    let (repeat, ended) = rounds(&trials, dimension, &mut variants, repeat..=args.repeat.map_or(ROUNDS_MOST, |_| repeat), seed)?;
    if variants.iter().all(|v| v.runs.is_empty()) {
        return Err(nothing_ran(args, &variants, trials.stopped()));
    }
    let command = match &args.isolate {
        Some(function) => vec![function.clone()],
        None => args.program.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
    };
    let (figures, variants) = figures::judged(dimension, &variants);
    let mut notes = std::mem::take(&mut plan.notes);
    notes.extend(isolate::note(&figures, &variants));
    Ok(Comparison { command, repeat, fewest, seed, figures, variants, notes, ended })
}

fn seed() -> Result<u32, Trouble> {
    getrandom::u32().map_err(|e| Trouble::own("the system gives no random number", e.to_string()))
}

/// Runs them, in a number of rounds that is in the range; says that number, and why not all were run.
fn rounds(
    trials: &Trials,
    dimension: Dimension,
    variants: &mut [Trial],
    repeat: RangeInclusive<usize>,
    seed: u32,
) -> Result<(usize, Option<String>), Trouble> {
    let (least, most) = repeat.into_inner();
    let (mut repeat, mut round) = (least, 0);
    let (mut order, mut witness) = (Order::new(seed), Witness::default());
    let progress = Progress::start("running each variant once");
    let (began, mut done) = (Instant::now(), 0u32);
    while round <= repeat {
        for (turn, which) in order.next_of(variants.len()).into_iter().enumerate() {
            let turns = variants.iter().filter(|v| !v.is_given_up()).count();
            let Some(variant) = variants.get_mut(which).filter(|v| !v.is_given_up()) else { continue };
            let left = (repeat - round) * turns + turns.saturating_sub(turn);
            progress.step(words(round, repeat, &variant.name, began.elapsed(), done, left));
            one(trials, &mut witness, variant, dimension, round == 0)?;
            done += 1;
            if trials.stopped() {
                let ended = match round {
                    0 => "stopped before the first measured round".into(),
                    _ => format!("stopped in round {round} of {repeat}"),
                };
                return Ok((repeat, Some(ended)));
            }
        }
        if variants.iter().all(Trial::is_given_up) {
            break;
        }
        if round == 0 {
            let fit = ROUNDS_FOR.as_secs_f64() / began.elapsed().as_secs_f64();
            repeat = (fit as usize).clamp(least, most.max(least));
        }
        round += 1;
    }
    Ok((repeat, None))
}

/// What is done now.
fn words(round: usize, repeat: usize, name: &str, spent: Duration, done: u32, left: usize) -> String {
    let name = report::text::escaped(name);
    let name = report::text::shortened(&name, 24);
    let round = if round == 0 { "a first run that is not measured".to_string() } else { format!("round {round} of {repeat}") };
    match spent.checked_div(done) {
        Some(each) => format!("{round}, {name}, about {} s left", each.saturating_mul(left.try_into().unwrap_or(u32::MAX)).as_secs()),
        None => format!("{round}, {name}"),
    }
}

/// One run of one variant.
fn one(trials: &Trials, witness: &mut Witness, variant: &mut Trial, dimension: Dimension, is_first: bool) -> Result<(), Trouble> {
    let mut seen = Seen::default();
    isolate::forget(variant.called.as_ref());
    let ran = trials.run(&variant.program, &variant.way, |process| {
        if variant.allocators.is_some() {
            seen = witness.look(process);
        }
    });
    if trials.stopped() {
        return Ok(());
    }
    let run = match ran {
        Ok(run) => run,
        // Of two revisions one may have the program.
        Err(TrialError::Target(e @ (TargetError::CannotStart { .. } | TargetError::NoProgram)))
            if is_first && dimension != Dimension::Revisions =>
        {
            return Err(refusals::target(e));
        }
        Err(TrialError::Target(e)) => {
            let refused = refusals::target(e);
            variant.fails(format!("{}: {}", refused.what(), refused.why()));
            return Ok(());
        }
        Err(e) => return Err(trouble(e)),
    };
    if !run.succeeded() {
        variant.fails(failure(&run));
        return Ok(());
    }
    let values = match &variant.called {
        None => figures::of(&run),
        Some(called) => match isolate::read(called) {
            Ok(values) => values,
            Err(refused) if is_first => return Err(isolate::refused(&refused, called, &variant.program)),
            Err(refused) => {
                variant.fails(refused.to_string());
                return Ok(());
            }
        },
    };
    let proof = match (variant.allocators, dimension) {
        (Some(chosen), _) => prove(chosen, &seen, &run).map_err(|e| e.to_string()),
        (_, Dimension::Collector) => reached(&variant.way.collector, &run),
        (_, Dimension::Revisions) => match &run.astray {
            Some(module) => Err(format!("{module} was imported from the working tree, not from the revision (an editable installation?)")),
            None => Ok(variant.known.clone().unwrap_or_default()),
        },
        (_, Dimension::Isolation) => Ok(variant.known.clone().unwrap_or_default()),
        _ => Ok(run.collector.map_or(String::new(), |c| format!("CPython {}", c.release.map(|n| n.to_string()).join(".")))),
    };
    // One run without proof is enough.
    if !matches!(variant.proof, Some(Err(_))) {
        variant.proof = Some(proof);
    }
    if !is_first {
        variant.runs.push(values);
    }
    Ok(())
}

/// Whether the collector was as it was asked for at the end.
fn reached(setting: &Setting, run: &Run) -> Result<String, String> {
    let Some(collector) = &run.collector else { return Err("no Python told: it may ignore its environment (-I, -E) or be none".into()) };
    let collections = report::text::counted(collector.collections, "collection");
    match setting {
        Setting::Default => Ok(collections),
        Setting::Off if collector.enabled => Err("the program switched the collector on again".into()),
        Setting::Off => Ok(format!("switched off, {collections}")),
        Setting::Freeze if collector.frozen == 0 => Err("nothing was frozen: there was no full collection and no fork".into()),
        Setting::Freeze => Ok(format!("{} frozen", report::text::counted(collector.frozen, "object"))),
        Setting::Threshold(numbers) if collector.thresholds.iter().zip(numbers).all(|(a, b)| a == b) => {
            Ok(format!("thresholds {:?}, {collections}", collector.thresholds))
        }
        Setting::Threshold(_) => Err(format!("the program's thresholds are {:?}", collector.thresholds)),
    }
}

/// How a run failed, with the last that it said.
fn failure(run: &Run) -> String {
    let how = match run.ending {
        _ if run.over => "it took longer than --run-limit".to_string(),
        Ending::Code(code) => format!("it ended with exit code {code}"),
        Ending::Signal(signal) => match nix::sys::signal::Signal::try_from(signal) {
            Ok(name) => format!("{name} ended it"),
            Err(_) => format!("signal {signal} ended it"),
        },
    };
    match run.last_words.trim().lines().last() {
        Some(words) => format!("{how}: {}", words.trim()),
        None => how,
    }
}

fn nothing_ran(args: &Compare, variants: &[Trial], stopped: bool) -> Trouble {
    if stopped {
        return Trouble::target("no run came to its end", "it was stopped before", "exuvia compare … again, and let it run");
    }
    let why = variants.first().and_then(|v| v.failed.clone()).unwrap_or_default();
    let words: Vec<String> = args.program.iter().map(|word| report::text::shell_quoted(&word.to_string_lossy())).collect();
    Trouble::target("the program fails in every variant", why, words.join(" "))
}
