//! `exuvia containers` on the command line.

use clap::Args;

use super::{Look, Rows, Target};

/// What data structures waste, in bytes, by kind, type and the place that holds them.
///
/// Lists, dicts and sets with more room than items, and empty ones; dicts that all have the same keys; lists of one type of numbers;
/// equal strs, bytes, numbers and tuples; strs that a few characters make wide; and small things that keep big ones alive: views of
/// buffers, calls that wait, tracebacks, closures, partials, tasks that are done, caches without bound. What belongs to Python's own
/// library is left out. Each row says how its saving is known: counted, estimated, at most.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia containers 4711
  exuvia containers --json 4711 | python3 -m json.tool
  exuvia containers -- python3 app.py")]
#[command(override_usage = "exuvia containers [OPTIONS] PID|FOLDER|CORE\n       exuvia containers [OPTIONS] -- PROGRAM [ARGUMENT]...")]
pub(crate) struct Containers {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) rows: Rows,
    #[command(flatten)]
    pub(crate) look: Look,
}
