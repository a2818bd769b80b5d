//! The interpreters of pyenv on this machine.
//!
//! Holds: where they are and their order. Never: runs one.

use std::path::PathBuf;

/// The numbers of a release: `[3, 12, 1]`.
pub(crate) fn numbers(release: &str) -> Option<Vec<u32>> {
    release.split('.').map(|part| part.parse().ok()).collect()
}

/// pyenv's interpreters from 3.8 on, with their numbers, oldest first.
pub(crate) fn pyenv() -> Vec<(Vec<u32>, PathBuf)> {
    let root = match (std::env::var_os("PYENV_ROOT"), std::env::var_os("HOME")) {
        (Some(root), _) => PathBuf::from(root),
        (None, Some(home)) => PathBuf::from(home).join(".pyenv"),
        (None, None) => return Vec::new(),
    };
    let Ok(entries) = std::fs::read_dir(root.join("versions")) else { return Vec::new() };
    let mut found: Vec<(Vec<u32>, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let numbers = numbers(path.file_name()?.to_str()?)?;
            (numbers >= vec![3, 8]).then(|| (numbers, path.join("bin/python3")))
        })
        .filter(|(_, path)| path.exists())
        .collect();
    found.sort();
    found
}
