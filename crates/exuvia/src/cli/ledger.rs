//! Arguments of `ledger`.

use clap::Args;

use super::{Look, Rows, Target};

/// Where the resident memory is: entries that add up to RSS, and the setting that would give some of it back.
///
/// Objects, the free memory that allocators hold back, native code's memory, stacks, files and shared memory. pymalloc and
/// glibc's malloc are walked block by block. Each number is bytes in memory at the stop; free memory counts only where it is
/// in memory. With --tree: which pages of forked processes went private, and what wrote them. smaps and pagemap are read in the stop, some 40 ms per GB: for polling use /proc/PID/statm.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia ledger 4711
  exuvia ledger --limit 0 4711
  exuvia ledger --tree 4711
  exuvia ledger -- python3 -c 'rows = [[n] for n in range(999)]'")]
#[command(override_usage = "exuvia ledger [OPTIONS] PID|FOLDER|CORE\n       exuvia ledger [OPTIONS] -- PROGRAM [ARGUMENT]...")]
pub(crate) struct Ledger {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The process and all that was forked from it: what each still shares with its parent, and what wrote to the rest
    /// (--children says the same)
    #[arg(long)]
    pub(crate) tree: bool,
    #[command(flatten)]
    pub(crate) rows: Rows,
    #[command(flatten)]
    pub(crate) look: Look,
}
