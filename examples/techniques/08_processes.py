"""Processes of their own: what forked workers still share with their parent.

A catalogue is loaded once and four workers are forked, so that they share it. Each answers requests, which makes garbage, and the
collector writes to the header of every object that it looks at: the pages of the catalogue are copied, one by one, into each worker.
`fixed` takes the catalogue out of the collector's sight before the fork.
"""
import gc
import os
import sys
import time

WORKERS = 4


class Item:
    __slots__ = ("number", "tags")

    def __init__(self, number):
        self.number = number
        self.tags = [number % 7]


def serve(catalogue, ready):
    for request in range(20):
        answer = [[request, item] for item in range(2_000)]
        answer.append(answer)
        del answer
    gc.collect()
    os.write(ready, b".")
    time.sleep(600)


def main():
    catalogue = {number: Item(number) for number in range(200_000)}
    if "fixed" in sys.argv:
        gc.freeze()
    heard, ready = os.pipe()
    for _ in range(WORKERS):
        if os.fork() == 0:
            serve(catalogue, ready)
    for _ in range(WORKERS):
        os.read(heard, 1)
    print("ready", flush=True)
    time.sleep(600)


main()
