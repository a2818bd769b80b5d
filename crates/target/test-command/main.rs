//! A command for the tests of this crate: it is its own guardian, and takes the memory of a PID as the real command does.
//!
//! usage: exuvia-guardian-test auto|fork|freeze|live PID [MAX_PAUSE_MS [NEVER_QUIET_WORD]] | launch PROGRAM [ARGUMENT …] | __guardian --socket FD

use std::ffi::OsString;
use std::process::exit;
use std::time::{Duration, Instant};

use exuvia_target::{self as target, LaunchOptions, Mode, TakeOptions, TargetError};
use memory::Addr;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let word = arguments.next().and_then(|a| a.into_string().ok()).unwrap_or_default();
    match word.as_str() {
        target::GUARDIAN_ARGUMENT => target::guardian_main(arguments),
        "auto" | "fork" | "freeze" | "live" => {
            let mode = match word.as_str() {
                "fork" => Mode::Fork,
                "freeze" => Mode::Freeze,
                "live" => Mode::Live,
                _ => Mode::Auto,
            };
            let mut number = || arguments.next().and_then(|a| a.to_str()?.parse::<u64>().ok());
            let pid = number().unwrap_or(0) as i32;
            let max_pause = Duration::from_millis(number().unwrap_or(60_000));
            let quiet_words: Vec<Addr> = number().map(Addr).into_iter().collect();
            exit(take(pid, TakeOptions { mode, max_pause, quiet_words, retries: u32::MAX, ..TakeOptions::default() }))
        }
        "launch" => exit(launch(arguments.collect())),
        _ => exit(2),
    }
}

fn take(pid: i32, options: TakeOptions) -> i32 {
    let begun = Instant::now();
    match target::open(pid).and_then(|process| target::take(&process, &options)) {
        Ok(taken) => {
            println!(
                "{:?} copied {} resident {} cost {:?} total {:?} threads {} segments {} gaps {:?} instead {:?}",
                taken.way(),
                taken.bytes_copied(),
                taken.resident_bytes(),
                taken.cost(),
                begun.elapsed(),
                taken.threads().len(),
                taken.image().segments().len(),
                taken.gaps().iter().map(|(why, bytes)| format!("{why}: {bytes}")).collect::<Vec<_>>(),
                taken.instead_of_fork(),
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
