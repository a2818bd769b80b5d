//! A process with its children: each is looked at in turn, beside its parent's memory.
//!
//! Holds: [`tree`]. Never does: hold more copies than the tree is deep.

use std::collections::BTreeMap;
use std::rc::Rc;

use capture::{forked, CaptureError, Detail, Parent, Source};
use cpython::LayoutError;
use memory::Module;
use target::{Taken, Way};

use super::{again, processes, refusals, Call};
use crate::cli::Look;
use crate::look::{Member, Question};
use crate::progress::Progress;
use crate::trouble::Trouble;

/// More processes are not looked at.
const PROCESSES_MOST: usize = 4096;

/// Looks at a process and at all that descends from it, a parent before its children.
pub(crate) fn tree(pid: i32, look: &Look) -> Result<Vec<Member>, Trouble> {
    let call = Call::of(look, Question::Ledger)?;
    let children = children()?;
    let mut ahead: Vec<(i32, Option<i32>, Option<Rc<Taken>>)> = vec![(pid, None, None)];
    let mut members = Vec::new();
    while let Some((pid, parent, theirs)) = ahead.pop() {
        if members.len() >= PROCESSES_MOST {
            break;
        }
        let mut member = Member { pid, parent, command: processes::command_line(pid), ..Member::default() };
        let mut own = None;
        match call.beside(pid, theirs.as_deref(), &mut member) {
            Ok(taken) => own = Some(Rc::new(taken)),
            // The one that was named must be there; of the others what can be told is told.
            Err(trouble) if parent.is_none() => return Err(trouble),
            Err(trouble) => member.refused = Some(trouble.what().to_string()),
        }
        let mut below: Vec<i32> = children.get(&pid).cloned().unwrap_or_default();
        below.sort_unstable_by(|a, b| b.cmp(a));
        ahead.extend(below.into_iter().map(|child| (child, Some(pid), own.clone())));
        members.push(member);
    }
    Ok(members)
}

impl Call<'_> {
    /// One process, beside its parent's memory where there is one.
    fn beside(&self, pid: i32, parent: Option<&Taken>, member: &mut Member) -> Result<Taken, Trouble> {
        let progress = Progress::start("reading the processes of the tree");
        let process = target::open(pid).map_err(refusals::target)?;
        let pythons = self.pythons(&process)?;
        let taken = target::take(&process, &self.take_options(&process, &pythons)).map_err(refusals::target)?;
        drop(progress);
        let image = taken.image();
        let moment = if taken.way() == Way::Live { capture::Moment::Running } else { capture::Moment::Still };
        let made = |python: &Module| {
            let source =
                Source { image: &image, python, mappings: taken.mappings(), tables: &self.tables, moment, residency: taken.residency() };
            match parent.and_then(|p| Some((p.image(), p.residency()?))) {
                Some((image, residency)) => {
                    forked(source, Parent { image: &image, residency }).map(|(snapshot, forked)| (snapshot, Some(forked)))
                }
                None => capture::capture(source, Detail::Types).map(|snapshot| (snapshot, None)),
            }
        };
        let mut outcome = Err(CaptureError::Layout(LayoutError::NotInitialised));
        for (python, _) in &pythons {
            outcome = made(python);
            if outcome.is_ok() {
                break;
            }
        }
        let (mut snapshot, forked) = outcome.map_err(|e| refusals::capture(Some(pid), &e))?;
        again::Facts::of(&taken).fill(&mut snapshot, &process.exe(), pid, &again::Spent::of(taken.cost()));
        (member.snapshot, member.forked) = (snapshot, forked);
        Ok(taken)
    }
}

/// The children of every process.
fn children() -> Result<BTreeMap<i32, Vec<i32>>, Trouble> {
    let mut all: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for pid in processes::pids()? {
        if let Some(parent) = parent_of(&std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default()) {
            all.entry(parent).or_default().push(pid);
        }
    }
    Ok(all)
}

/// The second field behind the name, which may hold anything, so that its last bracket counts (proc_pid_stat(5)).
fn parent_of(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_the_rest() {
        assert_eq!(parent_of("7 (a) S 1 (b)) S 12 7 7 0"), Some(12));
        assert_eq!(parent_of("7"), None);
        assert!(children().is_ok_and(|all| all.contains_key(&(std::os::unix::process::parent_id() as i32))));
    }
}
