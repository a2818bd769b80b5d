//! What is measured in each run, and how a variant's differs from the base's.
//!
//! Holds: [`of`], [`judged`]. Never does: run anything, word a verdict.

use report::compare::{Against, Figure, Spread, Unit, Variant};
use trial::{summary, verdict, Run};

use super::Trial;
use crate::cli::Dimension;

/// Differences below these shares are not worth telling.
const LEAST_OF_MEMORY: f64 = 0.01;
const LEAST_OF_TIME: f64 = 0.02;
/// Nor is one of the collector's time that is below this share of the program's.
const LEAST_OF_ALL_TIME: f64 = 0.001;

const PEAK: Measure = judged_one("peak_rss_bytes", "peak RSS", Some("peak RSS"), Unit::Bytes);
const END: Measure = judged_one("end_rss_bytes", "RSS at end", Some("at end"), Unit::Bytes);
const SECONDS: Measure = judged_one("seconds", "time", Some("time"), Unit::Seconds);
const COLLECTOR: Measure = judged_one("collector_seconds", "collector time", Some("collector"), Unit::Seconds);
/// Told and not judged, as some below: one more test would cost all others some of their power.
const CPU: Measure = told_one("cpu_seconds", None, Unit::Seconds);

/// Of a program that is run.
const OF_PROGRAMS: [Measure; 5] = [PEAK, END, SECONDS, COLLECTOR, CPU];

/// Of a function that is called here and apart: of the process that wants its result, but for the last.
pub(super) const OF_CALLS: [Measure; 9] = [
    PEAK,
    told_one("before_rss_bytes", Some("before"), Unit::Bytes),
    judged_one("after_rss_bytes", "RSS after it", Some("after"), Unit::Bytes),
    judged_one("collected_rss_bytes", "RSS after gc.collect()", Some("collected"), Unit::Bytes),
    SECONDS,
    told_one("transfer_seconds", None, Unit::Seconds),
    told_one("sent_bytes", None, Unit::Bytes),
    told_one("returned_bytes", None, Unit::Bytes),
    told_one("child_peak_rss_bytes", None, Unit::Bytes),
];

/// So many tests has a variant against the base.
pub(super) const TESTS: usize = 4;

/// A figure, and whether it is a test.
#[derive(Clone, Copy)]
pub(super) struct Measure {
    pub(super) figure: Figure,
    is_judged: bool,
}

const fn judged_one(key: &'static str, words: &'static str, column: Option<&'static str>, unit: Unit) -> Measure {
    Measure { figure: Figure { key, words, column, unit }, is_judged: true }
}

const fn told_one(key: &'static str, column: Option<&'static str>, unit: Unit) -> Measure {
    Measure { figure: Figure { key, words: key, column, unit }, is_judged: false }
}

fn measures(dimension: Dimension) -> &'static [Measure] {
    match dimension {
        Dimension::Isolation => &OF_CALLS,
        _ => &OF_PROGRAMS,
    }
}

/// The figures of a run of a program.
pub(super) fn of(run: &Run) -> Vec<Option<f64>> {
    vec![
        Some(run.peak_rss_bytes as f64),
        run.end_rss_bytes.map(|bytes| bytes as f64),
        Some(run.time.as_secs_f64()),
        run.collector.map(|c| c.time.as_secs_f64()),
        Some(run.cpu.as_secs_f64()),
    ]
}

/// The figures with their verdicts: of variants that are proved and never failed, against a base that is and did not.
pub(super) fn judged(dimension: Dimension, variants: &[Trial]) -> (Vec<Figure>, Vec<Variant>) {
    let measures = measures(dimension);
    let sound = |v: &Trial| v.failed.is_none() && matches!(v.proof, Some(Ok(_)));
    let base = variants.first().filter(|v| sound(v));
    let tests = TESTS * variants.len().saturating_sub(1);
    let values = |v: &Trial, i: usize| -> Vec<f64> { v.runs.iter().filter_map(|run| run.get(i).copied().flatten()).collect() };
    // The runs of one round stand at the same place: neither has failed.
    let pairs = |base: &Trial, v: &Trial, i: usize| -> Vec<(f64, f64)> {
        let value = |run: &[Option<f64>]| run.get(i).copied().flatten();
        base.runs.iter().zip(&v.runs).filter_map(|(a, b)| value(a).zip(value(b))).collect()
    };
    let time = measures.iter().position(|m| m.figure.key == SECONDS.figure.key);
    let spread = |of_base: bool, v: &Trial, i: usize, measure: &Measure| {
        let own = values(v, i);
        let s = summary(&own)?;
        let against = base.filter(|_| !of_base && measure.is_judged && sound(v)).and_then(|base| {
            let all = time.and_then(|i| summary(&values(base, i))).map_or(0.0, |s| s.median);
            let of_base = summary(&values(base, i))?;
            // Neither had any collection.
            let is_nothing = of_base.high == 0.0 && s.high == 0.0;
            verdict(&pairs(base, v, i), tests, least(measure, of_base.median, all)).filter(|_| !is_nothing)
        });
        let against = against.map(|v| Against { change: v.change, noise: v.noise, differs: v.differs });
        Some(Spread { median: s.median, low: s.low, high: s.high, against })
    };
    let rows = variants.iter().enumerate().map(|(nth, v)| Variant {
        name: v.name.clone(),
        spreads: measures.iter().enumerate().map(|(i, measure)| spread(nth == 0, v, i, measure)).collect(),
        runs: v.runs.clone(),
        proof: v.proof.clone().unwrap_or_else(|| Err("it did not run to its end".into())),
        failed: v.failed.clone(),
        failures: v.failures,
    });
    (measures.iter().map(|measure| measure.figure).collect(), rows.collect())
}

/// What is worth telling, as a share of the base's median; `all` is the base's time.
fn least(measure: &Measure, base: f64, all: f64) -> f64 {
    match measure.figure.unit {
        Unit::Bytes => LEAST_OF_MEMORY,
        Unit::Seconds if measure.figure.key == COLLECTOR.figure.key && base > 0.0 => LEAST_OF_TIME.max(LEAST_OF_ALL_TIME * all / base),
        Unit::Seconds => LEAST_OF_TIME,
    }
}
