//! One file a command; here is only who is called.

mod containers;
mod cycles;
mod diff;
mod doctor;
mod explain;
mod finalizers;
mod gc;
mod ledger;
mod list;
mod object;
mod objects;
mod path;
mod refcounts;
mod retained;
mod sizes;
mod slots;
mod snapshot;
mod types;
mod weakrefs;

use std::ffi::OsString;

use report::Again;

use crate::cli::{Chosen, Cli, Command};
use crate::trouble::Trouble;

/// Runs the command that was asked for; without one, lists what could be looked at.
pub(crate) fn run(cli: Cli) -> Result<(), Trouble> {
    match cli.command {
        Some(Command::Types(args)) => types::run(&args),
        Some(Command::Objects(args)) => objects::run(&args),
        Some(Command::Object(args)) => object::run(&args),
        Some(Command::Snapshot(args)) => snapshot::run(&args),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Explain(args)) => explain::run(&args),
        Some(Command::Ledger(args)) => ledger::run(&args),
        Some(Command::Retained(args)) => retained::run(&args),
        Some(Command::Refcounts(args)) => refcounts::run(&args),
        Some(Command::Cycles(args)) => cycles::run(&args),
        Some(Command::Path(args)) => path::run(&args),
        Some(Command::Finalizers(args)) => finalizers::run(&args),
        Some(Command::Containers(args)) => containers::run(&args),
        Some(Command::Weakrefs(args)) => weakrefs::run(&args),
        Some(Command::Gc(args)) => gc::run(&args),
        Some(Command::Slots(args)) => slots::run(&args),
        Some(Command::Sizes(args)) => sizes::run(&args),
        Some(Command::Diff(args)) => diff::run(&args),
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
