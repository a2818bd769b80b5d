//! `compare`: variants of one program side by side, in both forms.

use std::io::{self, Write};

use memory::Bytes;
use serde::Serialize;

use crate::table::{Align, Table};
use crate::{head, json, text, Style};

/// A comparison that was made.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Runs of each variant that were asked for.
    pub repeat: usize,
    /// Runs with which a difference can be told at all.
    pub fewest: usize,
    /// The variants; the first is the base.
    pub variants: Vec<Variant>,
    /// Why it ended before all runs.
    pub ended: Option<String>,
}

/// One variant.
#[derive(Clone, Debug)]
pub struct Variant {
    /// As it was asked for.
    pub name: String,
    /// Its figures.
    pub peak: Option<Spread>,
    /// RSS at its end.
    pub end: Option<Spread>,
    /// Seconds by the clock.
    pub seconds: Option<Spread>,
    /// Seconds in the cyclic collector.
    pub collector: Option<Spread>,
    /// Each run's peak and seconds, in the order in which they ran.
    pub runs: Vec<RunFigures>,
    /// What proves that it was in use, or why that is not proved.
    pub proof: Result<String, String>,
    /// How it failed.
    pub failed: Option<String>,
}

/// A median, the least and the most, and how the variant differs from the base.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least.
    pub low: f64,
    /// The most.
    pub high: f64,
    /// Of the medians, relative to the base, and whether that is more than noise.
    pub verdict: Option<(f64, bool)>,
}

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RunFigures {
    /// The most that was resident.
    pub peak_rss_bytes: u64,
    /// What was resident at the end.
    pub end_rss_bytes: Option<u64>,
    /// By the clock.
    pub seconds: f64,
    /// In the collector.
    pub collector_seconds: Option<f64>,
}

/// The table, a line for each variant that differs or failed.
pub fn table(out: &mut dyn Write, comparison: &Comparison, style: &Style) -> io::Result<()> {
    let runs = comparison.variants.iter().map(|v| v.runs.len()).min().unwrap_or_default();
    let words: Vec<String> = comparison.command.iter().map(|word| text::shell_quoted(word)).collect();
    head::write_cut(out, &text::visible(&words.join(" ")), style)?;
    let few = if runs < comparison.fewest { format!(", a verdict needs {}", comparison.fewest) } else { String::new() };
    writeln!(out, "{} of each of {} variants{few}\n", text::counted(runs as u64, "run"), comparison.variants.len())?;
    let columns = [
        ("variant", Align::Left),
        ("peak RSS", Align::Right),
        ("at end", Align::Right),
        ("time", Align::Right),
        ("collector", Align::Right),
    ];
    let mut table = Table::new(style, &columns);
    let bytes = |spread: &Option<Spread>| spread.map_or("-".into(), |s| Bytes(s.median as u64).to_string());
    let time = |spread: &Option<Spread>| spread.map_or("-".into(), |s| text::duration_ms(s.median * 1000.0));
    let range = |low: String, high: String| format!("{low}-{high}");
    let mut rows: Vec<[String; 5]> = Vec::new();
    for v in &comparison.variants {
        rows.push([text::escaped(&v.name).into_owned(), bytes(&v.peak), bytes(&v.end), time(&v.seconds), time(&v.collector)]);
        let mib = |s: &Option<Spread>| s.map_or(String::new(), |s| range(mib(s.low), mib(s.high)));
        let ms = |s: &Option<Spread>| s.map_or(String::new(), |s| range(ms(s.low), ms(s.high)));
        rows.push(["  least-most, MiB, ms".into(), mib(&v.peak), mib(&v.end), ms(&v.seconds), ms(&v.collector)]);
    }
    rows.iter().for_each(|row| table.fit(row));
    table.header(out)?;
    rows.iter().try_for_each(|row| table.row(out, row))?;
    writeln!(out)?;
    for (i, variant) in comparison.variants.iter().enumerate() {
        for line in text::folded(&format!("{}: {}", variant.name, sentence(variant, i == 0)), style.width.unwrap_or(100)) {
            writeln!(out, "{}", text::visible(&line))?;
        }
    }
    match &comparison.ended {
        Some(why) => writeln!(out, "ended early: {}", text::visible(why)),
        None => Ok(()),
    }
}

fn mib(bytes: f64) -> String {
    format!("{:.1}", bytes / f64::from(1 << 20))
}

fn ms(seconds: f64) -> String {
    format!("{:.0}", seconds * 1000.0)
}

/// What is to say of a variant.
fn sentence(variant: &Variant, base: bool) -> String {
    if let Some(failed) = &variant.failed {
        return format!("failed: {failed}");
    }
    let proof = match &variant.proof {
        Ok(proof) => proof,
        Err(why) => return format!("no verdict, it is not proved to be in use: {why}"),
    };
    let figures =
        [("at the peak", variant.peak), ("at the end", variant.end), ("time", variant.seconds), ("in the collector", variant.collector)];
    let told = |(what, spread): (&str, Option<Spread>)| {
        let (change, differs) = spread?.verdict?;
        let percent = (change.abs() * 100.0).round();
        let amount = if change.is_finite() { format!("{percent} % {}", if change < 0.0 { "less" } else { "more" }) } else { "some".into() };
        Some(if differs { format!("{amount} {what} (sure)") } else { format!("{what}: no difference beyond noise") })
    };
    let told: Vec<String> = figures.into_iter().filter_map(told).collect();
    match (base, told.is_empty()) {
        (true, _) => format!("the base ({proof})"),
        (_, true) => format!("no verdict ({proof})"),
        _ => format!("{} ({proof})", told.join(", ")),
    }
}

/// One JSON object: schema `exuvia/compare/1`.
pub fn json(out: &mut dyn Write, comparison: &Comparison) -> io::Result<()> {
    let variants = comparison.variants.iter().enumerate().map(|(i, v)| VariantJson::new(v, i == 0)).collect();
    let answer = Answer {
        schema: "exuvia/compare/1",
        command: &comparison.command,
        repeat: comparison.repeat,
        fewest_for_a_verdict: comparison.fewest,
        base: comparison.variants.first().map(|v| v.name.as_str()),
        ended: comparison.ended.as_deref(),
        variants,
    };
    json::line(out, &answer)
}

#[derive(Serialize)]
struct Answer<'s> {
    schema: &'static str,
    command: &'s [String],
    repeat: usize,
    fewest_for_a_verdict: usize,
    base: Option<&'s str>,
    ended: Option<&'s str>,
    variants: Vec<VariantJson<'s>>,
}

#[derive(Serialize)]
struct VariantJson<'s> {
    name: &'s str,
    peak_rss_bytes: Option<SpreadJson>,
    end_rss_bytes: Option<SpreadJson>,
    seconds: Option<SpreadJson>,
    collector_seconds: Option<SpreadJson>,
    runs: &'s [RunFigures],
    proved: bool,
    proof: &'s str,
    failed: Option<&'s str>,
    verdict: String,
}

impl<'s> VariantJson<'s> {
    fn new(v: &'s Variant, base: bool) -> Self {
        let (Ok(proof) | Err(proof)) = &v.proof;
        let spread = |s: Option<Spread>| s.map(SpreadJson::new);
        VariantJson {
            name: &v.name,
            peak_rss_bytes: spread(v.peak),
            end_rss_bytes: spread(v.end),
            seconds: spread(v.seconds),
            collector_seconds: spread(v.collector),
            runs: &v.runs,
            proved: v.proof.is_ok(),
            proof,
            failed: v.failed.as_deref(),
            verdict: sentence(v, base),
        }
    }
}

#[derive(Serialize)]
struct SpreadJson {
    median: f64,
    low: f64,
    high: f64,
    change: Option<f64>,
    differs: Option<bool>,
}

impl SpreadJson {
    fn new(s: Spread) -> Self {
        let change = s.verdict.map(|(change, _)| change).filter(|c| c.is_finite());
        SpreadJson { median: s.median, low: s.low, high: s.high, change, differs: s.verdict.map(|(_, differs)| differs) }
    }
}
