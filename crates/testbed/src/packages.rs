//! Holds virtual environments with real packages, one for each interpreter, made once and kept in the build folder.
//! Never downloads unless `EXUVIA_PYPI=1`; never builds from source (wheels only); names and counts what could not be had.
//! Sources: ../requirements.txt; pip's `--python` (22.3 and later) for an interpreter whose own venv has no pip.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{interpreters, Interpreter};

/// A virtual environment and what is in it.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Its interpreter.
    pub python: PathBuf,
    /// Requirements that are installed.
    pub installed: Vec<String>,
    /// Requirements that are not, each with pip's last word.
    pub failed: Vec<String>,
}

/// The tests that need packages are asked for (`EXUVIA_PYPI=1`).
pub fn wanted() -> bool {
    std::env::var("EXUVIA_PYPI").is_ok_and(|v| v == "1")
}

/// The names in requirements.txt.
pub fn requirements() -> Vec<String> {
    let text = include_str!("../requirements.txt");
    text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_owned).collect()
}

/// The environment for `py` under `folder`, made if it is not there yet.
pub fn environment(py: &Interpreter, folder: &Path) -> std::io::Result<Environment> {
    let home = folder.join(format!("3.{}.{}{}", py.minor, py.micro, if py.shared { "" } else { "-static" }));
    let python = home.join("bin/python3");
    if !python.exists() {
        // Without pip: Debian's own interpreter has no ensurepip, and one way for all is one way to fail.
        let made = run(&py.path, &["-m", "venv", "--without-pip", &home.to_string_lossy()])?;
        made.map_err(|text| std::io::Error::other(format!("making a virtual environment for {}: {text}", py.name)))?;
    }
    let done = home.join("exuvia-installed");
    if let Ok(text) = std::fs::read_to_string(&done) {
        let (installed, failed): (Vec<_>, Vec<_>) = text.lines().partition(|l| !l.contains(": "));
        let own = |all: Vec<&str>| all.into_iter().map(str::to_owned).collect();
        return Ok(Environment { python, installed: own(installed), failed: own(failed) });
    }
    let pip = pip_of_any()?;
    // pip runs under the interpreter that it installs for, and a new release breaks old ones: then the newest does it.
    let path = python.to_string_lossy().into_owned();
    let newest = match run(&pip, &["-m", "pip", "--python", &path, "--version"])? {
        Ok(()) => None,
        Err(_) => Some(newest_pip(&pip, folder)?),
    };
    let install = |names: &[String]| {
        let (mut command, before) = match &newest {
            None => (Command::new(&pip), vec!["-m", "pip", "--python", &path]),
            Some(newest) => (Command::new(&python), vec![newest.as_str()]),
        };
        command.args(before).args(["install", "--quiet", "--only-binary", ":all:", "--no-input"]).args(names);
        told(&mut command)
    };
    let mut environment = Environment { python: python.clone(), installed: Vec::new(), failed: Vec::new() };
    let all = requirements();
    if install(&all)?.is_ok() {
        environment.installed = all;
    } else {
        // One of them has no wheel here: which one?
        for name in all {
            match install(std::slice::from_ref(&name))? {
                Ok(()) => environment.installed.push(name),
                Err(text) => environment.failed.push(format!("{name}: {text}")),
            }
        }
    }
    std::fs::write(done, [environment.installed.as_slice(), &environment.failed].concat().join("\n"))?;
    Ok(environment)
}

/// An interpreter whose pip can install for others.
fn pip_of_any() -> std::io::Result<PathBuf> {
    for py in interpreters().found.iter().rev() {
        if run(&py.path, &["-m", "pip", "--python", &py.path.to_string_lossy(), "--version"])?.is_ok() {
            return Ok(py.path.clone());
        }
    }
    Err(std::io::Error::other("no interpreter has a pip of 22.3 or later"))
}

/// The newest pip, in a folder of its own; any interpreter can run it by its path.
fn newest_pip(pip: &Path, folder: &Path) -> std::io::Result<String> {
    let home = folder.join("newest-pip");
    let program = home.join("pip").to_string_lossy().into_owned();
    let made =
        run(pip, &["-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--upgrade", "--target", &home.to_string_lossy(), "pip"])?;
    made.map(|()| program).map_err(|text| std::io::Error::other(format!("the newest pip: {text}")))
}

fn run(program: &Path, arguments: &[&str]) -> std::io::Result<Result<(), String>> {
    told(Command::new(program).args(arguments))
}

/// Err with the last line of stderr where it failed.
fn told(command: &mut Command) -> std::io::Result<Result<(), String>> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(Ok(()));
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rev().find(|l| !l.trim().is_empty() && !l.contains("notice")).unwrap_or("failed without a word");
    Ok(Err(last.to_owned()))
}

/// Where environments are kept: beside the build's own folders.
pub fn folder() -> PathBuf {
    let built = std::env::current_exe().unwrap_or_default();
    // A test is <target>/debug/deps/name-hash, xtask <target>/debug/xtask.
    let profile = built.ancestors().skip(1).find(|folder| !folder.ends_with("deps"));
    profile.and_then(Path::parent).unwrap_or(Path::new(".")).join("venvs")
}
