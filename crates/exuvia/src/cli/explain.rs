//! Arguments of the commands that explain.

use clap::Args;

use super::{Look, Target};

/// Who holds the memory: the owners, by what would go if they went.
///
/// An owner is an object, or a group of like objects, that keeps alive what nothing else does; it is named by its
/// shortest way from a module, a frame or another root, as Python would write it. Owners never overlap, so their bytes
/// can be added. retained is counted as footprint: what the allocators spend.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia retained 4711
  exuvia retained --limit 50 monday
  exuvia retained -- python3 app.py")]
#[command(override_usage = "exuvia retained [OPTIONS] PID\n       exuvia retained [OPTIONS] -- PROGRAM [ARGUMENT]...")]
pub(crate) struct Retained {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Rows that are shown; 0 shows all [default: a screen of 24 lines, all with --json]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    #[command(flatten)]
    pub(crate) look: Look,
}
