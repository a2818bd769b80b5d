//! Fresh interpreters that import what was named, and write down what it cost.
//!
//! Holds: [`imports`]. Never does: read what they wrote (that is `analyses::imports`).

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use target::Ending;
use trial::{Program, Run, Stop, TrialError, Trials, Way};

use super::refusals;
use crate::cli::Imports;
use crate::progress::Progress;
use crate::trouble::Trouble;

/// What an import tree of ten thousand modules takes is far less.
const WRITTEN_MOST: u64 = 256 << 20;
/// A script that does not let its own time end it is killed so long after.
/// It is told again and again (for a second), then reads the statements of what it imported.
const GRACE: Duration = Duration::from_secs(30);

/// What each run wrote down, and whether an end was asked for before all were done.
pub(crate) fn imports(args: &Imports) -> Result<(Vec<String>, bool), Trouble> {
    let what = named(&args.what)?;
    let stop = Stop::catch();
    let trials = Trials::new(target::TakeOptions::default().guardian, stop).map_err(trouble)?;
    let harness = trials.folder().join("imports.py");
    let own = |path: &Path, e: std::io::Error| Trouble::own(format!("cannot write {}", path.display()), e.to_string());
    std::fs::write(&harness, trial::IMPORTS).map_err(|e| own(&harness, e))?;
    let _progress = Progress::start("importing it in fresh processes");
    let mut texts = Vec::new();
    for nth in 0..args.repeat {
        if trials.stopped() {
            break;
        }
        let written = trials.folder().join(format!("imports-{nth}.json"));
        let mut argv: Vec<OsString> = vec![args.python.clone(), harness.clone().into(), written.clone().into()];
        argv.push(way_to(args, &what)?.into());
        argv.extend([what.clone(), format!("{:.3}", args.timeout.as_secs_f64()).into()]);
        argv.extend(args.arguments.iter().cloned());
        let way = Way { untouched: true, limit: Some(args.timeout.saturating_add(GRACE)), ..Way::default() };
        let run = trials.run(&Program { argv, ..Program::default() }, &way, |_| {}).map_err(trouble)?;
        match std::fs::symlink_metadata(&written) {
            Ok(m) if m.is_file() && m.len() <= WRITTEN_MOST => texts.push(std::fs::read_to_string(&written).map_err(|e| own(&written, e))?),
            _ if trials.stopped() => break,
            _ => return Err(nothing(args, &run)),
        }
    }
    Ok((texts, trials.stopped()))
}

/// The harness's word for it.
fn way_to(args: &Imports, what: &OsStr) -> Result<&'static str, Trouble> {
    match (Path::new(what).is_absolute(), args.run) {
        (true, true) => Ok("run"),
        (true, false) => Ok("file"),
        (false, false) => Ok("module"),
        (false, true) => {
            let what = what.to_string_lossy();
            Err(Trouble::usage(
                format!("--run needs a file, and {what} is none"),
                "a module is imported, not run",
                format!("exuvia imports {what}"),
            ))
        }
    }
}

/// A file is one where it is there, or is written as one.
fn named(what: &OsStr) -> Result<OsString, Trouble> {
    let path = Path::new(what);
    let is_file = path.is_file();
    let text = what.to_string_lossy();
    if !is_file && (text.contains('/') || text.ends_with(".py")) {
        let why = if path.is_dir() { "it is a folder" } else { "there is no such file" };
        return Err(Trouble::usage(format!("{text} cannot be imported"), why, "exuvia imports app.py, or a module: exuvia imports json"));
    }
    if !is_file {
        return Ok(what.to_owned());
    }
    std::path::absolute(path).map(Into::into).map_err(|e| Trouble::own("this folder has no path", e.to_string()))
}

fn nothing(args: &Imports, run: &Run) -> Trouble {
    let how = match run.ending {
        _ if run.over => format!("it was killed {} s after its time was over", GRACE.as_secs()),
        Ending::Code(code) => format!("it ended with {code}"),
        Ending::Signal(signal) => format!("signal {signal} ended it"),
    };
    let last = run.last_words.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    let why = if last.is_empty() { how } else { format!("{how}: {}", last.trim()) };
    let python = args.python.to_string_lossy();
    Trouble::target(
        "the interpreter wrote nothing down",
        why,
        format!("{python} -c 'import sys; print(sys.version)' (CPython 3.8 or newer)"),
    )
}

/// What kept a run from being one.
pub(super) fn trouble(error: TrialError) -> Trouble {
    match error {
        TrialError::Target(error) => refusals::target(error),
        TrialError::Pipe { .. } => Trouble::own("no pipe for what programs say", error.to_string()),
        TrialError::Folder { path, source } => Trouble::own_with(
            format!("cannot write {}", path.display()),
            source.to_string(),
            "another folder for what is temporary: TMPDIR=…",
        ),
    }
}
