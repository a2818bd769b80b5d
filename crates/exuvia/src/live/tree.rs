//! A process with its children: each is looked at in turn, beside its parent's memory and a sibling's.
//!
//! Holds: [`tree`]; the processes of a tree by themselves ([`family`], [`roots`]). Never does: hold more than three copies for each level of the tree: a process, two of its children.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use capture::{forked, CaptureError, Detail, Kin, Relative, Source};
use cpython::LayoutError;
use target::{Taken, Way};

use super::{again, processes, refusals, Call};
use crate::cli::Look;
use crate::look::{Family, Member, Question};
use crate::progress::Progress;
use crate::trouble::Trouble;

/// More processes are not looked at.
const PROCESSES_MOST: usize = 4096;

/// A process with its memory.
type Held = (i32, Rc<Taken>);

/// The next of a brood.
struct Next {
    pid: i32,
    own: Result<Rc<Taken>, Trouble>,
    sibling: Option<Held>,
}

/// The children of one process that are still to be looked at.
struct Brood {
    parent: Option<i32>,
    theirs: Option<Rc<Taken>>,
    /// The next one last.
    waiting: Vec<i32>,
    /// The first, which the others are compared with.
    first: Option<Held>,
    /// The second, which the first was compared with.
    second: Option<(i32, Result<Rc<Taken>, Trouble>)>,
}

impl Brood {
    fn new(parent: Option<i32>, theirs: Option<Rc<Taken>>, mut waiting: Vec<i32>) -> Self {
        waiting.sort_unstable_by(|a, b| b.cmp(a));
        Brood { parent, theirs, waiting, first: None, second: None }
    }

    /// The next one's memory, and a sibling's beside it.
    fn next(&mut self, call: &Call<'_>) -> Option<Next> {
        let pid = self.waiting.pop()?;
        let own = match self.second.take() {
            Some((early, taken)) if early == pid => taken,
            _ => call.taken(pid),
        };
        if self.first.is_none() && own.is_ok() {
            self.second = self.waiting.last().map(|next| (*next, call.taken(*next)));
        }
        let second = self.second.as_ref().and_then(|(pid, taken)| Some((*pid, Rc::clone(taken.as_ref().ok()?))));
        let sibling = self.first.clone().or(second);
        if let (None, Ok(own)) = (&self.first, &own) {
            self.first = Some((pid, Rc::clone(own)));
        }
        Some(Next { pid, own, sibling })
    }
}

/// A process and all that descend from it as they are now, a parent before its children, with how many more there are. This command and
/// what it started are no part of it.
pub(crate) fn family(root: i32) -> Result<Family, Trouble> {
    let children = children()?;
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let (mut all, mut waiting, mut left_out) = (Vec::new(), vec![(root, None)], 0);
    // PIDs are used again: what was a child when the list was read may be an ancestor by then.
    let mut seen = BTreeSet::from([own]);
    while let Some((pid, parent)) = waiting.pop() {
        if !seen.insert(pid) {
            continue;
        }
        match all.len() < PROCESSES_MOST {
            true => all.push((pid, parent)),
            false => left_out += 1,
        }
        waiting.extend(children.get(&pid).into_iter().flatten().rev().map(|child| (*child, Some(pid))));
    }
    Ok(Family { members: all, left_out })
}

/// Those of some processes that descend from none of the others.
pub(crate) fn roots(pids: &[i32]) -> Result<Vec<i32>, Trouble> {
    let parents: BTreeMap<i32, i32> =
        children()?.into_iter().flat_map(|(parent, all)| all.into_iter().map(move |child| (child, parent))).collect();
    let descends = |pid: &i32| {
        let above = std::iter::successors(parents.get(pid), |parent| parents.get(parent));
        above.take(PROCESSES_MOST).any(|parent| pids.contains(parent))
    };
    Ok(pids.iter().copied().filter(|pid| !descends(pid)).collect())
}

/// Looks at a process and at all that descends from it, a parent before its children.
pub(crate) fn tree(pid: i32, look: &Look) -> Result<Vec<Member>, Trouble> {
    let call = Call::of(look, Question::Ledger)?;
    let children = children()?;
    let mut ahead = vec![Brood::new(None, None, vec![pid])];
    let mut members = Vec::new();
    while let Some(brood) = ahead.last_mut() {
        // What is not told is not stopped either.
        let next = if members.len() < PROCESSES_MOST { brood.next(&call) } else { None };
        let Some(Next { pid, own, sibling }) = next else {
            ahead.pop();
            continue;
        };
        let mut member = Member { pid, parent: brood.parent, command: processes::command_line(pid), ..Member::default() };
        let kin = brood.parent.zip(brood.theirs.as_deref());
        let seen =
            own.and_then(|own| call.beside(&own, kin, sibling.as_ref().map(|(pid, taken)| (*pid, &**taken)), &mut member).map(|()| own));
        let own = match seen {
            Ok(own) => Some(own),
            // The one that was named must be there; of the others what can be told is told.
            Err(trouble) if brood.parent.is_none() => return Err(trouble),
            Err(trouble) => {
                member.refused = Some(trouble.what().to_string());
                None
            }
        };
        members.push(member);
        ahead.push(Brood::new(Some(pid), own, children.get(&pid).cloned().unwrap_or_default()));
    }
    Ok(members)
}

impl Call<'_> {
    /// One process as it is now.
    fn taken(&self, pid: i32) -> Result<Rc<Taken>, Trouble> {
        let progress = Progress::start("reading the processes of the tree");
        let process = target::open(pid).map_err(refusals::target)?;
        let pythons = self.pythons(&process)?;
        let taken = target::take(&process, &self.take_options(&process, &pythons)).map_err(refusals::target)?;
        drop(progress);
        Ok(Rc::new(taken))
    }

    /// One process, beside the memory of its parent and a sibling where there are some.
    fn beside(
        &self,
        taken: &Taken,
        parent: Option<(i32, &Taken)>,
        sibling: Option<(i32, &Taken)>,
        member: &mut Member,
    ) -> Result<(), Trouble> {
        let pid = member.pid;
        let process = target::open(pid).map_err(refusals::target)?;
        let image = taken.image();
        let moment = if taken.way() == Way::Live { capture::Moment::Running } else { capture::Moment::Still };
        let images = [parent, sibling].map(|kin| kin.and_then(|(pid, taken)| Some((pid, taken.image(), taken.residency()?))));
        let [parent, sibling] = [0, 1].map(|i| {
            let (pid, image, residency) = images.get(i)?.as_ref()?;
            Some(Relative { pid: *pid, image, residency })
        });
        let source = |python| Source {
            image: &image,
            python,
            mappings: taken.mappings(),
            tables: &self.tables,
            moment,
            residency: taken.residency(),
        };
        let made = |python| {
            let source = source(python);
            match parent {
                Some(parent) => forked(source, Kin { parent, sibling }).map(|(snapshot, forked)| (snapshot, Some(forked))),
                None => capture::capture(source, Detail::Types).map(|snapshot| (snapshot, None)),
            }
        };
        let mut outcome = Err(CaptureError::Layout(LayoutError::NotInitialised));
        let pythons = self.pythons(&process)?;
        for (python, _) in &pythons.known {
            outcome = made(python);
            if let Ok((snapshot, _)) = &mut outcome {
                snapshot.target.beside = pythons.beside(source(python));
                break;
            }
        }
        let (mut snapshot, forked) = outcome.map_err(|e| refusals::capture(Some(pid), &e))?;
        again::Facts::of(taken).fill(&mut snapshot, &process.exe(), pid, &again::Spent::of(taken.cost()));
        (member.snapshot, member.forked) = (snapshot, forked);
        Ok(())
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
