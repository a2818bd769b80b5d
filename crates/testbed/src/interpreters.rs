//! Holds the search for interpreters to test against, and the loop that runs a check on each.
//! Never skips in silence: a series that is not there is printed with its reason and counted, and with `EXUVIA_REQUIRE_ALL=1` it fails;
//! a release that Debian's sid has and no table is of yet is printed past the test harness, and counted, where it fails.
//! Sources: pyenv's folder layout (`versions/X.Y.Z/bin/python3`); sysconfig for the kind of build.

use std::collections::BTreeSet;
use std::io::Write;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use object::{Object, ObjectSection};

use crate::record::{self, Outcome};

/// The supported minor releases of CPython 3.
pub const SERIES: std::ops::RangeInclusive<u8> = 8..=15;
/// Debian's own interpreter: stripped, not position independent, Python inside the executable.
const DEBIAN: &str = "/usr/bin/python3.11";
/// Minor releases of which `cargo xtask interpreters` unpacks Debian's package, and its suite.
const UNPACKED: [(u8, &str); 3] = [(13, "trixie"), (14, "sid"), (15, "sid")];
/// The suite that gets new micro releases as they appear, whenever it pleases.
const MOVING: &str = "sid";

/// One interpreter that targets can be started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// What reports call it: the release, and "system" where it is the machine's own, or the suite that it was unpacked from.
    pub name: String,
    /// What starts it: the executable, symlinks resolved, or the script that starts it through another loader than the machine's.
    pub path: PathBuf,
    /// The executable itself.
    pub executable: PathBuf,
    /// Where its package was unpacked with all that it needs: its `/`. It runs with the loader and the C library from there.
    pub root: Option<PathBuf>,
    /// Minor release: 11 in 3.11.2.
    pub minor: u8,
    /// Micro release: 2 in 3.11.2.
    pub micro: u8,
    /// The ELF object that holds Python has no full symbol table.
    pub stripped: bool,
    /// Python lives in a libpython beside the executable.
    pub shared: bool,
    /// It was unpacked from a suite that moves on by itself.
    pub moving: bool,
}

impl Interpreter {
    /// A C compiler whose programs run with the interpreter inside, and whose libraries it loads: one that was unpacked has a C library
    /// which is newer than the machine's, with headers of its own. Programs look for libraries in that folder first.
    pub fn cc(&self, libraries: Option<&Path>) -> Command {
        let mut cc = Command::new("cc");
        let flag = |flag: &str, path: &Path| format!("{flag}{}", path.display());
        cc.args(libraries.map(|folder| flag("-Wl,-rpath,", folder)));
        if let Some(root) = &self.root {
            let libraries = root.join("usr/lib/x86_64-linux-gnu");
            // -B: the compiler knows this machine's libraries by its own place, and would have them first.
            cc.arg(flag("--sysroot=", root)).arg(flag("-B", &libraries));
            cc.arg(flag("-Wl,--dynamic-linker=", &root.join("usr/lib64/ld-linux-x86-64.so.2")));
            // As DT_RPATH, which holds for the libraries of its libraries too (ld.so(8)).
            cc.arg("-Wl,--disable-new-dtags").arg(flag("-Wl,-rpath,", &libraries));
        }
        cc
    }

    /// Where a path that the interpreter was built with is here.
    pub fn here(&self, path: &Path) -> PathBuf {
        match (&self.root, path.strip_prefix("/")) {
            (Some(root), Ok(inside)) if !path.starts_with(root) => root.join(inside),
            _ => path.to_path_buf(),
        }
    }

    /// Why a failure with this interpreter says nothing of exuvia as it is: sid has a release that is newer than every table of its series.
    pub fn not_covered(&self) -> Option<String> {
        let tables = cpython::layout::tables().unwrap_or_default();
        self.not_covered_by(tables.iter().filter(|t| t.release.minor == self.minor).map(|t| t.release.micro).max())
    }

    /// The same, told the newest micro release of the series that there is a table of.
    fn not_covered_by(&self, newest: Option<u8>) -> Option<String> {
        let newest = newest.filter(|newest| self.moving && self.micro > *newest)?;
        Some(format!(
            "not covered: {MOVING} moved to 3.{}.{}, and the newest table is of 3.{}.{newest} (cargo xtask layouts --fetch)",
            self.minor, self.micro, self.minor
        ))
    }
}

/// All that was found, and one line for each series that was not.
#[derive(Debug, Clone, Default)]
pub struct Interpreters {
    /// By release, the system's own last within its release.
    pub found: Vec<Interpreter>,
    /// What is missing and where it was looked for.
    pub missing: Vec<String>,
}

/// Finds the interpreters, once for the process: `EXUVIA_PYTHONS` (paths with colons between), pyenv's versions (the newest micro of
/// each series), `python3.N` and `python3` on PATH for a series not found yet, Debian's own 3.11, and those that xtask unpacked.
pub fn interpreters() -> &'static Interpreters {
    static FOUND: OnceLock<Interpreters> = OnceLock::new();
    FOUND.get_or_init(search)
}

/// Runs a check on every interpreter, prints what was missing and the count, and panics with all failures together.
pub fn for_each_interpreter(check: impl Fn(&Interpreter)) {
    for_each_that(|_| Ok(()), check);
}

/// The same for those interpreters that `wanted` lets through; its reason for leaving one out is printed and counted.
pub fn for_each_that(wanted: impl Fn(&Interpreter) -> Result<(), String>, check: impl Fn(&Interpreter)) {
    let all = interpreters();
    let mut failures = Vec::new();
    let mut left_out = 0;
    let mut not_covered = 0;
    let mut run = 0;
    // While one release is worked on: the beginning of its name.
    let only = std::env::var("EXUVIA_ONLY").unwrap_or_default();
    let asked = |i: &Interpreter| if i.name.starts_with(&only) { wanted(i) } else { Err(format!("EXUVIA_ONLY={only}")) };
    for interpreter in &all.found {
        if let Err(reason) = asked(interpreter) {
            println!("left out: {}: {reason}", interpreter.name);
            left_out += 1;
            record::note(&interpreter.name, Outcome::LeftOut(reason));
            continue;
        }
        run += 1;
        let checked = catch_unwind(AssertUnwindSafe(|| check(interpreter)));
        record::note(&interpreter.name, if checked.is_ok() { Outcome::Passed } else { Outcome::Failed });
        if let Err(panic) = checked {
            let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            let text = format!("--- {} ({}):\n{}", interpreter.name, interpreter.path.display(), text.unwrap_or_default());
            match interpreter.not_covered() {
                None => failures.push(text),
                Some(why) => {
                    not_covered += 1;
                    loudly(&format!("{why}\n{text}"));
                }
            }
        }
    }
    for reason in &all.missing {
        println!("missing: {reason}");
    }
    let left = if left_out > 0 { format!(", {left_out} left out") } else { String::new() };
    println!("interpreters: {run} run, {} missing{left}, {not_covered} not covered", all.missing.len());
    if std::env::var("EXUVIA_REQUIRE_ALL").is_ok_and(|v| v == "1") {
        failures.extend(all.missing.iter().map(|m| format!("--- missing, and EXUVIA_REQUIRE_ALL=1: {m}")));
    }
    assert!(run > 0 || left_out > 0 || !failures.is_empty(), "no Python 3.8 to 3.15 found at all: {}", all.missing.join("; "));
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

/// Past the harness, which shows nothing of what a test that passes prints.
fn loudly(text: &str) {
    // A stderr that is closed is no reason to fail.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

fn search() -> Interpreters {
    let mut all = Interpreters::default();
    let mut seen = BTreeSet::new();
    let mut take = |path: PathBuf, label: Option<&str>, all: &mut Interpreters| -> bool {
        match probe(&path, label) {
            Ok(found) => {
                if seen.insert(found.path.clone()) {
                    all.found.push(found);
                }
                true
            }
            Err(_) => false,
        }
    };
    for path in std::env::var("EXUVIA_PYTHONS").unwrap_or_default().split(':').filter(|p| !p.is_empty()) {
        if !take(PathBuf::from(path), None, &mut all) {
            all.missing.push(format!("{path} of EXUVIA_PYTHONS is not a CPython 3.8 to 3.15 (release build, with the GIL)"));
        }
    }
    let pyenv = pyenv_versions();
    for minor in SERIES {
        if all.found.iter().any(|i| i.minor == minor) {
            continue;
        }
        let newest = pyenv.iter().filter(|(m, _, _)| *m == minor).max_by_key(|(_, micro, _)| *micro);
        let mut got = newest.is_some_and(|(_, _, path)| take(path.clone(), None, &mut all));
        for name in [format!("python3.{minor}"), "python3".to_owned()] {
            if !got {
                got = on_path(&name)
                    .into_iter()
                    .any(|path| probe(&path, Some("system")).is_ok_and(|i| i.minor == minor) && take(path, Some("system"), &mut all));
            }
        }
        let unpacked = UNPACKED.iter().any(|(of, _)| *of == minor);
        if !got && !unpacked {
            all.missing.push(format!("Python 3.{minor}: none under pyenv's versions, and no python3.{minor} on PATH"));
        }
    }
    for (minor, suite) in UNPACKED.into_iter().filter(|(minor, _)| SERIES.contains(minor)) {
        let path = unpacked().join(format!("{suite}-python3.{minor}/usr/loader/python3.{minor}"));
        if !take(path, Some(suite), &mut all) {
            all.missing.push(format!("Debian's Python 3.{minor} of {suite} (cargo xtask interpreters)"));
        }
    }
    if !take(PathBuf::from(DEBIAN), Some("system"), &mut all) {
        all.missing.push(format!("the system's own Python 3.11: no {DEBIAN}"));
    }
    all.found.sort_by_key(|i| (i.minor, i.name.clone()));
    all
}

/// Where `cargo xtask interpreters` unpacks Debian's: beside the build's own folders.
fn unpacked() -> PathBuf {
    crate::packages::folder().with_file_name("interpreters").join("debian")
}

/// (minor, micro, path) of each CPython 3 in pyenv's folder.
fn pyenv_versions() -> Vec<(u8, u8, PathBuf)> {
    let root = std::env::var_os("PYENV_ROOT").map(PathBuf::from).or_else(|| std::env::var_os("HOME").map(|h| Path::new(&h).join(".pyenv")));
    let Some(Ok(folders)) = root.map(|r| r.join("versions").read_dir()) else { return Vec::new() };
    let mut all = Vec::new();
    for folder in folders.flatten() {
        let name = folder.file_name().to_string_lossy().into_owned();
        let mut numbers = name.split('.').map(str::parse::<u8>);
        if let (Some(Ok(3)), Some(Ok(minor)), Some(Ok(micro)), None) = (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            all.push((minor, micro, folder.path().join("bin/python3")));
        }
    }
    all
}

/// Every executable of that name on PATH, in PATH's order.
fn on_path(name: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).filter(|p| p.is_file()).collect()
}

/// Asks an executable what it is; the answer's `sys.executable` sees through shims and symlinks.
fn probe(path: &Path, label: Option<&str>) -> Result<Interpreter, String> {
    const QUESTION: &str = "import sys, sysconfig, os\n\
        v = sysconfig.get_config_var\n\
        good = sys.implementation.name == 'cpython' and not v('Py_DEBUG') and not v('Py_GIL_DISABLED')\n\
        print(int(good), sys.version_info[1], sys.version_info[2], sys.version_info[0], int(v('Py_ENABLE_SHARED') or 0))\n\
        print(os.path.realpath(sys.executable))";
    let output = Command::new(path).args(["-I", "-c", QUESTION]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let output = output.map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines();
    let numbers: Vec<u8> = lines.next().unwrap_or_default().split(' ').filter_map(|n| n.parse().ok()).collect();
    let [1, minor, micro, 3, shared] = numbers[..] else { return Err("not a release build of CPython 3 with the GIL".to_owned()) };
    if !SERIES.contains(&minor) {
        return Err(format!("3.{minor} is not a supported series"));
    }
    let path = PathBuf::from(lines.next().unwrap_or_default());
    let name = format!("3.{minor}.{micro}{}", label.map(|l| format!(" ({l})")).unwrap_or_default());
    // A script that starts it stands in usr/loader, the executable in usr/bin.
    let started = path.parent().and_then(|folder| Some((folder.parent().filter(|_| folder.ends_with("usr/loader"))?, path.file_name()?)));
    let root = started.and_then(|(usr, _)| Some(usr.parent()?.to_path_buf()));
    let executable = started.map_or_else(|| path.clone(), |(usr, name)| usr.join("bin").join(name));
    let library =
        executable.parent().map(|bin| bin.join(format!("../lib/libpython3.{minor}.so.1.0"))).filter(|l| shared == 1 && l.is_file());
    let stripped = is_stripped(library.as_deref().unwrap_or(&executable));
    Ok(Interpreter { name, path, executable, root, minor, micro, stripped, shared: library.is_some(), moving: label == Some(MOVING) })
}

/// No `.symtab` in the object that holds Python.
fn is_stripped(holder: &Path) -> bool {
    let Ok(bytes) = std::fs::read(holder) else { return false };
    let Ok(elf) = object::File::parse(&*bytes) else { return false };
    let stripped = !elf.sections().any(|s| s.name() == Ok(".symtab"));
    stripped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_interpreter_is_what_it_says() {
        for_each_interpreter(|py| {
            let output = Command::new(&py.path).args(["-c", "import sys; print('%d.%d' % sys.version_info[1:3])"]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("{}.{}", py.minor, py.micro));
        });
    }

    #[test]
    fn something_that_is_no_python_is_refused() {
        assert!(probe(Path::new("/bin/true"), None).is_err());
        assert!(probe(Path::new("/nonexistent/python3"), None).is_err());
    }

    #[test]
    fn only_a_release_of_sid_that_is_newer_than_every_table_is_let_off() {
        let of = |micro, moving| Interpreter {
            name: String::new(),
            path: PathBuf::new(),
            executable: PathBuf::new(),
            root: None,
            minor: 14,
            micro,
            stripped: true,
            shared: false,
            moving,
        };
        let why = of(11, true).not_covered_by(Some(10)).unwrap();
        assert!(why.starts_with("not covered: sid moved to 3.14.11, and the newest table is of 3.14.10"), "{why}");
        for (micro, moving, newest) in [
            // A release that has a table, an older one, and what does not move by itself must be read.
            (10, true, Some(10)),
            (9, true, Some(10)),
            (11, false, Some(10)),
            // A series without any table is no new micro release.
            (11, true, None),
        ] {
            assert_eq!(of(micro, moving).not_covered_by(newest), None, "3.14.{micro}, moving {moving}, newest {newest:?}");
        }
        for py in &interpreters().found {
            assert_eq!(py.moving, py.name.ends_with("(sid)"), "{}", py.name);
        }
    }

    #[test]
    fn a_failing_check_fails_with_the_interpreter_s_name() {
        let caught = catch_unwind(|| for_each_interpreter(|py| panic!("check of {} failed", py.minor)));
        let text = caught.unwrap_err().downcast_ref::<String>().cloned().unwrap();
        let only = std::env::var("EXUVIA_ONLY").unwrap_or_default();
        for py in interpreters().found.iter().filter(|py| py.name.starts_with(&only) && py.not_covered().is_none()) {
            assert!(text.contains(&format!("--- {} (", py.name)), "{text}");
        }
    }
}
