//! Exceptions: `BaseException_traverse` and its kin in `Objects/exceptions.c`. A class without a struct of its own
//! is read as the nearest base that has one.

use super::{plain, Row};

pub(super) const ROWS: &[Row] = &[
    plain(&["BaseException"], "PyBaseExceptionObject", BASE),
    plain(&["BaseExceptionGroup"], "PyBaseExceptionGroupObject", "dict=__dict__ args notes=__notes__ traceback=__traceback__ context=__context__ cause=__cause__ msg=message excs=exceptions"),
    plain(&["StopIteration"], "PyStopIterationObject", "dict=__dict__ args notes=__notes__ traceback=__traceback__ context=__context__ cause=__cause__ value"),
    plain(&["SystemExit"], "PySystemExitObject", "dict=__dict__ args notes=__notes__ traceback=__traceback__ context=__context__ cause=__cause__ code"),
    plain(&["ImportError"], "PyImportErrorObject", "dict=__dict__ args notes=__notes__ traceback=__traceback__ context=__context__ cause=__cause__ msg name path name_from"),
    plain(&["OSError"], "PyOSErrorObject", "dict=__dict__ args notes=__notes__ traceback=__traceback__ context=__context__ cause=__cause__ myerrno=errno strerror filename filename2"),
    plain(
        &["SyntaxError"],
        "PySyntaxErrorObject",
        "dict=__dict__ args notes=__notes__ traceback=__traceback__ context=__context__ cause=__cause__ msg filename lineno offset end_lineno end_offset text print_file_and_line metadata",
    ),
    plain(&["UnicodeEncodeError", "UnicodeDecodeError", "UnicodeTranslateError"], "PyUnicodeErrorObject", "dict=__dict__ args notes=__notes__ traceback=__traceback__ context=__context__ cause=__cause__ encoding object reason"),
    plain(&["NameError"], "PyNameErrorObject", "dict=__dict__ args notes=__notes__ traceback=__traceback__ context=__context__ cause=__cause__ name"),
    plain(&["AttributeError"], "PyAttributeErrorObject", "dict=__dict__ args notes=__notes__ traceback=__traceback__ context=__context__ cause=__cause__ obj name"),
];

const BASE: &str = "dict=__dict__ args notes=__notes__ traceback=__traceback__ context=__context__ cause=__cause__";
