//! How much of a target may be damaged before its layout is no longer believed.
//!
//! Holds: [`Care`]. Never: looks at memory (that is `proof`, `shapes` and `collector`).

/// How much of what a proof looks at may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// What a target that stands still may be in the middle of.
    Whole,
    /// Few things may have been overwritten, of anything: asked only of the table that was made from this very release, after every
    /// candidate failed. C code that writes where it should not damages one object, not all of a kind.
    Damaged,
}

impl Care {
    /// Whether so many wrong ones of all are too many.
    pub(super) fn too_many(self, wrong: usize, all: usize) -> bool {
        match self {
            Care::Whole => wrong > 0,
            Care::Damaged => wrong > FEW_DAMAGED && wrong * 100 > all,
        }
    }
}

/// This many may always be damaged; beyond them one in a hundred.
const FEW_DAMAGED: usize = 3;
