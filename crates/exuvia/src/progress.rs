//! What we are doing, on stderr, once it takes more than a second and a person looks on.
//!
//! Holds: [`Progress`]. Never does: write to what is no terminal, leave a line behind.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Nothing is shown before so long.
const QUIET: Duration = Duration::from_secs(1);
/// The line is written again this often.
const REDRAW: Duration = Duration::from_millis(200);

/// What is done now, in words.
type Step = Cow<'static, str>;

/// A line that shows the current step from the second second on, and is gone when this is dropped.
pub(crate) struct Progress {
    steps: Option<mpsc::Sender<Step>>,
    drawer: Option<JoinHandle<()>>,
}

impl Progress {
    /// Starts the clock. Where stderr is no terminal, nothing is ever shown.
    pub(crate) fn start(step: impl Into<Step>) -> Progress {
        Progress::start_on(io::stderr(), QUIET, step.into())
    }

    /// The same on any stream, and after any time.
    fn start_on(stream: impl Write + IsTerminal + Send + 'static, quiet: Duration, step: impl Into<Step>) -> Progress {
        if !stream.is_terminal() {
            return Progress { steps: None, drawer: None };
        }
        let (steps, received) = mpsc::channel();
        let step = step.into();
        let drawer = std::thread::Builder::new().name("progress".into()).spawn(move || draw(stream, quiet, step, &received)).ok();
        Progress { steps: Some(steps), drawer }
    }

    /// The next step. (Reading a snapshot has one only.)
    #[cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), allow(dead_code))]
    pub(crate) fn step(&self, step: impl Into<Step>) {
        if let Some(steps) = &self.steps {
            let _ = steps.send(step.into());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // The drawer ends, and clears its line, when the channel closes.
        self.steps = None;
        if let Some(drawer) = self.drawer.take() {
            let _ = drawer.join();
        }
    }
}

fn draw(mut stream: impl Write, quiet: Duration, mut step: Step, received: &mpsc::Receiver<Step>) {
    let start = Instant::now();
    let mut drawn = false;
    loop {
        let wait = quiet.checked_sub(start.elapsed()).unwrap_or(REDRAW);
        match received.recv_timeout(wait) {
            Ok(next) => step = next,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if start.elapsed() >= quiet {
            drawn = true;
            let _ = write!(stream, "\r\x1b[Kexuvia: {step} … {} s", start.elapsed().as_secs()).and_then(|()| stream.flush());
        }
    }
    if drawn {
        let _ = write!(stream, "\r\x1b[K").and_then(|()| stream.flush());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use super::*;

    /// Reads until `wanted` was there; gives all that came.
    fn read_until(terminal: &mut File, seen: &mut String, wanted: &str) {
        let mut bytes = [0; 4096];
        while !seen.contains(wanted) {
            let n = terminal.read(&mut bytes).unwrap();
            seen.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
    }

    #[test]
    fn a_terminal_sees_each_step_and_a_clean_line_at_the_end() {
        let pty = nix::pty::openpty(None, None).unwrap();
        let (mut terminal, mut slave) = (File::from(pty.master), File::from(pty.slave));
        let progress = Progress::start_on(slave.try_clone().unwrap(), Duration::ZERO, "copying");
        let mut seen = String::new();
        read_until(&mut terminal, &mut seen, "exuvia: copying … ");
        progress.step("finding");
        read_until(&mut terminal, &mut seen, "exuvia: finding … ");
        drop(progress);
        slave.write_all(b"end").unwrap();
        read_until(&mut terminal, &mut seen, "end");
        assert!(seen.ends_with(" s\r\x1b[Kend"), "{seen:?}");
    }

    #[test]
    fn nothing_is_shown_before_its_time() {
        let pty = nix::pty::openpty(None, None).unwrap();
        let (mut terminal, mut slave) = (File::from(pty.master), File::from(pty.slave));
        let progress = Progress::start_on(slave.try_clone().unwrap(), Duration::from_secs(3600), "copying");
        progress.step("finding");
        drop(progress);
        // What comes first is what comes after it.
        slave.write_all(b"end").unwrap();
        let mut seen = String::new();
        read_until(&mut terminal, &mut seen, "end");
        assert_eq!(seen, "end");
    }

    #[test]
    fn a_pipe_sees_nothing() {
        let (end, pipe) = nix::unistd::pipe().unwrap();
        let mut end = File::from(end);
        let progress = Progress::start_on(File::from(pipe), Duration::ZERO, "copying");
        progress.step("finding");
        drop(progress);
        let mut seen = Vec::new();
        end.read_to_end(&mut seen).unwrap();
        assert_eq!(seen, b"");
    }
}
