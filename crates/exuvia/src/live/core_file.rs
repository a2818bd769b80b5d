//! Core files: a process that is dead is read as one that lives.
//!
//! Holds: [`core`], and [`write`], which makes one of a process that lives. Never does: stop anything.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Instant;

use capture::{CaptureError, Source};
use memory::{Image, Module};
use snapshot::Mode;
use target::{CorePlaces, Dump, Kept, Taken};

use super::pythons::Pythons;
use super::{refusals, Call, Who};
use crate::cli::{Core, Look};
use crate::look::{Captured, Question};
use crate::progress::Progress;
use crate::screen;
use crate::trouble::Trouble;

/// Missing files that are told.
const MISSING_SHOWN: usize = 3;

/// Looks at a core file.
pub(crate) fn core(file: &Core, look: &Look, question: Question<'_>) -> Result<Captured, Trouble> {
    let call = Call::of(look, question)?;
    let places = CorePlaces { root: file.places.root.clone(), exe: file.places.exe.clone() };
    let progress = Progress::start("reading the core file");
    let opened = target::open_core(&file.path, &places).map_err(|e| refusals::core(&e))?;
    let modules = opened.pythons().map_err(|e| refusals::core(&e))?;
    progress.step("finding every object");
    let image = opened.image();
    let pythons = Pythons::of(&image, modules, look.python.as_deref(), None)?;
    // What was in memory is known of a core that exuvia wrote; of others the ledger counts what they have.
    let kept = opened.kept().residency.is_some();
    let held = (!kept && matches!(question, Question::Ledger)).then(|| opened.held());
    let asked = matches!(question, Question::Ledger | Question::Explanation | Question::Everything(_));
    let residency = opened.kept().residency.as_ref().or(held.as_ref()).filter(|_| asked);
    let copied = Instant::now();
    // The first that was initialised; what is wrong with the first is told where none was.
    let mut first = None;
    for (python, _) in &pythons.known {
        let moment = capture::Moment::Still;
        let source = Source { image: &image, python, mappings: opened.mappings(), tables: &call.tables, moment, residency };
        match call.captured(source, copied) {
            Ok(mut captured) => {
                drop(progress);
                let t = &mut captured.snapshot.target;
                t.pid = opened.pid();
                t.executable = opened.exe().to_string();
                t.mode = Mode::Core;
                t.beside = pythons.beside(source);
                t.threads = opened.threads();
                t.copied_bytes = Some(opened.dumped_bytes().0);
                (t.started, t.age_s) = (opened.kept().started, opened.kept().age_s);
                if let Some(ledger) = &mut captured.snapshot.ledger {
                    ledger.of_a_core = !kept;
                }
                tell(&opened);
                return Ok(captured);
            }
            Err(e @ CaptureError::File(_)) => return Err(refusals::capture(None, &e)),
            Err(e) => first = first.or(Some(e)),
        }
    }
    Err(refusals::capture(None, &pythons.instead_of(first)))
}

/// Writes a process's memory as it was taken: for its owner alone, since all that it held is in there.
pub(super) fn write(path: &Path, taken: &Taken, image: &Image<'_>, python: &Module, who: &Who, compress: bool) -> io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let pythons = std::slice::from_ref(python);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok();
    let kept = Kept {
        started: Some(who.started),
        age_s: who.age_s,
        dumped_unix_s: now.map(|since| since.as_secs()),
        residency: taken.residency().cloned(),
    };
    let (pid, exe) = (who.pid, who.exe.as_str());
    let dump = Dump { pid, exe, threads: taken.threads(), mappings: taken.mappings(), image, pythons, kept: &kept, compress };
    let written = target::write_core(&mut file, dump);
    if written.is_err() {
        // Half a core is none, and would be in the way of the next. That it cannot be removed is the lesser news.
        let _ = std::fs::remove_file(path);
    }
    written.map(|_| ())
}

/// Files that were mapped and are not here: what the core left out of them is not known.
fn tell(core: &target::Core) {
    for (path, why) in core.missing().iter().take(MISSING_SHOWN) {
        screen::remark(&format!("not read: {path}: {why}"));
    }
    if core.missing().len() > MISSING_SHOWN {
        screen::remark(&format!("not read: {} more mapped files", core.missing().len() - MISSING_SHOWN));
    }
}
