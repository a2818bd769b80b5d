"""A gateway that counts its requests with prometheus_client, by path.

Each path has a customer's number in it, so that each counts alone, for ever. Needs `pip install prometheus_client`; `fixed` counts by route.
"""
import os
import sys
import threading
import urllib.request
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import Counter, Histogram

REQUESTS = int(os.environ.get("REQUESTS", 3000))
SEEN = Counter("gateway_requests", "Requests by path", ["method", "path", "status"])
TOOK = Histogram("gateway_seconds", "Time by path", ["method", "path"])


def application(environ, start_response):
    path = environ["PATH_INFO"]
    label = "/customers/:number/orders" if "fixed" in sys.argv else path
    with TOOK.labels("GET", label).time():
        body = ("orders of %s" % path).encode()
    SEEN.labels("GET", label, "200").inc()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def main():
    server = make_server("127.0.0.1", 0, application, handler_class=Quiet)
    threading.Thread(target=server.serve_forever, name="server", daemon=True).start()
    for n in range(REQUESTS):
        with urllib.request.urlopen("http://127.0.0.1:%d/customers/%d/orders" % (server.server_port, n)) as answer:
            answer.read()
    print("%d requests answered" % REQUESTS, file=sys.stderr)


main()
