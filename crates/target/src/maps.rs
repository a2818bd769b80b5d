//! `/proc/PID/maps`: what is mapped where.
//!
//! Holds: the parser of its lines. Never does: IO, judgement of what to copy (that is `plan`).
//! Source: proc_pid_maps(5); show_map_vma and seq_file's escapes in Linux's fs/proc/task_mmu.c.

use memory::{Addr, Mapping};

/// The mappings of a `maps` text, in its order (by address). A line that is no mapping is left out: the kernel
/// writes none, and a lying file must not stop the reader.
pub fn parse_maps(text: &[u8]) -> Vec<Mapping> {
    text.split(|&b| b == b'\n').filter_map(parse_line).collect()
}

pub(crate) fn parse_line(line: &[u8]) -> Option<Mapping> {
    // start-end perms offset dev inode [spaces path]. The path may hold spaces, so split five times only.
    let mut fields = line.splitn(6, |&b| b == b' ');
    let range = std::str::from_utf8(fields.next()?).ok()?;
    let perms = fields.next()?;
    let offset = std::str::from_utf8(fields.next()?).ok()?;
    let _dev = fields.next()?;
    let inode = std::str::from_utf8(fields.next()?).ok()?;
    let path = fields.next().unwrap_or_default();

    let (start, end) = range.split_once('-')?;
    let start = u64::from_str_radix(start, 16).ok()?;
    let end = u64::from_str_radix(end, 16).ok()?;
    if end <= start {
        return None;
    }
    let &[r, w, x, s, ..] = perms else { return None };
    Some(Mapping {
        start: Addr(start),
        end: Addr(end),
        read: r == b'r',
        write: w == b'w',
        exec: x == b'x',
        shared: s == b's',
        offset: u64::from_str_radix(offset, 16).ok()?,
        inode: inode.parse().ok()?,
        path: unescape(path.trim_ascii_start()),
    })
}

/// The ranges of a `smaps` text that a fork does not copy: `dc` (MADV_DONTFORK) and `wf` (MADV_WIPEONFORK) among the VmFlags
/// (proc_pid_smaps(5)).
pub(crate) fn not_forked(text: &[u8]) -> Vec<(u64, u64)> {
    let mut all = Vec::new();
    let mut range = None;
    for line in text.split(|&b| b == b'\n') {
        if let Some(flags) = line.strip_prefix(b"VmFlags:") {
            let special = flags.split(|&b| b == b' ').any(|flag| flag == b"dc" || flag == b"wf");
            all.extend(range.take().filter(|_| special));
        } else if !line.first().is_some_and(u8::is_ascii_uppercase) {
            // The fields of a mapping begin with a capital letter, its own line with a hexadecimal number in small ones.
            range = parse_line(line).map(|m| (m.start.0, m.end.0)).or(range);
        }
    }
    all
}

/// The kernel writes a newline in a path as `\012` and nothing else escaped.
fn unescape(path: &[u8]) -> String {
    String::from_utf8_lossy(path).replace("\\012", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_field() {
        let text = b"00400000-00401000 r-xp 00001000 fe:00 1048601                            /usr/bin/python3.11\n\
            7f0000000000-7f0000021000 rw-p 00000000 00:00 0 \n\
            7f1000000000-7f1000001000 rw-s 00000000 00:05 77 /dev/shm/a b (deleted)\n\
            7ffff7fff000-7ffff8000000 r--p 00000000 00:00 0                          [vvar]\n";
        let maps = parse_maps(text);
        assert_eq!(maps.len(), 4);
        let exe = maps.first().unwrap();
        assert_eq!((exe.start, exe.end, exe.offset, exe.inode), (Addr(0x400000), Addr(0x401000), 0x1000, 1048601));
        assert_eq!((exe.read, exe.write, exe.exec, exe.shared), (true, false, true, false));
        assert_eq!(exe.path, "/usr/bin/python3.11");
        assert_eq!(maps[1].path, "");
        assert!(maps[1].write && !maps[1].shared);
        assert_eq!(maps[2].path, "/dev/shm/a b (deleted)");
        assert!(maps[2].shared);
        assert_eq!(maps[3].path, "[vvar]");
    }

    #[test]
    fn a_newline_in_a_path_comes_back() {
        let maps = parse_maps(b"1000-2000 r--p 00000000 00:00 5 /tmp/a\\012b");
        assert_eq!(maps[0].path, "/tmp/a\nb");
    }

    #[test]
    fn lines_that_are_no_mapping_are_left_out() {
        for line in ["", "x", "2000-1000 r--p 0 0:0 0", "1000-2000 r- 0 0:0 0", "1000-2000 r--p zz 0:0 0", "1000-2000 r--p 0 0:0", "-"] {
            assert_eq!(parse_maps(line.as_bytes()), vec![], "{line:?}");
        }
    }

    #[test]
    fn what_a_fork_leaves_out() {
        let text = b"00400000-00401000 r-xp 00001000 fe:00 1048601   /usr/bin/python3.11\nSize: 4 kB\nVmFlags: rd ex mr mw me \n\
            7f0000000000-7f0000021000 rw-p 00000000 00:00 0 \nRss: 8 kB\nVmFlags: rd wr mr mw me dc ac sd \n\
            7f1000000000-7f1000001000 rw-p 00000000 00:00 0 \nVmFlags: rd wr wf ac\n";
        assert_eq!(not_forked(text), [(0x7f00_0000_0000, 0x7f00_0002_1000), (0x7f10_0000_0000, 0x7f10_0000_1000)]);
    }
}
