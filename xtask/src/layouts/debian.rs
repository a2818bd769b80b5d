//! Debian's debug information of its Pythons, of releases other than the machine's own.
//!
//! Holds: the releases, one `-dbg` package for each, and where it is unpacked below `target/`. Never: installs anything.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apt::{run, Apt};
use crate::trouble::{Doing, Done};

/// Debian releases and the Python series that each brought.
const SERIES: &[(&str, &str)] =
    &[("bullseye", "3.9"), ("bookworm", "3.11"), ("trixie", "3.13"), ("sid", "3.13"), ("sid", "3.14"), ("sid", "3.15")];

/// Folders of debug information that an earlier [`fetch`] left below `root`, and the release of each.
pub(crate) fn fetched(root: &Path) -> Vec<(PathBuf, String)> {
    let release = |folder: &str| {
        // python3.13-dbg_3.13.5-2+deb13u5_amd64.deb
        let entries = std::fs::read_dir(root.join(format!("{folder}-deb"))).ok()?;
        let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        names.last()?.split('_').nth(1)?.split('-').next().map(str::to_owned)
    };
    SERIES
        .iter()
        .map(|(suite, series)| format!("{suite}-{series}"))
        .map(|folder| (root.join(&folder).join("usr/lib/debug"), release(&folder)))
        .filter(|(dir, _)| dir.is_dir())
        .filter_map(|(dir, release)| release.map(|release| (dir, release)))
        .collect()
}

/// Downloads and unpacks the debug information of every release that the machine's mirror has, below `root`.
pub(crate) fn fetch(root: &Path) -> Done<()> {
    for (suite, series) in SERIES {
        let apt = Apt::new(root, suite, "deb")?;
        let package = ["python", "-dbg"].join(series);
        let (downloads, unpacked) = (root.join(format!("{suite}-{series}-deb")), root.join(format!("{suite}-{series}")));
        // Only the newest counts; what an earlier fetch left would be an older one.
        for old in [&downloads, &unpacked] {
            if old.exists() {
                std::fs::remove_dir_all(old).doing(old.display())?;
            }
        }
        std::fs::create_dir_all(&downloads).doing(downloads.display())?;
        if let Err(trouble) = apt.get(&["update"], &downloads).and_then(|()| apt.get(&["download", &package], &downloads)) {
            eprintln!("  {suite}: {package} cannot be had: {trouble}");
            continue;
        }
        for entry in std::fs::read_dir(&downloads).doing(downloads.display())? {
            let package = entry.doing(downloads.display())?.path();
            run(Command::new("dpkg").arg("-x").arg(package).arg(&unpacked))?;
        }
    }
    Ok(())
}
