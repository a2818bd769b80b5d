//! What a snapshot's file keeps of each object instead of its value, so that later questions do without values.

/// The facts of consecutive objects. What few of them have stands with its object's number, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// How each is kept.
    pub shapes: Vec<Shape>,
    /// For how many items, entries or bytes a container has room.
    pub capacities: Vec<(u32, u64)>,
    /// Places taken in a dict or set.
    pub used: Vec<(u32, u64)>,
    /// The row of the type that all items, members or values are of.
    pub item_types: Vec<(u32, u32)>,
    /// The row of the type that all keys of a dict are of.
    pub key_types: Vec<(u32, u32)>,
    /// A dict's keys with their order, as a fingerprint.
    pub key_sets: Vec<(u32, u64)>,
    /// A value, as a fingerprint.
    pub fingerprints: Vec<(u32, u64)>,
    /// Characters that make a str wide: above U+00FF where it has two bytes a character, above U+FFFF where it has four.
    pub wide: Vec<(u32, u64)>,
    /// Bytes of such a str as UTF-8.
    pub encoded: Vec<(u32, u64)>,
}

impl Facts {
    /// Forgets all and keeps the room.
    pub(crate) fn clear(&mut self) {
        let Facts { shapes, capacities, used, item_types, key_types, key_sets, fingerprints, wide, encoded } = self;
        shapes.clear();
        for column in [capacities, used, key_sets, fingerprints, wide, encoded] {
            column.clear();
        }
        for column in [item_types, key_types] {
            column.clear();
        }
    }
}

/// Which key the fingerprints were made with; never the key itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyNote {
    /// The same for the same key.
    pub id: u64,
    /// Why the user's key could not be used: then the key was this snapshot's alone.
    pub alone: Option<String>,
}

/// Makes an enum, its list and its words from one table.
macro_rules! words {
    ($(#[$of:meta])* $enum:ident: $($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        $(#[$of])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $enum { $($(#[$doc])* $name,)* }

        impl $enum {
            pub(crate) const ALL: &'static [$enum] = &[$($enum::$name,)*];

            /// The word of the file.
            pub fn word(self) -> &'static str {
                match self { $($enum::$name => $word,)* }
            }
        }
    };
}

words! {
    /// How the contents of a str, dict or set are kept.
    Form:
    /// A str below U+0080, one byte a character.
    Ascii = "ascii";
    /// A str below U+0100, one byte a character.
    Latin1 = "latin-1";
    /// A str below U+10000, two bytes a character.
    Ucs2 = "ucs-2";
    /// Any other str, four bytes a character.
    Ucs4 = "ucs-4";
    /// A dict with keys and values of its own.
    Combined = "combined";
    /// A dict that shares its keys with others of its class.
    Split = "split";
    /// A set whose table stands in the object.
    Small = "small";
    /// A set whose table is a block of its own.
    Table = "table";
}

words! {
    /// Where the attributes of an instance stand.
    Attributes:
    /// It may have some, and has none.
    None = "none";
    /// In a dict.
    Dict = "dict";
    /// In an array of values, without a dict: 3.11+.
    Values = "values";
    /// In such an array, for which a dict was made too: 3.13+.
    ValuesAndDict = "values-and-dict";
}

/// Form, interned or not, where attributes are, weak references or not: of one object in nine bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape(u16);

impl Shape {
    const ATTRIBUTES_SHIFT: u16 = 4;
    const INTERNED: u16 = 1 << 7;
    const WEAKLY: u16 = 1 << 8;

    /// Packs them.
    #[inline]
    pub fn new(form: Option<Form>, attributes: Option<Attributes>, interned: bool, weakly_held: bool) -> Shape {
        let flag = |is: bool, bit: u16| if is { bit } else { 0 };
        let attributes = attributes.map_or(0, |a| a as u16 + 1) << Self::ATTRIBUTES_SHIFT;
        Shape(form.map_or(0, |f| f as u16 + 1) | attributes | flag(interned, Self::INTERNED) | flag(weakly_held, Self::WEAKLY))
    }

    /// What [`Shape::bits`] gave.
    #[inline]
    pub fn from_bits(bits: u16) -> Shape {
        Shape(bits)
    }

    /// It as a number, 0 for nothing at all.
    #[inline]
    pub fn bits(self) -> u16 {
        self.0
    }

    /// How a str, dict or set is kept.
    #[inline]
    pub fn form(self) -> Option<Form> {
        Form::ALL.get(usize::from(self.0 & 15).checked_sub(1)?).copied()
    }

    /// Where the attributes are; nothing for what can have none of its own.
    #[inline]
    pub fn attributes(self) -> Option<Attributes> {
        Attributes::ALL.get(usize::from(self.0 >> Self::ATTRIBUTES_SHIFT & 7).checked_sub(1)?).copied()
    }

    /// Whether it is an interned str.
    #[inline]
    pub fn interned(self) -> bool {
        self.0 & Self::INTERNED != 0
    }

    /// Whether a weak reference to it exists.
    #[inline]
    pub fn weakly_held(self) -> bool {
        self.0 & Self::WEAKLY != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_gives_back_what_it_was_made_of() {
        for form in Form::ALL.iter().copied().map(Some).chain([None]) {
            for attributes in Attributes::ALL.iter().copied().map(Some).chain([None]) {
                for flags in 0..4 {
                    let (interned, weakly) = (flags & 1 == 1, flags & 2 == 2);
                    let s = Shape::from_bits(Shape::new(form, attributes, interned, weakly).bits());
                    assert_eq!((s.form(), s.attributes(), s.interned(), s.weakly_held()), (form, attributes, interned, weakly));
                }
            }
        }
    }
}
