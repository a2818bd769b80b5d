//! `exuvia doctor`.

use report::Again;

use crate::cli::Doctor;
use crate::live;
use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run(args: &Doctor) -> Result<(), Trouble> {
    let pid = args.pid.or(args.pid_option);
    let diagnosis = live::diagnose(pid, args.max_pause)?;
    screen::print(|out| {
        if args.json {
            report::doctor::json(out, &diagnosis)
        } else {
            report::doctor::table(out, &diagnosis, &screen::style(pid.map_or(Again::default(), Again::Pid)))
        }
    })?;
    // The answer itself says why; the exit code is that of a look that does not come about.
    if pid.is_some() && !diagnosis.readable() {
        return Err(Trouble::answered_no());
    }
    Ok(())
}
