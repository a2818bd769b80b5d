//! Arguments of `refcounts`.

use clap::Args;

use super::{Look, Target};

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
#[command(override_usage = "exuvia refcounts [OPTIONS] PID\n       exuvia refcounts [OPTIONS] -- PROGRAM [ARGUMENT]...")]
pub(crate) struct Refcounts {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Types that are shown; 0 shows all [default: a screen of 24 lines, all with --json]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    #[command(flatten)]
    pub(crate) look: Look,
}
