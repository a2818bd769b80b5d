"""The page cache: the shop's leak.

Planted waste: no bound and a key that never repeats. A page is kept under its full address, and the address holds the
session's token, so that hardly any page is ever asked for twice. It grows with every request for as long as the
service runs.
"""


class CachedPage:
    def __init__(self, path, body, created):
        self.path = path
        self.body = body
        self.created = created
        self.hits = 0


class PageCache:
    def __init__(self):
        self.pages = {}
        self.misses = 0

    def get(self, path, render, now):
        page = self.pages.get(path)
        if page is None:
            self.misses += 1
            page = self.pages[path] = CachedPage(path, render(), now)
        else:
            page.hits += 1
        return page.body
