//! `exuvia sizes`.

use analyses::named::named;
use analyses::ownership::Ownership;
use analyses::sizes::sizes;

use crate::cli::Sizes;
use crate::look::{self, Question};
use crate::trouble::Trouble;
use crate::{refusals, screen};

pub(crate) fn run(args: &Sizes) -> Result<(), Trouble> {
    let (target, whats) = args.about.chosen("sizes")?;
    args.look.check(&target)?;
    let looked = look::take(&target, &args.look, Question::Graph)?;
    let snapshot = &looked.snapshot;
    let again = super::again(&target);
    let ownership = Ownership::of(snapshot).ok_or_else(super::no_graph)?;
    let mut each = Vec::new();
    for what in &whats {
        let named = named(snapshot, &ownership, what).map_err(|e| refusals::not_named(&e, &again))?;
        let sizes = sizes(&ownership, &named.nodes);
        each.push((named, sizes));
    }
    let together = (each.len() > 1).then(|| {
        let mut all: Vec<u32> = each.iter().flat_map(|(named, _)| named.nodes.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        sizes(&ownership, &all)
    });
    screen::print(|out| {
        if args.look.json {
            report::sizes::json(out, snapshot, &each, together.as_ref())
        } else {
            report::sizes::table(out, snapshot, &each, together.as_ref(), &screen::style(again))
        }
    })?;
    looked.finish()
}
