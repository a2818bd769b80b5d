//! What is measured in each run, and how a variant's differs from the base's.
//!
//! Holds: [`judged`]. Never does: run anything, word a verdict.

use report::compare::{Against, Figure, Spread, Unit, Variant};
use trial::{summary, verdict, Run};

use super::Trial;

/// Differences below these shares are not worth telling.
const LEAST_OF_MEMORY: f64 = 0.01;
const LEAST_OF_TIME: f64 = 0.02;
/// Nor is one of the collector's time that is below this share of the program's.
const LEAST_OF_ALL_TIME: f64 = 0.001;

type Value = fn(&Run) -> Option<f64>;

const PEAK: Figure = Figure { key: "peak_rss_bytes", words: "peak RSS", column: Some("peak RSS"), unit: Unit::Bytes };
const END: Figure = Figure { key: "end_rss_bytes", words: "RSS at end", column: Some("at end"), unit: Unit::Bytes };
const SECONDS: Figure = Figure { key: "seconds", words: "time", column: Some("time"), unit: Unit::Seconds };
const COLLECTOR: Figure = Figure { key: "collector_seconds", words: "collector time", column: Some("collector"), unit: Unit::Seconds };

const CPU: Figure = Figure { key: "cpu_seconds", words: "processor time", column: None, unit: Unit::Seconds };

/// The first ones are a test each.
const FIGURES: [(Figure, Value); TESTS + 1] = [
    (PEAK, |run| Some(run.peak_rss_bytes as f64)),
    (END, |run| run.end_rss_bytes.map(|bytes| bytes as f64)),
    (SECONDS, |run| Some(run.time.as_secs_f64())),
    (COLLECTOR, |run| run.collector.map(|c| c.time.as_secs_f64())),
    // Told and not judged: one more test would cost all others some of their power.
    (CPU, |run| Some(run.cpu.as_secs_f64())),
];

/// So many tests has a variant against the base.
pub(super) const TESTS: usize = 4;

/// The figures with their verdicts: of variants that are proved and never failed, against a base that is and did not.
pub(super) fn judged(variants: &[Trial]) -> (Vec<Figure>, Vec<Variant>) {
    let sound = |v: &Trial| v.failed.is_none() && matches!(v.proof, Some(Ok(_)));
    let base = variants.first().filter(|v| sound(v));
    let tests = TESTS * variants.len().saturating_sub(1);
    let values = |v: &Trial, value: Value| -> Vec<f64> { v.runs.iter().filter_map(value).collect() };
    let median = |v: &Trial, value: Value| summary(&values(v, value)).map(|s| s.median);
    let spread = |i: usize, v: &Trial, (figure, value): &(Figure, Value)| {
        let own = values(v, *value);
        let s = summary(&own)?;
        let against = base.filter(|_| i > 0 && figure.column.is_some() && sound(v)).and_then(|base| {
            let least = match figure.key {
                key if key == COLLECTOR.key => {
                    let all = median(base, |run| Some(run.time.as_secs_f64())).unwrap_or_default();
                    let collector = median(base, *value).unwrap_or_default();
                    if collector > 0.0 {
                        LEAST_OF_TIME.max(LEAST_OF_ALL_TIME * all / collector)
                    } else {
                        LEAST_OF_TIME
                    }
                }
                _ if figure.unit == Unit::Bytes => LEAST_OF_MEMORY,
                _ => LEAST_OF_TIME,
            };
            verdict(&values(base, *value), &own, tests, least)
        });
        let against = against.map(|v| Against { change: v.change, noise: v.noise, differs: v.differs });
        Some(Spread { median: s.median, low: s.low, high: s.high, against })
    };
    let rows = variants.iter().enumerate().map(|(i, v)| Variant {
        name: v.name.clone(),
        spreads: FIGURES.iter().map(|figure| spread(i, v, figure)).collect(),
        runs: v.runs.iter().map(|run| FIGURES.iter().map(|(_, value)| value(run)).collect()).collect(),
        proof: v.proof.clone().unwrap_or_else(|| Err("it did not run to its end".into())),
        failed: v.failed.clone(),
        failures: v.failures,
    });
    (FIGURES.iter().map(|(figure, _)| *figure).collect(), rows.collect())
}
