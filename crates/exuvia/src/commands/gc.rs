//! `exuvia gc`.

use crate::cli::Gc;
use crate::look::{self, Question};
use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run(args: &Gc) -> Result<(), Trouble> {
    let target = args.target.chosen("gc")?;
    args.look.check(&target)?;
    let looked = look::take(&target, &args.look, Question::Graph)?;
    let snapshot = &looked.snapshot;
    let gc = analyses::gc::gc(snapshot).ok_or_else(super::no_graph)?;
    let limit = args.rows.limit(args.look.json, report::gc::FIRST_SCREEN);
    screen::print(|out| {
        if args.look.json {
            report::gc::json(out, snapshot, &gc, limit)
        } else {
            report::gc::table(out, snapshot, &gc, limit, &screen::style(super::again(&target)))
        }
    })?;
    looked.finish()
}
