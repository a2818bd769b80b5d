"""Iterators of every kind: fresh, half consumed, exhausted; itertools with its buffers."""
import itertools
import re
import sys

from zoo import add, part


def three(make, name):
    """Fresh, after one step, and at its end (or after many steps)."""
    add(name + "/fresh", make())
    half = add(name + "/half", make())
    next(half)
    spent = add(name + "/spent", make())
    for _ in range(1000):
        try:
            next(spent)
        except StopIteration:
            break


class OldStyle:
    def __getitem__(self, i):
        if i > 3:
            raise IndexError(i)
        return [i]

    def __len__(self):
        return 4


@part
def built_in():
    big = 2**70
    three(lambda: iter([[1], [2], [3]]), "list_iterator")
    three(lambda: reversed([[1], [2], [3]]), "list_reverseiterator")
    three(lambda: iter(([1], [2], [3])), "tuple_iterator")
    three(lambda: iter({1: [1], 2: [2]}), "dict_keyiterator")
    three(lambda: iter({1: [1], 2: [2]}.items()), "dict_itemiterator")
    three(lambda: iter({1: [1], 2: [2]}.values()), "dict_valueiterator")
    three(lambda: reversed({1: [1], 2: [2]}), "dict_reversekeyiterator")
    three(lambda: reversed({1: [1], 2: [2]}.items()), "dict_reverseitemiterator")
    three(lambda: reversed({1: [1], 2: [2]}.values()), "dict_reversevalueiterator")
    three(lambda: iter({1, 2, 3}), "set_iterator")
    three(lambda: iter("abc"), "str_ascii_iterator")
    three(lambda: iter("\u20ac\u20ac"), "str_iterator")
    three(lambda: iter(b"abc"), "bytes_iterator")
    three(lambda: iter(bytearray(b"abc")), "bytearray_iterator")
    three(lambda: iter(memoryview(b"abc")), "memory_iterator")
    three(lambda: iter(range(3)), "range_iterator")
    three(lambda: iter(range(big, big + 5)), "longrange_iterator")
    three(lambda: iter(OldStyle()), "iterator")
    three(lambda: reversed(OldStyle()), "reversed")
    three(lambda: iter([1, 2, 0].pop, 2), "callable_iterator")
    three(lambda: enumerate([[1], [2]]), "enumerate")
    three(lambda: enumerate([[1], [2]], big), "enumerate big")
    three(lambda: zip([[1]], [[2]], [[3]]), "zip")
    three(lambda: map(lambda a, b: [a, b], [[1]], [[2]]), "map")
    three(lambda: filter(None, [[1], [2]]), "filter")
    three(lambda: iter(re.finditer("a", "banana")), "finditer")


@part
def from_itertools():
    three(lambda: itertools.chain([[1]], [[2]]), "chain")
    three(lambda: itertools.chain.from_iterable([[[1]], [[2]]]), "chain.from_iterable")
    three(lambda: itertools.cycle([[1], [2]]), "cycle")
    three(lambda: itertools.count(5), "count")
    three(lambda: itertools.count(2**70, 3), "count big")
    three(lambda: itertools.count(0.5, 0.25), "count float")
    three(lambda: itertools.repeat([3]), "repeat")
    three(lambda: itertools.repeat([3], 2), "repeat times")
    three(lambda: itertools.islice([[1], [2], [3]], 2), "islice")
    three(lambda: itertools.product([[1], [2]], [[3], [4]]), "product")
    three(lambda: itertools.product([1, 2], repeat=4), "product repeat")
    three(lambda: itertools.permutations([[1], [2], [3]], 2), "permutations")
    three(lambda: itertools.combinations([[1], [2], [3]], 2), "combinations")
    three(lambda: itertools.combinations_with_replacement([[1], [2], [3]], 2), "combinations_with_replacement")
    three(lambda: itertools.groupby([1, 1, 2]), "groupby")
    three(lambda: itertools.groupby([[1], [1], [2]], key=str), "groupby key")
    three(lambda: itertools.accumulate([[1], [2]]), "accumulate")
    three(lambda: itertools.accumulate([1, 2], lambda a, b: a + b), "accumulate function")
    three(lambda: itertools.compress([[1], [2]], [1, 1]), "compress")
    three(lambda: itertools.dropwhile(lambda x: False, [[1], [2]]), "dropwhile")
    three(lambda: itertools.takewhile(lambda x: True, [[1], [2]]), "takewhile")
    three(lambda: itertools.filterfalse(lambda x: False, [[1], [2]]), "filterfalse")
    three(lambda: itertools.starmap(lambda *a: [a], [([1], [2]), (3,)]), "starmap")
    three(lambda: itertools.zip_longest([[1], [2]], [[3]], fillvalue=[0]), "zip_longest")
    three(lambda: itertools.tee([[1], [2]])[0], "tee")
    one, two = itertools.tee([[i] for i in range(300)])
    for _ in range(200):
        next(one)
    add("tee/ahead", one)
    add("tee/behind", two)
    group = itertools.groupby([[1], [1], [2]])
    add("groupby/group", next(group)[1])
    add("groupby/parent", group)
    if sys.version_info >= (3, 10):
        three(lambda: itertools.pairwise([[1], [2], [3]]), "pairwise")
    if sys.version_info >= (3, 12):
        three(lambda: itertools.batched([[1], [2], [3]], 2), "batched")
