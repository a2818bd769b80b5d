//! What a task says when it cannot go on.
//!
//! Holds: one error type for all tasks: a sentence, and on request the cause below it.
//! Never: decides exit codes; `main` does.

use std::error::Error;
use std::fmt;

/// A task's failure in one sentence (and more lines where it lists several).
#[derive(Debug)]
pub(crate) struct Trouble(String);

/// What every task returns.
pub(crate) type Done<T> = Result<T, Trouble>;

impl Trouble {
    /// A failure that says `text`.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Trouble(text.into())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Trouble {}

/// Adds what was being done to an error of any kind.
pub(crate) trait Doing<T> {
    /// The same value, or a [`Trouble`] that opens with `what`.
    fn doing(self, what: impl fmt::Display) -> Done<T>;
}

impl<T, E: fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, what: impl fmt::Display) -> Done<T> {
        self.map_err(|cause| Trouble(format!("{what}: {cause}")))
    }
}
