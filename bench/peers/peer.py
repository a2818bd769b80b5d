"""Runs one peer inside the process that it looks at, and prints what it cost as one line of JSON.

usage: peer.py {guppy3,pympler,getsizeof} N

Builds the heap of targets/service_heap.py, then times the peer's summary until its text is there. Prints
seconds, the growth of the peak RSS while it worked, how many objects it saw, and how many instances of
Session and Node it counted (none for getsizeof, which sums the collector's containers and no more).
"""
import gc
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "targets"))

from service_heap import build


def guppy3():
    from guppy import hpy

    def summary():
        heap = hpy().heap()
        str(heap)
        return heap

    def count(heap):
        rows = [row for row in heap.stat.get_rows() if not row.name.startswith("dict of ")]
        return heap.count, {row.name.rsplit(".", 1)[-1]: row.count for row in rows}

    return summary, count


def pympler():
    from pympler import muppy, summary as summaries

    def summary():
        rows = summaries.summarize(muppy.get_objects())
        "\n".join(summaries.format_(rows, limit=20))
        return rows

    def count(rows):
        # "service_heap.Session" in recent releases, "<class 'service_heap.Session" in older ones
        return sum(row[1] for row in rows), {row[0].rsplit(".", 1)[-1].strip("'> "): row[1] for row in rows}

    return summary, count


def getsizeof():
    def summary():
        objects = gc.get_objects()
        str(sum(map(sys.getsizeof, objects)))
        return len(objects)

    return summary, lambda objects: (objects, {})


def status(key):
    with open("/proc/self/status") as lines:
        for line in lines:
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024


if __name__ == "__main__":
    summary, count = {"guppy3": guppy3, "pympler": pympler, "getsizeof": getsizeof}[sys.argv[1]]()
    gc.disable()
    heap = build(int(sys.argv[2]))
    gc.enable()
    before = status("VmRSS")
    start = time.perf_counter()
    result = summary()
    seconds = time.perf_counter() - start
    extra = max(0, status("VmHWM") - before)
    objects, counts = count(result)
    print(json.dumps({
        "wall_ms": seconds * 1e3,
        "extra_peak_bytes": extra,
        "rss_bytes": before,
        "objects": objects,
        "sessions": counts.get("Session"),
        "nodes": counts.get("Node"),
    }))
