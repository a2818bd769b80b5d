//! Arguments of the commands that are asked about something that the user names.

use std::ffi::OsString;

use clap::Args;

use super::{named, pid, Chosen, Look, Places, Rows};
use crate::trouble::Trouble;

/// Why objects are alive: their shortest ways from modules, frames and other roots, merged into one tree.
///
/// WHAT is an address, a module's global and what hangs from it (shop.cache:PAGES.newest), or a type: all of its
/// instances. Common holders are counted once. --exclude leaves a type or an attribute out, so that the next way shows:
/// what then has no way is held by that alone. Weak references hold nothing and are never part of a way.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia path 4711 0x7f2ab4c01d30
  exuvia path 4711 sys:path_importer_cache --exclude modules
  exuvia path dict -- python3 -c 'rows = [{} for n in range(999)]'")]
#[command(override_usage = "exuvia path [OPTIONS] PID|FOLDER|CORE WHAT\n       exuvia path [OPTIONS] WHAT -- PROGRAM [ARGUMENT]...")]
pub(crate) struct Path {
    #[command(flatten)]
    pub(crate) about: About,
    /// Leave out what leads through a type or attribute of this name (.NAME: attribute only); may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) exclude: Vec<String>,
    #[command(flatten)]
    pub(crate) rows: Rows,
    #[command(flatten)]
    pub(crate) look: Look,
}

/// How big something is: its own size, with all that it reaches, and what would go if it went.
///
/// WHAT is an address, a module's global and what hangs from it (shop.cache:PAGES.newest), or a type: all of its
/// instances together. deep is what pympler's asizeof says: own sizes, rounded up to 8 bytes, of everything that is
/// reached, but no classes, modules and functions. It differs where asizeof counts attributes' names (once each),
/// changes the program (it makes a dict for each instance without one, from 3.11 on), follows weak references or does
/// not see into a type (deque, subclasses of list). retained is counted as footprint.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia sizes 4711 sys:modules 0x7f2ab4c01d30
  exuvia sizes --json 4711 dict | python3 -m json.tool
  exuvia sizes __main__:rows -- python3 -c 'rows = [[n] for n in range(999)]'")]
#[command(
    override_usage = "exuvia sizes [OPTIONS] PID|FOLDER|CORE WHAT...\n       exuvia sizes [OPTIONS] WHAT... -- PROGRAM [ARGUMENT]..."
)]
pub(crate) struct Sizes {
    #[command(flatten)]
    pub(crate) about: About,
    #[command(flatten)]
    pub(crate) look: Look,
}

/// A target and what is asked about in it.
#[derive(Args, Debug)]
pub(crate) struct About {
    /// The process or folder, and what is asked about: an address, module:NAME.attribute, a type
    #[arg(value_names = ["PID|FOLDER|CORE", "WHAT"], num_args = 0..)]
    words: Vec<String>,
    /// The process
    #[arg(short = 'p', long = "pid", value_name = "PID", value_parser = pid)]
    pid: Option<i32>,
    /// A program to start, and look at before it ends
    #[arg(last = true, value_name = "PROGRAM", conflicts_with = "pid")]
    program: Vec<OsString>,
    #[command(flatten)]
    places: Places,
}

impl About {
    /// The target, and the words that name something in it: at least one.
    pub(crate) fn chosen(&self, command: &str) -> Result<(Chosen, Vec<String>), Trouble> {
        let (target, whats) = match (self.pid, self.program.is_empty(), self.words.split_first()) {
            (Some(pid), _, _) => (Chosen::Pid(pid), self.words.as_slice()),
            (None, false, _) => (Chosen::Program(self.program.clone()), self.words.as_slice()),
            (None, true, Some((first, rest))) => {
                let target = named(first).map_err(|why| Trouble::usage(format!("{first} is no target"), why, advice(command, "4711")))?;
                (self.places.chosen(target)?, rest)
            }
            (None, true, None) => {
                return Err(Trouble::usage(
                    "no target was named",
                    format!("exuvia {command} looks at a process or at a program that it starts"),
                    advice(command, "4711"),
                ))
            }
        };
        if whats.is_empty() {
            let first = self.words.first().map_or("4711", String::as_str);
            return Err(Trouble::usage(
                "nothing was named to look at",
                "a target's objects are named by address, by module:NAME or by type",
                advice(command, first),
            ));
        }
        Ok((target, whats.to_vec()))
    }
}

fn advice(command: &str, target: &str) -> String {
    let target = report::text::shell_quoted(target);
    format!("exuvia {command} {target} WHAT, with WHAT as in: 0x7f2ab4c01d30, shop.cache:PAGES, shop.models.Session")
}
