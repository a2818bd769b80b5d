//! `exuvia diff`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use analyses::diff::{diff, Look};
use snapshot::file::Reader;
use snapshot::{Details, Target};

use crate::cli::{shown, Chosen, Compared, Diff};
use crate::live::Looks;
use crate::look::{self, Question, Saved};
use crate::trouble::Trouble;
use crate::{refusals, screen};

pub(crate) fn run(args: &Diff) -> Result<(), Trouble> {
    let (folders, scratch, pid, names) = match args.chosen()? {
        Compared::Saved(all) => {
            twice(&all)?;
            let names: Vec<String> = all.iter().map(shown).collect();
            let (folders, scratch) = saved(args, &all)?;
            let pid = all.last().and_then(|last| if let Chosen::Pid(pid) = last { Some(*pid) } else { None });
            let last = all.last().filter(|last| matches!(last, Chosen::Core(_))).cloned();
            (folders, scratch, pid.map(Chosen::Pid).or(last), names)
        }
        Compared::Process(pid, every, times) => {
            let scratch = looked(args, pid, every, times)?;
            (scratch.folders(), Some(scratch), Some(Chosen::Pid(pid)), Vec::new())
        }
    };
    let ends = [0, folders.len().saturating_sub(1)];
    let mut looks: Vec<Look> = Vec::new();
    for (place, folder) in folders.iter().enumerate() {
        let mut look = read(folder)?;
        if let Some(first) = looks.first() {
            same_process(&first.snapshot.target, &look.snapshot.target, &names, place)?;
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
        (Some(named), _) => named,
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

/// Nothing is compared with itself.
fn twice(all: &[Chosen]) -> Result<(), Trouble> {
    let path = |one: &Chosen| match one {
        Chosen::Folder(path) => path.canonicalize().ok(),
        Chosen::Core(core) => core.path.canonicalize().ok(),
        Chosen::Pid(_) | Chosen::Program(_) => None,
    };
    for (place, one) in all.iter().enumerate() {
        if path(one).is_some_and(|here| all.iter().take(place).any(|other| path(other).as_ref() == Some(&here))) {
            return Err(Trouble::usage(
                format!("the snapshot {} was named twice", shown(one)),
                "nothing comes or goes within one moment",
                "two snapshots of one process: exuvia snapshot PID -o BEFORE, later -o AFTER",
            ));
        }
    }
    Ok(())
}

/// The folder of each: what is none yet, a core or the process as it is now, becomes one for the time of the comparison.
fn saved(args: &Diff, all: &[Chosen]) -> Result<(Vec<PathBuf>, Option<Looks>), Trouble> {
    let mut folders = Vec::new();
    let mut looks = None;
    for one in all {
        if let Chosen::Folder(folder) = one {
            folders.push(folder.clone());
            continue;
        }
        args.look.check(one)?;
        if looks.is_none() {
            looks = Some(Looks::new()?);
        }
        if let Some(looks) = &looks {
            folders.push(one_look(args, one, looks)?);
        }
    }
    Ok((folders, looks))
}

/// A look into a folder of its own: fingerprints are made only for what is written.
fn one_look(args: &Diff, target: &Chosen, looks: &Looks) -> Result<PathBuf, Trouble> {
    let folder = looks.begin();
    let mut looked = look::take(target, &args.look, Question::Everything(Some(&folder)))?;
    let Some(Saved { draft, .. }) = looked.saved.take() else {
        return Err(Trouble::own("nothing was kept of a look", "the look gave no draft of a snapshot"));
    };
    draft.finish(&looked.snapshot).map_err(|e| refusals::file(&e))?;
    looks.done();
    Ok(folder)
}

/// Looks at a process so often, each look into a folder of its own.
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
        one_look(args, &target, &looks)?;
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
fn same_process(first: &Target, other: &Target, names: &[String], place: usize) -> Result<(), Trouble> {
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
    let name = |place: usize| names.get(place).cloned().unwrap_or_else(|| format!("look {}", place + 1));
    match differs {
        None => Ok(()),
        Some(why) => Err(Trouble::target(
            format!("{} and {} are of different processes", name(0), name(place)),
            format!("{why}; an address of one means nothing in the other"),
            "two snapshots of one process (exuvia snapshot PID -o BEFORE, later -o AFTER), or exuvia types on each",
        )),
    }
}
