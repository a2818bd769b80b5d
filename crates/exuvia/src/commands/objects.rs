//! `exuvia objects`.

use crate::cli::Objects;
use crate::look::{self, Question};
use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run(args: &Objects) -> Result<(), Trouble> {
    let target = args.target.chosen("objects")?;
    args.look.check(&target)?;
    let looked = look::take(&target, &args.look, Question::Objects)?;
    let snapshot = &looked.snapshot;
    let limit = args.list.limit(args.look.json, report::objects::FIRST_SCREEN, &target);
    let name = args.type_name.as_deref();
    let objects = analyses::objects(snapshot, name, args.list.sort.into(), limit);
    screen::print(|out| {
        if args.look.json {
            report::objects::json(out, snapshot, &objects)
        } else {
            report::objects::table(out, snapshot, &objects, &screen::style(super::again(&target)))
        }
    })?;
    if let (0, Some(name)) = (objects.matched, name) {
        // None is an answer (nothing leaked); but a typo should not pass for it.
        let similar = analyses::similar_types(snapshot, name, 4);
        let hint = if similar.is_empty() { String::new() } else { format!("; there are {}", similar.join(", ")) };
        screen::remark(&format!("no object has the type {name}{hint}"));
    }
    looked.finish()
}
