//! `exuvia types`.

use crate::cli::Types;
use crate::look::{self, Question};
use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run(args: &Types) -> Result<(), Trouble> {
    let target = args.target.chosen("types")?;
    args.look.check(&target)?;
    let looked = look::take(&target, &args.look, Question::Types)?;
    let snapshot = &looked.snapshot;
    let limit = args.list.limit(args.look.json, report::types::FIRST_SCREEN, &target);
    let types = analyses::types(snapshot, args.list.sort.into(), limit);
    screen::print(|out| {
        if args.look.json {
            report::types::json(out, snapshot, &types)
        } else {
            report::types::table(out, snapshot, &types, &screen::style(super::again(&target)))
        }
    })?;
    looked.finish()
}
