//! Trials: a program run again and again under chosen conditions, each run measured, and what may be said of the difference.
//!
//! Holds: [`Trials`] (where runs happen), [`Program`] and [`Run`] (what was run and what came of it), [`Setting`] and [`Collector`] (the
//! cyclic collector during it), [`Allocators`], [`Witness`] and [`prove`] (the allocators during it, and whether they were in use),
//! [`Growing`] and [`Sample`] (a function on an input of one size), [`Repository`] (revisions as folders), [`Call`] (a function, called
//! here or apart), [`Order`] (which variant is run when), [`summary`] and [`verdict`] (whether a difference is more than noise).
//! Never does: walk a heap, print, decide what is compared.

#![forbid(unsafe_code)]

mod allocator;
mod collector;
mod git;
mod growing;
mod isolated;
mod noise;
mod order;
mod proof;
mod refusal;
mod revision;
mod run;
mod started;
mod stop;
mod trials;
mod witness;
mod words;

/// The script that imports what it is told to and writes down what that cost; its own words say how it is called.
pub const IMPORTS: &str = include_str!("../python/imports.py");

pub use allocator::{AllocatorError, Allocators, Library, PythonMalloc};
pub use collector::{Collector, Setting};
pub use growing::{Growing, Measured, Place, Sample};
pub use isolated::{Call, CallCost, CallWay, Refused, RefusedKind};
pub use noise::{fewest_runs, summary, verdict, Summary, Verdict};
pub use order::Order;
pub use proof::{prove, Unproved};
pub use revision::{Checkout, Repository, RevisionError};
pub use run::{Program, Run, Way};
pub use stop::Stop;
pub use trials::{TrialError, Trials};
pub use witness::{Arenas, Seen, Unseen, Witness};
