//! CPython, read from outside: which build this is, where each field is, what an object is, what it owns and
//! what it refers to.
//!
//! Holds: [`layout`] (tables, rules, proof: the only home of versions), [`objects`] (decoders), [`types`] (what a
//! type object says), [`roots`] (interpreters, threads, frames), [`collector`] (its switches and statistics).
//! Never does: IO, stops, allocators.

#![forbid(unsafe_code)]

pub mod calls;
pub mod collector;
pub mod handlers;
pub mod heap;
pub mod layout;
pub mod lines;
pub mod names;
pub mod objects;
pub mod roots;
pub mod types;
pub mod visit;
pub mod weakrefs;

pub use heap::{Heap, Obj};
pub use layout::{Layout, LayoutError, Release};
pub use visit::{Label, Visitor};
