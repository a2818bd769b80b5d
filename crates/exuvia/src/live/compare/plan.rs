//! What each variant runs.
//!
//! Holds: [`Plan`]. Never does: run anything.

use std::ffi::OsString;
use std::path::Path;

use trial::{AllocatorError, Allocators, Checkout, Program, Repository, RevisionError, Setting, Stop, Way};

use super::Trial;
use crate::cli::{Compare, Dimension};
use crate::progress::Progress;
use crate::trouble::Trouble;

/// The name of what is no revision.
const WORKING_TREE: &str = ".";
/// Digits of a commit's name.
const COMMIT_SHOWN: usize = 10;

/// Plans variants. Revisions that were checked out for them are gone when it is dropped.
pub(super) struct Plan<'a> {
    args: &'a Compare,
    dimension: Dimension,
    /// For what variants need.
    folder: &'a Path,
    stop: Stop,
    repository: Option<Repository>,
    commits: Vec<(String, String)>,
    checkouts: Vec<Checkout>,
    /// What is to know of them.
    pub(super) notes: Vec<String>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(args: &'a Compare, dimension: Dimension, folder: &'a Path, stop: Stop) -> Plan<'a> {
        Plan { args, dimension, folder, stop, repository: None, commits: Vec::new(), checkouts: Vec::new(), notes: Vec::new() }
    }

    /// The variant of this name.
    pub(super) fn variant(&mut self, name: &str) -> Result<Trial, Trouble> {
        let args = self.args;
        let program = Program { argv: args.program.clone(), ..Program::default() };
        let way = Way { limit: args.run_limit, ..Way::default() };
        let (allocators, known, called, runs, proof) = (None, None, None, Vec::new(), None);
        let mut trial = Trial { name: name.into(), program, way, allocators, known, called, runs, proof, failed: None, failures: 0 };
        match self.dimension {
            Dimension::Allocators => {
                let cannot = |e: AllocatorError| {
                    let advice = "exuvia compare --allocators glibc,arena-max=2,malloc -- python3 app.py";
                    Trouble::usage(format!("the allocator {name} cannot be used"), e.to_string(), advice)
                };
                let chosen = Allocators::parse(name).and_then(|chosen| chosen.for_program(&trial.program)).map_err(cannot)?;
                trial.program.env = chosen.environment().map_err(cannot)?;
                trial.allocators = Some(chosen);
            }
            Dimension::Collector => trial.way.collector = setting(name)?,
            Dimension::Pythons => {
                if let Some(first) = trial.program.argv.first_mut() {
                    *first = OsString::from(name);
                }
            }
            Dimension::Commands if args.against.iter().any(|command| command == name) => trial.program.argv = words(name)?,
            Dimension::Commands => {}
            Dimension::Revisions => self.revision(&mut trial).map_err(|e| not_checked_out(&e))?,
            Dimension::Isolation => super::isolate::plan(args, &mut trial, self.folder)?,
        }
        Ok(trial)
    }

    /// It is run in a folder of this revision.
    fn revision(&mut self, trial: &mut Trial) -> Result<(), RevisionError> {
        if self.repository.is_none() {
            let repository = Repository::of(&std::env::current_dir().map_err(RevisionError::NoGit)?, &self.stop)?;
            if repository.has_changes() && !self.args.revisions.iter().any(|name| name == WORKING_TREE) {
                self.notes
                    .push(format!("uncommitted changes are in none of the revisions; {WORKING_TREE} names the working tree as it is"));
            }
            self.repository = Some(repository);
        }
        let Some(repository) = &self.repository else { return Ok(()) };
        if trial.name == WORKING_TREE {
            trial.known = Some("the working tree as it is".into());
            return Ok(());
        }
        let commit = repository.commit_of(&trial.name)?;
        if let Some((other, _)) = self.commits.iter().find(|(_, of)| *of == commit) {
            self.notes.push(format!("{other} and {} are the same commit", trial.name));
        }
        let _progress = Progress::start(format!("checking {} out", report::text::escaped(&trial.name)));
        let path = self.folder.join(format!("revision-{}", self.checkouts.len()));
        let checkout = repository.check_out(&trial.name, &commit, &path)?;
        trial.program = checkout.program(&trial.program);
        trial.known = Some(format!("commit {}", commit.get(..COMMIT_SHOWN).unwrap_or(&commit)));
        self.commits.push((trial.name.clone(), commit));
        self.checkouts.push(checkout);
        Ok(())
    }
}

fn not_checked_out(e: &RevisionError) -> Trouble {
    let advice = match e {
        RevisionError::NoGit(_) => "apt install git, or two folders and --against",
        RevisionError::Stopped => {
            return Trouble::target("no run came to its end", e.to_string(), "exuvia compare … again, and let it run");
        }
        RevisionError::Elsewhere(_) => "unset GIT_DIR GIT_WORK_TREE",
        RevisionError::NoRepository { .. } => "cd to the repository, and exuvia compare --revisions HEAD~1,HEAD -- python3 app.py",
        RevisionError::Unknown(_) => "git log --oneline --all (git fetch, where it is not here yet)",
        RevisionError::NoFolder { .. } => "a folder that all revisions have: cd \"$(git rev-parse --show-toplevel)\"",
        RevisionError::CheckOut { .. } => "git worktree prune, TMPDIR=FOLDER where there is more room",
    };
    let kind = match e {
        RevisionError::CheckOut { .. } => Trouble::own_with,
        _ => Trouble::usage,
    };
    kind("the revisions cannot be compared".to_string(), e.to_string(), advice)
}

/// A command in the words of a shell.
fn words(command: &str) -> Result<Vec<OsString>, Trouble> {
    const TRY: &str = "exuvia compare --against 'python3 new.py' -- python3 old.py";
    match shlex::split(command) {
        Some(words) if words.is_empty() => Err(Trouble::usage("--against names no command", "it is empty", TRY)),
        Some(words) => Ok(words.into_iter().map(OsString::from).collect()),
        None => Err(Trouble::usage(
            format!("--against {command} cannot be read"),
            "a quote in it has no end, or a backslash nothing behind it",
            TRY,
        )),
    }
}

/// `threshold=50000:20:100`, since a comma separates variants.
fn setting(name: &str) -> Result<Setting, Trouble> {
    let numbers = |text: &str| text.split(':').map(|n| n.parse().ok()).collect::<Option<Vec<u32>>>().filter(|n| (1..=3).contains(&n.len()));
    match (name, name.strip_prefix("threshold=").and_then(numbers)) {
        ("default", _) => Ok(Setting::Default),
        ("off", _) => Ok(Setting::Off),
        ("freeze", _) => Ok(Setting::Freeze),
        (_, Some(numbers)) => Ok(Setting::Threshold(numbers)),
        _ => Err(Trouble::usage(
            format!("{name} is no setting of the collector"),
            "there are default, off, freeze, threshold=A, threshold=A:B:C",
            "exuvia compare --gc default,off,threshold=50000:20:100 -- python3 app.py",
        )),
    }
}
