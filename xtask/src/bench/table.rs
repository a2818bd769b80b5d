//! The README's table: medians over the kept runs.
//!
//! Holds: which runs belong together, the medians, the markdown. Never: measures.

use std::fmt::Write;

use super::record::{Record, Sample, Saved};
use super::{ledger, questions};

/// Around the section in the README.
pub(crate) const BEGIN: &str = "<!-- bench:begin -->";
/// Its end.
pub(crate) const END: &str = "<!-- bench:end -->";

/// The tools, in the words of the table.
const TOOLS: &[(&str, &str)] = &[
    ("exuvia fork", "`exuvia types`, from outside (fork), first look"),
    ("exuvia fork again", "`exuvia types`, from outside (fork), second look right after it"),
    ("exuvia", "`exuvia types --mode freeze`, from outside, first look"),
    ("exuvia again", "`exuvia types --mode freeze`, from outside, a look right after another"),
    ("guppy3", "guppy3 `hpy().heap()`, in the process"),
    ("pympler", "pympler `muppy` + `summary`, in the process"),
    ("getsizeof", "`sum(map(sys.getsizeof, gc.get_objects()))`, in the process: no types, and containers only"),
];

/// The section for these runs; empty where there are none. Runs count together where machine and Python are those of the newest.
pub(crate) fn section(records: &[Record]) -> String {
    let Some(newest) = records.iter().max_by(|a, b| a.date.cmp(&b.date)) else {
        return String::new();
    };
    let mut alike: Vec<&Record> = records.iter().filter(|one| one.machine == newest.machine && one.python == newest.python).collect();
    alike.sort_by(|a, b| a.date.cmp(&b.date));
    let samples: Vec<&Sample> = alike.iter().flat_map(|record| &record.samples).collect();
    let mut sizes: Vec<u64> = samples.iter().map(|sample| sample.n).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut text =
        String::from("| heap | tool | time | the program stands still | memory of the tool |\n| --- | --- | ---: | ---: | ---: |\n");
    for n in sizes {
        let mut rows: Vec<(f64, String)> = Vec::new();
        let here: Vec<&Sample> = samples.iter().copied().filter(|sample| sample.n == n).collect();
        let heap = heap(&here);
        for (tool, words) in TOOLS {
            let of =
                |value: fn(&Sample) -> f64| median(here.iter().filter(|sample| sample.tool == *tool).map(|sample| value(sample)).collect());
            let (Some(wall), Some(pause), Some(peak)) = (of(|s| s.wall_ms), of(|s| s.pause_ms), of(|s| s.peak_bytes as f64)) else {
                continue;
            };
            rows.push((wall, format!("| {heap} | {words} | {} | {} | {} |\n", time(wall), time(pause), bytes(peak))));
        }
        rows.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        text.extend(rows.into_iter().map(|(_, row)| row));
    }
    text += &snapshots(&samples);
    text += &questions::section(&alike);
    text += &ledger::section(&alike);
    let machine = &newest.machine;
    // The newest run may have been one of exuvia alone.
    let peers = alike.iter().rev().find(|record| !record.peers.is_empty()).map(|record| record.peers.join(", ")).unwrap_or_default();
    let first = alike.first().map_or("", |record| record.date.as_str());
    let days = match (first.get(..10), newest.date.get(..10)) {
        (Some(one), Some(other)) if one != other => format!("{one} to {other}"),
        _ => newest.date.chars().take(10).collect(),
    };
    let _ = writeln!(
        text,
        "\nMedians of {} kept {} ({days}): {}, {} cores, {} of memory, Linux {}; CPython {}; {}. \
         Exact `Session` and `Node` counts are required of every tool that gives counts.",
        alike.len(),
        if alike.len() == 1 { "run" } else { "runs" },
        machine.cpu,
        machine.cores,
        bytes(machine.memory_bytes as f64),
        machine.kernel,
        newest.python,
        peers,
    );
    text
}

/// What snapshots cost, by heap; empty where none was written.
fn snapshots(samples: &[&Sample]) -> String {
    let mut text = String::new();
    let mut sizes: Vec<u64> = samples.iter().filter(|sample| sample.saved.is_some()).map(|sample| sample.n).collect();
    sizes.sort_unstable();
    sizes.dedup();
    for n in sizes {
        let here: Vec<&Sample> = samples.iter().copied().filter(|sample| sample.n == n).collect();
        let of = |value: fn(&Sample, &Saved) -> f64| {
            median(here.iter().filter_map(|sample| sample.saved.as_ref().map(|saved| value(sample, saved))).collect()).unwrap_or(0.0)
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.1} | {} | {} | {} |",
            heap(&here),
            time(of(|_, saved| saved.after_copy_ms)),
            time(of(|sample, _| sample.wall_ms)),
            of(|sample, saved| saved.bytes as f64 / sample.objects.max(1) as f64),
            bytes(of(|sample, _| sample.peak_bytes as f64)),
            time(of(|_, saved| saved.types_ms)),
            time(of(|_, saved| saved.object_ms)),
        );
    }
    if text.is_empty() {
        return text;
    }
    format!(
        "\n| heap | `exuvia snapshot`: written after the copy | whole command | bytes an object | memory of the tool | \
         `exuvia types FOLDER` | `exuvia object FOLDER ADDRESS` |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n{text}"
    )
}

/// `readme` with the section in its place; `None` where it has no place for it.
pub(crate) fn written_into(readme: &str, section: &str) -> Option<String> {
    let (before, rest) = readme.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{section}{END}{after}"))
}

/// `3.3 M objects, 227 MiB`: what exuvia saw, since it alone sees all.
pub(super) fn heap(samples: &[&Sample]) -> String {
    let of = |tool: Option<&str>, value: fn(&Sample) -> f64| {
        median(samples.iter().filter(|sample| tool.is_none_or(|tool| sample.tool.starts_with(tool))).map(|sample| value(sample)).collect())
    };
    let objects = of(Some("exuvia"), |s| s.objects as f64).or_else(|| of(Some("guppy3"), |s| s.objects as f64)).unwrap_or(0.0);
    let rss = of(None, |s| s.target_rss_bytes as f64).unwrap_or(0.0);
    format!("{:.1} M objects, {}", objects / 1e6, bytes(rss))
}

/// The middle value, or the mean of the two.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some((lower + upper) / 2.0)
}

pub(super) fn time(ms: f64) -> String {
    match ms {
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms if ms < 10_000.0 => format!("{:.2} s", ms / 1e3),
        ms => format!("{:.1} s", ms / 1e3),
    }
}

pub(super) fn bytes(bytes: f64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    match bytes / MIB {
        mib if mib < 1024.0 => format!("{mib:.0} MiB"),
        mib => format!("{:.2} GiB", mib / 1024.0),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::record::{Machine, SCHEMA};
    use super::*;

    pub(crate) fn record(date: &str, cpu: &str, walls: &[(&str, f64)]) -> Record {
        let sample = |(tool, wall_ms): &(&str, f64)| Sample {
            tool: (*tool).to_owned(),
            n: 300_000,
            wall_ms: *wall_ms,
            pause_ms: wall_ms / 10.0,
            second_stop_ms: None,
            gap_ms: None,
            gap_before_ms: None,
            peak_bytes: 64 << 20,
            target_rss_bytes: 227 << 20,
            objects: 3_340_000,
            counted: Some([300_000, 300_000]),
            copied_bytes: None,
            answer_bytes: None,
            is_over_limit: false,
            accounted: None,
            saved: None,
        };
        Record {
            schema: SCHEMA.to_owned(),
            date: date.to_owned(),
            machine: Machine { cpu: cpu.to_owned(), cores: 2, kernel: "6.1".to_owned(), memory_bytes: 8 << 30 },
            commit: "abc".to_owned(),
            command: "cargo xtask bench".to_owned(),
            python: "3.12.1".to_owned(),
            peers: vec!["guppy3 3.1.7".to_owned()],
            samples: walls.iter().map(sample).collect(),
        }
    }

    #[test]
    fn medians_over_the_runs_of_the_newest_machine_fastest_first() {
        let records = [
            record("2026-01-02T00:00:00Z", "new", &[("guppy3", 4000.0), ("exuvia", 500.0)]),
            record("2026-01-03T00:00:00Z", "new", &[("exuvia", 300.0), ("exuvia", 400.0), ("getsizeof", 200.0)]),
            record("2025-01-01T00:00:00Z", "old", &[("exuvia", 1.0)]),
        ];
        let text = section(&records);
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| 3.3 M objects, 227 MiB |")).collect();
        assert_eq!(rows.len(), 3, "{text}");
        assert!(rows[0].contains("getsizeof") && rows[0].contains("| 200 ms |"), "a row that we lose stands there: {text}");
        assert!(rows[1].contains("exuvia types") && rows[1].contains("| 400 ms | 40 ms | 64 MiB |"), "{text}");
        assert!(rows[2].contains("| 4.00 s |"), "{text}");
        assert!(text.contains("Medians of 2 kept runs (2026-01-02 to 2026-01-03)"), "{text}");
    }

    #[test]
    fn snapshots_have_a_table_of_their_own() {
        let mut one = record("2026-01-02T00:00:00Z", "new", &[("exuvia snapshot", 900.0), ("exuvia", 500.0)]);
        assert!(!section(&[one.clone()]).contains("bytes an object"));
        one.samples[0].saved = Some(Saved {
            after_copy_ms: 700.0,
            bytes: 3_340_000 * 2,
            types_ms: 10.0,
            object_ms: 50.0,
            explain_ms: None,
            explain_peak_bytes: None,
        });
        let text = section(&[one]);
        assert!(text.contains("| 3.3 M objects, 227 MiB | 700 ms | 900 ms | 2.0 | 64 MiB | 10 ms | 50 ms |"), "{text}");
    }

    #[test]
    fn medians_of_few() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0]), Some(2.0));
        assert_eq!(median(vec![3.0, 1.0, 10.0]), Some(3.0));
    }

    #[test]
    fn the_section_goes_between_its_marks() {
        let readme = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        assert_eq!(written_into(&readme, "new\n").unwrap(), format!("a\n{BEGIN}\nnew\n{END}\nb\n"));
        assert_eq!(written_into("a\n", "new\n"), None);
    }
}
