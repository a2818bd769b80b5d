//! A probe for builds without debug information: a C file that only includes CPython's headers, compiled with `cc -g`.
//!
//! Holds: which headers are included, and how. Never: reads the probe's DWARF; `dwarf` does, as for any other file.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::trouble::{Doing, Done, Trouble};

/// A compiled probe.
#[derive(Debug)]
pub(crate) struct Probe {
    /// The ELF file with the debug information.
    pub(crate) object: PathBuf,
    /// What `patchlevel.h` says.
    pub(crate) release: String,
}

/// The internal headers that define what a heap reader needs; each release has some of them.
const INTERNAL: &[&str] = &[
    "runtime",
    "interp",
    "pystate",
    "tstate",
    "gc",
    "gil",
    "ceval",
    "ceval_state",
    "frame",
    "interpframe",
    "dict",
    "dict_state",
    "set",
    "list",
    "tuple",
    "long",
    "object",
    "object_state",
    "typeobject",
    "unicodeobject",
    "code",
    "function",
    "genobject",
    "moduleobject",
    "namespace",
    "unionobject",
    "context",
    "hamt",
    "hashtable",
    "obmalloc",
    "pymem",
    "accu",
    "descrobject",
    "typevarobject",
    "freelist",
    "freelist_state",
    "structseq",
    "range",
    "exceptions",
    "global_objects",
    "static_objects",
    "atexit",
    "import",
    "instruments",
    "optimizer",
    "interpframe_structs",
    "stackref",
    "sliceobject",
    "bytesobject",
    "floatobject",
    "asyncio",
    "capsule",
    "cell",
    "weakref",
    "ast_state",
    "warnings",
    "unicode_writer",
];

/// Public headers that Python.h leaves out.
const PUBLIC: &[&str] =
    &["structmember.h", "frameobject.h", "datetime.h", "ucnhash.h", "structseq.h", "longintrepr.h", "cpython/longintrepr.h"];

impl Probe {
    /// Compiles one against the headers in `dir`, into `scratch`.
    pub(crate) fn compile(dir: &Path, scratch: &Path) -> Done<Probe> {
        let release = release(dir)?;
        std::fs::create_dir_all(scratch).doing(scratch.display())?;
        let source = scratch.join(format!("probe-{release}.c"));
        let object = scratch.join(format!("probe-{release}.so"));
        std::fs::write(&source, text()).doing(source.display())?;
        let mut compiler = Command::new("cc");
        // Shared, so that the linker applies the relocations of the debug sections; unused types are what this is all about.
        compiler.args(["-g", "-O0", "-fPIC", "-shared", "-fno-eliminate-unused-debug-types", "-w", "-DPy_BUILD_CORE"]);
        // Debian's pyconfig.h includes the one of the architecture by a path below the include root.
        for include in [dir.to_owned(), dir.join("internal"), dir.join("..")] {
            compiler.arg("-I").arg(include);
        }
        let output = compiler.arg("-o").arg(&object).arg(&source).output().doing("cc")?;
        if !output.status.success() {
            return Err(Trouble::new(format!("cc against {}: {}", dir.display(), String::from_utf8_lossy(&output.stderr))));
        }
        Ok(Probe { object, release })
    }
}

/// The release whose headers `dir` holds.
pub(crate) fn release(dir: &Path) -> Done<String> {
    let path = dir.join("patchlevel.h");
    let text = std::fs::read_to_string(&path).doing(path.display())?;
    text.lines()
        .find_map(|line| line.trim().strip_prefix("#define PY_VERSION")?.trim().strip_prefix('"')?.strip_suffix('"').map(str::to_owned))
        .ok_or_else(|| Trouble::new(format!("{}: no PY_VERSION", path.display())))
}

fn text() -> String {
    let mut text = String::from(
        "#include <Python.h>\n#if defined(Py_DEBUG) || defined(Py_TRACE_REFS) || defined(Py_GIL_DISABLED)\n\
         #error \"tables are made of release builds with the GIL\"\n#endif\n",
    );
    let internal = INTERNAL.iter().map(|name| format!("internal/pycore_{name}.h"));
    for header in PUBLIC.iter().map(|name| (*name).to_owned()).chain(internal) {
        let _ = writeln!(text, "#if __has_include(\"{header}\")\n#include \"{header}\"\n#endif");
    }
    text
}
