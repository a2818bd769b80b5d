//! What every JSON answer begins with: schema, target, coverage. Fields may be added, never renamed.

use std::io::{self, Write};

use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;
use snapshot::{Coverage, GapKind, Snapshot, Target};

use crate::text;

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

/// The same of one target among several, where the answer has the schema.
#[derive(Serialize)]
pub(crate) struct Body<'s> {
    target: TargetJson<'s>,
    coverage: CoverageJson,
}

impl<'s> Body<'s> {
    pub(crate) fn new(snapshot: &'s Snapshot) -> Self {
        Body { target: TargetJson::new(&snapshot.target), coverage: CoverageJson::new(&snapshot.coverage) }
    }
}

/// One value and a line break.
pub(crate) fn line(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut *out, Harmless))?;
    out.write_all(b"\n")
}

/// Compact, and with names that a terminal might obey escaped: JSON itself only asks for that below U+0020, and C1 controls, direction
/// marks and what has no width lie above.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let steers = |c: char| c >= '\u{7f}' && text::steers(c);
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| steers(*c)) {
            let (before, after) = rest.split_at(at);
            out.write_all(before.as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = after.get(c.len_utf8()..).unwrap_or_default();
        }
        out.write_all(rest.as_bytes())
    }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pid_inside: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<&'s str>,
    python: &'s str,
    mode: &'static str,
    pause_ms: Option<f64>,
    second_stop_ms: Option<f64>,
    page_faults: Option<u64>,
    not_forked: Option<&'s str>,
    beside: Option<&'s str>,
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
            pid_inside: t.pid_inside,
            container: t.container.as_deref(),
            python: &t.python,
            mode: t.mode.word(),
            pause_ms: t.pause_ms.map(microseconds),
            second_stop_ms: t.second_stop_ms.map(microseconds),
            page_faults: t.page_faults,
            not_forked: t.not_forked.as_deref(),
            beside: t.beside.as_deref(),
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
pub(crate) struct CoverageJson {
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
    /// Where the first objects stand that something wrote over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    corrupted_at: Vec<String>,
}

impl CoverageJson {
    pub(crate) fn new(c: &Coverage) -> Self {
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
            corrupted_at: c.corrupted_at.iter().map(ToString::to_string).collect(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_reads_back_as_it_was() {
        let name = "größe \u{9b}31m\u{202e}\u{7f}\x1b[2J\n\"\\\u{200b}\u{e0001}会";
        let mut out = Vec::new();
        line(&mut out, &[name]).unwrap();
        let shown = String::from_utf8(out).unwrap();
        let wanted = "[\"größe \\u009b31m\\u202e\\u007f\\u001b[2J\\n\\\"\\\\\\u200b\\udb40\\udc01会\"]\n";
        assert_eq!(shown, wanted);
        assert_eq!(serde_json::from_str::<Vec<String>>(&shown).unwrap(), [name]);
    }
}
