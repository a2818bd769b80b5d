//! A command for the tests of this crate: it is its own guardian, and freezes a PID as the real command does.
//!
//! usage: exuvia-guardian-test freeze PID [MAX_PAUSE_MS] | __guardian --socket FD

use std::process::exit;
use std::time::{Duration, Instant};

use exuvia_target::{self as target, FreezeOptions};
use memory::Bytes;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().and_then(|a| a.into_string().ok()).as_deref() {
        Some(target::GUARDIAN_ARGUMENT) => target::guardian_main(arguments),
        Some("freeze") => {
            let mut number = || arguments.next().and_then(|a| a.to_str()?.parse::<i32>().ok());
            let pid = number().unwrap_or(0);
            let max_pause = Duration::from_millis(number().unwrap_or(60_000) as u64);
            exit(freeze(pid, max_pause))
        }
        _ => exit(2),
    }
}

fn freeze(pid: i32, max_pause: Duration) -> i32 {
    let begun = Instant::now();
    let done = target::open(pid).and_then(|process| target::freeze(&process, &FreezeOptions { max_pause, ..FreezeOptions::default() }));
    match done {
        Ok(frozen) => {
            println!(
                "copied {} resident {} pause {:?} total {:?} attempts {} threads {} segments {} gaps {:?}",
                frozen.bytes_copied(),
                frozen.resident_bytes(),
                frozen.pause(),
                begun.elapsed(),
                frozen.attempts(),
                frozen.threads().len(),
                frozen.image().segments().len(),
                frozen.gaps().iter().map(|(why, Bytes(n))| format!("{why}: {n}")).collect::<Vec<_>>(),
            );
            0
        }
        Err(error) => {
            eprintln!("error: {}\nwhy: {}\ntry: {}", error.what(), error.why(), error.advice());
            3
        }
    }
}
