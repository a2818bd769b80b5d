//! `exuvia containers`.

use analyses::ownership::Ownership;

use crate::cli::Containers;
use crate::look::{self, Question};
use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run(args: &Containers) -> Result<(), Trouble> {
    let target = args.target.chosen("containers")?;
    args.look.check(&target)?;
    let looked = look::take(&target, &args.look, Question::Facts)?;
    let snapshot = &looked.snapshot;
    let ownership = Ownership::of(snapshot).ok_or_else(super::no_graph)?;
    let found = analyses::containers::containers(&ownership, snapshot).ok_or_else(super::no_graph)?;
    let limit = args.rows.limit(args.look.json, report::containers::FIRST_SCREEN);
    screen::print(|out| {
        if args.look.json {
            report::containers::json(out, snapshot, &found, limit)
        } else {
            report::containers::table(out, snapshot, &found, limit, &screen::style(super::again(&target)))
        }
    })?;
    looked.finish()
}
