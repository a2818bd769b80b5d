//! `exuvia object`.

use crate::cli::Object;
use crate::look::{self, Question};
use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run(args: &Object) -> Result<(), Trouble> {
    let (target, address) = args.chosen()?;
    args.look.check(&target)?;
    let looked = look::take(&target, &args.look, Question::Object(address))?;
    let snapshot = &looked.snapshot;
    let Some(it) = &snapshot.inspected else {
        return Err(Trouble::own("the object was not inspected", format!("the snapshot has nothing about {address}")));
    };
    let (out, held_by) = report::object::first_screen(it.references_out.total, it.references_in.total);
    let limit = |first_screen| args.rows.limit(args.look.json, first_screen);
    let Some(object) = analyses::object(snapshot, limit(out), limit(held_by)) else { return Ok(()) };
    screen::print(|out| {
        if args.look.json {
            report::object::json(out, snapshot, &object)
        } else {
            report::object::table(out, snapshot, &object, &screen::style(super::again(&target)))
        }
    })?;
    looked.finish()
}
