//! What an object is, in a few words: names are told, values only where they were asked for.

use cpython::objects::Kind;
use cpython::types::{flags, TypeInfo};
use cpython::{Heap, Obj};
use memory::{Addr, Memory};
use snapshot::{Brief, Unit};

/// Most characters of a value that are shown.
const VALUE_BOUND: usize = 60;

/// The brief of the object at `at`; nothing where none stands.
pub(crate) fn brief(heap: &Heap<'_>, at: Addr, values: bool) -> Brief {
    let Ok(o) = heap.obj(at) else { return Brief::Nothing };
    let Some(t) = o.ty().ok().and_then(|t| heap.type_at(t)) else { return Brief::Nothing };
    of(heap, &o, &t, values).unwrap_or_default()
}

/// The brief of an object whose type is known.
fn of(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo, values: bool) -> Option<Brief> {
    if let Some(shown) = values.then(|| value(heap, o, t)).flatten() {
        return Some(Brief::Value(shown));
    }
    if let Some(unit) = unit(t) {
        return Some(Brief::Sized { type_name: t.name.clone(), len: length(heap, o, t)?, unit });
    }
    if is_number(t) {
        return Some(Brief::Hidden { type_name: t.name.clone() });
    }
    name(heap, o, t).map(Brief::Named)
}

/// What the length of an instance counts.
pub(crate) fn unit(t: &TypeInfo) -> Option<Unit> {
    match t.decoder.kind {
        Kind::Str => Some(Unit::Char),
        Kind::Tuple | Kind::List | Kind::Deque | Kind::Array | Kind::Dict | Kind::OrderedDict | Kind::Set => Some(Unit::Item),
        Kind::ByteArray | Kind::NdArray => Some(Unit::Byte),
        Kind::Plain if t.flags & flags::BYTES != 0 || &*t.name == "memoryview" => Some(Unit::Byte),
        _ => None,
    }
}

/// How many of its unit an object has; of a view of a buffer the bytes that it shows.
#[inline]
pub(crate) fn length(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo) -> Option<u64> {
    let f = &heap.layout.at;
    match t.decoder.kind {
        Kind::Str => o.u64(f.ascii.length as i64).ok(),
        Kind::Dict | Kind::OrderedDict => o.u64(f.dict.ma_used as i64).ok(),
        Kind::Set => o.u64(f.set.used as i64).ok(),
        Kind::NdArray => heap.shown_bytes(o, t),
        Kind::Plain if &*t.name == "memoryview" => heap.shown_bytes(o, t),
        _ => u64::try_from(o.size().ok()?).ok(),
    }
}

/// Whether instances are numbers: values without a length.
pub(crate) fn is_number(t: &TypeInfo) -> bool {
    t.decoder.kind == Kind::Int || (t.decoder.kind == Kind::Plain && &*t.name == "float")
}

/// Its own name, of what has one.
pub(crate) fn name(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo) -> Option<String> {
    let f = &heap.layout.at;
    let field =
        |name: &str| t.decoder.fields.iter().find(|f| f.name == name).and_then(|f| o.addr(f.offset).ok()).and_then(|at| heap.name(at));
    match t.decoder.kind {
        Kind::Module => heap.name(o.addr(f.module.md_name).ok()?),
        Kind::Type => Some(heap.type_at(o.addr)?.name.clone()),
        Kind::Code => heap.name(o.addr(f.code.co_qualname.unwrap_or(f.code.co_name)).ok()?),
        Kind::Generator => heap.name(o.addr(f.gen.gi_qualname).ok()?),
        Kind::Plain if !t.decoder.fields.is_empty() => field("__qualname__").or_else(|| field("__name__")),
        _ => None,
    }
}

/// Its value, cut to a bound, of what is one.
pub(crate) fn value(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo) -> Option<String> {
    match t.decoder.kind {
        Kind::Str => Some(quote(&heap.text(o.addr, VALUE_BOUND + 1).ok()?)),
        Kind::Int => int_value(heap, o, t),
        Kind::Plain if &*t.name == "float" => Some(f64::from_bits(o.u64(16).ok()?).to_string()),
        _ => None,
    }
}

/// The value of an int of at most two digits; larger ones by their size.
fn int_value(heap: &Heap<'_>, o: &Obj<'_>, t: &TypeInfo) -> Option<String> {
    let (digits, negative) = heap.int_digits(o).ok()?;
    if &*t.name == "bool" {
        return Some(if digits == 0 { "False" } else { "True" }.to_owned());
    }
    let digit = |i: u64| heap.image.u32(o.addr + 24 + i * 4).ok().map(u64::from);
    let magnitude = match digits {
        0 => 0,
        1 => digit(0)?,
        2 => digit(0)? | digit(1)? << 30,
        n => return Some(format!("int of {n} digits of 30 bits")),
    };
    Some(format!("{}{magnitude}", if negative { "-" } else { "" }))
}

fn quote(text: &str) -> String {
    let mut shown: String = text.chars().take(VALUE_BOUND).collect();
    if text.chars().count() > VALUE_BOUND {
        shown.push('…');
    }
    format!("'{shown}'")
}
