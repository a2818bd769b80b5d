//! The command: arguments, progress, exit codes, and the only stdout of the project.
//!
//! Holds: the entry, and one file a command in `commands`.
//! Never does: know a layout, a process call or a JSON field: those are the crates' to the left and the right of the
//! snapshot. Below here errors are typed; here they become three lines and an exit code.

#![forbid(unsafe_code)]

use std::process::ExitCode;

mod again;
mod cli;
mod commands;
mod doctor;
mod look;
mod processes;
mod progress;
mod refusals;
mod screen;
mod trouble;

fn main() -> ExitCode {
    // The guardian is this program too, started by itself: it must not parse a user's arguments.
    if let Some(code) = look::guardian() {
        return code;
    }
    match cli::parse().and_then(commands::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => trouble.report(),
    }
}
