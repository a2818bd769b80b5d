//! Parity: a live interpreter of each version says what its heap holds, and exuvia, from outside, must say the same.
//! Holds the heaps that are compared. Never compares with anything but the interpreter: see testbed's oracle.
//! Every difference that is let off stands by name in `explained`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod explained;
mod incremental;
mod look;
mod origins;
mod shifts;
mod subinterpreters;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use cpython::layout::Table;
use cpython::LayoutError;
use testbed::truth::TrueCount;
use testbed::{compare, for_each_interpreter, packages, Interpreter, Target, Truth};

use crate::explained::Heap;
use crate::look::{look, look_at_core, write_core, Looked};

/// Looks at a heap, compares it with its truth, and panics with what nobody explained.
fn check(name: &str, target: &mut Target, tables: &[Table]) -> Looked {
    check_within(name, target, tables, Heap::Quiet)
}

/// The same, with the bounds of a kind of heap on what is beyond the oracle's reach.
fn check_within(name: &str, target: &mut Target, tables: &[Table], heap: Heap) -> Looked {
    let truth = target.truth().unwrap();
    assert_eq!(truth.header.notes.failures, Vec::<String>::new(), "parts of the heap could not be built");
    let looked = look(target, &truth, tables).unwrap();
    judge(name, &truth, &looked, heap);
    looked
}

/// What is wrong with what was found, by the interpreter's own word.
fn judge(name: &str, truth: &Truth, looked: &Looked, heap: Heap) {
    let comparison = compare(truth, &looked.found);
    if std::env::var_os("EXUVIA_PARITY_VERBOSE").is_some() {
        println!("{comparison}");
    }
    let coverage = &looked.snapshot.coverage;
    let share = coverage.exact_bytes.0 as f64 * 100.0 / coverage.own_bytes.0 as f64;
    println!("{name}: {} objects by the interpreter, {share:.2} % of the bytes exact; beyond its reach:", truth.len());
    for (what, count) in explained::by_class(&comparison) {
        println!("{count:>8} {what}");
    }
    let mut wrong = Vec::new();
    if let Some(complaint) = comparison.complaint(&explained::differences()) {
        wrong.push(format!("differences among {} objects:\n{complaint}", truth.len()));
    }
    let strangers = explained::strangers(&comparison, heap);
    if !strangers.is_empty() {
        wrong.push(format!("objects that the interpreter does not reach and no class explains:\n{}", strangers.join("\n")));
    }
    if share < 99.0 {
        wrong.push(format!("only {share:.2} % of the bytes come from exact decoders"));
    }
    assert!(wrong.is_empty(), "{name}: {}", wrong.join("\n"));
}

fn start(py: &Interpreter, script: &str) -> Target {
    Target::start(py, script, &[""; 0]).unwrap()
}

fn tables() -> Vec<Table> {
    cpython::layout::tables().unwrap()
}

/// How many objects of each type were found.
fn counts(looked: &Looked) -> BTreeMap<String, i64> {
    let mut all = BTreeMap::new();
    for one in &looked.found {
        *all.entry(one.type_name.to_string()).or_default() += 1;
    }
    all
}

/// Releases whose kernel's cores are judged as well: the first, one of the middle, the last.
const BY_KERNEL: [u8; 3] = [8, 12, 15];

#[test]
fn every_type_in_every_form() {
    for_each_interpreter(|py| {
        // Before it is started: it inherits the limit.
        let by_kernel = dumps_core();
        let mut target = start(py, "zoo_heap.py");
        let truth = target.truth().unwrap();
        assert_eq!(truth.header.notes.failures, Vec::<String>::new(), "parts of the heap could not be built");
        judge(&py.name, &truth, &look(&target, &truth, &tables()).unwrap(), Heap::Quiet);
        // The same truth holds for each core of it.
        let core = target.scratch().join("ours");
        write_core(&target, &core);
        judge(&format!("{}, a core of ours", py.name), &truth, &look_at_core(&core, &truth, &tables()).unwrap(), Heap::Quiet);
        // The kernel's has the same bytes in other notes: cores.rs holds it against the live process on every release.
        if by_kernel && BY_KERNEL.contains(&py.minor) {
            let core = dumped(&target);
            judge(&format!("{}, a core of the kernel", py.name), &truth, &look_at_core(&core, &truth, &tables()).unwrap(), Heap::Quiet);
        }
    });
}

/// Whether the kernel writes a core of what this process starts from now on, and where the target runs.
fn dumps_core() -> bool {
    use nix::sys::resource::{getrlimit, setrlimit, Resource, RLIM_INFINITY};
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE).unwrap();
    if pattern.trim() != "core" || hard != RLIM_INFINITY {
        println!("left out: cores of the kernel: core_pattern is {}, the limit {hard}", pattern.trim());
        return false;
    }
    setrlimit(Resource::RLIMIT_CORE, hard, hard).unwrap();
    true
}

/// Ends the target, which leaves a core in its folder.
fn dumped(target: &Target) -> PathBuf {
    let pid = nix::unistd::Pid::from_raw(target.pid() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::SIGABRT).unwrap();
    // It is reaped by its owner: what is waited for here is that it is a zombie, and its core whole.
    let left = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
    nix::sys::wait::waitid(nix::sys::wait::Id::Pid(pid), left).unwrap();
    let mut files = std::fs::read_dir(target.scratch()).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core"))).expect("a core")
}

#[test]
fn most_of_the_standard_library() {
    for_each_interpreter(|py| drop(check(&py.name, &mut start(py, "stdlib_heap.py"), &tables())));
}

#[test]
fn real_packages() {
    if !packages::wanted() {
        println!("left out: packages are installed from PyPI only when EXUVIA_PYPI=1");
        return;
    }
    let missing = AtomicUsize::new(0);
    for_each_interpreter(|py| {
        let environment = packages::environment(py, &packages::folder()).unwrap();
        for reason in &environment.failed {
            println!("no package: {}: {reason}", py.name);
        }
        missing.fetch_add(environment.failed.len(), Ordering::Relaxed);
        assert!(!environment.installed.is_empty(), "no package at all could be installed: {:?}", environment.failed);
        let script = testbed::target::scripts().join("packages_heap.py");
        let mut target = Target::start_path(&environment.python, &script, &environment.installed).unwrap();
        drop(check_within(&format!("{} with {}", py.name, environment.installed.join(", ")), &mut target, &tables(), Heap::Packages));
    });
    println!("packages: {} could not be had", missing.load(Ordering::Relaxed));
}

#[test]
fn freed_objects_are_not_found_and_kept_ones_are() {
    for_each_interpreter(|py| {
        let mut target = start(py, "freed_heap.py");
        for (question, marker) in [(None, 7), (Some("free"), 0)] {
            if let Some(question) = question {
                target.ask(question).unwrap();
            }
            let truth = target.truth().unwrap();
            let found = counts(&look(&target, &truth, &tables()).unwrap());
            let wanted = truth.header.notes.numbers("counts");
            assert_eq!((wanted.len(), wanted["__main__.GoneSlots"]), (12, marker));
            for (name, count) in wanted {
                assert_eq!(found.get(&name).copied().unwrap_or(0), count, "{name} after {question:?}");
            }
        }
    });
}

#[test]
fn reference_counts_known_by_construction() {
    for_each_interpreter(|py| {
        let mut target = start(py, "refcounts_heap.py");
        let truth = target.truth().unwrap();
        let looked = look(&target, &truth, &tables()).unwrap();
        let wanted = truth.header.notes.numbers("counts");
        assert_eq!(wanted.len(), 13);
        for (name, count) in wanted {
            let id = truth.header.named[&name];
            let found = looked.found.iter().find(|f| f.id == id).map(|f| f.refcount);
            assert_eq!(found, Some(TrueCount::Counted(count)), "{name}");
        }
    });
}

/// An unseen micro release of a known series: its own table is taken away, another of the series must do or none.
#[test]
fn without_the_release_s_own_table_a_sibling_is_proved_or_the_target_refused() {
    let proved = AtomicUsize::new(0);
    for_each_interpreter(|py| {
        let own = |t: &Table| (t.release.minor, t.release.micro) == (py.minor, py.micro);
        let others: Vec<Table> = tables().into_iter().filter(|t| !own(t)).collect();
        let mut target = start(py, "counts_heap.py");
        if others.iter().any(|t| t.release.minor == py.minor) {
            let looked = check(&py.name, &mut target, &others);
            assert!(looked.snapshot.target.build.contains("proved by structure, table from"), "{}", looked.snapshot.target.build);
            proved.fetch_add(1, Ordering::Relaxed);
        } else {
            let truth = target.truth().unwrap();
            let refused = look(&target, &truth, &others).err();
            assert!(matches!(refused, Some(LayoutError::Unproved { .. } | LayoutError::Unsupported { .. })), "{refused:?}");
        }
    });
    let siblings = std::env::var_os("EXUVIA_ONLY").is_none()
        && [9, 11, 13].iter().all(|minor| testbed::interpreters().found.iter().any(|py| py.minor == *minor));
    assert!(!siblings || proved.load(Ordering::Relaxed) >= 3, "a sibling's table was proved on {proved:?} interpreters only");
}
