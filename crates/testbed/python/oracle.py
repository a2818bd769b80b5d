"""The oracle: a live interpreter writes down the truth about its own heap.

How the heap stays the same between the truth and the look: the target forks with libc's own fork (no Python hook runs, no thread
state is torn down), and the *child* computes and writes the truth about its copy, at the same addresses. The target itself does
nothing more than come back from fork and block in a read that allocates nothing. So no container, frame, string or int of the
oracle exists in the heap that is looked at, and the truth is the heap at the moment of the fork.

What the child adds to its own copy before it measures, all of it named in the header:
- the frames of `_child` and what it calls (up to 3.10 collected objects: left out of the truth by identity);
- one list that holds each object once, so each count is too high by `excess`, measured with a fresh object in the same list;
- references from the frames of the fork and of the child to what they execute: the objects in `disturbed`.
"""
import gc
import io
import json
import os
import sys
from _thread import get_ident
from array import array
from gc import get_objects, get_referents
from sys import _getframe as getframe
from sys import getallocatedblocks, getrefcount
from types import FunctionType

try:
    import ctypes

    _fork = ctypes.PyDLL(None).fork
    FORK = "libc"
except (ImportError, OSError, AttributeError):  # a build without _ctypes: then the other threads' frames are lost in the child
    _fork = os.fork
    FORK = "os"

MAGIC = b"EXUVIA-TRUTH-1\n"
UNTRACKED = 255
PERMANENT = 3
BATCH = 2048

set_add = set.add
list_append = list.append

_module_of = type.__dict__["__module__"].__get__
_qualname_of = type.__dict__["__qualname__"].__get__
_mro_of = type.__dict__["__mro__"].__get__
_dict_of = type.__dict__["__dict__"].__get__
_flags_of = type.__dict__["__flags__"].__get__
_basicsize_of = type.__dict__["__basicsize__"].__get__
_itemsize_of = type.__dict__["__itemsize__"].__get__
_dictoffset_of = type.__dict__["__dictoffset__"].__get__

# Notes that a script leaves for the test: builders that failed (by name), numbers it wants to be told.
notes = {"failures": []}


def _measure():
    """Every object that gc.get_objects() and then gc.get_referents() reach, each once, and their counts.

    No attribute is looked up on the way: each look-up may put a name into the interpreter's attribute cache and another out of it,
    and the cache holds references (Objects/typeobject.c, method_cache). The caller is `_child`, whose caller is `_look`: the frames
    of the first two are the oracle's.
    """
    objs = get_objects()
    # Up to 3.10 running frames are in the list. No comprehension here: its closure's cell would be made before the list.
    mine = {id(getframe(0)), id(getframe(1))}
    at = len(objs)
    while at:
        at -= 1
        if id(objs[at]) in mine:
            del objs[at]
    seen = set(map(id, objs))
    seen |= mine
    at = 0
    while at < len(objs):
        batch = objs[at : at + BATCH]
        at += len(batch)
        for found in get_referents(*batch):
            key = id(found)
            if key not in seen:
                set_add(seen, key)
                list_append(objs, found)
    if id(objs) in seen or id(batch) in seen:
        raise AssertionError("the oracle's own list got into the truth")
    del batch, found, seen
    list_append(objs, object())
    return objs, array("q", map(getrefcount, objs))


def _sizes(objs):
    sizes = array("q")
    failed = {}
    later = []
    in_python = {}
    for o in objs:
        t = type(o)
        if id(t) not in in_python:
            # Written out: up to 3.10 a function of Python that is called 1024 times gets a cache, which its code's size counts.
            for base in _mro_of(t):
                if "__sizeof__" in _dict_of(base):
                    in_python[id(t)] = type(_dict_of(base)["__sizeof__"]) is FunctionType
                    break
        if in_python[id(t)]:
            # A __sizeof__ in Python may fill caches (pandas' does) and so change the sizes of others: those come first.
            later.append(len(sizes))
            sizes.append(-1)
            continue
        try:
            sizes.append(sys.getsizeof(o))
        except Exception as error:
            sizes.append(-1)
            failed[id(o)] = type(error).__name__
    for at in later:
        try:
            sizes[at] = sys.getsizeof(objs[at])
        except Exception as error:
            failed[id(objs[at])] = type(error).__name__
    return sizes, failed


def _sizeof_owner(t):
    """Module, qualified name and kind of method of the class in the MRO that defines __sizeof__."""
    for base in _mro_of(t):
        method = _dict_of(base).get("__sizeof__")
        if method is not None:
            return [_name(_module_of, base), _name(_qualname_of, base), type(method).__name__]
    return [None, None, "none"]


def _generations(objs):
    by_id = {}
    for g in range(3):
        for o in gc.get_objects(generation=g):
            by_id[id(o)] = g
    column = array("B")
    for o in objs:
        if gc.is_tracked(o):
            column.append(by_id.get(id(o), PERMANENT))
        else:
            column.append(UNTRACKED)
    return column


def _text(value):
    return value if isinstance(value, str) else None


def _name(getter, t):
    try:
        return _text(getter(t))
    except AttributeError:
        return None


def _types(objs):
    """A table of the types in use and, for each object, its index in it."""
    index = {}
    table = []
    column = array("I")
    for o in objs:
        t = type(o)
        at = index.get(id(t))
        if at is None:
            at = index[id(t)] = len(table)
            table.append(
                {
                    "id": id(t),
                    "module": _name(_module_of, t),
                    "qualname": _name(_qualname_of, t),
                    "flags": _flags_of(t),
                    "basicsize": _basicsize_of(t),
                    "itemsize": _itemsize_of(t),
                    "dictoffset": _dictoffset_of(t),
                    "sizeof_owner": _sizeof_owner(t),
                    "metatype": id(type(t)),
                }
            )
        column.append(at)
    return table, column


def _threads(look):
    """Each thread's stack as names, innermost first, and the ids of its frame objects; the oracle's frames above `look` left out."""
    threads = []
    for ident, frame in sys._current_frames().items():
        names, ids = [], []
        if ident == get_ident():
            frame = look
        while frame is not None:
            names.append(frame.f_code.co_name)
            ids.append(id(frame))
            frame = frame.f_back
        threads.append({"ident": ident, "names": names, "frames": ids})
    return threads


def _dict_tells_attributes():
    """Where an instance keeps its attributes inline and was asked for its __dict__: which of both tells the collector of them?

    Told by the interpreter itself, since its release does not: the instance to 3.13.12, the dict from 3.13.13 (gh-130327), and
    Debian's 3.13.5 as the one or the other from one revision of its package to the next.
    """
    class Probe:
        pass

    probe = Probe()
    probe.attribute = object()
    sharing = probe.__dict__
    return any(o is sharing for o in gc.get_referents(probe))


def _disturbed(*frames):
    """What the frames of the fork and of the oracle refer to and everybody shares: counts of these are not comparable."""
    ids = {id(None), id(True), id(False), id(Ellipsis), id(NotImplemented), id(()), id(""), id(b""), id(frozenset())}
    ids.update(map(id, range(-5, 257)))
    ids.update(id(chr(i)) for i in range(256))
    ids.update(id(bytes([i])) for i in range(256))
    mine = sys.modules[__name__].__dict__
    ids.add(id(mine))
    ids.update(map(id, mine.values()))
    for value in list(mine.values()):
        if type(value) is FunctionType:
            code = value.__code__
            ids.add(id(code))
            ids.update(map(id, code.co_consts + code.co_names + code.co_varnames))
    ids.update(map(id, (gc.get_objects, gc.get_referents, gc.is_tracked, sys.getsizeof, sys.getrefcount, sys._getframe, array)))
    builtins = sys.modules["builtins"].__dict__
    ids.add(id(builtins))
    ids.update(map(id, builtins.values()))
    for frame in frames:
        ids.add(id(frame))
        ids.update(map(id, frame.f_locals.values()))
    return sorted(ids)


def _wait_until_asleep(pid):
    """Comes back when the target's main thread blocks in its read: it does nothing else between the fork and that."""
    for _ in range(10_000_000):
        with open("/proc/%d/stat" % pid, "rb") as f:
            state = f.read().rpartition(b")")[2].split()[0]
        if state == b"S":
            return
        os.sched_yield()
    raise AssertionError("the target never went to sleep")


def _write_truth(path, named, blocks, look, objs, refcounts):
    excess = refcounts.pop()
    objs.pop()
    count = len(objs)
    offsets = array("Q", [0])
    referents = array("Q")
    for o in objs:
        referents.extend(map(id, gc.get_referents(o)))
        offsets.append(len(referents))
    generations = _generations(objs)
    flags = array("B", map(gc.is_tracked, objs))
    sizes, sizeof_failed = _sizes(objs)
    if hasattr(gc, "is_finalized"):
        for i in range(count):
            if gc.is_finalized(objs[i]):
                flags[i] |= 2
    ids = array("Q", map(id, objs))
    table, type_index = _types(objs)
    header = {
        "objects": count,
        "referents": len(referents),
        "version": sys.version,
        "hexversion": sys.hexversion,
        "executable": sys.executable,
        "pid": os.getppid(),
        "fork": FORK,
        "excess": excess,
        "allocated_blocks": blocks,
        "freeze_count": gc.get_freeze_count(),
        "thresholds": gc.get_threshold(),
        "enabled": gc.isenabled(),
        "dict_tells_attributes": _dict_tells_attributes(),
        "sizeof_failed": [[key, sizeof_failed[key]] for key in sorted(sizeof_failed)],
        "disturbed": _disturbed(look, look.f_back),
        "named": {name: id(value) for name, value in named.items()},
        "roots": {
            "sys.modules": id(sys.modules),
            "sys.__dict__": id(sys.__dict__),
            "builtins.__dict__": id(sys.modules["builtins"].__dict__),
            "gc.garbage": id(gc.garbage),
            "gc.callbacks": id(gc.callbacks),
            "None": id(None),
        },
        "threads": _threads(look),
        "notes": notes,
        "types": table,
    }
    text = json.dumps(header).encode()
    with open(path + ".part", "wb") as f:
        f.write(MAGIC)
        f.write(len(text).to_bytes(8, "little"))
        f.write(text)
        for column in (ids, type_index, sizes, refcounts, flags, generations, offsets, referents):
            column.tofile(f)
    _wait_until_asleep(os.getppid())
    os.rename(path + ".part", path)


def _child(path, named, blocks):
    status = 1
    try:
        objs, refcounts = _measure()
        _write_truth(path, named, blocks, sys._getframe(1), objs, refcounts)
        os.write(1, b"truth " + os.fsencode(path) + b"\n")
        status = 0
    except BaseException:
        import traceback

        os.write(1, ("failed " + repr(traceback.format_exc()) + "\n").encode())
    finally:
        os._exit(status)


def _ready_types():
    """sys.getsizeof makes a static type ready that nobody used before, which adds it to its base's subclasses: do that before the
    truth, not in the midst of it (seen on 3.8 and 3.9 with the nodes of contexts; Python/sysmodule.c, _PySys_GetSizeOf)."""
    for o in {type(o): o for o in gc.get_referents(*gc.get_objects())}.values():
        try:
            sys.getsizeof(o)
        except Exception:
            pass  # told in the truth


def _look(path, again, named, readinto, buffer):
    blocks = getallocatedblocks()
    if not _fork():
        _child(path, named, blocks)
    if again and not _fork():
        _child(again, named, blocks)
    return readinto(buffer)


def serve(named, commands=None):
    """Says READY, then answers lines on stdin until it closes.

    `truth PATH` forks the writer of the truth, which answers `truth PATH` once the target sleeps again; `truth PATH PATH` has it
    written twice, by two copies of one moment. Any other word is looked up in `commands`, called with the rest of the line, and
    answered by what it returns. `named` maps names to objects for the test.
    """
    gc.disable()
    _ready_types()
    readinto = io.FileIO(0, closefd=False).readinto
    buffer = bytearray(4096)
    os.write(1, b"READY\n")
    got = readinto(buffer)
    while got:
        word, _, rest = bytes(buffer[:got]).decode().strip().partition(" ")
        if word == "truth":
            path, _, again = rest.partition(" ")
            del word, rest, _
            got = _look(path, again, named, readinto, buffer)
            _reap()
            continue
        if commands and word in commands:
            answer = commands[word](rest)
            os.write(1, (str(answer) + "\n").encode())
            del answer
        else:
            os.write(1, ("unknown %s\n" % word).encode())
        del word, _, rest
        got = readinto(buffer)


def _reap():
    """The writers of the truth that ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
