"""A service that renders reports in threads, one for each region.

A report is some thousand pages of a few kilobytes to sixty, which are there until it is sent. Of every fortieth page a preview is kept.
One report is rendered at a time, so that no more than one is ever in memory. The environment can set THREADS and PAGES.
With TRIM malloc's free pages are given back when all reports are sent.
"""
import ctypes
import os
import queue
import random
import sys
import threading

THREADS = int(os.environ.get("THREADS", 12))
PAGES = int(os.environ.get("PAGES", 800))
REPORTS = 4
PREVIEWS = {}
RENDERING = threading.Lock()


def render(region, number):
    """One report: its pages are large while it is made, what stays is small."""
    dice = random.Random(region * 1000 + number)
    pages = []
    with RENDERING:
        for page in range(PAGES):
            pages.append(bytes(dice.randrange(2_000, 60_000)))
            if page % 40 == 0:
                PREVIEWS[region, number, page] = bytes(1_200)
        return sum(map(len, pages))


def worker(region, orders, sent):
    for number in iter(orders.get, None):
        sent.put((region, number, render(region, number)))


def main():
    sent = queue.Queue()
    orders = [queue.Queue() for _ in range(THREADS)]
    for region, mine in enumerate(orders):
        threading.Thread(target=worker, args=(region, mine, sent), daemon=True).start()
    for number in range(REPORTS):
        for mine in orders:
            mine.put(number)
            sent.get()
    if "TRIM" in os.environ:
        ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as statm:
        resident = int(statm.read().split()[1]) * 4096
    print("%d reports sent, %d MiB resident" % (THREADS * REPORTS, resident >> 20), file=sys.stderr)


main()
