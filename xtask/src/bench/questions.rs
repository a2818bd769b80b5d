//! Questions about who holds what: exuvia's answer from outside beside that of the peer that can give it, inside the process.
//!
//! Holds: the questions, who answers them, and their table. Never: measures.

use std::fmt::Write;

use super::record::{Record, Sample};
use super::table::{bytes, heap, median, time};

/// One way to ask one of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    /// What the samples call it.
    pub(crate) tool: &'static str,
    /// exuvia's command, or the name that `bench/peers/peer.py` gives it.
    pub(crate) what: &'static str,
    question: &'static str,
    words: &'static str,
}

const RETAINED: &str = "size of a global with all that it holds";
const PATH: &str = "the way from a root to a dict";
const CYCLES: &str = "reference cycles of the whole heap";
/// No peer answers these.
const OWNERS: &str = "who holds the memory: what each question about owners takes at least";
const WASTE: &str = "what containers, equal values and views waste";
const WEAK: &str = "weak references, and what pins their referents";
const COLLECTOR: &str = "what a full collection would walk and find";

/// What exuvia is asked.
pub(crate) const OURS: [Ask; 7] = [
    Ask { tool: "exuvia sizes", what: "sizes", question: RETAINED, words: "`exuvia sizes PID __main__:CACHE`: own, deep and retained" },
    Ask { tool: "exuvia path", what: "path", question: PATH, words: "`exuvia path PID ADDRESS`: the shortest" },
    Ask { tool: "exuvia cycles", what: "cycles", question: CYCLES, words: "`exuvia cycles PID`: by shape, with the edge to weaken" },
    Ask { tool: "exuvia retained", what: "retained", question: OWNERS, words: "`exuvia retained PID`" },
    Ask { tool: "exuvia containers", what: "containers", question: WASTE, words: "`exuvia containers PID`: by kind, type and place" },
    Ask { tool: "exuvia weakrefs", what: "weakrefs", question: WEAK, words: "`exuvia weakrefs PID`: by type and holder" },
    Ask { tool: "exuvia gc", what: "gc", question: COLLECTOR, words: "`exuvia gc PID`: the collector's own algorithm on the copy" },
];

/// What the peers are asked.
pub(crate) const THEIRS: [Ask; 5] = [
    Ask { tool: "pympler asizeof", what: "asizeof", question: RETAINED, words: "pympler `asizeof(CACHE)`: deep, in the process" },
    Ask { tool: "guppy3 domisize", what: "domisize", question: RETAINED, words: "guppy3 `iso(CACHE).domisize`: retained, in the process" },
    Ask { tool: "guppy3 shpaths", what: "shpaths", question: PATH, words: "guppy3 `iso(x).shpaths`: the shortest, in the process" },
    Ask { tool: "objgraph", what: "backref", question: PATH, words: "objgraph `find_backref_chain`: the shortest, in the process" },
    Ask { tool: "refcycle", what: "refcycle", question: CYCLES, words: "refcycle `snapshot()`: components without shapes, in the process" },
];

/// Seconds after which a peer is ended.
pub(crate) const LIMIT_SECONDS: u64 = 60;

/// `explain`, by heap, and the questions beside the peers; of each the newest run that has it. Empty where none has.
pub(crate) fn section(alike: &[&Record]) -> String {
    let mut text = String::new();
    for n in sizes(alike, |sample| sample.tool == "exuvia explain" && sample.copied_bytes.is_some()) {
        let Some(here) = newest(alike, n, "exuvia explain") else { continue };
        let of = |value: fn(&Sample) -> f64| {
            median(here.iter().filter(|s| s.tool == "exuvia explain").map(|s| value(s)).collect()).unwrap_or(0.0)
        };
        let beside = |s: &Sample| s.peak_bytes.saturating_sub(s.copied_bytes.unwrap_or(0)) as f64 / s.objects.max(1) as f64;
        let saved =
            |value: fn(&super::record::Saved) -> Option<f64>| median(here.iter().filter_map(|s| value(s.saved.as_ref()?)).collect());
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {:.0} | {} | {} |",
            heap(&here),
            time(of(|s| s.wall_ms)),
            time(of(|s| s.pause_ms)),
            bytes(of(|s| s.peak_bytes as f64)),
            of(beside),
            saved(|s| Some(s.types_ms)).map_or("".to_owned(), time),
            saved(|s| s.explain_ms).map_or("".to_owned(), time),
        );
    }
    if !text.is_empty() {
        text = format!(
            "\n| heap | `exuvia explain PID`: owners, dominators, counts, cycles, findings | the program stands still | memory at the peak, \
             with the copy | beside the copy, bytes an object | summary of a saved heap: `exuvia types FOLDER` | `exuvia explain FOLDER` |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n{text}"
        );
    }
    let mut rows = String::new();
    let asks: Vec<Ask> = OURS.into_iter().chain(THEIRS).collect();
    for question in [RETAINED, PATH, CYCLES, OWNERS, WASTE, WEAK, COLLECTOR] {
        for n in sizes(alike, |sample| asks.iter().any(|ask| ask.question == question && ask.tool == sample.tool)) {
            let mut timed: Vec<(f64, String)> = Vec::new();
            for ask in asks.iter().filter(|ask| ask.question == question) {
                let Some(here) = newest(alike, n, ask.tool) else { continue };
                let whole = heap(&here);
                let here: Vec<&Sample> = here.into_iter().filter(|s| s.tool == ask.tool).collect();
                let of = |value: fn(&Sample) -> f64| median(here.iter().map(|s| value(s)).collect()).unwrap_or(0.0);
                let (wall, is_over) = (of(|s| s.wall_ms), here.iter().any(|s| s.is_over_limit));
                let more = if is_over { "more than " } else { "" };
                let peak = if is_over { "not known".to_owned() } else { bytes(of(|s| s.peak_bytes as f64)) };
                let row = format!(
                    "| {question} | {whole} | {} | {more}{} | {more}{} | {peak} |\n",
                    ask.words,
                    time(wall),
                    time(of(|s| s.pause_ms))
                );
                timed.push((wall, row));
            }
            timed.sort_by(|(a, _), (b, _)| a.total_cmp(b));
            rows.extend(timed.into_iter().map(|(_, row)| row));
        }
    }
    if !rows.is_empty() {
        let _ = write!(
            text,
            "\n| question | heap | tool | time | the program stands still | memory of the tool |\n| --- | --- | --- | ---: | ---: | ---: |\n{rows}"
        );
    }
    text
}

/// The heaps of samples like this.
pub(super) fn sizes(alike: &[&Record], is: impl Fn(&Sample) -> bool) -> Vec<u64> {
    let mut sizes: Vec<u64> = alike.iter().flat_map(|record| &record.samples).filter(|sample| is(sample)).map(|sample| sample.n).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// All samples at `n` of the newest run that has the tool there.
pub(super) fn newest<'r>(alike: &[&'r Record], n: u64, tool: &str) -> Option<Vec<&'r Sample>> {
    let has = |record: &&&Record| record.samples.iter().any(|sample| sample.n == n && sample.tool == tool);
    let record = alike.iter().rev().find(has)?;
    Some(record.samples.iter().filter(|sample| sample.n == n).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::record::Saved;
    use super::super::table::tests::record;
    use super::*;

    #[test]
    fn explain_and_the_questions_stand_in_tables_of_the_newest_run() {
        let tools = [("exuvia explain", 1500.0), ("exuvia sizes", 1400.0), ("pympler asizeof", 60_000.0), ("exuvia snapshot", 900.0)];
        let old = record("2026-01-01T00:00:00Z", "cpu", &[("exuvia explain", 9000.0)]);
        let mut new = record("2026-01-02T00:00:00Z", "cpu", &tools);
        assert_eq!(section(&[&old]), "", "a run from before this table");
        new.samples[0].copied_bytes = Some(30 << 20);
        new.samples[2].is_over_limit = true;
        new.samples[3].saved =
            Some(Saved { after_copy_ms: 1.0, bytes: 1, types_ms: 9.0, object_ms: 1.0, explain_ms: Some(950.0), explain_peak_bytes: None });
        let text = section(&[&old, &new]);
        // 34 MiB beside the copy of 30, for 3,340,000 objects.
        assert!(text.contains("| 1.50 s | 150 ms | 64 MiB | 11 | 9 ms | 950 ms |"), "{text}");
        assert!(text.contains("| more than 60.0 s | more than 6.00 s | not known |"), "{text}");
        let place = |what: &str| text.find(what).unwrap();
        assert!(place("exuvia sizes") < place("asizeof"), "the fastest first: {text}");
    }
}
