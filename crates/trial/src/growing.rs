//! One run of a function on an input of one size, in a fresh process.
//!
//! Holds: [`Growing`] (what is run), [`Sample`] (what came of it), [`Trials::sample`]. Never does: choose sizes, fit.
//! `python/growing.py` does the work inside and says how each figure is known.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::run::{Program, Way};
use crate::trials::{TrialError, Trials};

const SCRIPT: &str = include_str!("../python/growing.py");
/// An answer is shorter.
const ANSWER_MOST: u64 = 1 << 16;

/// A function of one argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growing {
    /// The interpreter.
    pub python: OsString,
    /// Where it stands: a module as `python -m` finds it, or a file.
    pub place: Place,
    /// Its name there, dotted for what stands in a class.
    pub name: String,
    /// An expression of `n` with the module's names that makes its argument; without one that is n.
    pub input: Option<String>,
}

/// Where a function stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `package.module`.
    Module(String),
    /// `folder/file.py`.
    File(String),
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// It was measured.
    Measured(Measured),
    /// There is no such function, or it cannot be called so, whatever the size.
    Refused {
        /// import, name, callable, argument or input.
        kind: String,
        /// Python's own words.
        words: String,
    },
    /// It failed at this size: the last line of what it wrote.
    Failed(String),
    /// It took longer than it may.
    Over,
    /// What was started is no Python.
    NotPython(String),
}

/// What a call took.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The interpreter's release.
    pub python: String,
    /// The shortest of its calls, or the first.
    pub time: Duration,
    /// Resident before the input was made: the interpreter and what was imported.
    pub base_bytes: u64,
    /// What the input added.
    pub input_bytes: i64,
    /// What the call added and what is still there with its result.
    pub held_bytes: i64,
    /// What the call added at its peak.
    pub peak_bytes: i64,
    /// It is the first call's: what that kept (a cache, an import) made the later ones ten times as fast and more.
    pub keeps: bool,
    /// "generator" or "coroutine" where it returned one: what it would do was not done.
    pub lazy: Option<String>,
}

#[derive(Serialize)]
struct Task<'a> {
    module: Option<&'a str>,
    file: Option<&'a str>,
    name: &'a str,
    input: Option<&'a str>,
    n: u64,
    bound_bytes: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    python: String,
    refused: Option<String>,
    words: String,
    seconds: Option<f64>,
    base_bytes: Option<u64>,
    before_bytes: Option<u64>,
    after_bytes: Option<u64>,
    high_before_bytes: Option<u64>,
    high_bytes: Option<u64>,
    keeps: bool,
    lazy: Option<String>,
}

impl Trials {
    /// Runs it once with this size; it may take so much memory beside what it has when it begins, and so much time in all.
    ///
    /// # Errors
    /// It could not be started or traced, or our folder cannot be written.
    pub fn sample(&self, growing: &Growing, n: u64, bound_bytes: u64, limit: Duration) -> Result<Sample, TrialError> {
        let room = self.room()?;
        let (script, answer) = (room.join("growing.py"), room.join("answer"));
        std::fs::write(&script, SCRIPT).map_err(|source| TrialError::Folder { path: script.clone(), source })?;
        let (module, file) = match &growing.place {
            Place::Module(module) => (Some(module.as_str()), None),
            Place::File(file) => (None, Some(file.as_str())),
        };
        let task = Task { module, file, name: &growing.name, input: growing.input.as_deref(), n, bound_bytes };
        let task = serde_json::to_string(&task)
            .map_err(|source| TrialError::Folder { path: answer.clone(), source: std::io::Error::other(source) })?;
        let program = Program {
            argv: vec![growing.python.clone(), script.into_os_string(), task.into(), answer.clone().into_os_string()],
            ..Program::default()
        };
        let run = self.run(&program, &Way { untouched: true, limit: Some(limit), ..Way::default() }, |_| {})?;
        let said = read(&answer);
        let _ = std::fs::remove_dir_all(&room);
        if run.over {
            return Ok(Sample::Over);
        }
        let words = || {
            let last = run.last_words.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_string);
            last.unwrap_or_else(|| format!("it ended early: {:?}", run.ending))
        };
        let Some(said) = said else { return Ok(Sample::NotPython(words())) };
        if let Some(kind) = said.refused {
            return Ok(Sample::Refused { kind, words: said.words });
        }
        Ok(said.measured().filter(|_| run.succeeded()).map_or_else(|| Sample::Failed(words()), Sample::Measured))
    }
}

impl Answer {
    /// Written by a process in which the function ran, so it may be anything.
    fn measured(&self) -> Option<Measured> {
        let (before, after) = (signed(self.before_bytes)?, signed(self.after_bytes)?);
        let base_bytes = self.base_bytes?;
        let held_bytes = after - before;
        // Both marks are the kernel's own count, which is a little behind the exact one: their difference is what can be trusted.
        let marked = signed(self.high_bytes).zip(signed(self.high_before_bytes)).map(|(high, low)| high - low);
        Some(Measured {
            python: self.python.clone(),
            time: Duration::try_from_secs_f64(self.seconds?).ok()?,
            base_bytes,
            input_bytes: before - signed(Some(base_bytes))?,
            held_bytes,
            peak_bytes: marked.unwrap_or_default().max(held_bytes),
            keeps: self.keeps,
            lazy: self.lazy.clone(),
        })
    }
}

fn signed(bytes: Option<u64>) -> Option<i64> {
    // No machine has as much; sums and differences of such do not overflow.
    bytes.and_then(|b| i64::try_from(b).ok()).filter(|b| *b < 1 << 60)
}

fn read(path: &Path) -> Option<Answer> {
    let mut text = String::new();
    if !path.symlink_metadata().ok()?.is_file() {
        return None;
    }
    std::fs::File::open(path).ok()?.take(ANSWER_MOST).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}
