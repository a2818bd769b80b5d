//! One call of git.
//!
//! Holds: [`ask`], [`Answer`]. Never does: take the repository from the environment, wait where an end was asked for, wait for a password.
//! Sources: "--local-env-vars" in git-rev-parse(1); GIT_OPTIONAL_LOCKS, GIT_TERMINAL_PROMPT and GIT_SSH_COMMAND in git(1); githooks(5).

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::sys::signal::{killpg, Signal};
use nix::unistd::Pid;

use crate::stop::Stop;

/// Of what git says, in an error.
const WORDS_MOST: usize = 300;
/// What git answers here is a path, a commit or a list of changes, of which it is only asked whether there are any.
const TOLD_MOST: u64 = 1 << 20;
/// How often is looked whether it ended, or shall.
const LOOK: Duration = Duration::from_millis(5);
/// To remove what it began with.
const GRACE: Duration = Duration::from_secs(2);

/// What says to git which repository, index and objects are meant. A hook has it from the git that runs it: with its GIT_INDEX_FILE a
/// `worktree add` writes into the index of the commit that goes on. Of the variables in git's own list, those of its configuration
/// stay: in a container `safe.directory` comes with them.
const PLACES: [&str; 15] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
];

/// What git says on stdout, without the last end of line, or on stderr where it fails.
pub(crate) type Answer = Result<Vec<u8>, String>;

/// Asks git in that folder. With a stop it is ended where an end is wanted ([`io::ErrorKind::Interrupted`]). It has a process group of its
/// own: a Ctrl-C is ours to answer, and it shall not be cut off while it removes what it made.
pub(crate) fn ask(folder: &Path, words: &[&OsStr], stop: Option<&Stop>) -> io::Result<Answer> {
    let mut command = command(folder, words);
    PLACES.iter().for_each(|name| {
        command.env_remove(name);
    });
    answer(command, stop)
}

/// Asks it with the places that its environment names.
pub(crate) fn ask_as_told(folder: &Path, words: &[&OsStr], stop: Option<&Stop>) -> io::Result<Answer> {
    answer(command(folder, words), stop)
}

fn command(folder: &Path, words: &[&OsStr]) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
    // A partial clone fetches what it has not.
    if ["GIT_SSH_COMMAND", "GIT_SSH"].iter().all(|name| std::env::var_os(name).is_none()) {
        command.env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes");
    }
    // So that it hears when it shall end, and cleans up.
    target::unblocked(&mut command);
    command
}

fn answer(mut command: Command, stop: Option<&Stop>) -> io::Result<Answer> {
    let mut child = command.spawn()?;
    let (told, words) = (read(child.stdout.take()), read(child.stderr.take()));
    let status = ended(&mut child, stop)?;
    let (mut told, words) = (received(&told, stop)?, received(&words, stop)?);
    if !status.success() {
        let words = String::from_utf8_lossy(&words);
        let words: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        return Ok(Err(words.join(" ").trim_start_matches("fatal: ").chars().take(WORDS_MOST).collect()));
    }
    if told.last() == Some(&b'\n') {
        told.pop();
    }
    Ok(Ok(told))
}

/// Waits for its end, or ends it and all that it started.
fn ended(child: &mut Child, stop: Option<&Stop>) -> io::Result<ExitStatus> {
    let group = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    let mut asked: Option<Instant> = None;
    loop {
        if let Some(status) = child.try_wait()? {
            if asked.is_some() {
                // What is left of the group; it may be gone.
                let _ = killpg(group, Signal::SIGKILL);
                return Err(io::ErrorKind::Interrupted.into());
            }
            return Ok(status);
        }
        match asked {
            Some(at) if at.elapsed() > GRACE => {
                let _ = killpg(group, Signal::SIGKILL);
            }
            None if stop.is_some_and(Stop::wanted) => {
                let _ = killpg(group, Signal::SIGTERM);
                asked = Some(Instant::now());
            }
            _ => {}
        }
        std::thread::sleep(LOOK);
    }
}

/// Reads to the end, so that git never waits for us, and keeps the beginning.
fn read(from: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (give, take) = channel();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        if let Some(mut from) = from {
            // What cannot be read is not there.
            let _ = from.by_ref().take(TOLD_MOST).read_to_end(&mut kept);
            let _ = io::copy(&mut from, &mut io::sink());
        }
        let _ = give.send(kept);
    });
    take
}

/// What was read. A daemon that git left may hold the other end.
fn received(from: &Receiver<Vec<u8>>, stop: Option<&Stop>) -> io::Result<Vec<u8>> {
    loop {
        match from.recv_timeout(LOOK) {
            Ok(read) => return Ok(read),
            Err(RecvTimeoutError::Disconnected) => return Ok(Vec::new()),
            Err(RecvTimeoutError::Timeout) if stop.is_some_and(Stop::wanted) => return Err(io::ErrorKind::Interrupted.into()),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}
