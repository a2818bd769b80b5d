//! What each variant runs.
//!
//! Holds: [`planned`]. Never does: run anything.

use std::ffi::OsString;

use trial::{AllocatorError, Allocators, Program, Setting, Way};

use super::Trial;
use crate::cli::{Compare, Dimension};
use crate::trouble::Trouble;

/// The variant of this name.
pub(super) fn planned(args: &Compare, dimension: Dimension, name: &str) -> Result<Trial, Trouble> {
    let mut program = Program { argv: args.program.clone(), ..Program::default() };
    let mut way = Way { limit: args.run_limit, ..Way::default() };
    let mut allocators = None;
    match dimension {
        Dimension::Allocators => {
            let cannot = |e: AllocatorError| {
                let advice = "exuvia compare --allocators glibc,arena-max=2,malloc -- python3 app.py";
                Trouble::usage(format!("the allocator {name} cannot be used"), e.to_string(), advice)
            };
            let chosen = Allocators::parse(name).and_then(|chosen| chosen.for_program(&program)).map_err(cannot)?;
            program.env = chosen.environment().map_err(cannot)?;
            allocators = Some(chosen);
        }
        Dimension::Collector => way.collector = setting(name)?,
        Dimension::Pythons => {
            if let Some(first) = program.argv.first_mut() {
                *first = OsString::from(name);
            }
        }
        Dimension::Commands if args.against.iter().any(|command| command == name) => program.argv = words(name)?,
        Dimension::Commands => {}
    }
    Ok(Trial { name: name.into(), program, way, allocators, runs: Vec::new(), proof: None, failed: None, failures: 0 })
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
