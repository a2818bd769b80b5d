//! The typed errors of the crates left of the snapshot as three lines each: what failed, why, what to do.
//!
//! Never does: swallow a cause. Where an error knows its lines itself (processes), they are taken as they are.

use capture::CaptureError;
use cpython::LayoutError;
use target::{CoreError, TargetError};

use crate::trouble::Trouble;

/// What is supported, said wherever something is not.
fn supported() -> String {
    format!("supported is {}, release builds with the GIL, on x86-64 Linux with glibc", cpython::layout::rules::supported())
}

/// A process that cannot be opened, stopped, copied or started.
pub(crate) fn target(e: TargetError) -> Trouble {
    let (what, mut why, mut advice) = (e.what(), e.why(), e.advice());
    if let Some((also, there)) = namesake(&e) {
        why += &also;
        advice = there;
    }
    match e {
        TargetError::NoProgram => Trouble::usage(what, why, advice),
        TargetError::Guardian { .. } | TargetError::NoProc { .. } | TargetError::System { .. } => Trouble::own_with(what, why, advice),
        _ => Trouble::target(what, why, advice),
    }
}

/// Who has this number in a container: a number that was read inside is another one here.
pub(crate) fn namesake(e: &TargetError) -> Option<(String, String)> {
    let (TargetError::Gone { pid } | TargetError::KernelThread { pid, .. } | TargetError::NotPython { pid, .. }) = e else { return None };
    let found = target::namesakes(*pid);
    let each: Vec<String> = found.iter().map(|(here, name)| format!("process {here} ({name})")).collect();
    let (here, _) = found.first()?;
    let verb = if each.len() > 1 { "are" } else { "is" };
    Some((format!("; {} {verb} {pid} in a PID namespace of its own", each.join(", ")), format!("give the number that it has here: {here}")))
}

/// A core file that cannot be used.
pub(crate) fn core(e: &CoreError) -> Trouble {
    let what = match e {
        CoreError::NotCore { path, .. } => format!("{} is no snapshot and no core file", path.display()),
        _ => e.to_string(),
    };
    let (why, advice) = match e {
        CoreError::Io { source, .. } => (source.to_string(), "ls -l (is it readable, and a regular file?)".to_string()),
        CoreError::NotCore { found, .. } => (
            format!("a snapshot is a folder, and a core file is what the kernel or gcore writes of a process; this is {found}"),
            "exuvia snapshot PID -o FOLDER, or gcore PID".to_string(),
        ),
        CoreError::OtherCpu { .. } => ("supported is x86-64".to_string(), "a core of a process on x86-64".to_string()),
        CoreError::Cut { .. } => (
            "the disk was full, or its size was limited (ulimit -c) when it was written".to_string(),
            "write it again: ulimit -c unlimited, or gcore PID".to_string(),
        ),
        CoreError::Packed { path, command, .. } => (
            "LZ4 and Zstandard are unpacked here, other ways are not".to_string(),
            format!("{command} {} > core, and exuvia types core", path.display()),
        ),
        CoreError::Damaged { packing, .. } => (
            format!("it is compressed by {packing}, and not as it was written"),
            "copy it again, or exuvia snapshot --core PID".to_string(),
        ),
        CoreError::NoRoom { folder, .. } => (
            "a compressed core is unpacked for the time of the look into a file without a name".to_string(),
            format!("TMPDIR=FOLDER exuvia types CORE (a folder with more room than {})", folder.display()),
        ),
        CoreError::NotPython { .. } => {
            ("none of the files that it had mapped defines _PyRuntime".to_string(), "a core of a CPython process".to_string())
        }
        CoreError::FilesMissing { missing, .. } => {
            let (path, why) = missing.first().cloned().unwrap_or_default();
            let first = format!("{} of the files that were mapped, {path} first: {why}", missing.len());
            (first, "--root FOLDER (a copy of the system that it ran on), or --exe FILE (its program)".to_string())
        }
    };
    Trouble::target(what, why, advice)
}

/// A copy of which no snapshot can be made.
pub(crate) fn capture(pid: Option<i32>, e: &CaptureError) -> Trouble {
    let whom = pid.map_or("the process".to_string(), |pid| format!("process {pid}"));
    match e {
        CaptureError::NoObject(address) => Trouble::target(
            format!("no object of {whom} stands at {address}"),
            "it was freed since, or the address is not where an object begins",
            format!("exuvia objects {} (lists the addresses of now)", shown(pid)),
        ),
        CaptureError::File(e) => crate::refusals::file(e),
        CaptureError::Layout(e @ (LayoutError::BadTable { .. } | LayoutError::MissingField { .. })) => {
            Trouble::own("a layout table that ships with exuvia cannot be used", e.to_string())
        }
        CaptureError::Layout(e) => {
            let [what, why, advice] = layout(pid, e);
            Trouble::target(format!("cannot read {whom}: {what}"), why, advice)
        }
    }
}

/// What is wrong with a build, why, and what to do.
pub(crate) fn layout(pid: Option<i32>, e: &LayoutError) -> [String; 3] {
    let pid = shown(pid);
    let other_python = "run the program with a python3 that is supported, a plain release build";
    let make_a_table = "cargo xtask layouts (makes a table from the interpreter; CONTRIBUTING.md, \"Add a CPython release\")";
    let unproved = |release: &str| format!("the layout of this build of CPython {release} is unproved");
    let (what, why, advice) = match e {
        LayoutError::BadTable { .. } | LayoutError::MissingField { .. } => {
            ("a layout table that ships with exuvia cannot be used".into(), e.to_string(), "exuvia --version (for a report)".into())
        }
        LayoutError::NotInitialised => (
            "its Python is not initialised yet".into(),
            "it has only just started, or it embeds Python and has not called Py_Initialize".into(),
            format!("exuvia types {pid} (again, a moment later)"),
        ),
        LayoutError::Finalizing => (
            "its Python is finalizing".into(),
            "modules and objects are being taken apart, what is left is not the program's heap".into(),
            "exuvia types -- PROGRAM (starts it and looks before it is taken apart)".into(),
        ),
        LayoutError::Unsupported { found } => (format!("CPython {found} is not supported"), supported(), other_python.into()),
        LayoutError::FreeThreaded { found } => (
            format!("CPython {found} is a free-threaded build"),
            format!("its objects and allocator are laid out differently; {}", supported()),
            other_python.into(),
        ),
        LayoutError::DebugBuild { found } => {
            (format!("CPython {found} is a debug build"), format!("its objects carry more words; {}", supported()), other_python.into())
        }
        LayoutError::NoRuntime { path } => {
            ("no CPython found".into(), format!("{path} defines no _PyRuntime; {}", supported()), "pgrep -a python".into())
        }
        LayoutError::Unproved { release, tried } => {
            (unproved(release), format!("{}; {}", tables_tried(tried), supported()), make_a_table.into())
        }
        LayoutError::Ambiguous { release, first, second } => {
            (unproved(release), format!("the tables from {first} and {second} both fit and disagree"), make_a_table.into())
        }
    };
    [what, why, advice]
}

/// No list of processes: in a new root folder `/proc` has to be mounted first.
pub(crate) fn no_proc(e: &std::io::Error) -> Trouble {
    Trouble::own_with("cannot list the processes", format!("/proc: {e}"), "mount -t proc proc /proc")
}

fn shown(pid: Option<i32>) -> String {
    pid.map_or("PID".to_string(), |pid| pid.to_string())
}

/// A started program of which nothing was seen.
pub(crate) fn ended_unseen(how: &str) -> Trouble {
    Trouble::target(
        "the program ended before it could be looked at",
        format!("it ended {how}, and its end was not seen (another program took its place in another thread)"),
        "start it without exuvia and give its PID: exuvia types PID",
    )
}

/// Which tables were tried and what each failed on.
fn tables_tried(tried: &[(String, String)]) -> String {
    if tried.is_empty() {
        return "no table is for its series".into();
    }
    let each: Vec<String> = tried.iter().map(|(table, check)| format!("the table from {table} fails: {check}")).collect();
    each.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_build_is_refused_with_what_was_found_and_what_is_supported() {
        let unproved = LayoutError::Unproved { release: "3.12.99".into(), tried: vec![("3.12.1".into(), "type(type) is not type".into())] };
        for (error, found) in [
            (LayoutError::Unsupported { found: "3.7".into() }, "3.7"),
            (LayoutError::FreeThreaded { found: "3.13.0".into() }, "3.13.0"),
            (LayoutError::DebugBuild { found: "3.11".into() }, "3.11"),
            (unproved, "type(type) is not type"),
        ] {
            let shown = format!("{:?}", capture(Some(7), &error.into()));
            assert!(shown.contains(found) && shown.contains("process 7") && shown.contains(&supported()), "{shown}");
        }
    }
}
