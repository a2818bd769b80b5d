//! The unsafe room of this crate: system calls that have no safe wrapper, and the memory that copies go into.
//!
//! Holds: `ptrace` calls, `Island` (address space of ours for copies), bulk reads into it, starting processes.
//! Never does: decide anything; a caller outside this folder needs no unsafe.

#![allow(unsafe_code)]

pub(crate) mod bulk;
pub(crate) mod island;
pub(crate) mod mapped;
pub(crate) mod probe;
pub(crate) mod ptrace;
pub(crate) mod seccomp;
pub(crate) mod spawn;
pub(crate) mod thread;
