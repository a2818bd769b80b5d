"""A worker on Django, as many teams have one beside their web service: it takes messages from a queue and looks orders up.

`DEBUG = True` was left on. Works MESSAGES messages off and ends. Needs `pip install django`; `production` sets DEBUG to False.
"""
import os
import queue
import sqlite3
import sys
import tempfile
import threading

import django
from django.conf import settings

MESSAGES = int(os.environ.get("MESSAGES", 12_000))
DATABASE = os.path.join(tempfile.mkdtemp(), "orders.sqlite3")
settings.configure(
    DEBUG="production" not in sys.argv,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE}},
)
django.setup()

from django.db import connection  # noqa: E402 (Django wants its settings first)


def prepare():
    with sqlite3.connect(DATABASE) as database:
        database.execute("CREATE TABLE orders (number INTEGER PRIMARY KEY, customer TEXT, cents INTEGER)")
        database.executemany("INSERT INTO orders VALUES (?, ?, ?)", ((n, "customer %d" % (n % 997), n * 7) for n in range(5000)))


def total(first):
    """What the orders of one message cost: a query with a list of numbers, as ORMs write them."""
    numbers = list(range(first, first + 200))
    with connection.cursor() as cursor:
        cursor.execute("SELECT cents FROM orders WHERE number IN (%s)" % ", ".join(["%s"] * len(numbers)), numbers)
        return sum(cents for (cents,) in cursor.fetchall())


def worker(messages, answers):
    while True:
        first = messages.get()
        if first is None:
            # The worker stays, as its pool would have it.
            answers.put(None)
            threading.Event().wait()
        answers.put(total(first))


def main():
    prepare()
    messages, answers = queue.Queue(100), queue.Queue()
    threading.Thread(target=worker, args=(messages, answers), name="worker", daemon=True).start()
    for n in range(MESSAGES):
        messages.put(n % 4800)
    messages.put(None)
    cents = sum(iter(answers.get, None))
    print("%d messages, %d cents" % (MESSAGES, cents), file=sys.stderr)


main()
