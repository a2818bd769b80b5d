"""Sizes: what sys.getsizeof says is the object alone.

A report is a dict of four entries: getsizeof says some 200 bytes of it. What it keeps alive is megabytes. `fixed` keeps the sums only.
"""
import sys


def report(day):
    rows = [("customer %d" % n, n * 1.25, "2026-11-%02d" % (n % 28 + 1)) for n in range(20_000)]
    total = sum(amount for _, amount, _ in rows)
    return {"day": day, "rows": rows if "fixed" not in sys.argv else len(rows), "total": total, "status": "done"}


REPORTS = {day: report(day) for day in range(3)}
print("sys.getsizeof(REPORTS[0]) =", sys.getsizeof(REPORTS[0]))
