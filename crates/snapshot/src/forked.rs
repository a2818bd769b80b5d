//! What a forked process still shares with its parent, what went private since, and what wrote it.

use serde::Serialize;

/// What a word that differs between a process and its parent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Write {
    /// The reference count of an object.
    ReferenceCount,
    /// The collector's two words in front of an object.
    CollectorHeader,
    /// A link or a count of an allocator: in a free block, or in the header of a pool.
    FreeLink,
    /// What an object holds, or a block that it owns.
    Payload,
}

impl Write {
    /// All, in the order of the declaration.
    pub const ALL: [Write; 4] = [Write::ReferenceCount, Write::CollectorHeader, Write::FreeLink, Write::Payload];

    /// As people say it.
    pub fn word(self) -> &'static str {
        match self {
            Write::ReferenceCount => "reference counts",
            Write::CollectorHeader => "collector headers",
            Write::FreeLink => "free links",
            Write::Payload => "payload",
        }
    }
}

/// Words of one kind in objects of one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Which kind.
    pub write: Write,
    /// The type of the object; empty where none is known.
    #[serde(rename = "type")]
    pub type_name: String,
    /// How many words.
    pub words: u64,
    /// Pages that have one.
    pub pages: u64,
}

/// One process beside its parent. Bytes are pages in memory that belong to no file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Forked {
    /// Pages that the parent or siblings map too.
    pub shared_bytes: u64,
    /// Pages of its own that the parent has too, at the same place: one of them wrote there since the fork.
    pub private_bytes: u64,
    /// Pages that the parent does not have: made since.
    pub new_bytes: u64,
    /// Of `private_bytes`, pages in which nothing differs any more: what was written was written back, as counts and the
    /// collector's headers are.
    pub same_bytes: u64,
    /// Of `private_bytes`, pages in which words of this kind alone differ, in the order of [`Write::ALL`].
    pub only_bytes: [u64; 4],
    /// Of `private_bytes`, pages in which words of several kinds differ.
    pub mixed_bytes: u64,
    /// Words that differ, the most first.
    pub written: Vec<Written>,
    /// Of `private_bytes`, in huge pages: the kernel gathers small pages into one on its own, shared ones too, and gives them to one process.
    pub huge_bytes: u64,
    /// Of `private_bytes`, pages that the parent still shares with another process: this one wrote, or the parent before it forked that one.
    pub parent_shares_bytes: u64,
    /// What is left beside a sibling, where there is one.
    pub sibling: Option<Sibling>,
    /// Of `private_bytes`, pages with objects that a collection looks at and in which at most its own headers differ: what
    /// `gc.freeze()` before the fork would have kept shared, at most: counts that were put back leave no trace either.
    pub freeze_bytes: u64,
}

/// Pages that differ from the parent's, beside the same pages of a sibling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sibling {
    /// Its process id.
    pub pid: i32,
    /// What differs from the parent is in the sibling as in the parent: this process alone wrote it.
    pub alone_bytes: u64,
    /// What differs from the parent is in the sibling as here: each worker writes the same, or the parent wrote.
    pub alike_bytes: u64,
    /// The sibling has words of its own there, as reference counts that each worker changes for itself.
    pub each_bytes: u64,
}
