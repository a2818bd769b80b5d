"""Finalizers: __del__ runs when the last reference goes, and within a cycle that is when the collector comes by.

Each connection has a `__del__` that closes it and a callback bound to itself: a cycle. They wait for the collector with all that they
hold, the open files too. `fixed` uses weakref.finalize on what has to be closed and no bound method.
"""
import gc
import sys
import tempfile
import weakref


class Connection:
    def __init__(self, number):
        self.file = tempfile.TemporaryFile()
        self.buffer = bytearray(20_000)
        self.on_close = self.closed

    def closed(self):
        self.file.close()

    def __del__(self):
        self.closed()


class FixedConnection:
    def __init__(self, number):
        self.file = tempfile.TemporaryFile()
        self.buffer = bytearray(20_000)
        self.finalizer = weakref.finalize(self, self.file.close)


gc.disable()
for number in range(300):
    (FixedConnection if "fixed" in sys.argv else Connection)(number)
