//! The typed errors of the snapshot's file as three lines each: what failed, why, what to do. Those of live processes are `live::refusals`'.

use std::path::Path;

use analyses::named::NotNamed;
use memory::Addr;
use report::{text, Again};
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

/// Values are asked for, and the snapshot has none.
pub(crate) fn no_values(folder: &Path) -> Trouble {
    Trouble::target(
        format!("the snapshot {} has no values", folder.display()),
        "it was taken without --values, which keeps contents of strings and numbers out of it",
        "the same without --values, or a snapshot that has them: exuvia snapshot PID --values -o FOLDER",
    )
}

/// Words that name nothing in the target.
pub(crate) fn not_named(e: &NotNamed, again: &Again) -> Trouble {
    let listed = |names: &[String]| names.join(", ");
    match e {
        NotNamed::NoObject(address) => Trouble::target(
            format!("no object stands at {address}"),
            "the address is not where an object begins: it may be gone, or be of another process",
            format!("{} (lists the addresses)", again.line("objects", &[])),
        ),
        NotNamed::NoModule { module, near } => Trouble::target(
            format!("there is no module {module}"),
            "what stands before `:` is a module of the target's sys.modules; a script that was started is __main__",
            if near.is_empty() { "__main__".to_owned() } else { format!("one of {}", listed(near)) },
        ),
        NotNamed::NoAttribute { of, type_name, name, there } => Trouble::target(
            format!("{of} has no {name}"),
            format!("it is a {type_name}, and neither it nor its class has it; keys of plain dicts are values and no names"),
            if there.is_empty() { format!("{of} itself, or an address") } else { format!("one of {}", listed(there)) },
        ),
        NotNamed::Nothing { word, near } => Trouble::target(
            format!("there is nothing named {word}"),
            "no type with instances and no module is called so",
            if near.is_empty() { format!("{} (lists the types)", again.line("types", &[])) } else { format!("one of {}", listed(near)) },
        ),
        NotNamed::Form { word } => Trouble::usage(
            format!("{word} is not written as a name"),
            "names stand between single dots, places in brackets: shop.cache:PAGES.newest[0]",
            "an address (0x7f2ab4c01d30), module:NAME.attribute[0], or a type (shop.models.Session)",
        ),
    }
}

/// A word after --exclude that nothing is called.
pub(crate) fn nothing_to_exclude(word: &str) -> Trouble {
    Trouble::target(
        format!("nothing is excluded by {word}"),
        "no type and no attribute, slot, field or local of the target is called so",
        "the name as exuvia path shows it, without its dot: --exclude CACHE, or a type: --exclude shop.cache.Cache",
    )
}

/// A snapshot that has no ledger.
pub(crate) fn no_ledger(target: &crate::cli::Chosen) -> Trouble {
    let folder = match target {
        crate::cli::Chosen::Folder(folder) => folder.display().to_string(),
        crate::cli::Chosen::Core(core) => {
            return Trouble::target(
                format!("the core {} has no ledger", core.path.display()),
                "a core holds what was mapped, and does not say what of it was in memory",
                "exuvia explain CORE, or exuvia ledger PID while a process runs",
            )
        }
        _ => String::new(),
    };
    Trouble::target(
        format!("the snapshot {folder} has no ledger"),
        "what was in memory is read in the stop, and was not when it was taken",
        "exuvia ledger PID, or a new snapshot",
    )
}
