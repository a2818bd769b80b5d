"""Runs a function once on an input of a given size and writes down what it took: `python3 growing.py TASK ANSWER`.

Holds: the import as `python -m` or `python file.py` would do it, the input, the call, its memory and time. TASK is JSON: module or
file, name, input (an expression of n, or none), n, bound_bytes. ANSWER is a file, written when the interpreter is up and again at the end.
Never: counts the import or the input as the function's, lets it take more than bound_bytes (RLIMIT_DATA: MemoryError, not the OOM killer).
How memory is known: smaps_rollup is exact; the kernel's high-water mark is reset before the call (`5` to /proc/self/clear_refs).
How time is known: the clock, less what this thread stood ready and had no processor (schedstat): a busy machine is not the function's.
Sources: proc_pid_clear_refs(5), proc_pid_smaps(5), proc_pid_status(5), getrlimit(2); Linux's Documentation/scheduler/sched-stats.rst.
"""
import gc
import importlib
import importlib.util
import inspect
import json
import os
import resource
import sys
from time import perf_counter as clock, thread_time

# The least of several calls counts. They end when the two least of so many are as near as this share, or after so many seconds with their
# inputs; a call that is longer than LONG stands for itself.
LEAST_CALLS, NEAR, AGAIN_IN_ALL, LONG = 4, 1.02, 0.08, 0.2
# A first call that took so many times as long as the least, and so many seconds, left something for the later ones: a cache, an import. Then
# the first counts.
KEEPS, KEEPS_FROM = 10, 0.0002


def kilobytes(file, name):
    try:
        with open("/proc/self/" + file, "rb", 0) as opened:
            for line in opened.read(1 << 16).splitlines():
                if line.startswith(name):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def resident():
    exact = kilobytes("smaps_rollup", b"Rss:")
    return kilobytes("status", b"VmRSS:") if exact is None else exact


def waited():
    try:
        with open("/proc/thread-self/schedstat", "rb", 0) as opened:
            return int(opened.read(128).split()[1]) * 1e-9
    except (OSError, ValueError, IndexError):
        return 0.0


def timed(function, given):
    late, busy = waited(), thread_time()
    begun = clock()
    result = function(given)
    took = clock() - begun
    busy, late = thread_time() - busy, waited() - late
    # What was waited for just before the clock began is in neither.
    return result, max(took - late, min(busy, took))


def reset_peak():
    try:
        with open("/proc/self/clear_refs", "wb", 0) as opened:
            opened.write(b"5")
    except OSError:
        pass
    return kilobytes("status", b"VmHWM:")


def main(task, answer):
    def say(**what):
        # What is no character (of a name that is no UTF-8) is told as a question mark.
        with open(answer, "w", encoding="utf-8", errors="replace") as file:
            json.dump(dict(what, python="%d.%d.%d" % sys.version_info[:3]), file, ensure_ascii=False)

    def refuse(kind, words):
        say(refused=kind, words=words)
        sys.stderr.flush()
        os._exit(0)

    def last_line(error):
        words = str(error).strip().splitlines()
        return "%s: %s" % (type(error).__name__, words[0] if words else "")

    say(stage="up")
    sys.argv[:] = [task.get("file") or task["module"]]
    # Where `python -m` and `python file.py` look first; this file's own folder is no place of the program's.
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]
    sys.path.insert(0, os.path.dirname(os.path.abspath(task["file"])) if task.get("file") else os.getcwd())
    try:
        if task.get("file"):
            name = os.path.splitext(os.path.basename(task["file"]))[0]
            spec = importlib.util.spec_from_file_location(name, task["file"])
            if spec is None:
                raise ImportError("no Python source: " + task["file"])
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(task["module"])
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        refuse("import", last_line(error))
    function = module
    try:
        for part in task["name"].split("."):
            function = getattr(function, part)
    except AttributeError as error:
        refuse("name", last_line(error))
    if not callable(function):
        refuse("callable", "it is of type " + type(function).__name__)
    try:
        inspect.signature(function).bind(None)
    except TypeError as error:
        refuse("argument", "%s%s: %s" % (task["name"], inspect.signature(function), error))
    except ValueError:
        pass  # Of some built-in functions nobody knows.

    n, source = task["n"], task.get("input")
    if source is None:
        def made():
            return n
    else:
        try:
            code = compile(source, "<input>", "eval")
        except (SyntaxError, ValueError) as error:
            refuse("input", last_line(error))
        names = dict(vars(module), n=n)

        def made():
            return eval(code, names)

    gc.collect()
    data = kilobytes("status", b"VmData:") or 0
    bound = data + task["bound_bytes"]
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))
    base = resident()
    try:
        given = made()
    except MemoryError:
        raise
    except Exception as error:
        refuse("input", last_line(error))
    gc.collect()
    high_before = reset_peak()
    before = resident()
    result, seconds = timed(function, given)
    high = kilobytes("status", b"VmHWM:")
    gc.collect()
    after = resident()
    lazy = type(result).__name__ if inspect.isgenerator(result) or inspect.iscoroutine(result) or inspect.isasyncgen(result) else None
    if inspect.iscoroutine(result):
        result.close()
    del result
    times, until = [seconds], clock() + AGAIN_IN_ALL
    while seconds < LONG and clock() < until and (len(times) < LEAST_CALLS or times[1] > times[0] * NEAR):
        # It may have changed what it was given.
        given = made()
        result, took = timed(function, given)
        if inspect.iscoroutine(result):
            result.close()
        del result
        times = sorted(times + [took])[:LEAST_CALLS]
    keeps = seconds > max(times[0] * KEEPS, KEEPS_FROM)
    took = seconds if keeps else times[0]
    say(seconds=took, keeps=keeps, base_bytes=base, before_bytes=before, after_bytes=after, high_before_bytes=high_before, high_bytes=high, lazy=lazy)


main(json.loads(sys.argv[1]), sys.argv[2])
