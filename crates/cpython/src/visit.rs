//! What a decoder tells about an object while it reads it: references with labels, blocks that it owns.
//!
//! Never: owned strings; labels are small copies that name things by address, so that a walk that needs no labels
//! pays nothing for them.

use memory::Addr;

/// How an object holds another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Label {
    /// Its class.
    Type,
    /// A field of the C struct, by the name that Python shows where there is one (`__code__`, `args`).
    Field(&'static str),
    /// An instance attribute; the address of the name's str object.
    Attribute(Addr),
    /// A key of a dict, by the place of its entry.
    Key(u64),
    /// A member of a set.
    Member,
    /// The value under a key; the address of the key.
    Value(Addr),
    /// Position in a sequence.
    Item(u64),
    /// A `__slots__` or C member; the address of its name as a C string.
    Slot(Addr),
    /// A frame's local, cell or free variable: its number in the code's names.
    Local(u32),
    /// A frame's operand stack.
    Stack(u32),
    /// Found by scanning: the offset within the object.
    Scanned(u32),
    /// Found by scanning memory that the object owns: the offset within that block.
    ScannedBlock(u32),
}

/// Why a part of an object could not be read as it should be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Torn {
    /// A dict whose count of used entries is not what its table holds.
    Dict,
    /// A list, deque, linked list or table whose size contradicts its allocation.
    Size,
    /// A size that the memory of the process cannot hold: nothing is half-written like that, something wrote over it.
    Impossible,
    /// A named bound was hit.
    Bound,
}

/// Receives what a decoder finds.
pub trait Visitor {
    /// A counted reference that the type's `tp_traverse` reports to the collector.
    fn reference(&mut self, to: Addr, label: Label);
    /// A counted reference that `tp_traverse` hides, or that a type without one holds.
    fn hidden(&mut self, to: Addr, label: Label);
    /// An address that is not counted: a weak reference's target, a borrowed pointer.
    fn weak(&mut self, to: Addr, label: Label) {
        let _ = (to, label);
    }
    /// A word that may be a reference: found by scanning a type that has no decoder, or a stack whose depth is unknown.
    fn scanned(&mut self, word: Addr, label: Label);
    /// A block of `bytes` (as requested from the allocator) that this object owns.
    fn owns(&mut self, at: Addr, bytes: u64);
    /// A part that contradicts itself.
    fn torn(&mut self, what: Torn);
}
