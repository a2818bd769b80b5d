//! Arguments: what the commands take, how they explain themselves, and how wrong ones are refused.

mod chosen;
mod compare;
mod containers;
mod counts;
mod diff;
mod explain;
mod function;
mod gc;
mod imports;
mod ledger;
mod names;
mod refusal;
mod scale;
mod weakrefs;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use analyses::SortBy;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use memory::Addr;

use self::chosen::{named, named_or_several};
pub(crate) use self::chosen::{Chosen, Core, Named, Places};
pub(crate) use self::compare::{Compare, Dimension};
#[cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), allow(unused_imports))]
pub(crate) use self::compare::{StartBy, INSIDE};
pub(crate) use self::containers::Containers;
pub(crate) use self::counts::{Finalizers, Refcounts};
pub(crate) use self::diff::{shown, Compared, Diff};
pub(crate) use self::explain::{Cycles, Explain, Retained, Slots};
pub(crate) use self::function::Function;
pub(crate) use self::gc::Gc;
pub(crate) use self::imports::Imports;
pub(crate) use self::ledger::Ledger;
pub(crate) use self::names::{Path, Sizes};
use self::refusal::refusal;
pub(crate) use self::scale::Scale;
pub(crate) use self::weakrefs::Weakrefs;
use crate::trouble::Trouble;

/// Parses the command line; help and version are printed here.
pub(crate) fn parse() -> Result<Cli, Trouble> {
    let args: Vec<OsString> = std::env::args_os().collect();
    Cli::try_parse_from(&args).map_err(|e| match e.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match e.print() {
            Ok(()) => Trouble::answered(),
            Err(e) => e.into(),
        },
        _ => refusal(&e, args.get(1)),
    })
}

/// The first page.
const HELP: &str = "\
{about}

Usage: exuvia [COMMAND] [OPTIONS] [PID] [-- PROGRAM …]{after-help}

Options:
{options}";

/// The commands by question, in the words of the project, on one screen.
const SHORT_HELP: &str = "\
See      what a Python process holds: types, objects, object, snapshot, doctor
Explain  who holds it, run the first one first:
         explain, ledger, retained, refcounts, cycles, path, finalizers,
         weakrefs, gc, sizes
Shrink   what would make it smaller: containers, slots
Prove    the difference: diff, compare, imports, scale

exuvia --help says more, exuvia COMMAND --help explains a command.";

/// The same with a line for each command, and what `-h` leaves out.
const LONG_HELP: &str = "\
See: what a Python process holds
  types       how many instances each type has, and what they cost
  objects     the objects one by one, biggest first
  object      one object: what it refers to, what refers to it
  snapshot    a process's heap as a folder, for later and for SQL
  doctor      what works here and on a process, and what to do where it does not

Explain: who holds it
  explain     run this first: owners, suspects, what to do
  ledger      where the resident memory is: entries that add up to RSS
  retained    the owners, by what would go if they went
  refcounts   what C code holds, and what it may have leaked
  cycles      reference cycles by shape, and where to break them
  path        why something is alive: its ways from roots
  finalizers  what runs code when it goes, and what is lost
  weakrefs    weak references and containers, and what pins them
  gc          the collector: what it did, what it would find, what to set
  sizes       how big something is: own, footprint, deep, retained

Shrink: what would make it smaller
  containers  what lists, dicts, strs and what they hold waste, in bytes
  slots       classes that __slots__ would make smaller, in bytes

Prove: the difference
  diff        what came, went, stayed and grows between looks
  compare     a program under allocators, settings, interpreters, side by side
  imports     what each import costs, and what could wait until it is used
  scale       how a function's time and memory grow with its input's size

A TARGET is a process id (4711 or -p 4711) or the name of a Python process (gunicorn,
app.py), a program to start and look at before it ends (-- python3 app.py), a folder
made by exuvia snapshot, or a core file. --children takes all processes that descend
from it, too: types sums them, the others answer for each. exuvia alone lists the
Python processes that it may read. exuvia COMMAND --help explains a command and has
an example.

What it does to the target (docs/safety.md says it on one page): it stops it for
some milliseconds, has it fork a copy that never runs, lets it go on, and reads the
copy; where a fork is not safe it copies the memory in the stop. Nothing is written
to its memory and no code of exuvia's runs in it. The tracing is done by a small
process of its own, the guardian, which puts everything right whatever becomes of
exuvia. What remains dangerous is a SIGKILL of the guardian itself (by hand, or of
its whole control group): within the milliseconds of the fork the target may die of
it, within another stop it goes on; a program that exuvia started (-- PROGRAM) keeps
the debug register that waits for its end, and dies there by SIGTRAP.

Exit codes: 0 done, 1 done and a --fail limit was crossed, 2 wrong usage, 3 the
target cannot be read, 4 our own failure.";

#[derive(Parser, Debug)]
#[command(name = "exuvia", version, help_template = HELP, disable_help_subcommand = true, max_term_width = 100)]
#[command(after_help = SHORT_HELP, after_long_help = LONG_HELP)]
#[command(about = "exuvia sees what a Python process holds in memory, from outside and as it is.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Types(Types),
    Objects(Objects),
    Object(Object),
    Snapshot(Snapshot),
    Doctor(Doctor),
    Explain(Explain),
    Ledger(Ledger),
    Retained(Retained),
    Refcounts(Refcounts),
    Cycles(Cycles),
    Path(Path),
    Finalizers(Finalizers),
    Weakrefs(Weakrefs),
    Gc(Gc),
    Sizes(Sizes),
    Containers(Containers),
    Slots(Slots),
    Diff(Diff),
    Compare(Compare),
    Imports(Imports),
    Scale(Scale),
}

/// How many instances each type has, and what they cost.
///
/// own is what sys.getsizeof says, footprint what the allocators really spend (size classes, tables, buffers), share
/// the part of the whole footprint. Classes of one name share a row. A type marked `derived` has a __sizeof__ of its
/// own that exuvia has no decoder for, one marked `scanned` is known by its slots and a scan of its body. With --children
/// the types of all processes of a tree in one sum (in: how many have it; JSON: exuvia/types-tree/1).
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia types 4711
  exuvia types --children 4711
  exuvia types --sort count -- python3 -c 'rows = [[n] for n in range(999)]'
  exuvia types --json 4711 | python3 -m json.tool")]
#[command(override_usage = "exuvia types [OPTIONS] PID|FOLDER|CORE\n       exuvia types [OPTIONS] -- PROGRAM [ARGUMENT]...")]
pub(crate) struct Types {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) list: List,
    #[command(flatten)]
    pub(crate) look: Look,
}

/// The objects one by one, biggest first.
///
/// references is the count in the object's header, `immortal` where it means nothing. With --json the first line has
/// schema, target and coverage, and then comes one object a line.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia objects 4711 --type dict
  exuvia objects --type list -- python3 -c 'rows = [[n] for n in range(999)]'
  exuvia objects --json --limit 100 4711")]
#[command(override_usage = "exuvia objects [OPTIONS] PID|FOLDER|CORE\n       exuvia objects [OPTIONS] -- PROGRAM [ARGUMENT]...")]
pub(crate) struct Objects {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Only objects of the type with this name: dict, app.models.Session
    #[arg(long = "type", value_name = "NAME")]
    pub(crate) type_name: Option<String>,
    #[command(flatten)]
    pub(crate) list: List,
    #[command(flatten)]
    pub(crate) look: Look,
}

/// One object: what it is, what it refers to and what refers to it.
///
/// Each reference has its label: attribute, key, index, slot, cell, local variable, base class. The reference count is
/// weighed against the references found; what is left is held by C code or by a running function.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  exuvia object 4711 0x7f2ab4c01d30")]
#[command(
    override_usage = "exuvia object [OPTIONS] PID|FOLDER|CORE ADDRESS\n       exuvia object [OPTIONS] ADDRESS -- PROGRAM [ARGUMENT]..."
)]
pub(crate) struct Object {
    /// The process and the address of the object in it, as `exuvia objects` shows it
    #[arg(value_names = ["PID|FOLDER|CORE", "ADDRESS"], num_args = 0..=2)]
    words: Vec<String>,
    /// The process
    #[arg(short = 'p', long = "pid", value_name = "PID", value_parser = pid)]
    pid: Option<i32>,
    /// A program to start, and look at before it ends
    #[arg(last = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    pub(crate) rows: Rows,
    #[command(flatten)]
    pub(crate) look: Look,
}

/// What works here and on a process, and what to do where it does not.
///
/// Nothing is stopped. With a PID: whether `exuvia types` would read it, how, for how long it would stand, and which
/// Python it runs: the layout is proved on its memory while it runs. Without: this machine, our rights, and the Python
/// processes that there are. Each line says `ok`, `no` or `-` (neither); below a `no` stands what to do, as a command
/// where there is one. With a core file: whose it is, what is missing, and what can be read of it. Exit code 3: the
/// process or the core cannot be read.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia doctor
  exuvia doctor 4711
  exuvia doctor --json --max-pause 300ms 4711 | python3 -m json.tool")]
#[command(override_usage = "exuvia doctor [OPTIONS] [PID|CORE]")]
pub(crate) struct Doctor {
    /// The process, or a core file
    #[arg(value_name = "PID|CORE", value_parser = named)]
    pub(crate) pid: Option<Named>,
    /// The process, as py-spy's users write it
    #[arg(short = 'p', long = "pid", value_name = "PID", value_parser = pid, conflicts_with = "pid")]
    pub(crate) pid_option: Option<i32>,
    /// What stands behind `--`, where other commands take a program
    #[arg(last = true, hide = true)]
    pub(crate) program: Vec<OsString>,
    #[command(flatten)]
    pub(crate) places: Places,
    /// Write JSON, with a versioned schema
    #[arg(long)]
    pub(crate) json: bool,
    /// The longest pause that would be allowed
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub(crate) max_pause: Duration,
}

/// The heap of a process as a folder: every object, what it refers to, and the sums.
///
/// The folder holds Parquet tables, which DuckDB, pandas and polars read as they are (docs/snapshot-format.md), and
/// every command takes it as it takes a PID. Only you may read it, and no content of a string, a key or a number is in
/// it unless you say --values. `-o -` writes it to stdout as a tar, for kubectl exec and ssh. --core writes a core file
/// instead: all of its memory as it is, contents included, which every command reads without the program's files.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia snapshot 4711 -o monday
  exuvia snapshot 4711 -o - | tar x
  exuvia snapshot --core --compress 4711 -o core.4711
  exuvia snapshot -o at-the-end -- python3 -c 'rows = [[n] for n in range(9)]'")]
#[command(override_usage = "exuvia snapshot [OPTIONS] -o FOLDER PID\n       exuvia snapshot [OPTIONS] -o FOLDER -- PROGRAM [ARGUMENT]...")]
pub(crate) struct Snapshot {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The new folder (with --core the new file); `-` for a tar on stdout
    #[arg(short = 'o', long = "output", value_name = "FOLDER")]
    pub(crate) output: PathBuf,
    /// Write a core file instead of a folder: all bytes of its memory
    #[arg(long)]
    pub(crate) core: bool,
    /// With --core: compress it, as one LZ4 frame. Every command takes it as it is; for gdb: lz4 -d
    #[arg(long, requires = "core")]
    pub(crate) compress: bool,
    #[command(flatten)]
    pub(crate) look: Look,
}

/// What to look at.
#[derive(Args, Debug, Default)]
pub(crate) struct Target {
    /// The process, the folder of a snapshot, or a core file
    #[arg(value_name = "PID|FOLDER|CORE", value_parser = named_or_several)]
    pub(crate) pid: Option<Named>,
    /// The process, as py-spy's users write it
    #[arg(short = 'p', long = "pid", value_name = "PID", value_parser = pid, conflicts_with = "pid")]
    pub(crate) pid_option: Option<i32>,
    /// A program to start, and look at before it ends
    #[arg(last = true, value_name = "PROGRAM", conflicts_with_all = ["pid", "pid_option"])]
    pub(crate) program: Vec<OsString>,
    /// The process and all that descend from it, each Python in turn; --json: an answer a line, then exuvia/children/1
    #[arg(long)]
    pub(crate) children: bool,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// How a list is shown.
#[derive(Args, Debug)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) rows: Rows,
    /// What comes first
    #[arg(long, value_enum, default_value_t = Sort::Footprint)]
    pub(crate) sort: Sort,
}

impl List {
    /// The limit that holds; beside a program's answer stand its own words.
    pub(crate) fn limit(&self, json: bool, first_screen: usize, target: &Chosen) -> Option<usize> {
        /// Beside our answer stand the program's last words, how it ended, and a next command that is two lines long.
        const BESIDE_A_PROGRAM: usize = 4;
        let taken = if matches!(target, Chosen::Program(_)) { BESIDE_A_PROGRAM } else { 0 };
        self.rows.limit(json, first_screen.saturating_sub(taken))
    }
}

/// How much of a list is shown.
#[derive(Args, Debug)]
pub(crate) struct Rows {
    /// Rows of each list that are shown; 0 shows all [default: a screen of 24 lines, all with --json]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

impl Rows {
    /// The limit that holds: what the user said, else a screen for people and everything for programs.
    pub(crate) fn limit(&self, json: bool, first_screen: usize) -> Option<usize> {
        match self.limit {
            Some(0) => None,
            Some(n) => Some(n),
            None if json => None,
            None => Some(first_screen),
        }
    }
}

/// How the target is looked at and how the answer is written.
#[derive(Args, Debug)]
pub(crate) struct Look {
    /// Write JSON, with a versioned schema
    #[arg(long)]
    pub(crate) json: bool,
    /// Have `object` show values and `snapshot` keep them: contents of strings, numbers, keys of plain dicts
    #[arg(long)]
    pub(crate) values: bool,
    /// How the memory is had
    #[arg(long, value_enum, default_value_t = Mode::Auto)]
    pub(crate) mode: Mode,
    /// Stop nothing if the pause is expected to be longer
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub(crate) max_pause: Duration,
    /// Where a process has several Pythons in use: the one of this release or file [default: the first that is in use]
    #[arg(long, value_name = "RELEASE|FILE")]
    pub(crate) python: Option<String>,
    /// Look at a started program after this time instead of at its end
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) after: Option<Duration>,
}

/// How the memory of a process is had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Fork where that is safe, else freeze
    Auto,
    /// Stop it, have it fork a copy that never runs, let it go on, read the copy
    Fork,
    /// Stop it, copy all of its memory, let it go on
    Freeze,
    /// Read it while it runs: nothing is stopped, what changes meanwhile is counted as torn
    Live,
}

/// What a list is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// What the allocators spend
    Footprint,
    /// What sys.getsizeof says
    Own,
    /// Instances of a type, references to an object
    Count,
    /// The type's name
    Name,
}

impl From<Sort> for SortBy {
    fn from(s: Sort) -> SortBy {
        match s {
            Sort::Footprint => SortBy::Footprint,
            Sort::Own => SortBy::Own,
            Sort::Count => SortBy::Count,
            Sort::Name => SortBy::Name,
        }
    }
}

impl Target {
    /// The process at the root of the tree that was asked for with --children.
    pub(crate) fn root(&self, command: &str) -> Result<i32, Trouble> {
        let named = self.pid.clone().or(self.pid_option.map(Named::Pid));
        if named.is_none() && self.program.is_empty() {
            return Err(no_target(command));
        }
        let root = chosen::root(named, &self.program)?;
        self.places.none(format!("process {root} runs, and the kernel says where its files are")).map(|()| root)
    }

    /// The one target that was named.
    pub(crate) fn chosen(&self, command: &str) -> Result<Chosen, Trouble> {
        match (self.pid.clone().or(self.pid_option.map(Named::Pid)), self.program.is_empty()) {
            (Some(named), _) => self.places.chosen(named),
            (None, false) => {
                self.places.none("a program that exuvia starts has its files where they are".into())?;
                Ok(Chosen::Program(self.program.clone()))
            }
            (None, true) => Err(no_target(command)),
        }
    }
}

impl Object {
    /// The one target that was named, and the address in it.
    pub(crate) fn chosen(&self) -> Result<(Chosen, Addr), Trouble> {
        let (target, address) = match (self.words.as_slice(), self.pid, self.program.is_empty()) {
            ([address], Some(pid), true) => (Chosen::Pid(pid), address),
            ([address], None, false) => (Chosen::Program(self.program.clone()), address),
            ([], None, _) | ([], _, true) => return Err(no_address("4711")),
            ([word], None, true) => return Err(half_an_object(word)),
            ([number, address], None, true) => {
                let named = named(number)
                    .map_err(|why| Trouble::usage(format!("{number} is no PID"), why, "exuvia (lists the Python processes)"))?;
                (self.places.chosen(named)?, address)
            }
            _ => {
                let try_this = "exuvia object 4711 0x7f2ab4c01d30";
                return Err(Trouble::usage("more than one target was named", "one is looked at at a time", try_this));
            }
        };
        Ok((target, parse_address(address)?))
    }
}

impl Look {
    /// Refuses what does not fit together.
    pub(crate) fn check(&self, target: &Chosen) -> Result<(), Trouble> {
        match (self.after, target) {
            (Some(_), Chosen::Core(core)) => Err(Trouble::usage(
                "--after is for a program that exuvia starts",
                format!("{} is a core file, of one moment", core.path.display()),
                "leave --after away, or name a program: --after 5s -- python3 app.py",
            )),
            (Some(_), Chosen::Folder(folder)) => Err(Trouble::usage(
                "--after is for a program that exuvia starts",
                format!("{} is a snapshot, of one moment", folder.display()),
                "leave --after away, or name a program: --after 5s -- python3 app.py",
            )),
            (Some(_), Chosen::Pid(pid)) => Err(Trouble::usage(
                "--after is for a program that exuvia starts",
                format!("process {pid} runs already and is looked at now"),
                "leave --after away, or name a program: --after 5s -- python3 app.py",
            )),
            _ => Ok(()),
        }
    }
}

fn no_target(command: &str) -> Trouble {
    Trouble::usage(
        "no target was named",
        format!("exuvia {command} looks at a process or at a program that it starts"),
        format!("exuvia {command} 4711, or exuvia {command} -- python3 app.py (exuvia alone lists the Python processes)"),
    )
}

/// One word for two: which one is it?
fn half_an_object(word: &str) -> Trouble {
    if !word.starts_with("0x") {
        return no_address(word);
    }
    Trouble::usage(
        "no target was named",
        "an address belongs to one process",
        format!("exuvia object 4711 {word} (exuvia alone lists the Python processes)"),
    )
}

fn no_address(pid: &str) -> Trouble {
    Trouble::usage(
        "no address was named",
        "exuvia object looks at one object of a process",
        format!("exuvia objects {pid} (lists addresses), then exuvia object {pid} ADDRESS"),
    )
}

fn parse_address(s: &str) -> Result<Addr, Trouble> {
    let digits = s.strip_prefix("0x").or_else(|| s.strip_prefix("0X"));
    // Python shows addresses in hex (repr) and in decimal (id): both are taken.
    let value = match digits {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => s.parse().ok(),
    };
    value.filter(|v| *v != 0).map(Addr).ok_or_else(|| {
        Trouble::usage(
            format!("{s} is no address"),
            "an address is a number as repr (0x7f…) or id() shows it",
            "exuvia objects PID (lists addresses)",
        )
    })
}

fn pid(s: &str) -> Result<i32, String> {
    match s.parse::<i32>() {
        Ok(pid) if pid > 0 => Ok(pid),
        _ => Err("a process id is a whole number above 0".into()),
    }
}

/// `5s`, `300ms`, `2m`, `0.5` (seconds).
fn duration(s: &str) -> Result<Duration, String> {
    const FORM: &str = "a time is a number with ms, s or m: 300ms, 5s";
    let split = s.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(s.len());
    let (number, unit) = s.split_at(split);
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        _ => return Err(FORM.into()),
    };
    let seconds = number.parse::<f64>().map_err(|_| FORM.to_string())? * scale;
    Duration::try_from_secs_f64(seconds).map_err(|_| "a time is not negative and not endless".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_stands_in_the_help_and_no_other() {
        let named: Vec<&str> =
            LONG_HELP.lines().filter_map(|l| l.strip_prefix("  ")?.split_once("  ")).map(|(name, _)| name.trim()).collect();
        let there: Vec<String> = Cli::command().get_subcommands().map(|c| c.get_name().to_string()).collect();
        assert_eq!(named, there);
        let mut short: Vec<&str> = SHORT_HELP.lines().take_while(|l| !l.is_empty()).flat_map(|l| l.split([' ', ','])).collect();
        short.retain(|word| there.iter().any(|name| name == word));
        assert_eq!(short, named);
    }

    #[test]
    fn times_are_read_with_their_units() {
        for (s, ms) in [("5s", 5000), ("300ms", 300), ("2m", 120_000), ("0.5", 500), ("0s", 0)] {
            assert_eq!(duration(s), Ok(Duration::from_millis(ms)), "{s}");
        }
        for s in ["", "s", "-1s", "5h", "1e300s", "nan"] {
            assert!(duration(s).is_err(), "{s}");
        }
    }

    #[test]
    fn addresses_are_read_as_python_shows_them() {
        assert_eq!(parse_address("0x7F00").ok(), Some(Addr(0x7f00)));
        assert_eq!(parse_address("32512").ok(), Some(Addr(0x7f00)));
        for s in ["", "0", "0x", "7f00", "-1", "0x1ffffffffffffffff"] {
            assert!(parse_address(s).is_err(), "{s}");
        }
    }
}
