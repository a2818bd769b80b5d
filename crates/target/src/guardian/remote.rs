//! One system call, executed by a standing thread of the target, after which the thread is as before.
//!
//! Holds: [`Call`], [`make`], the search for a `syscall` instruction and the choice of a thread. Never does: write to the
//! target's memory; choose the call.
//! How: all signals of the thread are blocked, so that none is delivered while its registers are not its own; they stay
//! pending with all that belongs to them. It is run into the call and out of it by PTRACE_SYSCALL. Its own registers are put
//! back at the call's exit, and it is brought to a stop once more before it is let go: only on the way out of such a stop does
//! the kernel restart the call in which we found it (arch_do_signal_or_restart in Linux's arch/x86/kernel/signal.c).
//! Not by PTRACE_SINGLESTEP: its SIGTRAP is forced on the thread, which resets a target's own disposition of SIGTRAP.
//! Sources: ptrace(2), "Syscall-stops", "PTRACE_EVENT stops", "PTRACE_SEIZE"; rseq in Linux's kernel/rseq.c.

use std::io;
use std::time::Duration;

use memory::{Addr, Memory};

use crate::process::Process;
use crate::sys::ptrace::{self, Wait};
use crate::sys::thread::{self, Registers};
use crate::testpoint;

/// The instruction `syscall`.
const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// Bytes of program code that are searched for it where there is no vdso.
const SEARCH_MAX: u64 = 16 << 20;
/// Stops in between that are not ours (job control) before we give up.
const STRAY_STOPS_MAX: usize = 1000;
/// How long to sleep between looks at a thread that has nothing to say yet; its SIGCHLD ends the sleep.
const NAP: Duration = Duration::from_millis(10);

/// A system call by number, with its arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// What test points and errors call it.
    pub(crate) name: &'static str,
    pub(crate) number: libc::c_long,
    pub(crate) arguments: [u64; 5],
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Made {
    /// What the call returned to the target: −errno where it failed.
    pub(crate) returned: i64,
    /// The process that it made, by our number of it, traced and standing; killed by the kernel should we die.
    pub(crate) born: Option<i32>,
    /// A signal that came while the thread was ours and cannot be blocked (SIGSTOP); it is still to be delivered.
    pub(crate) signal: i32,
}

/// Has the thread `tid`, which stands in a trap stop, make the call with the `syscall` instruction at `instruction`.
/// `options` are its ptrace options, which it has again afterwards. `nap` sleeps until a thread may have news.
pub(crate) fn make(tid: i32, instruction: u64, call: Call, options: i32, nap: &mut dyn FnMut(Duration)) -> io::Result<Made> {
    let own = thread::registers(tid)?;
    let mask = thread::signal_mask(tid)?;
    thread::set_options(tid, options | libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE)?;
    let mut made = Made { returned: 0, born: None, signal: 0 };
    let [a, b, c, d, e] = call.arguments;
    let foreign = Registers {
        rax: call.number as u64,
        // No call is to be restarted on the way: −1 says that the thread is in none.
        orig_rax: u64::MAX,
        rip: instruction,
        rdi: a,
        rsi: b,
        rdx: c,
        r10: d,
        r8: e,
        r9: 0,
        ..own
    };
    let done = thread::set_signal_mask(tid, u64::MAX).and_then(|()| thread::set_registers(tid, &foreign)).and_then(|()| {
        testpoint::reached(call.name, "prepared");
        run(tid, call, &mut made, nap)
    });
    // Whatever happened: it gets back what is its own. A dead thread needs nothing.
    testpoint::reached(call.name, "done");
    let restored = thread::set_registers(tid, &own).and_then(|()| thread::set_signal_mask(tid, mask));
    if let (Err(error), born) = (done.and(restored), made.born) {
        // Nobody will hear of the copy: it must not wait for our end.
        if let Some(born) = born {
            let _ = thread::kill(born);
        }
        return Err(error);
    }
    // Into a trap stop, from which a call that was interrupted is restarted.
    ptrace::interrupt(tid)?;
    ptrace::go_on(tid, 0)?;
    match wait(tid, nap)? {
        Wait::Signal(signal) if made.signal == 0 => made.signal = signal,
        Wait::Ended | Wait::Event(_) => return Err(gone()),
        Wait::Signal(_) | Wait::Trap(_) | Wait::SystemCall => {}
    }
    testpoint::reached(call.name, "restored");
    thread::set_options(tid, options)?;
    Ok(made)
}

/// Runs the thread into the call and to its end.
fn run(tid: i32, call: Call, made: &mut Made, nap: &mut dyn FnMut(Duration)) -> io::Result<()> {
    let mut entered = false;
    for _ in 0..STRAY_STOPS_MAX {
        thread::to_system_call(tid)?;
        match wait(tid, nap)? {
            Wait::SystemCall if !entered => {
                entered = true;
                testpoint::reached(call.name, "entered");
            }
            Wait::SystemCall => {
                made.returned = thread::registers(tid)?.rax as i64;
                return Ok(());
            }
            Wait::Event(libc::PTRACE_EVENT_CLONE) => {
                let born = ptrace::event_message(tid)? as i32;
                made.born = Some(born);
                testpoint::reached(call.name, "born");
                // Its first stop comes by itself. EXITKILL on it alone: it must never outlive us, the target must.
                if !matches!(wait(born, nap)?, Wait::Ended) {
                    thread::set_options(born, libc::PTRACE_O_EXITKILL)?;
                }
            }
            Wait::Signal(signal) => made.signal = signal,
            // Job control stops the whole process meanwhile: it stays stopped when it is let go.
            Wait::Trap(_) => {}
            Wait::Event(_) | Wait::Ended => return Err(gone()),
        }
    }
    Err(io::Error::from(io::ErrorKind::TimedOut))
}

/// Waits for a thread's next stop or end.
pub(crate) fn wait(tid: i32, nap: &mut dyn FnMut(Duration)) -> io::Result<Wait> {
    loop {
        match ptrace::poll_wait(tid)? {
            Some((_, wait)) => return Ok(wait),
            None => nap(NAP),
        }
    }
}

/// Whether a standing thread may be used: it runs 64-bit code, and not in a restartable sequence: the kernel would take our
/// address for a way out of it and forget that the sequence has to begin again.
pub(crate) fn is_usable(process: &Process, tid: i32) -> bool {
    let Ok(registers) = thread::registers(tid) else { return false };
    registers.cs == thread::USER_CODE && !in_restartable_sequence(process, tid, registers.rip)
}

fn in_restartable_sequence(process: &Process, tid: i32, at: u64) -> bool {
    // `struct rseq`: rseq_cs at 8. `struct rseq_cs`: start_ip at 8, post_commit_offset at 16.
    let Some(area) = thread::restartable_sequences(tid) else { return false };
    let Ok(section) = process.u64(Addr(area) + 8) else { return true };
    if section == 0 {
        return false;
    }
    match (process.u64(Addr(section) + 8), process.u64(Addr(section) + 16)) {
        (Ok(start), Ok(length)) => at.wrapping_sub(start) < length,
        _ => true,
    }
}

/// A `syscall` instruction of the target: the vdso has one wherever there is a vdso, else any program code will do. Two bytes in
/// the middle of another instruction serve as well: nothing behind them is ever executed.
pub(crate) fn find_instruction(process: &Process) -> Option<u64> {
    let mappings = process.mappings().ok()?;
    let vdso = mappings.iter().filter(|m| m.path == "[vdso]");
    let code = mappings.iter().filter(|m| m.exec && m.read && m.path != "[vsyscall]" && m.path != "[vdso]");
    let mut left = SEARCH_MAX;
    for mapping in vdso.chain(code) {
        const CHUNK: u64 = 64 << 10;
        let (mut at, end) = (mapping.start.0, mapping.end.0);
        while at < end && left > 0 {
            let mut bytes = vec![0u8; CHUNK.min(end - at) as usize];
            if process.read(Addr(at), &mut bytes).is_err() {
                break;
            }
            if let Some(found) = bytes.windows(2).position(|two| two == SYSCALL) {
                return Some(at + found as u64);
            }
            left = left.saturating_sub(CHUNK);
            at += CHUNK;
        }
    }
    None
}

fn gone() -> io::Error {
    io::Error::from_raw_os_error(libc::ESRCH)
}
