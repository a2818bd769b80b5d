//! Revisions of a git repository, each as a folder of its own beside the user's, and what a program is there.
//!
//! Holds: [`Repository`], [`Checkout`], [`RevisionError`]. Never does: change the user's working tree, index or branches, run a hook, leave a
//! worktree behind (but where we are killed).
//! Sources: git-worktree(1), git-rev-parse(1); "core.hooksPath" in git-config(1).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use crate::git::{ask, ask_as_told, Answer};
use crate::run::Program;
use crate::stop::Stop;

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
    /// Ends a git that waits.
    stop: Stop,
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
    /// The environment names a repository, which is not the one here.
    #[error("GIT_DIR or GIT_WORK_TREE names another repository than the one that {0} is in")]
    Elsewhere(PathBuf),
    /// An end was asked for.
    #[error("it was stopped before")]
    Stopped,
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
    /// There is no git, it knows no working tree there, or the environment names another one.
    pub fn of(folder: &Path, stop: &Stop) -> Result<Repository, RevisionError> {
        let no = |words: String| RevisionError::NoRepository { folder: folder.to_path_buf(), words };
        let found = |option: &str| answered(ask(folder, &["rev-parse".as_ref(), option.as_ref()], Some(stop)));
        // Of a hook it is the same; of who sets it on purpose it may be another, where a guess would compare what nobody meant.
        for (name, option) in [("GIT_DIR", "--absolute-git-dir"), ("GIT_WORK_TREE", "--show-toplevel")] {
            if std::env::var_os(name).is_none() {
                continue;
            }
            let told = answered(ask_as_told(folder, &["rev-parse".as_ref(), option.as_ref()], Some(stop)))?;
            if told.is_ok() && told != found(option)? {
                return Err(RevisionError::Elsewhere(folder.to_path_buf()));
            }
        }
        let (top, inside) = (found("--show-toplevel")?.map_err(no)?, found("--show-prefix")?.map_err(no)?);
        if top.is_empty() {
            return Err(no("it is bare".into()));
        }
        let folder = std::fs::canonicalize(folder).map_err(|e| no(e.to_string()))?;
        Ok(Repository { top: path(top), inside: path(inside), folder, stop: stop.clone() })
    }

    /// The folder that it was asked for.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether files that git knows differ from the last commit.
    pub fn has_changes(&self) -> bool {
        let words = ["status", "--porcelain", "--untracked-files=no"].map(OsStr::new);
        matches!(ask(&self.top, &words, Some(&self.stop)), Ok(Ok(told)) if !told.is_empty())
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
        let told = answered(ask(&self.top, &words, Some(&self.stop)))?.map_err(|_| unknown())?;
        String::from_utf8(told).map_err(|_| unknown())
    }

    /// The commit `commit_of(name)` in a new folder at `path`, which is absolute: git takes another one from the root of the working tree.
    ///
    /// # Errors
    /// git says no, or the folder that we are in is not in it.
    pub fn check_out(&self, name: &str, commit: &str, path: &Path) -> Result<Checkout, RevisionError> {
        let words = ["-c", "core.hooksPath=/dev/null", "worktree", "add", "--detach", "--quiet"].map(OsStr::new);
        let words = [&words[..], &[path.as_os_str(), OsStr::new(commit)]].concat();
        // From here on it is removed.
        let checkout = Checkout { repository: self.clone(), path: path.to_path_buf() };
        let made = answered(ask(&self.top, &words, Some(&self.stop)))?;
        made.map_err(|words| RevisionError::CheckOut { name: name.into(), words })?;
        if !checkout.folder().is_dir() {
            return Err(RevisionError::NoFolder { name: name.into(), folder: self.inside.clone() });
        }
        Ok(checkout)
    }

    /// Where it is from the root of the working tree, if it is there.
    fn within(&self, path: &Path) -> Option<PathBuf> {
        let from = |path: &Path| path.strip_prefix(&self.top).map(Path::to_path_buf).ok();
        // `TOP/tools/../../ext` begins with it and is not in it.
        from(path).filter(|inside| !climbs_out(inside)).or_else(|| from(&std::fs::canonicalize(path).ok()?))
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
        // `../../other/app.py`: beside the new folder there is none of it.
        let whole = self.repository.folder.join(path);
        let climbs = path.components().any(|part| part == Component::ParentDir);
        if climbs && self.repository.within(&whole).is_none() && whole.exists() {
            return whole.into_os_string();
        }
        // `.venv/bin/python`: no revision has it.
        let is_ours = i == 0 && word.as_bytes().contains(&b'/') && !folder.join(path).exists();
        if is_ours {
            return whole.into_os_string();
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
        // This is not cut off by an end.
        if !matches!(ask(&self.repository.top, &words, None), Ok(Ok(_))) {
            // What git does not remove (or did not make) goes first; then it forgets it.
            let _ = std::fs::remove_dir_all(&self.path);
            let _ = ask(&self.repository.top, &words, None);
        }
    }
}

/// What git says, where it could be asked.
fn answered(asked: io::Result<Answer>) -> Result<Answer, RevisionError> {
    asked.map_err(|e| match e.kind() {
        io::ErrorKind::Interrupted => RevisionError::Stopped,
        _ => RevisionError::NoGit(e),
    })
}

/// Whether a relative path leads above where it begins, as it is written.
fn climbs_out(path: &Path) -> bool {
    let mut depth = 0usize;
    for part in path.components() {
        match (part, depth.checked_sub(1)) {
            (Component::ParentDir, None) => return true,
            (Component::ParentDir, Some(above)) => depth = above,
            (Component::Normal(_), _) => depth += 1,
            _ => {}
        }
    }
    false
}

fn path(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}
