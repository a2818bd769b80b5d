//! Functions of modules that were compiled by Cython, by its release.

use super::{coded, Basic, Kind, Row};
use crate::objects::cython_function::{BEFORE_3, FUSED_BYTES, FUSED_BYTES_BEFORE_3};

const fn function(names: &'static [&'static str], minor: u8, fused: bool, annotations: bool, sizes: &'static [u64]) -> Row {
    coded(names, "", Kind::CythonFunction { minor, fused, annotations }, "", Basic::OneOf(sizes))
}

pub(super) const ROWS: &[Row] = &[
    function(&["cython_function_or_method"], BEFORE_3, false, false, &[184]),
    function(&["fused_cython_function"], BEFORE_3, true, false, &[184 + FUSED_BYTES_BEFORE_3]),
    function(&["_cython_3_0.cython_function_or_method"], 0, false, false, &[192]),
    function(&["_cython_3_0.fused_cython_function"], 0, true, false, &[192 + FUSED_BYTES]),
    function(&["_cython_3_1.cython_function_or_method"], 1, false, false, &[176]),
    function(&["_cython_3_1.fused_cython_function"], 1, true, false, &[176 + FUSED_BYTES]),
    function(&["_cython_3_2_0.cython_function_or_method"], 2, false, false, &[168, 176]),
    function(&["_cython_3_2_0.fused_cython_function"], 2, true, false, &[168 + FUSED_BYTES, 176 + FUSED_BYTES]),
    function(&["_cython_3_2.cython_function_or_method"], 2, false, true, &[168, 176]),
    function(&["_cython_3_2.fused_cython_function"], 2, true, true, &[168 + FUSED_BYTES, 176 + FUSED_BYTES]),
    function(&["_cython_3_3.cython_function_or_method"], 3, false, true, &[160, 168, 176]),
    function(&["_cython_3_3.fused_cython_function"], 3, true, true, &[160 + FUSED_BYTES, 168 + FUSED_BYTES, 176 + FUSED_BYTES]),
];
