//! Arguments of `exuvia diff`.

use std::time::Duration;

use clap::Args;

use super::chosen::told as several_are_called;
use super::{duration, named, pid, Chosen, Look, Named, Places, Rows};
use crate::trouble::Trouble;

/// What came, went and stayed between looks at one process, and what grows.
///
/// Takes two or more snapshots or core files of one process, the oldest first (the last may be its PID: as it is now), or
/// a PID at which it looks itself, --every so often.
/// Objects of CPython never move: one is the same as before where address, type and content are. Content is told by the
/// fingerprints of values, the lengths of what is immutable, the collector's generation, and what an instance's attributes
/// refer to; instances that none of it tells apart count as the same, and are counted as unsure. A suspect is a container
/// that has more entries in each look, or an owner that retains more in each; three looks tell what grows from what
/// breathes. Ctrl-C compares the looks that there are.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia diff 4711 --every 100ms
  exuvia diff 4711 --every 300ms --times 3 --json | python3 -m json.tool")]
#[command(
    override_usage = "exuvia diff [OPTIONS] FOLDER|CORE... FOLDER|CORE|PID\n       exuvia diff [OPTIONS] PID [--every TIME] [--times N]"
)]
pub(crate) struct Diff {
    /// Snapshots and core files of one process, the oldest first, the process itself last; or the process alone
    #[arg(value_name = "FOLDER|CORE|PID")]
    words: Vec<String>,
    /// The process
    #[arg(short = 'p', long = "pid", value_name = "PID", value_parser = pid, conflicts_with = "words")]
    pid: Option<i32>,
    /// The time between two looks at a process [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    every: Option<Duration>,
    /// How often it is looked at [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=100))]
    times: Option<u32>,
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    pub(crate) rows: Rows,
    #[command(flatten)]
    pub(crate) look: Look,
}

/// What is compared.
pub(crate) enum Compared {
    /// Snapshots and core files that there are; the last may be the process as it is now.
    Saved(Vec<Chosen>),
    /// A process, looked at so often with so much time between.
    Process(i32, Duration, u32),
}

impl Diff {
    /// What was named.
    pub(crate) fn chosen(&self) -> Result<Compared, Trouble> {
        const FORM: &str = "exuvia diff 4711 --every 30s, or exuvia diff BEFORE AFTER with two folders of exuvia snapshot";
        let wrong = |what: &str, why: String| Trouble::usage(what, why, FORM);
        let times = self.times.unwrap_or(3);
        let process = |pid| Ok(Compared::Process(pid, self.every.unwrap_or(Duration::from_secs(30)), times));
        if let Some(pid) = self.pid {
            return process(pid);
        }
        let mut folders = Vec::new();
        for word in &self.words {
            match named(word).map_err(|why| wrong(&format!("{word} is no snapshot and no process"), why))? {
                Named::Folder(path) if path.is_file() => folders.push(self.places.chosen(Named::Folder(path))?),
                Named::Folder(folder) => folders.push(Chosen::Folder(folder)),
                Named::Pid(pid) if self.words.len() == 1 => return process(pid),
                Named::Several(pids) => return Err(wrong(&format!("{word} is not the name of one process"), several_are_called(&pids))),
                Named::Pid(pid) if folders.len() + 1 == self.words.len() => folders.push(Chosen::Pid(pid)),
                Named::Pid(pid) => {
                    let why = "snapshots are compared with later ones, or a process with itself: it comes last".to_owned();
                    return Err(wrong(&format!("the process {pid} is not compared with something older"), why));
                }
            }
        }
        if !folders.iter().any(|one| matches!(one, Chosen::Core(_))) {
            self.places.none("no core file was named".to_owned())?;
        }
        if folders.len() < 2 {
            let why = match folders.first() {
                Some(one) => format!("{} alone was named, and what came and went is between two looks", shown(one)),
                None => "no snapshot and no process was named".to_owned(),
            };
            return Err(wrong("two snapshots are needed", why));
        }
        if self.every.is_some() || self.times.is_some() {
            return Err(wrong("--every and --times are for a process that runs", "the snapshots are taken already".to_owned()));
        }
        Ok(Compared::Saved(folders))
    }
}

/// What was named, as it was named.
pub(crate) fn shown(one: &Chosen) -> String {
    match one {
        Chosen::Folder(path) => path.display().to_string(),
        Chosen::Core(core) => core.path.display().to_string(),
        Chosen::Pid(pid) => format!("process {pid}"),
        Chosen::Program(argv) => argv.first().map_or_else(String::new, |word| word.to_string_lossy().into_owned()),
    }
}
