//! What we are doing, on stderr, once it takes more than a second and a person looks on.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A line that shows the current step from the second second on, and is gone when this is dropped.
pub(crate) struct Progress {
    steps: Option<mpsc::Sender<&'static str>>,
    drawer: Option<JoinHandle<()>>,
}

impl Progress {
    /// Starts the clock. Where stderr is no terminal, nothing is ever shown.
    pub(crate) fn start(step: &'static str) -> Progress {
        if !io::stderr().is_terminal() {
            return Progress { steps: None, drawer: None };
        }
        let (steps, received) = mpsc::channel();
        let drawer = std::thread::Builder::new().name("progress".into()).spawn(move || draw(step, &received)).ok();
        Progress { steps: Some(steps), drawer }
    }

    /// The next step.
    pub(crate) fn step(&self, step: &'static str) {
        if let Some(steps) = &self.steps {
            let _ = steps.send(step);
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

fn draw(mut step: &'static str, received: &mpsc::Receiver<&'static str>) {
    const QUIET: Duration = Duration::from_secs(1);
    const REDRAW: Duration = Duration::from_millis(200);
    let start = Instant::now();
    let mut drawn = false;
    loop {
        let wait = if start.elapsed() < QUIET { QUIET - start.elapsed() } else { REDRAW };
        match received.recv_timeout(wait) {
            Ok(next) => step = next,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if start.elapsed() >= QUIET {
            drawn = true;
            let _ = write!(io::stderr().lock(), "\r\x1b[Kexuvia: {step} … {} s", start.elapsed().as_secs());
        }
    }
    if drawn {
        let _ = write!(io::stderr().lock(), "\r\x1b[K");
    }
}
