//! `snapshot`: what was written, and what to do with it.

use std::io::{self, Write};
use std::time::Duration;

use memory::Bytes;
use serde::Serialize;
use snapshot::Snapshot;

use crate::{head, json, text, Style};

/// Coverage, the folder, and the next command.
pub fn table(out: &mut dyn Write, snapshot: &Snapshot, folder: &str, bytes: Bytes, style: &Style) -> io::Result<()> {
    head::write(out, snapshot, style)?;
    writeln!(out)?;
    let each = bytes.0 as f64 / snapshot.coverage.objects.max(1) as f64;
    writeln!(out, "{}: {bytes}, {each:.1} B an object", text::escaped(folder))?;
    writeln!(out, "next: {}", style.again.line("types", &[]))
}

/// One object. `after_copy` is the time from the end of the copy to the end of the writing.
pub fn json(out: &mut dyn Write, snapshot: &Snapshot, folder: &str, bytes: Bytes, after_copy: Duration) -> io::Result<()> {
    #[derive(Serialize)]
    struct Answer<'s> {
        #[serde(flatten)]
        head: json::Head<'s>,
        folder: &'s str,
        written_bytes: u64,
        after_copy_ms: f64,
    }
    let head = json::Head::new("exuvia/snapshot/1", snapshot);
    json::line(out, &Answer { head, folder, written_bytes: bytes.0, after_copy_ms: after_copy.as_secs_f64() * 1e3 })
}
