"""One thread that makes one blocking system call again and again, and notices when a call ends otherwise than it should.

usage: calls.py KIND: nanosleep, poll, ppoll, select, read, futex, sigsuspend, wait4, accept. Each is made through the C library, so that
Python repeats nothing by itself. Prints READY with the thread's number; a line on stdin (where the call does not read stdin) or
SIGTERM ends it, with the number of calls and a list of wrong results on stdout.
"""
import ctypes
import os
import signal
import socket
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(0x59616D61, ctypes.c_ulong(2**64 - 1), 0, 0, 0)
KIND = sys.argv[1]
WRONG = []
MS = 30


class Timespec(ctypes.Structure):
    _fields_ = [("sec", ctypes.c_long), ("nsec", ctypes.c_long)]


def spec():
    return ctypes.byref(Timespec(0, MS * 1000000))


reader, writer = os.pipe()
listening = socket.socket()
listening.bind(("127.0.0.1", 0))
listening.listen()
word = ctypes.c_int(0)
got = []
signal.signal(signal.SIGALRM, lambda *_: got.append(1))
signal.signal(signal.SIGTERM, lambda *_: sys.exit())


def later(what):
    """Does something in a child of this process after a while, so that this thread stays the only one."""
    pid = os.fork()
    if pid == 0:
        time.sleep(MS / 1000)
        what()
        os._exit(7)
    return pid


def one():
    if KIND == "nanosleep":
        return libc.nanosleep(spec(), None), 0
    if KIND == "poll":
        return libc.poll(None, 0, MS), 0
    if KIND == "ppoll":
        return libc.ppoll(None, 0, spec(), ctypes.byref(ctypes.c_ulong(0))), 0
    if KIND == "select":
        return libc.select(0, None, None, None, None) if False else libc.pselect(0, None, None, None, spec(), None), 0
    if KIND == "futex":
        # FUTEX_WAIT on a word that has the value, with a timeout: ETIMEDOUT.
        result = libc.syscall(202, ctypes.byref(word), 0, 0, spec(), None, 0)
        return (result, ctypes.get_errno()), (-1, 110)
    if KIND == "read":
        child = later(lambda: os.write(writer, b"x"))
        result = libc.read(reader, ctypes.create_string_buffer(1), 1)
        os.waitpid(child, 0)
        return result, 1
    if KIND == "accept":
        child = later(lambda: socket.create_connection(listening.getsockname()))
        fd = libc.accept(listening.fileno(), None, None)
        os.waitpid(child, 0)
        if fd >= 0:
            os.close(fd)
        return fd >= 0, True
    if KIND == "wait4":
        child = later(lambda: None)
        status = ctypes.c_int(0)
        return (libc.waitpid(child, ctypes.byref(status), 0), status.value), (child, 7 << 8)
    if KIND == "sigsuspend":
        got.clear()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        signal.setitimer(signal.ITIMER_REAL, MS / 1000)
        # An empty mask lets SIGALRM in; it ends with EINTR then, and only then.
        libc.sigsuspend(ctypes.byref((ctypes.c_ulong * 16)()))
        signal.pthread_sigmask(signal.SIG_BLOCK, [])
        return len(got), 1
    raise SystemExit("which call?")


print("READY", flush=True)
calls = 0
try:
    while True:
        result, wanted = one()
        calls += 1
        if result != wanted:
            WRONG.append((result, wanted, ctypes.get_errno()))
finally:
    print(calls, WRONG, flush=True)
