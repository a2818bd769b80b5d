//! The look: from what the user named to a snapshot.
//!
//! Holds: [`take`], which reads a saved snapshot, or has `live` take one of a process; [`Question`], what is asked of it.
//! Never does: stop a process (that is `live`), print an answer, decide how it is shown.

use std::path::Path;
use std::time::Instant;

use memory::Addr;
use snapshot::file::{Draft, Reader};
use snapshot::{Forked, Snapshot};

use crate::cli::{Chosen, Look};
use crate::live::{self, Running};
use crate::progress::Progress;
use crate::refusals;
use crate::trouble::Trouble;

/// What is asked of the snapshot: only as much is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question<'a> {
    /// Sums per type.
    Types,
    /// Every object.
    Objects,
    /// Every object with its references.
    Graph,
    /// Sums per type, and where the resident memory is.
    Ledger,
    /// Every object with its references, and what is known of it instead of its value.
    Facts,
    /// That, and where the resident memory is.
    Explanation,
    /// One object with its references.
    Object(Addr),
    /// All that a snapshot's file keeps, written while it is found: into this folder, or where there is none, kept packed.
    #[cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), allow(dead_code))]
    Everything(Option<&'a Path>),
    /// Sums per type; the memory as it is goes into a core file.
    #[cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), allow(dead_code))]
    Core(&'a Path, Compress),
}

/// Whether a core file is compressed.
pub(crate) type Compress = bool;

/// What one look gave.
pub(crate) struct Captured {
    pub(crate) snapshot: Snapshot,
    /// Where everything was asked for.
    pub(crate) saved: Option<Saved>,
}

/// A process and all that descend from it.
pub(crate) struct Family {
    /// Each with its parent, where that is among them; a parent before its children.
    pub(crate) members: Vec<(i32, Option<i32>)>,
    /// So many more there are.
    pub(crate) left_out: usize,
}

/// One process of a tree.
#[derive(Default)]
pub(crate) struct Member {
    pub(crate) pid: i32,
    /// Its parent, where that is in the tree.
    pub(crate) parent: Option<i32>,
    pub(crate) command: String,
    pub(crate) snapshot: Snapshot,
    /// What it shares with its parent.
    pub(crate) forked: Option<Forked>,
    /// Why nothing was seen of it.
    pub(crate) refused: Option<String>,
}

/// What was written of a snapshot while it was made, and since when its memory is copied.
pub(crate) struct Saved {
    pub(crate) draft: Draft,
    pub(crate) copied: Instant,
}

/// Looks at the target.
pub(crate) fn take(chosen: &Chosen, look: &Look, question: Question<'_>) -> Result<Looked, Trouble> {
    let (captured, running) = match chosen {
        Chosen::Pid(pid) => (live::process(*pid, look, question)?, None),
        Chosen::Program(argv) => live::program(argv, look, question)?,
        Chosen::Core(core) => (live::core(core, look, question)?, None),
        Chosen::Folder(folder) => {
            let snapshot = saved(folder, question)?;
            if look.values && matches!(question, Question::Object(_)) {
                has_values(folder)?;
            }
            (Captured { snapshot, saved: None }, None)
        }
    };
    let Captured { snapshot, saved } = captured;
    Ok(Looked { snapshot, saved, running })
}

/// A snapshot that was saved.
pub(crate) fn saved(folder: &Path, question: Question<'_>) -> Result<Snapshot, Trouble> {
    let progress = Progress::start("reading the snapshot");
    // A decoder that gives up on a made-up file is caught by the reader and is damage; its own words would stand beside ours.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let read = Reader::open(folder).and_then(|reader| match question {
        Question::Types | Question::Ledger | Question::Core(..) => reader.types(),
        Question::Objects | Question::Everything(_) => reader.objects(),
        Question::Graph => reader.graph(),
        Question::Facts | Question::Explanation => reader.graph_with_facts(),
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

/// Refuses to show values of a snapshot that has none: nothing shown would look as if the object had none.
fn has_values(folder: &Path) -> Result<(), Trouble> {
    let values = Reader::open(folder).and_then(|reader| reader.texts("objects", "value")).map_err(|e| refusals::file(&e))?;
    match values.unwrap_or_default().iter().any(Option::is_some) {
        true => Ok(()),
        false => Err(refusals::no_values(folder)),
    }
}

/// A snapshot, and the program that was started for it where it runs on.
pub(crate) struct Looked {
    pub(crate) snapshot: Snapshot,
    /// Where everything was asked for.
    pub(crate) saved: Option<Saved>,
    running: Option<Running>,
}

impl Looked {
    /// After the answer is written: waits for the end of a program that we started.
    pub(crate) fn finish(self) -> Result<(), Trouble> {
        self.running.map_or(Ok(()), Running::finish)
    }
}
