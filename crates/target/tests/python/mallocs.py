"""Allocates and frees through libc in several threads, lets malloc write down its own figures, and then stands without allocating.

Arguments: how many threads, how many rounds, and what disturbs sbrk: `nothing`, `others` who use it too, a `fence` above the heap. Each of three lines on stdin is answered when it is done: `said` (a round's
work, and malloc's figures are written), `trimmed` (malloc_trim(0)), `on`. Files, in the working folder: info.N (what
malloc_info prints), sums.N (mallinfo2's ten numbers), live.N and freed.N (words: address, usable size).
"""

import ctypes
import gc
import os
import random
import sys
import threading
from array import array

libc = ctypes.CDLL(None)
for name, result, arguments in [
    ("malloc", ctypes.c_void_p, [ctypes.c_size_t]),
    ("memalign", ctypes.c_void_p, [ctypes.c_size_t, ctypes.c_size_t]),
    ("free", None, [ctypes.c_void_p]),
    ("memset", None, [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]),
    ("malloc_usable_size", ctypes.c_size_t, [ctypes.c_void_p]),
    ("malloc_info", ctypes.c_int, [ctypes.c_int, ctypes.c_void_p]),
    ("malloc_trim", ctypes.c_int, [ctypes.c_size_t]),
    ("fopen", ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_char_p]),
    ("setvbuf", ctypes.c_int, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]),
    ("fflush", ctypes.c_int, [ctypes.c_void_p]),
    ("sbrk", ctypes.c_void_p, [ctypes.c_ssize_t]),
    ("mmap", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_ssize_t]),
    ("write", ctypes.c_ssize_t, [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]),
    ("read", ctypes.c_ssize_t, [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]),
]:
    function = getattr(libc, name)
    function.restype, function.argtypes = result, arguments


class Sums(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]



class OldSums(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name, _ in Sums._fields_]


# mallinfo2 came with glibc 2.33; what mallinfo counts is the same, in half as many bytes.
sums, Sums = (libc.mallinfo2, Sums) if hasattr(libc, "mallinfo2") else (libc.mallinfo, OldSums)
sums.restype, sums.argtypes = Sums, []

THREADS, ROUNDS, DISTURBED = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
SIZES = [1, 24, 25, 40, 100, 104, 200, 500, 513, 1000, 1032, 1033, 3000, 5000, 20000, 70000, 120000]
barrier = threading.Barrier(THREADS + 1)
pointers = [[] for _ in range(THREADS + 1)]


def work(own, number, turn):
    """Leaves about half of what it allocated; the first thread fills more than one heap."""
    rand = random.Random(turn * 100 + number)
    for _ in range(4000):
        size = rand.choice(SIZES) + rand.randrange(64)
        own.append(libc.memalign(rand.choice([64, 4096]), size) if rand.random() < 0.02 else libc.malloc(size))
        if rand.random() < 0.5:
            at = rand.randrange(len(own))
            own[at], own[-1] = own[-1], own[at]
            libc.free(own.pop())
    if number == 1:
        own.extend(libc.malloc(100000) for _ in range(1000))
        for _ in range(300):
            libc.free(own.pop(rand.randrange(len(own))))


def thread(number):
    for turn in range(ROUNDS):
        barrier.wait()
        work(pointers[number], number, turn)
        barrier.wait()
        if turn == ROUNDS - 1 and number == 2:
            return  # Its arena stays, its cache is emptied.
    threading.Event().wait()


for number in range(1, THREADS + 1):
    threading.Thread(target=thread, args=(number,), daemon=True).start()

# All that the figures go through is there before.
gc.disable()
line = ctypes.create_string_buffer(64)
streams, buffers = [], []
for turn in range(ROUNDS):
    streams.append(libc.fopen(b"info.%d" % turn, b"w"))
    buffers.append(ctypes.create_string_buffer(1 << 17))
    libc.setvbuf(streams[turn], buffers[turn], 0, 1 << 17)
files = [os.open("sums.%d" % turn, os.O_CREAT | os.O_WRONLY) for turn in range(ROUNDS)]
length = ctypes.sizeof(Sums)
free, write, read, info, flush = libc.free, libc.write, libc.read, libc.malloc_info, libc.fflush

os.write(1, b"READY\n")
for turn in range(ROUNDS):
    read(0, line, 64)
    if DISTURBED == "others":
        libc.sbrk(12345)
    elif DISTURBED == "fence" and turn == 1:
        # PROT_NONE; MAP_PRIVATE, MAP_ANONYMOUS and MAP_FIXED_NOREPLACE.
        libc.mmap((libc.sbrk(0) + 4095) // 4096 * 4096, 4096, 0, 0x100022, -1, 0)
    barrier.wait()
    work(pointers[0], 0, turn)
    # Chunks with mappings of their own; what is freed moves the threshold.
    pointers[0] += [libc.malloc(size) for size in (200000, 1 << 20, 40 << 20)]
    pointers[0] += [libc.memalign(1 << 16, 3 << 20), libc.memalign(4096, 36 << 20)]
    barrier.wait()
    if turn == ROUNDS - 1 and THREADS > 1:
        while threading.active_count() > THREADS:
            pass
    every = [p for own in pointers for p in own]
    random.Random(turn).shuffle(every)
    going, staying = every[: len(every) // 3], every[len(every) // 3 :]
    for name, some in (("live", staying), ("freed", going)):
        with open("%s.%d" % (name, turn), "wb") as f:
            array("Q", [word for p in some for word in (p, libc.malloc_usable_size(p))]).tofile(f)
    gone = set(going)
    for own in pointers:
        own[:] = [p for p in own if p not in gone]
    file, stream = files[turn], streams[turn]
    for p in going:
        libc.memset(p, 0x5A, 16)
    # From here on nothing of Python's goes to malloc: small objects are pymalloc's.
    for p in going:
        free(p)
    said = sums()
    info(0, stream)
    flush(stream)
    write(file, ctypes.addressof(said), length)
    write(1, b"said\n", 5)
    read(0, line, 64)
    libc.malloc_trim(0)
    write(1, b"trimmed\n", 8)
    read(0, line, 64)
    write(1, b"on\n", 3)
    del every, gone, going, staying
read(0, line, 64)
os._exit(0)
