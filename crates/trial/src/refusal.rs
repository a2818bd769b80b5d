//! Whether a choice of allocators can be made for a program, before it is run.
//!
//! Holds: [`Allocators::for_program`]. Never does: run the program: an interpreter is asked whether it starts with PYTHONMALLOC so set, with
//! nothing to do (`-S -c pass`).
//! Sources: ld.so(8), "Secure-execution mode"; capabilities(7), "File capabilities"; `cap_bprm_creds_from_file` in Linux's
//! security/commoncap.c; `preconfig_init_allocator` in CPython's Python/preconfig.c.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Architecture, Endianness, Object, ReadCache};

use crate::allocator::{AllocatorError, Allocators, Library, PythonMalloc};
use crate::run::Program;
use crate::started::{Called, Started};

const SETUID: u32 = 0o4000;
/// Without the right to execute it means something else: mandatory locks.
const SETGID_EXECUTABLE: u32 = 0o2010;
/// An interpreter that does nothing has done it by then, or it is not ours to judge.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(2);
/// Of its words.
const WORDS_MOST: u64 = 4096;

impl Allocators {
    /// The choice as it comes to for a program: where mimalloc was asked for, Python's own where it has one and obeys its environment, else
    /// the library.
    ///
    /// # Errors
    /// It cannot be made for this program.
    pub fn for_program(self, program: &Program) -> Result<Allocators, AllocatorError> {
        // Where there is no such file, starting it tells.
        let Some(started) = Started::of(program) else { return self.with_library() };
        let chosen = self.for_python(started.python.as_ref(), program)?;
        check_file(&started.executable, chosen.library.is_some())?;
        chosen.with_library()
    }

    fn with_library(self) -> Result<Allocators, AllocatorError> {
        self.library.map_or(Ok(self), |library| library.find().map(|_| self))
    }

    fn for_python(self, python: Option<&Called>, program: &Program) -> Result<Allocators, AllocatorError> {
        let Some(choice) = self.python else { return Ok(self) };
        let by_library = self.by_library();
        let Some(called) = python else {
            // Whatever starts Python here, the library is in its way, and PYTHONMALLOC may not be.
            return Ok(if Library::Mimalloc.find().is_ok() { by_library } else { self });
        };
        let shown = || called.path.display().to_string();
        let refused = match called.ignores_environment() {
            Some(option) => Err(AllocatorError::Ignored(option)),
            None => accepts(called, choice, program).map_err(|words| AllocatorError::NotInPython { python: shown(), choice, words }),
        };
        match refused {
            Ok(()) => Ok(self),
            Err(why) if by_library == self => Err(why),
            Err(_) if Library::Mimalloc.find().is_ok() => Ok(by_library),
            Err(AllocatorError::NotInPython { python, words, .. }) => Err(AllocatorError::NoMimalloc { python, words }),
            Err(why) => Err(AllocatorError::NoMimalloc { python: shown(), words: why.to_string() }),
        }
    }
}

/// Whether this Python starts with the choice; else what it says. One that starts without it neither is not judged.
fn accepts(called: &Called, choice: PythonMalloc, program: &Program) -> Result<(), String> {
    match ask(called, Some(choice), program) {
        Some((false, words)) if ask(called, None, program).is_some_and(|(good, _)| good) => Err(words),
        _ => Ok(()),
    }
}

/// How it ends when it has nothing to do, and what it says first. `None` where that is not known.
fn ask(called: &Called, choice: Option<PythonMalloc>, program: &Program) -> Option<(bool, String)> {
    let mut command = Command::new(&called.path);
    command.args(["-S", "-c", "pass"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    if let Some(folder) = &program.folder {
        command.current_dir(folder);
    }
    for (name, value) in &program.env {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    match choice {
        Some(choice) => command.env("PYTHONMALLOC", choice.word()),
        None => command.env_remove("PYTHONMALLOC"),
    };
    target::unblocked(&mut command);
    // Nobody answers a prompt.
    let mut child = command.env_remove("PYTHONINSPECT").spawn().ok()?;
    let begun = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if begun.elapsed() < ANSWER_LIMIT => std::thread::sleep(LOOK),
            _ => {
                // It may have ended meanwhile.
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
        }
    };
    let mut bytes = Vec::new();
    // A pipe holds more than that.
    if let (Some(_), Some(stderr)) = (status, child.stderr.take()) {
        stderr.take(WORDS_MOST).read_to_end(&mut bytes).ok()?;
    }
    let text = String::from_utf8_lossy(&bytes);
    let words = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing").trim().to_string();
    status.map(|status| (status.success(), words))
}

/// Whether the file that is executed can have a library preloaded, and be looked at.
fn check_file(path: &Path, preloads: bool) -> Result<(), AllocatorError> {
    let shown = || path.display().to_string();
    // What cannot be read or is no ELF file is told by starting it.
    let Ok(file) = File::open(path) else { return Ok(()) };
    let Ok(metadata) = file.metadata() else { return Ok(()) };
    let cache = ReadCache::new(file);
    let Some(found) = kind(&cache) else { return Ok(()) };
    let is_static = found.map_err(|found| AllocatorError::OtherCpu { path: shown(), found })?;
    if !preloads {
        return Ok(());
    }
    let (uid, gid) = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
    let owner = (metadata.uid(), metadata.gid());
    if let Some(how) = other_rights(metadata.permissions().mode(), owner, has_capabilities(path), (uid, gid)) {
        return Err(AllocatorError::OtherRights { path: shown(), how });
    }
    if is_static {
        return Err(AllocatorError::Static(shown()));
    }
    Ok(())
}

/// What makes the kernel tell the loader that the program has other rights than who starts it.
fn other_rights(mode: u32, (owner, group): (u32, u32), capabilities: bool, (uid, gid): (u32, u32)) -> Option<&'static str> {
    if mode & SETUID != 0 && owner != uid {
        return Some("it is setuid");
    }
    if mode & SETGID_EXECUTABLE == SETGID_EXECUTABLE && group != gid {
        return Some("it is setgid");
    }
    // root has them all already.
    (capabilities && uid != 0).then_some("it has file capabilities")
}

/// Whether the file has capabilities: with no room for an attribute the system says how long it is, or that there is none.
fn has_capabilities(path: &Path) -> bool {
    rustix::fs::getxattr(path, "security.capability", &mut [0u8; 0][..]).is_ok()
}

/// Whether an ELF file is linked statically, or what it is if not for this processor. `None` where it is no ELF file.
fn kind(file: &ReadCache<File>) -> Option<Result<bool, String>> {
    use object::read::ReadRef;
    let head: [u8; 20] = file.read_bytes_at(0, 20).ok()?.try_into().ok()?;
    let [0x7f, b'E', b'L', b'F', class, order, .., low, high] = head else { return None };
    let bits = if class == 2 { "64-bit" } else { "32-bit" };
    if (class, order, low, high) != (2, 1, 62, 0) {
        let machine = if order == 2 { u16::from_be_bytes([low, high]) } else { u16::from_le_bytes([low, high]) };
        return Some(Err(format!("a {bits} program {}", machine_name(machine))));
    }
    let elf = ElfFile64::<'_, Endianness, _>::parse(file).ok()?;
    debug_assert_eq!(elf.architecture(), Architecture::X86_64);
    let endian = elf.endian();
    let headers = elf.elf_program_headers();
    let has_loader = headers.iter().any(|h| h.p_type(endian) == object::elf::PT_INTERP);
    // The loader itself has none either, and a name.
    let dynamic = elf.elf_header().program_headers(endian, file).ok()?.iter().find_map(|h| h.dynamic(endian, file).ok().flatten());
    let has_name = dynamic.is_some_and(|entries| entries.iter().any(|entry| entry.d_tag.get(endian) == u64::from(object::elf::DT_SONAME)));
    Some(Ok(!has_loader && !has_name))
}

/// The usual ones of `e_machine` (elf(5)).
fn machine_name(machine: u16) -> String {
    match machine {
        3 => "for x86".into(),
        40 => "for Arm".into(),
        62 => "for x86-64".into(),
        183 => "for AArch64".into(),
        243 => "for RISC-V".into(),
        other => format!("for machine {other}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rights_that_are_ours_already_change_nothing() {
        let us = (1000, 1000);
        assert_eq!(other_rights(0o4755, (0, 0), false, us), Some("it is setuid"));
        assert_eq!(other_rights(0o4755, us, false, us), None);
        assert_eq!(other_rights(0o2755, (0, 0), false, us), Some("it is setgid"));
        assert_eq!(other_rights(0o2755, (0, 1000), false, us), None);
        assert_eq!(other_rights(0o2745, (0, 0), false, us), None, "mandatory locks");
        assert_eq!(other_rights(0o755, (0, 0), true, us), Some("it has file capabilities"));
        assert_eq!(other_rights(0o4755, (0, 0), true, (0, 0)), None);
        assert_eq!(other_rights(0o755, (0, 0), false, us), None);
    }

    #[test]
    fn file_capabilities_are_seen() {
        let scratch = testbed::Scratch::new().unwrap();
        let file = scratch.path().join("program");
        std::fs::copy("/bin/true", &file).unwrap();
        assert!(!has_capabilities(&file) && !has_capabilities(Path::new("/nowhere")));
        // `struct vfs_cap_data` of revision 2 (Linux's include/uapi/linux/capability.h): CAP_NET_BIND_SERVICE, permitted.
        let mut value = vec![0u8; 20];
        value[3] = 2;
        value[5] = 1 << 2;
        match rustix::fs::setxattr(&file, "security.capability", &value, rustix::fs::XattrFlags::empty()) {
            Ok(()) => assert!(has_capabilities(&file)),
            Err(e) => println!("left out: no capabilities can be given to a file here: {e}"),
        }
    }

    #[test]
    fn what_is_no_elf_file_is_left_to_the_kernel() {
        let scratch = testbed::Scratch::new().unwrap();
        let file = scratch.path().join("program");
        for bytes in [&b""[..], b"\x7fELF", b"#!/bin/sh\n", &[0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 62, 0]] {
            std::fs::write(&file, bytes).unwrap();
            assert_eq!(check_file(&file, true), Ok(()), "{bytes:?}");
        }
        assert_eq!(check_file(&scratch.path().join("none"), true), Ok(()));
        assert_eq!(check_file(scratch.path(), true), Ok(()));
    }
}
