"""Runs one peer inside the process that it looks at, and prints what it cost as one line of JSON.

usage: peer.py {guppy3,pympler,getsizeof} N
       peer.py {asizeof,domisize,shpaths,backref,refcycle} N LIMIT_SECONDS

Builds the heap of targets/service_heap.py, then times the peer's summary until its text is there. Prints
seconds, the growth of the peak RSS while it worked, how many objects it saw, and how many instances of
Session and Node it counted (none for getsizeof, which sums the collector's containers and no more).
The second form asks one question about the heap, and is ended by SIGALRM when it takes longer; prints
the bytes of the answer too, where it is bytes.
"""
import gc
import json
import os
import signal
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


def asizeof(cache):
    """The deep size of the table of sessions."""
    from pympler import asizeof

    return asizeof.asizeof(cache)


def domisize(cache):
    """The retained size of the table of sessions."""
    from guppy import hpy

    return hpy().iso(cache).domisize


def shpaths(cache):
    """The shortest paths to the last session's dict."""
    from guppy import hpy

    str(hpy().iso(last(cache)).shpaths)


def backref(cache):
    """A chain of references from a module to the last session's dict."""
    import objgraph

    chain = objgraph.find_backref_chain(last(cache), objgraph.is_proper_module)
    if len(chain) < 2:
        raise SystemExit("objgraph found no chain")


def refcycle(cache):
    """The strongly connected components of all that the collector tracks."""
    import refcycle

    len([c for c in refcycle.snapshot().strongly_connected_components() if len(c) > 1])


def last(cache):
    return cache["user-%d" % (len(cache) - 1)].meta


def question(ask, n, limit):
    global CACHE, NODES
    gc.disable()
    CACHE, NODES = build(n)
    gc.enable()
    before = status("VmRSS")
    signal.setitimer(signal.ITIMER_REAL, limit)
    start = time.perf_counter()
    answer = ask(CACHE)
    seconds = time.perf_counter() - start
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(json.dumps({
        "wall_ms": seconds * 1e3,
        "extra_peak_bytes": max(0, status("VmHWM") - before),
        "rss_bytes": before,
        "objects": 0,
        "answer_bytes": answer,
    }))


def status(key):
    with open("/proc/self/status") as lines:
        for line in lines:
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024


if __name__ == "__main__":
    asked = {one.__name__: one for one in (asizeof, domisize, shpaths, backref, refcycle)}.get(sys.argv[1])
    if asked:
        question(asked, int(sys.argv[2]), float(sys.argv[3]))
        sys.exit()
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
