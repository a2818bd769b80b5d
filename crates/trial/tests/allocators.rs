//! Real allocators in real interpreters: the one that was chosen is proved to be in use, one that is not in use is not, and what cannot be is
//! refused before anything runs.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::os::unix::fs::{chown, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use exuvia_trial::{prove, AllocatorError, Allocators, Library, Program, PythonMalloc, Run, Seen, Stop, Trials, Unproved, Way, Witness};
use testbed::{for_each_interpreter, interpreters, refused, Interpreter, Scratch};

/// Small objects and large ones.
const WORK: &str = "kept = [[n] for n in range(1000)]; big = bytearray(3 << 20)";

fn trials() -> Trials {
    Trials::new(PathBuf::from(env!("CARGO_BIN_EXE_exuvia-trial-test")), Stop::catch()).unwrap()
}

fn allocators(text: &str) -> Allocators {
    Allocators::parse(text).unwrap()
}

fn program(argv: &[&str]) -> Program {
    Program { argv: argv.iter().map(Into::into).collect(), ..Program::default() }
}

fn python(py: &Interpreter, script: &str) -> Program {
    program(&[py.path.to_str().unwrap(), "-c", script])
}

/// The newest but the one that moves on by itself: how a program is linked differs between builds, not how a proof or a refusal is made.
fn one() -> &'static Interpreter {
    interpreters().found.iter().rfind(|py| !py.moving).unwrap()
}

fn leave_out(why: &str) {
    println!("left out: {why}");
}

/// Whether there are these libraries; CI installs them.
fn installed(libraries: &[Library]) -> bool {
    let missing: Vec<&str> = libraries.iter().filter(|library| library.find().is_err()).map(|library| library.package()).collect();
    if !missing.is_empty() {
        leave_out(&format!("missing: {missing:?}"));
        assert!(std::env::var("EXUVIA_REQUIRE_ALL").map_or(true, |v| v != "1"), "{missing:?}, and EXUVIA_REQUIRE_ALL=1");
    }
    missing.is_empty()
}

/// Runs it with the environment of `chosen`, and with what the test sets besides.
fn run(trials: &Trials, program: &Program, chosen: Allocators, besides: &[(&str, &str)]) -> (Seen, Run) {
    let mut env = chosen.environment().unwrap();
    env.extend(besides.iter().map(|(name, value)| (name.into(), Some(value.into()))));
    let program = Program { env, ..program.clone() };
    let (mut witness, mut seen) = (Witness::default(), Seen::default());
    let run = trials.run(&program, &Way::default(), |process| seen = witness.look(process)).unwrap();
    assert!(run.succeeded(), "{program:?}: {:?}: {}", run.ending, run.last_words);
    (seen, run)
}

#[test]
fn each_allocator_is_proved_to_be_in_use() {
    if !installed(&[Library::Jemalloc, Library::Tcmalloc, Library::Mimalloc]) {
        return;
    }
    for_each_interpreter(|py| {
        let trials = trials();
        let program = python(py, WORK);
        let own_mimalloc = py.minor >= 13;
        for (text, wanted) in [
            ("glibc", "malloc is in libc"),
            ("arena-max=2", "glibc has 1 of at most 2 arenas"),
            ("pymalloc", "blocks of pymalloc"),
            ("malloc", "Python has no block of its own"),
            ("mimalloc", if own_mimalloc { "segments of its own mimalloc" } else { "(the library, not Python's own)" }),
            ("jemalloc", "malloc is in libjemalloc.so.2"),
            ("tcmalloc", "malloc is in libtcmalloc_minimal.so.4"),
            ("jemalloc+malloc", "malloc is in libjemalloc.so.2, Python has no block of its own"),
            ("mimalloc+pymalloc", "(the library, not Python's own), Python has "),
        ] {
            let chosen = allocators(text).for_program(&program).unwrap();
            let (seen, run) = run(&trials, &program, chosen, &[]);
            let proof = prove(chosen, &seen, &run);
            assert!(proof.as_ref().is_ok_and(|words| words.contains(wanted)), "{} {text}: {proof:?} {seen:?}", py.name);
        }
    });
}

#[test]
fn what_is_not_in_use_is_not_proved() {
    if !installed(&[Library::Jemalloc, Library::Mimalloc]) {
        return;
    }
    let (trials, program) = (trials(), python(one(), WORK));
    for (given, claims) in [
        ("glibc", &["jemalloc", "arena-max=2", "malloc", "mimalloc"][..]),
        ("jemalloc", &["tcmalloc", "glibc", "arena-max=2"]),
        ("malloc", &["pymalloc", "mimalloc"]),
        ("mimalloc", &["pymalloc", "malloc"]),
        ("mimalloc+pymalloc", &["glibc", "mimalloc"]),
        ("arena-max=2", &["arena-max=3"]),
    ] {
        let (seen, run) = run(&trials, &program, allocators(given), &[]);
        for claim in claims {
            let proof = prove(allocators(claim), &seen, &run);
            assert!(proof.as_ref().is_err_and(|why| why.to_string().starts_with("not in use")), "{claim} under {given}: {proof:?}");
        }
    }
}

#[test]
fn arenas_are_counted_in_the_process() {
    for_each_interpreter(|py| {
        let trials = trials();
        let script = "
import threading
together = threading.Barrier(6)
def allocate():
    kept = bytearray(5000)
    together.wait()
    kept += bytes(9000)
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
";
        let (free, free_run) = run(&trials, &python(py, script), allocators("glibc"), &[]);
        let (bound, bound_run) = run(&trials, &python(py, script), allocators("arena-max=2"), &[]);
        let (free, bound_arenas) = (free.glibc.unwrap(), bound.glibc.unwrap());
        assert!(free.count > 2 && free.most == Some(0), "{}: {free:?}", py.name);
        assert!(bound_arenas.count == 2 && bound_arenas.most == Some(2), "{}: {bound_arenas:?}", py.name);
        assert_eq!(
            prove(allocators("arena-max=2"), &bound, &bound_run).unwrap(),
            "malloc is in libc.so.6, glibc has 2 of at most 2 arenas"
        );
        let free = Seen { glibc: Some(free), ..bound };
        assert_eq!(prove(allocators("arena-max=2"), &free, &free_run), Err(Unproved::Arenas(0)));
    });
    // The other name of the same setting.
    let (seen, run) = run(&trials(), &python(one(), WORK), allocators("glibc"), &[("GLIBC_TUNABLES", "glibc.malloc.arena_max=5")]);
    assert!(prove(allocators("arena-max=5"), &seen, &run).is_ok(), "{seen:?}");
}

#[test]
fn a_preload_without_effect_is_told() {
    let (trials, scratch, program) = (trials(), Scratch::new().unwrap(), python(one(), WORK));
    let library = scratch.path().join("libjemalloc.so.2");
    let chosen = Allocators { library: Some(Library::Jemalloc), ..Allocators::default() };
    let proof = || {
        let (seen, run) = run(&trials, &program, Allocators::default(), &[("LD_PRELOAD", library.to_str().unwrap())]);
        prove(chosen, &seen, &run)
    };
    std::fs::write(&library, "no library\n").unwrap();
    let refused = proof();
    assert!(
        matches!(&refused, Err(Unproved::Refused { words, .. }) if words.starts_with("ld.so: object ") && words.contains("cannot be preloaded")),
        "{refused:?}"
    );
    if compile(&["-shared", "-fPIC"], "int exuvia_nothing;", &library) {
        let idle = proof();
        assert!(matches!(&idle, Err(Unproved::Idle { library: told, .. }) if Path::new(told) == library), "{idle:?}");
    }
}

#[test]
fn what_the_user_preloads_stays_in_the_program() {
    if !installed(&[Library::Jemalloc]) {
        return;
    }
    let (scratch, py) = (Scratch::new().unwrap(), one());
    let library = scratch.path().join("libuser.so");
    if !compile(&["-shared", "-fPIC"], "int exuvia_user = 7;", &library) {
        return;
    }
    // Our own environment is that of other tests too, so it is a command of ours that has it set.
    let script = "import ctypes; assert ctypes.c_int.in_dll(ctypes.CDLL(None), 'exuvia_user').value == 7";
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "with_a_preload_of_the_users", "--ignored", "--nocapture"]);
    command.env("LD_PRELOAD", &library).env("EXUVIA_TEST_PYTHON", &py.path).env("EXUVIA_TEST_SCRIPT", script);
    let output = command.output().unwrap();
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
}

#[test]
#[ignore = "a part of what_the_user_preloads_stays_in_the_program"]
fn with_a_preload_of_the_users() {
    let program = program(&[&std::env::var("EXUVIA_TEST_PYTHON").unwrap(), "-c", &std::env::var("EXUVIA_TEST_SCRIPT").unwrap()]);
    let trials = trials();
    for text in ["glibc", "jemalloc"] {
        let (seen, run) = run(&trials, &program, allocators(text), &[]);
        assert!(prove(allocators(text), &seen, &run).is_ok(), "{text}: {seen:?}");
    }
}

#[test]
fn python_decides_what_mimalloc_is() {
    if !installed(&[Library::Jemalloc, Library::Mimalloc]) {
        return;
    }
    for_each_interpreter(|py| {
        let own = py.minor >= 13;
        let library = Allocators { library: Some(Library::Mimalloc), ..Allocators::default() };
        let chosen = |options: &[&str]| {
            let words = [&[py.path.to_str().unwrap()], options, &["-c", "pass"]].concat();
            allocators("mimalloc").for_program(&program(&words))
        };
        assert_eq!(chosen(&[]), Ok(if own { allocators("mimalloc") } else { library }), "{}", py.name);
        assert_eq!(chosen(&["-I"]), Ok(library), "{}: it does not see PYTHONMALLOC", py.name);
        for text in ["pymalloc", "malloc", "jemalloc+malloc", "glibc", "arena-max=2"] {
            assert_eq!(allocators(text).for_program(&python(py, "pass")), Ok(allocators(text)), "{} {text}", py.name);
        }
        if !own {
            // Where malloc is to be another one, the library is no way.
            let refused = allocators("jemalloc+mimalloc").for_program(&python(py, "pass"));
            assert!(
                matches!(&refused, Err(AllocatorError::NotInPython { choice: PythonMalloc::Mimalloc, words, .. }) if words.contains("PYTHONMALLOC")),
                "{}: {refused:?}",
                py.name
            );
        }
    });
}

#[test]
fn a_python_without_its_environment_is_refused_what_is_set_there() {
    if !installed(&[Library::Jemalloc]) {
        return;
    }
    let py = one().path.to_str().unwrap();
    for options in ["-I", "-sE"] {
        let refused = allocators("malloc").for_program(&program(&[py, options, "-c", "pass"]));
        assert_eq!(refused, Err(AllocatorError::Ignored(format!("-{}", options.chars().last().unwrap()))));
        // This one the loader does.
        assert!(allocators("jemalloc").for_program(&program(&[py, options, "-c", "pass"])).is_ok());
    }
    // Where it is asked for nevertheless, nothing is claimed.
    let (seen, run) = run(&trials(), &program(&[py, "-I", "-c", WORK]), allocators("malloc"), &[]);
    assert_eq!(prove(allocators("malloc"), &seen, &run), Err(Unproved::NoPython));
}

#[test]
fn a_free_threaded_python_has_mimalloc_alone() {
    let Some(python) = refused::free_threaded() else { return };
    let (trials, program) = (trials(), program(&[python.to_str().unwrap(), "-c", WORK]));
    for text in ["pymalloc", "malloc"] {
        let refused = allocators(text).for_program(&program);
        assert!(
            matches!(&refused, Err(AllocatorError::NotInPython { words, .. }) if words.contains("unknown allocator")),
            "{text}: {refused:?}"
        );
    }
    let chosen = allocators("mimalloc").for_program(&program).unwrap();
    assert_eq!(chosen, allocators("mimalloc"));
    let (seen, run) = run(&trials, &program, chosen, &[]);
    assert!(prove(chosen, &seen, &run).unwrap().contains("free-threaded"), "{seen:?}");
    assert!(prove(allocators("pymalloc"), &seen, &run).is_err(), "{seen:?}");
}

#[test]
fn shims_and_environments_of_their_own_are_seen_through() {
    if !installed(&[Library::Jemalloc, Library::Mimalloc]) {
        return;
    }
    let (trials, scratch, py) = (trials(), Scratch::new().unwrap(), one());
    let at = |name: &str| scratch.path().join(name);
    std::os::unix::fs::symlink(&py.executable, at("python")).unwrap();
    let script = |name: &str, text: String| {
        std::fs::write(at(name), text).unwrap();
        std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    script("python3", format!("#!/bin/sh\nexec '{}' \"$@\"\n", py.path.display()));
    script("console", format!("#!{}\nkept = [[n] for n in range(1000)]\n", py.path.display()));
    script("wrapper", format!("#!/bin/sh\nexec '{}' -c 'kept = 1'\n", py.path.display()));
    script("parent", format!("#!/bin/sh\n'{}' -c 'kept = 1'\nexit 0\n", py.path.display()));
    let python3 = at("python3");
    let (python3, console, wrapper) = (python3.to_str().unwrap(), at("console"), at("wrapper"));
    let programs = [
        program(&[python3, "-c", "pass"]),
        program(&[console.to_str().unwrap()]),
        program(&[wrapper.to_str().unwrap()]),
        python(py, "pass"),
    ];
    for program in programs {
        for text in ["jemalloc+malloc", "mimalloc"] {
            let chosen = allocators(text).for_program(&program).unwrap();
            let (seen, run) = run(&trials, &program, chosen, &[]);
            assert!(prove(chosen, &seen, &run).is_ok() && seen.python, "{program:?} {text}: {:?}", prove(chosen, &seen, &run));
        }
    }
    let (seen, run) = run(&trials, &program(&[at("parent").to_str().unwrap()]), allocators("jemalloc"), &[]);
    assert!(prove(allocators("jemalloc"), &seen, &run).unwrap().ends_with("which starts or holds Python") && !seen.python, "{seen:?}");
}

#[test]
fn programs_with_other_rights_are_refused_a_library() {
    if !installed(&[Library::Jemalloc]) {
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        return leave_out("only root can make a program of another user setuid");
    }
    let (scratch, py) = (Scratch::new().unwrap(), interpreters().found.iter().find(|py| !py.shared).unwrap_or_else(|| one()));
    let copy = scratch.path().join("program");
    let of = |mode: u32| {
        std::fs::copy(&py.executable, &copy).unwrap();
        chown(&copy, Some(65534), Some(65534)).unwrap();
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(mode)).unwrap();
        let program = program(&[copy.to_str().unwrap()]);
        (allocators("jemalloc").for_program(&program), allocators("glibc").for_program(&program))
    };
    for (mode, told) in [(0o4755, "it is setuid"), (0o2755, "it is setgid")] {
        let (refused, glibc) = of(mode);
        assert!(matches!(&refused, Err(AllocatorError::OtherRights { how, .. }) if *how == told), "{mode:o}: {refused:?}");
        assert!(refused.unwrap_err().to_string().contains("LD_PRELOAD"));
        assert!(glibc.is_ok(), "nothing is preloaded: {glibc:?}");
    }
    assert!(of(0o755).0.is_ok());
}

#[test]
fn programs_without_a_loader_are_refused_a_library() {
    if !installed(&[Library::Jemalloc]) {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let file = |name: &str| scratch.path().join(name);
    let source = "#include <stdlib.h>\nint main(void) { return malloc(10) == 0; }";
    for (name, flags) in [("fixed", &["-static"][..]), ("pie", &["-static-pie"])] {
        if !compile(flags, source, &file(name)) {
            continue;
        }
        let program = program(&[file(name).to_str().unwrap()]);
        let refused = allocators("jemalloc").for_program(&program);
        assert!(matches!(&refused, Err(AllocatorError::Static(_))), "{name}: {refused:?}");
        // Its malloc is glibc's as well, but no word leads there.
        let (seen, run) = run(&trials(), &program, allocators("glibc"), &[]);
        assert!(prove(allocators("glibc"), &seen, &run).is_err_and(|why| why.to_string().contains("statically")), "{name}: {seen:?}");
    }
    if compile(&[], source, &file("dynamic")) {
        let program = program(&[file("dynamic").to_str().unwrap()]);
        let chosen = allocators("jemalloc").for_program(&program).unwrap();
        let (seen, run) = run(&trials(), &program, chosen, &[]);
        assert_eq!(prove(chosen, &seen, &run).unwrap(), "malloc is in libjemalloc.so.2");
    }
    // The loader as a program reads LD_PRELOAD like any other, and has no loader either.
    let loader = Path::new("/lib64/ld-linux-x86-64.so.2");
    if loader.is_file() {
        assert!(allocators("jemalloc").for_program(&program(&[loader.to_str().unwrap(), one().executable.to_str().unwrap()])).is_ok());
    }
}

#[test]
fn programs_for_another_processor_are_refused() {
    let scratch = Scratch::new().unwrap();
    let copy = scratch.path().join("program");
    // EI_CLASS and e_machine of a real program, changed.
    let mut bytes = std::fs::read("/bin/true").unwrap();
    for (class, machine, told) in
        [(1, 3u16, "32-bit program for x86"), (1, 62, "32-bit program for x86-64"), (2, 183, "64-bit program for AArch64")]
    {
        bytes[4] = class;
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        std::fs::write(&copy, &bytes).unwrap();
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
        let refused = allocators("glibc").for_program(&program(&[copy.to_str().unwrap()]));
        assert!(matches!(&refused, Err(AllocatorError::OtherCpu { found, .. }) if found.ends_with(told)), "{refused:?}");
    }
}

/// Whether there is a compiler that can.
fn compile(flags: &[&str], source: &str, to: &Path) -> bool {
    let from = to.with_extension("c");
    std::fs::write(&from, source).unwrap();
    match Command::new("cc").args(flags).arg("-o").arg(to).arg(&from).output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            leave_out(&format!("cc {flags:?}: {}", String::from_utf8_lossy(&output.stderr)));
            false
        }
        Err(e) => {
            leave_out(&format!("cc: {e}"));
            false
        }
    }
}
