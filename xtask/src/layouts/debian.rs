//! Debian's debug information of its Pythons, of releases other than the machine's own.
//!
//! Holds: a private apt (its own sources, lists and cache below `target/`), asked for one `-dbg` package a release.
//! Never: installs anything, changes the machine's apt, or knows a mirror: that is taken from the machine's own settings.
//! Sources: apt-get(8), apt.conf(5), sources.list(5).

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::trouble::{Doing, Done, Trouble};

/// Debian releases and the Python series that each brought.
const SERIES: &[(&str, &str)] = &[("bullseye", "3.9"), ("bookworm", "3.11"), ("trixie", "3.13"), ("sid", "3.13")];

/// Folders of debug information that an earlier [`fetch`] left below `root`, and the release of each.
pub(crate) fn fetched(root: &Path) -> Vec<(PathBuf, String)> {
    let release = |suite: &str| {
        // python3.13-dbg_3.13.5-2+deb13u5_amd64.deb
        let entries = std::fs::read_dir(root.join(format!("{suite}-deb"))).ok()?;
        let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        names.last()?.split('_').nth(1)?.split('-').next().map(str::to_owned)
    };
    SERIES
        .iter()
        .map(|(suite, _)| (root.join(suite).join("usr/lib/debug"), release(suite)))
        .filter(|(dir, _)| dir.is_dir())
        .filter_map(|(dir, release)| release.map(|release| (dir, release)))
        .collect()
}

/// Downloads and unpacks the debug information of every release that the machine's mirror has, below `root`.
pub(crate) fn fetch(root: &Path) -> Done<()> {
    let mirror = mirror()?;
    for part in ["lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(root.join(part)).doing(root.display())?;
    }
    for (suite, series) in SERIES {
        let sources = root.join(format!("{suite}.list"));
        let keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
        std::fs::write(&sources, format!("deb [signed-by={keys}] {mirror} {suite} main\n")).doing(sources.display())?;
        let package = ["python", "-dbg"].join(series);
        let downloads = root.join(format!("{suite}-deb"));
        // Only the newest counts; what an earlier fetch left would be an older one.
        for old in [&downloads, &root.join(suite)] {
            if old.exists() {
                std::fs::remove_dir_all(old).doing(old.display())?;
            }
        }
        std::fs::create_dir_all(&downloads).doing(downloads.display())?;
        let apt = |arguments: &[&str]| run(private_apt(root, &sources).args(arguments).current_dir(&downloads));
        if let Err(trouble) = apt(&["update", "-qq"]).and_then(|()| apt(&["download", "-qq", &package])) {
            eprintln!("  {suite}: {package} cannot be had: {trouble}");
            continue;
        }
        for entry in std::fs::read_dir(&downloads).doing(downloads.display())? {
            let package = entry.doing(downloads.display())?.path();
            run(Command::new("dpkg").arg("-x").arg(package).arg(root.join(suite)))?;
        }
    }
    Ok(())
}

fn private_apt(root: &Path, sources: &Path) -> Command {
    let mut apt = Command::new("apt-get");
    for (key, value) in [
        ("Dir::Etc::sourcelist", sources.display().to_string()),
        ("Dir::Etc::sourceparts", "-".to_owned()),
        ("Dir::State::lists", root.join("lists").display().to_string()),
        ("Dir::State::status", "/dev/null".to_owned()),
        ("Dir::Cache", root.join("cache").display().to_string()),
        ("APT::Sandbox::User", "root".to_owned()),
        ("APT::Get::List-Cleanup", "false".to_owned()),
    ] {
        apt.arg("-o").arg(format!("{key}={value}"));
    }
    apt
}

/// Where the machine gets its own release from.
fn mirror() -> Done<String> {
    let release = std::fs::read_to_string("/etc/os-release").doing("/etc/os-release")?;
    let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or("").trim_matches('"').to_owned();
    let output =
        Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI) $(CODENAME)"]).output().doing("apt-get indextargets")?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.split_once(' ').filter(|(_, name)| *name == codename).map(|(mirror, _)| mirror.to_owned()))
        .ok_or_else(|| Trouble::new("apt has no source for this machine's own Debian release"))
}

fn run(command: &mut Command) -> Done<()> {
    let output = command.output().doing(format_args!("{command:?}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Trouble::new(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}
