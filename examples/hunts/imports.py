"""A service that takes price lists of suppliers, and checks each with marshmallow by the columns that the supplier has.

Its watchdog ends it with SIGABRT, which leaves a core file, when more than LIMIT MiB are resident. With the argument `fixed` the classes
that check the lists are made so that they end with their list. The environment can set UPLOADS and LIMIT.
"""
import gc
import os
import random
import signal
import sys

from marshmallow import Schema, fields, validate

UPLOADS = int(os.environ.get("UPLOADS", 4000))
LIMIT = int(os.environ.get("LIMIT", 40)) << 20
KINDS = {
    "sku": lambda: fields.String(required=True, validate=validate.Length(max=40)),
    "price": lambda: fields.Decimal(required=True, places=2),
    "stock": lambda: fields.Integer(load_default=0, validate=validate.Range(min=0)),
    "ean": lambda: fields.String(validate=validate.Regexp(r"\d{13}")),
    "valid_until": lambda: fields.Date(load_default=None),
    "tags": lambda: fields.List(fields.String()),
}


def checker(number, columns):
    """The class that checks one upload. It has the upload's number in its name, so that errors can be traced."""
    made = {column: KINDS[column]() for column in columns}
    if "fixed" in sys.argv[1:]:
        return Schema.from_dict(made, name=f"Upload{number}")
    return type(f"Upload{number}", (Schema,), made)


def upload(number):
    dice = random.Random(number)
    columns = ["sku", "price"] + dice.sample(sorted(set(KINDS) - {"sku", "price"}), 2)
    values = {"sku": f"A-{number}", "price": "12.50", "stock": 7, "ean": "4006381333931", "valid_until": "2027-01-31", "tags": ["new"]}
    rows = [{column: values[column] for column in columns} for _ in range(20)]
    return len(checker(number, columns)().load(rows, many=True))


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def watchdog():
    if resident() > LIMIT:
        os.kill(os.getpid(), signal.SIGABRT)


def main():
    rows = 0
    for number in range(UPLOADS):
        rows += upload(number)
        watchdog()
    gc.collect()
    print("%d uploads, %d rows, %d MiB resident" % (UPLOADS, rows, resident() >> 20), file=sys.stderr)


main()
