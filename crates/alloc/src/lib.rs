//! Allocators, read from outside: one file each, the same items in the same order.
//!
//! Holds: [`pymalloc`], [`glibc`], [`mimalloc`], what a request to malloc costs ([`malloc`]), and those known by name alone ([`other`]).
//! Never: IO, objects.

#![forbid(unsafe_code)]

pub mod glibc;
pub mod malloc;
pub mod mimalloc;
pub mod other;
pub mod pymalloc;
