"""Reference counts: who holds an object.

`python3 01_reference_counts.py` keeps rows alive that C code took a reference to and never gave back, as a bug in an extension module
does; here ctypes plays that module. `fixed` gives each reference back.
"""
import ctypes
import sys


class Row:
    def __init__(self, number):
        self.number = number
        self.text = "row %d" % number


def native_sum(rows, gives_back):
    """What a C function does that forgets Py_DECREF."""
    total = 0
    for row in rows:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(row))
        total += row.number
        if gives_back:
            ctypes.pythonapi.Py_DecRef(ctypes.py_object(row))
    return total


for day in range(20):
    native_sum([Row(day * 1000 + n) for n in range(1000)], "fixed" in sys.argv)
