//! Arguments of `exuvia compare`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use super::duration;
use crate::trouble::Trouble;

/// A command under several variants, side by side: memory and time, and whether a difference is more than noise.
///
/// Each variant runs the whole program, --repeat times; the rounds are interleaved, so that what else the machine does falls on all of
/// them. Medians stand with the least and the most. One of the variants' options is given; the first variant is the base. A verdict is
/// given by an exact rank test over all figures of the comparison together (5 % chance to err), from 1 % of memory and 2 % of time on. Each
/// allocator is proved to be in use by the process, by the word through which it calls malloc; what is not proved has no verdict.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia compare --allocators glibc,arena-max=2,jemalloc,jemalloc+malloc -- python3 app.py
  exuvia compare --gc default,off,freeze,threshold=50000:20:100 -- python3 app.py
  exuvia compare --pythons python3.11,/opt/py/bin/python3.13 -- python3 app.py")]
#[command(override_usage = "exuvia compare [OPTIONS] -- PROGRAM [ARGUMENT]...")]
pub(crate) struct Compare {
    /// glibc, arena-max=N, pymalloc, malloc, mimalloc, jemalloc, tcmalloc; joined: jemalloc+malloc
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) allocators: Vec<String>,
    /// The cyclic collector: default, off, freeze, threshold=50000, threshold=50000:20:100
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) gc: Vec<String>,
    /// Interpreters, each in the place of PROGRAM
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) pythons: Vec<String>,
    /// Runs of each variant
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeat: Option<u32>,
    /// A run that takes longer is ended
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) run_limit: Option<Duration>,
    /// Write JSON, with a versioned schema
    #[arg(long)]
    pub(crate) json: bool,
    /// What is run
    #[arg(last = true, value_name = "PROGRAM")]
    pub(crate) program: Vec<OsString>,
}

/// What is varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dimension {
    Allocators,
    Collector,
    Pythons,
}

impl Compare {
    /// What is varied, and the names of the variants.
    pub(crate) fn variants(&self) -> Result<(Dimension, &[String]), Trouble> {
        const TRY: &str = "exuvia compare --allocators glibc,jemalloc -- python3 app.py";
        if self.program.is_empty() {
            return Err(Trouble::usage("no program was named", "exuvia compare runs one under several variants", TRY));
        }
        let all = [(Dimension::Allocators, &self.allocators), (Dimension::Collector, &self.gc), (Dimension::Pythons, &self.pythons)];
        let mut given = all.into_iter().filter(|(_, names)| !names.is_empty());
        let (Some((dimension, names)), None) = (given.next(), given.next()) else {
            let why = "one of --allocators, --gc and --pythons says what is varied";
            return Err(Trouble::usage("it is not said what to compare, or two things at once", why, TRY));
        };
        if names.len() < 2 {
            return Err(Trouble::usage("there is one variant only", "a comparison needs two, the first is the base", TRY));
        }
        if let Some(name) = names.iter().enumerate().find_map(|(i, name)| names.iter().take(i).any(|n| n == name).then_some(name)) {
            return Err(Trouble::usage(format!("the variant {name} is named twice"), "each is run --repeat times anyway", TRY));
        }
        Ok((dimension, names))
    }
}
