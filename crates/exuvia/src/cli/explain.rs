//! Arguments of the commands that explain.

use clap::{Args, ValueEnum};
use memory::Bytes;

use super::{Look, Rows, Target};

/// Who holds the memory: the owners, by what would go if they went.
///
/// An owner is an object, or a group of like objects, that keeps alive what nothing else does; it is named by its
/// shortest way from a module, a frame or another root, as Python would write it. Owners never overlap, so their bytes
/// can be added. retained is counted as footprint: what the allocators spend.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia retained 4711
  exuvia retained --limit 50 4711
  exuvia retained --by module 4711
  exuvia retained -- python3 app.py")]
#[command(override_usage = "exuvia retained [OPTIONS] PID|FOLDER|CORE\n       exuvia retained [OPTIONS] -- PROGRAM [ARGUMENT]...")]
pub(crate) struct Retained {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Sums instead of owners: by the type that retains, by the module that holds, by its distribution
    #[arg(long, value_enum)]
    pub(crate) by: Option<By>,
    #[command(flatten)]
    pub(crate) rows: Rows,
    #[command(flatten)]
    pub(crate) look: Look,
}

/// What sums are made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// What would go if all instances of the type went; types overlap
    Type,
    /// Each object with the module whose globals hold it alone
    Module,
    /// The same by where the module was installed from
    Distribution,
}

impl From<By> for analyses::grouped::By {
    fn from(by: By) -> Self {
        match by {
            By::Type => Self::Type,
            By::Module => Self::Module,
            By::Distribution => Self::Distribution,
        }
    }
}

/// Reference cycles among instances, by shape, and the one edge that would break each.
///
/// A shape is the types and labels around the smallest cycle of objects that all reach each other. garbage is what nothing
/// holds any more: it waits for the collector, and counts in bytes. The edge to break is computed: without it no cycle is
/// left; of several the one is named that points back (parent, owner), that a callback hangs on, or that leads from many
/// to one. Classes, modules and their namespaces are cycles by construction and are left out.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia cycles 4711
  exuvia cycles --json 4711 | python3 -m json.tool
  exuvia cycles -- python3 app.py")]
#[command(override_usage = "exuvia cycles [OPTIONS] PID|FOLDER|CORE\n       exuvia cycles [OPTIONS] -- PROGRAM [ARGUMENT]...")]
pub(crate) struct Cycles {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) rows: Rows,
    #[command(flatten)]
    pub(crate) look: Look,
}

/// Classes without `__slots__` that have many instances, and what naming their attributes would save.
///
/// What an instance takes now is counted: itself, its dict with keys and values, inline values. What it would take with slots is
/// computed for this very release, allocators' rounding included. attributes are those in use; what speaks against it is told:
/// differing attributes, bases without slots, weak references, pickling hooks, class variables of the same name.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia slots 4711
  exuvia slots --json 4711 | python3 -m json.tool
  exuvia slots -- python3 app.py")]
#[command(override_usage = "exuvia slots [OPTIONS] PID|FOLDER|CORE\n       exuvia slots [OPTIONS] -- PROGRAM [ARGUMENT]...")]
pub(crate) struct Slots {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) rows: Rows,
    #[command(flatten)]
    pub(crate) look: Look,
}

/// The command to run first: who holds the memory, what looks like a leak, what to do about it.
///
/// Coverage comes first. Owners are those of `exuvia retained`. Findings are ranked by the bytes that they would save, each with its
/// place in the source where it has one, and how sure it is: counted, estimated, at most. Exit code 1: a --fail limit was crossed.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia explain 4711
  exuvia explain --all 4711
  exuvia explain --children 4711
  exuvia explain --fail-over 500MB -- python3 app.py")]
#[command(override_usage = "exuvia explain [OPTIONS] PID|FOLDER|CORE\n       exuvia explain [OPTIONS] -- PROGRAM [ARGUMENT]...")]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Show every finding, with its evidence; --limit 3 shows three so
    #[arg(long)]
    pub(crate) all: bool,
    /// Exit with 1 if the objects take more than this: 500MB, 2GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) fail_over: Option<Bytes>,
    /// Exit with 1 if one owner retains more than this
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) fail_owner_over: Option<Bytes>,
    #[command(flatten)]
    pub(crate) rows: Rows,
    #[command(flatten)]
    pub(crate) look: Look,
}

/// `500MB`, `2GiB`, `1.5 GB`, `4096`: decimal units by 1000, binary ones by 1024.
pub(super) fn size(s: &str) -> Result<Bytes, String> {
    const FORM: &str = "a size is a number with B, kB, MB, GB, KiB, MiB or GiB: 500MB, 2GiB";
    let split = s.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(s.len());
    let (number, unit) = s.split_at(split);
    let scale = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(FORM.into()),
    };
    match number.trim().parse::<f64>() {
        Ok(n) if n >= 0.0 && n * scale < 1e18 => Ok(Bytes((n * scale) as u64)),
        _ => Err(FORM.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (s, bytes) in [("500MB", 500_000_000), ("2GiB", 2 << 30), ("1.5k", 1500), ("4096", 4096), ("1 MiB", 1 << 20), ("0", 0)] {
            assert_eq!(size(s), Ok(Bytes(bytes)), "{s}");
        }
        for s in ["", "MB", "-1MB", "5TBB", "nan", "inf", "1e30"] {
            assert!(size(s).is_err(), "{s}");
        }
    }
}
