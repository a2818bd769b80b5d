//! A function that is called in the process itself and in one of its own.
//!
//! Holds: [`Called`], [`plan`], [`read`], [`refused`], [`note`]. Never does: call it (`trial::Call` has a fresh interpreter do so).

use std::path::{Path, PathBuf};

use memory::Bytes;
use report::compare::{Figure, Variant};
use trial::{Call, CallCost, CallWay, Program, Refused, RefusedKind};

use super::Trial;
use crate::cli::{Compare, StartBy, INSIDE};
use crate::trouble::Trouble;

/// What is called, and where the call writes down what it cost.
#[derive(Debug)]
pub(super) struct Called {
    place: String,
    name: String,
    answer: PathBuf,
}

/// Has the variant call the function: inside, or apart.
pub(super) fn plan(args: &Compare, trial: &mut Trial, folder: &Path) -> Result<(), Trouble> {
    let function = args.function()?;
    let own = |e: std::io::Error| Trouble::own("cannot write what the call needs", e.to_string());
    let way = match args.start {
        _ if trial.name == INSIDE => CallWay::Inside,
        StartBy::Spawn => CallWay::Spawn,
        StartBy::Fork => CallWay::Fork,
    };
    let (mut file, mut module) = (None, Some(function.place.clone()));
    if function.is_file {
        let path = std::path::absolute(module.take().unwrap_or_default()).map_err(own)?;
        file = Some(path.to_string_lossy().into_owned());
    }
    let call = Call { file, module, name: function.name.clone(), input: args.input.clone(), way };
    let (program, answer) = call.program(args.python.clone(), folder).map_err(own)?;
    trial.program = program;
    trial.called = Some(Called { place: function.place, name: function.name, answer });
    trial.way.untouched = true;
    trial.known = match way {
        CallWay::Inside => None,
        CallWay::Spawn => Some("started by spawn".into()),
        CallWay::Fork => Some("started by fork".into()),
    };
    Ok(())
}

/// What an earlier run wrote down is none of the next one's.
pub(super) fn forget(called: Option<&Called>) {
    if let Some(called) = called {
        // It may never have been written.
        let _ = std::fs::remove_file(&called.answer);
    }
}

/// The figures that a run wrote down, as [`super::figures::OF_CALLS`] has them.
pub(super) fn read(called: &Called) -> Result<Vec<Option<f64>>, Refused> {
    let cost = CallCost::read(&called.answer)?;
    let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
    Ok(vec![
        bytes(cost.peak_rss_bytes),
        bytes(cost.before_rss_bytes),
        bytes(cost.after_rss_bytes),
        bytes(cost.collected_rss_bytes),
        Some(cost.seconds),
        cost.transfer_seconds,
        bytes(cost.sent_bytes),
        bytes(cost.returned_bytes),
        bytes(cost.child_peak_rss_bytes),
    ])
}

/// What cannot be called, or not apart, as an error: of what was asked for, or of what became of it.
pub(super) fn refused(refused: &Refused, called: &Called, program: &Program) -> Trouble {
    let (Called { place, name, .. }, words) = (called, refused.words.clone());
    let python = program.argv.first().map(|word| report::text::shell_quoted(&word.to_string_lossy())).unwrap_or_default();
    let advice = match refused.kind {
        RefusedKind::Import => format!("cd to where {python} finds it, or --python ./venv/bin/python3"),
        RefusedKind::File => "mv it to a name of letters, digits and _ that no other module has".into(),
        RefusedKind::Name | RefusedKind::Callable => "exuvia compare --isolate module:function, with a function of the module's".into(),
        RefusedKind::Input => "--input '[1, 2]', or an expression with names of the module".into(),
        RefusedKind::Argument => "a function on the module's level, and an argument of plain data; or --start fork".into(),
        RefusedKind::Result => "have it return plain data: a process of its own sends its result through a pipe".into(),
        RefusedKind::Raised => "--input EXPRESSION, if it needs an argument".into(),
        RefusedKind::Ended => "exuvia compare --isolate … --start fork, or a look at what ends it".into(),
        RefusedKind::Nothing => format!("{python} -c 'import sys; print(sys.version)' (CPython 3.8 or newer)"),
    };
    match refused.kind {
        RefusedKind::Import | RefusedKind::File => Trouble::usage(format!("cannot import {place}"), words, advice),
        RefusedKind::Name => Trouble::usage(format!("{place} has no {name}"), words, advice),
        RefusedKind::Callable => Trouble::usage(format!("{name} of {place} is no function"), words, advice),
        RefusedKind::Input => Trouble::usage(refused.what(), words, advice),
        // What became of the call.
        _ => Trouble::target(refused.what(), words, advice),
    }
}

/// What the transfer cost.
pub(super) fn note(figures: &[Figure], variants: &[Variant]) -> Option<String> {
    let apart = variants.get(1)?;
    let median = |key: &str| {
        let i = figures.iter().position(|figure| figure.key == key)?;
        Some((*apart.spreads.get(i)?)?.median)
    };
    let (sent, returned, seconds) = (median("sent_bytes")?, median("returned_bytes")?, median("transfer_seconds")?);
    let peak = median("child_peak_rss_bytes").map_or(String::new(), |peak| format!("; that process had a peak of {}", Bytes(peak as u64)));
    let (sent, returned) = (Bytes(sent as u64), Bytes(returned as u64));
    Some(format!("the transfer: {sent} there and {returned} back took {}{peak}", report::text::duration_ms(seconds * 1000.0)))
}
