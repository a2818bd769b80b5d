"""Functions, methods, descriptors, code, cells, modules."""
import functools
import importlib.machinery
import operator
import sys
import types

from zoo import add, part


def simple(a, b=1, *args, c, d=2, **kwargs):
    """Every kind of parameter."""
    return a, b, args, c, d, kwargs


def annotated(a: int, b: "str" = "x") -> list:
    return [a, b]


def closure(a, b):
    c = [a]

    def inner(d=4, *, e=5):
        nonlocal c
        return a, b, c, d, e

    def empty():
        return late  # noqa: F821, a cell that is never filled

    if a is None:
        late = 1
    return inner, empty


def nested_code(n):
    def one():
        def two():
            return [x for x in range(n)], {x: x for x in range(n)}, (lambda: n)

        return two

    return one


class Described:
    """One of each descriptor."""

    attribute = 1

    def method(self):
        return self

    @classmethod
    def of_class(cls):
        return cls

    @staticmethod
    def of_nobody():
        return 1

    @property
    def read_only(self):
        """Documented."""
        return 1

    @property
    def full(self):
        return 1

    @full.setter
    def full(self, value):
        pass

    @full.deleter
    def full(self):
        pass

    @functools.cached_property
    def cached(self):
        return [1]

    @functools.lru_cache(maxsize=None)
    def remembered(self, x):
        return [x]

    partial = functools.partialmethod(method)

    @functools.singledispatchmethod
    def dispatched(self, x):
        return x


class SubProperty(property):
    pass


class SlottedProperty(property):
    __slots__ = ("mark",)


@part
def functions():
    add("function/plain", simple)
    add("function/annotated", annotated)
    add("function/closure", closure([1], "b"))
    add("function/lambda", lambda x, y=[1]: x)
    add("function/list", [(lambda i=i: i) for i in range(50)])
    with_dict = add("function/attributes", lambda: 1)
    with_dict.note, with_dict.other = [1], 2
    changed = add("function/changed", lambda: 1)
    changed.__defaults__, changed.__kwdefaults__, changed.__doc__ = (1, [2]), {"k": [3]}, "changed"
    changed.__name__, changed.__qualname__, changed.__module__ = "new", "new.qualname", None
    add("function/from code", types.FunctionType(simple.__code__, {"__name__": "elsewhere"}, "other", ([1],)))
    add("function/wraps", functools.wraps(simple)(lambda *a: a))
    add("function/kwdefaults", simple.__kwdefaults__)
    add("function/nested", nested_code(3)())
    if sys.version_info >= (3, 12):
        space = {}
        exec("def generic[T: int, *Ts, **P](x: T) -> T: return x\nclass Box[T]:\n  item: T\ntype Alias[T] = list[T]\n", space)
        add("function/type parameters", space["generic"])
        add("class/type parameters", space["Box"])
        add("class/type parameters/alias", space["Box"][int])
        add("TypeAliasType", space["Alias"])
        add("TypeAliasType/value", space["Alias"].__value__)


@part
def methods():
    one = add("Described", Described())
    one.cached, one.remembered(1)
    add("method/bound", one.method)
    add("method/class", Described.of_class)
    add("method/static", Described.of_nobody)
    add("method/partial", one.partial)
    add("method/remembered", one.remembered)
    add("method/dispatched", one.dispatched)
    add("method/unusual", types.MethodType(len, [1]))
    add("descriptors", dict(vars(Described)))
    add("builtin/functions", [len, print, sys.getsizeof, iter, max])
    add("builtin/methods", [[].append, {}.get, "x".join, (1).__add__, object().__repr__, int.from_bytes, dict.fromkeys, object.__new__])
    add("builtin/descriptors", [dict.get, str.join, int.__add__, int.real, type.__dict__["__mro__"], types.FunctionType.__code__])
    add("builtin/class methods", [dict.__dict__["fromkeys"], bytes.__dict__["fromhex"], str.__dict__["maketrans"]])
    add("builtin/method with class", [type(sys.version_info).__reduce__, operator.attrgetter("x").__reduce__])
    add("builtin/member descriptors", [slice.start, types.FunctionType.__closure__, BaseException.__suppress_context__])
    add("property", property(lambda self: 1, lambda self, v: None, lambda self: None, "doc"))
    add("property/empty", property())
    add("SubProperty", SubProperty(lambda self: 1, doc="mine"))
    add("SubProperty/function doc", SubProperty(simple))
    if sys.version_info >= (3, 12):  # before, a property without a place for its __doc__ cannot be made
        add("SlottedProperty", SlottedProperty(lambda self: 1)).mark = [1]
    add("classmethod", classmethod(len))
    add("staticmethod", staticmethod(len))
    attributed = add("staticmethod/attributes", staticmethod(simple))
    if sys.version_info >= (3, 10):
        attributed.note = [1]
    add("super", super(SubProperty, SubProperty()))
    add("super/class", super(Described, Described))
    add("super/unbound", super(Described))
    add("cached_property", vars(Described)["cached"])


@part
def cells_and_code():
    add("cell/empty", types.CellType())
    add("cell/filled", types.CellType([1]))
    add("code/list", [f.__code__ for f in (simple, annotated, closure, nested_code)])
    add("code/compiled", compile("x = [i for i in (1, 2.5, 'three', (4, 5), frozenset((6, 7)), b'8')]\ndef f(a, *, b): return a + b", "<zoo>", "exec"))
    add("code/big", compile("\n".join("v%d = %d + a%d" % (i, i + 1000, i) for i in range(2000)), "<big>", "exec"))
    add("code/set constant", compile("x in {1, 2, 'three'}", "<zoo>", "eval"))
    add("code/replaced", simple.__code__.replace(co_name="renamed"))
    asked = add("code/asked", compile("def f(a, b):\n c = a\n return lambda: (a, b, c)", "<asked>", "exec"))
    for const in asked.co_consts:
        if isinstance(const, types.CodeType):
            add("code/asked/inner", const)
            const.co_varnames, const.co_cellvars, const.co_freevars, const.co_code
            list(const.co_lines()) if hasattr(const, "co_lines") else None

    def hot(n):
        return n + 1

    for i in range(3000):  # specialised in 3.11+, gets an opcache in 3.8 to 3.10
        hot(i)
    add("code/hot", hot)

    def hot_attributes(o):
        return o.attribute, o.method, sys.maxsize, len("x")

    one = Described()
    for i in range(3000):
        hot_attributes(one)
    add("code/hot attributes", hot_attributes)


@part
def modules():
    made = add("module/made", types.ModuleType("made", "documented"))
    made.content = [1]
    add("module/empty", types.ModuleType("empty"))
    add("module/real", [sys, types, operator])
    add("ModuleSpec", importlib.machinery.ModuleSpec("name", None, origin="here"))
    add("loader", importlib.machinery.SourceFileLoader("name", "/nowhere.py"))

    class Sub(types.ModuleType):
        def __getattr__(self, name):
            return name

    add("module/subclass", Sub("subclassed")).content = [1]
    lazy = types.ModuleType("no dict yet")
    add("module/no name", lazy)
    del lazy.__name__


@part
def callables():
    add("partial", functools.partial(simple, 1, 2, c=3))
    add("partial/no keywords", functools.partial(simple, 1))
    nested = add("partial/nested", functools.partial(functools.partial(simple, 1), 2, c=[3]))
    nested.attribute = [1]
    add("partial/subclass", type("SubPartial", (functools.partial,), {})(simple, 1)).x = 1
    add("lru_cache/empty", functools.lru_cache(maxsize=4)(lambda x: x))
    full = add("lru_cache/full", functools.lru_cache(maxsize=8)(lambda x: [x]))
    for i in range(20):
        full(i)
    full(15)
    wrapped = add("lru_cache/attributes", functools.lru_cache(maxsize=100, typed=True)(simple))
    wrapped(1, c="k"), wrapped(2, c=3, z=4), wrapped(1.0, c="k")
    unbounded = add("lru_cache/unbounded", functools.lru_cache(maxsize=None)(lambda x: [x]))
    for i in range(50):
        unbounded(i), unbounded("s%d" % i)
    none = add("lru_cache/maxsize 0", functools.lru_cache(maxsize=0)(lambda x: [x]))
    none(1)
    keys = add("lru_cache/tuple keys", functools.lru_cache(maxsize=5)(lambda *a, **k: [a]))
    keys(1, 2), keys(a=1), keys((1, 2)), keys(1, b=[2].__len__())
    add("cmp_to_key", functools.cmp_to_key(lambda a, b: 0))
    add("cmp_to_key/instance", functools.cmp_to_key(lambda a, b: 0)([1]))
    dispatch = add("singledispatch", functools.singledispatch(simple))
    dispatch.register(int)(lambda x: x)
    dispatch.dispatch(bool)
    add("itemgetter", operator.itemgetter(1))
    add("itemgetter/many", operator.itemgetter(1, "two", (3,)))
    add("attrgetter", operator.attrgetter("a"))
    add("attrgetter/many", operator.attrgetter("a.b.c", "d"))
    add("methodcaller", operator.methodcaller("name", 1, [2], k=[3]))
    used = add("methodcaller/used", operator.methodcaller("count", 1))
    used([1])
    add("methodcaller/plain", operator.methodcaller("name"))
    add("slice", [slice(1, 2), slice(None), slice([1], "x", (3,))])
    add("range", [range(10), range(2**70), range(5, 1000, 7)])
    add("type builtin", [type(None), type(Ellipsis), type(NotImplemented)])
