"""A busy program that notices when anything is wrong with it.

Three threads work on data of their own and compare; one writes the same rising number into two arrays, far apart in
memory. Prints READY, then answers lines on stdin: `where` (addresses of the two arrays and of a bytes object whose
content is 1000 times "marker-" and the PID), `check` (threads' rounds so far and errors found), `signals` (SIGUSR1 and
SIGRTMIN handled), `threads` (kernel numbers), `work` (waits until every thread did more rounds), `end`. With the argument `idle` no thread is started.
"""
import array
import ctypes
import os
import signal
import sys
import threading

# Where Yama is: any process of this user may trace us (PR_SET_PTRACER, PR_SET_PTRACER_ANY).
ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(2**64 - 1), 0, 0, 0)

ROUNDS = [0, 0, 0, 0]
ERRORS = []
SIGNALS = {signal.SIGUSR1: 0, signal.SIGRTMIN: 0}
FIRST = array.array("Q", [0] * 8)
SPACE = [bytes(4000) for _ in range(2000)]
SECOND = array.array("Q", [0] * 8)
MARKER = ("marker-%d" % os.getpid()).encode() * 1000
RUN = True


def handler(number, frame):
    SIGNALS[number] += 1


def work(me):
    table = {}
    while RUN:
        for i in range(200):
            table[i] = [me, i, str(i) * 3]
        for i in range(200):
            if table[i] != [me, i, str(i) * 3]:
                ERRORS.append((me, i))
        ROUNDS[me] += 1


def count():
    n = 0
    while RUN:
        n += 1
        FIRST[0] = n
        SECOND[0] = n
        ROUNDS[3] += 1


for number in SIGNALS:
    signal.signal(number, handler)
THREADS = [threading.Thread(target=work, args=(i,)) for i in range(3)] + [threading.Thread(target=count)]
if "idle" in sys.argv:
    THREADS = []
for t in THREADS:
    t.start()
print("READY", flush=True)
for line in sys.stdin:
    word = line.strip()
    if word == "where":
        print(FIRST.buffer_info()[0], SECOND.buffer_info()[0], id(MARKER), len(MARKER), flush=True)
    elif word == "check":
        print(sum(ROUNDS), len(ERRORS), flush=True)
    elif word == "signals":
        print(SIGNALS[signal.SIGUSR1], SIGNALS[signal.SIGRTMIN], flush=True)
    elif word == "threads":
        print(*[t.native_id for t in THREADS], flush=True)
    elif word == "work":
        goal = [r + 2 for r in ROUNDS]
        while any(r < g for r, g in zip(ROUNDS, goal)):
            signal.pthread_kill(threading.get_ident(), 0)
        print("worked", flush=True)
    elif word == "end":
        break
RUN = False
for t in THREADS:
    t.join()
