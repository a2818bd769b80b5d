"""A process of its own for what is needed once.

`monthly` reads half a million rows to make a report of a few lines. The rows are gone when it returns; what the allocators took for them
stays with a process that goes on for weeks, and goes with one that ends.
"""


def rows():
    for number in range(500_000):
        yield {"number": number, "customer": "customer %d" % (number % 40_000), "amount": number % 977}


def monthly():
    """The hundred customers with the highest sums."""
    read = list(rows())
    sums, last = {}, {}
    for row in read:
        customer = row["customer"]
        sums[customer] = sums.get(customer, 0) + row["amount"]
        last[customer] = "order %d" % row["number"]
    best = sorted(sums, key=sums.get, reverse=True)[:100]
    return [(customer, sums[customer], last[customer]) for customer in best]
