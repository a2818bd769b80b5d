//! `compare`: variants of one program side by side, in both forms.
//!
//! Holds: [`Comparison`] and what is written of it. Never does: decide what is more than noise.

use std::io::{self, Write};

use memory::Bytes;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::table::{Align, Table};
use crate::{head, json, text, Style};

/// A variant's name in the table; whole it stands in its sentence.
const NAME_MOST: usize = 24;

/// A comparison that was made.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Runs of each variant that were asked for.
    pub repeat: usize,
    /// Runs with which a difference can be told at all.
    pub fewest: usize,
    /// Of the orders in which the variants ran.
    pub seed: u32,
    /// What is measured.
    pub figures: Vec<Figure>,
    /// The variants; the first is the base.
    pub variants: Vec<Variant>,
    /// What else is to know, each a sentence.
    pub notes: Vec<String>,
    /// Why it ended before all runs.
    pub ended: Option<String>,
}

/// Something that is measured in each run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Its name in JSON.
    pub key: &'static str,
    /// Its name in a sentence.
    pub words: &'static str,
    /// Its name above its column; none where it has no column.
    pub column: Option<&'static str>,
    /// What it counts.
    pub unit: Unit,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
}

/// One variant.
#[derive(Clone, Debug)]
pub struct Variant {
    /// As it was asked for.
    pub name: String,
    /// Of each figure.
    pub spreads: Vec<Option<Spread>>,
    /// Of each figure in each run that came to its end, in the order in which they ran.
    pub runs: Vec<Vec<Option<f64>>>,
    /// What proves that it was in use (in no words where nothing is to prove), or why that is not proved.
    pub proof: Result<String, String>,
    /// How its first failing run failed.
    pub failed: Option<String>,
    /// Runs that failed, the one before the measured ones included.
    pub failures: usize,
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
    /// Against the base.
    pub against: Option<Against>,
}

/// How a median differs from the base's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Against {
    /// The difference, as a share of the base's.
    pub change: f64,
    /// How far that may be off, as a share of the base's; `None` where the runs are too few to say.
    pub noise: Option<f64>,
    /// Whether it is more than noise.
    pub differs: bool,
}

/// The table, then a sentence for each variant.
pub fn table(out: &mut dyn Write, comparison: &Comparison, style: &Style) -> io::Result<()> {
    let words: Vec<String> = comparison.command.iter().map(|word| text::shell_quoted(word)).collect();
    if !words.is_empty() {
        head::write_cut(out, &text::visible(&words.join(" ")), style)?;
    }
    let runs: Vec<usize> = comparison.variants.iter().map(|v| v.runs.len()).collect();
    let (least, most) = (runs.iter().min().copied().unwrap_or_default(), runs.iter().max().copied().unwrap_or_default());
    let each = if least == most { text::counted(most as u64, "run") } else { format!("{least} to {most} runs") };
    let line = format!("{each} of each of {} variants in shuffled rounds after an unmeasured one", comparison.variants.len());
    head::write_cut(out, &line, style)?;
    writeln!(out)?;
    let shown: Vec<(usize, &Figure)> = comparison.figures.iter().enumerate().filter(|(_, figure)| figure.column.is_some()).collect();
    let mut columns = vec![("variant", Align::Left)];
    columns.extend(shown.iter().map(|(_, figure)| (figure.column.unwrap_or_default(), Align::Right)));
    let mut table = Table::new(style, &columns);
    let mut rows: Vec<Vec<String>> = Vec::new();
    for v in &comparison.variants {
        let mut medians = vec![text::shortened(&text::escaped(&v.name), NAME_MOST).into_owned()];
        let mut ranges = vec!["  low-high".to_string()];
        for (i, figure) in &shown {
            let spread = v.spreads.get(*i).copied().flatten();
            medians.push(spread.map_or("-".into(), |s| figure.unit.shown(s.median)));
            ranges.push(spread.map_or("-".into(), |s| figure.unit.range(s)));
        }
        let has_range = !v.runs.is_empty();
        rows.push(medians);
        rows.extend(has_range.then_some(ranges));
    }
    rows.iter().for_each(|row| table.fit(row));
    table.header(out)?;
    rows.iter().try_for_each(|row| table.row(out, row))?;
    writeln!(out)?;
    let mut lines: Vec<String> = Vec::new();
    for (i, variant) in comparison.variants.iter().enumerate() {
        lines.push(format!("{}: {}", text::escaped(&variant.name), text::visible(&sentence(comparison, variant, i == 0))));
    }
    lines.extend(comparison.notes.iter().map(|note| text::visible(note).into_owned()));
    lines.extend(comparison.ended.iter().map(|why| format!("ended early: {}", text::visible(why))));
    for line in lines {
        text::folded(&line, style.width.unwrap_or(100)).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    Ok(())
}

/// The differences against the base that are more than noise and more than this share, in words, for `--fail-over`; and the variants of
/// which nothing can be said, which have not passed either.
pub fn crossed(comparison: &Comparison, keys: &[&str], percent: f64) -> Option<String> {
    let (mut over, mut unknown) = (Vec::new(), Vec::new());
    for variant in comparison.variants.iter().skip(1) {
        let watched = comparison.figures.iter().zip(&variant.spreads).filter(|(figure, _)| keys.contains(&figure.key));
        let told: Vec<(&Figure, Against)> = watched.filter_map(|(figure, spread)| Some((figure, (*spread)?.against?))).collect();
        let name = text::escaped(&variant.name);
        if !told.iter().any(|(_, against)| against.noise.is_some()) {
            unknown.push(format!("{name}: {}", text::visible(&sentence(comparison, variant, false))));
        }
        for (figure, against) in told.iter().filter(|(_, against)| against.differs && against.change * 100.0 > percent) {
            over.push(format!("{} of {name} {}", figure.words, changed(against.change, against.noise)));
        }
    }
    let over = (!over.is_empty()).then(|| format!("{}: more than {percent} %", over.join(", ")));
    let all: Vec<String> = over.into_iter().chain(unknown).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// What is to say of a variant.
fn sentence(comparison: &Comparison, variant: &Variant, base: bool) -> String {
    if let Some(failed) = &variant.failed {
        return match variant.runs.len() {
            0 => format!("failed: {failed}"),
            runs => format!("no verdict, {} of {} runs failed: {failed}", variant.failures, runs + variant.failures),
        };
    }
    let proof = match &variant.proof {
        Ok(proof) if proof.is_empty() => String::new(),
        Ok(proof) => format!(" ({proof})"),
        Err(why) => return format!("no verdict, it is not proved to be in use: {why}"),
    };
    if base {
        return format!("the base{proof}");
    }
    let runs = variant.runs.len().min(comparison.variants.first().map_or(0, |base| base.runs.len()));
    let told: Vec<(&Figure, Against)> =
        comparison.figures.iter().zip(&variant.spreads).filter_map(|(figure, spread)| Some((figure, (*spread)?.against?))).collect();
    match comparison.variants.first() {
        Some(base) if base.failed.is_some() => return format!("no verdict, the base failed{proof}"),
        Some(base) if base.proof.is_err() => return format!("no verdict, the base is not proved to be in use{proof}"),
        _ if runs < comparison.fewest => {
            return format!(
                "no verdict, {} of each and the base are too few: {} are needed{proof}",
                text::counted(runs as u64, "run"),
                comparison.fewest
            )
        }
        _ if told.is_empty() => return format!("no verdict{proof}"),
        _ => {}
    }
    let differ: Vec<String> = told
        .iter()
        .filter(|(_, against)| against.differs)
        .map(|(figure, against)| format!("{} {}", figure.words, changed(against.change, against.noise)))
        .collect();
    let within: Vec<String> = told
        .iter()
        .filter(|(_, against)| !against.differs)
        .map(|(figure, against)| match against.noise {
            Some(noise) => format!("{} (±{})", figure.words, noise_share(noise)),
            None => figure.words.to_string(),
        })
        .collect();
    let within = format!("no difference found, less than the noise: {}", within.join(", "));
    match (differ.is_empty(), told.iter().all(|(_, against)| against.differs)) {
        (_, true) => format!("{}{proof}", differ.join(", ")),
        (false, false) => format!("{}; {within}{proof}", differ.join(", ")),
        (true, false) => format!("{within}{proof}"),
    }
}

/// `−27 % (noise ±2 %)`.
fn changed(change: f64, noise: Option<f64>) -> String {
    if !change.is_finite() {
        return "from nothing".into();
    }
    let sign = if change < 0.0 { '−' } else { '+' };
    let noise = noise.map_or(String::new(), |noise| format!(" (noise ±{})", noise_share(noise)));
    format!("{sign}{}{noise}", share(change.abs()))
}

/// `27 %`, `2.3 %`.
fn share(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 9.95 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// The same of what is uncertain: never none.
fn noise_share(noise: f64) -> String {
    share(noise.max(0.001))
}

impl Unit {
    fn shown(self, value: f64) -> String {
        match self {
            Unit::Bytes => Bytes(value as u64).to_string(),
            Unit::Seconds => text::duration_ms(value * 1000.0),
        }
    }

    /// Both ends, in the unit in which the median is shown.
    fn range(self, s: Spread) -> String {
        let median = self.shown(s.median);
        let (number, unit) = median.rsplit_once(' ').unwrap_or((&median, ""));
        let factor = match unit {
            "KiB" => 1024.0,
            "MiB" => 1024.0 * 1024.0,
            "GiB" => 1024.0 * 1024.0 * 1024.0,
            "ms" => 0.001,
            _ => 1.0,
        };
        let places = number.split_once('.').map_or(0, |(_, rest)| rest.len());
        format!("{:.places$}-{:.places$}", s.low / factor, s.high / factor)
    }
}

/// One JSON object: schema `exuvia/compare/1`.
pub fn json(out: &mut dyn Write, comparison: &Comparison) -> io::Result<()> {
    let variants =
        comparison.variants.iter().enumerate().map(|(i, variant)| VariantJson { comparison, variant, is_base: i == 0 }).collect();
    let answer = Answer {
        schema: "exuvia/compare/1",
        command: &comparison.command,
        repeat: comparison.repeat,
        warm_ups: 1,
        seed: comparison.seed,
        fewest_for_a_verdict: comparison.fewest,
        base: comparison.variants.first().map(|v| v.name.as_str()),
        ended: comparison.ended.as_deref(),
        notes: &comparison.notes,
        variants,
    };
    json::line(out, &answer)
}

#[derive(Serialize)]
struct Answer<'s> {
    schema: &'static str,
    command: &'s [String],
    repeat: usize,
    warm_ups: u32,
    seed: u32,
    fewest_for_a_verdict: usize,
    base: Option<&'s str>,
    ended: Option<&'s str>,
    notes: &'s [String],
    variants: Vec<VariantJson<'s>>,
}

struct VariantJson<'s> {
    comparison: &'s Comparison,
    variant: &'s Variant,
    is_base: bool,
}

impl Serialize for VariantJson<'_> {
    /// With a field for each figure.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let v = self.variant;
        let (Ok(proof) | Err(proof)) = &v.proof;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("name", &v.name)?;
        for (figure, spread) in self.comparison.figures.iter().zip(&v.spreads) {
            map.serialize_entry(figure.key, &spread.map(|s| SpreadJson::new(s, figure.unit)))?;
        }
        map.serialize_entry("verdict", &sentence(self.comparison, v, self.is_base))?;
        map.serialize_entry("proved", &v.proof.is_ok())?;
        map.serialize_entry("proof", proof)?;
        map.serialize_entry("failed", &v.failed)?;
        map.serialize_entry("failures", &v.failures)?;
        let runs: Vec<RunJson<'_>> = v.runs.iter().map(|run| RunJson(&self.comparison.figures, run)).collect();
        map.serialize_entry("runs", &runs)?;
        map.end()
    }
}

struct RunJson<'s>(&'s [Figure], &'s [Option<f64>]);

impl Serialize for RunJson<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().zip(self.1).map(|(figure, value)| (figure.key, value.map(|value| Number::of(value, figure.unit)))))
    }
}

#[derive(Serialize)]
struct SpreadJson {
    median: Number,
    low: Number,
    high: Number,
    change: Option<f64>,
    noise: Option<f64>,
    differs: Option<bool>,
}

impl SpreadJson {
    fn new(s: Spread, unit: Unit) -> Self {
        let number = |value| Number::of(value, unit);
        SpreadJson {
            median: number(s.median),
            low: number(s.low),
            high: number(s.high),
            change: s.against.map(|a| a.change).filter(|c| c.is_finite()),
            noise: s.against.and_then(|a| a.noise),
            differs: s.against.map(|a| a.differs),
        }
    }
}

/// Bytes are whole.
#[derive(Serialize)]
#[serde(untagged)]
enum Number {
    Bytes(u64),
    Seconds(f64),
}

impl Number {
    fn of(value: f64, unit: Unit) -> Number {
        match unit {
            Unit::Bytes => Number::Bytes(value as u64),
            Unit::Seconds => Number::Seconds(value),
        }
    }
}
