//! In which of its forms an object is kept, and what may hang on it: attributes, weak references.
//!
//! Sources: `Include/cpython/unicodeobject.h`, `Objects/dictobject.c`, `Objects/setobject.c`, `Objects/object_layout.md`,
//! `Objects/weakrefobject.c`.

use memory::Addr;

use super::{dict, Kind};
use crate::heap::{Heap, Obj};
use crate::layout::rules::ManagedDict;
use crate::names::StrState;
use crate::types::{flags, type_state, DictAt, TypeInfo, TypeState};

/// How the contents of a str, dict or set are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A str below U+0080, one byte a character.
    Ascii,
    /// A str below U+0100, one byte a character.
    Latin1,
    /// A str below U+10000, two bytes a character.
    Ucs2,
    /// Any other str, four bytes a character.
    Ucs4,
    /// A dict with keys and values of its own.
    Combined,
    /// A dict that shares its keys with others of its class.
    Split,
    /// A set whose table stands in the object.
    Small,
    /// A set whose table is a block of its own.
    Table,
}

/// Where the attributes of an instance stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attributes {
    /// It may have some, and has none.
    None,
    /// In a dict.
    Dict,
    /// In an array of values, without a dict: 3.11+.
    Values,
    /// In such an array, for which a dict was made too: 3.13+.
    ValuesAndDict,
}

impl Heap<'_> {
    /// The form of a str, dict or set.
    #[inline]
    pub fn form(&self, o: &Obj<'_>, t: &TypeInfo) -> Option<Form> {
        let f = &self.layout.at;
        Some(match t.decoder.kind {
            Kind::Str => {
                let state = StrState::new(o.u32(f.ascii.state).ok()?);
                match (state.kind, state.ascii) {
                    (1, true) => Form::Ascii,
                    (1, false) => Form::Latin1,
                    (2, _) => Form::Ucs2,
                    (4, _) => Form::Ucs4,
                    _ => return None,
                }
            }
            Kind::Dict | Kind::OrderedDict if o.addr(f.dict.ma_values).ok()?.is_null() => Form::Combined,
            // To 3.10 every empty dict shares one table without room (`Py_EMPTY_KEYS`), and has values of none.
            Kind::Dict | Kind::OrderedDict => match dict::keys(self, o.addr(f.dict.ma_keys).ok()?).ok()?.capacity {
                0 => Form::Combined,
                _ => Form::Split,
            },
            Kind::Set if o.addr(f.set.table).ok()? == o.addr + f.set.smalltable => Form::Small,
            Kind::Set => Form::Table,
            _ => return None,
        })
    }

    /// Whether it is an interned str.
    #[inline]
    pub fn is_interned(&self, o: &Obj<'_>, t: &TypeInfo) -> bool {
        t.decoder.kind == Kind::Str && o.u32(self.layout.at.ascii.state).is_ok_and(|word| StrState::new(word).interned)
    }

    /// Where the attributes of `o` stand; `None` where it cannot have any of its own.
    #[inline]
    pub fn attributes(&self, o: &Obj<'_>, t: &TypeInfo) -> Option<Attributes> {
        let dict = |word: Addr| if word.is_null() { Attributes::None } else { Attributes::Dict };
        match t.dict {
            DictAt::None => {
                let field = t.decoder.fields.iter().find(|f| f.name == "__dict__")?;
                o.addr(field.offset).ok().map(dict)
            }
            DictAt::Offset(at) => o.addr(at).ok().map(dict),
            DictAt::FromEnd(back) => {
                let n = o.size().ok()?.unsigned_abs();
                let end = memory::rounded_up(t.basic.saturating_add(n.saturating_mul(t.item)), 8);
                o.addr(end.wrapping_add(back as u64)).ok().map(dict)
            }
            DictAt::Managed => self.managed_attributes(o, t),
        }
    }

    fn managed_attributes(&self, o: &Obj<'_>, t: &TypeInfo) -> Option<Attributes> {
        let word = o.u64(-24).ok()?;
        let dict = if word == 0 { Attributes::None } else { Attributes::Dict };
        Some(match self.layout.rules.managed_dict {
            ManagedDict::None => return None,
            ManagedDict::TwoWords if o.u64(-32).ok()? != 0 => Attributes::Values,
            ManagedDict::TwoWords => dict,
            ManagedDict::TaggedWord if word & 1 == 1 => Attributes::Values,
            ManagedDict::TaggedWord => dict,
            ManagedDict::Inline => {
                // The fourth byte of the values says whether they are in use (`_dictvalues.valid`).
                let valid = t.flags & flags::INLINE_VALUES != 0 && o.bytes(t.basic, 4).ok()?.last() != Some(&0);
                match (valid, word) {
                    (true, 0) => Attributes::Values,
                    (true, _) => Attributes::ValuesAndDict,
                    (false, _) => dict,
                }
            }
        })
    }

    /// Whether a weak reference to `o` exists.
    #[inline]
    pub fn has_weakrefs(&self, o: &Obj<'_>, t: &TypeInfo) -> bool {
        if t.weaklist == 0 {
            return false;
        }
        // 3.12+ keeps the list of a static built-in type per interpreter.
        let list = match t.is_metatype() {
            true => type_state(self, o.addr, TypeState::Weaklist),
            false => None,
        };
        list.or_else(|| o.u64(t.weaklist).ok().map(Addr)).is_some_and(|at| !at.is_null())
    }
}
