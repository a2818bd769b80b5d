//! The guardian: a small process of ours, in a session of its own and deaf to signals, that alone traces.
//!
//! Holds: its start ([`guardian_main`]), the command's end of the line (`link`), the messages between them, the traced
//! threads, the forked copy with the calls that make and reap it, and the loop that watches all. Never does: decide what is a
//! good moment to copy.
//! Why: when the command dies (Ctrl-C, kill -9, out of memory) while the target stands, or has a debug register set,
//! somebody must put things right. The guardian sees the socket close, restores, lets go, and ends. What remains is a
//! SIGKILL to the guardian itself: the kernel then detaches, and kills a copy; a debug register left set would end the target
//! at its `Py_FinalizeEx`, and within a call that is made in the target (some milliseconds) its thread would go on with foreign
//! registers.

mod forked;
mod link;
mod message;
mod remote;
mod tracees;
mod watch;

use std::ffi::OsString;

pub(crate) use link::Guardian;
pub(crate) use message::{Report, Request};

/// The first argument that makes the command a guardian.
pub const GUARDIAN_ARGUMENT: &str = "__guardian";

/// What the command runs when its first argument is [`GUARDIAN_ARGUMENT`]; `arguments` are those behind it
/// (`--socket FD`). Never returns.
pub fn guardian_main(arguments: impl IntoIterator<Item = OsString>) -> ! {
    let mut arguments = arguments.into_iter();
    let fd = match (arguments.next(), arguments.next()) {
        (Some(flag), Some(fd)) if flag == "--socket" => fd.to_str().and_then(|fd| fd.parse().ok()),
        _ => None,
    };
    let served = fd.and_then(|fd| crate::sys::spawn::adopt_socket(fd).ok()).and_then(|socket| watch::serve(socket).ok());
    // 2: wrong usage. Nobody but the command starts a guardian, so there is nobody to tell more.
    std::process::exit(if served.is_some() { 0 } else { 2 })
}
