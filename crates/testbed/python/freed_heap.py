"""100,000 objects of each marker type made and freed in awkward patterns: what is left is exactly what the notes say.

Command `free` frees the second half of the patterns; before it the kept ones are still there. See oracle.serve for the rest.
"""
import gc
import os

import oracle

N = 100_000


class GoneCollected:
    """With a __dict__: a collected object with an attribute or two."""

    def __init__(self, i):
        self.number = i + 1_000_000
        self.text = "text %d" % i


class GoneSlots:
    __slots__ = ("number", "link")


class GoneNoSlots:
    __slots__ = ()


class GoneCycle:
    def __init__(self):
        self.me = self


class GoneList(list):
    pass


class GoneInt(int):
    pass


class GoneFloat(float):
    __slots__ = ()


class GoneStr(str):
    pass


class GoneTuple(tuple):
    __slots__ = ()


class GoneDict(dict):
    pass


class GoneError(Exception):
    pass


class Kept:
    """The ones among them that stay."""

    __slots__ = ("number",)


MAKERS = {
    GoneCollected: GoneCollected,
    GoneSlots: lambda i: GoneSlots(),
    GoneNoSlots: lambda i: GoneNoSlots(),
    GoneList: lambda i: GoneList([i]),
    GoneInt: lambda i: GoneInt(i + 2**40),
    GoneFloat: lambda i: GoneFloat(i + 0.5),
    GoneStr: lambda i: GoneStr("string %d" % i),
    GoneTuple: lambda i: GoneTuple((i, [i])),
    GoneDict: lambda i: GoneDict(a=i),
    GoneError: lambda i: GoneError(i, [i]),
}


def name(cls):
    return "%s.%s" % (cls.__module__, cls.__qualname__)


kept = []
left = {}
for cls, make in MAKERS.items():
    # All alive at once, then every second goes, then the rest from the back: full pools, half-full pools, freed ones.
    alive = [make(i) for i in range(N)]
    for at in range(0, N, 20_000):
        kept.append(Kept())
    alive = alive[::2]
    while len(alive) > 7:
        alive.pop()
    # Seven stay until `free`.
    left[name(cls)] = len(alive)
    kept.append(alive)
    del alive
for _ in range(N):
    GoneCycle()
gc.collect()
left[name(GoneCycle)] = 0
left[name(Kept)] = len(MAKERS) * 5
# Values of built-in types that fill the interpreter's own free lists on their way out.
for make in (float, str, lambda i: (i, i + 1, [i]), lambda i: {i: i}, lambda i: [i], lambda i: (lambda: i), complex, lambda i: slice(i, i)):
    values = [make(i) for i in range(1000, 6000)]
    del values[::2]
    values.reverse()
    del values
oracle.notes["counts"] = left


def free(_):
    global cls, make
    del kept[1:], cls, make
    counts = {key: 0 for key in left}
    counts[name(Kept)] = 1
    oracle.notes["counts"] = counts
    return "freed"


oracle.serve({}, {"free": free})
os._exit(0)
