"""The catalogue, read from lines of text as one reads a CSV file.

Planted wastes:
- A dictionary for every row: the keys are shared, the tables are not.
- Duplicate strings: the category and the supplier of each row are cut out of its line, so that a dozen different words
  exist in thousands of copies (`sys.intern` would do).
"""

CATEGORIES = ("Books", "Garden", "Kitchen", "Toys", "Outdoor", "Stationery")
SUPPLIERS = ("Northern Wholesale", "Harbour Imports", "Old Mill Goods")


def rows(count):
    """The lines of a made-up CSV file."""
    for n in range(count):
        category = CATEGORIES[n % len(CATEGORIES)]
        supplier = SUPPLIERS[n % len(SUPPLIERS)]
        yield "%d;%s no. %d;%s;%s;%d" % (n, category, n, category, supplier, 199 + n * 7 % 9000)


class Catalogue:
    def __init__(self, count):
        self.products = [self.parse(line) for line in rows(count)]
        self.by_category = {}
        for product in self.products:
            self.by_category.setdefault(product["category"], []).append(product)

    @staticmethod
    def parse(line):
        number, title, category, supplier, cents = line.split(";")
        return {"number": int(number), "title": title, "category": category, "supplier": supplier, "price_cents": int(cents)}

    def search(self, category):
        return self.by_category.get(category, ())
