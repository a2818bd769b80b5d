//! The builds of CPython that tables are made from, and how one becomes a table.
//!
//! Holds: what an interpreter says of itself, which files of it carry debug information, which headers a directory holds.
//! Never: knows the wanted fields (they are given), or where tables are kept.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::table::{agree, Table};
use super::wanted::WantedStruct;
use super::{dwarf, headers};
use crate::trouble::{Doing, Done, Trouble};

/// Something that a table can be made from.
#[derive(Debug, Clone)]
pub(crate) enum Build {
    /// An interpreter that can be run, built with debug information.
    Interpreter(PathBuf),
    /// A folder of detached debug information (`…/usr/lib/debug`), the release that it belongs to, and whose it is.
    DebugInfo(PathBuf, String, Option<String>),
    /// A folder of C headers (`…/include/python3.11`), and the label of who patched them (`debian`), if anybody did.
    Headers(PathBuf, Option<String>),
}

/// A table and the name of its file, without `.txt`.
pub(crate) type Named = (String, Table);

/// What became of a build.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A table.
    Table(Named),
    /// Nothing that a table can be made of, and why.
    Unfit(String),
}

/// What the interpreter is asked.
const QUESTION: &str = "
import sys, sysconfig, json, os
get = sysconfig.get_config_var
print(json.dumps({
    'implementation': sys.implementation.name,
    'release': '%d.%d.%d' % sys.version_info[:3],
    'level': sys.version_info[3],
    'debug': bool(get('Py_DEBUG')),
    'free_threaded': bool(get('Py_GIL_DISABLED')),
    'executable': os.path.realpath(sys.executable),
    'library': os.path.join(get('LIBDIR') or '', get('INSTSONAME') or ''),
    'modules': get('DESTSHARED') or '',
}))";

#[derive(Debug, Deserialize)]
struct Answer {
    implementation: String,
    release: String,
    level: String,
    debug: bool,
    free_threaded: bool,
    executable: PathBuf,
    library: PathBuf,
    modules: PathBuf,
}

impl Build {
    /// The build in words, for progress lines.
    pub(crate) fn words(&self) -> String {
        match self {
            Build::Interpreter(path) | Build::DebugInfo(path, ..) | Build::Headers(path, _) => path.display().to_string(),
        }
    }

    /// The release, where it is known without a look.
    pub(crate) fn release(&self) -> Option<&str> {
        match self {
            Build::DebugInfo(_, release, _) => Some(release),
            Build::Interpreter(_) | Build::Headers(..) => None,
        }
    }

    /// Reads it. `older` gives the table that the private structs of a headers build come from.
    pub(crate) fn table(&self, wanted: &[WantedStruct], scratch: &Path, older: impl Fn(&str) -> Done<Named>) -> Done<Outcome> {
        match self {
            Build::Interpreter(path) => from_interpreter(path, wanted),
            Build::DebugInfo(dir, release, label) => from_debug_info(dir, release, label.as_deref(), wanted),
            Build::Headers(dir, label) => {
                let probe = headers::Probe::compile(dir, scratch)?;
                let structs = agree(wanted, dwarf::search(&probe.object, wanted)?)?;
                let by = label.as_deref().map(|label| format!("{label}'s ")).unwrap_or_default();
                let build = format!(
                    "CPython {}, x86-64 Linux, from DWARF of a probe compiled against {by}headers (release build, GIL)",
                    probe.release
                );
                let mut table = Table { release: probe.release.clone(), build, inherited: None, structs };
                let (older_name, older) = older(&probe.release)?;
                table.inherit(&older_name, &older);
                Ok(Outcome::Table((named(&probe.release, label.as_deref()), table)))
            }
        }
    }
}

/// The files of an interpreter that hold code of CPython: the core (executable and library), then the modules.
pub(crate) fn files(path: &Path) -> Done<Vec<PathBuf>> {
    let answer = ask(path)?;
    let mut files: Vec<PathBuf> = [answer.library, answer.executable].into_iter().filter(|file| file.is_file()).collect();
    files.extend(modules(&answer.modules));
    Ok(files)
}

fn ask(path: &Path) -> Done<Answer> {
    let shown = path.display();
    let output = Command::new(path).args(["-I", "-S", "-c", QUESTION]).output().doing(&shown)?;
    if !output.status.success() {
        return Err(Trouble::new(format!("{shown}: {}", String::from_utf8_lossy(&output.stderr))));
    }
    serde_json::from_slice(&output.stdout).doing(&shown)
}

/// The modules of the standard library that are files of their own, in a fixed order.
fn modules(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut modules: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            // The test suite's own modules define structs of their own under known names.
            name.contains(".so") && !["_test", "_xx", "xx"].iter().any(|prefix| name.starts_with(prefix))
        })
        .collect();
    modules.sort();
    modules
}

fn named(release: &str, label: Option<&str>) -> String {
    label.map_or_else(|| release.to_owned(), |label| format!("{release}-{label}"))
}

/// Folders below a folder of debug information that are looked into: `.build-id/ab/` is the second level.
const FOLDERS_DEEP: usize = 8;

fn from_debug_info(dir: &Path, release: &str, label: Option<&str>, wanted: &[WantedStruct]) -> Done<Outcome> {
    let mut seen = Vec::new();
    let mut folders = vec![(dir.to_owned(), 0)];
    let mut files = Vec::new();
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).doing(folder.display())? {
            let path = entry.doing(folder.display())?.path();
            if path.is_dir() && depth < FOLDERS_DEEP {
                folders.push((path, depth + 1));
            } else if path.extension().is_some_and(|end| end == "debug") {
                files.push(path);
            }
        }
    }
    files.sort();
    for file in files {
        seen.extend(dwarf::search(&file, wanted)?);
    }
    if seen.is_empty() {
        return Ok(Outcome::Unfit("no debug information in it".to_owned()));
    }
    let by = label.map(|label| format!("{label}'s ")).unwrap_or_default();
    let build = format!("CPython {release}, x86-64 Linux, from {by}detached DWARF of the interpreter and its modules (release build, GIL)");
    let structs = agree(wanted, seen).doing(dir.display())?;
    Ok(Outcome::Table((named(release, label), Table { release: release.to_owned(), build, inherited: None, structs })))
}

fn from_interpreter(path: &Path, wanted: &[WantedStruct]) -> Done<Outcome> {
    let answer = ask(path)?;
    if answer.implementation != "cpython" || answer.debug || answer.free_threaded || answer.level != "final" {
        return Ok(Outcome::Unfit(format!(
            "tables are made of final releases of CPython, release builds with the GIL; this is {answer:?}"
        )));
    }
    let mut seen = Vec::new();
    let mut core = None;
    for file in [&answer.library, &answer.executable] {
        if file.is_file() && core.is_none() {
            let found = dwarf::search(file, wanted)?;
            if !found.is_empty() {
                core = file.file_name().map(|name| name.to_string_lossy().into_owned());
                seen.extend(found);
            }
        }
    }
    let Some(core) = core else {
        return Ok(Outcome::Unfit("no debug information in it; use --headers with its include folder".to_owned()));
    };
    for module in modules(&answer.modules) {
        seen.extend(dwarf::search(&module, wanted)?);
    }
    let whose = if path.components().any(|part| part.as_os_str() == ".pyenv") { "pyenv's " } else { "" };
    let build = format!("CPython {}, x86-64 Linux, from DWARF of {whose}{core} and its modules (release build, GIL)", answer.release);
    let structs = agree(wanted, seen).doing(path.display())?;
    Ok(Outcome::Table((answer.release.clone(), Table { release: answer.release, build, inherited: None, structs })))
}
