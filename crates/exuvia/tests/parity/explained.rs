//! Holds what parity lets off, each by name with its reason: differences from the oracle, and classes of objects beyond it.
//! Never a wildcard over differences that were not looked at: where a type's name does not say enough, a condition does.

use testbed::comparison::{Comparison, Explanation, Kind};

const ALL: std::ops::RangeInclusive<u8> = 8..=13;

/// Classes beyond the standard library that override `__sizeof__`.
const SIZEOF_OWNERS: &[&str] = &[
    "numpy.generic",
    "numpy.ndarray",
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
            type_name: "*",
            minors: 13..=13,
            when: |d| d.beyond == ["dict"],
            reason: "3.13.0: an instance whose __dict__ still shares its inline values tells of these and not of the dict \
                     (Objects/typeobject.c, subtype_traverse; later releases tell of the dict)",
        },
        Explanation {
            kind: Kind::Referents,
            type_name: "dict",
            minors: 13..=13,
            when: |d| d.lacks.is_empty() && d.detail.contains(" of 0; "),
            reason: "3.13.0: the other side of the same: such a dict tells of nothing (Objects/dictobject.c, dict_traverse)",
        },
        Explanation {
            kind: Kind::Size,
            type_name: "list",
            minors: ALL,
            when: |d| d.detail.ends_with("bytes, found 56") && d.detail.starts_with("Some(48)"),
            reason: "a list that is being sorted is empty and its allocated is -1, which getsizeof multiplies (Objects/listobject.c)",
        },
    ]
}

/// A class of objects that the oracle cannot reach: how the first step out of its reach is labelled, and the holder's type.
struct Class {
    label: &'static str,
    holder: &'static str,
    what: &'static str,
}

const fn class(label: &'static str, holder: &'static str, what: &'static str) -> Class {
    Class { label, holder, what }
}

/// `*` as holder stands for any type, as label for any label.
const CLASSES: &[Class] = &[
    class("*", "code", "code objects: constants, names, bytecode, tables; the collector does not look into code"),
    class("key", "*", "str keys, which the collector passes over (Objects/dictobject.c, dict_traverse)"),
    class("__name__", "*", "names of classes, modules and descriptors"),
    class("__qualname__", "*", "qualified names of classes and descriptors"),
    class("__slots__", "*", "the names in __slots__"),
    class("__bases__", "*", "bases of static types, which the collector does not look into"),
    class("__mro__", "*", "method resolution order of static types"),
    class("__dict__", "type", "dicts of static types"),
];

/// Objects beyond the oracle whose class nobody named, one line for each class.
pub(crate) fn strangers(comparison: &Comparison) -> Vec<String> {
    let strange = comparison.extra.iter().filter(|((origin, _), _)| class_of(origin).is_none());
    strange.map(|((origin, type_name), count)| format!("{count:>8} {type_name}: {origin}")).collect()
}

/// How many objects beyond the oracle fall in each class, for people.
pub(crate) fn by_class(comparison: &Comparison) -> Vec<(&'static str, u64)> {
    let mut all: Vec<(&'static str, u64)> = CLASSES.iter().map(|c| (c.what, 0)).collect();
    for ((origin, _), count) in &comparison.extra {
        if let Some(at) = class_of(origin) {
            all[at].1 += count;
        }
    }
    all.retain(|(_, count)| *count > 0);
    all
}

fn class_of(origin: &str) -> Option<usize> {
    let (label, holder) = origin.split_once(" of ").unwrap_or((origin, ""));
    CLASSES.iter().position(|c| (c.label == "*" || c.label == label) && (c.holder == "*" || c.holder == holder))
}
