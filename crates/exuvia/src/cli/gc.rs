//! Arguments of `exuvia gc`.

use clap::Args;

use super::{Look, Rows, Target};

/// The cyclic collector: what it did, what it would find now, and whether gc.freeze() or other thresholds help.
///
/// Generations with thresholds, counts and statistics are those of the module gc. What a collection would walk and find is computed by the
/// collector's own algorithm on the snapshot; gc.collect() returns the same number where no __del__ or callback changes anything. The lines
/// to paste are for this program, and none are shown where nothing would be felt. How fast objects are made cannot be known from one look;
/// rates are those since the process started.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia gc 4711
  exuvia gc --json 4711 | python3 -m json.tool
  exuvia gc -- python3 -c 'rows = [[n] for n in range(999)]'")]
#[command(override_usage = "exuvia gc [OPTIONS] PID|FOLDER|CORE\n       exuvia gc [OPTIONS] -- PROGRAM [ARGUMENT]...")]
pub(crate) struct Gc {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) rows: Rows,
    #[command(flatten)]
    pub(crate) look: Look,
}
