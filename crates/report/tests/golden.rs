//! What the commands write, byte for byte, beside files that a person can read.
//!
//! Holds: hand-made snapshots, hostile ones among them, and for each the table and the JSON as files in `tests/golden`.
//! `UPDATE_GOLDEN=1 cargo test -p exuvia-report` rewrites the files; the difference is then to be read before it is kept.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::Path;

use analyses::SortBy;
use exuvia_report as report;
use memory::{Addr, Bytes};
use report::{Again, Style};
use snapshot::*;

#[test]
fn types_for_people() {
    let s = shop();
    let t = analyses::types(&s, SortBy::Footprint, Some(3));
    check("types.txt", |out| report::types::table(out, &s, &t, &terminal()));
}

#[test]
fn types_for_programs() {
    let s = shop();
    let t = analyses::types(&s, SortBy::Footprint, None);
    check("types.json", |out| report::types::json(out, &s, &t));
}

#[test]
fn objects_for_people() {
    let s = shop();
    let l = analyses::objects(&s, None, SortBy::Footprint, Some(3));
    check("objects.txt", |out| report::objects::table(out, &s, &l, &terminal()));
}

#[test]
fn objects_for_programs() {
    let s = shop();
    let l = analyses::objects(&s, Some("shop.models.Session"), SortBy::Own, None);
    check("objects.jsonl", |out| report::objects::json(out, &s, &l));
}

#[test]
fn object_for_people() {
    let s = shop();
    let v = analyses::object(&s, Some(2), None).unwrap();
    check("object.txt", |out| report::object::table(out, &s, &v, &terminal()));
}

#[test]
fn object_for_programs() {
    let s = shop();
    let v = analyses::object(&s, None, None).unwrap();
    check("object.json", |out| report::object::json(out, &s, &v));
}

#[test]
fn a_comparison_for_people() {
    check("compare.txt", |out| report::compare::table(out, &comparison(), &terminal()));
}

#[test]
fn a_comparison_for_programs() {
    check("compare.json", |out| report::compare::json(out, &comparison()));
}

#[test]
fn a_limit_names_what_is_sure_and_more_than_it() {
    let crossed = |percent| report::compare::crossed(&comparison(), &["peak_rss_bytes", "seconds"], percent);
    let told = crossed(5.0).unwrap();
    assert!(
        told.starts_with("peak RSS of malloc+\\u{1b}]0;owned\\u{7}\\u{202e} +25 % (noise ±2.0 %): more than 5 %; tcmalloc: no verdict"),
        "{told}"
    );
    // What has no verdict has not passed.
    let told = crossed(25.0).unwrap();
    assert!(told.starts_with("tcmalloc: no verdict") && told.ends_with("mimalloc: failed: it ended with exit code 1"), "{told}");
    let mut sound = comparison();
    sound.variants.truncate(4);
    assert_eq!(report::compare::crossed(&sound, &["peak_rss_bytes", "seconds"], 25.0), None);
}

#[test]
fn a_first_screen_has_24_lines_of_80_columns_and_no_escape_sequences() {
    let s = hostile();
    let mut screens = Vec::new();
    let t = analyses::types(&s, SortBy::Footprint, Some(report::types::FIRST_SCREEN));
    screens.push(written(|out| report::types::table(out, &s, &t, &terminal())));
    let l = analyses::objects(&s, None, SortBy::Footprint, Some(report::objects::FIRST_SCREEN));
    screens.push(written(|out| report::objects::table(out, &s, &l, &terminal())));
    let it = s.inspected.as_ref().unwrap();
    let (to, from) = report::object::first_screen(it.references_out.total, it.references_in.total);
    let v = analyses::object(&s, Some(to), Some(from)).unwrap();
    screens.push(written(|out| report::object::table(out, &s, &v, &terminal())));
    for screen in screens {
        // The prompt takes the 24th.
        assert!(screen.lines().count() <= 23, "{} lines:\n{screen}", screen.lines().count());
        for line in screen.lines() {
            assert!(report::text::width(line) <= 80 || line.starts_with("next: "), "{line}");
            assert!(!line.chars().any(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)), "{line:?}");
        }
    }
}

#[test]
fn a_hostile_name_is_never_offered_for_pasting() {
    let s = hostile();
    let t = analyses::types(&s, SortBy::Footprint, None);
    let screen = written(|out| report::types::table(out, &s, &t, &terminal()));
    assert_eq!(screen.lines().last(), Some("next: exuvia objects 4711"));
}

#[test]
fn bold_is_written_only_where_it_is_wanted() {
    let s = shop();
    let t = analyses::types(&s, SortBy::Footprint, None);
    let plain = written(|out| report::types::table(out, &s, &t, &terminal()));
    let bold = written(|out| report::types::table(out, &s, &t, &Style { color: true, ..terminal() }));
    assert!(!plain.contains('\x1b'));
    assert!(bold.contains("\x1b[1m"));
    assert_eq!(bold.replace("\x1b[1m", "").replace("\x1b[0m", ""), plain);
}

#[test]
fn the_same_snapshot_gives_the_same_bytes_and_every_line_is_json() {
    let s = hostile();
    let run = || {
        let t = analyses::types(&s, SortBy::Count, None);
        let l = analyses::objects(&s, None, SortBy::Name, None);
        let v = analyses::object(&s, None, None).unwrap();
        let mut all = written(|out| report::types::json(out, &s, &t));
        all += &written(|out| report::objects::json(out, &s, &l));
        all += &written(|out| report::object::json(out, &s, &v));
        all
    };
    assert_eq!(run(), run());
    for line in run().lines() {
        serde_json::from_str::<serde_json::Value>(line).expect(line);
    }
}

/// A base, one with two differences, one with none, and those without a verdict, each for its reason.
fn comparison() -> report::compare::Comparison {
    use report::compare::{Against, Comparison, Figure, Spread, Unit, Variant};
    let figure = |key, words, column, unit| Figure { key, words, column, unit };
    let figures = vec![
        figure("peak_rss_bytes", "peak RSS", Some("peak RSS"), Unit::Bytes),
        figure("seconds", "time", Some("time"), Unit::Seconds),
        figure("collector_seconds", "collector time", Some("collector"), Unit::Seconds),
        figure("cpu_seconds", "cpu_seconds", None, Unit::Seconds),
    ];
    let run = |mib: f64, seconds: f64| vec![Some(mib * 1_048_576.0), Some(seconds), None, Some(seconds / 2.0)];
    let variant = |name: &str, mib: f64, seconds: f64, against: [Option<Against>; 3]| {
        let spread = |median: f64, against| Some(Spread { median, low: median * 0.99, high: median * 1.01, against });
        let [peak, time, collector] = against;
        let spreads = vec![
            spread(mib * 1_048_576.0, peak),
            spread(seconds, time),
            collector.and_then(|against| spread(seconds / 10.0, Some(against))),
            spread(seconds / 2.0, None),
        ];
        let runs = vec![run(mib * 0.99, seconds * 0.99), run(mib, seconds), run(mib * 1.01, seconds * 1.01)];
        Variant { name: name.into(), spreads, runs, proof: Ok("malloc is in libc.so.6".into()), failed: None, failures: 0 }
    };
    let against = |change, noise, differs| Some(Against { change, noise: Some(noise), differs });
    let base = variant("glibc", 200.0, 1.5, [None; 3]);
    let less =
        variant("jemalloc", 146.0, 1.5, [against(-0.27, 0.0004, true), against(0.001, 0.03, false), against(f64::INFINITY, 0.0, true)]);
    let more = variant("malloc+\x1b]0;owned\x07\u{202e}", 250.0, 1.6, [against(0.25, 0.02, true), against(-0.2, 0.1, true), None]);
    let same = variant("arena-max=2", 200.5, 1.5, [against(0.0025, 0.01, false), against(0.0, 0.031, false), against(0.0, 0.12, false)]);
    let none = |name: &str| variant(name, 200.0, 1.5, [None; 3]);
    let unproved = Variant { proof: Err("malloc is in libc.so.6".into()), ..none("tcmalloc") };
    let failing = Variant { failed: Some("SIGSEGV ended it: \x1b[31mred".into()), failures: 1, ..none("pymalloc") };
    let failed = Variant {
        spreads: vec![None; 4],
        runs: Vec::new(),
        failed: Some("it ended with exit code 1".into()),
        failures: 2,
        ..none("mimalloc")
    };
    Comparison {
        command: ["python3", "app \x1b[2J.py"].map(String::from).into(),
        repeat: 3,
        fewest: 3,
        seed: 42,
        figures,
        variants: vec![base, less, more, same, unproved, failing, failed],
        notes: vec!["something else is to be known".into()],
        ended: Some("stopped in round 3 of 9".into()),
    }
}

fn terminal() -> Style {
    Style { width: Some(80), color: false, again: Again::Pid(4711) }
}

fn written(write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn check(file: &str, write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    let got = written(write);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &got).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(got, wanted, "\n{} differs; it would be:\n{got}", path.display());
}

/// A small heap as a shop has it.
fn shop() -> Snapshot {
    let kinds = [
        ("shop.models.Session", 3, 168, 240, Known::Exact),
        ("dict", 2, 464, 1200, Known::Exact),
        ("str", 5, 275, 320, Known::Exact),
        ("_thing.Native", 1, 40, 48, Known::Scanned),
    ];
    let mut s = Snapshot {
        target: Target {
            pid: Some(4711),
            python: "3.12.1".into(),
            build: "proved by structure, table from 3.12.1".into(),
            executable: "/usr/bin/python3.12".into(),
            mode: Mode::Fork,
            pause_ms: Some(12.345_678),
            second_stop_ms: Some(0.234_567),
            page_faults: Some(1234),
            attempts: 1,
            threads: 3,
            interpreters: 1,
            resident_bytes: Some(9_000_000),
            copied_bytes: Some(8_000_000),
            ..Target::default()
        },
        ..Snapshot::default()
    };
    let mut objects = Objects::default();
    for (t, &(name, count, own, footprint, known)) in kinds.iter().enumerate() {
        let (own_bytes, footprint_bytes) = (Bytes(own), Bytes(footprint));
        s.types.push(Type { name: name.into(), address: Addr(0x9000 + t as u64 * 0x100), count, own_bytes, footprint_bytes, known });
        for i in 0..count {
            objects.push(Object {
                address: Addr(0x7f00_0000_1000 + t as u64 * 0x1000 + i * 0x40),
                type_index: t as u32,
                own_bytes: Bytes(own / count),
                footprint_bytes: Bytes(footprint / count),
                refcount: i + 1,
                state: State::new(if t < 2 { Collector::Generation2 } else { Collector::Without }, Found::List, t == 2 && i == 0),
            });
        }
        s.coverage.objects += count;
        s.coverage.own_bytes.0 += own;
        s.coverage.footprint_bytes.0 += footprint;
        let known = if known == Known::Exact { &mut s.coverage.exact_bytes } else { &mut s.coverage.scanned_bytes };
        known.0 += own;
    }
    s.coverage.blocks_in_use = 20;
    s.coverage.blocks_explained = 19;
    s.coverage.blocks_bytes = Bytes(1800);
    s.coverage.add_gap(GapKind::UnexplainedBlock, 1);
    s.objects = Some(objects);
    let object = |address: u64, type_name: &str, brief| Holder::Object { address: Addr(address), type_name: type_name.into(), brief };
    let text = |len| Brief::Sized { type_name: "str".into(), len, unit: Unit::Char };
    s.inspected = Some(Inspected {
        address: Addr(0x7f00_0000_1000),
        type_name: "shop.models.Session".into(),
        type_address: Addr(0x9000),
        brief: Brief::Nothing,
        own_bytes: Bytes(56),
        footprint_bytes: Bytes(80),
        known: Known::Exact,
        refcount: 4,
        explained_refs: 3,
        state: State::new(Collector::Generation2, Found::List, false),
        references_out: References {
            shown: vec![
                Reference { label: Label::Type, other: object(0x9000, "type", Brief::Named("shop.models.Session".into())), certain: true },
                Reference { label: Label::Attribute("token".into()), other: object(0x7f00_0000_3000, "str", text(14)), certain: true },
                Reference {
                    label: Label::Attribute("seen".into()),
                    other: object(0x7f00_0000_3040, "int", Brief::Hidden { type_name: "int".into() }),
                    certain: true,
                },
            ],
            total: 3,
        },
        references_in: References {
            shown: vec![
                Reference {
                    label: Label::Value(text(14)),
                    other: object(0x7f00_0000_2000, "dict", Brief::Sized { type_name: "dict".into(), len: 3, unit: Unit::Item }),
                    certain: true,
                },
                Reference {
                    label: Label::Local("session".into()),
                    other: Holder::Root { name: "thread 4713, frame of shop.server.handle".into() },
                    certain: false,
                },
                Reference { label: Label::Index(7), other: object(0x7f00_0000_5000, "list", Brief::Nothing), certain: true },
            ],
            total: 3,
        },
    });
    s
}

/// A heap whose names try to steer the terminal, are endless, or alike; with every gap there is.
fn hostile() -> Snapshot {
    let mut s = shop();
    s.types.clear();
    let mut objects = Objects::default();
    for i in 0..200u64 {
        let name = format!("\x1b]0;owned\x07\u{202e}evil\r\n{}.Type{i}", "very.long.".repeat(20));
        let size = Bytes(u64::MAX >> 20);
        let (own_bytes, footprint_bytes) = (size, size);
        s.types.push(Type { name, address: Addr(i), count: u64::MAX / 7, own_bytes, footprint_bytes, known: Known::Derived });
        let state = State::new(Collector::Frozen, Found::Sweep, false);
        objects.push(Object { address: Addr(u64::MAX - i), type_index: i as u32, own_bytes, footprint_bytes, refcount: u64::MAX, state });
    }
    s.objects = Some(objects);
    s.target.python = "3.12.1\x1b[2J".into();
    s.coverage.objects = u64::MAX;
    s.coverage.derived_bytes = Bytes(7);
    for &kind in GapKind::ALL {
        s.coverage.add_gap(kind, u64::MAX / 3);
    }
    let it = s.inspected.as_mut().unwrap();
    it.type_name = s.types[0].name.clone();
    it.brief = Brief::Value("\x1b[31mred".repeat(100));
    let bad = Reference {
        label: Label::Attribute("\x1b[31m".repeat(50)),
        other: Holder::Object { address: Addr(u64::MAX), type_name: it.type_name.clone(), brief: it.brief.clone() },
        certain: false,
    };
    it.references_out = References { shown: vec![bad.clone(); 100], total: u64::MAX };
    it.references_in = References { shown: vec![bad; 100], total: 100 };
    s
}
