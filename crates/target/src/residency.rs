//! What of the target is in memory, as the kernel says it: smaps, pagemap, and where each thread's stack is.
//!
//! Holds: [`Raw`], read in the stop, and what is made of it after. Never does: copy memory, judge whose it is.
//! Why apart: in the stop nothing is done that can be done after it.
//! Sources: proc_pid_smaps(5), proc_pid_statm(5), proc_pid_syscall(5), Documentation/admin-guide/mm/pagemap.rst.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use memory::{Addr, Mapping, Residency, Run, Sums, ThreadStack};

use crate::error::TargetError;
use crate::maps::parse_line;
use crate::pagemap::PAGE;
use crate::process::{read_proc, Process};
use crate::taken::Thread;

/// Of a mapping larger than this no pages are read: their entries alone are 2 GiB.
const MAPPING_MAX: u64 = 1 << 40;
/// Pages of one read: its buffer stays in the cache, and new memory for all entries would cost the target more than their scan.
const PAGES_A_READ: u64 = 1 << 13;
/// Page flags (pagemap.rst).
const PRESENT: u64 = 1 << 63;
const FILE: u64 = 1 << 61;
const EXCLUSIVE: u64 = 1 << 56;

/// What was read in the stop.
#[derive(Debug)]
pub(crate) struct Raw {
    smaps: Vec<u8>,
    statm: Vec<u8>,
    /// By the start of each mapping that has pages in memory, those that the pagemap shows.
    pages: Vec<(Addr, Vec<Run>)>,
    /// `/proc/PID/task/TID/syscall` of each thread.
    syscalls: Vec<(i32, Vec<u8>)>,
}

/// Reads it all. Of 2.4 GB the kernel walks 35 ms for smaps and 25 ms for the pagemap, so two threads ask it at once: `mappings`,
/// which the stop has read already, say where pages are to be expected.
pub(crate) fn read(process: &Process, mappings: &[Mapping], tids: &[i32]) -> Result<Raw, TargetError> {
    let pid = process.pid();
    let statm = read_proc(pid, "statm")?;
    let pagemap = |e| TargetError::from_proc(pid, "reading /proc/PID/pagemap", e);
    let file = File::open(format!("/proc/{pid}/pagemap")).map_err(pagemap)?;
    let most = statm_bytes(&statm).unwrap_or(0);
    let (smaps, ahead) = std::thread::scope(|scope| {
        let beside = std::thread::Builder::new().spawn_scoped(scope, || ahead(&file, mappings, most));
        let smaps = read_proc(pid, "smaps");
        // Without a thread all is read below.
        (smaps, beside.ok().and_then(|thread| thread.join().ok()).unwrap_or_default())
    });
    let (smaps, mut ahead) = (smaps?, ahead.into_iter().peekable());
    let (mut pages, mut buffer) = (Vec::new(), Vec::new());
    for (mapping, sums) in parse(&smaps) {
        // The kernel's own pages count nowhere.
        let counts = sums.rss > 0 && mapping.len() <= MAPPING_MAX;
        let mut own = None;
        while let Some(((start, end), runs)) = ahead.next_if(|((start, _), _)| *start < mapping.end) {
            if (start, end) == (mapping.start, mapping.end) {
                own = Some(runs);
            }
        }
        if counts {
            let own = own.map_or_else(|| runs(&file, &mapping, &mut buffer).map_err(pagemap), Ok)?;
            pages.push((mapping.start, own));
        }
    }
    let syscalls = tids.iter().filter_map(|tid| Some((*tid, std::fs::read(format!("/proc/{pid}/task/{tid}/syscall")).ok()?))).collect();
    Ok(Raw { smaps, statm, pages, syscalls })
}

/// The pages of mappings that likely have some: anonymous, and not much larger than all that is in memory (`most`).
fn ahead(file: &File, mappings: &[Mapping], most: u64) -> Vec<((Addr, Addr), Vec<Run>)> {
    let likely = mappings.iter().filter(|m| m.inode == 0 && m.read && m.write && !m.shared && m.len() / 2 <= most);
    let mut buffer = Vec::new();
    likely.filter_map(|m| Some(((m.start, m.end), runs(file, m, &mut buffer).ok()?))).collect()
}

/// The pages of a mapping that are in memory.
fn runs(file: &File, mapping: &Mapping, buffer: &mut Vec<u8>) -> io::Result<Vec<Run>> {
    let mut runs = Vec::new();
    let mut at = mapping.start.0;
    while at < mapping.end.0 {
        let pages = ((mapping.end.0 - at) / PAGE).min(PAGES_A_READ);
        if pages == 0 {
            break;
        }
        buffer.resize((pages * 8) as usize, 0);
        file.read_exact_at(buffer, at / PAGE * 8)?;
        scan(buffer, at, &mut runs);
        at += pages * PAGE;
    }
    Ok(runs)
}

impl Raw {
    /// What it says; `threads` are those that it was read of.
    pub(crate) fn residency(&self, threads: &[Thread]) -> Residency {
        let mappings = parse(&self.smaps);
        let (mut runs, mut pages) = (Vec::new(), self.pages.iter().peekable());
        for (mapping, sums) in &mappings {
            let mut own = pages.next_if(|(start, _)| *start == mapping.start).map(|(_, runs)| runs.clone()).unwrap_or_default();
            drop_zeros(&mut own, sums.rss);
            mark_huge(&mut own, sums.huge);
            runs.append(&mut own);
        }
        let stack = |tid: i32| self.syscalls.iter().find(|(other, _)| *other == tid).and_then(|(_, text)| stack_pointer(text));
        let threads = threads.iter().map(|t| ThreadStack { tid: t.tid, name: t.name.clone(), pointer: stack(t.tid) }).collect();
        Residency { mappings, runs, statm_bytes: statm_bytes(&self.statm), threads }
    }
}

/// Leaves out the kernel's page of zeros, which untouched memory shows when it was read: in the pagemap it looks like a page that
/// other processes share, but it belongs to nobody and counts in no Rss. A mapping with more pages than its Rss has that many
/// of them; where it shares others too, which is which is a guess.
fn drop_zeros(runs: &mut Vec<Run>, rss: u64) {
    let present: u64 = runs.iter().map(|run| run.end.0 - run.start.0).sum();
    let mut zeros = present.saturating_sub(rss);
    for run in runs.iter_mut().filter(|run| !run.file && !run.exclusive) {
        let cut = zeros.min(run.end.0 - run.start.0);
        run.end = Addr(run.end.0 - cut);
        zeros -= cut;
    }
    runs.retain(|run| run.start < run.end);
}

/// Bytes of a huge page on x86-64.
const HUGE: u64 = 2 << 20;

/// Marks huge pages: the kernel says how many bytes of a mapping are in some, the pagemap does not say which. They are among those
/// aligned stretches that are all there; where there are more of those than huge pages, the first are taken.
fn mark_huge(runs: &mut Vec<Run>, mut huge: u64) {
    if huge < HUGE {
        return;
    }
    let mut marked = Vec::with_capacity(runs.len());
    for run in runs.drain(..) {
        let first = run.start.0.next_multiple_of(HUGE);
        let whole = if run.file { 0 } else { (run.end.0.saturating_sub(first) / HUGE * HUGE).min(huge) };
        let (from, to) = (Addr(first), Addr(first.saturating_add(whole)));
        if whole == 0 {
            marked.push(run);
            continue;
        }
        huge -= whole;
        let parts = [Run { end: from, ..run }, Run { start: from, end: to, huge: true, ..run }, Run { start: to, ..run }];
        marked.extend(parts.into_iter().filter(|part| part.start < part.end));
    }
    *runs = marked;
}

/// The runs of pages in memory.
fn scan(entries: &[u8], start: u64, runs: &mut Vec<Run>) {
    let mut at = Addr(start);
    for entry in entries.chunks_exact(8) {
        let entry = entry.try_into().map_or(0, u64::from_le_bytes);
        let end = at + PAGE;
        if entry & PRESENT != 0 {
            let (file, exclusive) = (entry & FILE != 0, entry & EXCLUSIVE != 0);
            match runs.last_mut() {
                Some(run) if run.end == at && run.file == file && run.exclusive == exclusive => run.end = end,
                _ => runs.push(Run { start: at, end, file, exclusive, huge: false }),
            }
        }
        at = end;
    }
}

/// Every mapping of a `smaps` text with its sums.
fn parse(text: &[u8]) -> Vec<(Mapping, Sums)> {
    let mut all: Vec<(Mapping, Sums)> = Vec::new();
    for line in text.split(|&b| b == b'\n') {
        // The fields of a mapping begin with a capital letter, its own line with a hexadecimal number in small ones.
        if !line.first().is_some_and(u8::is_ascii_uppercase) {
            all.extend(parse_line(line).map(|mapping| (mapping, Sums::default())));
            continue;
        }
        let (Some((_, sums)), Some((name, bytes))) = (all.last_mut(), field(line)) else { continue };
        match name {
            b"Rss" => sums.rss = bytes,
            b"Pss" => sums.pss = bytes,
            b"Shared_Clean" | b"Shared_Dirty" => sums.shared += bytes,
            b"Anonymous" => sums.anonymous = bytes,
            b"AnonHugePages" => sums.huge = bytes,
            b"Swap" => sums.swap = bytes,
            _ => {}
        }
    }
    all
}

/// `Name:   12 kB` in bytes.
fn field(line: &[u8]) -> Option<(&[u8], u64)> {
    let colon = line.iter().position(|&b| b == b':')?;
    let (name, rest) = line.split_at(colon);
    let number = rest.get(1..)?.trim_ascii().strip_suffix(b" kB")?;
    let kib: u64 = std::str::from_utf8(number).ok()?.parse().ok()?;
    Some((name, kib.saturating_mul(1024)))
}

/// The second number of `statm` is the resident pages.
fn statm_bytes(text: &[u8]) -> Option<u64> {
    let pages: u64 = std::str::from_utf8(text).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(PAGE))
}

/// The last number but one is the stack pointer; a thread that runs shows none.
fn stack_pointer(text: &[u8]) -> Option<Addr> {
    let words: Vec<&str> = std::str::from_utf8(text).ok()?.split_ascii_whitespace().collect();
    let word = words.len().checked_sub(2).and_then(|i| words.get(i))?;
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok().map(Addr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_have_their_sums() {
        let text = b"7f0000000000-7f0000021000 rw-p 00000000 00:00 0 \nSize: 132 kB\nRss: 8 kB\nPss: 6 kB\nShared_Clean: 0 kB\n\
            Shared_Dirty: 4 kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: 4 kB\nAnonymous: 8 kB\nAnonHugePages: 0 kB\nSwap: 12 kB\n\
            THPeligible: 0\nVmFlags: rd wr mr mw me ac sd \n7f1000000000-7f1000001000 r-xp 00001000 fe:00 7 /usr/lib/x\nRss: 4 kB\n";
        let all = parse(text);
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].1, Sums { rss: 8192, pss: 6144, shared: 4096, anonymous: 8192, huge: 0, swap: 12288 });
        assert_eq!((all[1].0.path.as_str(), all[1].1.rss), ("/usr/lib/x", 4096));
    }

    #[test]
    fn pages_alike_are_one_run() {
        let entries: Vec<u8> = [PRESENT | EXCLUSIVE | 5, PRESENT | EXCLUSIVE | 9, 1 << 62, PRESENT, PRESENT | FILE]
            .iter()
            .flat_map(|e| e.to_le_bytes())
            .collect();
        let mut runs = Vec::new();
        scan(&entries, 0x1000, &mut runs);
        let run = |start, end, file, exclusive| Run { start: Addr(start), end: Addr(end), file, exclusive, huge: false };
        assert_eq!(runs, [run(0x1000, 0x3000, false, true), run(0x4000, 0x5000, false, false), run(0x5000, 0x6000, true, false)]);
    }

    #[test]
    fn pages_of_zeros_do_not_count() {
        let run = |start, end, exclusive| Run { start: Addr(start), end: Addr(end), file: false, exclusive, huge: false };
        let mut runs = vec![run(0x1000, 0x3000, true), run(0x3000, 0x6000, false)];
        drop_zeros(&mut runs, 0x2000);
        assert_eq!(runs, [run(0x1000, 0x3000, true)]);
        let mut runs = vec![run(0x1000, 0x3000, true), run(0x3000, 0x6000, false)];
        drop_zeros(&mut runs, 0x5000);
        assert_eq!(runs.len(), 2, "shared with a parent");
    }

    #[test]
    fn huge_pages_are_aligned_and_whole() {
        let run = |start: u64, end: u64, huge| Run { start: Addr(start), end: Addr(end), file: false, exclusive: true, huge };
        let mut runs = vec![run(0x1f_f000, 0x60_1000, false), run(0x80_0000, 0xa0_0000, false)];
        mark_huge(&mut runs, 4 << 20);
        let wanted = [run(0x1f_f000, 0x20_0000, false), run(0x20_0000, 0x60_0000, true), run(0x60_0000, 0x60_1000, false)];
        assert_eq!(runs, [wanted.as_slice(), &[run(0x80_0000, 0xa0_0000, false)]].concat());
    }

    #[test]
    fn stack_pointers_of_threads_that_wait() {
        assert_eq!(stack_pointer(b"202 0x7f 0x0 0x0 0x0 0x0 0x0 0x7ffc00001000 0x7f0000000001\n"), Some(Addr(0x7ffc_0000_1000)));
        assert_eq!(stack_pointer(b"-1 0x7ffc00001000 0x7f0000000001\n"), Some(Addr(0x7ffc_0000_1000)));
        assert_eq!(stack_pointer(b"running\n"), None);
        assert_eq!(stack_pointer(b""), None);
    }

    #[test]
    fn the_pages_of_this_process_add_up_to_what_the_kernel_says_of_it() {
        let me = crate::process::open(std::process::id() as i32).unwrap();
        let residency = read(&me, &me.mappings().unwrap(), &[me.pid()]).unwrap().residency(&[]);
        let pages: u64 = residency.runs.iter().map(|run| run.end.0 - run.start.0).sum();
        let (rss, statm) = (residency.rss(), residency.statm_bytes.unwrap());
        // It runs while it reads itself.
        assert!(pages.abs_diff(rss) < rss / 10, "{pages} {rss}");
        assert!(statm.abs_diff(rss) < rss / 4 + (4 << 20), "{statm} {rss}");
    }
}
