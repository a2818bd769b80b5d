//! Bulk reads of a target's memory into an island.
//!
//! Holds: [`read_runs`] and, for what only the file has, [`read_file`]. Never does: choose the ranges.
//! Sources: proc_pid_mem(5); mem_rw and access_remote_vm in Linux's fs/proc/base.c and mm/memory.c.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use crate::pagemap::PAGE;
use crate::sys::island::Island;

/// Copies `runs` of a process, whose `/proc/PID/mem` is `mem`, into the island. Returns the bytes copied; what could not be read
/// is appended to `unreadable`. The caller owns the island's part of `runs`: no other thread reads or writes it meanwhile.
/// Not by process_vm_readv: it pins the pages that it reads, and the kernel gives a pinned page to one process alone
/// (gup_must_unshare in Linux's mm/gup.c). A forked copy would be duplicated by being read, and so would what the workers of a
/// server share with their parent.
pub(crate) fn read_runs(mem: &File, island: &Island, runs: &[(u64, u64)], unreadable: &mut Vec<(u64, u64)>) -> io::Result<u64> {
    let mut copied = 0;
    for &(start, end) in runs {
        let mut at = start;
        while at < end {
            let (base, length) = island.window(at, end)?;
            let offset = libc::off_t::try_from(at).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
            // SAFETY: `base..base + length` lies within an island that the caller owns; the kernel writes there and nowhere else.
            let got = unsafe { libc::pread(mem.as_raw_fd(), base, length, offset) };
            let error = io::Error::last_os_error();
            match usize::try_from(got) {
                // The end of this file is that of the process: its memory is gone.
                Ok(0) => return Err(io::Error::from_raw_os_error(libc::ESRCH)),
                Ok(got) => {
                    copied += got as u64;
                    at += got as u64;
                }
                Err(_) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if error.raw_os_error() == Some(libc::EIO) => {
                    unreadable.push((at, at + PAGE));
                    at += PAGE;
                }
                Err(_) => return Err(error),
            }
        }
    }
    Ok(copied)
}

/// Reads a file from `offset` into the island's `start..end`. Returns the bytes read: fewer where the file ends or fails.
/// The caller owns that part of the island, as for [`read_runs`].
pub(crate) fn read_file(file: &File, offset: u64, island: &Island, start: u64, end: u64) -> u64 {
    let Ok((base, length)) = island.window(start, end) else { return 0 };
    let mut done = 0;
    while done < length {
        let Ok(at) = libc::off_t::try_from(offset.saturating_add(done as u64)) else { break };
        // SAFETY: `base..base + length` lies within an island that the caller owns, and `done` is below `length`.
        let got = unsafe { libc::pread(file.as_raw_fd(), base.byte_add(done), length - done, at) };
        match usize::try_from(got) {
            Ok(0) => break,
            Ok(got) => done += got,
            Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    done as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_across_unreadable_pages_and_tells_of_the_end() {
        let source = Island::reserve(0x20_0000_0000, 0x20_0000_0000 + 16 * PAGE).unwrap();
        let begin = source.window(0x20_0000_0000, 0x20_0000_0000 + PAGE).unwrap().0 as u64;
        source.open(0x20_0000_0000 + PAGE, 0x20_0000_0000 + 3 * PAGE).unwrap();
        source.open(0x20_0000_0000 + 4 * PAGE, 0x20_0000_0000 + 16 * PAGE).unwrap();
        let copy = Island::reserve(begin, begin + 16 * PAGE).unwrap();
        copy.open(begin, begin + 16 * PAGE).unwrap();
        let mem = File::open("/proc/self/mem").unwrap();
        let mut unreadable = vec![];
        // The first pages of a process are never mapped; what is mapped without rights /proc/PID/mem reads all the same.
        let low = Island::reserve(0, 2 * PAGE).unwrap();
        low.open(0, 2 * PAGE).unwrap();
        assert_eq!(read_runs(&mem, &low, &[(0, 2 * PAGE)], &mut unreadable).unwrap(), 0);
        assert_eq!(std::mem::take(&mut unreadable), [(0, PAGE), (PAGE, 2 * PAGE)]);
        let copied =
            read_runs(&mem, &copy, &[(begin + PAGE, begin + 3 * PAGE), (begin + 4 * PAGE, begin + 16 * PAGE)], &mut unreadable).unwrap();
        assert_eq!((copied, unreadable), (14 * PAGE, vec![]));
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let mem = File::open(format!("/proc/{}/mem", child.id())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let error = read_runs(&mem, &copy, &[(begin, begin + PAGE)], &mut vec![]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn a_file_fills_its_part_and_ends() {
        let scratch = testbed::Scratch::new().unwrap();
        let path = scratch.path().join("file");
        let bytes: Vec<u8> = (0..3 * PAGE + 5).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let file = File::open(&path).unwrap();
        let island = Island::reserve(0x5000_0000, 0x5000_0000 + 8 * PAGE).unwrap();
        island.open(0x5000_0000, 0x5000_0000 + 8 * PAGE).unwrap();
        assert_eq!(read_file(&file, PAGE, &island, 0x5000_0000 + PAGE, 0x5000_0000 + 8 * PAGE), 2 * PAGE + 5);
        let page = PAGE as usize;
        assert_eq!(&island.bytes(0x5000_0000, 0x5000_0000 + 8 * PAGE)[page..3 * page + 5], &bytes[page..]);
        assert_eq!(read_file(&file, 0, &island, 0x5000_0000 + 7 * PAGE, 0x5000_0000 + 9 * PAGE), 0);
    }
}
