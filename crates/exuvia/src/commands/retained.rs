//! `exuvia retained`.

use analyses::ownership::Ownership;

use crate::cli::Retained;
use crate::look::{self, Question};
use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run(args: &Retained) -> Result<(), Trouble> {
    let target = args.target.chosen("retained")?;
    args.look.check(&target)?;
    let looked = look::take(&target, &args.look, Question::Graph)?;
    let snapshot = &looked.snapshot;
    let ownership = Ownership::of(snapshot).ok_or_else(super::no_graph)?;
    let limit = args.rows.limit(args.look.json, report::retained::FIRST_SCREEN);
    if let Some(by) = args.by {
        let groups = analyses::grouped::grouped(&ownership, by.into());
        screen::print(|out| {
            if args.look.json {
                report::retained::groups_json(out, snapshot, by.into(), &groups)
            } else {
                report::retained::groups_table(out, snapshot, by.into(), &groups, limit, &screen::style(super::again(&target)))
            }
        })?;
        return looked.finish();
    }
    let owners = analyses::retained::retained(&ownership, limit);
    screen::print(|out| {
        if args.look.json {
            report::retained::json(out, snapshot, &owners)
        } else {
            report::retained::table(out, snapshot, &owners, &screen::style(super::again(&target)))
        }
    })?;
    looked.finish()
}
