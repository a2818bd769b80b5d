"""Data structures: what lists, dicts and strs waste.

Twenty thousand orders as a program reads them from JSON: a dict each, an empty list of remarks each, the same few texts again and again, a
list of floats. `fixed` uses a class with `__slots__`, None, sys.intern and an array.
"""
import array
import sys


class Order:
    __slots__ = ("number", "status", "country", "remarks")

    def __init__(self, number, status, country, remarks):
        self.number = number
        self.status = status
        self.country = country
        self.remarks = remarks


def order(number):
    status = "".join(["waiting for ", "customs" if number % 3 else "payment"])
    country = "".join(["country-", str(number % 40)])
    return {"number": number, "status": status, "country": country, "remarks": []}


def small_order(number):
    read = order(number)
    return Order(number, sys.intern(read["status"]), sys.intern(read["country"]), None)


FIXED = "fixed" in sys.argv
ORDERS = [(small_order if FIXED else order)(number) for number in range(20_000)]
PRICES = [number / 7 for number in range(100_000)]
if FIXED:
    PRICES = array.array("d", PRICES)
