//! What is looked at, decided: a process, a program, a snapshot, a core file.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::pid;
use crate::trouble::Trouble;

/// What a word that is a target names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Pid(i32),
    Folder(PathBuf),
    /// Several processes of one name; the biggest first.
    Several(Vec<i32>),
}

/// What to look at, decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// A process that runs.
    Pid(i32),
    /// A program to start.
    Program(Vec<OsString>),
    /// The folder of a snapshot.
    Folder(PathBuf),
    /// A core file.
    Core(Core),
}

/// A core file, and where the files are that its process had mapped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Core {
    pub(crate) path: PathBuf,
    pub(crate) places: Places,
}

/// Where the files of a core's process are, if not at their own paths.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// Of a core file: the folder that was the root of its process's file system
    #[arg(long, value_name = "FOLDER")]
    pub(crate) root: Option<PathBuf>,
    /// Of a core file: the program that it is of
    #[arg(long, value_name = "FILE")]
    pub(crate) exe: Option<PathBuf>,
}

impl Places {
    /// What a word names: a file is a core.
    pub(crate) fn chosen(&self, named: Named) -> Result<Chosen, Trouble> {
        let whose = match named {
            Named::Folder(path) if path.is_file() => return Ok(Chosen::Core(Core { path, places: self.clone() })),
            Named::Folder(folder) => (Chosen::Folder(folder.clone()), format!("{} is a snapshot", folder.display())),
            Named::Pid(pid) => (Chosen::Pid(pid), format!("process {pid} runs, and the kernel says where its files are")),
            Named::Several(pids) => return Err(several(&pids)),
        };
        self.none(whose.1).map(|()| whose.0)
    }

    /// Refuses them where no core was named.
    pub(crate) fn none(&self, why: String) -> Result<(), Trouble> {
        match self {
            Places { root: None, exe: None } => Ok(()),
            _ => Err(Trouble::usage("--root and --exe are for core files", why, "exuvia types --root /mnt/old-system core.4711")),
        }
    }
}

/// A PID, a folder, or a process by its name: a number is a PID, `./7` is a folder. Where several processes have the name, what is
/// meant is decided by what is asked of them.
pub(super) fn named_or_several(s: &str) -> Result<Named, String> {
    let is_number = s.parse::<i64>().is_ok();
    if s.contains('/') || (!is_number && std::path::Path::new(s).exists()) {
        return Ok(Named::Folder(s.into()));
    }
    let why = match pid(s) {
        Ok(pid) => return Ok(Named::Pid(pid)),
        Err(why) if is_number => return Err(why),
        Err(why) => why,
    };
    match crate::live::called(s).as_slice() {
        [one] => Ok(Named::Pid(*one)),
        [] => Err(format!("{why}, and there is no folder of this name, and no Python process is called so")),
        several => Ok(Named::Several(several.to_vec())),
    }
}

/// The same, where one must be meant.
pub(super) fn named(s: &str) -> Result<Named, String> {
    match named_or_several(s)? {
        Named::Several(pids) => Err(told(&pids)),
        one => Ok(one),
    }
}

/// Several processes have the name that one was asked for by.
fn several(pids: &[i32]) -> Trouble {
    let first = pids.first().copied().unwrap_or_default();
    Trouble::usage(
        "the name is not that of one process",
        told(pids),
        format!("exuvia types {first}, or --children where they are one tree"),
    )
}

/// How many have a name, and the first of them.
pub(super) fn told(pids: &[i32]) -> String {
    let shown: Vec<String> = pids.iter().take(NAMED_SHOWN).map(i32::to_string).collect();
    let more = if pids.len() > NAMED_SHOWN { " …" } else { "" };
    format!("{} Python processes are called so: {}{more}", pids.len(), shown.join(" "))
}

/// The process at the root of the tree that was asked for.
pub(super) fn root(named: Option<Named>, program: &[OsString]) -> Result<i32, Trouble> {
    let not = |why: String| Trouble::usage("--children is for a process that runs", why, "exuvia types --children 4711");
    match named {
        Some(Named::Pid(pid)) => Ok(pid),
        Some(Named::Several(pids)) => {
            let roots = crate::live::roots(&pids)?;
            match roots.as_slice() {
                [root] => Ok(*root),
                _ => Err(Trouble::usage(
                    "the name is not that of one tree of processes",
                    format!("{}, and they are {} trees", told(&pids), roots.len()),
                    format!("exuvia types --children {}", roots.first().copied().unwrap_or_default()),
                )),
            }
        }
        Some(Named::Folder(path)) if path.is_file() => Err(not(format!("{} is a file: a core is of one process", path.display()))),
        Some(Named::Folder(path)) => Err(not(format!("{} is the snapshot of one process", path.display()))),
        None if program.is_empty() => Err(not("none was named".into())),
        None => Err(not("a program that exuvia starts is looked at alone".into())),
    }
}

/// Processes of one name that are told.
const NAMED_SHOWN: usize = 8;
