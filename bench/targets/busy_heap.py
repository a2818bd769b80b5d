"""A busy heap that checks its own data, for `cargo xtask soak`.

usage: busy_heap.py MEGABYTES

Three threads build tables and compare them, one walks blocks of MEGABYTES in all and compares each with its checksum, one starts
threads and child processes and waits for any child. 1,000 instances of `Kept` live for ever. Prints READY; then a line on stdin is
answered by a JSON object: rounds of each thread, errors found, open descriptors, threads, children. `end` ends it.
"""
import ctypes
import json
import os
import sys
import threading
import zlib

# Where Yama is: any process of this user may trace us (PR_SET_PTRACER, PR_SET_PTRACER_ANY).
ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(2**64 - 1), 0, 0, 0)


class Kept:
    __slots__ = ("number",)

    def __init__(self, number):
        self.number = number


KEPT = [Kept(i) for i in range(1000)]
BLOCKS = [(b"%d-" % i) * 100 for i in range(int(sys.argv[1]) * 1000000 // 900)]
SUMS = [zlib.crc32(block) for block in BLOCKS]
ROUNDS = [0] * 5
ERRORS = []
RUN = True


def work(me):
    while RUN:
        table = {}
        for i in range(300):
            table[i] = [me, i, str(i) * 3]
        for i in range(300):
            if table[i] != [me, i, str(i) * 3]:
                ERRORS.append("thread %d: entry %d" % (me, i))
        ROUNDS[me] += 1


def walk(me):
    while RUN:
        for i in range(0, len(BLOCKS), 97):
            if zlib.crc32(BLOCKS[i]) != SUMS[i]:
                ERRORS.append("block %d" % i)
            if not RUN:
                return
        ROUNDS[me] += 1


def start_and_wait(me):
    # A fork of a large heap is dear; the small one does it every time.
    often = 1 if len(BLOCKS) < 100000 else 50
    while RUN:
        helper = threading.Thread(target=str)
        helper.start()
        helper.join()
        if ROUNDS[me] % often == 0:
            pid = os.fork()
            if pid == 0:
                os._exit(9)
            seen, status = os.wait()
            if seen != pid or status != 9 << 8:
                ERRORS.append("waited for %d, saw %d with %d" % (pid, seen, status))
        ROUNDS[me] += 1


THREADS = [threading.Thread(target=work, args=(i,)) for i in range(3)]
THREADS += [threading.Thread(target=walk, args=(3,)), threading.Thread(target=start_and_wait, args=(4,))]
for t in THREADS:
    t.start()
print("READY", flush=True)
for line in sys.stdin:
    if line.strip() == "end":
        break
    print(json.dumps({"rounds": ROUNDS, "errors": ERRORS, "descriptors": len(os.listdir("/proc/self/fd"))}), flush=True)
RUN = False
for t in THREADS:
    t.join()
