//! numpy: arrays and scalars. Its structs are its own: sizes are taken from the types.
//!
//! Source: `numpy/core/src/multiarray/scalartypes.c.src` (`gentype_sizeof` counts the value besides the basic size) of 1.x
//! and 2.x.

use super::{coded, Basic, Kind, Row};

const fn scalar(names: &'static [&'static str], bytes: u8) -> Row {
    coded(names, "", Kind::NumpyScalar(bytes), "", Basic::Any)
}

pub(super) const ROWS: &[Row] = &[
    coded(&["numpy.ndarray"], "", Kind::NdArray, "", Basic::Any),
    coded(&["numpy._ArrayMethod"], "", Kind::NumpyMethod, "", Basic::OneOf(crate::objects::numpy_method::SIZES)),
    scalar(&["numpy.bool", "numpy.bool_", "numpy.int8", "numpy.uint8"], 1),
    scalar(&["numpy.float16", "numpy.int16", "numpy.uint16"], 2),
    scalar(&["numpy.float32", "numpy.int32", "numpy.uint32", "numpy.intc", "numpy.uintc"], 4),
    scalar(
        &[
            "numpy.float64",
            "numpy.int64",
            "numpy.uint64",
            "numpy.longlong",
            "numpy.ulonglong",
            "numpy.complex64",
            "numpy.datetime64",
            "numpy.timedelta64",
        ],
        8,
    ),
    scalar(&["numpy.longdouble", "numpy.float128", "numpy.complex128"], 16),
    scalar(&["numpy.clongdouble", "numpy.complex256"], 32),
];
