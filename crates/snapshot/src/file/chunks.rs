//! A file that several threads read at once, each at its own place.
//!
//! The reader that `parquet` has for a `File` clones the handle, and clones share one position: two threads would read
//! each other's bytes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// The file and its length when it was opened.
#[derive(Clone)]
pub(crate) struct Chunks {
    file: Arc<Mutex<File>>,
    bytes: u64,
}

impl Chunks {
    pub(crate) fn new(file: File, bytes: u64) -> Chunks {
        Chunks { file: Arc::new(Mutex::new(file)), bytes }
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(at))?;
        file.read(into)
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Chunks {
    type T = io::BufReader<Place>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(io::BufReader::new(Place { chunks: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // Before memory is asked for: a header may say anything.
        if start.checked_add(length as u64).is_none_or(|end| end > self.bytes) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} are beyond the end")));
        }
        let mut bytes = vec![0; length];
        let mut place = Place { chunks: self.clone(), at: start };
        place.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// A place in the file.
pub(crate) struct Place {
    chunks: Chunks,
    at: u64,
}

impl Read for Place {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.chunks.read_at(self.at, into)?;
        self.at = self.at.saturating_add(n as u64);
        Ok(n)
    }
}
