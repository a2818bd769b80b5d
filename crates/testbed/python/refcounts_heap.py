"""Objects whose reference counts are known by construction: notes["counts"] maps the name of each to its count."""
import os
import weakref

import oracle


class Counted:
    pass


class Slot:
    __slots__ = ("to", "__weakref__")


named = {}
counts = {}


def expect(name, value, references):
    """`references` besides the one of `named`."""
    named[name] = value
    counts[name] = references + 1


holders = []
target = object()
expect("nobody else", object(), 0)
holders.append([target] * 10)
expect("ten times in one list", target, 11)  # and the global name
del target
counts["ten times in one list"] -= 1

target = Counted()
holders.append({"key": target, "again": target, target: None})
expect("in a dict as value, value and key", target, 4)
del target
counts["in a dict as value, value and key"] -= 1

named["ring"] = one = Counted()
one.me = one
one.other = Counted()
one.other.back = one
counts["ring"] = 3
del one

target = Slot()
target.to = target
weak = [weakref.ref(target) for _ in range(5)]
expect("itself in a slot, and weak references that do not count", target, 2)
del target
counts["itself in a slot, and weak references that do not count"] -= 1

target = Counted()


def make(value):
    def inner():
        return value

    return inner


closures = [make(target) for _ in range(7)]
expect("in seven cells", target, 8)
del target
counts["in seven cells"] -= 1


def generator(value):
    yield value


target = Counted()
suspended = [generator(target) for _ in range(3)]
for one in suspended[:2]:
    next(one)
del one
expect("in three generators", target, 4)
del target
counts["in three generators"] -= 1

target = Counted()
holders.append((target, target, (target,)))
holders.append({target})
holders.append(frozenset([target]))
expect("in tuples and sets", target, 6)
del target
counts["in tuples and sets"] -= 1

target = Counted()
bound = [target.__init__, target.__str__]
expect("as self of bound methods", target, 3)
del target
counts["as self of bound methods"] -= 1

for n in (1, 10, 1000, 100_000):
    target = Counted()
    holders.append([target] * n)
    expect("in %d places" % n, target, n + 1)
    del target
    counts["in %d places" % n] -= 1
oracle.notes["counts"] = counts
oracle.serve(named)
os._exit(0)
