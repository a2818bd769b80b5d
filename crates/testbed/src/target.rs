//! Holds a script that runs as a target: started, ready by a handshake, asked and told things by lines, killed when dropped.
//! Never sleeps and never waits without an end: each answer has a deadline, and its passing shows what the script said last.
//! Sources: python/oracle.py, the other side of the line protocol.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::time::Duration;

use nix::sys::signal::{killpg, Signal};
use nix::unistd::Pid;

use crate::{Interpreter, Scratch, Truth, TruthError};

/// A hung script is a failed test, not a hung suite. Far above what any script takes: no test depends on it.
const DEADLINE: Duration = Duration::from_secs(300);

/// What can go wrong with a target.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The interpreter or a pipe to it could not be had.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
    /// It ended instead of answering.
    #[error("the target ended instead of answering; its stderr:\n{stderr}")]
    Ended {
        /// All that it wrote to stderr.
        stderr: String,
    },
    /// No answer within the deadline.
    #[error("no answer from the target within {} s; its stderr:\n{stderr}", DEADLINE.as_secs())]
    Silent {
        /// All that it wrote to stderr.
        stderr: String,
    },
    /// An answer, but not the one that the protocol has.
    #[error("asked {question:?}, the target answered {answer:?}; its stderr:\n{stderr}")]
    Answer {
        /// What was asked.
        question: String,
        /// What came.
        answer: String,
        /// All that it wrote to stderr.
        stderr: String,
    },
    /// The truth file cannot be read.
    #[error(transparent)]
    Truth(#[from] TruthError),
}

/// A running script. Killed with its whole process group when dropped.
#[derive(Debug)]
pub struct Target {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    scratch: Scratch,
}

impl Target {
    /// Starts `python/SCRIPT` of this crate with `py` and waits for its READY.
    pub fn start<A: AsRef<OsStr>>(py: &Interpreter, script: &str, args: &[A]) -> Result<Target, TargetError> {
        Target::start_path(&py.path, &scripts().join(script), args)
    }

    /// The same for any executable and any script that keeps the protocol (a virtual environment's python, an example).
    pub fn start_path<A: AsRef<OsStr>>(python: &Path, script: &Path, args: &[A]) -> Result<Target, TargetError> {
        let scratch = Scratch::new().map_err(|source| TargetError::Io { what: "making a scratch folder", source })?;
        let stderr = std::fs::File::create(scratch.path().join("stderr"));
        let stderr = stderr.map_err(|source| TargetError::Io { what: "making the file for stderr", source })?;
        let mut command = Command::new(python);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PYTHON") {
                command.env_remove(name);
            }
        }
        // The same hash seed each time: a failure can be had again. Nothing is written beside the scripts.
        command.env("PYTHONHASHSEED", "0").env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg(script).args(args).current_dir(scratch.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr).process_group(0);
        let mut child = command.spawn().map_err(|source| TargetError::Io { what: "starting the target", source })?;
        let stdin = child.stdin.take();
        let (send, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines() {
                    let Ok(line) = line else { break };
                    if send.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        let target = Target { child, stdin, lines, scratch };
        let answer = target.next_line()?;
        if answer == "READY" {
            Ok(target)
        } else {
            Err(target.unexpected("", answer))
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A folder that lives as long as the target; also its working directory.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Writes one line to its stdin.
    pub fn tell(&mut self, line: &str) -> Result<(), TargetError> {
        let Some(stdin) = &mut self.stdin else { return Err(TargetError::Ended { stderr: self.stderr() }) };
        stdin.write_all(format!("{line}\n").as_bytes()).map_err(|source| TargetError::Io { what: "writing to the target", source })
    }

    /// The next line of its stdout.
    pub fn next_line(&self) -> Result<String, TargetError> {
        self.lines.recv_timeout(DEADLINE).map_err(|e| match e {
            RecvTimeoutError::Timeout => TargetError::Silent { stderr: self.stderr() },
            RecvTimeoutError::Disconnected => TargetError::Ended { stderr: self.stderr() },
        })
    }

    /// Writes one line and waits for one.
    pub fn ask(&mut self, line: &str) -> Result<String, TargetError> {
        self.tell(line)?;
        self.next_line()
    }

    /// Lets the oracle write the truth about the heap as it is now; when this comes back the target sleeps in a read and its heap is
    /// the one that the truth tells of, until the next line is written to it.
    pub fn truth(&mut self) -> Result<Truth, TargetError> {
        let path = self.scratch.path().join("truth");
        self.tell(&format!("truth {}", path.display()))?;
        self.written(&path)
    }

    /// The truth of one moment by two writers: what differs between them is the oracle's own doing.
    pub fn truth_twice(&mut self) -> Result<(Truth, Truth), TargetError> {
        let (one, two) = (self.scratch.path().join("one"), self.scratch.path().join("two"));
        self.tell(&format!("truth {} {}", one.display(), two.display()))?;
        let lines = [self.next_line()?, self.next_line()?];
        for path in [&one, &two] {
            let wanted = format!("truth {}", path.display());
            if !lines.contains(&wanted) {
                return Err(self.unexpected(&wanted, lines.join("\n")));
            }
        }
        Ok((Truth::read(&one)?, Truth::read(&two)?))
    }

    fn written(&self, path: &Path) -> Result<Truth, TargetError> {
        let (wanted, answer) = (format!("truth {}", path.display()), self.next_line()?);
        if answer != wanted {
            return Err(self.unexpected(&wanted, answer));
        }
        let truth = Truth::read(path)?;
        // Large, and read once.
        std::fs::remove_file(path).map_err(|source| TargetError::Io { what: "removing the truth file", source })?;
        Ok(truth)
    }

    /// Closes its stdin, which ends scripts that serve the oracle's protocol, and waits for its exit status.
    pub fn finish(mut self) -> Result<std::process::ExitStatus, TargetError> {
        self.stdin = None;
        while self.lines.recv_timeout(DEADLINE).is_ok() {}
        self.child.wait().map_err(|source| TargetError::Io { what: "waiting for the target's end", source })
    }

    /// What it wrote to stderr so far.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.scratch.path().join("stderr")).unwrap_or_else(|e| format!("(stderr cannot be read: {e})"))
    }

    fn unexpected(&self, question: &str, answer: String) -> TargetError {
        TargetError::Answer { question: question.to_owned(), answer, stderr: self.stderr() }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // The group holds the forked writer of the truth too. It may be gone already: nothing to do then.
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The folder of the target scripts.
pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}
