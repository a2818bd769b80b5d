//! Targets: finding a process, knowing what it has mapped, and the copy of its memory that is made while it stands.
//!
//! Holds: [`open`] and [`Process`] (what is this PID, where is its Python), [`take`] (stop, copy or fork, go on), [`launch`]
//! (start a program and look at it before it ends), the guardian (the process of ours that alone traces) and
//! [`TargetError`] (each way in which a target cannot be read).
//! Never does: write to a target's memory, know an object layout of Python, print. Nothing runs in a target but the two calls
//! that make a forked copy and take note of its end.
//! Sources: ptrace(2), proc(5), process_vm_readv(2), Documentation/admin-guide/mm/pagemap.rst, elf(5).

#![deny(unsafe_code)]

mod bpf;
mod cgroup;
mod container;
mod copy;
mod core_file;
mod elf;
mod error;
mod facts;
mod guardian;
mod headroom;
mod kernel;
mod launch;
mod loaded;
mod maps;
mod pagemap;
mod plan;
mod process;
mod residency;
mod rights;
mod seccomp;
mod status;
mod sys;
mod take;
mod taken;
mod testpoint;

pub use cgroup::Unseen;
pub use container::{check_proc, namesakes, Inside};
pub use core_file::{open_core, write_core, About, Core, CoreError, CorePlaces, Dump, Kept};
pub use error::{ForkProblem, GuardianProblem, TargetError};
pub use facts::{Capabilities, Capability, ContainerSign, Facts, Namespace, Namespaces, ProcessFacts, Seccomp};
pub use guardian::{guardian_main, GUARDIAN_ARGUMENT};
pub use headroom::{headroom_of, Headroom, Limit, Tight};
pub use kernel::{Feature, HugePages, Kernel};
pub use launch::{launch, launch_apart, Ending, LaunchOptions, Launched, Moment};
pub use maps::parse_maps;
pub use process::{open, Process};
pub use rights::{as_root, Missing};
pub use seccomp::{Action, ForkCall, ForkVerdict, Unreadable};
pub use sys::spawn::{unblocked, Usage};
pub use take::{forecast, take, Forecast, Mode, TakeOptions};
pub use taken::{Cost, Taken, Thread, Way};
