//! Arguments of `exuvia compare`.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::duration;
use super::function::Function;
use crate::trouble::Trouble;

/// A command under several variants, side by side: memory and time, and whether a difference is more than noise.
///
/// Each variant runs the whole program, once without being measured (files come into the page cache, modules are compiled) and then
/// --repeat times, in rounds of which each has an order of its own. Medians stand with the least and the most. One of the options that
/// name variants is given; the first variant is the base. A difference is told where an exact test of signed ranks, of the runs of each
/// round, over all figures of the comparison together finds it (5 % chance to err), from 1 % of memory and 2 % of time on; noise is how
/// far it may be off. Each allocator is proved to be in use by the process, by the word through which it calls malloc; what is not proved
/// has no verdict. A variant that crashes is a row with its reason. What the programs print is dropped, and what one leaves running in
/// its process group ends with it.
///
/// A revision is checked out into a folder of its own for as long as it takes (a worktree of git's; yours is not touched), and the
/// program is run there: arguments and PYTHONPATH that name your working tree name that folder, and where a module was imported from
/// yours all the same (an editable installation), there is no verdict. Files that git does not know, and submodules, are not there.
/// After a kill -9 the folder stays: `git worktree list`, `git worktree remove --force FOLDER`.
/// --isolate calls a function once in each fresh process: there, and in a process of its own by multiprocessing.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia compare --allocators glibc,malloc -- python3 -c 'x = [[0]] * 9999'
  exuvia compare --gc default,off -- python3 -c 'x = [[n] for n in range(99)]'
  exuvia compare --against 'python3 -S -c pass' -- python3 -c pass
  exuvia compare --isolate json:loads --input '\"[1, 2, 3]\"'")]
#[command(override_usage = "exuvia compare [OPTIONS] -- PROGRAM [ARGUMENT]...\n       exuvia compare [OPTIONS] --isolate MODULE:FUNCTION")]
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
    /// Revisions of the git repository that this folder is in: v1.2,HEAD; `.` is the working tree as it is
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) revisions: Vec<String>,
    /// A function, called in the process itself and in one of its own: package.module:function or file.py:function
    #[arg(long, value_name = "FUNCTION")]
    pub(crate) isolate: Option<String>,
    /// With --isolate: what the function is called with: JSON, or an expression with the module's names [default: nothing]
    #[arg(long, value_name = "EXPRESSION", requires = "isolate")]
    pub(crate) input: Option<String>,
    /// With --isolate: how a process of its own is started
    #[arg(long, value_enum, default_value_t = StartBy::Spawn, requires = "isolate")]
    pub(crate) start: StartBy,
    /// With --isolate: the interpreter
    #[arg(long, value_name = "PATH", default_value = "python3", requires = "isolate")]
    pub(crate) python: OsString,
    /// Measured runs of each variant [default: 9, up to 30 of what is done in 15 s, more for many variants]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeat: Option<u32>,
    /// A run that takes longer is ended, and counts as failed
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) run_limit: Option<Duration>,
    /// Exit with 1 if peak RSS or time of a later variant is more than so many percent above the base's, beyond noise, or has no verdict
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

/// How multiprocessing starts a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StartBy {
    /// A fresh interpreter, which imports the module again
    Spawn,
    /// A copy of the process, which shares its memory until one of them writes
    Fork,
}

/// What is varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dimension {
    Allocators,
    Collector,
    Pythons,
    Commands,
    Revisions,
    Isolation,
}

/// The variants of `--isolate`.
const ISOLATED: [&str; 2] = [INSIDE, "in a process of its own"];
/// The first of them.
pub(crate) const INSIDE: &str = "inside";

const TRY: &str = "exuvia compare --allocators glibc,malloc -- python3 app.py";

impl Compare {
    /// What is varied, and the names of the variants; the first is the base.
    pub(crate) fn variants(&self) -> Result<(Dimension, Vec<String>), Trouble> {
        let isolated: Vec<String> = self.isolate.iter().flat_map(|_| ISOLATED.map(String::from)).collect();
        let all = [
            (Dimension::Allocators, "--allocators", &self.allocators),
            (Dimension::Collector, "--gc", &self.gc),
            (Dimension::Pythons, "--pythons", &self.pythons),
            (Dimension::Commands, "--against", &self.against),
            (Dimension::Revisions, "--revisions", &self.revisions),
            (Dimension::Isolation, "--isolate", &isolated),
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
        match (dimension, self.program.is_empty()) {
            (Dimension::Isolation, true) => {
                self.function()?;
            }
            (Dimension::Isolation, false) => {
                let why = "--isolate calls a function in a fresh interpreter, and runs no other program";
                return Err(Trouble::usage(
                    "a program was named beside --isolate",
                    why,
                    "exuvia compare --isolate module:function --python python3",
                ));
            }
            (_, true) => return Err(Trouble::usage("no program was named", "exuvia compare runs one under several variants", TRY)),
            (_, false) => {}
        }
        let mut names = names.to_vec();
        if dimension == Dimension::Commands {
            let words: Vec<String> = self.program.iter().map(|word| report::text::shell_quoted(&word.to_string_lossy())).collect();
            names.insert(0, words.join(" "));
        }
        if names.len() < 2 {
            let advice = match dimension {
                Dimension::Collector => "exuvia compare --gc default,off -- python3 app.py",
                Dimension::Pythons => "exuvia compare --pythons python3.12,python3.13 -- python3 app.py",
                Dimension::Revisions => "exuvia compare --revisions HEAD~1,HEAD -- python3 app.py",
                _ => TRY,
            };
            return Err(Trouble::usage("there is one variant only", "a comparison needs two, the first is the base", advice));
        }
        if let Some(name) = names.iter().enumerate().find_map(|(i, name)| names.iter().take(i).any(|n| n == name).then_some(name)) {
            return Err(Trouble::usage(format!("the variant {name} is named twice"), "each is run --repeat times anyway", TRY));
        }
        Ok((dimension, names))
    }

    /// The function of `--isolate`.
    pub(crate) fn function(&self) -> Result<Function, Trouble> {
        const FORM: &str = "exuvia compare --isolate module:function, or file.py:function";
        Function::read("--isolate ", self.isolate.as_deref().unwrap_or_default(), FORM)
    }
}

/// `5`, `2.5`, `5%`.
fn percent(text: &str) -> Result<f64, String> {
    match text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>() {
        Ok(percent) if percent.is_finite() && percent >= 0.0 => Ok(percent),
        _ => Err("a share is written as 5 or 2.5 (percent)".into()),
    }
}
