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
    /// At which objects.
    pub saves: Saves,
}

/// At which objects bytes are saved: what two findings would save at the same is counted once.
#[derive(Clone, Debug, PartialEq)]
pub enum Saves {
    /// At no object: memory that allocators hold back.
    Nowhere,
    /// At these objects, each with what it keeps alive: so many bytes at each.
    At(Vec<(u32, u64)>),
    /// At every instance of a type, at each as much.
    Instances {
        /// The type's row.
        type_index: u32,
        /// How many there are.
        count: u64,
    },
}

/// The findings that save most come first; of equal ones what is known best.
pub fn rank(findings: &mut [Finding]) {
    findings.sort_by(|a, b| b.saving_bytes.cmp(&a.saving_bytes).then_with(|| (a.known, &a.title).cmp(&(b.known, &b.title))));
}
