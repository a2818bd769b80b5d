//! `exuvia types`.

use analyses::Together;
use report::children::Process;
use report::types_tree::{self, Seen};
use report::Again;
use snapshot::Snapshot;

use super::children;
use crate::cli::{Chosen, Types};
use crate::live;
use crate::look::{self, Family, Question};
use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run(args: &Types) -> Result<(), Trouble> {
    if args.target.children {
        return tree(args);
    }
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

/// The sum over a process and all that descend from it.
fn tree(args: &Types) -> Result<(), Trouble> {
    let root = args.target.root("types")?;
    args.look.check(&Chosen::Pid(root))?;
    let Family { members, left_out } = live::family(root)?;
    let (mut all, mut seen, mut first): (_, Vec<Seen>, _) = (Together::default(), Vec::new(), None);
    for (pid, parent) in members {
        let mut process = Process { pid, parent, command: live::command_line(pid), refused: None };
        let mut snapshot = Snapshot::default();
        match look::take(&Chosen::Pid(pid), &args.look, Question::Types) {
            Ok(looked) => {
                all.add(&looked.snapshot);
                snapshot = Snapshot { types: Vec::new(), ..looked.snapshot };
            }
            Err(trouble) if trouble.of_target() => {
                process.refused = Some(trouble.what().to_string());
                first = first.or(Some(trouble));
            }
            Err(trouble) => return Err(trouble),
        }
        seen.push((process, snapshot));
    }
    if all.processes == 0 {
        return Err(children::nobody(root, seen.len(), first));
    }
    let limit = args.list.rows.limit(args.look.json, types_tree::FIRST_SCREEN);
    let types = analyses::types(&all.whole, args.list.sort.into(), limit);
    screen::print(|out| match args.look.json {
        true => types_tree::json(out, &all, &types, &seen, left_out),
        false => types_tree::table(out, &all, &types, &seen, (left_out, root), &screen::style(Again::Pid(root))),
    })
}
