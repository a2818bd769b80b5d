//! Compressed cores: what `exuvia snapshot --core --compress` and systemd-coredump write, unpacked into a file without a name.
//!
//! Holds: [`unpacked`]. The file has holes where pages are zeros, so that a large core needs neither as much memory nor as much disk.
//! Never does: unpack more than the core's own headers speak of, trust a name's ending.
//! Sources: lz4_Frame_format.md of LZ4; RFC 8878 (Zstandard); coredump.conf(5).

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};

use super::loads::{headers, Header};
use super::CoreError;
use crate::pagemap::PAGE;

/// At the front of the unpacked bytes stand the headers: 65,535 program headers are 3.7 MB, more are counted elsewhere (PN_XNUM).
const HEAD: usize = 4 << 20;
/// Behind the last segment gdb's gcore writes its section headers and their names.
const TAIL: u64 = 16 << 20;
/// No process that one machine's memory holds has a larger core; a made-up one could say so.
const UNPACKED_MAX: u64 = 1 << 40;

/// A way to compress, by the first bytes of its files, and the command that undoes it.
struct Packing {
    magic: &'static [u8],
    name: &'static str,
    command: &'static str,
}

const LZ4: &str = "LZ4";
const ZSTD: &str = "Zstandard";
const PACKINGS: [Packing; 5] = [
    Packing { magic: &[0x04, 0x22, 0x4d, 0x18], name: LZ4, command: "lz4 -dc" },
    Packing { magic: &[0x28, 0xb5, 0x2f, 0xfd], name: ZSTD, command: "zstd -dc" },
    Packing { magic: &[0x1f, 0x8b], name: "gzip", command: "gzip -dc" },
    Packing { magic: &[0xfd, b'7', b'z', b'X', b'Z', 0], name: "xz", command: "xz -dc" },
    Packing { magic: b"BZh", name: "bzip2", command: "bzip2 -dc" },
];

/// The core itself, where this file is a compressed one; else the file as it is. With the name of the compression.
pub(super) fn unpacked(path: &Path, file: File) -> Result<(File, Option<&'static str>), CoreError> {
    let mut first = [0; 6];
    let read = file.read_at(&mut first, 0).map_err(|source| CoreError::Io { path: path.to_path_buf(), source })?;
    let Some(packing) = PACKINGS.iter().find(|p| first.get(..read).is_some_and(|first| first.starts_with(p.magic))) else {
        return Ok((file, None));
    };
    let source = Watched { inner: BufReader::with_capacity(1 << 20, file), ended: false };
    // A decoder that gives up on a made-up file is no reason to end: it is damage.
    let made = catch_unwind(AssertUnwindSafe(|| match packing.name {
        LZ4 => unpack(path, packing, Lz4(lz4_flex::frame::FrameDecoder::new(source))),
        ZSTD => match ruzstd::StreamingDecoder::new(source) {
            Ok(decoder) => unpack(path, packing, Zstd(decoder)),
            Err(e) => Err(damaged(path, packing, &e.to_string())),
        },
        _ => Err(CoreError::Packed { path: path.to_path_buf(), packing: packing.name, command: packing.command }),
    }));
    let made = made.unwrap_or_else(|_| Err(damaged(path, packing, "its decoder gave up")));
    made.map(|file| (file, Some(packing.name)))
}

fn damaged(path: &Path, packing: &Packing, why: &str) -> CoreError {
    CoreError::Damaged { path: path.to_path_buf(), packing: packing.name, why: why.to_string() }
}

/// What tells, beside its bytes, whether the compressed file ended.
trait Unpacking: Read {
    fn ended(&self) -> bool;
}

/// A file of which it is known whether its end was met.
struct Watched {
    inner: BufReader<File>,
    ended: bool,
}

impl Read for Watched {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(room)?;
        self.ended |= read == 0 && !room.is_empty();
        Ok(read)
    }
}

struct Lz4(lz4_flex::frame::FrameDecoder<Watched>);

impl Read for Lz4 {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.0.read(room)
    }
}

impl Unpacking for Lz4 {
    fn ended(&self) -> bool {
        self.0.get_ref().ended
    }
}

struct Zstd(ruzstd::StreamingDecoder<Watched, ruzstd::FrameDecoder>);

impl Read for Zstd {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.0.read(room)
    }
}

impl Unpacking for Zstd {
    fn ended(&self) -> bool {
        self.0.get_ref().ended
    }
}

fn unpack(path: &Path, packing: &Packing, mut from: impl Unpacking) -> Result<File, CoreError> {
    let mut chunk = vec![0; HEAD];
    let mut have = 0u64;
    let mut wanted = None;
    let folder = folder();
    let no_room = |source| CoreError::NoRoom { path: path.to_path_buf(), folder: folder.clone(), source };
    let made = nameless(&folder).map_err(no_room)?;
    loop {
        let (read, failed) = fill(&mut from, &mut chunk);
        let bytes = chunk.get(..read).unwrap_or_default();
        let whole = match wanted {
            Some(whole) => whole,
            None => told(path, packing, bytes)?,
        };
        wanted = Some(whole);
        let after = have + read as u64;
        if let Some(e) = failed {
            let cut = CoreError::Cut { path: path.to_path_buf(), have: after, wanted: whole.max(after + 1) };
            return Err(if from.ended() { cut } else { damaged(path, packing, &e.to_string()) });
        }
        if after > whole.saturating_add(TAIL) {
            return Err(damaged(path, packing, &format!("it unpacks to more than the {whole} bytes that its headers speak of")));
        }
        sparse(&made, have, bytes).map_err(no_room)?;
        have = after;
        if read < chunk.len() {
            break;
        }
    }
    // A length alone takes no room.
    made.set_len(have).map_err(no_room)?;
    Ok(made)
}

/// As many bytes as there are, up to all of the room; and why there are no more, if that is not the end.
fn fill(from: &mut impl Read, room: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut have = 0;
    while let Some(rest) = room.get_mut(have..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(read) => have += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return (have, Some(e)),
        }
    }
    (have, None)
}

/// How long the core is, by its own headers.
fn told(path: &Path, packing: &Packing, head: &[u8]) -> Result<u64, CoreError> {
    let inside = |e| match e {
        CoreError::NotCore { path, found } => CoreError::NotCore { path, found: format!("{found}, compressed by {}", packing.name) },
        other => other,
    };
    // More headers than can be counted there are counted at the file's end, which is not here yet.
    let many = head.get(56..58) == Some(&elf::PN_XNUM.to_le_bytes()) && head.len() == HEAD;
    if many {
        return Ok(UNPACKED_MAX);
    }
    if head.is_empty() {
        return Err(CoreError::Cut { path: path.to_path_buf(), have: 0, wanted: 1 });
    }
    let (endian, all) = headers(path, head).map_err(inside)?;
    let mut wanted = all.iter().map(|h| h.p_offset(endian).saturating_add(h.p_filesz(endian))).max().unwrap_or(0);
    if let Ok(header) = Header::parse(head) {
        let sections = u64::from(header.e_shnum.get(endian)) * size_of::<elf::SectionHeader64<object::Endianness>>() as u64;
        wanted = wanted.max(header.e_shoff.get(endian).saturating_add(sections));
    }
    if wanted > UNPACKED_MAX {
        return Err(damaged(path, packing, &format!("its headers speak of {wanted} bytes")));
    }
    Ok(wanted)
}

/// Where much is put for a while: not /tmp, which is memory on many systems.
fn folder() -> PathBuf {
    let named = std::env::var_os("TMPDIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    named.unwrap_or_else(|| if Path::new("/var/tmp").is_dir() { "/var/tmp".into() } else { std::env::temp_dir() })
}

/// A file that nobody else can open, and that is gone when it is closed, however we end.
fn nameless(folder: &Path) -> io::Result<File> {
    let open = |flags: i32, path: &Path, new: bool| {
        std::fs::OpenOptions::new().read(true).write(true).create_new(new).mode(0o600).custom_flags(flags).open(path)
    };
    // Some file systems have no O_TMPFILE (overlayfs of older kernels, NFS).
    open(libc::O_TMPFILE, folder, false).or_else(|e| {
        if !matches!(e.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::ENOENT)) || !folder.is_dir() {
            return Err(e);
        }
        let path = folder.join(format!(".exuvia-core-{}", std::process::id()));
        let file = open(0, &path, true)?;
        std::fs::remove_file(path)?;
        Ok(file)
    })
}

/// Writes what is not zero: a hole of the file reads as such.
pub(super) fn sparse(file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
    let is_zero = |page: &[u8]| page.iter().all(|b| *b == 0);
    let mut done = 0usize;
    let pages: Vec<&[u8]> = bytes.chunks(PAGE as usize).collect();
    for run in pages.chunk_by(|a, b| is_zero(a) == is_zero(b)) {
        let length: usize = run.iter().map(|page| page.len()).sum();
        if run.first().is_some_and(|page| !is_zero(page)) {
            file.write_all_at(bytes.get(done..done + length).unwrap_or_default(), at + done as u64)?;
        }
        done += length;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    use crate::core_file::{open_core, CorePlaces};

    /// A core with one segment of so many bytes, by its headers.
    fn head(segment: u64) -> Vec<u8> {
        let mut bytes = vec![0; PAGE as usize];
        let mut put = |at: usize, what: &[u8]| bytes[at..at + what.len()].copy_from_slice(what);
        put(0, b"\x7fELF\x02\x01\x01");
        put(16, &elf::ET_CORE.to_le_bytes());
        put(18, &elf::EM_X86_64.to_le_bytes());
        put(20, &1u32.to_le_bytes());
        put(32, &64u64.to_le_bytes());
        put(52, &64u16.to_le_bytes());
        put(54, &56u16.to_le_bytes());
        put(56, &1u16.to_le_bytes());
        put(64, &elf::PT_LOAD.to_le_bytes());
        put(68, &(elf::PF_R | elf::PF_W).to_le_bytes());
        for (at, word) in [(72, PAGE), (80, 0x10_0000), (96, segment), (104, segment), (112, PAGE)] {
            put(at, &word.to_le_bytes());
        }
        bytes
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packed = lz4_flex::frame::FrameEncoder::new(Vec::new());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    /// What opening a file with these bytes gives.
    fn opened<T>(name: &str, bytes: &[u8], with: impl FnOnce(&Path) -> T) -> T {
        let path = std::env::temp_dir().join(format!("exuvia-packed-{name}-{}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let made = with(&path);
        std::fs::remove_file(&path).unwrap();
        made
    }

    #[track_caller]
    fn refused(name: &str, bytes: &[u8], wanted: &str) {
        let told = opened(name, bytes, |path| open_core(path, &CorePlaces::default()).map(|_| ()).unwrap_err().to_string());
        assert!(told.contains(wanted), "{told}");
    }

    #[test]
    fn a_compressed_core_is_unpacked_with_its_holes() {
        let mut core = head(64 << 20);
        core.extend(vec![0; 32 << 20]);
        core.extend(vec![7; 32 << 20]);
        opened("holes", &packed(&core), |path| {
            let (file, how) = unpacked(path, File::open(path).unwrap()).unwrap();
            assert_eq!(how, Some("LZ4"));
            let meta = file.metadata().unwrap();
            assert_eq!((meta.len(), meta.nlink()), (core.len() as u64, 0));
            assert!(meta.blocks() * 512 < 40 << 20, "{} blocks", meta.blocks());
            let mut bytes = vec![0; core.len()];
            file.read_exact_at(&mut bytes, 0).unwrap();
            assert!(bytes == core);
        });
    }

    #[test]
    fn more_than_the_headers_speak_of_is_not_unpacked() {
        let mut bomb = head(PAGE);
        bomb.extend(vec![0; 256 << 20]);
        let bomb = packed(&bomb);
        assert!(bomb.len() < 4 << 20);
        refused("bomb", &bomb, "more than the 8192 bytes");
        refused("large", &packed(&head(1 << 50)), "its headers speak of");
    }

    #[test]
    fn what_is_cut_or_no_core_is_told_as_such() {
        let mut core = head(8 << 20);
        core.extend((0..8u32 << 18).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()));
        let whole = packed(&core);
        refused("cut", &whole[..whole.len() / 2], "is cut: ");
        refused("cut-early", &whole[..20], "is cut: ");
        refused("text", &packed(b"a letter"), "no ELF file, compressed by LZ4");
        refused("nothing", &packed(b""), "is cut: ");
        refused("zstd", &[0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff], "is damaged: ");
        refused("gzip", &[0x1f, 0x8b, 8, 0], "is compressed by gzip");
    }
}
