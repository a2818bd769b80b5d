//! A core file: whose it is, what is in it, what is missing, and whether its layout is proved.
//!
//! Holds: [`core`]. Never does: count its objects; that is a look.

use std::time::{Duration, SystemTime};

use capture::{prove, Moment, Source};
use cpython::layout::proof::identify;
use cpython::{layout, LayoutError};
use memory::Bytes;
use nix::sys::signal::Signal;
use snapshot::{Check, Diagnosis};
use target::{CoreError, CorePlaces};

use super::{blocks, lacks, note, unknown, works};
use crate::cli::Core;
use crate::live::refusals;
use crate::trouble::Trouble;

/// Missing files that are named.
const NAMED: usize = 3;

/// What can be said of a core file. What is no core at all is refused as everywhere.
pub(crate) fn core(file: &Core) -> Result<Diagnosis, Trouble> {
    let places = CorePlaces { root: file.places.root.clone(), exe: file.places.exe.clone() };
    let opened = target::open_core(&file.path, &places).map_err(|e| refusals::core(&e))?;
    let mut checks = vec![written(file, &opened), process(&opened), died(file, &opened), memory(&opened), files(&opened)];
    checks.extend(python(&opened)?);
    Ok(Diagnosis { checks, core: Some(file.path.to_string_lossy().into_owned()), ..Diagnosis::default() })
}

fn written(file: &Core, core: &target::Core) -> Check {
    let who = if core.about().ours { "exuvia" } else { "the kernel or gcore" };
    let length = std::fs::metadata(&file.path).map_or(0, |m| m.len());
    let packed = core.packing().map_or(String::new(), |how| format!(", compressed by {how}"));
    works("core", format!("written by {who}, {}{packed}", Bytes(length)))
}

fn process(core: &target::Core) -> Check {
    let pid = core.pid().map_or("without a PID".to_string(), |pid| format!("pid {pid}"));
    let command = if core.about().arguments.is_empty() { String::new() } else { format!(": {}", core.about().arguments) };
    let threads = if core.threads() == 1 { "1 thread".to_string() } else { format!("{} threads", core.threads()) };
    note("process", format!("{pid} of {}, {threads}{command}", core.exe()))
}

/// When and of what: a core of the kernel tells the signal, and is as old as its file.
fn died(file: &Core, core: &target::Core) -> Check {
    let kept = core.kept();
    let now = SystemTime::now();
    let at = kept.dumped_unix_s.map(|s| SystemTime::UNIX_EPOCH + Duration::from_secs(s.min(u64::from(u32::MAX))));
    let at = at.or_else(|| std::fs::metadata(&file.path).and_then(|m| m.modified()).ok());
    let ago = at
        .and_then(|at| now.duration_since(at).ok())
        .map_or("at a time to come by this clock".to_string(), |ago| format!("{} ago", time(ago)));
    let by = if kept.dumped_unix_s.is_some() { "" } else { " by the file's date" };
    let signal = match core.about().signal {
        Some(signal) => format!(", signal {}", Signal::try_from(i32::from(signal)).map_or(signal.to_string(), |s| s.to_string())),
        None => String::new(),
    };
    let age = kept.age_s.map_or("; how long it had run it does not tell".to_string(), |age| {
        format!("; the process had run for {}", time(Duration::from_secs_f64(age.min(f64::from(u32::MAX)))))
    });
    note("moment", format!("{ago}{by}{signal}{age}"))
}

fn time(t: Duration) -> String {
    match t.as_secs() {
        s @ 0..=119 => format!("{s} s"),
        s @ 120..=7199 => format!("{} min", s / 60),
        s @ 7200..=172_799 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}

fn memory(core: &target::Core) -> Check {
    let (has, absent) = (core.dumped_bytes(), core.absent_bytes());
    let ledger = if core.kept().residency.is_some() { "what was resident is known" } else { "what was resident is not told" };
    if absent.0 == 0 || core.about().ours {
        // Ours has what was in memory; the rest was never there, or is a file's.
        return works("memory", format!("{has}; {ledger}"));
    }
    lacks(
        "memory",
        format!("{has}; of {absent} of addresses nothing is known: neither in the core nor in a file that is here; {ledger}"),
        "# before it dies: echo 0x7f > /proc/PID/coredump_filter (core(5)); or --root FOLDER",
    )
}

fn files(core: &target::Core) -> Check {
    if core.about().ours {
        return works("files", "none is needed");
    }
    let missing = core.missing();
    if missing.is_empty() {
        return works("files", format!("{} mapped programs and libraries, the builds that ran", core.found()));
    }
    let named: Vec<String> = missing.iter().take(NAMED).map(|(path, why)| format!("{path} ({why})")).collect();
    let more = if missing.len() > NAMED { ", …" } else { "" };
    lacks(
        "files",
        format!("{} are the builds that ran, {} are not here: {}{more}", core.found(), missing.len(), named.join(", ")),
        "# --root FOLDER (a copy of the system that it ran on), or --exe FILE (its program)",
    )
}

/// `python` and `layout`.
fn python(core: &target::Core) -> Result<[Check; 2], Trouble> {
    let modules = match core.pythons() {
        Ok(modules) => modules,
        Err(CoreError::NotPython { exe, .. }) => {
            return Ok([blocks("python", format!("{exe} runs no Python"), "# a core of a CPython process"), unknown("layout")])
        }
        Err(_) => {
            let advice = "# --root FOLDER (a copy of the system that it ran on), or --exe FILE (its program)";
            return Ok([blocks("python", "none in the files that are here", advice), unknown("layout")]);
        }
    };
    let tables = layout::tables().map_err(|e| refusals::capture(None, &e.into()))?;
    let image = core.image();
    let mut first: Option<LayoutError> = None;
    for module in &modules {
        // What it says of itself comes first: a debug build is refused by that.
        if let Err(e) = identify(&image, module) {
            first = first.or(Some(e));
            continue;
        }
        let source =
            Source { image: &image, python: module, mappings: core.mappings(), tables: &tables, moment: Moment::Still, residency: None };
        match prove(source) {
            Ok(proved) => {
                let python = works("python", format!("CPython {} in {}", proved.layout.release, module.path));
                return Ok([python, works("layout", proved.layout.how_known())]);
            }
            Err(e) => first = first.or(Some(e)),
        }
    }
    let [what, why, advice] = refusals::layout(None, &first.unwrap_or(LayoutError::NotInitialised));
    let paths: Vec<&str> = modules.iter().map(|m| m.path.as_str()).collect();
    Ok([note("python", format!("in {}", paths.join(", "))), blocks("layout", format!("{what}: {why}"), format!("# {advice}"))])
}
