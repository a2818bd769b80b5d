"""Known numbers of marker types of every shape, for quick tests: notes["counts"] says how many of each there are.

Arguments: a factor (1 when left out).
"""
import collections
import os
import sys
import weakref

import oracle


class WithDict:
    def __init__(self, i):
        self.number = i


class WithSlots:
    __slots__ = ("number",)


class WithSlotsAndWeakref:
    __slots__ = ("number", "__weakref__")


class OfList(list):
    pass


class OfDict(dict):
    pass


class OfTuple(tuple):
    pass


class OfStr(str):
    pass


class OfInt(int):
    pass


class OfFloat(float):
    pass


class OfBytes(bytes):
    pass


class OfSet(set):
    pass


class OfError(Exception):
    pass


class OfDeque(collections.deque):
    pass


class Outer:
    class Nested:
        pass


Named = collections.namedtuple("Named", "x y")

factor = int(sys.argv[1]) if len(sys.argv) > 1 else 1
MAKERS = (
    (WithDict, 1001, WithDict),
    (WithSlots, 1002, lambda i: WithSlots()),
    (WithSlotsAndWeakref, 503, lambda i: WithSlotsAndWeakref()),
    (OfList, 304, lambda i: OfList([i])),
    (OfDict, 305, lambda i: OfDict(a=i)),
    (OfTuple, 306, lambda i: OfTuple((i,))),
    (OfStr, 307, lambda i: OfStr("s%d" % i)),
    (OfInt, 308, OfInt),
    (OfFloat, 309, OfFloat),
    (OfBytes, 310, lambda i: OfBytes(b"%d" % i)),
    (OfSet, 311, lambda i: OfSet([i])),
    (OfError, 312, lambda i: OfError(i)),
    (OfDeque, 113, lambda i: OfDeque([i])),
    (Outer.Nested, 214, lambda i: Outer.Nested()),
    (Named, 215, lambda i: Named(i, str(i))),
)
heap = {}
for cls, count, make in MAKERS:
    heap[cls.__qualname__] = [make(i) for i in range(count * factor)]
    oracle.notes.setdefault("counts", {})["%s.%s" % (cls.__module__, cls.__qualname__)] = count * factor
oracle.serve(heap)
os._exit(0)
