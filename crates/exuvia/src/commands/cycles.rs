//! `exuvia cycles`.

use analyses::ownership::Ownership;

use crate::cli::Cycles;
use crate::look::{self, Question};
use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run(args: &Cycles) -> Result<(), Trouble> {
    let target = args.target.chosen("cycles")?;
    args.look.check(&target)?;
    let looked = look::take(&target, &args.look, Question::Graph)?;
    let snapshot = &looked.snapshot;
    let ownership = Ownership::of(snapshot).ok_or_else(super::no_graph)?;
    let cycles = analyses::cycles::cycles(&ownership);
    let limit = args.rows.limit(args.look.json, report::cycles::FIRST_SCREEN);
    screen::print(|out| {
        if args.look.json {
            report::cycles::json(out, snapshot, &cycles, limit)
        } else {
            report::cycles::table(out, snapshot, &cycles, limit, &screen::style(super::again(&target)))
        }
    })?;
    looked.finish()
}
