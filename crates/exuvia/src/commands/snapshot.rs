//! `exuvia snapshot`.

use std::fs::DirBuilder;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use memory::Bytes;
use snapshot::file::{Draft, Written};
use snapshot::Snapshot;

use super::each;
use crate::cli::{self, Chosen};
use crate::look::{self, Question, Saved};
use crate::progress::Progress;
use crate::refusals;
use crate::screen;
use crate::trouble::Trouble;

pub(crate) fn run(args: cli::Snapshot) -> Result<(), Trouble> {
    if args.target.children {
        return tree(args);
    }
    taken(&args, &args.output)
}

/// One of each process of a tree, each named by its PID, in a new folder.
fn tree(args: cli::Snapshot) -> Result<(), Trouble> {
    let folder = args.output.clone();
    if folder.as_os_str() == "-" {
        let why = "--children takes several snapshots, and a stream has one";
        return Err(Trouble::usage("-o - is for one process", why, "exuvia snapshot --children 4711 -o FOLDER"));
    }
    if folder.symlink_metadata().is_ok() {
        return Err(refusals::file(&snapshot::file::FileError::Exists(folder)));
    }
    let outcome = each(
        args,
        "snapshot",
        |a| (&mut a.target, &a.look),
        |args| {
            let Chosen::Pid(pid) = args.target.chosen("snapshot")? else { return Ok(()) };
            let folder = &args.output;
            match DirBuilder::new().mode(0o700).create(folder) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(refusals::file(&snapshot::file::FileError::io(folder, &e))),
                _ => taken(args, &folder.join(pid.to_string())),
            }
        },
    );
    // Where nothing was written nothing stays; a folder with something in it is not removed by this.
    let _ = std::fs::remove_dir(&folder);
    outcome
}

fn taken(args: &cli::Snapshot, output: &Path) -> Result<(), Trouble> {
    let target = args.target.chosen("snapshot")?;
    args.look.check(&target)?;
    if let Chosen::Folder(folder) = &target {
        let why = format!("{} is one already", folder.display());
        return Err(Trouble::usage("a snapshot is taken of a process", why, "exuvia snapshot 4711 -o FOLDER, or cp -r"));
    }
    let stream = output.as_os_str() == "-";
    if stream && io::stdout().is_terminal() {
        let why = "-o - writes a tar to stdout, which is a terminal";
        return Err(Trouble::usage("a terminal is no place for a tar", why, "exuvia snapshot 4711 -o - | tar x, or a folder after -o"));
    }
    if !stream && output.symlink_metadata().is_ok() {
        // Before anything is stopped for it.
        return Err(refusals::file(&snapshot::file::FileError::Exists(output.to_path_buf())));
    }
    if args.core {
        return core(args, &target, output, stream);
    }
    let mut looked = look::take(&target, &args.look, Question::Everything((!stream).then_some(output)))?;
    if let (Some(command), false) = (&mut looked.snapshot.target.command, args.look.values) {
        // Arguments are values: passwords stand in them, and programs (-c).
        command.truncate(1);
    }
    let Some(Saved { draft, copied }) = looked.saved.take() else {
        return Err(Trouble::own("nothing was written", "the look kept no draft of a snapshot"));
    };
    let progress = Progress::start("writing the snapshot");
    let written = if stream { tar(&looked.snapshot, draft) } else { draft.finish(&looked.snapshot).map_err(|e| refusals::file(&e)) }?;
    let after_copy = copied.elapsed();
    drop(progress);
    if !stream {
        told(&looked.snapshot, &written, after_copy, output, args.look.json)?;
    }
    looked.finish()
}

/// The memory as it is, in one file.
fn core(args: &cli::Snapshot, target: &Chosen, output: &Path, stream: bool) -> Result<(), Trouble> {
    if let Chosen::Core(core) = target {
        let why = format!("{} is one already", core.path.display());
        return Err(Trouble::usage("a core file is written of a process", why, "exuvia snapshot --core 4711 -o FILE, or cp"));
    }
    if stream {
        let why = "what is zero takes no room in it, and in a stream it would";
        return Err(Trouble::usage("a core file is not written to stdout", why, "exuvia snapshot --core 4711 -o FILE"));
    }
    let looked = look::take(target, &args.look, Question::Core(output, args.compress))?;
    let name = output.to_string_lossy();
    let bytes = Bytes(std::fs::metadata(output)?.blocks() * 512);
    let again = report::Again::Core(name.clone().into_owned(), Vec::new());
    screen::print(|out| {
        if args.look.json {
            report::saved::json(out, &looked.snapshot, &name, bytes, Duration::ZERO)
        } else {
            report::saved::table(out, &looked.snapshot, &name, bytes, &screen::style(again))
        }
    })?;
    looked.finish()
}

/// What was written, and how to look at it.
fn told(snapshot: &Snapshot, written: &Written, after_copy: Duration, folder: &Path, json: bool) -> Result<(), Trouble> {
    let name = folder.to_string_lossy();
    let bytes = Bytes(written.bytes);
    screen::print(|out| {
        if json {
            report::saved::json(out, snapshot, &name, bytes, after_copy)
        } else {
            report::saved::table(out, snapshot, &name, bytes, &screen::style(report::Again::Folder(name.clone().into_owned())))
        }
    })
}

/// The same files as a tar on stdout, in a folder named after the target.
fn tar(snapshot: &Snapshot, draft: Draft) -> Result<Written, Trouble> {
    let folder = snapshot.target.pid.map_or("exuvia-snapshot".to_string(), |pid| format!("exuvia-{pid}"));
    let mut archive = tar::Builder::new(io::BufWriter::with_capacity(1 << 16, io::stdout().lock()));
    let entry = |kind: tar::EntryType, mode: u32, bytes: u64| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(bytes);
        header
    };
    archive.append_data(&mut entry(tar::EntryType::Directory, 0o700, 0), format!("{folder}/"), io::empty())?;
    let written = draft.finish_parts(snapshot, |name, bytes| {
        archive.append_data(&mut entry(tar::EntryType::Regular, 0o600, bytes.len() as u64), format!("{folder}/{name}"), bytes)
    })?;
    archive.into_inner()?.flush()?;
    Ok(written)
}
