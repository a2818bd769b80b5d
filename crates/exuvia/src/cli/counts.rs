//! Arguments of `refcounts` and `finalizers`.

use clap::Args;

use super::{Look, Rows, Target};

/// The audit of reference counts: what is held from outside the heap, and what C code may have leaked.
///
/// A count is explained as far as the references were found, in fields of objects, in frames and in the interpreter's
/// state, or by a scan of what has no fields that are known. The rest is held from outside: by C code. Objects that
/// nothing else keeps alive, many of one type with the same unexplained count, are what a C extension leaves behind
/// that forgot to give a reference back. Immortal objects have no count. What a running frame of 3.14 and newer borrows
/// is not counted there, and not here.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia refcounts 4711
  exuvia refcounts --limit 0 4711
  exuvia refcounts -- python3 -c 'rows = [[n] for n in range(999)]'")]
#[command(override_usage = "exuvia refcounts [OPTIONS] PID|FOLDER|CORE\n       exuvia refcounts [OPTIONS] -- PROGRAM [ARGUMENT]...")]
pub(crate) struct Refcounts {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) rows: Rows,
    #[command(flatten)]
    pub(crate) look: Look,
}

/// What runs code when it goes: __del__, weakref.finalize, callbacks, files, sockets, generators; and what is lost.
///
/// Types with a __del__ of Python or of C, with what of them is in reference cycles, is garbage that the collector has
/// not come to, or is kept by C code alone. A way over a module's globals or over a class is not called a cycle. Open
/// files and sockets that nothing live refers to, and what is in gc.garbage, are mistakes. Whether a generator that has
/// not ended stands inside a try cannot be told.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia finalizers 4711
  exuvia finalizers --limit 0 4711
  exuvia finalizers -- python3 -c 'files = [open(\"/dev/null\") for n in range(9)]'")]
#[command(override_usage = "exuvia finalizers [OPTIONS] PID|FOLDER|CORE\n       exuvia finalizers [OPTIONS] -- PROGRAM [ARGUMENT]...")]
pub(crate) struct Finalizers {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) rows: Rows,
    #[command(flatten)]
    pub(crate) look: Look,
}
