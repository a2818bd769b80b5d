//! Programs that we start: looked at before they end, whatever way that is, and unharmed.

#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use exuvia_target::{launch, Ending, LaunchOptions, Launched, Moment, TargetError};
    use memory::{Addr, Memory};
    use nix::sys::signal::Signal;
    use testbed::{for_each_interpreter, interpreters, Interpreter, Scratch};

    use crate::support::{command, is_free, may_trace, options, script, signal, state, tracer, wait_for};

    fn start(argv: &[&str], after: Option<Duration>) -> Launched {
        let argv: Vec<OsString> = argv.iter().map(Into::into).collect();
        launch(&LaunchOptions { argv, stdout_to_stderr: true, after, guardian: command() }).unwrap()
    }

    fn any() -> &'static Interpreter {
        interpreters().found.first().expect("no Python 3.8 to 3.15 found")
    }

    /// Runs `ends.py` and returns the moment, whether the atexit handler had run at it, and the end.
    fn run(py: &Interpreter, way: &[&str]) -> (Moment, bool, Ending) {
        let scratch = Scratch::new().unwrap();
        let (dir, script) = (scratch.path().to_str().unwrap(), script("ends.py"));
        let mut argv = vec![py.path.to_str().unwrap(), "-I", script.to_str().unwrap(), dir];
        argv.extend(way);
        look(start(&argv, None), scratch.path())
    }

    /// Waits for the moment, checks that the heap is whole, and lets it end.
    fn look(mut program: Launched, dir: &Path) -> (Moment, bool, Ending) {
        let moment = program.wait_for_moment().unwrap();
        assert!(program.no_breakpoint().is_none(), "{:?}", program.no_breakpoint());
        let atexit = dir.join("atexit").exists();
        let pid = program.pid();
        let marker = std::fs::read_to_string(dir.join("marker")).unwrap();
        let (address, length) = marker.split_once(' ').unwrap();
        // The content of a bytes object begins at offset 32 in every release.
        let address = Addr(address.parse::<u64>().unwrap() + 32);
        let expected = format!("marker-{pid}-").repeat(100);
        assert_eq!(length, expected.len().to_string());
        assert!(program.process().unwrap().python().unwrap().symbol("_PyRuntime").is_some());
        let frozen = program.take(&options()).unwrap();
        assert_eq!(frozen.image().slice(address, expected.len()).unwrap(), expected.as_bytes());
        assert!(frozen.threads().iter().any(|t| t.tid == pid));
        // Looked at once: it is not traced any more.
        assert!(tracer(pid) == 0);
        (moment, atexit, program.finish().unwrap())
    }

    const WHOLE: bool = false;

    #[test]
    fn every_way_to_end_is_seen_before_it_is_too_late() {
        if !may_trace() {
            return;
        }
        for_each_interpreter(|py| {
            assert_eq!(run(py, &["end"]), (Moment::BeforeFinalize, WHOLE, Ending::Code(0)), "normal end");
            assert_eq!(run(py, &["exit", "3"]), (Moment::BeforeFinalize, WHOLE, Ending::Code(3)), "sys.exit");
            assert_eq!(run(py, &["raise"]), (Moment::BeforeFinalize, WHOLE, Ending::Code(1)), "an exception");
            assert_eq!(run(py, &["_exit", "4"]), (Moment::AtExit(Ending::Code(4)), WHOLE, Ending::Code(4)), "os._exit");
            assert_eq!(run(py, &["crash"]), (Moment::AtExit(Ending::Signal(11)), WHOLE, Ending::Signal(11)), "a fatal signal");
            assert_eq!(run(py, &["threads"]), (Moment::BeforeFinalize, WHOLE, Ending::Code(0)), "threads");
            assert_eq!(run(py, &["fork"]), (Moment::BeforeFinalize, WHOLE, Ending::Code(0)), "forked children");
        });
    }

    #[test]
    fn a_program_that_runs_on_after_the_look_is_whole() {
        if !may_trace() {
            return;
        }
        let scratch = Scratch::new().unwrap();
        let script = script("ends.py");
        let program = start(&[any().path.to_str().unwrap(), script.to_str().unwrap(), scratch.path().to_str().unwrap(), "exit", "7"], None);
        assert_eq!(look(program, scratch.path()).2, Ending::Code(7));
        // Its atexit handlers ran after we had looked.
        assert_eq!(std::fs::read_to_string(scratch.path().join("atexit")).unwrap(), "ran");
    }

    #[test]
    fn scripts_that_start_python_in_their_place_are_followed() {
        if !may_trace() {
            return;
        }
        for_each_interpreter(|py| {
            let scratch = Scratch::new().unwrap();
            let shim = scratch.path().join("python3");
            std::fs::write(&shim, format!("#!/bin/sh\nexec /usr/bin/env {} \"$@\"\n", py.path.display())).unwrap();
            std::fs::set_permissions(&shim, PermissionsExt::from_mode(0o755)).unwrap();
            let (script, dir) = (script("ends.py"), scratch.path().to_str().unwrap());
            // sh → env → python → (os.execv) python
            let python = py.path.to_str().unwrap();
            let argv = [shim.to_str().unwrap(), script.to_str().unwrap(), dir, "exec", python, script.to_str().unwrap(), dir, "exit", "5"];
            assert_eq!(look(start(&argv, None), scratch.path()), (Moment::BeforeFinalize, WHOLE, Ending::Code(5)));
        });
    }

    #[test]
    fn the_shortest_program_is_caught() {
        if !may_trace() {
            return;
        }
        for_each_interpreter(|py| {
            let mut program = start(&[py.path.to_str().unwrap(), "-I", "-S", "-c", "pass"], None);
            assert_eq!(program.wait_for_moment().unwrap(), Moment::BeforeFinalize);
            assert_eq!(program.wait_for_moment().unwrap(), Moment::BeforeFinalize, "asked twice");
            // Not looked at, just let go.
            assert_eq!(program.finish().unwrap(), Ending::Code(0));
        });
    }

    #[test]
    fn a_program_that_is_no_python_is_seen_at_its_exit() {
        if !may_trace() {
            return;
        }
        let mut program = start(&["/bin/sh", "-c", "exit 9"], None);
        assert_eq!(program.wait_for_moment().unwrap(), Moment::AtExit(Ending::Code(9)));
        assert!(matches!(program.process().unwrap().python(), Err(TargetError::NotPython { .. })));
        assert_eq!(program.finish().unwrap(), Ending::Code(9));
    }

    #[test]
    fn a_program_that_is_not_there_cannot_be_started() {
        if !may_trace() {
            return;
        }
        let argv = vec!["/nonexistent/program".into()];
        let error = launch(&LaunchOptions { argv, stdout_to_stderr: false, after: None, guardian: command() }).unwrap_err();
        assert!(matches!(&error, TargetError::CannotStart { source, .. } if source.raw_os_error() == Some(2)), "{error:?}");
        let none = LaunchOptions { argv: vec![], stdout_to_stderr: false, after: None, guardian: command() };
        assert!(matches!(launch(&none), Err(TargetError::NoProgram)));
    }

    #[test]
    fn after_a_while_it_is_looked_at_and_runs_on() {
        if !may_trace() {
            return;
        }
        let scratch = Scratch::new().unwrap();
        let (script, dir) = (script("ends.py"), scratch.path().to_str().unwrap());
        let argv = [any().path.to_str().unwrap(), script.to_str().unwrap(), dir, "signals"];
        let mut program = start(&argv, Some(Duration::from_secs(2)));
        let pid = program.pid();
        wait_for("its start", || scratch.path().join("ready").exists().then_some(()));
        assert_eq!(program.wait_for_moment().unwrap(), Moment::After);
        let marker: u64 = std::fs::read_to_string(scratch.path().join("marker")).unwrap().split_once(' ').unwrap().0.parse().unwrap();
        let frozen = program.take(&options()).unwrap();
        assert_eq!(frozen.image().u8(Addr(marker + 32)), Ok(b'm'));
        assert!(is_free(pid));
        // The debug register is gone: it passes Py_FinalizeEx untraced, where a breakpoint would kill it.
        signal(pid, Signal::SIGTERM);
        assert_eq!(program.finish().unwrap(), Ending::Code(0));
        assert!(scratch.path().join("atexit").exists());
    }

    #[test]
    fn the_end_comes_before_after() {
        if !may_trace() {
            return;
        }
        let mut program = start(&[any().path.to_str().unwrap(), "-c", "pass"], Some(Duration::from_secs(3600)));
        assert_eq!(program.wait_for_moment().unwrap(), Moment::BeforeFinalize);
        assert_eq!(program.finish().unwrap(), Ending::Code(0));
    }

    #[test]
    fn signals_and_stops_are_passed_on() {
        if !may_trace() {
            return;
        }
        let scratch = Scratch::new().unwrap();
        let (script, dir) = (script("ends.py"), scratch.path().to_str().unwrap());
        let mut program = start(&[any().path.to_str().unwrap(), script.to_str().unwrap(), dir, "signals"], None);
        let pid = program.pid();
        wait_for("its start", || scratch.path().join("ready").exists().then_some(()));
        for sent in 1..=10 {
            if sent % 2 == 0 {
                signal(pid, Signal::SIGUSR1);
            } else {
                Command::new("kill").args(["-s", "RTMIN", &pid.to_string()]).status().unwrap();
            }
            let count = sent.to_string();
            wait_for("the signal's arrival", || (std::fs::read_to_string(scratch.path().join("signals")).ok()? == count).then_some(()));
        }
        // Ctrl-Z and fg, as a shell does it.
        signal(pid, Signal::SIGSTOP);
        wait_for("its stop", || state(pid).filter(|s| matches!(s, 't' | 'T')));
        signal(pid, Signal::SIGCONT);
        wait_for("its going on", || state(pid).filter(|s| *s == 'S'));
        signal(pid, Signal::SIGTERM);
        assert_eq!(program.wait_for_moment().unwrap(), Moment::BeforeFinalize);
        assert_eq!(program.finish().unwrap(), Ending::Code(10));
    }

    #[test]
    fn a_kill_is_seen_or_at_least_reported() {
        if !may_trace() {
            return;
        }
        let scratch = Scratch::new().unwrap();
        let (script, dir) = (script("ends.py"), scratch.path().to_str().unwrap());
        let mut program = start(&[any().path.to_str().unwrap(), script.to_str().unwrap(), dir, "sleep"], None);
        wait_for("its start", || scratch.path().join("ready").exists().then_some(()));
        signal(program.pid(), Signal::SIGKILL);
        let moment = program.wait_for_moment().unwrap();
        assert!(matches!(moment, Moment::AtExit(Ending::Signal(9)) | Moment::EndedUnseen(Ending::Signal(9))), "{moment:?}");
        assert_eq!(program.finish().unwrap(), Ending::Signal(9));
    }

    #[test]
    fn a_program_outlives_its_command() {
        if !may_trace() {
            return;
        }
        for_each_interpreter(|py| {
            let scratch = Scratch::new().unwrap();
            let (script, dir) = (script("ends.py"), scratch.path().to_str().unwrap());
            let mut outer = Command::new(command())
                .args(["launch", py.path.to_str().unwrap(), script.to_str().unwrap(), dir, "signals"])
                .stdout(Stdio::piped())
                .process_group(0)
                .spawn()
                .unwrap();
            let pid = wait_for("its start", || std::fs::read_to_string(scratch.path().join("ready")).ok()?.parse::<i32>().ok());
            assert_ne!(tracer(pid), 0);
            outer.kill().unwrap();
            outer.wait().unwrap();
            wait_for("freedom", || is_free(pid).then_some(()));
            // It goes through its finalization: a debug register left behind would kill it there.
            signal(pid, Signal::SIGTERM);
            wait_for("its end by atexit", || scratch.path().join("atexit").exists().then_some(()));
            wait_for("its end", || state(pid).is_none_or(|s| s == 'Z').then_some(()));
        });
    }
    /// What remains: a guardian that is killed itself cannot clear the debug registers, and the kernel does not. The
    /// program meets one at its end. This is what the help text warns of.
    #[test]
    fn a_killed_guardian_leaves_its_breakpoint_behind() {
        if !may_trace() {
            return;
        }
        let scratch = Scratch::new().unwrap();
        let (script, dir) = (script("ends.py"), scratch.path().to_str().unwrap());
        let mut program = start(&[any().path.to_str().unwrap(), script.to_str().unwrap(), dir, "signals"], None);
        let pid = program.pid();
        wait_for("its start", || scratch.path().join("ready").exists().then_some(()));
        signal(tracer(pid), Signal::SIGKILL);
        wait_for("freedom", || is_free(pid).then_some(()));
        assert!(matches!(program.wait_for_moment(), Err(TargetError::Guardian { .. })));
        signal(pid, Signal::SIGTERM);
        assert_eq!(program.finish().unwrap(), Ending::Signal(Signal::SIGTRAP as i32));
    }
}
