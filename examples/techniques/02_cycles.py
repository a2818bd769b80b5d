"""Reference cycles: what only the cyclic collector can free.

Each document knows its pages and each page its document; with the collector off (a popular setting for services) nothing of it is ever
freed. `fixed` lets the page refer to its document weakly.
"""
import gc
import sys
import weakref


class Document:
    def __init__(self, number, weakly):
        self.number = number
        self.pages = [Page(self, n, weakly) for n in range(5)]


class Page:
    def __init__(self, document, number, weakly):
        self.document = weakref.ref(document) if weakly else document
        self.text = "page %d of document %d, " % (number, document.number) * 20


gc.disable()
for request in range(2000):
    Document(request, "fixed" in sys.argv)
