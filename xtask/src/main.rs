//! Tasks of this workspace: `cargo xtask TASK`.
//!
//! Holds: the list of tasks. Never: what the command `exuvia` itself needs.
#![forbid(unsafe_code)]

mod apt;
mod bench;
mod check;
mod docs;
mod fuzz;
mod interpreters;
mod layouts;
mod matrix;
mod pythons;
mod soak;
mod tidy;
mod trouble;

use std::path::{Path, PathBuf};
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
    // What cargo says now; what it said at the build may be another checkout that shares the target folder.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let root = manifest.parent().unwrap_or_else(|| Path::new("."));
    let (task, rest) = words.split_first().map_or(("", words), |(task, rest)| (task.as_str(), rest));
    match task {
        "check" => check::run(root, rest),
        "tidy" => tidy::run(root),
        "layouts" => layouts::run(root, rest),
        "docs" => docs::run(root, rest),
        "fuzz" => fuzz::run(root, rest),
        "matrix" => matrix::run(root, rest),
        "bench" => bench::run(root, rest),
        "soak" => soak::run(root, rest),
        "interpreters" => interpreters::run_task(root, rest),
        _ => Err(Trouble::new(
            [
                "which task?\n",
                check::HELP,
                tidy::HELP,
                layouts::HELP,
                bench::HELP,
                soak::HELP,
                fuzz::HELP,
                docs::HELP,
                matrix::HELP,
                interpreters::HELP,
            ]
            .join("\n"),
        )),
    }
}
