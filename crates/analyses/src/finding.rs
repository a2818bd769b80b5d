//! Findings: what would make a program smaller, each with its evidence and how sure it is.

use memory::Bytes;

use crate::place::Place;

/// How a saving is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sure {
    /// Counted: the change saves just this.
    Exact,
    /// By a rule that is stated in the evidence.
    Estimated,
    /// At most this: what would go if all of it went.
    AtMost,
}

impl Sure {
    /// The word of the JSON.
    pub fn word(self) -> &'static str {
        match self {
            Sure::Exact => "exact",
            Sure::Estimated => "estimated",
            Sure::AtMost => "at-most",
        }
    }
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Its family, the name of the command that shows more: `retained`, `cycles`, `slots`.
    pub id: &'static str,
    /// What is the matter, in one line.
    pub title: String,
    /// What would be saved.
    pub saving_bytes: Bytes,
    /// How that is known.
    pub known: Sure,
    /// Where in the source.
    pub place: Option<Place>,
    /// What it rests on: numbers and names.
    pub evidence: String,
}

/// The findings that save most come first; ties by title.
pub fn rank(findings: &mut [Finding]) {
    findings.sort_by(|a, b| b.saving_bytes.cmp(&a.saving_bytes).then_with(|| a.title.cmp(&b.title)));
}
