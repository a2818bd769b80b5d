//! The Pythons of one process: usually one; a program may have several mapped, each with a runtime of its own.
//!
//! Holds: [`Pythons`]: which can be read, which one is meant, and what is said of the others. Never does: read a heap.

use capture::{prove, Source};
use cpython::layout::proof::{identify, Identity};
use cpython::LayoutError;
use memory::{Memory, Module};

use super::refusals;
use crate::trouble::Trouble;

/// The others that are told.
const TOLD: usize = 3;

/// The mapped files that hold a Python.
pub(super) struct Pythons {
    /// Those that may be read, in the order of their addresses, with what each says of itself.
    pub(super) known: Vec<(Module, Identity)>,
    /// Those that were not asked for.
    left: Vec<(Module, Identity)>,
    /// Those that cannot be read, with the reason.
    refused: Vec<(String, LayoutError)>,
}

impl Pythons {
    /// Asks each what it is: a build that cannot be read is refused before anything is stopped. `wanted` is a release or the end of a
    /// path.
    pub(super) fn of(memory: &dyn Memory, modules: Vec<Module>, wanted: Option<&str>, pid: Option<i32>) -> Result<Pythons, Trouble> {
        let mut all = Pythons { known: Vec::new(), left: Vec::new(), refused: Vec::new() };
        for module in modules {
            match identify(memory, &module) {
                Ok(identity) if wanted.is_none_or(|word| is_meant(&module.path, &identity.shown(), word)) => {
                    all.known.push((module, identity))
                }
                Ok(identity) => all.left.push((module, identity)),
                Err(e) => all.refused.push((module.path, e)),
            }
        }
        match (all.known.is_empty(), wanted, all.refused.first()) {
            (false, _, _) => Ok(all),
            (true, Some(word), _) if !all.left.is_empty() => Err(all.not_there(word, pid)),
            (true, _, Some((_, e))) => Err(refusals::capture(pid, &e.clone().into())),
            (true, _, None) => Err(refusals::capture(pid, &LayoutError::NotInitialised.into())),
        }
    }

    /// What is wrong where no known one is in use: the one that is may be among those that cannot be read.
    pub(super) fn instead_of(&self, e: Option<capture::CaptureError>) -> capture::CaptureError {
        match (e, self.refused.first()) {
            (None | Some(capture::CaptureError::Layout(LayoutError::NotInitialised)), Some((_, refused))) => refused.clone().into(),
            (e, _) => e.unwrap_or(capture::CaptureError::Layout(LayoutError::NotInitialised)),
        }
    }

    /// What is said of the others beside the one that is read. `source` is that one's.
    pub(super) fn beside(&self, source: Source<'_>) -> Option<String> {
        let others =
            self.known.iter().chain(&self.left).filter(|(module, _)| module.path != source.python.path || !same(module, source.python));
        let mut told: Vec<String> = others
            .map(|(module, identity)| {
                let state = match prove(Source { python: module, residency: None, ..source }) {
                    Ok(_) => format!("in use too, see it with --python {}", identity.shown()),
                    Err(LayoutError::NotInitialised) => "never started".to_string(),
                    Err(LayoutError::Finalizing) => "being taken apart".to_string(),
                    Err(e) => e.to_string(),
                };
                format!("CPython {} {state} ({})", identity.shown(), module.path)
            })
            .collect();
        told.extend(self.refused.iter().map(|(path, e)| format!("{e} ({path})")));
        if told.is_empty() {
            return None;
        }
        let more = if told.len() > TOLD { format!("; {} more", told.len() - TOLD) } else { String::new() };
        told.truncate(TOLD);
        Some(format!("{}{more}", told.join("; ")))
    }

    fn not_there(&self, word: &str, pid: Option<i32>) -> Trouble {
        let all: Vec<String> =
            self.left.iter().map(|(module, identity)| format!("CPython {} ({})", identity.shown(), module.path)).collect();
        let first = self.left.first().map(|(_, identity)| identity.shown()).unwrap_or_default();
        let whom = pid.map_or("the process".to_string(), |pid| format!("process {pid}"));
        Trouble::target(format!("{whom} has no Python {word}"), format!("it has {}", all.join(", ")), format!("--python {first}"))
    }
}

/// Whether two modules are one: a file may be mapped twice (dlmopen), each with a runtime of its own.
fn same(one: &Module, other: &Module) -> bool {
    one.symbol("_PyRuntime") == other.symbol("_PyRuntime")
}

/// `3.12` and `3.12.1` mean a release, anything else the end of a path. A release before 3.11 says `3.9` of itself, and may be any micro.
fn is_meant(path: &str, release: &str, word: &str) -> bool {
    let begins = |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let told_whole = release.split('.').count() > 2;
    begins(release, word) || (!told_whole && begins(word, release)) || path.ends_with(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_is_meant_by_its_release_or_its_file() {
        let path = "/opt/lib/libpython3.12.so.1.0";
        for word in ["3", "3.12", "3.12.1", "libpython3.12.so.1.0", path] {
            assert!(is_meant(path, "3.12.1", word), "{word}");
        }
        assert!(is_meant(path, "3.9", "3.9.18") && !is_meant(path, "3.9", "3.90"));
        for word in ["3.1", "3.12.10", "3.13", "/usr/lib"] {
            assert!(!is_meant(path, "3.12.1", word), "{word}");
        }
    }
}
