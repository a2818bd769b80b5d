//! `/proc/PID/pagemap`: which pages of a mapping are there at all.
//!
//! Holds: [`Pagemap`], which yields runs of pages worth copying. Never does: copy.
//! Source: Documentation/admin-guide/mm/pagemap.rst: bit 63 present, bit 62 swapped, bit 61 page of a file or shared.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of a page on x86-64.
pub(crate) const PAGE: u64 = 4096;

/// Which pages of a mapping are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Those that are in memory or in swap: the others of an anonymous mapping read as zeros.
    Touched,
    /// Those that the process wrote to, of a private file mapping: the others equal the file.
    Written,
    /// All of them.
    All,
}

/// An open pagemap of one process.
pub(crate) struct Pagemap(File);

impl Pagemap {
    pub(crate) fn open(pid: i32) -> io::Result<Pagemap> {
        File::open(format!("/proc/{pid}/pagemap")).map(Pagemap)
    }

    /// Appends the runs of wanted pages of `start..end` to `runs`. Both ends are multiples of a page.
    pub(crate) fn runs(&self, start: u64, end: u64, want: Want, runs: &mut Vec<(u64, u64)>) -> io::Result<()> {
        if want == Want::All {
            push(runs, start, end);
            return Ok(());
        }
        // 4096 entries are 16 MiB of the target: a read call large enough not to count, a buffer that stays in the cache.
        let mut buffer = [0u8; 8 * 4096];
        let mut at = start;
        while at < end {
            let pages = ((end - at) / PAGE).min(4096) as usize;
            let Some(bytes) = buffer.get_mut(..pages * 8) else { break };
            self.0.read_exact_at(bytes, at / PAGE * 8)?;
            scan(bytes, at, want, runs);
            at += pages as u64 * PAGE;
        }
        Ok(())
    }
}

fn scan(entries: &[u8], start: u64, want: Want, runs: &mut Vec<(u64, u64)>) {
    let mut page = start;
    for entry in entries.chunks_exact(8) {
        // Only the top byte is read: present, swapped, file.
        let flags = entry.last().copied().unwrap_or_default() >> 5;
        let wanted = match want {
            Want::Touched => flags & 0b110 != 0,
            Want::Written => flags & 0b110 != 0 && flags & 0b001 == 0,
            Want::All => true,
        };
        if wanted {
            push(runs, page, page + PAGE);
        }
        page += PAGE;
    }
}

/// Appends a run, or lengthens the last one when it touches.
fn push(runs: &mut Vec<(u64, u64)>, start: u64, end: u64) {
    match runs.last_mut() {
        Some(last) if last.1 == start => last.1 = end,
        _ => runs.push((start, end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(flags: &[u64]) -> Vec<u8> {
        flags.iter().flat_map(|f| (f << 61 | 0x1234).to_le_bytes()).collect()
    }

    #[test]
    fn runs_join_and_flags_decide() {
        let text = entries(&[0b100, 0b010, 0b000, 0b101, 0b100]);
        let mut touched = vec![];
        scan(&text, 0x1000, Want::Touched, &mut touched);
        assert_eq!(touched, [(0x1000, 0x3000), (0x4000, 0x6000)]);
        let mut written = vec![];
        scan(&text, 0x1000, Want::Written, &mut written);
        assert_eq!(written, [(0x1000, 0x3000), (0x5000, 0x6000)]);
    }

    #[test]
    fn a_page_of_ours_is_touched_once_written() {
        let block = vec![1u8; 1 << 20];
        let start = (block.as_ptr() as u64).next_multiple_of(PAGE);
        let mut runs = vec![];
        Pagemap::open(std::process::id() as i32).unwrap().runs(start, start + 16 * PAGE, Want::Touched, &mut runs).unwrap();
        assert_eq!(runs, [(start, start + 16 * PAGE)]);
    }
}
