"""Weak references: a cache that should not keep what nobody uses is weak, and something beside it is not.

Documents are in a WeakValueDictionary, so that each goes when its last reader is done; and in a list of those that were opened last, which
nobody ever cuts. Each also asks to be told when it is gone, by a method of its own: it never is. `fixed` bounds the list and lets a plain
function be told.
"""
import collections
import sys
import weakref

FIXED = "fixed" in sys.argv


class Document:
    def __init__(self, number):
        self.number = number
        self.text = bytearray(4000)

    def closed(self, reference):
        OPEN.discard(self.number)


def closed(reference):
    pass


OPEN = set()
CACHE = weakref.WeakValueDictionary()
RECENT = collections.deque(maxlen=20) if FIXED else []
WATCHED = []


def read(number):
    document = CACHE[number] = Document(number)
    RECENT.append(document)


def watch(number):
    document = Document(number)
    WATCHED.append(weakref.ref(document, closed if FIXED else document.closed))


for number in range(2000):
    read(number)
for number in range(400):
    watch(number)
