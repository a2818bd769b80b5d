//! `exuvia` alone: the Python processes that may be read, and the next command.

use report::processes::Row;
use report::Again;

use crate::live;
use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run() -> Result<(), Trouble> {
    let (refused, readable): (Vec<_>, Vec<_>) = live::pythons()?.into_iter().partition(|p| p.refused.is_some());
    let reason = refused.first().and_then(|p| p.refused.as_deref());
    let row = |p: &snapshot::PythonProcess| Row {
        pid: p.pid,
        place: report::processes::place(p.pid_inside, p.container.as_deref()),
        resident: p.resident,
        command: p.command.clone(),
    };
    let rows: Vec<Row> = readable.iter().map(row).collect();
    screen::print(|out| report::processes::table(out, &rows, refused.len(), reason, &screen::style(Again::default())))
}
