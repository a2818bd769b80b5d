//! ctypes.
//!
//! Source: `Modules/_ctypes/*.c` of 3.8–3.13.

use super::{coded, plain, Basic, Kind, Row};

/// Where an instance says whose its memory is.
const MEMORY: &str = "b_ptr b_needsfree b_size b_value";

pub(super) const ROWS: &[Row] = &[
    Row {
        extra: "length ffi_type_pointer.elements format ndim shape proto flags",
        ..coded(&["StgDict"], "StgDictObject", Kind::StgDict, "-argtypes -converters -restype -checker", Basic::Size)
    },
    coded(&["_ctypes.PyCPointerType"], "StgDictObject", Kind::CtypesType, "", Basic::Any),
    coded(&["_ctypes.CType_Type"], "StgInfo", Kind::CtypesType, "", Basic::Any),
    Row {
        extra: MEMORY,
        ..coded(
            &["_ctypes._CData", "_ctypes.Structure", "_ctypes.Union", "_ctypes.Array", "_ctypes._SimpleCData", "_ctypes._Pointer"],
            "CDataObject",
            Kind::CData,
            "b_base=_b_base_ b_objects=_objects",
            Basic::Size,
        )
    },
    Row {
        extra: MEMORY,
        ..coded(
            &["_ctypes.PyCFuncPtr", "_ctypes.CFuncPtr"],
            "PyCFuncPtrObject",
            Kind::CData,
            "b_base=_b_base_ b_objects=_objects callable restype checker errcheck argtypes converters paramflags thunk",
            Basic::Size,
        )
    },
    plain(&["CArgObject", "_ctypes.CArgObject"], "PyCArgObject", "obj"),
    plain(&["_ctypes.CField"], "CFieldObject", "proto"),
    plain(&["_ctypes.CThunkObject"], "CThunkObject", "converters callable restype"),
    plain(&["_ctypes.DictRemover"], "DictRemoverObject", "key dict"),
    plain(&["StructParam_Type", "_ctypes.StructParam_Type"], "StructParamObject", "keep"),
];
