//! What a core itself says of which pages there were: nobody asked the kernel what was in memory.
//!
//! Holds: [`Core::held`]. Never does: say what the resident memory was; that a core does not tell.

use memory::{Addr, Mapping, Residency, Run, Sums, ThreadStack};

use super::{Core, Part};
use crate::pagemap::PAGE;

impl Core {
    /// The pages that are in the core and are not all zeros, as if they were those in memory: the kernel dumps a page that was never
    /// touched as zeros, and leaves out what files have. What was in swap counts too, and what a file still has does not.
    pub fn held(&self) -> Residency {
        let mut parts: Vec<&Part> = self.dumped_parts.iter().filter(|part| part.length > 0).collect();
        parts.sort_unstable_by_key(|part| part.start);
        let mut residency = Residency { threads: self.stacks.clone(), ..Residency::default() };
        let mut next = parts.iter().peekable();
        for m in &self.mappings {
            let mut rss = 0;
            while let Some(part) = next.next_if(|part| part.start < m.end.0) {
                if part.start >= m.start.0 {
                    rss += self.runs(part, m, &mut residency.runs);
                }
            }
            let anonymous = if m.inode == 0 { rss } else { 0 };
            // Of the files that are mapped only programs and libraries are looked for, and gdb does not tell what may be run.
            let program = m.inode != 0 && m.inode <= self.files.len() as u64;
            let mapping = Mapping { exec: m.exec || program, ..m.clone() };
            residency.mappings.push((mapping, Sums { rss, pss: rss, anonymous, ..Sums::default() }));
        }
        residency
    }

    /// Adds the runs of a part; returns their bytes.
    fn runs(&self, part: &Part, of: &Mapping, runs: &mut Vec<Run>) -> u64 {
        let bytes = self.of(part);
        let mut sum = 0;
        for (nth, page) in bytes.chunks(PAGE as usize).enumerate() {
            if page.iter().all(|b| *b == 0) {
                continue;
            }
            let start = Addr(part.start + nth as u64 * PAGE);
            let end = Addr(start.0 + page.len() as u64);
            sum += page.len() as u64;
            match runs.last_mut().filter(|run| run.end == start && run.file == (of.inode != 0)) {
                Some(run) => run.end = end,
                None => runs.push(Run { start, end, file: of.inode != 0, exclusive: true, huge: false }),
            }
        }
        sum
    }
}

/// A thread of NT_PRSTATUS: its number at 32, its registers from 112 on, of which the stack pointer is the 20th
/// (struct elf_prstatus, struct user_regs_struct of x86-64).
pub(super) fn stack(words: &[u8]) -> Option<ThreadStack> {
    let tid = i32::from_le_bytes(words.get(32..36)?.try_into().ok()?);
    let pointer = u64::from_le_bytes(words.get(264..272)?.try_into().ok()?);
    Some(ThreadStack { tid, name: String::new(), pointer: (pointer != 0).then_some(Addr(pointer)) })
}
