//! A command for the tests of this crate: it is its own guardian, and freezes a PID as the real command does.
//!
//! usage: exuvia-guardian-test freeze PID [MAX_PAUSE_MS [NEVER_QUIET_WORD]] | launch PROGRAM [ARGUMENT …] | __guardian --socket FD

use std::ffi::OsString;
use std::process::exit;
use std::time::{Duration, Instant};

use exuvia_target::{self as target, FreezeOptions, LaunchOptions, TargetError};
use memory::Addr;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().and_then(|a| a.into_string().ok()).as_deref() {
        Some(target::GUARDIAN_ARGUMENT) => target::guardian_main(arguments),
        Some("freeze") => {
            let mut number = || arguments.next().and_then(|a| a.to_str()?.parse::<u64>().ok());
            let pid = number().unwrap_or(0) as i32;
            let max_pause = Duration::from_millis(number().unwrap_or(60_000));
            let quiet_words: Vec<Addr> = number().map(Addr).into_iter().collect();
            exit(freeze(pid, FreezeOptions { max_pause, quiet_words, retries: u32::MAX, ..FreezeOptions::default() }))
        }
        Some("launch") => exit(launch(arguments.collect())),
        _ => exit(2),
    }
}

fn freeze(pid: i32, options: FreezeOptions) -> i32 {
    let begun = Instant::now();
    match target::open(pid).and_then(|process| target::freeze(&process, &options)) {
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
                frozen.gaps().iter().map(|(why, bytes)| format!("{why}: {bytes}")).collect::<Vec<_>>(),
            );
            0
        }
        Err(error) => tell(&error),
    }
}

fn launch(argv: Vec<OsString>) -> i32 {
    let options = LaunchOptions { argv, stdout_to_stderr: true, after: None, guardian: "/proc/self/exe".into() };
    let done = target::launch(&options).and_then(|mut program| {
        println!("pid {}", program.pid());
        println!("moment {:?}", program.wait_for_moment()?);
        println!("ending {:?}", program.finish()?);
        Ok(())
    });
    done.map_or_else(|error| tell(&error), |()| 0)
}

fn tell(error: &TargetError) -> i32 {
    eprintln!("error: {}\nwhy: {}\ntry: {}", error.what(), error.why(), error.advice());
    3
}
