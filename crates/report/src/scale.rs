//! `scale`: how time and memory of a function grow with n, and what n fits.
//!
//! Holds: [`Answer`], and `table`, `json` and `svg` of it. Never does: fit.

mod picture;
mod plot;

use std::io::{self, Write};

use analyses::growth::{Class, Fit, Reach};
use analyses::scale::{Figures, Growths, Point, MEMORY_FLOOR_BYTES};
use memory::Bytes;
use serde::Serialize;

use crate::table::{Align, Table};
use crate::{head, json, text, Style};

pub use self::picture::svg;

/// Beside the table there is room for the plot in 80 columns.
const PLOT_COLUMNS: usize = 32;

/// A range that is as wide as this is none.
const UNDECIDED_BY: u64 = 20;

/// All that is shown.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// As the user wrote it.
    pub function: &'a str,
    /// The expression that makes its argument.
    pub input: Option<&'a str>,
    /// The release.
    pub python: &'a str,
    /// What was measured, smallest n first.
    pub points: &'a [Point],
    /// How it grows.
    pub growths: Growths,
    /// How many sizes were asked for.
    pub sizes: usize,
    /// How many runs of each.
    pub repeat: u32,
    /// What it has to fit into.
    pub memory: Room,
    /// The time in which it has to be done.
    pub seconds: f64,
    /// Why there are fewer sizes or runs than asked for.
    pub ended: Option<&'a str>,
    /// What it returned without doing anything: a generator, a coroutine.
    pub lazy: Option<&'a str>,
    /// Its first call kept something for the later ones, and is what is told.
    pub keeps: bool,
}

/// Memory into which n has to fit.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// How much.
    pub bytes: u64,
    /// Whether it was asked for, else it is what is left here.
    pub asked: bool,
}

impl Room {
    /// `8 GB` where that was asked for.
    fn words(self) -> String {
        const GIGA: u64 = 1_000_000_000;
        if self.asked && self.bytes >= GIGA && self.bytes % GIGA == 0 {
            return format!("{} GB", text::grouped(self.bytes / GIGA));
        }
        Bytes(self.bytes).to_string()
    }
}

/// For people.
pub fn table(out: &mut dyn Write, answer: &Answer<'_>, style: &Style) -> io::Result<()> {
    let input = answer.input.map(|input| format!(" of {}", text::escaped(input))).unwrap_or_default();
    let runs = text::counted(answer.repeat.into(), "run");
    let first =
        format!("{}{input}: Python {}, {runs} of each n in fresh processes", text::escaped(answer.function), text::escaped(answer.python));
    head::write_cut(out, &first, style)?;
    if let Some(why) = answer.ended {
        let count = answer.points.len();
        head::write_cut(out, &format!("partial, {count} of {} sizes: {}", answer.sizes, text::escaped(why)), style)?;
    }
    writeln!(out)?;
    sizes(out, answer, style)?;
    for (n, words) in answer.points.iter().filter_map(|p| p.outcome.as_ref().err().map(|words| (p.n, words))) {
        head::write_cut(out, &format!("n = {}: {}", text::grouped(n), text::escaped(words)), style)?;
    }
    writeln!(out)?;
    if let Some(lazy) = answer.lazy {
        writeln!(out, "it returned a {}: what that would do is not in these figures", text::escaped(lazy))?;
    }
    if answer.keeps {
        writeln!(out, "time is of each process's first call: it kept something (a cache?), later ones")?;
        writeln!(out, "took a tenth and less")?;
    }
    let growths = &answer.growths;
    let (Some(time), Some(held), Some(peak), Some(process)) = (&growths.time, &growths.held, &growths.peak, &growths.process) else {
        return writeln!(out, "no fit: growth shows from 3 sizes on that were measured");
    };
    // In no class, and no mistake: what it was given went with the call.
    let last = answer.points.iter().rev().find_map(|p| p.outcome.as_ref().ok());
    let falls = last.map(|f| f.held_bytes).filter(|held| *held < -MEMORY_FLOOR_BYTES);
    for (name, fit, unit) in
        [("time", time, seconds as fn(f64) -> String), ("held", held, bytes), ("peak", peak, bytes), ("process", process, bytes)]
    {
        sentence(out, name, fit, unit, falls.filter(|_| name == "held"), style)?;
    }
    writeln!(out)?;
    let whose = if answer.memory.asked { "" } else { " (left here)" };
    let memory = format!("{}{whose} holds", answer.memory.words());
    let measured = answer.points.iter().filter(|p| p.outcome.is_ok()).map(|p| p.n).max().unwrap_or_default();
    fits(out, &memory, process.reaches(answer.memory.bytes as f64), process, measured)?;
    fits(out, &format!("{} reach", seconds(answer.seconds)), time.reaches(answer.seconds), time, measured)
}

/// For programs: `exuvia/scale/1`.
pub fn json(out: &mut dyn Write, answer: &Answer<'_>) -> io::Result<()> {
    let growths = &answer.growths;
    let milliseconds = |fit: &Fit| FitJson::new(fit, 1000.0);
    let plain = |fit: &Fit| FitJson::new(fit, 1.0);
    json::line(
        out,
        &AnswerJson {
            schema: "exuvia/scale/1",
            function: answer.function,
            input: answer.input,
            python: answer.python,
            repeat: answer.repeat,
            complete: answer.ended.is_none(),
            ended: answer.ended,
            first_call: answer.keeps,
            lazy: answer.lazy,
            units: UnitsJson { time: "ms", memory: "bytes" },
            time: growths.time.as_ref().map(milliseconds),
            memory: growths.held.as_ref().map(plain),
            peak: growths.peak.as_ref().map(plain),
            process: growths.process.as_ref().map(plain),
            fits: FitsJson {
                memory_bytes: answer.memory.bytes,
                memory_asked: answer.memory.asked,
                n: growths.process.as_ref().and_then(|fit| fit.reaches(answer.memory.bytes as f64)).map(ReachJson::new),
                time_ms: answer.seconds * 1000.0,
                n_in_time: growths.time.as_ref().and_then(|fit| fit.reaches(answer.seconds)).map(ReachJson::new),
            },
            points: answer.points.iter().map(PointJson::new).collect(),
        },
    )
}

/// The table of sizes, the plot beside it.
fn sizes(out: &mut dyn Write, answer: &Answer<'_>, style: &Style) -> io::Result<()> {
    let columns = [("n", Align::Right), ("time", Align::Right), ("held", Align::Right), ("peak", Align::Right)];
    // Lines are put together here: nothing of them comes from a target, and none is cut.
    let plain = Style { width: None, ..style.clone() };
    let mut table = Table::new(&plain, &columns);
    let cells = |p: &Point| match &p.outcome {
        Ok(f) => [text::grouped(p.n), seconds(f.seconds), bytes(f.held_bytes), bytes(f.peak_bytes)],
        Err(_) => [text::grouped(p.n), "failed".into(), "-".into(), "-".into()],
    };
    let rows: Vec<[String; 4]> = answer.points.iter().map(cells).collect();
    rows.iter().for_each(|row| table.fit(row));
    let mut lines = Vec::new();
    table.header(&mut lines)?;
    for row in &rows {
        table.row(&mut lines, row)?;
    }
    let lines = String::from_utf8_lossy(&lines).into_owned();
    let width = rows.iter().map(|row| row.iter().map(|c| text::width(c)).sum::<usize>() + 6).max().unwrap_or_default();
    let wide = style.width.is_none_or(|width| width >= 80) && width + 3 + PLOT_COLUMNS <= 80;
    let drawing = if wide { plot::lines(answer, PLOT_COLUMNS, rows.len().max(7)) } else { Vec::new() };
    let width = lines.lines().skip(1).map(text::width).max().unwrap_or_default();
    let mut left = lines.lines().enumerate();
    let mut right = drawing.iter();
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Ok(()),
            (Some((_, line)), None) => writeln!(out, "{line}")?,
            (None, Some(drawn)) => writeln!(out, "{:width$}   {drawn}", "")?,
            (Some((i, line)), Some(drawn)) => {
                // The header may have the sequences for bold, which have no width.
                let taken = if i == 0 { width } else { text::width(line) };
                writeln!(out, "{line}{:pad$}   {drawn}", "", pad = width.saturating_sub(taken))?;
            }
        }
    }
}

/// `time     412 ns · n + 3.00 ms (±2 %): class n, sure against n log n`.
fn sentence(out: &mut dyn Write, name: &str, fit: &Fit, unit: fn(f64) -> String, falls: Option<f64>, style: &Style) -> io::Result<()> {
    let formula = match fit.class {
        Class::One => format!("about {}", unit(falls.unwrap_or(fit.constant))),
        class => {
            let constant = match fit.constant {
                c if unit(c) == unit(0.0) => String::new(),
                c if c < 0.0 => format!(" - {}", unit(-c)),
                c => format!(" + {}", unit(c)),
            };
            format!("{} · {}{constant}", unit(fit.factor), formula(class))
        }
    };
    let error = if fit.class == Class::One { String::new() } else { format!(" (±{})", share(fit.error)) };
    let sure = match (fit.class, fit.rivals.as_slice(), fit.sure_against) {
        (Class::One, ..) if falls.is_some() => "the call frees more than it keeps".to_string(),
        (Class::One, [], _) => "no growth seen".to_string(),
        (Class::One, ..) => "too uneven for any class, more --repeat may help".to_string(),
        (class, [], Some(other)) => format!("class {}, sure against {}", class.word(), other.word()),
        (class, [], None) => format!("class {}", class.word()),
        (class, rivals, _) => {
            let others: Vec<&str> = rivals.iter().map(|o| o.class.word()).collect();
            format!("not decided between {} and {}", class.word(), others.join(" and "))
        }
    };
    head::write_cut(out, &format!("{name:7}  {formula}{error}: {sure}"), style)
}

/// `8.00 GiB holds n = 19.4 million (19.0 to 19.8 million)`.
fn fits(out: &mut dyn Write, what: &str, reach: Option<Reach>, fit: &Fit, measured: u64) -> io::Result<()> {
    let Some(reach) = reach else {
        let why = match fit.class {
            Class::One if fit.rivals.is_empty() => "any n, as far as was seen",
            Class::One => "an n that these runs do not tell",
            _ => "no n",
        };
        return writeln!(out, "{what} {why}");
    };
    if reach.high / reach.low.max(1) >= UNDECIDED_BY {
        return writeln!(out, "{what} n = {} at least: these sizes do not tell more", counted(reach.low));
    }
    let range = if counted(reach.low) == counted(reach.high) {
        String::new()
    } else {
        let (low, high) = (counted(reach.low), counted(reach.high));
        // One unit is said once.
        let low = match (low.split_once(' '), high.split_once(' ')) {
            (Some((number, unit)), Some((_, same))) if unit == same => number.to_string(),
            _ => low,
        };
        format!(" ({low} to {high})")
    };
    let mut line = format!("{what} n = {}{range}", counted(reach.n));
    let far = format!(", measured to {}", counted(measured));
    // The table has said it; here it stands where there is room.
    if reach.n > measured && text::width(&line) + text::width(&far) <= 80 {
        line.push_str(&far);
    }
    writeln!(out, "{line}")
}

fn formula(class: Class) -> &'static str {
    match class {
        Class::Log => "log2 n",
        Class::Linearithmic => "n log2 n",
        other => other.word(),
    }
}

/// `19.4 million`.
pub fn counted(n: u64) -> String {
    let value = n as f64;
    match n {
        0..=9_999 => text::grouped(n),
        10_000..=999_499 => text::grouped((significant(value)) as u64),
        999_500..=999_499_999 => format!("{} million", three(value / 1e6)),
        999_500_000..=999_499_999_999 => format!("{} billion", three(value / 1e9)),
        999_500_000_000..=999_499_999_999_999 => format!("{} trillion", three(value / 1e12)),
        _ => "more than a thousand trillion".into(),
    }
}

/// What memory a size is expected to take: `1.21 GiB`.
pub fn foreseen_bytes(bytes: f64) -> String {
    // An exabyte.
    if bytes < 1e18 {
        self::bytes(bytes)
    } else {
        "more memory than any machine has".into()
    }
}

/// How long something is expected to take: `75 s`, `12 min`, `3 days`.
pub fn foreseen_time(seconds: f64) -> String {
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 60.0 * MINUTE;
    const DAY: f64 = 24.0 * HOUR;
    const YEAR: f64 = 365.25 * DAY;
    match seconds {
        s if s < 2.0 * MINUTE => format!("{s:.0} s"),
        s if s < 2.0 * HOUR => format!("{:.0} min", s / MINUTE),
        s if s < 2.0 * DAY => format!("{:.0} h", s / HOUR),
        s if s < 2.0 * YEAR => format!("{} days", text::grouped((s / DAY).round() as u64)),
        s if s < 1000.0 * YEAR => format!("{:.0} years", s / YEAR),
        _ => "more than a thousand years".into(),
    }
}

/// Three digits that count.
fn significant(value: f64) -> f64 {
    let scale = 10f64.powf(value.abs().max(1.0).log10().floor() - 2.0);
    (value / scale).round() * scale
}

fn three(value: f64) -> String {
    let digits = match value.abs() {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}

/// A time from nanoseconds to seconds.
fn seconds(s: f64) -> String {
    match s {
        s if s <= 0.0 => "0 s".into(),
        s if s < 999.5e-9 => format!("{} ns", three(s * 1e9)),
        s if s < 999.5e-6 => format!("{} µs", three(s * 1e6)),
        s if s < 0.9995 => format!("{} ms", three(s * 1e3)),
        s => format!("{} s", three(s)),
    }
}

/// An amount that may be less than one byte for each, and less than nothing where a call freed what it was given.
fn bytes(b: f64) -> String {
    match b {
        b if b.abs() < 0.005 => "0 B".into(),
        b if b < 0.0 => format!("-{}", bytes(-b)),
        b if b < 9_999.5 => format!("{} B", if b < 999.5 { three(b) } else { format!("{b:.0}") }.trim_end_matches(".00")),
        b => Bytes(b as u64).to_string(),
    }
}

fn share(error: f64) -> String {
    match error * 100.0 {
        e if e < 0.1 => "<0.1 %".into(),
        e if e < 9.95 => format!("{e:.1} %"),
        e if e < 1000.0 => format!("{e:.0} %"),
        _ => "unknown".into(),
    }
}

#[derive(Serialize)]
struct AnswerJson<'a> {
    schema: &'static str,
    function: &'a str,
    input: Option<&'a str>,
    python: &'a str,
    repeat: u32,
    complete: bool,
    ended: Option<&'a str>,
    first_call: bool,
    lazy: Option<&'a str>,
    units: UnitsJson,
    time: Option<FitJson>,
    memory: Option<FitJson>,
    peak: Option<FitJson>,
    process: Option<FitJson>,
    fits: FitsJson,
    points: Vec<PointJson<'a>>,
}

/// Of the coefficients.
#[derive(Serialize)]
struct UnitsJson {
    time: &'static str,
    memory: &'static str,
}

#[derive(Serialize)]
struct FitJson {
    class: &'static str,
    coefficients: Coefficients,
    error: f64,
    residual: f64,
    undecided: Vec<&'static str>,
    sure_against: Option<&'static str>,
}

#[derive(Serialize)]
struct Coefficients {
    constant: f64,
    factor: f64,
}

impl FitJson {
    fn new(fit: &Fit, unit: f64) -> FitJson {
        FitJson {
            class: fit.class.word(),
            coefficients: Coefficients { constant: fit.constant * unit, factor: fit.factor * unit },
            error: fit.error,
            residual: fit.residual,
            undecided: fit.rivals.iter().map(|o| o.class.word()).collect(),
            sure_against: fit.sure_against.map(Class::word),
        }
    }
}

#[derive(Serialize)]
struct FitsJson {
    memory_bytes: u64,
    memory_asked: bool,
    n: Option<ReachJson>,
    time_ms: f64,
    n_in_time: Option<ReachJson>,
}

#[derive(Serialize)]
struct ReachJson {
    n: u64,
    low: u64,
    high: u64,
}

impl ReachJson {
    fn new(reach: Reach) -> ReachJson {
        ReachJson { n: reach.n, low: reach.low, high: reach.high }
    }
}

#[derive(Serialize)]
struct PointJson<'a> {
    n: u64,
    runs: u32,
    time_ms: Option<f64>,
    time_ms_max: Option<f64>,
    base_bytes: Option<i64>,
    input_bytes: Option<i64>,
    held_bytes: Option<i64>,
    peak_bytes: Option<i64>,
    process_bytes: Option<i64>,
    failed: Option<&'a str>,
}

impl<'a> PointJson<'a> {
    fn new(point: &'a Point) -> PointJson<'a> {
        let figures = point.outcome.as_ref().ok();
        let whole = |of: fn(&Figures) -> f64| figures.map(|f| of(f) as i64);
        PointJson {
            n: point.n,
            runs: figures.map_or(0, |f| f.runs),
            time_ms: figures.map(|f| f.seconds * 1000.0),
            time_ms_max: figures.map(|f| f.seconds_high * 1000.0),
            base_bytes: whole(|f| f.base_bytes),
            input_bytes: whole(|f| f.input_bytes),
            held_bytes: whole(|f| f.held_bytes),
            peak_bytes: whole(|f| f.peak_bytes),
            process_bytes: whole(|f| f.process_bytes),
            failed: point.outcome.as_ref().err().map(String::as_str),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_say_no_more_than_they_know() {
        assert_eq!(
            [999, 19_410_194, 123_456, 999_500, 7_000_000_000].map(counted),
            ["999", "19.4 million", "123,000", "1.00 million", "7.00 billion"]
        );
        assert_eq!([7_000_000_000_000, 1 << 62].map(counted), ["7.00 trillion", "more than a thousand trillion"]);
        assert_eq!([1e9, 9e15, 1e30].map(foreseen_bytes), ["954 MiB", "7.99 PiB", "more memory than any machine has"]);
        assert_eq!(
            [75.0, 3600.0, 86_400.0, 1e7, 1e9, 1e300].map(foreseen_time),
            ["75 s", "60 min", "24 h", "116 days", "32 years", "more than a thousand years"]
        );
        assert_eq!([0.0, 4.12e-7, 3e-3, 12.0].map(seconds), ["0 s", "412 ns", "3.00 ms", "12.0 s"]);
        assert_eq!([-5.0, 0.0, 0.125, 412.0, 3.0 * 1048576.0].map(bytes), ["-5 B", "0 B", "0.12 B", "412 B", "3.00 MiB"]);
    }

    /// 412 bytes and 50 ns for each.
    fn points(failed: bool) -> Vec<Point> {
        let point = |n: u64| {
            let bytes = n as f64 * 412.0;
            let figures = Figures {
                runs: 3,
                seconds: n as f64 * 5e-8,
                seconds_high: n as f64 * 6e-8,
                base_bytes: 9e6,
                input_bytes: 0.0,
                held_bytes: bytes,
                peak_bytes: bytes * 1.5,
                process_bytes: bytes * 1.5 + 9e6,
            };
            Point { n, outcome: if failed && n > 500_000 { Err("MemoryError: \x1b[31m".into()) } else { Ok(figures) } }
        };
        [1000, 2683, 7197, 19_307, 51_795, 138_950, 372_759, 1_000_000].map(point).to_vec()
    }

    fn answer<'a>(points: &'a [Point], ended: Option<&'a str>) -> Answer<'a> {
        Answer {
            function: "app:rows",
            input: None,
            python: "3.12.1",
            points,
            growths: analyses::scale::growths(points),
            sizes: 8,
            repeat: 3,
            memory: Room { bytes: 8_000_000_000, asked: true },
            seconds: 60.0,
            ended,
            lazy: None,
            keeps: false,
        }
    }

    #[test]
    fn a_screen_holds_all_of_it() {
        let points = points(true);
        let mut out = Vec::new();
        table(&mut out, &answer(&points, Some("stopped")), &Style { width: Some(80), ..Style::default() }).unwrap();
        let shown = String::from_utf8(out).unwrap();
        assert!(shown.lines().all(|l| text::width(l) <= 80) && shown.lines().count() <= 23, "{shown}");
        for words in [
            "412 B · n",
            "class n, sure against n log n",
            "8 GB holds n = 12.9 million",
            "measured to 373,000",
            "partial, 8 of 8 sizes: stopped",
        ] {
            assert!(shown.contains(words), "{words}: {shown}");
        }
        assert!(!shown.contains('\x1b') && shown.contains('*') && shown.contains('o'), "{shown}");
    }

    #[test]
    fn a_picture_stands_for_itself() {
        let points = points(true);
        let mut out = Vec::new();
        svg(&mut out, &Answer { function: "<app>:rows&", ..answer(&points, None) }).unwrap();
        let shown = String::from_utf8(out).unwrap();
        assert!(shown.starts_with("<svg ") && shown.trim_end().ends_with("</svg>"), "{shown}");
        assert!(shown.contains("&lt;app&gt;:rows&amp;") && !shown.contains("<app>") && shown.contains("prefers-color-scheme"), "{shown}");
        assert_eq!(
            shown.matches("<circle").count() - shown.matches("class=\"key").count(),
            7 * 3,
            "time, held and peak of each that was measured"
        );
        assert!(!shown.contains("NaN") && !shown.contains("inf"), "{shown}");
    }

    #[test]
    fn programs_get_what_was_promised() {
        let points = points(false);
        let mut out = Vec::new();
        json(&mut out, &answer(&points, None)).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["schema"], "exuvia/scale/1");
        assert_eq!(value["memory"]["class"], "n");
        assert!((value["memory"]["coefficients"]["factor"].as_f64().unwrap() - 412.0).abs() < 1.0, "{value}");
        assert!(value["time"]["error"].as_f64().unwrap() < 0.1 && value["points"].as_array().unwrap().len() == 8, "{value}");
    }

    #[test]
    fn nothing_measured_is_said() {
        let mut out = Vec::new();
        let points = [Point { n: 1, outcome: Err("no".into()) }];
        table(&mut out, &answer(&points, None), &Style::default()).unwrap();
        svg(&mut Vec::new(), &answer(&points, None)).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("no fit"));
    }
}
