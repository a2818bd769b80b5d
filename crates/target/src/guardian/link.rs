//! The command's end of the line to its guardian.
//!
//! Holds: [`Guardian`]: started, asked, listened to, and gone when dropped. Never does: trace.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use super::message::{Report, Request};
use crate::error::{GuardianProblem, TargetError};

/// A running guardian. Dropping it closes the line: the guardian lets everything go and ends, and is reaped here.
#[derive(Debug)]
pub(crate) struct Guardian {
    program: PathBuf,
    socket: Option<UnixStream>,
    incoming: Vec<u8>,
    child: Child,
}

impl Guardian {
    /// Starts `program` as a guardian.
    pub(crate) fn start(program: &Path) -> Result<Guardian, TargetError> {
        let failed = |e| TargetError::Guardian { guardian: program.to_path_buf(), problem: GuardianProblem::Start(e) };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let child = crate::sys::spawn::guardian(program, super::GUARDIAN_ARGUMENT, theirs.as_fd()).map_err(failed)?;
        Ok(Guardian { program: program.to_path_buf(), socket: Some(ours), incoming: Vec::new(), child })
    }

    /// Its PID.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Our end of the line; −1 when it is closed.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.socket.as_ref().map_or(-1, |s| s.as_raw_fd())
    }

    /// Says something.
    pub(crate) fn send(&mut self, request: &Request) -> Result<(), TargetError> {
        let mut line = serde_json::to_vec(request).map_err(|e| self.nonsense(e.to_string()))?;
        line.push(b'\n');
        match self.socket.as_mut().map(|s| s.write_all(&line)) {
            Some(Ok(())) => Ok(()),
            _ => Err(self.died()),
        }
    }

    /// The next thing it says; `None` when `patience` ends first.
    pub(crate) fn next(&mut self, patience: Option<Duration>) -> Result<Option<Report>, TargetError> {
        let until = patience.map(|p| Instant::now() + p);
        loop {
            if let Some(end) = self.incoming.iter().position(|&b| b == b'\n') {
                let line: Vec<u8> = self.incoming.drain(..=end).collect();
                return match serde_json::from_slice(&line) {
                    Ok(report) => Ok(Some(report)),
                    Err(e) => Err(self.nonsense(e.to_string())),
                };
            }
            // A timeout of zero means none to the kernel.
            let left = until.map(|u| u.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)));
            let mut buffer = [0u8; 4096];
            let got = match self.socket.as_mut() {
                Some(socket) => socket.set_read_timeout(left).and_then(|()| socket.read(&mut buffer)),
                None => Ok(0),
            };
            match got {
                Ok(0) => return Err(self.died()),
                Ok(n) => self.incoming.extend(buffer.iter().take(n)),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if until.is_some_and(|u| Instant::now() >= u) {
                        return Ok(None);
                    }
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(self.died()),
            }
        }
    }

    /// Stops a process; the threads that stand.
    pub(crate) fn stop(&mut self, pid: i32, hold: Option<Duration>) -> Result<Vec<i32>, TargetError> {
        self.send(&Request::Stop { pid, hold_ms: hold.map(|h| h.as_millis() as u64) })?;
        loop {
            match self.next(None)? {
                Some(Report::Stopped { threads }) => return Ok(threads),
                Some(Report::Refused(refusal)) => return Err(refusal.into_error(pid)),
                Some(Report::Ended) => return Err(TargetError::Ended { pid }),
                // It reached a moment of its own before it heard us, and stands there: the answer follows.
                Some(Report::BeforeFinalize | Report::AtExit { .. } | Report::NoBreakpoint { .. }) | None => {}
                Some(other) => return Err(self.nonsense(format!("{other:?}"))),
            }
        }
    }

    /// Forks what stands; the copy's process id.
    pub(crate) fn fork(&mut self, pid: i32) -> Result<i32, TargetError> {
        self.send(&Request::Fork)?;
        match self.answer()? {
            Report::Forked { copy } => Ok(copy),
            Report::Refused(refusal) => Err(refusal.into_error(pid)),
            other => Err(self.nonsense(format!("{other:?}"))),
        }
    }

    /// Ends the copy; how long a thread of the target stood for that, and whether the dead copy is still its child.
    pub(crate) fn discard(&mut self) -> Result<(Duration, bool), TargetError> {
        self.send(&Request::Discard)?;
        match self.answer()? {
            Report::Discarded { pause_ns, zombie } => Ok((Duration::from_nanos(pause_ns), zombie)),
            other => Err(self.nonsense(format!("{other:?}"))),
        }
    }

    /// The next report that is no news of a launched program.
    fn answer(&mut self) -> Result<Report, TargetError> {
        loop {
            match self.next(None)? {
                Some(Report::Ended | Report::BeforeFinalize | Report::AtExit { .. } | Report::NoBreakpoint { .. }) | None => {}
                Some(report) => return Ok(report),
            }
        }
    }

    /// Lets it go; how long it stood, and whether the guardian had let it go before we asked.
    pub(crate) fn release(&mut self) -> Result<(Duration, bool), TargetError> {
        self.send(&Request::Release)?;
        match self.answer()? {
            Report::Released { pause_ns, overran } => Ok((Duration::from_nanos(pause_ns), overran)),
            other => Err(self.nonsense(format!("{other:?}"))),
        }
    }

    fn died(&self) -> TargetError {
        TargetError::Guardian { guardian: self.program.clone(), problem: GuardianProblem::Died }
    }

    pub(crate) fn nonsense(&self, said: String) -> TargetError {
        TargetError::Guardian { guardian: self.program.clone(), problem: GuardianProblem::Protocol(said) }
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.socket = None;
        let _ = self.child.wait();
    }
}
