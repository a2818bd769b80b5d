"""Threads that wait for ever in nested frames, a generator that runs, thread locals, locks: what only a live process has."""
import concurrent.futures
import contextvars
import threading
import _thread

from zoo import add, part

started = threading.Semaphore(0)
for_ever = threading.Lock()
for_ever.acquire()
variable = contextvars.ContextVar("set in threads")


def park(depth, tag):
    """Waits for ever, `depth` frames down; every frame holds a local of its own."""
    marker = ["in thread %s at depth %d" % (tag, depth)]
    if depth:
        return park(depth - 1, tag), marker
    started.release()
    for_ever.acquire()


def run_generator():
    def running(x):
        local = ["in a running generator"]
        park(1, "generator")
        yield local, x

    for _ in running([1]):
        pass


def in_handler():
    try:
        raise ValueError("being handled", ["kept by the thread"])
    except ValueError:
        park(1, "handler")


def in_comprehension():
    outer = ["outer"]
    return [park(0, "comprehension") for item in [[1], [2]] if outer]


def called_from_c():
    return sorted([[3], [1], [2]], key=lambda item: park(0, "sort"))


class Holder:
    def method(self):
        return park(2, "method")


local = threading.local()


def with_locals():
    local.mine = ["of this thread"]
    variable.set(["of this thread"])
    local_2 = threading.local()
    local_2.other = [2]
    park(3, "locals")


class SubLocal(threading.local):
    def __init__(self, x):
        self.x = [x]


@part
def threads():
    local.mine = ["of the main thread"]
    add("local", local)
    add("local/empty", threading.local())
    add("local/subclass", SubLocal(3))
    targets = (lambda: park(5, "plain"), run_generator, in_handler, in_comprehension, called_from_c, Holder().method, with_locals)
    for i, target in enumerate(targets):
        add("thread/%d" % i, threading.Thread(target=target, daemon=True, name="parked %d" % i)).start()
        started.acquire()
    _thread.start_new_thread(park, (1, "raw"))
    started.acquire()
    finished = add("thread/finished", threading.Thread(target=dict, args=([(1, 2)],), kwargs={"k": [3]}))
    finished.start()
    finished.join()
    add("thread/not started", threading.Thread(target=print, args=([1],)))
    add("thread/timer", threading.Timer(1000.0, print))


@part
def locks():
    add("Lock", threading.Lock())
    add("Lock/held", for_ever)
    add("RLock", threading.RLock()).acquire()
    add("RLock/python", threading._PyRLock())
    add("Condition", threading.Condition())
    add("Event", threading.Event()).set()
    add("Semaphore", threading.BoundedSemaphore(3))
    add("Barrier", threading.Barrier(2))
    pool = add("ThreadPoolExecutor", concurrent.futures.ThreadPoolExecutor(2))
    future = add("concurrent future", concurrent.futures.Future())
    future.set_result([1])
    add("concurrent future/pending", concurrent.futures.Future()).add_done_callback(print)
