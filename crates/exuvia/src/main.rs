//! The command: arguments, progress, exit codes, and the only stdout of the project.
//!
//! Holds: the entry, and one file a command in `commands`.
//! Never does: know a layout, a process call or a JSON field: those are the crates' to the left and the right of the
//! snapshot. Below here errors are typed; here they become three lines and an exit code.

#![forbid(unsafe_code)]

use std::process::ExitCode;

mod cli;
mod commands;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod live;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
#[path = "elsewhere.rs"]
mod live;
mod look;
mod progress;
mod refusals;
mod screen;
mod trouble;

fn main() -> ExitCode {
    // The guardian is this program too, started by itself: it must not parse a user's arguments.
    if let Some(code) = live::guardian() {
        return code;
    }
    match cli::parse().and_then(commands::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => trouble.report(),
    }
}
