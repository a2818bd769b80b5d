//! Real allocators in real interpreters: the one that was chosen is proved to be in use, and one that is not in use is not.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;

use exuvia_trial::{environment_of, malloc_of, prove, Allocators, Program, Stop, Trials, Way};
use testbed::{for_each_interpreter, interpreters, Interpreter};

/// Runs it with the environment of `given` and proves `claimed`.
fn proof(trials: &Trials, py: &Interpreter, given: Allocators, claimed: Allocators) -> Result<String, String> {
    let argv = [py.path.to_str().unwrap(), "-c", "kept = [[n] for n in range(1000)]"].iter().map(Into::into).collect();
    let program = Program { argv, env: given.environment().unwrap(), folder: None };
    let (mut malloc, mut environment) = (Err("not seen".to_string()), Vec::new());
    let run =
        trials.run(&program, &Way::default(), |process| (malloc, environment) = (malloc_of(process), environment_of(process))).unwrap();
    if !run.succeeded() {
        return Err(format!("{:?}: {}", run.ending, run.last_words));
    }
    prove(claimed, &malloc, &environment, run.collector.as_ref())
}

fn trials() -> Trials {
    Trials::new(PathBuf::from(env!("CARGO_BIN_EXE_exuvia-trial-test")), Stop::catch()).unwrap()
}

fn allocators(text: &str) -> Allocators {
    Allocators::parse(text).unwrap()
}

#[test]
fn each_allocator_is_proved_to_be_in_use() {
    for_each_interpreter(|py| {
        let trials = trials();
        for text in ["glibc", "arena-max=2", "pymalloc", "malloc", "jemalloc", "tcmalloc", "jemalloc+malloc"] {
            let proof = proof(&trials, py, allocators(text), allocators(text));
            assert!(proof.is_ok(), "{} {text}: {proof:?}", py.name);
        }
    });
}

#[test]
fn what_is_not_in_use_is_not_proved() {
    // How a program is linked differs between builds, not how a proof fails: one release.
    let py = interpreters().found.last().unwrap();
    let trials = trials();
    for (given, claimed) in [
        ("glibc", "jemalloc"),
        ("jemalloc", "tcmalloc"),
        ("jemalloc", "glibc"),
        ("glibc", "arena-max=2"),
        ("glibc", "malloc"),
        ("malloc", "pymalloc"),
    ] {
        let proof = proof(&trials, py, allocators(given), allocators(claimed));
        assert!(proof.as_ref().is_err_and(|why| why.contains("not in use")), "{claimed} under {given}: {proof:?}");
    }
}
