"""Sub-interpreters with objects of known number, each of which writes down what it holds.

`subinterpreters_heap.py FOLDER`: makes a sub-interpreter that shares the main one's allocator, where the release knows both kinds also
one of its own GIL and allocator, and one in which a thread runs while the heap is looked at. Each writes FOLDER/NUMBER: a line for each
object that its collector knows, with address, size and type.
"""
import gc
import os
import sys
import threading

import oracle

try:
    import _interpreters as interpreters  # 3.13+
except ImportError:
    import _xxsubinterpreters as interpreters

PLANT = """
import gc, sys
gc.disable()
with open(%(path)r + ".int", "w") as f:
    f.write(str(id(gc.get_referents(int.__dict__)[0])))
del f
class Planted_%(number)d: pass
class Slotted_%(number)d:
    __slots__ = ("a", "b")
class Child_%(number)d(dict): pass
planted = [Planted_%(number)d() for _ in range(1%(number)d1)]
for n, one in enumerate(planted):
    one.number, one.others = n, [n, planted]
slotted = tuple(Slotted_%(number)d() for _ in range(2%(number)d2))
for one in slotted:
    one.a, one.b = {one: planted}, {"key": [one]}
children = {i: Child_%(number)d(own=i) for i in range(3%(number)d3)}
weird = [set(range(100)), frozenset("abc"), b"x" * 1000, "y" * 1000, bytearray(300), list(range(100000)), 1 << 400, slice(1, 2)]
"""

# What runs `measure` itself is gone afterwards: its code, the function that runs it, and what the compiler kept of the words in it.
DEFINE = """
def planted_only():
    # One collector for all interpreters: what others hold changes after this.
    todo, seen = [planted, slotted, children, weird], {}
    while todo:
        o = todo.pop()
        if id(o) not in seen and type(o) in (list, dict, tuple, set, type(planted[0]), type(slotted[0]), type(children[0])):
            seen[id(o)] = o
            if type(o) is not tuple or o is slotted:
                todo.extend(gc.get_referents(o))
    return list(seen.values())

def measure(path):
    objs = gc.get_objects() if sys.version_info >= (3, 9) else planted_only()
    frame, function = type(sys._getframe()), type(measure)
    code = sys._getframe(1).f_code
    mine = {id(code.co_consts), id(code.co_names)}
    with open(path, "w") as f:
        for o in objs:
            kind = type(o)
            gone = kind is frame or id(o) in mine or (kind is function and o.__qualname__ == "<module>")
            if not gone and not (kind is list and o[:1] == [b"measure"]):
                f.write("%d %d %s\\n" % (id(o), sys.getsizeof(o), kind.__name__))
        for o in weird:
            if not gc.is_tracked(o):
                f.write("%d %d %s\\n" % (id(o), sys.getsizeof(o), type(o).__name__))
"""
MEASURE = "measure(%(path)r)"

# The thread's own frame is the only holder of what it has made; it measures last, and stays.
WAIT = """
def hold_%(number)d(path):
    held_%(number)d = Slotted_%(number)d()
    with open(path + ".held", "w") as f:
        f.write(str(id(held_%(number)d)))
    del f
    measure(path + ".part")
    os.rename(path + ".part", path)
    while True:
        time.sleep(1000)
import os, time
hold_%(number)d(%(path)r)
"""


def create(isolated):
    """None where the release does not know the kind."""
    if hasattr(interpreters, "get_config"):
        return interpreters.create("isolated" if isolated else "legacy")
    if sys.version_info >= (3, 12):
        return interpreters.create(isolated=isolated)
    return None if isolated else interpreters.create()


def main(folder):
    kinds = {}
    kept = []  # to 3.12 an interpreter ends with the last object that is its number
    for number, isolated in enumerate((False, True, False), 1):
        interpreter = create(isolated)
        if interpreter is None:
            continue
        words = {"number": number, "path": os.path.join(folder, str(number))}
        for script in (PLANT % words, DEFINE):
            interpreters.run_string(interpreter, script)
        if number < 3:
            interpreters.run_string(interpreter, MEASURE % words)
        else:
            threading.Thread(target=interpreters.run_string, args=(interpreter, WAIT % words), daemon=True).start()
            while not os.path.exists(words["path"]):
                pass
        kinds[number] = int(interpreter)
        kept.append(interpreter)
    oracle.notes["kinds"] = {str(number): id for number, id in kinds.items()}
    oracle.serve({})
    os._exit(0)


main(sys.argv[1])
