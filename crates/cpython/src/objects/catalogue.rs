//! The catalogue: which C type is read how.
//!
//! A row names the type as `tp_name` does, its struct, the kind of code that reads it, and the fields that are
//! references. A field that a release lacks is left out; a type whose `tp_basicsize` is not its struct's size in the
//! proved table is read as opaque. Rows stand in `rows/`, by area.

use std::collections::HashMap;
use std::sync::Arc;

use crate::layout::Layout;

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
    /// collections.deque.
    Deque,
    /// array.array.
    Array,
    /// io.BytesIO.
    BytesIo,
    /// io.Buffered*.
    Buffered,
    /// functools.lru_cache.
    LruCache,
}

/// One reference field, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldRow {
    /// Offset in the struct.
    pub offset: u64,
    /// Name that is shown.
    pub name: &'static str,
    /// `tp_traverse` reports it.
    pub visible: bool,
}

/// How instances of one C type are read.
#[derive(Debug)]
pub struct Decoder {
    /// The code.
    pub kind: Kind,
    /// Size of the struct in the proved table; 0 where the type has none of its own.
    pub size: u64,
    /// References.
    pub fields: Box<[FieldRow]>,
    /// Offsets that the kind's code asks for, in the order of its row.
    pub extra: Box<[u64]>,
}

impl Decoder {
    /// Whether a type with this `tp_basicsize` can be one of these.
    pub fn fits(&self, basic: u64) -> bool {
        self.size == 0 || basic == self.size
    }
}

/// A row as written.
pub(super) struct Row {
    /// `tp_name`s, separated by spaces or, where names have spaces, one.
    pub(super) names: &'static [&'static str],
    /// The struct in the tables; empty where only the header is used.
    pub(super) structure: &'static str,
    pub(super) kind: Kind,
    /// `field=shown`; a leading `-` marks one that `tp_traverse` hides.
    pub(super) fields: &'static str,
    /// Fields whose offsets the kind's code asks for; all must exist.
    pub(super) extra: &'static str,
    /// What to add to or take from the struct's size to get `tp_basicsize`; `ANY` where it is not compared.
    pub(super) basic: Basic,
}

/// How `tp_basicsize` relates to the struct's size.
#[derive(Clone, Copy)]
pub(super) enum Basic {
    /// Equal.
    Size,
    /// The offset of this field: the struct ends in a flexible or one-item array.
    Field(&'static str),
    /// Not compared.
    Any,
}

/// Decoders by `tp_name`.
pub struct Catalogue {
    by_name: HashMap<&'static str, Arc<Decoder>>,
    opaque: Arc<Decoder>,
}

impl Catalogue {
    /// Resolves every row that the layout has the struct for.
    pub fn new(layout: &Layout) -> Catalogue {
        let mut by_name = HashMap::new();
        for row in super::rows::all() {
            if let Some(decoder) = resolve(row, layout) {
                let decoder = Arc::new(decoder);
                for name in row.names {
                    by_name.insert(*name, Arc::clone(&decoder));
                }
            }
        }
        let opaque = Arc::new(Decoder { kind: Kind::Opaque, size: 0, fields: Box::new([]), extra: Box::new([]) });
        Catalogue { by_name, opaque }
    }

    /// The decoder for a `tp_name`.
    pub fn get(&self, name: &str) -> Option<&Arc<Decoder>> {
        self.by_name.get(name)
    }

    /// The decoder for everything else.
    pub fn opaque(&self) -> Arc<Decoder> {
        Arc::clone(&self.opaque)
    }
}

fn resolve(row: &Row, layout: &Layout) -> Option<Decoder> {
    let table = &layout.table;
    let mut size = 0;
    if !row.structure.is_empty() {
        size = match row.basic {
            Basic::Size => table.size(row.structure)?,
            Basic::Field(f) => table.offset(row.structure, f)?,
            Basic::Any => {
                table.size(row.structure)?;
                0
            }
        };
    }
    let mut fields = Vec::new();
    for word in row.fields.split_whitespace() {
        let (hidden, word) = match word.strip_prefix('-') {
            Some(w) => (true, w),
            None => (false, word),
        };
        let (field, shown) = word.split_once('=').unwrap_or((word, word));
        if let Some(offset) = table.offset(row.structure, field) {
            fields.push(FieldRow { offset, name: shown, visible: !hidden });
        }
    }
    let extra = row.extra.split_whitespace().map(|f| table.offset(row.structure, f)).collect::<Option<Vec<u64>>>()?;
    Some(Decoder { kind: row.kind, size, fields: fields.into(), extra: extra.into() })
}
