//! A snapshot that is being written: the large tables while its objects are found, the small ones and the list of checksums
//! at the end.
//!
//! A folder appears under its name only when all of it is on the disk: it is written beside it, synced and renamed. One that
//! was not finished is removed.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::manifest::{self, Entry};
use super::out::{encoding, make_file, TableFile};
use super::rows::{encoder, PackedLinks, PackedObjects, Packer};
use super::write::groups;
use super::{FileError, TABLES};
use crate::Snapshot;

/// Looks in one call that may each have a folder of their own, before one of them is chosen.
const PARTS_MOST: u32 = 64;

/// Groups of references that wait for their labels to be encoded.
const WAITING_MOST: usize = 32;

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes of all files.
    pub bytes: u64,
    /// Objects among them.
    pub objects: u64,
}

/// A snapshot that is not finished. Dropped, it leaves nothing.
pub struct Draft {
    /// Where it is written; in memory, where there is none.
    part: Option<Part>,
    packer: Packer,
    objects: TableFile,
    references: TableFile,
    /// Groups of references whose labels are not encoded yet: some together, each by a thread.
    waiting: Vec<(PackedLinks, Vec<u32>)>,
}

impl Draft {
    /// One that will be a new folder that only its owner may read.
    ///
    /// # Errors
    /// The folder exists, or the system refused.
    pub fn folder(folder: &Path) -> Result<Draft, FileError> {
        Draft::new(Some(Part::make(folder)?))
    }

    /// One that is kept in memory, packed, and given away file by file.
    ///
    /// # Errors
    /// What the encoder says.
    pub fn parts() -> Result<Draft, FileError> {
        Draft::new(None)
    }

    fn new(part: Option<Part>) -> Result<Draft, FileError> {
        let packer = Packer::new()?;
        let folder = part.as_ref().map(|p| p.path.as_path());
        let objects = TableFile::create(&packer.objects, "objects.parquet".into(), folder)?;
        let references = TableFile::create(&packer.references, "references.parquet".into(), folder)?;
        Ok(Draft { part, packer, objects, references, waiting: Vec::new() })
    }

    /// What encodes rows for it.
    pub fn packer(&self) -> Packer {
        self.packer.clone()
    }

    /// Writes objects; those of smaller numbers come first.
    ///
    /// # Errors
    /// The system refused.
    pub fn objects(&mut self, rows: PackedObjects) -> Result<(), FileError> {
        self.objects.append(rows.0)
    }

    /// Writes references; `labels` are the numbers of their labels.
    ///
    /// # Errors
    /// The system refused.
    pub fn links(&mut self, rows: PackedLinks, labels: &[u32]) -> Result<(), FileError> {
        self.waiting.push((rows, labels.to_vec()));
        if self.waiting.len() >= WAITING_MOST {
            self.write_waiting()?;
        }
        Ok(())
    }

    fn write_waiting(&mut self) -> Result<(), FileError> {
        let packer = &self.packer;
        let waiting = std::mem::take(&mut self.waiting);
        let groups: Vec<_> = waiting.into_par_iter().map(|(links, labels)| packer.labelled(links, &labels)).collect::<Result<_, _>>()?;
        groups.into_iter().try_for_each(|group| self.references.append(group))
    }

    /// Writes all else and gives the folder its name.
    ///
    /// # Errors
    /// The folder exists by now, or the system refused: then nothing of it stays.
    pub fn finish(mut self, snapshot: &Snapshot) -> Result<Written, FileError> {
        self.write_waiting()?;
        let Draft { part, objects, references, .. } = self;
        let folder = part.as_ref().map(|p| p.path.as_path());
        let (entries, _) = files(snapshot, folder, objects, references)?;
        if let Some(part) = part {
            part.name(&entries)?;
        }
        Ok(written(snapshot, &entries))
    }

    /// Gives each file, whole, to `send`; the list of checksums comes last. For a draft that is kept in memory.
    ///
    /// # Errors
    /// What `send` gives; or a table that cannot be encoded.
    pub fn finish_parts(mut self, snapshot: &Snapshot, mut send: impl FnMut(&str, &[u8]) -> io::Result<()>) -> io::Result<Written> {
        self.write_waiting().map_err(io::Error::other)?;
        let (entries, files) = files(snapshot, None, self.objects, self.references).map_err(io::Error::other)?;
        for (entry, bytes) in entries.iter().zip(files) {
            send(&entry.name, &bytes)?;
        }
        send(manifest::FILE, manifest::text(&entries).as_bytes())?;
        Ok(written(snapshot, &entries))
    }
}

fn written(snapshot: &Snapshot, entries: &[Entry]) -> Written {
    Written { bytes: entries.iter().map(|e| e.bytes).sum(), objects: snapshot.coverage.objects }
}

/// Finishes every table, in their order.
fn files(
    snapshot: &Snapshot,
    folder: Option<&Path>,
    objects: TableFile,
    references: TableFile,
) -> Result<(Vec<Entry>, Vec<Vec<u8>>), FileError> {
    let (mut objects, mut references) = (Some(objects), Some(references));
    let (mut entries, mut files) = (Vec::new(), Vec::new());
    for spec in TABLES {
        let streamed = match spec.name {
            "objects" => objects.take(),
            "references" => references.take(),
            _ => None,
        };
        let file = match streamed {
            Some(file) => file,
            None => {
                let encoder = encoder(spec.name)?;
                let mut file = TableFile::create(&encoder, spec.file(), folder)?;
                for group in groups(snapshot, spec, &encoder).map_err(|e| encoding(Path::new(spec.name), e))? {
                    file.append(group)?;
                }
                file
            }
        };
        let (entry, bytes) = file.finish()?;
        entries.push(entry);
        files.push(bytes);
    }
    Ok((entries, files))
}

/// The folder beside the one that it will be.
struct Part {
    path: PathBuf,
    folder: PathBuf,
    finished: bool,
}

impl Part {
    fn make(folder: &Path) -> Result<Part, FileError> {
        if folder.symlink_metadata().is_ok() {
            return Err(FileError::Exists(folder.to_path_buf()));
        }
        let mut number = 1;
        loop {
            let path = beside(folder, number);
            match make_folder(&path) {
                Ok(()) => return Ok(Part { path, folder: folder.to_path_buf(), finished: false }),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && number < PARTS_MOST => number += 1,
                Err(e) => return Err(FileError::io(&path, &e)),
            }
        }
    }

    /// Writes the list of checksums, then gives the folder its name.
    fn name(mut self, entries: &[Entry]) -> Result<(), FileError> {
        let path = self.path.join(manifest::FILE);
        let list = make_file(&path).and_then(|mut f| f.write_all(manifest::text(entries).as_bytes()).and_then(|()| f.sync_all()));
        list.map_err(|e| FileError::io(&path, &e))?;
        sync_folder(&self.path);
        // A rename onto an empty folder would succeed: look once more.
        if self.folder.symlink_metadata().is_ok() {
            return Err(FileError::Exists(self.folder.clone()));
        }
        fs::rename(&self.path, &self.folder).map_err(|e| FileError::io(&self.folder, &e))?;
        self.finished = true;
        sync_folder(self.folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")));
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.finished {
            // What could not be finished is of no use to anybody. Should this fail too, its name says that it is a part.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// `NAME.part-PID`, beside it, so that the rename stays on one file system.
fn beside(folder: &Path, number: u32) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".part-{}", std::process::id()));
    if number > 1 {
        name.push(format!("-{number}"));
    }
    folder.with_file_name(name)
}

fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Asks that the names in a folder be on the disk too. Not every file system can; then there is nothing to do about it.
fn sync_folder(path: &Path) {
    if let Ok(folder) = File::open(path) {
        let _ = folder.sync_all();
    }
}
