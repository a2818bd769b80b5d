//! A snapshot as files: into a folder, or part by part to whoever sends them on.
//!
//! A folder appears under its name only when all of it is on the disk: it is written beside it, synced and renamed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use parquet::errors::{ParquetError, Result as ParquetResult};

use super::encode::{encode, Values};
use super::manifest::{self, Entry};
use super::{meta, FileError, TableSpec, TABLES};
use crate::{Details, Snapshot, Type};

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes of all files.
    pub bytes: u64,
    /// Objects among them.
    pub objects: u64,
}

/// Writes a snapshot into a new folder that only its owner may read.
///
/// # Errors
/// The folder exists, or the system refused: then nothing of it stays.
pub fn write_folder(snapshot: &Snapshot, folder: &Path) -> Result<Written, FileError> {
    if folder.symlink_metadata().is_ok() {
        return Err(FileError::Exists(folder.to_path_buf()));
    }
    let part = beside(folder);
    make_folder(&part).map_err(|e| FileError::io(&part, &e))?;
    let written = fill(snapshot, &part).and_then(|written| {
        // A rename onto an empty folder would succeed: look once more.
        if folder.symlink_metadata().is_ok() {
            return Err(FileError::Exists(folder.to_path_buf()));
        }
        fs::rename(&part, folder).map_err(|e| FileError::io(folder, &e))?;
        Ok(written)
    });
    if written.is_err() {
        // What could not be finished is of no use to anybody. Should this fail too, its name says that it is a part.
        let _ = fs::remove_dir_all(&part);
    } else {
        sync_folder(folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")));
    }
    written
}

/// Gives each file of a snapshot, whole, to `send`; the list of checksums comes last.
///
/// # Errors
/// What `send` gives; or a table that cannot be encoded.
pub fn write_parts(snapshot: &Snapshot, mut send: impl FnMut(&str, &[u8]) -> io::Result<()>) -> io::Result<Written> {
    let mut entries = Vec::new();
    for spec in TABLES {
        let mut bytes = Vec::new();
        write_table(snapshot, spec, &mut bytes).map_err(io::Error::other)?;
        send(&spec.file(), &bytes)?;
        entries.push(Entry { name: spec.file(), bytes: bytes.len() as u64, crc: crc32fast::hash(&bytes) });
    }
    send(manifest::FILE, manifest::text(&entries).as_bytes())?;
    Ok(written(snapshot, &entries))
}

/// Writes the list of checksums of a folder anew, for its files as they are: what somebody who wants to deceive a reader
/// would do. For tests and fuzzing.
///
/// # Errors
/// A file cannot be read or the list not be written.
pub fn reseal(folder: &Path) -> io::Result<()> {
    let mut entries = Vec::new();
    for spec in TABLES {
        let bytes = fs::read(folder.join(spec.file()))?;
        entries.push(Entry { name: spec.file(), bytes: bytes.len() as u64, crc: crc32fast::hash(&bytes) });
    }
    fs::write(folder.join(manifest::FILE), manifest::text(&entries))
}

fn written(snapshot: &Snapshot, entries: &[Entry]) -> Written {
    Written { bytes: entries.iter().map(|e| e.bytes).sum(), objects: snapshot.coverage.objects }
}

/// `NAME.part-PID`, beside it, so that the rename stays on one file system.
fn beside(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".part-{}", std::process::id()));
    folder.with_file_name(name)
}

fn fill(snapshot: &Snapshot, part: &Path) -> Result<Written, FileError> {
    let mut entries = Vec::new();
    for spec in TABLES {
        let path = part.join(spec.file());
        let mut out = Summed {
            file: BufWriter::with_capacity(1 << 20, make_file(&path).map_err(|e| FileError::io(&path, &e))?),
            crc: crc32fast::Hasher::new(),
            bytes: 0,
            failed: None,
        };
        let done = write_table(snapshot, spec, &mut out);
        // The system's own error, not what the encoder made of it.
        if let Some(e) = out.failed.take() {
            return Err(FileError::io(&path, &e));
        }
        done.map_err(|e| FileError::io(&path, &io::Error::other(e)))?;
        let synced = out.file.flush().and_then(|()| out.file.get_ref().sync_all());
        synced.map_err(|e| FileError::io(&path, &e))?;
        entries.push(Entry { name: spec.file(), bytes: out.bytes, crc: out.crc.finalize() });
    }
    let path = part.join(manifest::FILE);
    let list = make_file(&path).and_then(|mut f| f.write_all(manifest::text(&entries).as_bytes()).and_then(|()| f.sync_all()));
    list.map_err(|e| FileError::io(&path, &e))?;
    sync_folder(part);
    Ok(written(snapshot, &entries))
}

/// A file that adds up what goes through it.
struct Summed {
    file: BufWriter<File>,
    crc: crc32fast::Hasher,
    bytes: u64,
    failed: Option<io::Error>,
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.file.write_all(bytes) {
            Ok(()) => {
                self.crc.update(bytes);
                self.bytes += bytes.len() as u64;
                Ok(bytes.len())
            }
            Err(e) => {
                let kind = e.kind();
                self.failed.get_or_insert(e);
                Err(kind.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn make_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Asks that the names in a folder be on the disk too. Not every file system can; then there is nothing to do about it.
fn sync_folder(path: &Path) {
    if let Ok(folder) = File::open(path) {
        let _ = folder.sync_all();
    }
}

fn write_table<W: Write + Send>(snapshot: &Snapshot, spec: &TableSpec, out: W) -> ParquetResult<()> {
    match spec.name {
        "meta" => {
            let rows = meta::rows(&snapshot.target, &snapshot.coverage);
            let columns = [text(&rows, |r| &r.0), text(&rows, |r| &r.1)];
            encode(spec, rows.len(), &columns, out)
        }
        "types" => types(snapshot, spec, out),
        "objects" => objects(snapshot, spec, out),
        "modules" => modules(snapshot, spec, out),
        _ => details(snapshot.details.as_ref().ok_or_else(|| missing("no details"))?, spec, out),
    }
}

fn missing(what: &str) -> ParquetError {
    ParquetError::General(format!("the snapshot keeps {what}"))
}

fn details<W: Write + Send>(d: &Details, spec: &TableSpec, out: W) -> ParquetResult<()> {
    match spec.name {
        "labels" => {
            let l = &d.links.labels;
            let columns = [
                row_number(),
                small(l, |l| l.type_index),
                text(l, |l| l.kind.word()),
                texts(l, |l| l.name.as_deref()),
                flag(l, |l| l.certain),
                number(l, |l| l.count),
            ];
            encode(spec, l.len(), &columns, out)
        }
        "references" => {
            let l = &d.links;
            // Where each label's references end.
            let mut sum = 0usize;
            let ends: Vec<usize> = l
                .labels
                .iter()
                .map(|l| {
                    sum = sum.saturating_add(l.count as usize);
                    sum
                })
                .collect();
            let label = Values::U32(Box::new(|i| ends.partition_point(|end| *end <= i) as u32));
            let columns = [label, small(&l.holders, |v| *v), small(&l.targets, |v| *v), small(&l.positions, |v| *v)];
            encode(spec, l.holders.len(), &columns, out)
        }
        "roots" => {
            let r = &d.roots;
            let columns = [
                text(r, |r| &r.root),
                text(r, |r| r.kind.word()),
                texts(r, |r| r.name.as_deref()),
                small(r, |r| r.position),
                flag(r, |r| r.certain),
                small(r, |r| r.target),
            ];
            encode(spec, r.len(), &columns, out)
        }
        "threads" => {
            let t = &d.threads;
            encode(spec, t.len(), &[row_number(), small(t, |t| t.interpreter), number(t, |t| t.address.0), number(t, |t| t.thread_id)], out)
        }
        "frames" => {
            let f = &d.frames;
            let columns = [
                small(f, |f| f.thread),
                small(f, |f| f.depth),
                number(f, |f| f.address.0),
                text(f, |f| &f.function),
                text(f, |f| &f.file),
                small(f, |f| f.first_line),
            ];
            encode(spec, f.len(), &columns, out)
        }
        "code" => {
            let c = &d.codes;
            encode(spec, c.len(), &[small(c, |c| c.object), text(c, |c| &c.name), text(c, |c| &c.file), small(c, |c| c.first_line)], out)
        }
        "regions" => {
            let r = &d.regions;
            let columns =
                [number(r, |r| r.start.0), number(r, |r| r.end.0), text(r, |r| &r.rights), number(r, |r| r.offset), text(r, |r| &r.path)];
            encode(spec, r.len(), &columns, out)
        }
        other => Err(ParquetError::General(format!("nothing is known of a table {other}"))),
    }
}

fn types<W: Write + Send>(snapshot: &Snapshot, spec: &TableSpec, out: W) -> ParquetResult<()> {
    let t: &[Type] = &snapshot.types;
    let contents = snapshot.details.as_ref().map_or(&[][..], |d| &d.contents);
    let columns = [
        row_number(),
        text(t, |t| &t.name),
        number(t, |t| t.address.0),
        number(t, |t| t.count),
        number(t, |t| t.own_bytes.0),
        number(t, |t| t.footprint_bytes.0),
        text(t, |t| t.known.word()),
        Values::Texts(Box::new(|i| contents.get(i).and_then(|c| c.word()))),
    ];
    encode(spec, t.len(), &columns, out)
}

fn objects<W: Write + Send>(snapshot: &Snapshot, spec: &TableSpec, out: W) -> ParquetResult<()> {
    let (Some(o), Some(d)) = (&snapshot.objects, &snapshot.details) else { return Err(missing("no objects")) };
    let columns = [
        row_number(),
        number(o.addresses(), |a| a.0),
        small(o.type_indices(), |t| *t),
        number(o.own_bytes(), |b| b.0),
        number(o.footprint_bytes(), |b| b.0),
        number(o.refcounts(), |n| *n),
        small(o.states(), |s| s.collector() as u32),
        small(o.states(), |s| s.found() as u32),
        flag(o.states(), |s| s.immortal()),
        Values::U64s(Box::new(|i| d.lengths.get(i).copied().filter(|l| *l != Details::NO_LENGTH))),
        by_row(&d.names),
        by_row(&d.values),
    ];
    encode(spec, o.len(), &columns, out)
}

/// The objects whose type is `module`, which have a name.
fn modules<W: Write + Send>(snapshot: &Snapshot, spec: &TableSpec, out: W) -> ParquetResult<()> {
    let (Some(o), Some(d)) = (&snapshot.objects, &snapshot.details) else { return Err(missing("no objects")) };
    let is_module = |row: u32| {
        let kind = o.type_indices().get(row as usize).and_then(|t| snapshot.types.get(*t as usize));
        kind.is_some_and(|t| t.name == "module")
    };
    let rows: Vec<&(u32, String)> = d.names.iter().filter(|(row, _)| is_module(*row)).collect();
    let columns = [small(&rows, |r| r.0), text(&rows, |r| &r.1)];
    encode(spec, rows.len(), &columns, out)
}

fn row_number<'a>() -> Values<'a> {
    Values::U32(Box::new(|i| i as u32))
}

/// Text of some rows, which are sorted.
fn by_row(some: &[(u32, String)]) -> Values<'_> {
    Values::Texts(Box::new(move |i| {
        let at = some.binary_search_by_key(&(i as u32), |(row, _)| *row).ok()?;
        some.get(at).map(|(_, text)| text.as_str())
    }))
}

fn flag<'a, T: Sync>(rows: &'a [T], get: impl Fn(&T) -> bool + Sync + 'a) -> Values<'a> {
    Values::Flag(Box::new(move |i| rows.get(i).is_some_and(&get)))
}

fn texts<'a, T: Sync>(rows: &'a [T], get: impl Fn(&'a T) -> Option<&'a str> + Sync + 'a) -> Values<'a> {
    Values::Texts(Box::new(move |i| rows.get(i).and_then(&get)))
}

fn number<'a, T: Sync>(rows: &'a [T], get: impl Fn(&T) -> u64 + Sync + 'a) -> Values<'a> {
    Values::U64(Box::new(move |i| rows.get(i).map_or(0, &get)))
}

fn small<'a, T: Sync>(rows: &'a [T], get: impl Fn(&T) -> u32 + Sync + 'a) -> Values<'a> {
    Values::U32(Box::new(move |i| rows.get(i).map_or(0, &get)))
}

fn text<'a, T: Sync>(rows: &'a [T], get: impl Fn(&'a T) -> &'a str + Sync + 'a) -> Values<'a> {
    Values::Text(Box::new(move |i| rows.get(i).map_or("", &get)))
}
