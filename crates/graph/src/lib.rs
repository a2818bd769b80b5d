//! Graphs over dense `u32` ids.
//!
//! Holds: [`Edges`] (who refers to whom, compressed rows), [`Walk`] from roots and its [`Dominators`] with retained sums, [`components`](Components::of) (strongly
//! connected), [`Paths`] (shortest). Never: knows Python, recursion (chains are millions long), IO.
//! Each algorithm has a naive twin in the tests, and agrees with it on random graphs.

#![forbid(unsafe_code)]

mod components;
mod dominators;
mod edges;
mod paths;
#[cfg(test)]
mod twins;

pub use components::Components;
pub use dominators::{Dominators, Walk};
pub use edges::Edges;
pub use paths::Paths;

/// No node.
pub const NONE: u32 = u32::MAX;
