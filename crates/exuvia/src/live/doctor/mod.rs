//! `doctor`: what works here and why not, and what would be done to a process. Never stops one.
//!
//! Holds: [`diagnose`], which asks `target` for facts and judges them; `machine` (we and the kernel), `process` (the one
//! that was named), `python` (its interpreters), `room` (what is left to it). Never does: print, attach to anything but a child made for that.
//! Only the judgement is here: facts are `target`'s, the words for a missing right too.

mod core_file;
mod machine;
mod process;
mod python;
mod room;

pub(crate) use self::core_file::core;

use std::time::Duration;

use snapshot::{Check, Diagnosis, Verdict};
use target::{Facts, Kernel};

use crate::live::processes;
use crate::live::refusals;
use crate::trouble::Trouble;

/// Checks everything; `pid` names the process that it is about.
pub(crate) fn diagnose(pid: Option<i32>, max_pause: Duration) -> Result<Diagnosis, Trouble> {
    target::check_proc().map_err(refusals::target)?;
    let facts = Facts::gather().map_err(|e| refusals::no_proc(&e))?;
    let here = Here { kernel: Kernel::probe(), facts };
    let Some(pid) = pid else {
        let checks = machine::checks(&here, None);
        return Ok(Diagnosis { checks, processes: processes::pythons()?, ..Diagnosis::default() });
    };
    let named = process::look(pid, &here, max_pause)?;
    let mut checks = machine::checks(&here, Some(&named));
    checks.extend(named.checks);
    Ok(Diagnosis { checks, pid: Some(pid), core: None, processes: Vec::new(), subject: named.subject, outlook: named.outlook })
}

/// Who and where we are.
struct Here {
    facts: Facts,
    kernel: Kernel,
}

fn works(id: &'static str, found: impl Into<String>) -> Check {
    Check { id, verdict: Verdict::Works, found: found.into(), advice: None }
}

fn note(id: &'static str, found: impl Into<String>) -> Check {
    Check { id, verdict: Verdict::Note, found: found.into(), advice: None }
}

/// What came before kept us from finding out.
fn unknown(id: &'static str) -> Check {
    Check { id, verdict: Verdict::Unknown, found: "not known".into(), advice: None }
}

fn lacks(id: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Check {
    Check { id, verdict: Verdict::Lacks, found: found.into(), advice: Some(advice.into()) }
}

fn blocks(id: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Check {
    Check { id, verdict: Verdict::Blocks, found: found.into(), advice: Some(advice.into()) }
}
