//! `exuvia slots`.

use analyses::ownership::Ownership;

use crate::cli::Slots;
use crate::look::{self, Question};
use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run(args: &Slots) -> Result<(), Trouble> {
    let target = args.target.chosen("slots")?;
    args.look.check(&target)?;
    let looked = look::take(&target, &args.look, Question::Graph)?;
    let snapshot = &looked.snapshot;
    let ownership = Ownership::of(snapshot).ok_or_else(super::no_graph)?;
    let slots = analyses::slots::slots(&ownership, snapshot);
    let limit = args.rows.limit(args.look.json, report::slots::FIRST_SCREEN);
    screen::print(|out| {
        if args.look.json {
            report::slots::json(out, snapshot, &slots, limit)
        } else {
            report::slots::table(out, snapshot, &slots, limit, &screen::style(super::again(&target)))
        }
    })?;
    looked.finish()
}
