"""A program of a twentieth of a second and some 15 MB, made bigger or slower by a share of what it took itself.

Usage: planted.py [--memory SHARE] [--time SHARE]. The shares are of its own peak resident memory (VmHWM) and of its own processor time, so
that what is planted holds on any machine and under any interpreter. For `cargo xtask soak --compare`.
"""

import sys
import time


def peak():
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def planted(name):
    return float(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else 0.0


rows = [{"number": n, "name": "row %d" % n, "parts": [n, n + 1]} for n in range(12_000)]
total = sum(part for _ in range(4) for row in rows for part in row["parts"] if row["name"])

more = bytearray(int(peak() * planted("--memory")))
for page in range(0, len(more), 4096):
    more[page] = 1
# What the interpreter would do at its end is done before the time is taken.
rows.clear()

until = time.process_time() * (1 + planted("--time"))
while time.process_time() < until:
    total += 1
