//! Bulk reads of a target's memory into an island.
//!
//! Holds: [`read_runs`], process_vm_readv with many ranges a call; [`read_mem`], the same of a forked copy; [`read_file`] for what
//! only the file has.
//! Never does: choose the ranges.
//! Sources: process_vm_readv(2): reads are partial at the granularity of pages, a fault ends the call early.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use crate::sys::island::Island;

/// Ranges of one call. Enough that the call itself costs nothing; the kernel's limit is 1024 (IOV_MAX).
const RANGES_PER_CALL: usize = 256;
/// A page, as a length.
const PAGE: usize = crate::pagemap::PAGE as usize;
/// Bytes of one call. Of 64 KiB to 16 MiB this was the fastest (2.2 GiB by two threads: 280 ms, the others 310 to 380).
pub(crate) const BYTES_PER_CALL: u64 = 1 << 20;

/// Copies the target's `runs` into the island. Returns the bytes copied and the ranges that could not be read.
/// The caller owns the island's part of `runs`: no other thread reads or writes it meanwhile.
pub(crate) fn read_runs(pid: i32, island: &Island, runs: &[(u64, u64)], unreadable: &mut Vec<(u64, u64)>) -> io::Result<u64> {
    let mut copied = 0;
    let mut local = Vec::with_capacity(RANGES_PER_CALL);
    let mut remote = Vec::with_capacity(RANGES_PER_CALL);
    let mut batch_bytes = 0;
    for &(start, end) in runs {
        let mut at = start;
        while at < end {
            let stop = end.min(at + (BYTES_PER_CALL - batch_bytes));
            let (base, length) = island.window(at, stop)?;
            local.push(libc::iovec { iov_base: base, iov_len: length });
            remote.push(libc::iovec { iov_base: at as *mut libc::c_void, iov_len: length });
            batch_bytes += length as u64;
            at = stop;
            if batch_bytes == BYTES_PER_CALL || local.len() == RANGES_PER_CALL {
                copied += flush(pid, &mut local, &mut remote, unreadable)?;
                batch_bytes = 0;
            }
        }
    }
    copied += flush(pid, &mut local, &mut remote, unreadable)?;
    Ok(copied)
}

/// Copies `runs` from `/proc/PID/mem`, as [`read_runs`] does. For a forked copy: process_vm_readv pins the pages that it reads,
/// and the kernel gives a pinned page to one process alone (gup_must_unshare in Linux's mm/gup.c), so that reading a copy would
/// duplicate all of it. This way costs more time per byte and no memory at all.
pub(crate) fn read_mem(mem: &File, island: &Island, runs: &[(u64, u64)], unreadable: &mut Vec<(u64, u64)>) -> io::Result<u64> {
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
                    unreadable.push((at, at + PAGE as u64));
                    at += PAGE as u64;
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

/// Reads all ranges of a batch; where one faults, that page is noted and the rest goes on behind it.
fn flush(pid: i32, local: &mut Vec<libc::iovec>, remote: &mut Vec<libc::iovec>, unreadable: &mut Vec<(u64, u64)>) -> io::Result<u64> {
    let mut copied = 0;
    while !local.is_empty() {
        // SAFETY: every local range lies within an island (`Island::window` checked it) that the caller owns; the kernel
        // writes there and nowhere else. The remote ranges are only read, and are checked by the kernel.
        let got = unsafe {
            libc::process_vm_readv(pid, local.as_ptr(), local.len() as libc::c_ulong, remote.as_ptr(), remote.len() as libc::c_ulong, 0)
        };
        let error = io::Error::last_os_error();
        match usize::try_from(got) {
            Ok(got) if got > 0 => {
                copied += got as u64;
                advance(local, remote, got);
            }
            Err(_) if error.raw_os_error() == Some(libc::EINTR) => {}
            Err(_) if error.raw_os_error() != Some(libc::EFAULT) => return Err(error),
            _ => {
                // Nothing could be read at the very front. Its first page is tried alone, and given up when that fails too.
                let (Some(l), Some(r)) = (local.first_mut(), remote.first_mut()) else { break };
                if l.iov_len > PAGE {
                    let (rest_l, rest_r) = (behind(l), behind(r));
                    (l.iov_len, r.iov_len) = (PAGE, PAGE);
                    local.insert(1, rest_l);
                    remote.insert(1, rest_r);
                } else {
                    let at = r.iov_base as u64;
                    unreadable.push((at, at + PAGE as u64));
                    advance(local, remote, PAGE);
                }
            }
        }
    }
    Ok(copied)
}

/// Drops `bytes` from the front of both lists.
fn advance(local: &mut Vec<libc::iovec>, remote: &mut Vec<libc::iovec>, mut bytes: usize) {
    let whole = local
        .iter()
        .take_while(|range| {
            let done = bytes >= range.iov_len;
            bytes -= if done { range.iov_len } else { 0 };
            done
        })
        .count();
    local.drain(..whole);
    remote.drain(..whole);
    for first in [local.first_mut(), remote.first_mut()].into_iter().flatten() {
        first.iov_base = first.iov_base.wrapping_byte_add(bytes);
        first.iov_len = first.iov_len.saturating_sub(bytes);
    }
}

/// A range without its first page.
fn behind(range: &libc::iovec) -> libc::iovec {
    libc::iovec { iov_base: range.iov_base.wrapping_byte_add(PAGE), iov_len: range.iov_len.saturating_sub(PAGE) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pagemap::PAGE;

    #[test]
    fn reads_across_unreadable_pages() {
        // The target is this process: an island with holes serves as what is read.
        let source = Island::reserve(0x10_0000_0000, 0x10_0000_0000 + 64 * PAGE).unwrap();
        let begin = source.window(0x10_0000_0000, 0x10_0000_0000 + PAGE).unwrap().0 as u64;
        let open = |from: u64, to: u64| source.open(0x10_0000_0000 + from * PAGE, 0x10_0000_0000 + to * PAGE).unwrap();
        open(1, 5);
        open(7, 64);
        let copy = Island::reserve(begin, begin + 64 * PAGE).unwrap();
        copy.open(begin, begin + 64 * PAGE).unwrap();
        let mut unreadable = vec![];
        let runs = [(begin, begin + 10 * PAGE), (begin + 20 * PAGE, begin + 30 * PAGE)];
        let copied = read_runs(std::process::id() as i32, &copy, &runs, &mut unreadable).unwrap();
        assert_eq!(copied, 17 * PAGE);
        let page = |n: u64| (begin + n * PAGE, begin + (n + 1) * PAGE);
        assert_eq!(unreadable, [page(0), page(5), page(6)]);
    }

    #[test]
    fn a_copy_is_read_across_unreadable_pages_and_its_end_is_told() {
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
        assert_eq!(read_mem(&mem, &low, &[(0, 2 * PAGE)], &mut unreadable).unwrap(), 0);
        assert_eq!(std::mem::take(&mut unreadable), [(0, PAGE), (PAGE, 2 * PAGE)]);
        let copied =
            read_mem(&mem, &copy, &[(begin + PAGE, begin + 3 * PAGE), (begin + 4 * PAGE, begin + 16 * PAGE)], &mut unreadable).unwrap();
        assert_eq!((copied, unreadable), (14 * PAGE, vec![]));
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let mem = File::open(format!("/proc/{}/mem", child.id())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let error = read_mem(&mem, &copy, &[(begin, begin + PAGE)], &mut vec![]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn copies_bytes_beyond_one_call() {
        let source: Vec<u8> = (0..(3 * BYTES_PER_CALL + 2 * PAGE)).map(|i| (i / 7) as u8).collect();
        let begin = (source.as_ptr() as u64).next_multiple_of(PAGE);
        let end = begin + 3 * BYTES_PER_CALL;
        let copy = Island::reserve(begin, end).unwrap();
        copy.open(begin, end).unwrap();
        let copied = read_runs(std::process::id() as i32, &copy, &[(begin, begin + PAGE), (begin + 2 * PAGE, end)], &mut vec![]).unwrap();
        assert_eq!(copied, 3 * BYTES_PER_CALL - PAGE);
        let skip = (begin - source.as_ptr() as u64) as usize;
        assert_eq!(copy.bytes(begin + 2 * PAGE, end), &source[skip + 2 * PAGE as usize..skip + (end - begin) as usize]);
        assert!(copy.bytes(begin + PAGE, begin + 2 * PAGE).iter().all(|&b| b == 0));
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

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        let copy = Island::reserve(0x1000_0000, 0x1000_0000 + PAGE).unwrap();
        copy.open(0x1000_0000, 0x1000_0000 + PAGE).unwrap();
        let error = read_runs(i32::MAX, &copy, &[(0x1000_0000, 0x1000_0000 + PAGE)], &mut vec![]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
    }
}
