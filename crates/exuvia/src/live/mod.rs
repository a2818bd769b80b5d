//! Live processes: the one place of the command where one is stopped, and the one that other systems than Linux on x86-64 do without
//! (`elsewhere` stands in for it there).
//!
//! Holds: [`process`] and [`program`], which open or start the target, have it frozen and its copy captured; [`Running`], the program that
//! runs on; what there is to look at ([`pythons`]) and what works here ([`diagnose`]). Never does: print an answer, decide how it is shown.

mod again;
mod compare;
mod core_file;
mod doctor;
mod fingerprint_key;
mod imports;
mod interrupt;
mod processes;
mod pythons;
mod refusals;
mod scale;
mod tree;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

use capture::{capture, capture_into, CaptureError, Detail, FingerprintKey, Source};
use cpython::layout::proof::collecting_words;
use cpython::layout::Table;
use snapshot::file::{Draft, FileError};
use snapshot::Moment;
use target::{Ending, LaunchOptions, Launched, Process, TakeOptions, Taken, Way};

use self::again::{Attempt, Facts, Spent};
pub(crate) use self::compare::compare;
pub(crate) use self::core_file::core;
pub(crate) use self::doctor::{core as diagnose_core, diagnose};
pub(crate) use self::imports::imports;
pub(crate) use self::interrupt::Looks;
pub(crate) use self::processes::{called, command_line, pythons};
use self::pythons::Pythons;
pub(crate) use self::scale::scale;
pub(crate) use self::tree::{family, roots, tree};
use crate::cli::{self, Look};
use crate::look::{Captured, Question, Saved};
use crate::progress::Progress;
use crate::screen;
use crate::trouble::Trouble;

/// When this program was started as the guardian: never returns then.
pub(crate) fn guardian() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? == target::GUARDIAN_ARGUMENT {
        target::guardian_main(args);
    }
    None
}

/// Looks at a process that runs.
pub(crate) fn process(pid: i32, look: &Look, question: Question<'_>) -> Result<Captured, Trouble> {
    Call::of(look, question)?.pid(pid)
}

/// Whether a process can be looked at, as far as that is seen without stopping it.
pub(crate) fn readable(pid: i32, look: &Look) -> Result<(), Trouble> {
    let process = target::open(pid).map_err(refusals::target)?;
    Call::of(look, Question::Types)?.pythons(&process).map(|_| ())
}

/// Starts a program and looks at it; where it was seen before its end, it runs on.
pub(crate) fn program(argv: &[OsString], look: &Look, question: Question<'_>) -> Result<(Captured, Option<Running>), Trouble> {
    Call::of(look, question)?.program(argv)
}

/// A program that was started, and runs on after it was looked at.
pub(crate) struct Running(Launched);

impl Running {
    /// Waits for its end, as a shell would, and says how it ended.
    pub(crate) fn finish(self) -> Result<(), Trouble> {
        ended(self.0.finish().map_err(refusals::target)?);
        Ok(())
    }
}

/// One call of the command.
struct Call<'a> {
    look: &'a Look,
    question: Question<'a>,
    tables: Vec<Table>,
    /// What fingerprints of values are made with, and why that is not the user's key. Where values get some.
    key: Option<(FingerprintKey, Option<String>)>,
}

impl Call<'_> {
    fn of<'a>(look: &'a Look, question: Question<'a>) -> Result<Call<'a>, Trouble> {
        let tables = cpython::layout::tables().map_err(|e| refusals::capture(None, &e.into()))?;
        let no_key = |e: std::io::Error| Trouble::own("cannot make a key for the fingerprints of values", e.to_string());
        let key = match question {
            Question::Everything(_) => Some(fingerprint_key::key().map_err(no_key)?),
            Question::Facts | Question::Explanation => Some(fingerprint_key::passing().map_err(no_key)?),
            _ => None,
        };
        Ok(Call { look, question, tables, key })
    }

    fn pid(&self, pid: i32) -> Result<Captured, Trouble> {
        let progress = Progress::start("reading what the process has mapped");
        let process = target::open(pid).map_err(refusals::target)?;
        let pythons = self.pythons(&process)?;
        let options = self.take_options(&process, &pythons);
        let attempt = again::look(options.mode == target::Mode::Live, options.max_pause, || {
            progress.step("copying its memory");
            let taken = target::take(&process, &options).map_err(refusals::target)?;
            progress.step("finding every object");
            Ok(Attempt {
                outcome: self.capture(&taken, &pythons, &Who::of(&process)),
                spent: Spent::of(taken.cost()),
                facts: Facts::of(&taken),
            })
        })?;
        let mut captured = attempt.outcome.map_err(|e| refusals::capture(Some(pid), &e))?;
        attempt.facts.fill(&mut captured.snapshot, &process.exe(), pid, &attempt.spent);
        captured.snapshot.target.started = Some(process.start_time());
        captured.snapshot.target.age_s = process.age_s();
        Ok(captured)
    }

    fn program(&self, argv: &[OsString]) -> Result<(Captured, Option<Running>), Trouble> {
        let options = LaunchOptions {
            argv: argv.to_vec(),
            stdout_to_stderr: self.look.json,
            after: self.look.after,
            guardian: TakeOptions::default().guardian,
        };
        let mut launched = target::launch(&options).map_err(refusals::target)?;
        match self.started(&mut launched) {
            Ok((mut captured, moment)) => {
                let target = &mut captured.snapshot.target;
                target.moment = moment;
                target.command = Some(argv.iter().map(|w| w.to_string_lossy().into_owned()).collect());
                if moment == Moment::After {
                    return Ok((captured, Some(Running(launched))));
                }
                // It is on its way out: its last words come before ours, and its exit code is part of the answer.
                let ending = launched.finish().map_err(refusals::target)?;
                target.exit_code = Some(code(ending));
                ended(ending);
                Ok((captured, None))
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

    fn started(&self, launched: &mut Launched) -> Result<(Captured, Moment), Trouble> {
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
        let who = Who::of(process);
        let pythons = self.pythons(process)?;
        let options = self.take_options(process, &pythons);
        progress.step("copying its memory");
        let taken = launched.take(&options).map_err(refusals::target)?;
        progress.step("finding every object");
        let mut captured = self.capture(&taken, &pythons, &who).map_err(|e| refusals::capture(Some(pid), &e))?;
        Facts::of(&taken).fill(&mut captured.snapshot, &who.exe, pid, &Spent::of(taken.cost()));
        captured.snapshot.target.started = Some(who.started);
        captured.snapshot.target.age_s = who.age_s;
        Ok((captured, moment))
    }

    fn pythons(&self, process: &Process) -> Result<Pythons, Trouble> {
        let modules = process.pythons().map_err(refusals::target)?;
        Pythons::of(process, modules, self.look.python.as_deref(), Some(process.pid()))
    }

    fn take_options(&self, process: &Process, pythons: &Pythons) -> TakeOptions {
        let quiet_words = pythons.known.iter().flat_map(|(_, identity)| collecting_words(process, identity, &self.tables)).collect();
        let residency = matches!(self.question, Question::Ledger | Question::Explanation | Question::Everything(_) | Question::Core(..));
        TakeOptions { mode: self.look.mode.into(), quiet_words, max_pause: self.look.max_pause, residency, ..TakeOptions::default() }
    }

    /// The snapshot of the one Python that is in use: a process may have another one mapped that was never started.
    fn capture(&self, taken: &Taken, pythons: &Pythons, who: &Who) -> Result<Captured, CaptureError> {
        let copied = Instant::now();
        let image = taken.image();
        let moment = if taken.way() == Way::Live { capture::Moment::Running } else { capture::Moment::Still };
        let mut first = None;
        for (python, _) in &pythons.known {
            let residency = taken.residency();
            let source = Source { image: &image, python, mappings: taken.mappings(), tables: &self.tables, moment, residency };
            match self.captured(source, copied) {
                Ok(mut captured) => {
                    captured.snapshot.target.beside = pythons.beside(source);
                    if let Question::Core(path, compress) = self.question {
                        core_file::write(path, taken, &image, python, who, compress).map_err(|e| FileError::io(path, &e))?;
                    }
                    return Ok(captured);
                }
                Err(e @ CaptureError::File(_)) => return Err(e),
                Err(e) => first = first.or(Some(e)),
            }
        }
        Err(pythons.instead_of(first))
    }

    fn captured(&self, source: Source<'_>, copied: Instant) -> Result<Captured, CaptureError> {
        let values = self.look.values;
        let detail = match (self.question, &self.key) {
            (Question::Types | Question::Core(..), _) => Detail::Types,
            (Question::Ledger, _) => Detail::Ledger,
            (Question::Facts | Question::Explanation, Some((key, _))) => Detail::Facts(*key),
            (Question::Graph | Question::Facts | Question::Explanation, _) => Detail::Graph,
            (Question::Object(address), _) => Detail::Object { address, values },
            (Question::Objects | Question::Everything(_), None) | (Question::Objects, _) => Detail::Objects,
            (Question::Everything(folder), Some((key, alone))) => {
                // Each look its own: the best of several is kept, the others' leave nothing.
                let mut draft = folder.map_or_else(Draft::parts, Draft::folder)?;
                let mut snapshot = capture_into(source, values, *key, &mut draft)?;
                if let Some(details) = &mut snapshot.details {
                    details.key.alone.clone_from(alone);
                }
                return Ok(Captured { snapshot, saved: Some(Saved { draft, copied }) });
            }
        };
        Ok(Captured { snapshot: capture(source, detail)?, saved: None })
    }
}

/// A process as the kernel knows it.
struct Who {
    pid: i32,
    exe: String,
    started: u64,
    age_s: Option<f64>,
}

impl Who {
    fn of(process: &Process) -> Who {
        Who { pid: process.pid(), exe: process.exe(), started: process.start_time(), age_s: process.age_s() }
    }
}

impl From<cli::Mode> for target::Mode {
    fn from(m: cli::Mode) -> target::Mode {
        match m {
            cli::Mode::Auto => target::Mode::Auto,
            cli::Mode::Fork => target::Mode::Fork,
            cli::Mode::Freeze => target::Mode::Freeze,
            cli::Mode::Live => target::Mode::Live,
        }
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
