//! What a program says on stderr: its first words and its last, however much it says.
//!
//! Holds: [`Words`], [`Said`]. Never does: let the program wait, wait for a descendant of it that lives on with our pipe.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::fcntl::OFlag;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};

/// So much is kept, of its beginning and of its end.
const KEPT: usize = 4096;
/// A pipe holds as much.
const PIPE: usize = 1 << 16;
/// How often we look whether it has ended, where it says nothing.
const LOOK_MS: u16 = 20;
/// What is in the pipe after its end is read, and no more: one that lives on may write for ever.
const READS_AFTER: usize = 4;

/// A pipe that is listened at.
#[derive(Debug)]
pub(crate) struct Words {
    listener: JoinHandle<Said>,
    ended: Arc<AtomicBool>,
}

/// What was said.
#[derive(Debug, Default)]
pub(crate) struct Said {
    first: Vec<u8>,
    last: Vec<u8>,
}

impl Words {
    /// And the end of the pipe that the program has as its stderr.
    pub(crate) fn listen() -> io::Result<(Words, OwnedFd)> {
        let (from, to) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        let ended = Arc::new(AtomicBool::new(false));
        let known = Arc::clone(&ended);
        let listener = std::thread::Builder::new().spawn(move || Said::hear(File::from(from), &known))?;
        Ok((Words { listener, ended }, to))
    }

    /// All that was said until now.
    pub(crate) fn end(self) -> Said {
        self.ended.store(true, Ordering::Release);
        self.listener.join().unwrap_or_default()
    }
}

impl Said {
    fn hear(mut from: File, ended: &AtomicBool) -> Said {
        let (mut said, mut bytes) = (Said::default(), vec![0; PIPE]);
        let mut after = 0;
        while after < READS_AFTER {
            let is_over = ended.load(Ordering::Acquire);
            let mut pipe = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
            match poll(&mut pipe, PollTimeout::from(if is_over { 0 } else { LOOK_MS })) {
                Ok(0) if is_over => break,
                Ok(0) | Err(nix::errno::Errno::EINTR) => continue,
                Ok(_) => {}
                Err(_) => break,
            }
            match from.read(&mut bytes) {
                Ok(0) | Err(_) => break,
                Ok(n) => said.add(bytes.get(..n).unwrap_or_default()),
            }
            after += usize::from(is_over);
        }
        said
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.first.len());
        self.first.extend(bytes.iter().take(room));
        self.last.extend(bytes.iter().skip(bytes.len().saturating_sub(KEPT)));
        self.last.drain(..self.last.len().saturating_sub(KEPT));
    }

    /// Its end.
    pub(crate) fn last(&self) -> String {
        String::from_utf8_lossy(&self.last).into_owned()
    }

    /// What the loader said of a library in LD_PRELOAD: it speaks before the program does (`do_preload` in glibc's elf/rtld.c).
    pub(crate) fn preload_refused(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.first);
        let said = text.lines().find(|line| line.contains("ld.so: object ") && line.contains(" cannot be preloaded"))?;
        Some(said.trim_start_matches("ERROR: ").to_string())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_first_and_the_last_words_are_kept() {
        let (words, to) = Words::listen().unwrap();
        let mut to = File::from(to);
        to.write_all(b"begin ").unwrap();
        for _ in 0..1000 {
            to.write_all(&[b'.'; 1000]).unwrap();
        }
        to.write_all(b" end").unwrap();
        // Somebody else has the other end still.
        let said = words.end();
        assert_eq!((said.first.len(), said.last.len()), (KEPT, KEPT));
        assert!(said.first.starts_with(b"begin ...") && said.last.ends_with(b"... end"));
        drop(to);
    }

    #[test]
    fn one_that_never_stops_is_left() {
        let (words, to) = Words::listen().unwrap();
        let writer = std::thread::spawn(move || {
            let mut to = File::from(to);
            while to.write_all(&[b'.'; 1000]).is_ok() {}
        });
        assert!(words.end().last.len() <= KEPT);
        writer.join().unwrap();
    }
}
