//! `exuvia refcounts`.

use analyses::ownership::Ownership;

use crate::cli::Refcounts;
use crate::look::{self, Question};
use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run(args: &Refcounts) -> Result<(), Trouble> {
    let target = args.target.chosen("refcounts")?;
    args.look.check(&target)?;
    let looked = look::take(&target, &args.look, Question::Graph)?;
    let snapshot = &looked.snapshot;
    let ownership = Ownership::of(snapshot).ok_or_else(super::no_graph)?;
    let limit = args.rows.limit(args.look.json, report::refcounts::FIRST_SCREEN);
    let audit = analyses::refcounts::refcounts(&ownership);
    screen::print(|out| {
        if args.look.json {
            report::refcounts::json(out, snapshot, &audit, limit)
        } else {
            report::refcounts::table(out, snapshot, &audit, limit, &screen::style(super::again(&target)))
        }
    })?;
    looked.finish()
}
