//! The typed errors of the snapshot's file as three lines each: what failed, why, what to do. Those of live processes are `live::refusals`'.

use std::path::Path;

use memory::Addr;
use report::text;
use snapshot::file::FileError;

use crate::trouble::Trouble;

/// A snapshot that cannot be read or written.
pub(crate) fn file(e: &FileError) -> Trouble {
    let shown = |path: &Path| path.display().to_string();
    match e {
        FileError::Missing(path) => Trouble::target(
            format!("cannot read the snapshot {}", shown(path)),
            "nothing of this name is there",
            format!("exuvia snapshot PID -o {} (makes one)", text::shell_quoted(&shown(path))),
        ),
        FileError::Foreign { path, why } => {
            Trouble::target(format!("{} is no snapshot", shown(path)), why.clone(), "a folder made by exuvia snapshot PID -o FOLDER")
        }
        FileError::Newer { path, found, known } => Trouble::target(
            format!("cannot read the snapshot {}", shown(path)),
            format!("its format is {found}, this exuvia reads formats up to {known}"),
            "a newer exuvia (exuvia --version tells yours)",
        ),
        FileError::Damaged { path, file, why } => Trouble::target(
            format!("the snapshot {} is damaged", shown(path)),
            format!("{file}: {why}"),
            "copy it again from where it was made, or take a new one: exuvia snapshot PID -o FOLDER",
        ),
        FileError::Exists(path) => Trouble::usage(
            format!("{} exists already", shown(path)),
            "a snapshot is written into a new folder, and nothing is written over",
            "another name after -o",
        ),
        FileError::Io { path, why, full } => {
            let advice = if *full {
                "make room on that disk, or name a folder on another one"
            } else {
                "look whether the folder's disk is there and may be written"
            };
            Trouble::own_with(format!("cannot read or write the snapshot at {}", shown(path)), why.clone(), advice)
        }
    }
}

/// An address at which no object of a snapshot stands.
pub(crate) fn no_object_saved(folder: &Path, address: Addr) -> Trouble {
    let folder = folder.display().to_string();
    Trouble::target(
        format!("no object of the snapshot {folder} stands at {address}"),
        "the address is not where an object began when it was taken",
        format!("exuvia objects {} (lists the addresses)", text::shell_quoted(&folder)),
    )
}
