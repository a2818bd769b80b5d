"""Instances in every form: plain, slotted, inline values, materialised, overflowing, and the classes behind them."""
import abc
import dataclasses
import enum
import sys
import types
import typing
import weakref

from zoo import add, part


class Empty:
    pass


class Plain:
    """Three attributes in one order: shared keys, inline values."""

    def __init__(self, i):
        self.a = i
        self.b = str(i) * 3
        self.c = [i]


class Thirty:
    def __init__(self, n):
        for i in range(n):
            setattr(self, "attribute_%d" % i, [i])


class Slots:
    __slots__ = ("x", "y", "z")


class SlotsWeak(Slots):
    __slots__ = ("w", "__weakref__")


class SlotsDict(Slots):
    __slots__ = ("__dict__",)


class SlotsBoth(SlotsWeak):
    __slots__ = ("v", "__dict__")


class SlotsNone:
    __slots__ = ()


class SlotsOne:
    __slots__ = "only"


class SlotsPrivate:
    __slots__ = ("__private", "public")

    def __init__(self):
        self.__private = ["p"]


class SlotsThenPlain(Slots):
    pass


class SlotsDocumented:
    __slots__ = {"a": "first", "b": "second"}


class MixedIn(Plain, SlotsNone):
    pass


class Base1:
    pass


class Base2(Base1):
    pass


class Base3(Base1):
    pass


class Diamond(Base2, Base3):
    """Multiple inheritance with an MRO of five."""


class Meta(type):
    def __new__(mcs, name, bases, namespace, **kwargs):
        cls = super().__new__(mcs, name, bases, namespace)
        cls.registry = [name]
        return cls


class MetaPlain(metaclass=Meta):
    attribute = 1


class MetaChild(MetaPlain, metaclass=Meta):
    pass


class MetaSlotted(type):
    __slots__ = ()


class FromMetaSlotted(metaclass=MetaSlotted):
    __slots__ = ("a", "b")


class Abstract(abc.ABC):
    @abc.abstractmethod
    def method(self):
        """Abstract."""


class Concrete(Abstract):
    def method(self):
        return 1


class Finalized:
    def __del__(self):
        pass


class Sizer:
    def __sizeof__(self):
        return 12345


class SizerRaises:
    def __sizeof__(self):
        raise RuntimeError("no size today")


class SizerList(list):
    def __sizeof__(self):
        return super().__sizeof__() + 1000


class Generic1(typing.Generic[typing.TypeVar("T")]):
    pass


class Subscripted:
    def __class_getitem__(cls, item):
        return types.SimpleNamespace(item=item)


class Callable_:
    def __call__(self, x):
        return x


class Getattr:
    def __getattr__(self, name):
        return name


class WithInitSubclass:
    subclasses = []

    def __init_subclass__(cls, **kwargs):
        WithInitSubclass.subclasses.append(cls)


class Hooked(WithInitSubclass):
    pass


class Color(enum.Enum):
    RED = 1
    GREEN = [2]


class Number(enum.IntEnum):
    ONE = 1
    BIG = 2**70


class Bits(enum.Flag):
    A = 1
    B = 2
    C = 4


@dataclasses.dataclass
class Data:
    x: int
    y: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class FrozenData:
    x: int = 3


@dataclasses.dataclass(order=True)
class OrderedData:
    x: int = 3
    tags: dict = dataclasses.field(default_factory=dict, compare=False)


class Record(typing.NamedTuple):
    x: int
    y: str = "y"


class Typed(typing.TypedDict):
    x: int


class Proto(typing.Protocol):
    def method(self) -> int:
        ...


class Follows:
    def method(self) -> int:
        return 1


@part
def plain():
    add("object", object())
    add("Empty", Empty())
    add("Empty/asked", Empty()).__dict__
    add("Plain/list", [Plain(i) for i in range(300)])
    asked = add("Plain/materialised", Plain(1))
    add("Plain/materialised/dict", asked.__dict__)
    foreign = add("Plain/non-str key", Plain(2))
    foreign.__dict__[3] = [4]
    deleted = add("Plain/deleted first", Plain(3))
    del deleted.a
    deleted = add("Plain/deleted all", Plain(3))
    del deleted.a, deleted.b, deleted.c
    deleted = add("Plain/deleted and added", Plain(4))
    del deleted.b
    deleted.b = ["again"]
    deleted.d = ["new"]
    replaced = add("Plain/dict replaced", Plain(5))
    replaced.__dict__ = {"other": [1]}
    cleared = add("Plain/dict cleared", Plain(6))
    cleared.__dict__.clear()
    deleted = add("Plain/dict deleted", Plain(7))
    del deleted.__dict__
    updated = add("Plain/vars updated", Plain(8))
    vars(updated).update(("k%d" % i, i) for i in range(50))
    for n in (1, 5, 6, 15, 16, 28, 29, 30, 31, 40, 62, 100, 300):
        add("Thirty/%d" % n, Thirty(n))
    other_order = add("Plain/other order", Plain.__new__(Plain))
    other_order.c, other_order.a = [1], 2
    half = add("Plain/half", Plain.__new__(Plain))
    half.a = [1]
    copied = add("Plain/dict copied", dict(Plain(9).__dict__))
    split_copy = add("Plain/dict.copy()", Plain(10).__dict__.copy())
    shared = add("Plain/shares a dict", Plain(11))
    add("Plain/shares a dict/2", Plain(12)).__dict__ = shared.__dict__
    kept = Plain(13)
    add("Plain/dict outlives", kept.__dict__)
    del kept
    late = add("Plain/materialised then added", Plain(14))
    late.__dict__
    late.late = [1]
    changed = add("Plain/class changed", Plain(15))
    changed.__class__ = Empty
    add("MixedIn", MixedIn(1))
    add("Diamond", Diamond()).deep = [1]
    add("Finalized", Finalized())
    add("Callable", Callable_())
    add("Getattr", Getattr()).real = 1
    add("SimpleNamespace", types.SimpleNamespace(a=1, b=[2]))
    add("SimpleNamespace/empty", types.SimpleNamespace())
    add("DynamicClassAttribute", types.DynamicClassAttribute(lambda self: 1))
    add("Hooked", Hooked())


@part
def slotted():
    add("Slots/unset", Slots())
    full = add("Slots/full", Slots())
    full.x, full.y, full.z = 1, "two", [3]
    deleted = add("Slots/deleted", Slots())
    deleted.x = [1]
    del deleted.x
    weak = add("SlotsWeak", SlotsWeak())
    weak.w, weak.x = [2], [1]
    add("SlotsWeak/ref", weakref.ref(weak))
    with_dict = add("SlotsDict", SlotsDict())
    with_dict.z, with_dict.free = (1, [2]), [3]
    add("SlotsDict/no dict yet", SlotsDict())
    both = add("SlotsBoth", SlotsBoth())
    both.v, both.w, both.x, both.other = [1], [2], [3], [4]
    add("SlotsBoth/ref", weakref.ref(both))
    add("SlotsNone", SlotsNone())
    add("SlotsOne", SlotsOne()).only = [1]
    add("SlotsPrivate", SlotsPrivate()).public = 2
    then = add("SlotsThenPlain", SlotsThenPlain())
    then.x, then.free = [1], [2]
    add("SlotsDocumented", SlotsDocumented()).a = [1]
    add("FromMetaSlotted", FromMetaSlotted()).b = [1]
    add("Slots/many", [type(full)() for _ in range(100)])
    wide = type("Wide", (), {"__slots__": tuple("s%d" % i for i in range(70))})
    one = add("Wide", wide())
    one.s0, one.s69 = [0], [69]


@part
def classes():
    add("class/list", [Meta, MetaPlain, MetaChild, MetaSlotted, FromMetaSlotted, Abstract, Concrete, Diamond, Generic1, Subscripted])
    add("MetaPlain", MetaPlain()).x = [1]
    add("Concrete", Concrete())
    isinstance(Concrete(), Abstract), issubclass(int, Abstract)
    add("class/made", [type("Made%d" % i, (Plain,), {"n": i}) for i in range(20)])
    add("class/documented", type("Documented", (), {"__doc__": "A text that is long enough to be seen. " * 5}))
    no_module = add("class/no module", type("NoModule", (), {}))
    odd = add("class/odd module", type("OddModule", (), {}))
    odd.__module__ = 42
    renamed = add("class/renamed", type("BeforeRename", (), {}))
    renamed.__name__, renamed.__qualname__ = "AfterRename", "Outer.AfterRename"
    add("class/odd module/instance", odd())
    add("class/renamed/instance", renamed())
    add("class/mro()", type("WithMro", (Plain,), {"x": property(lambda self: 1)}))
    add("types.new_class", types.new_class("New", (Plain,)))
    add("class/weakrefs", [weakref.ref(c) for c in (Plain, Slots, int, dict, MetaPlain)])
    grown = add("class/grown dict", type("Grown", (), {}))
    for i in range(200):
        setattr(grown, "f%d" % i, i)
    add("Sizer", Sizer())
    add("SizerRaises", SizerRaises())
    add("SizerList", SizerList([1, 2]))
    gone = type("Gone", (Base1,), {})
    del gone


@part
def made_by_libraries():
    add("Color", list(Color))
    add("Number", list(Number))
    add("Bits", [Bits.A, Bits.A | Bits.B, Bits(0), ~Bits.A])
    add("Data", Data(1, [2]))
    add("FrozenData", FrozenData())
    add("OrderedData", [OrderedData(i) for i in range(5)])
    if sys.version_info >= (3, 10):
        slotted_data = dataclasses.make_dataclass("SlottedData", [("x", int), ("y", list)], slots=True)
        add("SlottedData", slotted_data(1, [2]))
    add("Record", Record(1))
    add("Typed", Typed(x=1))
    add("Follows", Follows())
    add("Generic1", Generic1())
    add("Generic1[int]", Generic1[int])
    add("Generic1[int]()", Generic1[int]())
    add("Subscripted", Subscripted[int])


@part
def tuples_with_slots():
    if sys.version_info < (3, 15):
        return

    class Slotted(tuple):
        __slots__ = ("near", "far")

    class More(Slotted):
        __slots__ = ("further",)

    class WithDict(More):
        pass

    for cls in (Slotted, More, WithDict):
        for length in range(4):
            one = add("tuple with slots/%s/%d" % (cls.__name__, length), cls([i] for i in range(length)))
            one.near, one.far = [1], [2]
            if cls is not Slotted:
                one.further = [3]
            if cls is WithDict:
                one.attribute = [4]
    add("tuple with slots/empty slots", Slotted([[5]]))


@part
def weak():
    target = add("weak/target", Plain(1))
    add("weakref/plain", weakref.ref(target))
    add("weakref/callback", weakref.ref(target, repr))
    add("weakref/proxy", weakref.proxy(target))
    add("weakref/callable proxy", weakref.proxy(add("weak/callable", Callable_())))
    add("weakref/many", [weakref.ref(target, lambda r: None) for _ in range(10)])
    dead = Plain(2)
    add("weakref/dead", weakref.ref(dead))
    add("weakref/proxy dead", weakref.proxy(dead))
    del dead
    some = add("weakref/to set", {1, 2})
    add("weakref/to set/ref", weakref.ref(some))
    add("weakref/to builtin class", weakref.ref(some.__class__))
    hash(add("weakref/hashed 2", weakref.ref(target, repr)))

    class Sub(weakref.ref):
        __slots__ = ("extra",)

    sub = add("weakref/subclass", Sub(target))
    sub.extra = [1]
    values = add("WeakValueDictionary", weakref.WeakValueDictionary())
    keys = add("WeakKeyDictionary", weakref.WeakKeyDictionary())
    members = add("WeakSet", weakref.WeakSet())
    alive = add("weak/alive", [Plain(i) for i in range(20)])
    for i, one in enumerate(alive):
        values[i] = one
        keys[one] = [i]
        members.add(one)
    del alive[10:]
    add("weakref.finalize", weakref.finalize(target, dict, [(1, 2)], k=[2]))
    add("WeakMethod", weakref.WeakMethod(add("weak/method target", Concrete()).method))
