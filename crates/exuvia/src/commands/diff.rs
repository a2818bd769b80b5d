//! `exuvia diff`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use analyses::diff::{diff, Look};
use snapshot::file::Reader;
use snapshot::{Details, Target};

use crate::cli::{Chosen, Compared, Diff};
use crate::live::Looks;
use crate::look::{self, Question, Saved};
use crate::trouble::Trouble;
use crate::{refusals, screen};

pub(crate) fn run(args: &Diff) -> Result<(), Trouble> {
    let (folders, scratch, pid) = match args.chosen()? {
        Compared::Folders(folders) => (folders, None, None),
        Compared::Process(pid, every, times) => {
            let scratch = looked(args, pid, every, times)?;
            (scratch.folders(), Some(scratch), Some(pid))
        }
    };
    let ends = [0, folders.len().saturating_sub(1)];
    let mut looks: Vec<Look> = Vec::new();
    for (place, folder) in folders.iter().enumerate() {
        let mut look = read(folder)?;
        if let Some(first) = looks.first() {
            let named = |other: &PathBuf| matches!((other.canonicalize(), folder.canonicalize()), (Ok(a), Ok(b)) if a == b);
            if folders.iter().take(place).any(named) {
                return Err(Trouble::usage(
                    format!("the snapshot {} was named twice", folder.display()),
                    "nothing comes or goes within one moment",
                    "two snapshots of one process: exuvia snapshot PID -o BEFORE, later -o AFTER",
                ));
            }
            same_process(&first.snapshot.target, &look.snapshot.target, &folders, place)?;
        }
        look.read_graph();
        if !ends.contains(&place) {
            look.snapshot.graph = None;
        }
        looks.push(look);
    }
    drop(scratch);
    let found = diff(&looks).ok_or_else(super::no_graph)?;
    let Some(last) = looks.last().map(|look| &look.snapshot) else { return Ok(()) };
    let again = match (pid, folders.last()) {
        (Some(pid), _) => Chosen::Pid(pid),
        (None, last) => Chosen::Folder(last.cloned().unwrap_or_default()),
    };
    let limit = args.rows.limit(args.look.json, report::diff::FIRST_SCREEN);
    screen::print(|out| {
        if args.look.json {
            report::diff::json(out, last, &found, limit)
        } else {
            report::diff::table(out, last, &found, limit, &screen::style(super::again(&again)))
        }
    })
}

/// Looks at a process so often, each look into a folder of its own: fingerprints are made only for what is written.
fn looked(args: &Diff, pid: i32, every: Duration, times: u32) -> Result<Looks, Trouble> {
    let target = Chosen::Pid(pid);
    args.look.check(&target)?;
    let looks = Looks::new()?;
    let mut next = Instant::now();
    for _ in 0..times {
        if !looks.wait(next) {
            break;
        }
        next = Instant::now() + every;
        let folder = looks.begin();
        let mut looked = look::take(&target, &args.look, Question::Everything(Some(&folder)))?;
        let Some(Saved { draft, .. }) = looked.saved.take() else {
            return Err(Trouble::own("nothing was kept of a look", "the look gave no draft of a snapshot"));
        };
        draft.finish(&looked.snapshot).map_err(|e| refusals::file(&e))?;
        looks.done();
    }
    Ok(looks)
}

/// A look that was saved.
fn read(folder: &Path) -> Result<Look, Trouble> {
    let snapshot = look::saved(folder, Question::Graph)?;
    let column = |name: &str| -> Result<Vec<Option<u64>>, Trouble> {
        let reader = Reader::open(folder).map_err(|e| refusals::file(&e))?;
        Ok(reader.numbers("objects", name).map_err(|e| refusals::file(&e))?.unwrap_or_default())
    };
    let texts = |name: &str| -> Result<Vec<Option<String>>, Trouble> {
        let reader = Reader::open(folder).map_err(|e| refusals::file(&e))?;
        Ok(reader.texts("meta", name).map_err(|e| refusals::file(&e))?.unwrap_or_default())
    };
    let key = texts("key")?.into_iter().zip(texts("value")?).find(|(key, _)| key.as_deref() == Some("fingerprint.key_id"));
    let lengths = column("length")?.into_iter().map(|length| length.unwrap_or(Details::NO_LENGTH)).collect();
    Ok(Look { snapshot, lengths, fingerprints: column("fingerprint")?, key: key.and_then(|(_, value)| value), read: None })
}

/// Refuses looks at different processes: addresses of one mean nothing in another.
fn same_process(first: &Target, other: &Target, folders: &[PathBuf], place: usize) -> Result<(), Trouble> {
    let differs = if first.pid != other.pid {
        let shown = |t: &Target| t.pid.map_or("none".to_owned(), |pid| pid.to_string());
        Some(format!("the process ids are {} and {}", shown(first), shown(other)))
    } else if first.started.is_some() && other.started.is_some() && first.started != other.started {
        Some("the process id is the same, but the process was started anew between them".to_owned())
    } else if first.executable != other.executable || first.python != other.python {
        Some(format!("one runs {} ({}), the other {} ({})", first.executable, first.python, other.executable, other.python))
    } else {
        None
    };
    let name = |place: usize| folders.get(place).map_or_else(String::new, |folder| folder.display().to_string());
    match differs {
        None => Ok(()),
        Some(why) => Err(Trouble::target(
            format!("{} and {} are of different processes", name(0), name(place)),
            format!("{why}; an address of one means nothing in the other"),
            "two snapshots of one process (exuvia snapshot PID -o BEFORE, later -o AFTER), or exuvia types on each",
        )),
    }
}
