//! The catalogue: which C type is read how.
//!
//! A row names the type as `tp_name` does, its struct, the kind of code that reads it, and the fields that are
//! references. A field that a release lacks is left out; a type whose `tp_basicsize` is not its struct's size in the
//! proved table is read as opaque. Rows stand in `rows/`, by area.

use std::collections::HashMap;
use std::sync::Arc;

use crate::layout::{rules::Rules, Fields, Layout};

/// Which code reads the part that fields do not say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Fields say all; `object.__sizeof__`.
    Plain,
    /// No decoder: members, dictionary and a scan.
    Opaque,
    /// tuple and struct sequences.
    Tuple,
    /// list.
    List,
    /// dict and defaultdict.
    Dict,
    /// collections.OrderedDict.
    OrderedDict,
    /// set and frozenset.
    Set,
    /// str.
    Str,
    /// int and bool.
    Int,
    /// bytearray.
    ByteArray,
    /// type.
    Type,
    /// code.
    Code,
    /// frame.
    Frame,
    /// generator, coroutine, async_generator.
    Generator,
    /// module.
    Module,
    /// weakref and its proxies.
    Weakref,
    /// PyCapsule, where it is collected: 3.13+.
    Capsule,
    /// collections.deque.
    Deque,
    /// array.array.
    Array,
    /// io.BytesIO.
    BytesIo,
    /// functools.lru_cache.
    LruCache,
    /// struct.Struct.
    Struct,
    /// decimal.Decimal.
    Decimal,
    /// datetime.datetime and datetime.time, whose last field is there only when the one before says so.
    DateTime,
    /// zoneinfo.ZoneInfo.
    ZoneInfo,
    /// pickle.Pickler.
    Pickler,
    /// pickle.Unpickler.
    Unpickler,
    /// To 3.10, sqlite3's cache of statements.
    SqliteCache,
    /// xml.etree.ElementTree.Element.
    Element,
    /// An iterator over such elements.
    ElementIter,
    /// The compiled replacement of `re.sub`.
    Template,
    /// To 3.12, the dict of a ctypes class.
    StgDict,
    /// A ctypes class.
    CtypesType,
    /// A ctypes instance.
    CData,
    /// numpy.ndarray.
    NdArray,
    /// An implementation of one of numpy's casts or loops.
    NumpyMethod,
    /// A function made by Cython, in one of these forms.
    CythonFunction(&'static [CythonForm]),
    /// A scalar of numpy: so many bytes of value, which `__sizeof__` counts once more.
    NumpyScalar(u8),
}

/// How a reference field is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Counted, and `tp_traverse` reports it.
    Visible,
    /// Counted, and `tp_traverse` hides it.
    Hidden,
    /// Not counted here: borrowed, or counted by another object that tells it.
    Weak,
}

/// What a function made by Cython has in one release and on one Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CythonForm {
    /// Bytes of the struct, by which the form is known.
    pub bytes: u64,
    /// The attributes' dictionary, where Python does not manage it.
    pub dict: bool,
    /// The marker of coroutines.
    pub marker: bool,
    /// Default values that are objects stand in a block, not in an object.
    pub defaults_block: bool,
    /// `tp_traverse` visits name, qualified name and code.
    pub constants_visible: bool,
    /// `tp_traverse` visits the annotations.
    pub annotations_visible: bool,
    /// What a fused function has besides; empty for a plain one.
    pub fused: &'static [&'static str],
}

/// One reference field, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldRow {
    /// Offset in the struct.
    pub offset: u64,
    /// Name that is shown.
    pub name: &'static str,
    /// How.
    pub told: Told,
}

/// How many things a block or an array holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Fixed(u64),
    /// What the word at this offset says.
    Word(u64),
    /// What the 32 bits at this offset say.
    Half(u64),
    /// `ob_size` of the object that the field at this offset holds.
    SizeOf(u64),
    /// A C string, with its end.
    CString,
}

/// A block of memory that objects of a type own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Offset of the pointer to it.
    pub pointer: u64,
    /// Things in it.
    pub count: Count,
    /// Bytes of each.
    pub unit: u64,
    /// `__sizeof__` counts it.
    pub sized: bool,
}

/// An array of references, in the body or behind a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array {
    /// Offset of the array or of the pointer to it.
    pub at: u64,
    /// Behind a pointer.
    pub outside: bool,
    /// References; null ones are passed over.
    pub count: Count,
    /// How.
    pub told: Told,
}

/// How instances of one C type are read.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// The code.
    pub kind: Kind,
    /// Size of the struct in the proved table; 0 where the type has none of its own.
    pub size: u64,
    /// Sizes of structs that no table has; empty where any is one.
    pub sizes: &'static [u64],
    /// References.
    pub fields: Box<[FieldRow]>,
    /// Arrays of references.
    pub arrays: Box<[Array]>,
    /// Memory besides the object.
    pub blocks: Box<[Block]>,
    /// Offsets that the kind's code asks for, in the order of its row.
    pub extra: Box<[u64]>,
    /// How the kind's code tells what it finds: hidden where the type has no `tp_traverse`.
    pub told: Told,
    /// `tp_traverse` reports the class, if it is a heap type.
    pub class_visible: bool,
}

impl Decoder {
    /// Whether a type with this `tp_basicsize` can be one of these.
    pub fn fits(&self, basic: u64) -> bool {
        match (self.size, self.sizes) {
            (0, []) => true,
            (0, sizes) => sizes.contains(&basic),
            (size, _) => basic == size,
        }
    }

    /// Whether there is more than fields and code.
    #[inline]
    pub(super) fn has_parts(&self) -> bool {
        !self.arrays.is_empty() || !self.blocks.is_empty()
    }
}

/// A row as written.
///
/// A word of `fields` is `field=shown`, or `field` where the two are the same. A leading `-` marks one that
/// `tp_traverse` hides, `^` one that it reports since the type is a heap type, `%` one that it reports from 3.14 on, `~` one that is
/// not counted.
/// `-ob_type` says that it hides the class. Where a type has no collector's head all are hidden.
pub(super) struct Row {
    /// `tp_name`s, separated by spaces or, where names have spaces, one.
    pub(super) names: &'static [&'static str],
    /// The struct in the tables; empty where only the header is used.
    pub(super) structure: &'static str,
    pub(super) kind: Kind,
    pub(super) fields: &'static str,
    /// `field:count` for references in the body, `*field:count` for ones behind a pointer, marked as fields are.
    /// A count is a number, a field, `4.field` for one of 32 bits, or `@field`: `ob_size` of what that field holds.
    pub(super) arrays: &'static str,
    /// `pointer:count*unit` for blocks that the object owns, `pointer:str` for C strings; a leading `+` marks what
    /// `__sizeof__` counts.
    pub(super) blocks: &'static str,
    /// Fields whose offsets the kind's code asks for; all must exist.
    pub(super) extra: &'static str,
    /// How `tp_basicsize` is compared.
    pub(super) basic: Basic,
}

/// How `tp_basicsize` relates to the struct's size.
#[derive(Clone, Copy)]
pub(super) enum Basic {
    /// Equal.
    Size,
    /// The offset of this field: the struct ends in a flexible or one-item array.
    Field(&'static str),
    /// One of these: of structs that are not CPython's.
    OneOf(&'static [u64]),
    /// Not compared.
    Any,
}

/// The forms of one decoder: by whether the type is collected, and whether it is a heap type.
struct Forms {
    static_collected: Arc<Decoder>,
    heap_collected: Arc<Decoder>,
    uncollected: Arc<Decoder>,
}

/// Decoders by `tp_name`.
pub struct Catalogue {
    by_name: HashMap<&'static str, Forms>,
    opaque: Arc<Decoder>,
}

impl Catalogue {
    /// Resolves every row that the layout has the struct for.
    pub fn new(layout: &Layout) -> Catalogue {
        let mut by_name = HashMap::new();
        for row in super::rows::all() {
            let form = |collected, on_heap| resolve(row, layout, collected, on_heap).map(Arc::new);
            if let (Some(statics), Some(heap), Some(uncollected)) = (form(true, false), form(true, true), form(false, false)) {
                for name in row.names {
                    let (statics, heap, uncollected) = (Arc::clone(&statics), Arc::clone(&heap), Arc::clone(&uncollected));
                    by_name.insert(*name, Forms { static_collected: statics, heap_collected: heap, uncollected });
                }
            }
        }
        let opaque = Arc::new(Decoder {
            kind: Kind::Opaque,
            size: 0,
            sizes: &[],
            fields: Box::new([]),
            arrays: Box::new([]),
            blocks: Box::new([]),
            extra: Box::new([]),
            told: Told::Visible,
            class_visible: true,
        });
        Catalogue { by_name, opaque }
    }

    /// The decoder for a `tp_name`, for a type that is collected or not, on the heap or static.
    pub fn get(&self, name: &str, collected: bool, on_heap: bool) -> Option<&Arc<Decoder>> {
        let forms = match cython_release(name) {
            Some(name) => self.by_name.get(&*name)?,
            None => self.by_name.get(name)?,
        };
        Some(match (collected, on_heap) {
            (false, _) => &forms.uncollected,
            (true, false) => &forms.static_collected,
            (true, true) => &forms.heap_collected,
        })
    }

    /// The decoder for everything else.
    pub fn opaque(&self) -> Arc<Decoder> {
        Arc::clone(&self.opaque)
    }
}

/// `_cython_3_3.…` for the name of a type that Cython 3.3.1 shares between its modules, `_cython_3_3_1.…`. Of 3.2, what
/// changed in 3.2.5 is told apart: `_cython_3_2_0` to 4, `_cython_3_2`.
fn cython_release(name: &str) -> Option<String> {
    let (version, rest) = name.strip_prefix("_cython_")?.split_once('.')?;
    let (first, version) = version.split_once('_')?;
    let (second, third) = version.split_once('_')?;
    let third: u32 = third.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    let early = if (first, second) == ("3", "2") && third < 5 { "_0" } else { "" };
    Some(format!("_cython_{first}_{second}{early}.{rest}"))
}

/// Takes the mark off a word.
fn marked(word: &'static str, collected: bool, on_heap: bool, rules: &Rules) -> (Told, &'static str) {
    let (told, word) = match word.split_at_checked(1) {
        Some(("-", rest)) => (Told::Hidden, rest),
        Some(("~", rest)) => (Told::Weak, rest),
        Some(("^", rest)) if on_heap => (Told::Visible, rest),
        Some(("^", rest)) => (Told::Hidden, rest),
        Some(("%", rest)) if rules.more_is_visited => (Told::Visible, rest),
        Some(("%", rest)) => (Told::Hidden, rest),
        _ => (Told::Visible, word),
    };
    (if told == Told::Visible && !collected { Told::Hidden } else { told }, word)
}

fn count(word: &str, offset: impl Fn(&str) -> Option<u64>) -> Option<Count> {
    if let Ok(n) = word.parse() {
        return Some(Count::Fixed(n));
    }
    Some(match (word.strip_prefix("4."), word.strip_prefix('@')) {
        (Some(half), _) => Count::Half(offset(half)?),
        (None, Some(object)) => Count::SizeOf(offset(object)?),
        (None, None) if word == "ob_size" => Count::Word(Fields::OB_SIZE),
        (None, None) => Count::Word(offset(word)?),
    })
}

fn resolve(row: &'static Row, layout: &Layout, collected: bool, on_heap: bool) -> Option<Decoder> {
    let table = &layout.table;
    let at = |field: &str| table.offset(row.structure, field);
    let mut size = 0;
    if !row.structure.is_empty() {
        size = match row.basic {
            Basic::Size => table.size(row.structure)?,
            Basic::Field(f) => at(f)?,
            Basic::OneOf(_) | Basic::Any => {
                table.size(row.structure)?;
                0
            }
        };
    }
    let mut fields = Vec::new();
    let mut class_visible = true;
    for word in row.fields.split_whitespace() {
        let (told, word) = marked(word, collected, on_heap, &layout.rules);
        let (field, name) = word.split_once('=').unwrap_or((word, word));
        if field == "ob_type" {
            class_visible = false;
        } else if let Some(offset) = at(field) {
            fields.push(FieldRow { offset, name, told });
        }
    }
    let mut arrays = Vec::new();
    for word in row.arrays.split_whitespace() {
        let (told, word) = marked(word, collected, on_heap, &layout.rules);
        let (outside, word) = word.strip_prefix('*').map_or((false, word), |w| (true, w));
        let (field, n) = word.split_once(':')?;
        if let (Some(offset), Some(count)) = (at(field), count(n, at)) {
            arrays.push(Array { at: offset, outside, count, told });
        }
    }
    let mut blocks = Vec::new();
    for word in row.blocks.split_whitespace() {
        let (sized, word) = match (word.strip_prefix('+'), word.strip_prefix('%')) {
            (Some(word), _) => (true, word),
            (None, Some(word)) => (layout.rules.more_is_sized, word),
            (None, None) => (false, word),
        };
        let (field, n) = word.split_once(':')?;
        let (n, unit) = n.split_once('*').map_or((n, "1"), |(n, unit)| (n, unit));
        let things = if n == "str" { Some(Count::CString) } else { count(n, at) };
        if let (Some(pointer), Some(count)) = (at(field), things) {
            blocks.push(Block { pointer, count, unit: unit.parse().ok()?, sized });
        }
    }
    let extra = row.extra.split_whitespace().map(at).collect::<Option<Vec<u64>>>()?;
    Some(Decoder {
        kind: row.kind,
        size,
        sizes: if let Basic::OneOf(sizes) = row.basic { sizes } else { &[] },
        fields: fields.into(),
        arrays: arrays.into(),
        blocks: blocks.into(),
        extra: extra.into(),
        told: if collected { Told::Visible } else { Told::Hidden },
        class_visible,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::layout::tables;

    /// A row that no table resolves is a name that is spelled wrong.
    #[test]
    fn every_row_and_every_word_of_it_resolves_in_some_release() {
        let tables = tables().unwrap();
        let known = |structure: &str, field: &str| field == "ob_size" || tables.iter().any(|t| t.offset(structure, field).is_some());
        for row in super::super::rows::all() {
            let mut words: Vec<&str> = Vec::new();
            for word in row.fields.split_whitespace() {
                let word = word.trim_start_matches(['-', '~', '^', '%']);
                words.push(word.split_once('=').map_or(word, |(field, _)| field));
            }
            for word in row.arrays.split_whitespace().chain(row.blocks.split_whitespace()) {
                let (field, n) = word.split_once(':').unwrap();
                words.push(field.trim_start_matches(['-', '~', '^', '%', '*', '+']));
                let n = n.split_once('*').map_or(n, |(n, _)| n).trim_start_matches("4.").trim_start_matches('@');
                if n != "str" && n.parse::<u64>().is_err() {
                    words.push(n);
                }
            }
            words.extend(row.extra.split_whitespace());
            assert!(
                row.structure.is_empty() || tables.iter().any(|t| t.size(row.structure).is_some()),
                "{:?}: {}",
                row.names,
                row.structure
            );
            for word in words {
                assert!(word == "ob_type" || known(row.structure, word), "{:?}: {}.{word}", row.names, row.structure);
            }
        }
    }
}
