"""A program that ends in a chosen way, and tells in files of the folder DIR what it has lived through.

usage: ends.py DIR WAY [ARGUMENT]

`DIR/marker`: address and length of a bytes object that is made at run time. `DIR/atexit`: its atexit handler has run.
"""
import atexit
import os
import resource
import signal
import sys
import threading

DIR, WAY = sys.argv[1:3]


def note(name, text):
    # Whole or not at all.
    part = os.path.join(DIR, name + ".part")
    with open(part, "w") as f:
        f.write(text)
    os.rename(part, os.path.join(DIR, name))


def threads():
    """Threads that are alive at the end, and some that are not."""
    waiting = threading.Event()
    for _ in range(3):
        threading.Thread(target=waiting.wait, daemon=True).start()
    for _ in range(20):
        t = threading.Thread(target=str, args=(1,))
        t.start()
        t.join()


def fork():
    """Children that end in every way; none may be traced or hit a breakpoint. The exit code is the number of surprises."""
    import multiprocessing
    import subprocess

    def tracer():
        with open("/proc/self/status") as f:
            return int([line for line in f if line.startswith("TracerPid")][0].split()[1])

    surprises = 0
    # A fork that runs to its own Py_FinalizeEx.
    pid = os.fork()
    if pid == 0:
        sys.exit(10 + (tracer() != 0))
    surprises += os.waitpid(pid, 0)[1] != 10 << 8
    # One that ends at once.
    pid = os.fork()
    if pid == 0:
        os._exit(20 + (tracer() != 0))
    surprises += os.waitpid(pid, 0)[1] != 20 << 8
    # A program of its own.
    surprises += subprocess.call([sys.executable, "-S", "-c", "import sys; sys.exit(30)"]) != 30
    p = multiprocessing.get_context("fork").Process(target=threads)
    p.start()
    p.join()
    surprises += p.exitcode != 0
    sys.exit(surprises)


def signals():
    """Counts the signals that arrive until SIGTERM, which ends it by the number of them as exit code."""
    got = []
    for number in (signal.SIGUSR1, signal.SIGRTMIN):
        signal.signal(number, lambda n, frame: got.append(n) or note("signals", str(len(got))))
    signal.signal(signal.SIGTERM, lambda n, frame: sys.exit(len(got)))
    note("ready", str(os.getpid()))
    while True:
        signal.pause()


def sleep():
    """Sleeps until a signal ends it."""
    note("ready", str(os.getpid()))
    while True:
        signal.pause()


def crash():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), signal.SIGSEGV)


MARKER = ("marker-%d-" % os.getpid()).encode() * 100
note("marker", "%d %d" % (id(MARKER), len(MARKER)))
PID = os.getpid()
# Not in forked children.
atexit.register(lambda: os.getpid() == PID and note("atexit", "ran"))
{
    "end": lambda: print("printed"),
    "exit": lambda: sys.exit(int(sys.argv[3])),
    "_exit": lambda: os._exit(int(sys.argv[3])),
    "raise": lambda: [][0],
    "crash": crash,
    "threads": threads,
    "fork": fork,
    "signals": signals,
    "sleep": sleep,
    "exec": lambda: os.execv(sys.argv[3], sys.argv[3:]),
}[WAY]()
