"""Has Python's memory in mimalloc, makes and drops objects in several threads, and stands.

A line on stdin is answered with `said A B L D`: sys.getallocatedblocks() (which counts the main thread's heap alone) before and
after, and how many addresses are in the files `live` (words: address of a block, bytes asked for) and `dropped` (addresses).
"""

import gc
import os
import random
import sys

if os.environ.get("PYTHONMALLOC") != "mimalloc":
    os.execve(sys.executable, [sys.executable] + sys.argv, dict(os.environ, PYTHONMALLOC="mimalloc"))

import threading
from array import array

gc.disable()
SIZES = [0, 1, 16, 40, 100, 300, 480, 1000, 3000, 9000, 30000, 100000, 200000, 1 << 20]
THREADS = 4
kept = [[] for _ in range(THREADS + 1)]
lock = threading.Barrier(THREADS + 1)


def work(own, number):
    rand = random.Random(number)
    for _ in range(6000):
        own.append(bytes(rand.choice(SIZES[:9]) + rand.randrange(40)) if rand.random() < 0.97 else bytes(rand.choice(SIZES)))
        if rand.random() < 0.4:
            at = rand.randrange(len(own))
            own[at], own[-1] = own[-1], own[at]
            own.pop()


def thread(number):
    work(kept[number], number)
    lock.wait()
    if number != 1:
        threading.Event().wait()


threads = [threading.Thread(target=thread, args=(number,), daemon=True) for number in range(1, THREADS + 1)]
for t in threads:
    t.start()
work(kept[0], 0)
lock.wait()
threads[0].join()
huge = [bytes(40 << 20), bytes(100 << 20)]
every = [b for own in kept for b in own if len(b) > 1]
random.Random(5).shuffle(every)
dropped = every[: len(every) // 3]
going = array("Q", [id(b) for b in dropped])
staying = every[len(every) // 3 :] + huge
live = array("Q", [word for b in staying for word in (id(b), sys.getsizeof(b))])
with open("live", "wb") as f:
    live.tofile(f)
with open("dropped", "wb") as f:
    going.tofile(f)
del every[:]
chosen = set(going)
kept = [[b for b in own if id(b) not in chosen] for own in kept]
del chosen
buffer = bytearray(64)
out = bytearray(128)
os.write(1, b"READY\n")
os.readv(0, [buffer])
# Other threads' blocks are dropped here, by this one.
del dropped[:]
before = sys.getallocatedblocks()
text = b"said %d %d %d %d\n" % (before, sys.getallocatedblocks(), len(live) // 2, len(going))
os.write(1, text)
os.readv(0, [buffer])
os._exit(0)
