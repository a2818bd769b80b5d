//! Functions of modules that were compiled by Cython, by its release.
//!
//! Source: `Cython/Utility/CythonFunction.c` of 0.29.37, 3.0.0, 3.0.12, 3.1.4, 3.1.8, 3.2.4, 3.2.5, 3.2.9, 3.3.0 and 3.3.1.

use super::{coded, Basic, Kind, Row};
use crate::objects::catalogue::CythonForm;

/// To 3.0: default values in a block, and everything visited.
const OLD: CythonForm = CythonForm {
    bytes: 192,
    dict: true,
    marker: true,
    defaults_block: true,
    constants_visible: true,
    annotations_visible: false,
    fused: &[],
};
/// 0.29, without the marker.
const OLDER: CythonForm = CythonForm { bytes: 184, marker: false, ..OLD };
/// From 3.1: what can be part of no cycle is not visited (`__Pyx_VISIT_CONST`).
const NEW: CythonForm = CythonForm { bytes: 176, defaults_block: false, constants_visible: false, ..OLD };
/// From 3.2, where Python manages dictionaries.
const MANAGED: CythonForm = CythonForm { bytes: 168, dict: false, ..NEW };
/// From 3.3, where coroutines are marked otherwise; with and without a managed dictionary.
const UNMARKED: CythonForm = CythonForm { bytes: 168, marker: false, ..annotated(NEW) };
const UNMARKED_MANAGED: CythonForm = CythonForm { bytes: 160, dict: false, ..UNMARKED };

/// From 3.2.5: annotations are visited.
const fn annotated(form: CythonForm) -> CythonForm {
    CythonForm { annotations_visible: true, ..form }
}

const fn fused(form: CythonForm) -> CythonForm {
    CythonForm { bytes: form.bytes + 16, fused: &["__signatures__", "__self__"], ..form }
}

/// 0.29 keeps the bound object's class too.
const FUSED_OLDER: CythonForm = CythonForm { bytes: OLDER.bytes + 24, fused: &["__signatures__", "type", "__self__"], ..OLDER };

const fn function(names: &'static [&'static str], forms: &'static [CythonForm], sizes: &'static [u64]) -> Row {
    coded(names, "", Kind::CythonFunction(forms), "", Basic::OneOf(sizes))
}

pub(super) const ROWS: &[Row] = &[
    function(&["cython_function_or_method"], &[OLDER], &[184]),
    function(&["fused_cython_function"], &[FUSED_OLDER], &[208]),
    function(&["_cython_3_0.cython_function_or_method"], &[OLD], &[192]),
    function(&["_cython_3_0.fused_cython_function"], &[fused(OLD)], &[208]),
    function(&["_cython_3_1.cython_function_or_method"], &[NEW], &[176]),
    function(&["_cython_3_1.fused_cython_function"], &[fused(NEW)], &[192]),
    function(&["_cython_3_2_0.cython_function_or_method"], &[MANAGED, NEW], &[168, 176]),
    function(&["_cython_3_2_0.fused_cython_function"], &[fused(MANAGED), fused(NEW)], &[184, 192]),
    function(&["_cython_3_2.cython_function_or_method"], &[annotated(MANAGED), annotated(NEW)], &[168, 176]),
    function(&["_cython_3_2.fused_cython_function"], &[fused(annotated(MANAGED)), fused(annotated(NEW))], &[184, 192]),
    function(&["_cython_3_3.cython_function_or_method"], &[UNMARKED_MANAGED, UNMARKED, annotated(NEW)], &[160, 168, 176]),
    function(&["_cython_3_3.fused_cython_function"], &[fused(UNMARKED_MANAGED), fused(UNMARKED), fused(annotated(NEW))], &[176, 184, 192]),
];
