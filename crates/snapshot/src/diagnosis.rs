//! What `doctor` finds: the checks, and the process that they are about.
//!
//! Holds: [`Diagnosis`] and its parts. Never does: check (the command does), decide how it is shown.

use memory::Bytes;

use crate::Mode;

/// What works here and what does not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnosis {
    /// What was checked, in a fixed order: of us and the machine first, then of the process.
    pub checks: Vec<Check>,
    /// The PID that was named.
    pub pid: Option<i32>,
    /// The core file that was named.
    pub core: Option<String>,
    /// The Python processes that there are, the biggest first; where no process was named.
    pub processes: Vec<PythonProcess>,
    /// The process that has this PID, if there is one.
    pub subject: Option<Subject>,
    /// What would be done to it; `None` where it cannot be looked at.
    pub outlook: Option<Outlook>,
}

impl Diagnosis {
    /// Whether a look would come about: nothing that was checked keeps it from it.
    pub fn readable(&self) -> bool {
        self.checks.iter().all(|check| check.verdict != Verdict::Blocks)
    }
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name, the same in every release: `kernel.tracing`.
    pub id: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// What was found, in words.
    pub found: String,
    /// A command that mends it or gets around it; what follows a `#` in it is for people.
    pub advice: Option<String>,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Works,
    /// Not as it should be: something is slower, coarser or left out.
    Lacks,
    /// Not as it should be, and no look comes about.
    Blocks,
    /// Neither good nor bad.
    Note,
    /// It could not be checked, since another check failed.
    Unknown,
}

/// A Python process that was met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PythonProcess {
    /// Its PID.
    pub pid: i32,
    /// Its PID in a PID namespace of its own, that of its container.
    pub pid_inside: Option<i32>,
    /// Its container, by what its control group is called: `docker 0123456789ab`. Chosen by others.
    pub container: Option<String>,
    /// What it has in memory.
    pub resident: Bytes,
    /// Its command line.
    pub command: String,
    /// The release, as exact as it tells without a proof: `3.12.1`, `3.10`.
    pub release: Option<String>,
    /// Why it cannot be looked at.
    pub refused: Option<String>,
}

/// The process that was named.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject {
    /// Its PID.
    pub pid: i32,
    /// The short name of its program.
    pub name: String,
    /// Its command line.
    pub command: String,
    /// Its real user.
    pub user: u32,
    /// The kernel's state letter.
    pub state: char,
    /// Who traces it.
    pub tracer: Option<i32>,
    /// `off`, `strict` or `filters`; `None` on a kernel without.
    pub seccomp: Option<&'static str>,
    /// Its PID in each of its PID namespaces, the innermost last.
    pub pids_inside: Vec<i32>,
    /// Its container, by what its control group is called.
    pub container: Option<String>,
    /// The kinds of namespaces in which it is not where we are.
    pub other_namespaces: Vec<&'static str>,
    /// What it has in memory.
    pub resident: Bytes,
    /// What is left to it.
    pub headroom: Room,
    /// The mapped files that hold a CPython.
    pub pythons: Vec<Python>,
}

/// What control groups and the machine leave to the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Memory up to the first limit; `None` where nothing limits.
    pub bytes: Option<Bytes>,
    /// Which limit that is: a file, or what is kept in mind instead.
    pub limited_by: String,
    /// Threads and processes up to the first limit.
    pub processes: Option<u64>,
    /// Which limit that is.
    pub processes_limited_by: Option<String>,
    /// Limits that cannot be seen from here.
    pub unseen: Vec<String>,
}

/// A mapped file that holds a CPython.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Python {
    /// The file.
    pub path: String,
    /// The release, as far as it is known.
    pub release: Option<String>,
    /// How its layout was proved.
    pub build: Option<String>,
    /// Why it was not.
    pub unproved: Option<String>,
}

/// What `--mode auto` would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// The way.
    pub mode: Mode,
    /// For how long the process is expected to stand, in milliseconds.
    pub pause_ms: f64,
    /// For how long it may, in milliseconds.
    pub max_pause_ms: f64,
    /// Why it would not be forked.
    pub not_forked: Option<String>,
    /// What would be copied in a freeze and is shared by a fork.
    pub resident: Bytes,
    /// What a forked copy may cost the process's control groups at most; where it would be forked.
    pub fork_cost: Option<Bytes>,
    /// The pause where its filters of system calls, which are only read in the stop, turn the fork into a freeze.
    pub else_freeze_ms: Option<f64>,
}
