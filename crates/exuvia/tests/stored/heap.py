"""Objects of which a snapshot stores facts instead of values, with the facts as this interpreter tells them: written as JSON to the
file named by the first argument."""
import array
import collections
import gc
import json
import sys
import threading
import time
import weakref

V = sys.version_info[:2]
keep = []  # all that is planted
facts = {}  # by address
GC_HEAD = 16


def plant(value, **of):
    keep.append(value)
    facts.setdefault(id(value), {"is": type(value).__name__}).update(of)
    return value


def one_type(values):
    types = {id(type(v)) for v in values}
    return types.pop() if len(types) == 1 else None


# --- room: what sys.getsizeof counts beyond the object itself


def table_entries(bytes_of_keys):
    """The entries that a keys object of this size has room for: header, indices, entries (Objects/dictobject.c of each series)."""
    if bytes_of_keys == 0:
        return 0
    for log2 in range(3, 40):
        size = 1 << log2
        room = (size << 1) // 3
        index = size * (1 if size <= 0x80 else 2 if size <= 0x8000 else 4)
        for header, entry in [(40, 24)] if V < (3, 11) else [(32, 16), (32, 24)]:
            if header == 40:
                index = size * (1 if size <= 0xFF else 2 if size <= 0xFFFF else 4)
            if header + index + room * entry == bytes_of_keys:
                return room
    raise ValueError(bytes_of_keys)


def plant_list(v):
    return plant(v, capacity=(sys.getsizeof(v) - sys.getsizeof([])) // 8, used=None, item_type=one_type(v))


def plant_dict(v, used=None, **of):
    more = {}
    if not isinstance(v, collections.OrderedDict):  # which counts its nodes too
        empty = v.copy()
        empty.clear()
        more["capacity"] = table_entries(sys.getsizeof(v) - sys.getsizeof(empty))
    return plant(v, used=len(v) if used is None else used, item_type=one_type(v.values()), key_type=one_type(v), keys=True, form="combined", **more, **of)


def plant_set(v, used=None):
    own = sys.getsizeof(v) - sys.getsizeof(type(v)())
    places = own // 16 if own else 8
    return plant(v, capacity=places, used=len(v) if used is None else used, item_type=one_type(v), form="table" if own else "small")


grown = []
for i in range(1000):
    grown.append(i * 1000)
plant_list(grown)
shrunk = [float(i) for i in range(500)]
del shrunk[100:]
plant_list(shrunk)
for v in [[], [None] * 7, ["a", "b", "c"], [1, 2.5], [1, True], [[], []], [()], list(range(10)), [int, str], [None], sorted("xyz")]:
    plant_list(v)
for v in [(), (1, 2, 3), ("a",), (1, "a"), ((1,), (2,)), (None, None), (1.5, 2.5)]:
    plant(v, capacity=None, used=None, item_type=one_type(v))
Point = collections.namedtuple("Point", "x y")
plant(Point(1, 2), item_type=id(int), capacity=None)
plant(sys.version_info, item_type=None)
plant(time.localtime(0), item_type=id(int))

plant_dict({i: str(i) for i in range(100)})
holes = {"k%d" % i: i for i in range(10)}
for i in range(3):
    del holes["k%d" % i]
plant_dict(holes, used=10)
mixed = {1: 1, "b": 2.5}
for v in [{}, {"one": 1}, mixed, {(1, 2): [], (3, 4): []}, {n: None for n in "abcdefgh"}, dict.fromkeys(range(10_000), 1.5)]:
    plant_dict(v)
plant_dict(collections.OrderedDict(a=1, b=2))
plant_dict(collections.defaultdict(list, {"x": [1], "y": [2]}))
plant_dict(collections.Counter("hello"))

plant_set(set())
plant_set({1, 2, 3})
plant_set(frozenset(["a", "b"]))
plant_set({"a", 1})
plant_set(set(range(1000, 2000)))
gone = set(range(10))
for i in range(3):
    gone.discard(i)
plant_set(gone, used=10)

for n in [1, 100, 5000]:
    v = bytearray(n)
    v.append(1)
    plant(v, capacity=sys.getsizeof(v) - sys.getsizeof(bytearray()) - (33 if V >= (3, 15) else 0), used=None)
for n in [5, 64, 200]:
    v = collections.deque(range(n))
    plant(v, capacity=(sys.getsizeof(v) - type(v).__basicsize__ - GC_HEAD) // (66 * 8) * 64, item_type=id(int))
v = array.array("i", range(50))
v.append(7)
plant(v, capacity=(sys.getsizeof(v) - sys.getsizeof(array.array("i"))) // 4, item_type=None)

# --- forms of strs, by their widest character


def form(text):
    top = max(map(ord, text), default=0)
    return "ascii" if top < 0x80 else "latin-1" if top < 0x100 else "ucs-2" if top < 0x10000 else "ucs-4"


class Text(str):
    pass


for v in ["", "plain", "caf\xe9", "na\xefve \u20ac", "\U0001f600 smile", "\ud83d\ude00"]:
    # Made anew, not the constant.
    made = "".join([v, " made ", str(len(v))])
    plant(made, form=form(made), interned=0, capacity=None)
    # From 3.14 on instances of such a class have an array for attributes from the beginning.
    plant(Text(made), form=form(made), attributes="none" if V < (3, 14) else "values")
interned = sys.intern("".join(["planted ", "and interned"]))
plant(interned, interned=1, form="ascii")


# --- attributes and weak references


class Item:
    def __init__(self, n):
        self.n = n
        self.name = "item"


class Slotted:
    __slots__ = ("left",)


class Weakly:
    __slots__ = ("left", "__weakref__")


def with_attributes():
    pass


def without_attributes():
    pass


with_attributes.note = 1
items = [Item(i) for i in range(20)]
plant(items[0], attributes="dict" if V < (3, 11) else "values")
shown = vars(items[1])
plant(items[1], attributes="dict" if V < (3, 13) else "values-and-dict")
plant(Slotted(), attributes=None, weakly_held=0)
plant(with_attributes, attributes="dict")
plant(without_attributes, attributes="none", weakly_held=0)
plant(12345678901, attributes=None)
plant(shown, form="split", item_type=None, key_type=id(str), keys=True, used=2)
same = Item(3)
same.name = 4
plant(vars(same), form="split", item_type=id(int), key_type=id(str), keys=True, used=2)
other_order = Item.__new__(Item)
other_order.name = 1
other_order.n = 2
plant(vars(other_order), keys=True, item_type=id(int), key_type=id(str))
weak = []
for v in [items[2], Weakly(), Item, with_attributes, {1, 2}, collections.deque(), ValueError, threading.Lock()]:
    weak.append(weakref.ref(v))
    plant(v, weakly_held=1)
dead = Weakly()
weak.append(weakref.ref(dead))
plant(dead)
weak.pop()
plant(dead, weakly_held=0)

# --- the same keys in the same order
plant_dict({"n": 1, "name": 2})
plant_dict({"name": 1, "n": 2})
plant_dict({"".join(["na", "me"]): 1, "".join(["n", ""]): 2})
plant_dict({1: 1, 2: 2})
plant_dict({2: 1, 1: 2})
plant_dict({(1, "a"): 1})
plant_dict({(1, "a"): 2})
plant_dict({1000: 1, 2: 2})
deleted = {"gone": 1, "n": 2, "name": 3}
del deleted["gone"]
plant_dict(deleted, used=3)
again = {"n": 1, "name": 2}
del again["n"]
again["n"] = 3
plant_dict(again, used=3)
key_sets = {}
for v in keep:
    if isinstance(v, dict):
        # Keys that differ in type are different here, as 1 and True are.
        key_sets[id(v)] = repr([(type(k).__name__, k) for k in v])

# --- values: each as it stands here and as a subclass or a form of its own has it
values = []
for v in ["", "a", "plain", "caf\xe9", "\xff" * 3, "na\xefve \u20ac", "\U0001f600", "\ud83d\ude00", "x" * 5000, "1", "None", "ab\x00c"]:
    values += [("str", v), ("str", Text(v)), ("str", "".join([v[:1], v[1:]])), ("str", sys.intern(v))]
for v in [b"", b"a", b"plain", bytes(range(256))]:
    values += [("bytes", v), ("bytes", bytearray(v)), ("bytes", b"".join([v[:1], v[1:]]))]
class Number(int):
    pass
for v in [-6, 257, -257, 2**30 - 1, 2**30, -(2**30), 2**60, -(2**60), 10**100, 65536]:
    values += [("int", v), ("int", Number(v)), ("int", int(str(v)))]
for v in [1.0, -1.0, 1.5, 1e300, float("inf"), 0.0, -0.0]:
    values += [("float", v), ("float", float(repr(v)))]
values += [("complex", 1 + 2j), ("complex", complex("1+2j")), ("complex", 1j)]
for v in [(), (1,), (1, 2), (2, 1), (1.0,), (True,), (None,), ("a",), (b"a",), ((1,), 2), (1, (2,)), ((1, 2),), ("a", 1.5, None, 10**20, ((), ("b",)))]:
    values += [("tuple", v), ("tuple", tuple(list(v)))]
values += [("tuple", Point(1, 2))]
fingerprints = [[id(v), kind + " " + repr(tuple(v) if kind == "tuple" else bytes(v) if kind == "bytes" else int(v) if kind == "int" else str(v) if kind == "str" else v)] for kind, v in values]
# No value in these: lists are no values, and shared ints need no number.
deep = ()
for _ in range(20):
    deep = (deep,)
none = [[1], (1, [2]), {"a": 1}, object(), 5, -5, 256, True, None, deep, tuple(range(2000)), Item]
keep += [values, none]

# --- modules and their files
modules = {}
for m in list(sys.modules.values()):
    if type(m) is type(sys):
        spec = getattr(m, "__spec__", None)
        modules[id(m)] = getattr(m, "__file__", None) or getattr(spec, "origin", None)

# --- frames: other threads wait in frames of all kinds
source = [
    "def gap(wait):",
    "    x = [",
    "        1,",
    "",
] + [""] * 300 + [
    "        wait(",
    "            2",
    "        ),",
    "    ]",
    "    return x",
    "def long(wait):",
    "    n = 0",
] + ["    n += %d" % i for i in range(200)] + [
    "    for i in range(3):",
    "        if i == 1:",
    "            return gap(",
    "                lambda _: wait())",
    "    return n",
    "def generator(wait):",
    "    try:",
    "        yield (",
    "            long(wait)",
    "        )",
    "    finally:",
    "        pass",
    "class Caller:",
    "    def __enter__(self): return self",
    "    def __exit__(self, *_):",
    "        return [v for v in",
    "                generator(self.wait)]",
    "def run(wait):",
    "    with Caller() as c:",
    "        c.wait = wait",
    "    return c",
]
planted = {}
exec(compile("\n".join(source), "planted.py", "exec"), planted)
hold = threading.Lock()
hold.acquire()


def wait():
    hold.acquire()


def decorated(f):
    return f


@decorated
@decorated
def second(wait):
    a, b = 1, 2
    return {
        "a": a,
        "b": (lambda: [
            wait()
            for _ in "x"
        ])(),
    }


threads = [threading.Thread(target=t, args=(wait,), daemon=True) for t in (planted["run"], second)]
for t in threads:
    t.start()
asleep = wait.__code__.co_firstlineno + 1


def stacks():
    all = {}
    for t in threads:
        f = sys._current_frames().get(t.ident)
        lines = []
        while f is not None:
            lines.append([f.f_code.co_name, f.f_lineno])
            f = f.f_back
        all[t.ident] = lines
    return all


while not all(lines and lines[0] == ["wait", asleep] for lines in stacks().values()):
    time.sleep(0.001)
frames = {str(ident): lines for ident, lines in stacks().items()}

gc.collect()
gc.disable()
said = {"facts": facts, "key_sets": key_sets, "fingerprints": fingerprints, "none": [id(v) for v in none], "modules": modules, "frames": frames}
with open(sys.argv[1], "w") as f:
    json.dump(said, f)
del said
print("READY", flush=True)
sys.stdin.read()
