//! `--children`: a command asked of each Python of a tree of processes, one after the other.
//!
//! Holds: [`each`]. Never does: sum what they answer (that is `types`), compare them (that is `ledger`).

use report::children::Process;
use report::Again;

use crate::cli::{Chosen, Look, Named, Target};
use crate::look::Family;
use crate::trouble::Trouble;
use crate::{live, screen};

/// Where a command's arguments have their target.
type Of<A> = for<'a> fn(&'a mut A) -> (&'a mut Target, &'a Look);

/// Runs the command, with `--children` once for each process that can be read. What becomes of one is not the end of the others.
pub(crate) fn each<A>(mut args: A, command: &str, of: Of<A>, run: fn(&A) -> Result<(), Trouble>) -> Result<(), Trouble> {
    let (target, look) = of(&mut args);
    if !target.children {
        return run(&args);
    }
    let (root, json) = (target.root(command)?, look.json);
    look.check(&Chosen::Pid(root))?;
    let Family { members, left_out } = live::family(root)?;
    let (mut processes, mut first, mut crossed) = (Vec::new(), None, None);
    for (pid, parent) in members {
        let mut process = Process { pid, parent, command: live::command_line(pid), refused: None };
        let (target, look) = of(&mut args);
        *target = Target { pid: Some(Named::Pid(pid)), ..Target::default() };
        let outcome = live::readable(pid, look).and_then(|()| heading(&process, json)).and_then(|()| run(&args));
        match outcome {
            Ok(()) => {}
            Err(trouble) if trouble.is_limit() => crossed = crossed.or(Some(trouble.of_process(pid))),
            Err(trouble) if trouble.of_target() => {
                process.refused = Some(trouble.what().to_string());
                first = first.or(Some(trouble));
            }
            Err(trouble) => return Err(trouble),
        }
        if !json && process.refused.is_none() {
            screen::print(|out| writeln!(out))?;
        }
        processes.push(process);
    }
    if processes.iter().all(|process| process.refused.is_some()) {
        return Err(nobody(root, processes.len(), first));
    }
    screen::print(|out| match json {
        true => report::children::json(out, &processes, left_out),
        false => report::children::ending(out, &processes, left_out, &screen::style(Again::Pid(root))),
    })?;
    crossed.map_or(Ok(()), Err)
}

fn heading(process: &Process, json: bool) -> Result<(), Trouble> {
    match json {
        true => Ok(()),
        false => screen::print(|out| report::children::heading(out, process, &screen::style(Again::Pid(process.pid)))),
    }
}

/// No process of the tree can be read; `first` is what was wrong with the first of them.
pub(crate) fn nobody(root: i32, count: usize, first: Option<Trouble>) -> Trouble {
    match first {
        Some(alone) if count == 1 => alone,
        first => Trouble::target(
            format!("none of the {count} processes of the tree of {root} can be read"),
            first.map_or("there is none".to_string(), |first| format!("{}: {}", first.what(), first.why())),
            format!("exuvia doctor {root}"),
        ),
    }
}
