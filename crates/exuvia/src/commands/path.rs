//! `exuvia path`.

use analyses::named::named;
use analyses::ownership::Ownership;
use analyses::path::Excluded;

use crate::cli::Path;
use crate::look::{self, Question};
use crate::trouble::Trouble;
use crate::{refusals, screen};

pub(crate) fn run(args: &Path) -> Result<(), Trouble> {
    let (target, whats) = args.about.chosen("path")?;
    args.look.check(&target)?;
    let looked = look::take(&target, &args.look, Question::Graph)?;
    let snapshot = &looked.snapshot;
    let again = super::again(&target);
    let ownership = Ownership::of(snapshot).ok_or_else(super::no_graph)?;
    let excluded = Excluded::of(&args.exclude);
    if let Some(word) = excluded.unknown(&ownership) {
        return Err(refusals::nothing_to_exclude(&word));
    }
    let named = whats.iter().map(|what| named(snapshot, &ownership, what)).collect::<Result<Vec<_>, _>>();
    let named = named.map_err(|e| refusals::not_named(&e, &again))?;
    let mut wanted: Vec<u32> = named.iter().flat_map(|n| n.nodes.iter().copied()).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let ways = analyses::path::path(&ownership, &wanted, &excluded);
    let limit = args.rows.limit(args.look.json, report::path::FIRST_SCREEN);
    screen::print(|out| {
        if args.look.json {
            report::path::json(out, snapshot, &named, &excluded, &ways, limit)
        } else {
            report::path::table(out, snapshot, &named, &ways, limit, &screen::style(again))
        }
    })?;
    looked.finish()
}
