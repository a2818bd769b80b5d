"""__slots__: an instance without a dict.

A hundred thousand points of a measurement, three numbers each. `fixed` names the attributes in `__slots__`.
"""
import sys


class Point:
    def __init__(self, x, y, value):
        self.x = x
        self.y = y
        self.value = value


class SlottedPoint:
    __slots__ = ("x", "y", "value")

    def __init__(self, x, y, value):
        self.x = x
        self.y = y
        self.value = value


KIND = SlottedPoint if "fixed" in sys.argv else Point
POINTS = [KIND(n % 100, n // 100, 0.5) for n in range(100_000)]
