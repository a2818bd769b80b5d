//! Arguments of `exuvia compare`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use super::duration;
use crate::trouble::Trouble;

/// A command under several variants, side by side: memory and time, and whether a difference is more than noise.
///
/// Each variant runs the whole program, once without being measured (files come into the page cache, modules are compiled) and then
/// --repeat times, in rounds of which each has an order of its own. Medians stand with the least and the most. One of the options that
/// name variants is given; the first variant is the base. A difference is told where an exact rank test over all figures of the
/// comparison together finds it (5 % chance to err), from 1 % of memory and 2 % of time on; noise is how far it may be off. Each
/// allocator is proved to be in use by the process, by the word through which it calls malloc; what is not proved has no verdict. A
/// variant that crashes is a row with its reason. What the programs print is dropped.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia compare --allocators glibc,malloc -- python3 -c 'x = [[0]] * 9999'
  exuvia compare --gc default,off -- python3 -c 'x = [[n] for n in range(99)]'
  exuvia compare --against 'python3 -S -c pass' -- python3 -c pass")]
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
    /// Another command, in the words of a shell (quotes, no variables), against the one behind `--`; may be given again
    #[arg(long, value_name = "COMMAND")]
    pub(crate) against: Vec<String>,
    /// Measured runs of each variant [default: 9, more for many variants]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeat: Option<u32>,
    /// A run that takes longer is ended, and counts as failed
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) run_limit: Option<Duration>,
    /// Exit with 1 if peak RSS or time of a later variant is more than so many percent above the base's, beyond noise
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(crate) fail_over: Option<f64>,
    /// Repeats the orders of the rounds of another comparison: its JSON says which
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u32>,
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
    Commands,
}

const TRY: &str = "exuvia compare --allocators glibc,malloc -- python3 app.py";

impl Compare {
    /// What is varied, and the names of the variants; the first is the base.
    pub(crate) fn variants(&self) -> Result<(Dimension, Vec<String>), Trouble> {
        let all = [
            (Dimension::Allocators, "--allocators", &self.allocators),
            (Dimension::Collector, "--gc", &self.gc),
            (Dimension::Pythons, "--pythons", &self.pythons),
            (Dimension::Commands, "--against", &self.against),
        ];
        let given: Vec<_> = all.into_iter().filter(|(_, _, names)| !names.is_empty()).collect();
        let (dimension, names) = match given.as_slice() {
            [(dimension, _, names)] => (*dimension, names.as_slice()),
            [] => {
                let options: Vec<&str> = all.iter().map(|(_, option, _)| *option).collect();
                let why = format!("one of {} names the variants", options.join(", "));
                return Err(Trouble::usage("it is not said what to compare", why, TRY));
            }
            several => {
                let options: Vec<&str> = several.iter().map(|(_, option, _)| *option).collect();
                let why = "if two things differ, no difference can be said to come of one";
                return Err(Trouble::usage(format!("{} were given together", options.join(" and ")), why, TRY));
            }
        };
        if self.program.is_empty() {
            return Err(Trouble::usage("no program was named", "exuvia compare runs one under several variants", TRY));
        }
        let mut names = names.to_vec();
        if dimension == Dimension::Commands {
            let words: Vec<String> = self.program.iter().map(|word| report::text::shell_quoted(&word.to_string_lossy())).collect();
            names.insert(0, words.join(" "));
        }
        if names.len() < 2 {
            return Err(Trouble::usage("there is one variant only", "a comparison needs two, the first is the base", TRY));
        }
        if let Some(name) = names.iter().enumerate().find_map(|(i, name)| names.iter().take(i).any(|n| n == name).then_some(name)) {
            return Err(Trouble::usage(format!("the variant {name} is named twice"), "each is run --repeat times anyway", TRY));
        }
        Ok((dimension, names))
    }
}

/// `5`, `2.5`, `5%`.
fn percent(text: &str) -> Result<f64, String> {
    match text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>() {
        Ok(percent) if percent.is_finite() && percent >= 0.0 => Ok(percent),
        _ => Err("a share is written as 5 or 2.5 (percent)".into()),
    }
}
