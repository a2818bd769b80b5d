//! A function that is called in a fresh interpreter, there or in a process of its own: what is run for it, and what that wrote down.
//!
//! Holds: [`Call`], [`CallCost`], [`Refused`]. Never does: run it; the script is `python/isolate.py`.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::run::Program;

const SCRIPT: &str = include_str!("../python/isolate.py");
/// A few numbers, or the words of an error.
const ANSWER_BYTES_MOST: u64 = 1 << 20;

/// What is called, and how.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// The file that it is in, or
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// the name of its module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Its name there.
    pub name: String,
    /// An expression of its argument; it is called without, if there is none.
    pub input: Option<String>,
    /// In which process.
    pub way: CallWay,
}

/// In which process it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CallWay {
    /// The one that wants its result.
    Inside,
    /// One of its own, which multiprocessing starts as a fresh interpreter.
    Spawn,
    /// One of its own, forked.
    Fork,
}

/// What a call cost: bytes resident in the process that wants the result, and what went through the pipe to another.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
pub struct CallCost {
    /// The most.
    pub peak_rss_bytes: Option<u64>,
    /// Before it.
    pub before_rss_bytes: Option<u64>,
    /// After it; its result is kept.
    pub after_rss_bytes: Option<u64>,
    /// After a collection then.
    pub collected_rss_bytes: Option<u64>,
    /// Until the result was there, the start of a process of its own included.
    pub seconds: f64,
    /// Bytes of the pickled function and argument; none where a fork had them.
    pub sent_bytes: Option<u64>,
    /// Bytes of the pickled result.
    pub returned_bytes: Option<u64>,
    /// To pickle, to send and to load both.
    pub transfer_seconds: Option<f64>,
    /// The most in the process of its own.
    pub child_peak_rss_bytes: Option<u64>,
}

/// What kept it from being called, or its result from coming back.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Refused {
    /// What.
    #[serde(rename = "refused")]
    pub kind: RefusedKind,
    /// The words of the error.
    pub words: String,
}

/// Where it ended.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum RefusedKind {
    /// The module cannot be imported.
    Import,
    /// Its file cannot be imported by its name: another module has it.
    File,
    /// It has no such name.
    Name,
    /// That is no function.
    Callable,
    /// The expression of the argument fails.
    Input,
    /// The function or its argument cannot be pickled.
    Argument,
    /// Its result cannot.
    Result,
    /// It raised.
    Raised,
    /// The process of its own ended.
    Ended,
    /// Nothing was written down.
    Nothing,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Refused(Refused),
    Cost(CallCost),
}

impl Call {
    /// The program that calls it, and the file in which it writes what that cost; what it needs is written into `folder`.
    ///
    /// # Errors
    /// That cannot be written.
    pub fn program(&self, python: OsString, folder: &Path) -> io::Result<(Program, PathBuf)> {
        let name = format!("{:?}", self.way).to_lowercase();
        let (script, task, answer) =
            (folder.join("isolate.py"), folder.join(format!("{name}.task")), folder.join(format!("{name}.answer")));
        std::fs::write(&script, SCRIPT)?;
        std::fs::write(&task, serde_json::to_string(self)?)?;
        let argv = vec![python, script.into(), task.into(), answer.clone().into()];
        Ok((Program { argv, ..Program::default() }, answer))
    }
}

impl CallCost {
    /// What a run wrote down.
    ///
    /// # Errors
    /// It was refused, or wrote nothing.
    pub fn read(answer: &Path) -> Result<CallCost, Refused> {
        let nothing = |words: String| Refused { kind: RefusedKind::Nothing, words };
        // Written by the program, so it may be anything.
        if !answer.symlink_metadata().is_ok_and(|m| m.is_file() && m.len() <= ANSWER_BYTES_MOST) {
            return Err(nothing("it ended before the call did".into()));
        }
        let text = std::fs::read_to_string(answer).map_err(|e| nothing(e.to_string()))?;
        match serde_json::from_str(&text).map_err(|e| nothing(e.to_string()))? {
            Answer::Refused(refused) => Err(refused),
            Answer::Cost(cost) => Ok(cost),
        }
    }
}

impl Refused {
    /// What failed, in words.
    pub fn what(&self) -> &'static str {
        match self.kind {
            RefusedKind::Import => "the module cannot be imported",
            RefusedKind::File => "the file cannot be imported by its name",
            RefusedKind::Name => "there is no such function",
            RefusedKind::Callable => "it is no function",
            RefusedKind::Input => "--input cannot be evaluated",
            RefusedKind::Argument => "the function or its argument cannot be pickled",
            RefusedKind::Result => "what the function returns cannot be pickled",
            RefusedKind::Raised => "the function fails",
            RefusedKind::Ended => "the process of its own ended before the call did",
            RefusedKind::Nothing => "the interpreter wrote nothing down",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what(), self.words)
    }
}
