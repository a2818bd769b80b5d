//! `exuvia` alone: the Python processes that may be read, and the next command.

use std::cmp::Reverse;

use memory::Bytes;
use report::processes::Row;
use report::Again;
use target::TargetError;

use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run() -> Result<(), Trouble> {
    let mut rows = Vec::new();
    let mut refused = 0;
    let mut reason = None;
    for pid in pids()? {
        match look(pid) {
            Ok(Some(row)) => rows.push(row),
            Ok(None) => {}
            Err(why) => {
                refused += 1;
                reason.get_or_insert(why);
            }
        }
    }
    rows.sort_by_key(|r| (Reverse(r.resident), r.pid));
    screen::print(|out| report::processes::table(out, &rows, refused, reason.as_deref(), &screen::style(Again::default())))
}

/// The processes of this PID namespace, ascending.
fn pids() -> Result<Vec<i32>, Trouble> {
    let entries = std::fs::read_dir("/proc").map_err(|e| Trouble::own("cannot list the processes", format!("/proc: {e}")))?;
    let mut pids: Vec<i32> = entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    Ok(pids)
}

/// The row of a Python process; nothing for another one; the reason for one that looks like Python and may not be read.
fn look(pid: i32) -> Result<Option<Row>, String> {
    let command = command_line(pid);
    // A first look that costs little: whoever embeds Python without its name in a mapped file is not listed, but can be read.
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"));
    let named = match &maps {
        Ok(maps) if !maps.is_empty() => maps.lines().filter_map(|l| l.split_once('/')).any(|(_, path)| path.contains("python")),
        // The maps of others are refused, or empty for kernel threads; the command line is open to all.
        _ => command.split(' ').next().is_some_and(|program| program.contains("python")),
    };
    if !named {
        return Ok(None);
    }
    match target::open(pid).and_then(|process| process.python().map(|_| ())) {
        Ok(()) => Ok(Some(Row { pid, resident: resident(pid), command })),
        Err(e @ (TargetError::NotPermitted { .. } | TargetError::AlreadyTraced { .. })) => Err(e.why()),
        Err(_) => Ok(None),
    }
}

fn command_line(pid: i32) -> String {
    let raw = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&raw).trim_end_matches('\0').replace('\0', " ")
}

/// VmRSS of /proc/PID/status, in KiB there.
fn resident(pid: i32) -> Bytes {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Bytes(kib.unwrap_or(0).saturating_mul(1024))
}
