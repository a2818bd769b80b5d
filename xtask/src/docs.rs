//! `cargo xtask docs`: real output between the markers of README.md and of the pages below docs/.
//!
//! Holds: the search for markers and the run of the command in each. Never: writes output that no run gave.
//! A marker is a comment of its own line, `<!-- output: exuvia ARGUMENTS -->`, or `<!-- output: exuvia ARGUMENTS PID, of PROGRAM -->` for a
//! program that is started, says `ready` and is ended when its process was looked at, or `CORE, of PROGRAM` for one that the kernel writes
//! a core file of; the next `<!-- /output -->` ends what it owns.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::trouble::{Doing, Done, Trouble};

/// What `--help` says of it.
pub(crate) const HELP: &str = "\
cargo xtask docs [PAGE]                   real output between the markers of README.md and the pages below docs/";

const PAGE: &str = "README.md";
/// The same in Chinese.
const CHINESE: &str = "README.zh-CN.md";
/// Folders whose pages have output too.
const FOLDERS: [&str; 2] = ["docs/techniques", HUNTS];
/// Pages whose programs need packages from PyPI, beside README's.
const HUNTS: &str = "docs/hunts";
/// Those packages.
const PACKAGES: [&str; 4] = ["django", "marshmallow", "openpyxl", "prometheus_client"];
const BEGIN: &str = "<!-- output: ";
/// Between a command and the program whose PID is its last word.
const OF: &str = " PID, of ";
/// Between a command and the program whose core is its last word.
const CORE_OF: &str = " CORE, of ";
/// What such a core is called.
const CORE: &str = "core.4711";
const END: &str = "<!-- /output -->";

/// Builds the command and fills the page of the workspace at `root`.
pub(crate) fn run(root: &Path, words: &[String]) -> Done<()> {
    let pages = match words {
        [] => pages(root)?,
        [page] if root.join(page).is_file() => vec![page.clone()],
        _ => return Err(Trouble::new(format!("which docs?\n\n{HELP}"))),
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(["build", "--release", "--quiet"]).current_dir(root).status().doing("cargo build")?;
    if !built.success() {
        return Err(Trouble::new("cargo build --release failed".to_owned()));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    let exuvia = target.join("release/exuvia");
    for page in pages {
        let file = root.join(&page);
        let text = std::fs::read_to_string(&file).doing(&page)?;
        let path = if page.starts_with(HUNTS) || [PAGE, CHINESE].contains(&page.as_str()) { Some(with_packages(&target)?) } else { None };
        let filled = fill(&page, &text, |command| output(root, &exuvia, path.as_deref(), command))?;
        std::fs::write(&file, filled).doing(&page)?;
    }
    Ok(())
}

/// README.md and every page of the folders.
fn pages(root: &Path) -> Done<Vec<String>> {
    let mut all = vec![PAGE.to_owned(), CHINESE.to_owned()];
    for folder in FOLDERS {
        let Ok(entries) = root.join(folder).read_dir() else { continue };
        for entry in entries {
            let name = entry.doing(folder)?.file_name().to_string_lossy().into_owned();
            if name.ends_with(".md") {
                all.push(format!("{folder}/{name}"));
            }
        }
    }
    all.sort();
    Ok(all)
}

/// The page with each marker's output replaced by what `run` gives for its command.
fn fill(name: &str, page: &str, mut run: impl FnMut(&str) -> Done<String>) -> Done<String> {
    let mut filled = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        filled += line;
        filled.push('\n');
        let Some(command) = line.strip_prefix(BEGIN).and_then(|l| l.strip_suffix(" -->")) else { continue };
        if !lines.by_ref().any(|l| l == END) {
            return Err(Trouble::new(format!("{name}: no {END} behind {line}")));
        }
        filled += &format!("\n```\n{}\n```\n\n{END}\n", run(command)?.trim_end());
    }
    Ok(filled)
}

/// PATH with an environment in front that has the packages of the hunts; it is made where it is not there yet.
fn with_packages(target: &Path) -> Done<String> {
    let home = target.join("venvs/hunts");
    let done = home.join("installed");
    let wanted = PACKAGES.join(" ");
    if std::fs::read_to_string(&done).map_or(true, |there| there != wanted) {
        let python = home.join("bin/python3");
        let run = |program: &Path, arguments: &[&str]| {
            let status = Command::new(program).args(arguments).status().doing(program.display())?;
            if status.success() {
                Ok(())
            } else {
                Err(Trouble::new(format!("{} {arguments:?} failed", program.display())))
            }
        };
        run(Path::new("python3"), &["-m", "venv", &home.to_string_lossy()])?;
        run(&python, &[&["-m", "pip", "install", "--quiet"][..], &PACKAGES].concat())?;
        std::fs::write(&done, wanted).doing("the environment of the hunts")?;
    }
    let bin = std::path::absolute(home.join("bin")).doing("the environment of the hunts")?;
    Ok(format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default()))
}

/// What the command writes to a terminal of 80 columns; with another PATH where one is given.
fn output(root: &Path, exuvia: &Path, path: Option<&str>, command: &str) -> Done<String> {
    if let Some((command, program)) = command.split_once(CORE_OF) {
        let folder = std::env::temp_dir().join(format!("exuvia-docs-{}", std::process::id()));
        std::fs::create_dir_all(&folder).doing(folder.display())?;
        let told = dumped(root, &folder, path, program).and_then(|()| answer(&folder, exuvia, path, &format!("{command} {CORE}")));
        std::fs::remove_dir_all(&folder).doing(folder.display())?;
        return told;
    }
    let (command, program) = command.split_once(OF).map_or((command, None), |(command, program)| (command, Some(program)));
    let started = program.map(|program| started(root, path, program)).transpose()?;
    let pid = started.as_ref().map(|s| s.0.id().to_string());
    answer(root, exuvia, path, &[Some(command), pid.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" "))
}

/// Has the kernel write a core of a program that ends by a signal.
fn dumped(root: &Path, folder: &Path, path: Option<&str>, program: &str) -> Done<()> {
    let mut run = Command::new("sh");
    // The last word that is a file of ours is a script, which is run from another folder.
    let words =
        program.split(' ').map(|word| if root.join(word).is_file() { root.join(word).display().to_string() } else { word.to_owned() });
    run.args(["-c", "ulimit -c unlimited; exec \"$0\" \"$@\""]).args(words).current_dir(folder);
    if let Some(path) = path {
        run.env("PATH", path);
    }
    let status = run.status().doing(program)?;
    let cores = folder.read_dir().doing(folder.display())?.flatten().map(|entry| entry.path());
    let core = cores.filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("core"))).max();
    let Some(core) = core else {
        return Err(Trouble::new(format!(
            "{program}: {status}, and no core is in its folder (/proc/sys/kernel/core_pattern must be `core`)"
        )));
    };
    std::fs::rename(core, folder.join(CORE)).doing(CORE)
}

/// What exuvia answers.
fn answer(root: &Path, exuvia: &Path, path: Option<&str>, command: &str) -> Done<String> {
    let words = words(command);
    let Some(("exuvia", arguments)) = words.split_first().map(|(first, rest)| (first.as_str(), rest)) else {
        return Err(Trouble::new(format!("{command} is no command of ours")));
    };
    let mut run = Command::new(exuvia);
    run.args(arguments).env("COLUMNS", "80").env("NO_COLOR", "1").current_dir(root);
    if let Some(path) = path {
        run.env("PATH", path);
    }
    let output = run.output().doing(command)?;
    if !output.status.success() {
        return Err(Trouble::new(format!("{command}: {}", String::from_utf8_lossy(&output.stderr))));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The words of a command; what stands in single quotes is one.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().into_iter().for_each(|word| word.push(c)),
        }
    }
    words
}

/// A program that runs, with what was forked from it, until this goes.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // It leads a process group of its own, in which all that it forked are.
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.0.wait();
    }
}

/// Starts a program and waits until it says `ready`.
fn started(root: &Path, path: Option<&str>, program: &str) -> Done<Started> {
    let mut words = program.split(' ');
    let mut run = Command::new(words.next().unwrap_or_default());
    run.args(words).stdout(Stdio::piped()).process_group(0).current_dir(root);
    if let Some(path) = path {
        run.env("PATH", path);
    }
    let mut started = Started(run.spawn().doing(program)?);
    let said = started.0.stdout.take().map(|out| BufReader::new(out).lines().next());
    match said {
        Some(Some(Ok(line))) if line == "ready" => Ok(started),
        _ => Err(Trouble::new(format!("{program}: did not say that it is ready"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_one_word() {
        assert_eq!(
            words("exuvia compare --against 'python3 a.py rows' -- b"),
            ["exuvia", "compare", "--against", "python3 a.py rows", "--", "b"]
        );
    }

    #[test]
    fn output_replaces_what_stood_between_the_markers() {
        let page = "a\n<!-- output: exuvia x -->\nold\nolder\n<!-- /output -->\nb\n";
        let filled = fill("a", page, |c| Ok(format!("new of {c}\n"))).unwrap();
        assert_eq!(filled, "a\n<!-- output: exuvia x -->\n\n```\nnew of exuvia x\n```\n\n<!-- /output -->\nb\n");
        // What it wrote it can replace again.
        assert_eq!(fill("a", &filled, |c| Ok(format!("new of {c}\n"))).unwrap(), filled);
        assert!(fill("a", "<!-- output: exuvia x -->\n", |_| Ok(String::new())).is_err());
    }
}
