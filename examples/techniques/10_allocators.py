"""Allocators: memory that is free and still resident.

An import reads rows, makes objects of them and lets the rows go. Each batch of rows leaves one entry in a log, which lives on among
them: pymalloc's arenas stay for a few objects each. The buffers of the import lay in malloc, below a block that stays: malloc keeps them.
`fixed` writes the log when the rows are gone, and gives malloc's free pages back.
"""
import ctypes
import gc
import sys

FIXED = "fixed" in sys.argv
LOG = []


class Entry:
    __slots__ = ("batch", "rows")

    def __init__(self, batch, rows):
        self.batch = batch
        self.rows = rows


def read_rows():
    rows = []
    for batch in range(300):
        rows.append([(batch, n, "row %d of %d" % (n, batch)) for n in range(2_000)])
        if not FIXED:
            LOG.append(Entry("batch %d" % batch, len(rows[-1])))
    if FIXED:
        counts = [len(batch) for batch in rows]
        rows.clear()
        # The interpreter keeps some freed lists and tuples to use again, and each keeps an arena; a whole collection lets them go.
        gc.collect()
        LOG.extend(Entry("batch %d" % number, count) for number, count in enumerate(counts))


def read_files():
    parts = [bytes(40_000) for _ in range(1_000)]
    return bytes(2_000), len(parts)


read_rows()
HEADER = read_files()
if FIXED:
    ctypes.CDLL(None).malloc_trim(0)
