//! Why a snapshot cannot be written or read: one variant a cause.

use std::path::{Path, PathBuf};

/// What is wrong with a snapshot's folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is nothing of this name.
    #[error("{0} does not exist")]
    Missing(PathBuf),
    /// Nothing in the folder says that it is a snapshot.
    #[error("{path} is no snapshot: {why}")]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// What was looked for.
        why: String,
    },
    /// A later version of the format.
    #[error("{path} has format {found}, this program reads up to {known}")]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that is known here.
        known: u32,
    },
    /// A file of it is not what was written.
    #[error("{file} of {path} is damaged: {why}")]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// The file in it.
        file: String,
        /// What does not fit.
        why: String,
    },
    /// It is there already and is not written over.
    #[error("{0} exists already")]
    Exists(PathBuf),
    /// The system refused.
    #[error("{path}: {why}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        why: String,
        /// The disk or the quota is full.
        full: bool,
    },
}

impl FileError {
    /// Of a file or folder, with the system's words.
    pub fn io(path: &Path, e: &std::io::Error) -> FileError {
        let full = matches!(e.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
        FileError::Io { path: path.to_path_buf(), why: e.to_string(), full }
    }
}
