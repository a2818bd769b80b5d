//! Freezing programs that run, and what must be as before afterwards.

#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use exuvia_target::{open, take, Missing, TakeOptions, TargetError};
    use memory::{Addr, Memory};
    use nix::sys::ptrace;
    use nix::sys::signal::{killpg, Signal};
    use nix::unistd::Pid;
    use testbed::{for_each_interpreter, interpreters, Scratch, Target};

    use crate::support::{
        any, catch, command, guardian_of, ignores_interrupts, is_free, is_gone, may_trace, newest, options, pester, script, signal, state,
        status, tracer, wait_for, Busy,
    };

    #[test]
    fn a_busy_program_is_copied_at_one_moment_and_goes_on() {
        if !may_trace() {
            return;
        }
        for_each_interpreter(|py| {
            let mut busy = Busy::start(py);
            let process = open(busy.pid).unwrap();
            let expected = format!("marker-{}", busy.pid).repeat(1000).into_bytes();
            assert_eq!(busy.marker_len, expected.len());
            for _ in 0..5 {
                let frozen = take(&process, &options()).unwrap();
                let image = frozen.image();
                assert_eq!(image.slice(busy.marker, busy.marker_len).unwrap(), expected);
                // The program writes the first, then the second, as fast as it can.
                let (first, second) = (image.u64(busy.first).unwrap(), image.u64(busy.second).unwrap());
                assert!(first == second || first == second + 1, "{first} and {second} are not of one moment");
                assert!(frozen.quiet() && frozen.cost().attempts == 1 && !frozen.was_stopped());
                assert_eq!(frozen.threads().len(), 5);
                assert!(frozen.cost().pause > Duration::ZERO && frozen.cost().pause <= frozen.cost().stopped);
                assert!(frozen.bytes_copied() >= frozen.resident_bytes() || frozen.bytes_copied().0 > 1 << 20);
                busy.check();
            }
            busy.end();
        });
    }

    #[test]
    fn python_is_found_in_every_interpreter() {
        if !may_trace() {
            return;
        }
        for_each_interpreter(|py| {
            let busy = Busy::start(py);
            let process = open(busy.pid).unwrap();
            let module = process.python().unwrap();
            let runtime = module.symbol("_PyRuntime").unwrap();
            assert!(module.writable.iter().any(|r| r.contains(&runtime)), "{runtime} is not in {:?}", module.writable);
            // type(type) is type: the second word of every object is its type.
            let type_type = module.symbol("PyType_Type").unwrap();
            assert_eq!(process.addr(type_type + 8), Ok(type_type));
            if py.minor >= 13 {
                assert_eq!(process.c_str(runtime, 8).unwrap(), "xdebugpy");
            }
            // Pymalloc's statics moved into the runtime's state with 3.12; a stripped file never names them.
            assert_eq!(module.symbol("usedpools").is_some(), py.minor < 12 && !py.stripped, "{:?}", module.path);
            assert!(module.path.contains("libpython") || module.path == py.executable.to_string_lossy(), "{}", module.path);
            busy.end();
        });
    }

    #[test]
    fn python_is_found_when_its_file_is_deleted() {
        // The distributor's is one file; a pyenv one would need its library's path.
        let Some(py) = interpreters().found.iter().find(|p| !p.shared) else { return println!("skipped: no interpreter in one file") };
        let scratch = Scratch::new().unwrap();
        let copy = scratch.path().join("python3");
        std::fs::copy(&py.path, &copy).unwrap();
        let mut child = Command::new(&copy)
            .args(["-S", "-c", "import sys; print('READY', flush=True); sys.stdin.read()"])
            .env("PYTHONHOME", py.path.parent().unwrap().parent().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0u8; 5];
        child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        std::fs::remove_file(&copy).unwrap();
        let found = open(child.id() as i32).unwrap().python();
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(found.unwrap().symbol("_PyRuntime").is_some());
    }

    #[test]
    fn what_cannot_change_is_copied_and_nothing_is_made_resident_by_it() {
        if !may_trace() {
            return;
        }
        for_each_interpreter(|py| {
            let mut target = Target::start_path::<&str>(&py.path, &script("busy.py"), &["idle"]).unwrap();
            let pid = target.pid() as i32;
            // It says READY before it waits, and the buffer that it waits with is memory too.
            wait_for("the target waits", || (state(pid) == Some('S')).then_some(()));
            let process = open(pid).unwrap();
            let resident = || (status(pid, "RssFile").unwrap(), status(pid, "RssAnon").unwrap());
            // The first look reads the ELF headers, which the loader has touched anyway; compare from then on.
            process.python().unwrap();
            let before = resident();
            let frozen = take(&process, &options()).unwrap();
            assert_eq!(resident(), before);
            let image = frozen.image();
            let mut compared = 0;
            for m in frozen.mappings().iter().filter(|m| m.path.contains("python") && m.read && !m.write && !m.exec && !m.shared) {
                let mut live = vec![0u8; m.len() as usize];
                process.read(m.start, &mut live).unwrap();
                assert!(image.slice(m.start, live.len()).unwrap() == live, "{m:?}");
                compared += live.len();
            }
            assert!(compared > 100_000, "{compared} bytes");
            target.tell("end").unwrap();
            assert!(target.finish().unwrap().success());
        });
    }

    #[test]
    fn a_killed_command_leaves_the_target_free() {
        if !may_trace() {
            return;
        }
        let interrupt = if ignores_interrupts() { Signal::SIGTERM } else { Signal::SIGINT };
        for (how, times) in [(Signal::SIGKILL, 6), (interrupt, 3)] {
            let mut busy = Busy::start(newest());
            for _ in 0..times {
                let mut command = busy.pester();
                let guardian = guardian_of(&command);
                busy.wait_until_it_stands();
                // SIGINT as the terminal sends it: to the whole group. The guardian is not in it.
                killpg(Pid::from_raw(command.id() as i32), how).unwrap();
                assert_eq!(command.wait().unwrap().signal(), Some(how as i32));
                wait_for("the guardian's end", || is_gone(guardian));
                assert!(is_free(busy.pid));
                busy.check();
            }
            busy.end();
        }
    }

    #[test]
    fn a_command_that_is_stopped_itself_does_not_hold_the_target() {
        if !may_trace() {
            return;
        }
        let mut busy = Busy::start(any());
        // 250 ms are allowed, so the guardian lets go after 500.
        let mut c = Command::new(command());
        let mut held = c
            .args(["freeze", &busy.pid.to_string(), "250", &(busy.marker + 1).0.to_string()])
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Stop the command while the target stands: seen again afterwards, since the two may have crossed.
        wait_for("the command stopped in the middle", || {
            busy.wait_until_it_stands();
            signal(held.id() as i32, Signal::SIGSTOP);
            wait_for("the command's stop", || (state(held.id() as i32) == Some('T')).then_some(()));
            if state(busy.pid) == Some('t') {
                return Some(());
            }
            signal(held.id() as i32, Signal::SIGCONT);
            None
        });
        wait_for("the guardian letting go", || is_free(busy.pid).then_some(()));
        busy.check();
        signal(held.id() as i32, Signal::SIGCONT);
        let output = {
            // It may notice in this attempt, or (stopped just before the answer) not at all: then it is still pestering.
            let ended = wait_for("its end", || held.try_wait().unwrap());
            let mut text = String::new();
            held.stderr.as_mut().unwrap().read_to_string(&mut text).unwrap();
            (ended.code(), text)
        };
        assert_eq!(output.0, Some(3), "{}", output.1);
        assert!(output.1.contains("the copy took too long"), "{}", output.1);
        busy.end();
    }

    #[test]
    fn signals_arrive_once_each_whenever_they_are_sent() {
        if !may_trace() {
            return;
        }
        let mut busy = Busy::start(newest());
        let mut command = busy.pester();
        // Half of them while it stands, half whenever.
        for sent in 1..=60 {
            if sent % 2 == 0 {
                busy.wait_until_it_stands();
            }
            signal(busy.pid, Signal::SIGUSR1);
            // A real-time signal, for which nix has no name.
            Command::new("kill").args(["-s", "RTMIN", &busy.pid.to_string()]).status().unwrap();
            let both = format!("{sent} {sent}");
            wait_for("both signals handled", || (busy.target.ask("signals").unwrap() == both).then_some(()));
        }
        command.kill().unwrap();
        command.wait().unwrap();
        wait_for("freedom", || is_free(busy.pid).then_some(()));
        assert_eq!(busy.target.ask("signals").unwrap(), "60 60");
        busy.end();
    }

    /// A thread that is about to receive a signal when it is stopped must be given it when it goes on. That happens seldom, so
    /// there is a flood of real-time signals (they queue up, one byte on stdout each) while the target is stopped again and again.
    #[test]
    fn no_signal_of_a_flood_is_lost_or_doubled() {
        if !may_trace() {
            return;
        }
        const FLOOD: usize = 20_000;
        let mut child = Command::new(&newest().path).arg(script("flood.py")).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut ready = [0u8; 1];
        stdout.read_exact(&mut ready).unwrap();
        let pid = child.id() as i32;
        let mut word = String::new();
        while !word.ends_with('\n') {
            stdout.read_exact(&mut ready).unwrap();
            word.push(char::from(ready[0]));
        }
        let mut command = pester(pid, Addr(word.trim().parse().unwrap()));
        // The shell's own `kill` starts no process each time. It sends no more than what is awaited: the queue has a limit.
        let mut shell = Command::new("sh").stdin(Stdio::piped()).spawn().unwrap();
        let mut bytes = [0u8; 100];
        for _ in 0..FLOOD / bytes.len() {
            writeln!(shell.stdin.as_mut().unwrap(), "{}", format!("kill -s RTMIN {pid};").repeat(bytes.len())).unwrap();
            stdout.read_exact(&mut bytes).unwrap();
        }
        command.kill().unwrap();
        command.wait().unwrap();
        drop(shell.stdin.take());
        shell.wait().unwrap();
        // SIGTERM ends it by an exit, so what follows on stdout is its own byte and whatever was too much.
        signal(pid, Signal::SIGTERM);
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, [Signal::SIGTERM as u8]);
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn a_guardian_is_deaf_to_all_but_its_command() {
        if !may_trace() {
            return;
        }
        let busy = Busy::start(any());
        let mut command = busy.pester();
        let guardian = guardian_of(&command);
        for deaf_to in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGTSTP] {
            busy.wait_until_it_stands();
            signal(guardian, deaf_to);
        }
        // It serves on: the target is let go and stopped again, by the same guardian.
        for _ in 0..3 {
            catch("the target going on", || (state(busy.pid) != Some('t')).then_some(()));
            busy.wait_until_it_stands();
        }
        assert_eq!(guardian_of(&command), guardian);
        command.kill().unwrap();
        command.wait().unwrap();
        wait_for("the guardian's end", || is_gone(guardian));
        assert!(is_free(busy.pid));
        busy.end();
    }

    #[test]
    fn a_target_killed_while_it_stands_is_gone() {
        if !may_trace() {
            return;
        }
        for _ in 0..5 {
            let busy = Busy::start(any());
            let command = busy.pester();
            busy.wait_until_it_stands();
            signal(busy.pid, Signal::SIGKILL);
            let output = command.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(3), "{text}");
            assert!(text.starts_with(&format!("error: cannot read process {}: it ", busy.pid)), "{text}");
        }
    }

    #[test]
    fn a_target_that_ends_at_any_moment_is_read_or_gone() {
        if !may_trace() {
            return;
        }
        let (mut read, mut gone) = (0, 0);
        for i in 0..30u32 {
            // It ends a little later each time.
            let loops = (i * 4000).to_string();
            let mut child = Command::new(&any().path)
                .args([script("short.py").to_str().unwrap(), &loops])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut ready = [0u8; 5];
            child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
            match open(child.id() as i32).and_then(|p| take(&p, &options())) {
                Ok(_) => read += 1,
                Err(
                    TargetError::Gone { .. }
                    | TargetError::GoneMeanwhile { .. }
                    | TargetError::Zombie { .. }
                    | TargetError::Replaced { .. },
                ) => gone += 1,
                Err(other) => panic!("{other}"),
            }
            assert!(child.wait().unwrap().success());
        }
        println!("{read} read, {gone} gone");
    }

    #[test]
    fn a_stopped_target_is_read_and_stays_stopped() {
        if !may_trace() {
            return;
        }
        let mut busy = Busy::start(any());
        signal(busy.pid, Signal::SIGSTOP);
        wait_for("its stop", || (state(busy.pid) == Some('T')).then_some(()));
        for _ in 0..5 {
            let frozen = take(&open(busy.pid).unwrap(), &options()).unwrap();
            assert!(frozen.was_stopped());
            assert_eq!(frozen.image().u8(busy.marker), Ok(b'm'));
            assert_eq!(tracer(busy.pid), 0);
            // Each thread goes back into its stop by itself, within the kernel.
            wait_for("its stop", || (state(busy.pid) == Some('T')).then_some(()));
        }
        signal(busy.pid, Signal::SIGCONT);
        busy.check();
        busy.end();
    }

    #[test]
    fn a_target_stopped_while_it_stands_is_stopped_afterwards() {
        if !may_trace() {
            return;
        }
        let mut busy = Busy::start(any());
        let mut command = busy.pester();
        busy.wait_until_it_stands();
        signal(busy.pid, Signal::SIGSTOP);
        // Between two attempts it is seen as stopped; after the last one it stays so.
        wait_for("its stop between two attempts", || (state(busy.pid) == Some('T')).then_some(()));
        command.kill().unwrap();
        command.wait().unwrap();
        wait_for("freedom", || is_free(busy.pid).then_some(()));
        wait_for("its stop", || (state(busy.pid) == Some('T')).then_some(()));
        signal(busy.pid, Signal::SIGCONT);
        busy.check();
        busy.end();
    }

    #[test]
    fn a_zombie_and_a_finished_process_are_told_apart() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id() as i32;
        wait_for("its end", || (state(pid) == Some('Z')).then_some(()));
        match open(pid) {
            Err(TargetError::Zombie { parent, .. }) => assert_eq!(parent, std::process::id() as i32),
            other => panic!("{other:?}"),
        }
        child.wait().unwrap();
        assert!(matches!(open(pid), Err(TargetError::Gone { .. })));
    }

    #[test]
    fn a_traced_target_names_its_tracer() {
        if !may_trace() {
            return;
        }
        let busy = Busy::start(any());
        let process = open(busy.pid).unwrap();
        // ptrace belongs to a thread: attach and detach happen in this one.
        ptrace::seize(Pid::from_raw(busy.pid), ptrace::Options::empty()).unwrap();
        let us = std::process::id() as i32;
        for error in [open(busy.pid).map(|_| ()).unwrap_err(), take(&process, &options()).map(|_| ()).unwrap_err()] {
            match &error {
                TargetError::AlreadyTraced { tracer, tracer_name, .. } => {
                    assert_eq!(*tracer, us);
                    assert!(error.why().contains(tracer_name) && !tracer_name.is_empty());
                }
                other => panic!("{other:?}"),
            }
        }
        ptrace::interrupt(Pid::from_raw(busy.pid)).unwrap();
        nix::sys::wait::waitpid(Pid::from_raw(busy.pid), None).unwrap();
        ptrace::detach(Pid::from_raw(busy.pid), None).unwrap();
        busy.end();
    }

    #[test]
    fn another_user_s_process_says_which_right_is_missing() {
        if !may_trace() {
            return;
        }
        if !nix::unistd::geteuid().is_root() {
            match open(1) {
                Err(e @ TargetError::NotPermitted { missing: Missing::OtherUser { theirs: 0, .. }, .. }) => {
                    assert!(e.advice().starts_with("sudo /"), "{}", e.advice());
                }
                other => panic!("{other:?}"),
            }
            return;
        }
        // As root: let nobody try. The command goes where nobody can start it.
        let scratch = Scratch::new().unwrap();
        let copy = scratch.path().join("exuvia-guardian-test");
        std::fs::copy(command(), &copy).unwrap();
        std::fs::set_permissions(scratch.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let busy = Busy::start(any());
        let output = Command::new(&copy).args(["freeze", &busy.pid.to_string()]).uid(65534).gid(65534).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3));
        let again = format!("{} freeze {}", copy.display(), busy.pid);
        // Whichever of the two is there.
        let expected = [format!("sudo {again}"), format!("su -c '{again}'")].map(|advice| {
            let why = "it belongs to user 0, this is user 65534 without CAP_SYS_PTRACE";
            format!("error: cannot read process {}: not permitted\nwhy: {why}\ntry: {advice}\n", busy.pid)
        });
        assert!(expected.contains(&text), "{text}");
        busy.end();
    }

    #[test]
    fn what_is_not_cpython_says_what_it_is() {
        let scratch = Scratch::new().unwrap();
        let run = |name: &str| {
            let program = scratch.path().join(name);
            std::fs::copy("/bin/sleep", &program).unwrap();
            let mut child = Command::new(&program).arg("1000").spawn().unwrap();
            let pid = child.id() as i32;
            let maps = format!("/proc/{pid}/maps");
            wait_for("sleep's start", || std::fs::read_to_string(&maps).ok()?.contains(program.to_str()?).then_some(()));
            let error = open(pid).unwrap().python().unwrap_err();
            child.kill().unwrap();
            child.wait().unwrap();
            error
        };
        assert!(matches!(run("server"), TargetError::NotPython { exe, .. } if exe.ends_with("/server")));
        match run("libpypy3.10-c.so") {
            TargetError::PyPy { library, .. } => assert!(library.ends_with("libpypy3.10-c.so")),
            other => panic!("{other:?}"),
        }
        match run("ld-musl-x86_64.so.1") {
            TargetError::Musl { loader, .. } => assert!(loader.ends_with("/ld-musl-x86_64.so.1")),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_thread_s_number_leads_to_its_process() {
        let mut busy = Busy::start(any());
        let tid: i32 = busy.target.ask("threads").unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(matches!(open(tid), Err(TargetError::ThreadId { process, .. }) if process == busy.pid));
        busy.end();
    }

    #[test]
    fn a_pause_beyond_the_limit_stops_nothing() {
        if !may_trace() {
            return;
        }
        let busy = Busy::start(any());
        let process = open(busy.pid).unwrap();
        // With no guardian to be had nobody could have stopped it.
        let nobody = TakeOptions { guardian: "/nonexistent".into(), ..options() };
        let error = take(&process, &TakeOptions { max_pause: Duration::ZERO, ..nobody.clone() }).unwrap_err();
        assert!(matches!(error, TargetError::PauseTooLong { limit: Duration::ZERO, .. }), "{error:?}");
        assert!(error.advice().contains("--max-pause"));
        let error = take(&process, &nobody).unwrap_err();
        assert!(matches!(error, TargetError::Guardian { .. }), "{error:?}");
        busy.end();
    }

    /// What remains: nobody guards the guardian. The kernel lets the target go when it is killed.
    #[test]
    fn a_killed_guardian_costs_the_copy_but_not_the_target() {
        if !may_trace() {
            return;
        }
        let mut busy = Busy::start(any());
        for _ in 0..3 {
            let command = busy.pester();
            let guardian = guardian_of(&command);
            busy.wait_until_it_stands();
            signal(guardian, Signal::SIGKILL);
            let output = command.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(3), "{text}");
            assert!(text.contains("cannot work with the guardian process"), "{text}");
            assert!(is_free(busy.pid));
            busy.check();
        }
        busy.end();
    }

    #[test]
    fn a_word_that_is_never_quiet_is_tried_and_reported() {
        if !may_trace() {
            return;
        }
        let busy = Busy::start(any());
        let process = open(busy.pid).unwrap();
        let never = TakeOptions { quiet_words: vec![busy.marker], retries: 3, ..options() };
        let frozen = take(&process, &never).unwrap();
        assert_eq!((frozen.quiet(), frozen.cost().attempts), (false, 4));
        // A word that cannot be read does not stop anybody.
        let absent = TakeOptions { quiet_words: vec![Addr(0x10)], ..options() };
        assert!(take(&process, &absent).unwrap().quiet());
        busy.end();
    }
}
