//! What a value says, as bytes that are the same in every release and in every form that the value is kept in: what a fingerprint
//! is made of.
//!
//! Never: hashes, text for people (that is `names`).
//! Sources: `Objects/unicodeobject.c`, `longobject.c`, `floatobject.c`, `complexobject.c`, `bytearrayobject.c`.

use super::Kind;
use crate::heap::{Heap, Obj};
use crate::layout::Fields;
use crate::names::StrState;
use crate::types::{flags, TypeInfo};

/// Offset of the first digit of an int.
const DIGITS: u64 = 24;
/// An int of one digit below this is made once and shared (`_PY_NSMALLPOSINTS`, to 3.14), as is a negative one of up to five.
const SMALL: [u32; 2] = [257, 6];

/// A value, of one of the kinds that differ even where Python calls them equal (`1 == 1.0`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// A str: UTF-8, in which a lone surrogate is encoded as any other character.
    Str(&'a [u8]),
    /// bytes or a bytearray.
    Bytes(&'a [u8]),
    /// An int: a byte that is 1 for negative ones, then its digits of 30 bits, the lowest first, without zeros at the end.
    Int(&'a [u8]),
    /// A float: its eight bytes.
    Float(&'a [u8]),
    /// A complex number: its sixteen bytes.
    Complex(&'a [u8]),
    /// None, a bool, an ellipsis: name and value.
    Single(&'a [u8]),
    /// A tuple: the addresses of its items.
    Tuple(&'a [u8]),
}

impl<'m> Heap<'m> {
    /// What the object says; `None` where it is no such value. `buffer` is for those that are kept in another form.
    pub fn content<'a>(&self, o: &Obj<'m>, t: &TypeInfo, buffer: &'a mut Vec<u8>) -> Option<Content<'a>>
    where
        'm: 'a,
    {
        buffer.clear();
        match t.decoder.kind {
            Kind::Str => self.str_content(o, buffer).map(Content::Str),
            Kind::Int => {
                let (digits, negative) = self.int_digits(o).ok()?;
                if &*t.name == "bool" {
                    return Some(Content::Single(if digits == 0 { b"False" } else { b"True" }));
                }
                let digits = o.bytes(DIGITS, digits.checked_mul(4)?).ok()?;
                let used = digits.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
                buffer.push(u8::from(negative));
                buffer.extend_from_slice(digits.get(..used)?);
                Some(Content::Int(buffer))
            }
            Kind::ByteArray => {
                let n = u64::try_from(o.size().ok()?).ok()?;
                let start = o.addr(self.layout.table.offset("PyByteArrayObject", "ob_start")?).ok()?;
                Some(Content::Bytes(if n == 0 { &[] } else { self.obj(start).ok()?.bytes(0, n).ok()? }))
            }
            Kind::Plain if t.flags & flags::BYTES != 0 => {
                let n = u64::try_from(o.size().ok()?).ok()?;
                Some(Content::Bytes(o.bytes(self.layout.at.bytes.ob_sval, n).ok()?))
            }
            Kind::Plain => match &*t.name {
                "float" => Some(Content::Float(o.bytes(Fields::HEADER, 8).ok()?)),
                "complex" => Some(Content::Complex(o.bytes(Fields::HEADER, 16).ok()?)),
                "NoneType" => Some(Content::Single(b"None")),
                "ellipsis" => Some(Content::Single(b"Ellipsis")),
                _ => None,
            },
            Kind::Tuple => {
                let n = u64::try_from(o.size().ok()?).ok()?;
                Some(Content::Tuple(o.bytes(self.layout.at.tuple.ob_item, n.checked_mul(8)?).ok()?))
            }
            _ => None,
        }
    }

    /// The characters as UTF-8.
    fn str_content<'a>(&self, o: &Obj<'m>, buffer: &'a mut Vec<u8>) -> Option<&'a [u8]>
    where
        'm: 'a,
    {
        let f = &self.layout.at;
        let length = o.u64(f.ascii.length as i64).ok()?;
        let state = StrState::new(o.u32(f.ascii.state).ok()?);
        let bytes = length.checked_mul(state.kind)?;
        let raw = match (state.compact, state.ascii) {
            (true, true) => o.bytes(f.ascii.size, bytes).ok()?,
            (true, false) => o.bytes(f.compact.size, bytes).ok()?,
            _ => self.obj(o.addr(f.unicode.data).ok()?).ok()?.bytes(0, bytes).ok()?,
        };
        match state.kind {
            1 if raw.is_ascii() => return Some(raw),
            1 => raw.iter().for_each(|&b| utf8(u32::from(b), buffer)),
            2 => raw.chunks_exact(2).for_each(|c| utf8(u32::from(u16::from_le_bytes([c[0], c[1]])), buffer)),
            4 => raw.chunks_exact(4).for_each(|c| utf8(u32::from_le_bytes([c[0], c[1], c[2], c[3]]), buffer)),
            // To 3.11 one that was made by old C code and not used since: it has no characters yet.
            _ => return None,
        }
        Some(buffer)
    }
}

impl Content<'_> {
    /// Whether the interpreter keeps one object for all of this value: ints from -5 to 256, None, bools.
    pub fn is_shared(&self) -> bool {
        match self {
            Content::Single(_) | Content::Int([_]) => true,
            Content::Int([negative, digits @ ..]) if digits.len() <= 2 => {
                let digit = digits.iter().rev().fold(0, |sum, b| sum << 8 | u32::from(*b));
                SMALL.get(usize::from(*negative)).is_some_and(|from| digit < *from)
            }
            _ => false,
        }
    }
}

/// Appends a character, or half of a surrogate pair, or what is no character.
fn utf8(c: u32, into: &mut Vec<u8>) {
    let tail = |shift: u32| (0x80 | c >> shift & 0x3f) as u8;
    match c {
        0..=0x7f => into.push(c as u8),
        0x80..=0x7ff => into.extend([(0xc0 | c >> 6) as u8, tail(0)]),
        0x800..=0xffff => into.extend([(0xe0 | c >> 12) as u8, tail(6), tail(0)]),
        _ => into.extend([(0xf0 | c >> 18 & 7) as u8, tail(12), tail(6), tail(0)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_encoded_as_rust_does_and_halves_of_pairs_alike() {
        let mut bytes = Vec::new();
        for c in "a\u{7f}\u{80}é\u{7ff}\u{800}€\u{ffff}\u{10000}😀\u{10ffff}".chars() {
            bytes.clear();
            utf8(c as u32, &mut bytes);
            assert_eq!(bytes, c.to_string().as_bytes());
        }
        bytes.clear();
        utf8(0xd83d, &mut bytes);
        assert_eq!(bytes, [0xed, 0xa0, 0xbd]);
    }

    #[test]
    fn shared_ints_are_those_from_minus_5_to_256() {
        let int = |n: i32| {
            let digits = n.unsigned_abs().to_le_bytes();
            let used = digits.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1);
            [&[u8::from(n < 0)], &digits[..used]].concat()
        };
        for n in [-70_000, -257, -256, -6, -5, -1, 0, 1, 5, 6, 255, 256, 257, 512, 65_536] {
            assert_eq!(Content::Int(&int(n)).is_shared(), (-5..=256).contains(&n), "{n}");
        }
    }
}
