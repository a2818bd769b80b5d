//! Holds what parity lets off, each by name with its reason: differences from the oracle, and classes of objects beyond it.
//! Never a wildcard over differences that were not looked at: where a type's name does not say enough, a condition does.

use testbed::comparison::{Comparison, Explanation, Kind};

const ALL: std::ops::RangeInclusive<u8> = 8..=15;

/// Classes beyond the standard library that override `__sizeof__`.
const SIZEOF_OWNERS: &[&str] = &[
    "pandas._libs.index.IndexEngine",
    "pandas.core.base.PandasObject",
    "zoo.instances.Sizer",
    "zoo.instances.SizerList",
    "zoo.instances.SizerRaises",
];

/// Differences between exuvia and the interpreter that are right, or that cannot be otherwise.
pub(crate) fn differences() -> Vec<Explanation> {
    vec![
        Explanation {
            kind: Kind::Size,
            type_name: "*",
            minors: ALL,
            when: |d| SIZEOF_OWNERS.contains(&&*d.sizeof_owner),
            reason: "a __sizeof__ outside the standard library: what it would answer cannot be known without running it; shown as derived",
        },
        Explanation {
            kind: Kind::Referents,
            type_name: "module",
            minors: ALL,
            when: |d| d.beyond.is_empty(),
            reason:
                "an extension module tells the collector of its state through a function of its own (m_traverse); that state is scanned",
        },
        Explanation {
            kind: Kind::Referents,
            type_name: "cython_function_or_method",
            minors: ALL,
            when: |d| d.lacks.is_empty() && d.beyond.len() == 1 && ["_common_types_metatype", "type"].contains(&&*d.beyond[0]),
            reason: "Cython's shared function type visits its class or not, as the module that made it first was compiled \
                     (CYTHON_USE_TYPE_SPECS, CallTypeTraverse in Cython/Utility/ExtensionTypes.c)",
        },
        Explanation {
            kind: Kind::Referents,
            type_name: "fused_cython_function",
            minors: ALL,
            when: |d| d.lacks.is_empty() && d.beyond.len() == 1 && ["_common_types_metatype", "type"].contains(&&*d.beyond[0]),
            reason: "Cython's shared function type visits its class or not, as the module that made it first was compiled \
                     (CYTHON_USE_TYPE_SPECS, CallTypeTraverse in Cython/Utility/ExtensionTypes.c)",
        },
        Explanation {
            kind: Kind::Size,
            type_name: "_io.BytesIO",
            minors: 12..=15,
            when: |d| d.detail.starts_with("Some(80) bytes, found"),
            reason: "__sizeof__ counts the buffer while nobody shares it; from 3.12 the collector tells of the buffer, so the oracle \
                     itself holds a reference to it (Modules/_io/bytesio.c, bytesio_traverse, SHARED_BUF)",
        },
    ]
}

/// A class of objects that the oracle cannot reach: how the first step out of its reach is labelled, and the holder's type.
struct Class {
    label: &'static str,
    holder: &'static str,
    /// More than so many in one heap are news that somebody should look at.
    at_most: u64,
    what: &'static str,
}

const fn class(label: &'static str, holder: &'static str, at_most: u64, what: &'static str) -> Class {
    Class { label, holder, at_most, what }
}

const ANY: u64 = u64::MAX;
const NO_TRAVERSE: &str = "C types without a traverse function: the collector cannot ask them";
const NOT_TOLD: &str = "fields that a traverse function leaves out, since they cannot be part of a cycle";
const QUIRK: &str = "3.13.0: a dict that shares its instance's inline values, which the instance does not tell of";

/// `*` stands for any label or any holder.
const CLASSES: &[Class] = &[
    class("*", "code", ANY, "code objects: constants, names, bytecode, tables; the collector does not look into code"),
    class("key", "*", ANY, "str keys, which the collector passes over (Objects/dictobject.c, dict_traverse)"),
    class("__name__", "*", ANY, "names of classes, modules and descriptors"),
    class("__qualname__", "*", ANY, "qualified names of classes and descriptors"),
    class("__slots__", "*", ANY, "the names in __slots__"),
    class("__bases__", "*", ANY, "bases of static types, which the collector does not look into"),
    class("__mro__", "*", ANY, "method resolution order of static types"),
    class("__dict__", "type", ANY, "dicts of static types"),
    class("__dict__", "*", 100, QUIRK),
    class("buf", "*", 100, NOT_TOLD),
    class("cr_origin", "coroutine", 100, NOT_TOLD),
    class("*", "_io.StringIO", 100, NOT_TOLD),
    class("*", "_pickle.Pickler", 100, NOT_TOLD),
    class("*", "_pickle.Unpickler", 100, NOT_TOLD),
    class("*", "_thread._local", 100, NOT_TOLD),
    class("*", "asyncio.events._RunningLoop", 100, NOT_TOLD),
    class("*", "sqlite3.Connection", 100, NOT_TOLD),
    class("*", "sqlite3.Cursor", 100, NOT_TOLD),
    class("*", "zoneinfo.ZoneInfo", 1000, NOT_TOLD),
    class("*", "module", 1000, "what an extension module's state holds beside what its traverse function tells of"),
    class("*", "Struct", 1000, NO_TRAVERSE),
    class("*", "_struct.Struct", 1000, NOT_TOLD),
    class("*", "_csv.Dialect", 100, NO_TRAVERSE),
    class("*", "_json.Scanner", 100, NOT_TOLD),
    class("*", "_sre.SRE_Scanner", 100, NOT_TOLD),
    class("*", "_ssl._SSLSocket", 100, NO_TRAVERSE),
    class("*", "datetime.timezone", 100, NO_TRAVERSE),
    class("*", "longrange_iterator", 100, NO_TRAVERSE),
    class("intern", "pyexpat.xmlparser", 100, "the parser's table of names, which its traverse does not visit (Modules/pyexpat.c)"),
    class("*", "posix.DirEntry", 100, NO_TRAVERSE),
    class("*", "posix.ScandirIterator", 100, NO_TRAVERSE),
    class("*", "range", 1000, NO_TRAVERSE),
    class("*", "re.Match", 100, NO_TRAVERSE),
    class("*", "re.Pattern", 20_000, NO_TRAVERSE),
    class("*", "select.poll", 100, NO_TRAVERSE),
    class("*", "sqlite3.Row", 100, NO_TRAVERSE),
    class("*", "zlib.Decompress", 100, NO_TRAVERSE),
    class("*", "frame", 100, "locals and stacks of running frames, which their frame objects do not tell of"),
    class("*", "numpy.ndarray", 1000, NO_TRAVERSE),
    class("*", "numpy.ma.MaskedArray", 100, NO_TRAVERSE),
    class("*", "numpy.ma.core.MaskedArray", 100, NO_TRAVERSE),
    class("*", "cython_function_or_method", 15_000, NOT_TOLD),
    class("*", "fused_cython_function", 5000, NOT_TOLD),
    class("__subclasses__", "type", 100, NOT_TOLD),
    class(
        "scanned",
        "*",
        1000,
        "what C types without a decoder hold, found by a scan: their traverse leaves out what cannot be part of a cycle",
    ),
    class("a root", "", 5000, "what interpreters, threads, running frames and the static memory of C code hold"),
    class("the collector's lists", "", 1000, "the permanent generation, which gc.get_objects leaves out (3.12.1 fills it at its start)"),
    class("a block that nothing refers to", "", 5, "held by C code in memory of its own, or lost by it"),
    class("a name in _hmac's table", "", 12, "names of hash functions, which module _hmac holds in C structs of its own from 3.14 on"),
];

/// Which bounds hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heap {
    /// The interpreter and its standard library.
    Quiet,
    /// With packages, which hold objects in memory of C, C++, Rust and Cython code that no walk sees.
    Packages,
}

/// Label, holder and bound of the classes that are larger with packages: 7,448 roots, 3,267 blocks, 321 fields and 4,996 scanned ones were seen.
const PACKAGES: &[(&str, &str, u64)] =
    &[("a root", "", 10_000), ("a block that nothing refers to", "", 5000), ("*", "sqlite3.Connection", 1000), ("scanned", "*", 8000)];

/// Objects beyond the oracle whose class nobody named, or that are more than their class explains, one line for each.
pub(crate) fn strangers(comparison: &Comparison, heap: Heap) -> Vec<String> {
    let strange = comparison.extra.iter().filter(|((origin, _), _)| class_of(origin).is_none());
    let mut all: Vec<_> = strange.map(|((origin, type_name), count)| format!("{count:>8} {type_name}: {origin}")).collect();
    for (at, count) in counts(comparison).into_iter().enumerate() {
        let Class { label, holder, at_most, what } = &CLASSES[at];
        let wider = PACKAGES.iter().find(|(l, h, _)| heap == Heap::Packages && (l, h) == (label, holder));
        let at_most = wider.map_or(*at_most, |(_, _, n)| *n);
        if count > at_most {
            all.push(format!("{count:>8}, more than {at_most}: {label} of {holder} ({what})"));
        }
    }
    all
}

/// How many objects beyond the oracle fall in each class, for people.
pub(crate) fn by_class(comparison: &Comparison) -> Vec<(&'static str, u64)> {
    let mut all: Vec<(&'static str, u64)> = Vec::new();
    for (class, count) in CLASSES.iter().zip(counts(comparison)) {
        match all.iter_mut().find(|(what, _)| *what == class.what) {
            Some((_, sum)) => *sum += count,
            None => all.push((class.what, count)),
        }
    }
    all.retain(|(_, count)| *count > 0);
    all
}

fn counts(comparison: &Comparison) -> Vec<u64> {
    let mut all = vec![0; CLASSES.len()];
    for ((origin, _), count) in &comparison.extra {
        if let Some(at) = class_of(origin) {
            all[at] += count;
        }
    }
    all
}

fn class_of(origin: &str) -> Option<usize> {
    let (label, holder) = origin.split_once(" of ").unwrap_or((origin, ""));
    CLASSES.iter().position(|c| (c.label == "*" || c.label == label) && (c.holder == "*" || c.holder == holder))
}
