//! What is executed when a program is started: the file that PATH leads to, a script's interpreter, what `env` calls.
//!
//! Holds: [`Started`]. Never does: start it, look into a shell script: what that starts inherits the environment.
//! Sources: execve(2) ("Interpreter scripts"), env(1), "Command line" in CPython's Doc/using/cmdline.rst.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::run::Program;

/// Scripts of scripts, and env between them: the kernel follows five.
const LINKS_MOST: usize = 8;
/// The kernel reads so much of a script's first line (BINPRM_BUF_SIZE).
const LINE_MOST: u64 = 256;
/// What execvp(3) takes where there is no PATH.
const PATH: &str = "/bin:/usr/bin";

/// What is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Started {
    /// The file that the kernel executes, or the last one that it is known to.
    pub(crate) executable: PathBuf,
    /// The first on the way that is called as Pythons are.
    pub(crate) python: Option<Called>,
}

/// A Python and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Called {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<OsString>,
}

impl Started {
    /// `None` where there is no such file: starting it tells.
    pub(crate) fn of(program: &Program) -> Option<Started> {
        let mut words: Vec<OsString> = program.argv.clone();
        let mut executable = find(words.first()?, program)?;
        let mut python = None;
        for _ in 0..LINKS_MOST {
            if python.is_none() && is_python(&executable) {
                python = Some(Called { path: executable.clone(), arguments: words.iter().skip(1).cloned().collect() });
            }
            let next = match interpreter(&executable) {
                Some(mut line) => {
                    line.push(executable.clone().into_os_string());
                    line.extend(words.drain(..).skip(1));
                    line
                }
                None if executable.file_name() == Some(OsStr::new("env")) => match command_of_env(words.get(1..).unwrap_or_default()) {
                    Some(command) => command,
                    None => break,
                },
                None => break,
            };
            let Some(file) = next.first().and_then(|word| find(word, program)) else { break };
            (words, executable) = (next, file);
        }
        Some(Started { executable, python })
    }
}

impl Called {
    /// The option by which it ignores its environment: `-I`, `-E`, also in one word with others.
    pub(crate) fn ignores_environment(&self) -> Option<String> {
        let mut words = self.arguments.iter();
        while let Some(word) = words.next() {
            match word.as_bytes().strip_prefix(b"-")? {
                // A program on stdin, or the end of the options.
                [] | b"-" => return None,
                b"-check-hash-based-pycs" => {
                    words.next();
                }
                [b'-', ..] => {}
                letters => {
                    for (i, letter) in letters.iter().enumerate() {
                        match letter {
                            b'I' | b'E' => return Some(format!("-{}", char::from(*letter))),
                            b'c' | b'm' => return None,
                            // The rest of the word, or the next one.
                            b'W' | b'X' => {
                                if i + 1 == letters.len() {
                                    words.next();
                                }
                                break;
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
        None
    }
}

/// What PATH leads to.
fn find(word: &OsStr, program: &Program) -> Option<PathBuf> {
    let from = program.folder.as_deref().unwrap_or(Path::new(""));
    if word.as_bytes().contains(&b'/') {
        return Some(from.join(word)).filter(|path| path.is_file());
    }
    let named = program.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
    let path = named.unwrap_or_else(|| std::env::var_os("PATH")).unwrap_or_else(|| PATH.into());
    let is_executable = |path: &PathBuf| nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok() && path.is_file();
    std::env::split_paths(&path).map(|folder| from.join(folder).join(word)).find(is_executable)
}

/// `python`, `python3`, `python3.13t`: not `python3-config`.
fn is_python(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).and_then(|name| name.strip_prefix("python"));
    name.is_some_and(|rest| rest.trim_end_matches(['t', 'd']).bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

/// The words of a script's first line: the interpreter, and all that follows as one.
fn interpreter(path: &Path) -> Option<Vec<OsString>> {
    let mut head = Vec::new();
    File::open(path).ok()?.take(LINE_MOST).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?.trim_ascii();
    let end = line.iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(line.len());
    let (file, rest) = line.split_at(end);
    let words = [file, rest.trim_ascii_start()].into_iter().filter(|word| !word.is_empty());
    let words: Vec<OsString> = words.map(|word| OsString::from_vec(word.to_vec())).collect();
    (!words.is_empty()).then_some(words)
}

/// What env executes with its own environment, but for variables that are set: `None` where it may have taken away what we set.
fn command_of_env(arguments: &[OsString]) -> Option<Vec<OsString>> {
    let mut words: Vec<OsString> = Vec::new();
    let mut arguments = arguments.iter();
    // `-S` splits its word, which a script's line gives as one.
    if let Some(first) = arguments.next() {
        match first.as_bytes().strip_prefix(b"-S") {
            Some(line) => {
                let split = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
                words.extend(split.map(|word| OsString::from_vec(word.to_vec())));
            }
            None => words.push(first.clone()),
        }
    }
    words.extend(arguments.cloned());
    let sets = words.iter().take_while(|word| word.as_bytes().contains(&b'=')).count();
    let command = words.split_off(sets);
    command.first().is_some_and(|word| !word.as_bytes().starts_with(b"-")).then_some(command)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::{symlink, PermissionsExt};

    use super::*;

    fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn started(argv: &[&str], folder: &Path) -> Started {
        let path = format!("{}:/usr/bin:/bin", folder.display());
        let program = Program { argv: argv.iter().map(Into::into).collect(), env: vec![("PATH".into(), Some(path.into()))], folder: None };
        Started::of(&program).unwrap()
    }

    #[test]
    fn scripts_lead_to_their_interpreter() {
        let scratch = testbed::Scratch::new().unwrap();
        let at = scratch.path();
        let sh = std::fs::canonicalize("/bin/sh").unwrap();
        // A venv's python, a console script of it, one through env, a shim.
        symlink(&sh, at.join("python3")).unwrap();
        let console = script(at, "console", &format!("#!{} -I\nimport x\n", at.join("python3").display()));
        let by_env = script(at, "by-env", "#!/usr/bin/env python3\n");
        let split = script(at, "split", "#!/usr/bin/env -S X=1 python3 -sE\n");
        let shim = script(at, "python3.9", "#!/bin/sh\nexec python3 \"$@\"\n");
        let python = |argv: &[&str]| started(argv, at).python.unwrap();
        assert_eq!(python(&["python3", "a.py"]), Called { path: at.join("python3"), arguments: vec!["a.py".into()] });
        let called = python(&[console.to_str().unwrap(), "-E"]);
        assert_eq!((called.path.clone(), called.ignores_environment().unwrap()), (at.join("python3"), "-I".to_string()));
        let called = python(&["by-env", "-E"]);
        assert_eq!((called.arguments.clone(), called.ignores_environment()), (vec![by_env.into_os_string(), "-E".into()], None));
        assert_eq!(python(&[split.to_str().unwrap()]).ignores_environment().unwrap(), "-E");
        let shimmed = started(&["python3.9", "-c", "pass"], at);
        assert_eq!((shimmed.python.unwrap().path, shimmed.executable), (shim, PathBuf::from("/bin/sh")));
        assert_eq!(started(&["env", "-i", "python3"], at).python, None, "it takes the environment away");
        assert_eq!(Started::of(&Program { argv: vec!["/nowhere/x".into()], ..Program::default() }), None);
        // One that is its own interpreter has an end.
        let own = at.join("own");
        script(at, "own", &format!("#!{}\n", own.display()));
        assert_eq!(started(&["own"], at).executable, own);
    }

    #[test]
    fn options_that_ignore_the_environment() {
        let of =
            |words: &[&str]| Called { path: "python3".into(), arguments: words.iter().map(Into::into).collect() }.ignores_environment();
        for (words, option) in [
            (&["-I"][..], "-I"),
            (&["-sE", "a.py"], "-E"),
            (&["-X", "dev", "-I"], "-I"),
            (&["-Xdev", "-BI"], "-I"),
            (&["-Wignore", "--check-hash-based-pycs", "default", "-E"], "-E"),
        ] {
            assert_eq!(of(words).as_deref(), Some(option), "{words:?}");
        }
        for words in [&["a.py", "-I"][..], &["-c", "pass", "-I"], &["-mx", "-E"], &["-", "-I"], &["--", "-I"], &["-W", "-I"], &["-WI"], &[]]
        {
            assert_eq!(of(words), None, "{words:?}");
        }
    }

    #[test]
    fn names_of_pythons() {
        for name in ["python", "python3", "python3.13", "python3.13t", "python3.11d"] {
            assert!(is_python(Path::new(name)), "{name}");
        }
        for name in ["python3-config", "pythonw", "ipython3", "pypy3", "sh"] {
            assert!(!is_python(Path::new(name)), "{name}");
        }
    }
}
