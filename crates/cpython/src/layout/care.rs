//! How much of a target may be damaged before its layout is no longer believed.
//!
//! Holds: [`Care`], [`Kind`]. Never: looks at memory (that is `proof`, `shapes` and `collector`).

use crate::types::TypeInfo;

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

    /// The same of kinds of which most are wrong, among so many objects of all kinds. Of the interpreter's own types not even two: the wrong
    /// offset in a table makes all objects of one such type wrong, however few there are. The instances of a class go wrong with it.
    pub(super) fn too_many_of<'k>(self, wrong: impl Iterator<Item = &'k Kind>, all: usize) -> bool {
        let (mut bad, mut own) = (0, false);
        for kind in wrong {
            bad += kind.bad as usize;
            own |= !kind.is_class && kind.bad > 1;
        }
        own || self.too_many(bad, all)
    }
}

/// Objects of one type in a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kind {
    /// As the layout says.
    pub(super) good: u32,
    /// Otherwise.
    pub(super) bad: u32,
    /// It was made while the interpreter ran, by a class statement or a C extension.
    is_class: bool,
}

impl Kind {
    pub(super) fn count(&mut self, t: &TypeInfo, wrong: bool) {
        self.is_class |= t.is_heap();
        *if wrong { &mut self.bad } else { &mut self.good } += 1;
    }

    pub(super) fn is_wrong(&self) -> bool {
        self.bad > self.good
    }
}

/// This many may always be damaged; beyond them one in a hundred.
const FEW_DAMAGED: usize = 3;
