//! One object with its references, in and out, each with its label.
//!
//! The rule of names and values is kept here by construction: what is a *name* (an attribute, a local variable, a
//! function's name) is a `String`; what is a *value* (the key of a plain dict, the content of a string, a number) is a
//! [`Brief`], which holds the text only where the user asked for values, and else its type and length.

use memory::{Addr, Bytes};

use crate::{Known, LinkKind, State};

/// One object, looked at closely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// Where it lies.
    pub address: Addr,
    /// Its type's name, as in [`Type::name`](crate::Type::name).
    pub type_name: String,
    /// Address of its type.
    pub type_address: Addr,
    /// What it is, in a few words.
    pub brief: Brief,
    /// What `sys.getsizeof` would say.
    pub own_bytes: Bytes,
    /// What the allocators spend for it.
    pub footprint_bytes: Bytes,
    /// How its size and references are known.
    pub known: Known,
    /// The count in its header, without meaning where `state` says immortal.
    pub refcount: u64,
    /// References to it that were found, all together: what explains its count.
    pub explained_refs: u64,
    /// Collector state, immortality and how it was found.
    pub state: State,
    /// What it refers to.
    pub references_out: References,
    /// What refers to it.
    pub references_in: References,
}

/// References, possibly cut at a bound; the total is always true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// The first of them, in the order of the object's own fields (out) or of the holders' addresses (in).
    pub shown: Vec<Reference>,
    /// How many there are.
    pub total: u64,
}

/// One reference: its label, and what stands at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Where in the holder it stands.
    pub label: Label,
    /// What stands at the other end: the object referred to (out), the holder (in).
    pub other: Holder,
    /// Whether a field says so. Else the address was found by scanning (a running function's stack, a body without a
    /// decoder): it may be a leftover.
    pub certain: bool,
}

/// The other end of a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// An object.
    Object {
        /// Where it lies.
        address: Addr,
        /// Its type's name.
        type_name: String,
        /// What it is, in a few words.
        brief: Brief,
    },
    /// Something of the interpreter that is no object, by name: `thread 4711, frame of shop.cache.put`, `interned strings`.
    Root {
        /// What it is.
        name: String,
    },
}

/// Where in its holder a reference stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// The object's own type.
    Type,
    /// An attribute, kept in the dict (or the inline values) of an instance, a class or a module.
    Attribute(String),
    /// A `__slots__` entry or another member descriptor.
    Slot(String),
    /// A field of the C structure, by the name under which Python shows it: `__dict__`, `__code__`, `start`.
    Field(String),
    /// A base class, by its place.
    Base(u64),
    /// An item of a sequence, by its place.
    Index(u64),
    /// A member of a set.
    Member,
    /// The key object of a dict's entry, by the entry's place.
    Key(u64),
    /// The value of a dict's entry, by its key.
    Value(Brief),
    /// The content of a cell.
    Cell,
    /// A variable that a closure keeps, by name.
    Closure(String),
    /// A local variable of a frame, by name.
    Local(String),
    /// An entry of a frame's value stack, by its place.
    Stack(u64),
    /// A constant of a code object, by its place.
    Constant(u64),
    /// A name of a code object, by its place.
    Name(u64),
    /// An address found by scanning the body, at this offset.
    Scanned(u64),
}

impl Label {
    /// From a kind with its name and place; `key` says what stands under it as a dict's key.
    pub fn of(kind: LinkKind, name: Option<String>, position: u32, key: impl FnOnce() -> Brief) -> Label {
        let place = u64::from(position);
        let name = || name.unwrap_or_else(|| "?".to_owned());
        match kind {
            LinkKind::Type => Label::Type,
            LinkKind::Field => Label::Field(name()),
            LinkKind::Base => Label::Base(place),
            LinkKind::Cell => Label::Cell,
            LinkKind::Slot => Label::Slot(name()),
            LinkKind::Attribute => Label::Attribute(name()),
            LinkKind::Local => Label::Local(name()),
            LinkKind::Index => Label::Index(place),
            LinkKind::Stack => Label::Stack(place),
            LinkKind::Key => Label::Key(place),
            LinkKind::Value => Label::Value(key()),
            LinkKind::Member => Label::Member,
            LinkKind::Scanned => Label::Scanned(place),
        }
    }

    /// The word of the JSON (`kind`).
    pub fn word(&self) -> &'static str {
        match self {
            Label::Type => "type",
            Label::Attribute(_) => "attribute",
            Label::Slot(_) => "slot",
            Label::Field(_) => "field",
            Label::Base(_) => "base",
            Label::Index(_) => "index",
            Label::Member => "member",
            Label::Key(_) => "key",
            Label::Value(_) => "value",
            Label::Cell => "cell",
            Label::Closure(_) => "closure",
            Label::Local(_) => "local",
            Label::Stack(_) => "stack",
            Label::Constant(_) => "constant",
            Label::Name(_) => "name",
            Label::Scanned(_) => "scanned",
        }
    }
}

impl std::fmt::Display for Label {
    /// `.name`, `[3]`, `local x`: as one would write or say it. The text may come from the target: escape it before showing.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Label::Type => write!(f, "type"),
            Label::Attribute(name) => write!(f, ".{name}"),
            Label::Slot(name) => write!(f, ".{name} (slot)"),
            Label::Field(name) => write!(f, "{name}"),
            Label::Base(i) => write!(f, "base {i}"),
            Label::Index(i) => write!(f, "[{i}]"),
            Label::Member => write!(f, "member"),
            Label::Key(i) => write!(f, "key {i}"),
            Label::Value(key) => write!(f, "[{key}]"),
            Label::Cell => write!(f, "cell content"),
            Label::Closure(name) => write!(f, "closure {name}"),
            Label::Local(name) => write!(f, "local {name}"),
            Label::Stack(i) => write!(f, "stack {i}"),
            Label::Constant(i) => write!(f, "constant {i}"),
            Label::Name(i) => write!(f, "name {i}"),
            Label::Scanned(offset) => write!(f, "+{offset} (scanned)"),
        }
    }
}

/// What an object is, in a few words, by the rule of names and values.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Brief {
    /// Nothing to say beyond its type.
    #[default]
    Nothing,
    /// It has a name of its own: a module, a class, a function, a code object.
    Named(String),
    /// It has a length: `str, 14 chars`. This is what is shown of a value unless the user asked for values.
    Sized {
        /// Its type's name.
        type_name: String,
        /// How much of the unit.
        len: u64,
        /// What is counted.
        unit: Unit,
    },
    /// It is a value that is not shown and has no length: a number.
    Hidden {
        /// Its type's name.
        type_name: String,
    },
    /// It is a value and the user asked for values: its repr, cut to a bound.
    Value(String),
}

impl std::fmt::Display for Brief {
    /// `shop.cache`, `str, 14 chars`, `int`, `'session'`; nothing for [`Brief::Nothing`].
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Brief::Nothing => Ok(()),
            Brief::Named(name) => write!(f, "{name}"),
            Brief::Sized { type_name, len, unit } => {
                let s = if *len == 1 { "" } else { "s" };
                write!(f, "{type_name}, {len} {}{s}", unit.word())
            }
            Brief::Hidden { type_name } => write!(f, "{type_name}"),
            Brief::Value(repr) => write!(f, "{repr}"),
        }
    }
}

/// What a length counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// Code points of a str.
    Char,
    /// Bytes of a buffer.
    Byte,
    /// Items of a container.
    Item,
}

impl Unit {
    /// The word, singular.
    pub fn word(self) -> &'static str {
        match self {
            Unit::Char => "char",
            Unit::Byte => "byte",
            Unit::Item => "item",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_read_as_people_write_them() {
        let key = Brief::Sized { type_name: "str".into(), len: 14, unit: Unit::Char };
        for (label, shown) in [
            (Label::Attribute("cache".into()), ".cache"),
            (Label::Index(3), "[3]"),
            (Label::Value(key), "[str, 14 chars]"),
            (Label::Value(Brief::Value("'session'".into())), "['session']"),
            (Label::Value(Brief::Hidden { type_name: "int".into() }), "[int]"),
            (Label::Local("request".into()), "local request"),
            (Label::Scanned(24), "+24 (scanned)"),
        ] {
            assert_eq!(label.to_string(), shown);
        }
    }
}
