//! A process by its PID: may it be read, what has it mapped, where is its Python.
//!
//! Holds: [`open`], [`Process`] and its [`Memory`]: single reads of the running process, without a stop.
//! Never does: stop it, copy it (that is `take`).
//! Sources: proc(5), process_vm_readv(2), elf(5).

use std::fs::File;
use std::io::{self, IoSliceMut, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};

use memory::{Addr, Fault, Mapping, Memory, Module};
use nix::errno::Errno;
use nix::sys::uio::{process_vm_readv, RemoteIoVec};
use nix::unistd::Pid;

use crate::container::check_proc;
use crate::core_file::build_id;
use crate::error::TargetError;
use crate::maps::parse_maps;
use crate::pagemap::PAGE;
use crate::status::{name_of, tracing_process, Status};

/// Opens a process for reading: it exists, is no zombie and no thread of the kernel, is a 64-bit x86-64 program,
/// may be read by us, and nobody else traces it.
pub fn open(pid: i32) -> Result<Process, TargetError> {
    let process = Process::open_traced(pid)?;
    process.refuse_if_traced()?;
    Ok(process)
}

/// An opened process.
#[derive(Debug)]
pub struct Process {
    pid: i32,
    start_time: u64,
    /// `/proc/PID/auxv`: it holds addresses that are drawn anew by each exec, so it tells one program from the next.
    auxv: Vec<u8>,
    /// `/proc/PID/mem`; `None` where it may not be opened, which `check_rights` says better.
    mem: Option<File>,
}

impl Process {
    /// As [`open`], for a process that our own guardian traces.
    pub(crate) fn open_traced(pid: i32) -> Result<Process, TargetError> {
        if pid <= 0 {
            return Err(TargetError::Gone { pid });
        }
        check_proc()?;
        let status = Status::read(pid).map_err(|e| TargetError::from_proc(pid, "reading /proc/PID/status", e))?;
        if status.tgid != pid {
            return Err(TargetError::ThreadId { tid: pid, process: status.tgid });
        }
        if matches!(status.state, 'Z' | 'X') {
            return Err(TargetError::Zombie { pid, parent: status.parent, parent_name: name_of(status.parent) });
        }
        if status.kernel {
            return Err(TargetError::KernelThread { pid, name: status.name });
        }
        check_cpu(pid)?;
        let auxv = read_proc(pid, "auxv")?;
        let mem = File::open(format!("/proc/{pid}/mem")).ok();
        let process = Process { pid, start_time: status.start_time, auxv, mem };
        process.check_rights()?;
        Ok(process)
    }

    /// Its PID.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Clock ticks since boot at which it started: with the PID it names one process for ever.
    pub fn start_time(&self) -> u64 {
        self.start_time
    }

    /// For how long it has run by the machine's clock, in seconds.
    pub fn age_s(&self) -> Option<f64> {
        // The unit of /proc/PID/stat, USER_HZ, which is 100 on x86-64 (proc(5), sysconf(_SC_CLK_TCK)).
        const TICKS_A_SECOND: f64 = 100.0;
        let uptime: f64 = std::fs::read_to_string("/proc/uptime").ok()?.split(' ').next()?.parse().ok()?;
        Some((uptime - self.start_time as f64 / TICKS_A_SECOND).max(0.0))
    }

    /// What it has mapped now, by address.
    pub fn mappings(&self) -> Result<Vec<Mapping>, TargetError> {
        Ok(parse_maps(&read_proc(self.pid, "maps")?))
    }

    /// The ranges that a fork does not copy: MADV_DONTFORK and MADV_WIPEONFORK.
    pub(crate) fn not_forked(&self) -> Result<Vec<(u64, u64)>, TargetError> {
        Ok(crate::maps::not_forked(&read_proc(self.pid, "smaps")?))
    }

    /// The mapped ELF file that defines CPython's `_PyRuntime`. Where several do, the first by address; see [`Process::pythons`].
    pub fn python(&self) -> Result<Module, TargetError> {
        let mut found = self.pythons()?;
        if found.is_empty() {
            // `pythons` gives an error instead of an empty list; this keeps the types honest.
            return Err(TargetError::NotPython { pid: self.pid, exe: self.exe() });
        }
        Ok(found.swap_remove(0))
    }

    /// All mapped ELF files that define `_PyRuntime`: each is a runtime of its own, and only the one whose
    /// `interpreters.head` is set is in use. At least one, else an error that says what the process is.
    pub fn pythons(&self) -> Result<Vec<Module>, TargetError> {
        crate::elf::pythons(self)
    }

    /// The path of its executable, as the kernel shows it.
    pub fn exe(&self) -> String {
        match std::fs::read_link(format!("/proc/{}/exe", self.pid)) {
            Ok(path) => path.to_string_lossy().into_owned(),
            Err(_) => name_of(self.pid),
        }
    }

    /// The kernel's state letter: `R`, `S`, `D`, `T` (stopped by job control or SIGSTOP), `t` (traced), `Z` …
    pub fn state(&self) -> Result<char, TargetError> {
        Status::read(self.pid).map(|s| s.state).map_err(|e| TargetError::from_proc(self.pid, "reading /proc/PID/status", e))
    }

    /// Opens the file behind a mapping, by the first way that leads to it. ARCHITECTURE.md, "The files of a process", says why in
    /// this order. What was found by a path has to be the mapped file: another one may stand there, in a container and after an upgrade.
    pub(crate) fn open_mapped(&self, mapping: &Mapping) -> io::Result<File> {
        let pid = self.pid;
        if let Ok(file) = open_regular(&format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start.0, mapping.end.0)) {
            return Ok(file);
        }
        let root = format!("/proc/{pid}/root");
        let mut ways = vec![format!("{root}{}", mapping.path)];
        // Of a chroot the paths in `maps` begin at the root of its mount namespace, as the link's own text does (d_path).
        let chroot = std::fs::read_link(&root).unwrap_or_default();
        let below = chroot.to_str().filter(|c| *c != "/").and_then(|c| mapping.path.strip_prefix(c));
        ways.extend(below.filter(|rest| rest.starts_with('/')).map(|rest| format!("{root}{rest}")));
        // It outlives the file's name, and a move to another place.
        let exe = format!("/proc/{pid}/exe");
        if std::fs::read_link(&exe).is_ok_and(|path| path.to_string_lossy() == mapping.path) {
            ways.push(exe);
        }
        let mut failed = None;
        for way in ways {
            match open_regular(&way) {
                Ok(file) if self.is_mapped(&file, mapping)? => return Ok(file),
                Ok(_) => failed = Some(io::Error::from_raw_os_error(libc::ESTALE)),
                Err(e) => failed = failed.or(Some(e)),
            }
        }
        Err(failed.unwrap_or_else(|| io::Error::from_raw_os_error(libc::ENOENT)))
    }

    /// Whether a file that was found by a path is the mapped one. Inode numbers alone do not tell: those of an overlay's files
    /// differ between `maps` and stat(2) (before Linux 6.8), and those of two file systems may be equal, whose device numbers in turn
    /// differ in the same way on btrfs. The first page tells: it is in the target's memory too, and holds the build id.
    fn is_mapped(&self, file: &File, mapping: &Mapping) -> io::Result<bool> {
        let same_inode = file.metadata()?.ino() == mapping.inode;
        // What it wrote itself is no longer as in the file.
        if mapping.offset != 0 || mapping.write {
            return Ok(same_inode);
        }
        let mut head = Vec::new();
        Read::take(file, PAGE).read_to_end(&mut head)?;
        let mut mapped = vec![0u8; head.len()];
        let same_head = self.read(mapping.start, &mut mapped).is_ok() && mapped == head;
        Ok(same_head && (same_inode || build_id(&head).is_some()))
    }

    /// Whether it is still the process and the program that was opened.
    pub(crate) fn check_same(&self) -> Result<(), TargetError> {
        let pid = self.pid;
        let gone = |_| TargetError::GoneMeanwhile { pid };
        let status = Status::read(pid).map_err(gone)?;
        if status.start_time != self.start_time || matches!(status.state, 'Z' | 'X') {
            return Err(TargetError::GoneMeanwhile { pid });
        }
        let auxv = std::fs::read(format!("/proc/{pid}/auxv")).map_err(gone)?;
        if auxv.is_empty() {
            // The memory is gone already, the process not yet.
            return Err(TargetError::GoneMeanwhile { pid });
        }
        if auxv != self.auxv {
            return Err(TargetError::Replaced { pid });
        }
        Ok(())
    }

    /// The value of an entry of the auxiliary vector (getauxval(3)).
    pub(crate) fn auxiliary(&self, key: u64) -> Option<u64> {
        let word = |b: &[u8]| b.try_into().map(u64::from_le_bytes).ok();
        self.auxv.chunks_exact(16).find_map(|pair| {
            let (k, v) = pair.split_at(8);
            (word(k)? == key).then(|| word(v)).flatten()
        })
    }

    pub(crate) fn refuse_if_traced(&self) -> Result<(), TargetError> {
        let pid = self.pid;
        let status = Status::read(pid).map_err(|e| TargetError::from_proc(pid, "reading /proc/PID/status", e))?;
        match status.tracer {
            0 => Ok(()),
            tracer => {
                let tracer = tracing_process(tracer);
                Err(TargetError::AlreadyTraced { pid, tracer, tracer_name: name_of(tracer) })
            }
        }
    }

    /// One byte of the executable's mapping is read, since that asks the kernel for exactly the right that a stop needs too
    /// (PTRACE_MODE_ATTACH_REALCREDS), with no effect on the process.
    fn check_rights(&self) -> Result<(), TargetError> {
        let mappings = self.mappings()?;
        let Some(first) = mappings.iter().find(|m| m.read && m.inode != 0) else { return Ok(()) };
        let mut byte = [0u8; 1];
        let remote = RemoteIoVec { base: first.start.0 as usize, len: byte.len() };
        match process_vm_readv(Pid::from_raw(self.pid), &mut [IoSliceMut::new(&mut byte)], &[remote]) {
            Err(Errno::EPERM | Errno::EACCES) => Err(TargetError::refused(self.pid)),
            Err(Errno::ESRCH) => Err(TargetError::Gone { pid: self.pid }),
            _ => Ok(()),
        }
    }
}

impl Memory for Process {
    /// Reads from the running process: nothing keeps it from changing the bytes meanwhile.
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Fault> {
        if at.is_null() {
            return Err(Fault::Null);
        }
        let absent = Fault::Absent { at, len: into.len() };
        match &self.mem {
            _ if into.is_empty() => Ok(()),
            // A file's offset is signed.
            Some(mem) if i64::try_from(at.0).is_ok() => mem.read_exact_at(into, at.0).map_err(|_| absent),
            _ => Err(absent),
        }
    }
}

/// Reads a file of `/proc/PID`.
pub(crate) fn read_proc(pid: i32, name: &'static str) -> Result<Vec<u8>, TargetError> {
    let call = match name {
        "maps" => "reading /proc/PID/maps",
        "auxv" => "reading /proc/PID/auxv",
        "smaps" => "reading /proc/PID/smaps",
        _ => "reading /proc/PID",
    };
    std::fs::read(format!("/proc/{pid}/{name}")).map_err(|e| TargetError::from_proc(pid, call, e))
}

/// Opens a file that may be anything (the target chose its path): not following into a FIFO or a device.
fn open_regular(path: &str) -> io::Result<File> {
    let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::from_raw_os_error(libc::ENOEXEC));
    }
    Ok(file)
}

/// Reads the executable's ELF header: class, byte order, machine.
fn check_cpu(pid: i32) -> Result<(), TargetError> {
    let mut header = [0u8; 20];
    let mut file = match open_regular(&format!("/proc/{pid}/exe")) {
        Ok(file) => file,
        Err(e) => return Err(TargetError::from_proc(pid, "opening /proc/PID/exe", e)),
    };
    let got = file.read(&mut header).map_err(|e| TargetError::from_proc(pid, "reading /proc/PID/exe", e))?;
    match header.get(..got).map(describe_elf) {
        Some(Ok(())) => Ok(()),
        Some(Err(found)) => Err(TargetError::OtherCpu { pid, found }),
        None => Ok(()),
    }
}

/// Whether an ELF header is that of a 64-bit x86-64 file; else what it is, in words.
fn describe_elf(header: &[u8]) -> Result<(), String> {
    let (Some(b"\x7fELF"), Some(&class), Some(&order)) = (header.get(..4), header.get(4), header.get(5)) else {
        return Err("no ELF file".to_string());
    };
    let machine = match (header.get(18), header.get(19), order) {
        (Some(&a), Some(&b), 2) => u16::from_be_bytes([a, b]),
        (Some(&a), Some(&b), _) => u16::from_le_bytes([a, b]),
        _ => return Err("a cut ELF file".to_string()),
    };
    let bits = if class == 2 { "64-bit" } else { "32-bit" };
    match (class, order, machine) {
        (2, 1, 62) => Ok(()),
        (_, _, 62) => Err(format!("a {bits} ELF file for x86-64 (the x32 interface)")),
        (_, _, 3) => Err(format!("a {bits} ELF file for x86")),
        (_, _, 183) => Err(format!("a {bits} ELF file for AArch64")),
        (_, _, 40) => Err(format!("a {bits} ELF file for Arm")),
        (_, _, other) => Err(format!("a {bits} ELF file for machine {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(class: u8, machine: u16) -> Vec<u8> {
        let mut h = b"\x7fELF".to_vec();
        h.extend([class, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0]);
        h.extend(machine.to_le_bytes());
        h
    }

    #[test]
    fn only_x86_64_passes() {
        assert_eq!(describe_elf(&header(2, 62)), Ok(()));
        assert_eq!(describe_elf(&header(1, 3)), Err("a 32-bit ELF file for x86".to_string()));
        assert_eq!(describe_elf(&header(2, 183)), Err("a 64-bit ELF file for AArch64".to_string()));
        assert_eq!(describe_elf(&header(1, 62)), Err("a 32-bit ELF file for x86-64 (the x32 interface)".to_string()));
        assert_eq!(describe_elf(b"#!/bin/sh"), Err("no ELF file".to_string()));
        assert_eq!(describe_elf(b""), Err("no ELF file".to_string()));
    }

    #[test]
    fn a_process_reads_itself() {
        let me = open(std::process::id() as i32).unwrap();
        let word = 0x0123_4567_89ab_cdefu64;
        assert_eq!(me.u64(Addr(&raw const word as u64)), Ok(word));
        assert_eq!(me.u64(Addr(0)), Err(Fault::Null));
        assert_eq!(me.u64(Addr(0x10_0000_0000_0000)), Err(Fault::Absent { at: Addr(0x10_0000_0000_0000), len: 8 }));
        // AT_PAGESZ
        assert_eq!(me.auxiliary(6), Some(4096));
        assert_eq!(me.auxiliary(0x9999), None);
        assert!(me.check_same().is_ok());
    }

    /// In a container, or after an upgrade, another file stands at the path that was mapped, perhaps with the same inode number.
    #[test]
    fn the_mapped_file_is_known_by_its_first_page() {
        let me = open(std::process::id() as i32).unwrap();
        let mut mapping = me.mappings().unwrap().into_iter().find(|m| m.path == me.exe() && m.offset == 0).unwrap();
        let is = |file: &std::path::Path, mapping: &Mapping| me.is_mapped(&File::open(file).unwrap(), mapping).unwrap();
        let exe = std::env::current_exe().unwrap();
        assert!(is(&exe, &mapping) && me.open_mapped(&mapping).is_ok());
        // The same build elsewhere, as an overlay shows it by another number.
        let scratch = testbed::Scratch::new().unwrap();
        let copy = scratch.path().join("copy");
        let mut bytes = std::fs::read(&exe).unwrap();
        std::fs::write(&copy, &bytes).unwrap();
        assert_eq!(is(&copy, &mapping), build_id(&bytes[..PAGE as usize]).is_some());
        // Another one, with one byte of its first page changed, that has the inode that was mapped.
        bytes[PAGE as usize - 1] ^= 1;
        std::fs::write(&copy, &bytes).unwrap();
        mapping.inode = std::fs::metadata(&copy).unwrap().ino();
        assert!(!is(&copy, &mapping));
    }

    #[test]
    fn what_is_no_process_is_said() {
        assert!(matches!(open(0), Err(TargetError::Gone { .. })));
        assert!(matches!(open(-1), Err(TargetError::Gone { .. })));
        assert!(matches!(open(i32::MAX), Err(TargetError::Gone { .. })));
        // 2 is kthreadd, except in a PID namespace of its own.
        if std::fs::read_to_string("/proc/2/comm").is_ok_and(|c| c.trim() == "kthreadd") {
            assert!(matches!(open(2), Err(TargetError::KernelThread { .. })));
        }
    }
}
