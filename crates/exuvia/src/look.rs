//! The look: from what the user named to a snapshot. The one place of the command where a process is stopped.
//!
//! Holds: [`take`], which opens or starts the target, has it frozen and its copy captured; [`Looked`], the snapshot and the
//! program that may still run. Never does: print an answer, decide how it is shown.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use capture::{capture, CaptureError, Detail, Source};
use cpython::layout::proof::{collecting_words, identify, Identity};
use cpython::layout::Table;
use cpython::LayoutError;
use memory::{Addr, Module};
use snapshot::file::Reader;
use snapshot::{Moment, Snapshot};
use target::{Ending, LaunchOptions, Launched, Process, TakeOptions, Taken, Way};

use crate::again::{self, Attempt, Facts, Spent};
use crate::cli::{Chosen, Look};
use crate::progress::Progress;
use crate::refusals;
use crate::screen;
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

/// When this program was started as the guardian: never returns then.
pub(crate) fn guardian() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? == target::GUARDIAN_ARGUMENT {
        target::guardian_main(args);
    }
    None
}

/// Looks at the target.
pub(crate) fn take(chosen: &Chosen, look: &Look, question: Question) -> Result<Looked, Trouble> {
    if let Chosen::Folder(folder) = chosen {
        return saved(folder, question);
    }
    let tables = cpython::layout::tables().map_err(|e| refusals::capture(None, &e.into()))?;
    let call = Call { look, question, tables: &tables };
    match chosen {
        Chosen::Pid(pid) => call.pid(*pid),
        Chosen::Program(argv) => call.program(argv),
        Chosen::Folder(folder) => saved(folder, question),
    }
}

/// A snapshot that was saved.
fn saved(folder: &Path, question: Question) -> Result<Looked, Trouble> {
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
    Ok(Looked { snapshot, running: None })
}

/// A snapshot, and the program that was started for it where it runs on.
pub(crate) struct Looked {
    pub(crate) snapshot: Snapshot,
    running: Option<Launched>,
}

impl Looked {
    /// After the answer is written: waits for the end of a program that we started, as a shell would, and says how it ended.
    pub(crate) fn finish(self) -> Result<(), Trouble> {
        if let Some(launched) = self.running {
            ended(launched.finish().map_err(refusals::target)?);
        }
        Ok(())
    }
}

/// One call of the command.
struct Call<'a> {
    look: &'a Look,
    question: Question,
    tables: &'a [Table],
}

impl Call<'_> {
    fn pid(&self, pid: i32) -> Result<Looked, Trouble> {
        let progress = Progress::start("reading what the process has mapped");
        let process = target::open(pid).map_err(refusals::target)?;
        let pythons = self.pythons(&process)?;
        let options = self.take_options(&process, &pythons);
        let attempt = again::look(options.mode == target::Mode::Live, options.max_pause, || {
            progress.step("copying its memory");
            let taken = target::take(&process, &options).map_err(refusals::target)?;
            progress.step("finding every object");
            Ok(Attempt { outcome: self.capture(&taken, &pythons), spent: Spent::of(taken.cost()), facts: Facts::of(&taken) })
        })?;
        let mut snapshot = attempt.outcome.map_err(|e| refusals::capture(Some(pid), &e))?;
        attempt.facts.fill(&mut snapshot, &process.exe(), pid, &attempt.spent);
        Ok(Looked { snapshot, running: None })
    }

    fn program(&self, argv: &[OsString]) -> Result<Looked, Trouble> {
        let options = LaunchOptions {
            argv: argv.to_vec(),
            stdout_to_stderr: self.look.json,
            after: self.look.after,
            guardian: TakeOptions::default().guardian,
        };
        let mut launched = target::launch(&options).map_err(refusals::target)?;
        match self.started(&mut launched) {
            Ok((mut snapshot, moment)) => {
                snapshot.target.moment = moment;
                snapshot.target.command = Some(argv.iter().map(|w| w.to_string_lossy().into_owned()).collect());
                if moment == Moment::After {
                    return Ok(Looked { snapshot, running: Some(launched) });
                }
                // It is on its way out: its last words come before ours, and its exit code is part of the answer.
                let ending = launched.finish().map_err(refusals::target)?;
                snapshot.target.exit_code = Some(code(ending));
                ended(ending);
                Ok(Looked { snapshot, running: None })
            }
            Err(trouble) => {
                // The user's program comes first: it runs to its end although we cannot look at it.
                if let Ok(ending) = launched.finish() {
                    ended(ending);
                }
                Err(trouble)
            }
        }
    }

    fn started(&self, launched: &mut Launched) -> Result<(Snapshot, Moment), Trouble> {
        let moment = match launched.wait_for_moment().map_err(refusals::target)? {
            target::Moment::BeforeFinalize => Moment::BeforeFinalize,
            target::Moment::AtExit(_) => Moment::AtExit,
            target::Moment::After => Moment::After,
            target::Moment::EndedUnseen(ending) => return Err(refusals::ended_unseen(&how(ending))),
        };
        if let (Moment::AtExit, Some(e)) = (moment, launched.no_breakpoint()) {
            screen::remark(&format!(
                "no debug register could be set here ({e}): the program is seen after its interpreter was taken apart"
            ));
        }
        let pid = launched.pid();
        let progress = Progress::start("reading what the program has mapped");
        let process = launched.process().map_err(refusals::target)?;
        let exe = process.exe();
        let pythons = self.pythons(process)?;
        let options = self.take_options(process, &pythons);
        progress.step("copying its memory");
        let taken = launched.take(&options).map_err(refusals::target)?;
        progress.step("finding every object");
        let mut snapshot = self.capture(&taken, &pythons).map_err(|e| refusals::capture(Some(pid), &e))?;
        Facts::of(&taken).fill(&mut snapshot, &exe, pid, &Spent::of(taken.cost()));
        Ok((snapshot, moment))
    }

    /// The mapped files that hold a Python, and what each says of itself: a build that cannot be read is refused before
    /// anything is stopped.
    fn pythons(&self, process: &Process) -> Result<Vec<(Module, Identity)>, Trouble> {
        let mut known = Vec::new();
        let mut refused = None;
        for module in process.pythons().map_err(refusals::target)? {
            match identify(process, &module) {
                Ok(identity) => known.push((module, identity)),
                Err(e) => refused = refused.or(Some(e)),
            }
        }
        match refused {
            Some(e) if known.is_empty() => Err(refusals::capture(Some(process.pid()), &e.into())),
            _ => Ok(known),
        }
    }

    fn take_options(&self, process: &Process, pythons: &[(Module, Identity)]) -> TakeOptions {
        let quiet_words = pythons.iter().flat_map(|(_, identity)| collecting_words(process, identity, self.tables)).collect();
        TakeOptions { mode: self.look.mode.into(), quiet_words, max_pause: self.look.max_pause, ..TakeOptions::default() }
    }

    /// The snapshot of the one Python that is in use: a process may have another one mapped that was never started.
    fn capture(&self, taken: &Taken, pythons: &[(Module, Identity)]) -> Result<Snapshot, CaptureError> {
        let image = taken.image();
        let detail = match self.question {
            Question::Types => Detail::Types,
            Question::Objects => Detail::Objects,
            Question::Everything => Detail::Everything { values: self.look.values },
            Question::Object(address) => Detail::Object { address, values: self.look.values },
        };
        let moment = if taken.way() == Way::Live { capture::Moment::Running } else { capture::Moment::Still };
        let mut first = None;
        for (python, _) in pythons {
            let source = Source { image: &image, python, mappings: taken.mappings(), tables: self.tables, moment };
            match capture(source, detail) {
                Ok(snapshot) => return Ok(snapshot),
                Err(e) => first = first.or(Some(e)),
            }
        }
        Err(first.unwrap_or(CaptureError::Layout(LayoutError::NotInitialised)))
    }
}

/// A signal's number is negative.
fn code(ending: Ending) -> i32 {
    match ending {
        Ending::Code(code) => code,
        Ending::Signal(signal) => -signal,
    }
}

fn how(ending: Ending) -> String {
    match ending {
        Ending::Code(code) => format!("with exit code {code}"),
        Ending::Signal(signal) => format!("by signal {signal}"),
    }
}

fn ended(ending: Ending) {
    screen::remark(&format!("the program ended {}", how(ending)));
}
