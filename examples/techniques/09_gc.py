"""The collector: what lives long is walked by each full collection, and what nobody collects waits.

Catalogue entries are read at start-up and stay; requests make cycles. `off` turns the collector off, as some do for speed: the cycles of
all requests wait, with all that they hold. `frozen` moves the start-up's objects out of the collector's sight, as it is advised.
"""
import gc
import sys


class Entry:
    def __init__(self, number):
        self.number = number
        self.tags = ["tag %d" % number]
        self.prices = {"net": [number]}


class Request:
    def __init__(self, number):
        self.body = bytearray(3000)
        self.handler = self.handle

    def handle(self):
        return self.body


CATALOGUE = [Entry(number) for number in range(400_000)]
if "frozen" in sys.argv:
    gc.collect()
    gc.freeze()
if "off" in sys.argv:
    gc.disable()
for number in range(20_000):
    Request(number).handle()
    if number % 2_000 == 0 and "off" not in sys.argv:
        # What a service's own allocations bring about after some hours.
        gc.collect()
