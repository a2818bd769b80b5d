//! Tasks of this workspace: `cargo xtask TASK`.
//!
//! Holds: the list of tasks. Never: what the command `exuvia` itself needs.
#![forbid(unsafe_code)]

mod layouts;
mod trouble;

use std::path::Path;
use std::process::ExitCode;

use trouble::{Done, Trouble};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("error: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Done<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."));
    match words.split_first() {
        Some((task, rest)) if task == "layouts" => layouts::run(root, rest),
        _ => Err(Trouble::new(format!("which task?\n\n{}", layouts::HELP))),
    }
}
