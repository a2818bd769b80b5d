//! `cargo xtask interpreters`: interpreters that the tests want and no package installs.
//!
//! Holds: the one build there is, CPython without the GIL, from Debian's source package. Never: installs it; it runs from the folder
//! in which it is built, below the build's own. (Debian has no package of it.)

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apt::{run, Apt};
use crate::trouble::{Doing, Done, Trouble};

/// What `--help` says of it.
pub(crate) const HELP: &str = "\
cargo xtask interpreters                  build a CPython without the GIL for the tests, from Debian's sources (apt, below target/)";

/// The suite and its package: the first series of which free-threaded builds can be made.
const SOURCE: (&str, &str) = ("trixie", "python3.13");
/// Where the tests look for it, below the target folder.
const FREE_THREADED: &str = "interpreters/free-threaded";

/// Makes what is missing for the workspace at `root`.
pub(crate) fn run_task(root: &Path, words: &[String]) -> Done<()> {
    if !words.is_empty() {
        return Err(Trouble::new(format!("which interpreters?\n\n{HELP}")));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let home = target.join(FREE_THREADED);
    let python = home.join("python");
    if !python.exists() {
        build(&target.join("interpreters"), &home)?;
    }
    let output = Command::new(&python).args(["-I", "-c", "import sys; print(sys.version, sys._is_gil_enabled())"]).output();
    let output = output.doing(python.display())?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        said if said.ends_with(" False") => println!("{}: {said}", python.display()),
        said => return Err(Trouble::new(format!("{} is not without the GIL: {said:?}", python.display()))),
    }
    Ok(())
}

/// Downloads, unpacks, builds, and moves it to its place when it is whole.
fn build(scratch: &Path, home: &Path) -> Done<()> {
    let (suite, package) = SOURCE;
    let downloads = scratch.join("sources");
    let unpacked = scratch.join("build");
    for folder in [&downloads, &unpacked] {
        if folder.exists() {
            std::fs::remove_dir_all(folder).doing(folder.display())?;
        }
        std::fs::create_dir_all(folder).doing(folder.display())?;
    }
    let apt = Apt::new(scratch, suite, "deb-src")?;
    apt.get(&["update"], &downloads)?;
    apt.get(&["source", "--download-only", package], &downloads)?;
    let entries = std::fs::read_dir(&downloads).doing(downloads.display())?;
    let sources = entries.filter_map(|entry| Some(entry.ok()?.path())).find(|path| path.to_string_lossy().ends_with(".orig.tar.xz"));
    let sources = sources.ok_or_else(|| Trouble::new(format!("{suite} has no sources of {package}")))?;
    run(Command::new("tar").arg("xf").arg(&sources).args(["--strip-components=1", "-C"]).arg(&unpacked))?;
    eprintln!("  building {} without the GIL", sources.display());
    // The interpreter alone, and not optimised: it only has to stand there and be refused.
    run(Command::new("./configure").args(["--disable-gil", "--disable-test-modules", "OPT=-O1"]).current_dir(&unpacked))?;
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    run(Command::new("make").arg(format!("-j{jobs}")).arg("python").current_dir(&unpacked))?;
    if home.exists() {
        std::fs::remove_dir_all(home).doing(home.display())?;
    }
    std::fs::rename(&unpacked, home).doing(home.display())
}
