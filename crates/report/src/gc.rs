//! `gc`: the collector's state, what a collection would do, and what to paste, in both forms.

use std::io::{self, Write};

use analyses::gc::{estimated_ms, Advice, Gc, Pass, Untrackable, NANOSECONDS_AN_OBJECT};
use serde::Serialize;
use snapshot::{CollectorState, Generation, Snapshot};

use crate::{head, json, text, Style};

/// Types of what was found that the first screen names.
pub const FIRST_SCREEN: usize = 3;

/// What is said of a folder that an earlier program wrote.
const MISSING: &str = "this snapshot was written before the collector's state was kept: counts, thresholds and passes are missing";
const LISTS: [&str; 4] = ["generation 0", "generation 1", "generation 2", "frozen"];

/// Coverage, the lists, what a full collection would do, and the lines to paste.
pub fn table(out: &mut dyn Write, snapshot: &Snapshot, gc: &Gc, limit: Option<usize>, style: &Style) -> io::Result<()> {
    head::write_brief(out, snapshot, style)?;
    writeln!(out)?;
    let mut line = |text: String| head::write_cut(out, &text, style);
    match gc.main() {
        Some(main) => line(format!("collector: {}", state(main)))?,
        None => line(format!("missing:  {MISSING}"))?,
    }
    lists(gc).into_iter().try_for_each(&mut line)?;
    if gc.collectors.len() > 1 {
        line(format!("thresholds and counts are the main interpreter's; there are {} collectors", gc.collectors.len()))?;
    }
    line(String::new())?;
    if let Some(full) = gc.full() {
        line(rate(gc))?;
        line(format!(
            "gc.collect() now walks {} and {}, about {}",
            text::counted(full.walked_objects, "object"),
            text::counted(full.walked_references, "reference"),
            text::duration_ms(estimated_ms(full.walked_objects))
        ))?;
        found(full, limit).into_iter().try_for_each(&mut line)?;
        line(untracked(gc, full))?;
        line(String::new())?;
        match &gc.advice {
            Some(advice) => {
                let width = style.width.map_or(usize::MAX, |width| width.saturating_sub(2));
                text::folded(&format!("paste {}:", advice.at), width).into_iter().try_for_each(&mut line)?;
                advice.lines.iter().try_for_each(|pasted| line(format!("    {pasted}")))?;
                text::folded(&format!("why: {}", advice.why), width).into_iter().try_for_each(&mut line)?;
            }
            None => line("nothing to paste: neither gc.freeze() nor other thresholds would be felt here".to_owned())?,
        }
    }
    let next = if gc.full().is_some_and(|full| full.found_objects > 0) { "cycles" } else { "explain" };
    writeln!(out, "next: {}", style.again.line(next, &[]))
}

/// Switches, and what is set aside.
fn state(main: &CollectorState) -> String {
    let mut parts = vec![if main.enabled { "on" } else { "off (gc.disable())" }.to_owned()];
    if main.generations.first().is_some_and(|g| g.threshold == 0) {
        parts.push("never by itself (threshold 0)".to_owned());
    }
    if main.incremental {
        parts.push("the incremental one of 3.14.0".to_owned());
    }
    if main.collecting {
        parts.push("at work".to_owned());
    }
    if main.debug != 0 {
        parts.push(format!("debug flags {}", flags(main.debug)));
    }
    parts.push(format!("gc.garbage {}", if main.garbage == 0 { "empty".to_owned() } else { text::grouped(main.garbage) }));
    parts.push(text::counted(main.callbacks.unwrap_or(0), "callback"));
    parts.join(", ")
}

/// The names of `gc.set_debug`'s flags (the module gc, 3.8 to 3.15).
fn flags(debug: u32) -> String {
    const NAMES: [(u32, &str); 4] = [(1, "STATS"), (2, "COLLECTABLE"), (4, "UNCOLLECTABLE"), (32, "SAVEALL")];
    let known: Vec<&str> = NAMES.iter().filter(|(bit, _)| debug & bit != 0).map(|(_, name)| *name).collect();
    if known.is_empty() {
        debug.to_string()
    } else {
        known.join("|")
    }
}

fn lists(gc: &Gc) -> Vec<String> {
    let row = |name: &str, cells: [String; 7]| {
        let [objects, bytes, threshold, count, collections, found, left] = cells;
        format!("{name:<12} {objects:>10} {bytes:>9} {threshold:>9} {count:>6} {collections:>11} {found:>10} {left:>6}")
    };
    let titles = ["objects", "bytes", "threshold", "count", "collections", "found", "left"];
    let mut lines = vec![row("list", titles.map(str::to_owned))];
    for (place, (name, list)) in LISTS.iter().zip(&gc.lists).enumerate() {
        let generation = gc.main().and_then(|main| main.generations.get(place));
        let number = |get: fn(&Generation) -> u64| generation.map_or(String::new(), |g| text::grouped(get(g)));
        let plain = |get: fn(&Generation) -> i64| generation.map_or(String::new(), |g| get(g).to_string());
        lines.push(
            row(
                name,
                [
                    text::grouped(list.objects),
                    list.bytes.to_string(),
                    plain(|g| g.threshold),
                    plain(|g| g.count),
                    number(|g| g.collections),
                    number(|g| g.collected),
                    number(|g| g.uncollectable),
                ],
            )
            .trim_end()
            .to_owned(),
        );
    }
    lines
}

/// How often full collections ran, and when the next is due.
fn rate(gc: &Gc) -> String {
    let done: u64 = gc.collectors.iter().filter_map(|c| c.generations.last()).map(|g| g.collections).sum();
    let so_far = match (gc.age_s, gc.full_an_hour().filter(|_| gc.age_s.is_some_and(|age| age >= 60.0))) {
        // Of a minute alone nothing is said of hours.
        (Some(age), None) => format!("{} in {}", text::counted(done, "full collection"), aged(age)),
        (Some(age), Some(rate)) => {
            format!("{} in {}, {} an hour", text::counted(done, "full collection"), aged(age), rounded(rate))
        }
        _ => text::counted(done, "full collection"),
    };
    let due = match gc.main().and_then(|main| main.long_lived) {
        _ if !gc.is_automatic() => "none starts by itself".to_owned(),
        Some((total, pending)) if pending < total / 4 => {
            format!("the next after {} more old ones", text::grouped(total / 4 - pending))
        }
        Some(_) => "the next may come at any time".to_owned(),
        None => "old objects are collected bit by bit".to_owned(),
    };
    format!("{so_far}; {due}")
}

/// A number of which two figures matter.
fn rounded(n: f64) -> String {
    match n {
        n if n < 10.0 => format!("{n:.1}"),
        n => text::grouped(n.round() as u64),
    }
}

/// `3 h 5 min`, `12 s`.
fn aged(seconds: f64) -> String {
    let s = seconds as u64;
    match s {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", text::grouped(s / 3600), s / 60 % 60),
    }
}

fn found(full: &Pass, limit: Option<usize>) -> Vec<String> {
    let mut lines = Vec::new();
    if full.found_objects == 0 {
        lines.push("and finds nothing: no garbage waits".to_owned());
    } else {
        let shown = limit.unwrap_or(usize::MAX);
        let mut types: Vec<String> =
            full.types.iter().take(shown).map(|(name, count)| format!("{} {}", text::grouped(*count), text::escaped(name))).collect();
        if full.types.len() > shown {
            types.push(text::counted((full.types.len() - shown) as u64, "more type"));
        }
        lines.push(format!(
            "and finds {}, returns {}; with what these hold {}, {}, go",
            text::grouped(full.found_objects),
            text::grouped(full.returns),
            text::counted(full.freed_objects, "object"),
            full.freed_bytes
        ));
        lines.push(format!("    {}", types.join(", ")));
    }
    if full.uncollectable_objects > 0 {
        lines.push(format!("    {} stay in gc.garbage: a tp_del of C", text::counted(full.uncollectable_objects, "object")));
    }
    if full.finalizing_objects > 0 {
        let n = text::counted(full.finalizing_objects, "object");
        lines.push(format!("    {n} with a finalizer, which may keep some alive"));
    }
    if full.contradicting > 0 {
        let n = text::counted(full.contradicting, "object");
        lines.push(format!("    {n} to which more refer than their counts say, taken as held"));
    }
    lines
}

fn untracked(gc: &Gc, full: &Pass) -> String {
    let both = gc.tuples.objects + gc.dicts.objects;
    if both == 0 {
        return "tracked without need: nothing".to_owned();
    }
    format!(
        "tracked without need: {}, {}: {} of the walk, until the next full one",
        text::counted(gc.tuples.objects, "tuple"),
        text::counted(gc.dicts.objects, "dict"),
        text::percent(both, full.walked_objects)
    )
}

/// One JSON object: schema `exuvia/gc/1`.
pub fn json(out: &mut dyn Write, snapshot: &Snapshot, gc: &Gc, limit: Option<usize>) -> io::Result<()> {
    let lists = LISTS.iter().zip(&gc.lists).map(|(list, of)| ListJson { list, objects: of.objects, bytes: of.bytes.0 });
    json::line(
        out,
        &Answer {
            head: json::Head::new("exuvia/gc/1", snapshot),
            missing: gc.collectors.is_empty().then_some(MISSING),
            collectors: gc.collectors.iter().map(CollectorJson::new).collect(),
            lists: lists.collect(),
            passes: gc.passes.iter().map(|pass| PassJson::new(pass, limit)).collect(),
            untrackable: [("tuple", gc.tuples), ("dict", gc.dicts)].map(|(name, of)| UntrackableJson::new(name, of)),
            age_s: gc.age_s,
            full_collections_an_hour: gc.full_an_hour(),
            estimated_ns_an_object: NANOSECONDS_AN_OBJECT,
            advice: gc.advice.as_ref().map(AdviceJson::new),
        },
    )
}

#[derive(Serialize)]
struct Answer<'s> {
    #[serde(flatten)]
    head: json::Head<'s>,
    missing: Option<&'static str>,
    collectors: Vec<CollectorJson>,
    lists: Vec<ListJson<'s>>,
    passes: Vec<PassJson<'s>>,
    untrackable: [UntrackableJson; 2],
    age_s: Option<f64>,
    full_collections_an_hour: Option<f64>,
    estimated_ns_an_object: f64,
    advice: Option<AdviceJson<'s>>,
}

#[derive(Serialize)]
struct CollectorJson {
    interpreter: u32,
    enabled: bool,
    debug: u32,
    collecting: bool,
    incremental: bool,
    generations: Vec<GenerationJson>,
    long_lived_total: Option<u64>,
    long_lived_pending: Option<u64>,
    garbage: u64,
    callbacks: Option<u64>,
}

impl CollectorJson {
    fn new(c: &CollectorState) -> Self {
        let generation = |g: &Generation| GenerationJson {
            threshold: g.threshold,
            count: g.count,
            collections: g.collections,
            collected: g.collected,
            uncollectable: g.uncollectable,
        };
        CollectorJson {
            interpreter: c.interpreter,
            enabled: c.enabled,
            debug: c.debug,
            collecting: c.collecting,
            incremental: c.incremental,
            generations: c.generations.iter().map(generation).collect(),
            long_lived_total: c.long_lived.map(|(total, _)| total),
            long_lived_pending: c.long_lived.map(|(_, pending)| pending),
            garbage: c.garbage,
            callbacks: c.callbacks,
        }
    }
}

#[derive(Serialize)]
struct GenerationJson {
    threshold: i64,
    count: i64,
    collections: u64,
    collected: u64,
    uncollectable: u64,
}

#[derive(Serialize)]
struct ListJson<'s> {
    list: &'s str,
    objects: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct PassJson<'s> {
    generation: u8,
    walked_objects: u64,
    walked_references: u64,
    found_objects: u64,
    uncollectable_objects: u64,
    finalizing_objects: u64,
    freed_by_calls: u64,
    callbacks: u64,
    freed_by_callbacks: u64,
    returns: u64,
    freed_objects: u64,
    freed_bytes: u64,
    contradicting: u64,
    estimated_ms: f64,
    types: Vec<TypeJson<'s>>,
}

#[derive(Serialize)]
struct TypeJson<'s> {
    #[serde(rename = "type")]
    type_name: &'s str,
    count: u64,
}

impl<'s> PassJson<'s> {
    fn new(pass: &'s Pass, limit: Option<usize>) -> Self {
        let types = pass.types.iter().take(limit.unwrap_or(usize::MAX));
        PassJson {
            generation: pass.generation,
            walked_objects: pass.walked_objects,
            walked_references: pass.walked_references,
            found_objects: pass.found_objects,
            uncollectable_objects: pass.uncollectable_objects,
            finalizing_objects: pass.finalizing_objects,
            freed_by_calls: pass.freed_by_calls,
            callbacks: pass.callbacks,
            freed_by_callbacks: pass.freed_by_callbacks,
            returns: pass.returns,
            freed_objects: pass.freed_objects,
            freed_bytes: pass.freed_bytes.0,
            contradicting: pass.contradicting,
            estimated_ms: json::microseconds(estimated_ms(pass.walked_objects)),
            types: types.map(|(name, count)| TypeJson { type_name: name, count: *count }).collect(),
        }
    }
}

#[derive(Serialize)]
struct UntrackableJson {
    #[serde(rename = "type")]
    type_name: &'static str,
    objects: u64,
    references: u64,
}

impl UntrackableJson {
    fn new(type_name: &'static str, of: Untrackable) -> Self {
        UntrackableJson { type_name, objects: of.objects, references: of.references }
    }
}

#[derive(Serialize)]
struct AdviceJson<'s> {
    kind: &'static str,
    lines: &'s [String; 2],
    #[serde(rename = "where")]
    at: &'static str,
    why: &'s str,
}

impl<'s> AdviceJson<'s> {
    fn new(advice: &'s Advice) -> Self {
        AdviceJson { kind: advice.kind.word(), lines: &advice.lines, at: advice.at, why: &advice.why }
    }
}

#[cfg(test)]
mod tests {
    use analyses::gc::{Kind, List};
    use memory::Bytes;

    use super::*;

    fn one() -> Gc {
        let generations = [(700, 12, 340), (10, 3, 31), (10, 1, 2)].map(|(threshold, count, collections)| Generation {
            threshold,
            count,
            collections,
            collected: collections * 10,
            uncollectable: 0,
        });
        let main = CollectorState { enabled: true, generations, long_lived: Some((40_000, 1000)), ..CollectorState::default() };
        let full = Pass {
            generation: 2,
            walked_objects: 123_456,
            walked_references: 456_789,
            found_objects: 1234,
            returns: 1200,
            finalizing_objects: 3,
            freed_objects: 2345,
            freed_bytes: Bytes(1 << 20),
            types: vec![("app.Node\x1b".into(), 900), ("dict".into(), 300), ("list".into(), 30), ("set".into(), 4)],
            ..Pass::default()
        };
        let advice = Advice {
            kind: Kind::Freeze,
            lines: ["import gc".into(), "gc.collect(); gc.freeze()".into()],
            at: "at the end of start-up",
            why: "full collections ran 2 times".into(),
        };
        Gc {
            collectors: vec![main],
            lists: [List { objects: 99, bytes: Bytes(2048) }; 4],
            passes: vec![full],
            age_s: Some(7200.0),
            advice: Some(advice),
            ..Gc::default()
        }
    }

    #[test]
    fn the_state_the_pass_and_the_lines_to_paste_fit_a_screen() {
        let mut out = Vec::new();
        let style = Style { width: Some(80), ..Style::default() };
        table(&mut out, &Snapshot::default(), &one(), Some(FIRST_SCREEN), &style).unwrap();
        let out = String::from_utf8(out).unwrap();
        for wanted in [
            "collector: on, gc.garbage empty, 0 callbacks\n",
            "generation 0         99  2.00 KiB       700     12         340      3,400      0\n",
            "frozen               99  2.00 KiB\n",
            "2 full collections in 2 h 0 min, 1.0 an hour; the next after 9,000 more old ones\n",
            "and finds 1,234, returns 1,200; with what these hold 2,345 objects, 1.00 MiB, go\n",
            "    900 app.Node\\u{1b}, 300 dict, 30 list, 1 more type\n",
            "paste at the end of start-up:\n    import gc\n    gc.collect(); gc.freeze()\nwhy: full collections ran 2 times\n",
        ] {
            assert!(out.contains(wanted), "{wanted}: {out}");
        }
        assert!(out.lines().count() <= 24 && out.lines().all(|line| text::width(line) <= 80), "{out}");
    }

    #[test]
    fn what_an_earlier_program_did_not_write_is_said_in_one_line() {
        let mut out = Vec::new();
        table(&mut out, &Snapshot::default(), &Gc::default(), None, &Style::default()).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("\nmissing:  this snapshot was written before"), "{out}");
        assert!(!out.contains("paste"), "{out}");
    }

    #[test]
    fn the_json_has_what_is_promised() {
        let mut out = Vec::new();
        json(&mut out, &Snapshot::default(), &one(), None).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["schema"], "exuvia/gc/1");
        assert_eq!((&value["collectors"][0]["generations"][0]["count"], &value["lists"][3]["list"]), (&12.into(), &"frozen".into()));
        assert_eq!((&value["passes"][0]["returns"], &value["advice"]["lines"][1]), (&1200.into(), &"gc.collect(); gc.freeze()".into()));
    }
}
