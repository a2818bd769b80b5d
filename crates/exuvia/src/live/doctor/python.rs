//! The interpreters of a process, and the proof of each layout on its memory while it runs.
//!
//! The proof is that of `--mode live`, on bytes that were read without a stop: it asks less of the collector's lists than that
//! of a stop. What the process changes meanwhile can make it fail, so it is tried a few times, and a failure counts only where
//! it is the same each time.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use capture::{prove, Source};
use cpython::layout::proof::identify;
use cpython::{layout, LayoutError};
use memory::Module;
use snapshot::{Check, Python};
use target::{Process, TakeOptions, TargetError};

use super::process::{command, pasted};
use super::{blocks, note, unknown, works};
use crate::live::refusals;
use crate::trouble::Trouble;

/// Reads of a busy process until one of them is whole, and the time that they may take together: a large one is read once.
const TRIES: u32 = 8;
const PATIENCE: Duration = Duration::from_secs(1);

/// What was found.
pub(super) struct Found {
    /// `python` and `layout`.
    pub(super) checks: [Check; 2],
    pub(super) files: Vec<Python>,
}

impl Found {
    /// Nothing could be found out.
    pub(super) fn unknown() -> Found {
        Found { checks: [unknown("python"), unknown("layout")], files: Vec::new() }
    }
}

/// Finds them in the process that was opened.
pub(super) fn look(process: &Process) -> Result<Found, Trouble> {
    let modules = match process.pythons() {
        Ok(modules) => modules,
        Err(e) => return Ok(Found { checks: [blocks("python", e.why(), command(&e)), unknown("layout")], files: Vec::new() }),
    };
    let tables = layout::tables().map_err(|e| refusals::capture(None, &e.into()))?;
    let pid = process.pid();
    let mut files: Vec<Python> = modules.iter().map(|m| identified(process, m)).collect();
    let known: Vec<String> = files
        .iter()
        .map(|f| format!("{} in {}", f.release.as_ref().map_or("Python".to_string(), |r| format!("CPython {r}")), f.path))
        .collect();
    let python = works("python", known.join(", "));

    // Builds that are refused by what they say of themselves need no proof.
    let refused = modules.iter().map(|m| identify(process, m)).collect::<Result<Vec<_>, _>>().err();
    if let (Some(e), true) = (&refused, files.iter().all(|f| f.unproved.is_some())) {
        return Ok(Found { checks: [python, unfit(pid, e)], files });
    }
    let layout = match proved(process, &modules, &tables, &mut files) {
        Ok(Proof::Fits(how)) => works("layout", how),
        Ok(Proof::Moves(why)) => note("layout", format!("it changes faster than it is read without a stop, which decides: {why}")),
        Ok(Proof::Fails(e)) => unfit(pid, &e),
        Err(e) => note("layout", format!("not proved, since it cannot be read without a stop: {}", e.why())),
    };
    Ok(Found { checks: [python, layout], files })
}

fn unfit(pid: i32, e: &LayoutError) -> Check {
    let [what, why, advice] = refusals::layout(Some(pid), e);
    let advice = match e {
        // Another build is what helps, and no command.
        LayoutError::Unsupported { .. } | LayoutError::FreeThreaded { .. } | LayoutError::DebugBuild { .. } => format!("# {advice}"),
        _ => pasted(&advice),
    };
    blocks("layout", format!("{what}: {why}"), advice)
}

fn identified(process: &Process, module: &Module) -> Python {
    let path = module.path.clone();
    match identify(process, module) {
        Ok(identity) => Python { path, release: Some(identity.shown()), ..Python::default() },
        Err(e) => {
            let [what, ..] = refusals::layout(Some(process.pid()), &e);
            Python { path, unproved: Some(what), ..Python::default() }
        }
    }
}

enum Proof {
    /// How.
    Fits(String),
    /// Each try failed at another place.
    Moves(String),
    /// It does not fit.
    Fails(LayoutError),
}

/// Tries to prove the layout of one of `modules`; notes in `files` what came of each.
fn proved(process: &Process, modules: &[Module], tables: &[layout::Table], files: &mut [Python]) -> Result<Proof, TargetError> {
    // Without a guardian nothing can be stopped, whatever else would go wrong.
    let options = TakeOptions { mode: target::Mode::Live, guardian: PathBuf::new(), ..TakeOptions::default() };
    let mut failures: Vec<LayoutError> = Vec::new();
    let begun = Instant::now();
    for _ in 0..TRIES {
        if !failures.is_empty() && begun.elapsed() > PATIENCE {
            break;
        }
        let taken = target::take(process, &options)?;
        let image = taken.image();
        // What stands still can be proved whole.
        let moment = if taken.was_stopped() { capture::Moment::Still } else { capture::Moment::Running };
        let mut failed = None;
        let mut how = None;
        for (python, file) in modules.iter().zip(files.iter_mut()) {
            match prove(Source { image: &image, python, mappings: taken.mappings(), tables, moment, residency: None }) {
                Ok(proved) => {
                    file.release = Some(proved.layout.release.to_string());
                    file.build = Some(proved.layout.how_known());
                    file.unproved = None;
                    how = how.or(file.build.clone());
                }
                Err(e) => {
                    file.unproved = Some(refusals::layout(Some(process.pid()), &e)[0].clone());
                    failed = failed.or(Some(e));
                }
            }
        }
        if let Some(how) = how {
            return Ok(Proof::Fits(how));
        }
        match failed {
            Some(e @ (LayoutError::Unproved { .. } | LayoutError::Ambiguous { .. })) if !taken.was_stopped() => failures.push(e),
            Some(e) => return Ok(Proof::Fails(e)),
            None => break,
        }
    }
    let last = failures.pop().unwrap_or(LayoutError::NotInitialised);
    // What does not fit fails at the same place each time. Once is no proof of that.
    if !failures.is_empty() && failures.iter().all(|e| *e == last) {
        return Ok(Proof::Fails(last));
    }
    Ok(Proof::Moves(last.to_string()))
}
