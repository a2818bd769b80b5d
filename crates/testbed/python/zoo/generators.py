"""Generators, coroutines, async generators, frames, tracebacks, exceptions, contexts: every state that they rest in."""
import asyncio
import contextlib
import contextvars
import errno
import os
import sys
import types

from zoo import add, part


def counting(n, text="t"):
    local = [n, text]
    for i in range(n):
        got = yield i
        local.append(got)


def delegating(n):
    before = {"n": n}
    result = yield from counting(n)
    return before, result


def deep_stack():
    return [1, (2, {"three": [(yield "inside"), 4]})]


def with_handler():
    try:
        raise ValueError("kept in the generator's own exception state", [1])
    except ValueError:
        yield "handling"


def in_with():
    with contextlib.suppress(ValueError):
        yield 1


def closing(cell):
    def inner():
        yield cell
        yield cell

    return inner()


async def simple_coroutine(x):
    return [x]


class Awaitable:
    def __await__(self):
        value = yield "awaited"
        return value


async def waiting(x):
    local = [x]
    await Awaitable()
    return local


async def waiting_deep(x):
    return await waiting([x])


async def agen(n):
    for i in range(n):
        yield [i]


async def agen_waits():
    await Awaitable()
    yield 1


@types.coroutine
def generator_coroutine():
    yield 1


class Boom(Exception):
    def __init__(self, *args, extra=None):
        super().__init__(*args)
        self.extra = extra


class SlottedBoom(Exception):
    __slots__ = ("mark",)


@part
def generators():
    add("generator/created", counting(3))
    suspended = add("generator/suspended", counting(3))
    next(suspended), suspended.send([1])
    finished = add("generator/finished", counting(2))
    list(finished)
    closed = add("generator/closed", counting(2))
    next(closed), closed.close()
    never = add("generator/closed before start", counting(2))
    never.close()
    delegated = add("generator/yield from", delegating(3))
    next(delegated)
    stacked = add("generator/values on the stack", deep_stack())
    next(stacked)
    handling = add("generator/handling", with_handler())
    next(handling)
    inside = add("generator/in with", in_with())
    next(inside)
    closure = add("generator/closure", closing([1]))
    next(closure)
    raised = add("generator/raised", counting(2))
    next(raised)
    try:
        raised.throw(Boom("thrown"))
    except Boom:
        pass
    add("generator/expression", (x for x in [1, 2, 3]))
    half = add("generator/expression half", (x + [1] for x in [[1], [2], [3]]))
    next(half)
    renamed = add("generator/renamed", counting(1))
    renamed.__name__ = "another name"
    add("generator/frame", counting(5))
    asked = add("generator/frame asked", counting(5))
    next(asked)
    add("generator/frame asked/frame", asked.gi_frame)
    asked.gi_frame.f_locals
    dropped = counting(4)
    next(dropped)
    add("generator/frame outlives", dropped.gi_frame)
    del dropped
    add("generator/many", [counting(i) for i in range(30)])


@part
def coroutines():
    created = add("coroutine/created", simple_coroutine(1))
    suspended = add("coroutine/suspended", waiting([1]))
    suspended.send(None)
    deep = add("coroutine/deep", waiting_deep(1))
    deep.send(None)
    finished = add("coroutine/finished", simple_coroutine(2))
    with contextlib.suppress(StopIteration):
        finished.send(None)
    closed = add("coroutine/closed", simple_coroutine(3))
    closed.close()
    sys.set_coroutine_origin_tracking_depth(3)
    add("coroutine/origin", waiting("o"))
    sys.set_coroutine_origin_tracking_depth(0)
    add("coroutine/wrapper", waiting("w").__await__())
    add("coroutine/types.coroutine", generator_coroutine())


@part
def async_generators():
    add("async_generator/created", agen(3))
    suspended = add("async_generator/suspended", agen(3))
    step = suspended.__anext__()
    with contextlib.suppress(StopIteration):
        step.send(None)
    add("async_generator/asend", add("async_generator/with asend", agen(2)).asend(None))
    add("async_generator/athrow", add("async_generator/with athrow", agen(2)).athrow(ValueError))
    add("async_generator/aclose", add("async_generator/with aclose", agen(2)).aclose())
    waits = add("async_generator/waits", agen_waits())
    pending = add("async_generator/anext pending", waits.__anext__())
    pending.send(None)
    done = add("async_generator/done", agen(0))
    with contextlib.suppress(StopAsyncIteration):
        done.__anext__().send(None)
    if sys.version_info >= (3, 10):
        add("anext awaitable", anext(add("async_generator/with anext", agen(1)), "default"))  # noqa: F821
    hooked = add("async_generator/hooked", agen(2))
    old = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=lambda g: None, finalizer=lambda g: None)
    with contextlib.suppress(StopIteration):
        hooked.__anext__().send(None)
    sys.set_asyncgen_hooks(*old)


@part
def frames():
    def leaf(a, b=[2]):
        local = {"in": "frame"}
        return sys._getframe()

    add("frame/finished", leaf([1]))
    asked = add("frame/locals asked", leaf([3]))
    asked.f_locals
    written = add("frame/locals written", leaf([4]))
    written.f_locals["extra local"] = [1]
    cleared = add("frame/cleared", leaf([5]))
    cleared.clear()
    traced = add("frame/traced", leaf([6]))
    traced.f_trace = print

    class Body:
        frame = sys._getframe()
        inside = [1]

    add("frame/class body", Body.frame)
    del Body.frame
    namespace = {"frame": sys._getframe}
    exec("kept = frame()", namespace)
    add("frame/exec", namespace["kept"])

    def with_cells(x):
        def inner():
            return x

        return sys._getframe(), inner

    add("frame/cells", with_cells([1]))
    add("frame/chain", (lambda: (lambda: sys._getframe())())())
    if sys.version_info >= (3, 13):
        add("frame/locals proxy", asked.f_locals)


@part
def exceptions():
    def fails(depth):
        local = ["at", depth]
        if depth:
            fails(depth - 1)
        raise Boom("boom", depth, extra=[local])

    try:
        fails(3)
    except Boom as error:
        add("exception/with traceback", error)
        add("traceback", error.__traceback__)
    try:
        try:
            raise KeyError("first")
        except KeyError as first:
            raise Boom("second") from first
    except Boom as error:
        add("exception/cause", error)
    try:
        try:
            raise KeyError("first")
        except KeyError:
            raise Boom("during")
    except Boom as error:
        add("exception/context", error)
    add("exception/plain", Exception())
    add("exception/args", Exception(1, "two", [3]))
    add("exception/attribute", Exception("x")).note = [1]
    add("SlottedBoom", SlottedBoom("x")).mark = [1]
    suppressed = add("exception/suppressed", Exception("x"))
    suppressed.__suppress_context__ = True
    no_traceback = add("exception/traceback set", Exception("x").with_traceback(None))
    no_traceback.args = ("changed",)
    with_notes = add("exception/notes", ValueError("noted"))
    if sys.version_info >= (3, 11):
        with_notes.add_note("one")
        with_notes.add_note("two")
        add("ExceptionGroup", ExceptionGroup("group", [ValueError(1), TypeError([2])]))  # noqa: F821
        add("BaseExceptionGroup", BaseExceptionGroup("base", [KeyboardInterrupt()]))  # noqa: F821
        add("ExceptionGroup/nested", ExceptionGroup("outer", [ExceptionGroup("inner", [OSError(1, "x")])]))  # noqa: F821
        try:
            raise ExceptionGroup("raised", [ValueError(1)])  # noqa: F821
        except ExceptionGroup as group:  # noqa: F821
            add("ExceptionGroup/raised", group)
    for make in (
        lambda: open("/nonexistent/file"),
        lambda: os.rename("/nonexistent/a", "/nonexistent/b"),
        lambda: [][1],
        lambda: {}["missing"],
        lambda: undefined_name,  # noqa: F821
        lambda: object().missing,
        lambda: int("x"),
        lambda: 1 / 0,
        lambda: b"\xff".decode(),
        lambda: "\u20ac".encode("ascii"),
        lambda: compile("a b", "<syntax>", "exec"),
        lambda: compile("  a", "<indent>", "exec"),
        lambda: __import__("no_such_module_at_all"),
        lambda: exec("from os import no_such_name"),
        lambda: next(iter([])),
        lambda: sys.exit(3),
        lambda: (_ for _ in ()).throw(GeneratorExit),
        lambda: exec("def f():\n  print(late)\n  late = 1\nf()"),
        lambda: os.stat("/nonexistent"),
    ):
        try:
            make()
        except BaseException as error:
            add("exception/raised/%d %s" % (make.__code__.co_firstlineno, type(error).__name__), error)
    add("exception/StopIteration", StopIteration([1]))
    add("exception/StopAsyncIteration", StopAsyncIteration(1))
    add("exception/SystemExit", SystemExit([2]))
    add("exception/OSError", OSError(errno.ENOENT, "no", "file", None, "file2"))
    add("exception/BlockingIOError", BlockingIOError(11, "would block", 5))
    add("exception/UnicodeTranslateError", UnicodeTranslateError("abc", 1, 2, "why"))
    add("exception/ImportError", ImportError("m", name="n", path="p"))
    add("exception/SyntaxError", SyntaxError("m", ("file", 1, 2, "text")))
    add("exception/AttributeError", AttributeError("plain"))
    add("exception/NameError", NameError("plain"))
    add("exception/warnings", [UserWarning("w"), DeprecationWarning("d"), ResourceWarning()])
    add("exception/memory", MemoryError("m"))


class Colliding:
    """All of one hash: the context's trie needs a collision node."""

    def __hash__(self):
        return 42

    def __eq__(self, other):
        return self is other


def _hamt_with_collisions():
    """The only way to a collision node: _testcapi's or _testinternalcapi's hamt type; left out where neither is there."""
    for module in ("_testinternalcapi", "_testcapi"):
        try:
            hamt = __import__(module).hamt
        except (ImportError, AttributeError):
            continue
        empty = hamt()
        one = add("hamt/empty", empty)
        for i in range(40):
            one = one.set("k%d" % i, [i])
        add("hamt/40", one)
        for i in range(5):
            one = one.set(Colliding(), [i])
        add("hamt/collisions", one)
        add("hamt/deleted", one.delete("k3"))
        return


@part
def contexts():
    many = [contextvars.ContextVar("variable %d" % i) for i in range(300)]
    add("ContextVar/list", many)
    add("ContextVar/default", contextvars.ContextVar("with default", default=[1]))
    add("Context/empty", contextvars.Context())

    def fill(n):
        return [var.set([var.name]) for var in many[:n]]

    for n in (1, 2, 8, 15, 16, 17, 33, 150, 300):
        context = add("Context/%d" % n, contextvars.Context())
        add("Token/%d" % n, context.run(fill, n))
    copied = add("Context/copied", context.copy())
    copied.run(many[0].set, "changed in the copy")
    add("Context/current copy", contextvars.copy_context())
    add("Token/used", context.run(lambda: (lambda token: (many[0].reset(token), token)[1])(many[0].set(1))))
    add("Token.MISSING", contextvars.Token.MISSING)
    add("Context/views", [context.keys(), context.items(), context.values()])
    iterator = add("Context/iterator", iter(context))
    next(iterator)
    current = add("ContextVar/current", contextvars.ContextVar("set in the main context"))
    add("Token/current", current.set([1]))
    _hamt_with_collisions()


@part
def asyncio_objects():
    loop = asyncio.new_event_loop()
    add("asyncio/loop", loop)
    add("asyncio/future", loop.create_future()).add_done_callback(print)
    with_two = add("asyncio/future two callbacks", loop.create_future())
    with_two.add_done_callback(print)
    with_two.add_done_callback(repr)
    done = add("asyncio/future done", loop.create_future())
    done.set_result([1])
    failed = add("asyncio/future failed", loop.create_future())
    failed.set_exception(Boom("f"))
    failed.exception()
    cancelled = add("asyncio/future cancelled", loop.create_future())
    cancelled.cancel("why") if sys.version_info >= (3, 9) else cancelled.cancel()
    asked = add("asyncio/future iterator", loop.create_future())
    add("asyncio/future iterator/iter", iter(asked))
    custom = add("asyncio/future attribute", loop.create_future())
    custom.note = [1] if hasattr(custom, "__dict__") else None

    async def sleeper(event):
        local = ["in a task"]
        await event.wait()
        return local

    async def quick():
        return [1]

    async def failing():
        raise Boom("in a task")

    async def main():
        event = asyncio.Event()
        tasks = [asyncio.ensure_future(sleeper(event)) for _ in range(5)]
        finished = asyncio.ensure_future(quick())
        failed = asyncio.ensure_future(failing())
        gathered = asyncio.gather(*tasks)
        shielded = asyncio.shield(tasks[0])
        queue = asyncio.Queue()
        queue.put_nowait([1])
        getter = asyncio.ensure_future(queue.get())
        lock = asyncio.Lock()
        await lock.acquire()
        handle = loop.call_later(100000, print, 1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        failed.exception()
        return [event, tasks, finished, failed, gathered, shielded, queue, getter, lock, handle]

    add("asyncio/tasks", loop.run_until_complete(main()))
    add("asyncio/semaphores", [asyncio.Semaphore(2), asyncio.Condition()] if sys.version_info >= (3, 10) else [])
