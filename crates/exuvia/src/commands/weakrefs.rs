//! `exuvia weakrefs`.

use analyses::ownership::Ownership;
use analyses::place::Places;

use crate::cli::Weakrefs;
use crate::look::{self, Question};
use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run(args: &Weakrefs) -> Result<(), Trouble> {
    let target = args.target.chosen("weakrefs")?;
    args.look.check(&target)?;
    let looked = look::take(&target, &args.look, Question::Graph)?;
    let snapshot = &looked.snapshot;
    let ownership = Ownership::of(snapshot).ok_or_else(super::no_graph)?;
    let limit = args.rows.limit(args.look.json, report::weakrefs::FIRST_SCREEN);
    let places = Places::of(ownership.objects, ownership.graph, ownership.details);
    let found = analyses::weakrefs::weakrefs(&ownership, &places);
    screen::print(|out| {
        if args.look.json {
            report::weakrefs::json(out, snapshot, &found, limit)
        } else {
            report::weakrefs::table(out, snapshot, &found, limit, &screen::style(super::again(&target)))
        }
    })?;
    looked.finish()
}
