//! `exuvia explain`.

use crate::cli::Explain;
use crate::look::{self, Question};
use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run(args: &Explain) -> Result<(), Trouble> {
    let target = args.target.chosen("explain")?;
    args.look.check(&target)?;
    let looked = look::take(&target, &args.look, Question::Explanation)?;
    let snapshot = &looked.snapshot;
    let mut explanation = analyses::explain::explain(snapshot).ok_or_else(super::no_graph)?;
    let all = args.all || args.rows.limit.is_some();
    if let Some(limit) = args.rows.limit.filter(|limit| *limit > 0 && !args.all) {
        explanation.findings.truncate(limit);
    }
    screen::print(|out| {
        if args.look.json {
            report::explain::json(out, snapshot, &explanation)
        } else {
            report::explain::table(out, snapshot, &explanation, all, &screen::style(super::again(&target)))
        }
    })?;
    looked.finish()?;
    match report::explain::crossed(&explanation, args.fail_over, args.fail_owner_over) {
        Some(crossed) => Err(Trouble::limit(crossed)),
        None => Ok(()),
    }
}
