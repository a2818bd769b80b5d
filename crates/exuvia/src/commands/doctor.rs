//! `exuvia doctor`.

use report::Again;

use crate::cli::{Chosen, Doctor, Named};
use crate::live;
use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run(args: &Doctor) -> Result<(), Trouble> {
    if let Some(program) = args.program.first() {
        let what = format!("doctor does not start {}", program.to_string_lossy());
        return Err(Trouble::usage(what, "it stops nothing and starts nothing", "exuvia doctor 4711"));
    }
    let named = args.pid.clone().or(args.pid_option.map(Named::Pid));
    let Some(named) = named else {
        args.places.none("no core file was named".to_owned())?;
        return shown(args, &live::diagnose(None, args.max_pause)?, Again::default(), false);
    };
    let target = args.places.chosen(named)?;
    let diagnosis = match &target {
        Chosen::Core(core) => live::diagnose_core(core)?,
        Chosen::Pid(pid) => live::diagnose(Some(*pid), args.max_pause)?,
        Chosen::Folder(_) | Chosen::Program(_) => {
            let why = "there is nothing to find out of a snapshot: it was read whole when it was made";
            return Err(Trouble::usage("doctor is for processes and core files", why, "exuvia doctor 4711, or exuvia types FOLDER"));
        }
    };
    shown(args, &diagnosis, super::again(&target), true)
}

fn shown(args: &Doctor, diagnosis: &snapshot::Diagnosis, again: Again, named: bool) -> Result<(), Trouble> {
    screen::print(|out| {
        if args.json {
            report::doctor::json(out, diagnosis)
        } else {
            report::doctor::table(out, diagnosis, &screen::style(again))
        }
    })?;
    // The answer itself says why; the exit code is that of a look that does not come about.
    if named && !diagnosis.readable() {
        return Err(Trouble::answered_no());
    }
    Ok(())
}
