//! `exuvia compare`.

use report::Again;

use crate::cli::Compare;
use crate::live;
use crate::screen;
use crate::trouble::Trouble;

/// What `--fail-over` watches.
const WATCHED: [&str; 2] = ["peak_rss_bytes", "seconds"];

pub(crate) fn run(args: &Compare) -> Result<(), Trouble> {
    let (dimension, names) = args.variants()?;
    let comparison = live::compare(args, dimension, &names)?;
    screen::print(|out| {
        if args.json {
            report::compare::json(out, &comparison)
        } else {
            report::compare::table(out, &comparison, &screen::style(Again::default()))
        }
    })?;
    match args.fail_over.and_then(|percent| report::compare::crossed(&comparison, &WATCHED, percent)) {
        Some(crossed) => Err(Trouble::limit(crossed)),
        None => Ok(()),
    }
}
