//! Ctrl-C while a process is looked at again and again: what there is by then is answered with, and no look is left behind on the disk.
//!
//! Holds: [`Looks`], the folders of the looks, and [`Looks::wait`]. Never does: take a look, or interrupt one: the guardian puts a target
//! right by itself. Sources: signalfd(2), pthread_sigmask(3); threads inherit what is blocked.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;

use crate::screen;
use crate::trouble::Trouble;

/// A file that is made while its folder is removed stands in the way; then once more.
const REMOVALS: usize = 3;

/// The folders of the looks at a process, gone when this is dropped, or when Ctrl-C ends the program.
pub(crate) struct Looks(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    told: Condvar,
}

#[derive(Default)]
struct State {
    /// What they all lie in: a look that is being written lies beside its place, under another name.
    parent: PathBuf,
    folders: Vec<PathBuf>,
    done: usize,
    stop: bool,
}

impl Looks {
    /// From now on SIGINT, SIGTERM and SIGHUP are answered here. To be called before other threads are started.
    ///
    /// # Errors
    /// No folder can be made for them.
    pub(crate) fn new() -> Result<Looks, Trouble> {
        let unique = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let parent = std::env::temp_dir().join(format!("exuvia-diff-{}-{unique}", std::process::id()));
        let state = Mutex::new(State { parent: parent.clone(), ..State::default() });
        let shared = Arc::new(Shared { state, told: Condvar::new() });
        let mut signals = SigSet::empty();
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().for_each(|signal| signals.add(signal));
        // Where they cannot be caught they end the program, as they do everywhere.
        if let Ok(caught) = SignalFd::new(&signals) {
            if signals.thread_block().is_ok() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.watch(&caught));
            }
        }
        let looks = Looks(shared);
        let made = DirBuilder::new().mode(0o700).create(&parent);
        made.map_err(|e| {
            Trouble::own_with(
                format!("cannot make the folder {}", parent.display()),
                e.to_string(),
                "another folder for what is temporary: TMPDIR=…",
            )
        })?;
        Ok(looks)
    }

    /// The place of the next look's folder.
    pub(crate) fn begin(&self) -> PathBuf {
        let mut state = self.0.lock();
        let folder = state.parent.join(format!("look-{}", state.folders.len()));
        state.folders.push(folder.clone());
        folder
    }

    /// The look of the last folder is whole.
    pub(crate) fn done(&self) {
        self.0.lock().done += 1;
    }

    /// Waits until then; `false` where no further look is wanted.
    pub(crate) fn wait(&self, until: Instant) -> bool {
        let mut state = self.0.lock();
        while !state.stop {
            let left = until.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return true;
            }
            state = self.0.told.wait_timeout(state, left).map_or_else(|e| e.into_inner().0, |(state, _)| state);
        }
        false
    }

    /// Those whose looks are whole.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        let state = self.0.lock();
        state.folders.iter().take(state.done).cloned().collect()
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        self.0.lock().remove();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first signal asks for the answer, the second ends the program; so does the first where there is nothing to answer with.
    fn watch(&self, caught: &SignalFd) {
        while let Ok(signal) = caught.read_signal() {
            let Some(signal) = signal else { continue };
            let mut state = self.lock();
            if state.done >= 2 && !state.stop {
                state.stop = true;
                screen::remark(&format!("exuvia: stopped after {} looks, compares them; once more leaves it at that", state.done));
                self.told.notify_all();
                continue;
            }
            state.remove();
            let name = Signal::try_from(signal.ssi_signo as i32).map_or("a signal", Signal::as_str);
            let trouble = Trouble::target(
                "there is nothing to compare",
                format!("{name} came after {} of the looks, and two are needed", state.done),
                "exuvia diff PID --every 1s, or let it run for longer",
            );
            let trouble =
                if state.stop { Trouble::target("the looks were not compared", format!("{name} came again"), "it again") } else { trouble };
            trouble.exit();
        }
    }
}

impl State {
    fn remove(&mut self) {
        self.folders.clear();
        remove(&self.parent);
    }
}

fn remove(folder: &Path) {
    for _ in 0..REMOVALS {
        // What is left behind is only the user's own to read, in the folder for such things.
        if std::fs::remove_dir_all(folder).is_ok() || !folder.exists() {
            return;
        }
    }
}
