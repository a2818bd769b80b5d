//! Arguments of `exuvia imports`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use super::{duration, Rows};

/// What each import costs, in memory and time, as a tree; and what could wait until it is used.
///
/// A script (app.py) or module is imported in a fresh process, as `import script` would: what stands under `if __name__ == "__main__":` does not run
/// (--run runs it all). Bytes are what became resident from before an import to after it, so that the start, all exclusive costs and the
/// end add up; an import that fits into memory that is there already costs nothing. What could be lazy is what only functions use, with
/// all that nothing else imports.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia imports asyncio
  exuvia imports --python python3 --repeat 1 json.tool
  exuvia imports --json email.message | python3 -m json.tool")]
#[command(override_usage = "exuvia imports [OPTIONS] SCRIPT|MODULE [ARGUMENT]...")]
pub(crate) struct Imports {
    /// A file (app.py, ./tool) or the name of a module (pandas, shop.app), as the interpreter finds it from here
    #[arg(value_name = "SCRIPT|MODULE")]
    pub(crate) what: OsString,
    /// What the script finds in sys.argv
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
    /// The interpreter
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    pub(crate) python: OsString,
    /// Run the script as a program, what stands under `if __name__ == "__main__":` included
    #[arg(long)]
    pub(crate) run: bool,
    /// Fresh processes; the one in the middle is shown
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) repeat: u32,
    /// A script that is not at its end by then is answered with what it imported
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Write JSON, with a versioned schema
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) rows: Rows,
}
