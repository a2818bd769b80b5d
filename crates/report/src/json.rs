//! What every JSON answer begins with: schema, target, coverage. Fields may be added, never renamed.

use std::io::{self, Write};

use serde::{Serialize, Serializer};
use snapshot::{Coverage, GapKind, Snapshot, Target};

/// The common head of every answer.
#[derive(Serialize)]
pub(crate) struct Head<'s> {
    schema: &'static str,
    target: TargetJson<'s>,
    coverage: CoverageJson,
}

impl<'s> Head<'s> {
    pub(crate) fn new(schema: &'static str, snapshot: &'s Snapshot) -> Self {
        Head { schema, target: TargetJson::new(&snapshot.target), coverage: CoverageJson::new(&snapshot.coverage) }
    }
}

/// One value and a line break.
pub(crate) fn line(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// An address: a hex string, since a JSON number above 2^53 is not safe everywhere.
pub(crate) struct Hex(pub(crate) memory::Addr);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

#[derive(Serialize)]
struct TargetJson<'s> {
    pid: Option<i32>,
    python: &'s str,
    mode: &'static str,
    pause_ms: Option<f64>,
    second_stop_ms: Option<f64>,
    page_faults: Option<u64>,
    not_forked: Option<&'s str>,
    moment: &'static str,
    attempts: u32,
    threads: u32,
    interpreters: u32,
    build: &'s str,
    executable: &'s str,
    resident_bytes: Option<u64>,
    copied_bytes: Option<u64>,
    command: Option<&'s [String]>,
    exit_code: Option<i32>,
}

impl<'s> TargetJson<'s> {
    fn new(t: &'s Target) -> Self {
        TargetJson {
            pid: t.pid,
            python: &t.python,
            mode: t.mode.word(),
            pause_ms: t.pause_ms.map(microseconds),
            second_stop_ms: t.second_stop_ms.map(microseconds),
            page_faults: t.page_faults,
            not_forked: t.not_forked.as_deref(),
            moment: t.moment.word(),
            attempts: t.attempts,
            threads: t.threads,
            interpreters: t.interpreters,
            build: &t.build,
            executable: &t.executable,
            resident_bytes: t.resident_bytes,
            copied_bytes: t.copied_bytes,
            command: t.command.as_deref(),
            exit_code: t.exit_code,
        }
    }
}

/// Milliseconds as exact as the clock is good for.
pub(crate) fn microseconds(ms: f64) -> f64 {
    (ms * 1000.0).round() / 1000.0
}

#[derive(Serialize)]
struct CoverageJson {
    objects: u64,
    own_bytes: u64,
    footprint_bytes: u64,
    exact_bytes: u64,
    derived_bytes: u64,
    scanned_bytes: u64,
    blocks_in_use: u64,
    blocks_explained: u64,
    blocks_bytes: u64,
    gaps: Vec<GapJson>,
}

impl CoverageJson {
    fn new(c: &Coverage) -> Self {
        CoverageJson {
            objects: c.objects,
            own_bytes: c.own_bytes.0,
            footprint_bytes: c.footprint_bytes.0,
            exact_bytes: c.exact_bytes.0,
            derived_bytes: c.derived_bytes.0,
            scanned_bytes: c.scanned_bytes.0,
            blocks_in_use: c.blocks_in_use,
            blocks_explained: c.blocks_explained,
            blocks_bytes: c.blocks_bytes.0,
            gaps: c.gaps.iter().map(|g| GapJson { what: Kind(g.what), count: g.count }).collect(),
        }
    }
}

#[derive(Serialize)]
struct GapJson {
    what: Kind,
    count: u64,
}

struct Kind(GapKind);

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.0.word())
    }
}
