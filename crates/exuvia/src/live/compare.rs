//! The runs of `exuvia compare`: which variant is run when, and what is made of the figures.
//!
//! Holds: [`compare`]. Never does: print, decide what is more than noise (`trial::verdict` does).
//! Each round runs every variant once, and starts at another one, so that nothing that comes and goes with time falls on one of them.

use std::ffi::OsString;

use report::compare::{Comparison, RunFigures, Spread, Variant};
use target::{Ending, TakeOptions};
use trial::{
    environment_of, fewest_runs, malloc_of, prove, summary, verdict, Allocators, Program, Run, Setting, Stop, TrialError, Trials, Way,
};

use crate::cli::{Compare, Dimension};
use crate::live::refusals;
use crate::progress::Progress;
use crate::trouble::Trouble;

/// Runs of each variant, where not said and where as many are enough for a verdict.
const REPEAT: usize = 7;
/// Peak, end, time, collector: each is a test of its own.
const FIGURES: usize = 4;
/// Differences below these shares are not worth telling.
const LEAST_OF_MEMORY: f64 = 0.01;
const LEAST_OF_TIME: f64 = 0.02;

/// A variant and its runs.
struct Trial {
    name: String,
    program: Program,
    way: Way,
    allocators: Option<Allocators>,
    runs: Vec<Run>,
    proof: Option<Result<String, String>>,
    failed: Option<String>,
}

/// Runs the program under each variant.
pub(crate) fn compare(args: &Compare, dimension: Dimension, names: &[String]) -> Result<Comparison, Trouble> {
    let stop = Stop::catch();
    let trials = Trials::new(TakeOptions::default().guardian, stop).map_err(trouble)?;
    let progress = Progress::start("running each variant once");
    let mut variants = names.iter().map(|name| planned(args, dimension, name)).collect::<Result<Vec<Trial>, Trouble>>()?;
    let fewest = fewest_runs(FIGURES * (variants.len() - 1));
    let repeat = args.repeat.map_or(REPEAT.max(fewest), |n| n as usize);
    let mut ended = None;
    'rounds: for round in 0..repeat {
        let count = variants.len();
        for turn in 0..count {
            let Some(variant) = variants.get_mut((turn + round) % count) else { continue };
            if variant.failed.is_some() {
                continue;
            }
            one(&trials, variant, dimension)?;
            if trials.stopped() {
                ended = Some(format!("stopped in round {} of {repeat}", round + 1));
                break 'rounds;
            }
        }
        progress.step("running all variants again");
        if variants.iter().all(|v| v.failed.is_some()) {
            return Err(nothing_runs(args, &variants));
        }
    }
    drop(progress);
    let command = args.program.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    Ok(Comparison { command, repeat, fewest, variants: judged(&variants), ended })
}

fn planned(args: &Compare, dimension: Dimension, name: &str) -> Result<Trial, Trouble> {
    let mut program = Program { argv: args.program.clone(), ..Program::default() };
    let mut way = Way { limit: args.run_limit, ..Way::default() };
    let mut allocators = None;
    match dimension {
        Dimension::Allocators => {
            let cannot = |e: trial::AllocatorError| {
                Trouble::usage(
                    format!("the allocator {name} cannot be used"),
                    e.to_string(),
                    "exuvia compare --allocators glibc,arena-max=2,malloc -- python3 app.py",
                )
            };
            let chosen = Allocators::parse(name).map_err(cannot)?;
            program.env = chosen.environment().map_err(cannot)?;
            allocators = Some(chosen);
        }
        Dimension::Collector => way.collector = setting(name)?,
        Dimension::Pythons => {
            if let Some(first) = program.argv.first_mut() {
                *first = OsString::from(name);
            }
        }
    }
    Ok(Trial { name: name.into(), program, way, allocators, runs: Vec::new(), proof: None, failed: None })
}

/// `threshold=50000:20:100`, since a comma separates variants.
fn setting(name: &str) -> Result<Setting, Trouble> {
    let numbers = |text: &str| text.split(':').map(|n| n.parse().ok()).collect::<Option<Vec<u32>>>().filter(|n| (1..=3).contains(&n.len()));
    match (name, name.strip_prefix("threshold=").and_then(numbers)) {
        ("default", _) => Ok(Setting::Default),
        ("off", _) => Ok(Setting::Off),
        ("freeze", _) => Ok(Setting::Freeze),
        (_, Some(numbers)) => Ok(Setting::Threshold(numbers)),
        _ => Err(Trouble::usage(
            format!("{name} is no setting of the collector"),
            "there are default, off, freeze, threshold=A, threshold=A:B:C",
            "exuvia compare --gc default,off,threshold=50000:20:100 -- python3 app.py",
        )),
    }
}

fn one(trials: &Trials, variant: &mut Trial, dimension: Dimension) -> Result<(), Trouble> {
    let (mut malloc, mut environment) = (Err("it was not seen at its end".to_string()), Vec::new());
    let seen = trials.run(&variant.program, &variant.way, |process| {
        if variant.allocators.is_some() {
            (malloc, environment) = (malloc_of(process), environment_of(process));
        }
    });
    let run = match seen {
        Ok(run) => run,
        Err(TrialError::Target(e)) => {
            let refused = refusals::target(e);
            variant.failed = Some(format!("{}: {}", refused.what(), refused.why()));
            return Ok(());
        }
        Err(e) => return Err(trouble(e)),
    };
    if trials.stopped() {
        return Ok(());
    }
    if !run.succeeded() {
        variant.failed = Some(failure(&run));
        return Ok(());
    }
    let proof = match (variant.allocators, dimension) {
        (Some(chosen), _) => prove(chosen, &malloc, &environment, run.collector.as_ref()),
        (_, Dimension::Collector) => reached(&variant.way.collector, &run),
        _ => Ok("started by its path".into()),
    };
    // One run without proof is enough.
    if !matches!(variant.proof, Some(Err(_))) {
        variant.proof = Some(proof);
    }
    variant.runs.push(run);
    Ok(())
}

/// Whether the collector was as it was asked for at the end.
fn reached(setting: &Setting, run: &Run) -> Result<String, String> {
    let Some(collector) = &run.collector else { return Err("no Python told: it may ignore its environment (-I, -E) or be none".into()) };
    let collections = collector.collections;
    match setting {
        Setting::Default => Ok(format!("{collections} collections")),
        Setting::Off if collector.enabled => Err("the program switched the collector on again".into()),
        Setting::Off => Ok(format!("switched off, {collections} collections")),
        Setting::Freeze if collector.frozen == 0 => Err("nothing was frozen: there was no full collection and no fork".into()),
        Setting::Freeze => Ok(format!("{} objects frozen", collector.frozen)),
        Setting::Threshold(numbers) if collector.thresholds.iter().zip(numbers).all(|(a, b)| a == b) => {
            Ok(format!("thresholds {:?}, {collections} collections", collector.thresholds))
        }
        Setting::Threshold(_) => Err(format!("the program's thresholds are {:?}", collector.thresholds)),
    }
}

fn failure(run: &Run) -> String {
    let how = match run.ending {
        _ if run.over => "ended by us, its time was over".to_string(),
        Ending::Code(code) => format!("it ended with exit code {code}"),
        Ending::Signal(signal) => format!("it ended by signal {signal}"),
    };
    match run.last_words.trim().lines().last() {
        Some(words) => format!("{how}: {words}"),
        None => how,
    }
}

/// The figures with their verdicts: of variants that are proved, against a base that is.
fn judged(variants: &[Trial]) -> Vec<Variant> {
    let sound = |v: &Trial| v.failed.is_none() && matches!(v.proof, Some(Ok(_)));
    let base = variants.first().filter(|v| sound(v));
    let tests = FIGURES * variants.len().saturating_sub(1);
    let values = |v: &Trial, figure: fn(&Run) -> Option<f64>| -> Vec<f64> { v.runs.iter().filter_map(figure).collect() };
    let mut rows = Vec::new();
    for (i, v) in variants.iter().enumerate() {
        let spread = |figure: fn(&Run) -> Option<f64>, least: f64| {
            let own = values(v, figure);
            let s = summary(&own)?;
            let against = base.filter(|_| i > 0 && sound(v)).and_then(|base| verdict(&values(base, figure), &own, tests, least));
            Some(Spread { median: s.median, low: s.low, high: s.high, verdict: against.map(|v| (v.change, v.differs)) })
        };
        rows.push(Variant {
            name: v.name.clone(),
            peak: spread(|run| Some(run.peak_rss_bytes as f64), LEAST_OF_MEMORY),
            end: spread(|run| run.end_rss_bytes.map(|b| b as f64), LEAST_OF_MEMORY),
            seconds: spread(|run| Some(run.time.as_secs_f64()), LEAST_OF_TIME),
            collector: spread(|run| run.collector.map(|c| c.time.as_secs_f64()), LEAST_OF_TIME),
            runs: v.runs.iter().map(figures).collect(),
            proof: v.proof.clone().unwrap_or_else(|| Err("it did not run to its end".into())),
            failed: v.failed.clone(),
        });
    }
    rows
}

fn figures(run: &Run) -> RunFigures {
    RunFigures {
        peak_rss_bytes: run.peak_rss_bytes,
        end_rss_bytes: run.end_rss_bytes,
        seconds: run.time.as_secs_f64(),
        collector_seconds: run.collector.map(|c| c.time.as_secs_f64()),
    }
}

fn nothing_runs(args: &Compare, variants: &[Trial]) -> Trouble {
    let why = variants.first().and_then(|v| v.failed.clone()).unwrap_or_default();
    let words: Vec<String> = args.program.iter().map(|word| report::text::shell_quoted(&word.to_string_lossy())).collect();
    Trouble::target("the program fails in every variant", why, words.join(" "))
}

fn trouble(e: TrialError) -> Trouble {
    match e {
        TrialError::Target(e) => refusals::target(e),
        TrialError::Folder { .. } => {
            Trouble::own_with("cannot write what runs need", e.to_string(), "df $TMPDIR /tmp, or TMPDIR=FOLDER exuvia compare …")
        }
    }
}
