"""The night's job that adds up a sheet of 30,000 orders, with openpyxl.

    spreadsheet.py         loads the sheet as a whole
    spreadsheet.py rows    reads it row by row (openpyxl's read_only)

The sheet is made at the first run, in the folder for temporary files.
"""
import os
import random
import sys
import tempfile

import openpyxl

ROWS = int(os.environ.get("ROWS", 30_000))
SHEET = os.path.join(tempfile.gettempdir(), "exuvia-orders-%d-%d.xlsx" % (os.getuid(), ROWS))


def make():
    dice = random.Random(4711)
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("orders")
    sheet.append(["number", "customer", "region", "article", "pieces", "price"])
    for number in range(ROWS):
        article, region = dice.randrange(900), dice.choice(("north", "east", "south", "west"))
        sheet.append([number, "customer %d" % dice.randrange(5_000), region, "article %d" % article, dice.randrange(1, 20), article / 10])
    unfinished = "%s.%d" % (SHEET, os.getpid())
    book.save(unfinished)
    os.replace(unfinished, SHEET)


if not os.path.exists(SHEET):
    make()
BOOK = openpyxl.load_workbook(SHEET, read_only="rows" in sys.argv)
SUMS = {}
for _, _, region, _, pieces, price in BOOK["orders"].iter_rows(min_row=2, values_only=True):
    SUMS[region] = SUMS.get(region, 0) + pieces * price
print({region: round(total) for region, total in SUMS.items()})
