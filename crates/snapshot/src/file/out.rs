//! One table's file while it is written: row group after row group, summed up as it goes.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;

use super::encode::{append, Chunk, Encoder};
use super::manifest::Entry;
use super::FileError;

/// A table's file that is not complete yet.
pub(crate) struct TableFile {
    name: String,
    /// For messages.
    path: PathBuf,
    writer: SerializedFileWriter<Summed>,
}

impl TableFile {
    /// A new file in `folder`; without one it is kept in memory.
    pub(crate) fn create(encoder: &Encoder, name: String, folder: Option<&Path>) -> Result<TableFile, FileError> {
        let path = folder.map_or_else(|| PathBuf::from(&name), |f| f.join(&name));
        let sink = match folder {
            Some(_) => Sink::File(BufWriter::with_capacity(1 << 20, make_file(&path).map_err(|e| FileError::io(&path, &e))?)),
            None => Sink::Memory(Vec::new()),
        };
        let out = Summed { sink, crc: crc32fast::Hasher::new(), bytes: 0, failed: None };
        let writer = encoder.writer(out).map_err(|e| encoding(&path, e))?;
        Ok(TableFile { name, path, writer })
    }

    /// Writes one row group.
    pub(crate) fn append(&mut self, chunks: Vec<Chunk>) -> Result<(), FileError> {
        let done = append(&mut self.writer, chunks);
        self.told(done)
    }

    /// Writes what a Parquet file ends with, and sees to it that all is on the disk. Gives the bytes of what was kept in memory.
    pub(crate) fn finish(mut self) -> Result<(Entry, Vec<u8>), FileError> {
        let done = self.writer.finish().map(drop);
        self.told(done)?;
        let out = self.writer.inner_mut();
        let bytes = match &mut out.sink {
            Sink::File(file) => {
                file.flush().and_then(|()| file.get_ref().sync_all()).map_err(|e| FileError::io(&self.path, &e))?;
                Vec::new()
            }
            Sink::Memory(bytes) => std::mem::take(bytes),
        };
        let crc = std::mem::take(&mut out.crc).finalize();
        Ok((Entry { name: self.name, bytes: out.bytes, crc }, bytes))
    }

    /// The system's own error, not what the encoder made of it.
    fn told(&mut self, done: Result<(), ParquetError>) -> Result<(), FileError> {
        match self.writer.inner_mut().failed.take() {
            Some(e) => Err(FileError::io(&self.path, &e)),
            None => done.map_err(|e| encoding(&self.path, e)),
        }
    }
}

/// Rows that the encoder refused.
pub(crate) fn encoding(path: &Path, e: ParquetError) -> FileError {
    FileError::io(path, &io::Error::other(e))
}

/// A new file that only its owner may read.
pub(crate) fn make_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

enum Sink {
    File(BufWriter<File>),
    Memory(Vec<u8>),
}

/// Adds up what goes through it.
struct Summed {
    sink: Sink,
    crc: crc32fast::Hasher,
    bytes: u64,
    failed: Option<io::Error>,
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let done = match &mut self.sink {
            Sink::File(file) => file.write_all(bytes),
            Sink::Memory(all) => all.write_all(bytes),
        };
        match done {
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
        match &mut self.sink {
            Sink::File(file) => file.flush(),
            Sink::Memory(_) => Ok(()),
        }
    }
}
