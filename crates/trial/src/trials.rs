//! Where runs happen: a folder for what they need and leave, the guardian, the stop.
//!
//! Holds: [`Trials`], [`TrialError`]. Never does: leave its folder behind.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use target::TargetError;

use crate::stop::Stop;

const SITECUSTOMIZE: &str = include_str!("../python/sitecustomize.py");

/// Why a run gave nothing at all. A program that fails is a [`crate::Run`] with its ending.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// It could not be started or traced.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// There is no pipe for what it writes to stderr.
    #[error("pipe2: {source}")]
    Pipe {
        /// What the system says.
        source: io::Error,
    },
    /// The folder for what runs need cannot be made or written.
    #[error("{path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A series of runs. Its folder is gone when it is dropped.
#[derive(Debug)]
pub struct Trials {
    folder: PathBuf,
    /// The executable that answers [`target::GUARDIAN_ARGUMENT`].
    pub(crate) guardian: PathBuf,
    pub(crate) stop: Stop,
    runs: AtomicU64,
}

impl Trials {
    /// Makes the folder, in the one for temporary files.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub fn new(guardian: PathBuf, stop: Stop) -> Result<Trials, TrialError> {
        let unique = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        // Programs run elsewhere.
        let all = std::env::temp_dir();
        let all = std::path::absolute(&all).map_err(|source| TrialError::Folder { path: all, source })?;
        if all.as_os_str().as_bytes().contains(&b':') {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "PYTHONPATH cannot name a folder with a colon (TMPDIR=/var/tmp)");
            return Err(TrialError::Folder { path: all, source });
        }
        let folder = all.join(format!("exuvia-trial-{}-{unique}", std::process::id()));
        let trials = Trials { folder, guardian, stop, runs: AtomicU64::new(0) };
        let prelude = trials.prelude();
        let script = prelude.join("sitecustomize.py");
        folder_at(&prelude)?;
        std::fs::write(&script, SITECUSTOMIZE).map_err(|source| TrialError::Folder { path: script, source })?;
        Ok(trials)
    }

    /// The folder, for what a caller needs for its programs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether an end was asked for.
    pub fn stopped(&self) -> bool {
        self.stop.wanted()
    }

    /// What PYTHONPATH has first.
    pub(crate) fn prelude(&self) -> PathBuf {
        self.folder.join("prelude")
    }

    /// A new folder for one run.
    pub(crate) fn room(&self) -> Result<PathBuf, TrialError> {
        let room = self.folder.join(format!("run-{}", self.runs.fetch_add(1, Ordering::Relaxed)));
        folder_at(&room)?;
        Ok(room)
    }
}

/// Ours alone.
fn folder_at(path: &Path) -> Result<(), TrialError> {
    let made = DirBuilder::new().mode(0o700).recursive(true).create(path);
    made.map_err(|source| TrialError::Folder { path: path.to_path_buf(), source })
}

impl Drop for Trials {
    fn drop(&mut self) {
        // In the folder for temporary files, where what cannot be removed is somebody else's work.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
