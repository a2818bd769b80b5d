//! What a snapshot's file keeps beyond types, objects and references: labels, threads, frames, code, modules and regions.
//! Objects are named by their row, in the order of addresses. Objects and references themselves are too many to be kept: they
//! are written while they are found ([`crate::file::Draft`]).

use memory::Addr;

use crate::{CollectorState, KeyNote};

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    /// For each type what the length of an instance counts.
    pub contents: Vec<Content>,
    /// What references have in common; each refers to its label by its place.
    pub labels: Vec<LinkLabel>,
    /// Modules.
    pub modules: Vec<ModuleRow>,
    /// What the fingerprints of values were made with.
    pub key: KeyNote,
    /// References from what is no object.
    pub roots: Vec<RootLink>,
    /// Threads, newest first within their interpreter.
    pub threads: Vec<ThreadRow>,
    /// Frames, innermost first within their thread.
    pub frames: Vec<FrameRow>,
    /// Code objects.
    pub codes: Vec<CodeRow>,
    /// Classes that have instances, one for each type, in their order.
    pub classes: Vec<ClassRow>,
    /// Mapped memory.
    pub regions: Vec<RegionRow>,
    /// Generators, coroutines and async generators that are not at their end.
    pub calls: Vec<CallRow>,
    /// Tasks of asyncio.
    pub tasks: Vec<TaskRow>,
    /// Containers that know a bound of their own.
    pub bounds: Vec<BoundRow>,
    /// Weak references, in the order of their rows; `None` where the look did not keep them: a folder of an earlier program.
    pub weakrefs: Option<Vec<WeakRow>>,
    /// The cyclic collectors, one for each interpreter; none where an earlier program wrote the folder.
    pub collectors: Vec<CollectorState>,
}

impl Details {
    /// The length of what has none.
    pub const NO_LENGTH: u64 = u64::MAX;
}

/// What is counted in an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// Nothing.
    #[default]
    None,
    /// It is a number: a value without a length.
    Hidden,
    /// So many of a unit.
    Counted(crate::Unit),
}

impl Content {
    pub(crate) const ALL: [Content; 5] = [
        Content::None,
        Content::Hidden,
        Content::Counted(crate::Unit::Char),
        Content::Counted(crate::Unit::Byte),
        Content::Counted(crate::Unit::Item),
    ];

    /// The word of the file; nothing for nothing.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Content::None => None,
            Content::Hidden => Some("hidden"),
            Content::Counted(unit) => Some(unit.word()),
        }
    }
}

/// What references of one kind, from instances of one type, have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkLabel {
    /// The holders' type.
    pub type_index: u32,
    /// What kind of reference.
    pub kind: LinkKind,
    /// The name of the attribute, slot, field or variable.
    pub name: Option<String>,
    /// Whether a field says so, or a scan found it.
    pub certain: bool,
    /// Whether the cyclic collector is told of it.
    pub traversed: bool,
    /// How many references have it.
    pub count: u64,
}

/// A reference from the interpreter's own state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootLink {
    /// What part of the interpreter it is in.
    pub place: RootPlace,
    /// What it is: `thread 0x7f…, frame of f`.
    pub root: String,
    /// What kind of reference.
    pub kind: LinkKind,
    /// Its name.
    pub name: Option<String>,
    /// Its place.
    pub position: u32,
    /// Whether a field says so.
    pub certain: bool,
    /// The object's row.
    pub target: u32,
}

/// What part of the interpreter's own state holds an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RootPlace {
    /// A running frame's local or stack.
    Frame,
    /// The state of a thread.
    Thread,
    /// The state of an interpreter.
    Interpreter,
    /// A variable of C code: a word of a binary's own data.
    Static,
}

impl RootPlace {
    /// Every place.
    pub const ALL: &'static [RootPlace] = &[RootPlace::Frame, RootPlace::Thread, RootPlace::Interpreter, RootPlace::Static];

    /// The word of the file.
    pub fn word(self) -> &'static str {
        match self {
            RootPlace::Frame => "frame",
            RootPlace::Thread => "thread",
            RootPlace::Interpreter => "interpreter",
            RootPlace::Static => "static",
        }
    }
}

/// Makes the enum, its list and its words from one table.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        /// How an object holds another. In the order in which the references of one object are shown; keys and values
        /// of a dict take turns.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum LinkKind { $($(#[$doc])* $name,)* }

        impl LinkKind {
            /// Every kind.
            pub const ALL: &'static [LinkKind] = &[$(LinkKind::$name,)*];

            /// The word of the file.
            pub fn word(self) -> &'static str {
                match self { $(LinkKind::$name => $word,)* }
            }
        }
    };
}

kinds! {
    /// A field of the C structure, by name.
    Field = "field";
    /// A base class, by place.
    Base = "base";
    /// The content of a cell.
    Cell = "cell";
    /// A `__slots__` entry, by name.
    Slot = "slot";
    /// An attribute, by name.
    Attribute = "attribute";
    /// A local variable, by name.
    Local = "local";
    /// An item of a sequence, by place.
    Index = "index";
    /// An entry of a frame's value stack, by place.
    Stack = "stack";
    /// A key of a dict, by its entry's place.
    Key = "key";
    /// A value of a dict, by its entry's place, which is its key's.
    Value = "value";
    /// A member of a set.
    Member = "member";
    /// Found by scanning, by offset.
    Scanned = "scanned";
    /// The object's own type.
    Type = "type";
}

impl LinkKind {
    /// What the references of one object are sorted by, so that every reader shows them alike.
    pub fn order(self, position: u32) -> (LinkKind, u32, LinkKind) {
        (if self == LinkKind::Value { LinkKind::Key } else { self }, position, self)
    }
}

/// A thread of Python.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadRow {
    /// Place of its interpreter, the main one is 0.
    pub interpreter: u32,
    /// Its `PyThreadState`.
    pub address: Addr,
    /// `threading.get_ident()`.
    pub thread_id: u64,
}

/// A frame of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameRow {
    /// The thread's row.
    pub thread: u32,
    /// 0 is the innermost.
    pub depth: u32,
    /// Where it lies.
    pub address: Addr,
    /// Its function's name.
    pub function: String,
    /// Its function's file.
    pub file: String,
    /// The line on which its function begins.
    pub first_line: u32,
    /// The line that it is on.
    pub line: Option<u32>,
}

/// A code object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeRow {
    /// The object's row.
    pub object: u32,
    /// Its name, qualified where it knows that.
    pub name: String,
    /// The file that it was compiled from.
    pub file: String,
    /// The line on which it begins.
    pub first_line: u32,
}

/// A class that has instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassRow {
    /// Where it lies.
    pub address: Addr,
    /// Module and name.
    pub name: String,
    /// The line on which its statement begins, decorators included: `__firstlineno__`, which it has from 3.13 on.
    pub first_line: Option<u32>,
    /// What runs when an instance goes.
    pub finalizer: Finalizer,
}

/// What a type has to run when an instance goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Finalizer {
    /// Nothing.
    #[default]
    None,
    /// `tp_finalize` (PEP 442): `__del__` of Python, and types of C. The collector runs it.
    Safe,
    /// `tp_del`, of C alone: the collector leaves such garbage as it is.
    Legacy,
}

impl Finalizer {
    /// The word of the file; nothing for nothing.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Finalizer::None => None,
            Finalizer::Safe => Some("tp_finalize"),
            Finalizer::Legacy => Some("tp_del"),
        }
    }

    pub(crate) fn of_word(word: Option<&str>) -> Finalizer {
        [Finalizer::Safe, Finalizer::Legacy].into_iter().find(|f| f.word() == word).unwrap_or_default()
    }
}

/// A generator, coroutine or async generator that is not at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRow {
    /// The object's row.
    pub object: u32,
    /// Its qualified name.
    pub name: String,
    /// Its code object's row.
    pub code: Option<u32>,
    /// Its globals' row.
    pub globals: Option<u32>,
    /// The line on which it stands.
    pub line: Option<u32>,
    /// What it stands in, which may run when it goes.
    pub inside: Option<Inside>,
    /// Whether it ran at least to its first pause.
    pub begun: bool,
}

/// What a call that waits stands in. In the order in which one is told where there are several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Inside {
    /// `try` with `finally`.
    Finally,
    /// `with`.
    With,
    /// A `try` of which no more is known.
    Try,
    /// `try` with `except`.
    Except,
}

impl Inside {
    /// All of them.
    pub const ALL: [Inside; 4] = [Inside::Finally, Inside::With, Inside::Try, Inside::Except];

    /// The word of the file.
    pub fn word(self) -> &'static str {
        match self {
            Inside::Finally => "finally",
            Inside::With => "with",
            Inside::Try => "try",
            Inside::Except => "except",
        }
    }
}

/// A task of asyncio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRow {
    /// The object's row.
    pub object: u32,
    /// Its name.
    pub name: String,
}

/// A container that may have a bound of its own: a deque with one, an lru_cache with or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundRow {
    /// The object's row.
    pub object: u32,
    /// How many it holds at most; `None` for without.
    pub bound: Option<u64>,
}

/// A weak reference: a `weakref.ref`, a proxy, or an instance of a class that inherits from one. What it refers to it does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WeakRow {
    /// The weak reference's row.
    pub object: u32,
    /// The row of what it refers to; `None` where that is gone, or was not found.
    pub referent: Option<u32>,
    /// What it referred to is gone.
    pub dead: bool,
    /// The row of what is called when the referent goes.
    pub callback: Option<u32>,
}

/// A module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleRow {
    /// The object's row.
    pub object: u32,
    /// Its name.
    pub name: String,
    /// Its file, or the origin that its spec tells instead.
    pub file: Option<String>,
}

/// A mapping of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionRow {
    /// First address.
    pub start: Addr,
    /// One past the last.
    pub end: Addr,
    /// `rw-p`, as /proc writes it.
    pub rights: String,
    /// Offset in the file.
    pub offset: u64,
    /// File or name; empty for anonymous memory.
    pub path: String,
}
