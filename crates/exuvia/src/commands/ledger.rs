//! `exuvia ledger`.

use crate::cli::{Chosen, Ledger};
use crate::live;
use crate::look::{self, Question};
use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run(args: &Ledger) -> Result<(), Trouble> {
    let target = match args.target.children {
        true => Chosen::Pid(args.target.root("ledger")?),
        false => args.target.chosen("ledger")?,
    };
    args.look.check(&target)?;
    if args.tree || args.target.children {
        return tree(args, &target);
    }
    let looked = look::take(&target, &args.look, Question::Ledger)?;
    let snapshot = &looked.snapshot;
    let limit = args.rows.limit(args.look.json, report::ledger::FIRST_SCREEN);
    let statement = analyses::ledger::of(snapshot, limit).ok_or_else(|| crate::refusals::no_ledger(&target))?;
    screen::print(|out| {
        if args.look.json {
            report::ledger::json(out, snapshot, &statement)
        } else {
            report::ledger::table(out, snapshot, &statement, args.rows.limit.is_some(), &screen::style(super::again(&target)))
        }
    })?;
    looked.finish()
}

fn tree(args: &Ledger, target: &Chosen) -> Result<(), Trouble> {
    let Chosen::Pid(pid) = target else {
        return Err(Trouble::usage(
            "--tree is for a process that runs",
            "it compares the memory of forked processes with their parent's",
            "exuvia ledger --tree 4711",
        ));
    };
    let members = live::tree(*pid, &args.look)?;
    let advice = analyses::tree::advice(members.iter().filter_map(|m| m.forked.as_ref()));
    let rows: Vec<report::tree::Row<'_>> = members
        .iter()
        .map(|m| report::tree::Row {
            pid: m.pid,
            parent: m.parent,
            command: &m.command,
            snapshot: &m.snapshot,
            forked: m.forked.as_ref(),
            refused: m.refused.as_deref(),
        })
        .collect();
    let limit = args.rows.limit(args.look.json, report::tree::FIRST_SCREEN);
    screen::print(|out| {
        if args.look.json {
            report::tree::json(out, &rows, &advice)
        } else {
            report::tree::table(out, &rows, &advice, limit, &screen::style(super::again(target)))
        }
    })
}
