//! Types of the interpreter itself.
//!
//! Source: the `tp_traverse` functions in `Objects/*.c` of 3.8–3.13; a leading `-` marks what they do not visit.

use super::{coded, plain, Basic, Kind, Row};

pub(super) const ROWS: &[Row] = &[
    plain(&["object", "NoneType", "ellipsis", "NotImplementedType"], "PyObject", ""),
    plain(&["float"], "PyFloatObject", ""),
    plain(&["complex"], "PyComplexObject", ""),
    coded(&["bytes"], "PyBytesObject", Kind::Plain, "", Basic::Any),
    coded(&["int", "bool"], "PyLongObject", Kind::Int, "", Basic::Any),
    coded(&["str"], "PyUnicodeObject", Kind::Str, "", Basic::Size),
    coded(&["bytearray"], "PyByteArrayObject", Kind::ByteArray, "", Basic::Size),
    coded(&["tuple"], "PyTupleObject", Kind::Tuple, "", Basic::Field("ob_item")),
    coded(&["list"], "PyListObject", Kind::List, "", Basic::Size),
    coded(&["dict"], "PyDictObject", Kind::Dict, "", Basic::Size),
    coded(&["set", "frozenset"], "PySetObject", Kind::Set, "", Basic::Size),
    coded(&["type"], "PyHeapTypeObject", Kind::Type, "", Basic::Any),
    coded(&["module"], "PyModuleObject", Kind::Module, "md_dict=__dict__ -md_name=__name__", Basic::Size),
    coded(&["code"], "PyCodeObject", Kind::Code, "", Basic::Any),
    coded(&["frame"], "PyFrameObject", Kind::Frame, "", Basic::Any),
    coded(&["generator", "coroutine", "async_generator"], "PyGenObject", Kind::Generator, "", Basic::Any),
    plain(
        &["function"],
        "PyFunctionObject",
        "func_code=__code__ func_globals=__globals__ func_builtins=__builtins__ func_module=__module__ func_defaults=__defaults__ \
         func_kwdefaults=__kwdefaults__ func_doc=__doc__ func_name=__name__ func_qualname=__qualname__ func_dict=__dict__ \
         func_closure=__closure__ func_annotations=__annotations__ func_typeparams=__type_params__",
    ),
    plain(&["method"], "PyMethodObject", "im_func=__func__ im_self=__self__"),
    plain(&["instancemethod"], "PyInstanceMethodObject", "func=__func__"),
    plain(&["builtin_function_or_method"], "PyCFunctionObject", "m_self=__self__ m_module=__module__"),
    coded(
        &["builtin_method"],
        "PyCMethodObject",
        Kind::Plain,
        "func.m_self=__self__ func.m_module=__module__ mm_class=__objclass__",
        Basic::Size,
    ),
    plain(&["cell"], "PyCellObject", "ob_ref=cell_contents"),
    plain(&["property"], "propertyobject", "prop_get=fget prop_set=fset prop_del=fdel prop_doc=__doc__ prop_name=__name__"),
    plain(&["staticmethod"], "staticmethod", "sm_callable=__func__ sm_dict=__dict__"),
    plain(&["classmethod"], "classmethod", "cm_callable=__func__ cm_dict=__dict__"),
    plain(&["mappingproxy"], "mappingproxyobject", "mapping"),
    plain(&["slice"], "PySliceObject", "start stop step"),
    plain(&["range"], "rangeobject", "-start -stop -step -length"),
    plain(&["traceback"], "PyTracebackObject", "tb_next tb_frame"),
    plain(&["super"], "superobject", "obj=__self__ type=__thisclass__ obj_type=__self_class__"),
    coded(&["memoryview"], "PyMemoryViewObject", Kind::Plain, "mbuf", Basic::Field("ob_array")),
    plain(&["managedbuffer"], "_PyManagedBufferObject", "master.obj=obj"),
    coded(&["PyCapsule"], "PyCapsule", Kind::Plain, "", Basic::Size),
    coded(
        &["weakref", "weakref.ReferenceType", "weakproxy", "weakcallableproxy", "weakref.ProxyType", "weakref.CallableProxyType"],
        "PyWeakReference",
        Kind::Weakref,
        "wr_callback=__callback__",
        Basic::Size,
    ),
    plain(
        &["getset_descriptor"],
        "PyGetSetDescrObject",
        "d_common.d_type=__objclass__ -d_common.d_name=__name__ -d_common.d_qualname=__qualname__",
    ),
    plain(
        &["member_descriptor"],
        "PyMemberDescrObject",
        "d_common.d_type=__objclass__ -d_common.d_name=__name__ -d_common.d_qualname=__qualname__",
    ),
    plain(
        &["method_descriptor", "classmethod_descriptor"],
        "PyMethodDescrObject",
        "d_common.d_type=__objclass__ -d_common.d_name=__name__ -d_common.d_qualname=__qualname__",
    ),
    plain(
        &["wrapper_descriptor"],
        "PyWrapperDescrObject",
        "d_common.d_type=__objclass__ -d_common.d_name=__name__ -d_common.d_qualname=__qualname__",
    ),
    plain(&["method-wrapper"], "wrapperobject", "descr self=__self__"),
    plain(&["types.GenericAlias"], "gaobject", "origin=__origin__ args=__args__ parameters=__parameters__"),
    plain(&["types.UnionType"], "unionobject", "args=__args__ parameters=__parameters__"),
    plain(&["types.SimpleNamespace"], "_PyNamespaceObject", "ns_dict=__dict__"),
    plain(&["dict_keys", "dict_values", "dict_items", "odict_keys", "odict_values", "odict_items"], "_PyDictViewObject", "dv_dict=mapping"),
];
