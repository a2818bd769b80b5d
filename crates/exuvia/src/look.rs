//! The look: from what the user named to a snapshot.
//!
//! Holds: [`take`], which reads a saved snapshot, or has `live` take one of a process; [`Question`], what is asked of it.
//! Never does: stop a process (that is `live`), print an answer, decide how it is shown.

use std::path::Path;

use memory::Addr;
use snapshot::file::Reader;
use snapshot::Snapshot;

use crate::cli::{Chosen, Look};
use crate::live::{self, Running};
use crate::progress::Progress;
use crate::refusals;
use crate::trouble::Trouble;

/// What is asked of the snapshot: only as much is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    /// Sums per type.
    Types,
    /// Every object.
    Objects,
    /// One object with its references.
    Object(Addr),
    /// All that a snapshot's file keeps.
    Everything,
}

/// Looks at the target.
pub(crate) fn take(chosen: &Chosen, look: &Look, question: Question) -> Result<Looked, Trouble> {
    let (snapshot, running) = match chosen {
        Chosen::Pid(pid) => (live::process(*pid, look, question)?, None),
        Chosen::Program(argv) => live::program(argv, look, question)?,
        Chosen::Folder(folder) => (saved(folder, question)?, None),
    };
    Ok(Looked { snapshot, running })
}

/// A snapshot that was saved.
fn saved(folder: &Path, question: Question) -> Result<Snapshot, Trouble> {
    let progress = Progress::start("reading the snapshot");
    // A decoder that gives up on a made-up file is caught by the reader and is damage; its own words would stand beside ours.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let read = Reader::open(folder).and_then(|reader| match question {
        Question::Types => reader.types(),
        Question::Objects | Question::Everything => reader.objects(),
        Question::Object(address) => reader.object(address),
    });
    std::panic::set_hook(told);
    drop(progress);
    let snapshot = read.map_err(|e| refusals::file(&e))?;
    if let (Question::Object(address), None) = (question, &snapshot.inspected) {
        return Err(refusals::no_object_saved(folder, address));
    }
    Ok(snapshot)
}

/// A snapshot, and the program that was started for it where it runs on.
pub(crate) struct Looked {
    pub(crate) snapshot: Snapshot,
    running: Option<Running>,
}

impl Looked {
    /// After the answer is written: waits for the end of a program that we started.
    pub(crate) fn finish(self) -> Result<(), Trouble> {
        self.running.map_or(Ok(()), Running::finish)
    }
}
