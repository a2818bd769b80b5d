//! `exuvia finalizers`.

use analyses::ownership::Ownership;
use analyses::place::Places;

use crate::cli::Finalizers;
use crate::look::{self, Question};
use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run(args: &Finalizers) -> Result<(), Trouble> {
    let target = args.target.chosen("finalizers")?;
    args.look.check(&target)?;
    let looked = look::take(&target, &args.look, Question::Graph)?;
    let snapshot = &looked.snapshot;
    let ownership = Ownership::of(snapshot).ok_or_else(super::no_graph)?;
    let limit = args.rows.limit(args.look.json, report::finalizers::FIRST_SCREEN);
    let places = Places::of(ownership.objects, ownership.graph, ownership.details);
    let found = analyses::finalizers::finalizers(&ownership, &places);
    screen::print(|out| {
        if args.look.json {
            report::finalizers::json(out, snapshot, &found, limit)
        } else {
            report::finalizers::table(out, snapshot, &found, limit, &screen::style(super::again(&target)))
        }
    })?;
    looked.finish()
}
