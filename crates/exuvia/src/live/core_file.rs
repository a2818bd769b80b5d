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
use target::{CorePlaces, Dump, Taken};

use super::pythons::Pythons;
use super::{refusals, Call};
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
    let copied = Instant::now();
    // The first that was initialised; what is wrong with the first is told where none was.
    let mut first = None;
    for (python, _) in &pythons.known {
        let moment = capture::Moment::Still;
        let source = Source { image: &image, python, mappings: opened.mappings(), tables: &call.tables, moment, residency: None };
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
pub(super) fn write(path: &Path, taken: &Taken, image: &Image<'_>, python: &Module, exe: &str, pid: i32) -> io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let pythons = std::slice::from_ref(python);
    let dump = Dump { pid, exe, threads: taken.threads(), mappings: taken.mappings(), image, pythons };
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
