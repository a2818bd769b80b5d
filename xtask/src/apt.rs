//! A private apt: packages of other Debian releases, downloaded and never installed.
//!
//! Holds: its own sources, lists and cache in a folder. Never: changes the machine's apt, or knows a mirror: that is taken from the
//! machine's own settings. Sources: apt-get(8), apt.conf(5), sources.list(5).

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::trouble::{Doing, Done, Trouble};

/// apt-get with one source.
pub(crate) struct Apt {
    root: PathBuf,
    sources: PathBuf,
}

impl Apt {
    /// With its state below `root`, for the suite of the machine's mirror; `kind` is `deb` or `deb-src`.
    pub(crate) fn new(root: &Path, suite: &str, kind: &str) -> Done<Apt> {
        for part in ["lists/partial", "cache/archives/partial"] {
            std::fs::create_dir_all(root.join(part)).doing(root.display())?;
        }
        let root = root.canonicalize().doing(root.display())?;
        let sources = root.join(format!("{suite}.list"));
        let keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
        std::fs::write(&sources, format!("{kind} [signed-by={keys}] {} {suite} main\n", mirror()?)).doing(sources.display())?;
        Ok(Apt { root, sources })
    }

    /// Downloads packages and all that they depend on, down to the C library, and unpacks them into a folder. Nothing of it is installed:
    /// no script of a package runs.
    pub(crate) fn unpack_whole(&self, names: &[&str], folder: &Path) -> Done<()> {
        let archives = self.root.join("cache/archives");
        // What an earlier download left there would be unpacked too.
        for old in packages(&archives)? {
            std::fs::remove_file(&old).doing(old.display())?;
        }
        let words = ["install", "--yes", "--download-only", "--no-install-recommends"];
        self.get(&[&words, names].concat(), &self.root)?;
        std::fs::create_dir_all(folder).doing(folder.display())?;
        for one in packages(&archives)? {
            run(Command::new("dpkg").arg("-x").arg(one).arg(folder))?;
        }
        Ok(())
    }

    /// The version of a package that the suite has; `None` where it has none.
    pub(crate) fn version(&self, package: &str) -> Done<Option<String>> {
        let output = self.tool("apt-cache").args(["show", "--no-all-versions", package]).output().doing("apt-cache show")?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().find_map(|line| line.strip_prefix("Version: ")).map(str::to_owned))
    }

    /// Runs `apt-get -qq` with these arguments in a folder.
    pub(crate) fn get(&self, arguments: &[&str], folder: &Path) -> Done<()> {
        run(self.tool("apt-get").arg("-qq").args(arguments).current_dir(folder))
    }

    /// One of apt's programs, with this state instead of the machine's.
    fn tool(&self, program: &str) -> Command {
        let mut apt = Command::new(program);
        for (key, value) in [
            ("Dir::Etc::sourcelist", self.sources.display().to_string()),
            ("Dir::Etc::sourceparts", "-".to_owned()),
            ("Dir::State::lists", self.root.join("lists").display().to_string()),
            ("Dir::State::status", "/dev/null".to_owned()),
            ("Dir::Cache", self.root.join("cache").display().to_string()),
            ("APT::Sandbox::User", "root".to_owned()),
            ("APT::Get::List-Cleanup", "false".to_owned()),
        ] {
            apt.arg("-o").arg(format!("{key}={value}"));
        }
        apt
    }
}

/// The package files in a folder, by name.
fn packages(folder: &Path) -> Done<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).doing(folder.display())?;
    let mut all: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|p| p.extension() == Some("deb".as_ref())).collect();
    all.sort();
    Ok(all)
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

/// Runs a command to its end; what it wrote to stderr is the trouble where it failed.
pub(crate) fn run(command: &mut Command) -> Done<()> {
    let output = command.output().doing(format_args!("{command:?}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Trouble::new(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}
