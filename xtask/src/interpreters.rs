//! `cargo xtask interpreters`: interpreters that the tests want and no package of this machine's release installs.
//!
//! Holds: Debian's newer Pythons, unpacked with the libraries that they need and what programs with them inside are made of, and started
//! through their own loader; and the one build there is, CPython without the GIL, from Debian's source package (it has no package of it).
//! Never: installs anything; all of it stands below the build's own folder. Sources: ld.so(8).

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apt::{run, Apt};
use crate::trouble::{Doing, Done, Trouble};

/// What `--help` says of it.
pub(crate) const HELP: &str = "\
cargo xtask interpreters                  interpreters for the tests, below target/: Debian's newer ones, unpacked with their libraries,
                                          and a CPython without the GIL, built from Debian's sources (apt)
  debian                                  only the former";

/// The suite and its package: the first series of which free-threaded builds can be made.
const SOURCE: (&str, &str) = ("trixie", "python3.13");
/// Where the tests look for it, below the target folder.
const FREE_THREADED: &str = "interpreters/free-threaded";
/// Suites and what is unpacked of each.
const UNPACKED: &[(&str, &str)] = &[("trixie", "python3.13"), ("sid", "python3.14"), ("sid", "python3.15")];
/// Where the tests look for those, below the target folder: `SUITE-PACKAGE/usr/loader/PACKAGE`.
const DEBIAN: &str = "interpreters/debian";

/// Makes what is missing for the workspace at `root`.
pub(crate) fn run_task(root: &Path, words: &[String]) -> Done<()> {
    let only_debian = match words {
        [] => false,
        [word] if word == "debian" => true,
        _ => return Err(Trouble::new(format!("which interpreters?\n\n{HELP}"))),
    };
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    std::fs::create_dir_all(target.join(DEBIAN)).doing(target.display())?;
    let target = target.canonicalize().doing(target.display())?;
    for (suite, package) in UNPACKED {
        unpack(&target.join(DEBIAN), suite, package)?;
    }
    if only_debian {
        return Ok(());
    }
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

/// Unpacks a suite's package with all that it needs, where that is not there in the suite's version yet, and tries it.
fn unpack(folder: &Path, suite: &str, package: &str) -> Done<()> {
    let home = folder.join(format!("{suite}-{package}"));
    let apt = Apt::new(&folder.join("apt").join(suite), suite, "deb")?;
    apt.get(&["update"], folder)?;
    let Some(version) = apt.version(package)? else {
        println!("{suite} has no {package} any more, or not yet");
        return Ok(());
    };
    // Headers and libraries come too: tests embed it, and compile extensions for it.
    let names = [package, &format!("lib{package}-dev")];
    let (done, stamp) = (home.join("version"), format!("{version} of {}\n", names.join(", ")));
    if !std::fs::read_to_string(&done).is_ok_and(|held| held == stamp) {
        if home.exists() {
            std::fs::remove_dir_all(&home).doing(home.display())?;
        }
        eprintln!("  unpacking {package} {version} of {suite}");
        apt.unpack_whole(&names, &home)?;
        // As every Debian has it; the C library's linker scripts name files there.
        for name in ["lib", "lib64"].into_iter().filter(|name| !home.join(name).exists()) {
            std::os::unix::fs::symlink(Path::new("usr").join(name), home.join(name)).doing(home.display())?;
        }
    }
    let starter = starter(&home, package)?;
    let output = Command::new(&starter).args(["-I", "-c", "import sys, ssl, sqlite3, ctypes, lzma, bz2; print(sys.version)"]).output();
    let output = output.doing(starter.display())?;
    if !output.status.success() {
        return Err(Trouble::new(format!("{} does not run: {}", starter.display(), String::from_utf8_lossy(&output.stderr).trim())));
    }
    std::fs::write(&done, stamp).doing(done.display())?;
    println!("{}: {}", starter.display(), String::from_utf8_lossy(&output.stdout).trim());
    Ok(())
}

/// A script that starts the interpreter as the process that it was started as. The C library of this machine is older than the one that
/// the interpreter was built with, so its own loader must do it: `/proc/PID/exe` is that loader then. The script stands beside
/// `usr/lib`, where the interpreter looks for its library; in a virtual environment a link leads to it, and its name leads to that.
fn starter(home: &Path, package: &str) -> Done<PathBuf> {
    let (loader, libraries) = (home.join("usr/lib64/ld-linux-x86-64.so.2"), home.join("usr/lib/x86_64-linux-gnu"));
    if !loader.exists() {
        return Err(Trouble::new(format!("no loader below {}", home.display())));
    }
    let python = home.join("usr/bin").join(package);
    let folder = home.join("usr/loader");
    std::fs::create_dir_all(&folder).doing(folder.display())?;
    let script = folder.join(package);
    let text = format!(
        "#!/bin/sh\nexec '{}' --inhibit-cache --library-path '{}' --argv0 \"$0\" '{}' \"$@\"\n",
        loader.display(),
        libraries.display(),
        python.display()
    );
    std::fs::write(&script, text).doing(script.display())?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).doing(script.display())?;
    Ok(script)
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
