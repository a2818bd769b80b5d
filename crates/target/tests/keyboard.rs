//! Ctrl-C, in a test program of its own: a launch makes its own process deaf to it, and children inherit that.

#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use nix::sys::signal::{killpg, Signal};
    use nix::unistd::Pid;
    use testbed::{interpreters, Interpreter, Scratch};

    use crate::support::{command, ignores_interrupts, may_trace, script, wait_for};

    fn any() -> &'static Interpreter {
        interpreters().found.first().expect("no Python 3.8 to 3.15 found")
    }

    #[test]
    fn ctrl_c_reaches_the_program_and_the_command_waits() {
        if !may_trace() {
            return;
        }
        if ignores_interrupts() {
            return println!("left out: this run was started deaf to Ctrl-C, and so is all that it starts");
        }
        let scratch = Scratch::new().unwrap();
        let (script, dir) = (script("ends.py"), scratch.path().to_str().unwrap());
        let outer = Command::new(command())
            .args(["launch", any().path.to_str().unwrap(), script.to_str().unwrap(), dir, "sleep"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let pid = wait_for("its start", || std::fs::read_to_string(scratch.path().join("ready")).ok()?.parse::<i32>().ok());
        let group = Pid::from_raw(outer.id() as i32);
        assert_eq!(nix::unistd::getpgid(Some(Pid::from_raw(pid))), Ok(group), "in the terminal's foreground group");
        assert_eq!(nix::unistd::getsid(Some(Pid::from_raw(pid))), nix::unistd::getsid(None), "in the terminal's session");
        killpg(group, Signal::SIGINT).unwrap();
        let output = outer.wait_with_output().unwrap();
        let (text, errors) = (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned());
        assert_eq!(text, format!("pid {pid}\nmoment BeforeFinalize\nending Signal(2)\n"), "{errors}");
        assert!(errors.contains("KeyboardInterrupt"), "{errors}");
    }
}
