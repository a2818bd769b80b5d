//! What of a target's address space is copied, when, and what is left out.
//!
//! Holds: [`Plan`]: each mapping's treatment, and the gaps as numbers. Never does: IO, copying.
//! Sources: proc_pid_maps(5); how linkers lay out read-only data: `-z separate-code` (binutils 2.31) gave `.rodata` a
//! segment of its own, before that it shared one with the code.

use std::collections::{BTreeMap, HashSet};

use memory::{Bytes, Mapping};

use crate::pagemap::Want;

/// A writable mapping of a private file up to this size is copied whole: a library's data. Of a larger one (a data file
/// mapped copy-on-write) only the pages that the process wrote to.
const FILE_DATA_MAX: u64 = 64 << 20;
/// A larger read-only mapping of one library is left out: no type table or name is in there, but machine-learning
/// libraries keep gigabytes of code for graphics cards in theirs.
const READ_ONLY_MAX: u64 = 256 << 20;

/// When and how a mapping is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Treatment {
    /// In the stop.
    Stopped(Want),
    /// It cannot change: before the stop, unless it is new.
    Before,
    /// Not at all, for the reason named.
    LeftOut(&'static str),
}

/// A mapping that is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Which of its pages.
    pub(crate) want: Want,
    /// Copied before the stop.
    pub(crate) before: bool,
    /// The mapping, where it is one of a file.
    pub(crate) file: Option<Mapping>,
}

impl Piece {
    /// The front of it, at most so long.
    pub(crate) fn front(&self, bytes: u64) -> Piece {
        Piece { end: self.end.min(self.start.saturating_add(bytes)), ..self.clone() }
    }
}

/// All pieces by address, and what is left out.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) pieces: Vec<Piece>,
    gaps: BTreeMap<&'static str, u64>,
}

impl Plan {
    /// Decides on each mapping. `is_elf` tells of a mapping at file offset 0 whether the file is an ELF file.
    pub(crate) fn new(mappings: &[Mapping], is_elf: impl Fn(&Mapping) -> bool) -> Plan {
        let elf: HashSet<(u64, &str)> =
            mappings.iter().filter(|m| m.inode != 0 && m.offset == 0 && m.read && is_elf(m)).map(|m| (m.inode, m.path.as_str())).collect();
        let mut plan = Plan::default();
        for m in mappings {
            let (start, end) = (m.start.0, m.end.0);
            let file = (m.inode != 0).then(|| m.clone());
            match treat(m, elf.contains(&(m.inode, m.path.as_str()))) {
                Treatment::Stopped(want) => plan.pieces.push(Piece { start, end, want, before: false, file }),
                Treatment::Before => plan.pieces.push(Piece { start, end, want: Want::All, before: true, file }),
                Treatment::LeftOut(why) => *plan.gaps.entry(why).or_default() += m.len(),
            }
        }
        plan
    }

    /// What is left out: reason and bytes of address space.
    pub(crate) fn gaps(&self) -> Vec<(String, Bytes)> {
        self.gaps.iter().map(|(why, bytes)| (why.to_string(), Bytes(*bytes))).collect()
    }

    /// The pieces that are copied at the moment and lie in one of `ranges`, at least in part.
    pub(crate) fn within(&self, ranges: &[(u64, u64)]) -> Vec<Piece> {
        self.pieces.iter().filter(|p| !p.before && ranges.iter().any(|r| r.0 < p.end && p.start < r.1)).cloned().collect()
    }

    /// Whether a piece stands in this plan too, unchanged.
    pub(crate) fn contains(&self, piece: &Piece) -> bool {
        self.pieces.binary_search_by_key(&piece.start, |p| p.start).ok().and_then(|i| self.pieces.get(i)) == Some(piece)
    }
}

fn treat(m: &Mapping, elf: bool) -> Treatment {
    use Treatment::{Before, LeftOut, Stopped};
    if m.path.starts_with("[v") {
        return LeftOut("pages of the kernel (vdso, vvar, vsyscall)");
    }
    if m.shared {
        return LeftOut("shared mappings");
    }
    if !m.read {
        return LeftOut("reserved address space and guard pages");
    }
    // A private mapping of /dev/zero is anonymous memory, as old allocators ask for it; huge pages asked for with
    // MAP_HUGETLB show a file that nobody made. Reading an untouched one of those would give it memory in the target.
    if m.inode == 0 || m.path == "/dev/zero" || m.path.starts_with("/anon_hugepage") {
        return Stopped(Want::Touched);
    }
    if m.path.starts_with("/dev/") || m.path.starts_with("anon_inode:") {
        return LeftOut("device mappings");
    }
    match (m.write, m.exec) {
        (true, _) if m.len() <= FILE_DATA_MAX => Stopped(Want::All),
        (true, _) => Stopped(Want::Written),
        (false, _) if !elf => LeftOut("read-only files that are no libraries"),
        (false, true) if m.offset != 0 => LeftOut("program code"),
        (false, _) if m.len() > READ_ONLY_MAX => LeftOut("very large read-only parts of libraries"),
        (false, _) => Before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maps::parse_maps;

    fn check(line: &str, elf: bool, expected: Treatment) {
        let m = parse_maps(line.as_bytes()).remove(0);
        assert_eq!(treat(&m, elf), expected, "{line}");
    }

    #[test]
    fn each_kind_of_mapping_has_its_treatment() {
        use Treatment::{Before, LeftOut, Stopped};
        check("1000-2000 rw-p 0 00:00 0", false, Stopped(Want::Touched));
        check("1000-2000 rw-p 0 00:00 0 [heap]", false, Stopped(Want::Touched));
        check("1000-2000 rw-p 0 00:00 0 [anon: glibc: malloc]", false, Stopped(Want::Touched));
        check("1000-2000 rw-p 0 00:05 7 /dev/zero", false, Stopped(Want::Touched));
        check("1000-2000 rw-p 0 00:0f 7 /anon_hugepage (deleted)", false, Stopped(Want::Touched));
        check("1000-2000 r--p 0 00:00 0", false, Stopped(Want::Touched));
        check("1000-2000 ---p 0 00:00 0", false, LeftOut("reserved address space and guard pages"));
        check("1000-2000 rw-s 0 00:05 7 /dev/shm/x", false, LeftOut("shared mappings"));
        check("1000-2000 rw-p 0 00:05 7 /dev/nvidia0", false, LeftOut("device mappings"));
        check("1000-2000 r-xp 0 00:00 0 [vdso]", false, LeftOut("pages of the kernel (vdso, vvar, vsyscall)"));
        check("1000-2000 rw-p 3000 fe:00 7 /usr/lib/x.so", true, Stopped(Want::All));
        check("1000-10001000 rw-p 0 fe:00 7 /data/array.npy", false, Stopped(Want::Written));
        check("1000-2000 r--p 0 fe:00 7 /usr/lib/x.so", true, Before);
        check("1000-2000 r--p 3000 fe:00 7 /usr/lib/x.so", true, Before);
        check("1000-2000 r--p 0 fe:00 7 /usr/lib/locale/locale-archive", false, LeftOut("read-only files that are no libraries"));
        check("1000-2000 r-xp 1000 fe:00 7 /usr/lib/x.so", true, LeftOut("program code"));
        check("1000-2000 r-xp 0 fe:00 7 /opt/old.so", true, Before);
        check("1000-20002000 r--p 0 fe:00 7 /usr/lib/gpu.so", true, LeftOut("very large read-only parts of libraries"));
    }

    #[test]
    fn gaps_are_counted_and_unchanged_pieces_known() {
        let text = b"1000-2000 r--p 0 fe:00 7 /a.so\n3000-4000 ---p 0 00:00 0 \n5000-7000 ---p 0 00:00 0 \n8000-9000 rw-p 0 00:00 0 \n";
        let plan = Plan::new(&parse_maps(text), |_| true);
        assert_eq!(plan.gaps(), [("reserved address space and guard pages".to_string(), Bytes(0x3000))]);
        assert_eq!(plan.pieces.len(), 2);
        let other = Plan::new(&parse_maps(b"1000-2000 r--p 0 fe:00 8 /a.so\n8000-9000 rw-p 0 00:00 0 \n"), |_| true);
        assert!(!plan.contains(&other.pieces[0]));
        assert!(plan.contains(&other.pieces[1]));
    }
}
