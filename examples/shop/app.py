"""A small web shop that serves simulated requests and then ends: something real to look at with exuvia.

It behaves like a service that "somehow grows": it works, its tests would pass, and it wastes memory in ways that
real services do. Each module of the package `shop` says in its docstring which waste is planted where.

    python3 examples/shop/app.py [REQUESTS]

Needs CPython 3.8 or newer and nothing else, and takes about a second. The requests are the same in every run.
"""

import sys

from shop.server import Server


def main(argv):
    requests = int(argv[1]) if len(argv) > 1 else 12000
    # The server lives in a module's global until the interpreter ends, as it does in a real service.
    global server
    server = Server(seed=7)
    server.serve(requests)
    print(server.summary())


if __name__ == "__main__":
    main(sys.argv)
