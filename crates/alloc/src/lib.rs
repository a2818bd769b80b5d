//! Allocators, read from outside: one file each, the same items in the same order.
//!
//! Holds: [`pymalloc`]. Later: glibc, mimalloc, jemalloc.
//! Never: IO, objects.

#![forbid(unsafe_code)]

pub mod malloc;
pub mod pymalloc;
