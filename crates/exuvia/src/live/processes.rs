//! The Python processes that there are here: which may be read, and which release each is.
//!
//! Never does: stop one, prove a layout.

use std::cmp::Reverse;

use cpython::layout::proof::identify;
use memory::Bytes;
use snapshot::PythonProcess;
use target::{Inside, TargetError};

use crate::live::refusals;
use crate::trouble::Trouble;

/// All of them, the biggest first.
pub(crate) fn pythons() -> Result<Vec<PythonProcess>, Trouble> {
    let mut all: Vec<PythonProcess> = pids()?.into_iter().filter_map(look).collect();
    all.sort_by_key(|p| (Reverse(p.resident), p.pid));
    Ok(all)
}

/// The Python processes of this name: the program's, the script's, or the module's after -m. The biggest first.
pub(crate) fn called(name: &str) -> Vec<i32> {
    let arguments = |pid: i32| -> Vec<String> {
        let raw = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        raw.split(|b| *b == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    };
    let mut found = pids().unwrap_or_default();
    found.retain(|pid| *pid != std::process::id() as i32 && names(&arguments(*pid)).any(|own| own == name));
    // So few that each is asked: a program that embeds Python may have nothing mapped that is called so.
    let mut found: Vec<PythonProcess> = found.into_iter().filter_map(asked).collect();
    found.sort_by_key(|p| (Reverse(p.resident), p.pid));
    found.into_iter().map(|p| p.pid).collect()
}

/// What a command line is called by: the first word, and the first that is no option.
fn names(arguments: &[String]) -> impl Iterator<Item = &str> {
    let file = |word: &'_ str| -> usize { word.rfind('/').map_or(0, |at| at + 1) };
    let program = arguments.first().map(|word| word.get(file(word)..).unwrap_or(word));
    let mut script = None;
    let mut words = arguments.iter().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "-m" => script = words.next().map(String::as_str),
            // Each has a value of its own.
            "-W" | "-X" | "--check-hash-based-pycs" => {
                words.next();
                continue;
            }
            option if option.starts_with('-') && !matches!(option, "-c" | "-") => continue,
            "-c" | "-" => {}
            word => script = Some(word.get(file(word)..).unwrap_or(word)),
        }
        break;
    }
    program.into_iter().chain(script).filter(|name| !name.is_empty())
}

/// The command line of a process, as one line; empty where it is gone.
pub(crate) fn command_line(pid: i32) -> String {
    let raw = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&raw).trim_end_matches('\0').replace('\0', " ")
}

/// The processes of this PID namespace, ascending.
pub(super) fn pids() -> Result<Vec<i32>, Trouble> {
    target::check_proc().map_err(refusals::target)?;
    let entries = std::fs::read_dir("/proc").map_err(|e| refusals::no_proc(&e))?;
    let mut pids: Vec<i32> = entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    Ok(pids)
}

/// A Python process, or one that looks like it and may not be read; nothing for another one.
fn look(pid: i32) -> Option<PythonProcess> {
    let command = command_line(pid);
    // A first look that costs little: whoever embeds Python without its name in a mapped file is not listed, but can be read.
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"));
    let named = match &maps {
        Ok(maps) if !maps.is_empty() => maps.lines().filter_map(|l| l.split_once('/')).any(|(_, path)| path.contains("python")),
        // The maps of others are refused, or empty for kernel threads; the command line is open to all.
        _ => command.split(' ').next().is_some_and(|program| program.contains("python")),
    };
    named.then(|| asked(pid)).flatten()
}

/// The same, whatever it looks like.
fn asked(pid: i32) -> Option<PythonProcess> {
    let command = command_line(pid);
    let found = |release, refused| {
        let Inside { pid: pid_inside, container } = Inside::of(pid);
        Some(PythonProcess { pid, pid_inside, container, resident: resident(pid), command, release, refused })
    };
    let opened = target::open(pid).and_then(|process| process.pythons().map(|modules| (process, modules)));
    match opened {
        Ok((process, modules)) => {
            // Where several are mapped only a proof tells which one is in use: the first that can be read is shown.
            let mut said = modules.iter().map(|module| identify(&process, module));
            match said.find_map(Result::ok) {
                Some(identity) => found(Some(identity.shown()), None),
                None => {
                    let why = modules.iter().find_map(|module| identify(&process, module).err());
                    found(None, why.map(|e| refusals::layout(Some(pid), &e)).map(|[what, ..]| what))
                }
            }
        }
        Err(e @ (TargetError::NotPermitted { .. } | TargetError::AlreadyTraced { .. })) => found(None, Some(e.why())),
        Err(_) => None,
    }
}

/// VmRSS of /proc/PID/status, in KiB there.
fn resident(pid: i32) -> Bytes {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Bytes(kib.unwrap_or(0).saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(command: &str, wanted: &[&str]) {
        let arguments: Vec<String> = command.split(' ').map(str::to_string).collect();
        assert_eq!(names(&arguments).collect::<Vec<_>>(), wanted, "{command}");
    }

    #[test]
    fn a_process_is_called_by_its_program_and_its_script() {
        check("/usr/bin/python3 -u -W ignore /srv/app.py serve", &["python3", "app.py"]);
        check("/venv/bin/python -m gunicorn shop.wsgi", &["python", "gunicorn"]);
        check("gunicorn: master [shop.wsgi]", &["gunicorn:", "master"]);
        check("python3 -c print(1) x", &["python3"]);
        check("python3 -", &["python3"]);
        check("", &[]);
    }
}
