//! Named points at which a test can hold the guardian or the command up, to do something just there.
//!
//! Holds: [`reached`]. Never does: anything in a release build, where it is empty.
//! `EXUVIA_TEST_STOP_AT=clone-entered=/path`: at that point the file is made, and the process waits until it is removed, or
//! for [`PATIENCE`].

/// A test that died must not leave a process standing.
#[cfg(debug_assertions)]
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// The point `what-when` is reached.
#[cfg(debug_assertions)]
pub(crate) fn reached(what: &str, when: &str) {
    let Ok(wanted) = std::env::var("EXUVIA_TEST_STOP_AT") else { return };
    let Some((point, path)) = wanted.split_once('=') else { return };
    if point.split_once('-') != Some((what, when)) || std::fs::write(path, "").is_err() {
        return;
    }
    let begun = std::time::Instant::now();
    while std::path::Path::new(path).exists() && begun.elapsed() < PATIENCE {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub(crate) fn reached(_: &str, _: &str) {}
