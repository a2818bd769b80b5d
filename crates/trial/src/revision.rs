//! Revisions of a git repository, each as a folder of its own beside the user's, and what a program is there.
//!
//! Holds: [`Repository`], [`Checkout`], [`RevisionError`]. Never does: change the user's working tree, index or branches, run a hook, leave a
//! worktree behind (but where we are killed).
//! Sources: git-worktree(1), git-rev-parse(1); "core.hooksPath" in git-config(1).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::run::Program;

/// Of what git says, in an error.
const WORDS_MOST: usize = 300;
/// A folder of packages in a repository's folder is a virtual environment's: no revision has it.
const PACKAGES: &str = "site-packages";

/// The repository that a folder is in.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Its working tree.
    top: PathBuf,
    /// The folder, from there.
    inside: PathBuf,
    folder: PathBuf,
}

/// Why there is no such folder.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// The program is missing.
    #[error("git cannot be started: {0}")]
    NoGit(io::Error),
    /// The folder is in no working tree.
    #[error("{folder} is in no working tree of git: {words}")]
    NoRepository {
        /// Which.
        folder: PathBuf,
        /// What git says.
        words: String,
    },
    /// It names no commit.
    #[error("{0} names no commit of this repository")]
    Unknown(String),
    /// The folder is not in it.
    #[error("{folder} is not a folder in {name}")]
    NoFolder {
        /// The revision.
        name: String,
        /// From the repository's root.
        folder: PathBuf,
    },
    /// git could not check it out.
    #[error("git cannot check {name} out: {words}")]
    CheckOut {
        /// The revision.
        name: String,
        /// What git says.
        words: String,
    },
}

/// A revision as a folder. It is gone when this is dropped.
#[derive(Debug)]
pub struct Checkout {
    repository: Repository,
    path: PathBuf,
}

impl Repository {
    /// The one that `folder` is in.
    ///
    /// # Errors
    /// There is no git, or it knows no working tree there.
    pub fn of(folder: &Path) -> Result<Repository, RevisionError> {
        let no = |words: String| RevisionError::NoRepository { folder: folder.to_path_buf(), words };
        let ask = |option: &str| git(folder, &["rev-parse".as_ref(), option.as_ref()]).map_err(RevisionError::NoGit)?.map_err(no);
        let (top, inside) = (ask("--show-toplevel")?, ask("--show-prefix")?);
        if top.is_empty() {
            return Err(no("it is bare".into()));
        }
        let folder = std::fs::canonicalize(folder).map_err(|e| no(e.to_string()))?;
        Ok(Repository { top: path(top), inside: path(inside), folder })
    }

    /// The folder that it was asked for.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether files that git knows differ from the last commit.
    pub fn has_changes(&self) -> bool {
        let words = ["status", "--porcelain", "--untracked-files=no"].map(OsStr::new);
        matches!(git(&self.top, &words), Ok(Ok(told)) if !told.is_empty())
    }

    /// The commit that a name is of.
    ///
    /// # Errors
    /// It names none.
    pub fn commit_of(&self, name: &str) -> Result<String, RevisionError> {
        let unknown = || RevisionError::Unknown(name.to_string());
        // What begins so is an option of git's.
        if name.is_empty() || name.starts_with('-') {
            return Err(unknown());
        }
        let wanted = format!("{name}^{{commit}}");
        let words = ["rev-parse", "--verify", "--quiet", wanted.as_str()].map(OsStr::new);
        let told = git(&self.top, &words).map_err(RevisionError::NoGit)?.map_err(|_| unknown())?;
        String::from_utf8(told).map_err(|_| unknown())
    }

    /// The commit `commit_of(name)` in a new folder at `path`.
    ///
    /// # Errors
    /// git says no, or the folder that we are in is not in it.
    pub fn check_out(&self, name: &str, commit: &str, path: &Path) -> Result<Checkout, RevisionError> {
        let words = ["-c", "core.hooksPath=/dev/null", "worktree", "add", "--detach", "--quiet"].map(OsStr::new);
        let words = [&words[..], &[path.as_os_str(), OsStr::new(commit)]].concat();
        // From here on it is removed.
        let checkout = Checkout { repository: self.clone(), path: path.to_path_buf() };
        let made = git(&self.top, &words).map_err(RevisionError::NoGit)?;
        made.map_err(|words| RevisionError::CheckOut { name: name.into(), words })?;
        if !checkout.folder().is_dir() {
            return Err(RevisionError::NoFolder { name: name.into(), folder: self.inside.clone() });
        }
        Ok(checkout)
    }

    /// Where it is from the root of the working tree, if it is there.
    fn within(&self, path: &Path) -> Option<PathBuf> {
        let from = |path: &Path| path.strip_prefix(&self.top).map(Path::to_path_buf).ok();
        from(path).or_else(|| from(&std::fs::canonicalize(path).ok()?))
    }
}

impl Checkout {
    /// Its folder that is where we are in the user's.
    pub fn folder(&self) -> PathBuf {
        self.path.join(&self.repository.inside)
    }

    /// The program in it: run there, with what names the user's working tree (paths in its arguments that the revision has, PYTHONPATH)
    /// naming this folder instead, and with a watch for modules that are imported from the user's all the same.
    pub fn program(&self, program: &Program) -> Program {
        let folder = self.folder();
        let argv = program.argv.iter().enumerate().map(|(i, word)| self.argument(&folder, i, word)).collect();
        let mut env = program.env.clone();
        if let Some(before) = std::env::var_os("PYTHONPATH").filter(|before| !before.is_empty()) {
            let places = std::env::split_paths(&before).map(|place| self.place(place).into_os_string());
            env.push(("PYTHONPATH".into(), Some(places.collect::<Vec<OsString>>().join(OsStr::new(":")))));
        }
        env.push(("EXUVIA_TRIAL_ASTRAY".into(), Some(self.repository.top.clone().into_os_string())));
        env.push(("EXUVIA_TRIAL_HERE".into(), Some(self.path.clone().into_os_string())));
        Program { argv, env, folder: Some(folder) }
    }

    fn argument(&self, folder: &Path, i: usize, word: &OsStr) -> OsString {
        let path = Path::new(word);
        if path.is_absolute() {
            let moved = self.repository.within(path).map(|inside| self.path.join(inside));
            return moved.filter(|moved| moved.exists()).map_or_else(|| word.to_owned(), PathBuf::into_os_string);
        }
        // `.venv/bin/python`: no revision has it.
        let is_ours = i == 0 && word.as_bytes().contains(&b'/') && !folder.join(path).exists();
        if is_ours {
            return self.repository.folder.join(path).into_os_string();
        }
        word.to_owned()
    }

    fn place(&self, place: PathBuf) -> PathBuf {
        // An empty one is the current folder.
        let whole = self.repository.folder.join(&place);
        match self.repository.within(&whole) {
            _ if place.as_os_str().is_empty() => place,
            Some(inside) if !inside.components().any(|part| part.as_os_str() == PACKAGES) => self.path.join(inside),
            _ => whole,
        }
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let words = ["worktree", "remove", "--force"].map(OsStr::new);
        let words = [&words[..], &[self.path.as_os_str()]].concat();
        if !matches!(git(&self.repository.top, &words), Ok(Ok(_))) {
            // What git does not remove (or did not make) goes first; then it forgets it.
            let _ = std::fs::remove_dir_all(&self.path);
            let _ = git(&self.repository.top, &words);
        }
    }
}

/// What git says on stdout, without the last end of line, or on stderr where it fails. It has a process group of its own: a Ctrl-C is
/// ours to answer, and it shall not be cut off while it removes what it made.
fn git(folder: &Path, words: &[&OsStr]) -> io::Result<Result<Vec<u8>, String>> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(words).stdin(Stdio::null()).env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").process_group(0);
    let output = command.output()?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let words: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        return Ok(Err(words.join(" ").trim_start_matches("fatal: ").chars().take(WORDS_MOST).collect()));
    }
    let mut told = output.stdout;
    if told.last() == Some(&b'\n') {
        told.pop();
    }
    Ok(Ok(told))
}

fn path(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}
