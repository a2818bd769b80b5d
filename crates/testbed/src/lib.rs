//! Holds what tests stand on: interpreters of every supported series, target scripts with a handshake, and the oracle, a live
//! interpreter that writes down the truth about its own heap.
//! Never shipped, never part of the command, never reads a foreign process: it only starts scripts and reads what they write.
//! Sources: `python/` beside this crate (the scripts and the heaps that they build).
#![forbid(unsafe_code)]

pub mod comparison;
pub mod interpreters;
pub mod packages;
pub mod record;
pub mod refused;
pub mod scratch;
pub mod target;
pub mod truth;

pub use comparison::{compare, Comparison, Found};
pub use interpreters::{for_each_interpreter, for_each_that, interpreters, Interpreter, Interpreters};
pub use scratch::Scratch;
pub use target::{Target, TargetError};
pub use truth::{Truth, TruthError};
