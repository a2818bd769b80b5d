//! What command and guardian say to each other: one JSON object a line over a socket pair.
//!
//! Holds: the two enums. Never does: IO.

use serde::{Deserialize, Serialize};

use crate::error::Refusal;

/// The command's wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Stop all threads of a process. When `hold_ms` have passed the guardian lets it go by itself.
    Stop { pid: i32, hold_ms: Option<u64> },
    /// Make a copy of what stands, by a fork.
    Fork,
    /// Let it go, for good.
    Release,
    /// Kill the copy, and have the target take note of its end.
    Discard,
    /// Trace a process that is about to start its program, and tell of its moments.
    Adopt { pid: i32 },
}

/// The guardian's answer, or news of a launched program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Report {
    /// All threads stand.
    Stopped { threads: Vec<i32> },
    /// The wish could not be met; nothing is stopped.
    Refused(Refusal),
    /// The copy, by its process id: it stands, and can be read.
    Forked { copy: i32 },
    /// The copy is gone. How long a thread of the target stood for that; whether the target still has it as a zombie.
    Discarded { pause_ns: u64, zombie: bool },
    /// Nothing is stopped any more. How long the last stop lasted, and whether the guardian itself ended it.
    Released { pause_ns: u64, overran: bool },
    /// The process is traced.
    Adopted,
    /// No debug register could be set: only the exit will be seen.
    NoBreakpoint { errno: i32 },
    /// It stands before `Py_FinalizeEx`.
    BeforeFinalize,
    /// It stands at its exit, memory whole; the wait status that it will have.
    AtExit { status: i32 },
    /// It has ended.
    Ended,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_line() {
        let all = [Report::Refused(Refusal::AlreadyTraced { tracer: 7 }), Report::Released { pause_ns: u64::MAX, overran: true }];
        for report in all {
            let line = serde_json::to_string(&report).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Report>(&line).unwrap(), report);
        }
    }
}
