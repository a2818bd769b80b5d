//! The next command: the target as the user named it, in a line that can be pasted.

use crate::text;

/// How the user named the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// A process that runs on.
    Pid(i32),
    /// The folder of a snapshot.
    Folder(String),
    /// A core file, with the options that say where its files are.
    Core(String, Vec<String>),
    /// A command that was started for the look.
    Command(Vec<String>),
}

impl Default for Again {
    fn default() -> Self {
        Again::Pid(0)
    }
}

impl Again {
    /// `exuvia COMMAND …` for the same target, quoted for a shell.
    pub fn line(&self, command: &str, options: &[&str]) -> String {
        let mut words = vec!["exuvia".to_string(), command.to_string()];
        let options = options.iter().map(|o| text::shell_quoted(o));
        match self {
            Again::Pid(pid) => {
                words.push(pid.to_string());
                words.extend(options);
            }
            Again::Folder(folder) => {
                words.push(text::shell_quoted(folder));
                words.extend(options);
            }
            Again::Core(core, places) => {
                words.push(text::shell_quoted(core));
                words.extend(places.iter().map(|p| text::shell_quoted(p)));
                words.extend(options);
            }
            Again::Command(argv) => {
                words.extend(options);
                words.push("--".into());
                words.extend(argv.iter().map(|a| text::shell_quoted(a)));
            }
        }
        words.join(" ")
    }

    /// Whether addresses of this look still hold for the next one.
    pub fn keeps_addresses(&self) -> bool {
        !matches!(self, Again::Command(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_can_be_pasted() {
        assert_eq!(Again::Pid(7).line("objects", &["--type", "a.B"]), "exuvia objects 7 --type a.B");
        let argv = ["python3", "-c", "x = 'a b'"].map(String::from).to_vec();
        assert_eq!(Again::Command(argv).line("types", &["--json"]), r#"exuvia types --json -- python3 -c 'x = '\''a b'\'''"#);
    }
}
