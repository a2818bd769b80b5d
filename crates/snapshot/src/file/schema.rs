//! Every table and column of a snapshot, in one list: what is written, what is read, and what the page documents.

use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::errors::Result;
use parquet::schema::types::{Type, TypePtr};

/// One table: a file `NAME.parquet`.
#[derive(Debug)]
pub struct TableSpec {
    /// The file's name, without its ending.
    pub name: &'static str,
    /// What one row is.
    pub row: &'static str,
    /// Its columns, in the order of the file.
    pub columns: &'static [ColumnSpec],
}

/// One column.
#[derive(Debug)]
pub struct ColumnSpec {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether a row may have none (NULL).
    pub optional: bool,
    /// Whether a folder of format 1 may lack it: it was added later.
    pub added: bool,
    /// What it means.
    pub meaning: &'static str,
}

/// What a column holds, and how it is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A small code or number of which few differ: unsigned, 32 bits, by a dictionary.
    Code,
    /// A row's number: unsigned, 32 bits, by differences.
    Row,
    /// A number of which few differ: unsigned, 64 bits, by a dictionary.
    Size,
    /// An address: unsigned, 64 bits, by differences.
    Address,
    /// A number of which most differ: unsigned, 64 bits, as it is.
    Hash,
    /// Yes or no.
    Flag,
    /// UTF-8, by a dictionary.
    Text,
}

impl Kind {
    /// The type as SQL engines show it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Code | Kind::Row => "uint32",
            Kind::Size | Kind::Address | Kind::Hash => "uint64",
            Kind::Flag => "boolean",
            Kind::Text => "text",
        }
    }

    pub(crate) fn by_differences(self) -> bool {
        matches!(self, Kind::Row | Kind::Address)
    }
}

impl TableSpec {
    /// The name of its file.
    pub fn file(&self) -> String {
        format!("{}.parquet", self.name)
    }

    /// The place of a column.
    pub(crate) fn place(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == column)
    }

    pub(crate) fn parquet(&self) -> Result<TypePtr> {
        let fields = self.columns.iter().map(|c| {
            let repetition = if c.optional { Repetition::OPTIONAL } else { Repetition::REQUIRED };
            let unsigned = |bit_width| Some(LogicalType::integer(bit_width, false));
            let (physical, logical) = match c.kind {
                Kind::Code | Kind::Row => (Physical::INT32, unsigned(32)),
                Kind::Size | Kind::Address | Kind::Hash => (Physical::INT64, unsigned(64)),
                Kind::Flag => (Physical::BOOLEAN, None),
                Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            };
            Type::primitive_type_builder(c.name, physical).with_repetition(repetition).with_logical_type(logical).build().map(Arc::new)
        });
        Type::group_type_builder("row").with_fields(fields.collect::<Result<_>>()?).build().map(Arc::new)
    }
}

/// The table of this name, which is one of [`TABLES`].
pub(crate) fn table(name: &str) -> Option<&'static TableSpec> {
    TABLES.iter().find(|t| t.name == name)
}

const fn column(name: &'static str, kind: Kind, meaning: &'static str) -> ColumnSpec {
    ColumnSpec { name, kind, optional: false, added: false, meaning }
}

const fn optional(name: &'static str, kind: Kind, meaning: &'static str) -> ColumnSpec {
    ColumnSpec { name, kind, optional: true, added: false, meaning }
}

/// A column that folders of format 1 did not have at first.
const fn added(column: ColumnSpec) -> ColumnSpec {
    ColumnSpec { added: true, ..column }
}

/// Every table of a snapshot.
pub const TABLES: &[TableSpec] = &[
    TableSpec {
        name: "meta",
        row: "one fact about the target, the look or its coverage",
        columns: &[
            column("key", Kind::Text, "what it says: `target.pid`, `coverage.objects`, `gap.torn-object`"),
            column("value", Kind::Text, "its value, numbers in decimal"),
        ],
    },
    TableSpec {
        name: "types",
        row: "one type that has an instance, with the sums over its instances",
        columns: &[
            column("type", Kind::Row, "its number, which `objects.type` and `labels.type` refer to"),
            column("name", Kind::Text, "module and name: `dict`, `app.models.Session`; several classes may have one"),
            column("address", Kind::Address, "where the type object lies"),
            column("count", Kind::Size, "instances found"),
            column("own_bytes", Kind::Size, "what `sys.getsizeof` would say of them, summed"),
            column("footprint_bytes", Kind::Size, "what the allocators spend for them, summed"),
            column("known", Kind::Text, "how sizes and references are known: `exact`, `derived`, `scanned`"),
            optional(
                "content",
                Kind::Text,
                "what `objects.length` counts: `char`, `byte`, `item`; `hidden` for numbers, which have no length",
            ),
            added(optional("first_line", Kind::Code, "the line on which its class statement begins, `__firstlineno__`; NULL before 3.13")),
            added(optional(
                "finalizer",
                Kind::Text,
                "what runs when an instance goes: `tp_finalize` (`__del__`, and types of C), `tp_del` (of C, which the collector does not run)",
            )),
        ],
    },
    TableSpec {
        name: "objects",
        row: "one object; rows are in the order of addresses",
        columns: &[
            column("object", Kind::Row, "its number, which references refer to: the row's place, from 0"),
            column("address", Kind::Address, "where it lies, as `id()` says"),
            column("type", Kind::Code, "its type, a `types.type`"),
            column("own_bytes", Kind::Size, "what `sys.getsizeof` would say"),
            column("footprint_bytes", Kind::Size, "what the allocators spend for it"),
            column("refcount", Kind::Size, "the count in its header, without meaning where it is immortal"),
            column("collector", Kind::Code, "what the collector knows: 0 without header, 1 untracked, 2 to 4 generation 0 to 2, 5 frozen"),
            column("found", Kind::Code, "who named it first: 0 the collector's lists, 1 a reference, 2 a root, 3 its block alone"),
            column("immortal", Kind::Flag, "whether its count means nothing, because it lives as long as the interpreter"),
            optional(
                "length",
                Kind::Size,
                "how many chars, bytes or items it has; of a memoryview and of a numpy array the bytes that it shows",
            ),
            optional("name", Kind::Text, "its own name, of a module, class, function, generator or code"),
            optional("value", Kind::Text, "its value, cut to 60 characters; only with `--values`"),
            added(optional(
                "capacity",
                Kind::Size,
                "for how many items, entries or bytes a list, dict, set, deque, array or bytearray has room; of a set the places of its table",
            )),
            added(optional("used", Kind::Size, "places taken in a dict's or set's table, by deleted entries too")),
            added(optional(
                "form",
                Kind::Text,
                "of a str `ascii`, `latin-1` (1 byte a character), `ucs-2`, `ucs-4`; of a dict `combined` or `split` (its keys are shared with \
                 others of its class); of a set `small` (its table is in the object) or `table`",
            )),
            added(column("interned", Kind::Flag, "whether it is an interned str")),
            added(optional(
                "attributes",
                Kind::Text,
                "where its own attributes are: `dict`, `values` (an array, without a dict), `values-and-dict`, `none` (it has none yet); \
                 NULL where it can have none",
            )),
            added(column("weakly_held", Kind::Flag, "whether a weak reference to it exists")),
            added(optional(
                "item_type",
                Kind::Code,
                "the one type of all items of a list, tuple or deque, members of a set, values of a dict, a `types.type`; NULL where they are \
                 of several or there are none",
            )),
            added(optional("key_type", Kind::Code, "the one type of all keys of a dict, likewise")),
            added(optional("key_set", Kind::Size, "a number for the keys of a dict and their order; see *Fingerprints*")),
            added(optional("fingerprint", Kind::Hash, "a number for the value of a str, bytes, int, float, tuple; see *Fingerprints*")),
            added(optional(
                "wide",
                Kind::Size,
                "how many characters make a str wide: above U+00FF of a `ucs-2`, above U+FFFF of a `ucs-4`; NULL of any other",
            )),
            added(optional("encoded", Kind::Size, "how many bytes a `ucs-2` or `ucs-4` would have as UTF-8")),
        ],
    },
    TableSpec {
        name: "labels",
        row: "what references of one kind from instances of one type have in common",
        columns: &[
            column("label", Kind::Row, "its number, which `references.label` refers to"),
            column("type", Kind::Code, "the holders' type, a `types.type`"),
            column(
                "kind",
                Kind::Text,
                "`type`, `attribute`, `slot`, `field`, `base`, `index`, `member`, `key`, `value`, `cell`, `local`, `stack`, `scanned`",
            ),
            optional("name", Kind::Text, "the name of the attribute, slot, field or variable"),
            column("certain", Kind::Flag, "whether a field says so; else a scan found it, and it may be a leftover"),
            column("count", Kind::Size, "how many references have it"),
            added(column("traversed", Kind::Flag, "whether the cyclic collector is told of it (`tp_traverse`)")),
        ],
    },
    TableSpec {
        name: "references",
        row: "one reference from an object to another; row groups are by holder, within one those of a label stand together",
        columns: &[
            column("label", Kind::Row, "its label, a `labels.label`"),
            column("holder", Kind::Row, "the object that holds, an `objects.object`"),
            column("target", Kind::Row, "the object that is held, an `objects.object`"),
            column("position", Kind::Row, "place of an index, key, value, base or stack entry, offset of what a scan found; else 0"),
        ],
    },
    TableSpec {
        name: "roots",
        row: "one reference to an object from the interpreter's own state",
        columns: &[
            column("root", Kind::Text, "what holds: `thread 0x7f…, frame of shop.cache.put`"),
            column("kind", Kind::Text, "as `labels.kind`"),
            optional("name", Kind::Text, "as `labels.name`"),
            column("position", Kind::Row, "as `references.position`"),
            column("certain", Kind::Flag, "as `labels.certain`"),
            column("target", Kind::Row, "the object that is held, an `objects.object`"),
        ],
    },
    TableSpec {
        name: "modules",
        row: "one module object",
        columns: &[
            column("object", Kind::Row, "its `objects.object`"),
            column("name", Kind::Text, "its name"),
            added(optional("file", Kind::Text, "its `__file__`, or else what its spec tells as its origin: `built-in`, `frozen`")),
        ],
    },
    TableSpec {
        name: "threads",
        row: "one thread of Python",
        columns: &[
            column("thread", Kind::Row, "its number, which `frames.thread` refers to"),
            column("interpreter", Kind::Code, "its interpreter, 0 for the main one"),
            column("address", Kind::Address, "its `PyThreadState`"),
            column("thread_id", Kind::Size, "`threading.get_ident()`"),
        ],
    },
    TableSpec {
        name: "frames",
        row: "one frame of a thread",
        columns: &[
            column("thread", Kind::Row, "a `threads.thread`"),
            column("depth", Kind::Row, "0 for the innermost"),
            column("address", Kind::Address, "where it lies"),
            column("function", Kind::Text, "its function's name"),
            column("file", Kind::Text, "its function's file"),
            column("first_line", Kind::Code, "the line on which its function begins"),
            added(optional("line", Kind::Code, "the line that it is on, as `f_lineno` says")),
        ],
    },
    TableSpec {
        name: "code",
        row: "one code object",
        columns: &[
            column("object", Kind::Row, "its `objects.object`"),
            column("name", Kind::Text, "its name, qualified from 3.11 on"),
            column("file", Kind::Text, "the file that it was compiled from"),
            column("first_line", Kind::Code, "the line on which it begins"),
        ],
    },
    TableSpec {
        name: "regions",
        row: "one mapping of the target's memory; a file's `.bss` and what the kernel joined to it are two",
        columns: &[
            column("start", Kind::Address, "its first address"),
            column("end", Kind::Address, "one past its last"),
            column("rights", Kind::Text, "as /proc writes them: `rw-p`"),
            column("offset", Kind::Size, "where it begins in its file"),
            column("path", Kind::Text, "file or name; empty for anonymous memory"),
        ],
    },
    TableSpec {
        name: "calls",
        row: "one generator, coroutine or async generator that is not at its end",
        columns: &[
            column("object", Kind::Row, "its `objects.object`"),
            column("name", Kind::Text, "its qualified name"),
            optional("code", Kind::Row, "its code object, a `code.object`"),
            optional("globals", Kind::Row, "its globals, the `__dict__` of a module as a rule"),
            optional("line", Kind::Code, "the line on which it stands; its first one where it has not begun"),
            added(optional("inside", Kind::Text, "what it stands in: `finally`, `with`, `except`, or a `try` of which no more is known")),
            added(column("begun", Kind::Flag, "whether it ran at least to its first pause")),
        ],
    },
    TableSpec {
        name: "tasks",
        row: "one task of asyncio",
        columns: &[column("object", Kind::Row, "its `objects.object`"), column("name", Kind::Text, "what `get_name()` says")],
    },
    TableSpec {
        name: "bounds",
        row: "one deque with a `maxlen`, or one functools.lru_cache",
        columns: &[
            column("object", Kind::Row, "its `objects.object`"),
            optional("bound", Kind::Size, "how many it holds at most; NULL for an lru_cache without `maxsize`"),
        ],
    },
    TableSpec {
        name: "weakrefs",
        row: "one weak reference or proxy; it does not hold what it refers to",
        columns: &[
            column("object", Kind::Row, "its `objects.object`"),
            optional("referent", Kind::Row, "what it refers to, an `objects.object`; NULL where that is gone or was not found"),
            column("dead", Kind::Flag, "whether what it referred to is gone"),
            optional("callback", Kind::Row, "what is called when its referent goes, an `objects.object`"),
        ],
    },
];

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_table_and_column_as_they_are() {
        let page = include_str!("../../../../docs/snapshot-format.md");
        let mut wanted = String::new();
        for t in TABLES {
            wanted += &format!("### {}\n\n{}.\n\n| column | type | meaning |\n| --- | --- | --- |\n", t.name, capital(t.row));
            for c in t.columns {
                let or_null = if c.optional { " or NULL" } else { "" };
                wanted += &format!("| `{}` | {}{or_null} | {} |\n", c.name, c.kind.word(), c.meaning);
            }
            wanted.push('\n');
        }
        let (_, rest) = page.split_once("<!-- tables -->\n\n").expect("the page has a mark");
        let (found, _) = rest.split_once("<!-- end of tables -->").expect("the page has a second mark");
        assert!(found == wanted, "docs/snapshot-format.md should have between its marks:\n{wanted}");
    }

    fn capital(row: &str) -> String {
        let mut letters = row.chars();
        letters.next().map(|c| c.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
    }

    #[test]
    fn names_are_unique_and_every_table_has_a_schema() {
        for t in TABLES {
            let mut names: Vec<_> = t.columns.iter().map(|c| c.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), t.columns.len(), "{}", t.name);
            assert_eq!(t.parquet().unwrap().get_fields().len(), t.columns.len());
        }
    }
}
