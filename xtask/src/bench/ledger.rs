//! `exuvia ledger` beside what psutil says of a process's memory, both from outside.
//!
//! Holds: the looks, the check that a ledger adds up, and their table. Never: starts or times anything.

use std::fmt::Write;

use serde_json::Value;

use super::questions::{newest, sizes};
use super::record::Record;
use super::record::{Accounted, Sample};
use super::runners::told;
use super::table::{bytes, heap, median, time};
use crate::trouble::{Done, Trouble};

/// exuvia's looks at one heap: what the samples call them, and their mode. The first pays for memory that a virtual machine has
/// to ask its host for.
pub(crate) const LOOKS: [(&str, &str); 4] =
    [("exuvia ledger first", "fork"), ("exuvia ledger", "fork"), ("exuvia ledger", "fork"), ("exuvia ledger freeze", "freeze")];

/// What psutil is asked.
pub(crate) const PSUTIL: [(&str, &str); 2] = [("psutil full", "memory_full_info"), ("psutil maps", "memory_maps")];

/// The tools, in the words of the table.
const TOOLS: [(&str, &str); 5] = [
    ("exuvia ledger first", "`exuvia ledger PID` (fork), first look"),
    ("exuvia ledger", "`exuvia ledger PID` (fork), a look after another"),
    ("exuvia ledger freeze", "`exuvia ledger PID --mode freeze`, a look after another"),
    ("psutil full", "psutil `memory_full_info()`: RSS, PSS, USS of the whole"),
    ("psutil maps", "psutil `memory_maps()`: RSS by mapping"),
];

/// Entries may differ from RSS by so much: a thousandth.
const EXACT: f64 = 0.001;

/// What a ledger accounts for.
///
/// # Errors
/// Where its entries do not add up to RSS.
pub(crate) fn accounted(answer: &Value) -> Done<Accounted> {
    let rss_bytes = told(answer, "/rss_bytes")?;
    let not_attributed_bytes = told(answer, "/not_attributed_bytes")?;
    let entries = answer.get("entries").and_then(Value::as_array).into_iter().flatten();
    let sum: f64 = entries.filter_map(|entry| entry.get("resident_bytes")?.as_f64()).sum::<f64>() + not_attributed_bytes;
    if (sum - rss_bytes).abs() > rss_bytes * EXACT {
        return Err(Trouble::new(format!("the entries of exuvia ledger have {sum} bytes, RSS is {rss_bytes}")));
    }
    Ok(Accounted { rss_bytes: rss_bytes as u64, not_attributed_bytes: not_attributed_bytes as u64 })
}

/// The table, by heap, of the newest run that has it; empty where none has.
pub(crate) fn section(alike: &[&Record]) -> String {
    let mut rows = String::new();
    for n in sizes(alike, |sample| sample.tool == "exuvia ledger") {
        let Some(here) = newest(alike, n, "exuvia ledger") else { continue };
        let whole = heap(&here);
        for (tool, words) in TOOLS {
            let here: Vec<&Sample> = here.iter().copied().filter(|sample| sample.tool == tool).collect();
            let of = |value: fn(&Sample) -> f64| median(here.iter().map(|s| value(s)).collect());
            let (Some(wall), Some(pause)) = (of(|s| s.wall_ms), of(|s| s.pause_ms)) else { continue };
            let per_gb = of(|s| s.pause_ms / (s.target_rss_bytes.max(1) as f64 / 1e9)).unwrap_or(0.0);
            let beside = of(|s| s.peak_bytes.saturating_sub(s.copied_bytes.unwrap_or(0)) as f64).unwrap_or(0.0);
            let rest = median(here.iter().filter_map(|s| s.accounted.as_ref().map(Accounted::not_attributed)).collect());
            let _ = match rest {
                Some(rest) => writeln!(
                    rows,
                    "| {whole} | {words} | {} | {pause:.1} ms | {per_gb:.1} ms | {} | {:.2} % |",
                    time(wall),
                    bytes(beside),
                    rest * 100.0
                ),
                None => writeln!(rows, "| {whole} | {words} | {} | not stopped | | {} | |", time(wall), bytes(beside)),
            };
        }
    }
    if rows.is_empty() {
        return rows;
    }
    format!(
        "\n| heap | where the resident memory is | time | the program stands still | a GB | memory of the tool, beside the copy | not attributed |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: |\n{rows}"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::super::table::tests::record;
    use super::*;

    #[test]
    fn a_ledger_that_does_not_add_up_is_no_sample() {
        let answer = |entry: u64| json!({"rss_bytes": 100_000, "not_attributed_bytes": 1000, "entries": [{"resident_bytes": entry}]});
        assert_eq!(accounted(&answer(99_000)).unwrap().not_attributed_bytes, 1000);
        assert!(accounted(&answer(98_000)).is_err());
        assert!(accounted(&json!({})).is_err());
    }

    #[test]
    fn pauses_stand_by_gigabyte_and_psutil_stops_nothing() {
        let old = record("2026-01-01T00:00:00Z", "cpu", &[("exuvia", 9000.0)]);
        assert_eq!(section(&[&old]), "", "a run from before this table");
        let mut new = record("2026-01-02T00:00:00Z", "cpu", &[("exuvia ledger", 700.0), ("psutil maps", 20.0)]);
        new.samples[0].accounted = Some(Accounted { rss_bytes: 1000, not_attributed_bytes: 1 });
        let text = section(&[&old, &new]);
        assert!(text.contains("a look after another | 700 ms | 70.0 ms | 294.1 ms | 64 MiB | 0.10 % |"), "{text}");
        assert!(text.contains("RSS by mapping | 20 ms | not stopped | | 64 MiB | |"), "{text}");
    }
}
