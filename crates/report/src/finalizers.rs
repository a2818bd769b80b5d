//! `finalizers`: what runs code when it goes, and what is lost; in both forms.

use std::io::{self, Write};

use analyses::finalizers::{Called, Descriptors, Finalizers, Finalizing};
use analyses::place::Place;
use serde::Serialize;
use snapshot::Snapshot;

use crate::explain::{written, PlaceJson};
use crate::table::{Align, Table};
use crate::{head, json, text, Style};

/// Types of the first screen, so that all of it fits 24 lines.
pub const FIRST_SCREEN: usize = 9;
/// Functions that are named in one line.
const FUNCTIONS: usize = 3;

/// Coverage, the types with a finalizer, what will be called, what is lost, and the next command.
pub fn table(out: &mut dyn Write, snapshot: &Snapshot, found: &Finalizers, limit: Option<usize>, style: &Style) -> io::Result<()> {
    head::write_brief(out, snapshot, style)?;
    writeln!(out)?;
    let columns = [
        ("objects", Align::Right),
        ("in cycles", Align::Right),
        ("garbage", Align::Right),
        ("by C alone", Align::Right),
        ("type and where its __del__ is", Align::Left),
    ];
    let mut table = Table::new(style, &columns);
    let shown = limit.unwrap_or(usize::MAX);
    let rows: Vec<[String; 5]> = found.types.iter().take(shown).map(cells).collect();
    rows.iter().for_each(|row| table.fit(row));
    table.header(out)?;
    rows.iter().try_for_each(|row| table.row(out, row))?;
    if found.types.len() > shown {
        writeln!(out, "… {} (--limit 0 shows all)", text::counted((found.types.len() - shown) as u64, "more type"))?;
    }
    writeln!(out)?;
    let functions = if limit.is_some() { FUNCTIONS } else { usize::MAX };
    for (what, called) in [("unended:", &found.unfinished), ("finalize:", &found.registered), ("callback:", &found.callbacks)] {
        head::write_cut(out, &format!("{what:<9} {}", listed(called, functions)), style)?;
    }
    head::write_cut(out, &format!("garbage:  {}", garbage(found)), style)?;
    head::write_cut(out, &format!("open:     {}", open(&found.descriptors)), style)?;
    writeln!(out)?;
    let first = found.types.iter().find(|t| text::escaped(&t.type_name) == t.type_name);
    match first {
        Some(first) => writeln!(out, "next: {}", style.again.line("objects", &["--type", &first.type_name])),
        None => writeln!(out, "next: {}", style.again.line("explain", &[])),
    }
}

fn cells(t: &Finalizing) -> [String; 5] {
    let place = match (&t.place, t.is_python) {
        (Some(place), _) => format!(", {}", written(place)),
        (None, true) => String::new(),
        (None, false) => ", C code".to_owned(),
    };
    let what = format!("{}{place}", text::escaped(&t.type_name));
    [text::grouped(t.count), text::grouped(t.in_cycles), text::grouped(t.garbage), text::grouped(t.by_c), what]
}

/// `1,205: 1,200 of app.read (app/io.py:7), 5 of …`.
fn listed(called: &[Called], most: usize) -> String {
    if called.is_empty() {
        return "none".to_owned();
    }
    let all: u64 = called.iter().map(|c| c.count).sum();
    let one = |c: &Called| {
        let place = c.place.as_ref().map(|place| format!(" ({})", written(place))).unwrap_or_default();
        // What runs when it goes; an `except` seldom does.
        let [in_finally, in_with, in_try, _] = c.inside;
        let inside: Vec<String> = [(in_finally, "try/finally"), (in_with, "with"), (in_try, "a try block")]
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, what)| format!(", {} inside {what}", text::grouped(*n)))
            .collect();
        format!("{} of {}{place}{}", text::grouped(c.count), text::escaped(&c.function), inside.concat())
    };
    let mut parts: Vec<String> = called.iter().take(most).map(one).collect();
    if called.len() > most {
        parts.push(format!("… {} more", called.len() - most));
    }
    format!("{}: {}", text::grouped(all), parts.join(", "))
}

fn garbage(found: &Finalizers) -> String {
    let waiting: u64 = found.types.iter().map(|t| t.garbage).sum();
    let waiting = match waiting {
        0 => "nothing with a finalizer".to_owned(),
        n => format!("{} with a finalizer, which keep {}", text::counted(n, "object"), found.garbage_bytes),
    };
    let listed: u64 = found.gc_garbage.iter().map(|(_, count)| *count).sum();
    match listed {
        0 => format!("{waiting}; gc.garbage: empty"),
        n => format!("{waiting}; gc.garbage: {}, {}", text::grouped(n), found.gc_garbage_bytes),
    }
}

fn open(descriptors: &[Descriptors]) -> String {
    let sum = |of: fn(&Descriptors) -> u64| descriptors.iter().map(of).sum::<u64>();
    let kinds: Vec<String> =
        descriptors.iter().filter(|d| d.open > 0).map(|d| format!("{} {}", text::grouped(d.open), text::escaped(&d.type_name))).collect();
    let (garbage, by_c) = (sum(|d| d.garbage), sum(|d| d.by_c));
    let kinds = if kinds.is_empty() { "no file and no socket".to_owned() } else { kinds.join(", ") };
    match garbage + by_c {
        0 => format!("{kinds}; none is lost"),
        _ => format!("{kinds}; nothing refers to {}, only C code to {}", text::grouped(garbage), text::grouped(by_c)),
    }
}

/// One JSON object: schema `exuvia/finalizers/1`.
pub fn json(out: &mut dyn Write, snapshot: &Snapshot, found: &Finalizers, limit: Option<usize>) -> io::Result<()> {
    let most = limit.unwrap_or(usize::MAX);
    let called = |all| -> Vec<CalledJson<'_>> { <[Called]>::iter(all).take(most).map(CalledJson::new).collect() };
    let answer = Answer {
        head: json::Head::new("exuvia/finalizers/1", snapshot),
        types: found.types.iter().take(most).map(TypeJson::new).collect(),
        unfinished: called(&found.unfinished),
        finalize: called(&found.registered),
        callbacks: called(&found.callbacks),
        garbage_bytes: found.garbage_bytes.0,
        gc_garbage: found.gc_garbage.iter().map(|(type_name, count)| Count { type_name, count: *count }).collect(),
        gc_garbage_bytes: found.gc_garbage_bytes.0,
        descriptors: found.descriptors.iter().map(DescriptorsJson::new).collect(),
    };
    json::line(out, &answer)
}

#[derive(Serialize)]
struct Answer<'s> {
    #[serde(flatten)]
    head: json::Head<'s>,
    types: Vec<TypeJson<'s>>,
    unfinished: Vec<CalledJson<'s>>,
    finalize: Vec<CalledJson<'s>>,
    callbacks: Vec<CalledJson<'s>>,
    garbage_bytes: u64,
    gc_garbage: Vec<Count<'s>>,
    gc_garbage_bytes: u64,
    descriptors: Vec<DescriptorsJson<'s>>,
}

#[derive(Serialize)]
struct Count<'s> {
    #[serde(rename = "type")]
    type_name: &'s str,
    count: u64,
}

#[derive(Serialize)]
struct TypeJson<'s> {
    #[serde(rename = "type")]
    type_name: &'s str,
    language: &'static str,
    count: u64,
    in_cycles: u64,
    garbage: u64,
    only_c: u64,
    #[serde(rename = "where")]
    place: Option<PlaceJson<'s>>,
}

impl<'s> TypeJson<'s> {
    fn new(t: &'s Finalizing) -> Self {
        TypeJson {
            type_name: &t.type_name,
            language: if t.is_python { "python" } else { "c" },
            count: t.count,
            in_cycles: t.in_cycles,
            garbage: t.garbage,
            only_c: t.by_c,
            place: place(&t.place),
        }
    }
}

fn place(place: &Option<Place>) -> Option<PlaceJson<'_>> {
    place.as_ref().map(PlaceJson::new)
}

#[derive(Serialize)]
struct CalledJson<'s> {
    function: &'s str,
    count: u64,
    #[serde(rename = "where")]
    place: Option<PlaceJson<'s>>,
    in_finally: u64,
    in_with: u64,
    in_try: u64,
    in_except: u64,
}

impl<'s> CalledJson<'s> {
    fn new(c: &'s Called) -> Self {
        let [in_finally, in_with, in_try, in_except] = c.inside;
        CalledJson { function: &c.function, count: c.count, place: place(&c.place), in_finally, in_with, in_try, in_except }
    }
}

#[derive(Serialize)]
struct DescriptorsJson<'s> {
    #[serde(rename = "type")]
    type_name: &'s str,
    open: u64,
    closed: u64,
    unknown: u64,
    open_garbage: u64,
    open_only_c: u64,
    lost_bytes: u64,
}

impl<'s> DescriptorsJson<'s> {
    fn new(d: &'s Descriptors) -> Self {
        DescriptorsJson {
            type_name: &d.type_name,
            open: d.open,
            closed: d.closed,
            unknown: d.unknown,
            open_garbage: d.garbage,
            open_only_c: d.by_c,
            lost_bytes: d.lost_bytes.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::Bytes;

    fn found() -> Finalizers {
        let place = |line| Some(Place { file: "/srv/app/db.py".into(), line: Some(line), near: false });
        let called = |function: &str, count| Called { function: function.into(), place: place(7), count, inside: [0; 4] };
        let conn = Finalizing {
            type_name: "app.Conn".into(),
            is_python: true,
            place: place(12),
            count: 1200,
            in_cycles: 40,
            garbage: 30,
            by_c: 2,
        };
        Finalizers {
            tops: Default::default(),
            types: vec![conn, Finalizing { type_name: "_io.FileIO".into(), count: 9, ..Finalizing::default() }],
            unfinished: (0..5).map(|i| called(&format!("app.\u{202e}read{i}"), 5)).collect(),
            registered: vec![called("app.bye", 1)],
            callbacks: Vec::new(),
            gc_garbage: vec![("app.Conn".into(), 4)],
            gc_garbage_bytes: Bytes(2048),
            descriptors: vec![Descriptors {
                type_name: "_io.FileIO".into(),
                open: 8,
                closed: 1,
                unknown: 0,
                garbage: 3,
                by_c: 1,
                lost_bytes: Bytes(640),
            }],
            garbage_bytes: Bytes(30 << 10),
        }
    }

    #[test]
    fn the_table_has_types_calls_and_what_is_lost() {
        let mut out = Vec::new();
        table(&mut out, &Snapshot::default(), &found(), Some(1), &Style::default()).unwrap();
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = out.lines().skip(4).collect();
        let wanted = [
            "objects  in cycles  garbage  by C alone  type and where its __del__ is",
            "  1,200         40       30           2  app.Conn, app/db.py:12",
            "… 1 more type (--limit 0 shows all)",
            "",
            "unended:  25: 5 of app.\\u{202e}read0 (app/db.py:7), 5 of app.\\u{202e}read1 (app/db.py:7), \
             5 of app.\\u{202e}read2 (app/db.py:7), … 2 more",
            "finalize: 1: 1 of app.bye (app/db.py:7)",
            "callback: none",
            "garbage:  30 objects with a finalizer, which keep 30.0 KiB; gc.garbage: 4, 2.00 KiB",
            "open:     8 _io.FileIO; nothing refers to 3, only C code to 1",
            "",
            "next: exuvia objects 0 --type app.Conn",
        ];
        assert_eq!(lines, wanted, "{out}");
        let mut out = Vec::new();
        table(&mut out, &Snapshot::default(), &Finalizers::default(), Some(FIRST_SCREEN), &Style::default()).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("open:     no file and no socket; none is lost\n") && out.contains("gc.garbage: empty\n"), "{out}");
    }

    #[test]
    fn the_json_has_everything_with_its_place() {
        let mut out = Vec::new();
        json(&mut out, &Snapshot::default(), &found(), None).unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(answer["schema"], "exuvia/finalizers/1");
        let place = serde_json::json!({"file": "/srv/app/db.py", "line": 12, "near": false});
        let row = &answer["types"][0];
        assert_eq!((&row["where"], &row["garbage"], &row["only_c"], &row["language"]), (&place, &30.into(), &2.into(), &"python".into()));
        assert_eq!((&answer["types"][1]["where"], &answer["types"][1]["language"]), (&serde_json::Value::Null, &"c".into()));
        assert_eq!(answer["unfinished"].as_array().map(Vec::len), Some(5));
        assert_eq!((&answer["gc_garbage"][0]["count"], &answer["descriptors"][0]["open_garbage"]), (&4.into(), &3.into()));
    }
}
