//! What an object is, in a few words: names are told, values only where they were asked for.

use cpython::objects::{dict, Kind};
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
    let f = &heap.layout.at;
    let named = |at: Addr| heap.name(at).map(Brief::Named);
    let sized = |len: u64, unit| Some(Brief::Sized { type_name: t.name.clone(), len, unit });
    let field = |name: &str| t.decoder.fields.iter().find(|f| f.name == name).and_then(|f| o.addr(f.offset).ok()).and_then(named);
    match t.decoder.kind {
        Kind::Module => named(o.addr(f.module.md_name).ok()?),
        Kind::Type => Some(Brief::Named(heap.type_at(o.addr)?.name.clone())),
        Kind::Code => named(o.addr(f.code.co_qualname.unwrap_or(f.code.co_name)).ok()?),
        Kind::Generator => named(o.addr(f.gen.gi_qualname).ok()?),
        Kind::Str if values => Some(Brief::Value(quote(&heap.text(o.addr, VALUE_BOUND + 1).ok()?))),
        Kind::Str => sized(o.u64(f.ascii.length as i64).ok()?, Unit::Char),
        Kind::Int if values => int_value(heap, o, t).map(Brief::Value),
        Kind::Int => Some(Brief::Hidden { type_name: t.name.clone() }),
        Kind::Tuple | Kind::List | Kind::Deque | Kind::Array => sized(u64::try_from(o.size().ok()?).ok()?, Unit::Item),
        Kind::Dict | Kind::OrderedDict => sized(o.u64(f.dict.ma_used as i64).ok()?, Unit::Item),
        Kind::Set => sized(o.u64(f.set.used as i64).ok()?, Unit::Item),
        Kind::ByteArray => sized(u64::try_from(o.size().ok()?).ok()?, Unit::Byte),
        Kind::Plain if t.flags & flags::BYTES != 0 => sized(u64::try_from(o.size().ok()?).ok()?, Unit::Byte),
        Kind::Plain if &*t.name == "float" => Some(if values {
            Brief::Value(f64::from_bits(o.u64(16).ok()?).to_string())
        } else {
            Brief::Hidden { type_name: t.name.clone() }
        }),
        Kind::Plain => field("__qualname__").or_else(|| field("__name__")),
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

/// Whether a dict's keys are all strs and few: for nothing but naming.
pub(crate) fn keys_are_names(heap: &Heap<'_>, at: Addr) -> bool {
    let Ok(o) = heap.obj(at) else { return false };
    // A split table is always an instance's.
    !heap.image.addr(at + heap.layout.at.dict.ma_values).unwrap_or_default().is_null() && dict::entries(heap, &o).is_ok()
}
