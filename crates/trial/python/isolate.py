"""Calls a function once, here or in a process of its own, and writes down what that cost: `python3 isolate.py TASK ANSWER`.

Holds: the import as `python -m` or `python file.py` would do it, the call, the resident memory of this process before it, after it (its
result is kept) and after gc.collect(), what went through the pipe. TASK is JSON: module or file, name, input (an expression, or none), way
(inside, spawn, fork). ANSWER is a file.
Never: counts the import or the input as the call's; pickles an argument where a fork has it anyway.
Sources: multiprocessing, pickle in the library's documentation; proc_pid_smaps(5), proc_pid_status(5).
"""
import gc
import importlib
import json
import os
import sys
from time import perf_counter as clock


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


def words_of(error):
    words = str(error).strip().splitlines()
    return "%s: %s" % (type(error).__name__, words[0] if words else "")


def apart(pipe, called):
    """In the process of its own: calls, and sends the result back. `called` is the function and its arguments, where a fork has them."""
    import pickle

    pipe.send_bytes(b"up")
    if called is None:
        try:
            called = pickle.loads(pipe.recv_bytes())
        except Exception as error:
            pipe.send(("argument", words_of(error)))
            return
    function, arguments = called
    begun = clock()
    try:
        result = function(*arguments)
    except BaseException as error:
        pipe.send(("raised", words_of(error)))
        return
    seconds = clock() - begun
    try:
        result = pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        pipe.send(("result", words_of(error)))
        return
    pipe.send((None, (seconds, kilobytes("status", b"VmHWM:"))))
    pipe.send_bytes(result)


class Refused(Exception):
    """What kept it from being called, or its result from coming back: a word, and the words of the error."""


def call_apart(function, arguments, way):
    import multiprocessing
    import pickle

    context = multiprocessing.get_context(way)
    ours, theirs = context.Pipe()
    process = context.Process(target=apart, args=(theirs, (function, arguments) if way == "fork" else None))
    try:
        process.start()
        theirs.close()
        ours.recv_bytes()
        begun = clock()
        sent = 0
        if way != "fork":
            try:
                task = pickle.dumps((function, arguments), pickle.HIGHEST_PROTOCOL)
            except Exception as error:
                process.terminate()
                raise Refused("argument", words_of(error))
            sent = len(task)
            ours.send_bytes(task)
            del task
        refused, told = ours.recv()
        if refused:
            raise Refused(refused, told)
        data = ours.recv_bytes()
        returned = len(data)
        result = pickle.loads(data)
        transfer = clock() - begun - told[0]
    except (EOFError, OSError):
        process.join()
        code = process.exitcode
        raise Refused("ended", "signal %d ended it" % -code if code < 0 else "it ended with exit code %d" % code)
    del data
    process.join()
    return result, {"sent_bytes": sent, "returned_bytes": returned, "transfer_seconds": max(transfer, 0.0), "child_peak_rss_bytes": told[1]}


def main(task, answer):
    def say(**what):
        # What is no character (of a name that is no UTF-8) is told as a question mark.
        with open(answer, "w", encoding="utf-8", errors="replace") as file:
            json.dump(what, file, ensure_ascii=False)

    def refuse(kind, words):
        say(refused=kind, words=words)
        sys.stderr.flush()
        os._exit(0)

    sys.argv[:] = [task.get("file") or task["module"]]
    # Where `python -m` and `python file.py` look first, and where a process of its own looks for the function.
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]
    sys.path.insert(0, os.path.dirname(os.path.abspath(task["file"])) if task.get("file") else os.getcwd())
    name = os.path.splitext(os.path.basename(task["file"]))[0] if task.get("file") else task["module"]
    # A process of its own imports it by its name.
    if task.get("file") and not name.isidentifier():
        refuse("file", "%s is no name that can be imported" % name)
    try:
        module = importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        refuse("import", words_of(error))
    found = getattr(module, "__file__", None)
    if task.get("file") and not (found and os.path.samefile(found, task["file"])):
        refuse("file", "a module of its name comes before it: %s" % (found or name + ", which is built in"))
    function = module
    try:
        for part in task["name"].split("."):
            function = getattr(function, part)
    except AttributeError as error:
        refuse("name", words_of(error))
    if not callable(function):
        refuse("callable", "it is of type " + type(function).__name__)
    arguments = ()
    if task.get("input") is not None:
        try:
            # So that what is JSON is an expression, too.
            arguments = (eval(compile(task["input"], "<input>", "eval"), dict(vars(module), true=True, false=False, null=None)),)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            refuse("input", words_of(error))
    if task["way"] != "inside":
        import multiprocessing.connection  # noqa: F401 (a program that has processes of their own has it)
        import pickle  # noqa: F401

    gc.collect()
    before = resident()
    begun = clock()
    told = {}
    try:
        if task["way"] == "inside":
            result = function(*arguments)
        else:
            result, told = call_apart(function, arguments, task["way"])
    except KeyboardInterrupt:
        raise
    except Refused as error:
        refuse(*error.args)
    except BaseException as error:
        refuse("raised", words_of(error))
    seconds = clock() - begun
    after = resident()
    gc.collect()
    collected = resident()
    peak = kilobytes("status", b"VmHWM:")
    say(peak_rss_bytes=peak, before_rss_bytes=before, after_rss_bytes=after, collected_rss_bytes=collected, seconds=seconds, **told)
    del result


if __name__ == "__main__":
    with open(sys.argv[1]) as opened:
        described = json.load(opened)
    main(described, sys.argv[2])
