"""Set up in a program under trial by PYTHONPATH: sets the cyclic collector as the trial asks and counts what it does.

Holds: the collector's setting (EXUVIA_TRIAL_GC), its time and number of collections, written to a file for each process in the
folder EXUVIA_TRIAL_RECORDS; a module that came from the folder EXUVIA_TRIAL_ASTRAY, written there too. Never: stays in sys.path,
hides the machine's own sitecustomize, keeps a file open (a program that closes all descriptors would get ours under another's number).
Sources: gc.callbacks, site, os.register_at_fork in the library's documentation.
"""


def _begin():
    import atexit
    import gc
    import os
    import sys
    from time import perf_counter_ns as clock

    folder = os.environ.get("EXUVIA_TRIAL_RECORDS")
    setting = os.environ.get("EXUVIA_TRIAL_GC", "default")
    if not folder:
        return
    # Time and number of the collections, full ones of these, the start of the one that runs, the last record's time.
    spent = collections = full = begun = written = 0
    freezes = setting == "freeze"
    # Asked once: it walks all of pymalloc's pools.
    blocks = sys.getallocatedblocks()

    def write():
        nonlocal written
        written = clock()
        try:
            record = (
                '{"pid":%d,"setting":"%s","collections":%d,"full":%d,"nanoseconds":%d,"enabled":%s,"thresholds":%s,"frozen":%d,'
                '"blocks":%d,"release":[%d,%d,%d],"free_threaded":%s}\n'
            ) % (
                os.getpid(), setting, collections, full, spent, "true" if gc.isenabled() else "false", list(gc.get_threshold()),
                gc.get_freeze_count(), blocks, *sys.version_info[:3], "true" if "t" in sys.abiflags else "false",
            )
            # Padded: a record is written over the last, which may have been longer.
            file = os.open("%s/%d" % (folder, os.getpid()), os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
            try:
                os.pwrite(file, record.rjust(512).encode(), 0)
            finally:
                os.close(file)
        except Exception:
            # No place, no rights any more, or the interpreter is being torn down: the program goes before its records.
            pass

    def told(phase, info):
        nonlocal spent, collections, full, begun, freezes
        if phase == "start":
            begun = clock()
            return
        now = clock()
        spent += now - begun
        collections += 1
        if info.get("generation") == 2:
            full += 1
            if freezes:
                # What outlived the first full collection.
                freezes = False
                gc.freeze()
        if now - written > 10_000_000:
            write()

    def forked():
        nonlocal spent, collections, full
        spent = collections = full = 0
        write()

    def freeze_before_fork():
        nonlocal freezes
        if freezes:
            freezes = False
            gc.freeze()

    astray = os.environ.get("EXUVIA_TRIAL_ASTRAY")

    def look_for_strays():
        """A revision is run from a folder of its own: what was imported from the user's working tree all the same is another one's."""
        here = os.path.realpath(os.environ.get("EXUVIA_TRIAL_HERE", "/")) + os.sep
        packages = (here, os.path.realpath(sys.prefix) + os.sep, os.path.realpath(sys.base_prefix) + os.sep)
        for name, module in sorted(sys.modules.items()):
            file = getattr(module, "__dict__", {}).get("__file__")
            if not isinstance(file, str):
                continue
            file = os.path.realpath(file)
            if file.startswith(astray + os.sep) and not file.startswith(packages) and "site-packages" not in file.split(os.sep):
                with open(folder + "/astray", "w", encoding="utf-8", errors="replace") as found:
                    found.write(name)
                return

    def end():
        write()
        # What an interpreter collects while it is torn down is not counted: only a slow one would come to write it down.
        if told in gc.callbacks:
            gc.callbacks.remove(told)
        if astray:
            try:
                look_for_strays()
            except Exception:
                # The interpreter is being torn down, or a module is no module: nothing is told.
                pass

    if setting == "off":
        gc.disable()
    elif setting.startswith("threshold="):
        gc.set_threshold(*map(int, setting[len("threshold="):].split(",")))
    gc.callbacks.append(told)
    os.register_at_fork(before=freeze_before_fork, after_in_child=forked)
    atexit.register(end)
    write()


def _step_aside():
    import os
    import sys

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [place for place in sys.path if os.path.abspath(place or ".") != here]
    sys.path_importer_cache.pop(here, None)
    ours = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401 (the machine's own)
    except ImportError:
        sys.modules["sitecustomize"] = ours


_begin()
_step_aside()
