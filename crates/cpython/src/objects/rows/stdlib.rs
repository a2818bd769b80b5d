//! Types of the standard library's C modules.
//!
//! Source: the modules' traverse functions in `Modules/*.c` of 3.8–3.13.

use super::{coded, plain, Basic, Kind, Row};

pub(super) const ROWS: &[Row] = &[
    coded(&["collections.deque"], "dequeobject", Kind::Deque, "", Basic::Size),
    coded(&["collections.defaultdict"], "defdictobject", Kind::Dict, "default_factory", Basic::Size),
    coded(&["collections.OrderedDict"], "PyODictObject", Kind::OrderedDict, "od_inst_dict=__dict__", Basic::Size),
    Row {
        names: &["array.array"],
        structure: "arrayobject",
        kind: Kind::Array,
        fields: "",
        extra: "ob_item allocated ob_descr",
        basic: Basic::Size,
    },
    plain(&["functools.partial"], "partialobject", "fn=func args kw=keywords dict=__dict__"),
    Row {
        names: &["functools._lru_cache_wrapper"],
        structure: "lru_cache_object",
        kind: Kind::LruCache,
        fields: "cache func=__wrapped__ kwd_mark lru_list_elem_type cache_info_type dict=__dict__",
        extra: "",
        basic: Basic::Size,
    },
    plain(&["functools._lru_list_elem"], "lru_list_elem", "key result"),
    Row {
        names: &["_io.BytesIO"],
        structure: "bytesio",
        kind: Kind::BytesIo,
        fields: "dict=__dict__ buf",
        extra: "buf",
        basic: Basic::Size,
    },
    Row {
        names: &["_io.BufferedReader", "_io.BufferedWriter", "_io.BufferedRandom"],
        structure: "buffered",
        kind: Kind::Buffered,
        fields: "raw dict=__dict__",
        extra: "buffer buffer_size",
        basic: Basic::Size,
    },
];
