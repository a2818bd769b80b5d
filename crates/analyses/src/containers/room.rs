//! Lists, dicts, sets and bytearrays with more room than items, and containers with nothing in them.
//!
//! What a fitting one takes is what the interpreter makes of a copy: `list_slice` in Objects/listobject.c, `dict_merge` and
//! `estimate_log2_keysize` in dictobject.c, `set_merge` and `set_table_resize` in setobject.c, alike in 3.8–3.15.

use snapshot::Form;

use super::groups::{Groups, Key, One};
use super::{Kind, Look};
use crate::slots::rounded;

/// Types of which an empty one holds memory that None or a shared () would not. A `frozenset()` is shared already.
const EMPTY: &[&str] =
    &["list", "dict", "set", "bytearray", "collections.deque", "collections.defaultdict", "collections.OrderedDict", "collections.Counter"];
/// Bytes before a dict's indices: `PyDictKeysObject`, to 3.10 and since.
const KEYS_HEADS: [u64; 2] = [40, 32];
/// An entry of a dict, with hash and without.
const ENTRIES: [u64; 2] = [24, 16];
/// What a dict's own structure takes, and its collector's head: `PyDictObject`.
const DICT: u64 = 16 + 48;
/// The most that a subclass's instance has.
const BODY_MOST: u64 = 400;
/// Places of a set that stand in it.
const SET_SMALL: u64 = 8;

pub(super) fn count(look: &Look<'_, '_>, groups: &mut Groups) {
    let types = &look.ownership.snapshot.types;
    let of_type: Vec<Which> = types.iter().map(|t| Which::of(&t.name)).collect();
    let head = keys_head(look);
    for (node, capacity) in look.facts.capacities.iter() {
        let type_index = look.type_row(node);
        let which = of_type.get(type_index as usize).copied().unwrap_or(Which::Other);
        let Some(length) = look.told_length(node) else { continue };
        let Some(site) = look.sites.of_node(node) else { continue };
        let footprint = look.footprint(node);
        if length == 0 {
            let is_known = types.get(type_index as usize).is_some_and(|t| EMPTY.contains(&t.name.as_str()));
            if is_known && is_own(look, node) {
                let one = One { node, present: footprint, saving: footprint, ..One::default() };
                groups.add(Key { kind: Kind::Empty, type_index, site, extra: 0 }, one);
            }
            continue;
        }
        let fitting = match (which, look.facts.shape(node).form()) {
            (Which::List, _) => list(look, node, capacity, length),
            (Which::Bytes, _) => bytes(look, node, capacity, length),
            (Which::Ordered, _) => None,
            (_, Some(Form::Combined)) => head.and_then(|head| dict(look, node, capacity, length, head, which == Which::Dict)),
            (_, Some(Form::Table)) => set(capacity, length),
            _ => None,
        };
        let Some(Fit { saving, may_grow }) = fitting else { continue };
        if saving > 0 {
            let one = One { node, present: footprint, saving, items: length, extra: capacity };
            groups.add(Key { kind: Kind::Room, type_index, site, extra: u64::from(may_grow) }, one);
        }
    }
}

/// What a type is, by its name. Subclasses of dict and set are known by their form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    List,
    Bytes,
    Dict,
    /// It has a table of its own beside the dict's.
    Ordered,
    Other,
}

impl Which {
    fn of(name: &str) -> Which {
        match name {
            "list" => Which::List,
            "bytearray" => Which::Bytes,
            "dict" => Which::Dict,
            "collections.OrderedDict" => Which::Ordered,
            _ => Which::Other,
        }
    }
}

/// What a fitting copy would save.
struct Fit {
    saving: u64,
    /// The room is what adding leaves.
    may_grow: bool,
}

impl Fit {
    /// Of a table that grew in place: what it really takes.
    fn grown(look: &Look<'_, '_>, node: u32, fitting: u64, may_grow: bool) -> Fit {
        Fit { saving: look.footprint(node).saturating_sub(fitting), may_grow }
    }

    /// Of a table that is made anew for each size: what is asked for.
    fn made(now: u64, fitting: u64, may_grow: bool) -> Fit {
        Fit { saving: rounded(now).saturating_sub(if fitting == 0 { 0 } else { rounded(fitting) }), may_grow }
    }
}

/// Whether nothing but the one place refers to it: what several share is made once.
fn is_own(look: &Look<'_, '_>, node: u32) -> bool {
    look.ownership.objects.refcounts().get(node as usize).is_some_and(|count| count < 3)
}

/// `list_resize`: an eighth and six more.
fn list(look: &Look<'_, '_>, node: u32, capacity: u64, length: u64) -> Option<Fit> {
    let body = look.own(node).checked_sub(capacity.checked_mul(8)?)?;
    let grown = length + length / 8 + 6;
    (capacity > length).then(|| Fit::grown(look, node, rounded(body) + rounded(8 * length), capacity <= grown))
}

fn bytes(look: &Look<'_, '_>, node: u32, capacity: u64, length: u64) -> Option<Fit> {
    let body = look.own(node).checked_sub(capacity)?;
    let fitting = rounded(body) + rounded(length + 1);
    (capacity > length + 1).then(|| Fit::grown(look, node, fitting, capacity <= length + length / 8 + 6))
}

/// Adding to a set makes it two to four times larger than it must be.
fn set(capacity: u64, length: u64) -> Option<Fit> {
    let fits = if length.checked_mul(5)? < (SET_SMALL - 1) * 3 { 0 } else { (2 * length + 1).checked_next_power_of_two()? };
    let grown = (4 * length + 1).checked_next_power_of_two()?;
    (fits < capacity).then(|| Fit::made(capacity.saturating_mul(16), fits.saturating_mul(16), capacity <= grown))
}

fn dict(look: &Look<'_, '_>, node: u32, capacity: u64, length: u64, head: u64, is_dict: bool) -> Option<Fit> {
    let own = look.own(node);
    let places = places_of(capacity)?;
    let fits = places_for(length)?;
    if fits >= places {
        return None;
    }
    let strs = || look.facts.key_types.get(node).is_some_and(|row| look.ownership.type_row_name(row as u32) == "str");
    // The body of a dict itself is known; that of a subclass says nothing of its entries.
    let entry = match is_dict {
        true => *ENTRIES.iter().find(|entry| own == DICT + table(head, places, **entry))?,
        false if head == 32 && strs() => 16,
        false => 24,
    };
    own.checked_sub(table(head, places, entry)).filter(|body| (DICT..=BODY_MOST).contains(body))?;
    Some(Fit::made(table(head, places, entry), table(head, fits, entry), false))
}

/// A dict's table of so many places.
fn table(head: u64, places: u64, entry: u64) -> u64 {
    let index = match places {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    };
    head + places * index + places * 2 / 3 * entry
}

/// The places of a table with room for so many entries: `USABLE_FRACTION`.
fn places_of(capacity: u64) -> Option<u64> {
    let places = capacity.checked_mul(3)?.div_ceil(2).checked_next_power_of_two()?.max(8);
    (places * 2 / 3 == capacity).then_some(places)
}

/// The places of the table that a copy gets: `estimate_log2_keysize`. From 3.10 on `calculate_log2_keysize` makes 16 of what is less than 8, and doubles what is a
/// power of two from 16 on already; what the releases before save more is left out.
fn places_for(length: u64) -> Option<u64> {
    let wanted = length.checked_mul(3)?.checked_add(1)? / 2;
    (((wanted | 8) - 1) | 7).checked_add(1)?.checked_next_power_of_two()
}

/// What stands before the indices in this release: the one of which the sizes of dicts are made.
fn keys_head(look: &Look<'_, '_>) -> Option<u64> {
    /// Dicts that are asked.
    const ASKED: usize = 1000;
    let row = look.ownership.snapshot.types.iter().position(|t| t.name == "dict")? as u32;
    let dicts = look.facts.capacities.iter().filter(|(node, _)| {
        look.type_row(*node) == row && look.length(*node) > 0 && look.facts.shape(*node).form() == Some(Form::Combined)
    });
    let mut found = [0u32; 2];
    for (node, capacity) in dicts.take(ASKED) {
        let Some(places) = places_of(capacity) else { continue };
        for (head, count) in KEYS_HEADS.iter().zip(&mut found) {
            *count += u32::from(ENTRIES.iter().any(|entry| look.own(node) == DICT + table(*head, places, *entry)));
        }
    }
    let [wide, narrow] = found;
    let [wide_head, narrow_head] = KEYS_HEADS;
    match wide.cmp(&narrow) {
        std::cmp::Ordering::Greater => Some(wide_head),
        std::cmp::Ordering::Less => Some(narrow_head),
        std::cmp::Ordering::Equal => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_those_of_dictobject() {
        // sys.getsizeof of dicts with 5, 10, 21 and 200 entries: 3.8 (with hashes), 3.12 (keys are strs).
        let sizes = |head, entry| [8, 16, 32, 512].map(|places| DICT + table(head, places, entry));
        assert_eq!(sizes(40, 24), [232, 360, 640, 9312]);
        assert_eq!(sizes(32, 16), [184, 272, 464, 6576]);
        // dict(x) of x with so many entries, of which more were deleted: 3.12.
        assert_eq!([1, 5, 6, 10, 11, 20, 21, 42, 43, 85].map(places_for), [16, 8, 16, 16, 32, 32, 64, 64, 128, 256].map(Some));
        assert_eq!([5, 10, 21, 42, 85, 6].map(places_of), [Some(8), Some(16), Some(32), Some(64), Some(128), None]);
    }
}
