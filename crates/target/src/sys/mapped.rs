//! A whole file as bytes, read where they are asked for.
//!
//! Holds: [`Mapped`]. Never does: write. Sources: mmap(2).

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use nix::libc::c_void;
use nix::sys::mman::{mmap, munmap, MapFlags, ProtFlags};

/// A file mapped for reading. Whoever shortens the file meanwhile ends this program by SIGBUS, as with every tool that maps files.
#[derive(Debug)]
pub(crate) struct Mapped {
    base: Option<NonNull<c_void>>,
    length: usize,
}

// SAFETY: the mapping is read only and owned.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// All of a regular file.
    pub(crate) fn whole(file: &File) -> io::Result<Mapped> {
        let length = usize::try_from(file.metadata()?.len()).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let Some(size) = NonZeroUsize::new(length) else { return Ok(Mapped { base: None, length: 0 }) };
        // SAFETY: a new private mapping at an address of the kernel's choice replaces nothing.
        let base = unsafe { mmap(None, size, ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE, file, 0) }?;
        Ok(Mapped { base: Some(base), length })
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self.base {
            // SAFETY: `length` bytes are mapped at `base` for as long as `self` lives.
            Some(base) => unsafe { std::slice::from_raw_parts(base.as_ptr().cast::<u8>(), self.length) },
            None => &[],
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if let Some(base) = self.base {
            // SAFETY: our own mapping, which nobody can borrow any more.
            let _ = unsafe { munmap(base, self.length) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn bytes_are_the_files() {
        let mut file = tempfile();
        assert_eq!(Mapped::whole(&file).unwrap().bytes(), b"");
        file.write_all(b"core").unwrap();
        assert_eq!(Mapped::whole(&file).unwrap().bytes(), b"core");
    }

    fn tempfile() -> File {
        let path = std::env::temp_dir().join(format!("exuvia-mapped-{}", std::process::id()));
        let file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file
    }
}
