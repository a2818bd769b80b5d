//! Forked copies of programs that run, and what must be as before afterwards.

#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Child, Command, Stdio};

    use exuvia_target::{open, take, ForkProblem, Mode, TakeOptions, TargetError, Way};
    use memory::Memory;
    use nix::sys::signal::Signal;
    use testbed::{for_each_interpreter, Scratch, Target};

    use crate::support::{
        any, children, command, fork_options, guardian_of, is_free, is_gone, may_trace, newest, script, signal, state, wait_for, Busy,
    };

    /// The command that forks `pid`, with the guardian held up at `point` until the file is removed.
    struct HeldUp {
        command: Child,
        file: std::path::PathBuf,
        _folder: Scratch,
    }

    impl HeldUp {
        fn start(pid: i32, point: &str) -> HeldUp {
            let folder = Scratch::new().unwrap();
            let file = folder.path().join("here");
            let command = Command::new(command())
                .args(["fork", &pid.to_string()])
                .env("EXUVIA_TEST_STOP_AT", format!("{point}={}", file.display()))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .process_group(0)
                .spawn()
                .unwrap();
            wait_for(point, || file.exists().then_some(()));
            HeldUp { command, file, _folder: folder }
        }

        fn go_on(&self) {
            std::fs::remove_file(&self.file).unwrap();
        }
    }

    #[test]
    fn a_busy_program_is_forked_at_one_moment_and_goes_on() {
        if !may_trace() {
            return;
        }
        for_each_interpreter(|py| {
            let mut busy = Busy::start(py);
            let process = open(busy.pid).unwrap();
            let expected = format!("marker-{}", busy.pid).repeat(1000).into_bytes();
            for _ in 0..5 {
                let taken = take(&process, &fork_options()).unwrap();
                assert_eq!(taken.way(), Way::Fork);
                let image = taken.image();
                assert_eq!(image.slice(busy.marker, busy.marker_len).unwrap(), expected);
                let (first, second) = (image.u64(busy.first).unwrap(), image.u64(busy.second).unwrap());
                assert!(first == second || first == second + 1, "{first} and {second} are not of one moment");
                let cost = taken.cost();
                assert!(cost.second_stop.is_some() && cost.page_faults.is_some() && !cost.zombie, "{cost:?}");
                busy.check_alone();
            }
            busy.end();
        });
    }

    /// What a fork gives is byte by byte what a freeze gives, in a program that does nothing in between.
    #[test]
    fn a_fork_and_a_freeze_see_the_same() {
        if !may_trace() {
            return;
        }
        for_each_interpreter(|py| {
            let mut target = Target::start_path::<&str>(&py.path, &script("busy.py"), &["idle"]).unwrap();
            let process = open(target.pid() as i32).unwrap();
            let forked = take(&process, &fork_options()).unwrap();
            let frozen = take(&process, &TakeOptions { mode: Mode::Freeze, ..fork_options() }).unwrap();
            let (one, other) = (forked.image(), frozen.image());
            assert_eq!(one.segments().len(), other.segments().len());
            let mut differing = 0;
            for (a, b) in one.segments().iter().zip(other.segments()) {
                assert_eq!((a.start, a.bytes.len()), (b.start, b.bytes.len()));
                differing += a.bytes.iter().zip(b.bytes).filter(|(x, y)| x != y).count();
            }
            // The kernel writes the number of the thread's processor into its `struct rseq`, three words of it.
            assert!(differing <= 12, "{differing} bytes differ");
            target.tell("end").unwrap();
            assert!(target.finish().unwrap().success());
        });
    }

    /// The only thread of the program makes the calls for us while it waits in one of its own: that one must end as it would have.
    #[test]
    fn the_call_that_a_thread_waits_in_ends_as_it_would_have() {
        if !may_trace() {
            return;
        }
        for kind in ["nanosleep", "poll", "ppoll", "select", "futex", "read", "accept", "wait4", "sigsuspend"] {
            let mut child = Command::new(&any().path).arg(script("calls.py")).arg(kind).stdout(Stdio::piped()).spawn().unwrap();
            let mut stdout = BufReader::new(child.stdout.take().unwrap());
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            let pid = child.id() as i32;
            let process = open(pid).unwrap();
            let mut forks = 0;
            for _ in 0..60 {
                match take(&process, &fork_options()) {
                    Ok(_) => forks += 1,
                    // The signal that it waits for came just then.
                    Err(TargetError::CannotFork { problem: ForkProblem::NoUsableThread, .. }) => {}
                    Err(other) => panic!("{kind}: {other}"),
                }
            }
            signal(pid, Signal::SIGTERM);
            let mut said = String::new();
            stdout.read_to_string(&mut said).unwrap();
            child.wait().unwrap();
            let last = said.lines().last().unwrap_or_default();
            assert!(forks >= 50 && last.ends_with(" []"), "{kind}: {forks} forks, {said}");
        }
    }

    #[test]
    fn a_command_killed_in_any_window_leaves_the_target_as_it_was() {
        if !may_trace() {
            return;
        }
        let mut busy = Busy::start(newest());
        for call in ["clone", "wait4"] {
            for when in ["prepared", "entered", "done", "restored", "born"] {
                if (call, when) == ("wait4", "born") {
                    continue;
                }
                let mut held = HeldUp::start(busy.pid, &format!("{call}-{when}"));
                let guardian = guardian_of(&held.command);
                held.command.kill().unwrap();
                assert_eq!(held.command.wait().unwrap().signal(), Some(Signal::SIGKILL as i32));
                held.go_on();
                wait_for("the guardian's end", || is_gone(guardian));
                assert!(is_free(busy.pid), "{call}-{when}");
                busy.check_alone();
            }
        }
        busy.end();
    }

    /// What remains: a guardian killed while a copy is read leaves a dead child to the target, and nothing else.
    #[test]
    fn a_guardian_killed_while_the_copy_is_read_takes_the_copy_with_it() {
        if !may_trace() {
            return;
        }
        let mut busy = Busy::start(newest());
        // The copy is there, and the target stands no more when its second stop is prepared.
        let mut held = HeldUp::start(busy.pid, "copy-made");
        let guardian = guardian_of(&held.command);
        let copies = children(busy.pid);
        assert_eq!(copies.len(), 1);
        signal(guardian, Signal::SIGKILL);
        wait_for("the copy's end", || (state(copies[0]) == Some('Z')).then_some(()));
        wait_for("freedom", || is_free(busy.pid).then_some(()));
        busy.check();
        assert_eq!(children(busy.pid), copies);
        assert!(held.command.wait().unwrap().code().is_some());
        busy.end();
    }

    /// What remains: a guardian killed within a call leaves the thread with registers that are not its own. The target may die of
    /// that, and mostly does; what must not be left even then is a copy that runs or a thread that stands.
    #[test]
    fn a_guardian_killed_within_a_call_may_cost_the_target_but_leaves_nothing_behind() {
        if !may_trace() {
            return;
        }
        for point in ["clone-prepared", "clone-entered", "clone-born", "clone-done", "wait4-entered"] {
            let busy = Busy::start(newest());
            let mut held = HeldUp::start(busy.pid, point);
            let guardian = guardian_of(&held.command);
            let copies = children(busy.pid);
            signal(guardian, Signal::SIGKILL);
            // The command has lost its guardian and says so; it touches nothing any more.
            assert!(held.command.wait().unwrap().code().is_some_and(|code| code != 0), "{point}");
            for copy in copies {
                // A zombie child of the target, or gone with it.
                wait_for("the copy's end", || matches!(state(copy), Some('Z') | None).then_some(()));
            }
            let (pid, target) = (busy.pid, busy.target);
            let ended = wait_for("its end or its freedom", || match state(pid) {
                Some('Z') | None => Some(true),
                _ if is_free(pid) => Some(false),
                _ => None,
            });
            if !ended {
                signal(pid, Signal::SIGKILL);
            }
            target.finish().unwrap();
        }
    }

    #[test]
    fn a_copy_does_not_outlive_its_target() {
        if !may_trace() {
            return;
        }
        for point in ["copy-made", "copy-read"] {
            let busy = Busy::start(any());
            let mut held = HeldUp::start(busy.pid, point);
            let guardian = guardian_of(&held.command);
            let copies = children(busy.pid);
            assert_eq!(copies.len(), 1);
            signal(busy.pid, Signal::SIGKILL);
            assert_eq!(busy.target.finish().unwrap().signal(), Some(Signal::SIGKILL as i32));
            if point == "copy-read" {
                // The command still reads: the guardian does not wait for it.
                wait_for("the copy's end", || is_gone(copies[0]));
            }
            held.go_on();
            assert_eq!(held.command.wait().unwrap().code(), Some(3));
            wait_for("the guardian's end", || is_gone(guardian));
            wait_for("the copy's end", || is_gone(copies[0]));
        }
    }

    /// A Python program of a few lines; it says READY and what the test needs to know, then reads its orders from stdin.
    struct Small {
        child: Child,
        stdout: BufReader<std::process::ChildStdout>,
    }

    impl Small {
        fn start(text: &str) -> (Small, String) {
            Small::start_with(Command::new(&any().path), text)
        }

        fn start_with(mut command: Command, text: &str) -> (Small, String) {
            let traced = "import ctypes, os, sys\nctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(2**64 - 1), 0, 0, 0)\n";
            let mut child =
                command.args(["-I", "-c", &format!("{traced}{text}")]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let mut small = Small { stdout: BufReader::new(child.stdout.take().unwrap()), child };
            let line = small.line();
            (small, line.strip_prefix("READY").unwrap_or_else(|| panic!("{line}")).trim().to_string())
        }

        fn pid(&self) -> i32 {
            self.child.id() as i32
        }

        fn line(&mut self) -> String {
            let mut line = String::new();
            self.stdout.read_line(&mut line).unwrap();
            line.trim_end().to_string()
        }

        fn order(&mut self, line: &str) {
            writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
        }

        fn end(mut self) {
            drop(self.child.stdin.take());
            assert!(self.child.wait().unwrap().success());
        }
    }

    /// Whoever waits for the other end of a pipe, for a port or for a lock must not wait for our copy.
    #[test]
    fn what_the_target_closes_is_closed_while_its_copy_lives() {
        if !may_trace() {
            return;
        }
        let scratch = Scratch::new().unwrap();
        let lock = scratch.path().join("lock");
        let text = format!(
            "import fcntl, socket\n\
            port = socket.socket(); port.bind(('127.0.0.1', 0)); port.listen()\n\
            lock = open({:?}, 'w'); fcntl.flock(lock, fcntl.LOCK_EX)\n\
            print('READY', port.getsockname()[1], flush=True)\n\
            sys.stdin.readline()\n\
            port.close(); lock.close(); os.close(1)\n\
            sys.stdin.readline(); os._exit(0)",
            lock.display().to_string()
        );
        let (mut small, port) = Small::start(&text);
        let mut held = HeldUp::start(small.pid(), "copy-read");
        assert_eq!(children(small.pid()).len(), 1);
        assert!(!try_lock(&lock));
        small.order("close");
        assert_eq!(small.line(), "", "the end of its stdout");
        wait_for("the lock", || try_lock(&lock).then_some(()));
        wait_for("the port", || std::net::TcpListener::bind(("127.0.0.1", port.parse().unwrap())).ok());
        assert_eq!(children(small.pid()).len(), 1, "the copy lived all the time");
        held.go_on();
        assert_eq!(held.command.wait().unwrap().code(), Some(0));
        assert_eq!(children(small.pid()), Vec::<i32>::new());
        small.end();
    }

    fn try_lock(path: &std::path::Path) -> bool {
        let file = std::fs::File::open(path).unwrap();
        nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock).is_ok()
    }

    #[test]
    fn the_target_may_start_another_program_while_its_copy_is_read() {
        if !may_trace() {
            return;
        }
        let text = "print('READY', flush=True)\n\
            sys.stdin.readline()\n\
            os.execv(sys.executable, [sys.executable, '-I', '-c', 'import sys; print(\"other\", flush=True); sys.stdin.read()'])";
        let (mut small, _) = Small::start(text);
        let mut held = HeldUp::start(small.pid(), "copy-read");
        small.order("go");
        assert_eq!(small.line(), "other");
        held.go_on();
        // The copy is of the program before, and whole.
        assert_eq!(held.command.wait().unwrap().code(), Some(0));
        assert_eq!(children(small.pid()), Vec::<i32>::new());
        small.end();
    }

    /// The program waits for any child: it must see its own, and each once. Threads come and go meanwhile.
    #[test]
    fn a_program_that_forks_and_starts_threads_sees_its_own_children_only() {
        if !may_trace() {
            return;
        }
        let text = "import threading\n\
            over = []\n\
            threading.Thread(target=lambda: over.append(sys.stdin.readline()), daemon=True).start()\n\
            print('READY', flush=True)\n\
            rounds = wrong = 0\n\
            while not over:\n\
            \x20   workers = [threading.Thread(target=lambda: None) for _ in range(4)]\n\
            \x20   for w in workers: w.start()\n\
            \x20   pid = os.fork()\n\
            \x20   if pid == 0: os._exit(5)\n\
            \x20   seen, status = os.wait()\n\
            \x20   try: wrong += (seen, status) != (pid, 5 << 8) or os.waitpid(-1, os.WNOHANG) is not None\n\
            \x20   except ChildProcessError: pass\n\
            \x20   for w in workers: w.join()\n\
            \x20   rounds += 1\n\
            print(rounds, wrong, flush=True)";
        let (mut small, _) = Small::start(text);
        let process = open(small.pid()).unwrap();
        let mut forked = 0;
        for _ in 0..40 {
            match take(&process, &TakeOptions { mode: Mode::Auto, ..fork_options() }) {
                Ok(taken) => forked += usize::from(taken.way() == Way::Fork && !taken.cost().zombie),
                Err(error) => panic!("{error}"),
            }
        }
        small.order("end");
        let said = small.line();
        let (rounds, wrong) = said.split_once(' ').unwrap();
        assert!(forked > 20 && rounds.parse::<u32>().unwrap() > 5 && wrong == "0", "{forked} forked, {said}");
        small.end();
    }

    #[test]
    fn areas_that_a_fork_leaves_out_are_read_all_the_same() {
        if !may_trace() {
            return;
        }
        // MADV_DONTFORK 10, MADV_WIPEONFORK 18.
        let text = "import mmap\n\
            areas = []\n\
            for advice in (10, 18):\n\
            \x20   area = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n\
            \x20   area.write(b'kept' * 1000)\n\
            \x20   at = ctypes.addressof(ctypes.c_char.from_buffer(area))\n\
            \x20   assert ctypes.CDLL(None).madvise(ctypes.c_void_p(at), ctypes.c_size_t(1 << 20), advice) == 0\n\
            \x20   areas.append((at, area))\n\
            print('READY', *[at for at, _ in areas], flush=True)\n\
            sys.stdin.read()";
        let (small, at) = Small::start(text);
        let process = open(small.pid()).unwrap();
        let taken = take(&process, &fork_options()).unwrap();
        assert_eq!(taken.way(), Way::Fork);
        for at in at.split(' ') {
            let at = memory::Addr(at.parse().unwrap());
            assert_eq!(taken.image().slice(at, 4000).unwrap(), b"kept".repeat(1000));
            assert_eq!(taken.image().slice(at + 8192, 4).unwrap(), [0; 4], "never touched");
        }
        small.end();
    }

    #[test]
    fn two_commands_at_once_do_not_disturb_each_other_or_the_target() {
        if !may_trace() {
            return;
        }
        let mut busy = Busy::start(newest());
        let process = open(busy.pid).unwrap();
        let mut reading = HeldUp::start(busy.pid, "copy-read");
        // While one reads its copy another may make its own.
        assert_eq!(take(&process, &fork_options()).unwrap().way(), Way::Fork);
        assert_eq!(children(busy.pid).len(), 1);
        let mut making = HeldUp::start(busy.pid, "copy-made");
        // While one holds the target, another is told who does.
        let guardian = guardian_of(&making.command);
        match take(&process, &fork_options()) {
            Err(TargetError::AlreadyTraced { tracer, .. }) => assert_eq!(tracer, guardian),
            other => panic!("{other:?}"),
        }
        for held in [&mut making, &mut reading] {
            held.go_on();
            assert_eq!(held.command.wait().unwrap().code(), Some(0));
        }
        busy.check_alone();
        busy.end();
    }

    #[test]
    fn where_no_process_may_be_started_it_is_frozen() {
        if !may_trace() || !nix::unistd::geteuid().is_root() {
            return println!("left out: only root can make a user that may start no process");
        }
        // A user of its own who has one process and may have no more. The interpreter must be one that everybody may run.
        let mut command = Command::new("setpriv");
        command.args(["--reuid=64999", "--regid=64999", "--clear-groups", "prlimit", "--nproc=99", "/usr/bin/python3.11"]);
        if !std::path::Path::new("/usr/bin/python3.11").exists() {
            return println!("left out: no /usr/bin/python3.11");
        }
        let (small, _) = Small::start_with(command, "print('READY', flush=True)\nsys.stdin.read()");
        let pid = small.pid();
        let process = open(pid).unwrap();
        assert_eq!(take(&process, &TakeOptions { mode: Mode::Auto, ..fork_options() }).unwrap().way(), Way::Fork);

        // The last process goes while the call is made.
        let folder = Scratch::new().unwrap();
        let file = folder.path().join("here");
        let held = Command::new(self::command())
            .args(["auto", &pid.to_string()])
            .env("EXUVIA_TEST_STOP_AT", format!("clone-prepared={}", file.display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for("clone-prepared", || file.exists().then_some(()));
        // As that user: over others' limits not every root has a say (CAP_SYS_RESOURCE).
        let user = ["--reuid=64999", "--regid=64999", "--clear-groups", "prlimit", "--nproc=1", &format!("--pid={pid}")];
        assert!(Command::new("setpriv").args(user).status().unwrap().success());
        std::fs::remove_file(&file).unwrap();
        let said = held.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.starts_with("Freeze ") && said.contains("clone: Resource temporarily unavailable"), "{said}");

        // Afterwards it is known beforehand.
        match take(&process, &fork_options()) {
            Err(TargetError::CannotFork { problem: ForkProblem::Tight(tight), .. }) => {
                assert_eq!(tight.to_string(), "only 0 more processes are allowed: ulimit -u of user 64999 (1)");
            }
            other => panic!("{other:?}"),
        }
        small.end();
    }

    /// The workers of a server share what their parent had loaded. Looking at one must not make that its own.
    #[test]
    fn what_a_worker_shares_with_its_parent_stays_shared() {
        if !may_trace() {
            return;
        }
        let text = "block = bytearray(os.urandom(4096)) * (32 << 8)\n\
            first, second = os.pipe()\n\
            pid = os.fork()\n\
            if pid == 0:\n\
            \x20   os.close(second)\n\
            \x20   os.read(first, 1)\n\
            \x20   os._exit(0)\n\
            print('READY', pid, flush=True)\n\
            sys.stdin.read()\n\
            os.close(second)\n\
            os.wait()";
        let (small, worker) = Small::start(text);
        let worker: i32 = worker.parse().unwrap();
        let shared = || {
            let text = std::fs::read_to_string(format!("/proc/{worker}/smaps_rollup")).unwrap();
            let line = text.lines().find_map(|l| l.strip_prefix("Shared_Dirty:")?.strip_suffix(" kB")).unwrap();
            line.trim().parse::<u64>().unwrap()
        };
        let process = open(worker).unwrap();
        let before = shared();
        assert!(before > 32 << 10, "{before} KiB");
        for mode in [Mode::Freeze, Mode::Fork, Mode::Live] {
            take(&process, &TakeOptions { mode, ..fork_options() }).unwrap();
            // A few pages are written by the calls that are made in it, and when it is woken.
            assert!(shared() + 512 > before, "{mode:?}: {before} KiB, then {} KiB", shared());
        }
        small.end();
    }

    /// Address space runs out at different points of our work; each is one error of three lines, and nobody is harmed.
    #[test]
    fn without_memory_for_us_there_is_an_error_and_no_harm() {
        if !may_trace() {
            return;
        }
        let mut busy = Busy::start(newest());
        let mut failed = 0;
        for megabytes in [12, 20, 40, 80, 160, 320, 640] {
            for mode in ["fork", "freeze"] {
                let output = Command::new("prlimit")
                    .arg(format!("--as={}", megabytes << 20))
                    .arg(command())
                    .args([mode, &busy.pid.to_string()])
                    .output()
                    .unwrap();
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                match output.status.code() {
                    Some(0) => {}
                    Some(3) => {
                        failed += 1;
                        assert!(
                            said.starts_with("error: ") && said.contains("\nwhy: ") && said.contains("\ntry: "),
                            "{megabytes} MiB: {said}"
                        );
                    }
                    other => panic!("{megabytes} MiB, {mode}: {other:?} {said}"),
                }
                busy.check_alone();
            }
        }
        assert!(failed >= 4, "{failed} failed");
        busy.end();
    }

    /// A filter that answers one call with EPERM, all others with yes; it is installed by the program itself.
    #[test]
    fn a_seccomp_filter_is_asked_before_the_call_is_made() {
        if !may_trace() || !nix::unistd::geteuid().is_root() {
            return println!("left out: reading a filter takes CAP_SYS_ADMIN");
        }
        // clone 56, wait4 61, fork 57: the last is no concern of ours.
        for (number, forks) in [(56, false), (61, false), (57, true)] {
            let text = format!(
                "class I(ctypes.Structure): _fields_ = [('code', ctypes.c_ushort), ('jt', ctypes.c_ubyte), ('jf', ctypes.c_ubyte), ('k', ctypes.c_uint)]\n\
                class P(ctypes.Structure): _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.POINTER(I))]\n\
                program = (I * 4)(I(0x20, 0, 0, 0), I(0x15, 0, 1, {number}), I(6, 0, 0, 0x50001), I(6, 0, 0, 0x7fff0000))\n\
                libc = ctypes.CDLL(None)\n\
                assert libc.prctl(38, 1, 0, 0, 0) == 0\n\
                assert libc.prctl(22, 2, ctypes.byref(P(4, program))) == 0\n\
                print('READY', flush=True)\n\
                sys.stdin.read()"
            );
            let (small, _) = Small::start(&text);
            let process = open(small.pid()).unwrap();
            let taken = take(&process, &TakeOptions { mode: Mode::Auto, ..fork_options() }).unwrap();
            assert_eq!(taken.way() == Way::Fork, forks, "{number}: {:?}", taken.instead_of_fork());
            assert_eq!(taken.instead_of_fork().is_some_and(|why| why.contains("seccomp")), !forks);
            assert_eq!(children(small.pid()), Vec::<i32>::new());
            small.end();
        }
    }

    #[test]
    fn a_live_look_stops_nothing() {
        if !may_trace() {
            return;
        }
        let mut busy = Busy::start(newest());
        let process = open(busy.pid).unwrap();
        let taken = take(&process, &TakeOptions { mode: Mode::Live, ..fork_options() }).unwrap();
        assert_eq!((taken.way(), taken.cost().attempts), (Way::Live, 0));
        let expected = format!("marker-{}", busy.pid).repeat(1000).into_bytes();
        assert_eq!(taken.image().slice(busy.marker, busy.marker_len).unwrap(), expected);
        // Somebody else traces it at the same time: no matter.
        let making = HeldUp::start(busy.pid, "copy-made");
        assert!(take(&process, &TakeOptions { mode: Mode::Live, ..fork_options() }).is_ok());
        let mut command = making.command;
        std::fs::remove_file(&making.file).unwrap();
        assert_eq!(command.wait().unwrap().code(), Some(0));
        busy.check_alone();
        busy.end();
    }
}
