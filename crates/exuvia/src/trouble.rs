//! What went wrong, in three lines: what failed, why, what to do; and the exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use report::text;

/// An error as the user sees it.
#[derive(Debug)]
pub(crate) struct Trouble {
    kind: Kind,
    what: String,
    why: String,
    advice: String,
}

/// Whose fault it is; each kind has its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The reader of our output went away (`| head`): nothing is wrong and nobody is there to be told.
    Quiet,
    /// Help or version, asked for.
    Answered,
    /// The answer is no, and is printed: only the exit code is left to say.
    AnsweredNo,
    /// The answer is printed, and crosses a limit that was asked for.
    Limit,
    Usage,
    Target,
    Own,
}

impl Trouble {
    /// The arguments make no sense.
    pub(crate) fn usage(what: impl Into<String>, why: impl Into<String>, advice: impl Into<String>) -> Trouble {
        Trouble { kind: Kind::Usage, what: what.into(), why: why.into(), advice: advice.into() }
    }

    /// The target cannot be read.
    pub(crate) fn target(what: impl Into<String>, why: impl Into<String>, advice: impl Into<String>) -> Trouble {
        Trouble { kind: Kind::Target, what: what.into(), why: why.into(), advice: advice.into() }
    }

    /// Something of ours failed.
    pub(crate) fn own(what: impl Into<String>, why: impl Into<String>) -> Trouble {
        Trouble::own_with(what, why, "again; if it stays, please report it with these lines and the output of exuvia --version")
    }

    /// The same, where there is better advice.
    pub(crate) fn own_with(what: impl Into<String>, why: impl Into<String>, advice: impl Into<String>) -> Trouble {
        Trouble { kind: Kind::Own, what: what.into(), why: why.into(), advice: advice.into() }
    }

    /// What failed.
    #[cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), allow(dead_code))]
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// Why, in its words.
    pub(crate) fn why(&self) -> &str {
        &self.why
    }

    /// Whether it is this target that cannot be read: another one might be.
    pub(crate) fn of_target(&self) -> bool {
        self.kind == Kind::Target
    }

    /// Whether the answer is printed, and crosses a limit.
    pub(crate) fn is_limit(&self) -> bool {
        self.kind == Kind::Limit
    }

    /// The same, said of one process among several.
    pub(crate) fn of_process(mut self, pid: i32) -> Trouble {
        self.what = format!("process {pid}: {}", self.what);
        self
    }

    /// Nothing is wrong: what was asked for (help, version) is printed.
    pub(crate) fn answered() -> Trouble {
        Trouble { kind: Kind::Answered, what: String::new(), why: String::new(), advice: String::new() }
    }

    /// Nothing went wrong, but what was printed is that the target cannot be read.
    pub(crate) fn answered_no() -> Trouble {
        Trouble { kind: Kind::AnsweredNo, ..Trouble::answered() }
    }

    /// Nothing went wrong, but a `--fail-…` limit was crossed.
    pub(crate) fn limit(crossed: String) -> Trouble {
        Trouble { kind: Kind::Limit, what: crossed, ..Trouble::answered() }
    }

    /// Writes the lines and ends the program, from whatever thread.
    #[cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), allow(dead_code))]
    pub(crate) fn exit(self) -> ! {
        let code = match self.kind {
            Kind::Target => 3,
            _ => 4,
        };
        let _ = self.report();
        std::process::exit(code)
    }

    /// Writes the lines to stderr and says what to exit with.
    pub(crate) fn report(self) -> ExitCode {
        let code = match self.kind {
            Kind::Quiet | Kind::Answered => return ExitCode::SUCCESS,
            Kind::AnsweredNo => return ExitCode::from(3),
            Kind::Limit => {
                let _ = writeln!(io::stderr().lock(), "limit: {}", self.what);
                return ExitCode::from(1);
            }
            Kind::Usage => 2,
            Kind::Target => 3,
            Kind::Own => 4,
        };
        // Paths and names of a target may stand in any of the lines, and words for a shell, which have their backslashes.
        let [what, why, advice] = [&self.what, &self.why, &self.advice].map(|l| text::visible(l));
        let _ = write!(io::stderr().lock(), "error: {what}\nwhy: {why}\ntry: {advice}\n");
        ExitCode::from(code)
    }
}

impl From<io::Error> for Trouble {
    /// A failure to write the answer.
    fn from(e: io::Error) -> Trouble {
        let mut trouble = Trouble::own("cannot write the answer", e.to_string());
        if e.kind() == io::ErrorKind::BrokenPipe {
            trouble.kind = Kind::Quiet;
        } else {
            trouble.advice = "look whether the disk is full or the output closed".into();
        }
        trouble
    }
}
