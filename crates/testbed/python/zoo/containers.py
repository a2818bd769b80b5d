"""Lists, tuples, dicts, sets, and what collections builds on them: sizes, growth, holes, subclasses."""
import collections
import sys
import types

from zoo import add, part

SIZES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 16, 17, 20, 21, 22, 31, 33, 42, 43, 63, 64, 65, 85, 86, 129, 171, 300)


class ListPlain(list):
    pass


class ListSlotted(list):
    __slots__ = ("mark",)


class TuplePlain(tuple):
    pass


class TupleEmptySlots(tuple):
    __slots__ = ()


class DictPlain(dict):
    pass


class DictSlotted(dict):
    __slots__ = ("mark", "__weakref__")


class SetPlain(set):
    pass


class FrozensetPlain(frozenset):
    __slots__ = ("mark",)


class DequePlain(collections.deque):
    pass


class OrderedPlain(collections.OrderedDict):
    pass


class DefaultPlain(collections.defaultdict):
    pass


class Missing(dict):
    def __missing__(self, key):
        return key


Point = collections.namedtuple("Point", "x y")


@part
def sequences():
    for n in SIZES:
        add("list/%d" % n, list(range(n)))
        add("tuple/%d" % n, tuple(range(n)))
        appended = add("list/appended/%d" % n, [])
        for i in range(n):
            appended.append([i])
    add("list/100000", list(range(100_000)))
    add("list/multiplied", [None] * 777)
    shrunk = add("list/shrunk", list(range(1000)))
    del shrunk[3:]
    cleared = add("list/cleared", list(range(100)))
    cleared.clear()
    inside = add("list/of itself", [])
    inside.append(inside)
    add("list/comprehension", [i for i in range(100) if i % 3])
    add("tuple/nested atoms", (1, (2, (3, "x"))))
    add("tuple/with list", (1, [2]))
    for cls in (ListPlain, ListSlotted, TuplePlain, TupleEmptySlots):
        add(cls.__name__ + "/empty", cls())
        add(cls.__name__ + "/3", cls((1, "2", [3])))
    add("ListPlain/attribute", ListPlain([1, 2])).note = "n"
    add("ListSlotted/attribute", ListSlotted([1, 2])).mark = ["m"]
    add("TuplePlain/attribute", TuplePlain((1, 2))).note = ["n"]
    add("TuplePlain/long attribute", TuplePlain(range(101))).note = "n"
    many = add("TuplePlain/many attributes", TuplePlain((1,)))
    for i in range(40):
        setattr(many, "a%d" % i, [i])
    add("namedtuple", Point(1, [2]))
    add("namedtuple/class", Point)


@part
def dicts():
    for n in SIZES:
        add("dict/str/%d" % n, {"k%d" % i: i for i in range(n)})
        add("dict/int/%d" % n, {i: [i] for i in range(n)})
        holes = add("dict/str/holes/%d" % n, {"k%d" % i: [i] for i in range(n)})
        for i in range(0, n, 2):
            del holes["k%d" % i]
        holes = add("dict/int/holes/%d" % n, {i: i for i in range(n)})
        for i in range(0, n, 3):
            holes.pop(i)
        copied = add("dict/copied/%d" % n, holes.copy())
        mixed = add("dict/mixed/%d" % n, {"k%d" % i: i for i in range(n)})
        mixed[(n, n)] = "tuple key"
    for n in (5461, 5462):
        add("dict/str/%d" % n, {"k%d" % i: i for i in range(n)})
        add("dict/int/%d" % n, {i: None for i in range(n)})
    add("dict/70000", {i: i for i in range(70_000)})
    add("dict/str/70000", dict.fromkeys(["key %d" % i for i in range(70_000)]))
    emptied = add("dict/emptied", {i: i for i in range(1000)})
    for i in range(1000):
        del emptied[i]
    cleared = add("dict/cleared", {i: i for i in range(1000)})
    cleared.clear()
    fifo = add("dict/fifo", {})
    for i in range(5000):
        fifo[i] = [i]
        if i >= 20:
            del fifo[i - 20]
    add("dict/fromkeys", dict.fromkeys(["a", "b", "c"]))
    add("dict/fromkeys big", dict.fromkeys(range(3000)))
    add("dict/kwargs", dict(a=1, b=[2], c={}))
    add("dict/subclassed str keys", {type("K", (str,), {})("key"): 1, "plain": 2})
    loop = add("dict/loop", {})
    loop["loop"] = loop
    for cls in (DictPlain, DictSlotted, Missing):
        add(cls.__name__ + "/empty", cls())
        add(cls.__name__ + "/filled", cls(a=1, b=[2]))
    add("DictPlain/attribute", DictPlain(q=1)).note = [2]
    add("DictSlotted/attribute", DictSlotted(q=1)).mark = [2]
    add("dict/views", [{1: 2}.keys(), {1: 2}.items(), {1: 2}.values()])
    add("mappingproxy", types.MappingProxyType({"a": [1]}))
    add("mappingproxy/of class", DictPlain.__dict__)


@part
def sets():
    for n in SIZES:
        add("set/%d" % n, set(range(n)))
        add("frozenset/%d" % n, frozenset(range(n)))
        add("set/str/%d" % n, {"s%d" % i for i in range(n)})
        holes = add("set/holes/%d" % n, set(range(n)))
        for i in range(0, n, 2):
            holes.discard(i)
        added = add("set/added/%d" % n, set())
        for i in range(n):
            added.add((i,))
    add("set/50000", set(range(50_000)))
    cleared = add("set/cleared", set(range(1000)))
    cleared.clear()
    add("set/popped", set(range(100))).pop()
    add("set/union", set(range(10)) | set(range(5, 50)))
    add("SetPlain", SetPlain([1, 2, 3])).note = "n"
    add("SetPlain/big", SetPlain(range(300)))
    add("FrozensetPlain", FrozensetPlain([1, 2, 3])).mark = [1]
    add("FrozensetPlain/unset", FrozensetPlain())


@part
def deques():
    for n in SIZES:
        add("deque/%d" % n, collections.deque(range(n)))
        add("deque/maxlen/%d" % n, collections.deque(range(n), maxlen=50))
        left = add("deque/left/%d" % n, collections.deque())
        for i in range(n):
            left.appendleft([i])
    rotated = add("deque/rotated", collections.deque(range(300)))
    rotated.rotate(100)
    popped = add("deque/popped left", collections.deque(range(1000)))
    for _ in range(777):
        popped.popleft()
    emptied = add("deque/emptied", collections.deque(range(2000)))
    while emptied:
        emptied.popleft()
    cleared = add("deque/cleared", collections.deque(range(200)))
    cleared.clear()
    add("deque/maxlen 0", collections.deque(maxlen=0))
    add("DequePlain", DequePlain([1, [2]])).note = "n"
    add("deque/iterators", [iter(collections.deque([1, 2])), reversed(collections.deque([1, 2]))])


@part
def special_dicts():
    for n in SIZES:
        add("OrderedDict/%d" % n, collections.OrderedDict((i, [i]) for i in range(n)))
        add("OrderedDict/str/%d" % n, collections.OrderedDict(("k%d" % i, i) for i in range(n)))
        add("defaultdict/%d" % n, collections.defaultdict(list, {i: [] for i in range(n)}))
        add("Counter/%d" % n, collections.Counter(range(n)))
    holes = add("OrderedDict/holes", collections.OrderedDict((i, i) for i in range(300)))
    for i in range(0, 300, 2):
        del holes[i]
    moved = add("OrderedDict/moved", collections.OrderedDict((i, i) for i in range(30)))
    moved.move_to_end(3)
    moved.move_to_end(7, last=False)
    emptied = add("OrderedDict/emptied", collections.OrderedDict((i, i) for i in range(30)))
    while emptied:
        emptied.popitem(last=False)
    add("OrderedDict/views", [moved.keys(), moved.items(), moved.values()])
    half = add("OrderedDict/iterator", iter(moved))
    next(half)
    add("OrderedDict/attribute", collections.OrderedDict(a=1)).note = [1]
    add("OrderedPlain", OrderedPlain(a=1)).note = [1]
    add("OrderedPlain/empty", OrderedPlain())
    add("defaultdict/no factory", collections.defaultdict())
    add("defaultdict/lambda", collections.defaultdict(lambda: [0]))["x"]
    add("DefaultPlain", DefaultPlain(int, a=1)).note = 1
    add("ChainMap", collections.ChainMap({"a": 1}, {"b": 2}))
    add("UserDict", collections.UserDict(a=1))
    add("UserList", collections.UserList([1]))
    add("UserString", collections.UserString("text"))
