"""Asks psutil, from outside, what of a process is in memory, and prints what it cost as one line of JSON.

usage: outside.py {memory_full_info,memory_maps} PID

psutil reads /proc/PID/smaps (or smaps_rollup) and does not stop the process. It gives sums: RSS, PSS and USS
of the whole, or RSS by mapping; nothing of Python, of allocators, or of what is free. Prints the time of the
call alone, the peak RSS of this process, and the target's RSS as it was told.
"""
import json
import resource
import sys
import time

import psutil

if __name__ == "__main__":
    process = psutil.Process(int(sys.argv[2]))
    start = time.perf_counter()
    if sys.argv[1] == "memory_full_info":
        rss = process.memory_full_info().rss
    else:
        rss = sum(one.rss for one in process.memory_maps())
    seconds = time.perf_counter() - start
    print(json.dumps({
        "wall_ms": seconds * 1e3,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "rss_bytes": rss,
    }))
