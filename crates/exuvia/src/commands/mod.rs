//! One file a command; here is only who is called.

mod children;
mod compare;
mod containers;
mod cycles;
mod diff;
mod doctor;
mod explain;
mod finalizers;
mod gc;
mod imports;
mod ledger;
mod list;
mod object;
mod objects;
mod path;
mod refcounts;
mod retained;
mod scale;
mod sizes;
mod slots;
mod snapshot;
mod types;
mod weakrefs;

use std::ffi::OsString;

use report::Again;

use self::children::each;
use crate::cli::{Chosen, Cli, Command};
use crate::trouble::Trouble;

/// Runs the command that was asked for; without one, lists what could be looked at.
pub(crate) fn run(cli: Cli) -> Result<(), Trouble> {
    match cli.command {
        Some(Command::Types(args)) => types::run(&args),
        Some(Command::Objects(args)) => each(args, "objects", |a| (&mut a.target, &a.look), objects::run),
        Some(Command::Object(args)) => object::run(&args),
        Some(Command::Snapshot(args)) => snapshot::run(args),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Explain(args)) => each(args, "explain", |a| (&mut a.target, &a.look), explain::run),
        Some(Command::Ledger(args)) => ledger::run(&args),
        Some(Command::Retained(args)) => each(args, "retained", |a| (&mut a.target, &a.look), retained::run),
        Some(Command::Refcounts(args)) => each(args, "refcounts", |a| (&mut a.target, &a.look), refcounts::run),
        Some(Command::Cycles(args)) => each(args, "cycles", |a| (&mut a.target, &a.look), cycles::run),
        Some(Command::Path(args)) => path::run(&args),
        Some(Command::Finalizers(args)) => each(args, "finalizers", |a| (&mut a.target, &a.look), finalizers::run),
        Some(Command::Containers(args)) => each(args, "containers", |a| (&mut a.target, &a.look), containers::run),
        Some(Command::Weakrefs(args)) => each(args, "weakrefs", |a| (&mut a.target, &a.look), weakrefs::run),
        Some(Command::Gc(args)) => each(args, "gc", |a| (&mut a.target, &a.look), gc::run),
        Some(Command::Slots(args)) => each(args, "slots", |a| (&mut a.target, &a.look), slots::run),
        Some(Command::Sizes(args)) => sizes::run(&args),
        Some(Command::Diff(args)) => diff::run(&args),
        Some(Command::Imports(args)) => imports::run(&args),
        Some(Command::Compare(args)) => compare::run(&args),
        Some(Command::Scale(args)) => scale::run(&args),
        None => list::run(),
    }
}

/// The target in the words of the line that says what to do next.
fn again(target: &Chosen) -> Again {
    match target {
        Chosen::Pid(pid) => Again::Pid(*pid),
        Chosen::Folder(folder) => Again::Folder(folder.to_string_lossy().into_owned()),
        Chosen::Core(core) => {
            let option = |name: &str, value: &Option<std::path::PathBuf>| {
                value.iter().flat_map(|v| [name.to_string(), v.to_string_lossy().into_owned()]).collect::<Vec<String>>()
            };
            let options = [option("--root", &core.places.root), option("--exe", &core.places.exe)].concat();
            Again::Core(core.path.to_string_lossy().into_owned(), options)
        }
        Chosen::Program(argv) => Again::Command(argv.iter().map(lossy).collect()),
    }
}

fn lossy(word: &OsString) -> String {
    word.to_string_lossy().into_owned()
}

/// A snapshot that should have had its references.
fn no_graph() -> Trouble {
    Trouble::own("the references were not kept", "the look gave no graph".to_string())
}
