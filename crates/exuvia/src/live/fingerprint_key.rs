//! The key that fingerprints of values are made with: one per user, made on first use, so that snapshots of different days can be
//! compared.
//!
//! Holds: [`key`]. Never does: write the key anywhere but to its own file, trust one that others may read.
//! Sources: the XDG Base Directory Specification (`XDG_STATE_HOME`).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use capture::FingerprintKey;

/// The file below the state folder.
const FILE: &str = "exuvia/fingerprint.key";
const BYTES: usize = 16;

/// The user's key; or one for this snapshot alone, with the reason.
///
/// # Errors
/// The system has no random numbers.
pub(crate) fn key() -> io::Result<(FingerprintKey, Option<String>)> {
    let users = match state_folder() {
        Some(folder) => kept(&folder.join(FILE)),
        None => Err("neither XDG_STATE_HOME nor HOME is the path of a folder".to_owned()),
    };
    Ok(match users {
        Ok(key) => (key, None),
        Err(why) => (random()?, Some(why)),
    })
}

/// A key for one look, of which nothing is kept.
///
/// # Errors
/// The system has no random numbers.
pub(crate) fn passing() -> io::Result<(FingerprintKey, Option<String>)> {
    Ok((random()?, None))
}

/// `$XDG_STATE_HOME`, or `~/.local/state`. Relative paths are to be ignored, says the specification.
fn state_folder() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    folder("XDG_STATE_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/state")))
}

/// Reads the key, or makes it.
fn kept(path: &Path) -> Result<FingerprintKey, String> {
    let says = |e: &io::Error| format!("{}: {e}", path.display());
    match read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            make(path).map_err(|e| says(&e))?;
            // What is there now, whoever was first.
            read(path).map_err(|e| says(&e))
        }
        other => other.map_err(|e| says(&e)),
    }
}

fn read(path: &Path) -> io::Result<FingerprintKey> {
    let file = File::open(path)?;
    only_ours(&file)?;
    let mut bytes = Vec::new();
    file.take(BYTES as u64 + 1).read_to_end(&mut bytes)?;
    let bytes = <[u8; BYTES]>::try_from(bytes).map_err(|_| io::Error::other(format!("it has not {BYTES} bytes")))?;
    Ok(FingerprintKey(bytes))
}

/// Whoever has the key can try out short values: a file of others, or for others, is not used.
fn only_ours(file: &File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.uid() != nix::unistd::geteuid().as_raw() || meta.mode() & 0o077 != 0 {
        return Err(io::Error::other(format!("it is not this user's alone (mode {:04o}, user {})", meta.mode() & 0o7777, meta.uid())));
    }
    Ok(())
}

/// Makes it whole under another name, so that nobody reads half a key, and gives it its name unless somebody was faster.
fn make(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut builder = DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(builder.recursive(true), 0o700);
    builder.create(folder)?;
    let part = path.with_extension(format!("part-{}", std::process::id()));
    let mut options = OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600);
    let mut file = options.open(&part)?;
    let written =
        random().and_then(|key| file.write_all(&key.0)).and_then(|()| file.sync_all()).and_then(|()| match fs::hard_link(&part, path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
    fs::remove_file(&part)?;
    written
}

fn random() -> io::Result<FingerprintKey> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
    Ok(FingerprintKey(bytes))
}
