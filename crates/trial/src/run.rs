//! One run: a program from its start to its end, measured.
//!
//! Holds: [`Program`], [`Way`], [`Run`], [`Trials::run`]. Never does: repeat, compare.
//! How each figure is known: `peak` is the kernel's own high-water mark (VmHWM in proc_pid_status(5) while the program stands at its end,
//! ru_maxrss in getrusage(2) after it), so no sampling can miss it; `end` is what is resident where nothing has been taken apart yet
//! (before `Py_FinalizeEx`, else at the exit); times are the clock's and wait4(2)'s.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use target::{launch_apart, Ending, LaunchOptions, Moment, Process};

use crate::collector::{Collector, Setting};
use crate::trials::{TrialError, Trials};
use crate::words::Words;

/// A name of a module is shorter.
const NAME_MOST: u64 = 4096;
/// A kernel file about a process is shorter.
const STATUS_MOST: u64 = 1 << 16;

/// What is run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// Environment variables that it has, and, without a value, has not, other than ours.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// Where it runs; where we do, if not said.
    pub folder: Option<PathBuf>,
}

/// How it is run.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// The collector's setting.
    pub collector: Setting,
    /// No collector is set or counted: nothing is put into the program.
    pub untouched: bool,
    /// It is ended after so long.
    pub limit: Option<Duration>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Run {
    /// How it ended.
    pub ending: Ending,
    /// It was ended because its time was over.
    pub over: bool,
    /// From the start to the end, by the clock, less what it stood at its end to be read.
    pub time: Duration,
    /// Processor time of it and of the descendants that it waited for.
    pub cpu: Duration,
    /// The most that was resident at once, in bytes: of the one process of it and those descendants that had most.
    pub peak_rss_bytes: u64,
    /// What was resident at its end, in bytes, of the process that was started. `None` where it could not be seen there (a thread executed
    /// another program).
    pub end_rss_bytes: Option<u64>,
    /// What its collectors did; `None` where no Python told.
    pub collector: Option<Collector>,
    /// A module that it imported from the working tree, although a [`crate::Checkout`] was run.
    pub astray: Option<String>,
    /// The last of what it wrote to stderr.
    pub last_words: String,
    /// What the loader said there of a library in LD_PRELOAD that it could not load.
    pub preload_refused: Option<String>,
}

impl Run {
    /// Whether it ended well.
    pub fn succeeded(&self) -> bool {
        self.ending == Ending::Code(0)
    }
}

impl Trials {
    /// Runs it once: stdin is empty, stdout is dropped, stderr is kept for when it fails. `at_end` is called while it stands at its end,
    /// its memory whole.
    ///
    /// # Errors
    /// It could not be started or traced, or our folder cannot be written.
    pub fn run(&self, program: &Program, way: &Way, mut at_end: impl FnMut(&Process)) -> Result<Run, TrialError> {
        let room = self.room()?;
        let records = room.join("records");
        std::fs::create_dir(&records).map_err(|source| TrialError::Folder { path: records.clone(), source })?;
        let (words, stderr) = Words::listen().map_err(|source| TrialError::Pipe { source })?;
        let options = LaunchOptions { argv: program.argv.clone(), stdout_to_stderr: false, after: None, guardian: self.guardian.clone() };
        let started = Instant::now();
        let mut launched = launch_apart(&options, |command| {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
            if let Some(folder) = &program.folder {
                command.current_dir(folder);
            }
            for (name, value) in &program.env {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
            if !way.untouched {
                command.env("PYTHONPATH", self.python_path(program));
                command.env("EXUVIA_TRIAL_RECORDS", &records).env("EXUVIA_TRIAL_GC", way.collector.to_string());
            }
        })?;
        let pid = launched.pid();
        self.stop.begin(pid, way.limit);
        let seen = launched.wait_for_moment();
        let (mut end, mut peak, stood) = (None, 0, Instant::now());
        if let Ok(Moment::BeforeFinalize | Moment::AtExit(_)) = &seen {
            end = field(pid, "smaps_rollup", "Rss:").or_else(|| field(pid, "status", "VmRSS:"));
            peak = field(pid, "status", "VmHWM:").unwrap_or_default();
            if let Ok(process) = launched.process() {
                at_end(process);
            }
        }
        // What we read while it stands is not its time.
        let stood = stood.elapsed();
        // Also where the moment was missed for an error of ours: the program runs to its end first.
        let finished = launched.finish_apart();
        let time = started.elapsed().saturating_sub(stood);
        let over = self.stop.end();
        let words = words.end();
        seen?;
        let (ending, usage) = finished?;
        let run = Run {
            ending,
            over,
            time,
            cpu: usage.user + usage.system,
            peak_rss_bytes: peak.max(end.unwrap_or_default()).max(after_us(usage.peak_rss_bytes, peak)),
            end_rss_bytes: end,
            collector: Collector::read(&records, pid),
            astray: astray(&records.join("astray")),
            last_words: words.last(),
            preload_refused: words.preload_refused(),
        };
        // In the folder that goes with us anyway.
        let _ = std::fs::remove_dir_all(&room);
        Ok(run)
    }

    /// Our folder first, then what the program would have had.
    fn python_path(&self, program: &Program) -> OsString {
        let named = program.env.iter().rev().find(|(name, _)| name == "PYTHONPATH").map(|(_, value)| value.clone());
        let before = named.unwrap_or_else(|| std::env::var_os("PYTHONPATH"));
        let mut path = self.prelude().into_os_string();
        if let Some(before) = before.filter(|before| !before.is_empty()) {
            path.push(OsStr::new(":"));
            path.push(before);
        }
        path
    }
}

/// The peak that wait4(2) tells, where it can be the program's: until its exec it was a fork of ours, which counts as well (`exec_mmap` in
/// Linux's fs/exec.c keeps the old memory's mark), so what is not above our own mark says nothing where `seen` says something.
fn after_us(told: u64, seen: u64) -> u64 {
    let ours = field(std::process::id() as i32, "status", "VmHWM:").unwrap_or_default();
    if seen > 0 && told <= ours {
        seen
    } else {
        told
    }
}

/// A figure of `/proc/PID/…` in kB, as bytes.
fn field(pid: i32, file: &str, name: &str) -> Option<u64> {
    let mut text = String::new();
    File::open(format!("/proc/{pid}/{file}")).ok()?.take(STATUS_MOST).read_to_string(&mut text).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Written by the program, so it may be anything.
fn astray(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    if !path.symlink_metadata().ok()?.is_file() {
        return None;
    }
    File::open(path).ok()?.take(NAME_MOST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
