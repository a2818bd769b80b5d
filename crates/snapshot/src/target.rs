//! What was looked at: the process, its interpreter, the way and the moment.

/// The process that was looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Target {
    /// Process id, in the observer's namespace. `None` for what is no live process (a core, a saved snapshot).
    pub pid: Option<i32>,
    /// Its process id in a PID namespace of its own, that of its container. `None`: the observer's, or not known.
    pub pid_inside: Option<i32>,
    /// Its container, by what its control group is called: `docker 0123456789ab`. Chosen by others.
    pub container: Option<String>,
    /// The interpreter's release: `3.12.1`.
    pub python: String,
    /// When it started, in clock ticks since boot: with the PID it names one process. `None` in folders of earlier programs.
    pub started: Option<u64>,
    /// For how long it had run, in seconds. `None` in folders of earlier programs.
    pub age_s: Option<f64>,
    /// How its layout was proved: `proved by structure, table from 3.12.1`.
    pub build: String,
    /// The file that the process runs, as the kernel names it.
    pub executable: String,
    /// How its memory was had.
    pub mode: Mode,
    /// The moment at which it was looked at.
    pub moment: Moment,
    /// For how long it stood still, all attempts together, from the first thread stopped to the last one going on, in
    /// milliseconds. `None` where nothing was stopped.
    pub pause_ms: Option<f64>,
    /// For how long one thread of it stood later, to take note of the end of its forked copy, in milliseconds.
    pub second_stop_ms: Option<f64>,
    /// Page faults that it had while its forked copy lived, its own among them: what the copy caused is at most this.
    pub page_faults: Option<u64>,
    /// Why it was not forked, where that would have been chosen.
    pub not_forked: Option<String>,
    /// The other Pythons that it has mapped, and why they were not read.
    pub beside: Option<String>,
    /// How often it was stopped until the moment was right (a running collection makes us try again).
    pub attempts: u32,
    /// Threads that the kernel saw.
    pub threads: u32,
    /// Interpreters in the process: 1 unless it has sub-interpreters.
    pub interpreters: u32,
    /// Resident memory at the moment of the stop, in bytes.
    pub resident_bytes: Option<u64>,
    /// Bytes that were copied out of it, in the stop.
    pub copied_bytes: Option<u64>,
    /// The command line, when we started it.
    pub command: Option<Vec<String>>,
    /// What it ended with, when we started it and saw it end. A signal's number is negative.
    pub exit_code: Option<i32>,
}

/// How the memory was had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Stopped, copied in bulk, let go on, parsed afterwards.
    #[default]
    Freeze,
    /// A forked copy was read while the process went on.
    Fork,
    /// Read while it ran.
    Live,
    /// Read from a core file: the memory of a process that is dead, or was copied by another program.
    Core,
}

impl Mode {
    /// The word of `--mode` and of the JSON.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Freeze => "freeze",
            Mode::Fork => "fork",
            Mode::Live => "live",
            Mode::Core => "core",
        }
    }
}

/// The moment at which a process was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Moment {
    /// While it ran, whenever the user asked.
    #[default]
    Running,
    /// So many seconds after its start.
    After,
    /// At the entry of `Py_FinalizeEx`: the program is done, nothing is torn down yet.
    BeforeFinalize,
    /// At the kernel's exit event: `os._exit` or a crash; the heap is still whole.
    AtExit,
}

impl Moment {
    /// The word of the JSON.
    pub fn word(self) -> &'static str {
        match self {
            Moment::Running => "running",
            Moment::After => "after",
            Moment::BeforeFinalize => "before-finalize",
            Moment::AtExit => "at-exit",
        }
    }

    /// The same for people, as it ends the sentence "looked at …".
    pub fn sentence(self) -> &'static str {
        match self {
            Moment::Running => "while it ran",
            Moment::After => "while it ran, after the time asked for",
            Moment::BeforeFinalize => "at its end, before the interpreter is torn down",
            Moment::AtExit => "at its exit",
        }
    }
}
